"""The spectra of a calibration series: from datasets to the points that a factor follows from.

Spectra of one series are compared with each other alone, so only within a series must pulse, power, recycle delay and
spectral width be alike; scans and receiver gain scale, and the pulse does where each cell's own nutation is known.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from labctl.analysis import calibration, nmr, nutation, phase, places, reference
from labctl.analysis.bruker import Dataset
from labctl.analysis.calibration import Calibration, Point
from labctl.analysis.recipe import METAL, Apodisation, Phase, Recipe
from labctl.analysis.spectrum import Spectrum
from labctl.analysis.tabulated import Column, Table, Value
from labctl.errors import AnalysisError

#: What must be alike within a series: attribute, name for people, how it is shown, relative tolerance.
_ALIKE: Final[tuple[tuple[str, str, Callable[[float], str], float], ...]] = (
    ("power_W", "pulse power", "{:g} W".format, 1e-3),
    ("recycle_delay_s", "recycle delay", "{:g} s".format, 1e-6),
    ("sweep_width_Hz", "spectral width", "{:g} Hz".format, 1e-6),
)

#: The same, where a nutation does not tell what a pulse does in its cell.
_PULSE: Final = ("pulse_s", "pulse length", lambda value: f"{value * 1e6:.4g} µs", 1e-3)


@dataclass(frozen=True, slots=True)
class Entry:
    """One spectrum of a calibration series as a person lists it.

    Attributes
    ----------
    path : Path
        Its dataset: an EXPNO folder or a zip archive of one.
    lithium : str
        ``foil`` or ``deposited``.
    series : str
        Spectra of one series are of the same lithium.
    soc : float or None
        State of charge of the positive electrode beside it, 0 to 1; None where there is none.
    amount : float
        Lithium in any unit that the series shares, such as mAh.
    reference : Path or None
        The session's LiCl spectrum; without it shifts rest on the dataset's own reference.
    nutation : Path or None
        Folder above the datasets of this cell's nutation; the integral is brought to a π/2 pulse by it.
    """

    path: Path
    lithium: Literal["foil", "deposited"]
    series: str
    soc: float | None
    amount: float = 1.0
    reference: Path | None = None
    nutation: Path | None = None


def evaluate(entries: Sequence[Entry], *, id: str, source: str, recipe: Recipe = METAL) -> Calibration:
    """Evaluate the spectra of a calibration series to f(s), the shift of the windows and the width cap.

    Parameters
    ----------
    entries : sequence of Entry
        At least two states of charge, one of them 1.
    id, source : str
        As of :func:`labctl.analysis.calibration.evaluate`.
    recipe : Recipe
        How the spectra are processed.

    Raises
    ------
    DataError
        If a dataset cannot be read.
    AnalysisError
        If spectra of one series cannot be compared, one shows no metal, or the series tells no factor.
    """
    return calibration.evaluate(points(entries, recipe), id=id, source=source)


def points(entries: Sequence[Entry], recipe: Recipe = METAL) -> list[Point]:
    """Give what each spectrum of a series tells; arguments and errors as of :func:`evaluate`."""
    read = [(one, nmr.read_bruker(one.path)) for one in entries]
    series: dict[str, list[tuple[Entry, Dataset]]] = defaultdict(list)
    for one, data in read:
        series[one.series].append((one, data))
    for name, members in series.items():
        _refuse_unlike(name, members)
    return [_point(one, data, recipe) for one, data in read]


def table(found: Calibration) -> Table:
    """Give what a calibration says, for people and programs."""
    curve = found.curve
    shifts: tuple[float | None, ...] = curve.shift_ppm or (None,) * len(curve.soc)
    rows: list[dict[str, Value]] = [
        {"soc": soc, "factor": factor, "factor_sd": math.sqrt(curve.covariance[index][index]), "shift_ppm": shift}
        for index, (soc, factor, shift) in enumerate(zip(curve.soc, curve.factor, shifts, strict=True))
    ]
    notes = [f"{found.points} spectra; beyond their own deviations they scatter by {100 * found.scatter:.2g} %"]
    if found.without_electrode is not None:
        value, sd = found.without_electrode
        notes.append(f"beside no positive electrode: {value:.3f} ± {sd:.3f}")
    if curve.width_cap_ppm is not None:
        notes.append(f"full width of the foil's line beside a full electrode: {curve.width_cap_ppm:.1f} ppm")
    columns = (Column("soc", "state of charge", 2), Column("factor", "SOC factor", 4),
               Column("shift_ppm", "shift ppm", 2))  # fmt: skip
    return Table(f"calibration {curve.id}", columns, tuple(rows), (*notes, *map(str, found.flags)))


def _point(one: Entry, data: Dataset, recipe: Recipe) -> Point:
    zero = nmr.zero_of(data, recipe)[0]
    if one.reference is not None:
        zero = reference.evaluate(one.reference).sf_Hz
    # Each cell is another one, with much metal: its own line tells the phase best.
    turned = phase.line_phase(data, zero, recipe)
    integral = nmr.metal_integral(data, zero, turned.angle_rad, recipe)
    # No window: its width would be the line's.
    plain = replace(recipe, apodisation=Apodisation("none"), zero_Hz=zero, phase=Phase(turned.angle_rad))
    shift, width = _top(nmr.process(data, plain), recipe)
    signal, unsure = (1.0, 0.0) if one.nutation is None else _excited(data, one.nutation, zero, recipe)
    value, sd = integral.value / signal, math.hypot(integral.sd, unsure * integral.value) / signal
    return Point(one.lithium, one.series, one.soc, value, sd, one.amount, shift, width)


def _excited(data: Dataset, folder: Path, zero: float, recipe: Recipe) -> tuple[float, float]:
    """Give the signal that the pulse makes, of that which a π/2 pulse would, and its relative deviation."""
    curve = nutation.evaluate(places.locate(folder), zero, recipe=recipe)
    flip, relative = 0.5 * math.pi * data.pulse_s / curve.t90_s, curve.t90_sd_s / curve.t90_s
    damping = 0.0 if curve.damping_s is None else (data.pulse_s - curve.t90_s) / curve.damping_s
    slope = flip / math.tan(flip) * relative
    return math.sin(flip) * math.exp(-damping), math.hypot(slope, (flip * relative) ** 2 / math.sqrt(2.0))


def _top(spectrum: Spectrum, recipe: Recipe) -> tuple[float, float]:
    """Give the place of the highest point of the metal and the full width at half its height, in ppm."""
    inside = (spectrum.ppm >= recipe.metal[0]) & (spectrum.ppm <= recipe.metal[1])
    ppm, values = spectrum.ppm[inside], spectrum.intensity[inside]
    at = int(np.argmax(values))
    if not 0 < at < len(values) - 1:
        raise AnalysisError("the metal's line is cut by its window: its place cannot be told")
    # Noise has peaks of its own: a parabola through the upper third, not the highest point.
    low, high = _crossings(values, at, 2.0 / 3.0 * values[at])
    near = slice(int(np.ceil(low)), int(np.floor(high)) + 1)
    if near.stop - near.start >= 3:
        curve = np.polynomial.Polynomial.fit(ppm[near], values[near], 2)
        top, height = float(curve.deriv().roots()[0].real), float(curve(curve.deriv().roots()[0].real))
    else:
        top, height = float(ppm[at]), float(values[at])
    low, high = _crossings(values, at, 0.5 * height)
    index = np.arange(len(ppm))
    return top, float(np.interp(high, index, ppm) - np.interp(low, index, ppm))


def _crossings(values: Any, at: int, height: float) -> tuple[float, float]:
    """Give where, on either side of a point, values first fall below a height, as fractions of points."""
    found = []
    for step, end in ((-1, 0), (1, len(values) - 1)):
        here = at
        while here != end and values[here + step] >= height:
            here += step
        if here == end:
            raise AnalysisError("the metal's line is cut by its window: its width cannot be told")
        found.append(here + step * float((values[here] - height) / (values[here] - values[here + step])))
    return found[0], found[1]


def _refuse_unlike(name: str, members: Sequence[tuple[Entry, Dataset]]) -> None:
    told = all(one.nutation is not None for one, _ in members)
    for attribute, what, show, tolerance in _ALIKE if told else (_PULSE, *_ALIKE):
        values = [float(getattr(data, attribute)) for _, data in members]
        if max(values) - min(values) > tolerance * max(map(abs, values)):
            shown = ", ".join(f"{one.path} {show(value)}" for (one, _), value in zip(members, values, strict=True))
            raise AnalysisError(f"series {name}: the {what} differs ({shown}); its integrals do not compare")
    programs = {data.pulse_program for _, data in members}
    if len(programs) > 1:
        raise AnalysisError(f"series {name}: the pulse program differs ({', '.join(sorted(programs))})")
