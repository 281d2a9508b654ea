"""What one level of a step does from one instant on: its end, why, and the records on the way. Pure.

Where the level drives the cell, the cell's course is projected to the level's end; an open level has none, as nothing
is known ahead of a cell that others may drive meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from labctl_simulators.biologic.channel_steps import Level, Spectrum, Step, Test

Array = Any

#: Seconds that a level lasts at least.
TICK: Final = 1e-3

AT_END, BY_TEST = "end", "test"


@dataclass(slots=True)
class Segment:
    """A stretch of one level.

    Attributes
    ----------
    cell
        On the leads, or None.
    course
        What it does, or None where nothing drives it.
    end, why : float, str
        Laboratory time of the level's end, and whether a test ends it.
    times : ndarray
        Laboratory times of the records, both ends included.
    points : ndarray
        Laboratory times at which points of a spectrum are ready; empty for none.
    impedance : ndarray of complex
        Of those points.
    frequency : ndarray
        Of those points, Hz.
    counter : ndarray or None
        Potential of the counter electrode in V along the course, where it is measured against a reference.
    three : bool
        Whether there is a reference electrode.
    done, measured : int
        Records and points that were made.
    """

    cell: Any
    course: Any
    end: float
    why: str
    times: Array
    points: Array = field(default_factory=lambda: np.zeros(0))
    impedance: Array = field(default_factory=lambda: np.zeros(0))
    frequency: Array = field(default_factory=lambda: np.zeros(0))
    counter: Array | None = None
    three: bool = False
    done: int = 0
    measured: int = 0

    def at(self, t: float) -> tuple[float, float]:
        """Voltage of the cell in V and current in A at laboratory time ``t``."""
        if self.course is not None:
            voltage, current, _ = self.course.at(min(t, float(self.course.t[-1])))
            return float(voltage), float(current)
        return (float(self.cell.voltage(t)) if self.cell is not None else 0.0), 0.0

    def electrodes(self, t: float) -> tuple[float, float, float]:
        """Potentials of working and counter electrode in V, and current in A; without a reference the second is 0."""
        voltage, current = self.at(t)
        counter = 0.0
        if self.course is not None and self.counter is not None:
            counter = float(np.interp(t, self.course.t, self.counter))
        elif self.three and self.cell is not None:
            counter = float(self.cell.counter_at_rest())
        return voltage + counter, counter, current


def sweep_times(spectrum: Spectrum) -> Array:
    """Seconds after the beginning of a sweep at which its points are ready."""
    return np.cumsum(spectrum.lasts(spectrum.frequencies()))


def driven(
    step: Step, level: Level, cell: Any, course: Any, start: float, end: float, *, three: bool = False
) -> Segment:
    """Make the segment of a level that drives ``cell`` along ``course``.

    Parameters
    ----------
    three : bool
        Whether there is a reference electrode; the counter electrode is not in the voltage that is looked at then.
    """
    counter = cell.counter(course) if three else None
    voltage = course.voltage if counter is None else course.voltage + counter
    why = AT_END
    met = _first(level.tests, course, voltage, start)
    if met is not None and met < end:
        end, why = met, BY_TEST
    times = _records(step, start, end, course.t, voltage, course.current)
    return Segment(cell, course, end, why, times, counter=counter, three=three)


def undriven(step: Step, cell: Any, start: float, end: float, *, three: bool = False) -> Segment:
    """Make the segment of a level that leaves the cell alone."""
    grid = np.linspace(start, end, 200)
    if cell is not None and step.voltage_step > 0:
        voltage = np.array([cell.voltage(float(t)) for t in grid])
    else:
        voltage = np.zeros(grid.size)
    times = _records(step, start, end, grid, voltage, np.zeros(grid.size))
    return Segment(cell, None, end, AT_END, times, three=three)


def _first(tests: Sequence[Test], course: Any, voltage: Array, start: float) -> float | None:
    """When the tests are met: any of them, or all where they are to be met together."""
    if not tests:
        return None
    watched = {"voltage": voltage, "current": course.current, "magnitude": np.abs(course.current)}
    found = [_crossing(test, course.t, watched[test.what], start) for test in tests]
    met = [one for one in found if one is not None]
    if any(test.together for test in tests):
        return max(met) if len(met) == len(tests) else None
    return min(met) if met else None


def _crossing(test: Test, t: Array, values: Array, start: float) -> float | None:
    beyond = values >= test.value if test.above else values <= test.value
    earliest = start + TICK
    later = np.flatnonzero(beyond & (t >= earliest))
    now = float(np.interp(earliest, t, values))
    if now >= test.value if test.above else now <= test.value:
        return earliest
    if not later.size:
        return None
    index = int(later[0])
    before, after = float(values[index - 1]), float(values[index])
    if index == 0 or after == before:
        return float(t[index])
    share = (test.value - before) / (after - before)
    return max(earliest, float(t[index - 1]) + share * float(t[index] - t[index - 1]))


def _records(step: Step, start: float, end: float, t: Array, voltage: Array, current: Array) -> Array:
    times = [np.array([start, end])]
    if step.every > 0:
        times.append(np.arange(start, end, step.every))
    for values, size in ((voltage, step.voltage_step), (current, step.current_step)):
        if size > 0:
            count = np.floor(np.abs(np.interp(t, t, values) - values[0]) / size)
            moved = np.flatnonzero(np.diff(count) != 0) + 1
            times.append(t[moved])
    together = np.unique(np.concatenate(times))
    together = together[(together >= start) & (together <= end)]
    keep = np.concatenate(([True], np.diff(together) >= TICK))
    keep[-1] = True
    return together[keep]
