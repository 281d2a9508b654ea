"""Samples: what goes into the probe without being a cell, and how whatever was moved takes on the temperature there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from labctl_simulators.cell import Line
from labctl_simulators.cell.spectrum import REFERENCE, USUAL_TESLA

#: Time in s in which a sample comes within a third of the temperature around it; invented.
USUAL_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Something for the probe that is no cell. ``reference`` is the LiCl standard, one line at 0 ppm."""

    id: str

    def nmr_lines(self, t: float, tesla: float = USUAL_TESLA) -> list[Line]:
        """7Li lines; the same at any time and field."""
        del t, tesla
        return [REFERENCE]


class Cooling:
    """Temperatures of what was moved, exponential as of a pouch cell in air.

    Attributes
    ----------
    seconds : float
        Time constant; 0 for at once.
    """

    def __init__(self) -> None:
        self.seconds = USUAL_S
        self._arrived: dict[str, tuple[float, float]] = {}

    def arrive(self, item: str, now: float, temperature: float) -> None:
        """Have a sample with a temperature in K come to a new place at laboratory time ``now`` in s."""
        self._arrived[item] = (now, temperature)

    def temperature(self, item: str, now: float, around: float) -> float:
        """Give a sample's temperature in K, where the temperature around it is ``around``."""
        since, before = self._arrived.get(item, (0.0, around))
        if not self.seconds:
            return around
        return around + (before - around) * math.exp(-max(now - since, 0.0) / self.seconds)

    def save(self) -> dict[str, Any]:
        """Give arrivals as JSON values."""
        return {item: list(came) for item, came in self._arrived.items()}

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take up what :meth:`save` gave."""
        self._arrived = {item: (came[0], came[1]) for item, came in data.items()}
