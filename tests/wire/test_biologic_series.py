"""Spectra while a direct current flows: what the BioLogic driver promises, by the library and by EC-Lab."""

from __future__ import annotations

import asyncio
import csv
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from biologic_bench import TOKEN, Bench, charged, on_bench
from dynamic_series import SERIES, SHORT

from labctl.instruments import (
    Busy,
    CannotSay,
    DynamicPotentiostat,
    DynamicRequest,
    Handle,
    NotReachable,
    OutOfRange,
    Progress,
    Refused,
    State,
)
from labctl_simulators.cell import Current

COARSE = replace(SERIES, frequency_end=1.0, points_per_decade=5)
"""Twenty of 29 points."""
DRAWN = 1.44
"""mAh, with which the cell is nearly empty."""
both_ways = pytest.mark.parametrize("way", ["eclib", "olecom"])


class Killed(Exception):
    """Stands for the end of the process, at this very place."""


def events(made: Bench, name: str) -> list[Any]:
    return [one for one in made.laboratory.records("biologic") if one["event"] == name]


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


async def drained(made: Bench, milliampere_hours: float) -> None:
    """Draw charge from a charged cell, no instrument involved, and let it rest."""
    await charged(made, 8.0)
    now, seconds = made.laboratory.time(), 3600.0 * milliampere_hours / 0.2
    made.cell().follow(made.cell().project(Current(-2e-4), now, seconds, 293.15), now + seconds)
    await asyncio.sleep(seconds + 60.0)


def passed(made: Bench) -> float:
    """Charge in C that the virtual cell knows to have been drawn from it in its last discharge."""
    return -3.6 * float(made.cell().state.records[-1].discharge_mAh)


@pytest.mark.parametrize(("way", "series", "points"), [("eclib", SERIES, 66), ("olecom", COARSE, 29)])
def test_twenty_spectra_of_a_discharge_are_stamped_with_the_charge_that_had_passed(
    tmp_path: Path, way: str, series: DynamicRequest, points: int
) -> None:
    async def story(made: Bench) -> None:
        await charged(made, 8.0)
        driver = made.driver("potentiostat", channels=1)
        assert isinstance(driver, DynamicPotentiostat)
        await driver.connect()
        handle = Handle.from_json((await driver.start_dynamic(TOKEN, series)).to_json())
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
            assert len(table(tmp_path / "out", name)["frequency_Hz"]) == points
        last = table(tmp_path / "out", stamps["table"][-1])
        sweep_began = began + stamps["started_s"][-1]
        exact = made.cell().impedance(last["frequency_Hz"], last["time_s"], sweep_began)
        assert np.abs((last["real_ohm"] + 1j * last["imaginary_ohm"]) / exact - 1).max() < 0.02
        assert set(stamps["file"]) <= set(fetched.files)
        assert fetched.warnings == ()
        assert made.hiccups == []

    on_bench(tmp_path, story, backend=way)


@both_ways
@pytest.mark.parametrize("pause", [0.0, 20.0], ids=["at once", "paused"])
def test_a_discharge_ends_at_its_cut_off_by_the_mean_voltage_alone(tmp_path: Path, way: str, pause: float) -> None:
    request = replace(SHORT, current=-0.2e-3, amplitude=1e-3, frequency_end=1.0, spectra=400, cutoff=3.3)
    request = replace(request, pause=pause)

    async def story(made: Bench) -> None:
        await drained(made, DRAWN)
        driver = made.driver("potentiostat", channels=1)
        handle = await driver.start_dynamic(TOKEN, request)
        assert await until_it_ends(driver, handle) == Progress(State.DONE, "cut-off", 0.0)
        assert made.laboratory.sources_on(made.cell()) == ()
        truth = passed(made) + 3.6 * DRAWN
        fetched = await driver.fetch(handle, tmp_path / "out")
        assert fetched.summary["end"] == "cut-off"
        assert fetched.summary["spectra"] > 3
        assert fetched.summary["charge_C"] == pytest.approx(truth, rel=1e-3)
        stamps, direct = table(tmp_path / "out", "spectra.csv"), table(tmp_path / "out", "direct.csv")
        assert (stamps["started_s"][1:] - stamps["ended_s"][:-1] >= pause - 1e-3).all()
        assert 3.2 < direct["voltage_V"].min() <= request.cutoff + 1e-3
        # The alternating current took the cell far below the cut-off long before.
        tables = [table(tmp_path / "out", name) for name in stamps["table"]]
        lowest = [
            one["voltage_V"] - request.amplitude * np.hypot(one["real_ohm"], one["imaginary_ohm"]) for one in tables
        ]
        assert (np.concatenate(lowest) < request.cutoff).sum() > 5
        assert (direct["voltage_V"] <= request.cutoff).sum() <= 4

    on_bench(tmp_path, story, backend=way)


@both_ways
def test_a_charge_ends_at_its_upper_cut_off_with_positive_stamps(tmp_path: Path, way: str) -> None:
    async def story(made: Bench) -> None:
        await charged(made, 4.0)
        driver = made.driver("potentiostat", channels=1)
        ceiling = await driver.open_circuit_voltage() + 0.04
        handle = await driver.start_dynamic(TOKEN, replace(SHORT, current=1e-3, spectra=100, cutoff=ceiling))
        with pytest.raises(Busy):
            await driver.open_circuit_voltage()
        assert (await until_it_ends(driver, handle)).state is State.DONE
        fetched = await driver.fetch(handle, tmp_path / "out")
        assert fetched.summary["end"] == "cut-off"
        stamps = table(tmp_path / "out", "spectra.csv")
        assert len(stamps["spectrum"]) == fetched.summary["spectra"] > 2
        assert (stamps["charge_start_C"] >= 0).all()
        assert fetched.summary["charge_C"] == pytest.approx(1e-3 * fetched.summary["duration_s"], rel=1e-3)
        assert fetched.summary["voltage_after_V"] < ceiling

    on_bench(tmp_path, story, backend=way)


def test_a_channel_that_nobody_looks_at_stops_at_the_cut_off_behind_a_spectrum(tmp_path: Path) -> None:
    request = replace(SHORT, current=-0.2e-3, spectra=999, cutoff=3.3)

    async def story(made: Bench) -> None:
        await drained(made, DRAWN)
        driver = made.driver("potentiostat", channels=1)
        handle = await driver.start_dynamic(TOKEN, request)
        await asyncio.sleep(7200)
        assert made.laboratory.sources_on(made.cell()) == ()
        truth = passed(made) + 3.6 * DRAWN
        assert await driver.poll(handle) == Progress(State.DONE, "cut-off", 0.0)
        fetched = await driver.fetch(handle, tmp_path / "out")
        assert fetched.summary["charge_C"] == pytest.approx(truth, rel=1e-3)
        assert table(tmp_path / "out", "direct.csv")["voltage_V"].min() > 3.2

    on_bench(tmp_path, story)


@both_ways
@pytest.mark.parametrize("spectra", [1, 2, 3])
def test_a_series_that_nobody_looks_at_goes_to_its_end(tmp_path: Path, way: str, spectra: int) -> None:
    async def story(made: Bench) -> None:
        await charged(made, 4.0)
        first = made.driver("potentiostat", channels=1)
        handle = await first.start_dynamic(TOKEN, replace(SHORT, spectra=spectra))
        await first.close()
        await asyncio.sleep(600)
        assert made.laboratory.sources_on(made.cell()) == ()
        second = made.driver("potentiostat", channels=1)
        assert await second.poll(handle) == Progress(State.DONE, "all spectra", 0.0)
        fetched = await second.fetch(handle, tmp_path / "out")
        assert fetched.summary["spectra"] == spectra
        assert [int(one) for one in table(tmp_path / "out", "spectra.csv")["spectrum"]] == [*range(1, spectra + 1)]
        assert fetched.summary["charge_C"] == pytest.approx(passed(made), rel=1e-3)

    on_bench(tmp_path, story, backend=way)


@both_ways
def test_with_a_reference_every_spectrum_tells_both_electrodes(tmp_path: Path, way: str) -> None:
    async def story(made: Bench) -> None:
        await charged(made, 4.0)
        driver = made.driver("potentiostat", channels=1)
        handle = await driver.start_dynamic(TOKEN, SHORT)
        began = made.laboratory.time()
        assert (await until_it_ends(driver, handle)).state is State.DONE
        fetched = await driver.fetch(handle, tmp_path / "out")
        stamps = table(tmp_path / "out", "spectra.csv")
        for number in (1, 2, 3):
            name = f"impedance_electrodes-{number:03d}.csv"
            assert name in fetched.files
            told, whole = table(tmp_path / "out", name), table(tmp_path / "out", stamps["table"][number - 1])
            working, counter, cell = (
                told[f"{kind}_real_ohm"] + 1j * told[f"{kind}_imaginary_ohm"] for kind in ("working", "counter", "cell")
            )
            assert working + counter == pytest.approx(cell, rel=1e-6)
            assert whole["real_ohm"] + 1j * whole["imaginary_ohm"] == pytest.approx(cell, rel=1e-6)
            sweep_began = began + stamps["started_s"][number - 1]
            exact = made.cell().impedance(told["frequency_Hz"], whole["time_s"], sweep_began)
            assert np.abs(cell / exact - 1).max() < 0.02
            assert (counter.real > 0).all()

    on_bench(tmp_path, story, backend=way, electrodes=3)


@both_ways
def test_an_aborted_series_is_off_and_what_it_has_can_be_fetched(tmp_path: Path, way: str) -> None:
    async def story(made: Bench) -> None:
        await charged(made, 4.0)
        driver = made.driver("potentiostat", channels=1)
        handle = await driver.start_dynamic(TOKEN, SHORT)
        while (await driver.poll(handle)).values["spectra_done"] < 1:
            await asyncio.sleep(1)
        await asyncio.sleep(1)
        await driver.abort(handle)
        assert made.laboratory.sources_on(made.cell()) == ()
        await driver.abort(handle)
        assert await driver.poll(handle) == Progress(State.FAILED, "aborted")
        fetched = await driver.fetch(handle, tmp_path / "out")
        assert (fetched.summary["spectra"], fetched.summary["end"]) == (1, "aborted")
        assert fetched.summary["charge_C"] == pytest.approx(passed(made), rel=1e-3)
        assert "unfinished.csv" in fetched.files
        assert "aborted" in fetched.warnings
        assert await driver.open_circuit_voltage() > 3

    on_bench(tmp_path, story, backend=way)


@both_ways
def test_a_kill_between_order_and_answer_starts_no_series_twice(tmp_path: Path, way: str) -> None:
    async def story(made: Bench) -> None:
        await charged(made, 4.0)
        first = made.driver("potentiostat", channels=1)
        start = first._backend.start

        async def dies(runs: Any) -> None:
            raise Killed

        async def starts_and_dies(runs: Any) -> None:
            await start(runs)
            raise Killed

        first._backend.start = dies
        with pytest.raises(Killed):
            await first.start_dynamic(TOKEN, SHORT)
        assert await made.driver("potentiostat", channels=1).find(TOKEN) is None
        first._backend.start = starts_and_dies
        with pytest.raises(Killed):
            await first.start_dynamic(TOKEN, SHORT)
        await asyncio.sleep(2)
        second = made.driver("potentiostat", channels=1)
        handle = await second.find(TOKEN)
        assert handle is not None
        assert await second.start_dynamic(TOKEN, SHORT) == handle
        assert (await until_it_ends(second, handle)).state is State.DONE
        assert (await second.fetch(handle, tmp_path / "out")).summary["spectra"] == 3
        assert len(events(made, "started")) == 1
        assert await second.start_dynamic(TOKEN, SHORT) == handle
        assert len(events(made, "started")) == 1

    on_bench(tmp_path, story, backend=way)


@both_ways
def test_a_kill_while_the_cut_off_ends_a_series_leaves_it_to_the_next_look(tmp_path: Path, way: str) -> None:
    request = replace(SHORT, current=-0.2e-3, frequency_end=0.5, spectra=999, cutoff=3.3)

    async def story(made: Bench) -> None:
        await drained(made, DRAWN)
        first = made.driver("potentiostat", channels=1)
        stop = first._backend.stop

        async def dies(channel: int) -> None:
            raise Killed

        async def stops_and_dies(channel: int) -> None:
            await stop(channel)
            raise Killed

        handle = await first.start_dynamic(TOKEN, request)
        for last_order in (dies, stops_and_dies):
            first._backend.stop = last_order
            with pytest.raises(Killed):
                await until_it_ends(first, handle)
        second = made.driver("potentiostat", channels=1)
        assert (await until_it_ends(second, handle)).message == "cut-off"
        assert made.laboratory.sources_on(made.cell()) == ()
        truth = passed(made) + 3.6 * DRAWN
        fetched = await second.fetch(handle, tmp_path / "out")
        assert fetched.summary["end"] == "cut-off"
        assert fetched.summary["charge_C"] == pytest.approx(truth, rel=2e-3)

    on_bench(tmp_path, story, backend=way)


@both_ways
def test_a_mean_voltage_beyond_the_cells_limits_fails_the_series(tmp_path: Path, way: str) -> None:
    async def story(made: Bench) -> None:
        await charged(made, 4.0)
        driver = made.driver("potentiostat", channels=1)
        low = await driver.open_circuit_voltage() - 0.05
        handle = await driver.start_dynamic(TOKEN, replace(SHORT, current=-1e-3, spectra=100, voltage_min=low))
        progress = await until_it_ends(driver, handle)
        assert progress.state is State.FAILED
        assert made.laboratory.sources_on(made.cell()) == ()
        assert await driver.poll(handle) == progress
        assert progress.message in (await driver.fetch(handle, tmp_path / "out")).warnings

    on_bench(tmp_path, story, backend=way)


@pytest.mark.parametrize(
    ("way", "kind", "words"),
    [
        ("eclib", "overload", "hardware error 100"),
        ("eclib", "stop", "ended after 0 of 3 spectra"),
        ("olecom", "safety", "safety limit of the highest voltage"),
        ("olecom", "stop", "ended after 0 of 3 spectra"),
    ],
)
def test_a_series_that_somebody_else_ends_has_failed(tmp_path: Path, way: str, kind: str, words: str) -> None:
    async def story(made: Bench) -> None:
        await charged(made, 4.0)
        driver = made.driver("potentiostat", channels=1)
        handle = await driver.start_dynamic(TOKEN, SHORT)
        await asyncio.sleep(2)
        made.laboratory.break_down("biologic", kind, channel=1)
        progress = await until_it_ends(driver, handle)
        assert progress.state is State.FAILED
        assert words in progress.message
        assert made.laboratory.sources_on(made.cell()) == ()

    on_bench(tmp_path, story, backend=way)


@both_ways
def test_values_that_arrive_wrong_do_not_end_a_series(tmp_path: Path, way: str) -> None:
    async def story(made: Bench) -> None:
        await charged(made, 4.0)
        driver = made.driver("potentiostat", channels=1)
        before = await driver.open_circuit_voltage()
        limits = {"voltage_min": before - 0.05, "voltage_max": before + 0.05, "cutoff": before - 0.05}
        handle = await driver.start_dynamic(TOKEN, replace(SHORT, spectra=8, **limits))
        for _ in range(12):
            await asyncio.sleep(1)
            made.laboratory.inject("biologic", "wrong-value")
            # What makes no sense at all is refused, and the next look is right.
            with suppress(CannotSay, NotReachable):
                assert (await driver.poll(handle)).state is State.RUNNING
        assert (await until_it_ends(driver, handle)).message == "all spectra"

    on_bench(tmp_path, story, faults=True, backend=way)


@both_ways
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"cutoff": 4.2}, Refused, "the cut-off of 4.2 V is reached already"),
        ({"voltage_max": 3.2}, Refused, "outside the cell's limits"),
        ({"amplitude": 3.1}, OutOfRange, "range"),
        ({"current": 0.0}, OutOfRange, "a current other than 0"),
        ({"spectra": 1000}, OutOfRange, "1 to 999 spectra"),
        ({"points_per_decade_low": 3}, OutOfRange, "two densities"),
        ({"frequency_start": 1.0, "frequency_end": 10.0}, OutOfRange, "rising"),
    ],
)
def test_a_series_that_cannot_be_is_refused_before_a_current_flows(
    tmp_path: Path, way: str, change: dict[str, Any], error: type[Exception], words: str
) -> None:
    async def story(made: Bench) -> None:
        await charged(made, 4.0)
        driver = made.driver("potentiostat", channels=1)
        with pytest.raises(error, match=words):
            await driver.start_dynamic(TOKEN, replace(SHORT, **change))
        assert events(made, "started") == []
        assert await driver.find(TOKEN) is None

    on_bench(tmp_path, story, backend=way)


def test_files_of_eclab_that_count_their_time_anew_are_refused_for_a_series(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        await charged(made, 4.0)
        driver = made.driver("potentiostat", channels=1, file_times="technique")
        with pytest.raises(OutOfRange, match="loop"):
            await driver.start_dynamic(TOKEN, SHORT)

    on_bench(tmp_path, story, backend="olecom")


def test_the_library_is_given_the_whole_series_with_the_cut_off_as_a_reason_to_stop(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        await charged(made, 4.0)
        driver = made.driver("potentiostat", channels=1)
        handle = await driver.start_dynamic(TOKEN, replace(SERIES, spectra=4, frequency_end=10.0))
        assert (await until_it_ends(driver, handle)).state is State.DONE
        loaded = (await driver.fetch(handle, tmp_path / "out")).sent["loaded"]
        assert [one["file"] for one in loaded] == ["geis.ecc", "cplimit.ecc", "loop.ecc", "geis.ecc"]
        sweep, between, loop, last = (one["parameters"] for one in loaded)
        assert sweep == last
        assert sweep["Initial_Current_step"] == between["Current_step"] == -0.05e-3
        assert (sweep["Amplitude_Current"], sweep["Average_N_times"], sweep["vs_initial"]) == (0.065e-3, 6, False)
        assert sweep["I_Range"] == between["I_Range"]
        # E >= 4.4 V or E <= 3.0 V stops the whole run.
        assert (between["Test1_Config"], between["Test1_Value"]) == (5, 4.4)
        assert (between["Test2_Config"], between["Test2_Value"], between["Exit_Cond"]) == (1, 3.0, 2)
        assert loop == {"loop_N_times": 2, "protocol_number": 0}

    on_bench(tmp_path, story)


def test_eclab_is_given_limits_of_its_own_that_outlive_labctl(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        await charged(made, 4.0)
        driver = made.driver("potentiostat", channels=1)
        # The cell's mean voltage falls by 0.04 V in half a minute, which EC-Lab allows for 0.03 V only.
        low = await driver.open_circuit_voltage()
        request = replace(SHORT, current=-1e-3, spectra=200, voltage_min=low - 0.01, cutoff=low - 0.005)
        handle = await driver.start_dynamic(TOKEN, request)
        await asyncio.sleep(30)
        progress = await until_it_ends(driver, handle)
        assert progress.state is State.FAILED
        assert "safety limit of the lowest voltage" in progress.message
        assert made.laboratory.sources_on(made.cell()) == ()

    on_bench(tmp_path, story, backend="olecom", safety_margin="20 mV")
