"""A person at one instrument: finds request sheets in the drop folder, works them off, drops the files.

Uses what a real person has: the drop folder, and the front of the instrument, which is the vendor's stand-in. Seen
nowhere, since people differ: how soon one looks and how long one takes are invented. Left out: mistakes, and stopping
what was begun when a request is withdrawn.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from labctl_simulators.assisted.hands import AtCycler, AtPotentiostat, AtSpectrometer, CannotDo, Hands

#: Seconds between looks into the drop folder, and until a seen request is begun.
LOOKS_EVERY: Final = 300.0
#: Where files are gathered before they appear in the request's folder all at once.
_GATHERED: Final = ".gathered"
_OVER: Final = ("TAKEN.txt", "WITHDRAWN.txt")
_HANDS: Final[Mapping[str, Callable[[str, Mapping[str, Any], Any], Hands]]] = {
    "spectrometer": AtSpectrometer,
    "cycler": AtCycler,
    "potentiostat": AtPotentiostat,
}


class AssistedSimulator:
    """The instrument that a station's entry describes, and the person at it.

    Parameters
    ----------
    name : str
        The station's name of the instrument.
    settings : mapping
        The station's entry: ``role``. Its drop folder is not used; a simulated one lies in the laboratory's folder.
    laboratory
        The virtual laboratory.

    Raises
    ------
    ValueError
        For a role that nobody here can fill, or files of a vendor that nobody here writes.
    """

    def __init__(self, name: str, settings: Mapping[str, Any], laboratory: Any) -> None:
        role = str(settings.get("role"))
        if settings.get("vendor") == "csv":
            raise ValueError(f"{name}: a simulated person drops the vendor's own files, not csv")
        self._name = name
        self._laboratory = laboratory
        self._folder: Path = (laboratory.folder / f"{name}-drop").resolve()
        self._plant = laboratory.chamber(name) if role == "chamber" else None
        self._hands: Hands | None = None
        if self._plant is None:
            if role not in _HANDS:
                raise ValueError(f"{name}: nobody can fill the role '{role}'")
            self._hands = _HANDS[role](name, {"simulate": settings.get("simulate") or {}}, laboratory)
        self._work: dict[str, asyncio.Task[None]] = {}
        self._person: asyncio.Task[None] | None = None

    async def start(self) -> dict[str, Any]:
        """Switch the instrument on and begin to look after it; gives the drop folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._hands is not None:
            await self._hands.instrument.start()
        self._person = asyncio.create_task(self._look_after())
        return {"drop_folder": str(self._folder)}

    async def stop(self) -> None:
        """Leave; what the instrument is doing is kept for :meth:`save`. Idempotent."""
        tasks = [*self._work.values(), *([self._person] if self._person is not None else [])]
        self._work.clear()
        self._person = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._hands is not None:
            await self._hands.instrument.stop()

    def save(self) -> dict[str, Any]:
        """Whole state as JSON values; requests lie on disk, the chamber's plant is the laboratory's."""
        return {} if self._hands is None else {"instrument": self._hands.instrument.save()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state of :meth:`save`, before the start."""
        if self._hands is not None:
            self._hands.instrument.restore(state["instrument"])

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(LOOKS_EVERY)
            if self._plant is not None:
                self._tend()
            for sheet in sorted(self._folder.glob("*/request.json")):
                token = sheet.parent.name
                over = any((sheet.parent / name).exists() for name in _OVER)
                if token not in self._work and not over:
                    self._work[token] = asyncio.create_task(self._carry_out(token, sheet))

    async def _carry_out(self, token: str, sheet: Path) -> None:
        request = json.loads(sheet.read_text(encoding="utf-8"))
        gathered = sheet.parent / _GATHERED
        shutil.rmtree(gathered, ignore_errors=True)
        gathered.mkdir()
        try:
            if self._hands is not None:
                await self._hands.measure(token, request["data"]["asked"], gathered)
            for file in list(gathered.iterdir()):
                file.replace(sheet.parent / file.name)
            self._laboratory.record(self._name, "dropped", token=token)
        except (CannotDo, OSError, KeyError) as error:
            self._laboratory.record(self._name, "not done", token=token, why=str(error))
            self._laboratory.log.warning("a person could not do what was asked", token=token, why=str(error))
        finally:
            shutil.rmtree(gathered, ignore_errors=True)

    def _tend(self) -> None:
        """Set the chamber as asked, and write down what it reads."""
        plant, path = self._plant, self._folder / "set-point.json"
        if plant is None or not path.exists():
            return
        wanted = json.loads(path.read_text(encoding="utf-8"))["temperature_K"]
        if wanted is None:
            plant.stop()
            return
        if not plant.running or plant.set_point != wanted:
            plant.regulate(wanted)
        fresh = self._folder / "temperature.partial"
        fresh.write_text(f"{plant.temperature - 273.15:.2f} degC\n", encoding="utf-8")
        fresh.replace(self._folder / "temperature.txt")
