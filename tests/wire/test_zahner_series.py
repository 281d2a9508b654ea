"""Spectra while a direct current flows: what the Zahner driver promises, over the wire against the simulated Thales."""

from __future__ import annotations

import asyncio
import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dynamic_series import SERIES, SHORT
from zahner_bench import REQUEST, TOKEN, Bench, Silent, description, on_bench

from labctl.engine.clock import LoopClock, run_virtual
from labctl.instruments import (
    Busy,
    DynamicPotentiostat,
    Handle,
    OutOfRange,
    Progress,
    Refused,
    State,
)
from labctl_drivers.zahner import ZahnerPotentiostat
from labctl_simulators.cell import Current
from labctl_simulators.faults import FaultPlan, FaultProxy
from labctl_simulators.laboratory import Laboratory
from labctl_simulators.thales import ThalesSimulator


async def until_it_ends(driver: ZahnerPotentiostat, handle: Handle) -> Progress:
    """Look as often as the driver asks for, as the engine does."""
    while (progress := await driver.poll(handle)).state is State.RUNNING:
        assert progress.remaining is not None
        assert progress.remaining <= 15
        await asyncio.sleep(progress.remaining + 0.5)
    return progress


def table(folder: Path, name: str) -> dict[str, Any]:
    with (folder / name).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        key: [row[key] for row in rows] if key in ("table", "file") else np.array([float(row[key]) for row in rows])
        for key in rows[0]
    }


async def drained(made: Bench, milliampere_hours: float) -> None:
    """Draw charge from an aged cell, whose lithium is partly dead, with no instrument involved, and let it rest."""
    state = made.cell.state
    made.cell.state = replace(state, seed=0.0, connected=state.connected - 0.15, dead=state.dead + 0.15)
    now, seconds = made.laboratory.time(), 3600.0 * milliampere_hours / 0.2
    made.cell.follow(made.cell.project(Current(-2e-4), now, seconds, 293.15), now + seconds)
    await asyncio.sleep(seconds + 60.0)


def passed(made: Bench) -> float:
    """Charge in C that the virtual cell knows to have been drawn from it in its last discharge."""
    return -3.6 * float(made.cell.state.records[-1].discharge_mAh)


def test_twenty_spectra_of_a_discharge_are_stamped_with_the_charge_that_had_passed(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        assert isinstance(driver, DynamicPotentiostat)
        await driver.connect()
        handle = Handle.from_json((await driver.start_dynamic(TOKEN, SERIES)).to_json())
        began = made.laboratory.time()
        assert (await until_it_ends(driver, handle)).state is State.DONE
        assert made.laboratory.sources_on(made.cell) == ()
        truth = passed(made)
        fetched = await driver.fetch(handle, tmp_path)
        await driver.close()
        stamps, direct = table(tmp_path, "spectra.csv"), table(tmp_path, "direct.csv")
        assert fetched.summary["spectra"] == len(stamps["spectrum"]) == 20
        assert fetched.summary["end"] == "all spectra"
        assert fetched.summary["charge_C"] == pytest.approx(truth, rel=1e-3)
        assert direct["charge_C"][-1] == pytest.approx(truth, rel=1e-3)
        for moment in ("start", "middle", "end"):
            at = stamps[{"start": "started_s", "middle": "middle_s", "end": "ended_s"}[moment]]
            assert stamps[f"charge_{moment}_C"] == pytest.approx(SERIES.current * at, rel=1e-3, abs=1e-6)
        assert (stamps["started_s"][1:] - stamps["ended_s"][:-1] < 3).all()
        assert (np.diff(stamps["voltage_middle_V"]) < 0).all()
        for name in stamps["table"]:
            assert len(table(tmp_path, name)["frequency_Hz"]) == 66
        last = table(tmp_path, stamps["table"][-1])
        sweep_began = began + stamps["started_s"][-1]
        exact = made.cell.impedance(last["frequency_Hz"], last["time_s"] + 0.3, sweep_began)
        assert np.abs((last["real_ohm"] + 1j * last["imaginary_ohm"]) / exact - 1).max() < 0.02
        assert fetched.warnings == ()
        assert made.hiccups == []

    on_bench(tmp_path, story)


def test_a_series_down_to_the_cut_off_shows_the_impedance_rise_and_heeds_the_mean_voltage_alone(tmp_path: Path) -> None:
    request = replace(SHORT, current=-0.2e-3, amplitude=0.26e-3, frequency_end=1.0, spectra=100, cutoff=3.3)

    async def story(made: Bench) -> None:
        await drained(made, 0.59)
        driver = made.driver()
        await driver.connect()
        handle = await driver.start_dynamic(TOKEN, request)
        assert (await until_it_ends(driver, handle)).state is State.DONE
        assert made.laboratory.sources_on(made.cell) == ()
        truth = passed(made) + 3.6 * 0.59
        fetched = await driver.fetch(handle, tmp_path)
        await driver.close()
        assert fetched.summary["end"] == "cut-off"
        assert 3 < fetched.summary["spectra"] < 60
        stamps, direct = table(tmp_path, "spectra.csv"), table(tmp_path, "direct.csv")
        assert fetched.summary["charge_C"] == pytest.approx(truth, rel=2e-3)
        assert direct["voltage_V"].min() > 3.2
        tables = [table(tmp_path, name) for name in stamps["table"]]
        resistance = [float(entry["real_ohm"][-1]) for entry in tables]
        assert resistance[-1] > 1.5 * resistance[0]
        swing = request.amplitude * np.hypot(tables[-1]["real_ohm"], tables[-1]["imaginary_ohm"])
        assert (tables[-1]["voltage_V"] > request.cutoff).all()
        assert (tables[-1]["voltage_V"] - swing < request.cutoff).any()
        unfinished = table(tmp_path, "unfinished.csv")
        assert unfinished["voltage_V"][-1] <= request.cutoff
        assert "unfinished.csv" in fetched.files

    on_bench(tmp_path, story)


def test_a_charge_ends_at_its_upper_cut_off_with_positive_stamps(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        ceiling = await driver.open_circuit_voltage() + 0.06
        request = replace(SHORT, current=1e-3, spectra=100, cutoff=ceiling, pause=30.0)
        handle = await driver.start_dynamic(TOKEN, request)
        with pytest.raises(Busy, match="under way"):
            await driver.open_circuit_voltage()
        assert (await until_it_ends(driver, handle)).state is State.DONE
        fetched = await driver.fetch(handle, tmp_path)
        await driver.close()
        assert fetched.summary["end"] == "cut-off"
        stamps = table(tmp_path, "spectra.csv")
        assert len(stamps["spectrum"]) == fetched.summary["spectra"] > 2
        assert (stamps["charge_start_C"] >= 0).all()
        assert (stamps["started_s"][1:] - stamps["ended_s"][:-1] >= 30).all()
        assert fetched.summary["charge_C"] == pytest.approx(1e-3 * fetched.summary["duration_s"], rel=1e-3)
        assert fetched.summary["voltage_after_V"] < ceiling

    on_bench(tmp_path, story)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"cutoff": 4.0}, Refused, "the cut-off of 4 V is reached already"),
        ({"voltage_max": 6.0}, OutOfRange, "the cell's limits 2.5 to 6 V lie outside the instrument's"),
        ({"amplitude": 3.1}, OutOfRange, "outside the instrument's -3 to 3 A"),
        ({"current": 0.0}, OutOfRange, "a current other than 0"),
        ({"spectra": 0}, OutOfRange, "1 to 999 spectra"),
        ({"periods_low": 7}, OutOfRange, "at low frequencies not more than at high ones"),
    ],
)
def test_a_series_that_cannot_be_is_refused_with_the_source_off(
    tmp_path: Path, change: dict[str, Any], error: type[Exception], words: str
) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        with pytest.raises(error, match=words):
            await driver.start_dynamic(TOKEN, replace(SHORT, **change))
        assert made.thales.settings["Pot"] == 0
        assert not [entry for entry in made.laboratory.records("zahner") if entry["event"] == "sweep"]
        await driver.close()

    on_bench(tmp_path, story)


def test_a_voltage_beyond_the_cells_limits_fails_the_series(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        low = await driver.open_circuit_voltage() - 0.05
        request = replace(SHORT, current=-1e-3, spectra=100, voltage_min=low)
        handle = await driver.start_dynamic(TOKEN, request)
        progress = await until_it_ends(driver, handle)
        assert progress.state is State.FAILED
        assert "outside" in progress.message
        assert made.laboratory.sources_on(made.cell) == ()
        assert (await driver.poll(handle)) == progress
        await driver.close()

    on_bench(tmp_path, story)


def test_a_source_that_went_off_between_two_spectra_fails_the_series_with_what_was_read_back(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        handle = await driver.start_dynamic(TOKEN, replace(SHORT, pause=60.0))
        while (await driver.poll(handle)).values["spectra_done"] < 1:
            await asyncio.sleep(1)
        made.thales.settings.numbers["Pot"] = 0.0
        made.thales.source.rewire()
        progress = await until_it_ends(driver, handle)
        assert progress.state is State.FAILED
        assert progress.message == "Pot was set to -1, but the instrument shows 0"
        await driver.close()

    on_bench(tmp_path, story)


def test_a_killed_process_leaves_a_series_that_the_next_one_takes_to_its_end(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        first = made.driver()
        await first.connect()
        handle = (await first.start_dynamic(TOKEN, SHORT)).to_json()
        for _ in range(8):
            await first.poll(Handle.from_json(handle))
            await asyncio.sleep(1.5)
        first._session.drop()  # as the operating system does it
        second = made.driver()
        assert (await second.connect()).details["script"].startswith("silent")
        assert (await until_it_ends(second, Handle.from_json(handle))).state is State.DONE
        fetched = await second.fetch(Handle.from_json(handle), tmp_path)
        await second.close()
        swept = [entry["file"] for entry in made.laboratory.records("zahner") if entry["event"] == "sweep"]
        assert len(swept) == len(set(swept)) == fetched.summary["spectra"] == 3
        assert fetched.summary["charge_C"] == pytest.approx(passed(made), rel=2e-3)
        assert made.laboratory.sources_on(made.cell) == ()

    on_bench(tmp_path, story)


def test_a_series_that_nobody_watched_between_two_spectra_is_ended_with_the_source_off(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        first = made.driver()
        await first.connect()
        handle = await first.start_dynamic(TOKEN, SHORT)
        first._session.drop()  # killed, and away for longer than the first spectrum
        await asyncio.sleep(60)
        assert made.laboratory.sources_on(made.cell) == ("zahner",)
        second = made.driver()
        assert (await second.connect()).details["source"] == "off"
        assert made.laboratory.sources_on(made.cell) == ()
        progress = await second.poll(handle)
        assert progress.state is State.FAILED
        assert "spectrum 2 of 3 was not started: nobody watched the cut-off" in progress.message
        assert (await second.fetch(handle, tmp_path)).summary["spectra"] == 1
        await second.close()

    on_bench(tmp_path, story)


def test_a_series_whose_start_was_never_written_down_is_found_and_ended(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        first = made.driver()
        await first.connect()
        await first.start_dynamic(TOKEN, SHORT)
        first._session.drop()
        second = made.driver()
        found = await second.find(TOKEN)
        assert found is not None
        progress = await second.poll(found)
        assert progress.state is State.FAILED
        assert "nothing kept its cut-off" in progress.message
        assert made.laboratory.sources_on(made.cell) == ()
        fetched = await second.fetch(found, tmp_path)
        assert fetched.files == (f"{TOKEN}-001.ism", "impedance.csv")
        await second.close()

    on_bench(tmp_path, story)


def test_a_series_goes_on_in_a_laboratory_that_was_stopped_and_restored(tmp_path: Path) -> None:
    saved: dict[str, Any] = {}

    async def before(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        saved["handle"] = (await driver.start_dynamic(TOKEN, SHORT)).to_json()
        await asyncio.sleep(3)
        driver._session.drop()
        saved["laboratory"], saved["thales"] = made.laboratory.save(), made.thales.save()
        await driver.abort(Handle.from_json(saved["handle"]))

    on_bench(tmp_path, before)
    saved = json.loads(json.dumps(saved))

    async def after(clock: LoopClock) -> None:
        laboratory = Laboratory(description(), folder=tmp_path, seed=1, clock=clock, log=Silent())
        laboratory.restore(saved["laboratory"])
        thales = ThalesSimulator("zahner", {}, laboratory)
        thales.restore(saved["thales"])
        made = Bench(clock, laboratory, thales, await thales.start(), [], tmp_path)
        driver = made.driver()
        await driver.connect()
        handle = Handle.from_json(saved["handle"])
        assert (await until_it_ends(driver, handle)).state is State.DONE
        assert (await driver.fetch(handle, tmp_path)).summary["spectra"] == 3
        assert laboratory.violations == []
        assert laboratory.sources_on(made.cell) == ()
        await driver.close()
        await thales.stop()

    run_virtual(after)


def test_closing_the_driver_ends_a_series_since_nothing_else_keeps_its_cut_off(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        handle = await driver.start_dynamic(TOKEN, SHORT)
        await asyncio.sleep(3)
        await driver.close()
        assert made.laboratory.sources_on(made.cell) == ()
        assert made.thales.settings["Pot"] == 0
        assert (await driver.poll(handle)).state is State.FAILED
        await driver.close()

    on_bench(tmp_path, story)


def test_an_aborted_series_is_off_and_what_it_has_can_be_fetched(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        handle = await driver.start_dynamic(TOKEN, SHORT)
        while (await driver.poll(handle)).values["spectra_done"] < 1:
            await asyncio.sleep(1)
        await asyncio.sleep(2)
        await driver.abort(handle)
        assert made.laboratory.sources_on(made.cell) == ()
        await driver.abort(handle)
        assert await driver.poll(handle) == Progress(State.FAILED, "aborted")
        fetched = await driver.fetch(handle, tmp_path)
        assert fetched.summary["spectra"] == 1
        assert "aborted" in fetched.warnings
        assert await driver.open_circuit_voltage() > 3
        await driver.close()

    on_bench(tmp_path, story)


class Nth(FaultPlan):
    """Spoils one chunk of what the instrument says, counted from the first."""

    def __init__(self, kind: str, number: int) -> None:
        super().__init__()
        self._kind, self._number, self._seen = kind, number, 0

    def take(self) -> tuple[str, float] | None:
        self._seen += 1
        return (self._kind, 5.0) if self._seen == self._number else None


@pytest.mark.parametrize("kind", ["drop", "garble", "silent"])
@pytest.mark.parametrize("number", [20, 34, 50, 66, 82, 98, 114, 130])
def test_one_fault_anywhere_costs_a_series_no_spectrum(tmp_path: Path, kind: str, number: int) -> None:
    async def story(made: Bench) -> None:
        proxy = FaultProxy(made.settings["port"], Nth(kind, number))
        driver = made.driver(address=f"127.0.0.1:{await proxy.start()}")
        try:
            await driver.connect()
            handle = await driver.start_dynamic(TOKEN, SHORT)
            assert (await until_it_ends(driver, handle)).state is State.DONE
            fetched = await driver.fetch(handle, tmp_path)
            await driver.close()
        finally:
            await proxy.stop()
        swept = [entry for entry in made.laboratory.records("zahner") if entry["event"] == "sweep"]
        assert fetched.summary["spectra"] == len(swept) == 3
        assert made.laboratory.sources_on(made.cell) == ()

    on_bench(tmp_path, story)


def test_a_rest_comes_before_the_sweep_and_no_second_claim_breaks_into_it(tmp_path: Path) -> None:
    request = replace(REQUEST, frequency_end=10.0, rest_before=600.0)

    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        began = made.laboratory.time()
        handle = await driver.start(TOKEN, request)
        assert (await driver.poll(handle)).state is State.RUNNING
        assert made.laboratory.sources_on(made.cell) == ()
        with pytest.raises(Busy):
            await driver.start("another", REQUEST)
        while (progress := await driver.poll(handle)).state is State.RUNNING:
            await asyncio.sleep((progress.remaining or 1.0) + 0.5)
        assert progress.state is State.DONE
        sweep = next(entry for entry in made.laboratory.records("zahner") if entry["event"] == "sweep")
        assert sweep["t"] - began == pytest.approx(600, abs=5)
        fetched = await driver.fetch(handle, tmp_path)
        assert fetched.summary["voltage_before_V"] == pytest.approx(fetched.summary["voltage_after_V"], abs=0.01)
        assert float(fetched.sent["Ampl"]) == pytest.approx(0.1)
        await driver.close()

    on_bench(tmp_path, story)


def test_a_second_amplitude_and_a_repetition_tell_whether_a_spectrum_can_be_trusted(tmp_path: Path) -> None:
    request = replace(REQUEST, frequency_end=10.0, linearity=0.5, repeat=True)

    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        handle = await driver.start(TOKEN, request)
        while (progress := await driver.poll(handle)).state is State.RUNNING:
            await asyncio.sleep((progress.remaining or 1.0) + 0.5)
        assert progress.state is State.DONE
        fetched = await driver.fetch(handle, tmp_path)
        await driver.close()
        tables = {f"impedance{suffix}.csv" for suffix in ("", "-linearity", "-repeat")}
        assert tables < set(fetched.files)
        assert 0 < fetched.summary["linearity_deviation"] < 0.02
        assert 0 < fetched.summary["repeat_deviation"] < 0.02
        assert (
            made.thales.files[f"c:\\thales\\labctl\\{TOKEN}-linearity.ism"]
            != made.thales.files[f"c:\\thales\\labctl\\{TOKEN}-repeat.ism"]
        )
        assert fetched.warnings == ()
        assert made.laboratory.sources_on(made.cell) == ()

    on_bench(tmp_path, story)


def test_a_pseudo_galvanostatic_spectrum_with_a_change_of_density_at_66_hz_rises_on_request(tmp_path: Path) -> None:
    request = replace(
        REQUEST,
        control="pseudo-galvanostatic",
        frequency_start=1.0,
        frequency_end=1e5,
        points_per_decade_low=4,
        periods_low=2,
    )

    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        handle = await driver.start(TOKEN, request)
        assert (made.thales.settings["Gal"], made.thales.settings["GAL"]) == (0, -1)
        while (progress := await driver.poll(handle)).state is State.RUNNING:
            await asyncio.sleep((progress.remaining or 1.0) + 0.5)
        assert progress.state is State.DONE
        fetched = await driver.fetch(handle, tmp_path)
        await driver.close()
        frequency = table(tmp_path, "impedance.csv")["frequency_Hz"]
        assert (frequency[0], frequency[-1]) == (1.0, 1e5)
        assert (np.diff(frequency) > 0).all()
        assert sum(frequency < 66) == pytest.approx(4 * np.log10(66), abs=1.5)
        assert sum(frequency > 66) == pytest.approx(10 * np.log10(1e5 / 66), abs=1.5)
        settings = fetched.read_back["file"]["settings"]
        assert (settings["dfm"], settings["dfl"], settings["Nws"], settings["Nwl"]) == (10, 4, 6, 2)

    on_bench(tmp_path, story)
