"""Fits an equivalent circuit to one spectrum by complex non-linear least squares, and says what the fit is worth."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from labctl.analysis.impedance.circuit import Circuit, Element, Node, Parallel, parse
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
#: A value this close to its bound, as logarithm or exponent, is at it.
_AT_BOUND: Final = 1e-6
#: An arc whose resistance or time constant is known worse than this is not resolved; nor are two closer than this.
_UNSURE: Final = 0.5
_CLOSE: Final = 3.0
_CORRELATED: Final = 0.95
#: Correlation of neighbouring residuals beyond which they hang together, and their size that matters at all.
_STRUCTURE: Final = 0.5
_NO_RESIDUAL: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Arc:
    """A resistor with a capacitor or constant-phase element beside it.

    Attributes
    ----------
    resistor : str
        Name of its resistance.
    resistance_ohm, resistance_sd_ohm : float
        Its value.
    time_constant_s, time_constant_sd_s : float
        (R Q)^(1/alpha); R C for a capacitor.
    peak_Hz : float
        1/(2 pi time constant): where its imaginary part is largest.
    capacitance_F : float
        time constant / R, the capacitance of the same peak frequency (Hsu and Mansfeld, Corrosion 57 (2001) 747).
    """

    resistor: str
    resistance_ohm: float
    resistance_sd_ohm: float
    time_constant_s: float
    time_constant_sd_s: float
    peak_Hz: float
    capacitance_F: float


@dataclass(frozen=True, slots=True)
class CircuitFit:
    """A fitted circuit.

    Attributes
    ----------
    circuit : str
        As given.
    parameters, sd : dict
        Value and standard deviation by name, such as ``R1`` in ohm, ``CPE1_Q`` in ohm^-1 s^alpha, ``CPE1_alpha``.
        Standard deviations are from the curvature and the size of the residuals: they hold if the circuit is right
        and the noise is as the weights say.
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
        As :mod:`labctl.analysis.impedance.circuit` describes.
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
    x = _ordered(parsed, found[best])
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
    covariance = _covariance(jacobian) * chi_square
    deviations = np.sqrt(np.diag(covariance))
    safe = np.where(deviations > 0, deviations, 1.0)
    correlation = covariance / safe[:, None] / safe
    values = np.where(exponents, x, np.exp(np.where(exponents, 0.0, x)))
    sds = np.where(exponents, deviations, values * deviations)
    arcs, relative = _arcs(circuit, x, covariance)
    fitted = circuit.evaluate(problem.omega, x[None, :])[0][0]
    left = (z - fitted) / np.abs(z)
    flags = [
        *_bound_flags(names, x, limits),
        *_arc_flags(circuit, arcs, relative, correlation, problem.omega),
        *_structure_flags(left),
    ]
    if left_out:
        flags.append(f"{left_out} points at and below {above_Hz:g} Hz left out")
    return CircuitFit(
        circuit=circuit.text,
        parameters={name: float(value) for name, value in zip(names, values, strict=True)},
        sd={name: float(value) for name, value in zip(names, sds, strict=True)},
        correlation=correlation,
        arcs=arcs,
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


def _covariance(jacobian: Floats) -> Floats:
    """Inverse of J'J; what the data do not determine gets a huge variance, not none."""
    size = np.linalg.norm(jacobian, axis=0)
    size = np.where(size > 0, size, 1.0)
    _, singular, directions = np.linalg.svd(jacobian / size, full_matrices=False)
    floor = max(float(singular.max()), 1.0) * 1e-12
    spread = directions.T / np.maximum(singular, floor)
    return np.asarray(spread @ spread.T / size[:, None] / size)


def _parts_of_arc(block: Node) -> tuple[Element, Element] | None:
    """First resistor and first capacitor or constant-phase element of a parallel block."""
    if not isinstance(block, Parallel):
        return None
    inside: list[Element] = []
    waiting: list[Node] = list(block.parts)
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, Element):
            inside.append(one)
        else:
            waiting = [*one.parts, *waiting]
    resistor = next((one for one in inside if one.kind == "R"), None)
    storage = next((one for one in inside if one.kind in ("CPE", "C")), None)
    return None if resistor is None or storage is None else (resistor, storage)


def _log_tau(parts: tuple[Element, Element], x: Floats) -> tuple[float, Floats]:
    """Logarithm of the time constant (R Q)^(1/alpha), and its derivatives by all parameters."""
    resistor, storage = parts
    alpha = x[storage.first + 1] if storage.kind == "CPE" else 1.0
    value = float(x[resistor.first] + x[storage.first]) / alpha
    slope = np.zeros(len(x))
    slope[resistor.first] = slope[storage.first] = 1 / alpha
    if storage.kind == "CPE":
        slope[storage.first + 1] = -value / alpha
    return value, slope


def _ordered(circuit: Circuit, x: Floats) -> Floats:
    """Exchange alike arcs so that their time constants rise along the circuit."""
    groups: dict[str, list[tuple[Element, Element]]] = {}
    widths: dict[str, list[tuple[int, int]]] = {}
    for block in circuit.blocks:
        parts = _parts_of_arc(block)
        if parts is not None:
            places = _places(block)
            shape = ",".join(one.kind for one in circuit.elements if places[0] <= one.first < places[1])
            groups.setdefault(shape, []).append(parts)
            widths.setdefault(shape, []).append(places)
    result = x.copy()
    for shape, members in groups.items():
        rank = np.argsort([_log_tau(parts, x)[0] for parts in members], kind="stable")
        for target, source in enumerate(rank):
            result[slice(*widths[shape][target])] = x[slice(*widths[shape][int(source)])]
    return result


def _places(node: Node) -> tuple[int, int]:
    """First and one behind the last parameter of a block."""
    if isinstance(node, Element):
        return node.first, node.first + len(node.parameters)
    ends = [_places(part) for part in node.parts]
    return ends[0][0], ends[-1][1]


def _arcs(circuit: Circuit, x: Floats, covariance: Floats) -> tuple[tuple[Arc, ...], dict[str, float]]:
    """Arcs by rising time constant, and the larger relative uncertainty of R and tau by resistor."""
    found, relative = [], {}
    for block in circuit.blocks:
        parts = _parts_of_arc(block)
        if parts is None:
            continue
        logarithm, slope = _log_tau(parts, x)
        place = parts[0].first
        spread = math.sqrt(max(float(slope @ covariance @ slope), 0.0))
        own = math.sqrt(float(covariance[place, place]))
        tau, resistance = math.exp(min(logarithm, 700.0)), math.exp(float(x[place]))
        found.append(
            Arc(
                resistor=parts[0].name,
                resistance_ohm=resistance,
                resistance_sd_ohm=resistance * own,
                time_constant_s=tau,
                time_constant_sd_s=tau * spread,
                peak_Hz=1 / (2 * math.pi * tau),
                capacitance_F=tau / resistance,
            )
        )
        relative[parts[0].name] = max(spread, own)
    return tuple(sorted(found, key=lambda arc: arc.time_constant_s)), relative


def _bound_flags(names: tuple[str, ...], x: Floats, limits: tuple[Floats, Floats]) -> list[str]:
    found = []
    for name, value, low, high in zip(names, x, *limits, strict=True):
        if value - low < _AT_BOUND or high - value < _AT_BOUND:
            shown = value if name.endswith("_alpha") else math.exp(value)
            found.append(f"{name} is at its bound of {shown:.3g}")
    return found


def _arc_flags(
    circuit: Circuit, arcs: tuple[Arc, ...], relative: Mapping[str, float], correlation: Floats, omega: Floats
) -> list[str]:
    found = []
    top, bottom = float(omega.max()) / (2 * np.pi), float(omega.min()) / (2 * np.pi)
    names = circuit.parameters
    for arc in arcs:
        if not bottom <= arc.peak_Hz <= top:
            found.append(
                f"arc of {arc.resistor} is not resolved: its peak at {arc.peak_Hz:.3g} Hz is outside the fitted "
                f"{bottom:.3g} to {top:.3g} Hz"
            )
        elif relative[arc.resistor] > _UNSURE:
            found.append(
                f"arc of {arc.resistor} is not resolved: resistance or time constant is known to "
                f"{100 * relative[arc.resistor]:.0f} % only"
            )
    for fast, slow in itertools.pairwise(arcs):
        pair = abs(correlation[names.index(fast.resistor), names.index(slow.resistor)])
        if slow.time_constant_s < _CLOSE * fast.time_constant_s and pair > _CORRELATED:
            found.append(
                f"arcs of {fast.resistor} and {slow.resistor} are not resolved: time constants "
                f"{fast.time_constant_s:.3g} and {slow.time_constant_s:.3g} s, correlation {pair:.2f}"
            )
    return found


def _structure_flags(left: Complexes) -> list[str]:
    values = [part - part.mean() for part in (left.real, left.imag)]
    power = sum(float(part @ part) for part in values)
    if len(left) < 10 or power < len(left) * _NO_RESIDUAL**2:
        return []
    together = sum(float(part[1:] @ part[:-1]) for part in values) / power
    if together <= _STRUCTURE:
        return []
    size = 100 * math.sqrt(power / (2 * len(left)))
    return [
        f"the circuit leaves structure of {size:.2g} % (neighbouring residuals correlate by {together:.2f}): "
        "standard deviations are too small"
    ]
