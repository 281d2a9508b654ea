"""How often a fault is tried again, by its class, and what comes after: a table, so that nobody has to guess.

Drivers rebuild their session and ask again at once, three times; what reaches the engine has outlived that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from labctl.errors import InstrumentError
from labctl.instruments import Busy, Garbled, NotReachable, TimedOut


@dataclass(frozen=True, slots=True)
class Policy:
    """What is done about one class of fault.

    Attributes
    ----------
    waits : tuple of float
        Seconds before each of the first retries; the last one is used for all further ones.
    attempts : int
        Retries before a person is asked.
    """

    waits: tuple[float, ...]
    attempts: int

    def wait(self, retry: int) -> float:
        """Seconds before retry number ``retry``, counted from 0."""
        return self.waits[min(retry, len(self.waits) - 1)]


# The instrument holds its own limits while it can't be reached, so a day of trying costs the cell nothing.
_CONNECTION: Final = Policy((1.0, 5.0, 30.0), 2880)

#: Classes that are not here (refused, out of range, a fault of the instrument's own) are never tried again.
POLICIES: Final[Mapping[type[InstrumentError], Policy]] = {
    NotReachable: _CONNECTION,
    TimedOut: _CONNECTION,
    Garbled: _CONNECTION,
    Busy: Policy((60.0,), 60),
}


def policy_for(error: Exception) -> Policy | None:
    """Give the policy for a fault, None where it is never tried again."""
    return next((policy for kind, policy in POLICIES.items() if isinstance(error, kind)), None)


def worth_a_line(retry: int) -> bool:
    """Whether a retry gets a line in the history: the first ones, then every hundredth, so that it stays readable."""
    return retry < 3 or retry % 100 == 0
