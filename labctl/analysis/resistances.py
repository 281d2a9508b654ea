"""The interphase resistance of a symmetric cell over its cycles, from fitted spectra or from jumps of the voltage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labctl.analysis.arrays import positive, record
from labctl.analysis.loss_rates import Line, line
from labctl.errors import AnalysisError, DataError


@dataclass(frozen=True, slots=True)
class Jump:
    """The voltage's jump where the current changes.

    Attributes
    ----------
    at_s : float
        Time of the first sample with the new current.
    resistance_ohm : float
        dU/dI between the last sample before and the first after.
    after_s : float
        Time between these two: a process that is faster than this is in the resistance, the slower ones are not.
    """

    at_s: float
    resistance_ohm: float
    after_s: float


def jumps(
    time_s: Any, voltage_V: Any, current_A: Any, *, least: float = 0.5, within_s: float = 1.0
) -> tuple[Jump, ...]:
    """Find the resistance at every sudden change of the current.

    Parameters
    ----------
    time_s, voltage_V, current_A : array_like
        The record, with rests in it.
    least : float
        A change counts where it is at least this share of the largest current.
    within_s : float
        And where its two samples are no further apart than this.

    Raises
    ------
    DataError
        If the columns are not of one table or time goes back.
    AnalysisError
        If no change of the current was sampled closely enough; says how closely it was.
    """
    positive(share=least, time=within_s)
    time, voltage, current = record(time_s, voltage_V, current_A)
    dI, dt = np.diff(current), np.diff(time)
    change = np.flatnonzero(np.abs(dI) >= least * float(np.max(np.abs(current))))
    if len(change) == 0 or float(np.max(np.abs(current))) == 0.0:
        raise AnalysisError("the current never changes in this record: no jump of the voltage tells a resistance")
    near = change[dt[change] <= within_s]
    if len(near) == 0:
        raise AnalysisError(
            f"the current changes between samples that are at least {float(dt[change].min()):.3g} s apart; "
            f"a jump needs them within {within_s:g} s",
            hint="sample faster where the current is switched",
        )
    resistance = np.diff(voltage)[near] / dI[near]
    return tuple(
        Jump(float(time[index + 1]), float(value), float(dt[index]))
        for index, value in zip(near, resistance, strict=True)
    )


@dataclass(frozen=True, slots=True)
class ResistanceEvolution:
    """How a resistance went over the cycles.

    Attributes
    ----------
    resistance_ohm : mapping
        By cycle; 0 is before the first.
    resistance_ohm_cm2 : mapping or None
        Of one electrode, where the area was given: half of the cell's, times the area.
    first_ohm, settled_ohm : float
        Of the first cycle that is known, and the mean from ``settled_after`` on.
    drop_percent : float
        By how much the settled value lies below the first.
    trend : Line or None
        The line through the settled cycles; None with fewer than three.
    steady : bool or None
        Whether the trend's 95 % interval holds zero; None without a trend.
    settled_after : int
        What was chosen.
    """

    resistance_ohm: Mapping[int, float]
    resistance_ohm_cm2: Mapping[int, float] | None
    first_ohm: float
    settled_ohm: float
    drop_percent: float
    trend: Line | None
    steady: bool | None
    settled_after: int


def evolution(
    resistance_ohm: Mapping[int, float], *, area_cm2: float | None = None, settled_after: int = 10
) -> ResistanceEvolution:
    """Follow a resistance over cycles, such as the arc's of fitted spectra.

    Parameters
    ----------
    resistance_ohm : mapping
        By cycle, of the whole cell.
    area_cm2 : float, optional
        Of one electrode. Two equal interfaces are in series: each has half the resistance.
    settled_after : int
        From this cycle on the paper finds the dual layer's resistance virtually constant.

    Raises
    ------
    DataError
        If a resistance is no positive number.
    AnalysisError
        If no cycle lies at or after ``settled_after``.
    """
    for cycle, value in resistance_ohm.items():
        if not math.isfinite(value) or value <= 0:
            raise DataError(f"the resistance of cycle {cycle} is {value} ohm; a positive number is needed")
    cycles = sorted(resistance_ohm)
    settled = [cycle for cycle in cycles if cycle >= settled_after]
    if not settled:
        raise AnalysisError(f"no resistance from cycle {settled_after} on: found cycles {cycles}")
    if area_cm2 is not None:
        positive(area=area_cm2)
    first = resistance_ohm[cycles[0]]
    mean = float(np.mean([resistance_ohm[cycle] for cycle in settled]))
    trend = line(settled, [resistance_ohm[cycle] for cycle in settled]) if len(settled) > 2 else None
    return ResistanceEvolution(
        resistance_ohm={cycle: resistance_ohm[cycle] for cycle in cycles},
        resistance_ohm_cm2=None
        if area_cm2 is None
        else {cycle: 0.5 * area_cm2 * resistance_ohm[cycle] for cycle in cycles},
        first_ohm=first,
        settled_ohm=mean,
        drop_percent=100.0 * (first - mean) / first,
        trend=trend,
        steady=_steady(trend),
        settled_after=settled_after,
    )


def _steady(trend: Line | None) -> bool | None:
    if trend is None or trend.slope_low is None or trend.slope_high is None:
        return None
    return trend.slope_low <= 0.0 <= trend.slope_high
