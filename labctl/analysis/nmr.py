"""From a decay to a referenced spectrum and the integral of lithium metal with its standard deviation.

Every step (apodisation, zero filling, Fourier transform, phase, baseline, sum over a window) is linear in the decay.
The whole chain is therefore one weight per point of the decay: the integral is the weighted sum, and its standard
deviation is the noise of one point times the weights' norm, exactly, baseline fit and correlations included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.bruker import Dataset
from labctl.analysis.recipe import METAL, Recipe, Window
from labctl.errors import AnalysisError

_Complex = NDArray[np.complex128]
_Real = NDArray[np.float64]

#: Parts of the spectral width, from its middle, that hold nothing but noise: clear of lines and of the filter's edge.
_QUIET: Final = (1 / 16, 0.4)


@dataclass(frozen=True, slots=True)
class Integral:
    """Integral of the metal's signal per scan and unit of receiver gain.

    Attributes
    ----------
    value, sd : float
        The integral and its standard deviation from the noise of the decay. For a line inside the window it is close
        to the amplitude of the decay at the pulse.
    """

    value: float
    sd: float

    def scaled(self, factor: float) -> Integral:
        """Multiply both by a positive number."""
        return Integral(self.value * factor, self.sd * factor)


@dataclass(frozen=True, slots=True)
class Spectrum:
    """A phased, referenced spectrum with its baseline removed, per scan and unit of receiver gain.

    Attributes
    ----------
    ppm : ndarray
        Ascending shift against LiCl.
    intensity : ndarray
        Per ppm, so that its integral over ppm is in the units of :class:`Integral`.
    noise_sd : float
        Standard deviation of one point.
    """

    ppm: _Real
    intensity: _Real
    noise_sd: float


@dataclass(frozen=True)
class _Axis:
    """The grid of a zero-filled transform, cut to what a recipe looks at."""

    index: NDArray[np.int64]
    ppm: _Real
    ramp: _Complex
    taper: _Real
    length: int
    step_ppm: float


def noise(dataset: Dataset) -> float:
    """Estimate the standard deviation of one channel of one point of the decay, in its own units.

    Taken from parts of the spectrum far from every line; a Hann window keeps the lines' feet out, and the median
    keeps spikes from counting.
    """
    window, power, quiet = _quiet(len(dataset.fid))
    if quiet.size < 16:
        raise AnalysisError(f"{dataset.folder}: {len(dataset.fid)} points are too few to tell the noise")
    spectrum = np.abs(np.fft.fft(dataset.fid * window)[quiet]) ** 2
    return float(np.sqrt(np.median(spectrum) / (2.0 * math.log(2.0) * power)))


@lru_cache(maxsize=4)
def _quiet(count: int) -> tuple[_Real, float, NDArray[np.int64]]:
    """Give the window for so many points, its power, and which points of the spectrum are far from every line."""
    window = np.hanning(count)
    offset = np.abs(np.fft.fftfreq(count))
    quiet = np.flatnonzero((offset > _QUIET[0]) & (offset < _QUIET[1]))
    return window, float(np.sum(window**2)), quiet


def phase_of(dataset: Dataset, reference_Hz: float, recipe: Recipe = METAL) -> float:
    """Find the constant phase, in rad, that makes the metal's line absorptive.

    The phase linear in frequency is known from the time of the first point. What is left is one angle: the one that
    leaves least signal in the flanks of the line, where absorption has ended and dispersion has not. It has a closed
    form, so that nothing can run away. Right within a degree on lines of 5 to 15 ppm at a signal-to-noise ratio of 400.

    Raises
    ------
    AnalysisError
        If there is no line in the metal window to take a phase from.
    """
    axis, values = _transform(dataset, reference_Hz, recipe)
    flank = _inside(axis.ppm, recipe.flanks)
    rest = values[flank] - _fitted(axis.ppm, flank, recipe.flank_order, recipe) @ values[flank]
    angle = 0.5 * (math.pi - float(np.angle(np.sum(rest**2))))
    found = metal_integral(dataset, reference_Hz, angle, recipe)
    if abs(found.value) < 5 * found.sd:
        raise AnalysisError(
            f"{dataset.folder}: no metal line to take the phase from (integral {found.value:.3g} ± {found.sd:.2g})"
        )
    return _wrapped(angle if found.value > 0 else angle + math.pi)


def metal_integral(dataset: Dataset, reference_Hz: float, phase: float, recipe: Recipe = METAL) -> Integral:
    """Integrate the metal's line above its baseline.

    Parameters
    ----------
    dataset : Dataset
        As it was read.
    reference_Hz : float
        The frequency of 0 ppm (SF of the LiCl spectrum).
    phase : float
        From :func:`phase_of` on the charged state of the same cell, in rad.
    """
    weights, norm = _functional(_key(dataset, reference_Hz), recipe)
    unit = 1.0 / (dataset.scans * dataset.receiver_gain)
    value = float((np.exp(1j * phase) * (weights @ dataset.fid)).real)
    return Integral(value * unit, noise(dataset) * norm * unit)


def metal_magnitude(dataset: Dataset, reference_Hz: float, recipe: Recipe = METAL) -> float:
    """Give the integral's magnitude whatever its phase: enough to choose the strongest of a series."""
    weights, _ = _functional(_key(dataset, reference_Hz), recipe)
    return float(abs(weights @ dataset.fid)) / (dataset.scans * dataset.receiver_gain)


def signal_to_noise(dataset: Dataset, reference_Hz: float, recipe: Recipe = METAL) -> float:
    """Give the metal's integral over its standard deviation, whatever the phase of the receiver."""
    _, norm = _functional(_key(dataset, reference_Hz), recipe)
    unit = 1.0 / (dataset.scans * dataset.receiver_gain)
    return metal_magnitude(dataset, reference_Hz, recipe) / (noise(dataset) * norm * unit)


def spectrum(
    dataset: Dataset, reference_Hz: float, phase: float, recipe: Recipe = METAL, *, window: Window | None = None
) -> Spectrum:
    """Make the spectrum whose sum over the metal window is :func:`metal_integral`.

    Parameters
    ----------
    window : tuple of float, optional
        What part is returned, ppm; without it all that the recipe looks at.
    """
    axis, values = _transform(dataset, reference_Hz, recipe)
    unit = _density(dataset, axis) / (dataset.scans * dataset.receiver_gain)
    real = (np.exp(1j * phase) * values).real * unit
    base = _inside(axis.ppm, recipe.baseline)
    flat = real - _polynomial(axis.ppm, recipe) @ (np.linalg.pinv(_polynomial(axis.ppm[base], recipe)) @ real[base])
    shown = _inside(axis.ppm, (window or recipe.span,))
    sd = noise(dataset) * unit * float(np.linalg.norm(axis.taper))
    return Spectrum(axis.ppm[shown], flat[shown], sd)


def _transform(dataset: Dataset, reference_Hz: float, recipe: Recipe) -> tuple[_Axis, _Complex]:
    axis = _axis(_key(dataset, reference_Hz), recipe)
    return axis, np.fft.fft(dataset.fid * axis.taper, axis.length)[axis.index] * axis.ramp


# Points, sweep width, carrier's offset from 0 ppm, frequency of 0 ppm, time of the first point.
_Key = tuple[int, float, float, float, float]


def _key(dataset: Dataset, reference_Hz: float) -> _Key:
    offset = dataset.carrier_Hz - reference_Hz
    return len(dataset.fid), dataset.sweep_width_Hz, offset, reference_Hz, dataset.start_s


@lru_cache(maxsize=8)
def _axis(key: _Key, recipe: Recipe) -> _Axis:
    count, width, offset, reference, start = key
    length = recipe.zero_fill * (1 << (count - 1).bit_length())
    frequency = np.fft.fftfreq(length, 1.0 / width)
    ppm = (frequency + offset) / reference * 1e6
    low, high = recipe.span
    index = np.flatnonzero((ppm >= low - 5.0) & (ppm <= high + 5.0))
    index = index[np.argsort(ppm[index])]
    if ppm.min() > low or ppm.max() < high or len(index) < 4 * (recipe.order + 1):
        raise AnalysisError(
            f"the spectral width of {width:.6g} Hz around {offset / reference * 1e6:.1f} ppm does not cover "
            f"{low:g} to {high:g} ppm"
        )
    # cos² ends at zero with the decay, so that the electrolyte's cut-off line has no feet that reach the metal.
    since = np.clip(np.arange(count) / width + min(start, 0.0), 0.0, None)
    taper = np.asarray(np.cos(0.5 * np.pi * since / (count / width + min(start, 0.0))) ** 2, dtype=np.float64)
    if abs(start) < 0.5 / width:
        taper[0] *= 0.5  # the transform's sum counts a point at the pulse itself by half
    ramp = np.exp(-2j * np.pi * frequency[index] * start)
    return _Axis(index, np.asarray(ppm[index], dtype=np.float64), ramp, taper, length, width / length / reference * 1e6)


@lru_cache(maxsize=8)
def _functional(key: _Key, recipe: Recipe) -> tuple[_Complex, float]:
    """Weights of the decay's points in the complex integral, and the norm that turns noise into its deviation."""
    axis = _axis(key, recipe)
    window = _coverage(axis, recipe.metal)
    base = _inside(axis.ppm, recipe.baseline)
    in_spectrum = window.copy()
    in_spectrum[base] -= (window @ _polynomial(axis.ppm, recipe)) @ np.linalg.pinv(_polynomial(axis.ppm[base], recipe))
    full = np.zeros(axis.length, dtype=np.complex128)
    full[axis.index] = in_spectrum * axis.ramp * (2.0 / axis.length)
    weights = axis.taper * np.fft.fft(full)[: key[0]]
    weights.setflags(write=False)
    return weights, float(np.linalg.norm(weights))


def _density(dataset: Dataset, axis: _Axis) -> float:
    return 2.0 / axis.length / axis.step_ppm


def _coverage(axis: _Axis, window: Window) -> _Real:
    """Say how much of each point's cell lies in ``window``: an edge between points moves the sum smoothly."""
    half = 0.5 * axis.step_ppm
    overlap = np.minimum(axis.ppm + half, window[1]) - np.maximum(axis.ppm - half, window[0])
    return np.asarray(np.clip(overlap / axis.step_ppm, 0.0, 1.0), dtype=np.float64)


def _inside(ppm: _Real, windows: tuple[Window, ...]) -> NDArray[np.bool_]:
    return np.asarray(np.any([(ppm >= low) & (ppm <= high) for low, high in windows], axis=0))


def _polynomial(ppm: _Real, recipe: Recipe, order: int | None = None) -> _Real:
    low, high = recipe.span
    scaled = (ppm - 0.5 * (low + high)) / (0.5 * (high - low))
    basis = np.polynomial.legendre.legvander(scaled, recipe.order if order is None else order)
    return np.asarray(basis, dtype=np.float64)


def _fitted(ppm: _Real, part: NDArray[np.bool_], order: int, recipe: Recipe) -> _Real:
    """Give the matrix that takes the values in ``part`` to the polynomial fitted through them."""
    basis = _polynomial(ppm[part], recipe, order)
    return basis @ np.linalg.pinv(basis)


def _wrapped(angle: float) -> float:
    return math.remainder(angle, 2.0 * math.pi)
