"""Impedance of a virtual cell: resistance, two depressed arcs, diffusion. Values invented to behave as P1 describes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from labctl_simulators.cell import metal
from labctl_simulators.cell.electrode import COUNTER_SHARE
from labctl_simulators.cell.parameters import Parameters
from labctl_simulators.cell.state import CellState

SERIES_OHM = 6.0
CHARGED_OHM = (8.0, 22.0)
DISCHARGED_OHM = (14.0, 55.0)
"""Resistances of a 1 cm2 cell: series, and the two arcs charged and discharged."""

ARCS = ((5000.0, 0.90), (80.0, 0.85))
"""Peak frequency in Hz at the discharged cell's first resistances, and exponent, of either arc."""

BARE_RISE = 6.0
BARE_REACH_MAH = 0.02
"""How much the arcs of bare copper grow when its lithium is gone, and the mAh/cm2 over which that happens; P1 sees the
rise in the last 0.04 mAh."""

WARBURG = 0.6
"""Ohm s^-1/2, 1 cm2."""

GRAINS = 0.25
"""Part of the resistance of lithium against lithium that is in the first arc: assumed."""

DRIFT = 1.0
"""Relative growth of the second arc over one sweep: gives P1's limit of 1 Hz below which Kramers-Kronig fails."""

SWEEP_S = 293.0
"""Pure signal time of P1's sweep, 300 kHz to 0.1 Hz."""


def impedance(cell: Parameters, state: CellState, frequency_Hz: Any, elapsed_s: Any) -> Any:
    """Complex impedance in ohm at each frequency, measured ``elapsed_s`` after the sweep began; no noise."""
    frequency = np.asarray(frequency_Hz, dtype=float)
    elapsed = np.asarray(elapsed_s, dtype=float)
    omega = 2 * np.pi * frequency
    (first, second), smaller = _resistances(cell, state)
    drift = 1 + DRIFT * np.clip(elapsed / SWEEP_S, 0, 1)
    result: Any = SERIES_OHM + WARBURG / np.sqrt(1j * omega)
    arcs: tuple[Any, Any] = (first, second * drift)
    for resistance, reference, (peak, exponent) in zip(arcs, DISCHARGED_OHM, ARCS, strict=True):
        admittance = smaller * (omega / (2 * np.pi * peak)) ** exponent / reference
        result = result + resistance / (1 + resistance * admittance * np.exp(0.5j * np.pi * exponent))
    return result / cell.area_cm2


def share_of_first(cell: Parameters, state: CellState) -> float:
    """Part of the impedance that is the first electrode's."""
    if cell.chemistry.host is not None:
        return COUNTER_SHARE
    first, second = metal.first_ohm(cell, state.cycle), metal.lithium_ohm(cell, state.cycle)
    return first / (first + second)


def _resistances(cell: Parameters, state: CellState) -> tuple[tuple[float, float], float]:
    """Both arcs' resistances for 1 cm2, and a factor on their capacitances."""
    if cell.chemistry.host is None:
        both = metal.first_ohm(cell, state.cycle) + metal.lithium_ohm(cell, state.cycle)
        return (GRAINS * both, (1 - GRAINS) * both), 1.0
    age = min(state.cycle, 30) / 30
    full = min(max((state.soc - 0.4) / 0.4, 0.0), 1.0)
    charged = (CHARGED_OHM[0] * (1 - 0.25 * age), CHARGED_OHM[1] * (1 - 0.45 * age))
    if not cell.chemistry.copper:
        # P1 sees neither arc change with the state of charge, as long as there is lithium metal.
        layer = metal.lithium_ohm(cell, state.cycle) - metal.COPPER_OHM
        return (charged[0], charged[1] + layer), 1.0
    if cell.substrate.bare:
        left = (max(0.0, state.connected) + state.seed) / (BARE_REACH_MAH * cell.area_cm2)
        rise = BARE_RISE * math.exp(-left)
        empty = (DISCHARGED_OHM[0] * (1 + 0.5 * rise), DISCHARGED_OHM[1] * (1 + rise))
        smaller = 1.0
    else:
        empty = (DISCHARGED_OHM[0] * (1 + 0.6 * age), DISCHARGED_OHM[1] * (1 - 0.35 * age))
        smaller = 0.7
    first, second = (full * high + (1 - full) * low for high, low in zip(charged, empty, strict=True))
    return (first, second), smaller
