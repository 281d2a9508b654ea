"""Two plans side by side: what becomes longer, what shorter. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from labctl.planning.forecast import Forecast
from labctl.planning.schedule import Schedule, fresh_waiting, loads, lower_bound

#: The schema of its JSON.
SCHEMA = "labctl.compare/1"


@dataclass(frozen=True, slots=True)
class Figures:
    """What one plan comes to; s, fractions and counts.

    Attributes
    ----------
    name : str
        What it is called in the comparison.
    makespan_s, bound_s : float
        To the end of the last cell, and what it can't be shorter than.
    finish_s : mapping of str to float
        By cell.
    loads : mapping of str to float
        Busy part of each instrument.
    fresh_s, fresh_median_s, fresh_longest_s : float
        How long freshly charged or discharged cells wait for their spectrum, together, in the middle, at most.
    late, fresh : int
        How many of them later than the protocol asks, of how many.
    waited_s : float
        How long all cells waited for something, together.
    actions, days : int
        How often people move cells, on how many days.
    unfinished : int
        Cells that do not come to their end.
    """

    name: str
    makespan_s: float
    bound_s: float
    finish_s: Mapping[str, float]
    loads: Mapping[str, float]
    fresh_s: float
    fresh_median_s: float
    fresh_longest_s: float
    late: int
    fresh: int
    waited_s: float
    actions: int
    days: int
    unfinished: int


def figures(name: str, schedule: Schedule) -> Figures:
    """Read the figures of a plan."""
    fresh = fresh_waiting(schedule)
    waits = [one.waited_s for one in fresh]
    return Figures(
        name=name,
        makespan_s=schedule.makespan_s,
        bound_s=lower_bound(schedule).seconds,
        finish_s=dict(schedule.finish),
        loads={one.resource: one.share for one in loads(schedule)},
        fresh_s=sum(waits),
        fresh_median_s=median(waits) if waits else 0.0,
        fresh_longest_s=max(waits, default=0.0),
        late=sum(one.late_s > 0 for one in fresh),
        fresh=len(fresh),
        waited_s=sum(task.waited_s for task in schedule.tasks if task.cell in schedule.offsets),
        actions=len(schedule.actions),
        days=len({schedule.at(one.at_s).astimezone().date() for one in schedule.actions}),
        unfinished=len(schedule.unfinished),
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a comparison.

    Attributes
    ----------
    what : str
        Such as ``makespan``, ``finish bare-01``, ``load topspin``.
    unit : str
        ``s``, ``part``, or empty for a count.
    one, other : float or None
        None where a plan has no such thing.
    """

    what: str
    unit: str
    one: float | None
    other: float | None

    @property
    def difference(self) -> float | None:
        """The other less the one."""
        return None if self.one is None or self.other is None else self.other - self.one


def compare(one: Figures, other: Figures) -> list[Row]:
    """Put two plans side by side; cells and instruments by their names."""
    rows = [
        Row("makespan", "s", one.makespan_s, other.makespan_s),
        Row("lower bound", "s", one.bound_s, other.bound_s),
        Row("fresh cells wait, together", "s", one.fresh_s, other.fresh_s),
        Row("fresh cells wait, median", "s", one.fresh_median_s, other.fresh_median_s),
        Row("fresh cells wait, at most", "s", one.fresh_longest_s, other.fresh_longest_s),
        Row("later than the protocol asks", "", one.late, other.late),
        Row("of so many spectra", "", one.fresh, other.fresh),
        Row("all cells wait, together", "s", one.waited_s, other.waited_s),
        Row("cells moved by people", "", one.actions, other.actions),
        Row("on so many days", "", one.days, other.days),
        Row("cells that do not end", "", one.unfinished, other.unfinished),
    ]
    for name in dict.fromkeys([*one.loads, *other.loads]):
        rows.append(Row(f"load {name}", "part", one.loads.get(name), other.loads.get(name)))
    for cell in dict.fromkeys([*one.finish_s, *other.finish_s]):
        rows.append(Row(f"end of {cell}", "s", one.finish_s.get(cell), other.finish_s.get(cell)))
    return rows


def names_of(one: Forecast, other: Forecast, files: tuple[str, str]) -> tuple[str, str]:
    """Call two plans by what distinguishes them: protocol, else station, else the files."""
    first, second = one.schedule, other.schedule
    if first.protocol != second.protocol:
        return first.protocol, second.protocol
    if first.station != second.station:
        return first.station, second.station
    return files
