"""An ESPEC chamber with a P-300 or SCP-220 controller at the wire: its ASCII commands over TCP, round one plant.

As seen in two third-party clients: the commands, the form of the answers, CR LF both ways, the words of a refusal, one
decimal, ``MON?,DETAIL`` on the P-300 alone, the number in front of a command on RS-485, ``DATE?`` and ``TIME?`` with
two digits of the year, ``KEYPROTECT?``.

Guessed: a limit that is passed while the chamber runs raises alarm 6 (high) or 7 (low) and stops it, which is noticed
here when it is next spoken to; while an alarm stands, running is declined with ``NA:CHB NOT READY``; limits that do not
hold the set-point are out of range; after a loss of mains it stands by.

Left out: programs, humidity, relays, key lock but for ``NA:PROTECT ON``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from labctl_simulators.cabinet import Cabinet
from labctl_simulators.lines import LineServer

_ZERO_CELSIUS: Final = 273.15
_LOWEST: Final = -75.0
_RUNNING: Final = "CONSTANT"
_MODES: Final = ("OFF", "STANDBY", _RUNNING)
_PART = re.compile(r"([SHL])(-?\d{1,3}(?:\.\d+)?)")
HIGH_ALARM, LOW_ALARM = "6", "7"

CMD, PARA, RANGE, PROTECTED, NOT_READY, ADDR = (
    "NA:CMD ERR",
    "NA:PARA ERR",
    "NA:DATA OUT OF RANGE",
    "NA:PROTECT ON",
    "NA:CHB NOT READY",
    "NA:ADDR ERR",
)


class EspecSimulator:
    """One chamber.

    Parameters
    ----------
    name : str
        The station's name of the instrument, and of its thermal plant in the laboratory.
    settings : mapping
        The station's entry: ``controller``, ``unit``. ``simulate`` may hold ``highest`` (degC, 160), ``limits`` (degC,
        what stands in it at first), ``protected`` (true: writing is locked), ``program`` (true: a program runs),
        ``clock_ahead_s`` (what its clock is ahead of UTC), ``clock`` (false: it knows no ``DATE?`` and ``TIME?``) and
        what :class:`labctl_simulators.cabinet.Cabinet` takes.
    laboratory : Laboratory
        Gives time, the thermal plant and the public port.

    Breakdowns
    ----------
    Those of :class:`labctl_simulators.cabinet.Cabinet`; the ``text`` of an alarm is its code, or several with commas.
    """

    def __init__(self, name: str, settings: Mapping[str, Any], laboratory: Any) -> None:
        options = settings.get("simulate") or {}
        self._name = name
        self._laboratory = laboratory
        self._cabinet = Cabinet(name, options, laboratory, usual_alarm="1", after_mains=self._stand_by)
        self._plant = self._cabinet.plant
        self._server = LineServer(self._hear, end_received=b"\r\n", end_sent=b"\r\n")
        self._detailed = settings.get("controller", "P-300") == "P-300"
        self._unit = settings.get("unit")
        self._highest = float(options.get("highest", 160.0))
        self._low, self._high = (float(limit) for limit in options.get("limits", (-50.0, 140.0)))
        self._protected = bool(options.get("protected", False))
        self._program = bool(options.get("program", False))
        self._set_point = 25.0
        self._mode = "STANDBY"
        self._queries: dict[str, Callable[[], str]] = {
            "TYPE?": lambda: f"T,T,S2,{self._highest:.1f}",
            "ROM?": lambda: f"{'P300' if self._detailed else 'SCP220'} 1.05",
            "TEMP?": lambda: f"{self._actual():.1f},{self._set_point:.1f},{self._high:.1f},{self._low:.1f}",
            "MON?": lambda: f"{self._actual():.1f},,{self._said()},{len(self._alarms())}",
            "MODE?": self._said,
            "ALARM?": lambda: ",".join([str(len(self._alarms())), *self._alarms()]),
        }
        self._clock_ahead = timedelta(seconds=float(options.get("clock_ahead_s", 0.0)))
        self._queries["KEYPROTECT?"] = lambda: "ON" if self._protected else "OFF"
        if options.get("clock", True):
            self._queries["DATE?"] = lambda: f"{self._clock():%y.%m/%d}"
            self._queries["TIME?"] = lambda: f"{self._clock():%H:%M:%S}"
        if self._detailed:
            self._queries["MON?,DETAIL"] = self._queries["MON?"]
            self._queries["MODE?,DETAIL"] = self._said

    async def start(self) -> dict[str, Any]:
        """Listen; give the address as the station writes it."""
        if self._plant.running:
            self._set_point, self._mode = self._plant.set_point - _ZERO_CELSIUS, _RUNNING
        self._cabinet.start()
        port = await self._laboratory.expose(self._name, await self._server.start(), "espec")
        self._laboratory.register_restart(self._name, self._cabinet.lose_mains)
        return {"address": f"127.0.0.1:{port}"}

    async def stop(self) -> None:
        """Stop listening; the plant goes on as it is."""
        await self._server.stop()

    def save(self) -> dict[str, Any]:
        """Give what the controller remembers; the plant is the laboratory's."""
        return {
            "set_point": self._set_point,
            "limits": [self._low, self._high],
            "mode": self._mode,
            **self._cabinet.save(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`save` gave."""
        self._set_point = float(state["set_point"])
        self._low, self._high = (float(limit) for limit in state["limits"])
        self._mode = str(state["mode"])
        self._cabinet.restore(state)

    async def lose_connections(self) -> None:
        """Cut every connection, as a pulled cable does."""
        await self._server.drop()

    def _stand_by(self) -> None:
        self._mode = "STANDBY"

    def _actual(self) -> float:
        return float(self._plant.temperature) - _ZERO_CELSIUS

    def _clock(self) -> datetime:
        now: datetime = self._laboratory.now()
        return now + self._clock_ahead

    def _alarms(self) -> list[str]:
        return self._cabinet.alarm.split(",") if self._cabinet.alarm else []

    def _said(self) -> str:
        return "RUN" if self._program else self._mode

    def _hear(self, line: str) -> str | None:
        if self._cabinet.dark:
            return None
        self._laboratory.record(self._name, "heard", command=line)
        self._watch()
        if self._unit is not None:
            number, _, line = line.partition(",")
            if number.strip() != str(self._unit):
                return ADDR
        line = line.strip().upper()
        if line in self._queries:
            return self._queries[line]()
        word, _, rest = line.partition(",")
        if word not in ("TEMP", "MODE", "POWER"):
            return CMD
        if self._protected:
            return PROTECTED
        refusal = self._take(rest) if word == "TEMP" else self._switch(word, rest.strip())
        return refusal or f"OK:{line}"

    def _watch(self) -> None:
        """Trip where the chamber has passed its limits while it runs."""
        if self._plant.running and not self._low <= self._actual() <= self._high:
            code = HIGH_ALARM if self._actual() > self._high else LOW_ALARM
            self._laboratory.record(self._name, "tripped", code=code, celsius=self._actual())
            self._cabinet.raise_alarm(code)
        if self._cabinet.alarm and self._mode == _RUNNING:
            self._mode = "STANDBY"

    def _take(self, text: str) -> str | None:
        """Take set-point and limits of one command, all or none; give the words of a refusal."""
        found = [_PART.fullmatch(part) for part in text.split()]
        if not found or None in found:
            return PARA
        asked = {match[1]: round(float(match[2]), 1) for match in found if match is not None}
        set_point, high, low = (
            asked.get(key, now) for key, now in (("S", self._set_point), ("H", self._high), ("L", self._low))
        )
        if not _LOWEST <= low <= set_point <= high <= self._highest + 10.0:
            return RANGE
        self._set_point, self._high, self._low = set_point, high, low
        self._laboratory.record(self._name, "set point", celsius=set_point, high=high, low=low)
        if self._plant.running:
            self._plant.regulate(set_point + _ZERO_CELSIUS)
        return None

    def _switch(self, word: str, mode: str) -> str | None:
        if word == "POWER":
            mode = {"ON": "STANDBY", "OFF": "OFF"}.get(mode, "")
        if mode not in _MODES:
            return PARA
        if mode == _RUNNING:
            if self._cabinet.alarm:
                return NOT_READY
            self._laboratory.record(self._name, "started", celsius=self._set_point)
            self._plant.regulate(self._set_point + _ZERO_CELSIUS)
        else:
            self._laboratory.record(self._name, "stopped")
            self._plant.stop()
            self._program = False
        self._mode = mode
        return None
