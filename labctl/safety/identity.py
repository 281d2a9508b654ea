"""Is this the cell that it should be? Judged by its open-circuit voltage after a transfer, before current flows.

A cell that was just stopped at a cut-off relaxes by hundreds of millivolts, so the band depends on what the cell was
doing when it was last seen, not on one fixed number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from labctl.units import show

#: Allowed drift in V (down, up) from the last voltage that was seen, by what the cell was doing then.
#: A stop of a discharge lets the voltage rise far, a stop of a charge lets it fall; at rest it hardly moves.
BANDS: Final = {
    "rest": (0.10, 0.10),
    "charge": (0.40, 0.05),
    "discharge": (0.05, 0.90),
    "hold": (0.10, 0.90),
}


@dataclass(frozen=True, slots=True)
class LastSeen:
    """The last voltage that was seen on a cell, and what it was doing.

    Attributes
    ----------
    voltage : float
        V.
    doing : str
        A key of :data:`BANDS`.
    """

    voltage: float
    doing: str


def mismatch(last: LastSeen | None, voltage: float) -> str | None:
    """Say why ``voltage`` (V) can't be that of the booked cell, or None if it can.

    A cell that has never been seen passes: there is nothing to compare with.
    """
    if last is None:
        return None
    down, up = BANDS.get(last.doing, BANDS["rest"])
    low, high = last.voltage - down, last.voltage + up
    if low <= voltage <= high:
        return None
    return (
        f"open-circuit voltage {show(voltage, 'V', 5)} is not that of the booked cell: after a {last.doing} that ended "
        f"at {show(last.voltage, 'V', 5)} it must lie between {show(low, 'V', 5)} and {show(high, 'V', 5)}"
    )
