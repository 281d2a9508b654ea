"""The electrolyte's line of one spectrum: whether a cell sits in the probe as it did the last time.

Orientation shifts and widens every line, tuning changes every integral; the electrolyte's line is there in every state,
narrow and of nearly constant amount. It is fitted, not integrated: a record of a few milliseconds is shorter than its
decay, and a transform would show the record's width instead of the line's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labctl.analysis import bruker
from labctl.analysis.bruker import Dataset
from labctl.analysis.nmr import noise
from labctl.errors import AnalysisError

#: Shifts in ppm that are looked at: far from the metal, whose flank there is a smooth background.
_BAND: Final = 80.0
#: Where the line may lie, and its Gaussian width, ppm.
_SHIFTS: Final = (-15.0, 15.0)
_WIDTHS: Final = (0.2, 20.0)
#: Points that are turned together.
_BLOCK: Final = 128
#: Height of the amplitude over its deviation below which nothing can be told.
_SMALLEST: Final = 20.0


@dataclass(frozen=True, slots=True)
class Electrolyte:
    """The electrolyte's line.

    Attributes
    ----------
    shift_ppm, shift_sd_ppm : float
        Against LiCl where ``sf`` was its frequency.
    width_ppm, width_sd_ppm : float
        Full width at half maximum of a Gaussian line.
    integral, integral_sd : float
        Amplitude of its decay per scan and unit of receiver gain, as :class:`labctl.analysis.nmr.Integral`.
    """

    shift_ppm: float
    shift_sd_ppm: float
    width_ppm: float
    width_sd_ppm: float
    integral: float
    integral_sd: float


def evaluate(folder: Path, sf: float | None = None) -> Electrolyte:
    """Fit the electrolyte's line of a spectrum.

    Parameters
    ----------
    folder : Path
        The EXPNO folder.
    sf : float, optional
        Frequency of 0 ppm in Hz; without it the dataset's own SF or BF1.

    Raises
    ------
    DataError
        The dataset is incomplete.
    AnalysisError
        The band is not in the spectrum, or no line stands out in it.
    """
    from scipy.optimize import least_squares

    data = bruker.read(folder)
    zero = sf or data.reference_Hz or data.basic_Hz
    model = _Band(data, zero)
    centre = model.strongest()
    sigma = noise(data) * math.sqrt(len(data.fid))

    def misfit(free: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(model.residual(free[0], free[1]).view(np.float64) / sigma)

    bounds = ((_SHIFTS[0], _WIDTHS[0]), (_SHIFTS[1], _WIDTHS[1]))
    found = least_squares(misfit, (centre, 3.0), bounds=bounds, x_scale=(1.0, 1.0))
    shift, width = (float(value) for value in found.x)
    amplitude, relative = model.amplitude(shift, width)
    deviation = sigma * relative
    if not amplitude > _SMALLEST * deviation:
        raise AnalysisError(f"{folder}: the electrolyte's line does not stand out "
                            f"({amplitude:.3g} ± {deviation:.2g})")  # fmt: skip
    try:
        covariance = np.linalg.inv(found.jac.T @ found.jac)
    except np.linalg.LinAlgError as error:
        raise AnalysisError(f"{folder}: the electrolyte's line could not be fitted") from error
    unit = 1.0 / (data.scans * data.receiver_gain)
    return Electrolyte(
        shift_ppm=shift,
        shift_sd_ppm=math.sqrt(float(covariance[0, 0])),
        width_ppm=width,
        width_sd_ppm=math.sqrt(float(covariance[1, 1])),
        integral=amplitude * unit,
        integral_sd=deviation * unit,
    )


class _Band:
    """The spectrum around 0 ppm, and a Gaussian line with a linear background as its model."""

    def __init__(self, data: Dataset, zero: float) -> None:
        count = len(data.fid)
        self._time = data.start_s + np.arange(count) / data.sweep_width_Hz
        self._step = 1.0 / data.sweep_width_Hz
        # Before the pulse there is nothing; what the filter adds there is noise.
        self._before = int(np.searchsorted(self._time, 0.0))
        self._since_squared = np.maximum(self._time, 0.0) ** 2
        self._zero, self._carrier = zero, data.carrier_Hz
        frequency = np.fft.fftfreq(count, 1.0 / data.sweep_width_Hz)
        ppm = (frequency + data.carrier_Hz - zero) / zero * 1e6
        self._index = np.flatnonzero(np.abs(ppm) <= _BAND)
        if len(self._index) < 12 or np.abs(ppm).max() < 2 * _BAND:
            raise AnalysisError(f"{data.folder}: too few points around 0 ppm to see the electrolyte's line")
        self._ppm = np.asarray(ppm[self._index], dtype=np.float64)
        self._values = np.asarray(np.fft.fft(data.fid)[self._index], dtype=np.complex128)
        along = self._ppm / _BAND
        # The metal's flank and the lost first points turn with the time of the first point.
        ramp = np.exp(2j * np.pi * self._ppm * 1e-6 * zero * float(self._time[0]))
        self._background = np.stack([ramp, along * ramp, along**2 * ramp], axis=1)

    def strongest(self) -> float:
        inside = (self._ppm > _SHIFTS[0]) & (self._ppm < _SHIFTS[1])
        return float(np.clip(self._ppm[inside][int(np.argmax(np.abs(self._values[inside])))], *_SHIFTS))

    def residual(self, shift: float, width: float) -> NDArray[np.complex128]:
        """Give what is left when line and background are fitted; both are linear."""
        basis = self._basis(shift, width)
        found, *_ = np.linalg.lstsq(basis, self._values, rcond=None)
        return np.ascontiguousarray(self._values - basis @ found)

    def amplitude(self, shift: float, width: float) -> tuple[float, float]:
        """Give the magnitude of the decay, and its deviation for a noise of 1 in each part of each point."""
        basis = self._basis(shift, width)
        found, *_ = np.linalg.lstsq(basis, self._values, rcond=None)
        spread = np.linalg.inv(basis.conj().T @ basis)
        return float(abs(found[0])), math.sqrt(float(spread[0, 0].real))

    def _basis(self, shift: float, width: float) -> NDArray[np.complex128]:
        offset = self._zero * (1.0 + shift * 1e-6) - self._carrier
        fwhm = width * 1e-6 * self._zero
        decay = self._turning(offset)
        decay *= np.exp((-((np.pi * fwhm) ** 2) / (4.0 * math.log(2.0))) * self._since_squared)
        decay[: self._before] = 0.0
        line = np.fft.fft(decay)[self._index]
        return np.concatenate([line[:, None], self._background], axis=1)

    def _turning(self, offset: float) -> NDArray[np.complex128]:
        """Give exp(2πi offset t): a product of two short exponentials instead of one long one."""
        count, rate = len(self._time), 2j * np.pi * offset
        coarse = np.exp(rate * (float(self._time[0]) + self._step * _BLOCK * np.arange(-(-count // _BLOCK))))
        fine = np.exp(rate * self._step * np.arange(_BLOCK))
        return np.asarray(np.outer(coarse, fine).ravel()[:count])
