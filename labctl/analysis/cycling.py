"""Capacities, Coulombic efficiency, state of health and the ledger of charge. Electrochemistry alone, no spectra."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labctl.errors import DataError

_TIME: Final = "Test Time / s"
_VOLTAGE: Final = "Voltage / V"
_CURRENT: Final = "Current / A"
_CAPACITY: Final = "Step Capacity / Ah"
_STEP: Final = "Step Index / 1"
_RECORD: Final = "Record Number / 1"


@dataclass(frozen=True, slots=True)
class Course:
    """What one cycler operation did in the step that counts, its last.

    Attributes
    ----------
    capacity_mAh : float
        Charge that passed, signed: charging is positive.
    voltage_V, passed_mAh : ndarray
        The curve, voltage against the magnitude of the charge that has passed.
    time_s, current_A : ndarray
        Of the same samples; charging is positive.
    """

    capacity_mAh: float
    voltage_V: NDArray[np.float64]
    passed_mAh: NDArray[np.float64]
    time_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    current_A: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @property
    def energy_mWh(self) -> float:
        """Energy that passed, signed as the capacity: the voltage over the charge, by the trapezoid rule."""
        pieces = 0.5 * np.diff(self.passed_mAh) * (self.voltage_V[1:] + self.voltage_V[:-1])
        return math.copysign(float(pieces.sum()), self.capacity_mAh)


def read(path: Path) -> Course:
    """Read ``records.parquet`` of one operation.

    The capacity is the instrument's own for the last step; where it has none, the integral of the current.

    Raises
    ------
    DataError
        If the table is unreadable or empty, or columns are missing.
    """
    import polars

    try:
        frame = polars.read_parquet(path)
    except (OSError, polars.exceptions.PolarsError) as error:
        raise DataError(f"{path}: not a readable table ({error})") from error
    missing = [name for name in (_TIME, _VOLTAGE, _CURRENT) if name not in frame.columns]
    if missing or frame.height == 0:
        raise DataError(f"{path}: " + (f"the columns {', '.join(missing)} are missing" if missing else "no records"))
    # By hand: a query of polars costs more than reading the file.
    order = (
        np.argsort(frame[_RECORD].to_numpy(), kind="stable") if _RECORD in frame.columns else np.arange(frame.height)
    )
    if _STEP in frame.columns:
        steps = frame[_STEP].to_numpy()[order]
        order = order[steps == steps[-1]]
    time, voltage, current = (frame[name].to_numpy()[order].astype(np.float64) for name in (_TIME, _VOLTAGE, _CURRENT))
    integral = np.concatenate(([0.0], np.cumsum(np.diff(time) * 0.5 * (current[1:] + current[:-1])))) / 3.6
    passed = integral
    if _CAPACITY in frame.columns:
        passed = frame[_CAPACITY].to_numpy()[order].astype(np.float64) * 1e3
    if not (np.all(np.isfinite(passed)) and np.all(np.isfinite(voltage)) and np.all(np.isfinite(current))):
        raise DataError(f"{path}: holds values that are no numbers")
    amount = abs(float(passed[-1]))
    direction = float(integral[-1]) if integral[-1] != 0 else float(current.sum())
    return Course(math.copysign(amount, direction) if amount else 0.0, voltage, np.abs(passed), time, current)


def told(capacity_mAh: float, *, charging: bool) -> Course:
    """Give the course of what is known by its capacity alone, a magnitude: its curve is empty."""
    nothing = np.empty(0)
    return Course(capacity_mAh if charging else -capacity_mAh, nothing, nothing)


@dataclass(frozen=True, slots=True)
class CycleCapacities:
    """What one cycle passed, in mAh; None where it has not come to that. ``hold`` is what a stripping hold took out."""

    cycle: int
    charge: float | None
    discharge: float | None
    hold: float = 0.0


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """The electrochemical account of one cycle.

    Attributes
    ----------
    coulombic_efficiency, state_of_health : float or None
        Fractions; health is relative to the discharge capacity of the reference cycle.
    inventory_mAh : float or None
        Charge that stands on the anode's side after this charge, N_n: all charges so far less all that came back.
    not_re_extracted_mAh, not_re_extracted_sd_mAh : float or None
        First charge less N_n: lithium that is still in the positive electrode though the cell is charged, and its
        standard deviation from the cycler's accuracy.
    """

    coulombic_efficiency: float | None
    state_of_health: float | None
    inventory_mAh: float | None
    not_re_extracted_mAh: float | None
    not_re_extracted_sd_mAh: float | None


def ledger(
    cycles: Sequence[CycleCapacities], *, accuracy: float = 0.0, reference_cycle: int = 1
) -> Mapping[int, LedgerLine]:
    """Keep the account over all cycles of a cell.

    Parameters
    ----------
    cycles : sequence of CycleCapacities
        In the order of their numbers. Once one is incomplete or missing, the account ends.
    accuracy : float
        The cycler's relative standard deviation; charge and discharge are calibrated apart, each is the same in all
        cycles.
    reference_cycle : int
        Whose discharge capacity is a state of health of 1.

    Notes
    -----
    N_n = Σ(i≤n) Q_ch,i − Σ(i<n) (Q_dis,i + Q_hold,i). The first charge's own error cancels in Q_ch,1 − N_n.
    """
    by_number = {one.cycle: one for one in cycles}
    first = by_number.get(1)
    fresh = by_number.get(reference_cycle)
    lines: dict[int, LedgerLine] = {}
    charged = taken = 0.0
    whole = first is not None and first.charge is not None
    for expected, one in enumerate(sorted(cycles, key=lambda each: each.cycle), start=1):
        whole = whole and one.cycle == expected and one.charge is not None
        inventory = missing = missing_sd = None
        if whole and first is not None and first.charge is not None and one.charge is not None:
            charged += one.charge
            inventory = charged - taken
            missing = first.charge - inventory
            missing_sd = accuracy * math.hypot(charged - first.charge, taken)
        efficiency = one.discharge / one.charge if one.charge and one.discharge is not None else None
        health = one.discharge / fresh.discharge if fresh and fresh.discharge and one.discharge is not None else None
        lines[one.cycle] = LedgerLine(efficiency, health, inventory, missing, missing_sd)
        whole = whole and one.discharge is not None
        taken += (one.discharge or 0.0) + one.hold
    return lines
