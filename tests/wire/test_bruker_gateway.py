"""The gateway on the spectrometer PC: its wire byte by byte, and the program."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from nmr_bench import TOKEN, Bench, Wire, on_bench, request

from labctl.engine.clock import LoopClock, run_real
from labctl.errors import DataError
from labctl.instruments import (
    VendorAlarm,
)
from labctl_drivers.bruker import gateway as program
from labctl_drivers.bruker.gateway import Gateway


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
    (b'{"id":15,"op":"create","name":"s3","expno":1}\n', b'{"id":15,"ok":true,"name":"s3","expno":1}\n'),
    (
        b'{"id":16,"op":"process","name":"s3","expno":1,"cmds":["efp"]}\n',
        b'{"id":16,"ok":false,"code":"NODATA","msg":"s3/1 is not done"}\n',
    ),
    (
        b'{"id":17,"op":"process","name":"s3","expno":1,"cmds":["atma","zg"]}\n',
        b'{"id":17,"ok":false,"code":"NODATA","msg":"s3/1 is not done"}\n',
    ),
    (b'{"id":17,"op":"process","name":"s3","expno":1,"cmds":["atma storeWobb 100"]}\n', b'{"id":17,"ok":true}\n'),
    (
        b'{"id":18,"op":"setpar","name":"s3","expno":1,"pars":{"PARMODE":"2D"}}\n',
        b'{"id":18,"ok":false,"code":"PAR_REJECTED","msg":"PARMODE is not set here: one EXPNO for each spectrum"}\n',
    ),
    (
        b'{"id":19,"op":"read","name":"s3","expno":1,"file":"fid"}\n',
        b'{"id":19,"ok":false,"code":"NODATA","msg":"there is no file \'fid\'"}\n',
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
        def Topspin(self) -> Any:
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


def test_the_program_writes_the_script_for_older_consoles_where_it_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["--write-jython", str(tmp_path / "new")]) == 0
    script = tmp_path / "new" / "labctl_gateway.py"
    assert str(script) in capsys.readouterr().out
    text = script.read_text("utf-8")
    assert text.startswith("# -*- coding: utf-8 -*-")
    assert 'PROGRAM = "labctl-topspin-gateway"' in text
    assert f"WIRE = {program.WIRE}\n" in text
    (tmp_path / "file").touch()
    assert program.main(["--write-jython", str(tmp_path / "file")]) == 1
    assert "cannot write" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        program.main([])


def test_an_empty_token_is_no_token(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="token"):
        Gateway(object(), token="", data_folder=tmp_path)
