"""MACCOR procedure files for exchange: a cycler program written for people to use, and files of BuildTest read.

Unlike ``procedure.read``, which reads back what the driver wrote, :func:`read_program` reads what others wrote, as far
as a program of :mod:`labctl.instruments.cycler` can say it, and gives a line for everything else. The layout follows
public files that BuildTest wrote; what such files can hold beyond them is remarked as unknown, never guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from labctl.instruments.cycler import CyclerProgram, CyclerStep, End, Loop, Mode, SafetyLimits
from labctl_drivers.maccor.procedure import CAPACITY, write
from labctl_drivers.maccor.procedure_compile import compile_program
from labctl_drivers.maccor.procedure_steps import Exit, TesterStep
from labctl_drivers.maccor.procedure_texts import clock_seconds

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_LARGEST: Final = 4_000_000
_NUMBERED: Final = re.compile(r"(Do|Loop) ?([1-9])\Z")
_MARKS: Final = re.compile(r"labctl((?: \d+g?c?)+)\s*\Z")
_PASSING: Final = frozenset({"AdvCycle", "Do", "Loop"})
_MODES: Final = {"Charge": Mode.CHARGE, "Dischrge": Mode.DISCHARGE}
_UNITS: Final = {"Voltage": "V", "Current": "A"}


def write_program(program: CyclerProgram) -> tuple[bytes, tuple[str, ...]]:
    """Write a program as a procedure, and say what it does not say.

    A guard time ends the procedure, as the cell is not to go on then; current ranges are the tester's to choose.

    Raises
    ------
    OutOfRange
        The tester cannot do what a step asks for.
    """
    steps = compile_program(program, lambda _: "A")
    end = len(steps) + 1
    guarded = [_to_end(step, end) if step.guard else step for step in steps]
    safety = program.safety
    spelled = (f"ends by capacity are spelled '{CAPACITY}', which no published file shows: see that it compiles",)
    counted = any(way.what == CAPACITY for step in steps for way in step.exits)
    return write(guarded), (
        *(spelled if counted else ()),
        f"the limits of the channel, {safety.voltage_min:g} V to {safety.voltage_max:g} V and "
        f"{safety.charge_current * 1e3:g} mA, are not in a procedure: set them when it is started",
        "every step leaves the current range to the tester",
    )


def _to_end(step: TesterStep, end: int) -> TesterStep:
    return replace(step, exits=tuple(replace(way, target=end) if way.what == "StepTime" else way for way in step.exits))


@dataclass(frozen=True, slots=True)
class _Raw:
    """A step of the file: its number from 1, kind, loop, mode, setting, limit, and ways out."""

    number: int
    kind: str
    label: int
    mode: str
    setting: str
    limits: dict[str, str]
    exits: tuple[tuple[Exit, bool], ...]
    strange: tuple[str, ...]
    guard: bool


def read_program(data: bytes, name: str) -> tuple[CyclerProgram, tuple[str, ...]]:
    """Read a procedure, and say what of it a program does not say.

    The safety limits of the program are what the procedure's own safety ends are, and 0 where it has none.

    Raises
    ------
    ValueError
        It is no procedure file, or its loops are none.
    """
    return _Reader(_raw_steps(data)).program(name)


def _raw_steps(data: bytes) -> list[_Raw]:
    from xml.etree import ElementTree

    if len(data) > _LARGEST:
        raise ValueError(f"{len(data)} bytes are too many for a procedure file")
    if b"<!" in data:
        raise ValueError("not a procedure file: BuildTest declares no document type")
    try:
        root = ElementTree.fromstring(data)  # noqa: S314 - without a document type there are no entities to expand
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise ValueError(f"not a procedure file: {error}") from None
    found = list(root.iter("TestStep"))
    if root.tag != "MaccorTestProcedure" or not found:
        raise ValueError("not a procedure file: it has no steps")
    tag = _MARKS.match(root.findtext("header/ProcDesc/desc") or "")
    marks = tag[1].split() if tag else []
    return [
        _raw(step, number, guard=number <= len(marks) and "g" in marks[number - 1])
        for number, step in enumerate(found, start=1)
    ]


def _raw(step: Element, number: int, *, guard: bool) -> _Raw:
    def text(path: str) -> str:
        return (step.findtext(path) or "").strip()

    kind, label = text("StepType"), 0
    if numbered := _NUMBERED.match(kind):
        kind, label = numbered[1], int(numbered[2])
    exits, strange = [], []
    for entry in step.iterfind("Ends/EndEntry"):
        what, value = ((entry.findtext(part) or "").strip() for part in ("EndType", "Value"))
        above = (entry.findtext("Oper") or "").strip() != "<="
        safety = (entry.findtext("ChanSafetyEnd") or "").strip().lower() == "true"
        try:
            amount = clock_seconds(value) if what == "StepTime" else float(value)
            target = int(entry.findtext("Step") or 0)
        except ValueError:
            amount, target = math.nan, 0
        if math.isfinite(amount):
            exits.append((Exit(what, above, amount, target), safety))
        else:
            strange.append(f"{what} {value}")
    limits = {entry.tag: (entry.text or "").strip() for entry in step.iterfind("Limits/*")}
    return _Raw(number, kind, label, text("StepMode"), text("StepValue"), limits, tuple(exits), tuple(strange), guard)


@dataclass
class _Reader:
    """Goes through the steps once; ``after`` is what an ordinary way out of a step leads to."""

    raw: Sequence[_Raw]
    remarks: list[str] = field(default_factory=list)
    steps: list[CyclerStep] = field(default_factory=list)
    loops: list[Loop] = field(default_factory=list)
    lowest: float = 0.0
    highest: float = 0.0
    largest: float = 0.0

    def program(self, name: str) -> tuple[CyclerProgram, tuple[str, ...]]:
        begun: list[tuple[int, int]] = []
        skip = False
        for index, raw in enumerate(self.raw):
            if skip:
                skip = False
            elif raw.kind == "Do":
                begun.append((raw.label, len(self.steps) + 1))
            elif raw.kind == "Loop":
                self._loop(raw, begun)
            elif raw.kind == "End":
                if index + 1 < len(self.raw):
                    self._remark(raw, f"{len(self.raw) - index - 1} steps behind an End are left out")
                break
            elif raw.kind in ("Rest", *_MODES):
                following = self.raw[index + 1] if index + 1 < len(self.raw) else None
                skip = following is not None and _confirms(following, raw)
                self._act(raw, following if skip else None)
            elif raw.kind not in _PASSING:
                self._remark(raw, f"'{raw.kind}' is unknown: left out")
        if begun:
            raise ValueError(f"the loop {begun[-1][0]} has no end")
        if not self.steps:
            raise ValueError("the procedure does nothing that a protocol could say")
        safety = SafetyLimits(self.lowest, self.highest, self.largest, self.largest)
        return CyclerProgram(name, tuple(self.steps), safety, tuple(self.loops)), tuple(self.remarks)

    def _remark(self, raw: _Raw, text: str) -> None:
        self.remarks.append(f"step {raw.number:03d}: {text}")

    def _loop(self, raw: _Raw, begun: list[tuple[int, int]]) -> None:
        if not begun or begun[-1][0] != raw.label:
            raise ValueError(f"step {raw.number:03d} ends a loop {raw.label} that has not begun")
        _, first = begun.pop()
        counts = [way for way, _ in raw.exits if way.what == "Loop Cnt"]
        others = [way for way, _ in raw.exits if way.what != "Loop Cnt"]
        if not counts or not 1 <= counts[0].value <= 1e6:
            raise ValueError(f"step {raw.number:03d} ends a loop and does not say how often it is done")
        for way in others:
            self._remark(raw, f"the loop also ends by {_condition(way)}: left out")
        if first <= len(self.steps):
            self.loops.append(Loop(first, len(self.steps), round(counts[0].value)))

    def _act(self, raw: _Raw, confirming: _Raw | None) -> None:
        for strange in raw.strange:
            self._remark(raw, f"its end '{strange}' is unknown: left out")
        # Behind a step that only confirms, the ordinary ways lead one further.
        after = raw.number + (2 if confirming is not None else 1)
        ends = self._ends(raw, after, confirming)
        if raw.kind == "Rest":
            self.steps.append(CyclerStep(Mode.REST, 0.0, None, ends, 300.0))
            return
        value, rate = self._setting(raw)
        if value is None:
            self._remark(raw, f"a {raw.kind} with mode '{raw.mode}' at '{raw.setting}' can't be said: left out")
            return
        if raw.mode == "Voltage":
            limit = _number(raw.limits.get("Current", ""))
            # A hold whose limit is not said keeps 0: whoever reads the program sees that it is open.
            self._hold(raw, value, limit or 0.0, ends)
            return
        ceiling = _number(raw.limits.get("Voltage", ""))
        mode = _MODES[raw.kind]
        if ceiling is None:
            self.steps.append(CyclerStep(mode, value, None, ends, 60.0, 0.02, c_rate=rate))
            return
        times = tuple(end for end in ends if end.what == "time")
        self._remark(raw, "a current with a limit of the voltage is said as two steps, each with its time end")
        reached = End("voltage", mode is Mode.CHARGE, ceiling)
        self.steps.append(CyclerStep(mode, value, None, (reached, *times), 60.0, 0.02, c_rate=rate))
        if rate is not None:
            self._remark(raw, "the limit of its current is a C-rate: open in the hold")
        self._hold(raw, ceiling, value if rate is None else 0.0, tuple(end for end in ends if end.what != "voltage"))

    def _hold(self, raw: _Raw, volts: float, limit: float, ends: tuple[End, ...]) -> None:
        self.steps.append(CyclerStep(Mode.HOLD, limit, volts, ends, 60.0, discharging=raw.kind == "Dischrge"))

    def _setting(self, raw: _Raw) -> tuple[float | None, float | None]:
        """Give the set value, in A or V, and the C-rate that a current is said by."""
        if raw.mode not in _UNITS:
            return None, None
        if raw.mode == "Current" and raw.setting.upper().endswith("C"):
            rate = _number(raw.setting[:-1])
            return rate, rate
        return _number(raw.setting), None

    def _ends(self, raw: _Raw, after: int, confirming: _Raw | None) -> tuple[End, ...]:
        ends: list[End] = []
        for way, safety in raw.exits:
            leads_on = way.target == after
            if confirming is not None and way.target == raw.number + 1:
                lasting = next(out.value for out, _ in confirming.exits if out.what == "StepTime")
                ends.append(End("current", False, way.value, held=lasting))
            elif way.what == "StepTime" and (leads_on or self._is_end(way.target)):
                ends.append(End("time", True, way.value, guard=not leads_on or (raw.guard and way.target == after)))
            elif safety or (not leads_on and self._is_end(way.target)):
                self._safety(raw, way)
            elif not leads_on:
                self._remark(
                    raw, f"goes to step {way.target:03d} by {_condition(way)}: no protocol branches so: left out"
                )
            elif way.what == CAPACITY:
                ends.append(End("capacity", True, way.value * 3600.0))
            elif way.what in _UNITS:
                ends.append(End("voltage" if way.what == "Voltage" else "current", way.above, way.value))
            else:
                self._remark(raw, f"its end by {_condition(way)} can't be said: left out")
        return tuple(ends)

    def _is_end(self, target: int) -> bool:
        return 1 <= target <= len(self.raw) and self.raw[target - 1].kind == "End"

    def _safety(self, raw: _Raw, way: Exit) -> None:
        if way.what == "Voltage" and way.above:
            self.highest = min(self.highest or way.value, way.value)
        elif way.what == "Voltage":
            self.lowest = max(self.lowest, way.value)
        elif way.what == "Current" and way.above:
            self.largest = min(self.largest or way.value, way.value)
        else:
            self._remark(raw, f"ends the procedure by {_condition(way)}: left out")
            return
        self._remark(raw, f"ends the procedure by {_condition(way)}: said for all steps, as a limit of the protocol")


def _confirms(step: _Raw, before: _Raw) -> bool:
    """Whether a step only waits for the end of the one before it to last, and goes back where it does not."""
    held = step.kind == before.kind and step.mode == before.mode == "Voltage" and step.setting == before.setting
    back = any(way.target == before.number for way, _ in step.exits)
    lasting = any(way.what == "StepTime" for way, _ in step.exits)
    leads = any(way.target == step.number and way.what == "Current" for way, _ in before.exits)
    return held and back and lasting and leads


def _condition(way: Exit) -> str:
    if way.what == "StepTime":
        return f"time, {way.value:g} s"
    return (
        f"{way.what} {'>=' if way.above else '<='} {way.value:g}{' ' + _UNITS[way.what] if way.what in _UNITS else ''}"
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


class ProcedureFiles:
    """The tester's procedure files as :class:`labctl.instruments.ProcedureFormat` knows them."""

    suffix = ".000"
    write = staticmethod(write_program)
    read = staticmethod(read_program)
