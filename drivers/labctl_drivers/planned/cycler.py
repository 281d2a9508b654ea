"""A cycler of a plan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from labctl.instruments import (
    SUSPENDS,
    TEST_CLOCK,
    Busy,
    CyclerProgram,
    CyclerStep,
    Fetched,
    Handle,
    OutOfRange,
    Progress,
    Reading,
    State,
)
from labctl_drivers.planned.device import Planned

#: A live laboratory looks at a running program once in so many seconds, and notices its end then.
_NOTICED: Final = 60.0
_STATES: Final = {"running": State.RUNNING, "suspended": State.RUNNING, "done": State.DONE, "failed": State.FAILED}


class PlannedCycler(Planned):
    """Runs programs on the channels of a planned tester."""

    role = "cycler"
    capabilities = frozenset({SUSPENDS, TEST_CLOCK})

    async def start(self, token: str, channel: int, program: CyclerProgram) -> Handle:
        """Start a program; loops and bands of temperatures are not planned."""
        if program.loops or any(step.band is not None for step in program.steps):
            raise OutOfRange("loops and bands of temperatures are not planned", instrument=self._context.name)
        steps = [_step(self._device, step) for step in program.steps]
        limits = program.safety.voltage_min, program.safety.voltage_max
        if not self._device.channel(channel).start(token, steps, limits):
            raise Busy(f"channel {channel} runs something", instrument=self._context.name)
        return Handle(token, str(channel), self._now())

    def _channel(self, handle: Handle) -> Any:
        return self._device.channel(int(handle.place))

    async def poll(self, handle: Handle) -> Progress:
        """Look; the end is known exactly, and noticed as in a live laboratory."""
        look = self._channel(handle).look()
        values = {
            "voltage_V": look.voltage,
            "current_A": look.current,
            "capacity_C": look.charge,
            "test_time_s": look.clock,
        }
        message = "suspended" if look.state == "suspended" else "a limit of the channel" if look.end == "unsafe" else ""
        left = None if look.left is None else math.ceil(look.left / _NOTICED) * _NOTICED - 0.5
        return Progress(_STATES[look.state], message, left, values)

    async def fetch(self, handle: Handle, folder: Path) -> Fetched:
        """Tell how it ended; no files."""
        look = self._channel(handle).look()
        return Fetched(
            (),
            summary={
                "end": look.end,
                "records": look.records,
                "first_record": 1,
                "last_record": look.records,
                "capacity_C": look.charge,
                "voltage_V": look.voltage,
                "duration_s": look.clock,
                "integrated_C": look.moved,
                "current_A": 0.0,
            },
        )

    async def abort(self, handle: Handle) -> None:
        """To open circuit."""
        if self._channel(handle).token == handle.token:
            self._channel(handle).open()

    async def suspend(self, handle: Handle) -> None:
        """Interrupt."""
        self._channel(handle).suspend()

    async def resume(self, handle: Handle) -> None:
        """Go on."""
        self._channel(handle).resume()

    async def find(self, token: str) -> Handle | None:
        """Find a program on a channel."""
        channel = self._device.on(token)
        return None if channel is None else Handle(token, str(channel), self._now())

    async def reading(self, channel: int) -> Reading:
        """Read a channel."""
        look = self._device.channel(channel).look()
        return Reading(look.clock, look.voltage, look.current)

    async def channels(self) -> Mapping[int, str]:
        """Nobody asks for words in a plan."""
        return {}


def _step(device: Any, step: CyclerStep) -> Any:
    """Give a step in the tester's own form."""
    ways = [(end.what, end.above, end.value, end.held) for end in step.ends if end.what != "temperature"]
    return device.step(step.mode.value, step.current, step.voltage, ways, step.record_every, step.record_voltage_step)
