"""From the lines of a sample to the integers of a ``fid``. Pure: the noise comes from a generator that is handed in.

Nutation sin(pi/2 t/t90) exp(-t/60 us); noise whose height in the spectrum is a 400th of the peak of 2.62 mAh of metal
at 1024 scans. The magnetisation before each pulse is the steady state of Bloch's equations over one scan: recovery with
T1, the pulses' cos, a saturation comb before D1, or weak continuous irradiation of a line during D1. From nmrglue's
reading of real data: the sense of rotation exp(+2 pi i (nu - O1) t), and a digital filter that delays the signal by
GRPDLY points.

Invented: counts per mAh, so that a charged cell just overloads the receiver at its highest gain; the ADC's range is
held against the clean signal and 2.5 times its noise. Idealised: a solid echo refocuses all of a line's Gaussian
width and none of its Lorentzian one, and its first point comes the dead time after the echo's top.

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
from labctl_simulators.topspin.parameters import PULSE_PROGRAMS, Parameters

#: Decay of the nutation by inhomogeneous B1, s.
NUTATION_DECAY_S: Final = 60e-6
#: The ``30m`` with which every program here begins a scan, s.
LOOP_S: Final = 0.03
#: Power at which the length of a pi/2 pulse is given, W.
NOMINAL_POWER_W: Final = 80.0

_SIGNAL_TO_NOISE: Final = (400.0, 1024)
_COUNTS: Final = 2.0**20.3 / (CAPACITY_MAH * 101.0)  # per mAh, per unit of receiver gain, per scan
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
    t90: float  # at NOMINAL_POWER_W, with the probe tuned
    true_frequency: float  # of 0 ppm
    carrier_frequency: float
    phase: float  # rad, of the receiver
    saturation: str = "none"
    comb_pulses: int = 0
    comb_spacing: float = 0.0
    weak_power: float = 0.0  # W, of continuous irradiation
    weak_shift: float = 0.0  # ppm
    echo_delay: float | None = None
    tuning: float = 1.0  # field and reception of the probe, as parts of those of a tuned one

    @property
    def flip(self) -> float:
        """Flip angle of the pulse in rad."""
        return self.angle(self.pulse, self.power)

    def angle(self, length: float, power: float) -> float:
        """Flip angle of a pulse in rad."""
        return 0.5 * math.pi * self.tuning * length / self.t90 * math.sqrt(power / NOMINAL_POWER_W)


def acquisition_of(
    parameters: Parameters, t90: float, reference_offset: float, phase: float, tuning: float = 1.0
) -> Acquisition:
    """Give what a dataset's parameters make this spectrometer do; lengths in s, ``reference_offset`` in Hz."""
    basic = parameters.number("BF1") * 1e6
    program = PULSE_PROGRAMS[parameters.get("PULPROG")]
    return Acquisition(
        points=int(parameters.number("TD")) // 2,
        width=parameters.number("SW_h"),
        dead_time=parameters.number("DE") * 1e-6,
        group_delay=parameters.number("GRPDLY"),
        scans=int(parameters.number("NS")),
        recycle_delay=parameters.number("D 1"),
        pulse=parameters.number("P 1") * 1e-6,
        power=parameters.number("PLW 1"),
        gain=parameters.number("RG"),
        t90=t90,
        true_frequency=basic + reference_offset,
        carrier_frequency=basic + parameters.number("O1"),
        phase=phase,
        saturation=program.saturation,
        comb_pulses=int(parameters.number("L 20")),
        comb_spacing=parameters.number("D 20"),
        weak_power=parameters.number("PLW 9"),
        weak_shift=parameters.number("CNST 20"),
        echo_delay=parameters.number("D 6") if program.echo else None,
        tuning=tuning,
    )


def repetition(parameters: Parameters) -> float:
    """Give the seconds of one scan, from one pulse to the next."""
    program = PULSE_PROGRAMS[parameters.get("PULPROG")]
    comb = parameters.number("L 20") * parameters.number("D 20") if program.saturation == "comb" else 0.0
    echo = 2 * parameters.number("D 6") if program.echo else 0.0
    return LOOP_S + parameters.number("D 1") + comb + echo + parameters.number("TD") / (2 * parameters.number("SW_h"))


def signal_factor(acquisition: Acquisition, line: Line) -> float:
    """Signal of a line after this pulse and delay, as a part of what a perfect one gives a tuned probe."""
    sine = math.sin(acquisition.flip)
    signal = sine * math.exp(-acquisition.pulse / NUTATION_DECAY_S) * _before_pulse(acquisition, line)
    if acquisition.echo_delay is not None:
        width = line.lorentz_fwhm_ppm * 1e-6 * acquisition.true_frequency
        signal *= sine**2 * math.exp(-2.0 * acquisition.echo_delay * math.pi * width)
    return signal * acquisition.tuning


def _before_pulse(acquisition: Acquisition, line: Line) -> float:
    """Magnetisation just before the pulse in the steady state: one scan is a chain of maps m -> a m + b."""
    cosine, recording = math.cos(acquisition.flip), acquisition.points / acquisition.width + LOOP_S
    steps = [(cosine, 0.0), _recovery(recording, line.t1_s)]
    if acquisition.saturation == "comb":
        steps += [(cosine, 0.0), _recovery(acquisition.comb_spacing, line.t1_s)] * acquisition.comb_pulses
    if acquisition.saturation == "continuous":
        rate = 1.0 / line.t1_s + _saturation_rate(acquisition, line)
        left = math.exp(-rate * acquisition.recycle_delay)
        steps.append((left, (1.0 - left) / (rate * line.t1_s)))
    else:
        steps.append(_recovery(acquisition.recycle_delay, line.t1_s))
    slope, offset = 1.0, 0.0
    for a, b in steps:
        slope, offset = a * slope, a * offset + b
    return offset / (1.0 - slope)


def _recovery(seconds: float, t1: float) -> tuple[float, float]:
    left = math.exp(-seconds / t1)
    return left, 1.0 - left


def _saturation_rate(acquisition: Acquisition, line: Line) -> float:
    """Transitions per second that weak irradiation drives in a line of this width, this far away."""
    frequency = acquisition.true_frequency * 1e-6
    strength = acquisition.angle(1.0, acquisition.weak_power)
    memory = 1.0 / (math.pi * frequency * (line.gauss_fwhm_ppm + line.lorentz_fwhm_ppm))
    distance = 2.0 * math.pi * frequency * (line.shift_ppm - acquisition.weak_shift)
    return strength**2 * memory / (1.0 + (distance * memory) ** 2)


def acquire(lines: Sequence[Line], acquisition: Acquisition, rng: np.random.Generator) -> tuple[Array, int, bool]:
    """Acquire a free induction decay.

    Returns
    -------
    tuple of ndarray, int and bool
        Real and imaginary points in turn as int32; NC: what was measured is the data times 2**NC; whether the receiver
        was overloaded.
    """
    n, scans = acquisition.points, acquisition.scans
    noise = _noise_per_scan(acquisition.width) * acquisition.gain / _better(acquisition.true_frequency)
    decay = np.zeros(n, dtype=complex)
    for line in lines:
        amplitude = line.area_mAh * signal_factor(acquisition, line)
        if amplitude != 0.0:
            decay += amplitude * _line(line, acquisition)
    decay *= _COUNTS * acquisition.gain * np.exp(1j * acquisition.phase)
    decay *= _filter_edge(n, acquisition.group_delay)
    data = decay.view(float)
    limit = max(_ADC_LIMIT - 2.5 * noise, 0.2 * _ADC_LIMIT)
    overloaded = bool(np.max(np.abs(data)) > limit)
    np.clip(data, -limit, limit, out=data)
    data *= scans
    data += rng.standard_normal(2 * n) * (noise * math.sqrt(scans))
    exponent = max(0, math.ceil(math.log2(max(float(np.max(np.abs(data))), 1.0) / _ROOM)))
    return np.rint(data * 2.0**-exponent).astype("<i4"), exponent, overloaded


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
    # Both widths count from the pulse, or the echo's top; what the Lorentzian one lost until then is in the amplitude.
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


def _better(frequency: float) -> float:
    """Sensitivity of a magnet against that of 4.7 T: its signal over its noise goes with the field to the 3/2."""
    return (frequency / 77.77812e6) ** 1.5


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
        peak += line.area_mAh * signal_factor(usual, line) * float(np.sum(envelope * turning))
    per_scan = peak * _COUNTS * math.sqrt(scans) / (ratio * math.sqrt(usual.points))
    return per_scan * math.sqrt(width / usual.width)
