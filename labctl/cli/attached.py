"""A simulated laboratory that runs as a process of its own, as ``labctl run --simulate`` finds it and attaches to it.

Who holds the folder's ``simulation.lock`` simulates the laboratory: ``labctl simulate``, or a ``labctl run --simulate``
that found nobody. Where it is reached, at which speed its time passes and of which files it was made stands in
``simulation.json``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

from labctl.engine.clock import LoopClock, pause, real_seconds
from labctl.engine.lock import hold
from labctl.errors import LabctlError, Locked, UsageError
from labctl.station import Cells, Station

FILE: Final = "simulation.json"
LOCK: Final = "simulation.lock"
#: Real seconds that a laboratory may take from its lock to its last open port.
_STARTS_WITHIN: Final = 20.0
_LOOK_EVERY: Final = 0.05
#: Real seconds for one answer of the control port, and how often the time is asked for: the quickest answer counts.
_ANSWER: Final = 10.0
_ASKED: Final = 5


class SimulationLock:
    """Held by the process that simulates a laboratory folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None

    def try_take(self) -> bool:
        """Take the lock, unless another process has it."""
        self._file = hold(self._folder / LOCK)
        return self._file is not None

    def take(self) -> None:
        """Take the lock.

        Raises
        ------
        Locked
            Another process simulates this folder.
        """
        if not self.try_take():
            found = read_file(self._folder) or {}
            raise Locked(
                f"{self._folder}: another process ({found.get('pid', 'starting')}) simulates this laboratory",
                hint="end it with Ctrl-C, or give another laboratory folder with --lab",
            )

    def release(self) -> None:
        """Give the lock back; the empty file stays."""
        if self._file is not None:
            self._file.close()
            self._file = None


def read_file(folder: Path) -> dict[str, Any] | None:
    """Read ``simulation.json``; None where there is none.

    Raises
    ------
    LabctlError
        It is damaged.
    """
    path = folder / FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise LabctlError(f"{path}: damaged", hint="begin anew in another laboratory folder") from error
    return dict(found)


def made_of(station: Station, cells: Cells) -> dict[str, Any]:
    """Say of what a laboratory is made, so that a simulated one can be told from the one that a campaign wants."""
    description = station.description(cells)
    made = {
        "station": {"places": description["places"], "instruments": station.entries()},
        "cells": {cell["id"]: cell for cell in description["cells"]},
    }
    plain: dict[str, Any] = json.loads(json.dumps(made))
    return plain


@dataclass(frozen=True, slots=True)
class Attached:
    """A simulated laboratory that another process runs.

    Attributes
    ----------
    speed : float
        Its seconds in a real second.
    seed : int
        Of everything random in it.
    born : str
        UTC instant at which its time began; no other laboratory has the same.
    entries : mapping
        The station's instruments with the addresses and tokens at which they answer.
    """

    folder: Path
    speed: float
    seed: int
    born: str
    entries: Mapping[str, Mapping[str, Any]]
    control: int
    made_of: Mapping[str, Any]

    async def align(self, clock: LoopClock) -> None:
        """Have ``clock`` show the laboratory's time.

        Raises
        ------
        LabctlError
            The laboratory does not answer.
        """
        loop = asyncio.get_running_loop()
        quickest = float("inf")
        try:
            async with asyncio.timeout(clock.patience(_ANSWER)):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.control)
                try:
                    for _ in range(_ASKED):
                        asked = loop.time()
                        writer.write(b'{"id": 1, "op": "time"}\n')
                        answer = json.loads(await reader.readline())
                        took = loop.time() - asked
                        if took < quickest:
                            quickest = took
                            clock.align(datetime.fromisoformat(answer["now"]), asked + took / 2)
                finally:
                    writer.close()
        except (OSError, ValueError, TimeoutError) as error:
            raise LabctlError(f"{self.folder}: the simulated laboratory does not answer at its control port") from error

    def check(self, station: Station, cells: Cells) -> None:
        """Make sure that this laboratory is the one that a campaign is about.

        Raises
        ------
        UsageError
            Names the first difference.
        """
        wanted = made_of(station, cells)
        for kind, here in self.made_of.items():
            # The laboratory may have more cells than one campaign; of the station everything must be the same.
            asked = {**here, **wanted[kind]} if kind == "cells" else wanted[kind]
            difference = _difference(asked, here, "")
            if difference is not None:
                path = {"station": station, "cells": cells}[kind].document.file
                raise UsageError(
                    f"{path} is not the {kind} file of the simulated laboratory that runs in {self.folder}: "
                    f"{difference}",
                    hint="end 'labctl simulate' and start it with this file, or give its file here",
                )


def attach(folder: Path) -> Attached:
    """Find the laboratory that another process simulates; one that is just starting is waited for.

    Raises
    ------
    LabctlError
        It does not come up.
    """
    until = real_seconds() + _STARTS_WITHIN
    while True:
        found = read_file(folder)
        if found is not None and found.get("state") == "running" and "entries" in found:
            return Attached(
                folder,
                float(found["speed"]),
                int(found["seed"]),
                str(found["born"]),
                found["entries"],
                int(found["control"]),
                found["made_of"],
            )
        if real_seconds() > until:
            raise LabctlError(f"{folder}: another process simulates this laboratory, but does not say where it listens")
        pause(_LOOK_EVERY)


def _difference(wanted: Any, here: Any, where: str) -> str | None:
    """Give the first difference in words, None where there is none."""
    if isinstance(wanted, Mapping) and isinstance(here, Mapping):
        for key in dict.fromkeys([*wanted, *here]):
            name = f"{where}.{key}" if where else str(key)
            if key not in here:
                return f"'{name}' is not in the laboratory"
            if key not in wanted:
                return f"'{name}' is only in the laboratory"
            found = _difference(wanted[key], here[key], name)
            if found is not None:
                return found
        return None
    return None if wanted == here else f"'{where}' is {wanted!r} in the file and {here!r} in the laboratory"
