"""The frequencies of a spectrum, how long each takes, and a sweep as it goes along.

Densities and periods change at 66 Hz, as the vendor's client documents. That points are spread evenly over the
accumulated density, and how the periods go over from one limit to the other, is guessed; the first and the last
frequency are exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

KNEE: Final = 66.0
SHORTEST: Final = 0.3


def _density(frequency: float, above: float, below: float) -> float:
    """Points between 66 Hz and ``frequency``, negative below."""
    return math.log10(frequency / KNEE) * (above if frequency >= KNEE else below)


def segment(begin: float, end: float, above: float, below: float) -> list[float]:
    """Frequencies from ``begin`` to ``end`` (Hz), both included, with points per decade above and below 66 Hz."""
    if begin == end:
        return [begin]
    first, last = _density(begin, above, below), _density(end, above, below)
    count = max(1, math.ceil(abs(last - first) - 1e-9))
    inner = (first + (last - first) * n / count for n in range(1, count))
    return [begin, *(KNEE * 10 ** (p / (above if p >= 0 else below)) for p in inner), end]


def frequencies(start: float, low: float, high: float, above: float, below: float, to_max: bool) -> list[float]:
    """Frequencies in the order of measurement: from ``start`` to one limit and on to the other."""
    first, last = (high, low) if to_max else (low, high)
    way = segment(start, first, above, below)
    return way[:-1] + segment(first, last, above, below)


def durations(grid: list[float], low: float, upper_periods: float, lower_periods: float) -> NDArray[np.float64]:
    """Seconds that each point takes: its periods, but at least 0.3 s."""
    frequency = np.array(grid)
    if low >= KNEE:
        periods = np.full(len(grid), upper_periods)
    else:
        share = np.clip(np.log(KNEE / frequency) / math.log(KNEE / low), 0.0, 1.0)
        periods = np.round(upper_periods + (lower_periods - upper_periods) * share)
    return np.asarray(np.maximum(SHORTEST, periods / frequency), dtype=np.float64)


@dataclass
class Sweep:
    """A spectrum that is being measured; JSON-able by :meth:`to_json`.

    Attributes
    ----------
    path : str
        File that it will be written to.
    cell : str
        Whose spectrum it is.
    started : float
        Laboratory time, s.
    settings : dict
        The instrument's settings at the start.
    frequency, ready : list of float
        Per point: Hz, and the laboratory time at which it is ready.
    deviation : list of pairs of float
        Noise of each point, relative to its impedance.
    edge : float
        DC voltage at the end of the point before, V.
    real, imaginary : list of float
        Ohm, of the points that are ready.
    voltage, current : list of float
        DC values of the points that are ready: means over the point, in which the excitation has vanished.
    """

    path: str
    cell: str
    started: float
    settings: dict[str, float]
    frequency: list[float]
    ready: list[float]
    deviation: list[tuple[float, float]]
    edge: float
    real: list[float] = field(default_factory=list)
    imaginary: list[float] = field(default_factory=list)
    voltage: list[float] = field(default_factory=list)
    current: list[float] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Points that are ready."""
        return len(self.voltage)

    def take(self, impedance: complex, voltage: float, current: float) -> None:
        """Note the point that is ready now: exact impedance in ohm, voltage (V) and current (A) at its end."""
        noisy = impedance * (1 + complex(*self.deviation[self.done]))
        self.real.append(noisy.real)
        self.imaginary.append(noisy.imag)
        self.voltage.append((self.edge + voltage) / 2)
        self.current.append(current)
        self.edge = voltage

    @property
    def complete(self) -> bool:
        """Whether all points are ready."""
        return self.done == len(self.frequency)

    def row(self) -> str:
        """Give the latest point as the online display shows it."""
        n = self.done - 1
        impedance = complex(self.real[n], self.imaginary[n])
        values = (
            self.frequency[n],
            abs(impedance),
            math.atan2(impedance.imag, impedance.real),
            self.ready[n] - self.ready[0],
            0.999,
            self.voltage[n],
            self.current[n],
        )
        return "".join(f"{value: .5e}," for value in values)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}
