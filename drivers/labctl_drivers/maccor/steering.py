"""Direct mode as the role of a steered channel, for the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from labctl.instruments.common import DriverContext
from labctl.instruments.cycler import Mode, Reading, SafetyLimits
from labctl.instruments.faults import Refused
from labctl_drivers.maccor import codes
from labctl_drivers.maccor.direct import DirectMode, Output
from labctl_drivers.maccor.manual import ManualControl


class SteeredChannel:
    """A channel in direct mode; see :class:`labctl.instruments.steering.Steered`."""

    def __init__(self, direct: DirectMode) -> None:
        self._direct = direct

    async def output(self, mode: Mode, current: float, voltage: float) -> None:
        """Put out something else."""
        await self._direct.set(Output(mode, current=current, voltage=voltage))

    async def rest(self) -> None:
        """Let no current flow."""
        await self._direct.rest()

    async def reading(self) -> Reading:
        """Read voltage and current, and see that direct mode goes on."""
        state = await self._direct.look()
        if state.status not in codes.RUNNING:
            word, why = codes.status_word(state.status), codes.reason(state.reason)
            raise Refused(f"channel {self._direct.channel} is {word}, {why}: direct mode is over")
        return Reading(state.test_time, state.voltage, state.current)


@asynccontextmanager
async def steer(
    context: DriverContext,
    channel: int,
    name: str,
    first: Output,
    safety: SafetyLimits,
) -> AsyncIterator[SteeredChannel]:
    """Hold a channel in direct mode over connections of its own; raises as ``ManualControl.direct``."""
    async with ManualControl.at(context) as control, control.direct(channel, name, first, safety) as direct:
        yield SteeredChannel(direct)
