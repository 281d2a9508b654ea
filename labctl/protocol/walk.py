"""The steps of a protocol in order, each with its place in the file and its number. Knows nothing of cells."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.documents import Path
from labctl.protocol.combined import Deis, DeisStep, Operando, OperandoStep
from labctl.protocol.models import (
    Charge,
    ChargeStep,
    CycleStep,
    Discharge,
    DischargeStep,
    Eis,
    EisStep,
    Hold,
    HoldStep,
    Nmr,
    NmrStep,
    Protocol,
    Rest,
    RestStep,
    WhenMeasured,
)

Body = Rest | Charge | Discharge | Hold | Nmr | Eis | Operando | Deis
Step = RestStep | ChargeStep | DischargeStep | HoldStep | NmrStep | EisStep | OperandoStep | DeisStep


@dataclass(frozen=True, slots=True)
class Placed:
    """A step with its place.

    Attributes
    ----------
    kind : str
        Its key in the file.
    body : Body
        What belongs to it.
    path : Path
        Where the body stands in the file.
    number : int
        Counted from 1 over the flattened steps of its cycle, measured or not.
    measured : bool
        Whether it is done in measured cycles only.
    """

    kind: str
    body: Body
    path: Path
    number: int
    measured: bool

    def done_in(self, cycle: int, last: int) -> bool:
        """Whether its ``cycles`` name a cycle of the block whose ``last`` cycle this is."""
        return self.body.cycles is None or self.body.cycles.includes(cycle, last)


@dataclass(frozen=True, slots=True)
class Block:
    """Steps that are done in each of the cycles ``first`` to ``last``; cycle 0 is before the first.

    Steps after a ``cycle`` belong to its last cycle; there ``repeated`` is false.
    """

    first: int
    last: int
    repeated: bool
    path: Path
    steps: tuple[Placed, ...]


def blocks(protocol: Protocol) -> tuple[Block, ...]:
    """Give the protocol's steps, block by block in the order in which they are done."""
    found: list[Block] = []
    loose: list[Placed] = []
    cycles, number = 0, 0

    def close() -> None:
        if loose:
            found.append(Block(cycles, cycles, False, ("steps",), tuple(loose)))
            loose.clear()

    for index, step in enumerate(protocol.steps):
        path: Path = ("steps", index)
        if isinstance(step, CycleStep):
            close()
            inner = _cycle(step, path)
            found.append(Block(cycles + 1, cycles + step.cycle.count, True, (*path, "cycle"), inner))
            cycles, number = cycles + step.cycle.count, len(inner)
        else:
            number += 1
            loose.append(_placed(step, path, number, measured=False))
    close()
    return tuple(found)


def cycles(protocol: Protocol) -> int:
    """How many cycles the protocol has."""
    return max((block.last for block in blocks(protocol)), default=0)


def measured(protocol: Protocol) -> tuple[int, ...]:
    """Give the cycles that ``measure`` names, in order."""
    return protocol.measure.cycles.cycles(1, cycles(protocol)) if protocol.measure is not None else ()


def _cycle(step: CycleStep, path: Path) -> tuple[Placed, ...]:
    placed: list[Placed] = []
    for index, inner in enumerate(step.cycle.steps):
        where: Path = (*path, "cycle", "steps", index)
        if isinstance(inner, WhenMeasured):
            for position, measured in enumerate(inner.when_measured):
                deeper = (*where, "when_measured", position)
                placed.append(_placed(measured, deeper, len(placed) + 1, measured=True))
        else:
            placed.append(_placed(inner, where, len(placed) + 1, measured=False))
    return tuple(placed)


def _placed(
    step: Step,
    path: Path,
    number: int,
    *,
    measured: bool,
) -> Placed:
    kind, body = _body(step)
    return Placed(kind, body, (*path, kind), number, measured)


def _body(step: Step) -> tuple[str, Body]:
    match step:
        case RestStep():
            return "rest", step.rest
        case ChargeStep():
            return "charge", step.charge
        case DischargeStep():
            return "discharge", step.discharge
        case HoldStep():
            return "hold", step.hold
        case NmrStep():
            return "nmr", step.nmr
        case EisStep():
            return "eis", step.eis
        case OperandoStep():
            return "operando", step.operando
        case DeisStep():
            return "deis", step.deis
