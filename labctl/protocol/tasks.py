"""What steps by hand come to in a plan: a question, a note, work on a sample, a value to be typed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from labctl.protocol.handwork import (
    Assemble,
    ByHand,
    Disassemble,
    Effect,
    Mark,
    Measurement,
    PartOf,
    Pause,
)


@dataclass(frozen=True, slots=True)
class Question:
    """What an operator is asked.

    Attributes
    ----------
    ask : str
        The question.
    answers : mapping of str to str
        What can be answered, and what that does: ``continue``, ``end`` or ``hold``.
    on_timeout : str
        The same for no answer in time.
    """

    ask: str
    answers: Mapping[str, Effect] = field(hash=False)
    on_timeout: Effect


@dataclass(frozen=True, slots=True)
class Note:
    """What is marked in the history."""

    text: str


@dataclass(frozen=True, slots=True)
class Handling:
    """A sample is taken apart or put together.

    Attributes
    ----------
    gives : tuple of str
        Parts that come of it; empty where something is put together.
    takes : tuple of (str, str or None)
        Parts that it is put together from, each with the cell that it is a part of; None for this one.
    note : str
        What to heed.
    """

    gives: tuple[str, ...]
    takes: tuple[tuple[str, str | None], ...]
    note: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What an operator measures and types in.

    Attributes
    ----------
    what : str
        In words.
    kind : str
        A key of ``labctl.units.KINDS``.
    """

    what: str
    kind: str


Task = Question | Note | Handling | Reading


def task_of(body: ByHand) -> Task:
    """Resolve a step by hand."""
    match body:
        case Pause():
            return Question(body.ask, dict(body.answers), body.on_timeout)
        case Mark():
            return Note(body.note or body.as_)
        case Disassemble():
            return Handling(body.gives, (), body.note or "")
        case Assemble():
            takes = tuple((one.part, one.of) if isinstance(one, PartOf) else (one, None) for one in body.from_)
            return Handling((), takes, body.note or "")
        case Measurement():
            return Reading(body.what, body.kind)
