"""A simulated laboratory in this process: every simulator on its own loopback port, gateways and a person included.

On a clean stop its whole state is saved beside the journal, so that the next run goes on with the same cells. While
it runs, the file says so: where it was killed with the process, its cells are gone, and resuming is refused. The file
also says where everything listens, with tokens, so only its owner can read it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from labctl.cli import plugins
from labctl.cli.attached import FILE, made_of, read_file
from labctl.engine import lock
from labctl.engine.shifts import on_duty
from labctl.errors import InvalidFile, LabctlError, UsageError
from labctl.instruments import Clock, Log
from labctl.results.bundle import write_json
from labctl.station import Cells, Station, impossible, impossible_cells

SAVED: Final = "labctl.simulation/1"
#: Of the file: it holds the instruments' tokens.
_OWNER_ONLY: Final = 0o600


def read_saved(folder: Path) -> Mapping[str, Any] | None:
    """Read the saved state of a laboratory folder, None if it has none.

    Raises
    ------
    LabctlError
        The laboratory was running when its process was killed, or the file is damaged.
    """
    found = read_file(folder)
    if found is not None and found.get("state") != "saved":
        raise LabctlError(
            f"{folder / FILE}: the simulated laboratory was killed with its process, and its cells with it; "
            "this campaign can't be resumed",
            hint="what was fetched is in 'results'; begin anew in another laboratory folder",
        )
    return found


def _possible(station: Station, cells: Cells) -> dict[str, Any]:
    """Describe the laboratory, whose every cell can be simulated.

    Raises
    ------
    InvalidFile
        A chemistry, or a value under ``simulate``, that the laboratory does not know.
    """
    description = station.description(cells)
    reasons = plugins.simulator("laboratory").impossible_cells(description)
    if reasons:
        raise InvalidFile(impossible_cells(cells, reasons))
    return description


class Simulation:
    """The simulated laboratory of one station.

    Parameters
    ----------
    station, cells
        The validated files; addresses in the station are ignored.
    folder : Path
        Where simulators keep their files and the state is saved.
    seed : int
        Everything random follows from it.
    faults : bool
        Put fault proxies in front of all simulators.
    speed : float
        At which its clock goes, for who attaches to it from another process.
    """

    def __init__(
        self,
        station: Station,
        cells: Cells,
        *,
        folder: Path,
        seed: int,
        clock: Clock,
        log: Log,
        faults: bool = False,
        speed: float = 1.0,
    ) -> None:
        self._station = station
        self._speed = speed
        self._made_of = made_of(station, cells)
        self._folder = folder
        self._seed = seed
        self._clock = clock
        self._simulators: dict[str, Any] = {}
        self._gateways: list[Any] = []
        self.entries: dict[str, dict[str, Any]] = {}
        work = folder / "simulated"
        work.mkdir(parents=True, exist_ok=True)
        description = _possible(station, cells)
        self.laboratory = plugins.simulator("laboratory")(
            description, folder=work, seed=seed, clock=clock, log=log, faults=faults
        )

    async def start(self, saved: Mapping[str, Any] | None = None) -> None:
        """Start everything, from a saved state if there is one.

        Raises
        ------
        InvalidFile
            A value under ``simulate`` is none that its simulator takes; nothing listens then.
        UsageError
            The saved state is that of other cells or instruments.
        """
        if saved is not None:
            self._restore(saved)
        await self.laboratory.start()
        for name, entry in self._station.entries().items():
            try:
                made = plugins.simulator(entry["driver"])(name, entry, self.laboratory)
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                await self._close()
                mistake = impossible(self._station, name, error)
                if mistake is None:
                    raise
                raise mistake from error
            if saved is not None:
                made.restore(saved["instruments"][name])
            self._simulators[name] = made
            reached = await made.start()
            reached.update(await self._start_gateway(name, entry["driver"], made, reached))
            self.entries[name] = {**entry, **reached}
        self._note(
            "running",
            pid=os.getpid(),
            control=self.laboratory.control_port,
            speed=self._speed,
            epoch=self._clock.now().isoformat(),
            entries=self.entries,
            made_of=self._made_of,
        )

    def _restore(self, saved: Mapping[str, Any]) -> None:
        """Let the laboratory go on, where it is the saved one."""
        missing = [name for name in self._station.entries() if name not in saved["instruments"]]
        try:
            if missing:
                raise ValueError(f"there is no '{missing[0]}' in it")
            self.laboratory.restore(saved["laboratory"])
        except ValueError as error:
            raise UsageError(
                f"{self._folder / FILE}: the simulated laboratory that is kept here was made of other files: {error}",
                hint="run these in another laboratory folder; 'labctl init FOLDER' makes one",
            ) from error

    @property
    def born(self) -> str:
        """UTC instant at which the laboratory's time began; it stays through all saving and going on."""
        return str(self.laboratory.at(0.0).isoformat())

    async def _start_gateway(
        self, name: str, driver: str, simulator: Any, reached: Mapping[str, Any]
    ) -> dict[str, Any]:
        gateway = plugins.gateway(driver)
        if gateway is None:
            return {}
        token = secrets.token_urlsafe(24)
        running = gateway(
            simulator.api,
            token=token,
            clock=_AheadClock(self._clock, simulator.clock_ahead),
            session=simulator.session,
            data_folder=reached["data_folder"],
        )
        port = await self.laboratory.expose(name, await running.start(), "topspin-gateway")
        self._gateways.append(running)
        return {"address": f"127.0.0.1:{port}", "token": token}

    def add(self, cells: Cells) -> None:
        """Put further cells into the laboratory; those that it has stay as they are."""
        self.laboratory.add(_possible(self._station, cells)["cells"])
        self._made_of = {**self._made_of, "cells": {**self._made_of["cells"], **made_of(self._station, cells)["cells"]}}

    def people(self, endpoint: Callable[[], tuple[int, str] | None] | None = None) -> Sequence[asyncio.Task[Any]]:
        """Have the station's operators work on an orchestrator's requests.

        Parameters
        ----------
        endpoint : callable or None
            Gives the orchestrator's port and token, None while there is none; by default as the folder's lock file
            says, whatever orchestrator comes and goes.
        """
        person = plugins.simulator("person")
        operators = [one for one in self._station.operators if one.simulate]
        finder = endpoint or (lambda: found_in(self._folder))
        return [asyncio.create_task(person(on_duty(operators), self.laboratory, finder).work())] if operators else []

    def truth(self) -> dict[str, Any]:
        """What no instrument can know; only the demo reads it, after the analysis has ended."""
        found: dict[str, Any] = self.laboratory.truth()
        return found

    def violations(self) -> list[dict[str, Any]]:
        """What must not happen in a laboratory and did."""
        return list(self.laboratory.violations)

    def _note(self, state: str, **more: Any) -> None:
        write_json(
            self._folder / FILE,
            {"schema": SAVED, "state": state, "seed": self._seed, "born": self.born, **more},
            _OWNER_ONLY,
        )

    async def stop(self) -> None:
        """Save the state, then stop everything."""
        instruments = {name: simulator.save() for name, simulator in self._simulators.items()}
        laboratory = self.laboratory.save()
        write_json(self._folder / "truth.json", self.truth())
        await self._close()
        self._note("saved", clock=self._clock.now().isoformat(), laboratory=laboratory, instruments=instruments)

    async def _close(self) -> None:
        for gateway in self._gateways:
            await gateway.stop()
        for simulator in self._simulators.values():
            await simulator.stop()
        await self.laboratory.stop()


class _AheadClock:
    """The clock of another PC."""

    def __init__(self, clock: Clock, ahead: timedelta) -> None:
        self._clock = clock
        self._ahead = ahead

    def now(self) -> datetime:
        """Give its instant."""
        return self._clock.now() + self._ahead

    def exchange(self) -> AbstractContextManager[None]:
        """Mark an exchange with an instrument."""
        return self._clock.exchange()

    def patience(self, seconds: float) -> float:
        """Give the loop's seconds in ``seconds`` of real waiting."""
        return self._clock.patience(seconds)


def found_in(folder: Path) -> tuple[int, str] | None:
    """Give port and token of a folder's orchestrator as its lock file says, which may be out of date."""
    found = lock.read(folder)
    return (int(found["port"]), str(found["token"])) if found and {"port", "token"} <= found.keys() else None


def saved_clock(saved: Mapping[str, Any] | None) -> datetime | None:
    """Give the instant at which a saved laboratory stopped."""
    return datetime.fromisoformat(saved["clock"]) if saved is not None else None
