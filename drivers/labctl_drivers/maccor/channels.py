"""What a tester says of its channels, and the orders on a test that runs there; over one :class:`Session`.

Here is the border between channels counted from 1, as people and the station file count, and the tester's own count
from 0: nothing above this module knows of the tester's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from labctl.errors import InstrumentError
from labctl.instruments.common import DriverContext
from labctl.instruments.faults import CannotSay, Garbled, OutOfRange, Refused
from labctl_drivers.maccor import answers, codes
from labctl_drivers.maccor.readings import ChannelState, statuses, test_name, truth
from labctl_drivers.maccor.session import ATTEMPTS, LINE_FAULTS, Session
from labctl_drivers.maccor.station import ChannelSpec

#: Pauses, real s, between looks at a channel that was told to change its state.
LOOKS: Final = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0)
#: Pauses, real s, before a channel whose state means nothing is looked at again.
_AGAIN: Final = (0.5, 2.0)
#: Most channels in one question about several.
_SEVERAL: Final = 128
#: What (3,1) tells of a channel and (6,10) sets.
LIMITS: Final = ("VSafeMax", "VSafeMin", "ISafeChg", "ISafeDis", "PBatSafeChg", "PBatSafeDis")
#: Relative tolerance of a read-back: the tester stores single precision.
SINGLE: Final = 1e-6

SUSPEND: Final = 3
RESUME: Final = 4
RESET: Final = 5
ARCHIVE: Final = 6


class Channels:
    """The channels that the station gave us.

    Parameters
    ----------
    context : DriverContext
        Name, clock and log.
    session : Session
        The connection to the tester.
    ours : sequence of int
        Their numbers, from 1.
    temperature : int or None
        Which auxiliary input of a channel measures the temperature of its cell, from 1.
    """

    def __init__(
        self, context: DriverContext, session: Session, ours: Sequence[int], temperature: int | None = None
    ) -> None:
        self._context = context
        self._session = session
        self._ours = frozenset(ours)
        self._highest = max(ours)
        self._input = temperature
        self._specs: dict[int, ChannelSpec] = {}
        self._offsets: dict[int, float] = {}

    def wire(self, channel: int) -> int:
        """Give the tester's own number of a channel. Raises ``OutOfRange`` for one that is not ours."""
        if channel not in self._ours:
            raise self.fault(OutOfRange, f"channel {channel} is not one that the station gave us")
        return channel - 1

    async def state(self, channel: int) -> ChannelState:
        """What a channel says of itself, (4,7)."""
        return await self._session.ask_as(ChannelState.read, 4, 7, Chan=self.wire(channel))

    async def sure_state(self, channel: int, believed: frozenset[int] = frozenset()) -> ChannelState:
        """As :meth:`state`, with ``Stat`` and last record seen twice in a row, as one digit may have been wrong.

        Parameters
        ----------
        believed : frozenset of int
            Those that one look is enough for.
        """
        state = await self.state(channel)
        for _ in range(ATTEMPTS):
            if state.status in believed:
                break
            before, state = state, await self.state(channel)
            if (state.status, state.last_record) == (before.status, before.last_record):
                break
        return state

    async def clear_state(self, channel: int) -> ChannelState:
        """As :meth:`sure_state`, where the state is one of those that mean something for the cell.

        That a test runs is believed at once: whoever thinks so has another look later.

        Raises
        ------
        CannotSay
            After three tries the channel is still in a state of which nobody knows whether current flows.
        """
        state = await self.sure_state(channel, codes.RUNNING)
        for pause in _AGAIN:
            if state.status in codes.CLEAR:
                return state
            await asyncio.sleep(self._context.clock.patience(pause))
            state = await self.sure_state(channel, codes.RUNNING)
        if state.status in codes.CLEAR:
            return state
        raise self.fault(
            CannotSay,
            f"channel {channel} is {codes.status_word(state.status)}: whether its test runs, the tester does not say",
            hint="look at the channel on the tester's screen",
        )

    async def name(self, channel: int) -> str:
        """Name of the test on a channel, empty where there is none, (4,6)."""
        return await self._session.ask_as(test_name, 4, 6, Chan=self.wire(channel))

    async def owns(self, channel: int, token: str) -> bool:
        """Whether the test on a channel is ``token``."""
        # Twice, as a name that arrived mangled must not pass for another test's.
        return await self.name(channel) == token or await self.name(channel) == token

    async def archived(self, token: str) -> bool:
        """Whether the tester's archive has a test of this name, (1,4)."""
        return await self._session.ask_as(lambda reply: truth(reply, "TestNameExists"), 1, 4, TestName=token)

    async def knows(self, token: str, channel: int) -> bool:
        """Whether a test of this name is on the channel, or in the archive."""
        return await self.name(channel) == token or await self.archived(token)

    async def spec(self, channel: int) -> ChannelSpec:
        """What a channel can do, (3,1); asked once."""
        if channel not in self._specs:
            self._specs[channel] = await self._session.ask_as(ChannelSpec.read, 3, 1, Chan=self.wire(channel))
        return self._specs[channel]

    async def statuses(self) -> Mapping[int, int]:
        """``Stat`` of every channel that is ours, (4,1)."""
        found: list[int] = []
        for first in range(0, self._highest, _SEVERAL):
            count = min(_SEVERAL, self._highest - first)
            found += await self._session.ask_as(partial(statuses, count=count), 4, 1, Chan=first, Len=count)
        return {channel: found[channel - 1] for channel in sorted(self._ours)}

    async def end_status(self, channel: int) -> answers.EndStatus:
        """At which End step a test ended, (4,10)."""
        return await self._session.ask_as(answers.EndStatus.read, 4, 10, Chan=self.wire(channel))

    async def temperature(self, channel: int) -> float | None:
        """Temperature of the cell in K, where the station says which auxiliary input measures it, (4,4) and (4,5).

        Raises
        ------
        Refused
            The tester does not know that input as a temperature.
        Garbled
            It is not told as a number.
        """
        index = self._input
        if index is None:
            return None
        if channel not in self._offsets:
            self._offsets[channel] = await self._offset(channel, index)
        reply = await self._session.ask(4, 4, Chan=self.wire(channel))
        # Read outside the exchange: a thermocouple that came off is no reason to distrust the line.
        try:
            return answers.auxiliary(reply, index) + self._offsets[channel]
        except Garbled as fault:
            hint = f"is the thermocouple of channel {channel} connected?"
            raise self.fault(Garbled, f"channel {channel}: {fault.message}", hint) from fault

    async def _offset(self, channel: int, index: int) -> float:
        units = await self._session.ask_as(answers.auxiliary_units, 4, 5, Chan=self.wire(channel))
        unit = units[index - 1] if index <= len(units) else None
        offset = None if unit is None else answers.kelvin_offset(unit)
        if offset is None:
            tells = "has no such input" if unit is None else f"tells it in '{unit}'"
            raise self.fault(
                Refused,
                f"channel {channel}: auxiliary input {index} should be the cell's temperature, the tester {tells}",
                hint="'temperature: {aux: N}' of the station file counts the channel's inputs from 1",
            )
        return offset

    async def act(
        self, channel: int, token: str, number: int, goal: frozenset[int] | set[int], verb: str, *, looked: bool = False
    ) -> None:
        """Give order (6,``number``) until the channel is where it should be, or is not ``token``'s any more.

        Parameters
        ----------
        looked : bool
            Whether the caller has just seen twice that the channel is not there yet, and that it is ``token``'s.

        Raises
        ------
        Refused
            It is not, after three orders.
        """
        words: str | None = None
        for attempt in range(ATTEMPTS):
            if attempt or not looked:
                state = await self.sure_state(channel)
                if state.status in goal or not await self.owns(channel, token):
                    return
            try:
                reply = await self._session.command(6, number, Chan=self.wire(channel))
                words = codes.refusal(reply.get("Result"), codes.COMMAND)
            except LINE_FAULTS as fault:
                self._session.survived(fault)
            for pause in LOOKS:
                await asyncio.sleep(self._context.clock.patience(pause))
                if (state := await self.sure_state(channel)).status in goal:
                    return
                if words is not None:
                    break
        said = f" ('{words}')" if words else ""
        raise self.fault(Refused, f"channel {channel} does not {verb}: it is {codes.status_word(state.status)}{said}")

    async def set_limits(self, channel: int, sent: Mapping[str, float]) -> dict[str, float]:
        """Set the six limits that the channel itself watches, (6,10), and give them as they read back.

        Parameters
        ----------
        sent : mapping
            ``VSafeMax``, ``VSafeMin`` (V), ``ISafeChg``, ``ISafeDis`` (A, both positive), ``PBatSafeChg``,
            ``PBatSafeDis`` (W).

        Raises
        ------
        Refused
            One is not what was sent, to single precision.
        """
        reply = await self._session.ask(6, 10, Chan=self.wire(channel), **{key: sent[key] for key in LIMITS})
        back: dict[str, float] = {}
        for key in LIMITS:
            echo = reply.get(key)
            if echo is None or not same(echo, sent[key]):
                raise self.fault(
                    Refused,
                    f"channel {channel}: safety limit {key} was sent as {sent[key]:g} and read back as {echo}",
                )
            back[key] = float(echo)
        return back

    def fault(self, kind: type[InstrumentError], message: str, hint: str | None = None) -> InstrumentError:
        """Make a fault that names instrument and address."""
        return self._session.fault(kind, message, hint)


def same(echo: Any, sent: float) -> bool:
    """Whether a value read back is the one that was sent, to single precision; what is no number never is."""
    if isinstance(echo, bool) or not isinstance(echo, (int, float)):
        return False
    return abs(echo - sent) <= SINGLE * abs(sent)
