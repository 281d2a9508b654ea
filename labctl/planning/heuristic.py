"""Start offsets without a solver: each cell is put where it collides least with those already placed, then improved.

A cell alone, started at some instant, occupies what it needs at instants that follow from its chain and from the hours
of those who carry it. The longest chains are placed first, each where those instants are free; then single cells are
moved, as long as a play of the whole campaign becomes better for it.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from labctl.planning.dispatch import Outcome, play
from labctl.planning.holding_back import earliest
from labctl.planning.problem import ALWAYS, NEVER, Chain, Problem, Stay

#: Seconds between two starts that are tried.
STEP: Final = 1800.0
#: At most so many starts are tried for one cell.
MOST: Final = 400
#: Makespans that differ by less than this part of the bound count as one.
ALIKE: Final = 0.005
#: At most so many starts of one cell are played in each attempt to improve.
PLAYED: Final = 3

#: The lower, the better: measurements that begin late, makespan in steps of :data:`ALIKE`, seconds that fresh cells
#: wait, seconds that all wait, makespan.
Score = tuple[int, int, float, float, float]


def score(problem: Problem, outcome: Outcome, bound: float) -> Score:
    """Judge how a campaign went, for comparing it with another."""
    steps = int(outcome.makespan / (ALIKE * bound)) if bound > 0 else 0
    return outcome.late, steps, outcome.fresh(problem), outcome.waited, outcome.makespan


def alone(problem: Problem, chain: Chain, start: float) -> list[Stay]:
    """Give the stays of a cell that has everything for itself but people's hours and bookings."""
    people = problem.people
    found, at, before, carried = [], start, start, 0.0

    def somebody(when: float) -> float:
        return min((one.first_in(when) for one in people), default=when) if people else when

    for index, visit in enumerate(chain.visits):
        asked = at
        if visit.held_back:
            at = earliest(problem, chain, index, at)
        for name in visit.needs:
            closed = problem.closed.get(name)
            at = closed.first_clear(at, visit.length) if closed is not None else at
        begun = at
        if visit.carry_in > 0:
            at = somebody(at) + visit.carry_in
        started = at + visit.soak
        worked = started + visit.work
        at = somebody(worked) + visit.carry_out if visit.carry_out > 0 else worked
        delay = started - before
        late = max(delay - visit.within, 0.0) if visit.within is not None else 0.0
        waited = max(delay - visit.before_work - carried, 0.0)
        found.append(
            Stay(chain.cell, visit.path, asked, begun, started, worked, at, delay, waited, late if late > 1e-6 else 0.0)
        )
        before, carried = worked, visit.carry_out
    return found


def longest_start(problem: Problem, chain: Chain, limit: float) -> float:
    """Give the last start (s) with which a cell alone is done by ``limit``, to a minute; 0 where none is."""
    low, high = 0.0, max(limit - chain.length, 0.0)
    while high - low > 60.0:
        middle = (low + high) / 2
        if alone(problem, chain, middle)[-1].ended <= limit:
            low = middle
        else:
            high = middle
    return low


class _Occupied:
    """When a resource is held, and how much of a span that is."""

    def __init__(self, spans: Sequence[tuple[float, float]]) -> None:
        self._spans = sorted(spans)
        self._begins = [begin for begin, _ in self._spans]
        # Spans may overlap where a resource has several units: the latest end so far bounds the look back.
        self._ends = list(accumulate((end for _, end in self._spans), max))

    def overlap(self, begin: float, end: float) -> float:
        total, index = 0.0, bisect_left(self._begins, end) - 1
        while index >= 0 and self._ends[index] > begin:
            first, last = self._spans[index]
            total += max(min(last, end) - max(first, begin), 0.0)
            index -= 1
        return total


def _uses(problem: Problem, chain: Chain, stays: Sequence[Stay], margin: float) -> list[tuple[str, float, float]]:
    """Say from when to when a cell holds what only one can hold, people included; longer, the further away it is."""
    people = bool(problem.people)
    found = []
    for visit, stay in zip(chain.visits, stays, strict=True):
        slack = margin * (stay.begun - stays[0].begun)
        for name in visit.needs:
            if problem.units(name) == 1:
                found.append((name, stay.begun - slack, stay.ended + slack))
        if people and visit.carry_in > 0:
            found.append(("people", stay.started - visit.soak - visit.carry_in, stay.started - visit.soak))
        if people and visit.carry_out > 0:
            found.append(("people", stay.ended - visit.carry_out, stay.ended))
    return found


@dataclass
class _Board:
    """What the cells that have been placed occupy."""

    problem: Problem
    margin: float
    uses: dict[str, list[tuple[str, float, float]]] = field(default_factory=dict)

    def put(self, chain: Chain, stays: Sequence[Stay]) -> None:
        self.uses[chain.cell] = _uses(self.problem, chain, stays, self.margin)

    def ranked(self, chain: Chain, candidates: Sequence[float], limit: float) -> list[float]:
        """Order starts of a cell by what they cost beside the others: late, beyond the limit, in the way, waiting."""
        spans: dict[str, list[tuple[float, float]]] = {}
        for cell, uses in self.uses.items():
            if cell != chain.cell:
                for name, begin, end in uses:
                    spans.setdefault(name, []).append((begin, end))
        occupied = {name: _Occupied(found) for name, found in spans.items()}
        costs = []
        for start in candidates:
            stays = alone(self.problem, chain, start)
            crowd = len(self.problem.people)
            # One walk among several people is not in the way yet.
            overlap = sum(
                occupied[name].overlap(begin, end) / (crowd if name == "people" else 1)
                for name, begin, end in _uses(self.problem, chain, stays, self.margin)
                if name in occupied
            )
            late = sum(stay.late > 0 for stay in stays)
            beyond = max(stays[-1].ended - limit, 0.0)
            fresh = sum(s.waited for s, v in zip(stays, chain.visits, strict=True) if v.within is not None)
            costs.append((late, beyond, overlap + fresh, sum(stay.waited for stay in stays), start))
        return [cost[-1] for cost in sorted(costs)]


def _candidates(latest: float, shift: float = 0.0) -> list[float]:
    step = max(STEP, latest / MOST)
    found = [min(shift + number * step, latest) for number in range(int(latest / step) + 1)]
    return sorted({0.0, *found})


def construct(problem: Problem, limit: float, margin: float = 0.0) -> dict[str, float]:
    """Place the cells one by one, the longest first, so that each is done by ``limit`` (s) where that can be.

    Parameters
    ----------
    margin : float
        By which part of the time since its start a stay may come earlier or later than expected.
    """
    board = _Board(problem, margin)
    starts: dict[str, float] = {}
    for chain in sorted(problem.chains, key=lambda one: (-one.length, one.cell)):
        best = board.ranked(chain, _candidates(longest_start(problem, chain, limit)), limit)[0]
        starts[chain.cell] = best
        board.put(chain, alone(problem, chain, best))
    return starts


def improve(
    problem: Problem,
    starts: Mapping[str, float],
    bound: float,
    limit: float,
    *,
    rounds: int,
    seed: int = 0,
    margin: float = 0.0,
    judge: Callable[[Mapping[str, float]], tuple[float, ...]] | None = None,
) -> dict[str, float]:
    """Move single cells as long as that makes the whole better; the same arguments give the same answer.

    Parameters
    ----------
    bound : float
        Of the makespan, s.
    limit : float
        By when a cell alone should be done, s.
    rounds : int
        How many cells are tried to be moved.
    judge : callable, optional
        The lower, the better; without it, :func:`score` of one play.
    """
    draw = random.Random(seed)
    judged = judge or (lambda given: score(problem, play(problem, given), bound))
    current = dict(starts)
    best = judged(current)
    outcome = play(problem, current)
    chains = {chain.cell: chain for chain in problem.chains}
    latest = {cell: longest_start(problem, chain, limit) for cell, chain in chains.items()}
    for _ in range(rounds):
        waited: dict[str, float] = dict.fromkeys(chains, 60.0)
        for stay in outcome.stays:
            waited[stay.cell] += stay.waited + 10 * stay.late
        cell = draw.choices(list(waited), list(waited.values()))[0]
        board = _Board(problem, margin)
        by_cell: dict[str, list[Stay]] = {}
        for stay in outcome.stays:
            by_cell.setdefault(stay.cell, []).append(stay)
        for other, stays in by_cell.items():
            if other != cell:
                board.put(chains[other], stays)
        shift = draw.random() * max(STEP, latest[cell] / MOST)
        for start in board.ranked(chains[cell], _candidates(latest[cell], shift), limit)[:PLAYED]:
            tried = {**current, cell: start}
            found = judged(tried)
            if found < best:
                best, current = found, tried
                outcome = play(problem, current)
                break
    return current


def all_at_once(problem: Problem) -> dict[str, float]:
    """Start every cell with the campaign."""
    return {chain.cell: 0.0 for chain in problem.chains}


__all__ = ["ALWAYS", "NEVER", "Score", "all_at_once", "alone", "construct", "improve", "longest_start", "score"]
