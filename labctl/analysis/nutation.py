"""The π/2 pulse of a cell: its metal's signal against the length of the pulse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labctl.analysis import bruker, nmr
from labctl.analysis.places import Place
from labctl.analysis.recipe import METAL, Recipe
from labctl.errors import AnalysisError

_FEWEST: Final = 4
#: Relative deviation beyond which nothing was told: fits of noise come out with 0.12 to 0.2.
_LOOSEST: Final = 0.1
#: The longest pulse over π/2: the signal must be seen to fall again, or its damping could be its nutation.
_PASSED: Final = 1.3
_DAMPING_STARTS: Final = (0.0, 1 / 200e-6, 1 / 60e-6, 1 / 25e-6)


@dataclass(frozen=True, slots=True)
class Nutation:
    """The fitted nutation curve.

    Attributes
    ----------
    t90_s, t90_sd_s : float
        Length of the π/2 pulse and its standard deviation, s.
    b1_Hz : float
        Strength of the radio field as nutation frequency, 1/(4 t90).
    damping_s : float or None
        Decay time of the nutation; None where no damping shows.
    pulses_s, amplitudes, fitted : tuple of float
        The points and the curve through them, per scan and unit of receiver gain.
    """

    t90_s: float
    t90_sd_s: float
    b1_Hz: float
    damping_s: float | None
    pulses_s: tuple[float, ...]
    amplitudes: tuple[float, ...]
    fitted: tuple[float, ...]


def evaluate(dataset_dirs: Sequence[Path | Place], sf: float | None = None, *, recipe: Recipe = METAL) -> Nutation:
    """Fit a damped sine to the metal's signal against pulse length.

    Parameters
    ----------
    dataset_dirs : sequence of Path or Place
        The EXPNO folders, in any order; each says its pulse length itself.
    sf : float, optional
        Frequency of 0 ppm in Hz, from the session's reference; without it the datasets' own SF or BF1.
    recipe : Recipe, optional
        How the spectra are integrated.

    Raises
    ------
    DataError
        If a dataset is incomplete.
    AnalysisError
        If there are fewer than four pulse lengths, the datasets differ in more than the pulse, there is no metal
        signal, or the points do not tell a π/2 pulse within 10 %: too noisy, or not far beyond it.

    Notes
    -----
    S(p) = A sin(π p / 2 t90) exp(-p/τ). The standard deviation is that of the fit, with the points' scatter about
    the curve where it exceeds the noise of the spectra.
    """
    data = [bruker.read(folder) for folder in dataset_dirs]
    pulses = np.array([one.pulse_s for one in data])
    if len(set(pulses.tolist())) < _FEWEST or np.any(pulses <= 0):
        raise AnalysisError(f"a nutation curve needs at least {_FEWEST} different pulse lengths, found "
                            f"{sorted(set(pulses.tolist()))} s")  # fmt: skip
    for name in ("power_W", "recycle_delay_s"):
        found = {getattr(one, name) for one in data}
        if len(found) > 1:
            raise AnalysisError(f"the datasets of a nutation curve differ in {name}: {sorted(found)}")
    reference = [sf or one.reference_Hz or one.basic_Hz for one in data]
    unphased = [nmr.metal_magnitude(one, hz, recipe) for one, hz in zip(data, reference, strict=True)]
    strongest = int(np.argmax(unphased))
    phase = nmr.phase_of(data[strongest], reference[strongest], recipe)
    integrals = [nmr.metal_integral(one, hz, phase, recipe) for one, hz in zip(data, reference, strict=True)]
    amplitude = np.array([one.value for one in integrals])
    sigma = np.array([one.sd for one in integrals])
    best, covariance = _fit(pulses, amplitude, sigma)
    t90, t90_sd = float(best[1]), math.sqrt(max(float(covariance[1, 1]), 0.0))
    if not math.isfinite(t90_sd) or t90_sd > _LOOSEST * t90 or t90 > float(pulses.max()) / _PASSED:
        raise AnalysisError(f"the pulse lengths do not tell a π/2 pulse ({t90 * 1e6:.3g} ± {t90_sd * 1e6:.2g} µs)",
                            hint="use pulses from about 30 to 300 degrees")  # fmt: skip
    return Nutation(
        t90_s=t90,
        t90_sd_s=t90_sd,
        b1_Hz=0.25 / t90,
        damping_s=1.0 / float(best[2]) if best[2] > 0 else None,
        pulses_s=tuple(pulses.tolist()),
        amplitudes=tuple(amplitude.tolist()),
        fitted=tuple(_curve(pulses, *best).tolist()),
    )


def _curve(pulse: NDArray[np.float64], height: float, t90: float, rate: float) -> NDArray[np.float64]:
    return np.asarray(height * np.sin(0.5 * np.pi * pulse / t90) * np.exp(-pulse * rate), dtype=np.float64)


def _fit(
    pulses: NDArray[np.float64], amplitude: NDArray[np.float64], sigma: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit height, t90 and damping; from the best point of a coarse grid, so that no start has to be guessed."""
    from scipy.optimize import curve_fit

    # The spacing of the points tells the fastest nutation that they can resolve.
    spacing = float(np.min(np.diff(np.unique(pulses))))
    t90s = np.geomspace(max(0.55 * spacing, 0.1 * pulses.max()), 1.5 * pulses.max(), 120)[:, None, None]
    rates = np.array(_DAMPING_STARTS)[None, :, None]
    shapes = np.sin(0.5 * np.pi * pulses / t90s) * np.exp(-pulses * rates)
    heights = shapes @ amplitude / np.sum(shapes**2, axis=-1)
    misfits = np.sum((amplitude - heights[..., None] * shapes) ** 2, axis=-1)
    misfits[~(heights > 0)] = np.inf
    row, column = np.unravel_index(int(np.argmin(misfits)), misfits.shape)
    if not np.isfinite(misfits[row, column]):
        raise AnalysisError("no nutation: the metal's signal does not follow the pulse length")
    start = np.array([heights[row, column], t90s[row, 0, 0], rates[0, column, 0]])
    scale = np.array([start[0], start[1], 1.0 / float(pulses.max())])
    try:
        found, covariance = curve_fit(
            lambda pulse, *free: _curve(pulse, *(np.array(free) * scale)),
            pulses,
            amplitude,
            p0=start / scale,
            sigma=sigma,
            absolute_sigma=True,
            maxfev=2000,
        )
    except RuntimeError as error:
        raise AnalysisError(f"the nutation curve could not be fitted ({error})") from error
    found = found * scale
    residual = (amplitude - _curve(pulses, *found)) / sigma
    freedom = len(pulses) - 3
    excess = max(1.0, float(residual @ residual) / freedom) if freedom > 0 else 1.0
    return found, np.asarray(covariance * np.outer(scale, scale) * excess, dtype=np.float64)
