"""The distribution of relaxation times of a spectrum: which processes it holds, without a circuit being chosen.

Z(omega) = R + j omega L + integral of gamma(ln tau)/(1 + j omega tau) over ln tau, solved by Tikhonov regularisation
with non-negative gamma (Tikhonov 1963; for impedance Saccoccio et al., Electrochim. Acta 147 (2014) 470). Peaks depend
on lambda: too small splits them, too large joins them.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import nnls

from labctl.analysis.impedance.spectrum import Floats, checked
from labctl.errors import AnalysisError, UsageError

#: Time constants reach this many decades beyond what was measured, at either end.
_BEYOND: Final = 1.0
#: Peaks of less than this part of the polarisation are not listed.
_SMALLEST_PEAK: Final = 0.01
#: Part of the polarisation in the slowest decade from which the spectrum does not close.
_OPEN: Final = 0.2


@dataclass(frozen=True, slots=True)
class Peak:
    """A peak of the distribution: its time constant in s and peak frequency in Hz, and its resistance in ohm."""

    time_constant_s: float
    frequency_Hz: float
    resistance_ohm: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution of relaxation times.

    Attributes
    ----------
    time_constant_s : ndarray
        Rising, evenly spaced in the logarithm.
    gamma_ohm : ndarray
        Resistance per unit of ln(tau).
    series_ohm, inductance_H : float
        What lies in series.
    polarisation_ohm : float
        Integral of gamma.
    peaks : tuple of Peak
        By rising time constant.
    residual : float
        Root mean square of (measured - fitted)/abs(measured), real and imaginary parts.
    smoothing : float
        lambda.
    derivative : int
        Which derivative of gamma lambda holds down.
    per_decade : int
        Time constants for each decade.
    flags : tuple of str
        What to know before relying on it, in words.
    """

    time_constant_s: Floats
    gamma_ohm: Floats
    series_ohm: float
    inductance_H: float
    polarisation_ohm: float
    peaks: tuple[Peak, ...]
    residual: float
    smoothing: float
    derivative: int
    per_decade: int
    flags: tuple[str, ...] = ()


def distribution(
    frequency: ArrayLike,
    impedance: ArrayLike,
    *,
    smoothing: float = 1e-2,
    derivative: int = 0,
    per_decade: int = 10,
    inductance: bool = True,
) -> Distribution:
    """Compute the distribution of relaxation times.

    Parameters
    ----------
    frequency : array of float
        Hz, in any order.
    impedance : array of complex
        Ohm; capacitive is negative.
    smoothing : float
        lambda: weight of the squared gamma, in units of the largest abs(Z), against the squared relative residuals.
        The default leaves residuals at the noise of a good spectrum, 0.2 %; depressed arcs still grow small peaks at
        their sides.
    derivative : int
        0 holds gamma itself down (ridge), 1 and 2 its first and second derivative.
    per_decade : int
        Time constants for each decade.
    inductance : bool
        Whether an inductance lies in series.

    Raises
    ------
    UsageError
        A setting makes no sense.
    DataError
        The arrays are no spectrum.
    AnalysisError
        Fewer than 8 points.
    """
    if not smoothing > 0 or derivative not in (0, 1, 2) or per_decade < 3:
        raise UsageError(
            f"lambda {smoothing:g}, derivative {derivative}, {per_decade} per decade; a lambda above 0, the derivative "
            "0, 1 or 2 and at least 3 per decade are right"
        )
    f, z = checked(frequency, impedance)
    if len(f) < 8:
        raise AnalysisError(f"distribution of relaxation times of {len(f)} points; at least 8 are needed")
    omega = 2 * np.pi * f
    beyond = 10**_BEYOND
    decades = math.log10(omega.max() / omega.min()) + 2 * _BEYOND
    tau = np.geomspace(1 / omega.max() / beyond, beyond / omega.min(), math.ceil(decades * per_decade) + 1)
    step = math.log(tau[1] / tau[0])
    span = float(np.abs(z).max())
    extra = 1 + inductance
    weight = 1 / np.abs(z)
    kernel = np.empty((len(f), len(tau) + extra), dtype=np.complex128)
    kernel[:, :-extra] = span * step / (1 + 1j * omega[:, None] * tau)
    kernel[:, -extra] = span
    if inductance:
        kernel[:, -1] = span * 1j * omega / omega.max()
    kernel *= weight[:, None]
    goal = z * weight
    held = np.diff(np.eye(len(tau)), n=derivative, axis=0) / step**derivative
    held = np.hstack((math.sqrt(smoothing * step) * held, np.zeros((len(held), extra))))
    solution, _ = nnls(
        np.vstack((kernel.real, kernel.imag, held)), np.concatenate((goal.real, goal.imag, np.zeros(len(held))))
    )
    left = goal - kernel @ solution
    gamma = solution[: len(tau)] * span
    total = float(gamma.sum() * step)
    flags = []
    if total > 0 and float(gamma[tau > tau[-1] / beyond].sum() * step) > _OPEN * total:
        flags.append("the spectrum does not close at low frequency: the slowest peak stands for what was not measured")
    return Distribution(
        time_constant_s=tau,
        gamma_ohm=gamma,
        series_ohm=float(solution[len(tau)] * span),
        inductance_H=float(solution[-1] * span / omega.max()) if inductance else 0.0,
        polarisation_ohm=total,
        peaks=_peaks(tau, gamma, step),
        residual=float(np.sqrt(np.mean(np.abs(left) ** 2) / 2)),
        smoothing=smoothing,
        derivative=derivative,
        per_decade=per_decade,
        flags=tuple(flags),
    )


def _peaks(tau: Floats, gamma: Floats, step: float) -> tuple[Peak, ...]:
    """Cut at the minima between the maxima; each part's resistance and logarithmic mean."""
    padded = np.concatenate(([0.0], gamma, [0.0]))
    tops = np.flatnonzero((padded[1:-1] > padded[:-2]) & (padded[1:-1] >= padded[2:]))
    cuts = [0, *(int(a + np.argmin(gamma[a : b + 1])) for a, b in itertools.pairwise(tops)), len(tau)]
    found = []
    for first, last in itertools.pairwise(cuts):
        resistance = float(gamma[first:last].sum() * step)
        if resistance > _SMALLEST_PEAK * float(gamma.sum() * step):
            mean = math.exp(float(np.average(np.log(tau[first:last]), weights=gamma[first:last])))
            found.append(Peak(mean, 1 / (2 * math.pi * mean), resistance))
    return tuple(found)
