"""What changes in a virtual cell: an immutable state, its bookkeeping by cycles, and its JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from labctl_simulators.cell.parameters import Parameters

Phase = Literal["pristine", "charge", "discharge"]

NEW_CYCLE = 0.005
"""A charge opens a new cycle only after this fraction of the capacity was discharged; less is an interruption."""


@dataclass(frozen=True, slots=True)
class CycleRecord:
    """The truth about one cycle; mAh that passed through the cell, and lithium at the end of its discharge.

    ``connected_mAh``, ``dead_mAh`` and ``interphase_mAh`` (with the alloy in it, as the paper's closure has it) are
    ``None`` until a constant current has discharged the cell; they stand as they were when it last flowed, whatever a
    hold does later.
    """

    cycle: int
    charge_mAh: float = 0.0
    discharge_mAh: float = 0.0
    hold_mAh: float = 0.0
    connected_mAh: float | None = None
    dead_mAh: float | None = None
    interphase_mAh: float | None = None


@dataclass(frozen=True, slots=True)
class CellState:
    """Everything that a virtual cell remembers; lithium in mAh.

    Attributes
    ----------
    t : float
        Laboratory time in s.
    soc : float
        State of charge of the positive electrode, 1 when all lithium has left it; 0 where that is lithium metal.
    connected, dead, interphase : float
        Lithium outside the positive electrode: metal with contact, metal without, and bound. With ``alloy`` and
        ``second`` they add up to ``soc`` times capacity and what the cell was built with.
    cycle : int
        0 before the first charge.
    phase : str
        Direction of the last current.
    passed : float
        Lithium moved in this phase; while charging, without what has alloyed.
    share : float
        Share of the moved lithium that this phase turns into interphase (charge) or that dies beside it (discharge).
    interphase_quota, dead_quota : float
        What this cycle has still to turn into either.
    seed : float
        Lithium equivalent of the deposits' roots on the substrate; see :meth:`Parameters.seed`.
    overpotential : float
        Steady overpotential of the last drive, V.
    lag : tuple of float
        What the true overpotential differs from the steady one, by relaxation time, V.
    alloy : float
        Lithium in the coating's alloy; what a discharge does not give back (P1).
    second : float
        Metal on the positive electrode, where that is lithium metal.
    damage : float
        Part of the life of lithium against lithium that is over; 1 at the cut-off of P2.
    """

    t: float
    soc: float = 0.0
    connected: float = 0.0
    dead: float = 0.0
    interphase: float = 0.0
    cycle: int = 0
    phase: Phase = "pristine"
    passed: float = 0.0
    share: float = 0.0
    interphase_quota: float = 0.0
    dead_quota: float = 0.0
    seed: float = 0.0
    overpotential: float = 0.0
    lag: tuple[float, float] = (0.0, 0.0)
    alloy: float = 0.0
    second: float = 0.0
    damage: float = 0.0
    records: tuple[CycleRecord, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        data = asdict(self)
        data["lag"] = list(self.lag)
        data["records"] = [asdict(record) for record in self.records]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CellState:
        """Rebuild from :meth:`to_json`."""
        fields = dict(data)
        fields["lag"] = tuple(fields["lag"])
        fields["records"] = tuple(CycleRecord(**record) for record in fields["records"])
        return cls(**fields)


def enter_charge(state: CellState, cell: Parameters) -> CellState:
    """Turn to charging: a new cycle where the cell was discharged before, the same one after an interruption."""
    if state.phase == "charge":
        return state
    if state.cycle == 0 or state.passed > NEW_CYCLE * cell.capacity:
        cycle = state.cycle + 1
        state = replace(
            state,
            cycle=cycle,
            interphase_quota=cell.interphase_total(cycle) - cell.interphase_total(cycle - 1),
            dead_quota=cell.dead_total(cycle) - cell.dead_total(cycle - 1),
            seed=cell.seed(cycle),
            records=(*state.records, CycleRecord(cycle)),
        )
    room = max(cell.capacity * (1 - state.soc) - cell.unalloyed(state.alloy), 1e-12)
    return replace(state, phase="charge", passed=0.0, share=min(0.5, state.interphase_quota / room))


def charged(state: CellState, cell: Parameters, moved: float) -> CellState:
    """Move lithium out of the positive electrode: it first alloys, then part becomes interphase, the rest is plated."""
    alloyed = min(moved, cell.unalloyed(state.alloy))
    plated = moved - alloyed
    bound = state.share * plated
    return replace(
        state,
        soc=state.soc + moved / cell.capacity,
        connected=state.connected + (plated - bound),
        interphase=state.interphase + bound,
        alloy=state.alloy + alloyed,
        interphase_quota=max(0.0, state.interphase_quota - bound),
        passed=state.passed + plated,
    )


def discharged(state: CellState, cell: Parameters, moved: float, *, dying: bool) -> CellState:
    """Move lithium back into the NMC; where it is ``dying``, some loses contact beside it."""
    lost = state.share * moved if dying else 0.0
    connected = state.connected - moved - lost
    return replace(
        state,
        soc=state.soc - moved / cell.capacity,
        connected=connected,
        dead=state.dead + lost,
        dead_quota=max(0.0, state.dead_quota - lost),
        passed=state.passed + moved,
    )


def booked(state: CellState, *, charge: float = 0.0, discharge: float = 0.0, hold: float = 0.0) -> CellState:
    """Enter mAh that passed through the cell into the record of the present cycle."""
    if not state.records:
        return state
    last = state.records[-1]
    last = replace(
        last,
        charge_mAh=last.charge_mAh + charge,
        discharge_mAh=last.discharge_mAh + discharge,
        hold_mAh=last.hold_mAh + hold,
    )
    if discharge > 0:
        last = replace(
            last, connected_mAh=state.connected, dead_mAh=state.dead, interphase_mAh=state.interphase + state.alloy
        )
    return replace(state, records=(*state.records[:-1], last))
