"""``labctl instruments``: what a person is told of the station's instruments, and that looking changes nothing."""

from __future__ import annotations

import io
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import pytest
import pyvisa
import serial.tools.list_ports
import serial.tools.list_ports_common as list_ports_common
from laboratory_folder import Laboratory
from second_terminal import Terminal, running, simulated, until

from labctl.cli.app import run_app

Command = Callable[..., tuple[int, str, str]]
INSTRUMENTS = ("maccor", "topspin", "zahner", "oven", "mux")
KEPT = ("bare-01", "coated-01")


@pytest.fixture(scope="module")
def terminal(tmp_path_factory) -> Iterator[Terminal]:
    """A laboratory that runs, with two cells, and a station file that is wrong about the tester's clock."""
    laboratory = Laboratory(tmp_path_factory.mktemp("instruments") / "lab")
    laboratory.keep_cells(*KEPT)
    laboratory.replace("station.yaml", "channels: 1-17,", "channels: 1-17, tester_clock: 1 h,")
    with simulated(laboratory) as running_laboratory:
        yield running_laboratory


@pytest.fixture(scope="module")
def labctl(terminal) -> Command:
    """Run a command on the laboratory: exit code, stdout, stderr."""

    def command(*words: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = run_app(["instruments", *words, "--lab", str(terminal.laboratory.folder)])
        return code, out.getvalue(), err.getvalue()

    return command


def asked(labctl: Command, *words: str) -> dict[str, dict[str, Any]]:
    """The instruments of ``check --json``, by name."""
    code, out, err = labctl("check", "--json", *words)
    assert code == 0, err
    report = json.loads(out)
    assert report["schema"] == "labctl.instruments/1"
    return {one["name"]: one for one in report["instruments"]}


@pytest.fixture(scope="module")
def looked(labctl, terminal) -> tuple[dict[str, dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """What a check of all told, and what each instrument wrote into its own log meanwhile."""
    before = {name: len(heard(terminal, name)) for name in INSTRUMENTS}
    found = asked(labctl)
    return found, {name: heard(terminal, name, since) for name, since in before.items()}


def heard(terminal: Terminal, instrument: str, since: int = 0) -> list[dict[str, Any]]:
    """An instrument's own log."""
    return terminal.laboratory_says("log", instrument=instrument, since=since)["log"]


def test_the_list_tells_what_the_station_file_has_and_asks_nobody(labctl, terminal, monkeypatch):
    monkeypatch.delenv("LABCTL_TOPSPIN_TOKEN", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.setblocking(False)
        text = (terminal.laboratory.folder / "station.yaml").read_text()
        other = terminal.laboratory.folder / "other.yaml"
        other.write_text(text.replace("192.0.2.12:260", f"127.0.0.1:{door.getsockname()[1]}"))
        code, out, _ = labctl("list", "--json", "--station", str(other))
        with pytest.raises(BlockingIOError):
            door.accept()
    report = json.loads(out)
    listed = {one["name"]: one for one in report["instruments"]}
    assert (code, report["mode"], set(listed)) == (0, "simulated", set(INSTRUMENTS))
    assert (listed["mux"]["role"], listed["mux"]["driver"]) == ("multiplexer", "scpi-multiplexer")
    assert listed["mux"]["used_by"] == ["cabinet: relays 101-108 to zahner"]
    assert listed["maccor"]["used_by"] == ["cabinet: channels 1-8", "oven: channels 9-16", "probe: channels 17"]
    assert {one["name"] for one in listed["mux"]["needs"] if one["there"]} == {"pyvisa", "pyvisa-py"}
    assert listed["topspin"]["needs"] == [{"name": "LABCTL_TOPSPIN_TOKEN", "there": False, "what": "not set"}]


def test_a_check_tells_ranges_limits_clocks_and_what_is_unsafe_or_unverified(looked):
    found, _ = looked
    assert {name for name, one in found.items() if one["ok"]} == set(INSTRUMENTS)
    maccor = found["maccor"]
    assert maccor["facts"]["channels 1-17"] == "0 V to 5 V; ranges 150 µA, 5 mA, 150 mA, 5 A"
    assert maccor["safety"]["limits of 1-17"].startswith("-0.5 V to 5 V, charge 5.25 A")
    assert maccor["firmware"] and maccor["details"]["MacNet API"]
    assert abs(maccor["clock_offset_s"] + 3600) < 3 and abs(found["topspin"]["clock_offset_s"]) < 3
    assert found["oven"]["clock_offset_s"] is None
    assert found["zahner"]["safety"]["source"] == "off"
    assert found["oven"]["safety"]["control"] == "remote"
    assert all(one["unverified"] for one in found.values())
    [clock] = maccor["unsafe"]
    assert "clock is -36" in clock and "'tester_clock' in the station file" in clock
    assert not any(found[name]["unsafe"] for name in INSTRUMENTS if name != "maccor")


def test_a_check_moves_nothing_by_the_instruments_own_logs(looked):
    _, new = looked
    assert new["maccor"] == []  # limits, starts, clearing would stand there
    assert [one for one in new["topspin"] if one["event"] == "command"] == []
    assert [one for one in new["zahner"] if one["event"] != "clients"] == []
    messages = [one["message"] for one in new["mux"]]
    assert "*IDN?" in messages
    assert [part for message in messages for part in message.split(";") if "?" not in part] == []
    commands = [one["command"] for one in new["oven"]]
    assert "version" in commands
    assert [command for command in commands if command.startswith("out")] == []


def test_an_exercise_moves_what_is_free_and_leaves_it_as_it_was(labctl, terminal):
    before = {name: len(heard(terminal, name)) for name in INSTRUMENTS}
    found = asked(labctl, "--exercise", "mux", "maccor", "oven")
    assert set(found) == {"mux", "maccor", "oven"}
    moved = [(one["event"], one["relay"]) for one in heard(terminal, "mux", before["mux"]) if "relay" in one]
    assert moved == [("closed", 108), ("opened", 108)], "relay 108 is wired to a slot without a cell"
    assert found["mux"]["facts"]["exercised"].startswith("relay 108 opened, closed and opened")
    [limits] = heard(terminal, "maccor", before["maccor"])
    assert (limits["event"], limits["VSafeMin"], limits["VSafeMax"]) == ("limits set", -0.5, 5.0)
    written = [one["command"] for one in heard(terminal, "oven", before["oven"]) if "out" in one.get("command", "")]
    assert written == ["out_sp_00 25.00"]
    assert found["oven"]["facts"]["set-point"] == asked(labctl, "oven")["oven"]["facts"]["set-point"] == "25 degC"


@pytest.mark.parametrize("width", [80, 120])
def test_a_person_reads_it_all_in_a_window_of_any_width(labctl, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    code, out, _ = labctl("check", "mux", "maccor")
    assert code == 0
    assert "SIMULATED" in out and "read only" in out and "unsafe as it is now: maccor" in out
    code, listed, _ = labctl("list")
    assert code == 0
    for line in (out + listed).splitlines():
        assert len(line) <= width
    for word in ("power-fail recall", "limits of 1-17", "unverified", "UNSAFE"):
        assert word in out
    for name in INSTRUMENTS:
        assert name in listed


def test_a_credential_that_is_not_set_stops_its_own_instrument_alone(labctl, terminal, tmp_path, monkeypatch):
    monkeypatch.delenv("LABCTL_TOPSPIN_TOKEN", raising=False)
    folder = terminal.laboratory.folder
    there = json.loads((folder / "simulation.json").read_text())["entries"]
    text = (folder / "station.yaml").read_text().replace("mode: simulated", "mode: live")
    for name, before in (("zahner", "192.0.2.12:260"), ("mux", "TCPIP::192.0.2.13::5025::SOCKET"), ("oven", "COM3")):
        text = text.replace(before, there[name]["address"])
    text = text.replace("192.0.2.10", "127.0.0.1")
    for port in ("json_port: 57570", "binary_port: 57560"):
        key = port.split(":")[0]
        text = text.replace(port, f"{key}: {there['maccor'][key]}")
    (tmp_path / "station.yaml").write_text(text)
    (folder / "maccor-export").mkdir()
    code, out, err = labctl("check", "--json", "--station", str(tmp_path / "station.yaml"))
    found = {one["name"]: one for one in json.loads(out)["instruments"]}
    assert code == 4
    assert [name for name, one in found.items() if not one["ok"]] == ["topspin"]
    assert "LABCTL_TOPSPIN_TOKEN is not set" in found["topspin"]["error"]
    assert err.count("LABCTL_TOPSPIN_TOKEN is not set") == 1 and "topspin" in err


def test_an_unknown_name_is_refused_with_those_that_are_known(labctl):
    code, out, err = labctl("check", "macor")
    assert (code, out) == (2, "")
    assert "'macor'" in err and "maccor, topspin, zahner, oven, mux" in err


def test_a_scan_sends_nothing_unless_it_is_to_identify(labctl, monkeypatch):
    monkeypatch.setattr(pyvisa.ResourceManager, "list_resources", lambda manager, query: ())
    monkeypatch.setattr(serial.tools.list_ports, "comports", list)
    code, out, _ = labctl("scan")
    assert code == 0 and "no serial port and no VISA resource" in out

    import pty
    import tty

    device, line = pty.openpty()
    tty.setraw(device)
    tty.setraw(line)
    name, got = os.ttyname(line), []

    def answer() -> None:
        got.append(os.read(device, 100))
        os.write(device, b"ACME,balance,7,1.0\n")

    port = list_ports_common.ListPortInfo(name, skip_link_detection=True)
    monkeypatch.setattr(serial.tools.list_ports, "comports", lambda: [port])
    code, out, _ = labctl("scan", "--json")
    [found] = json.loads(out)["found"]
    os.set_blocking(device, False)
    with pytest.raises(BlockingIOError):
        os.read(device, 1)
    assert (code, found["address"], found["answer"]) == (0, name, None)

    os.set_blocking(device, True)
    instrument = threading.Thread(target=answer)
    instrument.start()
    code, out, _ = labctl("scan", "--identify", "--json")
    instrument.join()
    [found] = json.loads(out)["found"]
    assert (code, got, found["answer"]) == (0, [b"*IDN?\n"], "ACME,balance,7,1.0")

    with serial.Serial(name, exclusive=True):
        code, out, _ = labctl("scan", "--identify", "--json")
    os.set_blocking(device, False)
    with pytest.raises(BlockingIOError):
        os.read(device, 1)
    assert (code, json.loads(out)["found"][0]["answer"]) == (0, "not asked: another program has it open")
    os.close(device)
    os.close(line)


def test_what_a_campaign_uses_is_left_alone(labctl, terminal):
    with running(terminal.laboratory):
        until(lambda: terminal.step(KEPT[0]), "a first step")
        before = len(heard(terminal, "oven"))
        code, out, err = labctl("check", "mux", "--exercise")
        assert code == 5 and "mux: the campaign that runs here uses it" in err and "in use" in out
        code, _, _ = labctl("check", "oven")
        assert code == 5 and not [one for one in heard(terminal, "oven", before) if one.get("command") == "version"]
        until(lambda: "started" in terminal.events(1), "a test on the tester")
    # The orchestrator is gone, and its test goes on: it may be looked at, not touched.
    assert "Active" in asked(labctl, "maccor")["maccor"]["facts"]["state"]
    code, _, err = labctl("check", "maccor", "--exercise")
    assert code == 5 and "a campaign that was let go of uses it" in err
