"""The Bruker driver through its gateway against the TopSpin stand-in, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from nmr_bench import Bench, Silence, measure, on_bench, request

from labctl.errors import DataError, InstrumentError
from labctl.instruments import (
    Busy,
    DriverContext,
    Handle,
    NotIdentified,
    NotReachable,
    Refused,
    State,
)
from labctl_drivers.bruker import BrukerSpectrometer


def test_it_says_who_it_is_and_names_the_session(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        identity = await driver.connect()
        assert (identity.vendor, identity.firmware) == ("Bruker", "4.1.4")
        assert identity.details["session"] == bench.simulator.session == driver.session()
        assert identity.details["backend"] == "cpython"

    on_bench(test, tmp_path)


def test_a_token_from_the_environment_is_resolved_by_the_context(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        with pytest.raises(NotIdentified, match="token"):
            await bench.driver(token={"env": "WRONG"}).connect()

    on_bench(test, tmp_path)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b'{"id":1,"ok":true,"hello":"world"}\n', b""])
def test_somebody_else_at_the_address_is_told_within_five_seconds(tmp_path: Path, answer: bytes) -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()

    async def test(bench: Bench) -> None:
        server = await asyncio.start_server(other, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        began = asyncio.get_running_loop().time()
        with pytest.raises(NotReachable if answer == b"" else NotIdentified) as caught:
            await bench.driver(port).connect()
        assert asyncio.get_running_loop().time() - began <= 5.0
        assert f"topspin at 127.0.0.1:{port}" in str(caught.value)
        server.close()
        await asyncio.sleep(0.1)

    on_bench(test, tmp_path)


def test_nobody_at_the_address_is_told(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            with pytest.raises(NotReachable, match="no connection"):
                await bench.driver(unused.getsockname()[1]).connect()

    on_bench(test, tmp_path)


def test_an_acquisition_gives_a_whole_dataset_with_what_was_asked_for(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        await driver.connect()
        handle = await driver.start("camp-b1-c001-nmr-1", request(scans=1024, pulse_program="zgpr"))
        assert Handle.from_json(json.loads(json.dumps(handle.to_json()))) == handle
        assert (handle.token, handle.place) == ("camp-b1-c001-nmr-1", "EXPNO 1")
        progress = await driver.poll(handle)
        assert progress.state is State.RUNNING
        assert progress.remaining == pytest.approx(1024 * 0.5332768, abs=10)
        await asyncio.sleep(200)
        assert (await driver.poll(handle)).values["scans_done"] == pytest.approx(375, abs=10)
        assert (await bench.until_over(driver, handle)).state is State.DONE
        fetched = await driver.fetch(handle, tmp_path / "bundle")

        folder = tmp_path / "bundle" / "camp-b1-c001-nmr-1" / "1"
        assert (folder / "fid").stat().st_size == 32768 * 4
        needed = {"fid", "acqu", "acqus", "audita.txt", "pulseprogram", "pdata/1/procs", "pdata/1/title"}
        assert {f"camp-b1-c001-nmr-1/1/{file}" for file in needed} <= set(fetched.files)
        assert all((tmp_path / "bundle" / file).is_file() for file in fetched.files)
        assert "created by zg" in (folder / "audita.txt").read_text()
        assert request().name in (folder / "pdata/1/title").read_text()
        assert fetched.sent["O1"] == "19444.53", "250 ppm of BF1 = 77.77812 MHz"
        assert {name: float(fetched.read_back[name]) for name in ("NS", "TD", "SWH", "D 1", "P 1", "PLW 1", "RG")} == {
            "NS": 1024, "TD": 32768, "SWH": 5e6, "D 1": 0.5, "P 1": 7.0, "PLW 1": 80.0, "RG": 101.0,
        }  # fmt: skip
        assert fetched.read_back["NUC1"] == "7Li"
        summary = dict(fetched.summary)
        began, over = (datetime.fromisoformat(summary.pop(f"acquired_{when}")) for when in ("from", "until"))
        assert (over - began).total_seconds() == pytest.approx(1024 * 0.5332768, abs=5)
        assert summary == {
            "expnos": [1], "scans": 1024, "session": driver.session(), "pulse_us": [7.0], "receiver_gain": 101.0,
            "sample_temperature_K": 293.15,
        }  # fmt: skip
        assert bench.hiccups == []

    on_bench(test, tmp_path)


def test_a_nutation_series_runs_one_expno_after_the_other(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        pulses = tuple(k * 2e-6 for k in range(1, 9))
        handle = await driver.start("nutation", request(pulse_lengths=pulses, scans=8))
        seen = set()
        while (progress := await driver.poll(handle)).state is State.RUNNING:
            seen.add(progress.values["expno"])
            await asyncio.sleep(progress.remaining or 1.0)
        assert progress.state is State.DONE, progress.message
        assert seen == set(range(1, 9))
        assert progress.values == {
            "scans_done": 64.0, "scans": 64.0, "expno": 8.0, "receiver_gain": 101.0, "clipped": 0.0,
        }  # fmt: skip
        fetched = await driver.fetch(handle, tmp_path / "bundle")
        assert fetched.summary["pulse_us"] == [2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0]
        assert fetched.summary["expnos"] == list(range(1, 9))
        assert len(list((tmp_path / "bundle" / "nutation").glob("*/fid"))) == 8
        assert bench.commands("zg") == 8

    on_bench(test, tmp_path)


def test_a_parameter_that_does_not_read_back_is_refused_with_both_values(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        with pytest.raises(Refused, match="PAR_REJECTED: RG was set to 500 and reads back as 101"):
            await bench.driver().start("too-loud", request(receiver_gain=500.0))
        with pytest.raises(Refused, match="PAR_REJECTED: PULPROG was set to nothere and reads back as zg"):
            await bench.driver().start("no-program", request(pulse_program="nothere"))
        assert bench.commands("zg") == 0

    on_bench(test, tmp_path)


def test_a_receiver_gain_that_is_not_asked_for_stays_and_is_told(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        fetched = await measure(bench, bench.driver(), "own-gain", request(receiver_gain=None))
        assert "RG" not in fetched.sent
        assert fetched.summary["receiver_gain"] == 101.0

    on_bench(test, tmp_path)


def test_one_acquisition_at_a_time_and_none_on_a_dataset_that_exists(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        handle = await driver.start("first", request())
        with pytest.raises(Busy, match="first/1"):
            await driver.start("second", request())
        await bench.until_over(driver, handle)
        with pytest.raises(Refused, match="EXISTS"):
            await driver.start("first", request())
        assert bench.commands("zg") == 1

    on_bench(test, tmp_path)


def test_abort_halts_and_what_was_halted_is_never_taken_for_complete(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        handle = await driver.start("halted", request(scans=100))
        await asyncio.sleep(20)
        await driver.abort(handle)
        await driver.abort(handle)
        progress = await driver.poll(handle)
        assert progress.state is State.FAILED
        assert "of 100 scans" in progress.message
        with pytest.raises(DataError, match=r"NS was 3\d where 100 was asked for"):
            await driver.fetch(handle, tmp_path / "bundle")
        assert (await driver.start("next", request())).token == "next"

    on_bench(test, tmp_path)


def test_aborting_one_token_leaves_the_acquisition_of_another_alone(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        running = await driver.start("mine", request())
        await driver.abort(Handle("other", "EXPNO 1", running.started, running.data))
        assert (await driver.poll(running)).state is State.RUNNING
        assert (await bench.until_over(driver, running)).state is State.DONE

    on_bench(test, tmp_path)


def test_an_acquisition_that_never_ends_fails_after_one_and_a_half_times_and_a_minute(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        handle = await driver.start("endless", request(scans=100))
        await bench.simulator.stop()
        began = asyncio.get_running_loop().time()
        progress = await bench.until_over(driver, handle)
        assert progress.state is State.FAILED
        assert "still runs after" in progress.message
        expected = 100 * 0.5332768
        assert asyncio.get_running_loop().time() - began == pytest.approx(1.5 * expected + 60, abs=12)

    on_bench(test, tmp_path)


def test_noise_and_signal_follow_from_seed_sample_and_name_alone(tmp_path: Path) -> None:
    async def first(bench: Bench) -> None:
        await measure(bench, bench.driver(), "same", request())

    async def second(bench: Bench) -> None:
        await measure(bench, bench.driver(), "other", request())
        await measure(bench, bench.driver(), "same", request())

    on_bench(first, tmp_path / "1")
    on_bench(second, tmp_path / "2")
    ours, again, other = (
        (tmp_path / run / "bundle" / name / "1" / "fid").read_bytes()
        for run, name in (("1", "same"), ("2", "same"), ("2", "other"))
    )
    assert ours == again != other


def test_an_empty_probe_gives_noise_that_grows_with_the_root_of_the_scans(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        bench.laboratory.move("bare-01", "cabinet/1")
        driver = bench.driver()
        deviations = []
        for scans in (16, 1024):
            await measure(bench, driver, f"empty-{scans}", request(scans=scans))
            fid = np.fromfile(tmp_path / "bundle" / f"empty-{scans}" / "1" / "fid", dtype="<i4").astype(float)
            assert abs(fid.mean()) < 5 * fid.std() / len(fid) ** 0.5
            deviations.append(fid.std())
        assert deviations[1] / deviations[0] == pytest.approx(8.0, rel=0.03)

    on_bench(test, tmp_path)


def test_an_address_without_a_port_is_told(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        context = DriverContext(
            "topspin", {"address": "spectrometer", "token": "x"}, bench.clock, Silence(), bench.hiccups.append, str,
            tmp_path,
        )  # fmt: skip
        with pytest.raises(InstrumentError, match="host:port"):
            BrukerSpectrometer(context)

    on_bench(test, tmp_path)
