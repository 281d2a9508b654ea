"""Figures of an analysis: one per measured cell and cycle, one per group, one over all groups.

Each function returns a matplotlib figure; nothing is written here and no global state of matplotlib is touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.analysis.impedance import ImpedanceSpectrum
from labctl.analysis.inventory import SHARES
from labctl.analysis.model import Analysis, CellResult, CycleResult
from labctl.analysis.panels import (
    PER_CENT,
    bars,
    cycling,
    nyquist,
    shares_of_cell,
    shares_of_group,
    spectra,
    truth_mark,
    voltage,
)
from labctl.analysis.style import SHARE_COLOURS, new_figure
from labctl.analysis.truth import truth_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def cell_figure(
    analysis: Analysis, cell: CellResult, one: CycleResult, truth: Mapping[str, Any] | None = None
) -> Figure:
    """Draw spectra, shares, voltage curves and impedance of one measured cycle of a cell."""
    figure = new_figure(f"{cell.cell} ({cell.group}), cycle {one.cycle}", analysis.mode, (9.6, 7.0))
    grid = figure.add_gridspec(2, 2, left=0.075, right=0.975, top=0.90, bottom=0.075, hspace=0.34, wspace=0.22)
    upper_left, upper_right, lower_left, lower_right = (
        figure.add_subplot(grid[at]) for at in ((0, 0), (0, 1), (1, 0), (1, 1))
    )
    spectra(upper_left, one.measured, analysis.settings.recipe)
    allocation = None if one.measured is None else one.measured.allocation
    shares_of_cell(upper_right, allocation, truth_of(truth, cell.cell, one.cycle))
    voltage(lower_left, cell, one)
    nyquist(lower_right, {state: [found.spectrum] for state, found in one.impedance.items()})
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
    shares_of_group(figure.add_subplot(top[0]), results, measured, truth)
    cycling(figure, top[1], cells)
    bottom = rows[1].subgridspec(1, len(numbers), wspace=0.28)
    for column, number in enumerate(numbers):
        states: dict[str, list[ImpedanceSpectrum]] = {}
        for _, one in measured:
            if one.cycle == number:
                for state, found in one.impedance.items():
                    states.setdefault(state, []).append(found.spectrum)
        nyquist(figure.add_subplot(bottom[column]), states, f"Impedance, cycle {number}, all cells")
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
    stacked.set_ylabel(PER_CENT)
    stacked.legend(loc="lower center", bbox_to_anchor=(0.5, 0.98), ncol=4, columnspacing=1.0, handlelength=1.2)
    for offset, share in zip((-0.26, 0.0, 0.26), SHARES[1:], strict=True):
        bars(losses, place + offset, 0.24, share, analysis.groups)
        for at, group in zip(place + offset, analysis.groups, strict=True):
            true = [truth_of(truth, cell, group.cycle) for cell in group.cells]
            if true and all(true):
                truth_mark(losses, at, float(np.mean([one[share] for one in true])), 11)
    losses.axhline(0, color="black", linewidth=0.8)
    losses.set_ylabel(PER_CENT)
    losses.set_title("The same, enlarged; ± SD between cells" + ("; line: truth" if truth else ""))
    for axes in (stacked, losses):
        axes.set_xticks(place, names)
    return figure
