"""What a person was promised is done, even where labctl dies right behind the commit in which it was written down."""

import sys
from contextlib import contextmanager

import forked
import pytest
from second_terminal import HEAD, PROTOCOL, simulated, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills are sent as POSIX signals")

#: Runs labctl and ends it the hard way right behind the commit of a person's command.
DOOMED = """
import os, signal
from labctl.cli import main
from labctl.journal import Journal

control = Journal.control

def control_and_die(self, *arguments, command=None, **more):
    control(self, *arguments, command=command, **more)
    if command is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return self.cell(*arguments)

Journal.control = control_and_die
main()
"""
CHARGE = (
    "\nsteps:\n  - charge: {current: 0.2 mA/cm2, until: {voltage: upper}, at_most: 16 h}\n  - rest: {duration: 8 h}\n"
)


@contextmanager
def doomed(laboratory):
    """Run the campaign until it has written down the next command, and no longer."""
    process = forked.begin(["run", PROTOCOL, "--simulate"], laboratory.folder, DOOMED)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_command_is_carried_out_by_the_next_orchestrator_where_the_first_died_in_between(laboratory):
    laboratory.keep_cells("bare-01", "bare-02", "coated-01")
    laboratory.replace("cells.yaml", ", measure_at: [1]", "")
    laboratory.protocol.write_text(HEAD + CHARGE)
    channels = {"bare-01": 1, "bare-02": 2, "coated-01": 5}

    def last_event(cell):
        return (terminal.events(channels[cell]) or [None])[-1]

    with simulated(laboratory) as terminal:
        for op, cell, before in (
            ("hold", "bare-01", lambda: last_event("bare-01") == "started"),
            ("resume", "bare-01", lambda: terminal.state("bare-01") == "held"),
            ("abort", "bare-02", lambda: last_event("bare-01") == "resumed"),
            ("skip", "coated-01", lambda: terminal.state("bare-02") == "aborted"),
        ):
            with doomed(laboratory) as process:
                until(lambda before=before: terminal.cells() and before(), f"all is well before {op}")
                events = terminal.events(channels[cell])
                assert terminal.ask("explain", cell=cell)["explain"]["cell"] == cell
                more = {"now": True} if op == "hold" else {}
                assert terminal.lost(op, cell=cell, id=op, user="ana", reason="because", **more), "no answer came"
                assert process.wait(30) < 0
                assert terminal.events(channels[cell]) == events, "nothing has been done yet"
                assert f"ana: {op} {cell}: because" in terminal.log(cell)
        with doomed(laboratory):
            until(lambda: terminal.step("coated-01") == "c000/02-rest", "the charge is left out")
            assert "goes on" in terminal.ask("resume", cell="bare-01", id="resume")["will"], "the answer that was lost"
            assert terminal.state("bare-01") == "charging"
            until(lambda: terminal.events(channels["coated-01"]).count("started") > 1, "the rest has begun")
            started = [terminal.events(channel).count("started") for channel in channels.values()]
            assert started == [1, 1, 2]
            assert terminal.events(1).count("suspended") == terminal.events(1).count("resumed") == 1
            assert terminal.laboratory_says("violations")["violations"] == []
