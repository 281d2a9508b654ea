"""Reads procedure files (``.000``) as the tester's compiler would, and refuses what this stand-in cannot run.

Known: the tree and the fixed-width texts of files that the vendor's BuildTest wrote. Guessed: the compiler's words,
that it insists on the widths, how ends by a capacity (in Ah) and by an auxiliary temperature are spelled,
and that a loop's count is of passes.
Left out: pulses, functions, subroutines, waveforms, FRA, power and resistance, C-rates of anything but a set current.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree

SCALES: Final[Mapping[str, float]] = {"1": 150e-6, "2": 5e-3, "3": 0.15, "4": 5.0}
"""Full scale of the current ranges in A, as in the manual's example of a channel."""

TEMPERATURE_ENDS: Final = ("Temp 1",)
"""Ends by an auxiliary input, in degC; the first input of a channel is at its cell. The spelling is a guess."""

Wrong = Callable[[str], None]

_CELL_STEPS: Final = ("Rest", "Charge", "Dischrge")
_PASSING: Final = ("Do", "Loop", "AdvCycle", "End")
_NUMBERED: Final = re.compile(r"(Do|Loop) ([1-4])\Z")
_CLOCK: Final = re.compile(r"(\d{0,2}):(\d{0,2}):(\d{0,2}(?:\.\d+)?)\Z")
_OPERATORS: Final = {" = ": "=", ">= ": ">=", "<= ": "<="}
_ENDS: Final = ("Voltage", "Current", "StepTime", "Capacity", "Loop Cnt", *TEMPERATURE_ENDS)
_SETTINGS: Final = ("StepType", "StepMode", "StepValue", "Limits", "Ends", "Reports")
_ELEMENTS: Final = frozenset((*_SETTINGS, "Range", "Option1", "Option2", "Option3", "StepNote"))
_MOST_STEPS: Final = 999
_ZERO_CELSIUS: Final = 273.15
_AMPERE_HOUR: Final = 3600.0


class CompileError(ValueError):
    """What the compiler has against a procedure, one line each."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Exit:
    """A way out of a step.

    ``Voltage`` (V), ``Current`` (A), ``StepTime`` (s), ``Capacity`` (C), ``Loop Cnt`` or a temperature (K).
    """

    what: str
    above: bool
    value: float
    target: int

    @property
    def warmth(self) -> bool:
        """Whether a temperature is what it looks at."""
        return self.what in TEMPERATURE_ENDS


@dataclass(frozen=True, slots=True)
class Step:
    """One step; ``kind`` is Rest, Charge, Dischrge, AdvCycle, Do, Loop or End, ``label`` the number of a loop.

    Attributes
    ----------
    current, voltage : float or None
        Set point or limit in A and V; both where one limits the other.
    report_time, report_voltage, report_current : float
        Increments that make a record; 0 for none.
    again : int
        For a Loop: number of the step behind its Do.
    """

    kind: str
    label: int = 0
    current: float | None = None
    voltage: float | None = None
    exits: tuple[Exit, ...] = ()
    report_time: float = 0.0
    report_voltage: float = 0.0
    report_current: float = 0.0
    scale: str = ""
    again: int = 0

    @property
    def drives(self) -> bool:
        """Whether current flows by this step's will."""
        return self.kind in ("Charge", "Dischrge")


def compile_procedure(content: bytes, one_c: float = 1.0) -> tuple[Step, ...]:
    """Compile a file; the first step has index 0 and number 1.

    Parameters
    ----------
    content : bytes
        The file.
    one_c : float
        A, what the start of the test calls 1C.

    Raises
    ------
    CompileError
        With the number of the step in each line.
    """
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - from a client on loopback
    except ElementTree.ParseError as error:
        raise CompileError([f"File is not a procedure: {error}"]) from error
    elements = root.findall("ProcSteps/TestStep")
    if root.tag != "MaccorTestProcedure" or not elements:
        raise CompileError(["File holds no test steps"])
    problems: list[str] = []
    if len(elements) > _MOST_STEPS:
        problems.append(f"Procedure has {len(elements)} steps, {_MOST_STEPS} are the most")
    compiler = _Compiler(len(elements), one_c, problems)
    steps = [compiler.step(element, index + 1) for index, element in enumerate(elements)]
    if steps[-1].kind != "End":
        problems.append("Procedure does not end with an End step")
    steps = _paired(steps, problems)
    if problems:
        raise CompileError(problems)
    return tuple(steps)


def _paired(steps: list[Step], problems: list[str]) -> list[Step]:
    """Tell each Loop where its Do is; pairs lie apart or inside one another."""
    paired: list[Step] = []
    waiting: list[tuple[int, int]] = []
    for number, step in enumerate(steps, start=1):
        if step.kind == "Do":
            if any(label == step.label for label, _ in waiting):
                problems.append(f"Step {number:03d}: Do {step.label} inside Do {step.label}")
            waiting.append((step.label, number))
        elif step.kind == "Loop":
            if not any(label == step.label for label, _ in waiting):
                problems.append(f"Step {number:03d}: Loop {step.label} has no Do {step.label}")
            elif waiting[-1][0] != step.label:
                problems.append(f"Step {number:03d}: Loop {step.label} crosses Loop {waiting[-1][0]}")
                waiting = [one for one in waiting if one[0] != step.label]
            else:
                step = Step("Loop", step.label, exits=step.exits, again=waiting.pop()[1] + 1)
        paired.append(step)
    problems += [f"Step {number:03d}: Do {label} has no Loop {label}" for label, number in waiting]
    return paired


class _Compiler:
    """Turns elements into steps and collects what is wrong with them."""

    def __init__(self, count: int, one_c: float, problems: list[str]) -> None:
        self._count = count
        self._one_c = one_c
        self._problems = problems

    def step(self, element: ElementTree.Element, number: int) -> Step:
        def wrong(text: str) -> None:
            self._problems.append(f"Step {number:03d}: {text}")

        for child in element:
            if child.tag not in _ELEMENTS:
                wrong(f"Unknown element '{child.tag}'")
        word = element.findtext("StepType") or ""
        if len(word) != 8 or word != f"{word.strip():^8}":
            wrong(f"Invalid step type '{word}'")
        kind, label = word.strip(), 0
        if match := _NUMBERED.match(kind):
            kind, label = match[1], int(match[2])
        if kind not in _CELL_STEPS and (kind not in _PASSING or (kind in ("Do", "Loop")) != bool(label)):
            wrong(f"Step type '{kind}' is not known here")
            return Step("End")
        found = element.findall("Ends/EndEntry")
        exits = tuple(way for entry in found if (way := self._exit(entry, wrong)) is not None)
        if kind in _PASSING:
            return self._passing(kind, label, exits, wrong)
        if not found:
            wrong("Step has no end")
        if any(way.what == "Loop Cnt" for way in exits):
            wrong(f"{kind} with a loop count")
        current, voltage = self._settings(element, kind, wrong)
        scale = element.findtext("Range") or ""
        if scale != "A" and scale not in SCALES:
            wrong(f"Invalid range '{scale}'")
        elif current is not None and current > SCALES.get(scale, SCALES["4"]) * (1 + 1e-6):
            wrong(f"Current {current:g} A is beyond range {scale}")
        return Step(kind, 0, current, voltage, exits, *self._reports(element, wrong), scale)

    @staticmethod
    def _passing(kind: str, label: int, exits: tuple[Exit, ...], wrong: Wrong) -> Step:
        if kind == "Loop":
            if [way.what for way in exits] != ["Loop Cnt"]:
                wrong("Loop without loop count" if not exits else "Loop with another end than its count")
        elif exits:
            wrong(f"{kind} with an end")
        return Step(kind, label, exits=exits)

    @staticmethod
    def _reports(element: ElementTree.Element, wrong: Wrong) -> tuple[float, float, float]:
        reports = {"StepTime": 0.0, "Voltage": 0.0, "Current": 0.0}
        for entry in element.iterfind("Reports/ReportEntry"):
            word = entry.findtext("ReportType") or ""
            what = word.rstrip()
            if len(word) != 8 or what not in reports:
                wrong(f"Invalid report type '{word}'")
                continue
            reports[what] = _value(entry.findtext("Value") or "", what, wrong)
        return reports["StepTime"], reports["Voltage"], reports["Current"]

    def _settings(self, element: ElementTree.Element, kind: str, wrong: Wrong) -> tuple[float | None, float | None]:
        mode, value = element.findtext("StepMode") or "", element.findtext("StepValue") or ""
        if kind == "Rest":
            if mode != " " * 8 or value.strip():
                wrong("Rest with a mode or a value")
            return None, None
        if mode not in ("Current ", "Voltage "):
            wrong(f"Invalid step mode '{mode}'")
            return None, None
        level: dict[str, float] = {}
        if mode == "Current " and value.endswith("C"):
            level["Current"] = _value(value[:-1], "Current", wrong) * self._one_c
        else:
            level[mode.strip()] = _value(value, mode.strip(), wrong)
        limits = element.find("Limits")
        for limit in limits if limits is not None else ():
            if limit.tag not in ("Current", "Voltage") or limit.tag in level:
                wrong(f"Invalid limit '{limit.tag}'")
                continue
            level[limit.tag] = _value(limit.text or "", limit.tag, wrong)
        return level.get("Current"), level.get("Voltage")

    def _exit(self, entry: ElementTree.Element, wrong: Wrong) -> Exit | None:
        word = entry.findtext("EndType") or ""
        what = word.rstrip()
        if len(word) != 8 or what not in _ENDS:
            wrong(f"Invalid end type '{word}'")
            return None
        if (entry.findtext("SpecialType") or " ") != " ":
            wrong(f"Special type '{entry.findtext('SpecialType')}' of end {what} is not known here")
        operator = _OPERATORS.get(entry.findtext("Oper") or "")
        if operator is None or (operator == "=") != (what in ("StepTime", "Loop Cnt")):
            wrong(f"Invalid operator '{entry.findtext('Oper')}' of end {what}")
            return None
        target = entry.findtext("Step") or ""
        if not (len(target) == 3 and target.isdigit() and 1 <= int(target) <= self._count):
            wrong(f"Invalid target step '{target}'")
            return None
        return Exit(what, operator != "<=", _value(entry.findtext("Value") or "", what, wrong), int(target))


def _value(text: str, what: str, wrong: Wrong) -> float:
    """Read a value: s, V, A, a count, or K of a temperature that is written in degC."""
    if what == "StepTime":
        match = _CLOCK.match(text)
        if match is None:
            wrong(f"Invalid time '{text}'")
            return 0.0
        return 3600 * float(match[1] or 0) + 60 * float(match[2] or 0) + float(match[3] or 0)
    warmth = what in TEMPERATURE_ENDS
    lowest = -_ZERO_CELSIUS if warmth else 1.0 if what == "Loop Cnt" else 0.0
    try:
        value = float(text)
    except ValueError:
        value = lowest - 1
    if not lowest <= value < 1e6 or (what == "Loop Cnt" and not value.is_integer()):
        wrong(f"Invalid value '{text}' of {what}")
        return 0.0
    if what == "Capacity":
        return value * _AMPERE_HOUR
    return value + _ZERO_CELSIUS if warmth else value
