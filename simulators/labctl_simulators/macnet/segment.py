"""What a step does from one instant on: where it ends, and which records it makes on the way. Vectorised, pure.

A segment is one projected course of the cell under one step. It is thrown away and projected anew where something
changes that the projection did not know of: a suspension, a restart, another temperature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from labctl_simulators.macnet.procedure import Step

Array = np.ndarray

TICK: Final = 0.01
"""Seconds that a step lasts at least: the tester looks at its ends every 10 ms."""

TIME, CURRENT, VOLTAGE, CAPACITY, WARMTH, UNSAFE = 129, 132, 133, 136, 158, 197
RECORD_TIME, RECORD_CURRENT, RECORD_VOLTAGE = 1, 4, 5


@dataclass(frozen=True, slots=True)
class Flat:
    """The course of a channel with nothing on its leads."""

    t: Array
    voltage: Array
    current: Array
    charge: Array

    @classmethod
    def of(cls, start: float, horizon: float) -> Flat:
        """Nothing, for so long."""
        nothing = np.zeros(2)
        return cls(np.array([start, start + horizon]), nothing, nothing, nothing)


@dataclass(slots=True)
class Segment:
    """A stretch of one step.

    Attributes
    ----------
    course
        What the cell does, in truth.
    cell
        On the leads, or None.
    drives : bool
        Whether the step drives it.
    temperature : float
        That it was projected for, K.
    gain : float
        True current over reported current.
    end, code, target : float, int, int
        Laboratory time at which it ends, why (0: the projection goes no further), and to which step number.
    warmth : pair of ndarray or None
        Laboratory times and temperatures in K that its ends look at, if they do.
    times, codes : ndarray
        Laboratory times of the records before the end, and their ES codes.
    energy : ndarray
        Reported energy since the start on the grid of the course, J.
    done, written : int
        Records already made, and those of them that are in the export.
    """

    course: Any
    cell: Any
    drives: bool
    temperature: float
    gain: float
    end: float
    code: int
    target: int
    times: Array
    codes: Array
    energy: Array
    warmth: tuple[Array, Array] | None = None
    done: int = 0
    written: int = 0

    def values(self, t: Any) -> tuple[Array, Array, Array, Array]:
        """Reported voltage (V), current (A, signed), charge (C, magnitude) and energy (J) at laboratory times ``t``."""
        course = self.course
        if isinstance(t, float):
            return self._at(t)
        voltage, current, charge = (np.interp(t, course.t, y) for y in (course.voltage, course.current, course.charge))
        return voltage, current / self.gain, np.abs(charge) / self.gain, np.interp(t, course.t, self.energy)

    def _at(self, t: float) -> tuple[Any, Any, Any, Any]:
        """One instant: the grid is searched once for all four, as a client that looks is the usual reason to ask."""
        course, energies = self.course, self.energy
        grid = course.t
        after = int(np.searchsorted(grid, t, side="right"))
        before = min(max(after - 1, 0), len(grid) - 1)
        after = min(after, len(grid) - 1)
        start, span = float(grid[before]), float(grid[after] - grid[before])
        share = min(max((t - start) / span, 0.0), 1.0) if span > 0 else 0.0

        def between(values: Array) -> float:
            low = float(values[before])
            return low + share * (float(values[after]) - low)

        charge = abs(between(course.charge)) / self.gain
        return between(course.voltage), between(course.current) / self.gain, charge, between(energies)


def make(
    step: Step,
    course: Any,
    cell: Any,
    temperature: float,
    gain: float,
    began: float,
    safety: Mapping[str, float],
    warmth: tuple[Array, Array] | None = None,
    passed: float = 0.0,
) -> Segment:
    """Find the end of ``step``, which began at laboratory time ``began``, on ``course``, and its records.

    ``passed`` is the reported charge in C of the step before the course.
    """
    start = float(course.t[0])
    reported = np.abs(course.current) / gain
    ends: list[tuple[float, int, int]] = []
    for way in step.exits:
        if way.what == "StepTime":
            ends.append((max(began + way.value, start + TICK), TIME, way.target))
        elif not way.warmth or warmth is not None:
            times, values, code = course.t, course.voltage, VOLTAGE
            if way.warmth and warmth is not None:
                times, values, code = *warmth, WARMTH
            elif way.what == "Current":
                values, code = reported, CURRENT
            elif way.what == "Capacity":
                values, code = passed + np.abs(course.charge) / gain, CAPACITY
            at = crossing(times, values, way.above, way.value, max(start, began + TICK))
            if at is not None:
                ends.append((at, code, way.target))
    if cell is not None:
        way_out = "Dis" if step.kind == "Dischrge" else "Chg"
        most = safety[f"ISafe{way_out}"]
        for values, above, limit in (
            (course.voltage, True, safety["VSafeMax"]),
            (course.voltage, False, safety["VSafeMin"]),
            (reported, True, most * (1 + 1e-6) if most else np.inf),
            (course.voltage * reported, True, safety[f"PBatSafe{way_out}"] * (1 + 1e-6)),
        ):
            at = crossing(course.t, values, above, limit, max(start, began + TICK))
            if at is not None:
                ends.append((at, UNSAFE, 0))
    ends.append((float(course.t[-1]), 0, 0))
    end, code, target = min(ends, key=lambda one: one[0])
    when, why = _reports(step, course, began, start, end, reported)
    power = np.abs(course.voltage * reported)
    energy = np.concatenate(([0.0], np.cumsum(np.diff(course.t) * (power[1:] + power[:-1]) / 2)))
    return Segment(course, cell, step.drives, temperature, gain, end, code, target, when, why, energy, warmth)


def crossing(t: Array, values: Array, above: bool, limit: float, earliest: float) -> float | None:
    """First instant, not before ``earliest``, at which the values lie at or beyond a limit; None for never."""
    if earliest > t[-1]:
        return None
    beyond = values >= limit if above else values <= limit
    now = float(np.interp(earliest, t, values))
    if now >= limit if above else now <= limit:
        return earliest
    later = np.flatnonzero(beyond & (t > earliest))
    if not later.size:
        return None
    index = int(later[0])
    before_t, before = max(float(t[index - 1]), earliest), now if t[index - 1] < earliest else float(values[index - 1])
    after_t, after = float(t[index]), float(values[index])
    if after == before:
        return after_t
    return before_t + (after_t - before_t) * (limit - before) / (after - before)


def _reports(step: Step, course: Any, began: float, start: float, end: float, reported: Array) -> tuple[Array, Array]:
    times, codes = [], []
    if step.report_time > 0:
        first = np.floor((start - began) / step.report_time + 1e-9) + 1
        last = np.ceil((end - began) / step.report_time - 1e-9)
        regular = began + np.arange(first, last) * step.report_time
        times.append(regular)
        codes.append(np.full(regular.size, RECORD_TIME))
    for values, size, code in (
        (course.voltage, step.report_voltage, RECORD_VOLTAGE),
        (reported, step.report_current, RECORD_CURRENT),
    ):
        if size > 0:
            moved = _levels(course.t, values, size, end)
            moved = moved[(moved > start + TICK) & (moved < end - TICK)]
            times.append(moved)
            codes.append(np.full(moved.size, code))
    if not times:
        return np.zeros(0), np.zeros(0, dtype=int)
    together, kinds = np.concatenate(times), np.concatenate(codes)
    order = np.argsort(together, kind="stable")
    together, kinds = together[order], kinds[order]
    apart = np.concatenate(([True], np.diff(together) >= TICK)) if together.size else np.zeros(0, dtype=bool)
    return together[apart], kinds[apart]


def _levels(t: Array, values: Array, size: float, end: float) -> Array:
    """Instants at which the values cross multiples of ``size``."""
    last = int(np.searchsorted(t, end)) + 1
    t, values = t[:last], values[:last]
    level = np.floor(values / size + 1e-9).astype(np.int64)
    change = np.diff(level)
    count = np.abs(change)
    which = np.repeat(np.arange(change.size), count)
    nth = np.arange(which.size) - np.repeat(np.cumsum(count) - count, count)
    crossed = np.where(change[which] > 0, level[which] + 1 + nth, level[which] - nth) * size
    rise = values[which + 1] - values[which]
    share = np.clip((crossed - values[which]) / rise, 0, 1)
    return np.asarray(t[which] + (t[which + 1] - t[which]) * share)
