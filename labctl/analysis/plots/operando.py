"""The map of operando spectra with voltage and integral, after Fig. 7 of Wichmann et al. 2025."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from labctl.analysis.findings import Floats, OperandoSpectra
from labctl.analysis.style import (
    BLUE,
    DOUBLE,
    MAP,
    ORANGE,
    PRINT,
    VERMILION,
    colour_scale,
    empty,
    frame,
    grid,
    sheet,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Columns of the map; more are not seen at this width.
_COLUMNS: Final = 320
#: A gap of less than this part of the map's height would be a line here and there: its spectrum is drawn longer.
_SEEN: Final = 0.005
#: Colours follow this power of the signal, so that an alloy of a few percent is seen beside the metal.
_ROOT: Final = 0.5
_SORTS: Final = {
    "during": ("o", BLUE, "under current"),
    "pause": ("s", ORANGE, "in a pause"),
    "end": ("^", VERMILION, "at the end"),
}

#: Shifts nearer to 0 ppm than this are the electrolyte's.
_ELECTROLYTE_PPM: Final = 30.0


def figure(operando: OperandoSpectra, *, mode: str, title: str = "") -> Figure:
    """Draw the voltage beside a map of time and shift with the intensity as colour; below, the metal's integral."""
    import matplotlib as mpl

    with mpl.rc_context(PRINT):
        drawn = sheet(DOUBLE, 125.0, mode, title)
        voltage_axes = grid(drawn, left=10.5, right=138.0, bottom=56.0, top=12.0)[0][0]
        map_axes = grid(drawn, left=44.0, right=24.0, bottom=56.0, top=12.0)[0][0]
        bar_axes = grid(drawn, left=161.0, right=15.5, bottom=56.0, top=12.0)[0][0]
        below = grid(drawn, left=14.0, right=24.0, bottom=10.0, top=84.0)[0][0]
        if not len(operando.sort):
            for axes in (voltage_axes, map_axes, below):
                empty(axes, "no spectra")
            bar_axes.set_axis_off()
            return drawn
        voltage(voltage_axes, operando)
        intensity(map_axes, bar_axes, operando)
        integral(below, operando)
        for axes, text in ((voltage_axes, "a"), (map_axes, "b"), (below, "c")):
            axes.set_title(text)
    return drawn


def _span(operando: OperandoSpectra) -> tuple[float, float]:
    times = [operando.start_h, operando.end_h, operando.course_h]
    return min(float(one.min()) for one in times if len(one)), max(float(one.max()) for one in times if len(one))


def voltage(axes: Axes, operando: OperandoSpectra) -> None:
    """Draw the voltage, time upwards; pauses are shaded."""
    _pauses(axes, operando)
    every = max(1, len(operando.course_h) // 2000)
    axes.plot(operando.course_voltage_V[::every], operando.course_h[::every], color="black", linewidth=0.8)
    axes.set_ylim(*_span(operando))
    frame(axes, "voltage / V", "time / h (grey: pause)", few_x=3)


def _pauses(axes: Axes, operando: OperandoSpectra) -> None:
    for sort, start, end in zip(operando.sort, operando.start_h, operando.end_h, strict=True):
        if sort != "during":
            axes.axhspan(float(start), float(end), color="#999999", alpha=0.35, linewidth=0)


def intensity(axes: Axes, bar: Axes, operando: OperandoSpectra) -> None:
    """Draw the spectra as colours, each over the time it took; what no spectrum covers is left white."""
    from matplotlib.colors import PowerNorm

    order = np.argsort(operando.start_h)
    ppm, values = _coarse(operando.ppm, operando.intensity[order])
    edges, rows = _rows(operando.start_h[order], operando.end_h[order], values)
    # The electrolyte's narrow line would outshine everything else.
    away = np.abs(ppm) > _ELECTROLYTE_PPM
    high = float(np.nanmax(rows[:, away] if away.any() else rows)) or 1.0
    half = 0.5 * abs(float(ppm[1] - ppm[0]))
    sign = 1.0 if ppm[0] > ppm[-1] else -1.0
    across = np.append(ppm + sign * half, ppm[-1] - sign * half)
    axes.pcolormesh(across, edges, np.ma.masked_invalid(np.clip(rows / high, 0.0, 1.0)), cmap=MAP, rasterized=True,
                    norm=PowerNorm(_ROOT, 0.0, 1.0))  # fmt: skip
    axes.set_xlim(float(ppm.max()), float(ppm.min()))
    axes.set_ylim(*_span(operando))
    frame(axes, "shift against LiCl / ppm")
    for sort, start, end in zip(operando.sort, operando.start_h, operando.end_h, strict=True):
        if sort != "during":
            axes.plot((1.012, 1.012), (float(start), float(end)), transform=axes.get_yaxis_transform(), clip_on=False,
                      color="#777777", linewidth=2.4, solid_capstyle="butt")  # fmt: skip
    colour_scale(bar, 0.0, 1.0, "signal / highest metal", _ROOT)


def _coarse(ppm: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Average neighbouring points of all spectra down to what can be seen."""
    width = max(1, len(ppm) // _COLUMNS)
    whole = len(ppm) // width * width
    return ppm[:whole].reshape(-1, width).mean(axis=1), values[:, :whole].reshape(len(values), -1, width).mean(axis=2)


def _rows(start: Floats, end: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Give the edges of rows in time and what lies between them, gaps as not a number."""
    edges: list[float] = [float(start[0])]
    rows: list[Any] = []
    nothing = np.full(values.shape[1], np.nan)
    seen = _SEEN * float(end[-1] - start[0])
    for begin, stop, row in zip(start, end, values, strict=True):
        begin = max(float(begin), edges[-1])
        if begin - edges[-1] < seen:
            edges[-1] = begin
        else:
            edges.append(begin)
            rows.append(nothing)
        edges.append(max(float(stop), begin + 1e-9))
        rows.append(row)
    return np.array(edges), np.array(rows)


def integral(axes: Axes, operando: OperandoSpectra) -> None:
    """Draw the metal's integral against the charge that had passed, by the sort of spectrum."""
    values = np.array([one.value for one in operando.integral])
    sd = np.array([one.sd for one in operando.integral])
    unit = float(np.abs(values).max()) or 1.0
    for sort, (marker, colour, name) in _SORTS.items():
        chosen = np.array([one == sort for one in operando.sort])
        if not chosen.any():
            continue
        delays = sorted({f"{delay:.3g}" for delay in operando.recycle_delay_s[chosen]}, key=float)
        x = operando.charge_mAh[chosen]
        across = np.abs(np.stack((x - operando.charge_start_mAh[chosen], operando.charge_end_mAh[chosen] - x)))
        axes.errorbar(x, values[chosen] / unit, sd[chosen] / unit, across, fmt=marker, color=colour, markersize=3.0,
                      elinewidth=0.6, capsize=1.4, label=f"{name}, recycle delay {' and '.join(delays)} s")  # fmt: skip
    low, high = axes.get_ylim()
    axes.set_ylim(min(0.0, low), high + 0.1 * (high - low))
    axes.set_xlim(*axes.get_xlim())
    frame(axes, "charge / mAh (bars: passed during the spectrum)", "metal integral / largest")
    axes.legend(loc="upper left")
