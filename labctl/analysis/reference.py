"""The LiCl reference: where 0 ppm is in this spectrometer session."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft

from labctl.analysis import bruker
from labctl.analysis.noise import noise
from labctl.analysis.places import Place
from labctl.analysis.transform import inner
from labctl.errors import AnalysisError

#: A reference line must stand out this far from the noise of its own spectrum.
_SMALLEST_SNR = 20.0
#: A standard further than this from the basic frequency is the wrong line, the wrong nucleus or the wrong field (ppm).
_FARTHEST_PPM = 200.0
#: Parts of the acquisition time that are tried as the length of the window.
_SPANS = (1.0, 0.25, 0.0625, 0.015625)


@dataclass(frozen=True, slots=True)
class Reference:
    """What the reference spectrum says.

    Attributes
    ----------
    sf_Hz : float
        Frequency of 0 ppm.
    sr_Hz : float
        ``sf_Hz`` less the basic frequency BF1.
    width_Hz : float
        Full width at half maximum as processed: the window that suits the line about doubles it.
    snr : float
        Height of the line over the noise of one point.
    """

    sf_Hz: float
    sr_Hz: float
    width_Hz: float
    snr: float


def evaluate(dataset_dir: Path | Place) -> Reference:
    """Find the line of the LiCl standard and call it 0 ppm.

    Parameters
    ----------
    dataset_dir : Path or Place
        The EXPNO folder of the reference spectrum.

    Raises
    ------
    DataError
        If the dataset is incomplete.
    AnalysisError
        If no line stands out, or it is more than 200 ppm from the basic frequency.
    """
    data = bruker.read(dataset_dir)
    count = len(data.fid)
    time = np.arange(count) / data.sweep_width_Hz
    length = 4 << (count - 1).bit_length()
    frequency = np.fft.fftfreq(length, 1.0 / data.sweep_width_Hz)
    sigma = noise(data)
    snr, line, span = 0.0, 0.0, data.acquisition_s
    # The taper that suits the line is the one under which it stands out most: a decay may end long before its record.
    for part in _SPANS:
        taper = _taper(time, data.acquisition_s * part)
        magnitude = np.abs(fft(data.fid * taper, length))
        found = float(magnitude.max() / (sigma * np.linalg.norm(taper)))
        if found > snr:
            snr, line, span = found, float(frequency[int(np.argmax(magnitude))]), data.acquisition_s * part
    if snr < _SMALLEST_SNR:
        raise AnalysisError(f"{dataset_dir}: no reference line (signal-to-noise ratio {snr:.1f})",
                            hint="is the LiCl standard in the probe?")  # fmt: skip
    decay, step = data.fid * _taper(time, span), 0.5 / span
    # Parabola through the logarithm at points half a natural width apart: the top of a line that is symmetric.
    for _ in range(4):
        low, top, high = (math.log(abs(_at(decay, time, line + shift))) for shift in (-step, 0.0, step))
        line += 0.5 * step * (low - high) / (low - 2.0 * top + high)
    sf = data.carrier_Hz + line
    sr = sf - data.basic_Hz
    if abs(sr) > _FARTHEST_PPM * 1e-6 * data.basic_Hz:
        raise AnalysisError(f"{dataset_dir}: the strongest line lies {sr / data.basic_Hz * 1e6:.0f} ppm from BF1",
                            hint="that is no LiCl standard")  # fmt: skip
    return Reference(sf, sr, _width(decay, time, line, step), snr)


def _taper(time: NDArray[np.float64], span: float) -> NDArray[np.float64]:
    return np.asarray(np.cos(0.5 * np.pi * np.minimum(time / span, 1.0)) ** 2, dtype=np.float64)


def _at(decay: NDArray[np.complex128], time: NDArray[np.float64], frequency: float) -> complex:
    return inner(np.exp(-2j * np.pi * frequency * time), decay)


def _width(decay: NDArray[np.complex128], time: NDArray[np.float64], line: float, step: float) -> float:
    """Give the full width at half maximum of the absorption line, in Hz."""
    turned = decay * np.exp(-2j * np.pi * line * time)
    turned = turned * np.exp(-1j * np.angle(np.sum(turned)))
    top = float(np.sum(turned).real)
    total = 0.0
    for sign in (-1.0, 1.0):
        before, height, offset = top, top, 0.0
        while height > 0.5 * top and offset < 400 * step:
            offset += 0.25 * step
            before, height = height, _at(turned, time, sign * offset).real
        total += offset - 0.25 * step * (0.5 * top - height) / (before - height) if before > height else offset
    return total
