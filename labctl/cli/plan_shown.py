"""A plan in the terminal: timelines of cells and instruments, who waits, what it comes to. 80 columns are enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Final

from labctl.cli.output import ago, console
from labctl.planning import Forecast, Schedule, Task, fresh_waiting, instrument_of, loads, lower_bound

if TYPE_CHECKING:
    from rich.console import Console

#: Kind to letter and colour; what stands first is shown where several fall into one column.
KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "nmr": ("N", "bold magenta"),
    "nutation": ("N", "bold magenta"),
    "recovery": ("N", "bold magenta"),
    "operando": ("O", "bold magenta"),
    "deis": ("Z", "bold green"),
    "eis": ("Z", "bold green"),
    "hold": ("h", "red"),
    "charge": ("▀", "blue"),
    "discharge": ("▄", "yellow"),
    "rest": ("·", "dim"),
}
_ORDER: Final = {kind: place for place, kind in enumerate(KINDS)}
_LEGEND: Final = "▀ charge  ▄ discharge  h hold  · rest  N spectrum  Z impedance  O operando  blank: waits"
_SHADES: Final = " ░▒▓█"
_WEEKDAYS: Final = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")


def print_plan(forecast: Forecast) -> None:
    """Print it."""
    out, schedule = console(), forecast.schedule
    _head(out, forecast)
    names = [*schedule.cells, *schedule.instruments]
    name = min(max((len(one) for one in names), default=4), 16)
    wide = max(out.width - name - 2 - 22, 20)
    axis = _Axis(schedule, wide)
    _line(out, "", name, axis.ticks(), "ends")
    for cell in schedule.cells:
        finish = schedule.finish.get(cell)
        ends = "not" if finish is None else f"{_day(schedule.at(finish))} {_spread(forecast, cell)}"
        _line(out, cell, name, axis.of_cell(schedule.of(cell)), ends)
    by_hand = "  ? by hand" if any(task.asked for task in schedule.tasks) else ""
    out.print(_LEGEND + by_hand, style="dim", markup=False)
    out.print()
    _line(out, "", name, axis.ticks(), " load   idle")
    for load in loads(schedule):
        own = [task for task in schedule.tasks if load.resource in map(instrument_of, task.resources)]
        units = schedule.instruments[load.resource].units
        idle = ago(load.idle_s) if units == 1 else f"of {units}"
        _line(out, load.resource, name, axis.of_instrument(own, units), f"{100 * load.share:4.0f} % {idle:>7}")
    out.print()
    for text in _sentences(forecast):
        out.print(text, markup=False, soft_wrap=False)


def _head(out: Console, forecast: Forecast) -> None:
    schedule = forecast.schedule
    begin, end = schedule.at(0.0), schedule.at(schedule.makespan_s)
    out.print(f"[bold]{schedule.protocol}[/bold] at {schedule.station}, {len(schedule.cells)} cells: PLAN, simulated")
    span = f"{date_shown(begin)} to {date_shown(end)}, {days_shown(schedule.makespan_s)}"
    if forecast.runs > 1:
        low, high = forecast.makespans_s[0], forecast.makespans_s[-1]
        span += f" ({days_shown(low)} to {days_shown(high)} in {forecast.runs} runs)"
    if forecast.unfinished:
        span += f"; {len(forecast.unfinished)} cells do not come to their end"
    out.print(span, markup=False)
    out.print()


def _line(out: Console, name: str, wide: int, bar: str, end: str) -> None:
    from rich.text import Text

    text = Text(f"{name[:wide]:<{wide}} ")
    styles = dict(KINDS.values())
    for letter in bar:
        text.append(letter, styles.get(letter, "") if name else "dim")
    text.append(f" {end}")
    out.print(text, no_wrap=True, crop=True, overflow="crop")


class _Axis:
    """Turns seconds into columns."""

    def __init__(self, schedule: Schedule, wide: int) -> None:
        self._schedule = schedule
        self._wide = wide
        last = max((task.freed_s for task in schedule.tasks), default=1.0)
        self._step = max(schedule.makespan_s, last, 1.0) / wide

    def ticks(self) -> str:
        """Midnights, as many as have room: weekday and day."""
        begin = self._schedule.at(0.0).astimezone()
        first = (begin + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        row = [" "] * self._wide
        each = max(1, -(-int(7 * self._step) // 86400))
        day, free = first, 0
        while (column := int((day - begin).total_seconds() / self._step)) < self._wide - 5:
            if column >= free:
                text = f"|{_WEEKDAYS[day.weekday()]}{day.day}"
                row[column : column + len(text)] = text
                free = column + len(text) + 1
            day = (day + timedelta(days=each)).astimezone()
        return "".join(row)[: self._wide]

    def _columns(self, begin: float, end: float) -> range:
        first = int(begin / self._step)
        return range(first, min(max(int(end / self._step - 1e-9), first) + 1, self._wide))

    def of_cell(self, tasks: Sequence[Task]) -> str:
        """What a cell does: the rarest kind where several fall into one column, or else what takes most of it."""
        shares: list[Counter[str]] = [Counter() for _ in range(self._wide)]
        for task in tasks:
            for column in self._columns(task.start_s, task.end_s):
                low, high = column * self._step, (column + 1) * self._step
                shares[column][task.kind] += max(min(task.end_s, high) - max(task.start_s, low), 1.0)  # type: ignore[assignment]
        return "".join(_shown(share, self._step) for share in shares)

    def of_instrument(self, tasks: Sequence[Task], units: int) -> str:
        """How much of an instrument is given away, in four shades."""
        busy = [0.0] * self._wide
        for task in tasks:
            for column in self._columns(task.held_s, task.freed_s):
                low, high = column * self._step, (column + 1) * self._step
                busy[column] += max(min(task.freed_s, high) - max(task.held_s, low), 0.0)
        return "".join(_shade(one / (self._step * units)) for one in busy)


def _shown(share: Counter[str], step: float) -> str:
    rare = [kind for kind in share if KINDS.get(kind, ("?",))[0] in "NZOh"]
    if rare:
        return KINDS[min(rare, key=lambda kind: _ORDER[kind])][0]
    if sum(share.values()) < 0.5 * step:
        return " "
    return KINDS.get(max(share, key=lambda kind: share[kind]), ("?", ""))[0]


def _shade(part: float) -> str:
    return _SHADES[0] if part <= 0.005 else _SHADES[min(1 + int(part * 4), 4)]


def _spread(forecast: Forecast, cell: str) -> str:
    if forecast.runs < 2 or cell not in forecast.spread_s:
        return ""
    low, high = forecast.spread_s[cell]
    return f"±{ago((high - low) / 2).replace(' ', '')}"


def _sentences(forecast: Forecast) -> list[str]:
    schedule = forecast.schedule
    said = _waiting(schedule)
    if schedule.actions:
        days = Counter(schedule.at(one.at_s).astimezone().date() for one in schedule.actions)
        most, count = max(days.items(), key=lambda item: item[1])
        day = f"{_WEEKDAYS[most.weekday()]} {most.day}.{most.month}."
        when = f"on {len(days)} days, most on {day}: {count} times" if len(days) > 1 else f"all on {day}"
        said.append(f"People move cells {len(schedule.actions)} times, {when} ('--day-sheet FILE' for print).")
    bound = lower_bound(schedule)
    slack = 100 * (schedule.makespan_s / bound.seconds - 1) if bound.seconds else 0.0
    said.append(
        f"It can't be shorter than {days_shown(bound.seconds)} ({bound.longest_cell} alone {days_shown(bound.cell_s)}, "
        f"{bound.busiest} {days_shown(bound.instrument_s)}); the plan is {slack:.0f} % longer."
    )
    said.append(f"Data: about {bytes_shown(sum(task.size_bytes for task in schedule.tasks))}.")
    return said


def _waiting(schedule: Schedule) -> list[str]:
    fresh = fresh_waiting(schedule)
    if not fresh:
        return []
    late = [one for one in fresh if one.late_s > 0]
    waits = [one.waited_s for one in fresh]
    first = (
        f"Fresh cells wait {ago(median(waits))} for their spectrum on average (median), at most {ago(waits[0])}; "
        f"{len(late)} of {len(fresh)} later than the protocol asks."
    )
    worst = [f"  {one.cell} {one.path}: {ago(one.waited_s)} of {ago(one.allowed_s)}" for one in late[:3]]
    return [first, *worst]


def date_shown(at: datetime) -> str:
    """Write a date and time, local."""
    local = at.astimezone()
    return f"{_WEEKDAYS[local.weekday()]} {local:%Y-%m-%d %H:%M}"


def _day(at: datetime) -> str:
    local = at.astimezone()
    return f"{_WEEKDAYS[local.weekday()]} {local:%d.%m. %H:%M}"


def days_shown(seconds: float) -> str:
    """Write a long time in days, a short one as an age."""
    return f"{seconds / 86400:.1f} d" if seconds >= 172800 else ago(seconds)


def bytes_shown(size: float) -> str:
    """Write a size."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
