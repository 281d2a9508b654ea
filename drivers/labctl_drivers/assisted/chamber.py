"""A chamber that a person sets: labctl writes the wanted temperature, the person writes back what it reads."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

from labctl.errors import DataError
from labctl.instruments import ChamberReading, DriverContext, Identity, Inspection, NotReachable
from labctl.units import UnitError, parse, show
from labctl_drivers.assisted.desk import put
from labctl_drivers.assisted.inspection import inspect
from labctl_drivers.assisted.place import Place
from labctl_drivers.assisted.settings import Settings
from labctl_drivers.assisted.sheet import instant

SHEET: Final = "SET-TEMPERATURE.txt"
STATE: Final = "set-point.json"
READING: Final = "temperature.txt"


class AssistedChamber:
    """Keeps a set-point by a person's hands.

    The reading counts only if it was saved after the set-point was asked for, so that yesterday's can't settle today's.

    Parameters
    ----------
    context : DriverContext
        Its settings: see ``docs/drivers/assisted.md``.
    """

    role = "chamber"

    def __init__(self, context: DriverContext, settings: Settings) -> None:
        self._context = context
        self._settings = settings
        self._place = Place(context, settings)

    async def connect(self) -> Identity:
        """See that the drop folder is there. Raises ``NotReachable``, ``NotIdentified``."""
        return await self._place.connect()

    async def inspect(self, *, exercise: bool) -> Inspection:
        """Say what is known of a person's chamber; nothing is moved."""
        return inspect(self._settings)

    async def close(self) -> None:
        """Let go; the chamber stays as it is."""
        self._place.close()

    async def read(self) -> ChamberReading:
        """Give what the person last wrote into ``temperature.txt``, such as ``40.1 degC``.

        While nothing is asked of the chamber, a temperature that nobody wrote is NaN, and ``running`` is false.

        Raises
        ------
        NotReachable
            A set-point is asked, and nobody has written a reading since; the message says what to do.
        """
        return await self._place.run(self._read)

    async def regulate(self, temperature: float, limits: tuple[float, float] | None = None) -> None:
        """Ask for ``temperature`` (K); asking for the same again changes nothing. ``limits`` stay the engine's."""
        del limits
        await self._place.run(self._ask, temperature, self._context.clock.now())

    async def stop(self) -> None:
        """Say that the chamber is not needed any more. Idempotent."""
        await self._place.run(self._ask, None, self._context.clock.now())

    def _read(self) -> ChamberReading:
        folder, asked = self._settings.folder, self._asked()
        path = folder / READING
        if asked is None:
            written = self._written() if path.exists() else None
            temperature = float("nan") if written is None else written
            return ChamberReading(temperature, float("nan"), False, "not asked for")
        wanted = show(asked, "degC")
        if not path.exists() or path.stat().st_mtime_ns < (folder / STATE).stat().st_mtime_ns:
            raise self._place.fault(
                NotReachable,
                f"nobody has written its temperature since {wanted} was asked",
                hint=f"set the chamber to {wanted}, and once it reads so save the value, such as '40.1 degC', "
                f"as {path}",
            )
        written = self._written()
        if written is None:
            raise self._place.fault(
                NotReachable, f"{READING} is not readable as a temperature", hint="write for example '40.1 degC'"
            )
        return ChamberReading(written, asked, True, "set and read by a person")

    def _written(self) -> float | None:
        lines = (self._settings.folder / READING).read_text(encoding="utf-8-sig", errors="replace").splitlines()
        try:
            return parse(lines[0].strip().replace(",", ".") if lines else "", "temperature")
        except UnitError:
            return None

    def _asked(self) -> float | None:
        path = self._settings.folder / STATE
        if not path.exists():
            return None
        try:
            wanted: Any = json.loads(path.read_text(encoding="utf-8"))["temperature_K"]
            return None if wanted is None else float(wanted)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: damaged ({error})") from error

    def _ask(self, temperature: float | None, now: datetime) -> None:
        folder = self._settings.folder
        before = self._asked()
        if temperature is None and before is None:
            return
        if temperature is not None and before is not None and abs(temperature - before) < 1e-6:
            return
        put(folder / STATE, json.dumps({"temperature_K": temperature, "since": now.isoformat()}).encode())
        if temperature is None:
            text = f"The chamber {self._context.name} is not needed any more.\nSince {instant(now)}\n"
        else:
            wanted = show(temperature, "degC")
            text = (
                f"Set the chamber {self._context.name} to {wanted}.\nAsked {instant(now)}\n\n"
                f"Once it reads so, save what it reads as {READING} in this folder, such as\n\n{wanted}\n\n"
                "and save it anew whenever you look again.\n"
            )
        put(folder / SHEET, text.encode())
