"""What labctl relies on without having seen it on a Binder chamber, by its register map; and its clock. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from labctl_drivers.binder_map import RegisterMap

_ALWAYS: Final = (
    "whoever answers is taken for the chamber because its temperatures make sense; look at the display beside them",
    "alarms can't be read, no register for them is known; look at its panel, and wire its alarm contact if it has one",
    "what it does after a loss of mains; interrupt them once without cells, and see whether it goes on by itself",
    "the level of its safety controller can't be read; set it by hand above the protocol's limit",
)


def unverified(known: RegisterMap, asked_order: str) -> tuple[str, ...]:
    """Say what is not known of a chamber with this map, each with what to do."""
    doubts = [
        f"the registers of '{known.name}' ({known.known_from}); compare temperature and set-point with its display"
    ]
    doubts += _ALWAYS
    if asked_order == "probe":
        doubts.append("the order of words was found by which one makes sense; write it down as 'word_order'")
    if known.clock is None:
        doubts.append("its clock, no register for it is known; compare it with this PC's at the panel")
    return tuple(doubts)


def told_time(words: Sequence[int]) -> datetime | None:
    """Read the six words of a clock: year, month, day, hour, minute, second; None where they are no time."""
    year, month, day, hour, minute, second = words
    try:
        return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - the controller tells no time zone
    except ValueError:
        return None
