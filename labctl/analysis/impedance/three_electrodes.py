"""Whether the impedances of both electrodes against the reference add up to that of the cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from labctl.analysis.impedance.spectrum import Floats, Sweep, checked
from labctl.errors import AnalysisError, DataError

#: Numbers that agree better than measurements can were computed from each other.
_SAME_NUMBERS: Final = 1e-6


@dataclass(frozen=True, slots=True)
class ElectrodeCheck:
    """Outcome of the check.

    Attributes
    ----------
    frequency_Hz : ndarray
        As given.
    deviation : ndarray
        abs(Z_cell - Z_positive - Z_negative)/abs(Z_cell), a fraction.
    largest, largest_at_Hz : float
        Its largest value, and where.
    tolerance : float
        Allowed.
    passes : bool
        Whether all deviations keep it.
    identity : bool
        Whether the cell's impedance is nothing but the computed sum, so that the check proves nothing.
    statement : str
        All this in words.
    """

    frequency_Hz: Floats
    deviation: Floats
    largest: float
    largest_at_Hz: float
    tolerance: float
    passes: bool
    identity: bool
    statement: str


def check_electrodes(
    frequency: ArrayLike, cell: ArrayLike, positive: ArrayLike, negative: ArrayLike, *, tolerance: float = 0.02
) -> ElectrodeCheck:
    """Check Z_cell = Z_positive + Z_negative at each frequency.

    Parameters
    ----------
    frequency : array of float
        Hz.
    cell, positive, negative : array of complex
        Ohm, at the same frequencies; the electrodes against the reference electrode, passive ones with a positive real
        part.
    tolerance : float
        Largest deviation relative to abs(Z_cell) that passes.

    Raises
    ------
    DataError
        The arrays are no spectra of equal length.
    """
    f, whole = checked(frequency, cell, "the cell's spectrum")
    _, first = checked(frequency, positive, "the positive electrode's spectrum")
    _, second = checked(frequency, negative, "the negative electrode's spectrum")
    size = np.abs(whole)
    deviation = np.abs(whole - first - second) / size
    worst = int(np.argmax(deviation))
    largest, at = float(deviation[worst]), float(f[worst])
    identity, passes = largest < _SAME_NUMBERS, largest <= tolerance
    percent = f"{100 * largest:.2g} % of abs(Z) at {at:.3g} Hz, {100 * tolerance:.2g} % are allowed"
    if identity:
        statement = "the cell's impedance is the sum of the electrodes' to the last digit: computed, not measured"
    elif passes:
        statement = f"electrodes add up to the cell: largest deviation {percent}"
    elif float(np.max(np.abs(whole - first + second) / size)) <= tolerance:
        statement = "electrodes do not add up, their difference does: one of them has the opposite sign"
    else:
        good = f[deviation <= tolerance]
        where = f"; they do from {good.min():.3g} to {good.max():.3g} Hz" if _together(f, deviation, tolerance) else ""
        statement = f"electrodes do not add up to the cell: largest deviation {percent}{where}"
    return ElectrodeCheck(f, deviation, largest, at, tolerance, passes, identity, statement)


def check_sweep(sweep: Sweep, *, tolerance: float = 0.02) -> ElectrodeCheck:
    """Check the electrodes of a sweep against its cell.

    Raises
    ------
    AnalysisError
        It has not both electrodes.
    DataError
        Their points differ.
    """
    if sweep.working is None or sweep.counter is None:
        raise AnalysisError(f"sweep {sweep.number} has not both electrodes against the reference")
    f = sweep.cell.frequency_Hz
    for one in (sweep.working, sweep.counter):
        if not np.array_equal(one.frequency_Hz, f):
            raise DataError(f"sweep {sweep.number}: the {one.electrode} electrode has other frequencies than the cell")
    electrodes = sweep.working.impedance_ohm, sweep.counter.impedance_ohm
    return check_electrodes(f, sweep.cell.impedance_ohm, *electrodes, tolerance=tolerance)


def _together(frequency: Floats, deviation: Floats, tolerance: float) -> bool:
    """Whether the points that keep the tolerance are one range."""
    good = deviation[np.argsort(frequency)] <= tolerance
    return bool(good.any()) and int(np.count_nonzero(np.diff(np.concatenate(([False], good)).astype(int)) == 1)) == 1
