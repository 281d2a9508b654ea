"""T1 of the metal from a saturation recovery, and how much of the full signal a recycle delay gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from labctl.analysis import bruker, nmr
from labctl.analysis.places import Place
from labctl.analysis.recipe import METAL, Recipe
from labctl.errors import AnalysisError

_FEWEST: Final = 4
#: Least share of the signal that the comb must take away, and least rise of the curve over a point's deviation.
_SATURATED: Final = 0.5
_SMALLEST_RISE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """The fitted recovery.

    Attributes
    ----------
    t1_s, t1_sd_s : float
        Longitudinal relaxation time and its standard deviation.
    saturated : float
        Share of the signal that the comb took away; 1 is all.
    delays_s, amplitudes, fitted : tuple of float
        The points and the curve through them, per scan and unit of receiver gain.
    """

    t1_s: float
    t1_sd_s: float
    saturated: float
    delays_s: tuple[float, ...]
    amplitudes: tuple[float, ...]
    fitted: tuple[float, ...]

    def share(self, recycle: float) -> float:
        """Share of the full signal that π/2 pulses give that come every ``recycle`` s."""
        return 1.0 - math.exp(-recycle / self.t1_s)


def evaluate(dataset_dirs: Sequence[Path | Place], sf: float | None = None, *, recipe: Recipe = METAL) -> Recovery:
    """Fit an exponential recovery to the metal's signal against the delay after saturation.

    Parameters
    ----------
    dataset_dirs : sequence of Path or Place
        The EXPNO folders, in any order; each says its delay itself.
    sf : float, optional
        Frequency of 0 ppm in Hz; without it the datasets' own SF or BF1.
    recipe : Recipe, optional
        How the spectra are integrated.

    Raises
    ------
    DataError
        If a dataset is incomplete.
    AnalysisError
        If there are fewer than four delays, there is no metal, nothing was saturated, or the delays do not tell T1
        within 30 %, which they don't beyond half the shortest and the longest of them.

    Notes
    -----
    S(t) = A (1 - b exp(-t/T1)).
    """
    from scipy.optimize import curve_fit

    data = [bruker.read(folder) for folder in dataset_dirs]
    delays = np.array([one.recycle_delay_s for one in data])
    if len(set(delays.tolist())) < _FEWEST:
        raise AnalysisError(
            f"a recovery needs at least {_FEWEST} different delays, found {sorted(set(delays.tolist()))} s"
        )
    reference = [sf or one.reference_Hz or one.basic_Hz for one in data]
    longest = int(np.argmax(delays))
    phase = nmr.phase_of(data[longest], reference[longest], recipe)
    integrals = [nmr.metal_integral(one, hz, phase, recipe) for one, hz in zip(data, reference, strict=True)]
    amplitude = np.array([one.value for one in integrals])
    sigma = np.array([one.sd for one in integrals])
    start = (float(amplitude[longest]), 1.0, math.sqrt(float(delays.min() * delays.max())))
    bounds = ((0.0, 0.0, 0.05 * float(delays.min())), (np.inf, 2.0, 20.0 * float(delays.max())))
    try:
        found, covariance = curve_fit(
            lambda t, full, saturated, t1: full * (1.0 - saturated * np.exp(-t / t1)),
            delays, amplitude, p0=start, sigma=sigma, absolute_sigma=True, bounds=bounds,
        )  # fmt: skip
    except (RuntimeError, ValueError) as error:
        raise AnalysisError(f"the recovery could not be fitted ({error})") from error
    fitted = found[0] * (1.0 - found[1] * np.exp(-delays / found[2]))
    residual = (amplitude - fitted) / sigma
    excess = max(1.0, float(residual @ residual) / (len(delays) - 3))
    t1, deviation = float(found[2]), math.sqrt(max(float(covariance[2, 2]), 0.0) * excess)
    # At a bound of the fit, and where nothing rises, the covariance says nothing: that is seen from the curve.
    risen = float(fitted.max() - fitted.min()) > _SMALLEST_RISE * math.sqrt(excess) * float(sigma.max())
    if found[1] < _SATURATED or not risen:
        raise AnalysisError(f"the comb took away {100 * found[1]:.0f} % of the signal: nothing to see recover",
                            hint="does the pulse program saturate, and long before the delay?")  # fmt: skip
    if not deviation < 0.3 * t1 or not 0.5 * delays.min() <= t1 <= delays.max():
        raise AnalysisError(f"the delays do not tell T1 ({t1:.3g} ± {deviation:.2g} s)",
                            hint="use delays from a tenth of T1 to five times T1")  # fmt: skip
    return Recovery(
        t1, deviation, float(found[1]), tuple(delays.tolist()), tuple(amplitude.tolist()), tuple(fitted.tolist())
    )
