"""Decides, when an operation of a cell is due, whether the protocol's conditions let it be done.

Once: the decision and the values that it rests on are written with the operation's request, before it counts, so that
whoever is killed at whatever instant finds it made or not made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labctl.engine.decided import Decided
from labctl.engine.values import Values, why_missing
from labctl.journal import Journal, Status
from labctl.protocol import Condition, PlannedOperation, Protocol
from labctl.protocol.conditions import Missing, Value, holds, names
from labctl.units import KINDS, show


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of an operation that is due.

    Attributes
    ----------
    does : bool
        Whether it is done.
    made : tuple of mapping
        Decisions that were made for it just now, to be written down before anything else.
    why : str
        Why it is left out, or what it rests on.
    """

    does: bool
    made: tuple[Mapping[str, Any], ...]
    why: str


class NotYet(Exception):
    """A condition rests on a value that is not there; the words are for a person."""


class Deciding:
    """Conditions of one cell's plan.

    Parameters
    ----------
    journal : Journal
        Has the decisions and the values.
    campaign, cell : str
        Whose.
    plan : sequence of PlannedOperation
        Its plan.
    protocol : Protocol
        Says of which cycle the state of health is counted.
    """

    def __init__(
        self, journal: Journal, campaign: str, cell: str, plan: Sequence[PlannedOperation], protocol: Protocol
    ) -> None:
        self._journal = journal
        self._campaign = campaign
        self._cell = cell
        self._plan = plan
        self._decided = Decided()
        reference = protocol.measure.reference if protocol.measure is not None else 1
        self._values = Values(journal, campaign, cell, reference)

    def take_up(self, reached: Mapping[str, Status]) -> set[str]:
        """Read what was decided before, and give the steps that were passed over without a row of their own."""
        if not any(planned.conditions for planned in self._plan):
            return set()
        self._decided = Decided(self._journal.operations(campaign=self._campaign, cell=self._cell))
        return {one.path for one in self._plan if one.path not in reached and self._decided.out(one)}

    def out(self, planned: PlannedOperation) -> bool:
        """Whether an operation is left out by what was decided."""
        return self._decided.out(planned)

    def of(self, planned: PlannedOperation, at: int) -> Verdict:
        """Decide what is not decided yet of an operation, the step number ``at`` of the plan.

        Raises
        ------
        NotYet
            A value is not there.
        """
        made: list[Mapping[str, Any]] = []
        why = ""
        values: Mapping[str, Value] | None = None
        for condition in planned.conditions:
            passes = self._decided.passes(condition)
            if passes is None:
                if values is None:
                    ahead = [one for one in self._plan[at:] if not self._decided.out(one)]
                    values = self._values.at(self._decided.cycle(planned), ahead)
                made.append(_decide(planned, condition, values))
                passes = made[-1]["holds"] is condition.wants
                why = _told(made[-1])
            if not passes:
                return Verdict(False, tuple(made), f"left out: {why or condition.expression.text}")
        return Verdict(True, tuple(made), why)

    def count(self, made: Sequence[Mapping[str, Any]]) -> None:
        """Let decisions count that were written down."""
        self._decided.add(made)


def _decide(planned: PlannedOperation, condition: Condition, values: Mapping[str, Value]) -> Mapping[str, Any]:
    expression = condition.expression
    try:
        held = holds(expression.tree, values)
    except Missing as missing:
        told = f"{planned.path}: '{expression.text}' can't be told, '{missing.name}' is not known"
        raise NotYet(f"{told}: {why_missing(missing.name)}") from None
    used = {name: values[name] for name in dict.fromkeys(names(expression.tree)) if name in values}
    return {"id": condition.id, "if": expression.text, "holds": held, "values": used}


def _told(decision: Mapping[str, Any]) -> str:
    values = ", ".join(f"{name} = {_shown(name, value)}" for name, value in decision["values"].items())
    return f"'{decision['if']}' is {'true' if decision['holds'] else 'false'} ({values})"


def _shown(name: str, value: Value) -> str:
    kinds = {"soh": "ratio", "ce": "ratio", "voltage": "voltage", "temperature": "temperature"}
    kind = kinds.get(name, "capacity" if name.endswith("_capacity") else None)
    if isinstance(value, str) or kind is None:
        return f"{value:g}" if isinstance(value, float) else f"'{value}'"
    return show(float(value), KINDS[kind][1])
