"""ESPEC chambers with a P-300 or SCP-220 controller, by their ASCII commands over TCP, RS-232 or RS-485.

Every command has an answer, and the answer to a write is only that it was understood: the values are read back. The
chamber watches limits of its own, which are set together with the set-point and before it runs.
"""

from __future__ import annotations

import asyncio
import math
import re
from dataclasses import dataclass
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
    OutOfRange,
    Refused,
    TimedOut,
    VendorAlarm,
)
from labctl_drivers import device_clock
from labctl_drivers.espec_inspection import DATE, LOCK, TIME, UNVERIFIED, told_time
from labctl_drivers.link import ATTEMPTS, Link
from labctl_drivers.serial_line import SerialLine

#: Seconds between commands. No source says how many it needs; three in a second hurt nobody.
PACE: Final = 0.3
PORT: Final = 10001
#: The controller knows one decimal.
STEP: Final = 0.1
TOLERANCE: Final = STEP / 2 + 1e-6
#: How far the two commands that give the temperature may differ, in K.
AGREE: Final = 2.0
#: How often, and how many seconds apart, it is asked whether it has changed its mode.
LOOKS: Final = 5
LOOK: Final = 0.5
#: How long (s) an answer may be waited for.
SHORTEST: Final = 0.1
LONGEST: Final = 3.0
_ZERO_CELSIUS: Final = 273.15

#: Factory settings of the serial line.
FRAMES: Final = {"P-300": "19200 8N1", "SCP-220": "9600 8N1"}

# What a chamber can have, -100.0 to 399.9 degC, and nothing beyond.
_DEGREES: Final = r"(-100\.0|-\d{1,2}\.\d|[0-3]?\d{1,2}\.\d)"
_DECLINED: Final = r"|NA:\s*(?P<declined>.+)"
_TYPE = re.compile(rf"(?P<sensors>.+),(?P<highest>\d{{1,3}}\.\d){_DECLINED}")
_ROM = re.compile(rf"(?!NA:)(?P<rom>.+){_DECLINED}")
_TEMP = re.compile(rf"{_DEGREES}, ?{_DEGREES}, ?{_DEGREES}, ?{_DEGREES}{_DECLINED}")
_MON = re.compile(rf"{_DEGREES}, ?([\d.]*), ?([A-Z][A-Z ]*), ?(\d{{1,3}}){_DECLINED}")
_ALARM = re.compile(rf"(\d{{1,3}})((?:, ?\d+)*){_DECLINED}")
_TAKEN = re.compile(rf"OK: ?(?:TEMP|MODE).*{_DECLINED}")

#: Refusals that pass by themselves.
_PASSING: Final = ("CHB NOT READY", "DATA NOT READY")
_PROGRAMS: Final = ("RUN", "RMT RUN")
_RUNS: Final = ("CONSTANT", *_PROGRAMS)

_PORT_OF_A_PC = re.compile(r"COM\d+|[/\\].+", re.IGNORECASE)
_HOST = re.compile(r"(?:(?:socket|tcp)://)?([^:/\s]+)(?::(\d+))?")


@dataclass(frozen=True, slots=True)
class _Values:
    """What ``TEMP?`` says, degC."""

    actual: float
    set_point: float
    high: float
    low: float


class EspecChamber:
    """An ESPEC chamber.

    Parameters
    ----------
    context : DriverContext
        Settings: ``address`` (``192.0.2.16`` with port 10001, ``192.0.2.16:10001``, ``COM3``, ``/dev/ttyUSB0``),
        ``controller`` (``P-300`` or ``SCP-220``), ``serial`` (by the controller), ``unit`` (its number on RS-485),
        ``answer_within_s`` (0.9; up to 3 for a slow controller, which may then take longer to be found absent),
        ``instrument_clock`` (what its clock is ahead of UTC).
    """

    role = "chamber"
    #: Distributions that it needs beyond labctl's own code.
    needs = ("pyserial",)

    def __init__(self, context: DriverContext) -> None:
        settings = context.settings
        self._context = context
        self._address = _line_address(str(settings["address"]))
        self._controller = str(settings.get("controller", "P-300"))
        if self._controller not in FRAMES:
            raise InstrumentError(
                f"controller: '{self._controller}' is unknown", instrument=context.name, hint=" or ".join(FRAMES)
            )
        unit = settings.get("unit")
        self._prefix = "" if unit is None else f"{int(unit)},"
        line = SerialLine(
            context,
            self._address,
            frame=str(settings.get("serial", FRAMES[self._controller])),
            handshake=False,
            end_sent=b"\r\n",
            end_received=b"\r\n",
            answer_within=_seconds(settings.get("answer_within_s"), context.name),
        )
        self._link = Link(context, self._address, line, self._identify, PACE)
        self._turn = asyncio.Lock()
        self._sensors = ""
        self._highest = math.nan
        self._regulating = False

    async def connect(self) -> Identity:
        """Connect, and identify by ``TYPE?``.

        Raises
        ------
        NotReachable, NotIdentified
            With the address.
        """
        async with self._turn:
            await self._link.connect()
            rom = (await self._ask("ROM?", _ROM))["rom"]
            values, mode, alarms = await self._look()
            details = {
                "sensors and controller": self._sensors,
                "highest temperature": f"{self._highest:.1f} degC",
                "limits": f"{values.low:.1f} to {values.high:.1f} degC",
                "mode": mode,
                "alarms": str(alarms),
            }
        return Identity("ESPEC", self._controller, "", rom.strip(), self._address, details)

    async def inspect(self, *, exercise: bool) -> Inspection:
        """Tell values, limits, clock, key lock, what is unverified; with ``exercise``, its set-point written again."""
        from labctl_drivers.chamber_inspection import Seen, inspect

        async with self._turn:
            values, mode, _ = await self._look()
            lock = await self._optional("KEYPROTECT?", LOCK)
            limits = f"{values.low:.1f} to {values.high:.1f} degC"
            outside = f"it is at {values.actual:.1f} degC, outside of its own limits {limits}; set them, or wait"
            seen = Seen(
                {"highest temperature": f"{self._highest:.1f} degC"},
                {"limits": f"{limits}, watched by the chamber", "keys locked": lock[0].lower() if lock else "not told"},
                await device_clock.offset(self._context, self._told_time, cut_off=1.0),
                () if values.low <= values.actual <= values.high else (outside,),
                program=mode.startswith(_PROGRAMS),
            )
        return await inspect(self, UNVERIFIED, seen=seen, rewrite=self._rewrite if exercise else None)

    async def _rewrite(self, set_point: float) -> None:
        del set_point
        async with self._turn:
            await self._set(await self._values(), with_limits=False)

    async def _told_time(self) -> datetime | None:
        """Ask for date, time, and the date again, so that midnight between them shows."""
        for _ in range(2):
            date = await self._optional("DATE?", DATE)
            clock = await self._optional("TIME?", TIME) if date else None
            again = await self._optional("DATE?", DATE) if clock else None
            if date is None or clock is None or again is None:
                return None
            if date[0] == again[0]:
                return told_time(date, clock)
        return None

    async def _optional(self, command: str, answer: re.Pattern[str]) -> re.Match[str] | None:
        """Ask for something that not every controller knows; None where it declines or keeps silent."""
        try:
            match = await self._link.ask(f"{self._prefix}{command}", answer, repeat=False)
        except (TimedOut, Garbled) as fault:
            self._context.log.warning("a question without an answer", question=command, fault=str(fault))
            return None
        return None if match["declined"] else match

    async def read(self) -> ChamberReading:
        """Look once: actual value, set-point, mode.

        Raises
        ------
        VendorAlarm
            With the codes of the alarms that stand.
        Garbled
            The controller's two ways to say the temperature disagree, twice.
        """
        async with self._turn:
            values, mode, alarms = await self._look()
            running = mode.startswith(_RUNS)
            if self._regulating and not running:
                self._regulating = False
                self._context.log.warning("chamber stands although it was started here", status=mode)
            if alarms:
                await self._raise_alarm()
        return ChamberReading(values.actual + _ZERO_CELSIUS, values.set_point + _ZERO_CELSIUS, running, mode)

    async def regulate(self, temperature: float, limits: tuple[float, float] | None = None) -> None:
        """Set ``temperature`` (K) and the chamber's own ``limits`` (K), and run; all of them are read back.

        Limits are rounded inwards to the controller's one decimal. Without ``limits`` those in the chamber stay.

        Raises
        ------
        OutOfRange
            Beyond what the chamber can do.
        Refused
            A program runs, the chamber is outside the limits already, or it declines in its own words.
        VendorAlarm
            An alarm stands.
        """
        celsius = round(temperature - _ZERO_CELSIUS, 1)
        async with self._turn:
            before, mode, alarms = await self._look()
            if alarms:
                await self._raise_alarm()
            if mode.startswith(_PROGRAMS):
                raise self._link.fault(Refused, f"runs a program ('{mode}')", "end the program at its panel")
            if celsius > self._highest:
                raise self._link.fault(OutOfRange, f"{celsius:.1f} degC is above its {self._highest:.1f} degC")
            wanted = _Values(before.actual, celsius, *(_inwards(limits) if limits else (before.high, before.low)))
            if not wanted.low <= before.actual <= wanted.high:
                message = (
                    f"it is at {before.actual:.1f} degC, outside of the limits {wanted.low:.1f} to {wanted.high:.1f} "
                    "degC that it would watch: its alarm would end it at once"
                )
                raise self._link.fault(Refused, message, "bring it inside by hand, or widen the protocol's limits")
            await self._set(wanted, with_limits=limits is not None)
            await self._switch("CONSTANT")
            self._regulating = True
            if (await self._look())[2]:
                await self._raise_alarm()

    async def stop(self) -> None:
        """Stop regulating: stand by. Idempotent. Raises ``Refused`` where it declines."""
        async with self._turn:
            self._regulating = False
            if (await self._look())[1].startswith(_RUNS):
                await self._switch("STANDBY")

    async def close(self) -> None:
        """Leave it regulating, and close the line."""
        await self._link.close()

    async def _identify(self) -> None:
        match = await self._link.ask_once(f"{self._prefix}TYPE?", _TYPE)
        if match["declined"]:
            raise self._link.fault(Garbled, f"declines 'TYPE?': '{match['declined']}'")
        self._sensors, self._highest = match["sensors"], float(match["highest"])

    async def _ask(self, command: str, answer: re.Pattern[str]) -> re.Match[str]:
        match = await self._link.ask(f"{self._prefix}{command}", answer)
        if words := match["declined"]:
            kind = Busy if words.startswith(_PASSING) else Refused
            raise self._link.fault(kind, f"declines '{command}': '{words}'")
        return match

    async def _values(self) -> _Values:
        match = await self._ask("TEMP?", _TEMP)
        return _Values(*(float(match[number]) for number in (1, 2, 3, 4)))

    async def _look(self) -> tuple[_Values, str, int]:
        """Give values, mode and number of alarms, provided that both commands say the same temperature.

        Where they don't, once more: one of the two may have been spoilt on its way.
        """
        first: InstrumentError | None = None
        while True:
            values = await self._values()
            match = await self._ask("MON?", _MON)
            if abs(float(match[1]) - values.actual) <= AGREE:
                if first is not None:
                    self._context.report(Hiccup(self._context.name, first.category, f"{first.message}; asked again"))
                return values, match[3].strip(), int(match[4])
            fault = self._link.fault(Garbled, f"says {values.actual:.1f} degC and {match[1]} degC in one breath")
            if first is not None:
                raise fault
            first = fault

    async def _raise_alarm(self) -> None:
        match = await self._ask("ALARM?", _ALARM)
        codes = match[2].strip(", ").replace(" ", "") or "without a code"
        if int(match[1]):
            raise self._link.fault(VendorAlarm, f"alarm {codes}", "the codes are in the chamber's manual")

    async def _set(self, wanted: _Values, *, with_limits: bool) -> None:
        """Write, and read back until it has been taken."""
        command = f"TEMP,S{wanted.set_point:.1f}"
        if with_limits:
            # In one command, because a limit beyond the set-point of before is declined.
            command = f"TEMP, S{wanted.set_point:.1f} H{wanted.high:.1f} L{wanted.low:.1f}"
        for _ in range(ATTEMPTS):
            await self._ask(command, _TAKEN)
            found = await self._values()
            pairs = [(found.set_point, wanted.set_point)]
            if with_limits:
                pairs += [(found.high, wanted.high), (found.low, wanted.low)]
            if all(abs(one - other) <= TOLERANCE for one, other in pairs):
                return
        message = (
            f"'{command}' was answered with OK {ATTEMPTS} times and never taken: set to {found.set_point:.1f} degC, "
            f"limits {found.low:.1f} to {found.high:.1f} degC"
        )
        raise self._link.fault(TimedOut, message)

    async def _switch(self, mode: str) -> None:
        await self._ask(f"MODE,{mode}", _TAKEN)
        for _ in range(LOOKS):
            _, found, alarms = await self._look()
            if found.startswith(mode):
                return
            if alarms:
                await self._raise_alarm()
            await asyncio.sleep(LOOK)
        raise self._link.fault(Refused, f"answered 'MODE,{mode}' with OK and is in mode '{found}'")


def _seconds(value: object, instrument: str) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or not SHORTEST <= value <= LONGEST:
        hint = f"seconds from {SHORTEST:g} to {LONGEST:g}"
        raise InstrumentError(f"answer_within_s: {value!r} is not possible", instrument=instrument, hint=hint)
    return float(value)


def _line_address(address: str) -> str:
    """Give the address as a serial line takes it: hosts with their port, ports of the PC as they are."""
    if _PORT_OF_A_PC.fullmatch(address):
        return address
    if (host := _HOST.fullmatch(address)) is None:
        raise InstrumentError(f"address: '{address}' is no host and no serial port", hint="such as 192.0.2.16 or COM3")
    return f"socket://{host[1]}:{host[2] or PORT}"


def _inwards(limits: tuple[float, float]) -> tuple[float, float]:
    """Give high and low in degC to one decimal, never wider than ``limits`` (K)."""
    low, high = (round((limit - _ZERO_CELSIUS) / STEP, 4) for limit in limits)
    return math.floor(high) * STEP, math.ceil(low) * STEP
