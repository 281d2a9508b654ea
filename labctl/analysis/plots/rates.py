"""Loss rates: losses over cycles with a line and its confidence band, after Fig. 3c of Wichmann et al. 2025."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from labctl.analysis.loss_rates import Line, LossRates
from labctl.analysis.model import Analysis, CellResult
from labctl.analysis.statistics import quantile_t
from labctl.analysis.style import DOUBLE, PRINT, SINGLE, empty, frame, grid, series, sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy import float64
    from numpy.typing import NDArray

_CONFIDENCE: Final = 0.95
_SHARES: Final = ("interphase", "dead")
_NAMES: Final = {"interphase": "interphase", "dead": "dead lithium"}


def figure(analysis: Analysis) -> Figure:
    """Draw each loss against the cycle number, with a line and its 95 % band for every group."""
    import matplotlib as mpl

    shares = [share for share in _SHARES if any(share in one.rates for one in analysis.rates)] or list(_SHARES[:1])
    with mpl.rc_context(PRINT):
        drawn = sheet(SINGLE if len(shares) < 2 else DOUBLE, 66.0, analysis.mode, "")
        rows = grid(drawn, 1, len(shares), left=11.0, bottom=10.0, top=9.5, across=14.0)
        for number, (axes, share) in enumerate(zip(rows[0], shares, strict=True)):
            panel(axes, analysis, share)
            axes.set_title(f"{'ab'[number]}  {_NAMES[share]}")
    return drawn


def panel(axes: Axes, analysis: Analysis, share: str) -> None:
    """Draw one loss of all groups. A dot is a cell; rates with their standard deviations stand in the legend."""
    known = [one for one in analysis.rates if share in one.rates]
    known = [one for one in known if _points(analysis.cells, one.group, share)]
    if not known:
        empty(axes, "no loss rate: two measured cycles are needed")
        return
    order = list(dict.fromkeys(cell.group for cell in analysis.cells))
    values: list[float] = []
    last = max(x for one in known for x, _ in _points(analysis.cells, one.group, share))
    for number, one in enumerate(known):
        look = series(order.index(one.group) if one.group in order else number)
        points = _points(analysis.cells, one.group, share)
        values += [y for _, y in points]
        x = np.linspace(0.0, 1.04 * last, 60)
        middle, half = _band(one.rates[share], x)
        if half is not None:
            axes.fill_between(x, middle - half, middle + half, color=look["color"], alpha=0.13, linewidth=0)
            for edge in (middle - half, middle + half):
                axes.plot(x, edge, color=look["color"], linestyle=look["linestyle"], linewidth=0.35)
        axes.plot(x, middle, color=look["color"], linestyle=look["linestyle"])
        # Groups beside each other, so that no dot hides another.
        aside = 0.006 * last * (number - 0.5 * (len(known) - 1))
        axes.plot([at + aside for at, _ in points], [y for _, y in points], linestyle="none", marker=look["marker"],
                  color=look["color"], markeredgecolor="white", markeredgewidth=0.4, zorder=4)  # fmt: skip
        axes.plot([], [], **look, label=f"{one.group}: {_rate(one.rates[share])}")
    low, high = min(0.0, *values), max(values)
    axes.set_xlim(0.0, 1.04 * last)
    axes.set_ylim(low - 0.08 * (high - low), high + (0.18 + 0.11 * len(known)) * (high - low))
    frame(axes, "cycle number", f"{_NAMES[share]} / % of first charge", whole_x=True)
    axes.legend(loc="upper left", title="rate ± SD; band: 95 %", title_fontsize=_legend_size(), alignment="left")


def _legend_size() -> float:
    import matplotlib as mpl

    return float(mpl.rcParams["legend.fontsize"])


def _rate(rates: LossRates) -> str:
    sd = rates.rate_sd
    digits = 2 if sd is None or sd <= 0 else min(4, max(2, 1 - math.floor(math.log10(sd))))
    words = f"{rates.rate:.{digits}f}" + ("" if sd is None else f" ± {sd:.{digits}f}")
    return f"{words} % per cycle".replace("-", "−")


def _points(cells: Sequence[CellResult], group: str, share: str) -> list[tuple[float, float]]:
    return [
        (float(one.cycle), one.measured.allocation.percent(share))
        for cell in cells
        if cell.group == group
        for one in cell.allocated
        if one.measured is not None and one.measured.allocation is not None
    ]


def _band(rates: LossRates, x: NDArray[float64]) -> tuple[NDArray[float64], NDArray[float64] | None]:
    """Give a group's line and half of its confidence band.

    Where the rate is the mean over cells, the band is that of the mean of their lines: points of one cell are not
    independent. Otherwise it is that of the line through all points.
    """
    if rates.quoted == "cells":
        return _of_cells(rates.cells, x)
    line = rates.pooled
    middle = line.intercept + line.slope * x
    return middle, _of_line(line, x)


def _of_cells(lines: Mapping[str, Line], x: NDArray[float64]) -> tuple[NDArray[float64], NDArray[float64]]:
    each: Any = np.array([one.intercept + one.slope * x for one in lines.values()])
    n = len(each)
    return each.mean(axis=0), quantile_t(_CONFIDENCE, n - 1) * each.std(axis=0, ddof=1) / math.sqrt(n)


def _of_line(line: Line, x: NDArray[float64]) -> NDArray[float64] | None:
    """Band of a fitted line; where its points lie follows from the deviations of slope and intercept."""
    if line.residual_sd is None or line.slope_sd is None or line.intercept_sd is None or line.n < 3:
        return None
    if line.residual_sd == 0.0 or line.slope_sd == 0.0:
        return np.zeros_like(x)
    spread = (line.residual_sd / line.slope_sd) ** 2
    centre = math.sqrt(max(0.0, ((line.intercept_sd / line.residual_sd) ** 2 - 1.0 / line.n) * spread))
    deviation = line.residual_sd * np.sqrt(1.0 / line.n + (x - centre) ** 2 / spread)
    return np.asarray(quantile_t(_CONFIDENCE, line.n - 2) * deviation, dtype=np.float64)
