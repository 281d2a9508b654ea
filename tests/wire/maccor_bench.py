"""A tester with two cells on it, and a driver that talks to it; for the tests of this folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labctl.engine.clock import run_virtual
from labctl.instruments import (
    CyclerProgram,
    CyclerStep,
    DriverContext,
    End,
    Handle,
    Hiccup,
    Mode,
    Progress,
    SafetyLimits,
    State,
)
from labctl_drivers.maccor import MaccorCycler
from labctl_simulators.laboratory import Laboratory
from labctl_simulators.macnet import MacnetSimulator

DESCRIPTION: Mapping[str, Any] = {
    "cells": [
        {"id": "one", "barcode": "B1", "area_m2": 1e-4, "place": "cabinet/1", "simulate": {"substrate": "bare"}},
        {"id": "two", "barcode": "B2", "area_m2": 1e-4, "place": "cabinet/2", "simulate": {"substrate": "coated"}},
    ],
    "places": {"cabinet": {"count": 3, "temperature": None, "leads": {"maccor": [1, 2, 3]}}},
}
SAFETY = SafetyLimits(2.5, 4.4, 5e-3, 5e-3)


class Quiet:
    """A logger that says nothing."""

    def debug(self, event: str, **fields: Any) -> None: ...

    info = warning = error = debug


def rest(seconds: float, every: float = 60.0) -> CyclerProgram:
    step = CyclerStep(Mode.REST, 0.0, None, (End("time", True, seconds),), record_every=every)
    return CyclerProgram("c/rest", (step,), SAFETY)


def charge(
    amperes: float = 2e-4, volts: float = 4.3, hours: float = 16.0, safety: SafetyLimits = SAFETY
) -> CyclerProgram:
    ends = (End("voltage", True, volts), End("time", True, hours * 3600, guard=True))
    return CyclerProgram("c/charge", (CyclerStep(Mode.CHARGE, amperes, None, ends, 60.0, 0.005),), safety)


def discharge(amperes: float = 6e-4, volts: float = 3.0) -> CyclerProgram:
    ends = (End("voltage", False, volts), End("time", True, 8 * 3600, guard=True))
    return CyclerProgram("c/discharge", (CyclerStep(Mode.DISCHARGE, amperes, None, ends, 60.0, 0.005),), SAFETY)


def hold(limit: float = 1e-6, hours: float = 24.0, held: float = 60.0) -> CyclerProgram:
    ends = (End("current", False, limit, held=held), End("time", True, hours * 3600, guard=True))
    step = CyclerStep(Mode.HOLD, 3e-3, 3.0, ends, record_every=60.0, discharging=True)
    return CyclerProgram("c/hold", (step,), SAFETY)


@dataclass
class Bench:
    laboratory: Laboratory
    simulator: MacnetSimulator
    settings: dict[str, Any]
    clock: Any
    folder: Path
    hiccups: list[Hiccup] = field(default_factory=list)
    drivers: list[MaccorCycler] = field(default_factory=list)

    def context(self, **settings: Any) -> DriverContext:
        return DriverContext(
            "maccor",
            {"channels": "1-3", **self.settings, **settings},
            self.clock,
            Quiet(),
            self.hiccups.append,
            lambda reference: f"secret of {reference['env']}",
            self.folder,
        )

    def driver(self, **settings: Any) -> MaccorCycler:
        self.drivers.append(MaccorCycler(self.context(**settings)))
        return self.drivers[-1]

    async def connected(self, **settings: Any) -> MaccorCycler:
        driver = self.driver(**settings)
        await driver.connect()
        return driver

    async def run(self, driver: MaccorCycler, token: str, program: CyclerProgram, channel: int = 1) -> Handle:
        handle = await driver.start(token, channel, program)
        progress = await self.wait(driver, handle)
        assert progress.state is State.DONE, progress
        return handle

    async def wait(self, driver: MaccorCycler, handle: Handle) -> Progress:
        while (progress := await driver.poll(handle)).state is State.RUNNING:
            await asyncio.sleep(progress.remaining or 60.0)
        return progress


@asynccontextmanager
async def bench(
    clock: Any,
    folder: Path,
    *,
    faults: bool = False,
    saved: Mapping[str, Any] | None = None,
    description: Mapping[str, Any] = DESCRIPTION,
    **settings: Any,
) -> AsyncIterator[Bench]:
    laboratory = Laboratory(description, folder=folder, seed=7, clock=clock, log=Quiet(), faults=faults)
    entry = {"channels": "1-3", "export_folder": "export", **settings}
    simulator = MacnetSimulator("maccor", entry, laboratory)
    if saved is not None:
        laboratory.restore(saved["laboratory"])
        simulator.restore(saved["maccor"])
    made = Bench(laboratory, simulator, await simulator.start(), clock, folder)
    try:
        yield made
    finally:
        for driver in made.drivers:
            await driver.close()
        await simulator.stop()
        await laboratory.stop()


def tell(tmp_path: Path, story: Callable[[Bench], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Run a story on a bench, in virtual time."""

    async def main(clock: Any) -> None:
        async with bench(clock, tmp_path, **options) as one:
            await story(one)

    run_virtual(main)
