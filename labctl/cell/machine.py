"""The state machine of one cell: under way through its plan, held for a person, or at an end.

Where the cell is in its plan is data (an index into the paths of its operations); what may happen to it is the machine,
one for all cells, so that hundreds of cells cost nothing. It knows nothing of instruments, files or time: the engine
fires its triggers, and the journal is where it comes back from after a restart.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from transitions import Machine, MachineError

from labctl.errors import LabctlError

UNDER_WAY: Final = "under way"
HELD: Final = "held"
STOPPED: Final = "stopped"
ABORTED: Final = "aborted"
FINISHED: Final = "finished"

#: Nothing more happens to a cell in one of these.
ENDED: Final = frozenset({STOPPED, ABORTED, FINISHED})

# trigger, from, to; the first whose condition holds is taken
_TRANSITIONS: Final[list[dict[str, Any]]] = [
    {"trigger": "complete", "source": UNDER_WAY, "dest": FINISHED, "conditions": "at_last", "before": "go_on"},
    {"trigger": "complete", "source": UNDER_WAY, "dest": None, "before": "go_on"},
    {"trigger": "finish", "source": UNDER_WAY, "dest": FINISHED},
    {"trigger": "hold", "source": UNDER_WAY, "dest": HELD},
    {"trigger": "resume", "source": HELD, "dest": UNDER_WAY},
    {"trigger": "stop", "source": [UNDER_WAY, HELD], "dest": STOPPED},
    {"trigger": "abort", "source": [UNDER_WAY, HELD], "dest": ABORTED},
]
_MACHINE: Final = Machine(
    model=None,
    states=[UNDER_WAY, HELD, STOPPED, ABORTED, FINISHED],
    transitions=_TRANSITIONS,
    initial=UNDER_WAY,
    auto_transitions=False,
    send_event=False,
)


class CellMachine:
    """Where one cell is on its way.

    Parameters
    ----------
    cell : str
        Its id, for messages.
    steps : sequence of str
        Paths of the planned operations, in order, each once.
    """

    def __init__(self, cell: str, steps: Sequence[str]) -> None:
        self.cell = cell
        self.steps = steps
        self.state = UNDER_WAY if steps else FINISHED
        self._at = 0

    @property
    def step(self) -> str | None:
        """The operation that the cell is at, held or not; None where nothing comes any more."""
        return None if self.state in ENDED else self.steps[self._at]

    @property
    def at(self) -> int:
        """How many steps are behind it."""
        return self._at

    def at_last(self) -> bool:
        """Whether no step follows."""
        return self._at + 1 >= len(self.steps)

    def go_on(self) -> None:
        """Count the step as behind."""
        self._at += 1

    def fire(self, trigger: str) -> str:
        """Fire ``complete``, ``finish``, ``hold``, ``resume``, ``stop`` or ``abort`` and return the new state.

        Raises
        ------
        LabctlError
            The trigger makes no sense in this state.
        """
        event = _MACHINE.events.get(trigger)
        try:
            if event is None:
                raise LabctlError(f"cell {self.cell} is {self.state}: it cannot {trigger}")
            event.trigger(self)
        except MachineError as error:
            raise LabctlError(f"cell {self.cell} is {self.state}: it cannot {trigger}") from error
        return self.state

    def replay(self, completed: Collection[str]) -> str | None:
        """Go on from a journal: walk past every step that is complete, and give the step it is at."""
        if self.state == UNDER_WAY:
            while not self.at_last() and self.steps[self._at] in completed:
                self.go_on()
            if self.steps[self._at] in completed:
                self.fire("complete")
        return self.step
