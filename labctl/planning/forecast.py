"""Several runs of one plan with other seeds: the one that stands for all, and how far they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labctl.planning.schedule import Schedule, Span


@dataclass(frozen=True)
class Forecast:
    """What is predicted.

    Attributes
    ----------
    schedule : Schedule
        The run with the median makespan.
    makespans_s : tuple of float
        Of all runs, the shortest first.
    spread_s : mapping of str to (float, float)
        Earliest and latest finish of each cell over all runs, s; cells that finished in none are left out.
    unfinished : mapping of str to str
        Cells that did not come to their end in some run, and why.
    """

    schedule: Schedule
    makespans_s: tuple[float, ...]
    spread_s: Mapping[str, Span]
    unfinished: Mapping[str, str]

    @property
    def runs(self) -> int:
        """How many."""
        return len(self.makespans_s)


def forecast_of(schedules: Sequence[Schedule]) -> Forecast:
    """Put runs together.

    Raises
    ------
    ValueError
        There are none.
    """
    if not schedules:
        raise ValueError("a forecast needs at least one run")
    ordered = sorted(schedules, key=lambda one: one.makespan_s)
    finishes: dict[str, list[float]] = {}
    unfinished: dict[str, str] = {}
    for schedule in ordered:
        unfinished.update(schedule.unfinished)
        for cell, finish in schedule.finish.items():
            finishes.setdefault(cell, []).append(finish)
    return Forecast(
        ordered[(len(ordered) - 1) // 2],
        tuple(one.makespan_s for one in ordered),
        {cell: (min(times), max(times)) for cell, times in finishes.items()},
        unfinished,
    )
