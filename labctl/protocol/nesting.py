"""What stands around a step, ``repeat`` and ``when``, and the conditions that come of it when a plan is made.

A condition is the same for all steps that it is around: it is decided once, for the first of them that is due.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from labctl.documents import Path
from labctl.protocol.conditions import Expression

if TYPE_CHECKING:
    from labctl.protocol.walk import Placed


@dataclass(frozen=True, slots=True)
class Loop:
    """A ``repeat`` around a step.

    Attributes
    ----------
    path : Path
        Where it stands.
    count : int
        How often at most.
    until : Expression or None
        What ends it before.
    """

    path: Path
    count: int
    until: Expression | None


@dataclass(frozen=True, slots=True)
class Branch:
    """One side of a ``when`` around a step; ``wants`` is false for the steps under ``else``."""

    path: Path
    condition: Expression
    wants: bool


Around = Loop | Branch


@dataclass(frozen=True, slots=True)
class Condition:
    """What decides, when an operation is due, whether it is done.

    Attributes
    ----------
    key : str
        Of which ``when`` or loop of this plan.
    number : int
        Which turn of a loop; 0 for a ``when``. Once a loop has ended no later turn is done.
    expression : Expression
        What is asked.
    wants : bool
        Whether it must hold, or must not.
    """

    key: str
    number: int
    expression: Expression
    wants: bool

    @property
    def id(self) -> str:
        """Under which its decision is kept."""
        return f"{self.key}@{self.number}" if self.number else self.key


def of_cycle(path: Path, cycle: int, first: int, until: Expression | None) -> tuple[Condition, ...]:
    """Give the condition of one turn of a ``cycle`` that may end before its count."""
    return (Condition(key_of(path), cycle, until, False),) if until is not None and cycle > first else ()


def unrolled(
    steps: Sequence[Placed], cycle: int, conditions: tuple[Condition, ...] = ()
) -> Iterator[tuple[Placed, str, tuple[Condition, ...]]]:
    """Give the steps of one cycle as often as they are planned.

    Yields
    ------
    tuple of Placed, str, tuple of Condition
        The step, what tells its turns apart in its path (``r2-``), and its conditions, the outermost first.
    """
    yield from _within(steps, 0, f"c{cycle:03d}/", "", conditions)


def _within(
    steps: Sequence[Placed], depth: int, cycle: str, turns: str, conditions: tuple[Condition, ...]
) -> Iterator[tuple[Placed, str, tuple[Condition, ...]]]:
    for around, group in groupby(steps, key=lambda step: step.within[depth] if len(step.within) > depth else None):
        inner = tuple(group)
        if around is None:
            yield from ((step, turns, conditions) for step in inner)
        elif isinstance(around, Branch):
            own = Condition(f"{cycle}{turns}{key_of(around.path)}", 0, around.condition, around.wants)
            yield from _within(inner, depth + 1, cycle, turns, (*conditions, own))
        else:
            key = f"{cycle}{turns}{key_of(around.path)}"
            for turn in range(1, around.count + 1):
                ended = around.until is not None and turn > 1
                own_turn = (Condition(key, turn, around.until, False),) if ended and around.until is not None else ()
                yield from _within(inner, depth + 1, cycle, f"{turns}r{turn}-", (*conditions, *own_turn))


def key_of(path: Path) -> str:
    """Name a ``when`` or loop by its place in the file."""
    return "/".join(str(item) for item in path)
