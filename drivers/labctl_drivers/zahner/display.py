"""What the online display shows of a running measurement: points as they are ready.

Source of the format: the vendor's client and notebooks. The display is for progress and for the voltage guard alone;
results come from the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from labctl.instruments import Garbled
from labctl_drivers.zahner.wire import SCRIPT, Wire, text_of

_ROW: Final = 6
_COLUMNS: Final = 7


@dataclass(frozen=True, slots=True)
class Point:
    """A point that is ready: Hz, and the DC voltage in V."""

    frequency: float
    voltage: float


def latest(wire: Wire) -> Point | None:
    """Take everything that has arrived and give the last point, or None where there was none.

    Raises
    ------
    Garbled
        A row that is no row.
    NotReachable
        The connection is gone.
    """
    point = None
    while (payload := wire.take(SCRIPT)) is not None:
        if payload[0] != _ROW:
            continue
        fields = text_of(payload[1:]).rstrip(",").split(",")
        try:
            values = [float(field) for field in fields]
        except ValueError as error:
            raise Garbled(f"a point of the online display makes no sense: {payload[1:80]!r}") from error
        if len(values) < _COLUMNS:
            raise Garbled(f"a point of the online display has {len(values)} values instead of {_COLUMNS}")
        point = Point(values[0], values[5])
    wire.check()
    return point
