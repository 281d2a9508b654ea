"""From a cycler program or an impedance request to linked techniques, and what ended them. Pure.

A channel watches two voltages in every driving technique: where a step has no end of its own on a side, the safety
limit stands there. A technique that meets a limit leads to the next, whose own limits are met at once as long as the
voltage is still beyond, so that a channel that is left alone falls through to the end of its program; the driver
reports the limit as a failure and stops the channel when it looks. In a hold the voltage is the instrument's, so its
limits are on the current. Where all limits of a technique are safety limits, the channel stops at them by itself.

A hold has a largest current, and a held voltage alone has none: the cell is first taken to the voltage at that current,
unless the step before has just brought it there. A condition that must last is judged by labctl, by the records, since
no technique can wait for it; that can be the last step alone, which labctl then ends.

With three electrodes all voltages are those of the working electrode against the reference, which is what the
instrument controls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from labctl.instruments import CyclerProgram, CyclerStep, End, ImpedanceRequest, Mode, OutOfRange, SafetyLimits
from labctl_drivers.biologic.backend import (
    ConstantCurrent,
    ConstantVoltage,
    GalvanostaticImpedance,
    Limit,
    Loop,
    OpenCircuit,
    PotentiostaticImpedance,
    Sample,
    Technique,
)

#: Seconds of a step that nobody gave a time, s; if this ends it, the result says so.
ENDLESS: Final = 14 * 86400.0
#: Share of a hold's current limit per which a record is made.
_CURRENT_STEP: Final = 0.02
#: Share of the largest current below which an end current is left to the instrument's automatic range.
_SPAN: Final = 1e-3
#: How far the last record may lie from the limit that ended a technique: V, and share of a current.
_NEAR_V: Final = 0.003
_NEAR_SHARE: Final = 0.1
#: Records, at least, in the time for which a condition must last.
_LASTING_RECORDS: Final = 6.0
#: By how much a set current may be seen to exceed a safety limit that it stands at, and a held cell's may stay below.
_TOO_MUCH: Final = 1.1
_AT_LIMIT: Final = 0.999
_LETTERS: Final = {Mode.REST: "R", Mode.CHARGE: "C", Mode.DISCHARGE: "D", Mode.HOLD: "H"}


@dataclass(frozen=True, slots=True)
class Compiled:
    """Techniques, and for each which step of the program it stands for (from 1, 0 for a loop).

    ``lasting``: the current in A (``below``) that the last technique must stay below for so many s (``for``).
    """

    techniques: tuple[Technique, ...]
    steps: tuple[int, ...]
    lasting: Mapping[str, float] | None = None

    def facts(self, program: CyclerProgram) -> dict[str, Any]:
        """What is kept of the program, JSON values only."""
        safety = program.safety
        return {
            "name": program.name,
            "steps": list(self.steps),
            "letters": ["" if step == 0 else _LETTERS[program.steps[step - 1].mode] for step in self.steps],
            "lasting": None if self.lasting is None else dict(self.lasting),
            "guards": [step > 0 and _guarded(program.steps[step - 1]) for step in self.steps],
            "safety": {
                "voltage_min_V": safety.voltage_min,
                "voltage_max_V": safety.voltage_max,
                "charge_current_A": safety.charge_current,
                "discharge_current_A": safety.discharge_current,
            },
        }


def _guarded(step: CyclerStep) -> bool:
    times = [end for end in step.ends if end.what == "time"]
    return not times or min(times, key=lambda end: end.value).guard


def compile_program(program: CyclerProgram) -> Compiled:
    """Turn a program into techniques.

    Raises
    ------
    OutOfRange
        Told with the step's number: what the instrument has no technique for.
    """
    if not program.steps:
        raise OutOfRange("the program has no steps")
    lasting = _lasting(program)
    techniques: list[Technique] = []
    steps: list[int] = []
    first: dict[int, int] = {}
    for number, step in enumerate(program.steps, start=1):
        first[number] = len(techniques)
        made = _techniques(number, step, program)
        techniques += made
        steps += [number] * len(made)
        for loop in sorted(program.loops, key=lambda one: -one.first):
            if loop.last == number:
                if not 1 <= loop.first <= loop.last or loop.count < 1:
                    raise OutOfRange(f"a loop of steps {loop.first} to {loop.last}, {loop.count} times")
                techniques.append(Loop(first[loop.first], loop.count))
                steps.append(0)
    return Compiled(tuple(techniques), tuple(steps), lasting)


def _lasting(program: CyclerProgram) -> dict[str, float] | None:
    """The one condition that must last, where there is one. Raises ``OutOfRange`` for what nobody can judge."""
    found = [(number, end) for number, step in enumerate(program.steps, start=1) for end in step.ends if end.held]
    if not found:
        return None
    number, end = found[0]
    hold = program.steps[number - 1].mode is Mode.HOLD and end.what == "current" and not end.above
    if len(found) > 1 or not hold or number != len(program.steps) or program.loops:
        raise OutOfRange(
            f"step {number}: the instrument can't wait for a condition to last; only a small current in a hold that "
            "is the program's last step can be waited for, by labctl"
        )
    return {"below": end.value, "for": end.held}


def _techniques(number: int, step: CyclerStep, program: CyclerProgram) -> list[Technique]:
    safety = program.safety
    if step.band is not None or any(end.what == "temperature" for end in step.ends):
        raise OutOfRange(f"step {number}: a potentiostat does not watch the cell's temperature")
    duration = min((end.value for end in step.ends if end.what == "time"), default=ENDLESS)
    if step.mode is Mode.REST:
        if any(end.what != "time" for end in step.ends):
            raise OutOfRange(f"step {number}: a rest ends after a time only")
        return [OpenCircuit(duration, step.record_every, step.record_voltage_step)]
    if step.mode is not Mode.HOLD:
        flow = _flow(number, step, safety, duration)
        return [flow] if step.not_before is None else [_flow(number, *_waiting(number, step, safety)), flow]
    hold = _hold(number, step, safety, duration)
    holds = [hold] if step.not_before is None else [_hold(number, *_waiting(number, step, safety)), hold]
    return [*holds] if _is_there(number, program) else [_approach(number, step, safety, duration), *holds]


def _waiting(number: int, step: CyclerStep, safety: SafetyLimits) -> tuple[CyclerStep, SafetyLimits, float]:
    """Give the part of a step in which its ends do not count yet: it ends after a time or a charge alone."""
    first = step.not_before
    if first is None or first.what not in ("time", "capacity"):
        raise OutOfRange(f"step {number}: only a time or a charge can be waited for before other ends count")
    return replace(step, ends=(first,), not_before=None), safety, first.value if first.what == "time" else ENDLESS


def _is_there(number: int, program: CyclerProgram) -> bool:
    """Whether the step before a hold always ends at its voltage, under no more than its current."""
    step, before = program.steps[number - 1], program.steps[number - 2] if number > 1 else None
    if before is None or before.mode is not (Mode.DISCHARGE if step.discharging else Mode.CHARGE):
        return False
    ends = [end.value for end in before.ends if end.what == "voltage" and end.above != step.discharging]
    again = any(loop.first == number for loop in program.loops)
    return step.voltage in ends and before.current <= step.current * (1 + 1e-9) and not again


def _approach(number: int, step: CyclerStep, safety: SafetyLimits, duration: float) -> ConstantCurrent:
    """Take the cell to the voltage of a hold at the largest current of the hold."""
    mode = Mode.DISCHARGE if step.discharging else Mode.CHARGE
    ends = (End("voltage", not step.discharging, step.voltage or 0.0),)
    alone = replace(step, mode=mode, voltage=None, ends=ends, discharging=False, not_before=None)
    return _flow(number, alone, safety, duration)


def _flow(number: int, step: CyclerStep, safety: SafetyLimits, duration: float) -> ConstantCurrent:
    charge = step.mode is Mode.CHARGE
    most = safety.charge_current if charge else safety.discharge_current
    if not 0 < step.current <= most * (1 + 1e-9):
        raise OutOfRange(f"step {number}: {step.current:g} A, where up to {most:g} A are allowed")
    if step.voltage is not None or any(end.what == "current" for end in step.ends):
        raise OutOfRange(f"step {number}: a constant current neither holds a voltage nor ends by its current")
    # The channel counts no charge; at a constant current that is a time.
    charged = min((end.value / step.current for end in step.ends if end.what == "capacity"), default=math.inf)
    own = [end for end in step.ends if end.what == "voltage"]
    above = min([end.value for end in own if end.above] + [safety.voltage_max])
    below = max([end.value for end in own if not end.above] + [safety.voltage_min])
    return ConstantCurrent(
        current=step.current if charge else -step.current,
        duration=min(duration, charged),
        limits=(Limit("voltage", True, above), Limit("voltage", False, below)),
        record_every=step.record_every,
        record_voltage_step=step.record_voltage_step,
        safety_only=not own,
        by_charge=charged < duration,
    )


def _hold(number: int, step: CyclerStep, safety: SafetyLimits, duration: float) -> ConstantVoltage:
    if step.voltage is None:
        raise OutOfRange(f"step {number}: a hold without a voltage")
    if not safety.voltage_min <= step.voltage <= safety.voltage_max:
        raise OutOfRange(f"step {number}: {step.voltage:g} V is outside the safety limits")
    if any(end.what == "voltage" for end in step.ends):
        raise OutOfRange(f"step {number}: a hold does not end by its voltage")
    if any(end.what == "capacity" for end in step.ends):
        raise OutOfRange(f"step {number}: a hold ends by a current or a time; the channel counts no charge")
    limits = []
    ends = [end for end in step.ends if end.what == "current"]
    for end in (end for end in ends if not end.held):
        # A current that flows out of the cell is negative: it falls in size by rising.
        value = -end.value if step.discharging else end.value
        limits.append(Limit("current", end.above != step.discharging, value))
    limits.append(Limit("current", True, safety.charge_current))
    limits.append(Limit("current", False, -safety.discharge_current))
    largest = max(step.current, safety.charge_current, safety.discharge_current)
    smallest = min((end.value for end in ends), default=step.current)
    return ConstantVoltage(
        voltage=step.voltage,
        duration=duration,
        limits=tuple(limits),
        # A fixed range that holds the largest current can't tell a very small one.
        current_max=largest if smallest >= _SPAN * largest else 0.0,
        record_every=min([step.record_every, *(end.held / _LASTING_RECORDS for end in ends if end.held)]),
        record_current_step=max(_CURRENT_STEP * step.current, _CURRENT_STEP * smallest),
        safety_only=all(end.held for end in ends),
    )


def compile_request(request: ImpedanceRequest) -> Technique:
    """Turn a request for a spectrum into its technique. Raises ``OutOfRange``."""
    if request.control == "pseudo-galvanostatic":
        raise OutOfRange("a pseudo-galvanostatic spectrum; the instrument has potentiostatic and galvanostatic ones")
    if request.rest_before or request.linearity is not None or request.repeat:
        raise OutOfRange("a rest, a second amplitude or a repeated sweep; ask for each as an operation of its own")
    if request.points_per_decade_low not in (None, request.points_per_decade):
        raise OutOfRange("two densities of points in one spectrum; the instrument has one")
    if request.periods_low not in (None, request.periods):
        raise OutOfRange("two numbers of periods in one spectrum; the instrument has one")
    if request.frequency_start < request.frequency_end:
        raise OutOfRange("a spectrum with rising frequencies; give the highest first")
    if request.bias and request.control == "potentiostatic" and not -5 <= request.bias <= 5:
        raise OutOfRange(f"a bias of {request.bias:g} V against open circuit")
    if min(request.frequency_start, request.frequency_end) <= 0 or request.points_per_decade < 1:
        raise OutOfRange("a spectrum needs frequencies above 0 and at least one point per decade")
    high, low = request.frequency_start, request.frequency_end
    points = max(1, math.ceil(math.log10(high / low) * request.points_per_decade - 1e-9)) + 1
    if request.control == "galvanostatic":
        return GalvanostaticImpedance(request.bias, request.amplitude, high, low, points, request.periods)
    return PotentiostaticImpedance(request.bias, request.amplitude, high, low, points, request.periods)


def sweep_duration(technique: PotentiostaticImpedance | GalvanostaticImpedance) -> float:
    """Expected seconds of a spectrum, waits included; no point takes less than 0.05 s (a guess)."""
    count = technique.points
    ratio = (technique.frequency_end / technique.frequency_start) ** (1 / max(1, count - 1))
    frequencies = [technique.frequency_start * ratio**index for index in range(count)]
    each = [max(0.05, (technique.periods + technique.wait_periods) / frequency) for frequency in frequencies]
    return technique.settle + float(sum(each))


def how_ended(technique: Technique, last: Sample, lasted: float, safety: Mapping[str, float]) -> str:
    """What ended a technique: ``voltage``, ``current``, ``capacity``, ``time``, ``safety``, or ``stopped``.

    Parameters
    ----------
    last : Sample
        Its last record.
    lasted : float
        Seconds from its first record to its last.
    safety : mapping
        As in :meth:`Compiled.facts`.
    """
    timed = isinstance(technique, (OpenCircuit, ConstantCurrent, ConstantVoltage)) and (
        lasted >= technique.duration - technique.record_every - 1.0
    )
    if isinstance(technique, (ConstantCurrent, ConstantVoltage)):
        step = technique.record_voltage_step if isinstance(technique, ConstantCurrent) else 0.0
        for limit in technique.limits:
            value, near = (
                (last.voltage, max(_NEAR_V, step))
                if limit.what == "voltage"
                else (last.current, _NEAR_SHARE * abs(limit.value))
            )
            if value >= limit.value - near if limit.above else value <= limit.value + near:
                if not _is_safety(limit, safety):
                    return limit.what
                if not timed:
                    return "safety"
    by_charge = isinstance(technique, ConstantCurrent) and technique.by_charge
    return ("capacity" if by_charge else "time") if timed else "stopped"


def _is_safety(limit: Limit, safety: Mapping[str, float]) -> bool:
    if limit.what == "voltage":
        return limit.value in (safety["voltage_max_V"], safety["voltage_min_V"])
    return limit.value in (safety["charge_current_A"], -safety["discharge_current_A"])


def beyond(samples: Sequence[Sample], techniques: Sequence[Technique], safety: Mapping[str, float]) -> Sample | None:
    """Give the first record of a driven cell at or beyond a safety limit, None where there is none."""
    for sample in samples:
        technique = techniques[sample.technique]
        if isinstance(technique, OpenCircuit):
            continue
        if not safety["voltage_min_V"] + 1e-4 < sample.voltage < safety["voltage_max_V"] - 1e-4:
            return sample
        # A current that is set may be the very limit; one that flows as it likes has been ended there.
        share = _AT_LIMIT if isinstance(technique, ConstantVoltage) else _TOO_MUCH
        if not -share * safety["discharge_current_A"] < sample.current < share * safety["charge_current_A"]:
            return sample
    return None
