"""A spectrometer as the time that its acquisitions take."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from labctl_simulators.cell import VirtualCell
from labctl_simulators.planned.device import Device
from labctl_simulators.topspin.fid import LOOP_S
from labctl_simulators.topspin.simulator import REFERENCE_T90_S

#: Seconds that each acquisition takes beside its scans, until a client has noticed its end.
BESIDE: Final = 4.5
#: Seconds that automatic tuning takes, and a look at the sample's temperature.
TUNING: Final = 60.0
LOOKING: Final = 10.0


class PlannedConsole(Device):
    """One spectrometer; see :class:`labctl_simulators.topspin.TopspinSimulator` for what its times come from."""

    def __init__(self, name: str, entry: Mapping[str, Any], laboratory: Any) -> None:
        super().__init__(name, entry, laboratory)
        self._ends: Mapping[str, float] = {}
        self._running: str | None = None

    @staticmethod
    def seconds(scans: int, delay: float, points: int, dwell: float, comb: float, echo: float) -> float:
        """Time of one acquisition: so many scans, each with its recycle delay (s), its comb and echo (s)."""
        return scans * (LOOP_S + delay + comb + 2 * echo + points * dwell) + BESIDE

    def start(self, token: str, times: Sequence[float]) -> bool:
        """Begin acquisitions one after the other; False where something is being acquired."""
        now = self._laboratory.time()
        if self._running is not None and self._ends[self._running] > now:
            return False
        self._ends = {**self._ends, token: now + sum(times)}
        self._running = token
        return True

    def left(self, token: str) -> float | None:
        """Seconds until all have ended; None where nothing of that name was begun."""
        ends = self._ends.get(token)
        return None if ends is None else max(0.0, ends - self._laboratory.time())

    def halt(self, token: str) -> None:
        """End it."""
        if self._running == token:
            self._running = None
            self._ends = {**self._ends, token: self._laboratory.time()}

    async def tune(self) -> None:
        """Tune and match."""
        await asyncio.sleep(TUNING)

    async def look(self) -> None:
        """Measure the sample's temperature."""
        await asyncio.sleep(LOOKING)

    def sample(self) -> tuple[float, float]:
        """Length of the pi/2 pulse (s) on what is in the probe, and its temperature (K)."""
        item = self._laboratory.in_probe(self._name)
        if item is None:
            return REFERENCE_T90_S, float(self._laboratory.ambient)
        pulse = item.t90_s if isinstance(item, VirtualCell) else REFERENCE_T90_S
        return pulse, float(self._laboratory.sample_temperature(item.id))
