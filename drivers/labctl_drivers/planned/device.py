"""What all roles on a planning laboratory share."""

from __future__ import annotations

from typing import Any

from labctl.instruments import DriverContext, Identity


class Planned:
    """A driver whose instrument is an object in its settings.

    Parameters
    ----------
    context : DriverContext
        With ``device`` in its settings.
    """

    def __init__(self, context: DriverContext) -> None:
        self._context = context
        self._device: Any = context.settings["device"]

    async def connect(self) -> Identity:
        """Say what it stands for."""
        return Identity("planned", str(self._context.settings.get("stands_for", "")), "", "", "none")

    async def close(self) -> None:
        """Nothing was opened."""

    def _now(self) -> str:
        return self._context.clock.now().isoformat()
