"""Julabo circulators and thermostats by their ASCII commands: one temperature for everything in the chamber.

Commands that write have no answer. Each is therefore a write, then the value read back, then ``status``; a write that
got lost on the way is sent again, one that was declined is raised with the instrument's own words.
"""

from __future__ import annotations

import asyncio
import re
from typing import Final

from labctl.errors import InstrumentError
from labctl.instruments import (
    ChamberReading,
    DriverContext,
    Hiccup,
    Identity,
    Inspection,
    NotIdentified,
    OutOfRange,
    Refused,
    TimedOut,
    VendorAlarm,
)
from labctl_drivers.link import ATTEMPTS, Link
from labctl_drivers.serial_line import SerialLine

#: Seconds between commands. The manual asks for 250 ms; the rest is for the transport.
PACE: Final = 0.3
#: How far a set-point that is read back may lie from the one that was written, in K. Two decimals are sent.
TOLERANCE: Final = 0.01 + 1e-6
_ZERO_CELSIUS: Final = 273.15

_VERSION = re.compile(r".+")
_STATUS = re.compile(r"(-?\d\d) ?(\S.*)")
# What a bath can have, -99.99 to 399.99 degC, and nothing beyond; or no sensor.
_NUMBER = re.compile(r"-\d{1,2}\.\d{1,2}|[0-3]?\d{1,2}\.\d{1,2}|(-{2,}\.-{1,2})")
_SWITCH = re.compile(r"[01]")

#: Models whose warning limits can be read; others don't answer the question, which costs a time-out.
_WITH_LIMITS: Final = re.compile(r"\b(CF|HL)")
_PROBES: Final = {"internal": "in_pv_00", "external": "in_pv_02"}


#: For ``labctl instruments check``, each with what to do.
UNVERIFIED: Final = (
    "what the code numbers of this model mean; alarms are told by their words, so read the status text after one",
    "how long a refusal stands in the status; it is read after every write",
    "the switch on the device that stops it when too hot can't be read; set it by hand above the protocol's limit",
)


class JulaboChamber:
    """A Julabo circulator as a chamber.

    Parameters
    ----------
    context : DriverContext
        Settings: ``address`` (``COM3``, ``/dev/ttyUSB0``, ``socket://host:port``), ``serial`` (``4800 7E1``),
        ``handshake`` (``rtscts`` or ``none``), ``probe`` (``internal`` for the bath, ``external`` for a Pt100 that
        lies with the cells).
    """

    role = "chamber"
    #: Distributions that it needs beyond labctl's own code.
    needs = ("pyserial",)

    def __init__(self, context: DriverContext) -> None:
        settings = context.settings
        self._context = context
        self._address = str(settings["address"])
        probe = str(settings.get("probe", "internal"))
        if probe not in _PROBES:
            raise InstrumentError(f"probe: '{probe}' is unknown", instrument=context.name, hint="internal or external")
        self._actual = _PROBES[probe]
        line = SerialLine(
            context,
            self._address,
            frame=str(settings.get("serial", "4800 7E1")),
            handshake=settings.get("handshake", "rtscts") == "rtscts",
        )
        self._link = Link(context, self._address, line, self._identify, PACE)
        self._turn = asyncio.Lock()
        self._firmware = ""
        self._regulating = False
        self._warned = ""
        # Old units understand capitals alone; which they are is found out by asking.
        self._capitals: bool | None = None
        self._asked_in_capitals = True
        self._limits: tuple[float, float] | None = None

    async def connect(self) -> Identity:
        """Connect, and identify by ``version``.

        Raises
        ------
        NotReachable, NotIdentified
            With the address.
        """
        async with self._turn:
            await self._link.connect()
            status = (await self._ask("status", _STATUS))[0]
            if _WITH_LIMITS.search(self._firmware.upper()):
                self._limits = await self._number("in_sp_04"), await self._number("in_sp_03")
        model, _, firmware = self._firmware.partition(" VERSION ")
        details = {
            "status": status,
            "control": "panel" if _by_panel(status) else "remote",
            "warning limits": _span(self._limits) if self._limits else "can't be read from this model",
        }
        return Identity("JULABO", model.removeprefix("JULABO").strip(), "", firmware.strip(), self._address, details)

    async def inspect(self, *, exercise: bool) -> Inspection:
        """Tell values, who has control and what is unverified; with ``exercise``, the set-point written as it was."""
        from labctl_drivers.chamber_inspection import inspect

        return await inspect(self, UNVERIFIED, by_panel=_by_panel, rewrite=self._rewrite if exercise else None)

    async def _rewrite(self, set_point: float) -> None:
        async with self._turn:
            before = await self._ready()
            await self._write(f"out_sp_00 {set_point - _ZERO_CELSIUS:.2f}", "in_sp_00", set_point, before)
            await self._verdict(before)

    async def read(self) -> ChamberReading:
        """Look once: actual value, set-point, whether it regulates, status.

        A circulator that stands although this driver started it has been without power or was stopped at its panel:
        it never starts again by itself, and it is not started here. The reading says so by ``running``.

        Raises
        ------
        VendorAlarm
            With the vendor's text; also where the chosen probe is not connected.
        """
        async with self._turn:
            temperature = await self._number(self._actual)
            set_point = await self._number("in_sp_00")
            running = await self._running()
            status = await self._status()
            if self._regulating and not running:
                self._regulating = False
                self._context.log.warning("chamber stands although it was started here", status=status)
        return ChamberReading(temperature, set_point, running, status)

    async def regulate(self, temperature: float, limits: tuple[float, float] | None = None) -> None:
        """Set ``temperature`` (K) and run; both are read back. An alarm that stands keeps it from being tried.

        Its warning and protection limits can be set at its panel alone. Where they can be read, they are compared with
        ``limits`` (K), and wider ones are said in the log.

        Raises
        ------
        OutOfRange
            The set-point lies outside of the instrument's own warning limits, where they can be read.
        Refused
            Panel mode, or a set-point outside the limits of the instrument, in its own words.
        VendorAlarm
            An alarm stands.
        """
        celsius = temperature - _ZERO_CELSIUS
        async with self._turn:
            before = await self._ready()
            if self._limits is not None:
                await self._compare(temperature, limits)
            await self._write(f"out_sp_00 {celsius:.2f}", "in_sp_00", temperature, before)
            await self._write("out_mode_05 1", "in_mode_05", True, before)
            self._regulating = True
            await self._verdict(before)

    async def stop(self) -> None:
        """Stop regulating. Idempotent.

        Raises
        ------
        Refused
            It runs, and is under the control of its panel.
        """
        async with self._turn:
            self._regulating = False
            if not await self._running():
                return
            before = await self._ready(alarm_matters=False)
            await self._write("out_mode_05 0", "in_mode_05", False, before)

    async def close(self) -> None:
        """Leave it regulating, and close the line."""
        await self._link.close()

    async def _identify(self) -> None:
        if self._capitals is None:
            self._asked_in_capitals = not self._asked_in_capitals
        command = "VERSION" if self._asked_in_capitals else "version"
        answer = (await self._link.ask_once(command, _VERSION))[0]
        if "JULABO" not in answer.upper():
            raise self._link.fault(NotIdentified, f"answers 'version' with '{answer}', which no Julabo does")
        self._firmware = answer
        self._capitals = self._asked_in_capitals

    async def _ask(self, query: str, answer: re.Pattern[str]) -> re.Match[str]:
        return await self._link.ask(query.upper() if self._capitals else query, answer)

    async def _compare(self, temperature: float, wanted: tuple[float, float] | None) -> None:
        """Look at the warning limits that stand at the instrument now."""
        low, high = self._limits = await self._number("in_sp_04"), await self._number("in_sp_03")
        if not low <= temperature <= high:
            found = f"{temperature - _ZERO_CELSIUS:.2f} degC lies outside of its warning limits, {_span((low, high))}"
            raise self._link.fault(OutOfRange, found, "set the limits at its panel, or another temperature")
        if wanted is not None and (low < wanted[0] - TOLERANCE or high > wanted[1] + TOLERANCE):
            self._context.log.warning(
                "the chamber's own limits are wider than the protocol's",
                chamber=_span((low, high)),
                wanted=_span(wanted),
            )

    async def _number(self, query: str) -> float:
        """Ask for a temperature; K."""
        match = await self._ask(query, _NUMBER)
        if match[1]:
            raise self._link.fault(VendorAlarm, f"no sensor is connected ('{query}' gives '{match[0]}')")
        return float(match[0]) + _ZERO_CELSIUS

    async def _running(self) -> bool:
        return (await self._ask("in_mode_05", _SWITCH))[0] == "1"

    async def _status(self) -> str:
        """Ask for the status; raise where an alarm stands, log where a warning does."""
        status = (await self._ask("status", _STATUS))[0]
        kind = classify(status)
        if kind == "alarm":
            raise self._link.fault(VendorAlarm, status)
        if kind != "state" and status != self._warned:
            self._context.log.warning("chamber reports", status=status)
        self._warned = "" if kind == "state" else status
        return status

    async def _ready(self, *, alarm_matters: bool = True) -> str:
        """Give the status before a write, provided that writing makes sense."""
        try:
            status = await self._status()
        except VendorAlarm as alarm:
            if alarm_matters:
                raise
            return alarm.message
        if _by_panel(status):
            raise self._link.fault(
                Refused,
                f"is under the control of its panel ('{status}')",
                "switch it to remote control at the panel (menu: configuration, remote control on)",
            )
        return status

    async def _write(self, command: str, query: str, wanted: float, before: str) -> None:
        """Write, and read back until it has been taken. ``before`` is the status that stood before the write."""
        for _ in range(ATTEMPTS):
            await self._link.tell(command.upper() if self._capitals else command)
            if isinstance(wanted, bool):
                taken = await self._running() == wanted
            else:
                taken = abs(await self._number(query) - wanted) <= TOLERANCE
            if taken:
                return
            # The value did not take, so even a complaint like the one that stood before is about this write.
            await self._verdict("")
            message = f"'{command}' was not taken, without a reason given; sent again"
            self._context.report(Hiccup(self._context.name, "command lost", message))
        raise self._link.fault(TimedOut, f"'{command}' was sent {ATTEMPTS} times and never taken")

    async def _verdict(self, before: str) -> None:
        """Raise what the status says of the last writes. A complaint older than them says nothing of them."""
        status = await self._status()
        if classify(status) == "declined" and status != before:
            raise self._link.fault(Refused, f"declined the set-point or the start: '{status}'")


def classify(status: str) -> str:
    """Say what a status text means: ``state``, ``warning``, ``declined`` or ``alarm``.

    By its words, because the meaning of the code numbers depends on the model. A negative code whose text is none of
    the known kinds is taken for an alarm.
    """
    text = status.upper()
    if not text.startswith("-"):
        return "state"
    if "ALARM" in text:
        return "alarm"
    if "WARNING" in text:
        return "warning"
    if "COMMAND" in text or "VALUE" in text:
        return "declined"
    return "alarm"


def _by_panel(status: str) -> bool:
    return "MANUAL" in status.upper()


def _span(limits: tuple[float, float]) -> str:
    low, high = (one - _ZERO_CELSIUS for one in limits)
    return f"{low:.2f} to {high:.2f} degC"
