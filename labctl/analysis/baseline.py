"""A polynomial through the parts of a spectrum where only baseline is, and what its uncertainty does to an integral.

Noise of neighbouring points of a zero-filled, apodised spectrum is correlated. It is never treated as if it were not:
every deviation is that of a weighted sum over the decay, whose points are independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.recipe import Recipe, Window
from labctl.analysis.transform import Complex, Grid, Real, adjoint, axis_of, coverage, inside, norm
from labctl.errors import AnalysisError


class Mask(NamedTuple):
    """Where the baseline is fitted, and by what order of polynomial."""

    windows: tuple[Window, ...]
    order: int


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """The matrices of a masked polynomial on an axis.

    Attributes
    ----------
    base : ndarray of bool
        The points that are fitted.
    basis : ndarray
        Legendre polynomials at all points, held at their outermost values beyond the fitted parts.
    solve : ndarray
        Takes the values at the fitted points to the coefficients.
    """

    base: NDArray[np.bool_]
    basis: Real
    solve: Real


def mask_of(recipe: Recipe) -> Mask:
    """Say where a recipe's baseline is fitted."""
    return Mask(recipe.baseline, recipe.order)


def legendre(ppm: Real, order: int, span: Window) -> Real:
    """Give Legendre polynomials over ``span``, one column each."""
    low, high = span
    return np.asarray(np.polynomial.legendre.legvander((ppm - 0.5 * (low + high)) / (0.5 * (high - low)), order))


@lru_cache(maxsize=12)
def fit_of(grid: Grid, mask: Mask) -> Fit:
    """Prepare the fit.

    Raises
    ------
    AnalysisError
        If there are too few points for the order.
    """
    axis = axis_of(grid)
    base = inside(axis.ppm, mask.windows)
    span = min(low for low, _ in mask.windows), max(high for _, high in mask.windows)
    if np.count_nonzero(base) < 4 * (mask.order + 1):
        raise AnalysisError(f"{np.count_nonzero(base)} points of baseline are too few for a polynomial of order "
                            f"{mask.order}")  # fmt: skip
    # A polynomial runs away beyond the points it was fitted to; there it is held.
    basis = legendre(np.clip(axis.ppm, *span), mask.order, span)
    return Fit(base, basis, np.asarray(np.linalg.pinv(basis[base]), dtype=np.float64))


@dataclass(frozen=True, slots=True, eq=False)
class Functional:
    """An integral over a window as one weight per point of the decay.

    Attributes
    ----------
    weights : ndarray of complex
        Of the decay's points; the real part of their sum, turned by the phase, is the integral.
    norm : float
        Turns the deviation of one channel of one point of the decay into the integral's.
    baseline_norm : float
        The same for what the fitted baseline alone contributes.
    """

    weights: Complex
    norm: float
    baseline_norm: float


@lru_cache(maxsize=16)
def functional(grid: Grid, mask: Mask, window: Window) -> Functional:
    """Prepare the integral over ``window`` above the baseline, in units of the decay's amplitude at the pulse."""
    axis, fit = axis_of(grid), fit_of(grid, mask)
    direct = coverage(axis, window)
    below = np.zeros_like(direct)
    below[fit.base] = (direct @ fit.basis) @ fit.solve
    unit = 2.0 / axis.length
    weights = adjoint((direct - below) * unit, axis)
    weights.setflags(write=False)
    drawn = adjoint(below * unit, axis)
    return Functional(weights, norm(weights), norm(drawn))


def subtracted(values: Complex, fit: Fit) -> tuple[Complex, Complex]:
    """Give the values less their baseline, and the baseline."""
    drawn = np.asarray(fit.basis @ (fit.solve @ values[fit.base]), dtype=np.complex128)
    return values - drawn, drawn
