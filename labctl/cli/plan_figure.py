"""The timelines of a plan as a figure: a row for each cell, and below them a row for each instrument."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from labctl.analysis import style
from labctl.planning import Forecast, Schedule, Task, instrument_of, loads

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Kind to colour, hatch and name; spectra are told from each other by height and mark as well as by colour.
LOOKS: Final[Mapping[str, tuple[str, str, str]]] = {
    "rest": ("#D9D9D9", "", "rest"),
    "charge": (style.BLUE, "", "charge"),
    "discharge": (style.ORANGE, "////", "discharge"),
    "hold": (style.VERMILION, "xxxx", "hold"),
    "nmr": (style.PINK, "", "NMR, with its calibration"),
    "eis": (style.GREEN, "", "impedance"),
    "operando": (style.PINK, "////", "operando"),
    "deis": (style.GREEN, "////", "impedance under current"),
}
_ALIKE: Final = {"nutation": "nmr", "recovery": "nmr", "reference": "nmr"}
_WEEKDAYS: Final = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
#: Least width of a bar, as a part of the whole time: a spectrum of ten minutes is seen in a plan of weeks.
_LEAST: Final = 0.003
#: Inches.
_WIDTH, _ROW, _HEAD, _FOOT = 11.0, 0.2, 0.95, 0.6


def draw(forecast: Forecast, kind: str) -> bytes:
    """Draw it as ``svg`` or ``png``."""
    import matplotlib as mpl

    schedule = forecast.schedule
    cells, instruments = schedule.cells, _instruments(schedule)
    height = _HEAD + _FOOT + 0.35 + _ROW * (len(cells) + len(instruments))
    with mpl.rc_context(style.SCREEN):
        title = f"Plan: {schedule.protocol} at {schedule.station}"
        figure = style.new_figure(title, "simulated", (_WIDTH, height))
        left = (0.35 + 0.085 * max(map(len, [*cells, *instruments]), default=4)) / _WIDTH
        room = (1.0 - left - 1.35 / _WIDTH) if cells else 0.9
        top = 1.0 - _HEAD / height
        first = _ROW * len(cells) / height
        upper = figure.add_axes((left, top - first, room, first))
        second = _ROW * len(instruments) / height
        lower = figure.add_axes((left, top - first - 0.35 / height - second, room, second))
        shown = _cells(upper, forecast, cells)
        _loads(lower, schedule, instruments)
        _days(upper, schedule, labelled=False)
        _days(lower, schedule, labelled=True)
        _legend(figure, shown, height)
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, metadata={"Date": None} if kind == "svg" else None, dpi=150)
    return buffer.getvalue()


def _instruments(schedule: Schedule) -> list[str]:
    used = {instrument_of(resource) for task in schedule.tasks for resource in task.resources}
    return [name for name, one in schedule.instruments.items() if name in used and one.role != "multiplexer"]


def _width(schedule: Schedule) -> float:
    return max(schedule.makespan_s, max((task.freed_s for task in schedule.tasks), default=1.0), 1.0)


def _cells(axes: Axes, forecast: Forecast, cells: Sequence[str]) -> list[str]:
    """Draw a row for each cell, and give the kinds that there are."""
    schedule, whole, shown = forecast.schedule, _width(forecast.schedule), []
    for row, cell in enumerate(cells):
        own = schedule.of(cell)
        by_kind: dict[str, list[Task]] = {}
        for task in own:
            by_kind.setdefault(_ALIKE.get(task.kind, task.kind), []).append(task)
        for kind in LOOKS:
            if kind in by_kind:
                _bars(axes, by_kind[kind], row, kind, whole)
                shown.append(kind)
        late = [task for task in own if task.late_s > 0]
        if late:
            axes.plot([task.start_s / 86400 for task in late], [row - 0.42] * len(late), "v", ms=3, color="black")
            shown.append("late")
        finish = schedule.finish.get(cell)
        if finish is not None:
            at = schedule.at(finish).astimezone()
            text = f"{_WEEKDAYS[at.weekday()]} {at:%d.%m. %H:%M}"
            low, high = forecast.spread_s[cell]
            axes.plot([low / 86400, high / 86400], [row, row], "-", lw=2.5, color="black", alpha=0.55)
        else:
            text = "not to its end"
        axes.text(1.008, row, text, transform=axes.get_yaxis_transform(), va="center", fontsize=7.5)
    axes.set_ylim(len(cells) - 0.4, -0.6)
    axes.set_yticks(range(len(cells)), list(cells))
    axes.tick_params(axis="y", length=0)
    return [kind for kind in (*LOOKS, "late") if kind in shown]


def _bars(axes: Axes, tasks: Sequence[Task], row: int, kind: str, whole: float) -> None:
    colour, hatch, _ = LOOKS[kind]
    short = kind in ("nmr", "eis")
    least = _LEAST * whole if short else 0.0
    spans = [(task.start_s / 86400, max(task.end_s - task.start_s, least) / 86400) for task in tasks]
    tall = (row - 0.42, 0.84) if kind == "nmr" else (row - 0.3, 0.6)
    axes.broken_barh(
        spans, tall, facecolor=colour, hatch=hatch, edgecolor="white", linewidth=0.3, zorder=3 if short else 2
    )


def _loads(axes: Axes, schedule: Schedule, instruments: Sequence[str]) -> None:
    """Draw how much of each instrument is given away: full height is all of it."""
    import numpy as np

    whole = _width(schedule)
    edges = np.linspace(0.0, whole, 701)
    shares = {one.resource: one.share for one in loads(schedule)}
    for row, name in enumerate(instruments):
        busy = np.zeros(700)
        for task in schedule.tasks:
            if name in map(instrument_of, task.resources):
                own = np.clip(np.minimum(edges[1:], task.freed_s) - np.maximum(edges[:-1], task.held_s), 0.0, None)
                # A chamber is shared: it is taken once, however many cells are in it.
                busy = np.maximum(busy, own) if schedule.instruments[name].role == "chamber" else busy + own
        part = np.clip(busy / np.diff(edges) / schedule.instruments[name].units, 0.0, 1.0)
        axes.fill_between(
            edges[:-1] / 86400, row + 0.4, row + 0.4 - 0.8 * part, step="post", color=style.GREY, linewidth=0.0
        )
        share = shares[name]
        axes.text(
            1.008, row, f"{100 * share:.0f} % taken", transform=axes.get_yaxis_transform(), va="center", fontsize=7.5
        )
    axes.set_ylim(len(instruments) - 0.4, -0.6)
    axes.set_yticks(range(len(instruments)), list(instruments))
    axes.tick_params(axis="y", length=0)


def _days(axes: Axes, schedule: Schedule, *, labelled: bool) -> None:
    """Mark midnights of the local time; weekends are grey."""
    whole = _width(schedule) / 86400
    begin = schedule.at(0.0).astimezone()
    day = (begin + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    axes.set_xlim(0.0, whole)
    ticks, names = [0.0], [f"{begin:%d.%m.}\n{begin:%H:%M}"]
    each = max(1, round(whole / 14))
    count = 0
    if begin.weekday() >= 5:
        axes.axvspan(0.0, min((day - begin).total_seconds() / 86400, whole), color="#EFEFEF", zorder=0, linewidth=0)
    while (at := (day - begin).total_seconds() / 86400) < whole:
        if day.weekday() >= 5:
            axes.axvspan(at, min(at + 1.0, whole), color="#EFEFEF", zorder=0, linewidth=0)
        axes.axvline(at, color="#BDBDBD", linewidth=0.4, zorder=1)
        if count % each == 0 and at - ticks[-1] > 0.058 * whole:
            ticks.append(at)
            names.append(f"{_WEEKDAYS[day.weekday()]}\n{day:%d.%m.}")
        count += 1
        day = (day + timedelta(days=1)).astimezone()
    axes.set_xticks(ticks, names if labelled else [""] * len(ticks))
    axes.tick_params(axis="x", length=2)


def _legend(figure: Any, shown: Sequence[str], height: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    for kind in shown:
        if kind == "late":
            handles.append(Line2D([], [], marker="v", color="black", linestyle="", ms=4, label="later than asked"))
        else:
            colour, hatch, name = LOOKS[kind]
            handles.append(Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=name))
    handles.append(Line2D([], [], color="black", alpha=0.55, lw=2.5, label="end, over all runs"))
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.005, 1.0 - 0.38 / height), ncol=len(handles), fontsize=8
    )
