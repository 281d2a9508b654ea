"""What an acquisition says of its sequence reaches the spectrometer, and the spectrum is that of the sequence."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from pathlib import Path

import nmr_bench
import pytest
from nmr_bench import Bench, measure, on_bench, request

from labctl.analysis import bruker, insertion, nmr
from labctl.engine.acquiring import AcquisitionAction
from labctl.instruments import AcquisitionRequest, Refused, State

COMB = {"pulse_program": "zgcomb", "saturation": "comb", "comb_pulses": 20, "comb_spacing": 5e-3}
WEAK = {"pulse_program": "zgpr", "saturation": "continuous", "saturation_ppm": 0.0, "saturation_power": 1.6e-5}


def electrolyte(bench: Bench, token: str) -> float:
    return insertion.evaluate(bench.folder / "bundle" / token / "1").integral


async def acquired(bench: Bench, token: str, wanted: AcquisitionRequest) -> Path:
    await measure(bench, bench.driver(), token, wanted)
    return bench.folder / "bundle" / token / "1"


def test_each_kind_of_presaturation_leaves_its_own_steady_state(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        pulse = bench.laboratory.cells["bare-01"].t90_s
        usual = request(scans=4096, pulse_lengths=(pulse,), recycle_delay=0.4)
        found = {}
        for name, change in (("none", {"saturation": "none"}), ("comb", COMB), ("continuous", WEAK)):
            await acquired(bench, name, replace(usual, **change))
            found[name] = electrolyte(bench, name)
        recycle, t1 = 0.4, 1.0
        without = 1 - math.exp(-(recycle + 32768e-7 + 0.03) / t1)
        assert found["comb"] / found["none"] == pytest.approx((1 - math.exp(-recycle / t1)) / without, rel=0.02)
        assert found["continuous"] / found["none"] < 0.3

    on_bench(test, tmp_path)


def test_after_a_comb_the_signal_does_not_depend_on_how_the_pulse_left_the_scan_before(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        pulse = bench.laboratory.cells["bare-01"].t90_s
        ratio = {}
        for name, change in (("none", {"saturation": "none"}), ("comb", COMB)):
            for angle in (45, 90):
                wanted = request(
                    scans=16384, pulse_lengths=(round(pulse * angle / 90, 8),), recycle_delay=0.4, **change
                )
                await acquired(bench, f"{name}{angle}", wanted)
            ratio[name] = electrolyte(bench, f"{name}45") / electrolyte(bench, f"{name}90")
        damping = math.exp(pulse / 2 / 60e-6)
        assert ratio["comb"] == pytest.approx(math.sin(math.pi / 4) * damping, rel=0.03)
        assert ratio["none"] > 1.3 * ratio["comb"], "small pulses saturate less"

    on_bench(test, tmp_path)


def test_a_solid_echo_sets_its_delay_and_keeps_what_its_lorentzian_width_leaves(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        pulse = bench.laboratory.cells["bare-01"].t90_s
        usual = request(scans=16384, pulse_lengths=(pulse,))
        plain = bruker.read(await acquired(bench, "plain", usual))
        echo = bruker.read(await acquired(bench, "echo", replace(usual, pulse_program="solidecho", echo_delay=2e-4)))
        assert "solidecho" in (bench.folder / "bundle/echo/1/pulseprogram").read_text()
        assert "##$PULPROG= <solidecho>" in (bench.folder / "bundle/echo/1/acqus").read_text()
        kept = electrolyte(bench, "echo") / electrolyte(bench, "plain")
        assert kept == pytest.approx(math.exp(-2 * 2e-4 * math.pi * 0.3 * 77.77812), rel=0.02)
        assert plain.start_s == echo.start_s, "the first point comes the dead time after the echo's top"

    on_bench(test, tmp_path)


def test_carrier_offset_dead_time_and_comb_are_set_and_counted_in_the_expected_time(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        wanted = request(scans=100, carrier_ppm=250.0, carrier_offset=-500.0, dead_time=8e-6, **COMB)
        handle = await driver.start("all", wanted)
        sent = handle.data["runs"][0]["sent"]
        assert float(sent["O1"]) == pytest.approx(250 * 77.77812 - 500)
        assert (sent["DE"], sent["L 20"], sent["D 20"]) == ("8", "20", "0.005")
        progress = await driver.poll(handle)
        assert progress.remaining == pytest.approx(100 * (0.5 + 0.1 + 32768e-7 + 0.03), abs=5)
        assert progress.values["scans"] == 100
        again = await driver.find("all")
        assert again is not None
        assert (await driver.poll(again)).remaining == pytest.approx(progress.remaining, abs=5), (
            "after a restart as well"
        )
        assert (await bench.until_over(driver, handle)).state is State.DONE

    on_bench(test, tmp_path)


def test_a_gain_between_two_steps_of_the_receiver_becomes_the_nearest_and_is_told(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        fetched = await measure(bench, bench.driver(), "step", request(receiver_gain=50.0))
        assert fetched.sent["RG"] == fetched.read_back["RG"] == "50.8"
        assert fetched.summary["receiver_gain"] == 50.8
        with pytest.raises(Refused, match=r"RG was set to 0\.1"):
            await bench.driver().start("quiet", request(receiver_gain=0.1))

    on_bench(test, tmp_path)


def test_the_data_so_far_are_a_spectrum_of_the_scans_so_far(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        handle = await driver.start("running", request(scans=1000, may_end_early=True))
        await asyncio.sleep(250)
        copy = tmp_path / "copy"
        copy.mkdir()
        scans = await driver.so_far(handle, copy)
        assert scans is not None
        assert scans == pytest.approx(469, abs=10)
        assert nmr.noise(bruker.read(copy, scans=scans)) > 0
        await driver.enough(handle)
        progress = await driver.poll(handle)
        assert progress.state is State.DONE
        fetched = await driver.fetch(handle, tmp_path / "bundle")
        assert fetched.summary["scans"] == pytest.approx(scans, abs=10)
        assert await driver.so_far(handle, copy) is None, "nothing runs any more"

    on_bench(test, tmp_path)


def test_where_half_the_gain_overloads_the_receiver_too_the_acquisition_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = [{"id": "bare-01", "barcode": "B0001", "area_m2": 6e-4, "place": "probe/1"}]
    monkeypatch.setitem(nmr_bench.STATION, "cells", large)

    async def test(bench: Bench) -> None:
        driver = bench.driver()
        wanted = request(scans=8, recycle_delay=5.0, receiver_gain=203.0)
        action = AcquisitionAction(wanted, driver)
        handle = await action.start("loud")
        while (progress := await action.poll(handle)).state is State.RUNNING:
            # As after a restart: another action takes up the same handle.
            action = AcquisitionAction(wanted, driver)
            await asyncio.sleep(progress.remaining or 1.0)
        assert progress.state is State.FAILED
        assert progress.message == "the receiver is overloaded at a gain of 203 and still at 101"
        assert bench.commands("zg") == 2, "once, and one repeat"

    on_bench(test, tmp_path)
