"""One impedance spectrum, and what was measured together with it. Data; no files, no fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.errors import DataError

#: Points at and below this frequency drift during their own measurement: the paper evaluates what lies above.
STATIONARY_ABOVE_HZ: Final = 1.0

#: No frequency in Hz and no impedance in ohm is larger, or smaller than its inverse: a torn number is.
_LARGEST: Final = 1e15

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class ImpedanceSpectrum:
    """One sweep, in the order of falling frequency.

    Attributes
    ----------
    frequency_Hz : ndarray
        Falling.
    impedance_ohm : ndarray of complex
        A capacitive imaginary part is negative.
    electrode : str
        Between what it was measured: ``cell``, or ``working`` or ``counter`` against the reference electrode.
    time_s : ndarray or None
        When each point was measured, s since the first of them.
    voltage_V, current_A : ndarray or None
        Direct voltage and current at each point.
    flags : tuple of str
        What is odd about the file, in words.
    """

    frequency_Hz: Floats
    impedance_ohm: Complexes
    electrode: str = "cell"
    time_s: Floats | None = None
    voltage_V: Floats | None = None
    current_A: Floats | None = None
    flags: tuple[str, ...] = ()

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


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one sweep of a file measured.

    Attributes
    ----------
    number : int
        From 1, in the order of measurement.
    cell : ImpedanceSpectrum
        Of the cell; where the file has only the electrodes against the reference, their sum.
    working, counter : ImpedanceSpectrum or None
        Of either electrode against the reference; a passive one has a positive real part.
    cell_measured : bool
        Whether the file has the cell's impedance itself, so that the electrodes can be checked against it.
    began_s : float or None
        Start of the sweep on the file's own time axis, s.
    charge_mAh : float or None
        Charge that had passed at the middle of the sweep, of a spectrum taken under direct current.
    """

    number: int
    cell: ImpedanceSpectrum
    working: ImpedanceSpectrum | None = None
    counter: ImpedanceSpectrum | None = None
    cell_measured: bool = True
    began_s: float | None = None
    charge_mAh: float | None = None


def checked(frequency: ArrayLike, impedance: ArrayLike, what: str = "the spectrum") -> tuple[Floats, Complexes]:
    """Give a spectrum as two arrays of equal length.

    Raises
    ------
    DataError
        Lengths differ, nothing is there, or a value is no positive frequency or no finite impedance.
    """
    try:
        f = np.asarray(frequency, dtype=np.float64)
        z = np.asarray(impedance, dtype=np.complex128)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what}: frequency and impedance must be numbers ({error})") from error
    if f.ndim != 1 or f.shape != z.shape or not len(f):
        raise DataError(
            f"{what}: {f.shape} frequencies and {z.shape} impedances found; as many of one as of the other are needed"
        )
    sound = (f > 1.0 / _LARGEST) & (f < _LARGEST)
    if not sound.all():
        at = int(np.flatnonzero(~sound)[0])
        raise DataError(f"{what}: {f[at]:g} Hz at point {at + 1} is no frequency; positive numbers are needed")
    with np.errstate(all="ignore"):
        size = np.abs(z)
    sound = (size > 1.0 / _LARGEST) & (size < _LARGEST)
    if not sound.all():
        at = int(np.flatnonzero(~sound)[0])
        raise DataError(f"{what}: {z[at]:g} ohm at point {at + 1} is no impedance")
    return f, z


def falling(
    frequency: Floats,
    impedance: Complexes,
    *,
    electrode: str = "cell",
    tracks: tuple[Floats | None, Floats | None, Floats | None] = (None, None, None),
    flags: tuple[str, ...] = (),
) -> ImpedanceSpectrum:
    """Make a spectrum from points in any order; ``tracks`` are times in s, voltages in V and currents in A."""
    order = np.argsort(-frequency, kind="stable")
    times, voltages, currents = (
        None if one is None or not np.isfinite(one).all() else one[order].astype(np.float64) for one in tracks
    )
    if times is not None:
        times = times - times.min()
    return ImpedanceSpectrum(frequency[order], impedance[order], electrode, times, voltages, currents, flags)
