"""Reads procedure files (``.000``) as the tester's compiler would, and refuses what this stand-in cannot run.

Known: the tree and the fixed-width texts of files that the vendor's BuildTest wrote. Guessed: the compiler's words,
and that it insists on the widths. Left out: pulses, functions, subroutines, waveforms, FRA, C-rate values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree

SCALES: Final[Mapping[str, float]] = {"1": 150e-6, "2": 5e-3, "3": 0.15, "4": 5.0}
"""Full scale of the current ranges in A, as in the manual's example of a channel."""

Wrong = Callable[[str], None]

_CELL_STEPS: Final = ("Rest", "Charge", "Dischrge")
_NUMBERED: Final = re.compile(r"(Do|Loop) ([1-4])\Z")
_CLOCK: Final = re.compile(r"(\d{0,2}):(\d{0,2}):(\d{0,2}(?:\.\d+)?)\Z")
_OPERATORS: Final = {" = ": "=", ">= ": ">=", "<= ": "<="}


class CompileError(ValueError):
    """What the compiler has against a procedure, one line each."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Exit:
    """A way out of a step: ``Voltage`` (V), ``Current`` (A), ``StepTime`` (s) or ``Loop Cnt``."""

    what: str
    above: bool
    value: float
    target: int


@dataclass(frozen=True, slots=True)
class Step:
    """One step; ``kind`` is Rest, Charge, Dischrge, AdvCycle, Do, Loop or End, ``label`` the number of a loop.

    Attributes
    ----------
    current, voltage : float or None
        Set point or limit in A and V; both where one limits the other.
    report_time, report_voltage, report_current : float
        Increments that make a record; 0 for none.
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

    @property
    def drives(self) -> bool:
        """Whether current flows by this step's will."""
        return self.kind in ("Charge", "Dischrge")


def compile_procedure(content: bytes) -> tuple[Step, ...]:
    """Compile a file; the first step has index 0 and number 1. Raises :class:`CompileError`."""
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - from a client on loopback
    except ElementTree.ParseError as error:
        raise CompileError([f"File is not a procedure: {error}"]) from error
    elements = root.findall("ProcSteps/TestStep")
    if root.tag != "MaccorTestProcedure" or not elements:
        raise CompileError(["File holds no test steps"])
    problems: list[str] = []
    steps = [_step(element, index + 1, len(elements), problems) for index, element in enumerate(elements)]
    if steps[-1].kind != "End":
        problems.append("Procedure does not end with an End step")
    for number, step in enumerate(steps, start=1):
        if step.kind == "Loop" and not any(one.kind == "Do" and one.label == step.label for one in steps):
            problems.append(f"Step {number:03d}: Loop {step.label} has no Do {step.label}")
    if problems:
        raise CompileError(problems)
    return tuple(steps)


def _step(element: ElementTree.Element, number: int, count: int, problems: list[str]) -> Step:
    def wrong(text: str) -> None:
        problems.append(f"Step {number:03d}: {text}")

    def raw(path: str) -> str:
        return element.findtext(path) or ""

    word = raw("StepType")
    if len(word) != 8 or word != f"{word.strip():^8}":
        wrong(f"Invalid step type '{word}'")
    kind, label = word.strip(), 0
    if match := _NUMBERED.match(kind):
        kind, label = match[1], int(match[2])
    if kind in ("End", "AdvCycle", "Do"):
        return Step(kind, label)
    exits = tuple(way for entry in element.iterfind("Ends/EndEntry") if (way := _exit(entry, count, wrong)) is not None)
    if kind == "Loop":
        if not any(way.what == "Loop Cnt" for way in exits):
            wrong("Loop without loop count")
        return Step(kind, label, exits=exits)
    if kind not in _CELL_STEPS:
        wrong(f"Step type '{kind}' is not known here")
        return Step("End")
    if not exits:
        wrong("Step has no end")
    current, voltage = _levels(element, kind, wrong)
    scale = raw("Range")
    if scale != "A" and scale not in SCALES:
        wrong(f"Invalid range '{scale}'")
    elif current is not None and current > SCALES.get(scale, SCALES["4"]) * (1 + 1e-6):
        wrong(f"Current {current:g} A is beyond range {scale}")
    reports = {"StepTime": 0.0, "Voltage": 0.0, "Current": 0.0}
    for entry in element.iterfind("Reports/ReportEntry"):
        what = (entry.findtext("ReportType") or "").rstrip()
        if what not in reports:
            wrong(f"Invalid report type '{what}'")
            continue
        reports[what] = _value(entry.findtext("Value") or "", what, wrong)
    return Step(kind, 0, current, voltage, exits, reports["StepTime"], reports["Voltage"], reports["Current"], scale)


def _levels(element: ElementTree.Element, kind: str, wrong: Wrong) -> tuple[float | None, float | None]:
    mode = element.findtext("StepMode") or ""
    if kind == "Rest":
        if mode.strip() or (element.findtext("StepValue") or "").strip():
            wrong("Rest with a mode or a value")
        return None, None
    level: dict[str, float] = {}
    if mode not in ("Current ", "Voltage "):
        wrong(f"Invalid step mode '{mode}'")
        return None, None
    level[mode.strip()] = _value(element.findtext("StepValue") or "", mode.strip(), wrong)
    limits = element.find("Limits")
    for limit in limits if limits is not None else ():
        if limit.tag not in ("Current", "Voltage") or limit.tag in level:
            wrong(f"Invalid limit '{limit.tag}'")
            continue
        level[limit.tag] = _value(limit.text or "", limit.tag, wrong)
    return level.get("Current"), level.get("Voltage")


def _exit(entry: ElementTree.Element, count: int, wrong: Wrong) -> Exit | None:
    word = entry.findtext("EndType") or ""
    what = word.rstrip()
    if len(word) != 8 or what not in ("Voltage", "Current", "StepTime", "Loop Cnt"):
        wrong(f"Invalid end type '{word}'")
        return None
    operator = _OPERATORS.get(entry.findtext("Oper") or "")
    if operator is None or (operator == "=") != (what in ("StepTime", "Loop Cnt")):
        wrong(f"Invalid operator '{entry.findtext('Oper')}' of end {what}")
        return None
    target = entry.findtext("Step") or ""
    if not (len(target) == 3 and target.isdigit() and 1 <= int(target) <= count):
        wrong(f"Invalid target step '{target}'")
        return None
    return Exit(what, operator != "<=", _value(entry.findtext("Value") or "", what, wrong), int(target))


def _value(text: str, what: str, wrong: Wrong) -> float:
    if what == "StepTime":
        match = _CLOCK.match(text)
        if match is None:
            wrong(f"Invalid time '{text}'")
            return 0.0
        return 3600 * float(match[1] or 0) + 60 * float(match[2] or 0) + float(match[3] or 0)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        wrong(f"Invalid value '{text}' of {what}")
        return 0.0
    return value
