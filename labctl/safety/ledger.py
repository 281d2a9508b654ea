"""The charge that went into a cell and came out again, over all instruments: does it balance? Pure.

Two questions. Does a step's capacity, as the instrument reports it, agree with the integral of its own records? And has
no more come out of the cell than ever went in, and no more stayed in than it can hold? A no means a swapped cell, mixed
up data, a wrong range or a short, and stops the next step instead of spoiling a paper. It is no measure of efficiency:
an ordinary loss stays in the balance. A cell is taken to be built without charge, unless it is discharged first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from labctl.units import show

#: A reported capacity may differ from the integral of its records by this share: of a step at constant current, and of
#: a hold, whose current falls between two records.
INTEGRAL: Final = 0.01
INTEGRAL_HOLD: Final = 0.05
#: And by this share of the cell's capacity besides, for what lies between the first records.
INTEGRAL_FLOOR: Final = 0.005
#: No charge gives back more than this: an efficiency of 105 %.
EFFICIENCY: Final = 1.05
#: No more stays in a cell than this share of its capacity: the rest went through a short or into the electrolyte.
OVERFULL: Final = 1.10
#: Charge that means nothing, as a share of the capacity: leaks, noise, a current of the other sign than its step's.
MARGIN: Final = 0.005
#: C that any cell can hold: a discharge that ends at once moves less than the last digits of its records can tell.
SMALLEST: Final = 0.02


@dataclass(frozen=True, slots=True)
class Entry:
    """What one operation moved.

    Attributes
    ----------
    operation : str
        Its id.
    instrument : str
        Which one moved it.
    doing : str
        ``charge``, ``discharge``, ``hold`` or ``rest``.
    charge : float or None
        C as the instrument reports it, charging positive; None where current has flowed and nobody knows how much: the
        operation was aborted or failed.
    integrated : float or None
        C from integrating the operation's own records; None where there are none. Of an operation that has no reported
        charge it is what is known to have flowed at least.
    """

    operation: str
    instrument: str
    doing: str
    charge: float | None
    integrated: float | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """A cell's account.

    Attributes
    ----------
    net : float
        C in the cell by what is known, against the cell as it was built.
    throughput : float
        C that were moved in either direction.
    mismatch : str or None
        Why it does not balance, with values and limits, or None.
    gaps : tuple of str
        Operations of which it isn't known what they moved; with any of them the balance is one-sided.
    """

    net: float
    throughput: float
    mismatch: str | None
    gaps: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """One line for a person."""
        text = f"net {show(self.net, 'mAh')} after {show(self.throughput, 'mAh')} moved"
        if self.gaps:
            text += f"; unknown of {', '.join(self.gaps)}: the account can't be closed"
        return text


def integral(times: Sequence[float], currents: Sequence[float]) -> float:
    """Integrate current (A) over time (s) by trapezoids, to C."""
    steps = zip(times, times[1:], currents, currents[1:], strict=False)
    return sum((late - early) * (before + after) / 2 for early, late, before, after in steps)


def balance(entries: Sequence[Entry], accuracy: float, capacity_hint: float | None = None) -> Balance:
    """Balance a cell's account.

    Parameters
    ----------
    entries : sequence of Entry
        All operations that moved charge, in their order, from the cell's first; instruments may differ.
    accuracy : float
        Relative accuracy of the instruments' charge, such as 0.001; errors are taken to add up over all that was moved.
    capacity_hint : float, optional
        C that the cell can hold; without it the largest step stands in for it where a scale is needed, and an
        overfull cell is not noticed.

    Returns
    -------
    Balance
        Where several things are wrong, the first is told.
    """
    scale = capacity_hint if capacity_hint is not None else max((abs(_moved(entry)) for entry in entries), default=0.0)
    scale = max(scale, SMALLEST)
    built_with = _built_with(entries, scale, capacity_hint)
    net = throughput = charged = 0.0
    wrong: str | None = None
    gaps: list[Entry] = []
    before = 0.0
    for entry in entries:
        moved = _moved(entry)
        if entry.charge is None and entry.doing != "rest":
            gaps.append(entry)
        net += moved
        throughput += abs(moved)
        if moved > 0:
            charged = charged + moved if before > 0 else moved
        before = moved or before
        wrong = wrong or _step(entry, scale)
        slack = accuracy * throughput
        low = -(built_with + MARGIN * scale + (EFFICIENCY - 1) * charged + slack)
        # What is unknown of a charge can only have brought more in, of a discharge only more out; of a hold, both.
        if net < low and all(gap.doing == "discharge" for gap in gaps):
            wrong = wrong or _too_much_out(entry, net, low)
        if capacity_hint is not None and all(gap.doing == "charge" for gap in gaps):
            high = OVERFULL * capacity_hint + slack
            wrong = wrong or (_overfull(entry, net, high, capacity_hint) if net > high else None)
    return Balance(net, throughput, wrong, tuple(gap.operation for gap in gaps))


def _built_with(entries: Sequence[Entry], scale: float, capacity_hint: float | None) -> float:
    """Charge (C) that the cell may have had when it was built: none, unless the first thing it did was to give some."""
    for entry in entries:
        if abs(_moved(entry)) > MARGIN * scale:
            if _moved(entry) > 0:
                return 0.0
            return math.inf if capacity_hint is None else capacity_hint
    return 0.0


def _moved(entry: Entry) -> float:
    return entry.charge if entry.charge is not None else (entry.integrated or 0.0)


def _step(entry: Entry, scale: float) -> str | None:
    """Whether one step agrees with itself."""
    moved = _moved(entry)
    backwards = {"charge": -moved, "discharge": moved, "rest": abs(moved)}.get(entry.doing, 0.0)
    if backwards > MARGIN * scale:
        return (
            f"{entry.operation}: {entry.instrument} reports {show(moved, 'mAh')} for a {entry.doing}; "
            f"up to {show(MARGIN * scale, 'mAh')} the wrong way would be noise; check its leads and its records"
        )
    if entry.charge is None or entry.integrated is None:
        return None
    share = INTEGRAL_HOLD if entry.doing == "hold" else INTEGRAL
    limit = share * max(abs(entry.charge), abs(entry.integrated)) + INTEGRAL_FLOOR * scale
    if abs(entry.charge - entry.integrated) <= limit:
        return None
    return (
        f"{entry.operation}: {entry.instrument} reports {show(entry.charge, 'mAh')}, its records add up to "
        f"{show(entry.integrated, 'mAh')}; they may differ by {show(limit, 'mAh', 3)}; "
        "records are missing or not its own"
    )


def _too_much_out(entry: Entry, net: float, low: float) -> str:
    return (
        f"{entry.operation}: more has come out of the cell than went in: net {show(net, 'mAh')}, and no less than "
        f"{show(low, 'mAh', 3)} is within the instruments' accuracy and an efficiency of {EFFICIENCY:.0%}; "
        "is it the cell that it should be?"
    )


def _overfull(entry: Entry, net: float, high: float, capacity: float) -> str:
    return (
        f"{entry.operation}: {show(net, 'mAh')} have gone into the cell and not come out, at most "
        f"{show(high, 'mAh')} can ({OVERFULL:.0%} of {show(capacity, 'mAh')} and the instruments' accuracy); "
        "a short, or another cell"
    )
