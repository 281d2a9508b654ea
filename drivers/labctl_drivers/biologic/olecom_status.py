"""The 32 values of EC-Lab's status as what the driver wants of it. Pure.

EC-Lab leaves the values of a run that has ended where they are: of a channel that has stopped, only its state and its
voltage are taken. Source: the vendor's table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from labctl_drivers.biologic.backend import ChannelStatus, Doing

STATE, NUMBER, CODE, LOOPS, TIME, EWE, ECE, CURRENT, SAFETY, CONNECTION = 0, 4, 5, 9, 15, 16, 17, 19, 30, 31
#: Those by which a channel is judged: without a number there, a status tells nothing.
JUDGED: Final = (STATE, TIME, EWE, CURRENT, SAFETY, CONNECTION)

#: By the first value: word, and what the channel does. At a safety limit it is paused, its leads open.
STATES: Final = {
    0: ("stopped", Doing.STOPPED),
    1: ("running", Doing.RUNNING),
    2: ("paused", Doing.PAUSED),
    3: ("waiting for others to start with", Doing.RUNNING),
    4: ("stopped, recording", Doing.STOPPED),
    5: ("stopped, recording", Doing.STOPPED),
    6: ("paused at a safety limit", Doing.PAUSED),
}
SAFETY_PAUSE: Final = 6
LIMITS: Final = {
    1: "highest voltage",
    2: "lowest voltage",
    3: "current",
    4: "charge",
    7: "lowest voltage of a stack's working electrode",
    8: "lowest voltage of a stack's counter electrode",
    9: "highest voltage of a stack's working electrode",
    10: "highest voltage of a stack's counter electrode",
}


def connected(values: Sequence[float]) -> bool:
    """Whether EC-Lab still hears the instrument; if not, all other values are old."""
    return int(values[CONNECTION]) == 0


def word(values: Sequence[float]) -> str:
    """Status word for people."""
    return STATES.get(int(values[STATE]), (f"in state {int(values[STATE])}", Doing.RUNNING))[0]


def status_of(values: Sequence[float]) -> ChannelStatus | None:
    """Read a status; None where its state is not known."""
    state = int(values[STATE])
    if state not in STATES:
        return None
    doing = STATES[state][1]
    limit = int(values[SAFETY])
    at_limit = state == SAFETY_PAUSE
    message = ""
    if at_limit:
        message = f"safety limit of the {LIMITS[limit]}" if limit in LIMITS else "a safety limit"
    flows = doing is Doing.RUNNING
    return ChannelStatus(
        doing=doing,
        voltage=values[EWE],
        counter=values[ECE],
        current=values[CURRENT] if flows else 0.0,
        elapsed=values[TIME],
        message=message,
        failed=at_limit,
    )
