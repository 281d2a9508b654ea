"""Values that only protocols have: currents by any size of the cell, and values that change from cycle to cycle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import Discriminator, Tag

from labctl.documents import C_RATE, Amount, AmountOf, Duration, Level, LevelOf, Quantity
from labctl.protocol.selection import Selection, SelectionOf

_T = TypeVar("_T")


def _shape(value: Any) -> str:
    return "by cycle" if isinstance(value, Mapping) else "one"


_Key = Annotated[Selection, SelectionOf(key=True)]
#: A time that may be none.
Wait = Annotated[float, Quantity("duration", at_least=0)]
#: Some of the cycles of what it stands in.
Cycles = Annotated[Selection, SelectionOf()]

#: Absolute, per area of the electrode, per mass of active material, or a C-rate of the cell's nominal capacity.
Current = Annotated[Amount, AmountOf(("current density", "current", "specific current", C_RATE))]
#: Absolute, per area, per mass, or a share of the cell's nominal capacity.
Capacity = Annotated[Amount, AmountOf(("capacity", "areal capacity", "specific capacity", "ratio"))]
#: A voltage by number or by the name of a cut-off.
CutoffOrVoltage = Annotated[Level, LevelOf(("upper", "lower"))]

#: One value for all cycles, or one for each of some: ``{1-2: 0.2 mA/cm2, 3-: 0.4 mA/cm2}``.
PerCycle = Annotated[
    Annotated[Current, Tag("one")] | Annotated[dict[_Key, Current], Tag("by cycle")],
    Discriminator(_shape),
]
CapacityPerCycle = Annotated[
    Annotated[Capacity, Tag("one")] | Annotated[dict[_Key, Capacity], Tag("by cycle")],
    Discriminator(_shape),
]
VoltagePerCycle = Annotated[
    Annotated[CutoffOrVoltage, Tag("one")] | Annotated[dict[_Key, CutoffOrVoltage], Tag("by cycle")],
    Discriminator(_shape),
]
DurationPerCycle = Annotated[
    Annotated[Duration, Tag("one")] | Annotated[dict[_Key, Duration], Tag("by cycle")],
    Discriminator(_shape),
]


def in_cycle(value: _T | Mapping[Selection, _T], cycle: int, last: int) -> _T | None:
    """Give the value of a cycle, ``None`` if no selection covers it; ``last`` is the last cycle of the step's block."""
    if not isinstance(value, Mapping):
        return value
    others: _T | None = None
    for selection, one in value.items():
        if selection.others:
            others = one
        elif selection.includes(cycle, last):
            return one
    return others


def each(value: _T | Mapping[Selection, _T]) -> Iterator[tuple[tuple[str, ...], _T]]:
    """Give every value, with the key under which it stands, if it has one."""
    if isinstance(value, Mapping):
        yield from (((selection.written,), one) for selection, one in value.items())
    else:
        yield (), value
