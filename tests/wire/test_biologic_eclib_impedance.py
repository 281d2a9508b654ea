"""What the BioLogic potentiostat promises, and three electrodes, through the vendor's calls."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from biologic_bench import CHARGE, REST, TOKEN, Bench, charged, ended, on_bench, program, rows

from labctl.errors import UsageError
from labctl.instruments import Busy, ImpedanceRequest, OutOfRange, Refused, State

REQUEST = ImpedanceRequest(
    name="dead-lithium/bare-01/c001/03-eis/a1",
    control="galvanostatic",
    frequency_start=100e3,
    frequency_end=0.1,
    points_per_decade=10,
    periods=3,
    amplitude=100e-6,
    bias=0.0,
    voltage_min=2.8,
    voltage_max=4.4,
)
POTENTIOSTATIC = replace(REQUEST, control="potentiostatic", amplitude=0.01)


@pytest.mark.parametrize("request_", [REQUEST, POTENTIOSTATIC], ids=["galvanostatic", "potentiostatic"])
def test_a_spectrum_comes_back_complete_and_is_the_cells(tmp_path: Path, request_: ImpedanceRequest) -> None:
    async def story(made: Bench) -> None:
        await charged(made)
        driver = made.driver("potentiostat", channels=1)
        await driver.connect()
        before = await driver.open_circuit_voltage()
        began = made.laboratory.time()
        handle = await driver.start(TOKEN, request_)
        assert made.laboratory.sources_on(made.cell()) == ("biologic/1",)
        await asyncio.sleep(60)
        middle = await driver.poll(handle)
        assert middle.state is State.RUNNING
        assert 0 < middle.values["points_done"] < 61
        assert middle.values["frequency_Hz"] < 100e3
        assert (await ended(driver, handle, 30.0)).state is State.DONE
        assert made.laboratory.sources_on(made.cell()) == ()
        fetched = await driver.fetch(handle, tmp_path / "out")
        table = rows(tmp_path / "out" / "impedance.csv")
        assert fetched.summary["points"] == len(table) == 61
        assert fetched.summary["voltage_before_V"] == pytest.approx(before, abs=1e-3)
        frequency = np.array([float(row["frequency_Hz"]) for row in table])
        assert frequency == pytest.approx(np.geomspace(1e5, 0.1, 61), rel=1e-6)
        measured = np.array([complex(float(row["real_ohm"]), float(row["imaginary_ohm"])) for row in table])
        times = np.array([float(row["time_s"]) for row in table])
        assert (np.diff(times) > 0).all()
        exact = made.cell().impedance(frequency, times, began)
        assert np.abs(measured / exact - 1).max() < 0.02
        assert measured.imag[10] < 0

    on_bench(tmp_path, story)


def test_a_bias_charges_while_it_is_measured(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        await charged(made)
        driver = made.driver("potentiostat", channels=1)
        handle = await driver.start(TOKEN, replace(REQUEST, bias=2e-4, frequency_end=1.0))
        assert (await ended(driver, handle, 10.0)).state is State.DONE
        await driver.fetch(handle, tmp_path / "out")
        table = rows(tmp_path / "out" / "impedance.csv")
        assert [float(row["current_A"]) for row in table] == pytest.approx([2e-4] * len(table), rel=1e-6)
        assert float(table[-1]["voltage_V"]) > float(table[0]["voltage_V"])

    on_bench(tmp_path, story)


def test_with_a_reference_both_electrodes_are_told_and_their_sum_is_the_cell(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        await charged(made)
        potentiostat = made.driver("potentiostat", channels=1, folder="eis")
        began = made.laboratory.time()
        handle = await potentiostat.start(TOKEN, REQUEST)
        await ended(potentiostat, handle, 60.0)
        fetched = await potentiostat.fetch(handle, tmp_path / "eis-out")
        assert "impedance_electrodes.csv" in fetched.files
        table = rows(tmp_path / "eis-out" / "impedance_electrodes.csv")
        working, counter, cell = (
            np.array([complex(float(row[f"{kind}_real_ohm"]), float(row[f"{kind}_imaginary_ohm"])) for row in table])
            for kind in ("working", "counter", "cell")
        )
        assert working + counter == pytest.approx(cell, rel=1e-6)
        whole = rows(tmp_path / "eis-out" / "impedance.csv")
        frequency, times = (np.array([float(row[name]) for row in whole]) for name in ("frequency_Hz", "time_s"))
        assert np.abs(cell / made.cell().impedance(frequency, times, began) - 1).max() < 0.02
        assert (counter.real > 0).all()
        cycler = made.driver(folder="cycling")
        handle = await cycler.start("three-a1", 1, program(CHARGE, REST))
        await asyncio.sleep(600)
        values = (await cycler.poll(handle)).values
        assert values["cell_V"] == pytest.approx(values["voltage_V"] - values["counter_V"])
        assert values["counter_V"] < 0
        await ended(cycler, handle, 600.0)
        await cycler.fetch(handle, tmp_path / "cycling-out")
        told = rows(tmp_path / "cycling-out" / "electrodes.csv")
        assert len(told) > 5
        for row in told:
            assert float(row["cell_V"]) == pytest.approx(float(row["working_V"]) - float(row["counter_V"]))
        assert min(float(row["counter_V"]) for row in told) < 0

    on_bench(tmp_path, story, electrodes=3)


def test_a_cell_outside_its_limits_is_not_measured(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver("potentiostat", channels=1)
        with pytest.raises(Refused, match="outside the cell's limits"):
            await driver.start(TOKEN, replace(REQUEST, voltage_min=3.5))
        with pytest.raises(OutOfRange):
            await driver.start(TOKEN, replace(REQUEST, amplitude=2.0))
        assert made.laboratory.sources_on(made.cell()) == ()
        assert await driver.find(TOKEN) is None

    on_bench(tmp_path, story)


def test_a_cell_that_leaves_its_limits_is_let_go_at_the_next_look(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        await charged(made)
        driver = made.driver("potentiostat", channels=1)
        before = await driver.open_circuit_voltage()
        handle = await driver.start(TOKEN, replace(REQUEST, bias=1e-3, voltage_max=before + 0.005))
        progress = await ended(driver, handle, 10.0)
        assert progress.state is State.FAILED
        assert "outside" in progress.message
        assert made.laboratory.sources_on(made.cell()) == ()

    on_bench(tmp_path, story)


def test_one_voltage_that_arrives_wrong_does_not_break_a_sweep_off(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        await charged(made)
        driver = made.driver("potentiostat", channels=1)
        before = await driver.open_circuit_voltage()
        handle = await driver.start(TOKEN, replace(REQUEST, voltage_min=before - 0.1, voltage_max=before + 0.1))
        for _ in range(6):
            await asyncio.sleep(5)
            made.laboratory.inject("biologic", "wrong-value")
            assert (await driver.poll(handle)).state is State.RUNNING
        assert (await ended(driver, handle, 30.0)).state is State.DONE

    on_bench(tmp_path, story, faults=True)


def test_an_aborted_sweep_leaves_the_source_off_and_its_points(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        await charged(made)
        driver = made.driver("potentiostat", channels=1)
        handle = await driver.start(TOKEN, REQUEST)
        await asyncio.sleep(20)
        with pytest.raises(Busy):
            await driver.open_circuit_voltage()
        await driver.abort(handle)
        assert made.laboratory.sources_on(made.cell()) == ()
        fetched = await driver.fetch(handle, tmp_path / "out")
        assert 0 < fetched.summary["points"] < 61
        assert "are missing" in fetched.warnings[0]

    on_bench(tmp_path, story)


def test_a_sweep_is_found_again_by_its_token(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        await charged(made)
        first = made.driver("potentiostat", channels=1)
        await first.start(TOKEN, REQUEST)
        await asyncio.sleep(30)
        await first.close()
        second = made.driver("potentiostat", channels=1)
        assert await second.find("never-a1") is None
        handle = await second.find(TOKEN)
        assert handle is not None
        assert (await ended(second, handle, 60.0)).state is State.DONE
        assert (await second.fetch(handle, tmp_path / "out")).summary["points"] == 61

    on_bench(tmp_path, story)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"role": "spectrometer"}, "role"),
        ({"role": "potentiostat", "channels": "1-2"}, "one channel"),
        ({"channels": "0-3"}, "1 to 16"),
        ({"electrodes": 4}, "2 or 3"),
        ({"firmware": "overwrite"}, "keep or replace"),
        ({"address": ""}, "address"),
        ({"answer_within": "soon"}, "answer_within"),
    ],
)
def test_a_slip_in_the_station_file_is_named(tmp_path: Path, settings: dict[str, object], said: str) -> None:
    async def story(made: Bench) -> None:
        with pytest.raises(UsageError, match=said):
            made.driver(**settings)

    on_bench(tmp_path, story)
