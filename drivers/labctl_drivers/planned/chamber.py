"""A chamber of a plan."""

from __future__ import annotations

from labctl.instruments import ChamberReading
from labctl_drivers.planned.device import Planned


class PlannedChamber(Planned):
    """Keeps a set-point."""

    role = "chamber"

    async def read(self) -> ChamberReading:
        """Look."""
        temperature, set_point, running = self._device.read()
        return ChamberReading(temperature, set_point, running, "running" if running else "standing")

    async def regulate(self, temperature: float, limits: tuple[float, float] | None = None) -> None:
        """Go there."""
        self._device.regulate(temperature)

    async def stop(self) -> None:
        """Stop."""
        self._device.stop()
