"""The linear core of NMR processing: decay, window, Fourier transform, and the turn back to the pulse.

The axis is exact: point k of a transform of N points lies at the carrier plus k/N of the spectral width. The digital
filter's delay and the dead time are one shift in time, so they are taken out together as a phase that is linear in
frequency, whole and fractional points alike; nothing is cut from the decay.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft, ifft, next_fast_len

from labctl.analysis.bruker import Dataset
from labctl.analysis.recipe import Apodisation, Recipe, Window
from labctl.analysis.remembered import Remembered
from labctl.errors import AnalysisError

Complex = NDArray[np.complex128]
Real = NDArray[np.float64]

#: Transforms of the whole spectral width, of which few are needed at a time.
_WHOLE: Final = Remembered[Complex](6)
#: Beyond what a recipe looks at, so that an edge between points is one between points, ppm.
_MARGIN: Final = 5.0


class Grid(NamedTuple):
    """All that a transform's points depend on, besides the decay itself."""

    points: int
    width_Hz: float
    offset_Hz: float
    zero_Hz: float
    start_s: float
    delay_points: float
    apodisation: Apodisation
    first_point: float | None
    zero_fill: int
    span: Window
    shown: Window


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """The points of a zero-filled transform, cut to what a recipe looks at.

    Attributes
    ----------
    index : ndarray of int
        Which points of the transform, in the order of ``ppm``.
    ppm, frequency_Hz : ndarray
        Ascending shift, and frequency from the carrier.
    ramp : ndarray of complex
        Turns each point back to the pulse.
    taper : ndarray
        What the decay is multiplied with.
    length : int
        Of the transform.
    step_ppm : float
        Between two points.
    taper_norm : float
        What the taper makes of the deviation of one point of the decay in one point of the spectrum.
    tapered : tuple
        All that taper and length depend on.
    """

    index: NDArray[np.int64]
    ppm: Real
    frequency_Hz: Real
    ramp: Complex
    taper: Real
    length: int
    step_ppm: float
    taper_norm: float
    tapered: tuple[Hashable, ...]


def start_of(data: Dataset, recipe: Recipe) -> float:
    """When the first point was taken, in s after the pulse, as the recipe counts it."""
    dead = data.dead_time_s if recipe.dead_time_s is None else recipe.dead_time_s
    delay = data.delay_points / data.sweep_width_Hz if recipe.remove_filter else 0.0
    return dead - delay + recipe.pulse_share * data.pulse_s


def grid_of(data: Dataset, zero_Hz: float, recipe: Recipe, *, window: Window | None = None) -> Grid:
    """Say which points the transform of a decay has; ``window`` is what is looked at instead of the recipe's span."""
    shown = recipe.shown
    low, high = window or recipe.span
    if shown == "all":
        shown = (-math.inf, math.inf)
    elif shown == "span" or window is not None:
        shown = (low, high)
    return Grid(
        len(data.fid), data.sweep_width_Hz, data.carrier_Hz - zero_Hz, zero_Hz, start_of(data, recipe),
        data.delay_points if recipe.remove_filter else 0.0, recipe.apodisation, recipe.first_point, recipe.zero_fill,
        (low, high), shown,
    )  # fmt: skip


@lru_cache(maxsize=12)
def axis_of(grid: Grid) -> Axis:
    """Make the points of a grid.

    Raises
    ------
    AnalysisError
        If the spectral width does not cover what the recipe looks at.
    """
    length = grid.zero_fill * (1 << (grid.points - 1).bit_length())
    scale = 1e6 / grid.zero_Hz
    step = grid.width_Hz / length
    low, high = min(grid.span[0], grid.shown[0]) - _MARGIN, max(grid.span[1], grid.shown[1]) + _MARGIN
    # Of all the points, from -N/2 to N/2 - 1, those between low and high.
    first = max(-length // 2, _ceil((low / scale - grid.offset_Hz) / step, -length))
    last = min(length // 2 - 1, -_ceil(-(high / scale - grid.offset_Hz) / step, -length))
    whole = np.arange(first, last + 1)
    covered = ((-length // 2) * step + grid.offset_Hz) * scale, ((length // 2 - 1) * step + grid.offset_Hz) * scale
    if covered[0] > grid.span[0] or covered[1] < grid.span[1] or len(whole) < 24:
        raise AnalysisError(
            f"the spectral width of {grid.width_Hz:.6g} Hz around {grid.offset_Hz * scale:.1f} ppm does not cover "
            f"{grid.span[0]:g} to {grid.span[1]:g} ppm"
        )
    frequency = whole * step
    taper = _taper(grid)
    return Axis(
        index=whole % length,
        ppm=np.asarray((frequency + grid.offset_Hz) * scale, dtype=np.float64),
        frequency_Hz=np.asarray(frequency, dtype=np.float64),
        ramp=np.exp(-2j * np.pi * frequency * grid.start_s),
        taper=taper,
        length=length,
        step_ppm=step * scale,
        taper_norm=norm(taper),
        tapered=grid[:2] + grid[4:9],
    )


def _ceil(value: float, otherwise: int) -> int:
    return math.ceil(value) if math.isfinite(value) else otherwise


def _taper(grid: Grid) -> Real:
    begin = min(grid.start_s, 0.0)
    since = np.clip(np.arange(grid.points) / grid.width_Hz + begin, 0.0, None)
    kind, lorentz, gauss = grid.apodisation.kind, grid.apodisation.lorentz_Hz, grid.apodisation.gauss_Hz
    taper = np.ones(grid.points)
    if kind in ("exponential", "lorentz-gauss"):
        taper *= np.exp(-np.pi * lorentz * since)
    if kind in ("gaussian", "lorentz-gauss"):
        taper *= np.exp(-((np.pi * gauss * since) ** 2) / (4.0 * math.log(2.0)))
    if kind == "cosine squared":
        # Ends at zero with the decay, so that the electrolyte's cut-off line has no feet that reach the metal.
        taper = np.cos(0.5 * np.pi * since / (grid.points / grid.width_Hz + begin)) ** 2
    if grid.first_point is not None:
        taper[min(round(grid.delay_points), grid.points - 1)] *= grid.first_point
    elif abs(grid.start_s) < 0.5 / grid.width_Hz:
        taper[0] *= 0.5
    return np.asarray(taper, dtype=np.float64)


def transform(fid: Complex, axis: Axis) -> Complex:
    """Give the transform at the points of an axis, turned back to the pulse; its phase is the receiver's."""
    # The same decay is looked at where its metal and where its electrolyte is: one transform serves both.
    whole = _WHOLE.get(fid, axis.tapered, lambda: fft(fid * axis.taper, axis.length))
    return np.asarray(whole[axis.index] * axis.ramp, dtype=np.complex128)


def adjoint(weights: NDArray[np.complex128] | Real, axis: Axis) -> Complex:
    """Give the weights of the decay's points in a weighted sum over the spectrum's points.

    The sum's deviation is the norm of these weights times the deviation of one point of the decay.
    """
    full = np.zeros(axis.length, dtype=np.complex128)
    full[axis.index] = weights * axis.ramp
    return np.asarray(axis.taper * fft(full)[: len(axis.taper)], dtype=np.complex128)


def spread(weights: Complex, axis: Axis) -> float:
    """Give the norm of :func:`adjoint`, a transform of the whole length less: what noise makes of a weighted sum.

    The sum of squares over the decay is the weights' autocorrelation against the transform of the squared taper, by
    the convolution theorem.
    """
    turned = weights * axis.ramp
    count = len(turned)
    length = next_fast_len(2 * count)
    lags = ifft(np.abs(fft(turned, length)) ** 2)[:count]
    each = (lags * _lags(axis)).real
    return math.sqrt(max(2.0 * float(np.sum(each)) - float(each[0]), 0.0))


@lru_cache(maxsize=12)
def _lags(axis: Axis) -> Complex:
    return np.asarray(fft(axis.taper**2, axis.length)[: len(axis.index)], dtype=np.complex128)


def coverage(axis: Axis, window: Window) -> Real:
    """Say how much of each point's cell lies in ``window``: an edge between points moves the sum smoothly."""
    half = 0.5 * axis.step_ppm
    overlap = np.minimum(axis.ppm + half, window[1]) - np.maximum(axis.ppm - half, window[0])
    return np.asarray(np.clip(overlap / axis.step_ppm, 0.0, 1.0), dtype=np.float64)


def inside(ppm: Real, windows: tuple[Window, ...]) -> NDArray[np.bool_]:
    """Say which points lie in any of ``windows``."""
    return np.asarray(np.any([(ppm >= low) & (ppm <= high) for low, high in windows], axis=0))


def norm(values: Complex | Real) -> float:
    """Give the Euclidean norm; a sum, because threads of a linear algebra library cost more than they save here."""
    parts = values.view(np.float64)
    return math.sqrt(float(np.sum(parts * parts)))


def inner(first: Complex, second: Complex) -> complex:
    """Give the sum of products, without the threads of :func:`norm`'s remark."""
    return complex(np.einsum("i,i->", first, second))
