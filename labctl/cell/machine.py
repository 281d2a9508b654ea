"""The state machine of one cell, built from the plan of its operations.

States are the planned operations by path, in order, then ``finished``. From any of them a cell can be ``held`` (it
waits for a person at open circuit) or ``aborted``. The machine knows nothing of instruments, files or time: the
engine fires its triggers, and the journal is where it comes back from after a restart.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Final

from transitions import Machine, MachineError

from labctl.errors import LabctlError

FINISHED: Final = "finished"
HELD: Final = "held"
ABORTED: Final = "aborted"


class CellMachine:
    """Where one cell is on its way.

    Parameters
    ----------
    cell : str
        Its id, for messages.
    steps : sequence of str
        Paths of the planned operations, in order, each once.
    """

    state: str

    def __init__(self, cell: str, steps: Sequence[str]) -> None:
        self.cell = cell
        self.steps = tuple(steps)
        self._machine = Machine(
            model=self,
            model_override=False,
            states=[*self.steps, FINISHED, HELD, ABORTED],
            initial=self.steps[0] if self.steps else FINISHED,
            auto_transitions=False,
            send_event=False,
        )
        for source, target in pairwise((*self.steps, FINISHED)):
            self._machine.add_transition("complete", source, target)
            self._machine.add_transition("hold", source, HELD, before="_remember")
            self._machine.add_transition(f"resume at {source}", HELD, source)
        self._machine.add_transition("abort", [*self.steps, HELD], ABORTED)
        self._held_at: str | None = None

    def _remember(self) -> None:
        self._held_at = self.state

    @property
    def step(self) -> str | None:
        """The operation that the cell is at, or None where it is not at one."""
        return self.state if self.state in self.steps else None

    def fire(self, trigger: str) -> str:
        """Fire ``complete``, ``hold``, ``resume`` or ``abort`` and return the new state.

        Raises
        ------
        LabctlError
            The trigger makes no sense in this state.
        """
        name = f"resume at {self._held_at}" if trigger == "resume" else trigger
        try:
            self.trigger(name)  # type: ignore[attr-defined]  # transitions adds it
        except (MachineError, AttributeError) as error:
            raise LabctlError(f"cell {self.cell} is {self.state}: it cannot {trigger}") from error
        return self.state

    def replay(self, completed: Collection[str]) -> str:
        """Go on from a journal: walk past every step that is complete."""
        while self.step is not None and self.step in completed:
            self.fire("complete")
        return self.state
