"""Switch units at the wire: SCPI over a raw TCP socket, relay cards in their slots.

From the vendors' manuals, some as quoted in public programs. Keysight 34970A family: commands, long and short forms,
channel numbers ``scc``, an error queue of ten entries whose last becomes -350 when it overflows, one error per illegal
channel with nothing performed, silence in answer to a query that was refused, relays read back from firmware rather
than from contacts, power-fail recall, the forms of ``SYST:CTYP?``, ``SYST:DATE?`` and ``SYST:TIME?``. Keithley 2700:
``ROUT:MULT`` commands, states parted by comma and space, ``*OPT?``, closure counts, -222 for a channel that it does not
have.

Guessed: the numbers 111 and 112 for illegal slots and channels, the answer of ``SYST:CTYP?`` for an empty slot, that
``ROUT:CLOS:EXCL`` opens the slots that it names channels of, that ``*RST`` opens everything, that relays latch; of the
Keithley the length of its queue, ``SYST:POS?``, and that a socket stands in for its serial line.

Left out: scanning, monitoring, measuring, setting the clock, the Keithley's clock, registers beyond ``*ESR?``. Relays
move at once: instruments behind blocking libraries answer at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from labctl_simulators.lines import LineServer
from labctl_simulators.scpi_cards import Cards
from labctl_simulators.scpi_parser import (
    ILLEGAL_PARAMETER,
    OUT_OF_RANGE,
    PARAMETER_NOT_ALLOWED,
    Commands,
    ScpiError,
    channel_list,
    units,
)

_QUEUE: Final = 10
_POWER_ON: Final = 128
_NAMES: Final = {
    "34970A": "HEWLETT-PACKARD,34970A,0,13-2-2",
    "34972A": "Agilent Technologies,34972A,MY49000001,1.17-1.12-02-02",
    "DAQ970A": "Keysight Technologies,DAQ970A,MY58000001,A.03.02-01.00-01.00-00.02-01-01",
    "2700": "KEITHLEY INSTRUMENTS INC.,MODEL 2700,0840001,B09",
}
_SLOTS: Final = {"2700": (1, 2)}

Answer = Callable[[str], str | None]


class ScpiMultiplexerSimulator:
    """One switch unit.

    Parameters
    ----------
    name : str
        The station's name of the instrument; the laboratory keeps its closed relays under it.
    settings : mapping
        The station's entry: ``model``, ``module``, ``also``. ``simulate`` may hold ``slots`` (those with a card),
        ``cards`` (slot to card, where they differ), ``power_fail_recall`` (true: as shipped), ``clock_ahead_s``
        (what its clock is ahead of UTC) and ``broken`` (kind to list of relays, kinds as in
        :meth:`labctl_simulators.scpi_cards.Cards.break_relay`).
    laboratory : Laboratory
        Gives the set of relays that lead through, and the public port. Breakdowns: those of a relay, with ``relay``;
        and ``recall`` with ``on``, which switches power-fail recall.
    """

    def __init__(self, name: str, settings: Mapping[str, Any], laboratory: Any) -> None:
        options = settings.get("simulate") or {}
        model = str(settings.get("model") or "34970A")
        self._name = name
        self._laboratory = laboratory
        self._identity = _NAMES.get(model, _NAMES["34970A"])
        self._keithley = "KEITHLEY" in self._identity
        card = str(settings.get("module") or ("7705" if self._keithley else "34903A"))
        self._slots: Sequence[int] = _SLOTS.get(model, (1, 2, 3))
        cards = {int(slot): card for slot in options.get("slots", self._slots)}
        cards |= {int(slot): str(one) for slot, one in (options.get("cards") or {}).items()}
        self._cards = Cards(name, cards, tuple(settings.get("also") or ()), laboratory)
        for kind, relays in (options.get("broken") or {}).items():
            for relay in relays:
                self._cards.break_relay(str(kind), {"relay": relay})
        laboratory.register_breakdowns(name, self._break_down)
        self._server = LineServer(self._hear, end_received=b"\n", end_sent=b"\n")
        self._recall = bool(options.get("power_fail_recall", False))
        self._clock_ahead = timedelta(seconds=float(options.get("clock_ahead_s", 0.0)))
        self._errors: list[tuple[int, str]] = []
        self._events = _POWER_ON
        self._commands = Commands(self._common() | (self._of_keithley() if self._keithley else self._of_keysight()))

    def _common(self) -> dict[str, Answer]:
        return {
            "*IDN?": lambda text: self._identity,
            "*CLS": self._clear,
            "*RST": self._reset,
            "*OPC": self._note_completion,
            "*OPC?": lambda text: "1",
            "*ESR?": self._event_register,
            "SYSTem:ERRor?": self._next_error,
            "SYSTem:ERRor:NEXT?": self._next_error,
        }

    def _of_keysight(self) -> dict[str, Answer]:
        return {
            "ROUTe:CLOSe": self._close,
            "ROUTe:CLOSe?": lambda text: self._state(text, closed=True),
            "ROUTe:CLOSe:EXCLusive": self._close_exclusively,
            "ROUTe:OPEN": self._open,
            "ROUTe:OPEN?": lambda text: self._state(text, closed=False),
            "ROUTe:DONE?": lambda text: "1",
            "SYSTem:CTYPe?": self._card,
            "MEMory:STATe:RECall:AUTO": self._set_recall,
            "MEMory:STATe:RECall:AUTO?": lambda text: str(int(self._recall)),
            "DIAGnostic:RELay:CYCLes?": self._wear,
            "SYSTem:DATE?": lambda text: self._clock(text, "%Y,%m,%d"),
            "SYSTem:TIME?": lambda text: self._clock(text, "%H,%M,%S.%f")[:-3],
        }

    def _of_keithley(self) -> dict[str, Answer]:
        return {
            "*OPT?": lambda text: ", ".join(self._cards.slots.get(slot, "NONE") for slot in self._slots),
            "ROUTe:CLOSe": self._measure,
            "ROUTe:MULTiple:CLOSe": self._close,
            "ROUTe:MULTiple:CLOSe?": self._all_closed,
            "ROUTe:MULTiple:CLOSe:STATe?": lambda text: self._state(text, closed=True, between=", "),
            "ROUTe:MULTiple:OPEN": self._open,
            "ROUTe:OPEN:ALL": self._reset,
            "ROUTe:CLOSe:COUNt?": self._wear,
            "SYSTem:POSetup": self._set_power_on,
            "SYSTem:POSetup?": lambda text: "SAV0" if self._recall else "RST",
        }

    async def start(self) -> dict[str, Any]:
        """Listen. The address is a VISA resource name."""
        port = await self._laboratory.expose(self._name, await self._server.start(), "scpi")
        self._laboratory.register_restart(self._name, self.lose_power)
        return {"address": f"TCPIP::127.0.0.1::{port}::SOCKET"}

    async def stop(self) -> None:
        """Stop listening; the relays stay as they are."""
        await self._server.stop()

    def save(self) -> dict[str, Any]:
        """Give what the unit remembers, and where its contacts are."""
        errors = [list(error) for error in self._errors]
        return {"recall": self._recall, "errors": errors, "events": self._events, **self._cards.save()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`save` gave."""
        self._recall = bool(state["recall"])
        self._errors = [(int(code), str(text)) for code, text in state["errors"]]
        self._events = int(state["events"])
        self._cards.restore(state)

    async def lose_connections(self) -> None:
        """Cut every connection, as a pulled cable does."""
        await self._server.drop()

    async def lose_power(self) -> None:
        """Mains fail and return: all relays are told to open, unless power-fail recall leaves those of before."""
        await self._server.drop()
        self._errors.clear()
        self._events = _POWER_ON
        if not self._recall:
            self._cards.move(self._cards.channels, close=False)

    def _break_down(self, kind: str, options: Mapping[str, Any]) -> None:
        if kind == "recall":
            self._recall = bool(options["on"])
            return
        self._cards.break_relay(kind, options)

    def _hear(self, line: str) -> str | None:
        self._laboratory.record(self._name, "heard", message=line)
        answers = []
        for unit in units(line):
            try:
                answer = self._commands.find(unit.header)(unit.parameters)
            except ScpiError as error:
                self._complain(error)
            else:
                if answer is not None:
                    answers.append(answer)
        return ";".join(answers) if answers else None

    def _complain(self, error: ScpiError) -> None:
        self._events |= 32 if -200 < error.code <= -100 else 16 if -300 < error.code <= -200 else 8
        if len(self._errors) < _QUEUE:
            self._errors.append((error.code, error.text))
        else:
            self._errors[-1] = (-350, "Error queue overflow")

    def _existing(self, text: str) -> list[int]:
        """Read a channel list; with one illegal channel nothing is done, and each has its entry in the queue."""
        found, errors = channel_list(text, self._cards.channels)
        if errors and self._keithley:
            raise ScpiError(*OUT_OF_RANGE)
        if errors:
            for error in errors[:-1]:
                self._complain(error)
            raise errors[-1]
        return found

    def _close(self, text: str) -> None:
        self._cards.move(self._existing(text), close=True)

    def _open(self, text: str) -> None:
        self._cards.move(self._existing(text), close=False)

    def _close_exclusively(self, text: str) -> None:
        wanted = self._existing(text)
        slots = {channel // 100 for channel in wanted}
        others = {channel for channel in self._cards.memory if channel // 100 in slots} - set(wanted)
        self._cards.move(others, close=False)
        self._cards.move(wanted, close=True)

    def _measure(self, text: str) -> None:
        """Refuse to close a channel for measuring: none of these cards has such channels."""
        self._existing(text)
        raise ScpiError(*OUT_OF_RANGE)

    def _state(self, text: str, *, closed: bool, between: str = ",") -> str:
        return between.join(str(int((one in self._cards.memory) == closed)) for one in self._existing(text))

    def _all_closed(self, text: str) -> str:
        _nothing(text)
        return f"(@{','.join(str(channel) for channel in sorted(self._cards.memory))})"

    def _clear(self, text: str) -> None:
        _nothing(text)
        self._errors.clear()
        self._events = 0

    def _reset(self, text: str) -> None:
        _nothing(text)
        self._cards.move(self._cards.channels, close=False)

    def _note_completion(self, text: str) -> None:
        _nothing(text)
        self._events |= 1

    def _event_register(self, text: str) -> str:
        _nothing(text)
        events, self._events = self._events, 0
        return str(events) if self._keithley else f"+{events}"

    def _next_error(self, text: str) -> str:
        _nothing(text)
        code, words = self._errors.pop(0) if self._errors else (0, "No error")
        return f'{code},"{words}"' if self._keithley else f'{code:+d},"{words}"'

    def _card(self, text: str) -> str:
        if text not in ("100", "200", "300"):
            raise ScpiError(*ILLEGAL_PARAMETER)
        card = self._cards.slots.get(int(text) // 100)
        return f"HEWLETT-PACKARD,{card},0,1.0" if card else "HEWLETT-PACKARD,0,0,0"

    def _clock(self, text: str, form: str) -> str:
        _nothing(text)
        now: datetime = self._laboratory.now() + self._clock_ahead
        return now.strftime(form)

    def _set_recall(self, text: str) -> None:
        switch: Callable[[str], bool | None] = {"ON": True, "1": True, "OFF": False, "0": False}.get
        wanted = switch(text.upper())
        if wanted is None:
            raise ScpiError(*ILLEGAL_PARAMETER)
        self._recall = wanted

    def _set_power_on(self, text: str) -> None:
        switch: Callable[[str], bool | None] = {"RST": False, "PRES": False, "PRESET": False, "SAV0": True}.get
        wanted = switch(text.upper())
        if wanted is None:
            raise ScpiError(*ILLEGAL_PARAMETER)
        self._recall = wanted

    def _wear(self, text: str) -> str:
        counts = [self._cards.cycles.get(channel, 0) for channel in self._existing(text)]
        return ", ".join(map(str, counts)) if self._keithley else ",".join(f"{count:+d}" for count in counts)


def _nothing(text: str) -> None:
    if text:
        raise ScpiError(*PARAMETER_NOT_ALLOWED)
