"""Where the time of a staggered campaign goes: that of the cell that ends last, and what its measured cells need."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

from labctl.planning.problem import ALWAYS, Problem
from labctl.planning.schedule import Schedule, Task

#: Seconds by which a charge must begin later than it could have to count as held back.
_HELD: Final = 900.0


@dataclass(frozen=True, slots=True)
class Account:
    """From the beginning of the campaign to the end of its last cell: s that add up to the makespan.

    Attributes
    ----------
    cell : str
        Which ends last.
    start_s : float
        Before it is started.
    work_s : float
        In which something is done with it, soaking and settling included.
    held_back_s : float
        In which it waits discharged, so that people are there when its charge has ended.
    waits_s : float
        In which it waits for people, instruments and places, or is carried.
    blind : int
        Late spectra, of all cells, of charges that began before any cell had shown how long they take.
    """

    cell: str
    start_s: float
    work_s: float
    held_back_s: float
    waits_s: float
    blind: int


@dataclass(frozen=True, slots=True)
class Shifts:
    """What the busiest instrument can do where cells are carried to it by hours.

    Attributes
    ----------
    name : str
        Which.
    load_s : float
        All its visits, walking and soaking included.
    shift_s : float
        What one shift gives it at most: until people leave, and the longest visit after that.
    count : int
        Shifts until the campaign's end.
    """

    name: str
    load_s: float
    shift_s: float
    count: int


def shifts(problem: Problem, name: str, makespan: float) -> Shifts | None:
    """Hold the load of an instrument against the shifts; None where somebody is always there, or nobody carries."""
    visits = [visit for chain in problem.chains for visit in chain.visits if name in visit.needs and visit.carry_in > 0]
    if not visits or ALWAYS in problem.people or len(problem.people) != 1:
        return None
    spans = [span for span in problem.people[0].spans if span[0] < makespan]
    longest = max(visit.length for visit in visits)
    shift = max(end - begin for begin, end in spans) + longest
    return Shifts(name.removeprefix("slots of "), sum(visit.length for visit in visits), shift, len(spans))


def account(schedule: Schedule) -> Account:
    """Account for a run."""
    last = max(schedule.finish, key=schedule.finish.__getitem__, default="")
    tasks = sorted(schedule.of(last), key=lambda task: task.start_s)
    start = schedule.offsets.get(last, 0.0)
    work = sum(task.end_s - task.start_s for task in tasks)
    held = sum(_held_back(task) for task in tasks)
    soaked = sum(_soaked(schedule, task) for task in tasks)
    rest = schedule.finish.get(last, start) - start - work - soaked - held
    known: dict[str, float] = {}
    for task in schedule.tasks:
        if task.kind == "charge":
            known[task.path] = min(task.end_s, known.get(task.path, task.end_s))
    blind = sum(
        spectrum.late_s > 0
        for charge, spectrum in _measured(schedule)
        if charge.cycle == 1 and charge.start_s < known[charge.path]
    )
    return Account(last, start, work + soaked, held, max(rest, 0.0), blind)


def _held_back(task: Task) -> float:
    later = task.ready_s - (task.after_s if task.after_s is not None else task.ready_s)
    return later if task.kind == "charge" and later > _HELD else 0.0


def _soaked(schedule: Schedule, task: Task) -> float:
    """Seconds between the cell being where it should be and the beginning."""
    brought = [one.until_s for one in schedule.actions if one.cell == task.cell and one.path == task.path]
    there = max((at for at in brought if at <= task.start_s), default=task.held_s)
    return max(task.start_s - max(there, task.held_s), 0.0)


def _measured(schedule: Schedule) -> list[tuple[Task, Task]]:
    """Give the charges that a spectrum follows which has a time, each with that."""
    found = []
    for cell in schedule.cells:
        tasks = sorted(schedule.of(cell), key=lambda task: task.start_s)
        for charge, spectrum in itertools.pairwise(tasks):
            if charge.kind == "charge" and spectrum.start_within_s is not None:
                found.append((charge, spectrum))
    return found
