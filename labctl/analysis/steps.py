"""What a cycler's record says of each cycle: its charge, its discharge, its hold.

A new cycle begins with the first charge after a discharge, whatever the tester counted. A discharge at one voltage that
follows another discharge, or nothing, is a hold: the stripping hold of the method.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from labctl.analysis import electrochemistry
from labctl.analysis.electrochemistry import CycleLife
from labctl.analysis.exports import Floats, Table
from labctl.errors import AnalysisError

Kind = Literal["charge", "discharge", "hold"]

#: A voltage that stays so close to itself, V, in so large a part of the samples, is held.
_HELD: Final = (0.005, 0.9)
_FEWEST: Final = 4
#: Less charge than this part of the largest step's is none: rests leak.
_NONE: Final = 1e-6
#: Letters of testers for what passes charge.
_STATES: Final[dict[str, Kind]] = {"C": "charge", "D": "discharge"}


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one cycle passed in one direction, in one or several steps.

    Attributes
    ----------
    kind : str
        ``charge``, ``discharge`` or ``hold``.
    cycle : int
        From 1; 0 is a discharge before the first charge.
    time_s, voltage_V, current_A : ndarray
        Its samples.
    passed_Ah : ndarray
        Magnitude of the charge that has passed.
    energy_mWh : float
        Magnitude.
    """

    kind: Kind
    cycle: int
    time_s: Floats
    voltage_V: Floats
    current_A: Floats
    passed_Ah: Floats
    energy_mWh: float

    @property
    def capacity_mAh(self) -> float:
        """Magnitude."""
        return float(self.passed_Ah[-1]) * 1e3


@dataclass(frozen=True, slots=True)
class CycleLine:
    """One cycle in numbers; None for what did not happen. Efficiencies and health are fractions."""

    cycle: int
    charge_mAh: float | None
    discharge_mAh: float | None
    hold_mAh: float | None
    charge_mWh: float | None
    discharge_mWh: float | None
    coulombic_efficiency: float | None
    energy_efficiency: float | None
    state_of_health: float | None


def stretches(table: Table) -> list[Stretch]:
    """Divide a record into what passed charge, in the order of time."""
    parts = _parts(table)
    largest = max((float(np.abs(part.passed[-1])) for part in parts), default=0.0)
    parts = [part for part in parts if part.kind is not None and part.passed[-1] > _NONE * largest]
    found: list[list[_Part]] = []
    kinds: list[tuple[Kind, int]] = []
    cycle = 0
    before: Kind | None = None
    for part in parts:
        kind = part.kind
        if kind == "discharge" and before != "charge" and part.held:
            kind = "hold"
        if kind is None:
            continue
        if kind == "charge" and before != "charge":
            cycle += 1
        if kinds and kinds[-1] == (kind, cycle):
            found[-1].append(part)
        else:
            found.append([part])
            kinds.append((kind, cycle))
        before = kind
    return [_joined(kind, number, some) for (kind, number), some in zip(kinds, found, strict=True)]


def lines(parts: Sequence[Stretch], *, reference_cycle: int = 1) -> list[CycleLine]:
    """Put the cycles side by side."""
    numbers = sorted({one.cycle for one in parts})
    told = []
    for number in numbers:
        sums = {kind: [one for one in parts if one.cycle == number and one.kind == kind] for kind in _ORDER}
        amount = {kind: sum(one.capacity_mAh for one in some) if some else None for kind, some in sums.items()}
        energy = {kind: sum(one.energy_mWh for one in some) if some else None for kind, some in sums.items()}
        told.append((number, amount, energy))
    fresh = next((amount["discharge"] for number, amount, _ in told if number == reference_cycle), None)
    return [
        CycleLine(
            number,
            amount["charge"],
            amount["discharge"],
            amount["hold"],
            energy["charge"],
            energy["discharge"],
            _ratio(amount["discharge"], amount["charge"]),
            _ratio(energy["discharge"], energy["charge"]),
            _ratio(amount["discharge"], fresh) if number >= reference_cycle else None,
        )
        for number, amount, energy in told
    ]


def life(cycles: Sequence[CycleLine], *, reference_cycle: int = 1) -> CycleLife | None:
    """Give the cycle life; None where the reference cycle has no discharge."""
    known = {one.cycle: one.discharge_mAh for one in cycles if one.cycle > 0 and one.discharge_mAh is not None}
    try:
        return electrochemistry.cycle_life(known, reference_cycle=reference_cycle)
    except AnalysisError:
        return None


def save(part: Stretch, path: Path) -> Path:
    """Write a stretch as the table that bundles have."""
    import polars

    count = len(part.time_s)
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "Test Time / s": part.time_s,
        "Voltage / V": part.voltage_V,
        "Current / A": part.current_A,
        "Step Capacity / Ah": part.passed_Ah,
        "Step Index / 1": np.ones(count, dtype=np.int64),
        "Record Number / 1": np.arange(1, count + 1),
    }
    polars.DataFrame(columns).write_parquet(path)
    return path


_ORDER: Final[tuple[Kind, ...]] = ("charge", "discharge", "hold")


@dataclass(frozen=True, slots=True)
class _Part:
    """A step of the tester."""

    kind: Kind | None
    rows: slice
    table: Table
    passed: Floats
    held: bool


def _parts(table: Table) -> list[_Part]:
    turns = np.diff(table.step) != 0
    if table.state is not None:
        turns |= table.state[1:] != table.state[:-1]
    if table.capacity_Ah is not None and table.source == "MACCOR":
        # The count begins anew: another step, under the same number in a loop.
        turns |= np.diff(table.capacity_Ah) < -0.5 * table.capacity_Ah[:-1]
    bounds = [0, *(int(one) + 1 for one in np.flatnonzero(turns)), len(table.time_s)]
    parts: list[_Part] = []
    for first, last in itertools.pairwise(bounds):
        rows = slice(first, last)
        passed = _passed(table, first, last)
        parts.append(_Part(_kind(table, rows), rows, table, passed, _is_held(table.voltage_V[rows])))
    return parts


def _kind(table: Table, rows: slice) -> Kind | None:
    if table.state is not None:
        return _STATES.get(str(table.state[rows][-1]))
    total = float(np.sum(table.current_A[rows]))
    largest = float(np.abs(table.current_A).max())
    if abs(total) <= _NONE * largest * (rows.stop - rows.start):
        return None
    return "charge" if total > 0 else "discharge"


def _passed(table: Table, first: int, last: int) -> Floats:
    """Give the magnitude of the charge that has passed since the step began."""
    count = table.capacity_Ah
    if count is None:
        time, current = table.time_s[first:last], table.current_A[first:last]
        steps = np.diff(time) * 0.5 * (current[1:] + current[:-1])
        return np.asarray(np.abs(np.concatenate(([0.0], np.cumsum(steps)))) / 3600.0)
    mine = count[first:last]
    before = float(count[first - 1]) if first else 0.0
    if table.source == "EC-Lab":
        return np.asarray(np.abs(mine - (before if first else mine[0])))
    # A count that runs on over steps goes on from where it was; one that begins anew is smaller than that.
    base = before if first and mine[0] >= before and _same(table, first) else 0.0
    return np.asarray(mine - base)


def _same(table: Table, first: int) -> bool:
    return table.state is None or bool(table.state[first] == table.state[first - 1])


def _is_held(voltage: NDArray[np.float64]) -> bool:
    if len(voltage) < _FEWEST:
        return False
    return float(np.mean(np.abs(voltage - np.median(voltage)) <= _HELD[0])) >= _HELD[1]


def _joined(kind: Kind, cycle: int, parts: Sequence[_Part]) -> Stretch:
    table = parts[0].table
    rows = np.concatenate([np.arange(part.rows.start, part.rows.stop) for part in parts])
    passed: list[Floats] = []
    energy = base = 0.0
    for part in parts:
        passed.append(part.passed + base)
        base = float(passed[-1][-1])
        # By the charge, which is the tester's own, and the voltage at which it passed.
        voltage = table.voltage_V[part.rows]
        energy += float(np.sum(np.diff(part.passed) * 0.5 * (voltage[1:] + voltage[:-1]))) * 1e3
        energy += float(part.passed[0] * voltage[0]) * 1e3
    return Stretch(kind, cycle, table.time_s[rows], table.voltage_V[rows], table.current_A[rows],
                   np.concatenate(passed), abs(energy))  # fmt: skip


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None
