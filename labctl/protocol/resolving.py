"""What a step's values come to for one cell in one cycle: SI, nothing left open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from labctl.documents import Amount, Level, Sizes
from labctl.errors import UsageError
from labctl.protocol.bodies import Limited
from labctl.protocol.selection import Selection
from labctl.protocol.values import in_cycle

if TYPE_CHECKING:
    from labctl.protocol.ends import Until
    from labctl.protocol.models import Limits, Protocol

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Ends:
    """What ends a step.

    Attributes
    ----------
    voltage, current, capacity, duration : float or None
        V, A and C (magnitudes), s; at most one of each. Where several are set the first ends the step.
    current_for : float
        Seconds for which the current must stay below.
    together : bool
        Whether all must be true instead.
    """

    voltage: float | None = None
    current: float | None = None
    current_for: float = 0.0
    capacity: float | None = None
    duration: float | None = None
    together: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """A cell in a cycle, by which values by cycle and amounts by the size of a cell are resolved.

    Attributes
    ----------
    protocol : Protocol
        Whose cut-offs have names.
    cell : Sizes
        Which cell.
    cycle, last : int
        Which cycle, and the last one of the block that the step is in.
    """

    protocol: Protocol
    cell: Sizes
    cycle: int
    last: int

    def now(self, value: _T | Mapping[Selection, _T]) -> _T:
        """Give the value of this cycle.

        Raises
        ------
        UsageError
            There is none, which the checks of a protocol refuse.
        """
        found = in_cycle(value, self.cycle, self.last)
        if found is None:
            raise UsageError(f"the protocol gives no value for cycle {self.cycle}")
        return found

    def amount(self, value: Amount | Mapping[Selection, Amount]) -> float:
        """Give a current in A or a capacity in C; raises ``UsageError`` where the cell lacks a size."""
        return self.now(value).on(self.cell)

    def volts(self, value: Level | Mapping[Selection, Level]) -> float:
        """Give a voltage in V."""
        return self.protocol.volts(self.now(value))

    def ends(self, until: Until) -> Ends:
        """Give what ends a step."""
        voltage = current = capacity = duration = None
        lasting = 0.0
        for _, one in until.conditions:
            if one.voltage is not None:
                voltage = self.volts(one.voltage)
            elif one.current is not None:
                current, lasting = self.amount(one.current), one.for_
            elif one.capacity is not None:
                capacity = self.amount(one.capacity)
            elif one.duration is not None:
                duration = self.now(one.duration)
        return Ends(voltage, current, lasting, capacity, duration, until.combined == "all")


def limits_of(limits: Limits, body: object) -> tuple[float, float, float]:
    """Give the lowest and highest voltage in V and the largest current in A of a step: its own, or the protocol's."""
    own = body.limits if isinstance(body, Limited) else None
    low, high = own.voltage if own is not None and own.voltage is not None else limits.voltage
    return low, high, own.current if own is not None and own.current is not None else limits.current
