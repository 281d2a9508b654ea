"""What lies ahead of a channel in one step: the drive on its cell, the course that follows, the temperatures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from labctl_simulators.cell import Current, Rest, Voltage
from labctl_simulators.macnet.procedure import SCALES, Step
from labctl_simulators.macnet.segment import TICK, Array, Flat, Segment, make

_HORIZON: Final = 100 * 3600.0
# Where a step looks at a temperature: how far ahead it is foretold, how finely in s, and how far it may differ in K.
_WARMTH_HORIZON: Final = 6 * 3600.0
_WARMTH_GRID: Final = 5.0
_WARMTH_CHANGED: Final = 1e-3


def ahead(
    laboratory: Any,
    step: Step,
    cell: Any,
    start: float,
    began: float,
    gain: float,
    safety: Mapping[str, float],
    passed: float = 0.0,
) -> Segment:
    """Project ``step``, which began at laboratory time ``began``, from ``start`` on.

    Parameters
    ----------
    cell
        On the leads, or None.
    gain : float
        True current over reported current.
    safety : mapping
        The channel's six limits.
    passed : float
        Reported charge of the step so far, C.
    """
    timed = [began + way.value for way in step.exits if way.what == "StepTime"]
    watched = any(way.warmth for way in step.exits)
    longest = _WARMTH_HORIZON if watched else _HORIZON
    horizon = max(min([*timed, start + longest]) - start, 0.0) + 2 * TICK
    if cell is None:
        return make(step, Flat.of(start, horizon), None, 0.0, gain, began, safety)
    temperature = float(laboratory.temperature_of(cell))
    course = cell.project(_drive(step, gain), start, horizon, temperature)
    warmth = _foretold(laboratory, cell, start, horizon) if watched else None
    return make(step, course, cell, temperature, gain, began, safety, warmth, passed)


def _foretold(laboratory: Any, cell: Any, start: float, horizon: float) -> tuple[Array, Array]:
    """Temperatures of the cell ahead, as its place is regulated now."""
    times = start + np.append(np.arange(0.0, horizon, _WARMTH_GRID), horizon)
    return times, laboratory.temperatures_of(cell, times.tolist())


def regulated_otherwise(laboratory: Any, segment: Segment, t: float) -> bool:
    """Whether by ``t`` the place of the cell is regulated otherwise than a segment, if it looks at that, foretold.

    What happened between two looks counts from the first of them.
    """
    if segment.warmth is None:
        return False
    times, expected = segment.warmth
    at = min(t, float(times[-1]))
    now = float(laboratory.temperatures_of(segment.cell, (at,))[0])
    return abs(now - float(np.interp(at, times, expected))) > _WARMTH_CHANGED


def _drive(step: Step, gain: float) -> Any:
    if not step.drives:
        return Rest()
    limit = (step.current if step.current is not None else SCALES.get(step.scale, SCALES["4"])) * gain
    if step.voltage is not None:
        return Voltage(step.voltage, limit)
    return Current(limit if step.kind == "Charge" else -limit)
