"""The steps of a protocol in order, each with its place in the file and its number. Knows nothing of cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from labctl.documents import Path
from labctl.protocol.combined import Deis, DeisStep, Operando, OperandoStep
from labctl.protocol.conditions import Expression
from labctl.protocol.handwork import (
    Assemble,
    AssembleStep,
    Disassemble,
    DisassembleStep,
    Mark,
    MarkStep,
    Measurement,
    MeasureStep,
    Pause,
    PauseStep,
    TemperatureStep,
    TemperatureTo,
)
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
    RepeatStep,
    Rest,
    RestStep,
    WhenMeasured,
    WhenStep,
)
from labctl.protocol.nesting import Around, Branch, Loop
from labctl.protocol.parallel import ParallelStep

ByHand = Pause | Mark | Disassemble | Assemble | Measurement
Body = Rest | Charge | Discharge | Hold | Nmr | Eis | Operando | Deis | TemperatureTo | ByHand
_Plain = RestStep | ChargeStep | DischargeStep | HoldStep | NmrStep | EisStep | OperandoStep | DeisStep | ParallelStep
Step = _Plain | TemperatureStep | PauseStep | MarkStep | DisassembleStep | AssembleStep | MeasureStep
_Nested = Step | RepeatStep | WhenStep | WhenMeasured


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
    within : tuple of Loop or Branch
        What else is around it, the outermost first.
    """

    kind: str
    body: Body
    path: Path
    number: int
    measured: bool
    within: tuple[Around, ...] = ()

    def done_in(self, cycle: int, last: int) -> bool:
        """Whether its ``cycles`` name a cycle of the block whose ``last`` cycle this is."""
        return self.body.cycles is None or self.body.cycles.includes(cycle, last)


@dataclass(frozen=True, slots=True)
class Block:
    """Steps that are done in each of the cycles ``first`` to ``last``; cycle 0 is before the first.

    Steps after a ``cycle`` belong to its last cycle; there ``repeated`` is false. ``until`` may end it before ``last``.
    """

    first: int
    last: int
    repeated: bool
    path: Path
    steps: tuple[Placed, ...]
    until: Expression | None = None


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
            inner = tuple(_flat(step.cycle.steps, (*path, "cycle", "steps"), 0))
            last = cycles + step.cycle.count
            found.append(Block(cycles + 1, last, True, (*path, "cycle"), inner, step.cycle.until))
            cycles, number = last, len(inner)
        else:
            inner = tuple(_flat((step,), ("steps",), number, begin=index))
            number += len(inner)
            loose += inner
    close()
    return tuple(found)


def cycles(protocol: Protocol) -> int:
    """How many cycles the protocol has."""
    return max((block.last for block in blocks(protocol)), default=0)


def measured(protocol: Protocol) -> tuple[int, ...]:
    """Give the cycles that ``measure`` names, in order."""
    return protocol.measure.cycles.cycles(1, cycles(protocol)) if protocol.measure is not None else ()


def _flat(
    steps: Sequence[_Nested],
    path: Path,
    number: int,
    *,
    begin: int = 0,
    measured: bool = False,
    within: tuple[Around, ...] = (),
) -> Iterator[Placed]:
    """Give steps and what is nested in them, counted on from ``number``."""
    for index, step in enumerate(steps, begin):
        where: Path = (*path, index)
        inner: list[Placed] = []
        if isinstance(step, WhenMeasured):
            inner += _flat(step.when_measured, (*where, "when_measured"), number, measured=True, within=within)
        elif isinstance(step, RepeatStep):
            deeper: Path = (*where, "repeat")
            around = (*within, Loop(deeper, step.repeat.turns, step.repeat.until))
            inner += _flat(step.repeat.steps, (*deeper, "steps"), number, measured=measured, within=around)
        elif isinstance(step, WhenStep):
            deeper = (*where, "when")
            for wants, name, chosen in ((True, "steps", step.when.steps), (False, "else", step.when.else_)):
                side = (*within, Branch(deeper, step.when.if_, wants))
                inner += _flat(chosen, (*deeper, name), number + len(inner), measured=measured, within=side)
        else:
            inner.append(_placed(step, where, number + 1, measured=measured, within=within))
        number += len(inner)
        yield from inner


def _placed(step: Step, path: Path, number: int, *, measured: bool, within: tuple[Around, ...]) -> Placed:
    kind, body = _body(step)
    # Where it is another spelling, what is wrong with it is shown at that.
    key = "parallel" if isinstance(step, ParallelStep) else kind
    return Placed(kind, body, (*path, key), number, measured, within)


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
        case ParallelStep():
            return step.together()
        case TemperatureStep():
            return "temperature", step.temperature
        case PauseStep():
            return "pause", step.pause
        case MarkStep():
            return "mark", step.mark
        case DisassembleStep():
            return "disassemble", step.disassemble
        case AssembleStep():
            return "assemble", step.assemble
        case MeasureStep():
            return "measure", step.measure
