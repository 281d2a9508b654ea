"""A simulated laboratory that is a process of its own: the instruments go on whatever becomes of labctl."""

import os
import signal
import sys

import pytest
from simulated_laboratory import ask, cycler_alone, quick, running, simulated, wait_for

from labctl.engine.clock import WallClock
from labctl.journal import Journal, Status

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C and kills are sent as POSIX signals")


def journal_of(laboratory):
    return Journal(laboratory.folder / "labctl.sqlite", WallClock())


def records_of(laboratory) -> dict[str, int]:
    """Number of the last record of each test of the cycler, as its bundle in the results has it."""
    found = {}
    for path in (laboratory.folder / "results").rglob("*.0[0-9][0-9]"):
        if path.suffix == ".000":
            continue  # the procedure
        found[path.stem] = int(path.read_text("latin-1").splitlines()[-1].split("\t")[0])
    return found


def states(place) -> list[str]:
    """States of all tests that the cycler has had."""
    return [test["state"] for test in ask(place, "tests", instrument="maccor")["tests"]]


def test_a_campaign_in_a_laboratory_of_its_own_runs_to_its_end_without_a_hiccup(laboratory):
    quick(laboratory, "bare-01")
    with simulated(laboratory, speed=4000, seed=7) as place:
        ran = laboratory.labctl("run", "protocols/dead-lithium.yaml", "--simulate")
        assert ran.returncode == 0, ran.stderr
        assert ask(place, "violations")["violations"] == []
        tests = ask(place, "tests", instrument="maccor")["tests"]
    journal = journal_of(laboratory)
    assert [event.text for event in journal.events() if event.category in ("hiccup", "fault")] == []
    (campaign,) = journal.campaigns()
    assert (campaign.mode, campaign.settings["seed"]) == ("simulated", 7)
    assert {row.status for row in journal.operations()} == {Status.DONE}
    journal.close()
    assert {test["test"]: test["records"] for test in tests} == records_of(laboratory)
    assert (laboratory.folder / "results" / campaign.campaign / "analysis.json").is_file()


def test_instruments_go_on_while_labctl_is_killed_and_the_next_run_fetches_everything_whole(laboratory):
    cycler_alone(laboratory, "bare-01")
    with simulated(laboratory, speed=1000, seed=7) as place:
        with running(laboratory):
            # The rest is over, the charge has begun; now comes the kill.
            wait_for(lambda: states(place) == ["cleared", "active"])
        assert states(place) == ["cleared", "active"]
        wait_for(lambda: states(place) == ["cleared", "completed"])
        ran = laboratory.labctl("run", "protocols/dead-lithium.yaml", "--simulate")
        assert ran.returncode == 0, ran.stderr
        log = ask(place, "log", instrument="maccor")["log"]
        tests = ask(place, "tests", instrument="maccor")["tests"]
        assert ask(place, "violations")["violations"] == []
    started = [one["test"] for one in log if one["event"] == "started"]
    assert len(started) == len(set(started)) == len(tests)
    assert {test["test"]: test["records"] for test in tests} == records_of(laboratory)


def test_a_laboratory_that_was_stopped_goes_on_with_the_same_cells_and_another_speed(laboratory):
    cycler_alone(laboratory, "bare-01")
    with simulated(laboratory, speed=500, seed=11) as place:
        with running(laboratory) as detached:
            wait_for(lambda: "active" in states(place))
            detached.send_signal(signal.SIGTERM)
            assert detached.wait(timeout=30) == 130
        before = ask(place, "log", instrument="maccor")["log"]
    with simulated(laboratory, speed=4000, seed=0) as place:
        assert place["seed"] == 11
        ran = laboratory.labctl("run", "protocols/dead-lithium.yaml", "--simulate")
        assert ran.returncode == 0, ran.stderr
        log = ask(place, "log", instrument="maccor")["log"]
        assert log[: len(before)] == before
        assert ask(place, "violations")["violations"] == []


def test_what_makes_no_sense_beside_a_laboratory_of_its_own_is_refused(laboratory):
    laboratory.keep_cells("bare-01", "coated-01")
    with simulated(laboratory, speed=10, seed=7):
        second = laboratory.labctl("simulate")
        assert (second.returncode, "another process" in second.stderr) == (5, True)
        hurried = laboratory.labctl("run", "protocols/dead-lithium.yaml", "--simulate", "--accelerate")
        assert (hurried.returncode, "--accelerate" in hurried.stderr) == (2, True)
        laboratory.replace("cells.yaml", "area: 1.0 cm2", "area: 1.5 cm2")
        other = laboratory.labctl("run", "protocols/dead-lithium.yaml", "--simulate")
        assert (other.returncode, "'bare-01.area_m2'" in other.stderr) == (2, True)
    assert not (laboratory.folder / "results").exists()


def test_a_laboratory_that_was_killed_is_not_taken_for_the_one_it_was(laboratory):
    laboratory.keep_cells("bare-01")
    with simulated(laboratory, speed=10, seed=7) as place:
        assert (laboratory.folder / "simulation.json").stat().st_mode & 0o077 == 0
        os.kill(place["pid"], signal.SIGKILL)
        wait_for(lambda: place["process"].poll() is not None)
    again = laboratory.labctl("simulate")
    assert (again.returncode, "killed with its process" in again.stderr) == (1, True)
