"""Series of spectra under direct current: what the Zahner driver promises, over the wire against the simulated Thales."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from zahner_bench import TOKEN, Bench, ended, on_bench

from labctl.instruments import DynamicRequest, State

SERIES = DynamicRequest(
    name="dead-lithium/bare-01/c030/04-deis/a1",
    current=-0.05e-3,
    amplitude=0.065e-3,
    frequency_start=300e3,
    frequency_end=0.1,
    points_per_decade=10,
    periods=6,
    spectra=20,
    cutoff=3.0,
    voltage_min=2.8,
    voltage_max=4.4,
)


def table(folder: Path, name: str) -> list[dict[str, Any]]:
    with (folder / name).open(encoding="utf-8") as file:
        return [
            {key: value if key in ("table", "file") else float(value) for key, value in row.items()}
            for row in csv.DictReader(file)
        ]


def test_twenty_spectra_of_a_discharge_carry_the_charge_that_had_passed(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        before = made.cell.state.soc
        handle = await driver.start_dynamic(TOKEN, SERIES)
        progress = await ended(driver, handle, 15.0)
        assert progress.state is State.DONE
        after = made.cell.state.soc
        fetched = await driver.fetch(handle, tmp_path)
        await driver.close()
        print(fetched.summary, (after - before) * made.cell.parameters.capacity*3.6, made.cell.state, fetched.warnings, made.hiccups)
        for row in table(tmp_path, "spectra.csv"): print(row)
        assert 0

    on_bench(tmp_path, story)
