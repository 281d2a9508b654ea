"""Lithium against lithium and against copper at a potentiostat with a reference electrode, through the driver."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from biologic_bench import TOKEN, Bench, bench, ended, on_bench, program, rows, step

from labctl.engine.clock import LoopClock, run_virtual
from labctl.instruments import End, Mode
from labctl.instruments.cycler import SafetyLimits

WIDE = SafetyLimits(-5.0, 5.0, 5e-3, 5e-3)


def cells(made: Bench, chemistry: str, **options: Any) -> None:
    """Put cells of another chemistry in the place of the bench's."""
    for name in ("bare-01", "bare-02"):
        old = made.laboratory.cells[name]
        entry = {"id": name, "area_m2": old.area_m2, "chemistry": chemistry, "simulate": options}
        made.laboratory.cells[name] = made.laboratory.glovebox.build(entry, 1)


def for_hours(mode: Mode, hours: float) -> Any:
    return step(mode, 2e-4, ends=(End("time", True, hours * 3600.0),), record_every=10.0)


def test_nucleation_on_copper_is_a_minimum_of_the_counter_electrode_and_a_maximum_of_the_cell(tmp_path: Path) -> None:
    found: dict[str, tuple[float, float]] = {}

    async def one(clock: LoopClock, substrate: str) -> None:
        async with bench(clock, tmp_path / substrate, electrodes=3) as made:
            cells(made, "Cu||Li", substrate=substrate)
            driver = made.driver()
            handle = await driver.start(TOKEN, 1, program(for_hours(Mode.CHARGE, 2.0), safety=WIDE))
            for _ in range(40):
                # The counter electrode is told by looks, not in this technique's records.
                await driver.poll(handle)
                await asyncio.sleep(20.0)
            await ended(driver, handle, 600.0)
            await driver.fetch(handle, tmp_path / f"{substrate}-out")
            told = rows(tmp_path / f"{substrate}-out" / "electrodes.csv")
            for row in told:
                assert float(row["cell_V"]) == pytest.approx(
                    float(row["working_V"]) - float(row["counter_V"]), abs=1e-6
                )
            counter = [float(row["counter_V"]) for row in told]
            cell = [float(row["cell_V"]) for row in told]
            assert counter[0] > 1.0, "fresh copper"
            assert counter.index(min(counter)) == cell.index(max(cell))
            assert 0 < counter.index(min(counter)) < 30, "within ten minutes"
            found[substrate] = (counter[-1] - min(counter), counter[-1])
            assert made.laboratory.cells["bare-01"].state.records[-1].charge_mAh == pytest.approx(0.4, rel=1e-3)

    async def main(clock: LoopClock) -> None:
        for substrate in ("bare", "coated"):
            await one(clock, substrate)

    run_virtual(main)
    assert found["bare"][0] == pytest.approx(0.04, abs=0.01)
    assert found["bare"][0] > 2 * found["coated"][0] > 0.005
    assert all(plateau < 0 for _, plateau in found.values())


def test_a_symmetric_cell_passes_through_zero_at_the_potentiostat(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        cells(made, "Li||Li")
        driver = made.driver()
        steps = (for_hours(Mode.CHARGE, 1.0), for_hours(Mode.DISCHARGE, 1.0))
        handle = await driver.start(TOKEN, 1, program(*steps, safety=SafetyLimits(-1.5, 1.5, 5e-3, 5e-3)))
        await ended(driver, handle, 600.0)
        fetched = await driver.fetch(handle, tmp_path / "out")
        told = rows(tmp_path / "out" / "electrodes.csv")
        cell = [float(row["cell_V"]) for row in told]
        assert 0.02 < max(cell) < 0.3
        assert -0.3 < min(cell) < -0.02
        for row in told:
            assert float(row["working_V"]) * float(row["counter_V"]) <= 0, "one is plated, one is stripped"
        assert fetched.summary["end"] == "time"

    on_bench(tmp_path, story, electrodes=3)
