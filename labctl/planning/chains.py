"""From runs of the engine to chains of visits: how long everything takes, taken over replicates and runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from labctl.errors import LabctlError
from labctl.planning.problem import Chain, Problem, Visit, Windows
from labctl.planning.schedule import Action, Schedule, Task
from labctl.station import Cell, Cells, Station

#: What distinguishes cells whose visits take different times, or need different things.
Kind = tuple[object, ...]


def kind_of(cell: Cell) -> Kind:
    """Cells that nothing distinguishes take as long as each other, as far as anybody can know before."""
    return (
        *(cell.group, cell.area, cell.capacity, cell.mass, cell.chemistry, repr(sorted(cell.simulate.items()))),
        *(cell.place.partition("/")[0], tuple(cell.measure_at)),
    )


def learn(runs: Sequence[tuple[Schedule, Cells]], *, by_hours: bool) -> dict[Kind, tuple[Visit, ...]]:
    """Read the visits of every kind of cell from runs of the engine, each with the cells that it was run with.

    Durations are means over runs and over cells that are alike; what is needed is that of the first run that has the
    kind.

    Parameters
    ----------
    by_hours : bool
        Whether people or instruments are there by hours, so that measured charges are held back.

    Raises
    ------
    LabctlError
        A cell did not come to its end in one of the runs: there is nothing to put in order.
    """
    for schedule, _ in runs:
        for unfinished, why in schedule.unfinished.items():
            raise LabctlError(f"{unfinished} does not come to its end, so no order of starts can be proposed: {why}")
    walks = walks_of([schedule for schedule, _ in runs])
    by_kind: dict[Kind, list[tuple[Visit, ...]]] = {}
    for schedule, cells in runs:
        tasks, actions = _by_cell(schedule)
        for cell in cells.cells:
            mine = tasks.get(cell.id, [])
            read = visits_of(mine, actions.get(cell.id, []), cell.place, walks)
            if cell.capacity is None:
                first = next((task.path for task in mine if task.kind == "charge"), "")
                read = tuple(replace(visit, untried=visit.path == first) for visit in read)
            by_kind.setdefault(kind_of(cell), []).append(read)
    return {kind: joined(measured_held_back(_mean(found), by_hours)) for kind, found in by_kind.items()}


def problem_of(
    known: Mapping[Kind, tuple[Visit, ...]],
    station: Station,
    cells: Sequence[Cell],
    people: Sequence[Windows],
    closed: Mapping[str, Windows] | None = None,
    *,
    keep: bool = True,
    instead: Mapping[str, tuple[str, ...]] | None = None,
) -> Problem:
    """Put cells, whose visits are known, into the laboratory.

    Parameters
    ----------
    people : sequence of Windows
        When each of those who carry cells is there.
    closed : mapping of str to Windows, optional
        When an instrument can't be had.
    keep : bool
        Whether a home is kept for its cell, so that nobody else can be there.
    instead : mapping of str to tuple of str, optional
        By resource, those of which any may serve; see :class:`Problem`.
    """
    chains = tuple(
        Chain(cell.id, cell.group, known[kind_of(cell)], tuple(cell.measure_at), cell.priority) for cell in cells
    )
    homes = Counter(cell.place.partition("/")[0] for cell in cells) if keep else Counter[str]()
    capacity = {slots_of(name): max(place.count - homes[name], 1) for name, place in station.places.items()}
    return Problem(chains, capacity, tuple(people), dict(closed or {}), instead=dict(instead or {}))


def slots_of(place: str) -> str:
    """Name the slots of a place as one resource."""
    return f"slots of {place}"


def _by_cell(schedule: Schedule) -> tuple[dict[str, list[Task]], dict[str, list[Action]]]:
    tasks: dict[str, list[Task]] = {}
    actions: dict[str, list[Action]] = {}
    for task in schedule.tasks:
        tasks.setdefault(task.cell, []).append(task)
    for action in schedule.actions:
        actions.setdefault(action.cell, []).append(action)
    for found in tasks.values():
        found.sort(key=lambda task: task.start_s)
    return tasks, actions


def walks_of(schedules: Sequence[Schedule]) -> dict[tuple[str, str], float]:
    """Give how long a way takes from being asked for; the median, as some are asked for at night."""
    taken: dict[tuple[str, str], list[float]] = {}
    for schedule in schedules:
        for action in schedule.actions:
            way = action.source.partition("/")[0], action.target.partition("/")[0]
            taken.setdefault(way, []).append(action.until_s - action.asked_s)
    return {way: median(found) for way, found in taken.items()}


@dataclass(slots=True)
class _Moved:
    """The ways of one cell that belong to one step."""

    carry_in: float = 0.0
    carry_out: float = 0.0
    brought: float | None = None


def _moved(task: Task, actions: Sequence[Action], walks: Mapping[tuple[str, str], float]) -> _Moved:
    found = _Moved()
    for action in actions:
        if action.path != task.path:
            continue
        taken = walks[action.source.partition("/")[0], action.target.partition("/")[0]]
        if action.until_s <= task.start_s + 1e-6:
            found.carry_in += taken
            found.brought = action.until_s
        else:
            found.carry_out += taken
    return found


def visits_of(
    tasks: Sequence[Task], actions: Sequence[Action], home: str, walks: Mapping[tuple[str, str], float]
) -> tuple[Visit, ...]:
    """Read the visits of one cell in one run."""
    found: list[Visit] = []
    last: Task | None = None
    last_out = 0.0
    for task in tasks:
        moved = _moved(task, actions, walks)
        same = last is not None and task.place == last.place != home and not moved.carry_in and not last_out
        visit = _visit(task, moved, home)
        if same and last is not None and visit.needs == found[-1].needs:
            work = found[-1].work + (task.end_s - last.end_s)
            found[-1] = replace(found[-1], work=work, carry_out=moved.carry_out)
        else:
            if found and last is not None and last.place != home and not last_out and (moved.carry_in or same):
                found[-1] = replace(found[-1], stays=(slots_of(last.place.partition("/")[0]),))
            found.append(visit)
        last, last_out = task, moved.carry_out
    return tuple(found)


def _visit(task: Task, moved: _Moved, home: str) -> Visit:
    away = task.place not in ("", home)
    needs = [one for one in task.resources if "/" not in one and "@" not in one]
    if away:
        needs.append(slots_of(task.place.partition("/")[0]))
    setting = next((one.partition("@") for one in task.resources if "@" in one), None)
    brought = moved.brought if moved.brought is not None else task.held_s
    return Visit(
        path=task.path,
        needs=tuple(sorted(needs)),
        work=max(task.end_s - task.start_s, 0.0),
        carry_in=moved.carry_in,
        carry_out=moved.carry_out,
        soak=max(task.start_s - brought, 0.0),
        within=task.start_within_s,
        setting=(setting[0], float(setting[2])) if setting is not None else None,
        held_back=task.kind == "charge",
    )


def _mean(found: Sequence[tuple[Visit, ...]]) -> tuple[Visit, ...]:
    """Take the mean of the durations of cells that are alike; of those with as many visits as the first."""
    first = found[0]
    alike = [visits for visits in found if [one.path for one in visits] == [one.path for one in first]]
    return tuple(
        replace(
            visit,
            work=fmean(visits[index].work for visits in alike),
            soak=fmean(visits[index].soak for visits in alike),
        )
        for index, visit in enumerate(first)
    )


def measured_held_back(visits: Sequence[Visit], by_hours: bool) -> tuple[Visit, ...]:
    """Have only those charges held back that are measured, and only where not everything can be had at any time."""
    following = [*visits[1:], None]
    return tuple(
        replace(visit, held_back=visit.held_back and by_hours and after is not None and after.within is not None)
        for visit, after in zip(visits, following, strict=True)
    )


def joined(visits: Sequence[Visit]) -> tuple[Visit, ...]:
    """Make one of visits in a row that need nothing: nobody else notices where one ends."""
    found: list[Visit] = []
    for visit in visits:
        if found and not (_shared(visit) or _shared(found[-1]) or visit.held_back) and visit.within is None:
            found[-1] = replace(found[-1], work=found[-1].work + visit.soak + visit.work)
        else:
            found.append(visit)
    return tuple(found)


def _shared(visit: Visit) -> bool:
    return bool(visit.needs or visit.carry_in or visit.carry_out or visit.setting)
