"""Eight cells, and people at a second terminal: what they say is carried out at once, once, and written down."""

import sys

import pytest
from second_terminal import HEAD, journal, running, simulated, until

from labctl.engine.clock import real_seconds
from labctl.journal import Status

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills are sent as POSIX signals")

CELLS = [f"{group}-0{number}" for group in ("bare", "coated") for number in (1, 2, 3, 4)]
REST, CHARGE, DISCHARGE = "c000/01-rest", "c001/01-charge", "c001/02-discharge"

#: A short rest, then a charge that lasts for hours.
STEPS = """
steps:
  - rest: {duration: 8 s}
  - cycle:
      count: 2
      steps:
        - charge: {current: 0.2 mA/cm2, until: {voltage: upper}, at_most: 16 h}
        - discharge: {current: 0.2 mA/cm2, until: {voltage: lower}, at_most: 16 h}
"""


@pytest.fixture
def eight(laboratory):
    """A laboratory of eight cells with a protocol for the cycler alone."""
    laboratory.protocol.write_text(HEAD + STEPS)
    for cycle in (1, 15):
        laboratory.replace("cells.yaml", f", measure_at: [{cycle}]", "")
    return laboratory


def within_a_second(condition, what):
    began = real_seconds()
    until(condition, what, 1.0)
    return real_seconds() - began


def test_every_command_is_carried_out_within_a_second_and_once(eight):
    with simulated(eight) as terminal, running(eight):
        until(lambda: set(terminal.cells()) == set(CELLS) and terminal.state("bare-01") == "resting", "it rests")
        # After the step: taken at once, carried out at its end.
        said = terminal.say("hold", "bare-01", "--reason", "weekend", "--user", "ana")
        assert "held when its step has ended" in said
        assert terminal.explain("bare-01")["wanted"] == "hold"
        assert "as was asked for already" in terminal.say("hold", "bare-01", "--user", "bo")
        terminal.say("stop", "bare-02", "--reason", "enough", "--user", "bo")
        assert terminal.state("bare-01") == terminal.state("bare-02") == "resting"
        until(lambda: all(terminal.state(cell) == "charging" for cell in CELLS[2:]), "all others charge")
        until(lambda: (terminal.state("bare-01"), terminal.state("bare-02")) == ("held", "stopped"), "after the rest")
        assert terminal.events(1).count("started") == terminal.events(2).count("started") == 1, (
            "neither began to charge"
        )

        # Now: to open circuit in the middle of a charge, and on with the same operation.
        terminal.say("hold", "bare-03", "--now", "--reason", "look at it", "--user", "ana")
        within_a_second(lambda: terminal.state("bare-03") == "held", "held now")
        within_a_second(lambda: terminal.cells()["bare-03"]["current_A"] == 0.0, "nothing flows")
        assert terminal.events(3)[-1] == "suspended"
        assert "held already" in terminal.say("hold", "bare-03", "--now")
        told = terminal.explain("bare-03")
        assert told["doing"].startswith("held by ana: look at it; charging on maccor channel 3")
        assert "interrupted" in told["if_power_fails"]
        terminal.say("resume", "bare-03", "--user", "ana")
        within_a_second(lambda: terminal.state("bare-03") == "charging", "goes on")
        within_a_second(lambda: terminal.events(3)[-1] == "resumed", "current flows again")
        assert "under way already" in terminal.say("resume", "bare-03")
        assert terminal.events(3).count("started") == 2, "the rest and one charge"

        # Abort; again changes nothing; nothing else makes sense any more.
        terminal.say("abort", "bare-04", "--reason", "leaks", "--user", "ana")
        within_a_second(lambda: terminal.state("bare-04") == "aborted", "aborted")
        assert "suspended" in terminal.events(4)
        assert "aborted already" in terminal.say("abort", "bare-04")
        assert terminal.refused("resume", "bare-04")[0] == 2

        # Skip: of a running step and of one that a held cell is at.
        terminal.say("skip", "coated-01", "--reason", "enough charge")
        within_a_second(lambda: terminal.step("coated-01") != CHARGE, "the charge is left out")
        terminal.say("skip", "bare-01", "--reason", "no charge today")
        within_a_second(lambda: terminal.state("bare-01") != "held", "it goes on")
        assert terminal.step("bare-01") != CHARGE

        # Retry of a step that has failed: somebody took the cell off while it was held, and it was let go on.
        assert terminal.refused("retry", "coated-02")[0] == 2, "nothing has failed"
        terminal.ask("hold", cell="coated-02", now=True)
        until(lambda: terminal.state("coated-02") == "held", "held now")
        terminal.laboratory_says("move", cell="coated-02", to="bench")
        terminal.ask("resume", cell="coated-02")
        until(lambda: "failed" in terminal.log("coated-02"), "the failure is seen")
        until(lambda: terminal.state("coated-02") == "held", "and the cell held")
        assert terminal.refused("resume", "coated-02")[0] == 2
        terminal.laboratory_says("move", cell="coated-02", to="cabinet/6")
        terminal.say("retry", "coated-02", "--reason", "put back", "--user", "ana")
        until(lambda: terminal.state("coated-02") == "charging", "it is charged again")

        for cell, words in {
            "bare-01": ("ana: hold bare-01: weekend", "bare-01 is held: weekend; by ana", "no charge today"),
            "bare-02": ("bo: stop bare-02: enough", "bare-02 is stopped: enough; by bo"),
            "bare-03": ("ana: hold bare-03: look at it", "ana: resume bare-03"),
            "bare-04": ("ana: abort bare-04: leaks", "bare-04 is aborted: leaks; by ana"),
            "coated-02": ("ana: retry coated-02: put back",),
        }.items():
            told = terminal.log(cell)
            assert [word for word in words if word not in told] == []
    with journal(eight) as kept:
        tries = [row for row in kept.operations(cell="coated-02") if row.step == CHARGE]
        assert [(row.attempt, row.status) for row in tries] == [(1, Status.FAILED), (2, Status.RUNNING)]
        assert [row.result.get("skipped") for row in kept.operations(cell="bare-01") if row.step == CHARGE] == [True]


def test_what_was_asked_for_outlives_a_kill_and_a_held_cell_stays_held(eight):
    with simulated(eight) as terminal:
        with running(eight):
            until(lambda: [*terminal.states().values()] == ["resting"] * 8, "all rest")
            asked = {"cell": "bare-01", "user": "ana", "reason": "weekend", "id": "the-same"}
            first = terminal.ask("hold", **asked)
            terminal.say("stop", "bare-02", "--user", "ana", "--reason", "enough")
            terminal.say("hold", "bare-03", "--now", "--user", "ana", "--reason", "look at it")
            until(lambda: terminal.state("bare-03") == "held", "held now")
        # Killed between the commit of hold and stop and the end of the step after which they come about.
        until(lambda: terminal.tests(1) == ["completed"], "the cycler ends the rest by itself")
        with running(eight):
            until(lambda: terminal.state("coated-04") == "charging", "others go on")
            until(lambda: (terminal.state("bare-01"), terminal.state("bare-02")) == ("held", "stopped"), "as asked")
            assert terminal.state("bare-03") == "held"
            assert terminal.ask("hold", **asked) == first, "the same command again, after the kill"
            assert terminal.events(3)[-1] == "suspended"
            told = terminal.explain("bare-03")
            assert told["doing"].startswith("held by ana: look at it; resting on maccor channel 3")
            terminal.say("resume", "bare-03")
            until(lambda: terminal.events(3)[-1] == "resumed", "it goes on with the same rest")
            assert terminal.events(1).count("started") == terminal.events(2).count("started") == 1
            assert terminal.events(3).count("started") == 1
