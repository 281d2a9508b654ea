"""What people tell cells and ask of them, from a second terminal: words, exit codes, and the same command only once."""

import json
import signal
from datetime import UTC, datetime, timedelta

import pytest
from stand_in import StandIn

from labctl.cli.app import run_app
from labctl.engine.clock import WallClock
from labctl.errors import JournalError, NotConfirmed, UsageError
from labctl.journal import FILE_NAME, CampaignRow, Journal

HERE = "protocols/dead-lithium.yaml"
WILL = "bare-01 is held when its step has ended; nothing flows then until 'labctl resume'"
COMMANDS = ("hold", "resume", "stop", "abort", "skip", "retry")


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.setenv("LABCTL_LAB", str(tmp_path))
    return tmp_path


class Ticking(WallClock):
    """A second passes whenever somebody looks."""

    def __init__(self):
        self._at = datetime(2026, 3, 1, tzinfo=UTC)

    def now(self):
        self._at += timedelta(seconds=1)
        return self._at


@pytest.fixture
def journal(lab):
    made = Journal(lab / FILE_NAME, Ticking())
    yield made
    made.close()


def begin(journal: Journal) -> None:
    row = CampaignRow("lab-1", "simulated", {}, {"seed": 0, "simulate": True}, journal.now(), None)
    journal.begin_campaign(row, {"bare-01": "cabinet/1", "bare-02": "cabinet/2"})


def charge(journal: Journal, cell: str = "bare-01", step: str = "c001/01-charge") -> str:
    operation = f"lab-1/{cell}/{step}/a1"
    journal.request(
        operation, campaign="lab-1", cell=cell, step=step, kind="charge", attempt=1, token=f"{cell}-{step[-9:]}"
    )
    journal.leased(operation, ["maccor:1"])
    journal.intent(operation)
    return operation


@pytest.mark.parametrize("op", COMMANDS)
def test_a_command_says_what_will_happen_and_the_state_after(lab, capsys, op):
    with StandIn(lab, {op: {"cell": "bare-01", "state": "under way", "will": WILL}}) as orchestrator:
        assert run_app([op, "bare-01", "--user", "ana", "--reason", "leaks"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"{WILL}\nnow: under way\n")
    (asked,) = orchestrator.asked
    assert (asked["cell"], asked["user"], asked["reason"]) == ("bare-01", "ana", "leaks")
    assert len(asked["id"]) == 32


def test_hold_now_is_said_only_when_it_is_meant(lab):
    with StandIn(lab, {"hold": {"cell": "bare-01", "state": "under way", "will": WILL}}) as orchestrator:
        assert run_app(["hold", "bare-01", "--now"]) == 0
        assert run_app(["hold", "bare-01"]) == 0
    assert [asked["now"] for asked in orchestrator.asked] == [True, False]
    assert len({asked["id"] for asked in orchestrator.asked}) == 2


def test_a_script_gets_the_answer_as_json(lab, capsys):
    with StandIn(lab, {"stop": {"cell": "bare-01", "state": "under way", "will": WILL}}):
        assert run_app(["stop", "bare-01", "--json"]) == 0
    out, err = capsys.readouterr()
    expected = {"schema": "labctl.command/1", "op": "stop", "cell": "bare-01", "state": "under way", "will": WILL}
    assert json.loads(out) == expected
    assert err == ""


@pytest.mark.parametrize("op", [*COMMANDS, "confirm"])
def test_a_command_whose_answer_was_lost_is_said_again_under_the_same_id(lab, op):
    answer = {"cell": "bare-01", "state": "under way", "will": WILL, "from": "cabinet/1", "to": "probe/1"}
    barcode = ["--barcode", "B0001"] if op == "confirm" else []
    with StandIn(lab, {op: answer}, breaks=1) as orchestrator:
        assert run_app([op, "bare-01", *barcode]) == 0
    first, second = orchestrator.asked
    assert first == second


def test_an_orchestrator_that_never_answers_is_exit_3_and_says_that_repeating_is_safe(lab, capsys):
    with StandIn(lab, {"hold": {}}, breaks=9) as orchestrator:
        assert run_app(["hold", "bare-01"]) == 3
    assert len(orchestrator.asked) == 2
    err = capsys.readouterr().err
    assert "'hold bare-01'" in err
    assert "no harm" in err


@pytest.mark.parametrize("op", [*COMMANDS, "explain"])
def test_a_command_without_an_orchestrator_is_exit_3(lab, capsys, op):
    assert run_app([op, "bare-01"]) == 3
    assert "no orchestrator is running" in capsys.readouterr().err


def refuse(error):
    def handler(request):
        raise error

    return handler


def test_what_the_orchestrator_declines_is_its_message_and_exit_code(lab, capsys):
    wrong = refuse(NotConfirmed("bare-01 has barcode B0001, not B0002"))
    never = refuse(UsageError("no step of bare-01 has failed", hint="'labctl explain' says what it is doing"))
    with StandIn(lab, {"confirm": wrong, "retry": never}):
        assert run_app(["confirm", "bare-01", "--barcode", "B0002"]) == 8
        assert run_app(["retry", "bare-01"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "bare-01 has barcode B0001, not B0002",
        "no step of bare-01 has failed; 'labctl explain' says what it is doing",
    ]


def test_a_confirmation_says_where_the_cell_was_and_is(lab, capsys):
    with StandIn(lab, {"confirm": {"cell": "bare-01", "from": "cabinet/1", "to": "probe/1"}}) as orchestrator:
        assert run_app(["confirm", "bare-01", "--barcode", "B0001", "--user", "ana"]) == 0
    assert "was at cabinet/1 and is now at probe/1" in capsys.readouterr().err
    assert (orchestrator.asked[0]["barcode"], orchestrator.asked[0]["user"]) == ("B0001", "ana")


EXPLAINED = {
    "schema": "labctl.explain/1",
    "cell": "bare-01",
    "campaign": "lab-1",
    "mode": "simulated",
    "state": "under way",
    "doing": "waiting for the spectrometer",
    "since": "2026-03-01T10:00:00.000+00:00",
    "waits_for": "topspin and probe/1",
    "held_by": [
        {
            "operation": "lab-1/bare-02/c001/02-nmr-charged/a1",
            "cell": "bare-02",
            "resource": "topspin",
            "since": "2026-03-01T09:30:00.000+00:00",
        }
    ],
    "wanted": "hold",
    "last": {"step": "c001/01-charge", "status": "ok", "ended": "2026-03-01T09:59:00.000+00:00", "voltage_V": 4.3},
    "next": [
        {"step": "c001/02-nmr-charged", "kind": "nmr", "instrument": "topspin", "start_within_s": 7200.0},
        {"step": "c001/03-discharge", "kind": "discharge", "instrument": None, "start_within_s": None},
    ],
    "limits": "2.8 V to 4.4 V, 5 mA",
    "if_power_fails": "the cell is at open circuit; nothing flows, and its place in the queue is kept in the journal",
    "advice": "labctl resume bare-01",
}


@pytest.mark.parametrize("width", ["80", "120"])
def test_explain_says_everything_and_fits_the_terminal(lab, capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", width)
    with StandIn(lab, {"explain": {"explain": EXPLAINED}}):
        assert run_app(["explain", "bare-01"]) == 0
    out = capsys.readouterr().out
    for words in (
        "SIMULATED",
        "since 03-01 10:00 UTC",
        "bare-02: topspin",
        "4.300 V",
        "within 2.0 h",
        "2.8 V to 4.4 V",
    ):
        assert words in out
    assert "c001/03-discharge: discharge\n" in out
    assert "labctl resume bare-01" in out
    assert max(map(len, out.splitlines())) <= int(width)


def test_explain_leaves_out_what_does_not_apply_and_gives_json_as_it_came(lab, capsys):
    bare = {**EXPLAINED, "waits_for": None, "held_by": [], "wanted": None, "last": None, "next": [], "limits": None}
    with StandIn(lab, {"explain": {"explain": bare}}):
        assert run_app(["explain", "bare-01"]) == 0
        text = capsys.readouterr().out
        assert run_app(["explain", "bare-01", "--json"]) == 0
    assert not {"waits for", "held by", "before", "next", "limits"} & {line[:15].strip() for line in text.splitlines()}
    assert json.loads(capsys.readouterr().out) == bare


def test_the_log_tells_events_and_the_ways_of_operations_in_order(lab, journal, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    begin(journal)
    operation = charge(journal)
    journal.running(operation, {"channel": 1})
    journal.note("command", "ana: hold", cell="bare-01")
    journal.needs_operator(operation, "the tester can't say")
    assert run_app(["log"]) == 0
    lines = capsys.readouterr().out.splitlines()
    words = ["campaign lab-1 begins", "c001/01-charge runs", "ana: hold", "needs_operator: the tester can't say"]
    assert len(lines) == len(words)
    assert all(word in line for word, line in zip(words, lines, strict=True))


def test_the_log_of_one_cell_is_of_that_cell_and_the_last_lines_are_the_newest(lab, journal, capsys):
    begin(journal)
    for n in range(5):
        journal.note("command", f"word {n}", cell="bare-01")
        journal.note("command", f"other {n}", cell="bare-02")
    assert run_app(["log", "--cell", "bare-01", "--last", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[-1] for line in lines] == ["word 3", "word 4"]


def test_the_log_for_scripts_has_every_status_with_its_time(lab, journal, capsys):
    begin(journal)
    operation = charge(journal)
    assert run_app(["log", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["status"] for line in lines if line["operation"] == operation] == ["requested", "leased", "intent"]
    times = journal.operation(operation).times
    assert [line["at"] for line in lines if line["status"] == "leased"] == [times["leased"]]


def test_a_followed_log_tells_what_comes_and_nothing_twice(lab, journal, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    begin(journal)
    operation = charge(journal)
    happens = [
        lambda: journal.running(operation, {"channel": 1}),
        lambda: None,
        lambda: journal.note("hiccup", "reconnected", instrument="maccor"),
        lambda: journal.failed(operation, "the channel reports a fault"),
    ]

    def pause(_seconds):
        if not happens:
            raise KeyboardInterrupt
        happens.pop(0)()

    monkeypatch.setattr("labctl.cli.log.pause", pause)
    assert run_app(["log", "-f"]) == 130
    lines = capsys.readouterr().out.splitlines()
    words = ["campaign lab-1 begins", "c001/01-charge runs", "reconnected", "failed: the channel reports a fault"]
    assert len(lines) == len(words)
    assert all(word in line for word, line in zip(words, lines, strict=True))


def test_a_log_folds_under_itself_in_a_narrow_window(lab, journal, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    journal.note("alarm", "the voltage of the cell is outside its limits " * 4, cell="bare-01")
    assert run_app(["log"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 2
    assert max(map(len, lines)) <= 80
    assert all(line.startswith(" " * 30) for line in lines[1:])


def test_a_log_where_there_is_no_journal_says_so(lab, capsys):
    assert run_app(["log"]) == JournalError.exit_code
    assert "there is no journal here" in capsys.readouterr().err


ALARM = {
    "alarm": 3,
    "at": "2026-03-01T10:00:00.000+00:00",
    "severity": "trip",
    "message": "maccor: no answer",
    "cell": None,
    "instrument": "maccor",
    "acknowledged": None,
    "by": None,
}


def test_alarms_are_listed_acknowledged_and_reset(lab, capsys):
    def alarms(request):
        seen = {**ALARM, "acknowledged": ALARM["at"], "by": request.get("user")}
        return {"alarms": {"list": [ALARM], "ack": [seen], "reset": []}[request["action"]]}

    with StandIn(lab, {"alarms": alarms}) as orchestrator:
        assert run_app(["alarms", "list"]) == 0
        assert "maccor: no answer" in capsys.readouterr().out
        assert run_app(["alarms", "ack", "3", "--user", "ana"]) == 0
        out, err = capsys.readouterr()
        assert "seen by ana" in out
        assert "acknowledged by ana" in err
        assert run_app(["alarms", "reset", "3", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"schema": "labctl.alarms/1", "alarms": []}
    assert [(asked["action"], asked.get("alarm")) for asked in orchestrator.asked] == [
        ("list", None),
        ("ack", 3),
        ("reset", 3),
    ]


def test_alarms_can_be_listed_without_an_orchestrator_but_not_changed(lab, journal, capsys):
    journal.alarm("pause", "the hold timed out", cell="bare-01")
    assert run_app(["alarms", "list"]) == 0
    out, err = capsys.readouterr()
    assert "the hold timed out" in out
    assert "last words" in err
    assert run_app(["alarms", "reset", "1"]) == 3


def test_alarms_of_an_empty_folder_are_exit_3(lab):
    assert run_app(["alarms", "list"]) == 3


# -- labctl run as a client ----------------------------------------------------------------------------------------


def progress(*answers):
    left = list(answers)
    return lambda request: left.pop(0) if len(left) > 1 else left[0]


def test_run_where_an_orchestrator_runs_hands_over_and_follows_to_the_same_end(laboratory):
    first = {"lines": [[1, "bare-01", "rest"], [2, "bare-02", "rest"]], "states": {}, "ended": False}
    second = {
        "lines": [[3, "bare-01", "finished"]],
        "states": {"bare-01": "finished", "bare-02": "held"},
        "ended": True,
    }
    answers = {"begin": {"campaign": "dead-lithium-1", "joined": False}, "progress": progress(first, second)}
    with StandIn(laboratory.folder, answers) as orchestrator:
        ran = laboratory.labctl("run", HERE, "--simulate")
    assert ran.returncode == 1, ran.stderr
    for words in ("is handed over", "bare-02          rest", "1 cells finished", "bare-02 is held"):
        assert words in ran.stderr
    begun, *looks = orchestrator.asked
    assert begun["simulate"] is True
    for kind, name in (("protocol", HERE), ("station", "station.yaml"), ("cells", "cells.yaml")):
        assert begun["files"][kind]["text"] == (laboratory.folder / name).read_text()
    assert [look["after"] for look in looks] == [0, 2]


def test_run_checks_its_files_before_it_hands_them_over(laboratory):
    laboratory.replace(HERE, "at_most: 16 h", "at_most: 16")
    with StandIn(laboratory.folder, {"begin": {"campaign": "x", "joined": False}}) as orchestrator:
        ran = laboratory.labctl("run", HERE, "--simulate")
    assert ran.returncode == 6
    assert orchestrator.asked == []


def test_a_second_orchestrator_that_is_insisted_on_is_refused(laboratory):
    with StandIn(laboratory.folder, {"begin": {"campaign": "x", "joined": False}}) as orchestrator:
        assert laboratory.labctl("run", HERE, "--simulate", "--orchestrator").returncode == 5
        hurried = laboratory.labctl("run", HERE, "--simulate", "--accelerate")
    assert hurried.returncode == 2
    assert "leave it out" in hurried.stderr
    assert orchestrator.asked == []


def test_a_held_laboratory_that_does_not_answer_is_exit_5(laboratory):
    with StandIn(laboratory.folder, {"begin": {}}, breaks=99):
        ran = laboratory.labctl("run", HERE, "--simulate")
    assert ran.returncode == 5
    assert "another orchestrator runs here" in ran.stderr


def test_what_the_orchestrator_declines_to_begin_is_said(laboratory):
    refused = refuse(UsageError("bare-01 is in campaign dead-lithium-1 already"))
    with StandIn(laboratory.folder, {"begin": refused}):
        ran = laboratory.labctl("run", HERE, "--simulate")
    assert ran.returncode == 2
    assert "bare-01 is in campaign dead-lithium-1 already" in ran.stderr


def test_ctrl_c_ends_the_following_and_nothing_else(laboratory):
    under_way = {"lines": [[1, "bare-01", "rest"]], "states": {"bare-01": "under way"}, "ended": False}
    answers = {"begin": {"campaign": "dead-lithium-1", "joined": True}, "progress": under_way}
    with StandIn(laboratory.folder, answers) as orchestrator:
        process = laboratory.begin("run", HERE, "--simulate")
        told = ""
        while "bare-01          rest" not in told:
            line = process.stdout.readline()
            assert line, told
            told += line
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "runs there already" in told
    assert "the orchestrator and its instruments go on" in rest
    assert {asked["op"] for asked in orchestrator.asked} == {"begin", "progress"}


def test_an_orchestrator_that_goes_away_leaves_its_follower_with_a_word(laboratory):
    under_way = {"lines": [[1, "bare-01", "rest"]], "states": {"bare-01": "under way"}, "ended": False}
    answers = {"begin": {"campaign": "dead-lithium-1", "joined": False}, "progress": under_way}
    with StandIn(laboratory.folder, answers):
        process = laboratory.begin("run", HERE, "--simulate")
        while "bare-01          rest" not in (line := process.stdout.readline()):
            assert line
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "went away before campaign dead-lithium-1 had ended; 'labctl run' with the same files" in rest
