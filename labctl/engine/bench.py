"""The instruments of this laboratory: made from the station file, connected, and told apart by role."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from labctl.errors import InstrumentError
from labctl.instruments import (
    Chamber,
    Clock,
    Cycler,
    DriverContext,
    Hiccup,
    Identity,
    Instrument,
    Log,
    Multiplexer,
    NotReachable,
    Potentiostat,
    Spectrometer,
)

# Real seconds: whatever its driver does, an instrument that is absent or wrong is named within 5 s, Python's own start
# included.
CONNECT_TIMEOUT = 2.4


class Bench:
    """All instruments of a station.

    Parameters
    ----------
    entries : mapping
        The station's instruments: name to plain settings, ``driver`` among them.
    drivers : mapping
        Driver name to class, as the entry points give them.
    """

    def __init__(
        self,
        entries: Mapping[str, Mapping[str, Any]],
        drivers: Mapping[str, type],
        *,
        clock: Clock,
        log: Log,
        report: Callable[[Hiccup], None],
        secret: Callable[[Any], str],
        folder: Path,
    ) -> None:
        self.entries = entries
        self._clock = clock
        self.identities: dict[str, Identity] = {}
        self._instruments: dict[str, Instrument] = {
            name: drivers[settings["driver"]](
                DriverContext(
                    name=name, settings=settings, clock=clock, log=log, report=report, secret=secret, folder=folder
                )
            )
            for name, settings in entries.items()
        }

    @property
    def roles(self) -> dict[str, str]:
        """Instrument name to role."""
        return {name: instrument.role for name, instrument in self._instruments.items()}

    def _of_role(self, name: str, role: str) -> Instrument:
        instrument = self._instruments.get(name)
        if instrument is None or instrument.role != role:
            raise InstrumentError(f"the station has no {role} of this name", instrument=name)
        return instrument

    def cycler(self, name: str) -> Cycler:
        """Look up a cycler."""
        return cast(Cycler, self._of_role(name, "cycler"))

    def potentiostat(self, name: str) -> Potentiostat:
        """Look up a potentiostat."""
        return cast(Potentiostat, self._of_role(name, "potentiostat"))

    def spectrometer(self, name: str) -> Spectrometer:
        """Look up a spectrometer."""
        return cast(Spectrometer, self._of_role(name, "spectrometer"))

    def chamber(self, name: str) -> Chamber:
        """Look up a chamber."""
        return cast(Chamber, self._of_role(name, "chamber"))

    def multiplexer(self, name: str) -> Multiplexer:
        """Look up a multiplexer."""
        return cast(Multiplexer, self._of_role(name, "multiplexer"))

    async def check(self) -> dict[str, Identity | InstrumentError]:
        """Connect to every instrument at once and say who answered, or what was wrong."""

        async def one(name: str, instrument: Instrument) -> Identity | InstrumentError:
            try:
                async with asyncio.timeout(self._clock.patience(CONNECT_TIMEOUT)):
                    return await instrument.connect()
            except InstrumentError as error:
                return error
            except (OSError, TimeoutError) as error:
                address = str(self.entries[name].get("address", ""))
                reason = f"no answer in {CONNECT_TIMEOUT:g} s" if isinstance(error, TimeoutError) else str(error)
                return NotReachable(reason, instrument=name, address=address)

        answers = await asyncio.gather(*(one(name, instrument) for name, instrument in self._instruments.items()))
        found = dict(zip(self._instruments, answers, strict=True))
        self.identities = {name: answer for name, answer in found.items() if isinstance(answer, Identity)}
        return found

    async def connect(self) -> None:
        """Connect to all.

        Raises
        ------
        InstrumentError
            Names every instrument that failed, with its address and why.
        """
        answers = await self.check()
        errors = [answer for answer in answers.values() if isinstance(answer, InstrumentError)]
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise InstrumentError(
                "\n".join(["several instruments can't be used:", *(f"  {error}" for error in errors)])
            )

    async def close(self) -> None:
        """Leave every instrument in order."""
        await asyncio.gather(*(instrument.close() for instrument in self._instruments.values()))
