"""Starting values of a circuit, found in the spectrum itself."""

from __future__ import annotations

import itertools
import math
from typing import Final

import numpy as np

from labctl.analysis.impedance.circuit import Circuit, Element, Node, Parallel
from labctl.analysis.impedance.elements import KINDS
from labctl.analysis.impedance.spectrum import Complexes, Floats

#: Exponent that arcs and constant-phase elements start with.
_ALPHA: Final = 0.85
#: Time constants that arcs are tried with, over the measured range; combinations of them, at most.
_GRID: Final = 9
_MOST_COMBINATIONS: Final = 120
#: Resistance, of the whole span, that an arc starts with which the linear estimate gives none.
_LEAST: Final = 0.02
#: Spread of the starts that are scattered around the best ones, as logarithm.
_SCATTER: Final = 1.0


def bounds(circuit: Circuit, omega: Floats, size: Floats, alpha: tuple[float, float]) -> tuple[Floats, Floats]:
    """Widest meaningful bounds of each parameter, as logarithms but for exponents, from the range of the data.

    Parameters
    ----------
    omega, size : ndarray
        rad/s, and abs(Z) in ohm.
    alpha : tuple of float
        Bounds of exponents.
    """
    fast, slow = float(omega.max()), float(omega.min())
    small, large = 1e-5 * float(size.min()), 1e3 * float(size.max())
    ranges = {
        "R": (small, large),
        "C": (1 / (fast * large), 1 / (slow * small)),
        "L": (small / fast, large / slow),
        "Q": (min(1.0, fast ** -alpha[1]) / large, max(1.0, slow ** -alpha[1]) / small),
        "sigma": (small * math.sqrt(slow), large * math.sqrt(fast)),
        "tau": (1e-3 / fast, 1e4 / slow),
    }
    low, high = [], []
    for element in circuit.elements:
        for parameter in KINDS[element.kind]:
            if parameter == "alpha":
                low.append(alpha[0])
                high.append(alpha[1])
            else:
                low.append(math.log(ranges[parameter][0]))
                high.append(math.log(ranges[parameter][1]))
    return np.array(low), np.array(high)


def starting_values(circuit: Circuit, omega: Floats, impedance: Complexes, count: int) -> Floats:
    """Give several starts, the best first: each arc at one of a grid of time constants, the rest linear.

    For given time constants and exponents, what lies in series is linear in its resistances: non-negative least
    squares give them (Lawson and Hanson 1974). Circuits with nested parts get scattered starts besides, by a fixed
    seed.
    """
    # Loaded late: all of scipy.optimize takes half as long to load as everything else together.
    from scipy.optimize import nnls

    blocks = circuit.blocks
    timed = [block for block in blocks if not isinstance(block, Element) or block.kind in ("Ws", "Wo")]
    weight = 1 / np.abs(impedance)
    goal = np.concatenate(((impedance * weight).real, (impedance * weight).imag))
    span = float(np.abs(impedance).max())
    tried: list[tuple[float, Floats]] = []
    known: dict[tuple[int, float], tuple[Floats, float]] = {}

    def shape(place: int, tau: float) -> tuple[Floats, float]:
        """Give a block's weighted column and its largest impedance; combinations have most of them in common."""
        if (place, tau) not in known:
            one = _shape(blocks[place], omega, tau)
            column = np.concatenate(((one * weight).real, (one * weight).imag))
            known[place, tau] = column, float(np.abs(one).max())
        return known[place, tau]

    for constants in _combinations(omega, timed):
        given = iter(constants)
        taus = [next(given) if block in timed else 0.0 for block in blocks]
        shapes = [shape(place, tau) for place, tau in enumerate(taus)]
        matrix = np.stack([column for column, _ in shapes], axis=1)
        scale = np.linalg.norm(matrix, axis=0)
        amounts, left = nnls(matrix / scale, goal)
        start = np.zeros(len(circuit.parameters))
        for block, tau, amount, (_, largest) in zip(blocks, taus, amounts / scale, shapes, strict=True):
            least = _LEAST * span / largest
            _assign(block, max(float(amount), least), tau, start)
        tried.append((float(left), start))
    tried.sort(key=lambda one: one[0])
    best = np.array([start for _, start in tried[:count]])
    if any(_nested(block) for block in blocks):
        random = np.random.default_rng(0)
        scattered = np.repeat(best, 4, axis=0)
        scattered += _SCATTER * random.normal(size=scattered.shape) * np.where(circuit.exponents, 0.0, 1.0)
        best = np.vstack((best, scattered))
    return best


def _combinations(omega: Floats, timed: list[Node]) -> list[tuple[float, ...]]:
    fast, slow = 1 / float(omega.max()), 1 / float(omega.min())
    grid = np.geomspace(fast * 1.5, slow / 1.5, max(_GRID, len(timed) + 3))
    alike = len({_kinds(block) for block in timed}) <= 1
    choose = itertools.combinations if alike else itertools.permutations
    found = list(choose([float(one) for one in grid], len(timed)))
    step = max(1, math.ceil(len(found) / _MOST_COMBINATIONS))
    return found[::step]


def _kinds(node: Node) -> str:
    if isinstance(node, Element):
        return node.kind
    mark = "p" if isinstance(node, Parallel) else "s"
    return f"{mark}({','.join(_kinds(part) for part in node.parts)})"


def _nested(node: Node) -> bool:
    return isinstance(node, Parallel) and any(not isinstance(part, Element) for part in node.parts)


def _shape(block: Node, omega: Floats, tau: float) -> Complexes:
    """Impedance of a block of size 1."""
    s = 1j * omega
    if isinstance(block, Element):
        if block.kind == "R":
            return np.ones(len(s), dtype=np.complex128)
        if block.kind == "L":
            return np.asarray(s, dtype=np.complex128)
        if block.kind == "C":
            return np.asarray(1 / s, dtype=np.complex128)
        if block.kind == "CPE":
            return np.asarray(s**-_ALPHA)
        if block.kind == "W":
            return np.asarray((1 - 1j) / np.sqrt(omega))
        u = np.sqrt(s * tau)
        return np.asarray(np.tanh(u) / u if block.kind == "Ws" else 1 / (np.tanh(u) * u))
    return np.asarray(1 / (1 + (s * tau) ** _ALPHA))


def _assign(node: Node, size: float, tau: float, into: Floats) -> None:
    """Give the elements of a block values that make an arc of this resistance and time constant."""
    if isinstance(node, Element):
        _assign_element(node, size, tau, into)
        return
    if isinstance(node, Parallel):
        for part in node.parts:
            _assign(part, size, tau, into)
        return
    for index, part in enumerate(node.parts):
        # What is behind a resistor inside an arc is slower than the arc.
        _assign(part, size / len(node.parts), tau * 10.0**index, into)


def _assign_element(element: Element, size: float, tau: float, into: Floats) -> None:
    place = element.first
    if element.kind == "CPE":
        # In series with the whole (tau 0): size is that of (j omega)^-alpha.
        into[place] = math.log(tau**_ALPHA / size) if tau else -math.log(size)
        into[place + 1] = _ALPHA
    elif element.kind == "C":
        into[place] = math.log(tau / size) if tau else -math.log(size)
    elif element.kind == "L":
        into[place] = math.log(size * (tau or 1.0))
    elif element.kind == "W":
        into[place] = math.log(size / math.sqrt(2 * tau) if tau else size)
    elif element.kind in ("Ws", "Wo"):
        into[place], into[place + 1] = math.log(size), math.log(tau)
    else:
        into[place] = math.log(size)
