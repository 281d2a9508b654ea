"""A half-charged cell at the leads of a simulated Zahner, and the driver under test."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.engine.clock import LoopClock, run_virtual
from labctl.instruments import DriverContext, Handle, Hiccup, ImpedanceRequest, Progress, State
from labctl_drivers.zahner import ZahnerPotentiostat
from labctl_simulators.cell import Current
from labctl_simulators.laboratory import Laboratory
from labctl_simulators.thales import ThalesSimulator

REQUEST = ImpedanceRequest(
    name="dead-lithium/bare-01/c001/03-eis-charged/a1",
    control="galvanostatic",
    frequency_start=300e3,
    frequency_end=0.1,
    points_per_decade=10,
    periods=6,
    amplitude=100e-6,
    bias=0.0,
    voltage_min=2.8,
    voltage_max=4.4,
)
TOKEN = "k3x-eis-charged-a1"


class Silent:
    """A log that nobody reads."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **fields: None


@dataclass
class Bench:
    """Instrument, cell and what was reported."""

    clock: LoopClock
    laboratory: Laboratory
    thales: ThalesSimulator
    settings: dict[str, Any]
    hiccups: list[Hiccup]
    folder: Path

    def driver(self, **settings: Any) -> ZahnerPotentiostat:
        return ZahnerPotentiostat(
            DriverContext(
                name="zahner",
                settings={**self.settings, **settings},
                clock=self.clock,
                log=Silent(),
                report=self.hiccups.append,
                secret=str,
                folder=self.folder,
            )
        )

    @property
    def cell(self) -> Any:
        return self.laboratory.cells["bare-01"]


def description() -> dict[str, Any]:
    return {
        "cells": [
            {"id": "bare-01", "barcode": "B1", "area_m2": 1e-4, "place": "cabinet/1", "simulate": {"substrate": "bare"}}
        ],
        "places": {
            "cabinet": {"count": 1, "temperature": None, "leads": {"zahner": {"through": "mux", "relays": [101]}}}
        },
        "ambient_K": 293.15,
    }


@asynccontextmanager
async def bench(clock: LoopClock, folder: Path, **simulate: Any) -> AsyncIterator[Bench]:
    laboratory = Laboratory(description(), folder=folder, seed=1, clock=clock, log=Silent())
    entry: dict[str, Any] = {"output_path": "c:\\thales\\labctl", "simulate": simulate}
    thales = ThalesSimulator("zahner", entry, laboratory)
    entry |= await thales.start()
    laboratory.relays("mux").add(101)
    cell = laboratory.cells["bare-01"]
    course = cell.project(Current(2e-4), 0.0, 3600.0 * 4, 293.15)
    cell.follow(course, 3600.0 * 4)
    await asyncio.sleep(3600.0 * 4.5)
    try:
        yield Bench(clock, laboratory, thales, entry, [], folder)
    finally:
        await thales.stop()
        await laboratory.stop()


def on_bench(folder: Path, story: Callable[[Bench], Awaitable[Any]], **simulate: Any) -> Any:
    async def main(clock: LoopClock) -> Any:
        async with bench(clock, folder, **simulate) as made:
            result = await story(made)
            assert made.laboratory.violations == []
            return result

    return run_virtual(main)


async def ended(driver: ZahnerPotentiostat, handle: Handle, every: float = 10.0) -> Progress:
    while (progress := await driver.poll(handle)).state is State.RUNNING:
        await asyncio.sleep(every)
    return progress


def rows(folder: Path) -> list[dict[str, float]]:
    with (folder / "impedance.csv").open(encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
