"""How much of the scarce instruments each user has had, so that the next turn is fair. Pure, and exact: whole
milliseconds are added, so the sum is the same in whatever order and from whichever journal it is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from labctl.engine.needs import split

DAY: Final = 86_400.0
#: What was used counts half after so many days.
HALF_LIFE_DAYS: Final = 7
#: And not at all after so many.
FORGOTTEN_DAYS: Final = 70


@dataclass(frozen=True, slots=True)
class Interval:
    """One lease that has ended.

    Attributes
    ----------
    user : str
        Whose it was.
    since, until : float
        When it was granted and given back, s UTC.
    """

    user: str
    since: float
    until: float


def scarce(resources: Sequence[str]) -> bool:
    """Whether a lease counts: it has a whole instrument or a person, not only a channel, a place or a temperature."""
    return any("/" not in name and ":" not in name and not value for name, value in map(split, resources))


def usage(intervals: Iterable[Interval], now: float) -> dict[str, float]:
    """Sum up, for each user, the seconds that count at ``now`` (s UTC).

    A lease counts half for every week since the day it ended; the days are those of UTC, so that two users' order does
    not change from one moment to the next.
    """
    account = Account(intervals)
    return dict(account.used(now))


class Account:
    """The running sum of :func:`usage`: adding one lease costs nothing, and the answers are the same."""

    def __init__(self, intervals: Iterable[Interval] = ()) -> None:
        self._intervals = list(intervals)
        self._day: float | None = None
        self._sums: dict[str, int] = {}
        self._used: dict[str, float] = {}

    def add(self, interval: Interval) -> None:
        """Count one more lease."""
        self._intervals.append(interval)
        if self._day is not None:
            self._count(interval, self._day)

    def used(self, now: float) -> Mapping[str, float]:
        """Seconds per user, as :func:`usage` would sum them."""
        day = now // DAY
        if day != self._day:
            self._day, self._sums, self._used = day, {}, {}
            self._intervals = [one for one in self._intervals if day - one.until // DAY <= FORGOTTEN_DAYS]
            for interval in self._intervals:
                self._count(interval, day)
        return self._used

    def _count(self, interval: Interval, day: float) -> None:
        age = max(0.0, day - interval.until // DAY)
        if age > FORGOTTEN_DAYS:
            return
        weighed = round(1e3 * max(0.0, interval.until - interval.since) * 0.5 ** (age / HALF_LIFE_DAYS))
        self._sums[interval.user] = self._sums.get(interval.user, 0) + weighed
        self._used[interval.user] = self._sums[interval.user] / 1e3
