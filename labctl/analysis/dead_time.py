"""Put back what a decay lost between the pulse and its first point, from damped waves fitted to what follows.

Off unless a recipe asks for it. A phase linear in frequency turns the lines right without it; what stays is a broad
roll of the baseline, and the loss of what decays within the dead time. Waves extrapolate the first microseconds of
lines that last for much longer. They cannot know a line that was gone before the first point.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labctl.errors import AnalysisError

_Complex = NDArray[np.complex128]

#: Waves, and points of the thinned-out decay, that are fitted.
WAVES: Final = 12
_POINTS: Final = 240
#: Points after a digital filter's delay in which it still settles.
_SETTLE: Final = 8
#: A wave may not grow by more than this factor towards the pulse: noise fits as sharp spikes otherwise.
_GROWTH: Final = 3.0


def extrapolated(
    fid: _Complex, width_Hz: float, start_s: float, delay_points: float, reach_Hz: float, *, waves: int = WAVES
) -> tuple[_Complex, float]:
    """Give the decay from the pulse on, and when its new first point lies.

    Parameters
    ----------
    fid : ndarray of complex
        As acquired.
    width_Hz : float
        Points per second.
    start_s : float
        When the first point was taken, s after the pulse.
    delay_points : float
        Of the digital filter.
    reach_Hz : float
        Furthest line from the carrier: what is fitted is thinned out to about three times that.
    waves : int
        At most so many.

    Raises
    ------
    AnalysisError
        If the decay is too short for the fit.

    Notes
    -----
    Poles by the singular values of a Hankel matrix (H. Barkhuijsen, R. de Beer, D. van Ormondt, J. Magn. Reson. 73
    (1987) 553), amplitudes by least squares.
    """
    good = 0 if delay_points == 0 else math.ceil(delay_points) + _SETTLE
    thin = max(1, int(width_Hz / (3.0 * 2.0 * reach_Hz)))
    rows = min((len(fid) - good) // thin, _POINTS)
    if rows < 4 * waves:
        raise AnalysisError(f"a decay of {len(fid)} points is too short to be extrapolated with {waves} waves")
    coarse = fid[good : good + rows * thin].reshape(rows, thin).mean(axis=1)
    half = rows // 2
    hankel = np.lib.stride_tricks.sliding_window_view(coarse, rows - half + 1)[:half]
    left, strength, _ = np.linalg.svd(hankel, full_matrices=False)
    kept = min(waves, int(np.count_nonzero(strength > 1e-10 * strength[0])))
    signal = left[:, :kept]
    poles = np.linalg.eigvals(np.linalg.pinv(signal[:-1]) @ signal[1:])
    first = start_s + good / width_Hz
    exponent = np.log(poles) / (thin / width_Hz)
    fastest = math.log(_GROWTH) / max(first, 1.0 / width_Hz)
    exponent = np.clip(exponent.real, -fastest, 0.0) + 1j * exponent.imag
    # Mean of each wave over one coarse point, from the fine points that it is the mean of.
    within = np.exp(np.outer(np.arange(thin) / width_Hz, exponent)).mean(axis=0)
    time = np.arange(rows) * (thin / width_Hz)
    amplitude, *_ = np.linalg.lstsq(np.exp(np.outer(time, exponent)) * within, coarse, rcond=1e-8)
    # All points of the same grid from the pulse to the first good one; what lies before the pulse is dropped.
    lost = math.floor(first * width_Hz + 1e-9)
    back = -np.arange(lost, 0, -1) / width_Hz
    filled = np.exp(np.outer(back, exponent)) @ amplitude
    return np.concatenate([filled, fid[good:]]), max(0.0, first - lost / width_Hz)
