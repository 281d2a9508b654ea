"""From a cycler program to the tester's steps.

One step of a program can become several of the tester's: a rest beyond a day is split, a condition that must hold for
a while becomes further steps that go back where it is broken, and a loop gets a step at its beginning and at its end.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from labctl.instruments.cycler import CyclerProgram, CyclerStep, End, Loop, Mode
from labctl.instruments.faults import OutOfRange
from labctl_drivers.maccor.procedure_steps import Exit, Sensor, TesterStep
from labctl_drivers.maccor.procedure_texts import celsius, clock_text, number_text

#: Rests are split here: times beyond 99 h have no verified spelling, and a day is easy on the eye.
LONGEST_REST: Final = 24 * 3600.0
# The way back from a confirming step needs a value a hair beyond the limit, as the tester knows no "greater than".
_BACK_ABOVE: Final = 1.001
_BACK_KELVIN: Final = 0.05
_MOST_STEPS: Final = 998
_MOST_LOOPS: Final = 4
_SIMPLE: Final = {"voltage": "Voltage", "current": "Current", "time": "StepTime"}
_AMPERE_HOUR: Final = 3600.0

Scale = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a program's step comes to stand: its number in the program, its first tester step, the one after it."""

    program: int
    first: int
    after: int


def one_c(program: CyclerProgram) -> float:
    """Give the current in A that the program's C-rates refer to, for the start; 1 A where it has none."""
    return 1.0 if program.capacity is None else program.capacity / 3600.0


def compile_program(program: CyclerProgram, scale: Scale, sensor: Sensor | None = None) -> tuple[TesterStep, ...]:
    """Turn a program into the tester's steps.

    Parameters
    ----------
    program : CyclerProgram
        At least one step; every step with at least one end.
    scale : callable
        Gives the current range for a current in A; raises ``OutOfRange``.
    sensor : Sensor or None
        What measures the temperature of the cell on this channel.

    Raises
    ------
    OutOfRange
        The tester cannot do what a step asks for.
    """
    if not program.steps:
        raise OutOfRange("the program has no steps")
    labels = _labels(program)
    steps: list[TesterStep] = []
    for number, step in enumerate(program.steps, start=1):
        for loop, label in labels:
            if loop.first == number:
                steps.append(_passing(number, "Do", label))
        first = len(steps) + 1
        steps += _CYCLED[step.mode](step, _Place(number, first, first + _width(number, step)), scale, sensor, program)
        for loop, label in reversed(labels):
            if loop.last == number:
                if not any(_inside(loop, other) for other, _ in labels):
                    steps.append(_passing(number, "AdvCycle", 0))
                over = Exit("Loop Cnt", True, float(loop.count), len(steps) + 2)
                steps.append(_passing(number, "Loop", label, (over,)))
    if len(steps) > _MOST_STEPS:
        raise OutOfRange(f"the program needs {len(steps)} tester steps; {_MOST_STEPS} is the most")
    return tuple(steps)


def _labels(program: CyclerProgram) -> list[tuple[Loop, int]]:
    """Give each loop its number, those that begin outside first."""
    loops = sorted(program.loops, key=lambda loop: (loop.first, -loop.last))
    for loop in loops:
        if not (1 <= loop.first <= loop.last <= len(program.steps) and loop.count >= 1):
            raise OutOfRange(
                f"a loop of steps {loop.first} to {loop.last}, {loop.count} times, is none of a program of "
                f"{len(program.steps)} steps"
            )
    for one, other in itertools.combinations(loops, 2):
        if (one.first, one.last) == (other.first, other.last) or one.first < other.first <= one.last < other.last:
            raise OutOfRange(
                f"the loops of steps {one.first} to {one.last} and {other.first} to {other.last} are neither apart "
                "nor one inside the other"
            )
    if len(loops) <= _MOST_LOOPS:
        return list(zip(loops, range(1, len(loops) + 1), strict=True))
    # More loops than numbers: those that lie apart share one.
    depths = [1 + sum(_inside(loop, other) for other in loops) for loop in loops]
    if max(depths) > _MOST_LOOPS:
        raise OutOfRange(f"the tester knows {_MOST_LOOPS} loops inside one another, the program has {max(depths)}")
    return list(zip(loops, depths, strict=True))


def _inside(inner: Loop, outer: Loop) -> bool:
    return inner != outer and outer.first <= inner.first and inner.last <= outer.last


def _passing(program: int, kind: str, label: int, exits: tuple[Exit, ...] = ()) -> TesterStep:
    return TesterStep(program, kind, None, None, exits, 0.0, 0.0, "", label=label)


def _width(number: int, step: CyclerStep) -> int:
    if not step.ends:
        raise OutOfRange(f"step {number} has no end")
    if step.mode is Mode.REST:
        time = next((end.value for end in step.ends if end.what == "time"), 0.0)
        return 3 if step.band is not None else max(1, math.ceil(time / LONGEST_REST - 1e-9))
    return 1 + (step.not_before is not None) + any(end.held for end in step.ends)


def _rests(
    step: CyclerStep, place: _Place, scale: Scale, sensor: Sensor | None, program: CyclerProgram
) -> list[TesterStep]:
    if any(end.held for end in step.ends):
        raise OutOfRange(f"step {place.program}: a rest cannot wait for an end to last; give it a band of temperatures")
    if step.c_rate is not None or step.voltage is not None:
        raise OutOfRange(f"step {place.program}: a rest has neither a C-rate nor a voltage")
    if step.band is not None:
        return _wait(step, place, scale, sensor)
    left = next((end.value for end in step.ends if end.what == "time"), None)
    others = tuple(_exit(end, place, sensor) for end in step.ends if end.what != "time")
    count = place.after - place.first
    rests = []
    for number in range(place.first, place.after):
        exits = others
        if left is not None:
            part = LONGEST_REST if number < place.after - 1 else left - (count - 1) * LONGEST_REST
            exits = (Exit("StepTime", True, part, number + 1), *others)
        rests.append(_rest(step, place, exits, scale))
    return rests


def _rest(
    step: CyclerStep, place: _Place, exits: tuple[Exit, ...], scale: Scale, *, confirm: bool = False
) -> TesterStep:
    return TesterStep(
        place.program,
        "Rest",
        None,
        None,
        exits,
        step.record_every,
        step.record_voltage_step,
        scale(step.current),
        guard=_guarded(step) and not confirm,
        confirm=confirm,
    )


def _wait(step: CyclerStep, place: _Place, scale: Scale, sensor: Sensor | None) -> list[TesterStep]:
    """Wait until it is warm enough, then until it is cool enough, then see that it stays so."""
    band = step.band
    if band is None or not (band.low < band.high and band.held > 0):
        raise OutOfRange(f"step {place.program}: a band of temperatures needs a low end, a high end and a time")
    if not any(end.what == "time" for end in step.ends):
        raise OutOfRange(f"step {place.program}: a wait for a temperature needs a time that it waits at most")
    what = _sensed(place, sensor)
    others = tuple(_exit(end, place, sensor) for end in step.ends)
    untimed = tuple(way for way in others if way.what != "StepTime")
    cold, hot, inside = range(place.first, place.first + 3)
    warmed = Exit(what, True, celsius(band.low), hot)
    cooled = Exit(what, False, celsius(band.high), inside)
    stayed = (
        Exit(what, False, celsius(band.low - _BACK_KELVIN), cold),
        Exit(what, True, celsius(band.high + _BACK_KELVIN), hot),
        Exit("StepTime", True, band.held, place.after),
    )
    return [
        _rest(step, place, (warmed, *others), scale),
        _rest(step, place, (cooled, *others), scale),
        _rest(step, place, (*stayed, *untimed), scale, confirm=True),
    ]


def _flow(
    step: CyclerStep, place: _Place, scale: Scale, sensor: Sensor | None, program: CyclerProgram
) -> list[TesterStep]:
    _needs_current(step, place)
    if step.voltage is not None or step.band is not None or any(end.held for end in step.ends):
        raise OutOfRange(
            f"step {place.program}: a constant-current {step.mode.value} can neither hold a voltage nor wait for a "
            "condition to last; put a hold after it"
        )
    exits = tuple(_exit(end, place, sensor) for end in step.ends)
    flowing = TesterStep(
        place.program,
        "Charge" if step.mode is Mode.CHARGE else "Dischrge",
        step.current if step.c_rate is None else None,
        None,
        exits,
        step.record_every,
        step.record_voltage_step,
        scale(step.current),
        guard=_guarded(step),
        c_rate=_rate(step, place, program),
    )
    return _waited(step, place, sensor, flowing)


def _waited(step: CyclerStep, place: _Place, sensor: Sensor | None, then: TesterStep) -> list[TesterStep]:
    """Put the step before it in which its ends do not count yet, where there is one."""
    first = step.not_before
    if first is None:
        return [then]
    if first.what not in ("time", "capacity"):
        raise OutOfRange(f"step {place.program}: only a time or a capacity can be waited for before other ends count")
    return [replace(then, exits=(_exit(first, place, sensor, place.first + 1),), guard=False), then]


def _rate(step: CyclerStep, place: _Place, program: CyclerProgram) -> float | None:
    if step.c_rate is None:
        return None
    if program.capacity is None or not program.capacity > 0:
        raise OutOfRange(f"step {place.program}: a C-rate needs the program's capacity")
    if not math.isclose(step.c_rate * one_c(program), step.current, rel_tol=1e-6):
        raise OutOfRange(
            f"step {place.program}: {step.c_rate:g} C of {program.capacity / 3.6:g} mAh is not {step.current:g} A"
        )
    return step.c_rate


def _hold(
    step: CyclerStep, place: _Place, scale: Scale, sensor: Sensor | None, program: CyclerProgram
) -> list[TesterStep]:
    _needs_current(step, place)
    if step.voltage is None:
        raise OutOfRange(f"step {place.program}: a hold needs the voltage to hold")
    if step.c_rate is not None or step.band is not None:
        raise OutOfRange(f"step {place.program}: a hold has its limit in A, and no band of temperatures")
    scale(step.current)
    kind = "Dischrge" if step.discharging else "Charge"
    lasting = [end for end in step.ends if end.held]
    if any(end.what != "current" or end.above for end in lasting) or len(lasting) > 1:
        raise OutOfRange(f"step {place.program}: only one condition, a current that has fallen, can be asked to last")
    main = place.first + (step.not_before is not None)
    exits = tuple(_exit(end, place, sensor, main + 1 if end.held else place.after) for end in step.ends)
    reports = (step.record_every, step.record_voltage_step)
    fixed = (place.program, kind, step.current, step.voltage)
    steps = _waited(step, place, sensor, TesterStep(*fixed, exits, *reports, "A", guard=_guarded(step)))
    warm = tuple(_exit(end, place, sensor) for end in step.ends if end.what == "temperature")
    for end in lasting:
        ways = (
            Exit("Current", True, float(number_text(end.value * _BACK_ABOVE)), main),
            Exit("StepTime", True, end.held, place.after),
            *warm,
        )
        steps.append(TesterStep(*fixed, ways, *reports, "A", confirm=True))
    return steps


def _needs_current(step: CyclerStep, place: _Place) -> None:
    if not step.current > 0:
        raise OutOfRange(
            f"step {place.program}: a {step.mode.value} needs a current above zero, not {step.current:g} A"
        )


def _guarded(step: CyclerStep) -> bool:
    return any(end.guard and end.what == "time" for end in step.ends)


def _exit(end: End, place: _Place, sensor: Sensor | None, target: int | None = None) -> Exit:
    to = place.after if target is None else target
    if end.what == "temperature":
        return Exit(_sensed(place, sensor), end.above, celsius(end.value), to)
    if end.what == "time":
        # Refused here, before anything is sent, if it is too long.
        clock_text(end.value)
    if end.what == "capacity":
        if not end.value > 0:
            raise OutOfRange(f"step {place.program}: a capacity of {end.value:g} C ends nothing")
        return Exit("Capacity", True, float(number_text(end.value / _AMPERE_HOUR)), to)
    return Exit(_SIMPLE[end.what], end.above or end.what == "time", end.value, to)


def _sensed(place: _Place, sensor: Sensor | None) -> str:
    if sensor is None:
        raise OutOfRange(f"step {place.program} ends by temperature, and no auxiliary input measures it here")
    return sensor.end_type


_CYCLED: Final[dict[Mode, Callable[[CyclerStep, _Place, Scale, Sensor | None, CyclerProgram], list[TesterStep]]]] = {
    Mode.REST: _rests,
    Mode.CHARGE: _flow,
    Mode.DISCHARGE: _flow,
    Mode.HOLD: _hold,
}
