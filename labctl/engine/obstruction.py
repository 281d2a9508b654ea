"""Why something that is waited for can't be had, in words: who has it, and a chamber at another temperature. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from labctl.engine.grants import Obstacle
from labctl.engine.needs import Option, split
from labctl.engine.wording import degrees
from labctl.units import parse

#: What is said before the operation or cell that has it.
_WHY: Final[Mapping[str, str]] = {
    "held": "is held by ",
    "reserved": "is kept for ",
    "kept": "belongs to ",
    "busy": "has to wait for ",
    "closed": "is never there for long enough, or not booked for long enough",
}


def is_closed(found: Sequence[Obstacle]) -> bool:
    """Whether nothing but people's hours and bookings is in the way."""
    return all(one.why == "closed" for one in found)


def reasons(found: Sequence[Obstacle], held: Mapping[str, Option]) -> str:
    """Say what keeps a need from its option; empty if nothing does.

    Parameters
    ----------
    found : sequence of Obstacle
        All that is in the way of that option.
    held : mapping of str to tuple of str
        Operation to what it holds, of all that hold anything.
    """
    return ", ".join(_reason(one, held) for one in found)


def _reason(one: Obstacle, held: Mapping[str, Option]) -> str:
    name, wanted = split(one.resource)
    others = {by: value for by, resources in held.items() for other, value in map(split, resources) if other == name}
    others = {by: value for by, value in others.items() if value and value != wanted}
    if wanted and others:
        cells = ", ".join(sorted({by.split("/")[1] for by in others}))
        return (
            f"{name} can't be at {_degrees(wanted)} while it is at {_degrees(next(iter(others.values())))} for {cells} "
            "(a second chamber would help, or starts that lie apart)"
        )
    what = f"{name} at {_degrees(wanted)}" if wanted else one.resource.removeprefix("operator:")
    return f"{what} {_WHY[one.why]}{one.by}"


def _degrees(value: str) -> str:
    return degrees(parse(value, "temperature"))
