"""Relay multiplexers by SCPI, the Keysight 34970A family and the Keithley 2700: which leads reach which cell.

Break before make is not left to the instrument, which does not promise an order within one command: everything is
opened, read back as open, given time to settle, and only then one relay is closed and read back. The read-back is the
firmware's memory, not the contact's: what the cell's own voltage says afterwards is the engine's to check.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

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
from labctl_drivers import device_clock
from labctl_drivers.link import ATTEMPTS, Link
from labctl_drivers.scpi_lists import (
    CLOCK,
    DONE,
    ERROR,
    after_done,
    channel_list,
    no_error,
    state_of,
    told_time,
    words,
)
from labctl_drivers.scpi_unit import SwitchUnit
from labctl_drivers.visa_line import VisaLine, where

#: Seconds between the last relay that opened and the first that closes.
SETTLE: Final = 0.03
#: How many entries of the error queue are read at most; the instruments keep 10 to 30.
LONGEST_QUEUE: Final = 50
#: Bit of ``*ESR?``: it was switched on since somebody last asked.
POWER_ON: Final = 128

_IDENTITY = re.compile(r"([^,]*),([^,]*),([^,]*),(.*)")
# As many digits as such a number may have: beyond thousands, they are none that Python reads.
_COUNTS = r"[+-]?\d{1,12}(?:, ?[+-]?\d{1,12})*"


class ScpiMultiplexer:
    """A switch unit with relays by channel number, such as 101: slot 1, channel 01.

    Parameters
    ----------
    context : DriverContext
        Settings: ``address`` (``TCPIP::host::port::SOCKET``), ``model`` (by default whatever it calls itself),
        ``module`` (by default whatever its slots hold), ``also`` (channels that move with each relay, counted from it),
        ``power_fail_recall`` (``refuse`` or ``warn``), ``serial`` (rate and frame), ``leads`` (what the relays
        connect), ``instrument_clock`` (what its clock is ahead of UTC).
    """

    role = "multiplexer"
    #: Distributions that it needs beyond labctl's own code.
    needs = ("pyvisa", "pyvisa-py")

    def __init__(self, context: DriverContext) -> None:
        self._context = context
        self._unit = SwitchUnit(context)
        address = self._unit.address
        line = VisaLine(context, address, frame=str(context.settings.get("serial") or "9600 8N1"))
        self._link = Link(context, where(address), line, self._identify)
        self._turn = asyncio.Lock()
        self._identity: tuple[str, ...] = ("", "", "", "")
        self._recall = ""
        self._known = False
        self._keeps_silent = False

    async def connect(self) -> Identity:
        """Connect, identify, and look at the cards, at what is closed, and at what happens when power returns.

        Nothing is moved and no setting is changed.

        Raises
        ------
        NotReachable, NotIdentified
            With the address.
        OutOfRange
            The station names a relay that its slots do not have.
        Refused
            It would close relays by itself when power returns; or relays are closed that must not be closed together.
        """
        async with self._turn:
            await self._link.connect()
            if not self._unit.cards:
                self._unit.cards = await self._cards_seen_twice()
            wired = self._unit.checked(self._unit.wired)
            closed = self._unit.relays(wired, await self._seen_twice(wired)) if wired else frozenset()
            if wrong := self._unit.against(closed):
                opening = self._command(self._unit.dialect.open, closed)
                raise self._link.fault(Refused, wrong, f"stop all currents, then open them: {opening}")
            counts = await self._wear(wired) if wired else {}
            self._known = True
        vendor, model, serial, firmware = self._identity
        details = {"power_fail_recall": self._recall, "cards": _said(self._unit.cards)}
        if wired:
            details |= {"closed": words(closed), "wear": _most_used(counts)}
        return Identity(vendor, model, "" if serial == "0" else serial, firmware, where(self._unit.address), details)

    async def closed(self, relays: Collection[int]) -> frozenset[int]:
        """Which of ``relays`` are closed, by read-back; one of whose channels any is closed counts as closed.

        Seen twice, because the wire has no checksum.

        Raises
        ------
        Garbled
            No two looks in a row agree.
        OutOfRange
            A relay that the unit does not have.
        Refused
            The instrument does not have it either.
        """
        wanted = self._unit.checked(relays)
        if not wanted:
            return frozenset()
        async with self._turn:
            return self._unit.relays(wanted, await self._seen_twice(wanted))

    async def inspect(self, *, exercise: bool) -> Inspection:
        """Tell closed relays, wear, recall and clock; with ``exercise``, one free relay moved and put back."""
        from labctl_drivers.scpi_inspection import inspect

        async with self._turn:
            clock = await device_clock.offset(self._context, self._told_time)
        return await inspect(self, self._context, self._recall, clock, exercise=exercise)

    async def _told_time(self) -> datetime | None:
        """Ask for its clock; twice where midnight fell between date and time."""
        for _ in range(2):
            question = self._unit.dialect.clock
            answer = await self._optional(question, CLOCK) if question else None
            told = told_time(answer) if answer else None
            if answer is None or told is not None:
                return told
        return None

    async def wear(self, relays: Collection[int]) -> dict[int, int]:
        """How often each relay has switched in its life; the most used of its channels counts. Empty if not told.

        Raises
        ------
        OutOfRange
            A relay that the unit does not have.
        """
        wanted = self._unit.checked(relays)
        if not wanted:
            return {}
        async with self._turn:
            return await self._wear(wanted)

    async def forget_at_power_on(self) -> None:
        """Have all relays open when power returns: changes a setting of the instrument, on a person's wish only.

        Raises
        ------
        Refused
            It reads back as before, or the error queue says so.
        """
        dialect = self._unit.dialect
        async with self._turn:
            await self._link.ask(f"{dialect.forget};*OPC?", DONE)
            await self._raise_errors((await self._link.ask("SYST:ERR?", ERROR))[0])
            answer = (await self._link.ask(dialect.recall, dialect.recall_answer))[0]
            if dialect.harmless.fullmatch(answer) is None:
                message = f"'{dialect.recall}' still answers '{answer}': relays could close when power returns"
                raise self._link.fault(Refused, message)
            self._recall = f"off ({answer})"

    async def switch(self, close: int | None, group: Collection[int]) -> None:
        """Open all of ``group``, verify, then close one of it (or none), verify: break before make.

        Raises
        ------
        OutOfRange
            A relay that the unit does not have, or ``close`` outside ``group``. Nothing was sent.
        Refused
            The instrument's error queue says so, in its own words; or a relay outside the group is closed that must
            not be closed together with ``close``. Nothing is closed then.
        VendorAlarm
            The relays did not read back as commanded; all of the group was opened.
        """
        relays = self._unit.checked(group)
        if close is not None and close not in relays:
            raise self._link.fault(OutOfRange, f"relay {close} is not one of the group {channel_list(relays)}")
        if not relays:
            return
        async with self._turn:
            for attempt in range(1, ATTEMPTS + 1):
                outside = await self._open(relays)
                if close is None:
                    return
                if wrong := self._unit.against({close, *outside}):
                    raise self._link.fault(Refused, f"would leave relays {wrong}", "open the other one first")
                await asyncio.sleep(SETTLE)
                command = self._command(self._unit.dialect.close, [close])
                try:
                    # Not repeated by the link: whether the relay closed is asked first.
                    await self._link.ask(f"{command};*OPC?", DONE, repeat=False)
                except (NotReachable, TimedOut, Garbled) as fault:
                    if attempt == ATTEMPTS:
                        raise
                    found = await self._state(self._watched(relays))
                    self._link.survived(fault)
                    if found & self._unit.channels(relays) != self._unit.channels([close]):
                        continue
                await self._verify(relays, frozenset({close}))
                return

    async def close(self) -> None:
        """Leave the relays as they are, and close the session."""
        await self._link.close()

    # -- who it is ---------------------------------------------------------------------------------------------------
    async def _identify(self) -> None:
        """Ask who answers, forget old errors, and check what relays do after a loss of power."""
        match = await self._link.ask_once("*IDN?", re.compile(r".+"))
        fields = _IDENTITY.fullmatch(match[0])
        model = self._unit.named(fields[2]) if fields is not None else None
        if fields is None or model is None:
            named = f"the station names a {self._unit.model}" if self._unit.model else "that is no unit it can drive"
            raise self._link.fault(NotIdentified, f"answers '{match[0]}', but {named}", "check model and address")
        self._identity = (fields[1].strip(), model, fields[3].strip(), fields[4].strip())
        dialect = self._unit.dialect
        if self._context.read_only:
            # Reading the status register would clear it, and a person may still want to see the errors.
            self._check_recall((await self._link.ask_once(dialect.recall, dialect.recall_answer))[0])
            return
        form = re.compile(rf"[+-]?(\d{{1,5}});({dialect.recall_answer.pattern})")
        answer = await self._link.ask_once(f"*ESR?;*CLS;:{dialect.recall}", form)
        if self._known and int(answer[1]) & POWER_ON:
            message = "was switched off and on again: what was closed before is not closed any more"
            self._context.report(Hiccup(self._context.name, "reboot", message))
        self._check_recall(answer[2])

    def _check_recall(self, answer: str) -> None:
        dialect, before = self._unit.dialect, self._recall
        if dialect.harmless.fullmatch(answer) is not None:
            self._recall = f"off ({answer})"
            return
        danger = f"'{dialect.recall}' answers '{answer}': relays close by themselves when power returns"
        hint = f"send it '{dialect.forget}', or accept it with 'power_fail_recall: warn'"
        if self._unit.refuses_recall and not self._context.read_only:
            raise self._link.fault(Refused, danger, hint)
        self._recall = f"ON ({answer}): relays close by themselves when power returns; send '{dialect.forget}'"
        if self._recall != before:
            self._context.log.warning("power-fail recall is on", address=where(self._unit.address), hint=hint)

    async def _cards_seen_twice(self) -> dict[int, str]:
        """Ask until two looks agree: what is taken now decides for good which relays there are."""
        if not (found := await self._cards()):
            return found
        for _ in range(ATTEMPTS):
            first, found = found, await self._cards()
            if found == first:
                return found
            message = f"slots read back as {_said(first)}, and as {_said(found)} on a second look"
            self._context.report(Hiccup(self._context.name, Garbled.category, message))
        raise self._link.fault(Garbled, "what its slots hold is another at every look")

    async def _cards(self) -> dict[int, str]:
        """Ask what the slots hold; nothing where it can't say."""
        dialect, found = self._unit.dialect, []
        for question in dialect.cards:
            answer = await self._optional(question, r"[^;]+")
            if answer is None:
                return {}
            found += [card[1] for card in dialect.card.finditer(answer)]
        if len(found) != self._unit.slots:
            return {}
        return {slot: "" if card in ("0", "NONE") else card for slot, card in enumerate(found, start=1)}

    async def _wear(self, relays: Collection[int]) -> dict[int, int]:
        channels = sorted(self._unit.channels(relays))
        answer = await self._optional(self._command(self._unit.dialect.wear, relays), _COUNTS)
        counts = [int(text) for text in answer.split(",")] if answer else []
        if len(counts) != len(channels):
            return {}
        by_channel = dict(zip(channels, counts, strict=True))
        return {relay: max(by_channel[one] for one in self._unit.channels([relay])) for relay in sorted(relays)}

    async def _optional(self, question: str, form: str) -> str | None:
        """Ask for something that not every unit of the family knows; None where it declines or keeps silent."""
        if self._keeps_silent:
            return None
        try:
            answer = (await self._link.ask(f"*OPC?;:{question}", after_done(form), repeat=False))[1]
        except (TimedOut, Garbled) as fault:
            # The session is rebuilt by the next question, which also empties the error queue. Each further one that it
            # does not know would cost a whole time-out.
            self._keeps_silent = isinstance(fault, TimedOut)
            self._context.log.warning("a question without an answer", question=question, fault=str(fault))
            return None
        if answer is None:
            await self._errors((await self._link.ask("SYST:ERR?", ERROR))[0])
        return str(answer) if answer is not None else None

    # -- relays ------------------------------------------------------------------------------------------------------
    def _command(self, form: str, relays: Collection[int]) -> str:
        return form.format(list=channel_list(self._unit.channels(relays)))

    def _watched(self, relays: Collection[int]) -> frozenset[int]:
        """Relays that are read back whenever some of them move: all that the station names."""
        return frozenset(relays) | self._unit.wired

    async def _open(self, relays: Collection[int]) -> frozenset[int]:
        """Open, verify; give which of the others are closed."""
        await self._link.ask(f"{self._command(self._unit.dialect.open, relays)};*OPC?", DONE)
        return await self._verify(relays, frozenset())

    async def _state(self, relays: Collection[int]) -> frozenset[int]:
        """Read back which channels of relays are closed, and raise what the error queue holds."""
        channels = sorted(self._unit.channels(relays))
        question = self._command(self._unit.dialect.state, relays)
        answer = await self._link.ask(f"SYST:ERR?;:{question}", state_of(len(channels)))
        await self._raise_errors(answer[1])
        if answer[2] is None:
            await self._raise_errors((await self._link.ask("SYST:ERR?", ERROR))[0])
            raise self._link.fault(Garbled, f"no state of {channel_list(channels)}, and no error that would say why")
        states = answer[2].split(",")
        return frozenset(channel for channel, state in zip(channels, states, strict=True) if state.strip() == "1")

    async def _seen_twice(self, relays: Collection[int]) -> frozenset[int]:
        found = await self._state(relays)
        for _ in range(ATTEMPTS):
            first, found = found, await self._state(relays)
            if found == first:
                return found
            self._doubted(first, found)
        raise self._link.fault(Garbled, f"the state of {words(relays)} is another at every look")

    def _doubted(self, first: Collection[int], second: Collection[int]) -> None:
        message = f"closed read back as {words(first)}, and as {words(second)} on a second look"
        self._context.report(Hiccup(self._context.name, Garbled.category, message))

    async def _verify(self, relays: Collection[int], wanted: frozenset[int]) -> frozenset[int]:
        """Make sure that of ``relays`` exactly ``wanted`` are closed; give which of the others are closed."""
        watched = self._watched(relays)
        own, right = self._unit.channels(relays), self._unit.channels(wanted)
        found = await self._state(watched)
        if found & own != right:
            first = found
            found = await self._state(watched)
            if found & own == right:
                self._doubted(first & own, found & own)
        outside = self._unit.relays(watched - frozenset(relays), found)
        wrong = None
        if found & own != right:
            wrong = f"relays {words(right)} should be closed, {words(found & own)} read back as closed"
        elif wanted and (pair := self._unit.against(wanted | outside)):
            wrong = f"read back as {pair}"
        if wrong is None:
            return outside
        await self._link.ask(f"{self._command(self._unit.dialect.open, relays)};*OPC?", DONE)
        left = await self._state(relays)
        after = f"{words(left)} still read back as closed" if left else "the whole group was opened"
        raise self._link.fault(VendorAlarm, f"{wrong}; {after}")

    async def _raise_errors(self, first: str) -> None:
        """Empty the error queue, of which ``first`` was just read, and raise what stood in it."""
        if found := await self._errors(first):
            for text in found:
                self._context.log.error("multiplexer declined", error=text)
            raise self._link.fault(Refused, f"declined: {'; '.join(found)}")

    async def _errors(self, first: str) -> list[str]:
        found: list[str] = []
        entry = first
        while not no_error(entry) and len(found) < LONGEST_QUEUE:
            found.append(entry)
            entry = (await self._link.ask("SYST:ERR?", ERROR))[0]
        return found


def _said(cards: Mapping[int, str]) -> str:
    """Say what the slots hold."""
    return ", ".join(f"slot {slot}: {card or 'empty'}" for slot, card in cards.items()) or "not told"


def _most_used(counts: dict[int, int], shown: int = 3) -> str:
    """Say which relays have switched most."""
    if not counts:
        return "not told"
    worn = sorted(counts, key=lambda relay: (-counts[relay], relay))[:shown]
    return ", ".join(f"{relay}: {counts[relay]} times" for relay in worn)
