"""MACCOR procedure files (``.000``): written from the tester's steps, and read back to what the driver needs of them.

A ``.000`` file is XML with texts of fixed width; the layout follows files that the vendor's BuildTest wrote. What the
tester makes of one is checked by its own compiler, in the dry start, before any current flows.

The description field of the file says which program step each of the tester's steps belongs to, so that a driver which
never saw the program can still read its data.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from labctl_drivers.maccor.procedure_compile import LONGEST_REST, compile_program, one_c
from labctl_drivers.maccor.procedure_steps import Exit, Sensor, TesterStep
from labctl_drivers.maccor.procedure_texts import clock_seconds, clock_text, number_text

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["CAPACITY", "LONGEST_REST", "Exit", "Sensor", "TesterStep", "compile_program", "one_c", "read", "write"]

#: An end by the charge of a step; no published file shows how the tester spells it.
CAPACITY: Final = "Capacity"
_TAG: Final = re.compile(r"labctl((?: \d+g?c?)+)\s*\Z")
_NUMBERED: Final = re.compile(r"(Do|Loop) ([1-4])\Z")

_HEAD: Final = """<?xml version="1.0" encoding="UTF-8"?>
<?maccor-application progid="Maccor Procedure File"?>
<MaccorTestProcedure>
<header><BuildTestVersion><major>1</major><minor>5</minor><release>7006</release><build>32043</build></BuildTestVersion>
<FileFormatVersion><BTVersion>11</BTVersion></FileFormatVersion><ProcDesc><desc>{desc}</desc></ProcDesc></header>
<ProcSteps>
"""
_TAIL: Final = "</ProcSteps></MaccorTestProcedure>\n"


def write(steps: Sequence[TesterStep], capacity_end: str = CAPACITY) -> bytes:
    """Write a ``.000`` file: UTF-8, ending with an End step that every last exit leads to.

    The same steps give the same bytes. ``capacity_end`` is how the tester spells an end by capacity.
    """
    steps = [_spelled(step, CAPACITY, capacity_end) for step in steps]
    tags = "".join(f" {step.program}{'g' if step.guard else ''}{'c' if step.confirm else ''}" for step in steps)
    body = "".join(_step_text(step) if step.acts else _passing_text(step) for step in steps)
    end = _passing_text(TesterStep(0, "End", None, None, (), 0.0, 0.0, ""))
    return (_HEAD.format(desc=f"labctl{tags}") + body + end + _TAIL).encode()


def _spelled(step: TesterStep, ours: str, theirs: str) -> TesterStep:
    if ours == theirs or not any(way.what == ours for way in step.exits):
        return step
    return replace(step, exits=tuple(replace(way, what=theirs) if way.what == ours else way for way in step.exits))


def _passing_text(step: TesterStep) -> str:
    """Write a step that does nothing with the cell."""
    kind = f"{step.kind} {step.label}" if step.label else step.kind
    ends = "".join(map(_exit_text, step.exits))
    return (
        f"<TestStep><StepType>{kind:^8}</StepType><StepMode>        </StepMode><StepValue></StepValue><Limits/>"
        f"{f'<Ends>{ends}</Ends>' if ends else '<Ends/>'}<Reports/>\n"
        "<Range></Range><Option1></Option1><Option2></Option2><Option3></Option3><StepNote></StepNote></TestStep>\n"
    )


def _step_text(step: TesterStep) -> str:
    held = step.voltage is not None
    mode = "        " if step.kind == "Rest" else ("Voltage " if held else "Current ")
    value = step.voltage if held else step.current
    setting = "" if value is None else number_text(value)
    if step.c_rate is not None:
        setting = f"{number_text(step.c_rate)}C"
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
        f"<StepValue>{setting}</StepValue>{limits}\n"
        f"<Ends>{ends}</Ends>\n<Reports>{reports}</Reports>\n"
        f"<Range>{step.scale}</Range><Option1>N</Option1><Option2>N</Option2><Option3>N</Option3>"
        "<StepNote></StepNote></TestStep>\n"
    )


def _exit_text(way: Exit) -> str:
    if way.what == "StepTime":
        sign, value = " = ", clock_text(way.value)
    elif way.what == "Loop Cnt":
        sign, value = " = ", str(round(way.value))
    else:
        sign, value = ("&gt;= " if way.above else "&lt;= "), number_text(way.value)
    return (
        f"<EndEntry><EndType>{way.what:<8}</EndType><SpecialType> </SpecialType><Oper>{sign}</Oper>"
        f"<Step>{way.target:03d}</Step><Value>{value}</Value></EndEntry>\n"
    )


def read(data: bytes, capacity_end: str = CAPACITY) -> tuple[TesterStep, ...]:
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
    steps = (_read_step(step, mark) for step, mark in zip(found, marks, strict=True))
    return tuple(_spelled(step, capacity_end, CAPACITY) for step in steps)


def _read_step(step: Element, mark: str) -> TesterStep:
    def text(path: str) -> str:
        return (step.findtext(path) or "").strip()

    held = text("StepMode") == "Voltage"
    setting, limit = text("StepValue"), text("Limits/Current")
    rate = float(setting[:-1]) if setting.endswith("C") else None
    value = float(setting) if setting and rate is None else None
    reports = {
        (entry.findtext("ReportType") or "").strip(): entry.findtext("Value") or "0"
        for entry in step.iterfind("Reports/ReportEntry")
    }
    kind, label = text("StepType"), 0
    if numbered := _NUMBERED.match(kind):
        kind, label = numbered[1], int(numbered[2])
    return TesterStep(
        int(mark.rstrip("gc")),
        kind,
        (float(limit) if limit else None) if held else value,
        value if held else None,
        tuple(_read_exit(entry) for entry in step.iterfind("Ends/EndEntry")),
        clock_seconds(reports.get("StepTime", "::0")),
        float(reports.get("Voltage", "0")),
        text("Range"),
        guard="g" in mark,
        confirm="c" in mark,
        label=label,
        c_rate=rate,
    )


def _read_exit(entry: Element) -> Exit:
    what = (entry.findtext("EndType") or "").strip()
    raw = entry.findtext("Value") or "0"
    amount = clock_seconds(raw) if what == "StepTime" else float(raw)
    if not math.isfinite(amount):
        raise ValueError(f"an end at '{raw}' is none")
    above = (entry.findtext("Oper") or "").strip() != "<="
    return Exit(what, above, amount, int(entry.findtext("Step") or 0))
