"""Electrochemistry: voltage of a cycle; capacity, efficiency and health over cycles, after Fig. 3a of the paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from labctl.analysis.model import Analysis, CellResult, CycleResult
from labctl.analysis.style import (
    BLUE,
    DOUBLE,
    MARKERS,
    PRINT,
    SERIES_COLOURS,
    VERMILION,
    empty,
    frame,
    grid,
    series,
    sheet,
    small,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POINTS = 400


def figure(analysis: Analysis) -> Figure:
    """Draw discharge capacity, Coulombic efficiency and state of health of all cells, told apart by group."""
    import matplotlib as mpl

    groups = list(dict.fromkeys(cell.group for cell in analysis.cells))
    with mpl.rc_context(PRINT):
        drawn = sheet(DOUBLE, 62.0, analysis.mode, "")
        row = grid(drawn, 1, 3, left=12.0, bottom=10.0, top=13.0, across=13.5)[0]
        for axes, title, label, value in zip(row, _TITLES, _LABELS, (_capacity, _efficiency, _health), strict=True):
            axes.set_title(title)
            _by_group(axes, analysis.cells, groups, value, label)
        handles, labels = row[0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="upper left", bbox_to_anchor=(0.0, 1.0), ncol=5, columnspacing=1.2)
    return drawn


_TITLES: Final = ("a", "b", "c")
_LABELS: Final = ("discharge capacity / mAh", "Coulombic efficiency / %", "state of health / %")


def _capacity(one: CycleResult) -> float | None:
    return one.capacities.discharge


def _efficiency(one: CycleResult) -> float | None:
    return None if one.ledger.coulombic_efficiency is None else 100.0 * one.ledger.coulombic_efficiency


def _health(one: CycleResult) -> float | None:
    return None if one.ledger.state_of_health is None else 100.0 * one.ledger.state_of_health


def _by_group(
    axes: Axes,
    cells: Sequence[CellResult],
    groups: Sequence[str],
    value: Callable[[CycleResult], float | None],
    label: str,
) -> None:
    last = 2
    first, apart = _first_apart([{one.cycle: found for one in cell.cycles if (found := value(one)) is not None}
                                 for cell in cells])  # fmt: skip
    for number, group in enumerate(groups):
        look, name = series(number), group
        for cell in cells:
            points = [(one.cycle, found) for one in cell.cycles if (found := value(one)) is not None]
            points = [point for point in points if point[0] > 1 or not apart]
            if cell.group == group and points:
                x, y = zip(*points, strict=True)
                axes.plot(x, y, linewidth=0.6, label=name, **look)
                last, name = max(last, *x), "_nolegend_"
    if not axes.lines:
        empty(axes, "no cycling data")
        return
    axes.set_xlim(0.5, last + 0.5)
    if apart:
        _told(axes, first)
    frame(axes, "cycle number", label, whole_x=True)


def _first_apart(found: Sequence[Mapping[int, float]]) -> tuple[list[float], bool]:
    """Give the values of cycle 1, and whether they would flatten all the others, so that they are told in words."""
    first = [values[1] for values in found if 1 in values]
    later = [value for values in found for number, value in values.items() if number > 1]
    return first, bool(first and later and min(first) < min(later) - 3.0 and min(later) > 50.0)


def _told(axes: Axes, first: Sequence[float]) -> None:
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.3 * (high - low), high)
    words = f"cycle 1: {min(first):.1f} to {max(first):.1f} %"
    axes.text(0.02, 0.04, words, transform=axes.transAxes, fontsize=small(), color="#555555")


def voltage(axes: Axes, cell: CellResult, one: CycleResult) -> None:
    """Draw charge and discharge of a cycle, and dotted those of the first."""
    axes.set_title("Cell voltage")
    for each in cell.cycles:
        if each.cycle not in (1, one.cycle):
            continue
        early = each.cycle != one.cycle
        for course, colour, name, line in (
            (each.charge_course, BLUE, "charge", "-"),
            (each.discharge_course, VERMILION, "discharge", "--"),
        ):
            if course is not None and len(course.passed_mAh):
                every = max(1, len(course.passed_mAh) // _POINTS)
                axes.plot([*course.passed_mAh[::every], course.passed_mAh[-1]],
                          [*course.voltage_V[::every], course.voltage_V[-1]], color=colour,
                          linestyle=":" if early else line, label=f"{name} {each.cycle}")  # fmt: skip
    if not axes.lines:
        empty(axes, "no cycling data")
        return
    axes.margins(x=0.02)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.22 * (high - low))
    frame(axes, "capacity / mAh", "voltage / V")
    axes.legend(loc="upper left", ncol=2, columnspacing=1.2, handlelength=1.8)


def over_cycles(capacity: Axes, efficiency: Axes, cells: Sequence[CellResult]) -> None:
    """Draw discharge capacity and Coulombic efficiency of cells over their cycles into two panels."""
    capacity.set_title("Discharge capacity and Coulombic efficiency")
    found = [(cell, {one.cycle: 100 * one.ledger.coulombic_efficiency for one in cell.cycles
                     if one.ledger.coulombic_efficiency is not None}) for cell in cells]  # fmt: skip
    first, apart = _first_apart([values for _, values in found])
    for index, (cell, efficient) in enumerate(found):
        look: dict[str, Any] = {
            "color": SERIES_COLOURS[index % len(SERIES_COLOURS)], "marker": MARKERS[index % len(MARKERS)],
        }  # fmt: skip
        values = {one.cycle: one.capacities.discharge for one in cell.cycles}
        discharged = {number: value for number, value in values.items() if value is not None}
        shown = {number: value for number, value in efficient.items() if number > 1 or not apart}
        for axes, points in ((capacity, discharged), (efficiency, shown)):
            if points:
                axes.plot(list(points), list(points.values()), linewidth=0.8, label=cell.cell, **look)
    if not capacity.lines:
        empty(capacity, "no cycling data")
        empty(efficiency, "")
        return
    last = max((one.cycle for cell in cells for one in cell.cycles), default=1)
    for axes in (capacity, efficiency):
        axes.set_xlim(0.5, max(last, 2) + 0.5)
        low, high = axes.get_ylim()
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    if apart:
        _told(efficiency, first)
    frame(capacity, None, "capacity / mAh", few_y=3)
    frame(efficiency, "cycle number", "CE / %", few_y=3, few_x=8, whole_x=True)
    if len(cells) <= len(MARKERS):
        capacity.legend(loc="best", ncol=2, columnspacing=1.0)
