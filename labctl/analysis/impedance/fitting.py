"""Fits an equivalent circuit to one spectrum by complex non-linear least squares, and says what the fit is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from labctl.analysis.impedance.arcs import Arc, arc_flags, arcs_of, bound_flags, ordered, structure_flags
from labctl.analysis.impedance.circuit import Circuit, parse
from labctl.analysis.impedance.levenberg import minimise
from labctl.analysis.impedance.spectrum import Complexes, Floats, checked
from labctl.analysis.impedance.starts import bounds, starting_values
from labctl.errors import AnalysisError, UsageError

#: The paper's: a resistance and two depressed arcs.
TWO_ARCS: Final = "R0-p(R1,CPE1)-p(R2,CPE2)"

Weights = Literal["modulus", "proportional", "unit"]

#: Proportional weights take no part of the impedance for smaller than this part of its magnitude.
_SMALLEST_PART: Final = 1e-3
#: Starts that are followed to their end.
_STARTS: Final = 6


@dataclass(frozen=True, slots=True)
class CircuitFit:
    """A fitted circuit.

    Attributes
    ----------
    circuit : str
        As given.
    parameters, sd : dict
        Value and standard deviation by name, such as ``R1`` in ohm, ``CPE1_Q`` in ohm^-1 s^alpha, ``CPE1_alpha``.
        Standard deviations are from the curvature and the residuals, the larger of two estimates: they hold if the
        circuit is right, also where the noise is not as the weights say.
    correlation : ndarray
        Between the parameters, in the order of ``parameters``.
    arcs : tuple of Arc
        By rising time constant; alike arcs of the circuit are ordered so that R1 is the fastest.
    frequency_Hz : ndarray
        Points that were fitted, falling.
    fitted_ohm : ndarray of complex
        The circuit's impedance there.
    residual_real, residual_imag : ndarray
        (measured - fitted) / abs(measured), fractions.
    chi_square : float
        Sum of the squared weighted residuals, over the degrees of freedom: with modulus weights the squared relative
        noise.
    left_out : int
        Points that the cut-off left out.
    above_Hz : float or None
        The cut-off.
    weights : str
        ``modulus``, ``proportional`` or ``unit``.
    flags : tuple of str
        What to know before relying on it, in words.
    """

    circuit: str
    parameters: dict[str, float]
    sd: dict[str, float]
    correlation: Floats
    arcs: tuple[Arc, ...]
    frequency_Hz: Floats
    fitted_ohm: Complexes
    residual_real: Floats
    residual_imag: Floats
    chi_square: float
    left_out: int
    above_Hz: float | None
    weights: str
    flags: tuple[str, ...] = ()

    @property
    def time_constants_s(self) -> tuple[float, ...]:
        """Time constants of the arcs, rising, s."""
        return tuple(arc.time_constant_s for arc in self.arcs)

    def impedance(self, frequency: ArrayLike) -> Complexes:
        """Impedance of the fitted circuit in ohm at other frequencies in Hz."""
        return parse(self.circuit).impedance(np.asarray(frequency, dtype=np.float64), list(self.parameters.values()))


def fit(
    frequency: ArrayLike,
    impedance: ArrayLike,
    circuit: str = TWO_ARCS,
    *,
    weights: Weights = "modulus",
    above_Hz: float | None = None,
    start: Mapping[str, float] | None = None,
    alpha_bounds: tuple[float, float] = (0.3, 1.0),
    starts: int = _STARTS,
) -> CircuitFit:
    """Fit a circuit to a spectrum; starting values are found.

    Parameters
    ----------
    frequency : array of float
        Hz, in any order.
    impedance : array of complex
        Ohm; capacitive is negative.
    circuit : str
        A minus joins in series, ``p(a,b)`` in parallel; R, C, L, CPE, W, Ws and Wo with a number each, as
        :mod:`labctl.analysis.impedance.elements` describes them.
    weights : str
        ``modulus``: residuals relative to abs(Z), for noise that grows with it. ``proportional``: real and imaginary
        part each relative to itself. ``unit``: in ohm, for noise that does not.
    above_Hz : float, optional
        Points at and below are left out, such as 1 Hz of the paper. All by default: what is to be trusted is for
        :func:`kramers_kronig` to say.
    start : mapping, optional
        All parameters of an earlier fit, from which alone the search then starts.
    alpha_bounds : tuple of float
        Bounds of the exponents of constant-phase elements.
    starts : int
        How many starts are followed to their end.

    Raises
    ------
    UsageError
        The circuit or a setting makes no sense.
    DataError
        The arrays are no spectrum.
    AnalysisError
        Fewer values than the circuit has parameters.
    """
    parsed = parse(circuit)
    f, z = checked(frequency, impedance)
    if weights not in ("modulus", "proportional", "unit"):
        raise UsageError(f"weights {weights!r} are unknown; modulus, proportional or unit is right")
    if not 0 < alpha_bounds[0] < alpha_bounds[1]:
        raise UsageError(f"exponents from {alpha_bounds[0]:g} to {alpha_bounds[1]:g} make no sense; 0.3 to 1 is usual")
    order = np.argsort(-f, kind="stable")
    if above_Hz is not None:
        order = order[f[order] > above_Hz]
    left_out = len(f) - len(order)
    f, z = f[order], z[order]
    names = parsed.parameters
    if 2 * len(f) <= len(names):
        raise AnalysisError(
            f"{len(f)} points{'' if above_Hz is None else f' above {above_Hz:g} Hz'} for the {len(names)} parameters "
            f"of {circuit}; at least {len(names) // 2 + 1} are needed"
        )
    omega = 2 * np.pi * f
    low, high = bounds(parsed, omega, np.abs(z), alpha_bounds)
    begin = starting_values(parsed, omega, z, starts) if start is None else _inner(parsed, start)[None, :]
    problem = _Problem(parsed, omega, z, weights)
    found, costs = minimise(problem, begin, low, high)
    best = int(np.argmin(costs))
    x = ordered(parsed, found[best])
    return _described(problem, x, (low, high), left_out, above_Hz)


class _Problem:
    """Weighted residuals of a circuit and their derivatives."""

    def __init__(self, circuit: Circuit, omega: Floats, impedance: Complexes, weights: str) -> None:
        self.circuit, self.omega, self.impedance, self.weights = circuit, omega, impedance, weights
        size = np.abs(impedance)
        if weights == "modulus":
            both = [1 / size, 1 / size]
        elif weights == "proportional":
            both = [1 / np.maximum(np.abs(part), _SMALLEST_PART * size) for part in (impedance.real, impedance.imag)]
        else:
            both = [np.ones_like(size), np.ones_like(size)]
        self._weight = np.concatenate(both)

    def __call__(self, x: Floats, places: np.ndarray[tuple[int], np.dtype[np.intp]]) -> tuple[Floats, Floats]:
        value, derivative = self.circuit.evaluate(self.omega, x)
        left = value - self.impedance
        residual = np.concatenate((left.real, left.imag), axis=1) * self._weight
        jacobian = np.concatenate((derivative.real, derivative.imag), axis=1) * self._weight[:, None]
        return residual, jacobian


def _inner(circuit: Circuit, values: Mapping[str, float]) -> Floats:
    missing = [name for name in circuit.parameters if name not in values]
    if missing:
        raise UsageError(f"start of {circuit.text} lacks {', '.join(missing)}; all its parameters are needed")
    given = np.array([float(values[name]) for name in circuit.parameters])
    if not np.isfinite(given).all() or (given <= 0).any():
        raise UsageError(f"start of {circuit.text}: values must be positive numbers")
    return np.where(circuit.exponents, given, np.log(given))


def _described(
    problem: _Problem, x: Floats, limits: tuple[Floats, Floats], left_out: int, above_Hz: float | None
) -> CircuitFit:
    circuit, z = problem.circuit, problem.impedance
    names, exponents = circuit.parameters, circuit.exponents
    residual, jacobian = (one[0] for one in problem(x[None, :], np.zeros(1, dtype=np.intp)))
    chi_square = float(residual @ residual) / (len(residual) - len(x))
    covariance = _covariance(jacobian, residual)
    deviations = np.sqrt(np.diag(covariance))
    safe = np.where(deviations > 0, deviations, 1.0)
    correlation = covariance / safe[:, None] / safe
    values = np.where(exponents, x, np.exp(np.where(exponents, 0.0, x)))
    sds = np.where(exponents, deviations, values * deviations)
    found, relative = arcs_of(circuit, x, covariance)
    fitted = circuit.evaluate(problem.omega, x[None, :])[0][0]
    left = (z - fitted) / np.abs(z)
    flags = [
        *bound_flags(names, x, limits),
        *arc_flags(circuit, found, relative, correlation, problem.omega),
        *structure_flags(left),
    ]
    if left_out:
        flags.append(f"{left_out} points at and below {above_Hz:g} Hz left out")
    return CircuitFit(
        circuit=circuit.text,
        parameters={name: float(value) for name, value in zip(names, values, strict=True)},
        sd={name: float(value) for name, value in zip(names, sds, strict=True)},
        correlation=correlation,
        arcs=found,
        frequency_Hz=problem.omega / (2 * np.pi),
        fitted_ohm=fitted,
        residual_real=left.real,
        residual_imag=left.imag,
        chi_square=chi_square,
        left_out=left_out,
        above_Hz=above_Hz,
        weights=problem.weights,
        flags=tuple(flags),
    )


def _covariance(jacobian: Floats, residual: Floats) -> Floats:
    """Covariance of the parameters, with the larger standard deviation of two estimates.

    The curvature with the mean square of the residuals is sharp where the weights are right; the residuals of each
    point by themselves hold whatever the noise, with some scatter (MacKinnon and White, J. Econometrics 29 (1985) 305,
    HC3). What the data do not determine gets a huge variance, not none.
    """
    size = np.linalg.norm(jacobian, axis=0)
    size = np.where(size > 0, size, 1.0)
    left, singular, directions = np.linalg.svd(jacobian / size, full_matrices=False)
    spread = directions.T / np.maximum(singular, max(float(singular.max()), 1.0) * 1e-12) / size[:, None]
    leverage = np.minimum(np.einsum("mp,mp->m", left, left), 1 - 1e-6)
    scaled = left * (residual / (1 - leverage))[:, None]
    robust = spread @ (scaled.T @ scaled) @ spread.T
    mean_square = float(residual @ residual) / (len(residual) - jacobian.shape[1])
    plain = np.sqrt(np.diag(spread @ spread.T) * mean_square)
    own = np.sqrt(np.diag(robust))
    factor = np.maximum(1.0, plain / np.where(own > 0, own, np.inf))
    return np.asarray(robust * factor[:, None] * factor)
