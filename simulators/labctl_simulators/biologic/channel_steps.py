"""What a channel can be told to do, whichever way it was told: plain data, JSON there and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

NEXT_LEVEL, NEXT_STEP, STOP = 0, 1, 2
#: No point of a spectrum takes less than this, s: a guess.
SHORTEST: Final = 0.05


@dataclass(frozen=True, slots=True)
class Test:
    """A condition on ``voltage`` (V, working electrode), ``current`` (A, signed) or its ``magnitude``.

    ``together``: and, not or.
    """

    __test__ = False

    what: str
    above: bool
    value: float
    together: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a step: V or A, s, whether against the value before, tests, and where they lead."""

    value: float
    duration: float
    against_before: bool = False
    tests: tuple[Test, ...] = ()
    leads_to: int = NEXT_LEVEL


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Frequencies in Hz from ``start`` to ``end``; amplitude in V or A, peak; averages and waits in periods."""

    start: float
    end: float
    points: int
    linear: bool
    amplitude: float
    averages: int
    wait: float

    def frequencies(self) -> Any:
        """All of them, in order."""
        spacing = np.linspace if self.linear else np.geomspace
        return spacing(self.start, self.end, self.points)

    def lasts(self, frequency: Any) -> Any:
        """Seconds that a point takes, or points."""
        return np.maximum((self.averages + self.wait) / frequency, SHORTEST)


@dataclass(slots=True)
class Step:
    """One technique.

    Attributes
    ----------
    kind : str
        ``open``, ``current``, ``voltage``, ``peis``, ``geis``, ``loop`` or ``trigger``.
    identifier : int
        The vendor's number of the technique.
    timebase : float
        s per tick of its records.
    levels : tuple of Level
        In order.
    every, voltage_step, current_step : float
        Records so often (s), and per so many V and A; 0 for none.
    cycles : int
        How often the levels are gone through.
    spectrum : Spectrum or None
        For the impedance kinds.
    loop_to, passes : int
        For a loop: step to go back to, from 0, and passes in all (0: without end).
    """

    kind: str
    identifier: int
    timebase: float
    levels: tuple[Level, ...]
    every: float = 0.0
    voltage_step: float = 0.0
    current_step: float = 0.0
    cycles: int = 1
    spectrum: Spectrum | None = None
    loop_to: int = 0
    passes: int = 1


def step_from_json(data: Mapping[str, Any]) -> Step:
    """Rebuild a step from ``dataclasses.asdict``."""
    values = dict(data)
    values["levels"] = tuple(
        Level(**{**level, "tests": tuple(Test(**test) for test in level["tests"])}) for level in data["levels"]
    )
    values["spectrum"] = None if data["spectrum"] is None else Spectrum(**data["spectrum"])
    return Step(**values)
