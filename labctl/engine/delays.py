"""When a measured charge begins, so that what follows it falls into working hours: cells wait discharged, not charged.

A charge that ends at night leaves its cell to age until somebody can carry it to the spectrometer. How long charges
and discharges take is known from what the campaign has done before; where nothing is known yet, nothing is delayed.
The grid and the search are pure; the same journal gives the same answer after a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median
from typing import Final

from labctl.engine.routing import IN_PROBE
from labctl.journal import OperationRow, Status
from labctl.protocol import Acquisition, Cycling, Kind, PlannedOperation

#: Seconds between the beginnings that are looked at, and how far ahead at most, from the next date on if there is one.
_GRID: Final = 900.0
_AHEAD: Final = 7 * 86400.0
#: Seconds that carrying a cell takes, request and walking included.
CARRYING: Final = 900.0
#: Seconds between the instants of a window that are looked at.
_WITHIN: Final = 600.0


Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Somebody is wanted so many seconds after a beginning, or up to ``window`` seconds later.

    The spectrometer is taken from then on for ``lasts`` seconds, carrying to and fro included.
    """

    after: float
    window: float
    lasts: float

    def span(self, begin: datetime) -> Span:
        """When it is taken, if all goes at once."""
        start = begin + timedelta(seconds=self.after)
        return start, start + timedelta(seconds=self.lasts)


def chain(
    plan: Sequence[PlannedOperation], at: int, expected: Callable[[PlannedOperation], float | None]
) -> tuple[Wanted, ...]:
    """Say when people are wanted in time after ``plan[at]``, a charge, begins; nothing where that can't be told.

    Parameters
    ----------
    plan : sequence of PlannedOperation
        Of the cell.
    at : int
        Where the charge is in it.
    expected : callable
        Gives how many seconds a charge or discharge takes, or None.
    """
    first = expected(plan[at])
    if first is None or not _is_measured(plan, at):
        return ()
    found, passed, in_probe = list[Wanted](), first, False
    for step in plan[at + 1 :]:
        if step.kind in IN_PROBE and isinstance(step.parameters, Acquisition):
            if not in_probe and step.start_within is None:
                break
            if not in_probe and step.start_within is not None:
                found.append(Wanted(passed, max(step.start_within - CARRYING, 0.0), CARRYING))
                passed += CARRYING
            passed += step.parameters.expected
            in_probe = True
            continue
        if in_probe:
            passed += CARRYING
            found[-1] = replace(found[-1], lasts=passed - found[-1].after)
            in_probe = False
        takes = step.expected_duration if step.kind in (Kind.EIS, Kind.REST) else None
        takes = expected(step) if step.kind is Kind.DISCHARGE else takes
        if takes is None or step.temperature is not None:
            break
        passed += takes
    return tuple(found)


def _is_measured(plan: Sequence[PlannedOperation], at: int) -> bool:
    """Whether a spectrum that must start soon comes right after."""
    following = plan[at + 1] if at + 1 < len(plan) else None
    return following is not None and following.kind in IN_PROBE and following.start_within is not None


def earliest(
    now: datetime,
    wanted: Sequence[Wanted],
    somebody: Callable[[datetime], bool],
    promised: Sequence[Span] = (),
    next_date: datetime | None = None,
) -> datetime:
    """Give the first beginning from ``now`` on after which somebody is there whenever that is wanted.

    The best is one after which nothing has to wait; then one after which everything is still in time, first where the
    spectrometer is not ``promised`` to others. ``now`` itself where there is none within a week, or within a week of
    ``next_date``, on which a booking begins: waiting would bring nothing.
    """
    ahead = _AHEAD + max(((next_date or now) - now).total_seconds(), 0.0)
    begins = [now + timedelta(seconds=number * _GRID) for number in range(int(ahead / _GRID))] if wanted else []
    for at_once, alone in ((True, True), (False, True), (False, False)):
        for begin in begins:
            spans = [one.span(begin) for one in wanted]
            if alone and any(_overlap(one, other) for one in spans for other in promised):
                continue
            if all(_is_there(begin, one, somebody, at_once=at_once) for one in wanted):
                return begin
    return now


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _is_there(begin: datetime, one: Wanted, somebody: Callable[[datetime], bool], *, at_once: bool) -> bool:
    looks = 1 if at_once else int(one.window / _WITHIN) + 1
    return any(somebody(begin + timedelta(seconds=one.after + look * _WITHIN)) for look in range(looks))


def takes(
    step: PlannedOperation,
    rows: Iterable[OperationRow],
    own: Iterable[OperationRow],
    nominal: float | None = None,
) -> float | None:
    """Expect how many seconds a charge or discharge takes, from what was done before; None where nothing was.

    Parameters
    ----------
    step : PlannedOperation
        The charge or discharge.
    rows : iterable of OperationRow
        The same step of all cells.
    own : iterable of OperationRow
        What this cell has done, the last first.
    nominal : float, optional
        Capacity in C that the cell is said to have, for its first charge.
    """
    asked = step.parameters
    if not isinstance(asked, Cycling) or asked.current <= 0:
        return None
    # The cell's own capacity tells best; its discharge is not much less than its charge.
    for row in own:
        capacity = row.result.get("capacity_C")
        if row.kind in (Kind.CHARGE, Kind.DISCHARGE) and row.status is Status.DONE and capacity:
            return float(capacity) / asked.current
    others = [float(row.result["duration_s"]) for row in rows if _tells(row)]
    if others:
        return median(others)
    return nominal / asked.current if nominal is not None else None


def _tells(row: OperationRow) -> bool:
    return row.status is Status.DONE and "duration_s" in row.result
