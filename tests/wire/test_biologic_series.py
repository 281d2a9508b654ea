"""Spectra while a direct current flows: what the BioLogic driver promises, by the library and by EC-Lab."""

from __future__ import annotations

import asyncio
import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from biologic_bench import TOKEN, Bench, charged, on_bench

from labctl.instruments import DynamicPotentiostat, DynamicRequest, Handle, Progress, State

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
    voltage_min=2.5,
    voltage_max=4.4,
)
SHORT = replace(SERIES, frequency_end=10.0, points_per_decade=5, spectra=3)
"""Three spectra of 24 points, some 4 s each."""
WAYS = ("eclib", "olecom")


async def until_it_ends(driver: Any, handle: Handle) -> Progress:
    """Look as often as the driver asks for, as the engine does."""
    while (progress := await driver.poll(handle)).state is State.RUNNING:
        assert progress.remaining is not None
        assert 1 <= progress.remaining <= 15
        await asyncio.sleep(progress.remaining)
    return progress


def table(folder: Path, name: str) -> dict[str, Any]:
    with (folder / name).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        key: [row[key] for row in rows] if key in ("table", "file") else np.array([float(row[key]) for row in rows])
        for key in rows[0]
    }


def passed(made: Bench) -> float:
    """Charge in C that the virtual cell knows to have been drawn from it in its last discharge."""
    return -3.6 * float(made.cell().state.records[-1].discharge_mAh)


@pytest.mark.parametrize("way", WAYS)
def test_twenty_spectra_of_a_discharge_are_stamped_with_the_charge_that_had_passed(tmp_path: Path, way: str) -> None:
    async def story(made: Bench) -> None:
        await charged(made, 8.0)
        driver = made.driver("potentiostat", channels=1)
        assert isinstance(driver, DynamicPotentiostat)
        await driver.connect()
        handle = Handle.from_json((await driver.start_dynamic(TOKEN, SERIES)).to_json())
        began = made.laboratory.time()
        assert (await until_it_ends(driver, handle)).state is State.DONE
        assert made.laboratory.sources_on(made.cell()) == ()
        truth = passed(made)
        fetched = await driver.fetch(handle, tmp_path / "out")
        stamps, direct = table(tmp_path / "out", "spectra.csv"), table(tmp_path / "out", "direct.csv")
        assert fetched.summary["spectra"] == len(stamps["spectrum"]) == 20
        assert fetched.summary["end"] == "all spectra"
        assert fetched.summary["charge_C"] == pytest.approx(truth, rel=1e-3)
        assert direct["charge_C"][-1] == pytest.approx(truth, rel=1e-3)
        for moment in ("start", "middle", "end"):
            at = stamps[{"start": "started_s", "middle": "middle_s", "end": "ended_s"}[moment]]
            assert stamps[f"charge_{moment}_C"] == pytest.approx(SERIES.current * at, rel=1e-3, abs=1e-6)
        gaps = stamps["started_s"][1:] - stamps["ended_s"][:-1]
        assert (gaps >= 0).all()
        assert (gaps < 1.5).all()
        assert (np.diff(stamps["voltage_middle_V"]) < 0).all()
        for name in stamps["table"]:
            assert len(table(tmp_path / "out", name)["frequency_Hz"]) == 66
        last = table(tmp_path / "out", stamps["table"][-1])
        sweep_began = began + stamps["started_s"][-1]
        exact = made.cell().impedance(last["frequency_Hz"], last["time_s"], sweep_began)
        assert np.abs((last["real_ohm"] + 1j * last["imaginary_ohm"]) / exact - 1).max() < 0.02
        assert set(stamps["file"]) <= set(fetched.files)
        assert fetched.warnings == ()
        assert made.hiccups == []

    on_bench(tmp_path, story, backend=way)
