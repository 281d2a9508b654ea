"""A cell walks its plan in order, and a journal brings it back to where it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.cell import CellMachine
from labctl.errors import LabctlError

STEPS = [f"c{cycle:03d}/{step}" for cycle in range(1, 4) for step in ("01-charge", "04-discharge")]


def test_a_cell_takes_its_steps_in_order_and_finishes():
    machine = CellMachine("x", STEPS)
    seen = []
    while machine.step is not None:
        seen.append(machine.step)
        machine.fire("complete")
    assert seen == STEPS
    assert machine.state == "finished"


def test_a_held_cell_goes_on_where_it_was():
    machine = CellMachine("x", STEPS)
    machine.fire("complete")
    assert machine.fire("hold") == "held"
    assert machine.step == STEPS[1]
    assert machine.fire("resume") == "under way"
    assert machine.step == STEPS[1]


@pytest.mark.parametrize("end", ["abort", "stop"])
@pytest.mark.parametrize("trigger", ["complete", "hold", "resume", "nonsense"])
def test_an_ended_cell_stays_ended(end, trigger):
    machine = CellMachine("x", STEPS)
    state = machine.fire(end)
    with pytest.raises(LabctlError, match=state):
        machine.fire(trigger)
    assert machine.state == state
    assert machine.step is None


def test_a_held_cell_takes_no_step():
    machine = CellMachine("x", STEPS)
    machine.fire("hold")
    with pytest.raises(LabctlError, match="held"):
        machine.fire("complete")


@given(st.integers(0, len(STEPS)))
def test_replaying_a_journal_leads_to_the_step_after_the_last_complete_one(count):
    walked = CellMachine("x", STEPS)
    for _ in range(count):
        walked.fire("complete")
    replayed = CellMachine("x", STEPS)
    replayed.replay(set(STEPS[:count]))
    assert (replayed.state, replayed.step, replayed.at) == (walked.state, walked.step, count)


def test_a_cell_without_steps_is_finished():
    assert CellMachine("x", []).state == "finished"
