"""What a share's uncertainty is made of: named terms, each a set of independent directions in which the inputs err.

A direction says by how much each of the three integrals, the three factors of the state of charge or the discharge
capacity is wrong together for one standard deviation. Errors that the states share are one direction and cancel where
the arithmetic lets them cancel; errors of each state are three.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

#: Of the charged, the discharged and the dead state.
Triple = tuple[float, float, float]

#: The terms of the budget in the order in which they are reported, and what each stands for.
TERMS: Final = {
    "noise": "noise of the spectra",
    "baseline": "baseline fitted under the metal",
    "phase": "phase of the metal's line",
    "blank": "background taken from the pristine spectrum",
    "reinsertion": "taking the cell out of the probe and putting it back, tuning",
    "pulse": "flip angle",
    "relaxation": "T1 and the recycle delay",
    "temperature": "temperature of the sample",
    "soc_factor": "factor of the positive electrode's state of charge; common to all cells of a set-up",
    "cycler": "accuracy of the cycler's capacities",
}

ZERO: Final[Triple] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Direction:
    """One independent error of one standard deviation.

    Attributes
    ----------
    integrals : tuple of float
        Change of the three integrals.
    factors : tuple of float
        Change of the three factors of the state of charge.
    capacity : float
        Change of the discharge capacity, mAh.
    """

    integrals: Triple = ZERO
    factors: Triple = ZERO
    capacity: float = 0.0


@dataclass
class Errors:
    """All errors of one set of inputs, by term."""

    terms: dict[str, list[Direction]] = field(default_factory=dict)

    def each(self, term: str, sigmas: Sequence[float]) -> None:
        """Add an independent error for each of the three integrals."""
        for index, sigma in enumerate(sigmas):
            if sigma:
                self.terms.setdefault(term, []).append(Direction(integrals=_only(index, abs(sigma))))

    def together(self, term: str, integrals: Triple = ZERO, factors: Triple = ZERO, capacity: float = 0.0) -> None:
        """Add an error that moves several inputs at once."""
        if any((*integrals, *factors, capacity)):
            self.terms.setdefault(term, []).append(Direction(integrals, factors, capacity))


def sd(slopes: Direction, directions: Sequence[Direction]) -> float:
    """Give the deviation that some directions cause in a result with these slopes (its derivatives)."""
    return math.sqrt(sum(_along(slopes, one) ** 2 for one in directions))


def _along(slopes: Direction, one: Direction) -> float:
    return (
        sum(a * b for a, b in zip(slopes.integrals, one.integrals, strict=True))
        + sum(a * b for a, b in zip(slopes.factors, one.factors, strict=True))
        + slopes.capacity * one.capacity
    )


def _only(index: int, value: float) -> Triple:
    return (value if index == 0 else 0.0, value if index == 1 else 0.0, value if index == 2 else 0.0)
