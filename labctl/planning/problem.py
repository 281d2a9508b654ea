"""What is to be put in order: cells as chains of visits, what they share, and who is there when. Plain data.

A *visit* is what a cell does without giving back what it holds: a person carries it in, it soaks, the instrument works,
a person carries it out. What needs nothing that others need (cycling on its own channel) is a visit that needs nothing.
All times are seconds after the beginning of the campaign.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

#: Longer than any campaign.
NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Windows:
    """When somebody is there, or something is closed: from, to, in order, none touching the next."""

    spans: tuple[tuple[float, float], ...]

    def first_in(self, at: float) -> float:
        """Give the first instant from ``at`` on that lies inside; :data:`NEVER` if there is none."""
        index = bisect_right(self.spans, (at, NEVER)) - 1
        if index >= 0 and at < self.spans[index][1]:
            return at
        return self.spans[index + 1][0] if index + 1 < len(self.spans) else NEVER

    def first_clear(self, at: float, length: float) -> float:
        """Give the first instant from ``at`` on after which ``length`` seconds lie outside."""
        for begin, end in self.spans[max(bisect_right(self.spans, (at, NEVER)) - 1, 0) :]:
            if end <= at:
                continue
            if at + length <= begin:
                return at
            at = max(at, end)
        return at


#: Somebody who is always there.
ALWAYS: Final = Windows(((0.0, NEVER),))


@dataclass(frozen=True, slots=True)
class Visit:
    """One stay of one cell.

    Attributes
    ----------
    path : str
        Its first step, such as ``c015/02-nutation-charged``.
    needs : tuple of str
        What it holds, one of each, from its beginning to its end; empty where nobody else wants it.
    work : float
        Seconds that the instrument is busy.
    carry_in, carry_out : float
        Seconds that a person needs to bring the cell, and to take it away; 0 where nobody moves it.
    soak : float
        Seconds between being brought and the beginning of the work.
    within : float or None
        Seconds after the end of the work before, by which the work is to have begun.
    stays : tuple of str
        What of its needs it keeps until the next visit has fetched it from there: the slot in which it sits.
    setting : tuple of (str, float) or None
        A chamber and its temperature in K, which all who use it at a time must share.
    held_back : bool
        Whether it is a measured charge that begins so that people are there when it ends.
    cold : float
        Seconds of soaking from when its chamber was first claimed for this temperature; ``soak`` where that is longer.
    untried : bool
        Whether it is the first of its cell, so that its length is known only once another cell has done the same:
        before, it is not held back.
    """

    path: str
    needs: tuple[str, ...]
    work: float
    carry_in: float = 0.0
    carry_out: float = 0.0
    soak: float = 0.0
    within: float | None = None
    stays: tuple[str, ...] = ()
    setting: tuple[str, float] | None = None
    held_back: bool = False
    cold: float = 0.0
    untried: bool = False

    @property
    def length(self) -> float:
        """Seconds from beginning to end where it waits for nobody."""
        return self.carry_in + self.soak + self.work + self.carry_out

    @property
    def before_work(self) -> float:
        """Seconds from its beginning to that of the work, where it waits for nobody."""
        return self.carry_in + self.soak


@dataclass(frozen=True, slots=True)
class Chain:
    """One cell and its visits, in order.

    Attributes
    ----------
    cell : str
        Its id.
    group : str
        Cells of one group are replicates.
    visits : tuple of Visit
        In order.
    measure_at : tuple of int
        The cycles in which it is measured.
    priority : int
        Higher goes first.
    since : float
        Seconds at its start since the work before its first visit ended: what it has waited already.
    """

    cell: str
    group: str
    visits: tuple[Visit, ...]
    measure_at: tuple[int, ...] = ()
    priority: int = 5
    since: float = 0.0

    @property
    def length(self) -> float:
        """Seconds from its start to its end where it waits for nobody."""
        return sum(visit.length for visit in self.visits)


@dataclass(frozen=True)
class Problem:
    """Everything that decides about when what can be.

    Attributes
    ----------
    chains : tuple of Chain
        One for each cell.
    capacity : mapping of str to int
        How many can hold a resource at once; 1 for what is not named.
    people : tuple of Windows
        When each of those who move cells is there; empty where nobody has to be.
    closed : mapping of str to Windows
        When a resource can't be had, such as a spectrometer that others have booked.
    past : float
        Seconds before its beginning at which needs have last risen by waiting.
    warming : mapping of str to float
        When the chambers that are in use at its beginning were claimed.
    instead : mapping of str to tuple of str
        By resource, those of which any may serve, itself included: whoever finds one busy may be carried to another.
        Nobody knows before who will be; the lower bound takes them together.
    """

    chains: tuple[Chain, ...]
    capacity: Mapping[str, int] = field(default_factory=dict)
    people: tuple[Windows, ...] = (ALWAYS,)
    closed: Mapping[str, Windows] = field(default_factory=dict)
    past: float = 0.0
    warming: Mapping[str, float] = field(default_factory=dict)
    instead: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def units(self, resource: str) -> int:
        """Say how many can hold a resource at once."""
        return self.capacity.get(resource, 1)

    @property
    def resources(self) -> tuple[str, ...]:
        """Everything that any visit needs, sorted."""
        return tuple(sorted({name for chain in self.chains for visit in chain.visits for name in visit.needs}))

    def with_chains(self, chains: tuple[Chain, ...]) -> Problem:
        """Give the same laboratory with other chains."""
        return replace(self, chains=chains)

    def rounded(self, unit: float) -> Problem:
        """Give the same with every duration rounded up to whole units of so many seconds."""
        chains = tuple(
            replace(chain, visits=tuple(_rounded(visit, unit) for visit in chain.visits)) for chain in self.chains
        )
        return replace(self, chains=chains)


def _rounded(visit: Visit, unit: float) -> Visit:
    work, carry_in, carry_out, soak = (
        math.ceil(seconds / unit - 1e-9) * unit for seconds in (visit.work, visit.carry_in, visit.carry_out, visit.soak)
    )
    return replace(visit, work=work, carry_in=carry_in, carry_out=carry_out, soak=soak)


@dataclass(frozen=True, slots=True)
class Stay:
    """When a visit took place.

    Attributes
    ----------
    cell, path : str
        Whose, and which.
    asked : float
        When the cell was ready for it.
    begun : float
        When it got what it needs.
    started, worked : float
        Beginning and end of the work.
    ended : float
        When it gave everything back that it does not keep.
    delay : float
        From the end of the work before (or the start of the cell) to the beginning of this work.
    waited : float
        What of that was waiting, and not the carrying and soaking that is needed anyway.
    late : float
        By how much the work began later than it should; 0 where it did not.
    """

    cell: str
    path: str
    asked: float
    begun: float
    started: float
    worked: float
    ended: float
    delay: float
    waited: float
    late: float
