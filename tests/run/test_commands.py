"""Commands as people meet them: messages, exit codes, and nothing half-written."""

import json
import socket

import jsonschema
import pytest
from laboratory_folder import Laboratory

from labctl.cli.init import template
from labctl.engine.clock import real_seconds

HERE = "protocols/dead-lithium.yaml"


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_new_laboratory_is_valid_as_it_is(laboratory):
    ran = laboratory.afresh("check", HERE, "--station", "station.yaml", "--cells", "cells.yaml")
    assert ran.returncode == 0, ran.stderr
    assert "coated-04" in ran.stdout


def test_init_overwrites_nothing(laboratory):
    before = files(laboratory.folder)
    ran = laboratory.afresh("init", ".")
    assert ran.returncode == 2
    assert "station.yaml is there already" in ran.stderr
    assert files(laboratory.folder) == before


@pytest.mark.parametrize("kind", ["protocol", "station", "cells"])
def test_the_schemas_are_schemas_and_take_what_ships(laboratory, kind):
    ran = laboratory.afresh("schema", kind) if kind == "cells" else laboratory.labctl("schema", kind)
    schema = json.loads(ran.stdout)
    jsonschema.validators.validator_for(schema).check_schema(schema)
    assert (laboratory.folder / "schema" / f"{kind}.json").exists()


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("protocols/dead-lithium.yaml", "at_most: 16 h", "at_most: 16", "has no unit"),
        ("protocols/dead-lithium.yaml", "recycle_delay", "recycle_dely", "recycle_delay"),
        ("cells.yaml", "place: cabinet/1,", "place: cabinet/9,", "cabinet/8"),
        ("cells.yaml", "area: 1.0 cm2", "area: 0 cm2", "area"),
        ("station.yaml", "driver: julabo", "driver: jullabo", "julabo"),
        ("station.yaml", "instrument: topspin,", "instrument: topspn,", "topspin"),
    ],
)
def test_bad_input_is_exit_6_with_its_place_and_nothing_is_written(laboratory, name, old, new, words):
    laboratory.replace(name, old, new)
    before = files(laboratory.folder)
    ran = laboratory.labctl("run", HERE, "--simulate", "--accelerate")
    assert ran.returncode == 6
    first = ran.stderr.splitlines()[0]
    where, line, column, rest = first.split(":", 3)
    assert where.endswith(name)
    assert int(line) > 0
    assert int(column) > 0
    assert words in rest
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""
    assert files(laboratory.folder) == before


def test_check_says_mistakes_as_json_too(laboratory):
    laboratory.replace("protocols/dead-lithium.yaml", "upper: 4.3 V", "upper: 4.3 Volt")
    ran = laboratory.labctl("check", HERE, "--json")
    assert ran.returncode == 6
    data = json.loads(ran.stdout)
    assert data["valid"] is False
    assert [(one["line"], "Volt" in one["found"]) for one in data["mistakes"]] == [(18, True)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((HERE,), "add --simulate"),
        ((HERE, "--accelerate"), "--accelerate needs --simulate"),
        (("protocols/nowhere.yaml", "--simulate"), "nowhere.yaml"),
    ],
)
def test_what_makes_no_sense_is_said_and_leaves_nothing(laboratory, arguments, words):
    before = files(laboratory.folder)
    ran = laboratory.labctl("run", *arguments)
    assert ran.returncode in (2, 6)
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr
    assert files(laboratory.folder) == before


def test_a_simulated_run_of_a_live_station_is_refused(laboratory):
    laboratory.replace("station.yaml", "mode: simulated", "mode: live")
    ran = laboratory.labctl("run", HERE, "--simulate")
    assert ran.returncode == 2
    assert "mode: live" in ran.stderr


def test_unknown_commands_and_options_are_exit_2(laboratory):
    assert laboratory.labctl("charge").returncode == 2
    assert laboratory.labctl("status", "--verbose").returncode == 2


def test_status_without_anything_is_exit_3(laboratory):
    ran = laboratory.afresh("status")
    assert ran.returncode == 3
    assert "no orchestrator" in ran.stderr


@pytest.mark.parametrize("command", [("confirm", "bare-01", "--barcode", "B0001"), ("abort", "bare-01")])
def test_commands_to_an_orchestrator_that_is_not_there_are_exit_3(laboratory, command):
    assert laboratory.afresh(*command).returncode == 3


def test_confirming_without_barcode_and_terminal_is_exit_8(laboratory):
    assert laboratory.labctl("confirm", "bare-01").returncode == 8


def test_analyzing_what_is_no_result_says_so(laboratory):
    ran = laboratory.afresh("analyze", "protocols")
    assert ran.returncode == 1
    assert "protocols" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.fixture
def live(laboratory) -> Laboratory:
    """A live station whose instruments are not there: closed ports of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = template("station.yaml").replace("mode: simulated", "mode: live")
    text = text.replace("192.0.2.10", "127.0.0.1").replace("57570", str(port)).replace("57560", str(port))
    text = text.replace("192.0.2.11:5410", f"127.0.0.1:{port}").replace("192.0.2.12:260", f"127.0.0.1:{port}")
    text = text.replace("COM3", f"socket://127.0.0.1:{port}").replace("192.0.2.13::5025", f"127.0.0.1::{port}")
    text = text.replace("token: {env: LABCTL_TOPSPIN_TOKEN}", "token: {env: PATH}")
    (laboratory.folder / "station.yaml").write_text(text)
    (laboratory.folder / "maccor-export").mkdir()
    return laboratory


@pytest.mark.parametrize("command", [("instruments", "check"), ("run", HERE)])
def test_absent_instruments_are_named_with_their_address_within_5_seconds(live, command):
    began = real_seconds()
    ran = live.afresh(*command)
    assert real_seconds() - began < 5
    assert ran.returncode == 4
    for name in ("maccor", "topspin", "zahner", "oven", "mux"):
        assert f"{name} at " in ran.stderr
    assert "127.0.0.1" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_an_instrument_that_was_not_there_leaves_no_campaign_behind(live):
    assert live.labctl("run", HERE).returncode == 4
    assert json.loads(live.labctl("status", "--json").stdout)["campaign"] is None
    live.replace("station.yaml", "mode: live", "mode: simulated")
    assert live.labctl("instruments", "check").returncode == 4
