"""The panels that figures are put together from. Each draws into axes that it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.analysis.impedance import STATIONARY_ABOVE_HZ, ImpedanceSpectrum
from labctl.analysis.inventory import SHARES, Allocation
from labctl.analysis.model import CellResult, CycleResult, GroupResult, Measured
from labctl.analysis.recipe import Recipe
from labctl.analysis.style import MARKERS, SERIES_COLOURS, SHARE_COLOURS, STATE_COLOURS, empty, few_ticks
from labctl.analysis.truth import truth_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHOWN_PPM = (150.0, 360.0)
_MAGNIFIED = (1, 2, 5, 10)
_FROM_BELOW = ("pristine", "dead", "discharged", "charged")
PER_CENT = "share of the first charge / %"


def truth_mark(axes: Axes, x: float, y: float, width: float) -> None:
    """Draw the line that stands for a simulation's truth."""
    axes.plot([x], [y], "_", markersize=width, markeredgewidth=1.6, color="black", zorder=5)


def spectra(axes: Axes, measured: Measured | None, recipe: Recipe) -> None:
    """Draw the spectra of all states above each other, weak ones enlarged by a factor that is written beside."""
    axes.set_title("⁷Li NMR by state")
    states = {} if measured is None else measured.states
    if not states:
        empty(axes, "no spectra")
        return
    shown = [label for label in _FROM_BELOW if label in states]
    cut = {label: _cut(states[label].spectrum.ppm, states[label].spectrum.intensity) for label in shown}
    height = max(float(values.max()) for _, values in cut.values()) or 1.0
    axes.axvspan(*recipe.metal, color="#0072B2", alpha=0.08, linewidth=0)
    for level, label in enumerate(shown):
        ppm, values = cut[label]
        base = 0.5 * level
        factor = max(each for each in _MAGNIFIED if each == 1 or each * float(values.max()) < 0.55 * height)
        axes.plot(ppm, values / height * factor + base, color=STATE_COLOURS[label], linewidth=1.0)
        axes.axhline(base, color="#BBBBBB", linewidth=0.5, zorder=0)
        axes.text(_SHOWN_PPM[1] - 3, base + 0.08, label if factor == 1 else f"{label} ×{factor}",
                  color=STATE_COLOURS[label], fontweight="bold", fontsize=8.5)  # fmt: skip
    axes.set_xlim(_SHOWN_PPM[1], _SHOWN_PPM[0])
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("shift against LiCl / ppm (shaded: integrated)")


def _cut(ppm: Any, values: Any) -> tuple[Any, Any]:
    inside = (ppm >= _SHOWN_PPM[0]) & (ppm <= _SHOWN_PPM[1])
    return ppm[inside], values[inside]


def shares_of_cell(axes: Axes, allocation: Allocation | None, true: Mapping[str, float]) -> None:
    """Draw the three small shares of one cell with their propagated deviations; the large one in words."""
    axes.set_title("Shares of the first charge; ± 1 SD of this cell")
    if allocation is None:
        empty(axes, "not evaluated; see the flags")
        return
    top = bottom = 0.0
    for place, share in enumerate(SHARES[1:]):
        value, sd = allocation.percent(share), allocation.percent_sd(share)
        axes.bar(place, value, 0.62, color=SHARE_COLOURS[share])
        axes.errorbar(place, value, sd, color="black", capsize=4, linewidth=1.1)
        if true:
            truth_mark(axes, place, true[share], 16)
        top, bottom = max(top, value + sd, true.get(share, 0.0)), min(bottom, value - sd)
    names = [f"{share}\n{allocation.percent(share):.2f} ± {allocation.percent_sd(share):.2f} %" for share in SHARES[1:]]
    axes.set_xticks(range(len(names)), names)
    axes.set_ylim(1.1 * bottom, 1.25 * top)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_ylabel(PER_CENT)
    few_ticks(axes, x=False)
    reversible = f"reversible: {allocation.reversible_percent:.2f} ± {allocation.reversible_percent_sd:.2f} %"
    if true:
        reversible += f" (truth {true['reversible']:.2f} %)\nblack lines: truth"
    axes.text(0.02, 0.98, reversible, transform=axes.transAxes, ha="left", va="top", fontsize=8.5)


def voltage(axes: Axes, cell: CellResult, one: CycleResult) -> None:
    """Draw charge and discharge of the measured cycle and of the first."""
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
    few_ticks(axes)
    axes.legend(loc="upper left", ncol=2 if len(axes.lines) > 2 else 1)


def nyquist(axes: Axes, states: Mapping[str, Sequence[ImpedanceSpectrum]], title: str = "Impedance") -> None:
    """Draw impedance by state, 1 Hz marked, what lies below hollow, the smallest state enlarged where it is lost."""
    axes.set_title(title)
    if not states:
        empty(axes, "no impedance")
        return
    order = [state for state in STATE_COLOURS if state in states]
    order += [state for state in states if state not in STATE_COLOURS]
    for place, state in enumerate(order):
        _arcs(axes, states[state], STATE_COLOURS.get(state, "#000000"), MARKERS[place], state)
    for sign, size, meaning in (("*", 8, "1 Hz"), ("o", 3, "< 1 Hz: drifts")):
        axes.plot([], [], sign, markersize=size, color="white", markeredgecolor="black", markeredgewidth=0.6,
                  label=meaning)  # fmt: skip
    _same_scale(axes, [one for state in order for one in states[state]], headroom=1.9)
    axes.set_xlabel("Re Z / Ω")
    axes.set_ylabel("−Im Z / Ω")
    axes.legend(loc="upper left", handletextpad=0.2)
    reach = {state: max(float(one.impedance_ohm.real.max()) for one in states[state]) for state in order}
    small = min(reach, key=lambda state: reach[state])
    if reach[small] < 0.3 * max(reach.values()):
        inset = axes.inset_axes((0.62, 0.58, 0.36, 0.34))
        _arcs(inset, states[small], STATE_COLOURS.get(small, "#000000"), MARKERS[order.index(small)], small)
        _same_scale(inset, states[small], headroom=1.1)
        inset.set_title(small, fontsize=7.5, color=STATE_COLOURS.get(small, "#000000"))
        inset.tick_params(labelsize=6.5)


def _arcs(axes: Axes, spectra: Sequence[ImpedanceSpectrum], colour: str, marker: str, label: str) -> None:
    for spectrum in spectra:
        z, sure = spectrum.impedance_ohm, spectrum.stationary
        axes.plot(z.real, -z.imag, color=colour, linewidth=0.6, alpha=0.6)
        axes.plot(z.real[sure], -z.imag[sure], marker, markersize=3, color=colour, label=label)
        axes.plot(z.real[~sure], -z.imag[~sure], marker, markersize=3, markerfacecolor="white", markeredgewidth=0.6,
                  color=colour)  # fmt: skip
        label = "_nolegend_"
        if spectrum.frequency_Hz[-1] <= STATIONARY_ABOVE_HZ <= spectrum.frequency_Hz[0]:
            at = int(np.argmin(np.abs(np.log(spectrum.frequency_Hz / STATIONARY_ABOVE_HZ))))
            axes.plot(z.real[at], -z.imag[at], "*", markersize=9, color=colour, markeredgecolor="black",
                      markeredgewidth=0.5, zorder=4)  # fmt: skip


def _same_scale(axes: Axes, spectra: Sequence[ImpedanceSpectrum], headroom: float) -> None:
    """Give both axes the same ohms per centimetre, from the origin, so that a semicircle is one."""
    width = max(float(one.impedance_ohm.real.max()) for one in spectra)
    height = max(float(-one.impedance_ohm.imag.min()) for one in spectra)
    box = axes.get_window_extent()
    scale = max(1.08 * width / box.width, headroom * height / box.height)
    axes.set_xlim(-0.03 * scale * box.width, 0.97 * scale * box.width)
    axes.set_ylim(-0.05 * scale * box.height, 0.95 * scale * box.height)
    few_ticks(axes)


def shares_of_group(
    axes: Axes,
    results: Sequence[GroupResult],
    measured: Sequence[tuple[CellResult, CycleResult]],
    truth: Mapping[str, Any] | None,
) -> None:
    """Draw the three small shares of a group at each cycle, single cells as dots."""
    axes.set_title("Excess, dead, interphase; ± SD between cells")
    if not results:
        empty(axes, "no cell measured yet")
        return
    names = [f"cycle {one.cycle}\nreversible {_mean_and_sd(one)} %" for one in results]
    for shift, share in zip((-0.27, 0.0, 0.27), SHARES[1:], strict=True):
        place = np.arange(len(results)) + shift
        bars(axes, place, 0.25, share, results)
        for at, result in zip(place, results, strict=True):
            cells = [(cell, one) for cell, one in measured if one.cycle == result.cycle]
            spots = np.linspace(-0.05, 0.05, len(cells)) if len(cells) > 1 else np.zeros(1)
            for (cell, one), spot in zip(cells, spots, strict=True):
                if one.measured is not None and one.measured.allocation is not None:
                    axes.plot(at + spot, one.measured.allocation.percent(share), "o", markersize=4, color="white",
                              markeredgecolor="black", markeredgewidth=0.8, zorder=4)  # fmt: skip
                true = truth_of(truth, cell.cell, one.cycle)
                if true:
                    truth_mark(axes, at + spot, true[share], 8)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xticks(range(len(results)), names)
    axes.set_ylabel(PER_CENT)
    axes.plot([], [], "o", markersize=4, color="white", markeredgecolor="black", label="single cells")
    if truth:
        axes.plot([], [], "_", markersize=8, color="black", label="their truth")
    axes.set_ylim(top=1.28 * axes.get_ylim()[1])
    axes.legend(loc="upper left", ncol=3, columnspacing=1.0)


def _mean_and_sd(result: GroupResult) -> str:
    share = result.shares["reversible"]
    return f"{share.mean:.1f}" if share.sd is None else f"{share.mean:.1f} ± {share.sd:.1f}"


def bars(axes: Axes, place: Any, width: float, share: str, results: Sequence[GroupResult]) -> None:
    """Draw one share's means with the deviation between cells."""
    axes.bar(place, [one.shares[share].mean for one in results], width, color=SHARE_COLOURS[share], label=share)
    for at, one in zip(place, results, strict=True):
        found = one.shares[share]
        if found.sd is not None:
            axes.errorbar(at, found.mean, found.sd, color="black", capsize=3, linewidth=1.0, zorder=3)


def cycling(figure: Figure, place: Any, cells: Sequence[CellResult]) -> None:
    """Draw discharge capacity and Coulombic efficiency of all cells of a group over their cycles."""
    parts = place.subgridspec(2, 1, hspace=0.12)
    capacity, efficiency = figure.add_subplot(parts[0]), figure.add_subplot(parts[1])
    capacity.set_title("Discharge capacity and Coulombic efficiency")
    first: list[float] = []
    later: list[float] = []
    for index, cell in enumerate(cells):
        colour, marker = SERIES_COLOURS[index % len(SERIES_COLOURS)], MARKERS[index % len(MARKERS)]
        discharged = [(one.cycle, one.capacities.discharge) for one in cell.cycles
                      if one.capacities.discharge is not None]  # fmt: skip
        efficient = [(one.cycle, 100 * one.ledger.coulombic_efficiency) for one in cell.cycles
                     if one.ledger.coulombic_efficiency is not None]  # fmt: skip
        first += [value for number, value in efficient if number == 1]
        later += [value for number, value in efficient if number > 1]
        for axes, points in ((capacity, discharged), (efficiency, efficient)):
            if points:
                axes.plot(*zip(*points, strict=True), marker=marker, markersize=3.5, linewidth=0.8, color=colour,
                          label=cell.cell)  # fmt: skip
    last = max((one.cycle for cell in cells for one in cell.cycles), default=1)
    for axes in (capacity, efficiency):
        axes.set_xlim(0.5, max(last, 2) + 0.5)
        axes.locator_params(axis="x", integer=True)
    if first and later and min(first) < min(later) - 3.0:
        # The first cycle's loss would flatten all the others.
        efficiency.set_ylim(min(later) - 0.7, max(later) + 0.7)
        efficiency.text(0.02, 0.05, f"cycle 1: {min(first):.1f} to {max(first):.1f} %", transform=efficiency.transAxes,
                        fontsize=8, color="#555555")  # fmt: skip
    capacity.set_xticklabels([])
    capacity.set_ylabel("mAh")
    few_ticks(capacity, efficiency, x=False)
    efficiency.set_ylabel("CE / %")
    efficiency.set_xlabel("cycle")
    if len(cells) <= len(MARKERS) and capacity.lines:
        capacity.legend(loc="best", fontsize=7, ncol=2)
