"""The control chart of k as a figure: values in the order of measurement, with their limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labctl.analysis.control_chart import ControlChart
from labctl.analysis.findings import Conversion
from labctl.analysis.pages.numbers import scale_of
from labctl.analysis.style import SCREEN, SHARE_COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_IN, _OUT = SHARE_COLOURS["reversible"], SHARE_COLOURS["dead"]
#: More names than this are not legible below the axis.
_NAMED = 40


def control_figure(one: Conversion, chart: ControlChart, mode: str) -> Figure:
    """Draw k of every cell and cycle of one campaign."""
    import matplotlib as mpl

    with mpl.rc_context(SCREEN):
        return _drawn(one, chart, mode)


def _drawn(one: Conversion, chart: ControlChart, mode: str) -> Figure:
    scale = scale_of(one.values, step=1)
    by = 10.0**-scale.power
    place, values = np.arange(len(one.values)), np.array(one.values) * by
    figure = new_figure(f"Conversion factor k, {one.campaign}", mode, (9.6, 3.6))
    axes = figure.add_axes((0.085, 0.30, 0.80, 0.57))
    lines = [("centre", chart.centre, "-", "#1b1b1b")]
    for count, limits in ((2, chart.warning_limits), (3, chart.action_limits)):
        colour = "#8a6d00" if count == 2 else _OUT
        lines += [(f"{sign}{count} σ", value, "--" if count == 2 else "-.", colour)
                  for sign, value in zip("−+", limits, strict=True)]  # fmt: skip
    for label, value, style, colour in lines:
        axes.axhline(value * by, linestyle=style, color=colour, linewidth=0.9)
        axes.annotate(label, (1.0, value * by), xycoords=("axes fraction", "data"), xytext=(4, 0),
                      textcoords="offset points", va="center", fontsize=8, color=colour)  # fmt: skip
    own = {each.name: each.own_sd * by for each in one.pooled.measurements} if one.pooled else {}
    sds = np.array([own.get(name, np.nan) for name in one.names])
    axes.errorbar(place, values, np.where(np.isfinite(sds), sds, 0.0), fmt="none", ecolor="#7f7f7f", elinewidth=0.9)
    axes.plot(place, values, color="#9a9a9a", linewidth=0.8)
    outside = np.isin(place, [each.index for each in chart.out if not each.warning])
    axes.plot(place[~outside], values[~outside], "o", color=_IN, markersize=5)
    axes.plot(place[outside], values[outside], "D", color=_OUT, markersize=6.5, label="out of control")
    if outside.any():
        axes.legend(loc="upper left")
    axes.set_ylabel(f"k / {scale.unit('mAh')} per unit")
    every = -(-len(place) // _NAMED)
    axes.set_xticks(place[::every], [name.replace(", cycle ", " / ") for name in one.names[::every]], rotation=40,
                    ha="right", rotation_mode="anchor")  # fmt: skip
    axes.set_xlabel("cell / cycle, in the order of measurement; bars: each measurement's own ± SD")
    return figure
