"""How the metal was plated: parts over cycles, and a spectrum with its lines, after Fig. 4 of Wichmann et al. 2025."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from labctl.analysis.findings import Floats
from labctl.analysis.model import Analysis, CellResult
from labctl.analysis.morphology.model import BASELINES, Fractions
from labctl.analysis.plots.allocation import letter
from labctl.analysis.plots.spectra import thinned
from labctl.analysis.spectrum import Spectrum
from labctl.analysis.style import (
    DEPOSIT_COLOURS,
    DEPOSIT_HATCHES,
    DEPOSIT_LINES,
    DOUBLE,
    GREY,
    PRINT,
    SINGLE,
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

KINDS: Final = ("dense", "mossy", "dendritic")
_STATE: Final = "charged"
#: Shown to either side of the lines' windows.
_BESIDE_PPM: Final = 32.0


def figure(analysis: Analysis, groups: Sequence[str] = ()) -> Figure:
    """Draw the parts of dense, mossy and dendritic metal of every group over its measured cycles."""
    import matplotlib as mpl

    chosen = list(groups) or list(dict.fromkeys(cell.group for cell in analysis.cells if found(cell)))
    with mpl.rc_context(PRINT):
        bands, columns = in_rows(len(chosen))
        drawn = sheet(SINGLE if len(chosen) < 2 else DOUBLE, 8.0 + 54.0 * bands, analysis.mode, "")
        lines_of = grid(drawn, bands, columns, left=10.5, bottom=13.5, top=13.0, across=13.0, between=18.0)
        row = [axes for line in lines_of for axes in line]
        for axes in row[max(1, len(chosen)) :]:
            axes.set_axis_off()
        for number, (axes, group) in enumerate(zip(row, chosen, strict=False)):
            panel(axes, [cell for cell in analysis.cells if cell.group == group])
            headed(axes, f"{letter(number)}  {group}")
        if chosen:
            drawn.legend(*row[0].get_legend_handles_labels(), loc="upper left", bbox_to_anchor=(0.0, 1.0), ncol=4,
                         columnspacing=1.2, handlelength=1.6)  # fmt: skip
        else:
            empty(row[0], "no deposits evaluated")
    return drawn


def found(cell: CellResult) -> dict[int, Fractions]:
    """Give the deposits of the charged states of a cell by cycle."""
    return {
        one.cycle: one.measured.deposits[_STATE]
        for one in cell.cycles
        if one.measured is not None and _STATE in one.measured.deposits
    }


def panel(axes: Axes, cells: Sequence[CellResult]) -> None:
    """Draw the parts over cycles: mean over cells with the deviation between them, single cells as dots."""
    by_cycle: dict[int, list[Fractions]] = {}
    for cell in cells:
        for cycle, one in found(cell).items():
            by_cycle.setdefault(cycle, []).append(one)
    if not by_cycle:
        empty(axes, "no deposits evaluated")
        return
    cycles = sorted(by_cycle)
    dots: list[tuple[float, float]] = []
    top = 100.0
    for shift, kind in zip((-0.27, 0.0, 0.27), KINDS, strict=True):
        parts = [[100.0 * part_of(one, kind) for one in by_cycle[cycle]] for cycle in cycles]
        place = np.arange(len(cycles)) + shift
        axes.bar(place, [statistics.fmean(some) for some in parts], 0.25, color=DEPOSIT_COLOURS[kind],
                 hatch=DEPOSIT_HATCHES[kind], edgecolor="white", linewidth=0.0, label=kind)  # fmt: skip
        several = [(at, some) for at, some in zip(place, parts, strict=True) if len(some) > 1]
        if several:
            sd = [statistics.stdev(some) for _, some in several]
            mean = [statistics.fmean(some) for _, some in several]
            axes.errorbar([at for at, _ in several], mean, sd, fmt="none", ecolor="black", capsize=1.9, elinewidth=0.8,
                          capthick=0.8, zorder=4)  # fmt: skip
            top = max(top, *(middle + half for middle, half in zip(mean, sd, strict=True)))
        for at, some in zip(place, parts, strict=True):
            spots = np.linspace(-0.06, 0.06, len(some)) if len(some) > 1 else np.zeros(1)
            dots += [(at + spot, value) for spot, value in zip(spots, some, strict=True)]
    axes.plot(*zip(*dots, strict=True), linestyle="none", marker="o", color="white", markeredgecolor="black",
              markeredgewidth=0.6, zorder=5, label="single cells")  # fmt: skip
    axes.set_xlim(-0.6, len(cycles) - 0.4)
    axes.set_ylim(0.0, top)
    names = {float(at): f"{cycle}\nn = {len(by_cycle[cycle])}" for at, cycle in enumerate(cycles)}
    frame(axes, "cycle number", "part of metal signal / %", names=names)


def part_of(one: Fractions, kind: str) -> float:
    """Give one of the fractions by its name."""
    return float(one.fractions[KINDS.index(kind)])


def deconvolution(spectrum: Spectrum, fractions: Fractions, *, mode: str, title: str = "") -> Figure:
    """Draw a spectrum with its three fitted lines and, below, what they leave."""
    import matplotlib as mpl

    with mpl.rc_context(PRINT):
        drawn = sheet(SINGLE, 76.0, mode, title)
        rows = grid(drawn, 2, 1, left=12.0, bottom=10.0, top=7.0, between=3.0, heights=(3.2, 1.0))
        lines(rows[0][0], rows[1][0], spectrum, fractions)
    return drawn


def _baseline(spectrum: Spectrum, fractions: Fractions) -> Callable[[Floats], Floats]:
    """Give the baseline that was fitted along: at the optimum, the polynomial through what the lines leave."""
    order = BASELINES[fractions.settings.baseline]
    if order < 0:
        return lambda ppm: np.zeros_like(ppm)
    low, high = fractions.range_ppm
    inside = (spectrum.ppm >= low) & (spectrum.ppm <= high)
    ppm = spectrum.ppm[inside]
    left = spectrum.intensity[inside] - np.sum(fractions.lines(ppm), axis=0)
    return np.polynomial.Polynomial.fit(ppm, left, order)


def lines(upper: Axes, lower: Axes, spectrum: Spectrum, fractions: Fractions) -> None:
    """Draw a spectrum with its lines into one panel, and the residual into the one below."""
    low = max(fractions.range_ppm[0], fractions.windows_ppm.dense[0] - _BESIDE_PPM)
    high = min(fractions.range_ppm[1], fractions.windows_ppm.dendritic[1] + _BESIDE_PPM)
    under_all = _baseline(spectrum, fractions)
    inside = (spectrum.ppm >= low) & (spectrum.ppm <= high)
    ppm, data = thinned(spectrum.ppm[inside], spectrum.intensity[inside], 400)
    under = under_all(ppm)
    parts = fractions.lines(ppm)
    whole = under + parts.dense + parts.mossy + parts.dendritic
    height = float(data.max()) or 1.0
    for kind, value in zip(KINDS, parts, strict=True):
        share, sd = 100 * part_of(fractions, kind), 100 * float(fractions.sd[KINDS.index(kind)])
        upper.fill_between(ppm, under / height, (under + value) / height, color=DEPOSIT_COLOURS[kind], alpha=0.22,
                           linewidth=0)  # fmt: skip
        upper.plot(ppm, (under + value) / height, color=DEPOSIT_COLOURS[kind], linestyle=DEPOSIT_LINES[kind],
                   label=f"{kind}  {share:.1f} ± {sd:.1f} %")  # fmt: skip
    upper.plot(ppm, data / height, color=GREY, linewidth=1.8, alpha=0.55, label="measured", zorder=1)
    upper.plot(ppm, whole / height, color="black", linewidth=0.7, label="sum of the lines")
    upper.set_xlim(high, low)
    upper.set_ylim(min(-0.06, float(data.min()) / height), 1.12)
    frame(upper, None, "signal / highest point")
    upper.legend(loc="upper left")
    rest = 100 * (data - whole) / height
    noise = 100 * fractions.noise_sd / height
    lower.axhspan(-2 * noise, 2 * noise, color="#BBBBBB", alpha=0.45, linewidth=0)
    lower.plot(ppm, rest, color="black", linewidth=0.6)
    lower.set_xlim(high, low)
    reach = 1.25 * max(2 * noise, float(np.abs(rest).max()), 1e-6)
    lower.set_ylim(-reach, 1.9 * reach)
    lower.text(0.012, 0.96, "grey: ± 2 SD of the noise", transform=lower.transAxes, fontsize=small(), va="top",
               color="#444444")  # fmt: skip
    frame(lower, "shift against LiCl / ppm", "residual / %", few_y=3)
