"""A multiplexer of a plan: the laboratory's set of closed relays."""

from __future__ import annotations

from collections.abc import Collection

from labctl_drivers.planned.device import Planned


class PlannedMultiplexer(Planned):
    """Closes and opens relays."""

    role = "multiplexer"

    async def closed(self, relays: Collection[int]) -> frozenset[int]:
        """Which of them are closed."""
        return frozenset(self._device & set(relays))

    async def switch(self, close: int | None, group: Collection[int]) -> None:
        """Open all of a group, then close one."""
        self._device.difference_update(group)
        if close is not None:
            self._device.add(close)
