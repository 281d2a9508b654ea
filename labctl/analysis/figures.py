"""Figures of the report: one per measured cell and cycle, one of a cell over its cycles, of a group, of all groups.

They are put together from the panels of :mod:`labctl.analysis.plots`. Each function returns a matplotlib figure;
nothing is written here and no global state of matplotlib is touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labctl.analysis.findings import EvaluatedImpedance
from labctl.analysis.inventory import SHARES
from labctl.analysis.model import Analysis, CellResult, CycleResult
from labctl.analysis.plots import allocation, cycling, nyquist, spectra
from labctl.analysis.style import MM, SCREEN, empty, grid, new_figure, small
from labctl.analysis.truth import truth_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDE = 9.6


def cell_figure(
    analysis: Analysis, cell: CellResult, one: CycleResult, truth: Mapping[str, Any] | None = None
) -> Figure:
    """Draw spectra, shares, voltage curves and, state by state, impedance of one measured cycle of a cell."""
    import matplotlib as mpl

    with mpl.rc_context(SCREEN):
        figure = new_figure(f"{cell.cell} ({cell.group}), cycle {one.cycle}", analysis.mode, (_WIDE, 6.6))
        upper = grid(figure, 1, 3, left=10.0, right=4.0, top=18.0, bottom=91.0, across=19.0)[0]
        spectra.panel(upper[0], one.measured, analysis.settings.recipe)
        measured = None if one.measured is None else one.measured.allocation
        allocation.of_cell(upper[1], measured, truth_of(truth, cell.cell, one.cycle))
        cycling.voltage(upper[2], cell, one)
        _impedance(figure, {state: [found] for state, found in one.impedance.items()}, top=97.0, bottom=15.0)
    return figure


def cell_over_cycles(analysis: Analysis, cell: CellResult, truth: Mapping[str, Any] | None = None) -> Figure:
    """Draw charged spectra, shares, voltage curves and impedance by state of a cell over its measured cycles."""
    import matplotlib as mpl

    measured = [one for one in cell.cycles if one.measured is not None]
    found: dict[str, list[tuple[int, EvaluatedImpedance]]] = {}
    for one in cell.cycles:
        for state, evaluated in one.impedance.items():
            found.setdefault(state, []).append((one.cycle, evaluated))
    with mpl.rc_context(SCREEN):
        figure = new_figure(f"{cell.cell} ({cell.group}) over its cycles", analysis.mode, (_WIDE, 6.6))
        upper = grid(figure, 1, 3, left=10.0, right=4.0, top=18.0, bottom=91.0, across=19.0)[0]
        upper[0].set_title("⁷Li NMR, charged")
        if any("charged" in one.measured.states for one in measured if one.measured is not None):
            spectra.stack(upper[0], [cell], "charged", analysis.settings.recipe)
        else:
            empty(upper[0], "no spectra")
        allocation.of_cell_over_cycles(upper[1], cell, truth)
        cycling.voltage(upper[2], cell, measured[-1])
        _over_cycles(figure, found, top=97.0, bottom=15.0)
    return figure


def group_figure(analysis: Analysis, group: str, truth: Mapping[str, Any] | None = None) -> Figure:
    """Draw shares with the deviation between cells, cycling, and impedance of one group at its measured cycles."""
    import matplotlib as mpl

    results = [one for one in analysis.groups if one.group == group]
    cells = [one for one in analysis.cells if one.group == group]
    found: dict[str, list[tuple[int, EvaluatedImpedance]]] = {}
    for _, one in allocation.measured_cycles(cells):
        for state, evaluated in one.impedance.items():
            found.setdefault(state, []).append((one.cycle, evaluated))
    with mpl.rc_context(SCREEN):
        figure = new_figure(f"Group {group}", analysis.mode, (_WIDE, 165.0 * MM))
        shares = grid(figure, left=17.0, right=128.0, top=18.0, bottom=77.0)[0][0]
        allocation.of_group(shares, results, cells, truth)
        capacity, efficiency = grid(figure, 2, 1, left=137.0, right=4.0, top=18.0, bottom=77.0, between=5.0)
        cycling.over_cycles(capacity[0], efficiency[0], cells)
        _over_cycles(figure, found, top=111.0, bottom=16.0)
    return figure


def _over_cycles(
    figure: Figure, found: Mapping[str, list[tuple[int, EvaluatedImpedance]]], *, top: float, bottom: float
) -> None:
    """Draw a row of Nyquist plots with a colour for each cycle."""
    cycles = sorted({cycle for some in found.values() for cycle, _ in some})
    row = _by_state(figure, found, top=top, bottom=bottom)
    for state, axes in row.items():
        nyquist.cycles_panel(axes, found[state], cycles)
    for axes in list(row.values())[:1]:
        axes.legend(handles=nyquist.cycle_marks(cycles), loc="upper left", handlelength=1.0)


def _impedance(figure: Figure, states: Mapping[str, list[EvaluatedImpedance]], *, top: float, bottom: float) -> None:
    """Draw a row of Nyquist plots with their fits."""
    row = _by_state(figure, states, top=top, bottom=bottom)
    for state, axes in row.items():
        nyquist.panel(axes, states[state], state)
    for axes in list(row.values())[:1]:
        axes.legend(handles=nyquist.key()[:4], loc="upper right", handlelength=1.0)


def _by_state(figure: Figure, states: Mapping[str, object], *, top: float, bottom: float) -> dict[str, Axes]:
    """Make a row of axes between two heights in mm, one for each state; without any, one that says so."""
    order = nyquist.in_order(states)
    row = grid(figure, 1, max(1, len(order)), left=17.0, right=4.0, top=top, bottom=bottom, across=18.0)[0]
    if not order:
        row[0].set_title("Impedance")
        empty(row[0], "no impedance")
    for axes, state in zip(row, order, strict=False):
        axes.set_title(f"Impedance, {state}")
    return dict(zip(order, row, strict=False))


def overview_figure(analysis: Analysis, truth: Mapping[str, Any] | None = None) -> Figure:
    """Draw where the capacity went in every group and measured cycle, stacked to 100 %, and the losses enlarged."""
    import matplotlib as mpl

    with mpl.rc_context(SCREEN):
        figure = new_figure("Where the first charge went", analysis.mode, (_WIDE, 4.5))
        left, right = grid(figure, 1, 2, left=17.0, right=4.0, top=24.0, bottom=20.0, across=22.0)[0]
        names = allocation.places(analysis.groups)
        allocation.stacked(left, analysis.groups, names, "cycle number")
        allocation.losses(right, analysis.groups, names, "cycle number", truth=truth)
        for axes in (left, right):
            allocation.group_names(axes, analysis.groups)
        figure.legend(*left.get_legend_handles_labels(), loc="upper left", bbox_to_anchor=(0.06, 0.91),
                      ncol=len(SHARES), columnspacing=1.0, handlelength=1.4)  # fmt: skip
        words = "losses enlarged; ± SD between cells" + ("; black lines: truth" if truth else "")
        figure.text(0.975, 0.885, words, ha="right", va="center", fontsize=small())
    return figure
