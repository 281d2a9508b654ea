"""Voltages and limits of a virtual cell with a positive electrode that takes lithium up. Pure, vectorised.

How the polarisations depend on what is left is invented: they give plausible cells whose ends are steep.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from labctl_simulators.cell import curves
from labctl_simulators.cell.curves import FULL, equilibrium
from labctl_simulators.cell.parameters import (
    KINETIC_EXPONENT,
    NUCLEATION_REACH_MAH,
    Parameters,
)
from labctl_simulators.cell.state import CellState

TOP_V, BOTTOM_V = 5.0, 0.0
"""A source that finds no lithium to move drives the cell to these voltages; the charge goes into side reactions."""

LIMIT_V = 0.05
"""Fall of the voltage per e-fold of what is left of the limiting current."""

COUNTER_SHARE = 0.35
"""Part of the impedance, and of the resistance, that is the negative electrode's: assumed."""

DISCHARGE_MA = 0.6
"""Current density (mA/cm2) whose full discharge lets a cycle's dead lithium appear completely: P1's."""


def negative(cell: Parameters, passed: Any, alloyed: Any) -> Any:
    """Potential in V of the negative electrode that is charged, without its resistance.

    Parameters
    ----------
    passed : float or ndarray
        Metal plated since the charge began, mAh.
    alloyed : float or ndarray
        Lithium in its alloy, mAh.
    """
    plating = -cell.nucleation_V * np.exp(-passed / (NUCLEATION_REACH_MAH * cell.area_cm2))
    if cell.alloy <= 0.0:
        return plating
    return np.where(alloyed < cell.alloy, curves.alloy(alloyed / cell.alloy), plating)


def charging(cell: Parameters, soc: Any, passed: Any, current: float, cycle: int, alloyed: Any = 0.0) -> Any:
    """Terminal voltage in V under a charging ``current`` (mA); the others as for :func:`negative`."""
    voltage = equilibrium(cell.curve, soc) + cell.resistance(cycle) * current - negative(cell, passed, alloyed)
    return np.where(soc >= 1.0 - 2 * FULL, TOP_V, np.minimum(voltage, TOP_V))


def discharging(cell: Parameters, soc: Any, connected: Any, current: float, kinetic: float, cycle: int) -> Any:
    """Terminal voltage in V under a discharging ``current`` (mA, positive); ``kinetic`` is the limit at full charge."""
    left = _headroom(cell, soc, connected, current, kinetic)
    with np.errstate(divide="ignore", invalid="ignore"):
        fall = LIMIT_V * np.log(np.maximum(left, 1e-300))
        voltage = equilibrium(cell.curve, soc) - cell.resistance(cycle) * current + fall
    return np.where(left > 0, np.maximum(voltage, BOTTOM_V), BOTTOM_V)


def _headroom(cell: Parameters, soc: Any, connected: Any, current: float, kinetic: float) -> Any:
    """What is left, as a fraction, of what NMC and lithium side together can deliver; 0 ends the discharge."""
    limit = kinetic * np.maximum(soc, 1e-30) ** KINETIC_EXPONENT
    return -np.expm1(-np.maximum(connected, 0.0) / cell.anode_reach) - current / limit


def discharge_room(cell: Parameters, state: CellState, current: float, kinetic: float, share: float) -> float:
    """Lithium in mAh that a discharge at ``current`` (mA) moves before NMC or lithium side end it for good."""

    def headroom(moved: float) -> float:
        soc = state.soc - moved / cell.capacity
        connected = state.connected - (1 + share) * moved
        if soc <= 0 or connected <= 0:
            return -1.0
        return float(-math.expm1(-connected / cell.anode_reach) - current / (kinetic * soc**KINETIC_EXPONENT))

    low, high = 0.0, max(0.0, min(state.soc * cell.capacity, state.connected / (1 + share)))
    if headroom(0.0) <= 0:
        return 0.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        if headroom(middle) > 0:
            low = middle
        else:
            high = middle
    return low


def dying_share(cell: Parameters, state: CellState, kinetic: float) -> float:
    """Lithium that dies per lithium moved, so that a full discharge as in P1 lets all of the cycle's appear."""
    current = DISCHARGE_MA * cell.area_cm2
    share = 0.0
    for _ in range(3):
        room = discharge_room(cell, state, current, kinetic, share)
        if room <= 0:
            return 0.0
        share = min(0.5, state.dead_quota / room)
    return share


def counter(cell: Parameters, course: Any) -> Any:
    """Potential in V of the negative electrode along a course, against lithium; it is a part of the cell's voltage.

    Its resistance is that part of the cell's which is its share of the impedance: assumed. What lags behind a change of
    the current is the positive electrode's: assumed.
    """
    dropped = course.current * 1e3 * COUNTER_SHARE * cell.resistance(course.origin.cycle)
    moved = np.minimum(np.abs(course.charge) / 3.6, course.room)
    origin = course.origin
    if course.left is not None or not course.current.any():
        return -dropped
    if course.current[0] > 0:
        plated = origin.passed + np.maximum(moved - cell.unalloyed(origin.alloy), 0.0)
        return negative(cell, plated, np.minimum(origin.alloy + moved, cell.alloy)) - dropped
    left = np.maximum(origin.connected - (1 + origin.share) * moved, 0.0)
    rise = -LIMIT_V * np.log(np.maximum(-np.expm1(-left / cell.anode_reach), 1e-9))
    return rise - dropped
