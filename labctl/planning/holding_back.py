"""When a measured charge begins, as the engine decides it: so that people are there when it ends.

The same search as :mod:`labctl.engine.delays`, on visits: a cell waits discharged, not freshly charged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from labctl.planning.problem import Chain, Problem

#: As the engine's, in s: between the beginnings that are looked at, and how far ahead; what carrying takes; between the
#: instants of a window that are looked at.
GRID: Final = 900.0
AHEAD: Final = 7 * 86400.0
CARRYING: Final = 900.0
WITHIN: Final = 600.0

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Somebody is wanted ``after`` s, or up to ``window`` s later; the spectrometer is then taken for ``lasts`` s."""

    after: float
    window: float
    lasts: float


def wanted(chain: Chain, index: int) -> list[Wanted]:
    """Say when people are wanted after visit ``index``, a measured charge, has begun."""
    found, passed = [], chain.visits[index].work
    for visit in chain.visits[index + 1 :]:
        if visit.setting is not None or (visit.carry_in > 0 and visit.within is None):
            break
        lasts = visit.soak + visit.work
        if visit.carry_in > 0 and visit.within is not None:
            lasts += 2 * CARRYING
            found.append(Wanted(passed, max(visit.within - CARRYING, 0.0), lasts))
        passed += lasts
    return found


def earliest(problem: Problem, chain: Chain, index: int, now: float, promised: Iterable[Span] = ()) -> float:
    """Give when visit ``index`` begins whose cell is ready ``now``, the spectrometer is ``promised``."""
    needs = wanted(chain, index)
    spans = list(promised)
    if not needs:
        return now
    opens = (end - now for closed in problem.closed.values() for _, end in closed.spans if now < end < math.inf)
    most = int((AHEAD + min(opens, default=0.0)) / GRID)
    for at_once, alone in ((True, True), (False, True), (False, False)):
        number = 0
        while number < most:
            begin = now + number * GRID
            ahead = _ahead(problem, begin, needs, at_once=at_once)
            if ahead:
                number += ahead
            elif alone and any(_overlap(taken, other) for taken in taken_by(needs, begin) for other in spans):
                number += 1
            else:
                return begin
    return now


def _ahead(problem: Problem, begin: float, needs: Sequence[Wanted], *, at_once: bool) -> int:
    """Give by how many steps of the grid a beginning must be later at least; 0 where it will do."""
    for need in needs:
        if not _is_there(problem, begin, need, at_once=at_once):
            at = begin + need.after
            there = min((one.first_in(at) for one in problem.people), default=at)
            left = there - at - (0.0 if at_once else need.window)
            return max(1, math.ceil(min(left, AHEAD) / GRID))
    return 0


def taken_by(needs: Sequence[Wanted], begin: float) -> list[Span]:
    """When the spectrometer is taken, if all goes at once."""
    return [(begin + need.after, begin + need.after + need.lasts) for need in needs]


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _is_there(problem: Problem, begin: float, need: Wanted, *, at_once: bool) -> bool:
    looks = 1 if at_once else int(need.window / WITHIN) + 1
    return any(_somebody(problem, begin + need.after + look * WITHIN) for look in range(looks))


def _somebody(problem: Problem, at: float) -> bool:
    if problem.people and not any(one.first_in(at) <= at for one in problem.people):
        return False
    return all(closed.first_in(at) > at for closed in problem.closed.values())
