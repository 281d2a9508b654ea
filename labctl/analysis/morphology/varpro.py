"""Least squares for sums of lines: what is linear is solved for exactly, what is not is sought inside bounds.

Variable projection: for any shapes the best areas follow from a small linear problem, so that only shapes are sought.
Its author's note on the Jacobian: G. Golub, V. Pereyra, Inverse Problems 19 (2003) R1; L. Kaufman, BIT 15 (1975) 49.
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

_FIRST_DAMPING: Final = 1e-3
_LARGEST_DAMPING: Final = 1e10
#: A parameter that a column of no area does not feel still has to have a scale.
_LEAST_SCALE: Final = 1e-9


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


def nonnegative(columns: _Real, data: _Real) -> _Real:
    """Find the areas, none negative, with which ``columns`` (m, n) come closest to ``data`` (n,)."""
    gram = columns @ columns.T
    right = columns @ data
    return _nonnegative(gram, right)


def _nonnegative(gram: _Real, right: _Real) -> _Real:
    from scipy.optimize import nnls

    try:
        areas = np.linalg.solve(gram, right)
    except np.linalg.LinAlgError:
        areas = np.full(len(right), -1.0)
    if np.all(areas >= 0.0):
        return np.asarray(areas, dtype=np.float64)
    # The same problem in as many rows as there are columns.
    values, vectors = np.linalg.eigh(gram)
    root = np.sqrt(np.maximum(values, 1e-14 * values[-1]))
    return np.asarray(nnls(root[:, None] * vectors.T, (vectors.T @ right) / root)[0], dtype=np.float64)


def minimise(
    shapes: Shapes, data: _Real, start: _Real, low: _Real, high: _Real, *, tolerance: float = 1e-10, most: int = 200
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
    areas, residual = _areas(columns, data)
    cost = float(residual @ residual)
    iterations, converged, fresh = 1, False, True
    curve = pull = np.empty(0)
    while iterations < most:
        if fresh:
            jacobian = _jacobian(columns, slopes * span[:, :, None], areas)
            curve, pull = jacobian @ jacobian.T, jacobian @ residual
        flat = place.ravel()
        free = ~(((flat <= 0.0) & (pull < 0.0)) | ((flat >= 1.0) & (pull > 0.0)))
        scale = np.diag(curve)
        matrix = curve + np.diag(damping * np.maximum(scale, _LEAST_SCALE * max(float(scale.max()), 1e-300)))
        step = np.zeros_like(flat)
        step[free] = np.linalg.solve(matrix[np.ix_(free, free)], pull[free])
        reached = np.clip(flat + step, 0.0, 1.0)
        moved = reached - flat
        promised = float(2.0 * moved @ pull - moved @ curve @ moved)
        if float(np.abs(moved).max()) < 1e-9 or 0.0 <= promised < tolerance * cost:
            converged = True
            break
        tried = shapes(low + span * reached.reshape(place.shape))
        iterations += 1
        new_areas, new_residual = _areas(tried[0], data)
        new_cost = float(new_residual @ new_residual)
        fresh = new_cost < cost
        if fresh:
            gain = (cost - new_cost) / promised if promised > 0 else 0.0
            damping *= max(1.0 / 3.0, 1.0 - (2.0 * min(gain, 1.0) - 1.0) ** 3)
            growth = 2.0
            place, cost = reached.reshape(place.shape), new_cost
            (columns, slopes), areas, residual = tried, new_areas, new_residual
        else:
            damping, growth = damping * growth, 2.0 * growth
            if damping > _LARGEST_DAMPING:
                converged = True
                break
    return Optimum(low + span * place, areas, cost, iterations, converged)


def _areas(columns: _Real, data: _Real) -> tuple[_Real, _Real]:
    areas = nonnegative(columns, data)
    return areas, data - areas @ columns


def _jacobian(columns: _Real, slopes: _Real, areas: _Real) -> _Real:
    """Derivatives (m p, n) of the model with the areas following along, in Kaufman's approximation."""
    moved = (areas[:, None, None] * slopes).reshape(-1, columns.shape[1])
    present = columns[areas > 0.0]
    if not len(present):
        return np.asarray(moved, dtype=np.float64)
    return np.asarray(moved - np.linalg.solve(present @ present.T, present @ moved.T).T @ present, dtype=np.float64)
