"""What people and their scripts can do with a tester beside running programs: direct mode, flags, variables, restarts.

Nothing here is used by a campaign, and nothing here touches a channel on which somebody else's test runs: every order
names the test that it is for. Channels are counted from 1.

    async with ManualControl.at(context) as tester:
        async with tester.direct(5, "look-1", Output(Mode.DISCHARGE, current=6e-4, voltage=3.0), safety) as channel:
            await channel.set(Output(Mode.DISCHARGE, current=1e-4, voltage=3.0))
            await channel.rest()
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from labctl.instruments.common import DriverContext, Identity
from labctl.instruments.cycler import SafetyLimits
from labctl.instruments.faults import Busy, OutOfRange, Refused
from labctl_drivers.maccor import codes
from labctl_drivers.maccor.answers import VARIABLES, EndStatus, Memory, flags
from labctl_drivers.maccor.channels import ARCHIVE, RESET, Channels, same
from labctl_drivers.maccor.direct import DirectMode, Output
from labctl_drivers.maccor.session import Session
from labctl_drivers.maccor.starting import START_DEFAULTS, launch, limits, order
from labctl_drivers.maccor.station import ChannelSpec, Settings, limits_message

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,25}\Z")
#: The shortest time of a watchdog, s, that a line with a time-out of 2 s could be kept inside of.
_SHORTEST_WATCHDOG: Final = 2.0
#: Variables are single precision.
_LARGEST: Final = 3.4e38
#: A set value or a limit in multiples of what the start calls 1C.
_C_RATE: Final = re.compile(rb"<(StepValue|Current|Value)>[^<]*C</")
#: Most records that an advanced start can take off the end of an archived test.
_REMOVABLE: Final = 20


@dataclass(frozen=True, slots=True)
class AdvancedStart:
    """A start in the middle of a procedure, or the restart of an archived test, (6,13).

    Attributes
    ----------
    test, procedure : str
        Names of the test and of its procedure on the tester.
    options : int
        Bitmap, as the vendor's manual lists it; labctl does not interpret it.
    archived : str
        Name of the archived test to go on with, empty for none.
    remove_records : int
        How many of its last records are dropped, 20 at most.
    test_time, step_time : float
        Where the test's clocks begin, s; -1 for what the tester makes of it, as for all that follow.
    step, cycle : int
        Where it begins.
    loops : tuple of int
        Remaining passes of loops 1 to 4.
    capacity, energy : float
        Ah and Wh with which it begins.
    one_c : float or None
        What the procedure's C-rates refer to, A; None for a procedure without any.
    """

    test: str
    procedure: str
    options: int = 0
    archived: str = ""
    remove_records: int = 0
    test_time: float = -1.0
    step_time: float = -1.0
    step: int = -1
    cycle: int = -1
    loops: tuple[int, int, int, int] = (-1, -1, -1, -1)
    capacity: float = -1.0
    energy: float = -1.0
    one_c: float | None = None

    def told(self) -> dict[str, Any]:
        """Give the members of (6,13) that a plain start has not."""
        return {
            "Options": self.options,
            "ArchivedTestName": self.archived,
            "RemoveLastDataRecords": self.remove_records,
            "TestTime": self.test_time,
            "StepTime": self.step_time,
            "TestStep": self.step,
            "Cycle": self.cycle,
            **{f"RemainingLoop{number}": left for number, left in enumerate(self.loops, start=1)},
            "Capacity": self.capacity,
            "Energy": self.energy,
        }


class ManualControl:
    """A tester in the hands of a person.

    Parameters
    ----------
    context : DriverContext
        As for the driver; its settings are the tester's entry in the station file.
    """

    def __init__(self, context: DriverContext) -> None:
        self._context = context
        self._settings = Settings.read(context)
        self._session = Session(context, self._settings)
        self._channels = Channels(context, self._session, self._settings.channels, self._settings.temperature)

    @classmethod
    @asynccontextmanager
    async def at(cls, context: DriverContext) -> AsyncIterator[ManualControl]:
        """Connect for the time of a block. Raises ``NotReachable`` or ``NotIdentified``."""
        control = cls(context)
        await control.connect()
        try:
            yield control
        finally:
            await control.close()

    async def connect(self) -> Identity:
        """Connect both ports and identify, within 5 s. Raises ``NotReachable`` or ``NotIdentified``."""
        return await self._session.connect()

    async def close(self) -> None:
        """Disconnect; what runs goes on."""
        await self._session.close()

    async def log_out(self) -> None:
        """Log out, (8,2); on some testers that may hold for every program on this PC. Raises ``Refused``."""
        await self._session.log_out()

    async def spec(self, channel: int) -> ChannelSpec:
        """What a channel can do, (3,1)."""
        return await self._channels.spec(channel)

    async def memory(self, channel: int) -> Memory:
        """Global flags, and the variables of a channel, (4,8)."""
        return await self._session.ask_as(Memory.read, 4, 8, Chan=self._channels.wire(channel))

    async def end_status(self, channel: int) -> EndStatus:
        """At which End step the test of a channel ended, (4,10)."""
        return await self._channels.end_status(channel)

    async def set_flags(self, wanted: int) -> None:
        """Set the 32 global flags, (5,1), which every procedure on the tester can see.

        Raises
        ------
        OutOfRange
            Not 32 bits.
        Refused
            They did not read back as they were sent.
        """
        if not 0 <= wanted <= 0xFFFFFFFF:
            raise self._channels.fault(OutOfRange, f"global flags are 32 bits, {wanted:#x} is not")
        sent = f"0x{wanted:08X}"
        back = await self._session.ask_as(lambda reply: flags(reply, "New GlobFlags", "(5,1)"), 5, 1, GlobFlags=sent)
        if back != wanted:
            raise self._channels.fault(Refused, f"global flags were sent as {sent} and read back as 0x{back:08X}")

    async def set_variable(self, channel: int, token: str, number: int, value: float) -> None:
        """Set VAR1 to VAR15 of the channel on which test ``token`` is, (6,9), and read it back.

        Raises
        ------
        Busy
            Another test is there.
        OutOfRange
            There is no such variable, or the value is beyond single precision.
        Refused
            In the tester's words, or it did not read back to single precision.
        """
        if not 1 <= number <= VARIABLES:
            raise self._channels.fault(OutOfRange, f"VAR{number}: variables are VAR1 to VAR{VARIABLES}")
        if not abs(value) < _LARGEST:
            raise self._channels.fault(OutOfRange, f"VAR{number}: {value:g} is no number of single precision")
        await self._belongs(channel, token)
        wire = self._channels.wire(channel)
        reply = await self._session.ask(6, 9, Chan=wire, VarNum=number, Value=value)
        if (words := codes.refusal(reply.get("Result"), codes.COMMAND)) is not None:
            raise self._channels.fault(Refused, f"channel {channel}: VAR{number} declined: {words}")
        back = (await self.memory(channel)).variables[number - 1]
        if not same(back, value):
            raise self._channels.fault(
                Refused, f"channel {channel}: VAR{number} was sent as {value:g} and read back as {back:g}"
            )

    async def reset(self, channel: int, token: str) -> None:
        """Stop test ``token`` and clear its channel, (6,5), and see that it is idle.

        Raises
        ------
        Busy
            Another test is there.
        Refused
            The channel does not become idle.
        """
        await self._belongs(channel, token)
        await self._channels.act(channel, token, RESET, codes.IDLE, "reset")

    async def archive(self, channel: int, token: str) -> None:
        """Clear the completed test ``token`` from its channel, (6,6). Raises as :meth:`reset`."""
        await self._belongs(channel, token)
        state = await self._channels.clear_state(channel)
        if state.status in codes.RUNNING or state.status == codes.SUSPENDED:
            word = codes.status_word(state.status)
            raise self._channels.fault(Busy, f"channel {channel} is {word} with test '{token}': only a completed one")
        await self._channels.act(channel, token, ARCHIVE, codes.IDLE, "be archived")

    async def advanced_start(self, channel: int, start: AdvancedStart, safety: SafetyLimits, comment: str = "") -> None:
        """Start in the middle of a procedure, or go on with an archived test, (6,13); safety limits are set before.

        Raises
        ------
        Busy
            The channel is not free.
        OutOfRange
            More than 20 records are to be removed, limits beyond the channel, or C-rates that refer to nothing.
        Refused
            In the tester's words, or the limits did not read back.
        """
        if not 0 <= start.remove_records <= _REMOVABLE:
            raise self._channels.fault(
                OutOfRange, f"{start.remove_records} records to remove; the tester removes {_REMOVABLE} at most"
            )
        spec = await self._sensible(channel, safety)
        if start.one_c is None and _C_RATE.search(await self._session.get_file(f"{start.procedure}.000")):
            raise self._channels.fault(
                OutOfRange, f"procedure {start.procedure} has C-rates, and nobody says what current 1C is"
            )
        await self._free(channel)
        await self._channels.set_limits(channel, limits(safety, spec))
        told = order(self._channels.wire(channel), start.test, comment, start.one_c or 1.0)
        told |= {"ProcName": start.procedure, **START_DEFAULTS, **start.told()}
        await launch(
            self._context,
            self._session,
            self._channels,
            start.test,
            channel,
            told,
            number=13,
            texts=codes.ADVANCED,
            restart=bool(start.archived),
        )

    @asynccontextmanager
    async def direct(
        self, channel: int, name: str, first: Output, safety: SafetyLimits, record_every: float = 1.0
    ) -> AsyncIterator[DirectMode]:
        """Hold a channel in direct mode for the time of a block; whatever ends the block, the channel ends at rest.

        Parameters
        ----------
        channel : int
            From 1; it must be free.
        name : str
            Of the test that direct mode runs as, new to the tester.
        first : Output
            What it begins with; set points that are not used now can't be used later.
        safety : SafetyLimits
            Set on the channel, and read back, before.
        record_every : float
            Seconds between records.

        Raises
        ------
        Busy
            The channel is not free.
        OutOfRange
            Beyond the channel.
        Refused
            The station file does not confirm the tester's watchdog, or the tester declines.
        """
        watchdog = self._watchdog()
        if not _NAME.match(name) or await self._channels.knows(name, channel):
            raise self._channels.fault(Refused, f"'{name}' is no new test name of at most 25 letters, digits, - and _")
        spec = await self._sensible(channel, safety)
        if (mistake := first.mistake(spec)) is not None:
            raise self._channels.fault(OutOfRange, f"channel {channel}: {mistake}")
        told = first.told(spec)
        await self._free(channel)
        await self._channels.set_limits(channel, limits(safety, spec))
        mode = DirectMode(self._context, self._session, self._channels, channel, name, spec)
        told |= {"Chan": self._channels.wire(channel), "TestName": name}
        told |= {"DataTime": record_every, "DataV": 0.0, "DataI": 0.0}
        keeper: asyncio.Task[None] | None = None
        try:
            await launch(
                self._context, self._session, self._channels, name, channel, told, number=7, texts=codes.DIRECT_START
            )
            mode.begin(first)
            keeper = asyncio.create_task(mode.keep(watchdog))
            yield mode
        finally:
            # Also where the start itself was interrupted: its order may have arrived.
            await mode.leave(keeper)

    def _watchdog(self) -> float:
        if self._session.system_type != 0:
            raise self._channels.fault(
                Refused, f"direct mode is for laboratory systems; this tester is of type {self._session.system_type}"
            )
        watchdog = self._settings.watchdog
        if watchdog is None:
            raise self._channels.fault(
                Refused,
                "direct mode needs the tester's watchdog, and nobody has confirmed it",
                hint="set MacNetDirectModeWD in the tester's System.ini, restart MacTest, then give "
                "'direct_mode_watchdog: 10 s' in its entry",
            )
        if watchdog < _SHORTEST_WATCHDOG:
            raise self._channels.fault(
                Refused, f"a watchdog of {watchdog:g} s is too short to be kept; {_SHORTEST_WATCHDOG:g} s at least"
            )
        return watchdog

    async def _sensible(self, channel: int, safety: SafetyLimits) -> ChannelSpec:
        spec = await self._channels.spec(channel)
        if (beyond := limits_message(spec, safety)) is not None:
            raise self._channels.fault(OutOfRange, f"channel {channel}: {beyond}")
        return spec

    async def _free(self, channel: int) -> None:
        state = await self._channels.clear_state(channel)
        if state.status not in codes.IDLE:
            name = await self._channels.name(channel)
            raise self._channels.fault(
                Busy, f"channel {channel} is {codes.status_word(state.status)} with test '{name}'"
            )

    async def _belongs(self, channel: int, token: str) -> None:
        if not await self._channels.owns(channel, token):
            name = await self._channels.name(channel)
            raise self._channels.fault(Busy, f"channel {channel} has test '{name}', not '{token}'")
