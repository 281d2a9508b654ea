"""Voltages and limits of the virtual cell as functions of its composition. Pure, vectorised over numpy arrays.

All shapes here are invented: they give a plausible NMC||Cu cell whose ends are steep, so that both charging currents of
P1 (0.2 and 0.4 mA/cm2) reach 4.3 V within 0.01 % of full charge.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from labctl_simulators.cell.parameters import (
    KINETIC_EXPONENT,
    NUCLEATION_REACH_MAH,
    Parameters,
)
from labctl_simulators.cell.state import CellState

TOP_V, BOTTOM_V = 5.0, 0.0
"""A source that finds no lithium to move drives the cell to these voltages; the charge goes into side reactions."""

FULL = 1e-9
"""Fraction of the capacity left in the NMC at which a charge has ended for good."""

END_V, END_WIDTH = 0.02, 3e-4
"""Rise of the voltage per e-fold, and width in state of charge, of the end of the charge."""

LIMIT_V = 0.05
"""Fall of the voltage per e-fold of what is left of the limiting current."""

DISCHARGE_MA = 0.6
"""Current density (mA/cm2) whose full discharge lets a cycle's dead lithium appear completely: P1's."""


def equilibrium(soc: Any) -> Any:
    """Open-circuit voltage in V at NMC state of charge ``soc``."""
    left = np.maximum(1.0 - soc, FULL)
    slope = 3.60 + 0.55 * soc + 0.08 * np.tanh((soc - 0.5) / 0.15)
    return slope - 0.55 * np.exp(-soc / 0.02) + END_V * np.log1p(END_WIDTH / left)


def soc_at(voltage: float) -> float:
    """State of charge whose open-circuit voltage is ``voltage``, between 0 and full."""
    low, high = 0.0, 1.0 - FULL
    for _ in range(60):
        middle = 0.5 * (low + high)
        left = max(1.0 - middle, FULL)
        value = 3.60 + 0.55 * middle + 0.08 * math.tanh((middle - 0.5) / 0.15) - 0.55 * math.exp(-middle / 0.02)
        if value + END_V * math.log1p(END_WIDTH / left) < voltage:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def charging(cell: Parameters, soc: Any, passed: Any, current: float) -> Any:
    """Terminal voltage in V under a charging ``current`` (mA), ``passed`` mAh after this charge began."""
    nucleation = cell.substrate.nucleation_V * np.exp(-passed / (NUCLEATION_REACH_MAH * cell.area_cm2))
    voltage = equilibrium(soc) + cell.resistance_kohm * current + nucleation
    return np.where(soc >= 1.0 - 2 * FULL, TOP_V, np.minimum(voltage, TOP_V))


def discharging(cell: Parameters, soc: Any, connected: Any, current: float, kinetic: float) -> Any:
    """Terminal voltage in V under a discharging ``current`` (mA, positive); ``kinetic`` is the limit at full charge."""
    left = _headroom(cell, soc, connected, current, kinetic)
    with np.errstate(divide="ignore", invalid="ignore"):
        voltage = equilibrium(soc) - cell.resistance_kohm * current + LIMIT_V * np.log(np.maximum(left, 1e-300))
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
