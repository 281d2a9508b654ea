"""Records of a channel as the words that EClib gives of them, on a channel of the VMP3 family.

The columns are the vendor's, by technique and process; the range of the current in a point of a spectrum is a whole
number, as a published client has found.
"""

from __future__ import annotations

from typing import Final

from labctl_simulators.biologic.channel import Row
from labctl_simulators.biologic.channel_steps import Step
from labctl_simulators.biologic.structures import single_bits

_RANGE: Final = 7
_POINT: Final = 15


def width(row: Row, step: Step) -> int:
    """How many words a record has."""
    if row.process == 1:
        return _POINT
    return 5 if step.kind in ("current", "voltage") else 4


def words(row: Row, step: Step) -> list[int]:
    """Give the words of a record."""
    if row.process == 1:
        frequency, ewe_size, i_size, phase, ewe, current, ece_size, ice_size, far_phase, ece = (
            single_bits(value) for value in row.values
        )
        return [
            *(frequency, ewe_size, i_size, phase, ewe, current, 0),
            *(ece_size, ice_size, far_phase, ece, 0, 0, single_bits(row.at), _RANGE),
        ]
    ticks = round(row.at / step.timebase)
    clock = [ticks >> 32, ticks & 0xFFFFFFFF]
    ewe, ece, current = (single_bits(value) for value in row.values[:3])
    if step.kind == "open":
        return [*clock, ewe, ece]
    if step.kind in ("current", "voltage"):
        return [*clock, ewe, current, int(row.values[3])]
    return [*clock, ewe, current]
