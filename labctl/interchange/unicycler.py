"""aurora-unicycler protocols (JSON): written and read. The package itself is not needed; it can be asked to check.

Written after the package's documented model: ``record``, ``safety``, ``sample`` and a ``method`` of steps, with loops
that go back to a tag. Charging currents are positive.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from labctl.errors import UsageError
from labctl.instruments.cycler import CyclerProgram, CyclerStep, End, Loop, Mode, SafetyLimits
from labctl.interchange.exchanged import Exchange, Item, Repeat, Step, Sweep, items_of, timed
from labctl.interchange.wording import current, number

_FREQUENCIES: Final = (1e-5, 1e5)
_RECORD: Final = {"time_s": 60.0, "voltage_V": 0.02}


class _Writer:
    def __init__(self) -> None:
        self.method: list[dict[str, Any]] = []
        self.remarks: list[str] = []
        self._tags = 0

    def remark(self, text: str) -> None:
        if text not in self.remarks:
            self.remarks.append(text)

    def add(self, items: tuple[Item, ...]) -> None:
        for item in items:
            if isinstance(item, Repeat):
                self._tags += 1
                tag = f"loop-{self._tags}"
                self.method.append({"step": "tag", "tag": tag})
                length = len(self.method)
                self.add(item.body)
                if len(self.method) == length:
                    self.method.pop()
                else:
                    self.method.append({"step": "loop", "loop_to": tag, "cycle_count": item.count})
            elif isinstance(item, Sweep):
                self._sweep(item)
            else:
                self._step(item)

    def _sweep(self, sweep: Sweep) -> None:
        low, high = _FREQUENCIES
        if not (low <= sweep.end <= sweep.start <= high):
            self.remark(
                f"{_place(sweep.origin)}: a spectrum from {number(sweep.start)} Hz to {number(sweep.end)} Hz: "
                f"unicycler knows frequencies of {number(low)} to {number(high)} Hz: left out"
            )
            return
        amplitude = (
            {"amplitude_mA": _milli(sweep.amplitude)} if sweep.galvanostatic else {"amplitude_V": sweep.amplitude}
        )
        self.method.append(
            {
                "step": "impedance_spectroscopy",
                **amplitude,
                "start_frequency_Hz": sweep.start,
                "end_frequency_Hz": sweep.end,
                "points_per_decade": sweep.points_per_decade,
                "measures_per_point": sweep.periods,
            }
        )

    def _step(self, item: Step) -> None:
        step, where = item.cycling, _place(item.origin)
        if item.temperature is not None:
            self.remark(f"{where}: its temperature of {number(item.temperature - 273.15)} degC can't be said: left out")
        if any(end.guard for end in step.ends):
            self.remark(f"{where}: a guard time is an end like any other there, and the next step follows")
        found: dict[str, float] = {}
        ends, said = timed(step)
        for text in said:
            self.remark(f"{where}: {text}")
        for end in ends:
            key = _END_KEYS[step.mode].get(end.what)
            if key is None or not _sensible(step, end):
                self.remark(f"{where}: an end by {end.what} can't be said: left out")
                continue
            if end.held:
                self.remark(f"{where}: its end by current must last {number(end.held)} s; said as an end at once")
            value = _milli(end.value) if key.endswith("mA") else end.value
            found[key] = min(found.get(key, math.inf), value)
        if step.mode is Mode.REST:
            self.method.append({"step": "open_circuit_voltage", **found})
        elif step.mode is Mode.HOLD:
            self.remark(f"{where}: the limit of its current, {current(step.current)}, can't be said: left out")
            self.method.append({"step": "constant_voltage", "voltage_V": step.voltage, **found})
        else:
            sign = 1 if step.mode is Mode.CHARGE else -1
            self.method.append({"step": "constant_current", "current_mA": sign * _milli(step.current), **found})


_END_KEYS: Final[dict[Mode, dict[str, str]]] = {
    Mode.REST: {"time": "until_time_s"},
    Mode.CHARGE: {"time": "until_time_s", "voltage": "until_voltage_V"},
    Mode.DISCHARGE: {"time": "until_time_s", "voltage": "until_voltage_V"},
    Mode.HOLD: {"time": "until_time_s", "current": "until_current_mA"},
}


def _sensible(step: CyclerStep, end: End) -> bool:
    """Whether the end lies the way that unicycler means: up on charge, down on discharge, a fallen current."""
    if end.what == "voltage":
        return end.above is (step.mode is Mode.CHARGE)
    return end.what == "time" or not end.above


def _milli(value: float) -> float:
    return float(f"{value * 1e3:.12g}")


def _place(origin: str) -> str:
    return origin.partition("/")[2] or origin


def write_unicycler(exchange: Exchange) -> tuple[str, tuple[str, ...]]:
    """Give the JSON text of a unicycler protocol, and what it does not say.

    Raises
    ------
    UsageError
        Nothing is left to be said.
    """
    writer = _Writer()
    writer.add(exchange.items)
    if not writer.method:
        raise UsageError(f"{exchange.name} has no step that unicycler knows")
    low, high = exchange.voltage
    safety: dict[str, float] = {}
    if high is not None:
        safety["max_voltage_V"] = high
    if low is not None:
        safety["min_voltage_V"] = low
    if exchange.current is not None:
        safety |= {"max_current_mA": _milli(exchange.current), "min_current_mA": -_milli(exchange.current)}
    sample: dict[str, Any] = {"name": exchange.cell or "$NAME"}
    if exchange.capacity is not None:
        sample["capacity_mAh"] = exchange.capacity / 3.6
    document = {"sample": sample, "record": _RECORD, "safety": safety, "method": writer.method}
    return json.dumps(document, indent=2, allow_nan=False) + "\n", tuple(writer.remarks)


def read_unicycler(text: str, name: str) -> Exchange:
    """Read a unicycler protocol.

    Raises
    ------
    UsageError
        It is none.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} is no JSON: {error}") from None
    method = document.get("method") if isinstance(document, dict) else None
    if not isinstance(method, list) or not method:
        raise UsageError(f"{name} is no unicycler protocol: it has no 'method'")
    return _Reader(document, name).exchange(method)


class _Reader:
    def __init__(self, document: Mapping[str, Any], name: str) -> None:
        self._name = name
        self._sample = _mapping(document.get("sample"))
        self._safety = _mapping(document.get("safety"))
        self._record = _mapping(document.get("record"))
        self.remarks: list[str] = []
        capacity = self._number(self._sample, "capacity_mAh", "sample")
        self._capacity = None if capacity is None else capacity * 3.6

    def exchange(self, method: list[Any]) -> Exchange:
        """Turn the method into items; a loop may go back to a tag or to the number of a step."""
        steps: list[Step | Sweep] = []
        # Number of the first step that comes after each entry of the method, so that loops can be told as steps.
        follows: list[int] = []
        tags: dict[str, int] = {}
        loops: list[Loop] = []
        for index, entry in enumerate(method, start=1):
            follows.append(len(steps) + 1)
            if not isinstance(entry, dict):
                raise UsageError(f"{self._name}: step {index} is no step")
            kind = entry.get("step")
            if kind == "tag":
                tags[str(entry.get("tag"))] = index
            elif kind == "loop":
                loops += self._loop(entry, index, tags, follows, len(steps))
            elif kind in _READERS:
                steps += _READERS[kind](self, entry, f"step {index}")
            else:
                self.remarks.append(f"step {index}: '{kind}' is unknown: left out")
        if not steps:
            raise UsageError(f"{self._name} has no step that a protocol could say")
        resting = CyclerStep(Mode.REST, 0.0, None, ())
        program = CyclerProgram(
            self._name,
            tuple(step.cycling if isinstance(step, Step) else resting for step in steps),
            SafetyLimits(0.0, 0.0, 0.0, 0.0),
            tuple(loops),
        )
        try:
            items = _named(items_of(program), steps)
        except ValueError as error:
            raise UsageError(f"{self._name}: {error}") from None
        return Exchange(self._name, items, *self._limits(), self._capacity, tuple(self.remarks))

    def _loop(
        self, entry: Mapping[str, Any], index: int, tags: Mapping[str, int], follows: list[int], last: int
    ) -> list[Loop]:
        target = entry.get("loop_to", 1)
        at = tags.get(target) if isinstance(target, str) else target
        count = entry.get("cycle_count")
        if isinstance(at, bool) or not isinstance(at, int) or not 1 <= at < index:
            raise UsageError(f"{self._name}: step {index} loops to '{target}', which is not before it")
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 1_000_000:
            raise UsageError(f"{self._name}: step {index} loops '{count}' times")
        first = follows[at - 1]
        return [Loop(first, last, count)] if first <= last else []

    def _limits(self) -> tuple[tuple[float | None, float | None], float | None]:
        low, high = (self._number(self._safety, f"{end}_voltage_V", "safety") for end in ("min", "max"))
        currents = [self._number(self._safety, f"{end}_current_mA", "safety") for end in ("min", "max")]
        known = [abs(one) for one in currents if one is not None]
        if len({*known}) > 1:
            self.remarks.append("safety: a protocol has one limit of the current, either way: the larger is taken")
        for key in ("max_capacity_mAh", "delay_s"):
            if self._number(self._safety, key, "safety"):
                self.remarks.append(f"safety: '{key}' can't be said: left out")
        if self._record:
            self.remarks.append("record: what is recorded is labctl's own (every 60 s and 20 mV): left out")
        return (low, high), (max(known) / 1e3 if known else None)

    def _number(self, entry: Mapping[str, Any], key: str, where: str) -> float | None:
        value = entry.get(key)
        if value is None or value == "":
            return None
        try:
            found = float(value)
        except (TypeError, ValueError):
            raise UsageError(f"{self._name}: {where}: '{key}' is '{value}', not a number") from None
        if not math.isfinite(found):
            raise UsageError(f"{self._name}: {where}: '{key}' is '{value}', not a number")
        return found

    def rest(self, entry: Mapping[str, Any], where: str) -> list[Step | Sweep]:
        """Read an open circuit."""
        lasting = self._number(entry, "until_time_s", where)
        if lasting is None or lasting <= 0:
            raise UsageError(f"{self._name}: {where}: an open circuit needs 'until_time_s'")
        return [Step(CyclerStep(Mode.REST, 0.0, None, (End("time", True, lasting),), 300.0), None, where)]

    def flow(self, entry: Mapping[str, Any], where: str) -> list[Step | Sweep]:
        """Read a constant current; a C-rate goes before a current, as in unicycler."""
        rate = self._rate(entry, "rate_C", where)
        milliampere = self._number(entry, "current_mA", where)
        if rate:
            flowing, c_rate = self._absolute(rate, where)
        elif milliampere:
            flowing, c_rate = milliampere / 1e3, None
        else:
            raise UsageError(f"{self._name}: {where}: neither 'rate_C' nor 'current_mA'")
        mode = Mode.CHARGE if flowing > 0 else Mode.DISCHARGE
        ends = self._time(entry, where)
        volts = self._number(entry, "until_voltage_V", where)
        if volts:
            ends = [End("voltage", mode is Mode.CHARGE, volts), *ends]
        step = CyclerStep(mode, abs(flowing), None, tuple(ends), 60.0, 0.02, c_rate=c_rate)
        return [Step(step, None, where)]

    def hold(self, entry: Mapping[str, Any], where: str) -> list[Step | Sweep]:
        """Read a constant voltage; the limit of its current stays open: 0."""
        volts = self._number(entry, "voltage_V", where)
        if volts is None:
            raise UsageError(f"{self._name}: {where}: a constant voltage needs 'voltage_V'")
        ends = self._time(entry, where)
        rate = self._rate(entry, "until_rate_C", where)
        milliampere = self._number(entry, "until_current_mA", where)
        if rate and self._capacity is None:
            self.remarks.append(f"{where}: its end at {abs(rate):g}C needs the sample's capacity: left out")
        elif rate or milliampere:
            ending = rate * (self._capacity or 0.0) / 3600.0 if rate else (milliampere or 0.0) / 1e3
            ends = [End("current", False, abs(ending)), *ends]
        return [Step(CyclerStep(Mode.HOLD, 0.0, volts, tuple(ends), 60.0), None, where)]

    def sweep(self, entry: Mapping[str, Any], where: str) -> list[Step | Sweep]:
        """Read an impedance spectrum."""
        milliampere, volts = (self._number(entry, f"amplitude_{unit}", where) for unit in ("mA", "V"))
        start, end = (self._number(entry, f"{which}_frequency_Hz", where) for which in ("start", "end"))
        amplitude = milliampere / 1e3 if milliampere else volts
        if not amplitude or not start or not end:
            raise UsageError(f"{self._name}: {where}: a spectrum needs an amplitude and two frequencies")
        if entry.get("drift_correction"):
            self.remarks.append(f"{where}: 'drift_correction' can't be said: left out")
        density, periods = (
            int(self._number(entry, key, where) or default)
            for key, default in (("points_per_decade", 10), ("measures_per_point", 1))
        )
        if start < end:
            self.remarks.append(f"{where}: a spectrum runs from the highest frequency to the lowest: turned round")
            start, end = end, start
        return [Sweep(bool(milliampere), amplitude, start, end, density, periods, where)]

    def _time(self, entry: Mapping[str, Any], where: str) -> list[End]:
        lasting = self._number(entry, "until_time_s", where)
        return [End("time", True, lasting)] if lasting else []

    def _rate(self, entry: Mapping[str, Any], key: str, where: str) -> float | None:
        """Read a C-rate: a number, or text such as ``C/5`` (charge) and ``D/2`` (discharge)."""
        value = entry.get(key)
        if not isinstance(value, str) or "/" not in value:
            return self._number(entry, key, where)
        above, _, below = value.replace(" ", "").partition("/")
        sign = -1.0 if "D" in above else 1.0
        try:
            return sign * float(above.replace("C", "").replace("D", "") or 1) / float(below)
        except (ValueError, ZeroDivisionError):
            raise UsageError(f"{self._name}: {where}: '{key}' is '{value}', not a C-rate") from None

    def _absolute(self, rate: float, where: str) -> tuple[float, float | None]:
        if self._capacity is None:
            return math.copysign(1.0, rate), abs(rate)
        return rate * self._capacity / 3600.0, None


_READERS: Final = {
    "open_circuit_voltage": _Reader.rest,
    "constant_current": _Reader.flow,
    "constant_voltage": _Reader.hold,
    "impedance_spectroscopy": _Reader.sweep,
}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _named(items: tuple[Item, ...], steps: list[Step | Sweep]) -> tuple[Item, ...]:
    """Put the steps as they were read into the tree of loops, in order."""
    left = iter(steps)

    def again(some: tuple[Item, ...]) -> tuple[Item, ...]:
        return tuple(Repeat(one.count, again(one.body)) if isinstance(one, Repeat) else next(left) for one in some)

    return again(items)
