"""A Binder chamber (MB2 or MB1) at the wire: its holding registers over Modbus TCP or RTU, round one plant.

As seen in third-party drivers: the addresses, floats with the low word first, the idle bit of the operation lines, the
clock's six words; for MB1 the mode word, whose manual mode is taken for running and whose basic mode for standing.

Guessed: the active set-point is the manual one while it runs; an alarm or a loss of mains sets the idle bit; a
set-point beyond the chamber's span is exception 3, writing to what can't be written exception 8; which of MB1's two
set-points counts is disputed, so here the last one written does.

Left out: humidity, the fan, the program (its registers read 0), user levels.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from labctl_simulators.cabinet import Cabinet
from labctl_simulators.modbus import ADDRESS, DENIED, VALUE, Declined, ModbusServer

_ZERO_CELSIUS: Final = 273.15
_LOWEST, _HIGHEST = -40.0, 180.0
_PROGRAM: Final = range(0x1147, 0x114C)


@dataclass(frozen=True, slots=True)
class Model:
    """Where a controller keeps what: floats by address, and the word that says whether it stands."""

    actual: tuple[int, ...]
    door: int | None
    active: int
    set_points: tuple[int, ...]
    switch: int
    switch_now: int
    mask: int
    run: int
    stand: int
    clock: int | None


MODELS: Final = {
    "mb2": Model((0x1004, 0x10D2), 0x1006, 0x10B2, (0x114C,), 0x1158, 0x1292, 0x0002, 0x0000, 0x0002, 0x134A),
    "mb1": Model((0x11A9,), None, 0x1077, (0x1581, 0x156F), 0x1A22, 0x1A22, 0x1C00, 0x0800, 0x1000, None),
}


class BinderSimulator:
    """One chamber.

    Parameters
    ----------
    name : str
        The station's name of the instrument, and of its thermal plant in the laboratory.
    settings : mapping
        The station's entry: ``unit``. ``simulate`` may hold ``model`` (``mb2`` or ``mb1``), ``rtu`` (true: Modbus RTU
        behind a serial server), ``word_order`` (``low first``), ``program`` (degC that a program follows, whatever is
        set), ``floats`` (further registers that only remember, address to number), ``clock_ahead_s`` (what its clock is
        ahead of UTC) and what
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
        self._clock_ahead = timedelta(seconds=float(options.get("clock_ahead_s", 0.0)))
        self._program = None if program is None else float(program)
        self._server = ModbusServer(
            self._read,
            self._write,
            unit=int(settings.get("unit", 1)),
            rtu=self._rtu,
            silent=lambda: self._cabinet.dark,
        )
        self._model = MODELS[str(options.get("model", "mb2"))]
        self._set_point = 25.0
        self._kept = {int(address, 16): float(value) for address, value in options.get("floats", {}).items()}
        #: The switch's word as it was written, but for its bits: those are the plant's.
        self._word = 0
        self._floats: dict[int, Callable[[], float]] = dict.fromkeys(self._model.actual, self._actual)
        self._floats |= dict.fromkeys(self._model.set_points, lambda: self._set_point)
        self._floats[self._model.active] = lambda: self._set_point if self._program is None else self._program
        if self._model.door is not None:
            self._floats[self._model.door] = lambda: 20.0 if self._plant.door_open else self._actual()

    async def start(self) -> dict[str, Any]:
        """Listen; give the address as the station writes it."""
        if self._plant.running:
            self._set_point = self._plant.set_point - _ZERO_CELSIUS
        self._cabinet.start()
        wire = "modbus-rtu" if self._rtu else "modbus-tcp"
        port = await self._laboratory.expose(self._name, await self._server.start(), wire)
        self._laboratory.register_restart(self._name, self._cabinet.lose_mains)
        return {"address": f"socket://127.0.0.1:{port}" if self._rtu else f"127.0.0.1:{port}"}

    async def stop(self) -> None:
        """Stop listening; the plant goes on as it is."""
        await self._server.stop()

    def save(self) -> dict[str, Any]:
        """Give what the controller remembers; the plant is the laboratory's."""
        return {"set_point": self._set_point, "word": self._word, "kept": self._kept_as_text(), **self._cabinet.save()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`save` gave."""
        self._set_point = float(state["set_point"])
        self._word = int(state["word"])
        self._kept = {int(address, 16): float(value) for address, value in state["kept"].items()}
        self._cabinet.restore(state)

    async def lose_connections(self) -> None:
        """Cut every connection, as a pulled cable does."""
        await self._server.drop()

    def _kept_as_text(self) -> dict[str, float]:
        return {f"{address:04X}": value for address, value in self._kept.items()}

    def _actual(self) -> float:
        return float(self._plant.temperature) - _ZERO_CELSIUS

    def _words(self, value: float) -> tuple[int, int]:
        high, low = struct.unpack(">HH", struct.pack(">f", value))
        return (low, high) if self._low_first else (high, low)

    def _registers(self) -> dict[int, int]:
        """Give all registers as they are now."""
        model = self._model
        registers = dict.fromkeys(_PROGRAM, 0)
        values = {address: value() for address, value in self._floats.items()} | self._kept
        for address, celsius in values.items():
            registers[address], registers[address + 1] = self._words(celsius)
        registers[model.switch] = self._word | (model.run if self._plant.running else model.stand)
        registers[model.switch_now] = registers[model.switch]
        if model.clock is not None:
            now = self._laboratory.now() + self._clock_ahead
            clock = (now.year, now.month, now.day, now.hour, now.minute, now.second)
            registers |= {model.clock + place: word for place, word in enumerate(clock)}
        return registers

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
        high, low = (words[::-1] if self._low_first else words) if len(words) == 2 else (0, 0)
        value = struct.unpack(">f", struct.pack(">HH", high, low))[0]
        if address in self._model.set_points and len(words) == 2:
            self._take_set_point(value)
        elif address in self._kept and len(words) == 2:
            self._kept[address] = value
        elif address == self._model.switch and len(words) == 1:
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
        model = self._model
        self._word = word & ~model.mask
        if word & model.mask != model.run:
            self._laboratory.record(self._name, "stopped")
            self._plant.stop()
        elif not self._cabinet.alarm:
            self._laboratory.record(self._name, "started", celsius=self._set_point)
            self._regulate()

    def _regulate(self) -> None:
        self._plant.regulate((self._set_point if self._program is None else self._program) + _ZERO_CELSIUS)
