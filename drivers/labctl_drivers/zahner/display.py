"""What the online display shows of a running measurement: points as they are ready.

Source of the format: the vendor's client and notebooks. The display is for progress, for the voltage guard, and for
the points of a sweep that was broken off; complete results come from the file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from labctl.instruments import Garbled
from labctl_drivers.zahner.wire import SCRIPT, Wire, text_of

_ROW: Final = 6
_COLUMNS: Final = 7


@dataclass(frozen=True, slots=True)
class Point:
    """A point that is ready.

    Attributes
    ----------
    frequency : float
        Hz.
    modulus, phase : float
        Ohm and rad.
    time : float
        s, as displayed.
    voltage, current : float
        Mean values over the point's periods, V and A.
    """

    frequency: float
    modulus: float
    phase: float
    time: float
    voltage: float
    current: float


def arrived(wire: Wire) -> list[Point]:
    """Take everything that has arrived and give its points, oldest first.

    Raises
    ------
    Garbled
        A row that is no row.
    NotReachable
        The connection is gone.
    """
    points = []
    while (payload := wire.take(SCRIPT)) is not None:
        if payload[0] != _ROW:
            continue
        fields = text_of(payload[1:]).rstrip(",").split(",")
        try:
            values = [float(field) for field in fields]
        except ValueError as error:
            raise Garbled(f"a point of the online display makes no sense: {payload[1:80]!r}") from error
        if len(values) < _COLUMNS or not all(math.isfinite(value) for value in values[:_COLUMNS]):
            raise Garbled(f"a point of the online display is no row of {_COLUMNS} numbers: {payload[1:80]!r}")
        points.append(Point(*values[:4], *values[5:7]))
    wire.check()
    return points
