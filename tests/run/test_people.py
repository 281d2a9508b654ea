"""A run in wall time, looked at, interrupted, confirmed and aborted from a second terminal."""

import json
import re
import signal
import socket
import sys

import pytest

from labctl.engine.clock import WallClock, pause, real_seconds
from labctl.engine.endpoint import ask
from labctl.errors import NoOrchestrator
from labctl.journal import Journal, Status

HERE = "protocols/dead-lithium.yaml"
PATIENCE = 60.0

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a POSIX signal")


def until(condition, what: str):
    """Look again and again until ``condition`` gives something; another process is at work, so wall time passes."""
    deadline = real_seconds() + PATIENCE
    while real_seconds() < deadline:
        found = condition()
        if found:
            return found
        pause(0.05)
    pytest.fail(f"not within {PATIENCE:g} s: {what}")


def status_of(laboratory):
    try:
        return ask(laboratory.folder, "status")["status"]
    except NoOrchestrator:
        return None


def states(laboratory):
    report = status_of(laboratory)
    return {cell["cell"]: cell["state"] for cell in report["cells"]} if report else {}


def control(laboratory, op, **request):
    """Speak to the virtual laboratory itself, in place of hands."""
    port = json.loads((laboratory.folder / "simulation.json").read_text())["control"]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(json.dumps({"id": 1, "op": op, **request}).encode() + b"\n")
        with connection.makefile("rb") as lines:
            return json.loads(lines.readline())


def interrupt(process) -> tuple[int, str]:
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, output


@pytest.fixture
def running(laboratory):
    """Two cells that rest, in wall time."""
    laboratory.keep_cells("bare-01", "coated-01")
    process = laboratory.begin("run", HERE, "--simulate", "--seed", "7")
    until(lambda: states(laboratory) == {"bare-01": "resting", "coated-01": "resting"}, "both cells rest")
    yield laboratory, process
    if process.poll() is None:
        interrupt(process)
    process.stdout.close()


def test_status_shows_live_values_with_their_age(running):
    laboratory, _ = running
    ran = laboratory.labctl("status", "--json")
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout)
    assert report["schema"] == "labctl.status/1"
    assert report["mode"] == "simulated"
    assert report["orchestrator"] == "running"
    keys = {
        "cell", "state", "cycle", "step", "instrument", "channel", "since", "voltage_V", "current_A", "capacity_mAh",
        "temperature_degC", "scans_done", "scans", "age_s", "expected_end", "waits_for",
    }  # fmt: skip
    for cell in report["cells"]:
        assert keys <= set(cell)
        assert cell["age_s"] < 5
        assert 2.5 < cell["voltage_V"] < 3.6
        assert cell["instrument"] == "maccor"
    assert {one["role"] for one in report["instruments"]} == {
        "cycler", "spectrometer", "potentiostat", "chamber", "multiplexer",
    }  # fmt: skip


@pytest.mark.parametrize("columns", [80, 120])
def test_the_status_screen_fits_its_terminal(running, columns, monkeypatch):
    laboratory, _ = running
    monkeypatch.setenv("COLUMNS", str(columns))
    ran = laboratory.labctl("status")
    assert max(len(line) for line in ran.stdout.splitlines()) <= columns
    for words in ("SIMULATED", "bare-01", "resting", "c000/01-rest"):
        assert words in ran.stdout


def test_ctrl_c_lets_go_and_the_next_run_goes_on_to_the_end(running):
    laboratory, process = running
    code, output = interrupt(process)
    assert code == 130
    assert "Traceback" not in output
    assert "attaches again" in output
    stopped = laboratory.labctl("status", "--json")
    assert stopped.returncode == 3
    report = json.loads(stopped.stdout)
    assert report["orchestrator"] == "not running"
    assert all(cell["current_A"] is None for cell in report["cells"])
    ended = laboratory.labctl("run", HERE, "--simulate", "--accelerate")
    assert ended.returncode == 0, ended.stderr
    journal = Journal(laboratory.folder / "labctl.sqlite", WallClock())
    rows = [row for row in journal.operations() if row.kind != "transfer"]
    journal.close()
    assert {row.status for row in rows} == {Status.DONE}
    assert len({row.step for row in rows if row.cell == "bare-01"}) == sum(row.cell == "bare-01" for row in rows)
    interrupted = shares(laboratory)
    whole = type(laboratory)(laboratory.folder.with_name("whole"))
    whole.keep_cells("bare-01", "coated-01")
    assert whole.labctl("run", HERE, "--simulate", "--accelerate", "--seed", "7").returncode == 0
    assert interrupted == pytest.approx(shares(whole), abs=0.02), "an interruption changes no result"


def shares(laboratory):
    analyzed = json.loads(laboratory.labctl("analyze", ".", "--json").stdout)
    names = ("reversible", "excess", "dead", "interphase")
    return {
        f"{cell['cell']} {name}": cell["cycles"][-1][f"{name}_percent"] for cell in analyzed["cells"] for name in names
    }


@pytest.mark.parametrize("request_to_end", ["SIGTERM", "SIGHUP"])
def test_a_service_that_stops_and_a_terminal_that_closes_let_go_in_order_too(running, request_to_end):
    laboratory, process = running
    process.send_signal(getattr(signal, request_to_end))
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "attaches again" in output
    assert json.loads((laboratory.folder / "simulation.json").read_text())["state"] == "saved"


def test_a_second_orchestrator_is_refused(running):
    laboratory, process = running
    second = laboratory.labctl("run", HERE, "--simulate", "--orchestrator")
    assert second.returncode == 5
    assert str(process.pid) in second.stderr


def test_an_aborted_cell_is_left_open_and_the_others_go_on(running):
    laboratory, process = running
    ran = laboratory.labctl("abort", "bare-01", "--reason", "leaks", "--user", "ana")
    assert ran.returncode == 0, ran.stderr
    until(lambda: states(laboratory).get("bare-01") == "aborted", "bare-01 is aborted")
    assert states(laboratory)["coated-01"] == "resting"
    assert laboratory.labctl("abort", "bare-01").returncode == 0
    assert control(laboratory, "violations")["violations"] == []
    interrupt(process)
    journal = Journal(laboratory.folder / "labctl.sqlite", WallClock())
    row = journal.operations(cell="bare-01")[-1]
    journal.close()
    assert row.status is Status.ABORTED
    assert "ana" in row.error
    assert "leaks" in row.error


def test_a_transfer_waits_for_the_right_barcode(laboratory):
    laboratory.keep_cells("bare-01")
    laboratory.replace("station.yaml", "{name: operator}", "{name: operator, simulate: false}")
    path = laboratory.protocol
    path.write_text(re.sub(r"  - rest: \{duration: 12 h\}\n", "", path.read_text()))
    process = laboratory.begin("run", HERE, "--simulate")
    try:
        until(lambda: "reference" in str(ask_requests(laboratory)), "the reference standard is asked for")
        wrong = laboratory.labctl("confirm", "reference", "--barcode", "B0001")
        assert wrong.returncode == 8
        assert "reference" in wrong.stderr
        assert laboratory.labctl("confirm", "bare-01", "--barcode", "B0001").returncode == 2
        control(laboratory, "move", cell="reference", to="probe/1")
        right = laboratory.labctl("confirm", "reference", "--barcode", "reference")
        assert right.returncode == 0, right.stderr
        until(lambda: "topspin" in str(used(laboratory)), "the reference is measured")
    finally:
        code, output = interrupt(process)
        process.stdout.close()
    assert code == 130, output


def used(laboratory):
    report = status_of(laboratory)
    return [one["name"] for one in report["instruments"] if "reference" in one["used_by"]] if report else []


def ask_requests(laboratory):
    try:
        return ask(laboratory.folder, "requests")["requests"]
    except NoOrchestrator:
        return []


def test_a_laboratory_that_was_killed_with_its_process_is_not_resumed(running):
    laboratory, process = running
    process.kill()
    process.wait(PATIENCE)
    again = laboratory.labctl("run", HERE, "--simulate")
    assert again.returncode == 1
    assert "killed with its process" in again.stderr
    assert "Traceback" not in again.stderr
