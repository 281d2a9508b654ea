"""From the lines of a sample to the integers of a ``fid``. Pure: the noise comes from a generator that is handed in.

Taken from method.md §3: nutation sin(pi/2 t/t90) exp(-t/60 us), saturation by T1, noise whose height in the spectrum
is a 400th of the peak of 2.62 mAh of metal at 1024 scans. From nmrglue's reading of real data: the sense of rotation
exp(+2 pi i (nu - O1) t), and a digital filter that delays the signal by GRPDLY points.

Invented: counts per mAh; the ADC's range is held against the clean signal and four times its noise.

The signal-to-noise ratio is that of the plain Fourier transform of the 16384 complex points at 5 MHz, without window
and zero filling, after a 90 degree pulse every half second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from labctl_simulators.cell.parameters import CAPACITY_MAH
from labctl_simulators.cell.spectrum import METAL, METAL_T1_S, MORPHOLOGY, Line

#: Decay of the nutation by inhomogeneous B1, s.
NUTATION_DECAY_S: Final = 60e-6
#: Power at which the length of a pi/2 pulse is given, W.
NOMINAL_POWER_W: Final = 80.0

_SIGNAL_TO_NOISE: Final = (400.0, 1024)
_COUNTS: Final = 2.0**18 / (CAPACITY_MAH * 101.0)  # per mAh, per unit of receiver gain, per scan
_ADC_LIMIT: Final = 2.0**23
_ROOM: Final = 2.0**30  # largest magnitude written to int32, with a bit to spare
_BLOCK: Final = 128

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What the spectrometer was told, and what it is; SI units, frequencies in Hz."""

    points: int  # complex
    width: float
    dead_time: float
    group_delay: float
    scans: int
    recycle_delay: float
    pulse: float
    power: float
    gain: float
    t90: float  # at NOMINAL_POWER_W
    true_frequency: float  # of 0 ppm
    carrier_frequency: float
    phase: float  # rad, of the receiver

    @property
    def repetition(self) -> float:
        """Seconds from one pulse to the next."""
        return self.recycle_delay + self.points / self.width


def signal_factor(acquisition: Acquisition, t1: float) -> float:
    """Signal of a line after this pulse and delay, as a part of what a perfect one gives."""
    angle = 0.5 * math.pi * acquisition.pulse / acquisition.t90 * math.sqrt(acquisition.power / NOMINAL_POWER_W)
    left = math.exp(-acquisition.repetition / t1)
    recovered = (1.0 - left) / (1.0 - left * math.cos(angle))
    return math.sin(angle) * math.exp(-acquisition.pulse / NUTATION_DECAY_S) * recovered


def acquire(lines: Sequence[Line], acquisition: Acquisition, rng: np.random.Generator) -> tuple[Array, int]:
    """Acquire a free induction decay.

    Returns
    -------
    tuple of ndarray and int
        Real and imaginary points in turn as int32, and NC: what was measured is the data times 2**NC.
    """
    n, scans = acquisition.points, acquisition.scans
    noise = _noise_per_scan(acquisition.width) * acquisition.gain
    decay = np.zeros(n, dtype=complex)
    for line in lines:
        amplitude = line.area_mAh * signal_factor(acquisition, line.t1_s)
        if amplitude != 0.0:
            decay += amplitude * _line(line, acquisition)
    decay *= _COUNTS * acquisition.gain * np.exp(1j * acquisition.phase)
    decay *= _filter_edge(n, acquisition.group_delay)
    data = decay.view(float)
    limit = max(_ADC_LIMIT - 4.0 * noise, 0.25 * _ADC_LIMIT)
    np.clip(data, -limit, limit, out=data)
    data *= scans
    data += rng.standard_normal(2 * n) * (noise * math.sqrt(scans))
    exponent = max(0, math.ceil(math.log2(max(float(np.max(np.abs(data))), 1.0) / _ROOM)))
    return np.rint(data * 2.0**-exponent).astype("<i4"), exponent


def _line(line: Line, acquisition: Acquisition) -> Array:
    """One Voigt line of unit area, from the first point that the receiver gives."""
    reference = acquisition.true_frequency
    offset = reference * (1.0 + line.shift_ppm * 1e-6) - acquisition.carrier_frequency
    rate = 2j * math.pi * offset - math.pi * line.lorentz_fwhm_ppm * 1e-6 * reference
    n, step = acquisition.points, 1.0 / acquisition.width
    first = acquisition.dead_time - acquisition.group_delay * step
    rows = -(-n // _BLOCK)
    # exp(a + b) = exp(a) exp(b): a product of two short exponentials instead of one long one.
    coarse = np.exp(rate * (first + step * _BLOCK * np.arange(rows)))
    fine = np.exp(rate * step * np.arange(_BLOCK))
    decay: Array = np.outer(coarse, fine).ravel()[:n]
    decay *= _gauss(n, first, step, line.gauss_fwhm_ppm * 1e-6 * reference)
    return decay


@lru_cache(maxsize=32)
def _gauss(n: int, first: float, step: float, fwhm: float) -> Array:
    times = first + step * np.arange(n)
    envelope: Array = np.exp(-((math.pi * fwhm * times) ** 2) / (4.0 * math.log(2.0)))
    return envelope


@lru_cache(maxsize=8)
def _filter_edge(n: int, delay: float) -> Array:
    """The onset of a signal behind the digital filter: a step, moved by a fraction of points, as far as n points go.

    Lines are narrow against the width, so that behind the filter each is its own decay times this onset.
    """
    step = np.zeros(2 * n)
    step[:n] = 1.0
    spectrum = np.fft.rfft(step) * np.exp(-1j * np.pi * delay * np.arange(n + 1) / n)
    edge: Array = np.fft.irfft(spectrum, 2 * n)[:n]
    return edge


@lru_cache(maxsize=8)
def _noise_per_scan(width: float) -> float:
    """Standard deviation of one component of one point of one scan at receiver gain 1; white, so it goes with width."""
    ratio, scans = _SIGNAL_TO_NOISE
    usual = Acquisition(16384, 5e6, 6.5e-6, 0.0, scans, 0.5, 7e-6, NOMINAL_POWER_W, 1.0, 7e-6, 77.77812e6, 0.0, 0.0)
    first_shift = METAL[0][0]
    on_resonance = 77.77812e6 * (1.0 + first_shift * 1e-6)
    times = usual.dead_time + np.arange(usual.points) / usual.width
    peak = 0.0
    for (shift, gauss, lorentz), fraction in zip(METAL, MORPHOLOGY[0], strict=True):
        line = Line(shift, CAPACITY_MAH * fraction, gauss, lorentz, METAL_T1_S)
        hertz = 77.77812
        envelope = np.exp(-math.pi * lorentz * hertz * times) * np.exp(
            -((math.pi * gauss * hertz * times) ** 2) / (4.0 * math.log(2.0))
        )
        turning = np.cos(2.0 * math.pi * (shift - first_shift) * 1e-6 * on_resonance * times)
        peak += line.area_mAh * signal_factor(usual, METAL_T1_S) * float(np.sum(envelope * turning))
    per_scan = peak * _COUNTS * math.sqrt(scans) / (ratio * math.sqrt(usual.points))
    return per_scan * math.sqrt(width / usual.width)
