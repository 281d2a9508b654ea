"""A plan anew from where a running campaign is: what every cell has left, and what it does of that now.

The visits and lengths are those of the plan that was made before, corrected by whoever reads the journal; here they are
put together with what is under way and played from now on. All times are seconds after the instant of planning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from labctl.planning.chains import joined, measured_held_back, slots_of, visits_of
from labctl.planning.dispatch import play
from labctl.planning.problem import ALWAYS, Chain, Problem, Visit, Windows
from labctl.planning.schedule import Action, Schedule, Span, Task

#: What is overdue takes at least so many seconds more, and at least this part of its length.
LITTLE: Final = 60.0
_PART: Final = 0.02
#: Seconds after which those begin that hold nothing: what is held now is taken first.
_AFTER: Final = 1.0
#: The reference standard goes before every cell.
_FIRST: Final = 1_000


class Phase(StrEnum):
    """What a cell does with the step that it is at, or still with the one before."""

    WAITING = "waiting"
    PREPARED = "prepared"
    RUNNING = "running"
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one cell is on its way.

    Attributes
    ----------
    cell, home, place : str
        Its id, where it belongs, where it sits.
    tasks : tuple of Task
        What is left of its plan, as long as it is expected to take; the step that it is at comes first.
    actions : tuple of Action
        The plan's transfers for these.
    phase : Phase
        What it does now.
    passed : float
        Seconds since the step runs, or since its cell lies ready for it.
    left : float or None
        Seconds that the step still takes, where its instrument tells.
    asked : float or None
        Seconds since a person was asked to move it; None where nobody is.
    since : float
        Seconds since the step before ended.
    start : float
        Seconds before which it does not begin.
    before : str
        Path of the step before.
    known : bool
        Whether the cell's capacity is known, so that a measured charge can be delayed until people are there.
    priority : int
        Higher goes first.
    """

    cell: str
    home: str
    place: str
    tasks: tuple[Task, ...]
    actions: tuple[Action, ...]
    phase: Phase = Phase.WAITING
    passed: float = 0.0
    left: float | None = None
    asked: float | None = None
    since: float = 0.0
    start: float = 0.0
    before: str = ""
    known: bool = True
    priority: int = 5


@dataclass(frozen=True, slots=True)
class Taken:
    """Instruments and slots that somebody else has, or will have before all others: for how long (s), from when on."""

    name: str
    needs: tuple[str, ...]
    seconds: float
    #: None for the first instant at which a cell wants them.
    start: float | None = 0.0


@dataclass(frozen=True, slots=True)
class Laboratory:
    """What a plan must know beside the cells: ways in s, slots of places, when people are there and what is closed.

    ``soaks`` is what :func:`soaks_of` gives, ``past`` as in :class:`labctl.planning.problem.Problem`.
    """

    walks: Mapping[tuple[str, str], float]
    capacity: Mapping[str, int]
    soaks: Mapping[tuple[str | None, ...], Span] = field(default_factory=dict)
    people: tuple[Windows, ...] = (ALWAYS,)
    closed: Mapping[str, Windows] = field(default_factory=dict)
    past: float = 0.0


@dataclass(frozen=True, slots=True)
class Start:
    """A step begins on something that cells share; ``late`` is by how much later than it should, s."""

    at: float
    cell: str
    path: str
    needs: tuple[str, ...]
    late: float


@dataclass(frozen=True, slots=True)
class Move:
    """A person moves a cell; ``asked`` where that is asked for already."""

    at: float
    cell: str
    source: str
    target: str
    path: str
    asked: bool


@dataclass(frozen=True, slots=True)
class Replanned:
    """What is to be expected.

    Attributes
    ----------
    finish : mapping of str to float
        When each cell comes to its end, s from now.
    starts : tuple of Start
        Those still to come, in order.
    moves : tuple of Move
        What people do, in order.
    """

    finish: Mapping[str, float]
    starts: tuple[Start, ...]
    moves: tuple[Move, ...]


def stretched(
    tasks: Sequence[Task], actions: Sequence[Action], factors: Mapping[str, float]
) -> tuple[tuple[Task, ...], tuple[Action, ...]]:
    """Give tasks of one cell another length, by the factor of their kind; what comes after is as much later."""
    later, found, moved = 0.0, list[Task](), list[Action]()
    for task in tasks:
        extra = (factors.get(task.kind, 1.0) - 1.0) * (task.end_s - task.start_s)
        for action in actions:
            if action.path == task.path:
                by = later if action.until_s <= task.start_s + 1e-6 else later + extra
                moved.append(replace(action, at_s=action.at_s + by, until_s=action.until_s + by))
        found.append(
            replace(
                task,
                held_s=task.held_s + later,
                start_s=task.start_s + later,
                end_s=task.end_s + later + extra,
                freed_s=task.freed_s + later + extra,
            )
        )
        later += extra
    return tuple(found), tuple(moved)


def replan(cells: Sequence[Standing], laboratory: Laboratory, taken: Sequence[Taken] = ()) -> Replanned:
    """Play the rest of a campaign.

    Raises
    ------
    NeverEnds
        A cell waits for somebody who never comes, or for a place that never becomes free.
    """
    by_hours = any(one != ALWAYS for one in laboratory.people) or bool(laboratory.closed)
    warming = _warming(cells, laboratory)
    chains = [_chain(cell, laboratory, by_hours) for cell in cells]
    starts = {cell.cell: _start(cell) for cell in cells}
    for one in taken:
        visit = Visit("", one.needs, max(one.seconds, LITTLE))
        at = one.start if one.start is not None else _first_wanted(chains, starts, one.needs)
        if at is not None:
            chains.append(Chain(one.name, "", (visit,), priority=_FIRST))
            starts[one.name] = at
    problem = Problem(
        tuple(chains), laboratory.capacity, laboratory.people, laboratory.closed, laboratory.past, warming
    )
    outcome = play(problem, starts)
    visits = {chain.cell: chain.visits for chain in chains}
    seen, begun = dict.fromkeys(visits, 0), list[Start]()
    for stay in outcome.stays:
        visit = visits[stay.cell][seen[stay.cell]]
        seen[stay.cell] += 1
        needs = tuple(name for name in visit.needs if not name.startswith(slots_of("")))
        if needs and stay.path and stay.started > 0:
            begun.append(Start(stay.started, stay.cell, stay.path, needs, stay.late))
    others = {one.name for one in taken}
    finish = {cell: at for cell, at in outcome.finish.items() if cell not in others}
    moves, places = list[Move](), {cell.cell: cell.place for cell in cells}
    homes = {cell.cell: cell.home for cell in cells}
    asked = {cell.cell for cell in cells if cell.asked is not None}
    for walk in outcome.walks:
        visit = visits[walk.cell][walk.visit]
        target = homes[walk.cell] if walk.way == "out" else _place_of(visit)
        moves.append(Move(walk.at, walk.cell, places[walk.cell], target, visit.path, walk.cell in asked))
        asked.discard(walk.cell)
        places[walk.cell] = target
    return Replanned(finish, tuple(sorted(begun, key=lambda one: one.at)), tuple(moves))


def soaks_of(plan: Schedule) -> dict[tuple[str | None, ...], Span]:
    """Say how long cells lie in a chamber before a step: where it was warm when they came, and where it was cold."""
    brought: dict[tuple[str, str], list[float]] = {}
    for action in plan.actions:
        brought.setdefault((action.cell, action.path), []).append(action.until_s)
    found: dict[tuple[str | None, ...], Span] = {}
    for task in plan.tasks:
        if (key := _soak(task)) is not None:
            since = [at for at in brought.get((task.cell, task.path), ()) if at <= task.start_s + 1e-6]
            lay = task.start_s - max(since, default=task.held_s)
            least, most = found.get(key, (lay, lay))
            found[key] = min(least, lay), max(most, lay)
    return found


def _soak(task: Task) -> tuple[str | None, ...] | None:
    """Name the chamber and temperature of a step, and what it is; None where it needs none."""
    return next(((one, task.kind, task.label) for one in task.resources if "@" in one), None)


def _warming(cells: Sequence[Standing], laboratory: Laboratory) -> dict[str, float]:
    """Say when the chambers that are in use were claimed: at the latest when the first cell lay in them."""
    found: dict[str, float] = {}
    for cell in cells:
        key = _soak(cell.tasks[0]) if cell.tasks else None
        if key is None or cell.asked is not None or cell.phase not in (Phase.PREPARED, Phase.RUNNING):
            continue
        name, passed = str(key[0]).partition("@")[0], cell.passed
        if cell.phase is Phase.RUNNING:
            passed += laboratory.soaks[key][1]
        found[name] = min(found.get(name, 0.0), -passed)
    return found


def _start(cell: Standing) -> float:
    return 0.0 if cell.phase is not Phase.WAITING or _is_away(cell) else max(cell.start, _AFTER)


def _is_away(cell: Standing) -> bool:
    return cell.place != cell.home and "/" in cell.place


def _place_of(visit: Visit) -> str:
    """Name the place to which a cell is brought."""
    return next((name.removeprefix(slots_of("")) for name in visit.needs if name.startswith(slots_of(""))), "")


def _first_wanted(chains: Sequence[Chain], starts: Mapping[str, float], needs: Sequence[str]) -> float | None:
    """Say when the first cell, if it waits for nobody, wants one of these."""
    found = []
    for chain in chains:
        at = starts[chain.cell]
        for visit in chain.visits:
            if set(visit.needs) & set(needs):
                found.append(at)
                break
            at += visit.length
    return min(found, default=None)


def _chain(cell: Standing, laboratory: Laboratory, by_hours: bool) -> Chain:
    """Put together what a cell has left, beginning with what it does now."""
    walks, soaks = laboratory.walks, {task.path: laboratory.soaks.get(_soak(task) or ()) for task in cell.tasks}
    tasks, actions, lying = list(cell.tasks), list(cell.actions), False
    if tasks and cell.phase is Phase.RUNNING:
        tasks[0], actions = _running(cell, tasks[0], actions)
    elif tasks and cell.asked is None and _lies_there(cell, tasks[0]):
        kept = _without_ways_to(tasks[0], actions)
        brought = max((one.until_s for one in actions if one not in kept), default=tasks[0].held_s)
        tasks[0], actions, lying = replace(tasks[0], held_s=brought), kept, True
    visits = list(measured_held_back(visits_of(tasks, actions, cell.home, walks), by_hours))
    first = next((task.path for task in tasks if task.kind in ("charge", "discharge")), None)
    for index, visit in enumerate(visits):
        if visit.path == first and not cell.known:
            visits[index] = replace(visit, held_back=False)
        if (soak := soaks.get(visit.path)) is not None:
            visits[index] = replace(visit, soak=soak[0], cold=soak[1])
    if visits:
        visits[0] = _begun(cell, visits[0], lying=lying)
    here = slots_of(cell.place.partition("/")[0])
    if cell.phase is Phase.LEAVING:
        way = walks.get((cell.place.partition("/")[0], cell.home.partition("/")[0]), LITTLE)
        visits.insert(0, Visit(cell.before, (here,), 0.0, carry_out=max(way - (cell.asked or 0.0), LITTLE)))
    elif cell.phase is Phase.WAITING and _is_away(cell):
        # It keeps its slot until it is fetched.
        visits.insert(0, Visit(cell.before, (here,), max(cell.start, 0.0), stays=(here,)))
    return Chain(cell.cell, "", joined(visits), priority=cell.priority, since=cell.since + _start(cell))


def _begun(cell: Standing, visit: Visit, *, lying: bool) -> Visit:
    """Leave of a cell's first visit what is still to come of it."""
    if cell.phase is Phase.RUNNING:
        return replace(visit, soak=0.0, cold=0.0, held_back=False)
    # A beginning that has been decided is not decided again.
    visit = replace(visit, held_back=visit.held_back and cell.phase is not Phase.PREPARED and cell.start <= 0)
    if cell.phase is not Phase.PREPARED:
        return visit
    if cell.asked is not None:
        return replace(visit, carry_in=max(visit.carry_in - cell.asked, LITTLE))
    return replace(visit, soak=max(visit.soak - cell.passed, 0.0)) if lying else visit


def _running(cell: Standing, task: Task, actions: Sequence[Action]) -> tuple[Task, list[Action]]:
    """Leave of the first step what it still takes, and of its transfers those after it."""
    length = task.end_s - task.start_s
    left = cell.left if cell.left is not None else length - cell.passed
    begin = task.end_s - max(left, LITTLE, _PART * length)
    return replace(task, held_s=begin, start_s=begin), _without_ways_to(task, actions)


def _without_ways_to(task: Task, actions: Sequence[Action]) -> list[Action]:
    """Leave out the transfers that brought a cell to a step."""
    return [one for one in actions if one.path != task.path or one.until_s > task.start_s + 1e-6]


def _lies_there(cell: Standing, task: Task) -> bool:
    """Whether a cell has been brought to where its first step is done."""
    there = cell.place.partition("/")[0] == task.place.partition("/")[0]
    return there and (cell.phase is Phase.PREPARED or _is_away(cell))
