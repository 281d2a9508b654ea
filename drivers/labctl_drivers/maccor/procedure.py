"""From a cycler program to a MACCOR procedure file (``.000``), and back to what the driver needs to know of it.

A ``.000`` file is XML with texts of fixed width; the layout follows files that the vendor's BuildTest wrote. What the
tester makes of one is checked by its own compiler, in the dry start, before any current flows.

One step of a program can become several of the tester's: a rest beyond a day is split, and a condition that must hold
for a while becomes a second step at the same voltage that goes back to the first if the condition is broken. The
description field of the file says which program step each of the tester's steps belongs to, so that a driver which
never saw the program can still read its data.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from labctl.instruments.cycler import CyclerProgram, CyclerStep, End, Mode
from labctl.instruments.faults import OutOfRange

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

#: Rests are split here: times beyond 99 h have no verified spelling, and a day is easy on the eye.
LONGEST_REST: Final = 24 * 3600.0
_LONGEST: Final = 99 * 3600.0
# The way back from a confirming step needs a value a hair above the limit, as the tester knows no "greater than".
_BACK_ABOVE: Final = 1.001
_TAG: Final = re.compile(r"labctl((?: \d+g?c?)+)\s*\Z")

_HEAD: Final = """<?xml version="1.0" encoding="UTF-8"?>
<?maccor-application progid="Maccor Procedure File"?>
<MaccorTestProcedure>
<header><BuildTestVersion><major>1</major><minor>5</minor><release>7006</release><build>32043</build></BuildTestVersion>
<FileFormatVersion><BTVersion>11</BTVersion></FileFormatVersion><ProcDesc><desc>{desc}</desc></ProcDesc></header>
<ProcSteps>
"""
_END_STEP: Final = (
    "<TestStep><StepType>  End   </StepType><StepMode>        </StepMode><StepValue></StepValue><Limits/><Ends/>"
    "<Reports/>\n<Range></Range><Option1></Option1><Option2></Option2><Option3></Option3><StepNote></StepNote>"
    "</TestStep>\n"
)
_TAIL: Final = "</ProcSteps></MaccorTestProcedure>\n"


@dataclass(frozen=True, slots=True)
class Exit:
    """One way out of a tester step: ``what`` is Voltage, Current or StepTime; ``target`` a step number from 1."""

    what: str
    above: bool
    value: float
    target: int


@dataclass(frozen=True, slots=True)
class TesterStep:
    """One step as the tester runs it.

    Attributes
    ----------
    program : int
        The program's step that it belongs to, from 1.
    kind : str
        ``Rest``, ``Charge`` or ``Dischrge``.
    current, voltage : float or None
        Set point or limit in A, and held voltage in V.
    exits : tuple of Exit
        Whichever comes first.
    record_every, record_voltage_step : float
        In s and V; 0 for none.
    scale : str
        Current range: ``1`` to ``4``, or ``A`` for automatic.
    guard : bool
        A time end that should not be what ends the step.
    confirm : bool
        It confirms that the condition of the step before it holds.
    """

    program: int
    kind: str
    current: float | None
    voltage: float | None
    exits: tuple[Exit, ...]
    record_every: float
    record_voltage_step: float
    scale: str
    guard: bool = False
    confirm: bool = False

    def limit(self, what: str) -> float | None:
        """Value of the exit of this kind, if there is one."""
        return next((way.value for way in self.exits if way.what == what), None)


def clock_text(seconds: float) -> str:
    """``HH:MM:SS``, rounded up to a whole second; 1 s at least.

    Raises
    ------
    OutOfRange
        Beyond 99 h.
    """
    whole = max(1, math.ceil(seconds - 1e-6))
    if whole > _LONGEST:
        raise OutOfRange(f"a step of {seconds / 3600:.1f} h is longer than the tester's 99 h; split it")
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _seconds(text: str) -> float:
    hours, minutes, seconds = (float(part or 0) for part in text.split(":"))
    return 3600 * hours + 60 * minutes + seconds


def number_text(value: float) -> str:
    """Write a plain decimal number: the tester's spelling of powers of ten is unverified."""
    text = f"{value:.10f}".rstrip("0")
    return text + "0" if text.endswith(".") else text


def compile_program(program: CyclerProgram, scale: Callable[[float], str]) -> tuple[TesterStep, ...]:
    """Turn a program into the tester's steps.

    Parameters
    ----------
    program : CyclerProgram
        At least one step; every step with at least one end.
    scale : callable
        Gives the current range for a current in A; raises ``OutOfRange``.

    Raises
    ------
    OutOfRange
        The tester cannot do what a step asks for.
    """
    if not program.steps:
        raise OutOfRange("the program has no steps")
    widths = [_width(step) for step in program.steps]
    steps: list[TesterStep] = []
    for index, step in enumerate(program.steps):
        after = len(steps) + widths[index] + 1
        steps += _tester_steps(index + 1, step, len(steps) + 1, after, scale)
    if len(steps) > 998:
        raise OutOfRange(f"the program needs {len(steps)} tester steps; 998 is the most")
    return tuple(steps)


def _width(step: CyclerStep) -> int:
    if step.mode is Mode.REST:
        time = next((end.value for end in step.ends if end.what == "time"), 0.0)
        return max(1, math.ceil(time / LONGEST_REST - 1e-9))
    return 2 if any(end.held for end in step.ends) else 1


def _tester_steps(
    program: int, step: CyclerStep, first: int, after: int, scale: Callable[[float], str]
) -> list[TesterStep]:
    if not step.ends:
        raise OutOfRange(f"step {program} has no end")
    if step.mode is Mode.REST:
        return _rests(program, step, first, after, scale)
    if not step.current > 0:
        raise OutOfRange(f"step {program}: a {step.mode.value} needs a current above zero, not {step.current:g} A")
    if step.mode is Mode.HOLD:
        return _hold(program, step, first, after, scale)
    if step.voltage is not None or any(end.held for end in step.ends):
        raise OutOfRange(
            f"step {program}: a constant-current {step.mode.value} can neither hold a voltage nor wait for a "
            "condition to last; put a hold after it"
        )
    kind = "Charge" if step.mode is Mode.CHARGE else "Dischrge"
    exits = tuple(_exit(end, after) for end in step.ends)
    one = TesterStep(
        program,
        kind,
        step.current,
        None,
        exits,
        step.record_every,
        step.record_voltage_step,
        scale(step.current),
        guard=_guarded(step),
    )
    return [one]


def _rests(program: int, step: CyclerStep, first: int, after: int, scale: Callable[[float], str]) -> list[TesterStep]:
    left = next((end.value for end in step.ends if end.what == "time"), None)
    others = tuple(_exit(end, after) for end in step.ends if end.what != "time")
    count = after - first
    rests = []
    for number in range(first, after):
        exits = others
        if left is not None:
            part = LONGEST_REST if number < after - 1 else left - (count - 1) * LONGEST_REST
            exits = (Exit("StepTime", True, part, number + 1), *others)
        rests.append(
            TesterStep(
                program,
                "Rest",
                None,
                None,
                exits,
                step.record_every,
                step.record_voltage_step,
                scale(step.current),
                guard=_guarded(step),
            )
        )
    return rests


def _hold(program: int, step: CyclerStep, first: int, after: int, scale: Callable[[float], str]) -> list[TesterStep]:
    if step.voltage is None:
        raise OutOfRange(f"step {program}: a hold needs the voltage to hold")
    scale(step.current)
    kind = "Dischrge" if step.discharging else "Charge"
    lasting = [end for end in step.ends if end.held]
    if any(end.what != "current" or end.above for end in lasting) or len(lasting) > 1:
        raise OutOfRange(f"step {program}: only one condition, a current that has fallen, can be asked to last")
    exits = tuple(_exit(end, first + 1 if end.held else after) for end in step.ends)
    reports = (step.record_every, step.record_voltage_step)
    steps = [TesterStep(program, kind, step.current, step.voltage, exits, *reports, "A", guard=_guarded(step))]
    for end in lasting:
        ways = (
            Exit("Current", True, float(number_text(end.value * _BACK_ABOVE)), first),
            Exit("StepTime", True, end.held, after),
        )
        steps.append(TesterStep(program, kind, step.current, step.voltage, ways, *reports, "A", confirm=True))
    return steps


def _guarded(step: CyclerStep) -> bool:
    return any(end.guard and end.what == "time" for end in step.ends)


def _exit(end: End, target: int) -> Exit:
    what = {"voltage": "Voltage", "current": "Current", "time": "StepTime"}[end.what]
    return Exit(what, end.above or end.what == "time", end.value, target)


def write(steps: Sequence[TesterStep]) -> bytes:
    """Write a ``.000`` file: UTF-8, ending with an End step that every last exit leads to."""
    tags = "".join(f" {step.program}{'g' if step.guard else ''}{'c' if step.confirm else ''}" for step in steps)
    return (_HEAD.format(desc=f"labctl{tags}") + "".join(map(_step_text, steps)) + _END_STEP + _TAIL).encode()


def _step_text(step: TesterStep) -> str:
    held = step.voltage is not None
    mode = "        " if step.kind == "Rest" else ("Voltage " if held else "Current ")
    value = step.voltage if held else step.current
    limits = f"<Limits><Current>{number_text(step.current or 0.0)}</Current></Limits>" if held else "<Limits/>"
    ends = "".join(map(_exit_text, step.exits))
    wanted = {"StepTime": clock_text(step.record_every)}
    if step.record_voltage_step > 0:
        wanted["Voltage"] = number_text(step.record_voltage_step)
    reports = "".join(
        f"<ReportEntry><ReportType>{what:<8}</ReportType><Value>{size}</Value></ReportEntry>"
        for what, size in wanted.items()
    )
    return (
        f"<TestStep><StepType>{step.kind:^8}</StepType><StepMode>{mode}</StepMode>"
        f"<StepValue>{'' if value is None else number_text(value)}</StepValue>{limits}\n"
        f"<Ends>{ends}</Ends>\n<Reports>{reports}</Reports>\n"
        f"<Range>{step.scale}</Range><Option1>N</Option1><Option2>N</Option2><Option3>N</Option3>"
        "<StepNote></StepNote></TestStep>\n"
    )


def _exit_text(way: Exit) -> str:
    if way.what == "StepTime":
        sign, value = " = ", clock_text(way.value)
    else:
        sign, value = ("&gt;= " if way.above else "&lt;= "), number_text(way.value)
    return (
        f"<EndEntry><EndType>{way.what:<8}</EndType><SpecialType> </SpecialType><Oper>{sign}</Oper>"
        f"<Step>{way.target:03d}</Step><Value>{value}</Value></EndEntry>\n"
    )


def read(data: bytes) -> tuple[TesterStep, ...]:
    """Read back a file that :func:`write` wrote; the End step is left out.

    Raises
    ------
    ValueError
        It is not one of ours.
    """
    from xml.etree import ElementTree

    try:
        root = ElementTree.fromstring(data)  # noqa: S314 - our own file, from the tester's folder of procedures
    except (ElementTree.ParseError, LookupError) as error:
        raise ValueError(f"not a procedure file: {error}") from error
    tag = _TAG.match(root.findtext("header/ProcDesc/desc") or "")
    if tag is None:
        raise ValueError("the procedure was not written by labctl")
    marks = tag[1].split()
    found = [step for step in root.iter("TestStep") if (step.findtext("StepType") or "").strip() != "End"]
    if len(found) != len(marks):
        raise ValueError(f"the procedure has {len(found)} steps and describes {len(marks)}")
    return tuple(_read_step(step, mark) for step, mark in zip(found, marks, strict=True))


def _read_step(step: Element, mark: str) -> TesterStep:
    def text(path: str) -> str:
        return (step.findtext(path) or "").strip()

    held = text("StepMode") == "Voltage"
    value = float(text("StepValue")) if text("StepValue") else None
    limit = text("Limits/Current")
    exits = []
    for entry in step.iterfind("Ends/EndEntry"):
        what = (entry.findtext("EndType") or "").strip()
        raw = entry.findtext("Value") or "0"
        amount = _seconds(raw) if what == "StepTime" else float(raw)
        if not math.isfinite(amount):
            raise ValueError(f"an end at '{raw}' is none")
        above = (entry.findtext("Oper") or "").strip() != "<="
        exits.append(Exit(what, above, amount, int(entry.findtext("Step") or 0)))
    reports = {
        (entry.findtext("ReportType") or "").strip(): entry.findtext("Value") or "0"
        for entry in step.iterfind("Reports/ReportEntry")
    }
    return TesterStep(
        int(mark.rstrip("gc")),
        text("StepType"),
        (float(limit) if limit else None) if held else value,
        value if held else None,
        tuple(exits),
        _seconds(reports.get("StepTime", "::0")),
        float(reports.get("Voltage", "0")),
        text("Range"),
        guard="g" in mark,
        confirm="c" in mark,
    )
