"""Where the first charge went, over cycles, after Fig. 3b and d of Wichmann et al. 2025."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from labctl.analysis.inventory import SHARES, Allocation
from labctl.analysis.model import Analysis, CellResult, CycleResult, GroupResult
from labctl.analysis.style import (
    DOUBLE,
    MARKERS,
    PRINT,
    SHARE_COLOURS,
    SHARE_HATCHES,
    SINGLE,
    empty,
    frame,
    grid,
    headed,
    in_rows,
    sheet,
    shortened,
    small,
)
from labctl.analysis.truth import truth_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PER_CENT: Final = "share of first charge / %"
_LOSSES: Final = SHARES[1:]
#: So many measured cycles have room for words below them.
_ROOM: Final = 4


def figure(analysis: Analysis, groups: Sequence[str] = ()) -> Figure:
    """Draw the shares of every group at its measured cycles: stacked to 100 %, and below the losses alone.

    Parameters
    ----------
    analysis : Analysis
        With its groups.
    groups : sequence of str, optional
        Which, in their order; all of them otherwise. One takes a column, several the page's width.
    """
    import matplotlib as mpl

    chosen = list(groups) or list(dict.fromkeys(one.group for one in analysis.groups))
    with mpl.rc_context(PRINT):
        bands, columns = in_rows(len(chosen))
        drawn = sheet(SINGLE if len(chosen) < 2 else DOUBLE, 8.0 + 104.0 * bands, analysis.mode, "")
        lines = grid(drawn, 2 * bands, columns, left=10.5, bottom=13.5, top=13.0, across=13.0, between=18.0)
        rows = [[axes for line in lines[first::2] for axes in line] for first in (0, 1)]
        for axes in rows[0][len(chosen) :] + rows[1][len(chosen) :] if chosen else ():
            axes.set_axis_off()
        for column, group in enumerate(chosen):
            results = [one for one in analysis.groups if one.group == group]
            names = [f"{one.cycle}\nn = {len(one.cells)}" for one in results]
            stacked(rows[0][column], results, names, "cycle number")
            losses(rows[1][column], results, names, "cycle number")
            headed(rows[0][column], f"{letter(column)}  {group}")
            headed(rows[1][column], f"{letter(column + len(chosen))}  losses, {group}")
        if chosen:
            shown = rows[1][: len(chosen)]
            low = min(axes.get_ylim()[0] for axes in shown)
            high = max(axes.get_ylim()[1] for axes in shown)
            for axes in shown:
                axes.set_ylim(low, high)
                frame_y(axes)
            drawn.legend(*rows[0][0].get_legend_handles_labels(), loc="upper left", bbox_to_anchor=(0.0, 1.0), ncol=4,
                         columnspacing=1.2, handlelength=1.6)  # fmt: skip
        else:
            empty(rows[0][0], "no cell measured yet")
            empty(rows[1][0], "no cell measured yet")
    return drawn


def letter(number: int) -> str:
    """Give the letter of a panel, as journals count them."""
    return "abcdefghijklmnopqrstuvwxyz"[number % 26]


def stacked(axes: Axes, results: Sequence[GroupResult], names: Sequence[str], label: str) -> None:
    """Draw all shares of groups stacked, each with the deviation between its cells.

    What is negative within its error hangs below zero, so that the others still add up to 100 %.
    """
    place = np.arange(len(results), dtype=float)
    above, below = np.zeros(len(place)), np.zeros(len(place))
    bars: list[tuple[float, float, float]] = []
    for number, share in enumerate(SHARES):
        means = np.array([one.shares[share].mean for one in results])
        start = np.where(means >= 0, above, below)
        axes.bar(place, means, 0.7, bottom=start, color=SHARE_COLOURS[share], hatch=SHARE_HATCHES[share],
                 edgecolor="white", linewidth=0.4, label=share)  # fmt: skip
        side = (-0.21, -0.07, 0.07, 0.21)[number]
        for at, one, end in zip(place, results, start + means, strict=True):
            sd = one.shares[share].sd
            if sd is not None:
                bars.append((at + side, float(end), sd))
        above, below = above + np.maximum(means, 0), below + np.minimum(means, 0)
    _errors(axes, bars)
    axes.set_xlim(-0.6, max(len(place), 1) - 0.4)
    lowest = min(-0.5, *(end - sd for _, end, sd in bars), *below) if bars or len(below) else -0.5
    axes.set_ylim(lowest if lowest < -0.5 else 0.0, max(100.0, *(end + sd for _, end, sd in bars), *above, 100.0) + 3.0)
    frame(axes, label, PER_CENT, names=dict(zip(place.tolist(), names, strict=True)))


def _errors(axes: Axes, bars: Sequence[tuple[float, float, float]], width: float = 0.8) -> None:
    """Draw error bars: place, middle, half length."""
    if bars:
        x, y, sd = (np.array(each) for each in zip(*bars, strict=True))
        cap = 1.6 * width + 0.6
        axes.errorbar(x, y, sd, fmt="none", ecolor="black", capsize=cap, elinewidth=width, capthick=width, zorder=4)


def losses(
    axes: Axes,
    results: Sequence[GroupResult],
    names: Sequence[str],
    label: str,
    *,
    cells: Sequence[CellResult] = (),
    truth: Mapping[str, Any] | None = None,
    single: bool = False,
) -> None:
    """Draw the three losses of groups side by side with the deviation between cells.

    Parameters
    ----------
    axes : Axes
        Into which.
    results : sequence of GroupResult
        One place each.
    names : sequence of str
        Of these places.
    label : str
        Of the x axis.
    cells : sequence of CellResult
        Drawn as dots, where they belong to a result.
    truth : mapping, optional
        A simulation's, drawn as lines.
    single : bool
        Whether lines stand for single cells instead of their mean.
    """
    if not results:
        empty(axes, "no cell measured yet")
        return
    place = np.arange(len(results), dtype=float)
    bars: list[tuple[float, float, float]] = []
    dots: list[tuple[float, float]] = []
    lines: list[tuple[float, float]] = []
    for shift, share in zip((-0.27, 0.0, 0.27), _LOSSES, strict=True):
        means = [one.shares[share].mean for one in results]
        axes.bar(place + shift, means, 0.25, color=SHARE_COLOURS[share], hatch=SHARE_HATCHES[share],
                 edgecolor="white", linewidth=0.0, label=share)  # fmt: skip
        for at, one in zip(place + shift, results, strict=True):
            sd = one.shares[share].sd
            if sd is not None:
                bars.append((at, one.shares[share].mean, sd))
            known = [truth_of(truth, name, one.cycle) for name in one.cells]
            members = {cell.cell: cell for cell in cells if cell.group == one.group and cell.cell in one.cells}
            spots = np.linspace(-0.06, 0.06, len(one.cells)) if len(one.cells) > 1 else np.zeros(1)
            for spot, name, true in zip(spots, one.cells, known, strict=True):
                dots += [(at + spot, value) for value in _values(members.get(name), one.cycle, share)]
                lines += [(at + spot, true[share])] if true and single else []
            if known and all(known) and not single:
                lines.append((at, float(np.mean([true[share] for true in known]))))
    _errors(axes, bars)
    if dots:
        axes.plot(*zip(*dots, strict=True), linestyle="none", marker="o", color="white", markeredgecolor="black",
                  markeredgewidth=0.6, zorder=5, label="single cells")  # fmt: skip
    if lines:
        truth_marks(axes, lines, 8 if single else 11, "their truth" if single else "truth")
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xlim(-0.6, len(place) - 0.4)
    frame(axes, label, PER_CENT, names=dict(zip(place.tolist(), names, strict=True)))


def frame_y(axes: Axes) -> None:
    """Choose the ticks of a panel of shares anew, after its range was changed."""
    marks = dict(zip(axes.get_xticks().tolist(), [each.get_text() for each in axes.get_xticklabels()], strict=True))
    frame(axes, axes.get_xlabel(), PER_CENT, names=marks)


def _values(cell: CellResult | None, cycle: int, share: str) -> list[float]:
    found = [] if cell is None else [one.measured for one in cell.allocated if one.cycle == cycle]
    return [one.allocation.percent(share) for one in found if one is not None and one.allocation is not None]


def truth_marks(axes: Axes, points: Sequence[tuple[float, float]], width: float, label: str = "truth") -> None:
    """Draw the lines that stand for a simulation's truth."""
    axes.plot(*zip(*points, strict=True), linestyle="none", marker="_", markersize=width, markeredgewidth=1.6,
              color="black", zorder=6, label=label)  # fmt: skip


def of_cell(axes: Axes, allocation: Allocation | None, true: Mapping[str, float]) -> None:
    """Draw the three losses of one cell with their propagated deviations; the reversible share in words."""
    axes.set_title("Shares ± 1 SD of this cell")
    if allocation is None:
        empty(axes, "not evaluated; see the flags")
        return
    values = [(allocation.percent(share), allocation.percent_sd(share)) for share in _LOSSES]
    for place, (share, (value, _)) in enumerate(zip(_LOSSES, values, strict=True)):
        axes.bar(place, value, 0.62, color=SHARE_COLOURS[share], hatch=SHARE_HATCHES[share], edgecolor="white",
                 linewidth=0.0)  # fmt: skip
    _errors(axes, [(float(place), value, sd) for place, (value, sd) in enumerate(values)], 1.1)
    if true:
        truth_marks(axes, [(float(place), true[share]) for place, share in enumerate(_LOSSES)], 16)
    top = max(*(value + sd for value, sd in values), *(true.get(share, 0.0) for share in _LOSSES), 0.0)
    bottom = min(*(value - sd for value, sd in values), *(true.get(share, 0.0) for share in _LOSSES), 0.0)
    axes.set_xlim(-0.5, 2.5)
    axes.set_ylim(bottom - 0.05 * (top - bottom), top + 0.28 * (top - bottom))
    axes.axhline(0, color="black", linewidth=0.8)
    names = {float(place): f"{share}\n{value:.2f}\n± {sd:.2f} %".replace("-", "−")
             for place, (share, (value, sd)) in enumerate(zip(_LOSSES, values, strict=True))}  # fmt: skip
    frame(axes, "", PER_CENT, names=names)
    words = f"reversible: {allocation.reversible_percent:.2f} ± {allocation.reversible_percent_sd:.2f} %"
    if true:
        words += f" (truth {true['reversible']:.2f} %)\nblack lines: truth"
    axes.text(0.02, 0.98, words, transform=axes.transAxes, ha="left", va="top", fontsize=small())


def of_cell_over_cycles(axes: Axes, cell: CellResult, truth: Mapping[str, Any] | None) -> None:
    """Draw the three losses of one cell over its measured cycles with their propagated deviations."""
    axes.set_title("Shares ± 1 SD of this cell")
    found = [(one.cycle, one.measured.allocation) for one in cell.cycles
             if one.measured is not None and one.measured.allocation is not None]  # fmt: skip
    if not found:
        empty(axes, "not evaluated; see the flags")
        return
    cycles = [cycle for cycle, _ in found]
    for share, marker in zip(_LOSSES, MARKERS, strict=False):
        values = [allocation.percent(share) for _, allocation in found]
        axes.errorbar(cycles, values, [allocation.percent_sd(share) for _, allocation in found], marker=marker,
                      color=SHARE_COLOURS[share], linewidth=0.8, capsize=2.5, label=share)  # fmt: skip
        true = [(float(cycle), truth_of(truth, cell.cell, cycle).get(share)) for cycle in cycles]
        truth_marks(axes, [(cycle, value) for cycle, value in true if value is not None], 10, "")
    axes.axhline(0, color="black", linewidth=0.8)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.25 * (high - low))
    axes.set_xlim(0.5, max(cycles[-1], 2) + 0.5)
    frame(axes, "cycle number", PER_CENT, whole_x=True)
    axes.legend(loc="upper left", ncol=3, columnspacing=1.0)


def of_group(
    axes: Axes, results: Sequence[GroupResult], cells: Sequence[CellResult], truth: Mapping[str, Any] | None
) -> None:
    """Draw the losses of a group at each cycle, single cells as dots, with a legend above them."""
    axes.set_title("Excess, dead, interphase; ± SD between cells")
    roomy = len(results) <= _ROOM
    names = [f"cycle {one.cycle}\nreversible\n{mean_and_sd(one)} %" if roomy else str(one.cycle) for one in results]
    losses(axes, results, names, "" if roomy else "cycle number", cells=cells, truth=truth, single=True)
    if results:
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.22 * (high - low))
        frame_y(axes)
        handles, labels = axes.get_legend_handles_labels()
        order = sorted(range(len(labels)), key=lambda at: _LOSSES.index(labels[at]) if labels[at] in _LOSSES else 9)
        axes.legend([handles[at] for at in order], [labels[at] for at in order], loc="upper left",
                    ncol=4 if len(order) < 5 else 3, columnspacing=0.8, handlelength=1.4)  # fmt: skip


def places(results: Sequence[GroupResult]) -> list[str]:
    """Write the cycles of several groups below their bars, with the number of cells where there is room."""
    return [f"{one.cycle}\nn = {len(one.cells)}" if len(results) <= 2 * _ROOM else f"{one.cycle}" for one in results]


def group_names(axes: Axes, results: Sequence[GroupResult]) -> None:
    """Write the names of groups above their bars, and a line between them. Long names are cut at their room."""
    order = [one.group for one in results]
    top = axes.get_ylim()[1]
    for group in dict.fromkeys(order):
        first, count = order.index(group), order.count(group)
        room = axes.get_window_extent().width / (len(order) + 0.2) * count / axes.figure.dpi * 72
        letters = max(3, int(room / (0.68 * small())))
        axes.text(
            first + 0.5 * (count - 1),
            top,
            shortened(group, letters),
            ha="center",
            va="bottom",
            fontsize=small(),
            fontweight="bold",
        )
        if first:
            axes.axvline(first - 0.5, color="#BBBBBB", linewidth=0.6, zorder=0)


def mean_and_sd(result: GroupResult, share: str = "reversible") -> str:
    """Write a group's share."""
    found = result.shares[share]
    return f"{found.mean:.1f}" if found.sd is None else f"{found.mean:.1f} ± {found.sd:.1f}"


def measured_cycles(cells: Sequence[CellResult]) -> list[tuple[CellResult, CycleResult]]:
    """Give all cycles that have shares, with their cells."""
    return [(cell, one) for cell in cells for one in cell.allocated]
