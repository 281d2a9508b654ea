"""The Bruker driver through its gateway against the TopSpin stand-in, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.engine.clock import LoopClock, run_real, run_virtual
from labctl.errors import DataError, InstrumentError
from labctl.instruments import (
    AcquisitionRequest,
    Busy,
    DriverContext,
    Fetched,
    Handle,
    Hiccup,
    NotIdentified,
    NotReachable,
    Progress,
    Refused,
    State,
    VendorAlarm,
)
from labctl_drivers.bruker import BrukerSpectrometer
from labctl_drivers.bruker import gateway as program
from labctl_drivers.bruker.gateway import Gateway
from labctl_simulators.laboratory import Laboratory
from labctl_simulators.topspin import TopspinSimulator

TOKEN = "a token for tests"
STATION = {
    "cells": [{"id": "bare-01", "barcode": "B0001", "area_m2": 1e-4, "place": "probe/1"}],
    "places": {"probe": {"count": 1, "instrument": "topspin"}, "cabinet": {"count": 2}},
}


class Silence:
    """A logger that nobody reads."""

    def debug(self, event: str, **fields: Any) -> None: ...
    def info(self, event: str, **fields: Any) -> None: ...
    def warning(self, event: str, **fields: Any) -> None: ...
    def error(self, event: str, **fields: Any) -> None: ...


def request(**changes: Any) -> AcquisitionRequest:
    usual: dict[str, Any] = {
        "name": "camp/bare-01/c001/02-nmr-charged/a1", "sample": "bare-01", "nucleus": "7Li", "pulse_program": "zg",
        "carrier_ppm": 250.0, "scans": 64, "recycle_delay": 0.5, "dwell_time": 1e-7, "points": 32768,
        "pulse_lengths": (7e-6,), "pulse_power": 80.0, "receiver_gain": 101.0,
    }  # fmt: skip
    return AcquisitionRequest(**(usual | changes))


class Bench:
    """A laboratory with a spectrometer, its gateway and a driver."""

    def __init__(self, folder: Path, clock: LoopClock, faults: bool) -> None:
        self.folder, self.clock = folder, clock
        self.laboratory = Laboratory(STATION, folder=folder, seed=7, clock=clock, log=Silence(), faults=faults)
        self.simulator = TopspinSimulator("topspin", {"data_folder": "topspin-data"}, self.laboratory)
        self.hiccups: list[Hiccup] = []
        self.gateways: list[Gateway] = []
        self.drivers: list[BrukerSpectrometer] = []
        self.port = 0

    async def open(self, api: Any = None, **settings: Any) -> None:
        changes = await self.simulator.start()
        gateway = Gateway(
            api or self.simulator.api, token=TOKEN, clock=self.clock, session=self.simulator.session,
            data_folder=changes["data_folder"], **settings,
        )  # fmt: skip
        self.gateways.append(gateway)
        self.port = await self.laboratory.expose("topspin", await gateway.start())

    def driver(self, port: int | None = None, token: Any = TOKEN) -> BrukerSpectrometer:
        settings = {"address": f"127.0.0.1:{self.port if port is None else port}", "token": token}
        context = DriverContext(
            "topspin",
            settings,
            self.clock,
            Silence(),
            self.hiccups.append,
            lambda named: f"{TOKEN}{named}",
            self.folder,
        )
        driver = BrukerSpectrometer(context)
        self.drivers.append(driver)
        return driver

    async def close(self) -> None:
        for driver in self.drivers:
            await driver.close()
        for gateway in self.gateways:
            await gateway.stop()
        await self.simulator.stop()
        await self.laboratory.stop()

    def commands(self, command: str) -> int:
        return sum(entry.get("command") == command for entry in self.laboratory.records("topspin"))

    async def until_over(self, driver: BrukerSpectrometer, handle: Handle) -> Progress:
        for _ in range(200):
            progress = await driver.poll(handle)
            if progress.state is not State.RUNNING:
                return progress
            assert progress.remaining is not None
            await asyncio.sleep(progress.remaining)
        raise TimeoutError("it does not end")


def on_bench(test: Callable[[Bench], Awaitable[None]], folder: Path, faults: bool = False) -> None:
    async def main(clock: LoopClock) -> None:
        bench = Bench(folder, clock, faults)
        await bench.open()
        try:
            await test(bench)
        finally:
            await bench.close()

    run_virtual(main)


class Wire:
    """A client that speaks the gateway's wire by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, port: int, token: str | None = TOKEN) -> Wire:
        wire = cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))
        if token is not None:
            assert (await wire.ask(op="hello", token=token))["ok"]
        return wire

    async def ask(self, **fields: Any) -> dict[str, Any]:
        return await self.say(json.dumps({"id": 1, **fields}).encode() + b"\n")

    async def say(self, line: bytes) -> dict[str, Any]:
        self.writer.write(line)
        answer: dict[str, Any] = json.loads(await self.reader.readuntil(b"\n"))
        return answer

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


async def measure(bench: Bench, driver: BrukerSpectrometer, token: str, wanted: AcquisitionRequest) -> Fetched:
    handle = await driver.start(token, wanted)
    progress = await bench.until_over(driver, handle)
    assert progress.state is State.DONE, progress.message
    return await driver.fetch(handle, bench.folder / "bundle")


# -- connecting ------------------------------------------------------------------------------------------------------


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


# -- the wire --------------------------------------------------------------------------------------------------------


def test_before_a_hello_with_the_right_token_nothing_is_answered(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        for first in ({"op": "ping"}, {"op": "hello"}, {"op": "hello", "token": "guess"}, {"op": "status"}):
            wire = await Wire.to(bench.port, token=None)
            answer = await wire.ask(**first)
            assert (answer["ok"], answer["code"]) == (False, "AUTH")
            assert "session" not in answer
            assert await wire.reader.read() == b"", "the connection ends"
            await wire.close()

    on_bench(test, tmp_path)


EXCHANGES: list[tuple[bytes, bytes]] = [
    (b'{"id":2,"op":"ping"}\n', b'{"id":2,"ok":true}\n'),
    (b'{"id":"x","op":"status"}\n', b'{"id":"x","ok":true,"state":"idle","busy":null}\n'),
    (b'{"id":3,"op":"create","name":"s1","expno":1}\n', b'{"id":3,"ok":true,"name":"s1","expno":1}\n'),
    (
        b'{"id":4,"op":"create","name":"s1","expno":1}\n',
        b'{"id":4,"ok":false,"code":"EXISTS","msg":"s1/1 exists"}\n',
    ),
    (
        b'{"id":5,"op":"setpar","name":"s1","expno":1,"pars":{"NS":"64","P 1":"5.5"}}\n',
        b'{"id":5,"ok":true,"read_back":{"NS":"64","P 1":"5.5"}}\n',
    ),
    (
        b'{"id":6,"op":"setpar","name":"s1","expno":1,"pars":{"NONSENSE":"1"}}\n',
        b'{"id":6,"ok":false,"code":"PAR_REJECTED","msg":"TopSpin does not take NONSENSE"}\n',
    ),
    (
        b'{"id":7,"op":"getpar","name":"s1","expno":1,"names":["NS","NUC1"]}\n',
        b'{"id":7,"ok":true,"pars":{"NS":"64","NUC1":"1H"}}\n',
    ),
    (
        b'{"id":8,"op":"getpar","name":"s2","expno":1,"names":["NS"]}\n',
        b'{"id":8,"ok":false,"code":"NODATA","msg":"there is no dataset s2/1"}\n',
    ),
    (b'{"id":9,"op":"list","name":"s1"}\n', b'{"id":9,"ok":true,"expnos":[1]}\n'),
    (b'{"id":10,"op":"start","name":"s1","expno":1,"cmd":"zg"}\n', b'{"id":10,"ok":true,"name":"s1","expno":1}\n'),
    (
        b'{"id":11,"op":"start","name":"s1","expno":1,"cmd":"zg"}\n',
        b'{"id":11,"ok":false,"code":"BUSY","msg":"s1/1 is being acquired"}\n',
    ),
    (b'{"id":12,"op":"halt","name":"s9"}\n', b'{"id":12,"ok":true,"halted":false}\n'),
    (b'{"id":13,"op":"halt","name":"s1"}\n', b'{"id":13,"ok":true,"halted":true}\n'),
    (
        b'{"id":14,"op":"start","name":"s1","expno":1,"cmd":"zg"}\n',
        b'{"id":14,"ok":false,"code":"EXISTS","msg":"s1/1 holds an acquisition already (done)"}\n',
    ),
]  # fmt: skip


def test_every_operation_byte_by_byte(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        wire = await Wire.to(bench.port)
        for sent, expected in EXCHANGES:
            wire.writer.write(sent)
            assert await wire.reader.readuntil(b"\n") == expected
        await wire.close()

    on_bench(test, tmp_path)


@pytest.mark.parametrize(
    "fields",
    [
        {"op": "read", "name": "s1", "expno": 1, "file": "../../../secret"},
        {"op": "read", "name": "s1", "expno": 1, "file": "/etc/hostname"},
        {"op": "read", "name": "s1", "expno": 1, "file": "C:\\secret"},
        {"op": "create", "name": "../s1", "expno": 1},
        {"op": "create", "name": "s1", "expno": 0},
        {"op": "create", "name": "s1", "expno": True},
        {"op": "start", "name": "s1", "expno": 1, "cmd": "zg; rm"},
        {"op": "setpar", "name": "s1", "expno": 1, "pars": {"NS": 4}},
        {"op": "getpar", "name": "s1", "expno": 1, "names": "NS"},
        {"op": "process", "name": "s1", "expno": 1, "cmds": "efp"},
        {"op": "format"},
        {},
    ],
)
def test_requests_that_make_no_sense_are_declined_and_leave_nothing(tmp_path: Path, fields: dict[str, Any]) -> None:
    async def test(bench: Bench) -> None:
        wire = await Wire.to(bench.port)
        await wire.ask(op="create", name="s1", expno=1)
        before = sorted(tmp_path.rglob("*"))
        answer = await wire.ask(**fields)
        assert (answer["ok"], answer["code"]) == (False, "REQUEST")
        assert sorted(tmp_path.rglob("*")) == before
        assert (await wire.ask(op="ping"))["ok"], "the connection goes on"
        await wire.close()

    on_bench(test, tmp_path)


def test_a_reader_that_comes_too_early_sees_zeros_and_is_told_that_it_runs(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        handle = await driver.start("early", request())
        wire = await Wire.to(bench.port)
        data = (await wire.ask(op="read", name="early", expno=1, file="fid"))["data"]
        assert set(data) <= {"A", "="}, "the fid is there, full of zeros"
        status = await wire.ask(op="status", name="early")
        assert status["expnos"]["1"]["state"] == "running"
        with pytest.raises(DataError, match="not complete"):
            await driver.fetch(handle, bench.folder / "bundle")
        assert not list((bench.folder / "bundle").glob("*")), "whole or not at all"
        await wire.close()

    on_bench(test, tmp_path)


def test_a_ping_is_answered_while_topspin_hangs_behind_a_dialog(tmp_path: Path) -> None:
    release = threading.Event()

    class Stuck:
        def Topspin(self) -> Any:  # noqa: N802 - the vendor's name
            release.wait(10.0)
            raise ConnectionError("closed")

    async def main(clock: LoopClock) -> None:
        bench = Bench(tmp_path, clock, faults=False)
        await bench.open(Stuck(), patience=0.05)
        try:
            first, second = await Wire.to(bench.port), await Wire.to(bench.port)
            call = asyncio.create_task(first.ask(op="create", name="s1", expno=1))
            assert (await second.ask(op="ping"))["ok"]
            answer = await call
            assert (answer["code"], "dialog" in answer["msg"]) == ("TIMEOUT", True)
            assert (await first.ask(op="create", name="s1", expno=1))["code"] == "TIMEOUT"
            await first.close()
            await second.close()
        finally:
            release.set()
            await bench.close()

    run_real(main)


def test_a_fault_of_topspin_is_a_vendor_alarm_in_its_own_words(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        await driver.connect()
        await bench.simulator.stop()
        with pytest.raises(VendorAlarm, match="TopSpin is not running"):
            await driver.start("dead", request())

    on_bench(test, tmp_path)


# -- acquiring -------------------------------------------------------------------------------------------------------


def test_an_acquisition_gives_a_whole_dataset_with_what_was_asked_for(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        await driver.connect()
        handle = await driver.start("camp-b1-c001-nmr-1", request(scans=1024, pulse_program="zgpr"))
        assert Handle.from_json(json.loads(json.dumps(handle.to_json()))) == handle
        assert (handle.token, handle.place) == ("camp-b1-c001-nmr-1", "EXPNO 1")
        progress = await driver.poll(handle)
        assert progress.state is State.RUNNING
        assert progress.remaining == pytest.approx(1024 * 0.5032768, abs=10)
        await asyncio.sleep(200)
        assert (await driver.poll(handle)).values["scans_done"] == pytest.approx(400, abs=10)
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
        assert fetched.summary == {
            "expnos": [1], "scans": 1024, "session": driver.session(), "pulse_us": [7.0], "receiver_gain": 101.0,
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
        assert progress.values == {"scans_done": 64.0, "expno": 8.0}
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
        with pytest.raises(DataError, match="NS was 3. where 100 was asked for"):
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
        expected = 100 * 0.5032768
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


# -- after something broke -------------------------------------------------------------------------------------------


def test_find_tells_what_was_started_from_what_was_not(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        assert await driver.find("never") is None
        wire = await Wire.to(bench.port)
        await wire.ask(op="create", name="made-only", expno=1)
        assert await driver.find("made-only") is None
        await wire.close()

        started = await driver.start("series", request(pulse_lengths=(2e-6, 7e-6), scans=16))
        await asyncio.sleep(3)
        other = bench.driver()
        found = await other.find("series")
        assert found is not None
        assert (found.token, found.place) == ("series", started.place)
        assert (await bench.until_over(other, found)).state is State.DONE
        fetched = await other.fetch(found, tmp_path / "bundle")
        assert fetched.summary["pulse_us"] == [2.0, 7.0]
        again = await other.find("series")
        assert again is not None, "also after it is over"
        assert bench.commands("zg") == 2

    on_bench(test, tmp_path)


def test_a_start_that_broke_off_before_the_acquisition_is_taken_up_where_it_was(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        with pytest.raises(Refused):
            await driver.start("again", request(receiver_gain=500.0))
        assert await driver.find("again") is None
        fetched = await measure(bench, driver, "again", request())
        assert fetched.summary["scans"] == 64

    on_bench(test, tmp_path)


def test_a_fresh_dataset_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        wire = await Wire.to(bench.port)
        await wire.ask(op="create", name="theirs", expno=1, title="a sample of somebody else")
        with pytest.raises(Refused, match="EXISTS"):
            await bench.driver().start("theirs", request())
        await wire.close()

    on_bench(test, tmp_path)


@pytest.mark.parametrize("kind", ["drop", "garble", "silent", "late", "duplicate", "half"])
def test_a_fault_on_the_wire_leaves_a_complete_and_correct_result(tmp_path: Path, kind: str) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        await driver.connect()
        bench.laboratory.inject("topspin", kind, seconds=45.0)
        handle = await driver.start("spoilt", request(scans=256))
        bench.laboratory.inject("topspin", kind, seconds=45.0)
        assert (await bench.until_over(driver, handle)).state is State.DONE
        bench.laboratory.inject("topspin", kind, seconds=45.0)
        fetched = await driver.fetch(handle, tmp_path / "bundle")
        assert fetched.summary["scans"] == 256
        assert bench.hiccups
        assert bench.commands("zg") == 1

    async def clean(bench: Bench) -> None:
        await measure(bench, bench.driver(), "spoilt", request(scans=256))

    on_bench(test, tmp_path / "spoilt", faults=True)
    on_bench(clean, tmp_path / "clean")
    spoilt, good = (tmp_path / run / "bundle" / "spoilt" / "1" / "fid" for run in ("spoilt", "clean"))
    assert spoilt.read_bytes() == good.read_bytes()


class LosesOneAnswer:
    """Forwards line by line, and closes the connection in place of the ``n``-th answer: the command took effect."""

    def __init__(self, target: int, n: int) -> None:
        self._target, self._left = target, n
        self._links: set[asyncio.Task[Any]] = set()

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        self._server.close()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        far, out = await asyncio.open_connection("127.0.0.1", self._target, limit=1 << 20)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                out.write(await reader.readuntil(b"\n"))
                answer = await far.readuntil(b"\n")
                self._left -= 1
                if self._left == 0:
                    break
                writer.write(answer)
        for end in (out, writer):
            end.close()
            with contextlib.suppress(OSError):
                await end.wait_closed()
        self._links.discard(task)


@pytest.mark.parametrize("lost", range(1, 14))
def test_whichever_answer_is_lost_nothing_is_acquired_twice(tmp_path: Path, lost: int) -> None:
    async def test(bench: Bench) -> None:
        proxy = LosesOneAnswer(bench.port, lost)
        driver = bench.driver(await proxy.start())
        try:
            fetched = await measure(bench, driver, "once", request(pulse_lengths=(5e-6, 7e-6), scans=16))
        finally:
            await driver.close()
            await proxy.stop()
        assert fetched.summary["expnos"] == [1, 2]
        assert bench.commands("zg") == 2
        assert [hiccup.kind for hiccup in bench.hiccups] == ["connection lost"]

    on_bench(test, tmp_path)


def test_a_gateway_that_was_restarted_finds_the_acquisition_running_and_starts_no_other(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        handle = await driver.start("over", request())
        await bench.gateways.pop().stop()
        await driver.close()
        with pytest.raises(NotReachable):
            await driver.poll(handle)
        await bench.open()
        again = bench.driver()
        assert (await again.poll(handle)).state is State.RUNNING
        with pytest.raises(Busy):
            await again.start("other", request())
        assert (await bench.until_over(again, handle)).state is State.DONE
        assert (await again.fetch(handle, tmp_path / "bundle")).summary["scans"] == 64

    on_bench(test, tmp_path)


def test_a_saved_spectrometer_goes_on_with_its_acquisition_and_measures_the_same(tmp_path: Path) -> None:
    async def whole(bench: Bench) -> None:
        await measure(bench, bench.driver(), "saved", request())

    async def before(bench: Bench) -> None:
        await bench.driver().start("saved", request())
        await asyncio.sleep(10)
        saved.update(json.loads(json.dumps({"laboratory": bench.laboratory.save(), "topspin": bench.simulator.save()})))

    async def after(clock: LoopClock) -> None:
        bench = Bench(tmp_path / "2", clock, faults=False)
        bench.laboratory.restore(saved["laboratory"])
        bench.simulator.restore(saved["topspin"])
        await bench.open()
        try:
            driver = bench.driver()
            handle = await driver.find("saved")
            assert handle is not None
            assert (await bench.until_over(driver, handle)).state is State.DONE
            await driver.fetch(handle, bench.folder / "bundle")
            assert bench.laboratory.time() == pytest.approx(64 * 0.5032768 + 4, abs=5)
        finally:
            await bench.close()

    saved: dict[str, Any] = {}
    on_bench(whole, tmp_path / "1")
    on_bench(before, tmp_path / "2")
    run_virtual(after)
    one, two = (tmp_path / run / "bundle" / "saved" / "1" / "fid" for run in ("1", "2"))
    assert one.read_bytes() == two.read_bytes()


# -- the program -----------------------------------------------------------------------------------------------------


def test_the_program_wants_a_token_in_the_environment_and_topspin_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LABCTL_TOPSPIN_TOKEN", raising=False)
    assert program.main(["--data-folder", str(tmp_path)]) == 2
    assert "LABCTL_TOPSPIN_TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("OTHER", "secret")
    assert program.main(["--data-folder", str(tmp_path), "--token-env", "OTHER"]) == 1
    said = capsys.readouterr().err
    assert "TopSpin's Python interface is not installed" in said
    assert "secret" not in said


FAKE_API = """
class Topspin:
    def getVersion(self):
        return "4.2.0"
"""


@pytest.mark.skipif(sys.platform == "win32", reason="ends the program by SIGINT")
def test_the_program_listens_until_it_is_interrupted(tmp_path: Path) -> None:
    package = tmp_path / "bruker" / "api"
    package.mkdir(parents=True)
    (package / "topspin.py").write_text(FAKE_API)
    paths = [str(tmp_path), *(str(Path(path).resolve()) for path in sys.path if path)]
    environment = dict(os.environ, LABCTL_TOPSPIN_TOKEN=TOKEN, PYTHONPATH=os.pathsep.join(paths))
    command = [sys.executable, "-c", "import sys; from labctl_drivers.bruker.gateway import main; sys.exit(main())"]
    with subprocess.Popen(
        [*command, "--port", "0", "--data-folder", str(tmp_path / "data")], env=environment, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        said = process.stderr.readline().decode()
        assert "listening on 127.0.0.1:" in said, said
        assert TOKEN not in said
        port = int(said.split("127.0.0.1:")[1].split(",")[0])

        async def hello(_: LoopClock) -> dict[str, Any]:
            wire = await Wire.to(port, token=None)
            answer = await wire.ask(op="hello", token=TOKEN)
            await wire.close()
            return answer

        answer = run_real(hello)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert (answer["ok"], answer["topspin"], answer["backend"]) == (True, "4.2.0", "cpython")
    assert answer["session"]


def test_an_empty_token_is_no_token(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="token"):
        Gateway(object(), token="", data_folder=tmp_path)


def test_an_address_without_a_port_is_told(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        context = DriverContext(
            "topspin", {"address": "spectrometer", "token": "x"}, bench.clock, Silence(), bench.hiccups.append, str,
            tmp_path,
        )  # fmt: skip
        with pytest.raises(InstrumentError, match="host:port"):
            BrukerSpectrometer(context)

    on_bench(test, tmp_path)
