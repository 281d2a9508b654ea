"""Direct mode: a person at the controls of one channel, with the tester's watchdog and a way out that ends at rest.

Facts: set points limit each other; one outside the channel's range is ignored; one that was not active at the start
can't be used later, and at most three of the four are active; 100 ms lie between two commands. Mode ``R`` does not work
on the JSON port, as a published client found, and goes over the binary port, whose packet is known byte by byte.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from typing import Any, Final

from labctl.errors import InstrumentError
from labctl.instruments.common import DriverContext
from labctl.instruments.cycler import Mode
from labctl.instruments.faults import OutOfRange, Refused
from labctl_drivers.maccor import codes
from labctl_drivers.maccor.channels import RESET, SUSPEND, Channels
from labctl_drivers.maccor.readings import ChannelState
from labctl_drivers.maccor.session import LINE_FAULTS, Session
from labctl_drivers.maccor.station import ChannelSpec

#: Seconds between two commands, by the tester's own clock, with a little to spare over its 100 ms.
_APART: Final = 0.11
#: Updates within one time of the watchdog.
_UPDATES: Final = 4
#: How often a command that came too early is given again.
_PATIENCE: Final = 20
#: A set point beyond every range is ignored by the tester; a resistance is ignored at 0.
_IGNORED: Final = 65536.0
_MODES: Final = {Mode.CHARGE: "C", Mode.DISCHARGE: "D"}
_REST: Final = struct.Struct("<ffffBB")
_RF1_REST: Final = 4


@dataclass(frozen=True, slots=True)
class Output:
    """What a channel is to put out; whichever set point is reached first regulates.

    Attributes
    ----------
    mode : Mode
        ``CHARGE`` or ``DISCHARGE``.
    current, voltage, power, resistance : float or None
        A, V, W and Ω, all positive; None is not used. At most three are given.
    """

    mode: Mode
    current: float | None = None
    voltage: float | None = None
    power: float | None = None
    resistance: float | None = None

    def active(self) -> frozenset[str]:
        """Names of the set points that are used."""
        points = {"current": self.current, "voltage": self.voltage, "power": self.power, "resistance": self.resistance}
        return frozenset(name for name, value in points.items() if value is not None)

    def mistake(self, spec: ChannelSpec) -> str | None:
        """Say what makes this no output of a channel, if something does."""
        if self.mode not in _MODES:
            return f"direct mode charges or discharges, it does not {self.mode.value}; rest has a command of its own"
        if not 1 <= len(self.active()) <= 3:
            return "direct mode has one to three of current, voltage, power and resistance"
        magnitudes = (("current", self.current), ("power", self.power), ("resistance", self.resistance))
        for name, value in magnitudes:
            if value is not None and not 0 < value < _IGNORED:
                return f"a {name} of {value:g} is none: set points are above zero, the mode is the direction"
        if self.current is None:
            return "direct mode without a current has no range to be in"
        if self.voltage is not None and not spec.voltage_min <= self.voltage <= spec.voltage_max:
            return f"{self.voltage:g} V is outside the channel's {spec.voltage_min:g} to {spec.voltage_max:g} V"
        return None

    def told(self, spec: ChannelSpec) -> dict[str, Any]:
        """Give the members of (6,7) and (6,8). Raises ``OutOfRange`` for a current beyond the channel."""
        return {
            "Current": _IGNORED if self.current is None else self.current,
            "Voltage": _IGNORED if self.voltage is None else self.voltage,
            "Power": _IGNORED if self.power is None else self.power,
            "Resistance": 0.0 if self.resistance is None else self.resistance,
            "CurrentRange": int(spec.scale(self.current or 0.0)),
            "ChMode": _MODES[self.mode],
        }


class DirectMode:
    """A channel in direct mode; made by ``ManualControl.direct``, which also leaves it.

    While it lasts, the last command is repeated well inside the watchdog's time, so that the tester suspends the
    channel by itself should this program, its PC or the network be gone.
    """

    def __init__(
        self, context: DriverContext, session: Session, channels: Channels, channel: int, token: str, spec: ChannelSpec
    ) -> None:
        self._context = context
        self._session = session
        self._channels = channels
        self._spec = spec
        self._usable: frozenset[str] = frozenset()
        self._told: dict[str, Any] | None = None
        self._scale = 1
        self._next = 0.0
        self._lock = asyncio.Lock()
        self._leaving = asyncio.Event()
        self._broken: InstrumentError | None = None
        self.channel = channel
        self.token = token

    def begin(self, first: Output) -> None:
        """Take note of what the start, (6,7), told."""
        self._usable = first.active()
        self._told = first.told(self._spec)
        self._scale = self._told["CurrentRange"]
        self._next = asyncio.get_running_loop().time() + _APART

    async def set(self, output: Output) -> None:
        """Put out something else, (6,8).

        Raises
        ------
        OutOfRange
            Beyond the channel, or a set point that was not used at the start.
        Refused
            In the tester's words; also where it has ended direct mode, such as by the watchdog.
        """
        if (mistake := output.mistake(self._spec)) is not None:
            raise self._channels.fault(OutOfRange, f"channel {self.channel}: {mistake}")
        if new := output.active() - self._usable:
            raise self._channels.fault(
                OutOfRange,
                f"channel {self.channel}: {min(new)} was not used at the start, so the tester ignores it now",
            )
        self._raise_broken()
        told = output.told(self._spec)
        async with self._lock:
            await self._order(told)
            self._told = told
            self._scale = told["CurrentRange"]

    async def rest(self) -> None:
        """Let no current flow, still in direct mode, and see that it is so.

        Raises
        ------
        Refused
            The tester declines, or the channel does not say that it rests.
        """
        self._raise_broken()
        async with self._lock:
            await self._order(None)
            self._told = None
        state = await self.look()
        if state.status in codes.RUNNING and state.doing != _RF1_REST:
            raise self._channels.fault(
                Refused, f"channel {self.channel} was told to rest, and does not: it draws {state.current:g} A"
            )

    async def look(self) -> ChannelState:
        """What the channel says of itself."""
        return await self._channels.state(self.channel)

    async def keep(self, watchdog: float) -> None:
        """Repeat the last command well inside ``watchdog`` seconds until :meth:`leave`."""
        while not self._leaving.is_set():
            try:
                async with asyncio.timeout(watchdog / _UPDATES):
                    await self._leaving.wait()
            except TimeoutError:
                await self._update()
            if self._broken is not None:
                return

    async def _update(self) -> None:
        async with self._lock:
            try:
                await self._order(self._told)
            except LINE_FAULTS as fault:
                # The watchdog is what this is for: should it stay so, the tester suspends the channel.
                self._session.survived(fault)
            except InstrumentError as fault:
                self._broken = fault

    def _raise_broken(self) -> None:
        if self._broken is not None:
            raise self._broken

    async def leave(self, keeper: asyncio.Task[None] | None) -> None:
        """End at rest: no current, then suspended, then reset, each seen to be so; the records stay.

        Raises
        ------
        InstrumentError
            The channel could not be seen to be without current. The tester's watchdog then suspends it.
        """
        self._leaving.set()
        if keeper is not None:
            # Whatever became of it, the channel is to be opened.
            await asyncio.wait((keeper,))
            await self._try_to_rest()
        state = await self._channels.sure_state(self.channel)
        if state.status in codes.IDLE or not await self._channels.owns(self.channel, self.token):
            return
        if state.status in codes.RUNNING:
            goal = {codes.SUSPENDED, codes.COMPLETED, codes.PROBLEM}
            await self._channels.act(self.channel, self.token, SUSPEND, goal, "suspend")
        await self._channels.act(self.channel, self.token, RESET, codes.IDLE, "reset")

    async def _try_to_rest(self) -> None:
        try:
            async with self._lock:
                await self._order(None)
        except InstrumentError as fault:
            # Opening the channel is what counts; the command to rest is only the gentler way there.
            self._context.log.warning("direct mode left without a rest", channel=self.channel, why=fault.message)

    async def _order(self, told: dict[str, Any] | None) -> None:
        """Give one command, not before its time; a rest where nothing is told."""
        loop = asyncio.get_running_loop()
        words: str | None = None
        for _ in range(_PATIENCE):
            await asyncio.sleep(max(0.0, self._next - loop.time()))
            try:
                words = codes.refusal(await self._result(told), codes.DIRECT_OUTPUT)
            finally:
                # Counted from the answer: the tester has had the command before it.
                self._next = loop.time() + _APART
            if words is None:
                return
            if codes.TOO_FAST not in words.lower() and codes.NOT_READY not in words.lower():
                break
        raise self._channels.fault(Refused, f"channel {self.channel}: direct output declined: {words}")

    async def _result(self, told: dict[str, Any] | None) -> Any:
        wire = self._channels.wire(self.channel)
        # Giving the same output twice does no harm, so a lost answer is asked for again.
        if told is not None:
            return (await self._session.ask(6, 8, Chan=wire, **told)).get("Result")
        payload = _REST.pack(0.0, 0.0, 0.0, 0.0, self._scale, ord("R"))
        reply = await self._session.ask_binary(6, 8, wire, payload)
        return int.from_bytes(reply[:2], "little") if reply else None
