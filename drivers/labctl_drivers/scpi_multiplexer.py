"""Relay multiplexers of the Keysight 34970A family by SCPI: which leads reach which cell.

Break before make is not left to the instrument, which does not promise an order within one command: everything is
opened, read back as open, given time to settle, and only then one relay is closed and read back. The read-back is the
firmware's memory, not the contact's: what the cell's own voltage says afterwards is the engine's to check.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from labctl.errors import InstrumentError
from labctl.instruments import (
    DriverContext,
    Garbled,
    Hiccup,
    Identity,
    Inspection,
    NotIdentified,
    NotReachable,
    OutOfRange,
    Refused,
    TimedOut,
    VendorAlarm,
)
from labctl_drivers.link import ATTEMPTS, Link
from labctl_drivers.visa_line import VisaLine, where

#: Seconds between the last relay that opened and the first that closes.
SETTLE: Final = 0.03
#: How many entries of the error queue are read at most; the instruments keep 10 to 30.
LONGEST_QUEUE: Final = 50

MODELS: Final = ("34970A", "34972A", "DAQ970A")
#: Channels of a slot, by module: twenty actuators, or a matrix of four rows and eight columns.
MODULES: Final = {
    "34903A": frozenset(range(1, 21)),
    "34904A": frozenset(10 * row + column for row in range(1, 5) for column in range(1, 9)),
}
_SLOTS: Final = (1, 2, 3)

_IDENTITY = re.compile(r"([^,]*),([^,]*),([^,]*),(.*)")
_ERROR = re.compile(r"([+-]?\d+),(.*)")
_DONE = re.compile(r"1")
_SWITCH = re.compile(r"[01]")
_OFF_AND_ERROR = re.compile(r'[+-]?([01]);([+-]?\d+,".*")')


class ScpiMultiplexer:
    """A switch unit with relays by channel number, such as 101: slot 1, channel 01.

    Parameters
    ----------
    context : DriverContext
        Settings: ``address`` (``TCPIP::host::port::SOCKET``), ``model`` (``34970A``, ``34972A``, ``DAQ970A``),
        ``module`` (``34903A`` actuators or ``34904A`` matrix; both exist for the DAQ970A too).
    """

    role = "multiplexer"
    #: Distributions that it needs beyond labctl's own code.
    needs = ("pyvisa", "pyvisa-py")

    def __init__(self, context: DriverContext) -> None:
        settings = context.settings
        self._context = context
        self._address = str(settings["address"])
        self._model = str(settings.get("model", MODELS[0]))
        module = str(settings.get("module", "34903A"))
        if "::" not in self._address:
            message = f"address: '{self._address}' is no VISA address"
            raise InstrumentError(message, instrument=context.name, hint="such as TCPIP::192.0.2.13::5025::SOCKET")
        if self._model not in MODELS:
            message = f"model: '{self._model}' is unknown"
            raise InstrumentError(message, instrument=context.name, hint=f"one of {', '.join(MODELS)}")
        if module not in MODULES:
            message = f"module: '{module}' is unknown"
            raise InstrumentError(message, instrument=context.name, hint=f"one of {', '.join(MODULES)}")
        self._module = module
        self._link = Link(context, where(self._address), VisaLine(context, self._address), self._identify)
        self._turn = asyncio.Lock()
        self._identity: tuple[str, ...] = ("", "", "", "")
        self._recall = ""

    async def connect(self) -> Identity:
        """Connect, identify, and make sure that no relay closes by itself when power returns.

        Raises
        ------
        NotReachable, NotIdentified
            With the address.
        Refused
            Power-fail recall is on and can't be switched off.
        """
        async with self._turn:
            await self._link.connect()
        vendor, model, serial, firmware = self._identity
        details = {"power_fail_recall": self._recall, "module": self._module}
        return Identity(vendor, model, "" if serial == "0" else serial, firmware, where(self._address), details)

    async def inspect(self, *, exercise: bool) -> Inspection:
        """Tell closed relays, wear and recall; with ``exercise``, one free relay moved and put back."""
        from labctl_drivers.scpi_inspection import inspect

        return await inspect(self, self._context, self._recall, exercise=exercise)

    async def wear(self, relays: Collection[int]) -> dict[int, int]:
        """How often each relay has switched in its life; empty where the unit does not tell.

        Raises
        ------
        OutOfRange
            A relay that the unit does not have.
        """
        wanted = self._checked(relays)
        if not wanted:
            return {}
        counts = re.compile(rf"(?:[+-]?\d+, ?){{{len(wanted) - 1}}}[+-]?\d+")
        async with self._turn:
            try:
                answer = (await self._link.ask(f"DIAG:REL:CYCL? {_list(wanted)}", counts, repeat=False))[0]
            except (TimedOut, Garbled):
                return {}
        return {relay: int(count) for relay, count in zip(wanted, answer.split(","), strict=True)}

    async def closed(self, relays: Collection[int]) -> frozenset[int]:
        """Which of ``relays`` are closed, by read-back; seen twice, because the wire has no checksum.

        Raises
        ------
        Garbled
            No two looks in a row agree.
        OutOfRange
            A relay that the unit does not have.
        Refused
            The instrument does not have it either.
        """
        wanted = self._checked(relays)
        if not wanted:
            return frozenset()
        async with self._turn:
            return await self._seen_twice(wanted)

    async def switch(self, close: int | None, group: Collection[int]) -> None:
        """Open all of ``group``, verify, then close one of it (or none), verify: break before make.

        Raises
        ------
        OutOfRange
            A relay that the unit does not have, or ``close`` outside ``group``. Nothing was sent.
        Refused
            The instrument's error queue says so, in its own words.
        VendorAlarm
            The relays did not read back as commanded; all of the group was opened.
        """
        relays = self._checked(group)
        if close is not None and close not in relays:
            raise self._link.fault(OutOfRange, f"relay {close} is not one of the group {_list(relays)}")
        if not relays:
            return
        async with self._turn:
            for attempt in range(1, ATTEMPTS + 1):
                await self._open(relays)
                if close is None:
                    return
                await asyncio.sleep(SETTLE)
                try:
                    # Not repeated by the link: whether the relay closed is asked first.
                    await self._link.ask(f"ROUT:CLOS {_list([close])};*OPC?", _DONE, repeat=False)
                except (NotReachable, TimedOut, Garbled) as fault:
                    if attempt == ATTEMPTS:
                        raise
                    if await self._state(relays) == {close}:
                        self._link.survived(fault)
                        return
                    self._link.survived(fault)
                    continue
                await self._verify(relays, frozenset({close}))
                return

    async def close(self) -> None:
        """Leave the relays as they are, and close the session."""
        await self._link.close()

    async def _identify(self) -> None:
        """Ask who answers, forget old errors, and check the recall of relays after a loss of power."""
        match = await self._link.ask_once("*IDN?", re.compile(r".+"))
        fields = _IDENTITY.fullmatch(match[0])
        if fields is None or fields[2].strip() != self._model:
            raise self._link.fault(
                NotIdentified, f"answers '{match[0]}', but the station names a {self._model}", "check model and address"
            )
        self._identity = tuple(field.strip() for field in fields.groups())
        forget = "" if self._context.read_only else "*CLS;:"
        recall = await self._link.ask_once(f"{forget}MEM:STAT:REC:AUTO?", re.compile(r"[+-]?([01])"))
        if recall[1] == "0":
            self._recall = self._recall or "off"
            return
        if self._context.read_only:
            self._recall = "on"
            return
        command = "MEM:STAT:REC:AUTO OFF;:MEM:STAT:REC:AUTO?;:SYST:ERR?"
        answer = await self._link.ask_once(command, _OFF_AND_ERROR)
        if answer[1] != "0":
            message = f"power-fail recall stays on ({answer[2]}): relays could close by themselves when power returns"
            raise self._link.fault(Refused, message, "switch it off at the instrument: MEM:STAT:REC:AUTO OFF")
        self._recall = "off (was on, switched off by labctl)"
        self._context.log.warning("power-fail recall was on and has been switched off", address=where(self._address))

    async def _open(self, relays: Sequence[int]) -> None:
        await self._link.ask(f"ROUT:OPEN {_list(relays)};*OPC?", _DONE)
        await self._verify(relays, frozenset())

    async def _state(self, relays: Sequence[int]) -> frozenset[int]:
        """Read relays back, and raise what the error queue holds."""
        answer = await self._link.ask(f"SYST:ERR?;:ROUT:CLOS? {_list(relays)}", _state_of(len(relays)))
        await self._raise_errors(answer[1])
        if answer[2] is None:
            await self._raise_errors((await self._link.ask("SYST:ERR?", _ERROR))[0])
            raise self._link.fault(Garbled, f"no state of {_list(relays)}, and no error that would say why")
        states = answer[2].split(",")
        return frozenset(relay for relay, state in zip(relays, states, strict=True) if state.strip() == "1")

    async def _seen_twice(self, relays: Sequence[int]) -> frozenset[int]:
        found = await self._state(relays)
        for _ in range(ATTEMPTS):
            first, found = found, await self._state(relays)
            if found == first:
                return found
            message = f"relays read back as closed were {_words(first)}, and {_words(found)} on a second look"
            self._context.report(Hiccup(self._context.name, Garbled.category, message))
        raise self._link.fault(Garbled, f"the state of {_list(relays)} is another at every look")

    async def _verify(self, relays: Sequence[int], wanted: frozenset[int]) -> None:
        found = await self._state(relays)
        if found == wanted:
            return
        first = found
        found = await self._state(relays)
        if found == wanted:
            message = f"relays read back as closed were {_words(first)}, and {_words(found)} on a second look"
            self._context.report(Hiccup(self._context.name, Garbled.category, message))
            return
        message = f"relays {_words(wanted)} should be closed, {_words(found)} read back as closed"
        await self._link.ask(f"ROUT:OPEN {_list(relays)};*OPC?", _DONE)
        left = await self._state(relays)
        after = f"{_words(left)} still read back as closed" if left else "the whole group was opened"
        raise self._link.fault(VendorAlarm, f"{message}; {after}")

    async def _raise_errors(self, first: str) -> None:
        """Empty the error queue, of which ``first`` was just read, and raise what stood in it."""
        found: list[str] = []
        entry = first
        while not _no_error(entry) and len(found) < LONGEST_QUEUE:
            found.append(entry)
            entry = (await self._link.ask("SYST:ERR?", _ERROR))[0]
        if found:
            for text in found:
                self._context.log.error("multiplexer declined", error=text)
            raise self._link.fault(Refused, f"declined: {'; '.join(found)}")

    def _checked(self, relays: Collection[int]) -> list[int]:
        """Sort relays, and refuse those that the unit can't have: a refused query costs a whole time-out."""
        known = MODULES[self._module]
        for relay in relays:
            if relay // 100 not in _SLOTS or relay % 100 not in known:
                hint = f"slots 1 to 3, channels {min(known):02d} to {max(known):02d}, such as 101"
                raise self._link.fault(OutOfRange, f"a {self._module} has no relay {relay}", hint)
        return sorted(set(relays))


def _state_of(count: int) -> re.Pattern[str]:
    """Give the form of ``SYST:ERR?;:ROUT:CLOS?`` for so many relays; a refused query leaves the second part out."""
    return re.compile(rf'([+-]?\d+,"[^"]*")(?:;((?:[01], ?){{{count - 1}}}[01]))?')


def _no_error(entry: str) -> bool:
    match = _ERROR.fullmatch(entry)
    return match is not None and int(match[1]) == 0


def _runs(relays: Sequence[int]) -> Iterator[str]:
    start = last = relays[0]
    for relay in [*relays[1:], None]:
        if relay == last + 1:
            last = relay
            continue
        yield str(start) if start == last else f"{start}:{last}"
        if relay is not None:
            start = last = relay


def _list(relays: Sequence[int]) -> str:
    """Write a channel list: ``(@101:108,205)``."""
    return f"(@{','.join(_runs(sorted(relays)))})" if relays else "(@)"


def _words(relays: Collection[int]) -> str:
    return ", ".join(str(relay) for relay in sorted(relays)) or "none"
