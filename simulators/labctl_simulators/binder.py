"""A Binder chamber with an MB2 controller at the wire: its holding registers over Modbus TCP or RTU, round one plant.

As seen in third-party drivers: the addresses, floats with the low word first, the idle bit of the operation lines, the
clock's six words.

Guessed: the active set-point is the manual one while it runs; an alarm or a loss of mains sets the idle bit; a
set-point beyond the chamber's span is exception 3, writing to what can't be written exception 8.

Left out: humidity, the fan, the program (its registers read 0), user levels.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from labctl_simulators.cabinet import Cabinet
from labctl_simulators.modbus import ADDRESS, DENIED, VALUE, Declined, ModbusServer

_ZERO_CELSIUS: Final = 273.15
_LOWEST, _HIGHEST = -40.0, 180.0
_IDLE: Final = 0x0002

ACTUAL, DOOR, ACTUAL_AGAIN, ACTIVE, MANUAL, LINES, LINES_NOW, CLOCK = (
    0x1004,
    0x1006,
    0x10D2,
    0x10B2,
    0x114C,
    0x1158,
    0x1292,
    0x134A,
)
_PROGRAM: Final = range(0x1147, 0x114C)


class BinderSimulator:
    """One chamber.

    Parameters
    ----------
    name : str
        The station's name of the instrument, and of its thermal plant in the laboratory.
    settings : mapping
        The station's entry: ``unit``. ``simulate`` may hold ``rtu`` (true: Modbus RTU behind a serial server),
        ``word_order`` (``low first``), ``program`` (degC that a program follows, whatever is set) and what
        :class:`labctl_simulators.cabinet.Cabinet` takes.
    laboratory : Laboratory
        Gives time, the thermal plant and the public port.

    Breakdowns
    ----------
    Those of :class:`labctl_simulators.cabinet.Cabinet`.
    """

    def __init__(self, name: str, settings: Mapping[str, Any], laboratory: Any) -> None:
        options = settings.get("simulate") or {}
        self._name = name
        self._laboratory = laboratory
        self._cabinet = Cabinet(name, options, laboratory, usual_alarm="alarm", after_mains=lambda: None)
        self._plant = self._cabinet.plant
        self._rtu = bool(options.get("rtu", False))
        self._low_first = options.get("word_order", "low first") == "low first"
        program = options.get("program")
        self._program = None if program is None else float(program)
        self._server = ModbusServer(
            self._read,
            self._write,
            unit=int(settings.get("unit", 1)),
            rtu=self._rtu,
            silent=lambda: self._cabinet.dark,
        )
        self._set_point = 25.0
        #: Operation lines as they were written, but for the idle bit: that is the plant's.
        self._lines = 0
        self._floats: dict[int, Callable[[], float]] = {
            ACTUAL: self._actual,
            ACTUAL_AGAIN: self._actual,
            DOOR: lambda: self._actual() if not self._plant.door_open else 20.0,
            ACTIVE: lambda: self._set_point if self._program is None else self._program,
            MANUAL: lambda: self._set_point,
        }

    async def start(self) -> dict[str, Any]:
        """Listen; give the address as the station writes it."""
        if self._plant.running:
            self._set_point = self._plant.set_point - _ZERO_CELSIUS
        self._cabinet.start()
        port = await self._laboratory.expose(self._name, await self._server.start())
        return {"address": f"socket://127.0.0.1:{port}" if self._rtu else f"127.0.0.1:{port}"}

    async def stop(self) -> None:
        """Stop listening; the plant goes on as it is."""
        await self._server.stop()

    def save(self) -> dict[str, Any]:
        """Give what the controller remembers; the plant is the laboratory's."""
        return {"set_point": self._set_point, "lines": self._lines, **self._cabinet.save()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`save` gave."""
        self._set_point = float(state["set_point"])
        self._lines = int(state["lines"])
        self._cabinet.restore(state)

    async def lose_connections(self) -> None:
        """Cut every connection, as a pulled cable does."""
        await self._server.drop()

    def _actual(self) -> float:
        return float(self._plant.temperature) - _ZERO_CELSIUS

    def _words(self, value: float) -> tuple[int, int]:
        high, low = struct.unpack(">HH", struct.pack(">f", value))
        return (low, high) if self._low_first else (high, low)

    def _registers(self) -> dict[int, int]:
        """Give all registers as they are now."""
        registers = dict.fromkeys(_PROGRAM, 0)
        for address, value in self._floats.items():
            registers[address], registers[address + 1] = self._words(value())
        idle = 0 if self._plant.running else _IDLE
        registers[LINES] = registers[LINES_NOW] = self._lines | idle
        now = self._laboratory.now()
        clock = (now.year, now.month, now.day, now.hour, now.minute, now.second)
        return registers | {CLOCK + place: word for place, word in enumerate(clock)}

    def _read(self, address: int, count: int) -> Sequence[int]:
        self._laboratory.record(self._name, "heard", command=f"read {address:04X} {count}")
        registers = self._registers()
        try:
            return [registers[one] for one in range(address, address + count)]
        except KeyError as missing:
            raise Declined(ADDRESS) from missing

    def _write(self, address: int, words: Sequence[int]) -> None:
        text = " ".join(f"{word:04X}" for word in words)
        self._laboratory.record(self._name, "heard", command=f"write {address:04X} {text}")
        if address == MANUAL and len(words) == 2:
            high, low = words[::-1] if self._low_first else words
            self._take_set_point(struct.unpack(">f", struct.pack(">HH", high, low))[0])
        elif address == LINES and len(words) == 1:
            self._switch(words[0])
        elif address in self._registers():
            raise Declined(DENIED)
        else:
            raise Declined(ADDRESS)

    def _take_set_point(self, celsius: float) -> None:
        if not _LOWEST <= celsius <= _HIGHEST:
            raise Declined(VALUE)
        self._set_point = celsius
        self._laboratory.record(self._name, "set point", celsius=celsius)
        if self._plant.running:
            self._regulate()

    def _switch(self, word: int) -> None:
        self._lines = word & ~_IDLE
        if word & _IDLE:
            self._laboratory.record(self._name, "stopped")
            self._plant.stop()
        elif not self._cabinet.alarm:
            self._laboratory.record(self._name, "started", celsius=self._set_point)
            self._regulate()

    def _regulate(self) -> None:
        self._plant.regulate((self._set_point if self._program is None else self._program) + _ZERO_CELSIUS)
