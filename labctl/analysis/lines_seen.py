"""A single decay looked at without a cell: its lines, its metal integral, and what is doubtful about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labctl.analysis import bruker, nmr
from labctl.analysis.bruker import Dataset
from labctl.analysis.places import Place
from labctl.analysis.recipe import METAL, Recipe
from labctl.errors import AnalysisError

#: The part of the record under the window, of which the one is taken that shows the strongest line best.
_SPANS: Final = (1.0, 0.25, 0.0625, 0.015625)
#: A line stands out so many standard deviations, and so large a part of the strongest.
_STANDS_OUT: Final = 8.0
_OF_STRONGEST: Final = 0.02
_MOST_LINES: Final = 8
_CLEAR: Final = 3.0


@dataclass(frozen=True, slots=True)
class SeenLine:
    """A line: its shift in ppm, and its height over the standard deviation of the noise."""

    ppm: float
    snr: float


@dataclass(frozen=True, slots=True)
class SeenSpectrum:
    """What a decay shows.

    Attributes
    ----------
    path : str
        The EXPNO.
    nucleus, pulse_program : str
        NUC1 and PULPROG.
    scans : int
        NS.
    receiver_gain, recycle_delay_s, pulse_s, temperature_K : float
        RG, D1, P1, TE; 0 where the dataset does not say.
    lines : tuple of SeenLine
        The strongest first.
    metal, metal_sd : float or None
        Integral of lithium metal per scan and receiver gain, and its standard deviation; None where the nucleus or
        the spectral width does not show it.
    warnings : tuple of str
        What to know before using it.
    """

    path: str
    nucleus: str
    pulse_program: str
    scans: int
    receiver_gain: float
    recycle_delay_s: float
    pulse_s: float
    temperature_K: float
    lines: tuple[SeenLine, ...]
    metal: float | None
    metal_sd: float | None
    warnings: tuple[str, ...]

    @property
    def snr(self) -> float | None:
        """Of the strongest line."""
        return self.lines[0].snr if self.lines else None


def look(place: Place, recipe: Recipe = METAL) -> SeenSpectrum:
    """Read a dataset of anybody's and say what it shows.

    Raises
    ------
    DataError
        If it is no whole one-dimensional dataset.
    """
    data = bruker.read_place(place)
    zero, said = nmr.zero_of(data, recipe)
    warnings = [str(one) for one in data.origins if one.source == "assumed" and one.value not in (0, 0.0)]
    if said.source == "assumed":
        warnings.append("shifts are not referenced: 0 ppm is BF1 (no SF in pdata)")
    clipped = bruker.cut_off(data)
    if clipped:
        warnings.append(f"{clipped} points lie at exactly the largest value: the receiver was overloaded")
    lines = _lines(data, zero)
    if not lines:
        warnings.append("no line stands out of the noise")
    metal = sd = None
    if data.nucleus.strip("<>").upper() in ("7LI", ""):
        try:
            metal, sd = _metal(data, zero, recipe)
        except AnalysisError as error:
            warnings.append(f"no metal integral: {error}")
    if metal is not None and sd is not None and metal < _CLEAR * sd:
        warnings.append(f"the metal integral is below {_CLEAR:g} standard deviations")
    return SeenSpectrum(
        path=str(place.path),
        nucleus=data.nucleus.strip("<>"),
        pulse_program=data.pulse_program.strip("<>"),
        scans=data.scans,
        receiver_gain=data.receiver_gain,
        recycle_delay_s=data.recycle_delay_s,
        pulse_s=data.pulse_s,
        temperature_K=data.temperature_K,
        lines=lines,
        metal=metal,
        metal_sd=sd,
        warnings=tuple(warnings),
    )


def _lines(data: Dataset, zero: float) -> tuple[SeenLine, ...]:
    """Find lines in the magnitude, which needs no phase; digital filter and dead time do not change it."""
    count = len(data.fid)
    try:
        sigma = nmr.noise(data)
    except AnalysisError:
        return ()
    length = 2 << (count - 1).bit_length()
    time = (np.arange(count) - data.delay_points) / data.sweep_width_Hz
    best = None
    for part in _SPANS:
        taper = np.cos(0.5 * np.pi * np.clip(time / (data.acquisition_s * part), 0.0, 1.0)) ** 2
        magnitude = np.abs(np.fft.fftshift(np.fft.fft(data.fid * taper, length)))
        heights = magnitude / (sigma * float(np.linalg.norm(taper)))
        if best is None or heights.max() > best.max():
            best = heights
    if best is None:
        return ()
    floor = max(_STANDS_OUT, _OF_STRONGEST * float(best.max()))
    peaks = _peaks(best, floor)
    offset = np.fft.fftshift(np.fft.fftfreq(length, 1.0 / data.sweep_width_Hz))
    ppm = (data.carrier_Hz + offset - zero) / zero * 1e6
    found = [SeenLine(float(ppm[one]), float(best[one])) for one in peaks]
    return tuple(sorted(found, key=lambda one: -one.snr)[:_MOST_LINES])


def _peaks(heights: NDArray[np.float64], floor: float) -> list[int]:
    """Find maxima above ``floor`` from which it goes down by as much before it goes up to a higher one."""
    inner = heights[1:-1]
    tops = 1 + np.flatnonzero((inner >= floor) & (inner > heights[:-2]) & (inner >= heights[2:]))
    found: list[int] = []
    for top in sorted(tops.tolist(), key=lambda one: -heights[one]):
        left, right = (one for one in found if one < top), (one for one in found if one > top)
        beside = {max(left, default=top), min(right, default=top)} - {top}
        valleys = [heights[min(top, one) : max(top, one)].min() for one in beside]
        if all(heights[top] - valley >= floor for valley in valleys):
            found.append(top)
    return found


def _metal(data: Dataset, zero: float, recipe: Recipe) -> tuple[float, float]:
    try:
        angle = nmr.phase_of(data, zero, recipe)
    except AnalysisError:
        # No line to take a phase from: what noise alone gives is its own bound, whatever the phase.
        integral = nmr.metal_integral(data, zero, 0.0, recipe)
        return nmr.metal_magnitude(data, zero, recipe), integral.sd
    integral = nmr.metal_integral(data, zero, angle, recipe)
    return integral.value, integral.sd
