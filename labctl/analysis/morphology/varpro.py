"""Least squares for sums of lines: what is linear is solved for exactly, what is not is sought inside bounds.

Variable projection: for any shapes the best areas follow from a small linear problem, so that only shapes are sought.
G. Golub, V. Pereyra, Inverse Problems 19 (2003) R1; L. Kaufman, BIT 15 (1975) 49.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_Real = NDArray[np.float64]
#: From the free parameters to the columns (m, n) and their derivatives (m, p, n) by the p parameters of each.
Shapes = Callable[[_Real], tuple[_Real, _Real]]

_FIRST_DAMPING: Final = 1e-2
_LARGEST_DAMPING: Final = 1e10
#: A parameter that a column of no area does not feel still has to have a scale.
_LEAST_SCALE: Final = 1e-9
#: A step of this part of the bounds' span is none.
_SHORTEST: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Optimum:
    """Where a search ended.

    Attributes
    ----------
    parameters : ndarray, shape (m, p)
        Of the columns.
    areas : ndarray, shape (m,)
        None negative.
    cost : float
        Sum of squared residuals.
    iterations : int
        Evaluations of the shapes.
    converged : bool
        False where the search was cut off.
    """

    parameters: _Real
    areas: _Real
    cost: float
    iterations: int
    converged: bool


@dataclass(frozen=True, slots=True)
class _Projection:
    """The best areas for given columns, which of them are above 0, and the inverse of those columns' Gram matrix."""

    areas: _Real
    present: NDArray[np.bool_]
    inverse: _Real
    residual: _Real
    cost: float


def _projected(columns: _Real, data: _Real) -> _Projection:
    """Find the areas, none negative, with which ``columns`` (m, n) come closest to ``data`` (n,)."""
    gram, right = columns @ columns.T, columns @ data
    inverse = _inverse(gram)
    areas = inverse @ right
    present = areas > 0.0
    if not present.all():
        areas = _nonnegative(gram, right)
        present = areas > 0.0
        inverse = _inverse(gram[np.ix_(present, present)])
    residual = data - areas @ columns
    return _Projection(areas, present, inverse, residual, float(residual @ residual))


def _inverse(gram: _Real) -> _Real:
    try:
        return np.asarray(np.linalg.inv(gram), dtype=np.float64)
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.pinv(gram, hermitian=True), dtype=np.float64)


def _nonnegative(gram: _Real, right: _Real) -> _Real:
    from scipy.optimize import nnls

    # The same problem in as many rows as there are columns.
    values, vectors = np.linalg.eigh(gram)
    root = np.sqrt(np.maximum(values, 1e-14 * values[-1]))
    return np.asarray(nnls(root[:, None] * vectors.T, (vectors.T @ right) / root)[0], dtype=np.float64)


def minimise(
    shapes: Shapes, data: _Real, start: _Real, low: _Real, high: _Real, *, tolerance: float = 1e-9, most: int = 200
) -> Optimum:
    """Fit a sum of columns to data, from one start to the optimum that lies downhill of it.

    Parameters
    ----------
    shapes : callable
        Gives columns and derivatives for parameters (m, p).
    data : ndarray, shape (n,)
        What is fitted, each point with the same weight.
    start, low, high : ndarray, shape (m, p)
        Parameters to begin with and their bounds.
    tolerance : float
        The search ends where the next step promises to lower the cost by less than this part of it.
    most : int
        Evaluations after which it is cut off.

    Notes
    -----
    Levenberg-Marquardt steps in those parameters that are inside their bounds or pulled inwards, cut at the bounds;
    a step is taken only if it lowers the cost, so that the areas' bounds, where the cost has a kink, do no harm.
    """
    span = high - low
    place = np.clip((start - low) / span, 0.0, 1.0)
    damping, growth = _FIRST_DAMPING, 2.0
    columns, slopes = shapes(low + span * place)
    now = _projected(columns, data)
    iterations, converged, fresh = 1, False, True
    curve = pull = scale = np.empty(0)
    while iterations < most:
        if fresh:
            jacobian = _jacobian(columns, slopes * span[:, :, None], now)
            curve, pull = jacobian @ jacobian.T, jacobian @ now.residual
            scale = curve.diagonal()
            scale = np.maximum(scale, _LEAST_SCALE * max(float(scale.max()), 1e-300))
        flat = place.ravel()
        free = np.flatnonzero(~(((flat <= 0.0) & (pull < 0.0)) | ((flat >= 1.0) & (pull > 0.0))))
        matrix = curve[free[:, None], free]
        matrix.flat[:: len(free) + 1] += damping * scale[free]
        reached = flat.copy()
        reached[free] = np.clip(flat[free] + np.linalg.solve(matrix, pull[free]), 0.0, 1.0)
        moved = reached - flat
        promised = float(2.0 * moved @ pull - moved @ curve @ moved)
        if float(np.abs(moved).max()) < _SHORTEST or 0.0 <= promised < tolerance * now.cost:
            converged = True
            break
        tried = shapes(low + span * reached.reshape(place.shape))
        iterations += 1
        then = _projected(tried[0], data)
        fresh = then.cost < now.cost
        if fresh:
            gain = (now.cost - then.cost) / promised if promised > 0.0 else 0.0
            damping *= max(1.0 / 3.0, 1.0 - (2.0 * min(gain, 1.0) - 1.0) ** 3)
            growth = 2.0
            place, now, (columns, slopes) = reached.reshape(place.shape), then, tried
        else:
            damping, growth = damping * growth, 2.0 * growth
            if damping > _LARGEST_DAMPING:
                converged = True
                break
    return Optimum(low + span * place, now.areas, now.cost, iterations, converged)


def _jacobian(columns: _Real, slopes: _Real, now: _Projection) -> _Real:
    """Derivatives (m p, n) of the model with the areas following along, in Kaufman's approximation."""
    moved = (now.areas[:, None, None] * slopes).reshape(-1, columns.shape[1])
    present = columns[now.present]
    return np.asarray(moved - ((moved @ present.T) @ now.inverse) @ present, dtype=np.float64)
