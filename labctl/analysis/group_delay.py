"""How many complex points a Bruker console's digital filter delays a decay.

Consoles since TopSpin 1 write the delay themselves (``GRPDLY``). Those before are told by the version of their filter's
firmware (``DSPFVS``) and its decimation (``DECIM``). The table is the one that has been public since W. M. Westler and
F. Abildgaard, "DMX digital filters and non-Bruker offline processing", NMRFAM, Madison 1996: whole numbers of half
periods of the undecimated clock, so that the delay in points is the number over 2 DECIM.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_DECIMATIONS: Final = (
    2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048,
)  # fmt: skip
_FIRMWARE_10: Final = (
    179, 201, 533, 709, 1097, 1449, 2225, 2929, 4481, 5889, 8993, 11809, 18017, 23649, 36065, 47329, 72161, 94689,
    144353, 189409, 288737,
)  # fmt: skip
_FIRMWARE_11: Final = (
    184, 219, 384, 602, 852, 1668, 2312, 3368, 4656, 6768, 9344, 13568, 18560, 27392, 36992, 55040, 73856, 110336,
    147584, 220928, 295040,
)  # fmt: skip
_FIRMWARE_12: Final = (
    184, 219, 384, 602, 852, 1668, 2292, 3368, 4616, 6768, 9264, 13568, 18560, 27392, 36992, 55040, 73856, 110336,
    147584, 220928, 295040,
)  # fmt: skip

#: Half clock periods by firmware and decimation.
HALF_PERIODS: Final[Mapping[int, Mapping[int, int]]] = {
    10: dict(zip(_DECIMATIONS, _FIRMWARE_10, strict=True)),
    11: dict(zip(_DECIMATIONS, _FIRMWARE_11, strict=True)),
    12: dict(zip(_DECIMATIONS, _FIRMWARE_12, strict=True)),
    # This one is a closed form: three points less half a clock period.
    13: {decimation: 6 * decimation - 1 for decimation in (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96)},
}

#: From this firmware on the console tells the delay itself, so that none told is none.
TELLS_ITSELF: Final = 14


def from_table(firmware: int, decimation: int) -> float | None:
    """Give the delay in complex points, or None where the table does not know the filter.

    Parameters
    ----------
    firmware : int
        DSPFVS.
    decimation : int
        DECIM; 1 is no decimation and no delay.
    """
    if decimation == 1:
        return 0.0
    half = HALF_PERIODS.get(firmware, {}).get(decimation)
    return None if half is None else half / (2.0 * decimation)
