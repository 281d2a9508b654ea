"""What a cycler's record says without any spectrum: capacity, energy, efficiencies, health, cycle life, kinetic limits.

Times in s, voltages in V, currents in A (charging is positive); capacities leave in mAh. Voltage curves and their
derivatives are in ``profiles``, the nucleation of a deposit in ``nucleation``, symmetric cells in ``symmetric``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labctl.analysis.arrays import charge, positive, record
from labctl.errors import AnalysisError, DataError
from labctl.units import MAH


@dataclass(frozen=True, slots=True)
class Passed:
    """What one step passed.

    Attributes
    ----------
    capacity_mAh : float
        Charge, signed: charging is positive.
    energy_mWh : float
        Energy, signed as the current times the voltage.
    mean_voltage_V : float or None
        Energy over charge; None where no charge passed.
    duration_s : float
        From the first to the last sample.
    sampling_error_mAh : float
        How far the capacity may be off because of the sampling: where a current decays between few samples, the
        trapezoid rule gives too much. The instrument's own integral, where there is one, has no such error.
    flags : tuple of str
        What a reader must know: a current of both signs.
    """

    capacity_mAh: float
    energy_mWh: float
    mean_voltage_V: float | None
    duration_s: float
    sampling_error_mAh: float
    flags: tuple[str, ...] = ()


def passed(time_s: Any, voltage_V: Any, current_A: Any) -> Passed:
    """Integrate one step of a record.

    Parameters
    ----------
    time_s, voltage_V, current_A : array_like
        The samples of one step; charging is positive.

    Raises
    ------
    DataError
        If the columns are not of one table or time goes back.

    Notes
    -----
    Q = ∫I dt and E = ∫U I dt by the trapezoid rule: exact where I (or UI) is linear between samples, so a step must
    begin and end with samples of its own. Its error falls with the square of the interval (Richardson), so it is a
    third of the change when every second sample is left out.
    """
    time, voltage, current = record(time_s, voltage_V, current_A)
    coulombs = float(charge(time, current)[-1])
    joules = float(charge(time, current * voltage)[-1])
    flags = []
    there, back = (float(charge(time, np.clip(sign * current, 0.0, None))[-1]) for sign in (1.0, -1.0))
    if min(there, back) > 1e-3 * max(there, back):
        flags.append(f"the current changes its sign: {there / MAH:.4g} mAh in and {back / MAH:.4g} mAh out")
    half = np.unique(np.append(np.arange(0, len(time), 2), len(time) - 1))
    coarse = float(charge(time[half], current[half])[-1])
    return Passed(
        capacity_mAh=coulombs / MAH,
        energy_mWh=joules / MAH,
        mean_voltage_V=joules / coulombs if coulombs else None,
        duration_s=float(time[-1] - time[0]),
        sampling_error_mAh=abs(coarse - coulombs) / 3.0 / MAH,
        flags=tuple(flags),
    )


@dataclass(frozen=True, slots=True)
class Efficiency:
    """What came back of one cycle, as fractions: of the charge, of the energy, and of the mean voltage."""

    coulombic: float
    energy: float
    voltage: float


def efficiency(charging: Passed, discharging: Passed) -> Efficiency:
    """Compare a discharge with the charge before it.

    Raises
    ------
    AnalysisError
        If the charge did not charge or took no energy, or the discharge did not discharge.

    Notes
    -----
    CE = Q_dis/Q_ch, EE = E_dis/E_ch, and EE = CE times the ratio of the mean voltages.
    """
    if charging.capacity_mAh <= 0 or discharging.capacity_mAh >= 0:
        raise AnalysisError(
            f"efficiency needs a charge and a discharge, found {charging.capacity_mAh:.4g} mAh and "
            f"{discharging.capacity_mAh:.4g} mAh",
            hint="charging is positive",
        )
    if charging.energy_mWh <= 0:
        raise AnalysisError(f"the charge took {charging.energy_mWh:.4g} mWh: there is no energy to compare with")
    coulombic = -discharging.capacity_mAh / charging.capacity_mAh
    energy = -discharging.energy_mWh / charging.energy_mWh
    return Efficiency(coulombic, energy, energy / coulombic)


@dataclass(frozen=True, slots=True)
class CycleLife:
    """How long a cell kept its capacity.

    Attributes
    ----------
    threshold : float
        State of health that counts as the end, a fraction.
    reference_cycle, reference_mAh : int, float
        Whose discharge capacity is a state of health of 1.
    health : mapping
        State of health by cycle, from the reference cycle on.
    first_below : int or None
        First cycle whose health is below the threshold; None if there is none yet.
    interpolated : float or None
        Where the line between the cycles around the crossing meets the threshold.
    lasting : int or None
        First cycle from which on all that follow are below; differs from ``first_below`` where a cell recovered.
    last_cycle : int
        Last one that is known: the life is longer than this where ``first_below`` is None.
    flags : tuple of str
        Gaps at the crossing, recovery.
    """

    threshold: float
    reference_cycle: int
    reference_mAh: float
    health: Mapping[int, float]
    first_below: int | None
    interpolated: float | None
    lasting: int | None
    last_cycle: int
    flags: tuple[str, ...] = ()


def cycle_life(discharge_mAh: Mapping[int, float], *, threshold: float = 0.8, reference_cycle: int = 1) -> CycleLife:
    """Give the state of health of every cycle and the cycle life (N80 with the default threshold).

    Parameters
    ----------
    discharge_mAh : mapping
        Magnitude of the discharge capacity by cycle.
    threshold : float
        Health that counts as the end.
    reference_cycle : int
        The paper does not say which. 1 by default; 3 is the first at the later charging current.

    Raises
    ------
    AnalysisError
        If the reference cycle is missing or has no capacity, or the threshold lies outside 0 to 1.
    DataError
        If a capacity is negative or no number.
    """
    if not 0.0 < threshold < 1.0:
        raise AnalysisError(f"the threshold of health must lie between 0 and 1, found {threshold}")
    for cycle, value in discharge_mAh.items():
        if not math.isfinite(value) or value < 0:
            raise DataError(f"the discharge capacity of cycle {cycle} is {value} mAh; its magnitude is needed")
    reference = discharge_mAh.get(reference_cycle, 0.0)
    if reference <= 0.0:
        raise AnalysisError(f"no discharge capacity of the reference cycle {reference_cycle}: no state of health")
    health = {n: discharge_mAh[n] / reference for n in sorted(discharge_mAh) if n >= reference_cycle}
    cycles = list(health)
    below = [n for n in cycles if health[n] < threshold]
    if not below:
        return CycleLife(threshold, reference_cycle, reference, health, None, None, None, cycles[-1])
    first = below[0]
    before = cycles[cycles.index(first) - 1]
    share = (health[before] - threshold) / (health[before] - health[first])
    above = [n for n in cycles if health[n] >= threshold]
    lasting = next((n for n in cycles if n > above[-1]), None)
    flags = []
    if first - before > 1:
        flags.append(f"cycles {before + 1} to {first - 1} are missing where the health falls below {threshold:.0%}")
    if lasting != first:
        after = "not lastingly" if lasting is None else f"lastingly from cycle {lasting}"
        flags.append(f"the health falls below {threshold:.0%} in cycle {first} but recovers; below it {after}")
    return CycleLife(
        threshold, reference_cycle, reference, health, first, before + share * (first - before), lasting, cycles[-1],
        tuple(flags),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class KineticLimit:
    """Capacity that was there but not at the current of the discharge.

    Attributes
    ----------
    capacity_mAh, capacity_sd_mAh : float
        Charge that the slower discharge or the hold took out after the first one ended, less the leak.
    percent, percent_sd : float
        The same in percent of the initial charge capacity.
    leak_mAh : float
        What was taken off for the stated leakage current.
    """

    capacity_mAh: float
    capacity_sd_mAh: float
    percent: float
    percent_sd: float
    leak_mAh: float


def kinetically_limited(
    second_mAh: float,
    initial_charge_mAh: float,
    *,
    leak_A: float = 0.0,
    duration_s: float = 0.0,
    accuracy: float = 0.0,
) -> KineticLimit:
    """Evaluate a slower second discharge, or a discharge at constant voltage, after the one that counts.

    Parameters
    ----------
    second_mAh : float
        Magnitude of what the second discharge passed.
    initial_charge_mAh : float
        First charge capacity of the same cell, to which the paper relates it.
    leak_A, duration_s : float
        Leakage current of cell or channel that flowed all the time, and for how long.
    accuracy : float
        The cycler's relative standard deviation; charge and discharge are calibrated apart.

    Raises
    ------
    AnalysisError
        If the initial charge is not positive or a number is negative.
    """
    positive(initial_charge_capacity=initial_charge_mAh)
    for name, value in (("second discharge", second_mAh), ("leak", leak_A), ("duration", duration_s)):
        if not math.isfinite(value) or value < 0:
            raise AnalysisError(f"the {name} must be a magnitude, found {value}")
    leak = leak_A * duration_s / MAH
    capacity = second_mAh - leak
    in_percent = 100.0 / initial_charge_mAh
    deviation = accuracy * math.hypot(second_mAh, capacity) * in_percent
    return KineticLimit(capacity, accuracy * second_mAh, in_percent * capacity, deviation, leak)
