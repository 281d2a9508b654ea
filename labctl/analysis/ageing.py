"""What a cell's cycles say without any spectrum: energies, efficiencies, nucleation of each charge, cycle life."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from labctl.analysis.cycling import Course, CycleCapacities
from labctl.analysis.electrochemistry import CycleLife, Passed, cycle_life, efficiency
from labctl.analysis.findings import Ageing
from labctl.analysis.flags import Flag
from labctl.analysis.nucleation import NUCLEATION, SIGNALS, Nucleation, nucleation_overvoltage
from labctl.analysis.settings import Settings
from labctl.errors import AnalysisError, DataError

_SIGNAL: Final = "cell voltage"


def of_cycle(
    capacities: CycleCapacities, charges: Sequence[Course | None], discharges: Sequence[Course | None]
) -> Ageing:
    """Evaluate one cycle.

    Parameters
    ----------
    capacities : CycleCapacities
        Of the cycle; energies are told for capacities that are.
    charges, discharges : sequence of Course or None
        All steps that count towards these capacities, in their order; None for one that could not be read. The first
        charge is the one that nucleates.
    """
    charging, discharging = _together(charges, capacities.charge), _together(discharges, capacities.discharge)
    found = None
    if charging is not None and discharging is not None:
        try:
            found = efficiency(charging, discharging)
        except AnalysisError:
            found = None  # nothing was charged or discharged; the capacities themselves show it
    return Ageing(
        efficiency=found,
        charge_energy_mWh=None if charging is None else abs(charging.energy_mWh),
        discharge_energy_mWh=None if discharging is None else abs(discharging.energy_mWh),
        nucleation=None if not charges or charges[0] is None else _nucleation(charges[0]),
    )


def life(cycles: Sequence[CycleCapacities], settings: Settings, flag: Callable[[str], None]) -> CycleLife | None:
    """Give the cycle life; None where the reference cycle has no capacity."""
    known = {one.cycle: one.discharge for one in cycles if one.discharge is not None}
    try:
        found = cycle_life(known, threshold=settings.end_of_life, reference_cycle=settings.reference_cycle)
    except AnalysisError:
        return None
    for text in found.flags:
        flag(Flag(text, "life"))
    return found


def _together(courses: Sequence[Course | None], capacity: float | None) -> Passed | None:
    whole = [one for one in courses if one is not None and len(one.time_s)]
    if capacity is None or not whole or len(whole) < len(courses):
        return None
    charge = sum(one.capacity_mAh for one in whole)
    energy = sum(one.energy_mWh for one in whole)
    lasted = sum(float(one.time_s[-1] - one.time_s[0]) for one in whole)
    return Passed(charge, energy, energy / charge if charge else None, lasted, 0.0)


def _nucleation(course: Course) -> Nucleation | None:
    """Evaluate the cell voltage, which is what a cycler's record has; where it is too sparse, the reason is said."""
    if course.capacity_mAh <= 0 or not len(course.time_s):
        return None
    try:
        return nucleation_overvoltage(course.time_s, course.voltage_V, course.current_A, signal=_SIGNAL)
    except (AnalysisError, DataError) as error:
        what = SIGNALS[_SIGNAL][1]
        return Nucleation(None, None, None, None, math.nan, math.nan, what, str(error), NUCLEATION)
