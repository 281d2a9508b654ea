"""Three lines under one spectrum: where the search begins, when it may end, and how sure its end is.

Knows lines, bounds and noise; not what the lines stand for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.morphology import varpro, voigt
from labctl.analysis.morphology.varpro import Optimum

_Real = NDArray[np.float64]

#: A line whose removal raises χ² by less than this can be noise, and noise has many optima: its place is sought anew.
_DOUBTFUL: Final = 30.0
_ROUNDS: Final = 4
_NEW_CENTRES: Final = (np.arange(6) + 0.5) / 6
_NEW_WIDTHS: Final = (0.0, 0.2, 0.5, 1.0)
_NEW_SHARES: Final = (0.0, 0.7)
_BETTER: Final = 1e-7
_AT_BOUND: Final = 1e-9
#: Where every search begins, as parts of the bounds: the middle of the window, half the cap, mostly Gaussian.
_START: Final = (0.5, 0.5, 0.3)


@dataclass(frozen=True, slots=True)
class Problem:
    """Data and bounds.

    Attributes
    ----------
    ppm, data : ndarray, shape (n,)
        Ascending shifts, and what was measured there.
    low, high : ndarray, shape (m, 3)
        Bounds of centre (ppm), full width at half height (ppm) and Lorentzian share of each line.
    baseline_order : int
        Of the polynomial that is fitted along; -1 for none.
    kernel : tuple of (offset, weight)
        Of the copies that the spectrum's apodisation makes of each line, ppm.
    """

    ppm: _Real
    data: _Real
    low: _Real
    high: _Real
    baseline_order: int = -1
    kernel: voigt.Kernel = ((0.0, 1.0),)

    def lines(self, parameters: _Real) -> _Real:
        """Give lines of unit area (m, n) with parameters (m, 3)."""
        centre, width, share = parameters.T
        return voigt.smeared(self.ppm, centre, width, share, self.kernel)

    def dispersion(self, parameters: _Real) -> _Real:
        """Give the same lines (m, n) with a phase that is off by a right angle."""
        centre, width, share = parameters.T
        return voigt.dispersion(self.ppm, centre, width, share, self.kernel)

    def lines_and_slopes(self, parameters: _Real) -> tuple[_Real, _Real]:
        """Give lines (m, n) and their derivatives (m, 3, n)."""
        centre, width, share = parameters.T
        return voigt.smeared_and_slopes(self.ppm, centre, width, share, self.kernel)

    def baseline(self) -> _Real:
        """Give an orthonormal basis (n, k) of the baseline."""
        if self.baseline_order < 0:
            return np.empty((len(self.ppm), 0))
        scaled = (self.ppm - self.ppm.mean()) / (self.ppm[-1] - self.ppm[0])
        return np.asarray(np.linalg.qr(np.vander(scaled, self.baseline_order + 1))[0], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Certainty:
    """How sure an optimum is.

    Attributes
    ----------
    covariance : ndarray, shape (4 m, 4 m)
        Of the areas, then of centre, width and share of each line.
    jacobian : ndarray, shape (4 m, n)
        Derivatives of the lines by the same parameters.
    noise_sd : float
        Standard deviation of one point.
    chi_square : float
        Reduced: mean squared residual over the noise's, corrected for what the fit has taken up.
    chi_square_sd : float
        What noise alone lets it scatter by.
    residual_integral_sd : float
        Standard deviation of the residual's integral over the data.
    """

    covariance: _Real
    jacobian: _Real
    noise_sd: float
    chi_square: float
    chi_square_sd: float
    residual_integral_sd: float


def solve(problem: Problem, start: _Real | None = None) -> Optimum:
    """Find the lines with the least sum of squared residuals.

    Parameters
    ----------
    start : ndarray, shape (m, 3), optional
        Where to begin instead of the middle of the bounds.

    Notes
    -----
    Where all lines are well above the noise there is one optimum, found from anywhere. A line that is not there makes
    many, one for each bump of the noise: such a line is put wherever a grid finds most for it, until nothing improves.
    """
    basis = problem.baseline()
    data = problem.data - basis @ (basis.T @ problem.data)

    def shapes(parameters: _Real) -> tuple[_Real, _Real]:
        values, slopes = problem.lines_and_slopes(parameters)
        if basis.shape[1]:
            return values - (values @ basis) @ basis.T, slopes - (slopes @ basis) @ basis.T
        return values, slopes

    first = problem.low + (problem.high - problem.low) * np.array(_START) if start is None else start
    best = varpro.minimise(shapes, data, first, problem.low, problem.high)
    evaluations = best.iterations
    for _ in range(_ROUNDS):
        before = best.cost
        for line in _doubtful(problem, basis, best):
            for anew in _elsewhere(problem, basis, data, best, line):
                found = varpro.minimise(shapes, data, anew, problem.low, problem.high)
                evaluations += found.iterations
                if found.cost < best.cost * (1.0 - _BETTER):
                    best = found
        if best.cost == before:
            break
    return replace(best, iterations=evaluations)


def _doubtful(problem: Problem, basis: _Real, best: Optimum) -> list[int]:
    """Name the lines whose removal would hardly be seen."""
    columns = problem.lines(best.parameters)
    columns = columns - (columns @ basis) @ basis.T
    freedom = max(len(problem.data) - 4 * len(columns), 1)
    # What the cost rises by when one of several columns goes.
    rise = best.areas**2 / np.maximum(np.diag(np.linalg.pinv(columns @ columns.T, hermitian=True)), 1e-300)
    return [line for line in range(len(columns)) if rise[line] < _DOUBTFUL * best.cost / freedom]


def _elsewhere(problem: Problem, basis: _Real, data: _Real, best: Optimum, line: int) -> list[_Real]:
    """Give starts with one line moved to where it takes up most of what the others leave."""
    others = [other for other in range(len(best.areas)) if other != line and best.areas[other] > 0.0]
    kept = problem.lines(best.parameters[others]).T if others else np.empty((len(data), 0))
    span = np.linalg.qr(np.hstack([basis, kept]))[0]
    rest = data - span @ (span.T @ data)
    grid = np.array([(c, w, s) for w in _NEW_WIDTHS for c in _NEW_CENTRES for s in _NEW_SHARES])
    tried = problem.low[line] + (problem.high[line] - problem.low[line]) * grid
    columns = problem.lines(tried)
    columns = columns - (columns @ span) @ span.T
    taken = np.maximum(columns @ rest, 0.0) ** 2 / np.maximum(np.sum(columns**2, axis=1), 1e-300)
    starts = []
    for part in np.arange(len(grid)).reshape(len(_NEW_WIDTHS), -1):
        most = part[int(np.argmax(taken[part]))]
        if taken[most] > 0.0:
            start = best.parameters.copy()
            start[line] = tried[most]
            starts.append(start)
    return starts


def certainty(problem: Problem, best: Optimum, noise_sd: float | None, correlation: _Real) -> Certainty:
    """Say how sure an optimum is.

    Parameters
    ----------
    noise_sd : float, optional
        Of one point; without it the residuals tell it.
    correlation : ndarray
        Autocorrelation of the noise at 0, 1, 2 ... points; ``[1.0]`` for white noise.

    Notes
    -----
    The covariance of unweighted least squares under stationary noise, (JJᵀ+P)⁻¹ (J C Jᵀ + P) (JJᵀ+P)⁻¹ in units of the
    noise. P is what the bounds tell: that the truth is anywhere between them with the same probability, so that, seen
    from the place where the optimum stands, it has the mean square distance span² (1/12 + (place − 1/2)²). It keeps
    parameters that the data don't tell from having no or an endless standard deviation, and does not count where they
    do. Where χ² exceeds 1, the covariance grows with it.
    """
    values, slopes = problem.lines_and_slopes(best.parameters)
    plain = np.vstack([values, (best.areas[:, None, None] * slopes).reshape(-1, values.shape[1])])
    basis = problem.baseline()
    jacobian = plain - (plain @ basis) @ basis.T
    residual = _residual(problem, basis, values, best)
    span = problem.high - problem.low
    place = (best.parameters - problem.low) / span
    # Only what can move both ways takes up noise.
    there = best.areas > 0.0
    inside = (np.abs(place - 0.5) < 0.5 - _AT_BOUND) & there[:, None]
    moving = jacobian[np.append(there, inside.ravel())]
    moving = moving / np.linalg.norm(moving, axis=1)[:, None]
    unmoved = np.linalg.pinv(moving @ moving.T, hermitian=True)
    taken = len(moving) if len(correlation) < 2 else float(np.sum(unmoved * _grams(moving, correlation)[1]))
    freedom = max(len(problem.data) - taken - basis.shape[1], 1.0)
    found = float(residual @ residual) / freedom
    variance = found if noise_sd is None else noise_sd**2
    if variance <= 0.0:  # a made spectrum without noise that the lines describe to the last digit
        variance = np.finfo(float).tiny ** 0.5
    chi_square = found / variance
    counted = variance * max(1.0, chi_square)
    gram, meat = _grams(jacobian, correlation)
    prior = np.zeros(len(gram))
    prior[len(values) :] = (1.0 / (span**2 * (1.0 / 12.0 + (place - 0.5) ** 2))).ravel()
    inverse = np.linalg.inv(gram / counted + np.diag(prior))
    covariance = inverse @ (meat / counted + np.diag(prior)) @ inverse
    weights = integral_weights(problem.ppm)
    outside = weights - basis @ (basis.T @ weights)
    outside = outside - moving.T @ (unmoved @ (moving @ outside))
    spread = float(_grams(outside[None, :], correlation)[1][0, 0])
    squares = 1.0 + 2.0 * float(np.sum(correlation[1:] ** 2))
    return Certainty(
        covariance=np.asarray(covariance, dtype=np.float64),
        jacobian=plain,
        noise_sd=float(np.sqrt(variance)),
        chi_square=chi_square,
        chi_square_sd=float(np.sqrt(2.0 * squares / freedom)),
        residual_integral_sd=float(np.sqrt(max(spread, 0.0) * counted)),
    )


def integral_weights(ppm: _Real) -> _Real:
    """Give what each point counts in an integral over ``ppm`` by the trapezoidal rule."""
    steps = np.diff(ppm)
    return np.asarray(0.5 * (np.append(steps, 0.0) + np.insert(steps, 0, 0.0)), dtype=np.float64)


def baseline_under(problem: Problem, best: Optimum) -> _Real:
    """Give the fitted baseline at the points of the data."""
    basis = problem.baseline()
    model = best.areas @ problem.lines(best.parameters)
    return np.asarray(basis @ (basis.T @ (problem.data - model)), dtype=np.float64)


def correlation_of(residual: _Real) -> _Real:
    """Estimate the autocorrelation of residuals up to where it first vanishes; ``[1.0]`` where they look white."""
    count = len(residual)
    padded = np.abs(np.fft.rfft(residual, 2 * count)) ** 2
    found = np.fft.irfft(padded)[: count // 4]
    if found[0] <= 0.0 or found[1] < 4.0 / np.sqrt(count) * found[0]:
        return np.ones(1)
    found = found / found[0]
    negative = np.flatnonzero(found <= 0.0)
    return np.asarray(found[: negative[0] if negative.size else len(found)], dtype=np.float64)


def _residual(problem: Problem, basis: _Real, values: _Real, best: Optimum) -> _Real:
    rest = problem.data - best.areas @ values
    return np.asarray(rest - basis @ (basis.T @ rest), dtype=np.float64)


def _grams(rows: _Real, correlation: _Real) -> tuple[_Real, _Real]:
    """Give ``rows rowsᵀ`` and ``rows C rowsᵀ`` for noise of the given autocorrelation."""
    gram = rows @ rows.T
    if len(correlation) < 2:
        return gram, gram
    kernel = np.concatenate([correlation[:0:-1], correlation])
    spread = np.array([np.convolve(row, kernel)[len(correlation) - 1 :][: rows.shape[1]] for row in rows])
    meat = spread @ rows.T
    return gram, np.asarray(0.5 * (meat + meat.T), dtype=np.float64)
