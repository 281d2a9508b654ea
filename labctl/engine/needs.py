"""What operations ask for, and in which order they are served. Pure.

A resource is a name: ``maccor:3`` (a channel), ``topspin`` (a whole instrument), ``probe/1`` (a place for one cell),
``operator`` (a person's attention). A name with a value, ``oven=313.15 K``, is shared by everyone who wants the same
value and by nobody else. A need takes one of its options whole, or nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

#: Waiting raises a need by one level of priority per so many seconds.
AGEING: Final = 12 * 3600.0
#: A need that has waited longer than so many seconds keeps what it waits for from those who come after it.
PATIENCE: Final = 2 * 3600.0
#: The same where a part of it is closed, such as a person at night: meanwhile others use the rest.
CLOSED_PATIENCE: Final = 24 * 3600.0

Option = tuple[str, ...]
#: The lower, the sooner; see :func:`standing`.
Standing = tuple[int, float, float, int, str]


@dataclass(frozen=True, slots=True)
class Need:
    """What an operation asks for.

    Attributes
    ----------
    operation : str
        Its id.
    cell : str
        For whom.
    order : int
        When it was requested, as the journal counts.
    options : tuple of tuple of str
        Any one of these sets of resources is enough; the first that is free is taken.
    priority : int
        Higher goes first.
    user : str
        Whose it is, for a fair share between users.
    since : float
        When it was requested, s on the UTC axis of the caller's clock.
    deadline : float or None
        When it should have started, s on the same axis.
    """

    operation: str
    cell: str
    order: int
    options: tuple[Option, ...]
    priority: int = 0
    user: str = ""
    since: float = 0.0
    deadline: float | None = None


@lru_cache(maxsize=65536)
def split(resource: str) -> tuple[str, str]:
    """Give name and value of a resource; the value is empty where it can't be shared."""
    name, _, value = resource.partition("=")
    return name, value


@lru_cache(maxsize=65536)
def is_place(resource: str) -> bool:
    """Whether a resource is a place for a cell: who has it has the cell."""
    return "/" in split(resource)[0]


def compatible(resource: str, held: Iterable[str]) -> bool:
    """Whether ``resource`` can be given while ``held`` are given to others."""
    name, value = split(resource)
    return all(name != split(other)[0] or (value != "" and value == split(other)[1]) for other in held)


def names(options: Iterable[Option]) -> set[str]:
    """Names, without values, of all resources of some options."""
    return {split(resource)[0] for option in options for resource in option}


def effective_priority(need: Need, now: float) -> int:
    """Priority and one level per :data:`AGEING` of waiting.

    All that wait rise at the same instants, so the order of two needs never changes while both wait. The number of
    levels is that of the whole periods waited, or one more.
    """
    return need.priority + math.floor(now / AGEING) - math.floor(need.since / AGEING)


def standing(need: Need, used: Mapping[str, float]) -> Standing:
    """Give the key by which needs are served, lowest first.

    Effective priority, then the earliest deadline (none comes last), then the user who has had least, then the order of
    the requests. It does not depend on the time.
    """
    return (
        math.floor(need.since / AGEING) - need.priority,
        math.inf if need.deadline is None else need.deadline,
        used.get(need.user, 0.0),
        need.order,
        need.operation,
    )
