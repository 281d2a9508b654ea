"""Arcs of a fitted circuit: their time constants and order, and what is doubtful about them and about the fit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from labctl.analysis.impedance.circuit import Circuit, Element, Node, Parallel
from labctl.analysis.impedance.spectrum import Complexes, Floats

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


def ordered(circuit: Circuit, x: Floats) -> Floats:
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


def arcs_of(circuit: Circuit, x: Floats, covariance: Floats) -> tuple[tuple[Arc, ...], dict[str, float]]:
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


def bound_flags(names: tuple[str, ...], x: Floats, limits: tuple[Floats, Floats]) -> list[str]:
    """Name the parameters that are at a bound."""
    found = []
    for name, value, low, high in zip(names, x, *limits, strict=True):
        if value - low < _AT_BOUND or high - value < _AT_BOUND:
            shown = value if name.endswith("_alpha") else math.exp(value)
            found.append(f"{name} is at its bound of {shown:.3g}")
    return found


def arc_flags(
    circuit: Circuit, arcs: tuple[Arc, ...], relative: Mapping[str, float], correlation: Floats, omega: Floats
) -> list[str]:
    """Name the arcs that the data do not show, or not apart from each other."""
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


def structure_flags(left: Complexes) -> list[str]:
    """Say whether neighbouring residuals hang together: then the circuit is not that of the cell."""
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
