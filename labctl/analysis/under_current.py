"""What was measured while current flowed, put where it belongs among the cycles of a cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from labctl.analysis import dynamic, operando
from labctl.analysis.bundles import Operation
from labctl.analysis.cycling import CycleCapacities, LedgerLine
from labctl.analysis.measured import Session
from labctl.analysis.model import CycleResult
from labctl.analysis.series import passed_C
from labctl.units import MAH

KINDS = ("operando", "deis")


def added(
    session: Session, cell: str, cycles: Sequence[CycleResult], flag: Callable[[str], None]
) -> tuple[CycleResult, ...]:
    """Add series of spectra under current to the cycles of a cell; every attempt of a step is a series of its own.

    A series before the first cycle, such as a charge in the probe alone, makes a cycle 0 without capacities. Charge
    that passed in such a step is not among the capacities of its cycle; that is flagged.

    Parameters
    ----------
    session : Session
        The campaign.
    cell : str
        Whose.
    cycles : sequence of CycleResult
        As they are without the series.
    flag : callable
        Takes a sentence that every reader of the result must see.
    """
    by_cycle: dict[int, list[Operation]] = {}
    for one in session.campaign.of(cell):
        if one.kind in KINDS:
            by_cycle.setdefault(one.cycle, []).append(one)
    known = {one.cycle: one for one in cycles}
    for number, mine in by_cycle.items():
        before = known.get(number) or CycleResult(number, CycleCapacities(number, None, None), _NOTHING)
        known[number] = replace(
            before, dynamic=dynamic.read(session.settings, mine, flag), operando=operando.read(session, mine, flag)
        )
        if before.capacities.charge is not None or before.capacities.discharge is not None:
            passed = ", ".join(f"{one.step} {passed_C(one) / MAH:+.4g} mAh" for one in mine)
            flag(f"cycle {number}: its capacities do not hold the charge of the steps under measurement ({passed})")
    return tuple(known[number] for number in sorted(known))


_NOTHING = LedgerLine(None, None, None, None, None)
