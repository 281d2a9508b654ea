"""Figures of an analysis: one per measured cell and cycle, one per group, one over all groups.

Each function returns a matplotlib figure; nothing is written here and no global state of matplotlib is touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.analysis.impedance import STATIONARY_ABOVE_HZ, ImpedanceSpectrum
from labctl.analysis.inventory import SHARES, Allocation
from labctl.analysis.model import STATES, Analysis, CellResult, CycleResult, GroupResult, Measured
from labctl.analysis.recipe import Recipe
from labctl.analysis.style import MARKERS, SERIES_COLOURS, SHARE_COLOURS, STATE_COLOURS, empty, new_figure
from labctl.analysis.truth import truth_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHOWN_PPM = (150.0, 360.0)
_MAGNIFIED = 10
_PER_CENT = "share of the first charge / %"
_TRUTH = {"marker": "_", "color": "black", "s": 260, "linewidths": 1.6, "zorder": 5}


def cell_figure(
    analysis: Analysis, cell: CellResult, one: CycleResult, truth: Mapping[str, Any] | None = None
) -> Figure:
    """Draw spectra, shares, voltage curves and impedance of one measured cycle of a cell."""
    figure = new_figure(f"{cell.cell} ({cell.group}), cycle {one.cycle}", analysis.mode, (9.6, 7.0))
    grid = figure.add_gridspec(2, 2, left=0.075, right=0.975, top=0.90, bottom=0.075, hspace=0.34, wspace=0.22)
    spectra, shares, curves, nyquist = (figure.add_subplot(grid[at]) for at in ((0, 0), (0, 1), (1, 0), (1, 1)))
    _spectra(spectra, one.measured, analysis.settings.recipe)
    allocation = None if one.measured is None else one.measured.allocation
    _shares_of_cell(shares, allocation, truth_of(truth, cell.cell, one.cycle))
    _voltage(curves, cell, one)
    _nyquist(nyquist, {state: [spectrum] for state, spectrum in one.impedance.items()})
    return figure


def group_figure(analysis: Analysis, group: str, truth: Mapping[str, Any] | None = None) -> Figure:
    """Draw shares with the deviation between cells, cycling, and impedance of one group at its measured cycles."""
    results = [one for one in analysis.groups if one.group == group]
    cells = [one for one in analysis.cells if one.group == group]
    measured = [(cell, one) for cell in cells for one in cell.allocated]
    numbers = sorted({one.cycle for _, one in measured}) or [0]
    figure = new_figure(f"Group {group}", analysis.mode, (9.6, 7.4))
    rows = figure.add_gridspec(2, 1, left=0.075, right=0.975, top=0.90, bottom=0.075, hspace=0.34)
    top = rows[0].subgridspec(1, 2, wspace=0.24)
    _shares_of_group(figure.add_subplot(top[0]), results, measured, truth)
    _cycling(figure, top[1], cells)
    bottom = rows[1].subgridspec(1, len(numbers), wspace=0.28)
    for column, number in enumerate(numbers):
        states: dict[str, list[ImpedanceSpectrum]] = {}
        for _, one in measured:
            if one.cycle == number:
                for state, spectrum in one.impedance.items():
                    states.setdefault(state, []).append(spectrum)
        _nyquist(figure.add_subplot(bottom[column]), states, f"Impedance, cycle {number}, all cells")
    return figure


def overview_figure(analysis: Analysis, truth: Mapping[str, Any] | None = None) -> Figure:
    """Draw where the capacity went in every group and measured cycle, stacked to 100 %, and the losses enlarged."""
    figure = new_figure("Where the first charge went", analysis.mode, (9.6, 4.3))
    grid = figure.add_gridspec(1, 2, left=0.075, right=0.975, top=0.84, bottom=0.15, wspace=0.2)
    stacked, losses = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    place = np.arange(len(analysis.groups), dtype=float)
    names = [f"{one.group}\ncycle {one.cycle}, n = {len(one.cells)}" for one in analysis.groups]
    below = np.zeros(len(place))
    for share in SHARES:
        means = np.array([one.shares[share].mean for one in analysis.groups])
        stacked.bar(place, means, 0.62, bottom=below, color=SHARE_COLOURS[share], label=share, edgecolor="white")
        below = below + means
    stacked.set_ylabel(_PER_CENT)
    stacked.set_title("Allocation (means)")
    stacked.legend(loc="lower center", bbox_to_anchor=(0.5, 0.98), ncol=4, columnspacing=1.0, handlelength=1.2)
    stacked.set_title("")
    for offset, share in zip((-0.26, 0.0, 0.26), SHARES[1:], strict=True):
        _bars(losses, place + offset, 0.24, share, analysis.groups)
        for at, group in zip(place + offset, analysis.groups, strict=True):
            true = [truth_of(truth, cell, group.cycle) for cell in group.cells]
            if true and all(true):
                losses.scatter([at], [np.mean([one[share] for one in true])], **{**_TRUTH, "s": 120})
    losses.axhline(0, color="black", linewidth=0.8)
    losses.set_ylabel(_PER_CENT)
    losses.set_title("What was lost or left; bars: ± SD between cells" + (", line: truth" if truth else ""), y=1.02)
    for axes in (stacked, losses):
        axes.set_xticks(place, names)
    return figure


def _spectra(axes: Axes, measured: Measured | None, recipe: Recipe) -> None:
    axes.set_title("⁷Li NMR by state")
    states = {} if measured is None else measured.states
    if not states:
        empty(axes, "no spectra")
        return
    shown = [label for label in STATES if label in states]
    cut = {label: _cut(states[label].spectrum.ppm, states[label].spectrum.intensity) for label in shown}
    height = max(float(values.max()) for _, values in cut.values()) or 1.0
    axes.axvspan(*recipe.metal, color="#0072B2", alpha=0.08, linewidth=0)
    for level, label in enumerate(reversed(shown)):
        ppm, values = cut[label]
        base = 0.55 * level
        weak = float(values.max()) < height / _MAGNIFIED
        factor = _MAGNIFIED if weak else 1
        axes.plot(ppm, values / height * factor + base, color=STATE_COLOURS[label], linewidth=1.0)
        axes.axhline(base, color="#BBBBBB", linewidth=0.5, zorder=0)
        axes.text(_SHOWN_PPM[1] - 3, base + 0.06, f"{label} ×{factor}" if weak else label,
                  color=STATE_COLOURS[label], fontweight="bold", fontsize=8.5)  # fmt: skip
    axes.set_xlim(_SHOWN_PPM[1], _SHOWN_PPM[0])
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("shift against LiCl / ppm (shaded: integrated)")


def _cut(ppm: Any, values: Any) -> tuple[Any, Any]:
    inside = (ppm >= _SHOWN_PPM[0]) & (ppm <= _SHOWN_PPM[1])
    return ppm[inside], values[inside]


def _shares_of_cell(axes: Axes, allocation: Allocation | None, true: Mapping[str, float]) -> None:
    axes.set_title("Shares; bars: ± 1 SD of this cell" + (", line: truth" if true else ""))
    if allocation is None:
        empty(axes, "not evaluated; see the flags")
        return
    for place, share in enumerate(SHARES):
        value, sd = allocation.percent(share), allocation.percent_sd(share)
        axes.bar(place, value, 0.62, color=SHARE_COLOURS[share])
        axes.errorbar(place, value, sd, color="black", capsize=4, linewidth=1.1)
        if true:
            axes.scatter([place], [true[share]], **_TRUTH)
        top = max(value + sd, true.get(share, 0.0), 0.0)
        axes.text(place, top + 1.5, f"{value:.2f} ± {sd:.2f} %", ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(SHARES)), SHARES)
    axes.set_ylim(min(0.0, 1.2 * min(allocation.percent(share) - allocation.percent_sd(share) for share in SHARES)), 105)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_ylabel(_PER_CENT)


def _voltage(axes: Axes, cell: CellResult, one: CycleResult) -> None:
    axes.set_title("Cell voltage")
    drawn = [each for each in cell.cycles if each.cycle in (1, one.cycle)]
    for each in drawn:
        early = each.cycle != one.cycle
        for course, colour, name in (
            (each.charge_course, "#0072B2", "charge"),
            (each.discharge_course, "#D55E00", "discharge"),
        ):
            if course is not None:
                axes.plot(course.passed_mAh, course.voltage_V, color=colour, linestyle=":" if early else "-",
                          label=f"{name} {each.cycle}")  # fmt: skip
    if not axes.lines:
        empty(axes, "no cycling data")
        return
    axes.set_xlabel("capacity / mAh")
    axes.set_ylabel("voltage / V")
    axes.margins(x=0.02)
    axes.legend(loc="best", ncol=2 if len(axes.lines) > 2 else 1)


def _nyquist(axes: Axes, states: Mapping[str, Sequence[ImpedanceSpectrum]], title: str = "Impedance") -> None:
    axes.set_title(title)
    if not states:
        empty(axes, "no impedance")
        return
    order = [state for state in STATE_COLOURS if state in states] + [each for each in states if each not in STATE_COLOURS]
    for place, state in enumerate(order):
        colour = STATE_COLOURS.get(state, "#000000")
        for index, spectrum in enumerate(states[state]):
            z, sure = spectrum.impedance_ohm, spectrum.stationary
            axes.plot(z.real, -z.imag, color=colour, linewidth=0.6, alpha=0.6)
            axes.plot(z.real[sure], -z.imag[sure], MARKERS[place], markersize=3, color=colour,
                      label=state if index == 0 else None)  # fmt: skip
            axes.plot(z.real[~sure], -z.imag[~sure], MARKERS[place], markersize=3, markerfacecolor="white",
                      markeredgewidth=0.6, color=colour)  # fmt: skip
            if spectrum.frequency_Hz[-1] <= STATIONARY_ABOVE_HZ <= spectrum.frequency_Hz[0]:
                at = int(np.argmin(np.abs(np.log(spectrum.frequency_Hz / STATIONARY_ABOVE_HZ))))
                axes.plot(z.real[at], -z.imag[at], "*", markersize=10, color=colour, markeredgecolor="black",
                          markeredgewidth=0.5, zorder=4)  # fmt: skip
    axes.plot([], [], "*", markersize=8, color="white", markeredgecolor="black", markeredgewidth=0.6, label="1 Hz")
    axes.plot([], [], "o", markersize=3, color="white", markeredgecolor="black", markeredgewidth=0.6, label="below 1 Hz: drifts")
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel("Re Z / Ω")
    axes.set_ylabel("−Im Z / Ω")
    axes.legend(loc="upper left")


def _shares_of_group(
    axes: Axes,
    results: Sequence[GroupResult],
    measured: Sequence[tuple[CellResult, CycleResult]],
    truth: Mapping[str, Any] | None,
) -> None:
    axes.set_title("Excess, dead and interphase; bars: ± SD between cells")
    if not results:
        empty(axes, "no cell measured yet")
        return
    names = [f"cycle {one.cycle}\nreversible {_mean_and_sd(one)} %" for one in results]
    for shift, share in zip((-0.27, 0.0, 0.27), SHARES[1:], strict=True):
        place = np.arange(len(results)) + shift
        _bars(axes, place, 0.25, share, results)
        for at, result in zip(place, results, strict=True):
            cells = [(cell, one) for cell, one in measured if one.cycle == result.cycle]
            spots = np.linspace(-0.05, 0.05, len(cells)) if len(cells) > 1 else np.zeros(1)
            for (cell, one), spot in zip(cells, spots, strict=True):
                if one.measured is not None and one.measured.allocation is not None:
                    axes.plot(at + spot, one.measured.allocation.percent(share), "o", markersize=4, color="white",
                              markeredgecolor="black", markeredgewidth=0.8, zorder=4)  # fmt: skip
                true = truth_of(truth, cell.cell, one.cycle)
                if true:
                    axes.scatter([at + spot], [true[share]], **{**_TRUTH, "s": 70})
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xticks(range(len(results)), names)
    axes.set_ylabel(_PER_CENT)
    axes.plot([], [], "o", markersize=4, color="white", markeredgecolor="black", label="single cells")
    if truth:
        axes.plot([], [], "_", markersize=8, color="black", label="their truth")
    axes.legend(loc="upper left")


def _mean_and_sd(result: GroupResult) -> str:
    share = result.shares["reversible"]
    return f"{share.mean:.1f}" if share.sd is None else f"{share.mean:.1f} ± {share.sd:.1f}"


def _bars(axes: Axes, place: Any, width: float, share: str, results: Sequence[GroupResult]) -> None:
    axes.bar(place, [one.shares[share].mean for one in results], width, color=SHARE_COLOURS[share], label=share)
    for at, one in zip(place, results, strict=True):
        found = one.shares[share]
        if found.sd is not None:
            axes.errorbar(at, found.mean, found.sd, color="black", capsize=3, linewidth=1.0, zorder=3)


def _cycling(figure: Figure, place: Any, cells: Sequence[CellResult]) -> None:
    parts = place.subgridspec(2, 1, hspace=0.12)
    capacity, efficiency = figure.add_subplot(parts[0]), figure.add_subplot(parts[1])
    capacity.set_title("Discharge capacity and Coulombic efficiency")
    for index, cell in enumerate(cells):
        colour, marker = SERIES_COLOURS[index % len(SERIES_COLOURS)], MARKERS[index % len(MARKERS)]
        discharged = [(one.cycle, one.capacities.discharge) for one in cell.cycles if one.capacities.discharge is not None]
        efficient = [(one.cycle, 100 * one.ledger.coulombic_efficiency) for one in cell.cycles
                     if one.ledger.coulombic_efficiency is not None]  # fmt: skip
        for axes, points in ((capacity, discharged), (efficiency, efficient)):
            if points:
                axes.plot(*zip(*points, strict=True), marker=marker, markersize=3.5, linewidth=0.8, color=colour,
                          label=cell.cell)  # fmt: skip
    last = max((one.cycle for cell in cells for one in cell.cycles), default=1)
    for axes in (capacity, efficiency):
        axes.set_xlim(0.5, max(last, 2) + 0.5)
        axes.xaxis.get_major_locator().set_params(integer=True)
    capacity.set_xticklabels([])
    capacity.set_ylabel("mAh")
    efficiency.set_ylabel("CE / %")
    efficiency.set_xlabel("cycle")
    if len(cells) <= len(MARKERS) and capacity.lines:
        capacity.legend(loc="best", fontsize=7, ncol=2)
