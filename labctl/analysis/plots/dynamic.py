"""Impedance under direct current: spectra behind one another, and their parameters, after Fig. 5c of the paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from labctl.analysis.findings import DynamicSeries, Floats
from labctl.analysis.style import (
    DOUBLE,
    MAP,
    MARKERS,
    PRINT,
    SERIES_COLOURS,
    colour_scale,
    empty,
    frame,
    grid,
    sheet,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: More spectra behind one another than this are a smear; of a longer series every second or third is drawn.
_MOST: Final = 24
_NAMES: Final = {"R0": "R₀", "R1": "R₁", "R2": "R₂"}


def figure(series: DynamicSeries, *, mode: str, title: str = "") -> Figure:
    """Draw a waterfall of Nyquist plots; beside it voltage and resistances against the state of charge.

    Where the state of charge is not known, the charge that had passed stands for it.
    """
    import matplotlib as mpl

    with mpl.rc_context(PRINT):
        drawn = sheet(DOUBLE, 94.0, mode, title)
        waterfall_axes = grid(drawn, left=11.0, bottom=10.0, top=12.0, right=106.0)[0][0]
        bar_axes = grid(drawn, left=76.5, bottom=10.0, top=12.0, right=101.0)[0][0]
        rows = grid(drawn, 2, 1, left=105.0, bottom=10.0, top=12.0, right=3.0, between=7.0, heights=(1.0, 1.7))
        waterfall(waterfall_axes, bar_axes, series)
        courses(rows[0][0], rows[1][0], series)
        waterfall_axes.set_title("a")
        rows[0][0].set_title("b")
        rows[1][0].set_title("c")
    return drawn


def _place(series: DynamicSeries) -> tuple[Floats, str, str]:
    """Give where each spectrum stands, with a label and its short form."""
    if np.isfinite(series.soc).all() and len(series.soc):
        return 100 * series.soc, "state of charge / %", "SOC / %"
    return series.charge_mAh, "charge / mAh", "charge / mAh"


def waterfall(axes: Axes, bar: Axes, series: DynamicSeries) -> None:
    """Draw spectra above each other in the order of measurement, coloured by the state of charge."""
    import matplotlib as mpl
    from matplotlib.colors import Normalize

    count = len(series.spectra)
    if not count:
        empty(axes, "no spectra")
        empty(bar, "")
        return
    place, _, short = _place(series)
    low, high = float(place.min()), float(place.max())
    norm = Normalize(low, high if high > low else low + 1.0)
    colours = mpl.colormaps[MAP]
    chosen = list(range(0, count, max(1, -(-count // _MOST))))
    kept = [series.spectra[at].stationary | (series.spectra[at].frequency_Hz >= 1.0) for at in chosen]
    z = [series.spectra[at].impedance_ohm[mask] for at, mask in zip(chosen, kept, strict=True)]
    height = max(float(-one.imag.min()) for one in z)
    step = 0.35 * height
    for level, (at, one) in reversed(list(enumerate(zip(chosen, z, strict=True)))):
        colour = colours(norm(float(place[at])))
        axes.plot(one.real, -one.imag + step * level, color=colour, linewidth=0.7, marker="o", markersize=1.5)
        fit = series.fits[at]
        if fit is not None:
            axes.plot(fit.fitted_ohm.real, -fit.fitted_ohm.imag + step * level, color="black", linewidth=0.4)
    axes.set_xlim(0.0, 1.05 * max(float(one.real.max()) for one in z))
    axes.set_ylim(-0.1 * height, step * (len(chosen) - 1) + 1.15 * height)
    frame(axes, "Re Z / Ω", "−Im Z / Ω, shifted")
    colour_scale(bar, norm.vmin or 0.0, norm.vmax or 1.0, short)


def courses(upper: Axes, lower: Axes, series: DynamicSeries) -> None:
    """Draw voltage and, below, the resistances of the fitted circuit with their standard deviations."""
    place, label, _ = _place(series)
    if not len(place):
        empty(upper, "no spectra")
        empty(lower, "no spectra")
        return
    upper.plot(place, series.voltage_V, color="black", marker="o", markersize=2.0, linewidth=0.7)
    known = [(at, fit) for at, fit in zip(place, series.fits, strict=True) if fit is not None]
    names = [name for name in _NAMES if any(name in fit.parameters for _, fit in known)]
    for number, name in enumerate(names):
        some = [(at, fit.parameters[name], fit.sd[name]) for at, fit in known if name in fit.parameters]
        x, y, sd = (np.array(each) for each in zip(*some, strict=True))
        # A deviation larger than its value says that the arc is not there to be seen.
        lower.errorbar(x, y, np.minimum(sd, np.abs(y)), fmt=MARKERS[number], color=SERIES_COLOURS[number],
                       markersize=2.6, linewidth=0.7, elinewidth=0.6, capsize=1.4, label=_NAMES[name])  # fmt: skip
        lower.plot(x, y, color=SERIES_COLOURS[number], linewidth=0.6, linestyle=("-", "--", ":")[number])
    span = float(np.ptp(place)) or 1.0
    for axes in (upper, lower):
        axes.set_xlim(float(place.min()) - 0.04 * span, float(place.max()) + 0.04 * span)
    frame(upper, None, "voltage / V", few_y=4)
    if not names:
        empty(lower, "no spectrum could be fitted")
        return
    low, high = lower.get_ylim()
    lower.set_ylim(min(0.0, low), high + 0.18 * (high - low))
    frame(lower, label, "resistance / Ω")
    lower.legend(loc="upper left", ncol=3, columnspacing=1.2)
