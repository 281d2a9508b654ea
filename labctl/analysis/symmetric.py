"""Symmetric lithium cells: overvoltage of every half cycle, its shape, the cycle of the cut-off, and short circuits.

After Bela et al., J. Mater. Chem. A 2025, 13, 7476 (Fig. 4), who describe shapes in words; the numbers that tell them
apart here are our choice, and settings. Impedance is not evaluated here; ``resistances`` follows R_int over cycles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.arrays import Array, charge, fraction_window, positive, record
from labctl.errors import AnalysisError
from labctl.units import MAH

Index = NDArray[np.intp]

#: A half cycle's voltage is looked at in so many pieces of equal charge.
_PIECES: Final = 100


@dataclass(frozen=True, slots=True)
class SymmetricSettings:
    """Choices of the evaluation of a symmetric cell.

    Attributes
    ----------
    cut_off_V : float
        Magnitude of the voltage at which a cell is given up; the paper's is 1.5 V.
    cut_off_tolerance_V : float
        By so much less it counts as reached.
    rest_share : float
        Currents below this share of the median current are rest.
    plateau : tuple of float
        Window of the half cycle's charge over which the plateau is the median.
    ends : float
        A first or last peak is sought within this share of either end.
    arc_width : float
        A first maximum is an arc, not a peak, where it is wider than this share of the half cycle at half its height.
    least : float
        A maximum counts where it stands above the plateau by this share of it.
    least_V : float
        And by this voltage.
    short_drop : float
        The overvoltage falling below this share of what it was is a suspected short circuit.
    settling : int
        Half cycles at the start in which the overvoltage may fall as it likes: the native layer breaks up.
    whole : float
        A half cycle that passed less than this share of the usual charge ended early.
    """

    cut_off_V: float = 1.5
    cut_off_tolerance_V: float = 2e-3
    rest_share: float = 0.02
    plateau: tuple[float, float] = (0.4, 0.7)
    ends: float = 0.35
    arc_width: float = 0.12
    least: float = 0.10
    least_V: float = 3e-3
    short_drop: float = 0.5
    settling: int = 4
    whole: float = 0.98


#: The paper's cut-off; the rest is our choice.
SYMMETRIC: Final = SymmetricSettings()


@dataclass(frozen=True, slots=True)
class HalfCycle:
    """One deposition, and dissolution on the other side.

    Attributes
    ----------
    number, cycle : int
        Counted from 1; two half cycles make a cycle.
    direction : int
        1 for a positive current, -1 for a negative one.
    capacity_mAh : float
        Magnitude of the charge.
    duration_s : float
        From its first to its last sample.
    overvoltage_V : float
        Median magnitude of the voltage over the plateau's window.
    highest_V : float
        Largest magnitude of all samples.
    first_peak_V, last_peak_V : float or None
        Magnitude of a maximum near the start and near the end, where there is one.
    first_peak_width : float or None
        Its width at half its height above the plateau, as a share of the half cycle.
    shape : str
        ``plateau``, ``peak``, ``arc``, ``rise`` (at the end), ``peak and rise`` or ``arc and rise``.
    reached_cut_off, early : bool
        Whether it reached the cut-off, and whether it passed less than the usual charge.
    start_s, stop_s : float
        Its place in the record.
    """

    number: int
    cycle: int
    direction: int
    capacity_mAh: float
    duration_s: float
    overvoltage_V: float
    highest_V: float
    first_peak_V: float | None
    last_peak_V: float | None
    first_peak_width: float | None
    shape: str
    reached_cut_off: bool
    early: bool
    start_s: float
    stop_s: float


@dataclass(frozen=True, slots=True)
class SymmetricCell:
    """What a symmetric cell's record tells.

    Attributes
    ----------
    half_cycles : tuple of HalfCycle
        In their order.
    cut_off_cycle : int or None
        Cycle in which the cut-off was reached; None if it was not.
    completed_cycles : int
        Whole cycles before that, or before the record's end.
    cut_off_at : float or None
        Cycles until then, with the share of the broken one's charge.
    flags : tuple of str
        Suspected short circuits and ends without a cut-off.
    settings : SymmetricSettings
        What was chosen.
    """

    half_cycles: tuple[HalfCycle, ...]
    cut_off_cycle: int | None
    completed_cycles: int
    cut_off_at: float | None
    flags: tuple[str, ...]
    settings: SymmetricSettings


def evaluate(time_s: Any, voltage_V: Any, current_A: Any, *, settings: SymmetricSettings = SYMMETRIC) -> SymmetricCell:
    """Evaluate the whole record of a symmetric cell.

    Parameters
    ----------
    time_s, voltage_V, current_A : array_like
        All samples in their order. Half cycles are told by the sign of the current; rests between them, as for
        impedance, are left out where their samples are in the record, and a half cycle that was interrupted by such a
        rest is one.
    settings : SymmetricSettings
        Cut-off, windows and what counts as a peak.

    Raises
    ------
    DataError
        If the columns are not of one table or time goes back.
    AnalysisError
        If no current flows, or a setting makes no sense.
    """
    fraction_window("plateau's window", settings.plateau)
    positive(cut_off_voltage=settings.cut_off_V)
    time, voltage, current = record(time_s, voltage_V, current_A)
    raw = [_Piece(index, time, voltage, current) for index in _split(current, settings.rest_share)]
    usual = float(np.median([one.passed[-1] for one in raw])) if raw else 0.0
    if usual <= 0.0:
        raise AnalysisError("no half cycle in this record passes charge over two samples or more")
    found = tuple(_half_cycle(number, one, usual, settings) for number, one in enumerate(raw, start=1))
    ended = next((one for one in found if one.reached_cut_off), None)
    flags = _shorts(found, raw, settings)
    flags += [
        f"half cycle {one.number} (cycle {one.cycle}) passed {one.capacity_mAh:.3g} of {usual / MAH:.3g} mAh without "
        "reaching the cut-off"
        for one in found[:-1]
        if one.early and not one.reached_cut_off
    ]
    if ended is None:
        last = found[-1]
        whole = last.cycle if last.number % 2 == 0 and not last.early else last.cycle - 1
        return SymmetricCell(found, None, whole, None, tuple(flags), settings)
    piece = raw[ended.number - 1]
    until = float(piece.passed[_reaches(piece.size, settings) or 0])
    at = 0.5 * (ended.number - 1 + min(1.0, until / usual))
    return SymmetricCell(found, ended.cycle, ended.cycle - 1, at, tuple(flags), settings)


class _Piece:
    """The samples of a half cycle, with the charge in C since its start; nothing passes in the rests between them.

    ``size`` is the voltage in the direction in which it lies in this half cycle, so that a first sample that is still
    the one before the current was reversed is no peak.
    """

    def __init__(self, index: Index, time: Array, voltage: Array, current: Array) -> None:
        self.time = time[index]
        own = voltage[index]
        self.size = own if float(np.median(own)) >= 0.0 else -own
        self.direction = 1 if float(np.median(current[index])) > 0 else -1
        flowing = np.where(np.diff(index) > 1, 0.0, np.diff(self.time))
        self.passed = np.abs(charge(np.concatenate(([0.0], np.cumsum(flowing))), current[index]))

    def curve(self) -> Array:
        """Give the magnitude of the voltage in pieces of equal charge: means where dense, interpolated where not."""
        share = self.passed / self.passed[-1] if self.passed[-1] > 0 else np.linspace(0.0, 1.0, len(self.passed))
        place = np.minimum((share * _PIECES).astype(np.intp), _PIECES - 1)
        count = np.bincount(place, minlength=_PIECES)
        total = np.bincount(place, weights=self.size, minlength=_PIECES)
        centre = (np.arange(_PIECES) + 0.5) / _PIECES
        between = np.interp(centre, share, self.size)
        return np.where(count > 0, total / np.maximum(count, 1), between)


def _split(current: Array, rest_share: float) -> list[Index]:
    """Give the samples of each half cycle; same signs in a row are one, whatever rests lie between."""
    size = np.abs(current)
    flowing = size[size > 0]
    if len(flowing) == 0:
        raise AnalysisError("no current flows in this record: there are no half cycles")
    at_work = np.flatnonzero(size > rest_share * float(np.median(flowing)))
    turns = np.flatnonzero(np.diff(np.sign(current[at_work])) != 0) + 1
    return [one for one in np.split(at_work, turns) if len(one) > 1]


def _half_cycle(number: int, piece: _Piece, usual: float, settings: SymmetricSettings) -> HalfCycle:
    curve = piece.curve()
    low, high = settings.plateau
    plateau = float(np.median(curve[int(low * _PIECES) : max(int(high * _PIECES), int(low * _PIECES) + 1)]))
    least = max(settings.least * plateau, settings.least_V)
    ends = max(3, int(settings.ends * _PIECES))
    first = int(np.argmax(curve[:ends]))
    valley = float(np.min(curve[first:])) if first < len(curve) else plateau
    has_first = curve[first] - plateau > least
    width = _width(curve, first, 0.5 * (float(curve[first]) + plateau)) if has_first else None
    tail = curve[-ends:]
    last = float(np.max(tail))
    has_last = last - max(plateau, valley) > least
    opening = "" if width is None else "arc" if width > settings.arc_width else "peak"
    ending = "rise" if has_last else ""
    return HalfCycle(
        number=number,
        cycle=(number + 1) // 2,
        direction=piece.direction,
        capacity_mAh=float(piece.passed[-1]) / MAH,
        duration_s=float(piece.time[-1] - piece.time[0]),
        overvoltage_V=plateau,
        highest_V=float(np.max(np.abs(piece.size))),
        first_peak_V=float(curve[first]) if has_first else None,
        last_peak_V=last if has_last else None,
        first_peak_width=width,
        shape=" and ".join(part for part in (opening, ending) if part) or "plateau",
        reached_cut_off=_reaches(piece.size, settings) is not None,
        early=float(piece.passed[-1]) < settings.whole * usual,
        start_s=float(piece.time[0]),
        stop_s=float(piece.time[-1]),
    )


def _reaches(size: Array, settings: SymmetricSettings) -> int | None:
    """Give the first sample at the cut-off. A single one counts where the instrument stopped; else it is a glitch."""
    beyond = np.abs(size) >= settings.cut_off_V - settings.cut_off_tolerance_V
    lasting = np.flatnonzero(beyond & np.append(beyond[1:], True))
    return int(lasting[0]) if len(lasting) else None


def _width(curve: Array, top: int, level: float) -> float:
    """Give the width of a maximum at a level, as a share of the half cycle; from the start where it begins above."""
    below_after = np.flatnonzero(curve[top:] < level)
    below_before = np.flatnonzero(curve[:top] < level)
    right = top + int(below_after[0]) if len(below_after) else len(curve)
    left = int(below_before[-1]) + 1 if len(below_before) else 0
    return (right - left) / len(curve)


def _shorts(found: Sequence[HalfCycle], raw: Sequence[_Piece], settings: SymmetricSettings) -> list[str]:
    """Say where the overvoltage drops at once, between half cycles or within one."""
    flags = []
    for index in range(settings.settling, len(found)):
        before = float(np.median([one.overvoltage_V for one in found[max(0, index - 5) : index]]))
        now = found[index]
        if now.overvoltage_V < settings.short_drop * before:
            flags.append(
                f"short circuit suspected: the overvoltage falls from {1e3 * before:.3g} mV to "
                f"{1e3 * now.overvoltage_V:.3g} mV in half cycle {now.number} (cycle {now.cycle})"
            )
    for half, piece in zip(found, raw, strict=True):
        curve = piece.curve()
        # Peak and end rise are slow against this: two neighbouring hundredths of the half cycle, and it stays down.
        middle = curve[_PIECES // 5 :]
        falls = np.flatnonzero(middle[2:] < settings.short_drop * middle[:-2])
        if len(falls) and float(np.median(middle[falls[0] + 2 :])) < settings.short_drop * float(middle[falls[0]]):
            flags.append(f"short circuit suspected: the voltage drops from {1e3 * float(middle[falls[0]]):.3g} mV to "
                         f"{1e3 * float(middle[falls[0] + 2]):.3g} mV within half cycle {half.number} "
                         f"(cycle {half.cycle})")  # fmt: skip
    return flags
