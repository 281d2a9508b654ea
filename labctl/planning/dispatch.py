"""Plays a campaign through as the engine would run it: whoever is ready asks, and the most urgent gets what is free.

The same policy as :mod:`labctl.engine.grants` on a coarser grain: one instant of asking for each visit, no reservations
for those who have waited long, no shares between users. What a proposal is judged by in the end is a dry run of the
engine itself; this is what tries thousands of proposals in its stead.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from labctl.errors import LabctlError
from labctl.planning.holding_back import Span, earliest, taken_by, wanted
from labctl.planning.problem import NEVER, Chain, Problem, Stay, Visit

#: As the engine's: waiting raises a need by one level of priority per so many seconds.
AGEING: Final = 12 * 3600.0


class NeverEnds(LabctlError):
    """The campaign can't come to its end: somebody waits for what never comes."""

    category = "plan"


@dataclass(frozen=True, slots=True)
class Walk:
    """A person brings a cell to its visit number ``visit``, or takes it away (``way`` is ``in`` or ``out``)."""

    at: float
    cell: str
    visit: int
    way: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a campaign went.

    Attributes
    ----------
    stays : tuple of Stay
        Of all cells, in the order of their beginnings.
    starts, finish : mapping of str to float
        By cell.
    walks : tuple of Walk
        What people do, in order.
    """

    stays: tuple[Stay, ...]
    starts: Mapping[str, float]
    finish: Mapping[str, float]
    walks: tuple[Walk, ...] = ()

    @property
    def makespan(self) -> float:
        """Seconds from the beginning of the campaign to its end."""
        return max(self.finish.values(), default=0.0)

    @property
    def late(self) -> int:
        """How many measurements began later than they should."""
        return sum(stay.late > 0 for stay in self.stays)

    @property
    def lateness(self) -> float:
        """By how much all together, in s."""
        return sum(stay.late for stay in self.stays)

    @property
    def waited(self) -> float:
        """Seconds that all cells waited after their start."""
        return sum(stay.waited for stay in self.stays)

    def fresh(self, problem: Problem) -> float:
        """Seconds that cells waited which were to be measured within a time: freshly charged or discharged ones."""
        wanted = {
            (chain.cell, visit.path) for chain in problem.chains for visit in chain.visits if visit.within is not None
        }
        return sum(stay.waited for stay in self.stays if (stay.cell, stay.path) in wanted)


@dataclass(slots=True)
class _Cell:
    """Where one cell is on its way."""

    chain: Chain
    index: int = 0
    asked: float = 0.0
    begun: float = 0.0
    started: float = 0.0
    worked: float = 0.0
    needed: float = 0.0
    kept: tuple[str, ...] = ()
    stays: list[Stay] = field(default_factory=list)

    @property
    def visit(self) -> Visit:
        return self.chain.visits[self.index]


def play(problem: Problem, starts: Mapping[str, float]) -> Outcome:
    """Play the campaign with a start for each cell (s; 0 where none is given).

    Raises
    ------
    NeverEnds
        A cell waits for somebody who never comes, or for a place that never becomes free.
    """
    return _Play(problem, starts).run()


class _Play:
    def __init__(self, problem: Problem, starts: Mapping[str, float]) -> None:
        self._problem = problem
        self._cells = [_Cell(chain) for chain in problem.chains]
        self._starts = {chain.cell: max(starts.get(chain.cell, 0.0), 0.0) for chain in problem.chains}
        self._held = dict.fromkeys(problem.resources, 0)
        self._settings: dict[str, list[float]] = {}
        self._warming = dict(problem.warming)
        self._busy = [0.0] * len(problem.people)
        self._waiting: list[tuple[tuple[float, float, int], int]] = []
        self._called: list[tuple[tuple[float, int], int, str]] = []
        self._events: list[tuple[float, int, str, int]] = []
        self._promised: dict[tuple[int, int], list[Span]] = {}
        self._order = 0
        self._finish: dict[str, float] = {}
        self._walks: list[Walk] = []
        self._shortest: dict[str, float] = {}
        for visit in (visit for chain in problem.chains for visit in chain.visits if not visit.needs):
            self._shortest[visit.path] = min(visit.work, self._shortest.get(visit.path, visit.work))
        self._known: dict[str, float] = {}

    def run(self) -> Outcome:
        for number, cell in enumerate(self._cells):
            self._at(self._starts[cell.chain.cell], "ask", number)
            cell.worked = self._starts[cell.chain.cell] - cell.chain.since
        while self._events:
            now = self._events[0][0]
            while self._events and self._events[0][0] <= now:
                _, _, what, number = heapq.heappop(self._events)
                if what == "ask":
                    self._ask(number, now)
                elif what == "begin":
                    self._queue(number, now)
                elif what != "look":
                    self._step(what, number, now)
            self._grant(now)
            self._send(now)
        stuck = [cell.chain.cell for cell in self._cells if cell.chain.cell not in self._finish]
        if stuck:
            one = next(cell for cell in self._cells if cell.chain.cell == stuck[0])
            raise NeverEnds(f"{stuck[0]} waits for ever before {one.visit.path}")
        stays = sorted((stay for cell in self._cells for stay in cell.stays), key=lambda stay: stay.begun)
        return Outcome(tuple(stays), self._starts, self._finish, tuple(self._walks))

    def _at(self, when: float, what: str, number: int = -1) -> None:
        if when < NEVER:
            self._order += 1
            heapq.heappush(self._events, (when, self._order, what, number))

    # -- a cell and its way through a visit --------------------------------------------------------------------------
    def _ask(self, number: int, now: float) -> None:
        cell = self._cells[number]
        if cell.index >= len(cell.chain.visits):
            self._free(cell.kept)
            self._finish[cell.chain.cell] = now
            return
        cell.asked = now
        if cell.visit.held_back and (not cell.visit.untried or self._known.get(cell.visit.path, NEVER) <= now):
            promised = [span for other, spans in self._promised.items() if other[0] != number for span in spans]
            begin = earliest(self._problem, cell.chain, cell.index, now, promised)
            self._promised[number, cell.index] = taken_by(wanted(cell.chain, cell.index), begin)
            self._at(begin, "begin", number)
        else:
            self._queue(number, now)

    def _queue(self, number: int, now: float) -> None:
        cell = self._cells[number]
        visit = cell.visit
        due = cell.worked + visit.within if visit.within is not None else math.inf
        self._order += 1
        waited = cell.chain.since if cell.index == 0 else 0.0
        level = self._age(now - waited) - cell.chain.priority
        self._waiting.append(((level, due, self._order), number))

    def _step(self, what: str, number: int, now: float) -> None:
        cell = self._cells[number]
        visit = cell.visit
        if what == "in":
            self._free(cell.kept)
            cell.kept = ()
            self._work(number, now)
        elif what == "worked":
            if visit.carry_out > 0:
                self._call(number, now, "out")
            else:
                self._leave(number, now)
        else:
            self._leave(number, now)

    def _begin(self, number: int, now: float) -> None:
        cell = self._cells[number]
        cell.begun = now
        for name in cell.visit.needs:
            self._held[name] += 1
        if cell.visit.setting is not None:
            self._settings.setdefault(cell.visit.setting[0], []).append(cell.visit.setting[1])
        if cell.visit.carry_in > 0:
            self._call(number, now, "in")
        else:
            self._free(cell.kept)
            cell.kept = ()
            self._work(number, now)

    def _work(self, number: int, now: float) -> None:
        cell = self._cells[number]
        visit = cell.visit
        if visit.path not in self._known:
            # How long it takes is known when the first cell has done it, whatever else that has done with it.
            self._known[visit.path] = now + self._shortest.get(visit.path, NEVER)
        before, cell.started = cell.worked, now + self._soak(visit, now)
        cell.worked = cell.started + visit.work
        delay = cell.started - before
        needed = visit.before_work + (cell.chain.visits[cell.index - 1].carry_out if cell.index else 0.0)
        late = max(delay - visit.within, 0.0) if visit.within is not None else 0.0
        cell.stays.append(
            Stay(cell.chain.cell, visit.path, cell.asked, cell.begun, cell.started, cell.worked, cell.worked,
                 delay, max(delay - needed, 0.0), late if late > 1e-6 else 0.0)
        )  # fmt: skip
        self._at(cell.worked, "worked", number)

    def _soak(self, visit: Visit, now: float) -> float:
        """Seconds until a cell that has been brought can be worked with: at least until its chamber is warm."""
        if visit.setting is None:
            return visit.soak
        return max(visit.soak, self._warming.setdefault(visit.setting[0], now) + visit.cold - now)

    def _leave(self, number: int, now: float) -> None:
        cell = self._cells[number]
        visit, last = cell.visit, cell.stays[-1]
        if now != last.ended:
            cell.stays[-1] = Stay(last.cell, last.path, last.asked, last.begun, last.started, last.worked, now,
                                  last.delay, last.waited, last.late)  # fmt: skip
        cell.kept = visit.stays
        self._free(tuple(name for name in visit.needs if name not in visit.stays))
        if visit.setting is not None:
            self._settings[visit.setting[0]].remove(visit.setting[1])
            if not self._settings[visit.setting[0]]:
                self._warming.pop(visit.setting[0], None)
        cell.index += 1
        self._ask(number, now)

    def _free(self, names: tuple[str, ...]) -> None:
        for name in names:
            self._held[name] -= 1

    # -- who gets what -----------------------------------------------------------------------------------------------
    def _grant(self, now: float) -> None:
        if not self._waiting:
            return
        self._waiting.sort()
        left = []
        for entry in self._waiting:
            if self._fits(self._cells[entry[1]], now):
                self._begin(entry[1], now)
            else:
                left.append(entry)
        self._waiting = left

    def _age(self, at: float) -> int:
        return math.floor((at + self._problem.past) / AGEING)

    def _fits(self, cell: _Cell, now: float) -> bool:
        visit = cell.visit
        for name in visit.needs:
            own = name in cell.kept
            if self._held[name] - own >= self._problem.units(name):
                return False
        if visit.setting is not None and any(
            one != visit.setting[1] for one in self._settings.get(visit.setting[0], ())
        ):
            return False
        for name in visit.needs:
            closed = self._problem.closed.get(name)
            if closed is not None and (clear := closed.first_clear(now, visit.length)) > now:
                self._at(clear, "look")
                return False
        return True

    def _call(self, number: int, now: float, way: str) -> None:
        """Ask for a person."""
        cell = self._cells[number]
        self._order += 1
        self._called.append(((self._age(now) - cell.chain.priority, self._order), number, way))

    def _send(self, now: float) -> None:
        if not self._called:
            return
        self._called.sort()
        left = []
        following = NEVER
        for entry in self._called:
            _, number, way = entry
            visit = self._cells[number].visit
            taken = visit.carry_in if way == "in" else visit.carry_out
            if not self._problem.people:
                self._walk(number, now, way, taken)
                continue
            free = [
                max(windows.first_in(max(busy, now)), now)
                for windows, busy in zip(self._problem.people, self._busy, strict=True)
            ]
            person = min(range(len(free)), key=free.__getitem__)
            if free[person] <= now:
                self._busy[person] = now + taken
                self._walk(number, now, way, taken)
            else:
                following = min(following, free[person])
                left.append(entry)
        self._called = left
        if left:
            self._at(following, "look")

    def _walk(self, number: int, now: float, way: str, taken: float) -> None:
        cell = self._cells[number]
        self._walks.append(Walk(now, cell.chain.cell, cell.index, way))
        self._at(now + taken, way, number)
