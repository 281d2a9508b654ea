"""Impedance by state, with fits and Kramers-Kronig residuals, after Fig. 5a of Wichmann et al. 2025."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from labctl.analysis.findings import EvaluatedImpedance
from labctl.analysis.impedance.spectrum import STATIONARY_ABOVE_HZ, ImpedanceSpectrum
from labctl.analysis.model import Analysis
from labctl.analysis.plots.allocation import letter
from labctl.analysis.style import (
    DOUBLE,
    PRINT,
    SINGLE,
    STATE_COLOURS,
    STATE_MARKERS,
    decades,
    empty,
    frame,
    grid,
    in_rows,
    series,
    sheet,
    small,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from numpy import bool_
    from numpy.typing import NDArray

_SINGLE_HEIGHT, _DOUBLE_HEIGHT = 96.0, 80.0
#: Resistances as words in a panel; more of a circuit's parameters belong into a table.
_NAMED: Final = ("R0", "R1", "R2")
_UNITS: Final = ((1e6, "MΩ"), (1e3, "kΩ"), (1.0, "Ω"), (1e-3, "mΩ"))
_BELOW: Final = {0: "₀", 1: "₁", 2: "₂"}

#: Spectra of a panel up to which every point has its mark.
_MARKED: Final = 8


def figure(impedance: Mapping[str, EvaluatedImpedance], *, mode: str, title: str = "") -> Figure:
    """Draw one column for each state: the Nyquist plot with its fit, and below the residuals of the test.

    Parameters
    ----------
    impedance : mapping of str to EvaluatedImpedance
        By state, as of a ``CycleResult``; states are never drawn into one panel.
    mode : str
        ``simulated`` or ``live``.
    title : str
        Such as the cell and its cycle.
    """
    import matplotlib as mpl

    states = in_order(impedance)
    few = len(states) < 2
    width, height = (SINGLE, _SINGLE_HEIGHT) if few else (DOUBLE, _DOUBLE_HEIGHT)
    with mpl.rc_context(PRINT):
        bands, columns = in_rows(len(states))
        drawn = sheet(width, height * bands, mode, title)
        lines = grid(drawn, 2 * bands, columns, left=11.0, bottom=10.0, top=22.0 if few else 15.5, across=13.0,
                    between=13.0, heights=(1.5 if few else 1.25, 1.0) * bands)  # fmt: skip
        rows = [[axes for line in lines[first::2] for axes in line] for first in (0, 1)]
        for axes in rows[0][max(1, len(states)) :] + rows[1][max(1, len(states)) :]:
            axes.set_axis_off()
        for column, state in enumerate(states):
            upper, lower = rows[0][column], rows[1][column]
            upper.set_title(f"{letter(column)}  {state}")
            panel(upper, [impedance[state]], state)
            residuals(lower, impedance[state], state)
        if states:
            handles = key()
            drawn.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1.0 - 4.8 / (height * bands)),
                         ncol=3 if few else 7, columnspacing=1.1, borderaxespad=0.3)  # fmt: skip
        else:
            for line in rows:
                empty(line[0], "no impedance")
    return drawn


def over_cycles(analysis: Analysis, group: str) -> Figure:
    """Draw the impedance of a group at all its measured cycles, a panel for each state, what drifts left out."""
    import matplotlib as mpl

    found: dict[str, list[tuple[int, EvaluatedImpedance]]] = {}
    for cell in analysis.cells:
        for one in cell.cycles if cell.group == group else ():
            for state, measured in one.impedance.items():
                found.setdefault(state, []).append((one.cycle, measured))
    states = in_order(found)
    cycles = sorted({cycle for some in found.values() for cycle, _ in some})
    with mpl.rc_context(PRINT):
        drawn = sheet(SINGLE if len(states) < 2 else DOUBLE, 58.0, analysis.mode, group)
        row = grid(drawn, 1, max(1, len(states)), left=11.0, bottom=10.0, top=15.5, across=13.0)[0]
        if not states:
            empty(row[0], "no impedance")
        for number, (axes, state) in enumerate(zip(row, states, strict=False)):
            cycles_panel(axes, found[state], cycles)
            axes.set_title(f"{letter(number)}  {state}")
        marks = cycle_marks(cycles)
        if marks:
            drawn.legend(handles=marks, loc="upper left", bbox_to_anchor=(0.0, 1.0 - 4.8 / 58.0), ncol=6,
                         columnspacing=1.1, borderaxespad=0.3)  # fmt: skip
    return drawn


def cycles_panel(axes: Axes, found: Sequence[tuple[int, EvaluatedImpedance]], cycles: Sequence[int]) -> None:
    """Draw one state's spectra of several cycles, each cycle in its colour, what drifts left out."""
    kept = [(cycle, _cut(one)) for cycle, one in found]
    unit, name = ohms([spectrum for _, spectrum in kept])
    for cycle, spectrum in kept:
        look = series(cycles.index(cycle)) | {"linestyle": "-", "linewidth": 0.5, "markersize": 2.0}
        if len(kept) > _MARKED:
            # So many points would hide each other: lines, and a mark at every sixth.
            look |= {"markevery": 6}
        axes.plot(spectrum.impedance_ohm.real / unit, -spectrum.impedance_ohm.imag / unit, **look)
    one_scale(axes, [spectrum for _, spectrum in kept], headroom=1.15, unit=unit)
    frame(axes, f"Re Z / {name}", f"−Im Z / {name}", few_x=4, few_y=4)


def cycle_marks(cycles: Sequence[int]) -> list[Line2D]:
    """Make the legend's marks of cycles."""
    from matplotlib.lines import Line2D

    return [Line2D([], [], label=f"cycle {cycle}", **series(at) | {"linestyle": "none"})
            for at, cycle in enumerate(cycles)]  # fmt: skip


def _cut(one: EvaluatedImpedance) -> ImpedanceSpectrum:
    kept = used(one)
    return ImpedanceSpectrum(one.spectrum.frequency_Hz[kept], one.spectrum.impedance_ohm[kept])


def in_order(states: Mapping[str, object]) -> list[str]:
    """Give states in the order of a cycle, unknown ones behind."""
    return [state for state in STATE_COLOURS if state in states] + [one for one in states if one not in STATE_COLOURS]


def key() -> list[Line2D]:
    """Make the legend's marks: what filled, hollow and starred points and lines are, whatever the state."""
    from matplotlib.lines import Line2D

    dark = "#444444"
    return [
        Line2D([], [], linestyle="none", marker="o", color=dark, label="fitted"),
        Line2D([], [], linestyle="none", marker="o", markerfacecolor="white", color=dark, label="left out: drifts"),
        Line2D([], [], linestyle="-", color="black", label="fit"),
        Line2D([], [], linestyle="none", marker="*", markersize=6, color="white", markeredgecolor="black",
               markeredgewidth=0.6, label="1 Hz"),
        Line2D([], [], linestyle="-", linewidth=0.6, marker="o", markersize=2, color=dark, label="KK residual of Re Z"),
        Line2D([], [], linestyle=":", linewidth=0.6, marker="s", markersize=2, markerfacecolor="white", color=dark,
               label="of Im Z"),
        Line2D([], [], linestyle="-", linewidth=0.7, color="#8A8A8A", label="of all points"),
    ]  # fmt: skip


def panel(axes: Axes, found: Sequence[EvaluatedImpedance], state: str, *, words: bool = True) -> None:
    """Draw spectra of one state with their fits, both axes to one scale.

    Filled points were fitted (or lie above 1 Hz, where there is no fit), hollow ones were left out; the star is 1 Hz.
    """
    if not found:
        empty(axes, "no impedance")
        return
    colour, marker = STATE_COLOURS.get(state, "#000000"), STATE_MARKERS.get(state, "o")
    unit, name = ohms([one.spectrum for one in found])
    for one in found:
        z, kept = one.spectrum.impedance_ohm / unit, used(one)
        axes.plot(z.real[~kept], -z.imag[~kept], linestyle="none", marker=marker, color=colour, alpha=0.8,
                  markerfacecolor="white", markeredgewidth=0.6)  # fmt: skip
        axes.plot(z.real[kept], -z.imag[kept], linestyle="none" if one.fit else "-", linewidth=0.5, marker=marker,
                  color=colour)  # fmt: skip
        if one.fit is not None:
            fitted = one.fit.fitted_ohm / unit
            axes.plot(fitted.real, -fitted.imag, color="black", linewidth=0.7, zorder=3)
        at = _one_hertz(one.spectrum)
        if at is not None:
            axes.plot(z.real[at], -z.imag[at], "*", markersize=6, color=colour, markeredgecolor="black",
                      markeredgewidth=0.5, zorder=4)  # fmt: skip
    one_scale(axes, [one.spectrum for one in found], headroom=1.55 if words else 1.15, unit=unit)
    frame(axes, f"Re Z / {name}", f"−Im Z / {name}", few_x=4, few_y=4)
    fit = found[0].fit
    if words and fit is not None and len(found) == 1:
        texts = [f"R{_BELOW[number]} = {_sure(fit.parameters[name], fit.sd[name])} Ω"
                 for number, name in enumerate(_NAMED) if name in fit.parameters]  # fmt: skip
        axes.text(0.03, 0.99, "\n".join(texts), transform=axes.transAxes, va="top", ha="left", fontsize=small())


def used(one: EvaluatedImpedance) -> NDArray[bool_]:
    """Say which points of a spectrum count: those that were fitted, else those above 1 Hz."""
    if one.fit is None:
        return one.spectrum.stationary
    f = one.fit.frequency_Hz
    return np.asarray((one.spectrum.frequency_Hz > 0.999 * f.min()) & (one.spectrum.frequency_Hz < 1.001 * f.max()))


def _sure(value: float, sd: float) -> str:
    if not (np.isfinite(sd) and sd > 0):
        return f"{value:.3g}"
    digits = max(0, 1 - int(np.floor(np.log10(sd))))
    return f"{value:.{digits}f} ± {sd:.{digits}f}"


def _one_hertz(spectrum: ImpedanceSpectrum) -> int | None:
    f = spectrum.frequency_Hz
    if not f[-1] <= STATIONARY_ABOVE_HZ <= f[0]:
        return None
    return int(np.argmin(np.abs(np.log(f / STATIONARY_ABOVE_HZ))))


def ohms(spectra: Sequence[ImpedanceSpectrum]) -> tuple[float, str]:
    """Choose the unit in which a panel's numbers stay short: its size in ohm, and its name."""
    largest = max(float(np.abs(one.impedance_ohm).max()) for one in spectra)
    return next((size, name) for size, name in _UNITS if largest >= size * 2 or name == _UNITS[-1][1])


def one_scale(axes: Axes, spectra: Sequence[ImpedanceSpectrum], headroom: float, unit: float = 1.0) -> None:
    """Give both axes the same ohms per centimetre, from the origin, so that a semicircle is one."""
    width = max(float(one.impedance_ohm.real.max()) for one in spectra) / unit
    height = max(float(-one.impedance_ohm.imag.min()) for one in spectra) / unit
    lowest = min(0.0, *(float(-one.impedance_ohm.imag.max()) / unit for one in spectra))
    box = axes.get_window_extent()
    scale = max(1.08 * width / box.width, (headroom * height - 1.1 * lowest) / box.height, 1e-12)
    floor = 1.1 * lowest - 0.04 * scale * box.height
    axes.set_xlim(-0.03 * scale * box.width, 0.97 * scale * box.width)
    axes.set_ylim(floor, floor + scale * box.height)


def residuals(axes: Axes, one: EvaluatedImpedance, state: str) -> None:
    """Draw the residuals of the linear Kramers-Kronig test over frequency, what the limit allows shaded.

    Marks are the residuals of the part that the test keeps; thin grey lines those of the whole spectrum, where a drift
    at its end reaches up into the part that is right.
    """
    if one.test is None:
        empty(axes, "not tested: too few points")
        return
    colour, f = STATE_COLOURS.get(state, "#000000"), one.test.frequency_Hz
    order = np.argsort(f)
    limit = 100 * one.test.choices.limit
    axes.axhspan(-limit, limit, color="#BBBBBB", alpha=0.35, linewidth=0)
    axes.axhline(0.0, color="black", linewidth=0.5)
    kept = np.sort(f[one.test.kept])
    by_rise = np.argsort(f[one.test.kept])
    for whole, part, line, mark, face in (
        (one.test.residual_real, one.test.kept_residual_real, "-", "o", colour),
        (one.test.residual_imag, one.test.kept_residual_imag, ":", "s", "white"),
    ):
        if not one.test.kept.all():
            axes.plot(f[order], 100 * whole[order], linestyle=line, linewidth=0.7, color="#8A8A8A")
        if len(kept):
            axes.plot(kept, 100 * part[by_rise], linestyle=line, linewidth=0.6, marker=mark, markersize=2.0,
                      color=colour, markerfacecolor=face, markeredgewidth=0.5)  # fmt: skip
    cut = one.test.lowest_valid_frequency
    axes.set_xlim(0.7 * float(f.min()), 1.4 * float(f.max()))
    reach = 1.3 * max(1.3 * limit, 100 * one.test.largest_residual)
    axes.set_ylim(-reach, reach)
    words = "passes" if one.test.passes else "valid nowhere" if cut is None else f"valid from {cut:.2g} Hz"
    if cut is not None and not one.test.passes:
        axes.axvline(cut, color="black", linestyle="--", linewidth=0.6)
    axes.text(0.985, 0.97, f"{words} (± {limit:g} %)", transform=axes.transAxes, va="top", ha="right",
              fontsize=small())  # fmt: skip
    frame(axes, None, "KK residual / %", few_y=4)
    decades(axes, "frequency / Hz")
