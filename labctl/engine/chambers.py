"""Bringing a chamber to its temperature and keeping it there while anybody needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labctl.errors import InstrumentError
from labctl.instruments import Chamber, Clock
from labctl.units import show

# Seconds between looks at a chamber on its way.
LOOK = 60.0


@dataclass(frozen=True, slots=True)
class Settled:
    """When a chamber counts as settled.

    Attributes
    ----------
    tolerance : float
        K around the set-point.
    duration : float
        Seconds that it must stay inside without a break.
    at_most : float
        Seconds after which the attempt has failed.
    """

    tolerance: float = 0.3
    duration: float = 600.0
    at_most: float = 7200.0


class Oven:
    """One chamber and those who need it at one temperature."""

    def __init__(self, name: str, chamber: Chamber, settled: Settled, clock: Clock) -> None:
        self.name = name
        self._chamber = chamber
        self._settled = settled
        self._clock = clock
        self._members: set[str] = set()
        self._lock = asyncio.Lock()
        self.live: Mapping[str, Any] = {}

    def restore(self, operation: str) -> None:
        """Know, after a restart, of an operation that needs the chamber already."""
        self._members.add(operation)

    async def join(self, operation: str, temperature: float) -> None:
        """Set ``temperature`` (K) if it is not set, and wait until it has settled.

        Raises
        ------
        InstrumentError
            It did not settle before its deadline.
        """
        self._members.add(operation)
        async with self._lock:
            reading = await self._chamber.read()
            if not reading.running or abs(reading.set_point - temperature) > 0.05:
                await self._chamber.regulate(temperature)
            inside_since: float | None = None
            began = self._clock.now()
            while True:
                reading = await self._chamber.read()
                self.live = {"temperature_K": reading.temperature, "set_point_K": reading.set_point}
                passed = (self._clock.now() - began).total_seconds()
                if abs(reading.temperature - temperature) > self._settled.tolerance:
                    inside_since = None
                elif inside_since is None:
                    inside_since = passed
                if inside_since is not None and passed - inside_since >= self._settled.duration:
                    return
                if passed > self._settled.at_most:
                    raise InstrumentError(
                        f"did not settle at {show(temperature, 'degC')} within {show(self._settled.at_most, 'h')}, "
                        f"it is at {show(reading.temperature, 'degC')}",
                        instrument=self.name,
                    )
                await asyncio.sleep(LOOK)

    async def leave(self, operation: str) -> None:
        """Stop regulating when nobody needs it any more."""
        if operation in self._members:
            self._members.discard(operation)
            if not self._members:
                async with self._lock:
                    if not self._members:
                        await self._chamber.stop()
