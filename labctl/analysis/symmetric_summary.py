"""A symmetric cell by cycles, as a table: overvoltage, shape, cycle of the cut-off, the interphase's resistance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from labctl.analysis import resistances, symmetric
from labctl.analysis.resistances import Jump, ResistanceEvolution
from labctl.analysis.symmetric import SymmetricCell
from labctl.analysis.tabulated import Column, Table, Value
from labctl.errors import AnalysisError

#: A current above this part of the largest flows, and its voltage has its sign in more than this part of the samples.
_FLOWING: Final = 0.02
_MOSTLY: Final = 0.9

#: From this cycle on the paper finds the resistance of its layers virtually constant; of a shorter record its second
#: half is taken.
_SETTLED: Final = 10

_CYCLES: Final = (
    Column("cycle", "cycle"),
    Column("capacity_mAh", "mAh per half cycle", 3),
    Column("overvoltage_mV", "overvoltage mV", 1),
    Column("highest_mV", "highest mV", 1),
    Column("shape", "shape"),
    Column("resistance_ohm", "R_int ohm", 2),
    Column("resistance_ohm_cm2", "R_int ohm cm2", 2),
)


def by_cycle(
    found: SymmetricCell,
    *,
    name: str = "",
    resistance: ResistanceEvolution | None = None,
) -> Table:
    """Give a symmetric cell by cycles: overvoltage, shape of the curve, and the interphase's resistance.

    Parameters
    ----------
    found : SymmetricCell
        From :func:`labctl.analysis.symmetric.evaluate`.
    name : str
        Of the cell, for the title.
    resistance : ResistanceEvolution, optional
        Over its cycles, from :func:`labctl.analysis.resistances.evolution`.
    """
    known: Mapping[int, float] = {} if resistance is None else resistance.resistance_ohm
    areal: Mapping[int, float] = {} if resistance is None else resistance.resistance_ohm_cm2 or {}
    rows = []
    for cycle in sorted({one.cycle for one in found.half_cycles} | set(known)):
        halves = [one for one in found.half_cycles if one.cycle == cycle]
        row: dict[str, Value] = {
            "cycle": cycle,
            "capacity_mAh": _mean([one.capacity_mAh for one in halves]),
            "overvoltage_mV": _mean([1e3 * one.overvoltage_V for one in halves]),
            "highest_mV": max((1e3 * one.highest_V for one in halves), default=None),
            "shape": ", ".join(dict.fromkeys(one.shape for one in halves)) or None,
            "resistance_ohm": known.get(cycle),
            "resistance_ohm_cm2": areal.get(cycle),
        }
        rows.append(row)
    shown = [one for one in _CYCLES if any(row[one.key] is not None for row in rows)]
    title = "symmetric cell" + (f" {name}" if name else "")
    return Table(title, tuple(shown), tuple(rows), (*_ending(found), *_settled(resistance), *found.flags))


def of_record(time_s: Any, voltage_V: Any, current_A: Any, *, name: str = "", area_cm2: float | None = None) -> Table:
    """Evaluate the whole record of a symmetric cell and give it by cycles.

    The resistance is that of the voltage's jumps where the current is switched, if the record is dense enough there;
    fitted impedance tells it better (:func:`by_cycle`).

    Parameters
    ----------
    time_s, voltage_V, current_A : array_like
        All samples in their order, rests as well.
    name : str
        Of the cell.
    area_cm2 : float, optional
        Of one electrode.

    Raises
    ------
    DataError, AnalysisError
        As :func:`labctl.analysis.symmetric.evaluate`.
    """
    found = symmetric.evaluate(time_s, voltage_V, current_A)
    notes: list[str] = []
    told: dict[int, float] = {}
    try:
        jumps = resistances.jumps(time_s, voltage_V, current_A)
        told = _resistances(jumps, found)
        slowest = max(one.after_s for one in jumps)
        notes.append(
            f"R_int from the voltage's jumps within {slowest:.2g} s after the current is switched on: all that is "
            "faster is in it, the electrolyte too"
        )
    except AnalysisError as error:
        notes.append(f"R_int is not told: {error}")
    followed = None
    if told:
        last = max(told)
        settled = _SETTLED if last >= _SETTLED else (last + 1) // 2
        followed = resistances.evolution(told, area_cm2=area_cm2, settled_after=settled)
    made = by_cycle(found, name=name, resistance=followed)
    return Table(made.title, made.columns, made.rows, (*made.notes, *notes))


def _resistances(jumps: Sequence[Jump], found: SymmetricCell) -> dict[int, float]:
    """Take the mean of the jumps with which each cycle's half cycles begin; what is no resistance is left out.

    Those with which they end are left out: after a rise to the cut-off they are what made the cell fail.
    """
    cycles = {one.start_s: one.cycle for one in found.half_cycles}
    told: dict[int, list[float]] = {}
    for jump in jumps:
        if jump.at_s in cycles and jump.resistance_ohm > 0.0 and math.isfinite(jump.resistance_ohm):
            told.setdefault(cycles[jump.at_s], []).append(jump.resistance_ohm)
    return {cycle: float(np.mean(values)) for cycle, values in told.items()}


def _ending(found: SymmetricCell) -> list[str]:
    cut_off = found.settings.cut_off_V
    if found.cut_off_cycle is None:
        return [f"the cut-off of {cut_off:g} V was not reached in {found.completed_cycles} whole cycles"]
    share = "" if found.cut_off_at is None else f", after {found.cut_off_at:.2f} cycles"
    return [f"the cut-off of {cut_off:g} V was reached in cycle {found.cut_off_cycle}{share}"]


def _settled(resistance: ResistanceEvolution | None) -> list[str]:
    if resistance is None:
        return []
    drop = resistance.drop_percent
    text = (f"R_int {resistance.first_ohm:.3g} ohm at first, {resistance.settled_ohm:.3g} ohm from cycle "
            f"{resistance.settled_after} on ({abs(drop):.0f} % {'lower' if drop >= 0 else 'higher'})")  # fmt: skip
    steady = {True: ", steady", False: ", not steady", None: ""}[resistance.steady]
    return [text + steady]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


@dataclass(frozen=True, slots=True)
class SeenSymmetric:
    """A symmetric cell's record in a file by itself."""

    path: str
    source: str
    table: Table
    warnings: tuple[str, ...] = ()


def is_symmetric(voltage_V: Any, current_A: Any) -> bool:
    """Say whether a record is that of a symmetric cell: the voltage has the sign of the current, both ways.

    The voltage of a cell with two different electrodes keeps its sign when it is discharged.
    """
    voltage, current = np.asarray(voltage_V, dtype=np.float64), np.asarray(current_A, dtype=np.float64)
    largest = float(np.max(np.abs(current), initial=0.0))
    ways = [current > _FLOWING * largest, current < -_FLOWING * largest] if largest > 0.0 else []
    return bool(ways) and all(way.any() and float(np.mean(voltage[way] * current[way] > 0.0)) > _MOSTLY for way in ways)
