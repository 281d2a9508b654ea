"""Bounded non-linear least squares of many starts, or many spectra, in one go (Levenberg 1944, Marquardt 1963)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from labctl.analysis.impedance.spectrum import Floats

#: Damping: at the start, and what a good and a bad step make of it (Marquardt, SIAM J. Appl. Math. 11 (1963) 431).
_DAMPING: Final = 1e-2
_GOOD: Final = 0.2
_BAD: Final = 4.0
_MOST_DAMPING: Final = 1e8
#: Keeps equations solvable in which two parameters do the same.
_LEAST_DAMPING: Final = 1e-12
#: No step is longer, in logarithms.
_LONGEST: Final = 3.0

#: Residuals (sets, M) and their derivatives (sets, M, P) of the given sets, whose places among all are in the second.
Model = Callable[[Floats, "np.ndarray[tuple[int], np.dtype[np.intp]]"], tuple[Floats, Floats]]


def minimise(
    model: Model, start: Floats, low: Floats, high: Floats, *, most: int = 80, relative: float = 1e-9
) -> tuple[Floats, Floats]:
    """Find the least sum of squares from each start.

    Parameters
    ----------
    model : callable
        Residuals and derivatives.
    start : ndarray
        Sets by parameters.
    low, high : ndarray
        Bounds of each parameter.
    most : int
        Most steps.
    relative : float
        A set is done when a step lowers its sum by less than this part.

    Returns
    -------
    tuple of ndarray
        Parameters of each set, and the sums of squares.
    """
    x = np.clip(start, low, high)
    count, parameters = x.shape
    residual, jacobian = model(x, np.arange(count))
    cost = np.einsum("bm,bm->b", residual, residual)
    damping = np.full(count, _DAMPING)
    normal = np.matmul(jacobian.transpose(0, 2, 1), jacobian)
    gradient = np.einsum("bmp,bm->bp", jacobian, residual)
    active = np.flatnonzero(np.isfinite(cost))
    eye = np.eye(parameters)
    calm = np.zeros(count, dtype=int)
    for _ in range(most):
        if not len(active):
            break
        g, a, here = gradient[active], normal[active], x[active]
        free = ~(((here <= low) & (g > 0)) | ((here >= high) & (g < 0)))
        both = free[:, :, None] & free[:, None, :]
        size = np.sqrt(np.einsum("bpp->bp", a))
        size = np.where(free & (size > 0), size, 1.0)
        # Scaled to a diagonal of ones: parameters of any size weigh alike.
        system = np.where(both, a / (size[:, :, None] * size[:, None, :]), 0.0)
        system += eye * (np.where(free, 0.0, 1.0) + damping[active, None])[:, None, :]
        step = -np.linalg.solve(system, np.where(free, g / size, 0.0)[:, :, None])[:, :, 0] / size
        trial = np.clip(here + np.clip(step, -_LONGEST, _LONGEST), low, high)
        with np.errstate(over="ignore", invalid="ignore"):
            new_residual, new_jacobian = model(trial, active)
            new_cost = np.einsum("bm,bm->b", new_residual, new_residual)
        better = np.isfinite(new_cost) & (new_cost <= cost[active])
        gain = np.where(better, cost[active] - np.where(better, new_cost, 0.0), 0.0)
        won = active[better]
        # Two small gains in a row: one alone may be a step that the damping has shortened.
        small = better & (gain <= relative * cost[active])
        calm[active] = np.where(small, calm[active] + 1, np.where(better, 0, calm[active]))
        x[won], cost[won] = trial[better], new_cost[better]
        j, r = new_jacobian[better], new_residual[better]
        normal[won] = np.matmul(j.transpose(0, 2, 1), j)
        gradient[won] = np.einsum("bmp,bm->bp", j, r)
        damping[active] = np.where(better, np.maximum(damping[active] * _GOOD, _LEAST_DAMPING), damping[active] * _BAD)
        active = active[(calm[active] < 2) & (damping[active] < _MOST_DAMPING) & (cost[active] > 0)]
    return x, cost
