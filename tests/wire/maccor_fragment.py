"""Protocol fragments two ways: as a procedure on the simulated tester, and as drives given to the cell directly."""

from __future__ import annotations

import asyncio
import csv
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import assume
from maccor_bench import DESCRIPTION, Quiet

from labctl.engine.actions import cycler_program
from labctl.engine.clock import run_virtual
from labctl.instruments import CyclerProgram
from labctl.instruments.cycler import Loop
from labctl.protocol import Cycling, Kind, PlannedOperation, expand, read_protocol
from labctl_drivers.maccor.procedure import Sensor, TesterStep, compile_program, one_c, read, write
from labctl_simulators.cell import Current, Rest, VirtualCell, Voltage
from labctl_simulators.laboratory import AMBIENT_K, Laboratory
from labctl_simulators.macnet.channel import ACTIVE, COMPLETED, PROBLEM
from labctl_simulators.macnet.settings import Settings
from labctl_simulators.macnet.tester import Tester

SEED = 7
AREA = 1e-4
TICK = 0.01
#: Seconds: the export's decimals, and those of the step before.
RESOLUTION = 2e-4
HOW = {129: "time", 132: "current", 133: "voltage", 158: "temperature"}
Block = tuple[Sequence[dict[str, Any]], int]


def smallest_range(amperes: float) -> str:
    return next(number for number, full in (("1", 150e-6), ("2", 5e-3), ("3", 0.15), ("4", 5.0)) if amperes <= full)


@dataclass(frozen=True)
class Fragment:
    """What the cell is to do, in order, and the same as a program that folds what repeats."""

    planned: tuple[PlannedOperation, ...]
    program: CyclerProgram


def fragment(blocks: Sequence[Block]) -> Fragment:
    """Read blocks of steps as a protocol file would have them; a block that is done several times is a cycle."""
    steps: list[Any] = []
    for body, count in blocks:
        steps += [{"cycle": {"count": count, "steps": list(body)}}] if count else list(body)
    text = json.dumps(
        {
            "labctl": 1,
            "protocol": "fragment",
            "limits": {"voltage": ["2.8 V", "4.4 V"], "current": "5 mA"},
            "steps": steps,
        }
    )
    protocol = read_protocol(text, "fragment.yaml")
    planned = expand(protocol, SimpleNamespace(id="one", area=AREA, measure_at=()))
    programs = [cycler_program("fragment", operation) for operation in planned]
    kept, loops, at = [], [], 0
    for body, count in blocks:
        passes = [
            [program.steps[0] for program in programs[at + len(body) * n : at + len(body) * (n + 1)]]
            for n in range(max(count, 1))
        ]
        at += len(body) * max(count, 1)
        if all(one == passes[0] for one in passes):
            if count:
                loops.append(Loop(len(kept) + 1, len(kept) + len(body), count))
            kept += passes[0]
        else:
            kept += [step for one in passes for step in one]
    return Fragment(planned, CyclerProgram("fragment", tuple(kept), programs[0].safety, tuple(loops)))


@dataclass(frozen=True)
class Course:
    """One step of the fragment as it went: from, to, why it ended, and its samples; charge as a magnitude, C.

    ``spread`` is how far voltage and current move within the resolution of the record's time, V and A.
    """

    how: str
    began: float
    ended: float
    capacity: float
    time: np.ndarray
    voltage: np.ndarray
    current: np.ndarray
    spread: np.ndarray | None = None


def through_the_tester(program: CyclerProgram, planned_steps: int) -> list[Course]:
    """Write the program as a procedure, let the simulated tester run it, and read its export."""
    content = write(compile_program(program, smallest_range))
    assert write(read(content)) == content
    with tempfile.TemporaryDirectory() as name:
        run_virtual(lambda clock: _run(clock, Path(name), content, program))
        rows = exported(Path(name))
    return _courses(rows, read(content), planned_steps)


def exported(folder: Path) -> list[dict[str, str]]:
    """Records in the export, by column."""
    lines = (folder / "fragment.001").read_text("latin-1").splitlines()
    return list(csv.DictReader(lines[1:], delimiter="\t"))


def started(
    clock: Any, folder: Path, program: CyclerProgram, description: Mapping[str, Any] = DESCRIPTION
) -> tuple[Laboratory, Tester]:
    """A tester that reports its currents truly, with the program running on its first channel."""
    steps = compile_program(program, smallest_range, Sensor())
    return _started(clock, folder, write(steps), program, description)


def _started(
    clock: Any, folder: Path, content: bytes, program: CyclerProgram, description: Mapping[str, Any]
) -> tuple[Laboratory, Tester]:
    laboratory = Laboratory(description, folder=folder, seed=SEED, clock=clock, log=Quiet())
    tester = Tester(laboratory, "maccor", 1, folder, folder, Settings(current_error=0.0))
    (folder / "fragment.000").write_bytes(content)
    channel, safety = tester.channels[0], program.safety
    laboratory.register_source(channel.source, channel.bring_up)
    channel.limit(
        {
            "VSafeMax": safety.voltage_max,
            "VSafeMin": safety.voltage_min,
            "ISafeChg": safety.charge_current,
            "ISafeDis": safety.discharge_current,
            "PBatSafeChg": 25.0,
            "PBatSafeDis": 25.0,
        }
    )
    assert tester.start(channel, "fragment", "fragment", "", one_c(program)) == 0
    return laboratory, tester


async def _run(clock: Any, folder: Path, content: bytes, program: CyclerProgram) -> None:
    laboratory, tester = _started(clock, folder, content, program, DESCRIPTION)
    channel = tester.channels[0]
    while channel.stat == ACTIVE:
        await asyncio.sleep(24 * 3600)
        channel.advance(laboratory.time())
    if channel.stat == PROBLEM:
        # A cell that is emptied beyond what it ever got leaves its limits at rest; the drives alone know of none.
        last = float(exported(folder)[-1]["Volts"])
        assume(program.safety.voltage_min < last < program.safety.voltage_max)
    assert (channel.stat, laboratory.violations) == (COMPLETED, [])
    await laboratory.stop()


def _courses(rows: list[dict[str, str]], steps: Sequence[TesterStep], planned: int) -> list[Course]:
    """Put together what the tester's steps did for each step of the fragment."""
    found: list[Course] = []
    part: list[dict[str, str]] = []
    capacity = 0.0
    for row in rows[:-1]:
        part.append(row)
        code, step = int(row["ES"]), steps[int(row["Step"]) - 1]
        if code < 128:
            continue
        capacity += float(row["Amp-hr"]) * 3600
        taken = {"time": "StepTime", "current": "Current", "voltage": "Voltage"}[HOW[code]]
        target = next(way.target for way in step.exits if way.what == taken)
        following = steps[target - 1] if target <= len(steps) else None
        if following is not None and following.acts and following.program == step.program:
            continue
        how = "current" if step.confirm else HOW[code]
        table = np.array([[float(one[key]) for key in ("Test (Sec)", "Volts", "Amps")] for one in part])
        found.append(Course(how, table[0, 0], table[-1, 0], capacity, *table.T))
        part, capacity = [], 0.0
    assert (rows[-1]["State"], rows[-1]["ES"]) == ("O", "193")
    assert len(found) == planned
    return found


def directly(planned: Sequence[PlannedOperation], wanted: Sequence[np.ndarray]) -> list[Course]:
    """Give the cell the same drives without tester and file, and sample it at the ``wanted`` times of each step."""
    entry = DESCRIPTION["cells"][0]
    cell = VirtualCell("one", AREA, SEED, entry["simulate"])
    t, found = 0.0, []
    for operation, times in zip(planned, wanted, strict=True):
        parameters = operation.parameters
        assert isinstance(parameters, Cycling)
        # The tester's times are whole seconds, and never shorter than what was asked.
        longest = float(math.ceil((operation.at_most or parameters.duration or 0.0) - 1e-6))
        horizon = longest + parameters.end_current_for + 2 * TICK
        course = cell.project(_drive(operation.kind, parameters), t, horizon, AMBIENT_K)
        how, ended = "time", t + longest
        if parameters.end_voltage is not None:
            sign = 1.0 if operation.kind is Kind.CHARGE else -1.0
            at = _reaches(course.t, sign * course.voltage, sign * parameters.end_voltage, t)
            if at is not None and at < ended:
                how, ended = "voltage", at
        if parameters.end_current is not None:
            at = _reaches(course.t, -np.abs(course.current), -parameters.end_current, t)
            if at is not None and at < ended:
                how, ended = "current", at + math.ceil(parameters.end_current_for - 1e-6)
        voltage, current, _ = course.at(np.clip(times, t, ended))
        near = [course.at(np.clip(times + shift, t, ended))[:2] for shift in (-RESOLUTION, RESOLUTION)]
        spread = np.abs(np.array(near) - [voltage, current]).max(axis=0)
        # Projected to its very end, the charge there is no value between two points.
        whole = cell.project(_drive(operation.kind, parameters), t, ended - t, AMBIENT_K)
        found.append(Course(how, t, ended, abs(float(whole.charge[-1])), times, voltage, current, spread))
        cell.follow(whole, ended)
        t = ended
    return found


def _drive(kind: Kind, parameters: Cycling) -> Any:
    if kind is Kind.REST:
        return Rest()
    if kind is Kind.HOLD:
        return Voltage(float(parameters.voltage or 0.0), parameters.current)
    return Current(parameters.current if kind is Kind.CHARGE else -parameters.current)


def _reaches(t: np.ndarray, values: np.ndarray, limit: float, began: float) -> float | None:
    """First time, a tick after the beginning at the earliest, at which the values have risen to the limit."""
    first = began + TICK
    later = t > first
    times = np.concatenate(([first], t[later]))
    seen = np.concatenate(([np.interp(first, t, values)], values[later]))
    above = np.flatnonzero(seen >= limit)
    if not above.size:
        return None
    index = int(above[0])
    if index == 0:
        return first
    share = (limit - seen[index - 1]) / (seen[index] - seen[index - 1])
    return float(times[index - 1] + share * (times[index] - times[index - 1]))
