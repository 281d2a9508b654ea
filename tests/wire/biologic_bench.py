"""Cells on the channels of a simulated BioLogic instrument, and the driver under test."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labctl.engine.clock import LoopClock, run_virtual
from labctl.instruments import CyclerProgram, CyclerStep, DriverContext, End, Handle, Hiccup, Mode, Progress, State
from labctl.instruments.cycler import SafetyLimits
from labctl_drivers.biologic import BIOLOGIC
from labctl_simulators.biologic import BiologicSimulator
from labctl_simulators.cell import Current
from labctl_simulators.laboratory import Laboratory

SAFETY = SafetyLimits(2.78, 4.42, 5e-3, 5e-3)
TOKEN = "k3x-charge-a1"


class Silent:
    """A log that nobody reads."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **fields: None


@dataclass
class Bench:
    """Instrument, cells and what was reported."""

    clock: LoopClock
    laboratory: Laboratory
    instrument: BiologicSimulator
    entry: dict[str, Any]
    folder: Path
    hiccups: list[Hiccup] = field(default_factory=list)
    made: list[Any] = field(default_factory=list)

    def driver(self, role: str = "cycler", **settings: Any) -> Any:
        entry = {**self.entry, "role": role, **settings}
        driver = BIOLOGIC(
            DriverContext(
                name="biologic",
                settings=entry,
                clock=self.clock,
                log=Silent(),
                report=self.hiccups.append,
                secret=str,
                folder=self.folder,
            )
        )
        self.made.append(driver)
        return driver

    def cell(self, number: int = 1) -> Any:
        return self.laboratory.cells[f"bare-0{number}"]


def description() -> dict[str, Any]:
    cells = [
        {
            "id": f"bare-0{n}",
            "barcode": f"B{n}",
            "area_m2": 1e-4,
            "place": f"bench/{n}",
            "simulate": {"substrate": "bare"},
        }
        for n in (1, 2)
    ]
    places = {"bench": {"count": 2, "temperature": None, "leads": {"biologic": [1, 2]}}}
    return {"cells": cells, "places": places, "ambient_K": 293.15}


@asynccontextmanager
async def bench(clock: LoopClock, folder: Path, *, faults: bool = False, **entry: Any) -> AsyncIterator[Bench]:
    laboratory = Laboratory(description(), folder=folder, seed=1, clock=clock, log=Silent(), faults=faults)
    entry = {"driver": "biologic", "channels": [1, 2], **entry}
    instrument = BiologicSimulator("biologic", entry, laboratory)
    entry |= await instrument.start()
    made = Bench(clock, laboratory, instrument, entry, folder)
    try:
        yield made
    finally:
        for driver in made.made:
            await driver.close()
        await instrument.stop()
        await laboratory.stop()


def on_bench(folder: Path, story: Callable[[Bench], Awaitable[Any]], **entry: Any) -> Any:
    async def main(clock: LoopClock) -> Any:
        async with bench(clock, folder, **entry) as made:
            result = await story(made)
            assert made.laboratory.violations == []
            return result

    return run_virtual(main)


async def charged(made: Bench, hours: float = 4.0) -> None:
    """Charge all cells behind everybody's back, and let them rest."""
    for cell in made.laboratory.cells.values():
        course = cell.project(Current(2e-4), 0.0, 3600.0 * hours, 293.15)
        cell.follow(course, 3600.0 * hours)
    await asyncio.sleep(3600.0 * (hours + 0.5))


def step(mode: Mode, current: float = 0.0, voltage: float | None = None, **more: Any) -> CyclerStep:
    return CyclerStep(mode, current, voltage, more.pop("ends"), **more)


def program(*steps: CyclerStep, **more: Any) -> CyclerProgram:
    return CyclerProgram("protocol/bare-01/c001/01-charge/a1", steps, more.pop("safety", SAFETY), **more)


CHARGE = step(
    Mode.CHARGE,
    4e-4,
    ends=(End("voltage", True, 4.3), End("time", True, 50 * 3600.0, guard=True)),
    record_voltage_step=0.02,
)
DISCHARGE = step(
    Mode.DISCHARGE,
    4e-4,
    ends=(End("voltage", False, 3.0), End("time", True, 50 * 3600.0, guard=True)),
    record_voltage_step=0.02,
)
REST = step(Mode.REST, ends=(End("time", True, 1800.0),), record_every=300.0)


async def ended(driver: Any, handle: Handle, every: float = 300.0) -> Progress:
    while (progress := await driver.poll(handle)).state is State.RUNNING:
        await asyncio.sleep(every)
    return progress


def rows(path: Path) -> list[Mapping[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))
