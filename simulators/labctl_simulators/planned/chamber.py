"""A chamber as its thermal plant alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ROOM = 293.15


class PlannedBath:
    """One chamber; its temperatures are those of the laboratory's thermal plant of that name.

    Parameters
    ----------
    name, entry, laboratory
        As for every simulator.
    """

    def __init__(self, name: str, entry: Mapping[str, Any], laboratory: Any) -> None:
        del entry
        self._plant = laboratory.chamber(name)

    def read(self) -> tuple[float, float, bool]:
        """Temperature and set-point in K, and whether it regulates."""
        plant = self._plant
        return plant.temperature, _ROOM if plant.set_point is None else plant.set_point, plant.running

    def regulate(self, kelvin: float) -> None:
        """Go to a temperature."""
        self._plant.regulate(kelvin)

    def stop(self) -> None:
        """Drift to the room's."""
        self._plant.stop()
