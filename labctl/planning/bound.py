"""What no order of these visits can be shorter than: a cell alone, and the load of whatever there is only one of.

For a resource, every visit is taken as a job of one machine: it can't begin before its cell could reach it alone
(head), and after it the cell needs what is left of its chain (tail). Served preemptively, the longest tail first, such
a machine is finished as early as it can be (J. R. Jackson, 1955; J. Carlier, Eur. J. Oper. Res. 11, 42, 1982). A
resource of several units, or several that serve instead of each other, count as one machine that is as many times
faster, and people as one that works only while
they are there; an instrument to which cells are carried works at night only as long as the one that was carried there
last. None of it makes the figure larger than the true optimum.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from labctl.planning.dispatch import play
from labctl.planning.problem import ALWAYS, NEVER, Problem, Windows

#: The name under which those who carry cells are counted.
PEOPLE = "people"


@dataclass(frozen=True, slots=True)
class LowerBound:
    """Below which no makespan can be.

    Attributes
    ----------
    seconds : float
        The largest of all.
    cell, cell_s : str, float
        The cell that needs longest alone, and how long it needs, working hours and bookings included.
    busiest, busiest_s : str, float
        The instrument, or ``people``, whose load needs longest; empty and 0 where nothing is shared.
    """

    seconds: float
    cell: str
    cell_s: float
    busiest: str
    busiest_s: float

    @property
    def why(self) -> str:
        """Name what limits it."""
        return f"{self.cell} alone" if self.cell_s >= self.busiest_s else f"the load of {self.busiest}"


@dataclass(frozen=True, slots=True)
class Job:
    """One visit, as a machine sees it: s."""

    head: float
    work: float
    tail: float


def lower_bound(problem: Problem) -> LowerBound:
    """Give the bound of a problem.

    Raises
    ------
    NeverEnds
        A cell could not even come to its end alone.
    """
    alone: dict[str, float] = {}
    jobs: dict[tuple[str, ...], list[Job]] = {}
    for given in problem.chains:
        # Whoever is held back could have begun at once.
        chain = replace(given, visits=tuple(replace(visit, held_back=False) for visit in given.visits))
        played = play(problem.with_chains((chain,)), {})
        alone[chain.cell] = played.makespan
        left = chain.length
        for visit, stay in zip(chain.visits, played.stays, strict=True):
            left -= visit.length
            for name in visit.needs:
                jobs.setdefault(problem.instead.get(name, (name,)), []).append(Job(stay.begun, visit.length, left))
            if visit.carry_in > 0:
                after = visit.soak + visit.work + visit.carry_out + left
                jobs.setdefault((PEOPLE,), []).append(Job(stay.begun, visit.carry_in, after))
            if visit.carry_out > 0:
                jobs.setdefault((PEOPLE,), []).append(Job(stay.worked, visit.carry_out, left))
    cell = max(alone, key=alone.__getitem__, default="")
    found = {" and ".join(names): _finished(problem, names, found) for names, found in jobs.items()}
    busiest = max(found, key=found.__getitem__, default="")
    cell_s, busiest_s = alone.get(cell, 0.0), found.get(busiest, 0.0)
    return LowerBound(max(cell_s, busiest_s), cell, cell_s, busiest, busiest_s)


def _finished(problem: Problem, names: tuple[str, ...], jobs: Sequence[Job]) -> float:
    name = names[0]
    if name == PEOPLE:
        if not problem.people:
            return 0.0
        # A walk that has begun is ended, whatever the hour.
        longest = max(job.work for job in jobs)
        windows = [_longer(one, longest) for one in problem.people]
        return preemptive(jobs, _speeds(windows))
    units = sum(map(problem.units, names))
    if units == 1 and problem.people and ALWAYS not in problem.people:
        carried = [visit for chain in problem.chains for visit in chain.visits if name in visit.needs]
        if all(visit.carry_in > 0 and visit.carry_out > 0 for visit in carried):
            # Nobody changes the cell at night: it does no more than end what it was given last.
            longest = max(visit.length for visit in carried)
            windows = [_longer(one, longest) for one in problem.people]
            return preemptive(jobs, [(begin, end, 1.0) for begin, end, _ in _speeds(windows)])
    closed = problem.closed.get(name)
    if closed is None or units > 1:
        return preemptive(jobs, [(0.0, NEVER, float(units))])
    return preemptive(jobs, [(begin, end, 1.0) for begin, end in _between(closed)])


def _longer(windows: Windows, seconds: float) -> Windows:
    if windows == ALWAYS:
        return windows
    found: list[tuple[float, float]] = []
    for begin, end in windows.spans:
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(end + seconds, found[-1][1])
        else:
            found.append((begin, end + seconds))
    return Windows(tuple(found))


def _between(closed: Windows) -> Iterable[tuple[float, float]]:
    at = 0.0
    for begin, end in closed.spans:
        if begin > at:
            yield at, begin
        at = max(at, end)
    yield at, NEVER


def _speeds(windows: Sequence[Windows]) -> list[tuple[float, float, float]]:
    """Give spans with the number of people who are there in each."""
    edges = sorted({edge for one in windows for span in one.spans for edge in span})
    return [
        (begin, end, float(count))
        for begin, end in itertools.pairwise(edges)
        if (count := sum(one.first_in(begin) <= begin for one in windows))
    ]


def preemptive(jobs: Sequence[Job], speeds: Sequence[tuple[float, float, float]]) -> float:
    """Serve jobs on one machine, the longest tail first, and give the largest end of work plus tail.

    Parameters
    ----------
    jobs : sequence of Job
        In any order.
    speeds : sequence of (float, float, float)
        From when to when the machine works (s), and how fast; in order.
    """
    coming = sorted(jobs, key=lambda job: job.head)
    ready: list[tuple[float, int, float]] = []
    latest, at, index, span = 0.0, 0.0, 0, 0
    while ready or index < len(coming):
        if not ready:
            at = max(at, coming[index].head)
        while index < len(coming) and coming[index].head <= at:
            heapq.heappush(ready, (-coming[index].tail, index, coming[index].work))
            index += 1
        while span < len(speeds) and speeds[span][1] <= at:
            span += 1
        if span == len(speeds):
            return NEVER
        begin, end, speed = speeds[span]
        at = max(at, begin)
        if index < len(coming) and coming[index].head <= at:
            continue
        tail, number, work = heapq.heappop(ready)
        until = min(at + work / speed, end, coming[index].head if index < len(coming) else NEVER)
        left = work - (until - at) * speed
        at = until
        if left > 1e-6:
            heapq.heappush(ready, (tail, number, left))
        else:
            latest = max(latest, at - tail)
    return latest
