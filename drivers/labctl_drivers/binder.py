"""Binder chambers by their Modbus registers, over TCP or RTU.

Modbus does not say who answers, and a float whose two words come in the other order is a number too. Therefore the
order is found out at connect, by which of the two makes sense of every temperature of the map, and a temperature that
no chamber has is never taken.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

from labctl.errors import InstrumentError
from labctl.instruments import (
    Busy,
    ChamberReading,
    DriverContext,
    Garbled,
    Hiccup,
    Identity,
    Inspection,
    NotIdentified,
    Refused,
    TimedOut,
)
from labctl_drivers import device_clock
from labctl_drivers.binder_inspection import told_time, unverified
from labctl_drivers.binder_map import ORDERS, decode, encode, load_map, plausible
from labctl_drivers.link import ATTEMPTS, Link
from labctl_drivers.modbus_line import BUSY, DONE, EXCEPTIONS, NO_REGISTER, WORDS, ModbusLine

#: Seconds between exchanges.
PACE: Final = 0.05
#: How far a float that is read back may lie from the one that was written, in K.
TOLERANCE: Final = 0.005
#: How often, and how many seconds apart, the controller is asked whether it follows a new set-point.
LOOKS: Final = 5
LOOK: Final = 0.5
_ZERO_CELSIUS: Final = 273.15
_PROBE: Final = "probe"
_BY_HAND: Final = "set by hand at its safety controller; no register for them is known"


class BinderChamber:
    """A Binder chamber.

    Parameters
    ----------
    context : DriverContext
        Settings: ``address`` (``192.0.2.15:502`` for Modbus TCP; ``COM3``, ``/dev/ttyUSB0`` or ``socket://host:port``
        for RTU), ``map`` (``mb2``, ``mb1``, or a ``.json`` file), ``unit`` (1), ``word_order`` (``probe``, ``low
        first``, ``high first``), ``serial`` (``9600 8N1``), ``instrument_clock`` (what its clock is ahead of UTC).
    """

    role = "chamber"
    #: Distributions that it needs beyond labctl's own code.
    needs = ("pymodbus", "pyserial")

    def __init__(self, context: DriverContext) -> None:
        settings = context.settings
        self._context = context
        self._address = str(settings["address"])
        self._map = load_map(str(settings.get("map", "mb2")), context.folder)
        order = str(settings.get("word_order", _PROBE))
        if order not in (_PROBE, *ORDERS):
            hint = f"{_PROBE}, {' or '.join(ORDERS)}"
            raise InstrumentError(f"word_order: '{order}' is unknown", instrument=context.name, hint=hint)
        self._asked_order = order
        self._order = self._map.word_order
        unit = int(settings.get("unit", 1))
        line = ModbusLine(
            context,
            self._address,
            unit=unit,
            frame=str(settings.get("serial", "9600 8N1")),
        )
        self._link = Link(context, self._address, line, self._identify, PACE, f"unit {unit}")
        self._turn = asyncio.Lock()
        self._regulating = False

    async def connect(self) -> Identity:
        """Connect, and see that every temperature of the map makes sense in one order of words.

        Raises
        ------
        NotReachable, NotIdentified
            With the address.
        """
        async with self._turn:
            await self._link.connect()
            running, words = await self._running()
            details = {
                "identified by": "plausible temperatures only: Modbus does not say who answers",
                "map": f"{self._map.title}: {self._map.known_from}",
                "word order": self._order,
                "operation": f"{words:04X}, {'runs' if running else 'stands'}",
                "clock": await self._clock(),
                "limits": "in registers of the map" if self._map.limits else "set by hand at its safety controller",
            }
        return Identity("Binder", self._map.title.removeprefix("Binder "), "", "", self._address, details)

    async def inspect(self, *, exercise: bool) -> Inspection:
        """Tell values, limits, clock and what is unverified; with ``exercise``, its set-points written as they were."""
        from labctl_drivers.chamber_inspection import Seen, inspect

        async with self._turn:
            running, _ = await self._running()
            manual = await self._temperature(self._map.set_points[0])
            followed = await self._temperature(self._map.active_set_point)
            bounds = [await self._temperature(register) for register in self._map.limits or ()]
            seen = Seen(
                {"register map": self._map.title, "word order": self._order, "manual set-point": f"{manual:.4g} degC"},
                {"limits": f"{bounds[0]:.2f} to {bounds[1]:.2f} degC" if bounds else _BY_HAND},
                await device_clock.offset(self._context, self._told_time, cut_off=1.0),
                program=running and abs(followed - manual) > TOLERANCE,
            )
        doubts = unverified(self._map, self._asked_order)
        return await inspect(self, doubts, seen=seen, rewrite=self._rewrite if exercise else None)

    async def _rewrite(self, set_point: float) -> None:
        """Write every set-point register as it stands, whichever of them is followed."""
        del set_point
        async with self._turn:
            for register in self._map.set_points:
                await self._write_float(register, await self._temperature(register))

    async def _told_time(self) -> datetime | None:
        if self._map.clock is None:
            return None
        words = _words((await self._link.ask(f"read {self._map.clock:04X} 6", WORDS))[0])
        return None if words is None else told_time(words)

    async def read(self) -> ChamberReading:
        """Look once: actual value, set-point, whether it runs.

        Raises
        ------
        Garbled
            A temperature that no chamber has, twice.
        """
        async with self._turn:
            running, words = await self._running()
            actual = await self._temperature(self._map.actual)
            source = self._map.active_set_point if running else self._map.set_points[0]
            set_point = await self._temperature(source)
            status = f"operation {words:04X}, {'runs' if running else 'stands'}"
            if self._regulating and not running:
                self._regulating = False
                self._context.log.warning("chamber stands although it was started here", status=status)
        return ChamberReading(actual + _ZERO_CELSIUS, set_point + _ZERO_CELSIUS, running, status)

    async def regulate(self, temperature: float, limits: tuple[float, float] | None = None) -> None:
        """Set ``temperature`` (K) and run; every register is read back, and so is what the controller follows.

        Raises
        ------
        Refused
            It declines a value, or follows another set-point, as it does while a program runs.
        TimedOut
            A value was written and never taken.
        """
        celsius = temperature - _ZERO_CELSIUS
        async with self._turn:
            if self._map.limits is not None and limits is not None:
                for register, limit in zip(self._map.limits, limits, strict=True):
                    await self._write_float(register, limit - _ZERO_CELSIUS)
            for register in self._map.set_points:
                await self._write_float(register, celsius)
            await self._turn_on(on=True)
            self._regulating = True
            await self._follows(celsius)

    async def stop(self) -> None:
        """Stop regulating. Idempotent. Raises ``Refused`` where it goes on."""
        async with self._turn:
            self._regulating = False
            if (await self._running())[0]:
                await self._turn_on(on=False)

    async def close(self) -> None:
        """Leave it regulating, and close the connection."""
        await self._link.close()

    async def _identify(self) -> None:
        """Find the order of words in which all temperatures of the map make sense."""
        found = []
        for register in (self._map.actual, self._map.active_set_point, *self._map.set_points):
            match = await self._link.ask_once(f"read {register:04X} 2", WORDS)
            words = _words(match[0])
            if words is None and int(match[2]) != NO_REGISTER:
                raise self._declined(f"reading register {register:04X}", match[2], NotIdentified)
            if words is None:
                raise self._link.fault(
                    NotIdentified, f"has no register {register:04X}, as {self._map.title} would", "see 'map'"
                )
            found.append((words[0], words[1]))
        if self._asked_order != _PROBE:
            orders = [self._asked_order]
        else:
            # The usual order first: where all values read 0, either makes sense.
            orders = [self._map.word_order, *(order for order in ORDERS if order != self._map.word_order)]
        sound = [order for order in orders if all(plausible(decode(words, order)) for words in found)]
        if not sound:
            seen = ", ".join(f"{high:04X} {low:04X}" for high, low in found)
            message = f"its registers ({seen}) hold no temperatures in the order {' or '.join(orders)}"
            raise self._link.fault(NotIdentified, message, "see 'map' and 'word_order'")
        if len(sound) > 1 and any(words[0] or words[1] for words in found):
            message = "its temperatures make sense in both orders of words"
            raise self._link.fault(NotIdentified, message, "write 'word_order', as the controller's manual says")
        self._order = sound[0]

    async def _words(self, register: int, count: int) -> tuple[int, ...]:
        match = await self._link.ask(f"read {register:04X} {count}", WORDS)
        words = _words(match[0])
        if words is None:
            raise self._declined(f"reading register {register:04X}", match[2])
        return words

    async def _temperature(self, register: int) -> float:
        """Read a float, degC; where it is none that a chamber has, once more."""
        first: InstrumentError | None = None
        while True:
            high, low = await self._words(register, 2)
            celsius = decode((high, low), self._order)
            if plausible(celsius):
                if first is not None:
                    self._doubted(first)
                return celsius
            fault = self._link.fault(Garbled, f"register {register:04X} holds {celsius:g}, which is no temperature")
            if first is not None:
                raise fault
            first = fault

    def _doubted(self, fault: InstrumentError) -> None:
        self._context.report(Hiccup(self._context.name, fault.category, f"{fault.message}; asked again"))

    async def _running(self) -> tuple[bool, int]:
        """Say whether it runs, with the word that says so."""
        switch = self._map.switch
        (word,) = await self._words(switch.read, 1)
        return word & switch.mask == switch.run, word

    async def _write(self, register: int, words: tuple[int, ...]) -> None:
        text = " ".join(f"{word:04X}" for word in words)
        match = await self._link.ask(f"write {register:04X} {text}", DONE)
        if match[1]:
            raise self._declined(f"writing {text} to register {register:04X}", match[1])

    async def _write_float(self, register: int, celsius: float) -> None:
        for _ in range(ATTEMPTS):
            await self._write(register, encode(celsius, self._order))
            if abs(await self._temperature(register) - celsius) <= TOLERANCE:
                return
        message = f"{celsius:.2f} was written to register {register:04X} {ATTEMPTS} times and never taken"
        raise self._link.fault(TimedOut, message)

    async def _turn_on(self, *, on: bool) -> None:
        """Have it run or stand. The word holds other switches too, which stay as they are."""
        switch = self._map.switch
        before = await self._switches()
        wanted = (before & ~switch.mask) | (switch.run if on else switch.stand)
        await self._write(switch.write, (wanted,))
        for _ in range(LOOKS):
            running, word = await self._running()
            if running == on:
                return
            await asyncio.sleep(LOOK)
        message = f"{'stands' if on else 'runs'} although told otherwise (register {switch.read:04X} holds {word:04X})"
        raise self._link.fault(Refused, message, "see whether it is locked, has an alarm or runs a program")

    async def _switches(self) -> int:
        """Give the word that is about to be written back; seen twice, because no value tells that it is a wrong one."""
        register = self._map.switch.write
        (found,) = await self._words(register, 1)
        for _ in range(ATTEMPTS):
            first, (found,) = found, await self._words(register, 1)
            if found == first:
                return found
            self._doubted(self._changed(register, first, found))
        raise self._changed(register, first, found)

    def _changed(self, register: int, first: int, second: int) -> InstrumentError:
        message = f"register {register:04X} holds {first:04X}, and {second:04X} on a second look"
        return self._link.fault(Garbled, message)

    async def _follows(self, celsius: float) -> None:
        for _ in range(LOOKS):
            active = await self._temperature(self._map.active_set_point)
            if abs(active - celsius) <= TOLERANCE:
                return
            await asyncio.sleep(LOOK)
        message = f"follows {active:.2f} degC although {celsius:.2f} degC was set"
        raise self._link.fault(Refused, message, "stop its program, and leave its set-point to labctl")

    async def _clock(self) -> str:
        if self._map.clock is None:
            return "not in the map"
        words = _words((await self._link.ask(f"read {self._map.clock:04X} 6", WORDS))[0])
        if words is None:
            return "can't be read"
        year, month, day, hour, minute, second = words
        return f"{year:04d}-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:{second:02d}"

    def _declined(self, what: str, code: str, kind: type[InstrumentError] | None = None) -> InstrumentError:
        reason = EXCEPTIONS.get(int(code), "no reason known")
        usual = Busy if int(code) == BUSY else Refused
        return self._link.fault(kind or usual, f"declined {what}: exception {code}, {reason}")


def _words(answer: str) -> tuple[int, ...] | None:
    """Give the words of an answer, None where it is an exception."""
    return None if answer.startswith("exception") else tuple(int(word, 16) for word in answer.split())
