"""Spectra of all states of a cell above each other, after Fig. 2 of Wichmann et al. 2025."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from labctl.analysis.findings import Floats
from labctl.analysis.model import Analysis, CellResult, Measured, State
from labctl.analysis.recipe import METAL, Recipe
from labctl.analysis.spectrum import Spectrum
from labctl.analysis.style import (
    BLUE,
    DOUBLE,
    LINES,
    PRINT,
    SERIES_COLOURS,
    SINGLE,
    STATE_COLOURS,
    empty,
    frame,
    grid,
    headed,
    in_rows,
    sheet,
    small,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHOWN_PPM: Final = (150.0, 360.0)
_MAGNIFIED: Final = (1, 2, 5, 10, 20, 50)
_FROM_BELOW: Final = ("pristine", "dead", "discharged", "charged")
#: Distance of two spectra in heights of the highest one.
_APART: Final = 0.5
_CYCLES_APART: Final = 0.9
#: More dots than this across a panel are not seen, and cost time.
_POINTS: Final = 500


def figure(measured: Measured, recipe: Recipe = METAL, *, mode: str, title: str = "") -> Figure:
    """Draw the spectra of a measured cycle in one column's width.

    Parameters
    ----------
    measured : Measured
        With the states.
    recipe : Recipe
        Its metal window is shaded.
    mode : str
        ``simulated`` or ``live``.
    title : str
        Such as the cell and its cycle.
    """
    import matplotlib as mpl

    with mpl.rc_context(PRINT):
        drawn = sheet(SINGLE, 70.0, mode, title)
        axes = grid(drawn, left=7.0, right=4.5, bottom=10.0, top=7.0)[0][0]
        panel(axes, measured, recipe, title="")
    return drawn


def panel(axes: Axes, measured: Measured | None, recipe: Recipe, title: str = "⁷Li NMR by state") -> None:
    """Draw the spectra of all states above each other, weak ones enlarged by a factor that is written beside."""
    axes.set_title(title)
    states = {} if measured is None else measured.states
    shown = [label for label in _FROM_BELOW if label in states]
    if not shown:
        empty(axes, "no spectra")
        return
    cut = {label: _cut(states[label].spectrum) for label in shown}
    height = max(float(values.max()) for _, values in cut.values()) or 1.0
    axes.axvspan(*recipe.metal, color=BLUE, alpha=0.08, linewidth=0)
    for level, label in enumerate(shown):
        ppm, values = cut[label]
        base = _APART * level
        factor = max(each for each in _MAGNIFIED if each == 1 or _fits(each, states[label], values, height))
        axes.plot(ppm, values / height * factor + base, color=STATE_COLOURS[label])
        axes.plot(_SHOWN_PPM, (base, base), color="#BBBBBB", linewidth=0.5, zorder=0)
        axes.text(_SHOWN_PPM[1] - 3, base + 0.09, label if factor == 1 else f"{label}  ×{factor}",
                  color=STATE_COLOURS[label], fontweight="bold", fontsize=small())  # fmt: skip
    axes.set_xlim(_SHOWN_PPM[1], _SHOWN_PPM[0])
    axes.set_ylim(-0.2, _APART * (len(shown) - 1) + 1.1)
    axes.spines["left"].set_visible(False)
    frame(axes, "shift against LiCl / ppm (shaded: integrated)")
    axes.set_ylabel("signal / arb. unit")
    axes.yaxis.set_label_coords(-0.025, 0.5)


def over_cycles(analysis: Analysis, state: str = "charged") -> Figure:
    """Draw the spectra of one state at every measured cycle, a panel for each group, all its cells on each other."""
    import matplotlib as mpl

    groups = {
        group: [cell for cell in analysis.cells if cell.group == group and _cycles_of(cell, state)]
        for group in dict.fromkeys(cell.group for cell in analysis.cells)
    }
    shown = [group for group, cells in groups.items() if cells]
    with mpl.rc_context(PRINT):
        bands, columns = in_rows(len(shown))
        drawn = sheet(SINGLE if len(shown) < 2 else DOUBLE, 6.0 + 66.0 * bands, analysis.mode, f"{state} cells")
        lines = grid(drawn, bands, columns, left=7.0, right=4.5, bottom=10.0, top=11.0, across=9.0, between=16.0)
        row = [axes for line in lines for axes in line]
        for axes in row[max(1, len(shown)) :]:
            axes.set_axis_off()
        if not shown:
            empty(row[0], "no spectra")
        for number, (axes, group) in enumerate(zip(row, shown, strict=False)):
            stack(axes, groups[group], state, analysis.settings.recipe)
            headed(axes, f"{'abcdefghij'[number % 10]}  {group}")
    return drawn


def _cycles_of(cell: CellResult, state: str) -> dict[int, Spectrum]:
    return {one.cycle: one.measured.states[state].spectrum
            for one in cell.cycles if one.measured is not None and state in one.measured.states}  # fmt: skip


def stack(axes: Axes, cells: Sequence[CellResult], state: str, recipe: Recipe) -> None:
    """Draw one state's spectra at every measured cycle of some cells above each other."""
    found = {cell.cell: _cycles_of(cell, state) for cell in cells}
    numbers = sorted({number for spectra in found.values() for number in spectra})
    cut = {(name, number): _cut(one) for name, spectra in found.items() for number, one in spectra.items()}
    height = max(float(values.max()) for _, values in cut.values()) or 1.0
    axes.axvspan(*recipe.metal, color=BLUE, alpha=0.08, linewidth=0)
    top = 1.0
    for level, number in enumerate(numbers):
        base = level * _CYCLES_APART
        axes.plot(_SHOWN_PPM, (base, base), color="#BBBBBB", linewidth=0.5, zorder=0)
        drawn = [cut[name, number] for name in found if (name, number) in cut]
        for (ppm, values), look in zip(drawn, itertools.cycle(LINES)):
            top = max(top, base + float(values.max()) / height)
            axes.plot(ppm, values / height + base, color=SERIES_COLOURS[level % len(SERIES_COLOURS)],
                      linestyle=look, linewidth=0.8)  # fmt: skip
        words = f"cycle {number}" + (f", n = {len(drawn)}" if len(cells) > 1 else "")
        axes.text(_SHOWN_PPM[1] - 3, base + 0.07, words, fontsize=small(),
                  color=SERIES_COLOURS[level % len(SERIES_COLOURS)], fontweight="bold")  # fmt: skip
    axes.set_xlim(_SHOWN_PPM[1], _SHOWN_PPM[0])
    axes.set_ylim(-0.15, top + 0.1)
    axes.spines["left"].set_visible(False)
    frame(axes, "shift against LiCl / ppm")
    axes.set_ylabel("signal / arb. unit")
    axes.yaxis.set_label_coords(-0.025, 0.5)


def _fits(factor: int, state: State, values: Floats, height: float) -> bool:
    """Say whether a spectrum may be enlarged so far: below its neighbour, and no more noise than is good to see."""
    return factor * float(values.max()) < 1.1 * _APART * height and factor * state.spectrum.noise_sd < 0.02 * height


def _cut(spectrum: Spectrum) -> tuple[Floats, Floats]:
    inside = (spectrum.ppm >= _SHOWN_PPM[0]) & (spectrum.ppm <= _SHOWN_PPM[1])
    return thinned(spectrum.ppm[inside], spectrum.intensity[inside])


def thinned(x: Floats, y: Floats, points: int = _POINTS) -> tuple[Floats, Floats]:
    """Leave out points that lie closer than can be seen; a spectrum filled with zeros has many."""
    every = max(1, len(x) // points)
    return x[::every], y[::every]
