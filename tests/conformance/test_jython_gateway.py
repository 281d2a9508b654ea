"""The gateway for consoles under TopSpin 3, executed by Jython, beside the one for TopSpin 4: one wire, one dataset.

Both run as programs, each on a stand-in for the vendor's names, and both stand-ins write through to the same virtual
spectrometer. They belong to the conformance suite, whose extra they ask for as their neighbours do; there they are
never skipped, and fail without the Debian package `jython`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import re
import shutil
from pathlib import Path

import pytest
from gateway_bench import BACKENDS, SCRIPT, ProgramBench, on_program
from nmr_bench import TOKEN, Wire, request
from test_bruker_gateway import EXCHANGES

from labctl.instruments import NotIdentified, Refused, State

if importlib.util.find_spec("pymacnet") is None:
    pytest.skip("needs the extra `conformance`, and the Debian package `jython`", allow_module_level=True)

pytestmark = pytest.mark.conformance

PULSES = (5e-6, 7e-6)
INSTANT = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \+0000|(?<=DATE= )\d+|(?<=DATE_START= )\d+")


def measured(folder: Path, backend: str) -> dict[str, bytes]:
    """Measure a series through the driver and a gateway's program; give every file that came back."""

    async def test(bench: ProgramBench) -> None:
        driver = bench.driver()
        identity = await driver.connect()
        assert identity.details["backend"] == backend
        handle = await driver.start("series", request(pulse_lengths=PULSES, scans=16, pulse_program="zgpr"))
        progress = await driver.poll(handle)
        while progress.state is State.RUNNING:
            # The clock stands still while the program outside is asked, and goes on while nobody asks it.
            with bench.passing():
                await asyncio.sleep(progress.remaining or 1.0)
            progress = await driver.poll(handle)
        assert progress.state is State.DONE, progress.message
        await driver.fetch(handle, folder / "bundle")
        assert bench.commands("zg") == len(PULSES)
        assert "dialog" not in [entry["event"] for entry in bench.laboratory.records("topspin")]

    on_program(test, folder, backend)
    place = folder / "bundle" / "series"
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_both_gateways_give_identical_datasets_for_the_same_request_and_seed(tmp_path: Path) -> None:
    by_python, by_jython = (measured(tmp_path / backend, backend) for backend in BACKENDS)
    assert sorted(by_python) == sorted(by_jython)
    assert {"1/fid", "2/fid", "1/acqus", "1/audita.txt", "1/pdata/1/procs", "1/pdata/1/title"} <= set(by_python)
    differing = [name for name in by_python if undated(name, by_python[name]) != undated(name, by_jython[name])]
    assert differing == []
    assert any(by_python["1/fid"])
    assert by_python["1/fid"] != by_python["2/fid"]


def undated(name: str, content: bytes) -> bytes:
    """A file without the instants at which it was written; the decay as it is."""
    return content if name.endswith("/fid") else INSTANT.sub(b"", content)


def test_jython_answers_every_operation_byte_by_byte_as_the_other_gateway_does(tmp_path: Path) -> None:
    async def test(bench: ProgramBench) -> None:
        for first in ({"op": "ping"}, {"op": "hello", "token": "guess"}, {"op": "status"}):
            stranger = await Wire.to(bench.port, token=None)
            assert (await stranger.ask(**first))["code"] == "AUTH"
            assert await stranger.reader.read() == b"", "the connection ends"
            await stranger.close()
        with pytest.raises(NotIdentified, match="token"):
            await bench.driver(token={"env": "WRONG"}).connect()
        wire = await Wire.to(bench.port)
        for sent, expected in EXCHANGES:
            wire.writer.write(sent)
            assert await wire.reader.readuntil(b"\n") == expected
        for nonsense in (
            {"op": "read", "name": "s1", "expno": 1, "file": "../../../secret"},
            {"op": "read", "name": "s1", "expno": 1, "file": "C:\\secret"},
            {"op": "create", "name": "../s1", "expno": 1},
            {"op": "create", "name": "s1", "expno": True},
            {"op": "start", "name": "s1", "expno": 1, "cmd": "zg; rm"},
            {"op": "setpar", "name": "s1", "expno": 1, "pars": {"NS": 4}},
            {"op": "format"},
            {},
        ):
            assert (await wire.ask(**nonsense))["code"] == "REQUEST", nonsense
        with bench.passing():
            await asyncio.sleep(61)
        files = [entry["file"] for entry in (await wire.ask(op="list", name="s3", expno=1))["files"]]
        assert {"pdata/100/1r", "pdata/100/procs"} <= set(files), "the curve that the probe was tuned by"
        assert "+00:00" in (await wire.ask(op="time"))["time"]
        assert (await wire.say(b"\xff\xfe\n"))["code"] == "REQUEST"
        await wire.close()
        assert TOKEN not in bench.said

    on_program(test, tmp_path, "jython")


def test_whoever_clicks_another_window_meanwhile_changes_nothing_of_ours_and_is_noticed(tmp_path: Path) -> None:
    async def test(bench: ProgramBench) -> None:
        wire = await Wire.to(bench.port)
        for name in ("ours", "theirs"):
            assert (await wire.ask(op="create", name=name, expno=1))["ok"]
        # Between going to our dataset and the write: the write lands in theirs, and the read-back says so.
        for after in (1, 2, 4, 7):
            bench.door.click(bench.simulator.folder / "theirs" / "1", after)
            answer = await wire.ask(op="setpar", name="ours", expno=1, pars={"NS": f"{40 + after}", "DS": "2"})
            found = (await wire.ask(op="getpar", name="ours", expno=1, names=["NS", "DS"]))["pars"]
            assert answer["read_back"] == found, "what is told is what is there"
        driver = bench.driver()
        bench.door.click(bench.simulator.folder / "theirs" / "1", 30)
        try:
            await driver.start("watched", request())
        except Refused as refused:
            assert "reads back as" in str(refused)
            assert bench.commands("zg") == 0
        else:
            assert (await wire.ask(op="status", name="watched"))["busy"] == {"name": "watched", "expno": 1}
        await wire.close()

    on_program(test, tmp_path, "jython")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_dialog_on_the_screen_hangs_nobody_and_an_acquisition_is_not_lost_behind_it(
    tmp_path: Path, backend: str
) -> None:
    async def test(bench: ProgramBench) -> None:
        wire, heartbeat = await Wire.to(bench.port), await Wire.to(bench.port)
        assert (await wire.ask(op="create", name="s1", expno=1))["ok"]
        bench.laboratory.break_down("topspin", "dialog")
        call = asyncio.create_task(wire.ask(op="setpar", name="s1", expno=1, pars={"NS": "4"}))
        assert (await heartbeat.ask(op="ping"))["ok"]
        stuck = await call
        assert (stuck["code"], "dialog" in stuck["msg"]) == ("TIMEOUT", True)
        assert (await wire.ask(op="getpar", name="s1", expno=1, names=["NS"]))["code"] == "TIMEOUT"
        assert (await wire.ask(op="status", name="s1"))["expnos"]["1"]["state"] == "prepared", "told by the files"
        assert (await wire.ask(op="list", name="s1", expno=1))["ok"]
        bench.simulator.close_dialog()
        while not (answer := await wire.ask(op="getpar", name="s1", expno=1, names=["NS"]))["ok"]:
            assert answer["code"] == "TIMEOUT"
        assert answer["pars"]["NS"] == "4", "what was under way came through"
        await wire.close()
        await heartbeat.close()

    on_program(test, tmp_path, backend, patience=3.0, real=True)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_dataset_with_data_is_never_acquired_again_and_zg_by_hand_hangs_only_its_own_answer(
    tmp_path: Path, backend: str
) -> None:
    async def test(bench: ProgramBench) -> None:
        wire = await Wire.to(bench.port)
        assert (await wire.ask(op="create", name="s1", expno=1))["ok"]
        # Somebody acquired here in the moment after the gateway looked: TopSpin asks whether to overwrite.
        assert (await wire.ask(op="start", name="s1", expno=1, cmd="zg", expected_s=1))["ok"]
        assert (await wire.ask(op="halt", name="s1"))["halted"]
        assert (await wire.ask(op="start", name="s1", expno=1))["code"] == "EXISTS"
        answer = await wire.ask(op="process", name="s1", expno=1, cmds=["zg"])
        assert answer["code"] == "TIMEOUT"
        assert (await wire.ask(op="ping"))["ok"]
        bench.simulator.close_dialog()
        while (await wire.ask(op="getpar", name="s1", expno=1, names=["NS"])).get("code") == "TIMEOUT":
            pass
        assert (await wire.ask(op="status", name="s1"))["expnos"]["1"]["state"] == "done", "and nothing was overwritten"
        await wire.close()

    on_program(test, tmp_path, backend, patience=3.0, real=True)


def test_the_jython_gateway_listens_on_one_address_only_and_ends_by_its_file(tmp_path: Path) -> None:
    async def test(bench: ProgramBench) -> None:
        assert bench.program is not None
        (bench.simulator.folder / "labctl_gateway.stop").touch()
        assert await asyncio.wait_for(bench.program.wait(), 10) == 0
        other = ProgramBench(tmp_path / "other", bench.clock, "jython", 1.0)
        with pytest.raises(AssertionError, match="--host must name one address"):
            await other.open(host="0.0.0.0")
        await other.close()

    on_program(test, tmp_path / "one", "jython", real=True)


def test_the_script_is_one_file_and_needs_nothing_but_jython_and_topspin() -> None:
    lines = SCRIPT.read_text("utf-8").splitlines()
    imported = {line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))}
    own = {"__future__", "__builtin__", "argparse", "base64", "errno", "hashlib", "json", "os", "re", "sys"}
    assert imported <= own | {"threading", "collections", "datetime", "jarray", "java", "TopCmds"}
    text = "\n".join(lines)
    for dialog in ("MSG", "ERRMSG", "CONFIRM", "SELECT", "INPUT_DIALOG", "VIEWTEXT"):
        assert f"TopCmds.{dialog}" not in text


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_acquisition_is_halted_while_another_call_into_topspin_never_comes_back(
    tmp_path: Path, backend: str
) -> None:
    async def test(bench: ProgramBench) -> None:
        wire = await Wire.to(bench.port)
        for name in ("s1", "s2"):
            assert (await wire.ask(op="create", name=name, expno=1))["ok"]
        assert (await wire.ask(op="setpar", name="s1", expno=1, pars={"NS": "10000", "D 1": "1"}))["ok"]
        assert (await wire.ask(op="start", name="s1", expno=1))["ok"]
        release = bench.door.hang("get")
        assert (await wire.ask(op="getpar", name="s2", expno=1, names=["NS"]))["code"] == "TIMEOUT"
        answer = await wire.ask(op="halt", name="s1")
        assert answer == {"id": 1, "ok": True, "halted": True}
        assert (await wire.ask(op="status", name="s1"))["expnos"]["1"]["state"] == "done"
        assert bench.commands("halt") == 1
        release()
        await wire.close()

    on_program(test, tmp_path, backend, patience=3.0, real=True)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_gateway_halts_what_takes_too_long_also_where_nobody_asks_any_more(tmp_path: Path, backend: str) -> None:
    async def test(bench: ProgramBench) -> None:
        wire = await Wire.to(bench.port)
        assert (await wire.ask(op="create", name="s1", expno=1))["ok"]
        assert (await wire.ask(op="setpar", name="s1", expno=1, pars={"NS": "10000", "D 1": "1"}))["ok"]
        assert (await wire.ask(op="start", name="s1", expno=1, expected_s=1))["ok"]
        await wire.close()
        audit = bench.simulator.folder / "s1" / "1" / "audita.txt"
        for _ in range(200):
            if "created by zg" in audit.read_text("utf-8"):
                break
            await asyncio.sleep(0.05)
        assert bench.commands("halt") == 1

    on_program(test, tmp_path, backend, real=True, grace=0.5)


def test_an_old_topspin_that_writes_its_audit_trail_only_at_the_end_is_waited_for(tmp_path: Path) -> None:
    async def test(bench: ProgramBench) -> None:
        driver = bench.driver()
        handle = await driver.start("old", request(scans=16))
        assert not (bench.simulator.folder / "old" / "1" / "audita.txt").exists()
        assert (await driver.poll(handle)).state is State.RUNNING
        with bench.passing():
            await asyncio.sleep(30)
        assert (await driver.poll(handle)).state is State.DONE
        assert (await driver.fetch(handle, tmp_path / "bundle")).summary["scans"] == 16

    on_program(test, tmp_path, "jython", audit="late")


def test_jython_too_ends_who_shouts_and_halts_what_lost_its_folder(tmp_path: Path) -> None:
    async def test(bench: ProgramBench) -> None:
        reader, shouting = await asyncio.open_connection("127.0.0.1", bench.port)
        shouting.write(b"x" * 10_000_000)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b"", "the connection ends"
        shouting.close()
        wire = await Wire.to(bench.port)
        assert (await wire.ask(op="create", name="gone", expno=1))["ok"]
        assert (await wire.ask(op="setpar", name="gone", expno=1, pars={"NS": "10000", "D 1": "1"}))["ok"]
        assert (await wire.ask(op="start", name="gone", expno=1))["ok"]
        shutil.rmtree(bench.simulator.folder / "gone")
        found = await wire.ask(op="status", name="gone", expno=1)
        assert found["expnos"]["1"]["message"] == "its folder was deleted while it was acquired"
        assert found["busy"] == {"name": "gone", "expno": 1}, "TopSpin goes on with it"
        assert (await wire.ask(op="halt", name="gone"))["halted"]
        assert bench.commands("halt") == 1
        assert (await wire.ask(op="status"))["busy"] is None
        await wire.close()

    on_program(test, tmp_path, "jython", real=True)
