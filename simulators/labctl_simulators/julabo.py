"""A Julabo circulator at the wire: its ASCII commands over a TCP serial server, round one thermal plant.

From the manuals (FL1703, Presto, FL300, as quoted in third-party drivers): the commands and the form of their answers,
CR in and LF out, silence after every ``out_`` command, the status words and codes, at least 250 ms between commands,
no writing except under remote control, a circulator that stands after a loss of mains.

Guessed: a command that comes too early is not seen at all (the manual only warns); a refusal stands in ``status`` until
``status`` has been read once; an alarm stops the circulator and stands until it is cleared at the instrument; the
models whose warning limits can be read are told by ``CF`` or ``HL``; an old unit does not see small letters.

Left out: control by the external probe, the integrated programmer, ramps, the control parameters, pump stages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from labctl_simulators.cabinet import Cabinet
from labctl_simulators.lines import LineServer

_ZERO_CELSIUS: Final = 273.15
_LOWEST, _HIGHEST = -20.0, 150.0
_NO_SENSOR: Final = "---.--"
_WITH_LIMITS: Final = ("CF", "HL")

INVALID: Final = "-08 INVALID COMMAND"
NOT_ALLOWED: Final = "-09 COMMAND NOT ALLOWED IN CURRENT OPERATING MODE"
TOO_SMALL: Final = "-10 VALUE TOO SMALL"
TOO_LARGE: Final = "-11 VALUE TOO LARGE"


class JulaboSimulator:
    """One circulator.

    Parameters
    ----------
    name : str
        The station's name of the instrument, and of its thermal plant in the laboratory.
    settings : mapping
        The station's entry. ``simulate`` may hold ``panel`` (true: under the control of its panel),
        ``external_probe`` (true: a Pt100 is connected), ``minimum_gap`` (seconds between commands, 0.25), ``model``
        (``FL300``), ``capitals`` (true: small letters are not understood, as by old units), ``warning_limits`` (degC,
        of a CF or HL model) and what :class:`labctl_simulators.cabinet.Cabinet` takes.
    laboratory : Laboratory
        Gives time, the thermal plant and the public port.

    Breakdowns
    ----------
    Those of :class:`labctl_simulators.cabinet.Cabinet`, and ``panel`` and ``remote`` (somebody switches it over).
    """

    def __init__(self, name: str, settings: Mapping[str, Any], laboratory: Any) -> None:
        options = settings.get("simulate") or {}
        self._name = name
        self._laboratory = laboratory
        self._cabinet = Cabinet(
            name, options, laboratory, usual_alarm="-01 LOW LEVEL ALARM", after_mains=self._forget_complaint
        )
        self._plant = self._cabinet.plant
        self._server = LineServer(self._hear, end_received=b"\r", end_sent=b"\n")
        self._minimum_gap = float(options.get("minimum_gap", 0.25))
        self._external_probe = bool(options.get("external_probe", False))
        self._last_heard = -1e9
        self._set_point = 25.0
        self._complaint = ""
        self.panel = bool(options.get("panel", False))
        self._capitals = bool(options.get("capitals", False))
        model = str(options.get("model", "FL300"))
        self._queries: dict[str, Callable[[], str]] = {
            "version": lambda: f"JULABO {model} VERSION 5.0",
            "status": self._status,
            "in_pv_00": self._temperature,
            "in_pv_02": lambda: self._temperature() if self._external_probe else _NO_SENSOR,
            "in_sp_00": lambda: f"{self._set_point:.2f}",
            "in_mode_05": lambda: str(int(self._plant.running)),
        }
        if model.startswith(_WITH_LIMITS):
            low, high = options.get("warning_limits", (_LOWEST, _HIGHEST))
            self._queries |= {"in_sp_03": lambda: f"{high:.2f}", "in_sp_04": lambda: f"{low:.2f}"}
        self._commands: dict[str, Callable[[float], None]] = {
            "out_sp_00": self._take_set_point,
            "out_mode_05": self._switch,
        }

    async def start(self) -> dict[str, Any]:
        """Listen. The address is that of a serial server."""
        if self._plant.running:
            self._set_point = self._plant.set_point - _ZERO_CELSIUS
        self._laboratory.register_breakdowns(self._name, self._break_down)
        port = await self._laboratory.expose(self._name, await self._server.start(), "julabo")
        self._laboratory.register_restart(self._name, self._cabinet.lose_mains)
        return {"address": f"socket://127.0.0.1:{port}"}

    def _break_down(self, kind: str, options: Mapping[str, Any]) -> None:
        if kind in ("panel", "remote"):
            self.panel = kind == "panel"
        else:
            self._cabinet.break_down(kind, options)

    async def stop(self) -> None:
        """Stop listening; the plant goes on as it is."""
        await self._server.stop()

    def save(self) -> dict[str, Any]:
        """Give what the circulator remembers; the plant is the laboratory's."""
        return {
            "set_point": self._set_point,
            "panel": self.panel,
            **self._cabinet.save(),
            "complaint": self._complaint,
            "last_heard": self._last_heard,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`save` gave."""
        self._set_point = float(state["set_point"])
        self.panel = bool(state["panel"])
        self._cabinet.restore(state)
        self._complaint = str(state["complaint"])
        self._last_heard = float(state["last_heard"])

    async def lose_connections(self) -> None:
        """Cut every connection, as a pulled cable does."""
        await self._server.drop()

    @property
    def alarm(self) -> str:
        """What ``status`` says of an alarm or a warning that stands; empty where none does."""
        return self._cabinet.alarm

    @alarm.setter
    def alarm(self, text: str) -> None:
        self._cabinet.alarm = text

    def _forget_complaint(self) -> None:
        self._complaint = ""

    def _hear(self, line: str) -> str | None:
        if self._cabinet.dark:
            return None
        now = self._laboratory.time()
        gap, self._last_heard = now - self._last_heard, now
        # Where time is hurried, a busy process reads late what came in good order: then the gap says nothing.
        seen = gap >= self._minimum_gap or self._laboratory.clock.patience(1.0) > 1.0
        self._laboratory.record(self._name, "heard" if seen else "came too early", command=line)
        if not seen:
            return None
        word, _, value = line.strip().partition(" ")
        if self._capitals and word != word.upper():
            self._complaint = INVALID
            return None
        word = word.lower()
        if word in self._queries and not value:
            return self._queries[word]()
        if word in self._commands:
            self._command(self._commands[word], value)
        else:
            self._complaint = INVALID
        return None

    def _command(self, action: Callable[[float], None], text: str) -> None:
        if self.panel:
            self._complaint = NOT_ALLOWED
            return
        try:
            value = float(text)
        except ValueError:
            self._complaint = INVALID
            return
        action(value)

    def _take_set_point(self, celsius: float) -> None:
        if celsius < _LOWEST:
            self._complaint = TOO_SMALL
        elif celsius > _HIGHEST:
            self._complaint = TOO_LARGE
        else:
            self._set_point = round(celsius, 2)
            self._laboratory.record(self._name, "set point", celsius=self._set_point)
            if self._plant.running:
                self._plant.regulate(self._set_point + _ZERO_CELSIUS)

    def _switch(self, value: float) -> None:
        if value not in (0.0, 1.0):
            self._complaint = TOO_LARGE
        elif value == 0.0:
            self._laboratory.record(self._name, "stopped")
            self._plant.stop()
        elif self.alarm:
            self._complaint = NOT_ALLOWED
        else:
            self._laboratory.record(self._name, "started", celsius=self._set_point)
            self._plant.regulate(self._set_point + _ZERO_CELSIUS)

    def _status(self) -> str:
        if self.alarm:
            return self.alarm
        if self._complaint:
            complaint, self._complaint = self._complaint, ""
            return complaint
        number = 2 * (not self.panel) + bool(self._plant.running)
        return f"0{number} {'MANUAL' if self.panel else 'REMOTE'} {'START' if self._plant.running else 'STOP'}"

    def _temperature(self) -> str:
        return f"{self._plant.temperature - _ZERO_CELSIUS:.2f}"
