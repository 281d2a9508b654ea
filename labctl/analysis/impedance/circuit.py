"""Equivalent circuits from their strings: ``R0-p(R1,CPE1)-p(R2,CPE2)``. Parses and evaluates; fits nothing.

A minus joins in series, ``p(a,b,…)`` in parallel, also nested. The elements and
their parameters are in :mod:`labctl.analysis.impedance.elements`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.impedance.elements import ELEMENTS, KINDS, Filled
from labctl.analysis.impedance.spectrum import Complexes, Floats
from labctl.errors import UsageError

_DEEPEST: Final = 20
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_ELEMENT: Final = re.compile(r"(CPE|Ws|Wo|R|C|L|W)(\d*|_\w+)")

#: Z and its derivatives: (..., N) and (..., N, parameters); parameters in the order of the circuit, all but alpha as
#: their logarithm.
Value = tuple[Complexes, Complexes]


@dataclass(frozen=True, slots=True)
class Element:
    """One element.

    Attributes
    ----------
    name, kind : str
        Such as ``CPE1`` and ``CPE``.
    first : int
        Place of its first parameter among those of the circuit.
    """

    name: str
    kind: str
    first: int

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of its parameters."""
        own = KINDS[self.kind]
        return (self.name,) if len(own) == 1 else tuple(f"{self.name}_{one}" for one in own)


@dataclass(frozen=True, slots=True)
class Series:
    """Parts behind one another."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Parallel:
    """Parts beside one another."""

    parts: tuple[Node, ...]


Node = Element | Series | Parallel


@dataclass(frozen=True, slots=True)
class Circuit:
    """A parsed circuit.

    Attributes
    ----------
    text : str
        As given.
    root : Element, Series or Parallel
        The whole.
    elements : tuple of Element
        In the order of the string.
    """

    text: str
    root: Node
    elements: tuple[Element, ...]

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of all parameters, such as ``R0``, ``CPE1_Q``, ``CPE1_alpha``."""
        return tuple(name for element in self.elements for name in element.parameters)

    @property
    def exponents(self) -> NDArray[np.bool_]:
        """Which parameters are exponents, and not fitted as logarithms."""
        return np.array([name.endswith("_alpha") for name in self.parameters])

    @property
    def blocks(self) -> tuple[Node, ...]:
        """What lies in series in the whole circuit."""
        return self.root.parts if isinstance(self.root, Series) else (self.root,)

    def impedance(self, frequency: Floats, values: Sequence[float]) -> Complexes:
        """Impedance in ohm at frequencies in Hz, with parameters in their own units."""
        inner = np.array(values, dtype=np.float64)
        logarithmic = ~self.exponents
        inner[logarithmic] = np.log(inner[logarithmic])
        return np.asarray(self.evaluate(2 * np.pi * np.asarray(frequency, dtype=np.float64), inner[None, :])[0][0])

    def evaluate(self, omega: Floats, inner: Floats) -> Value:
        """Impedances and their derivatives of several sets of parameters at once.

        Parameters
        ----------
        omega : ndarray
            rad/s, N of them, or one row of them for each set.
        inner : ndarray
            Sets by parameters; logarithms but for exponents.
        """
        derivative = np.zeros((len(inner), omega.shape[-1], inner.shape[1]), dtype=np.complex128)
        value, filled = _evaluate(self.root, np.atleast_2d(omega), inner)
        for place, one in filled:
            derivative[..., place] = one
        return np.broadcast_to(value, derivative.shape[:2]), derivative


def _evaluate(node: Node, omega: Floats, x: Floats) -> tuple[Complexes, Filled]:
    if isinstance(node, Element):
        return ELEMENTS[node.kind](omega, x, node.first)
    results = [_evaluate(part, omega, x) for part in node.parts]
    if isinstance(node, Series):
        total = results[0][0]
        for value, _ in results[1:]:
            total = total + value
        return total, [one for _, filled in results for one in filled]
    total = 1 / results[0][0]
    for value, _ in results[1:]:
        total = total + 1 / value
    total = 1 / total
    made: Filled = []
    for value, filled in results:
        share = total / value
        share = share * share
        made += [(place, share * one) for place, one in filled]
    return total, made


def parse(text: str) -> Circuit:
    """Read a circuit string.

    Raises
    ------
    UsageError
        It is none; says at which column, what stands there and what would be right. Also where two elements of a kind
        lie beside or behind one another so that only their sum shows.
    """
    return _Parser(text).circuit()


class _Parser:
    """One pass over the string."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth = text, 0, 0
        self._elements: list[Element] = []
        self._places = 0

    def circuit(self) -> Circuit:
        root = self._series()
        self._blanks()
        if self._at < len(self._text):
            raise self._mistake("cannot stand here", "'-' or the end")
        return Circuit(self._text, root, tuple(self._elements))

    def _series(self) -> Node:
        parts = [self._part()]
        while self._next("-"):
            parts.append(self._part())
        flat = tuple(one for part in parts for one in (part.parts if isinstance(part, Series) else (part,)))
        self._distinct(flat)
        return flat[0] if len(flat) == 1 else Series(flat)

    def _part(self) -> Node:
        self._blanks()
        begin = self._at
        found = _NAME.match(self._text, self._at)
        if found is None:
            raise self._mistake("cannot stand here", "an element or p(…)")
        name = found[0]
        if name == "p" and self._text[found.end() :].lstrip().startswith("("):
            self._depth += 1
            if self._depth > _DEEPEST:
                raise self._mistake(f"more than {_DEEPEST} levels", "a flatter circuit", shown=True)
            self._at = found.end()
            self._next("(")
            parts = [self._series()]
            while self._next(","):
                parts.append(self._series())
            if not self._next(")"):
                raise self._mistake("cannot stand here", "',' or ')'")
            self._depth -= 1
            if len(parts) == 1:
                self._at = begin
                raise self._mistake("p(…) of one part", "two parts or more, such as p(R1,CPE1)")
            self._distinct(tuple(parts))
            return Parallel(tuple(parts))
        kind = _ELEMENT.fullmatch(name)
        if kind is None:
            close = [one for one in KINDS if one.lower() == name.rstrip("0123456789").lower()]
            nearest = f", perhaps {close[0]}," if close else ""
            raise self._mistake(
                f"{name!r} is no element", f"one of {', '.join(KINDS)} and a number, or p(…){nearest}", shown=True
            )
        if any(one.name == name for one in self._elements):
            raise self._mistake(f"{name!r} is there twice", "a number of its own for each element", shown=True)
        self._at = found.end()
        element = Element(name, kind[1], self._places)
        self._places += len(KINDS[kind[1]])
        self._elements.append(element)
        return element

    def _distinct(self, parts: tuple[Node, ...]) -> None:
        kinds: dict[str, str] = {}
        for part in parts:
            if isinstance(part, Element) and part.kind in ("R", "C", "L", "W"):
                if part.kind in kinds:
                    self._at = self._text.rindex(part.name)
                    raise self._mistake(
                        f"{kinds[part.kind]} and {part.name} lie so that only one value of both shows",
                        "one of them",
                        shown=True,
                    )
                kinds[part.kind] = part.name

    def _blanks(self) -> None:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1

    def _next(self, mark: str) -> bool:
        self._blanks()
        if self._text[self._at : self._at + 1] != mark:
            return False
        self._at += 1
        return True

    def _mistake(self, found: str, right: str, *, shown: bool = False) -> UsageError:
        here = "the end" if self._at >= len(self._text) else repr(self._text[self._at])
        what = found if shown or found.startswith("p(") else f"{here} {found}"
        return UsageError(f"circuit {self._text!r}, column {self._at + 1}: {what}", hint=f"{right} is right")
