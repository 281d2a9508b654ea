"""Read an impedance spectrum and say what of it is to be trusted. Circuits are not fitted here."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labctl.errors import DataError

#: Points at and below this frequency drift during their own measurement: the paper evaluates what lies above.
STATIONARY_ABOVE_HZ: Final = 1.0

_COLUMNS: Final = ("frequency_Hz", "real_ohm", "imaginary_ohm")


@dataclass(frozen=True, slots=True)
class ImpedanceSpectrum:
    """One sweep, in the order of falling frequency.

    Attributes
    ----------
    frequency_Hz : ndarray
        Falling.
    impedance_ohm : ndarray of complex
        A capacitive imaginary part is negative.
    """

    frequency_Hz: NDArray[np.float64]
    impedance_ohm: NDArray[np.complex128]

    @property
    def stationary(self) -> NDArray[np.bool_]:
        """Say which points lie above 1 Hz."""
        return np.asarray(self.frequency_Hz > STATIONARY_ABOVE_HZ)

    def magnitude_at(self, frequency_Hz: float) -> float | None:
        """Give abs(Z) in ohm at a frequency, between the measured points; None outside the sweep."""
        if not self.frequency_Hz[-1] <= frequency_Hz <= self.frequency_Hz[0]:
            return None
        rising = slice(None, None, -1)
        logarithm = np.interp(
            np.log(frequency_Hz), np.log(self.frequency_Hz[rising]), np.log(np.abs(self.impedance_ohm[rising]))
        )
        return float(np.exp(logarithm))


def read(path: Path) -> ImpedanceSpectrum:
    """Read ``impedance.csv``.

    Raises
    ------
    DataError
        If columns are missing, a line is cut off, or a value is no positive frequency or no finite impedance.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        missing = [name for name in _COLUMNS if name not in (rows.fieldnames or ())]
        if missing:
            raise DataError(f"{path}: the columns {', '.join(missing)} are missing")
        try:
            table = np.array([[float(row[name]) for name in _COLUMNS] for row in rows])
        except (TypeError, ValueError) as error:
            raise DataError(f"{path}: line {rows.line_num} is not complete ({error})") from error
    if len(table) == 0 or not np.all(np.isfinite(table)) or np.any(table[:, 0] <= 0):
        raise DataError(f"{path}: no points, or values that are no impedance")
    order = np.argsort(-table[:, 0], kind="stable")
    return ImpedanceSpectrum(table[order, 0], table[order, 1] + 1j * table[order, 2])
