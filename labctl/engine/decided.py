"""Which conditions of a cell's plan have been decided, and what is left out because of that. Pure.

A decision stands in the row of the operation that was due when it was made, as ``decisions``: its id, what was asked,
whether that held, and the values that it rested on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from labctl.journal import OperationRow
from labctl.protocol import Condition, PlannedOperation

#: Under which the decisions stand in an operation's result.
DECISIONS: Final = "decisions"


class Decided:
    """Decisions of one cell in one campaign."""

    def __init__(self, rows: Iterable[OperationRow] = ()) -> None:
        self._held: dict[str, bool] = {}
        self._ended: dict[str, int] = {}
        for row in rows:
            self.add(row.result.get(DECISIONS, ()))

    def __bool__(self) -> bool:
        return bool(self._held)

    def add(self, decisions: Iterable[Mapping[str, Any]]) -> None:
        """Take decisions as the journal has them."""
        for one in decisions:
            self._held[str(one["id"])] = bool(one["holds"])
            key, _, number = str(one["id"]).partition("@")
            if number and one["holds"]:
                self._ended[key] = min(int(number), self._ended.get(key, int(number)))

    def passes(self, condition: Condition) -> bool | None:
        """Say whether a condition lets its steps be done; None where that is not decided."""
        if condition.number:
            last = self._ended.get(condition.key)
            if last is not None and last <= condition.number:
                return False
        held = self._held.get(condition.id)
        return None if held is None else held is condition.wants

    def out(self, planned: PlannedOperation) -> bool:
        """Whether an operation is left out by what was decided."""
        return any(self.passes(condition) is False for condition in planned.conditions)

    def cycle(self, planned: PlannedOperation) -> int:
        """Give the cycle to which an operation belongs: what follows a loop belongs to its last one."""
        ended = self._ended.get(planned.after) if planned.after is not None else None
        return planned.cycle if ended is None else ended - 1
