"""Start offsets by constraint programming: CP-SAT of OR-tools, which the extra ``stagger`` brings.

Every stay is an interval on what it holds, every walk one on the people. Solved in three turns, each keeping what the
ones before it found: measurements that begin late, the makespan, the waiting of fresh cells. Whole minutes, rounded up.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from labctl.planning.dispatch import play
from labctl.planning.heuristic import ALIKE
from labctl.planning.problem import NEVER, Chain, Problem, Visit

#: Seconds of one unit of the solver's time.
UNIT: Final = 60.0
#: Real seconds that one turn takes at most, for each deterministic second that it is given.
PATIENCE: Final = 6.0
#: Waiting of fresh cells counts so many times as much as that of others.
FRESH: Final = 10


def is_installed() -> bool:
    """Whether the extra is there."""
    return importlib.util.find_spec("ortools") is not None


@dataclass(frozen=True, slots=True)
class Solved:
    """What the solver says; its own figures, which a run has yet to confirm.

    Attributes
    ----------
    starts : mapping of str to float
        By cell, s.
    late : int
        Measurements that begin late.
    makespan : float
        In s.
    bound : float
        Below which the solver has proven that no makespan can be (s), given what it had fixed before.
    status : str
        ``optimal`` where all three turns came to their end, else ``feasible``.
    """

    starts: Mapping[str, float]
    late: int
    makespan: float
    bound: float
    status: str


def _units(seconds: float) -> int:
    return math.ceil(seconds / UNIT - 1e-9)


@dataclass(slots=True)
class _Cell:
    """Variables of one cell."""

    start: Any
    first: Any
    finish: Any
    late: list[Any]
    fresh: list[Any]
    waited: list[Any]
    hints: list[tuple[Any, str, str]]


class _Model:
    """The problem in the solver's words."""

    def __init__(self, problem: Problem, limit: float) -> None:
        from ortools.sat.python import cp_model

        self._cp = cp_model
        self.model: Any = cp_model.CpModel()
        self._problem = problem
        self.limit = _units(limit)
        self._holds: dict[str, list[Any]] = {}
        self._settings: dict[str, dict[float, list[Any]]] = {}
        self._walks: list[Any] = []
        self._domain = self._people()
        self.cells = {chain.cell: self._chain(chain) for chain in problem.chains}
        self.makespan = self.model.new_int_var(0, self.limit, "makespan")
        self.model.add_max_equality(self.makespan, [cell.finish for cell in self.cells.values()])
        self._share()

    def _people(self) -> Any:
        """Give the minutes at which a walk can begin; None where any will do."""
        people = self._problem.people
        if not people or all(end == NEVER and begin <= 0 for one in people for begin, end in one.spans):
            return None
        spans = [
            (_units(begin), min(_units(end) - 1, self.limit))
            for one in people
            for begin, end in one.spans
            if _units(begin) < self.limit and _units(end) > _units(begin)
        ]
        return self._cp.Domain.from_intervals([list(span) for span in spans])

    def _time(self, name: str) -> Any:
        return self.model.new_int_var(0, self.limit, name)

    def _walk(self, name: str, after: Any, seconds: float) -> Any:
        """Have somebody carry the cell, not before ``after``; the beginning of it is returned."""
        begin = self._time(name) if self._domain is None else self.model.new_int_var_from_domain(self._domain, name)
        self.model.add(begin >= after)
        self._walks.append(self.model.new_fixed_size_interval_var(begin, _units(seconds), name))
        return begin

    def _chain(self, chain: Chain) -> _Cell:
        """Enter a cell: its visits in order, and what is held meanwhile."""
        model = self.model
        start = self._time(f"{chain.cell}:start")
        cell = _Cell(start, start, start, [], [], [], [(start, "", "start")])
        ended: Any = start
        worked: Any = start
        carried = 0
        alone: int | None = 0
        kept: list[tuple[str, Any]] = []
        for number, visit in enumerate(chain.visits):
            name = f"{chain.cell}:{number}"
            if not (visit.needs or visit.carry_in or visit.carry_out or visit.setting or kept):
                if visit.held_back:
                    begin = self._time(name)
                    cell.hints.append((begin, visit.path, "begun"))
                    model.add(begin >= ended)
                    ended, alone = begin, None
                worked = ended = ended + _units(visit.soak) + _units(visit.work)
                alone = alone + _units(visit.soak) + _units(visit.work) if alone is not None else None
                carried = 0
                continue
            begin = self._time(name)
            cell.hints.append((begin, visit.path, "begun"))
            model.add(begin >= ended)
            brought: Any = begin
            if visit.carry_in > 0:
                walk = self._walk(f"{name}:in", begin, visit.carry_in)
                cell.hints.append((walk, visit.path, "in"))
                brought = walk + _units(visit.carry_in)
                begin_work = walk
            else:
                begin_work = begin
            if alone is not None:
                # A cell need not be started before what comes first can follow without waiting.
                cell.first, alone = begin_work - alone, None
            for resource, since in kept:
                self._hold(resource, since, brought, f"{name}:kept")
            working = brought + _units(visit.soak)
            waited = self._time(f"{name}:waited")
            model.add(waited == working - worked - carried - _units(visit.carry_in) - _units(visit.soak))
            cell.waited.append(waited)
            if visit.within is not None:
                cell.fresh.append(cell.waited[-1])
                late = model.new_bool_var(f"{name}:late")
                model.add(working - worked <= int(visit.within / UNIT)).only_enforce_if(late.negated())
                cell.late.append(late)
            worked = working + _units(visit.work)
            ended = worked
            carried = _units(visit.carry_out)
            if visit.carry_out > 0:
                walk = self._walk(f"{name}:out", worked, visit.carry_out)
                cell.hints.append((walk, visit.path, "out"))
                ended = walk + carried
            self._hold_all(visit, begin, ended, name)
            kept = [(resource, ended) for resource in visit.stays]
        cell.finish = ended
        return cell

    def _hold_all(self, visit: Visit, begin: Any, ended: Any, name: str) -> None:
        for resource in visit.needs:
            self._hold(resource, begin, ended, name)
        if visit.setting is not None:
            chamber, value = visit.setting
            self._settings.setdefault(chamber, {}).setdefault(value, []).append((begin, ended))

    def _hold(self, resource: str, begin: Any, ended: Any, name: str) -> None:
        size = self._time(f"{name}:{resource}:size")
        interval = self.model.new_interval_var(begin, size, ended, f"{name}:{resource}")
        self._holds.setdefault(resource, []).append(interval)

    def _share(self) -> None:
        """Say how many can hold what at once, and when nobody can."""
        model = self.model
        for resource, intervals in self._holds.items():
            units = self._problem.units(resource)
            if units > 1:
                model.add_cumulative(intervals, [1] * len(intervals), units)
                continue
            closed = self._problem.closed.get(resource)
            shut = [
                model.new_fixed_size_interval_var(int(begin / UNIT), _units(end) - int(begin / UNIT), resource)
                for begin, end in (closed.spans if closed is not None else ())
                if begin / UNIT < self.limit
            ]
            model.add_no_overlap([*intervals, *shut])
        if self._walks and self._problem.people:
            self._share_people()
        for values in self._settings.values():
            self._keep_apart(values)

    def _share_people(self) -> None:
        people = self._problem.people
        absent = [
            self.model.new_fixed_size_interval_var(begin, end - begin, "absent")
            for one in people
            if len(people) > 1 and any(one != other for other in people)
            for begin, end in _gaps(one, self.limit)
        ]
        walks = [*self._walks, *absent]
        self.model.add_cumulative(walks, [1] * len(walks), len(people))

    def _keep_apart(self, values: Mapping[float, list[Any]]) -> None:
        """Have stays that want different temperatures of one chamber follow each other."""
        ordered = sorted(values)
        for index, value in enumerate(ordered):
            for other in ordered[index + 1 :]:
                for begin, ended in values[value]:
                    for other_begin, other_ended in values[other]:
                        first = self.model.new_bool_var("first")
                        self.model.add(other_begin >= ended).only_enforce_if(first)
                        self.model.add(begin >= other_ended).only_enforce_if(first.negated())

    def hint(self, starts: Mapping[str, float]) -> None:
        """Show the solver a play to begin from."""
        outcome = play(self._problem, {cell: _units(start) * UNIT for cell, start in starts.items()})
        visits = {(chain.cell, visit.path): visit for chain in self._problem.chains for visit in chain.visits}
        stays = {(stay.cell, stay.path): stay for stay in outcome.stays}
        for cell, variables in self.cells.items():
            for variable, path, what in variables.hints:
                if what == "start":
                    at = outcome.starts[cell]
                else:
                    stay, visit = stays[cell, path], visits[cell, path]
                    at = {
                        "begun": stay.begun,
                        "in": stay.started - visit.before_work,
                        "out": stay.ended - visit.carry_out,
                    }[what]
                self.model.add_hint(variable, min(_units(at), self.limit))
        self.model.add_hint(self.makespan, min(_units(outcome.makespan), self.limit))


def _gaps(windows: Any, limit: int) -> list[tuple[int, int]]:
    """When somebody is not there, in minutes."""
    found, at = [], 0
    for begin, end in windows.spans:
        if _units(begin) > at:
            found.append((at, min(_units(begin), limit)))
        at = limit if end == NEVER else _units(end)
        if at >= limit:
            return found
    return [*found, (at, limit)]


def solve(
    problem: Problem, limit: float, first: Mapping[str, float], *, effort: float = 20.0, seed: int = 1
) -> Solved | None:
    """Find starts with which all cells are done by ``limit`` (s); None where none are found.

    Parameters
    ----------
    first : mapping of str to float
        Starts to begin from.
    effort : float
        In the solver's deterministic seconds, all turns together: the same effort gives the same answer, unless the
        machine is so slow that :data:`PATIENCE` ends a turn before.

    Raises
    ------
    ImportError
        The extra is not installed.
    """
    whole = problem.rounded(UNIT)
    # What it begins from must be possible: rounding makes it a little longer.
    reached = play(whole, {cell: _units(start) * UNIT for cell, start in first.items()}).makespan
    built = _Model(whole, max(limit, reached + UNIT))
    cp = built._cp
    solver: Any = cp.CpSolver()
    parameters = solver.parameters
    parameters.random_seed = seed
    parameters.num_workers = 4
    # Takes turns instead of racing, so that the answer does not depend on the machine.
    parameters.interleave_search = True
    late = sum((one for cell in built.cells.values() for one in cell.late), start=0)
    waiting = sum((one for cell in built.cells.values() for one in cell.waited), start=0)
    fresh = sum((one for cell in built.cells.values() for one in cell.fresh), start=0)
    built.hint(first)
    # The starts alone: whatever else follows from them is found in no time, and a complete hint is not lost.
    parameters.fix_variables_to_their_hinted_value = True
    if solver.solve(built.model) in (cp.OPTIMAL, cp.FEASIBLE):
        _hint_all(built.model, solver)
    parameters.fix_variables_to_their_hinted_value = False
    found: Solved | None = None
    complete = True
    bound = 0.0
    for turn, (objective, share) in enumerate(((late, 0.4), (built.makespan, 0.2), (FRESH * fresh + waiting, 0.4))):
        if isinstance(objective, int):
            # Nothing of the kind is in this problem.
            continue
        built.model.minimize(objective)
        parameters.max_deterministic_time = effort * share
        parameters.max_time_in_seconds = effort * share * PATIENCE
        status = solver.solve(built.model)
        if status not in (cp.OPTIMAL, cp.FEASIBLE):
            return found
        complete &= status == cp.OPTIMAL
        makespan = solver.value(built.makespan)
        if turn == 1:
            bound = solver.best_objective_bound * UNIT
            built.model.add(built.makespan <= min(math.ceil(makespan * (1 + ALIKE)), built.limit))
        tardy = 0 if isinstance(late, int) else int(solver.value(late))
        if turn == 0:
            built.model.add(late <= tardy)
        starts = {cell: solver.value(variables.first) * UNIT for cell, variables in built.cells.items()}
        found = Solved(starts, tardy, makespan * UNIT, bound, "optimal" if complete else "feasible")
        _hint_all(built.model, solver)
    return found


def _hint_all(model: Any, solver: Any) -> None:
    """Have the solver begin the next turn where it ended this one."""
    model.clear_hints()
    for index in range(len(model.proto.variables)):
        variable = model.get_int_var_from_proto_index(index)
        model.add_hint(variable, solver.value(variable))
