"""Is this the cell that it should be? Judged by its open-circuit voltage after a transfer, before current flows.

A cell that was just stopped at a cut-off relaxes by hundreds of millivolts, most of it within minutes; one that has
rested for a day hardly moves. So the band depends on what the cell was doing when it was last seen, which way the
current went, where its voltage stood, and for how long it has been alone since. The bands are chosen, not measured:
wide enough for cells of several hundred ohm, narrow enough to tell a charged cell from a discharged one. The barcode
is what tells cells apart; this notices that a barcode was read and another cell put in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from labctl.units import show

#: Below this magnitude (V) there is no cell at the leads, or a shorted one.
NO_CELL: Final = 0.05

#: How far a voltage relaxes in V once the current is off, when all is done: against the current's direction, and
#: (leads, temperature) along with it.
AFTER_CHARGE: Final = 0.40
AFTER_DISCHARGE: Final = 0.90
ALONG: Final = 0.10
#: After a stop well inside the cell's window there is no steep end to come back from.
INSIDE: Final = 0.40
#: A stop counts as at the lower end below this share of the window.
LOWER_END: Final = 0.40
#: Share of the relaxation that may show at once, and the time constant of the rest in s.
AT_ONCE: Final = 0.65
RELAXATION: Final = 600.0
#: A rest leaves this much in V after a long time, so much more right after it began, and loses that over so many s.
RESTED: Final = 0.10
UNRESTED: Final = 0.30
RESTING: Final = 1800.0
#: A rest of unknown length is taken to have lasted so many s.
USUAL_REST: Final = 3600.0
#: Self-discharge, V per day, downwards; a discharged cell may drift upwards as much.
DRIFT: Final = 0.02
DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class LastSeen:
    """The last voltage that was seen on a cell, and what it was doing.

    Attributes
    ----------
    voltage : float
        V.
    doing : str
        ``charge``, ``discharge``, ``hold`` or ``rest``.
    current : float
        Last current in A, charging positive; 0 where it isn't known. Tells a hold that charged from one that
        discharged.
    seconds_since : float or None
        Time since then in s; None if it isn't known, which takes the whole relaxation as possible.
    rested : float or None
        For ``rest``: how long it had lasted by then, s; None if it isn't known.
    """

    voltage: float
    doing: str
    current: float = 0.0
    seconds_since: float | None = None
    rested: float | None = None


def band(last: LastSeen, window: tuple[float, float] | None = None) -> tuple[float, float]:
    """Between which voltages (V) the open-circuit voltage of the cell must lie now.

    Parameters
    ----------
    last : LastSeen
        How the cell was left.
    window : tuple of float, optional
        Lower and upper cut-off of the cell in V; with it a stop in the middle of the window is judged more narrowly.
    """
    since = last.seconds_since
    shown = 1.0 if since is None else 1.0 - (1.0 - AT_ONCE) * math.exp(-max(since, 0.0) / RELAXATION)
    drift = DRIFT * max(since or 0.0, 0.0) / DAY
    if last.doing == "rest":
        length = USUAL_REST if last.rested is None else last.rested
        down = up = RESTED + UNRESTED * math.exp(-length / RESTING)
    elif last.doing == "charge" or (last.doing == "hold" and last.current > 0):
        down, up = AFTER_CHARGE * shown, ALONG
    else:
        inside = window is not None and last.voltage > window[0] + LOWER_END * (window[1] - window[0])
        down, up = ALONG, (INSIDE if inside else AFTER_DISCHARGE) * shown
    return last.voltage - down - drift, last.voltage + up + drift


def mismatch(
    last: LastSeen | None,
    voltage: float,
    *,
    window: tuple[float, float] | None = None,
    symmetric: bool = False,
) -> str | None:
    """Say why ``voltage`` (V) can't be that of the booked cell, or None if it can.

    Parameters
    ----------
    last : LastSeen or None
        How the cell was left. A cell that has never been seen passes if it is a cell and the right way round.
    voltage : float
        Open-circuit voltage in V.
    window : tuple of float, optional
        See :func:`band`.
    symmetric : bool
        Whether both electrodes are alike (Li||Li): no voltage and a reversed one are normal then, and at rest it comes
        back to 0 V from wherever it was.

    Returns
    -------
    str or None
        A sentence with the value and its limits.
    """
    found = f"open-circuit voltage {show(voltage, 'V', 5)}"
    if not math.isfinite(voltage):
        return f"{found} is no voltage; check the leads"
    if not symmetric:
        if abs(voltage) < NO_CELL:
            return f"{found} lies within ±{show(NO_CELL, 'V')}: no cell, an open lead or a short; check the leads"
        if voltage < 0:
            return f"{found} is negative: the cell or its leads are reversed; turn them round"
    if last is None or (symmetric and abs(voltage) < NO_CELL):
        return None
    low, high = band(last, window)
    if symmetric:
        low, high = min(low, -ALONG), max(high, ALONG)
    if low <= voltage <= high:
        return None
    return (
        f"{found} is not that of the booked cell: {_how_left(last)} "
        f"it must lie between {show(low, 'V', 5)} and {show(high, 'V', 5)}; check its barcode"
    )


def _how_left(last: LastSeen) -> str:
    length = f" of {show(last.rested, 'h', 3)}" if last.doing == "rest" and last.rested is not None else ""
    flowing = f" with {show(last.current, 'mA', 3)}" if last.current else ""
    since = "" if last.seconds_since is None else f" {show(last.seconds_since, 'h', 3)} ago"
    return f"after a {last.doing}{length} that ended at {show(last.voltage, 'V', 5)}{flowing}{since}"
