"""A switch unit of the Keysight 34970A family at the wire: SCPI over a raw TCP socket, actuator modules in its slots.

From the vendor's manuals (as quoted in public programs): commands, long and short forms, channel numbers ``scc``, an
error queue of ten entries whose last becomes -350 when it overflows, one error per illegal channel with nothing
performed, silence in answer to a query that was refused, relays read back from firmware rather than from contacts,
power-fail recall.

Guessed: the numbers 111 and 112 for illegal slots and channels, the answer of ``SYST:CTYP?`` for an empty slot, that
``ROUT:CLOS:EXCL`` opens the slots that it names channels of, that ``*RST`` opens everything.

Left out: scanning, monitoring, measuring modules, registers beyond ``*ESR?``. Relays move at once: instruments behind
blocking libraries answer at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from labctl_simulators.lines import LineServer
from labctl_simulators.scpi_parser import (
    ILLEGAL_PARAMETER,
    PARAMETER_NOT_ALLOWED,
    Commands,
    ScpiError,
    channel_list,
    units,
)

_QUEUE: Final = 10
_CHANNELS_OF_MODULE: Final = 20  # 34903A: twenty form-C relays
_NAMES: Final = {
    "34970A": "HEWLETT-PACKARD,34970A,0,13-2-2",
    "34972A": "Agilent Technologies,34972A,MY49000001,1.17-1.12-02-02",
    "DAQ970A": "Keysight Technologies,DAQ970A,MY58000001,A.03.02-01.00-01.00-00.02-01-01",
}


class ScpiMultiplexerSimulator:
    """One switch unit.

    Parameters
    ----------
    name : str
        The station's name of the instrument; the laboratory keeps its closed relays under it.
    settings : mapping
        The station's entry: ``model``. ``simulate`` may hold ``slots`` (those with an actuator module, 1 to 3),
        ``power_fail_recall`` (true: as shipped) and ``stuck_open`` (channels that never read back as closed).
    laboratory : Laboratory
        Gives the set of closed relays and the public port.
    """

    def __init__(self, name: str, settings: Mapping[str, Any], laboratory: Any) -> None:
        options = settings.get("simulate") or {}
        self._name = name
        self._laboratory = laboratory
        self._identity = _NAMES.get(str(settings.get("model", "34970A")), _NAMES["34970A"])
        self._slots = tuple(int(slot) for slot in options.get("slots", (1, 2, 3)))
        self._channels = frozenset(
            slot * 100 + channel for slot in self._slots for channel in range(1, _CHANNELS_OF_MODULE + 1)
        )
        self._stuck_open = frozenset(int(channel) for channel in options.get("stuck_open", ()))
        self._server = LineServer(self._hear, end_received=b"\n", end_sent=b"\n")
        self._closed: set[int] = laboratory.relays(name)
        self._recall = bool(options.get("power_fail_recall", False))
        self._errors: list[tuple[int, str]] = []
        self._events = 0
        self._cycles: dict[int, int] = {}
        self._commands = Commands(
            {
                "*IDN?": lambda text: self._identity,
                "*CLS": self._clear,
                "*RST": self._reset,
                "*OPC": self._note_completion,
                "*OPC?": lambda text: "1",
                "*ESR?": self._event_register,
                "ROUTe:CLOSe": self._close,
                "ROUTe:CLOSe?": lambda text: self._state(text, "closed"),
                "ROUTe:CLOSe:EXCLusive": self._close_exclusively,
                "ROUTe:OPEN": self._open,
                "ROUTe:OPEN?": lambda text: self._state(text, "open"),
                "ROUTe:DONE?": lambda text: "1",
                "SYSTem:ERRor?": self._next_error,
                "SYSTem:ERRor:NEXT?": self._next_error,
                "SYSTem:CTYPe?": self._module,
                "MEMory:STATe:RECall:AUTO": self._set_recall,
                "MEMory:STATe:RECall:AUTO?": lambda text: str(int(self._recall)),
                "DIAGnostic:RELay:CYCLes?": self._wear,
            }
        )

    async def start(self) -> dict[str, Any]:
        """Listen. The address is a VISA resource name."""
        port = await self._laboratory.expose(self._name, await self._server.start(), "scpi")
        self._laboratory.register_restart(self._name, self.lose_power)
        return {"address": f"TCPIP::127.0.0.1::{port}::SOCKET"}

    async def stop(self) -> None:
        """Stop listening; the relays stay as they are."""
        await self._server.stop()

    def save(self) -> dict[str, Any]:
        """Give what the unit remembers; which relays are closed, the laboratory keeps."""
        return {
            "recall": self._recall,
            "errors": [list(error) for error in self._errors],
            "events": self._events,
            "cycles": {str(channel): count for channel, count in self._cycles.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`save` gave."""
        self._recall = bool(state["recall"])
        self._errors = [(int(code), str(text)) for code, text in state["errors"]]
        self._events = int(state["events"])
        self._cycles = {int(channel): int(count) for channel, count in state["cycles"].items()}

    async def lose_connections(self) -> None:
        """Cut every connection, as a pulled cable does."""
        await self._server.drop()

    async def lose_power(self) -> None:
        """Mains fail and return: all relays open, unless power-fail recall closes them again."""
        await self._server.drop()
        self._errors.clear()
        self._events = 128
        if not self._recall:
            self._move(self._closed & self._channels, close=False)

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
        found, errors = channel_list(text, self._channels)
        if errors:
            for error in errors[:-1]:
                self._complain(error)
            raise errors[-1]
        return found

    def _close(self, text: str) -> None:
        self._move(self._existing(text), close=True)

    def _open(self, text: str) -> None:
        self._move(self._existing(text), close=False)

    def _close_exclusively(self, text: str) -> None:
        wanted = self._existing(text)
        slots = {channel // 100 for channel in wanted}
        self._move({channel for channel in self._closed if channel // 100 in slots} - set(wanted), close=False)
        self._move(wanted, close=True)

    def _move(self, channels: Iterable[int], *, close: bool) -> None:
        for channel in sorted(channels):
            if (channel in self._closed) == close or (close and channel in self._stuck_open):
                continue
            self._watch(channel)
            self._cycles[channel] = self._cycles.get(channel, 0) + close
            (self._closed.add if close else self._closed.discard)(channel)
            self._laboratory.record(self._name, "closed" if close else "opened", relay=channel)

    def _watch(self, channel: int) -> None:
        """Note it where a relay moves at a cell that is being driven, by whichever instrument."""
        for cell in self._laboratory.routes(self._name, channel):
            self._laboratory.bring_up_to_date(cell)
            if sources := self._laboratory.sources_on(cell):
                self._laboratory.note_violation(
                    "relay moved under current", relay=channel, cell=cell.id, sources=list(sources)
                )

    def _state(self, text: str, which: str) -> str:
        return ",".join(str(int((channel in self._closed) == (which == "closed"))) for channel in self._existing(text))

    def _clear(self, text: str) -> None:
        _nothing(text)
        self._errors.clear()
        self._events = 0

    def _reset(self, text: str) -> None:
        _nothing(text)
        self._move(self._closed & self._channels, close=False)

    def _note_completion(self, text: str) -> None:
        _nothing(text)
        self._events |= 1

    def _event_register(self, text: str) -> str:
        _nothing(text)
        events, self._events = self._events, 0
        return f"+{events}"

    def _next_error(self, text: str) -> str:
        _nothing(text)
        code, words = self._errors.pop(0) if self._errors else (0, "No error")
        return f'{code:+d},"{words}"'

    def _module(self, text: str) -> str:
        if text not in ("100", "200", "300"):
            raise ScpiError(*ILLEGAL_PARAMETER)
        present = int(text) // 100 in self._slots
        return "HEWLETT-PACKARD,34903A,0,1.0" if present else "HEWLETT-PACKARD,0,0,0"

    def _set_recall(self, text: str) -> None:
        switch: Callable[[str], bool | None] = {"ON": True, "1": True, "OFF": False, "0": False}.get
        wanted = switch(text.upper())
        if wanted is None:
            raise ScpiError(*ILLEGAL_PARAMETER)
        self._recall = wanted

    def _wear(self, text: str) -> str:
        return ",".join(f"{self._cycles.get(channel, 0):+d}" for channel in self._existing(text))


def _nothing(text: str) -> None:
    if text:
        raise ScpiError(*PARAMETER_NOT_ALLOWED)
