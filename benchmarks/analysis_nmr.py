"""Processing a decay of 32k points, beside bare chains in numpy: window, transform, phase, baseline, integral.

    python -m benchmarks.analysis_nmr

Three pairs, timed in turn: a spectrum like others of its campaign against a chain whose window, axis and mask stand
ready; the first of its kind against a script that makes them; and a dataset on disk against ``numpy.fromfile`` and that
script. labctl's side always includes the noise, the integral's exact deviation and the origins of all parameters.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from labctl.analysis import baseline, nmr, transform
from labctl.analysis.bruker import Dataset
from labctl.analysis.recipe import METAL, Phase

_POINTS = 32768
_BOUND = 4.0
_ZERO = 77.77812e6
_WIDTH = 5e6
_DEAD = 6.5e-6
_REPEATS = 40


def _fid() -> Dataset:
    time_s = _DEAD + np.arange(_POINTS) / _WIDTH
    rng = np.random.default_rng(1)
    lines = ((2.0, -3 * 77.8, 600.0), (0.5, 6.5 * 77.8, 700.0), (2.0, -251 * 77.8, 220.0))
    decay = sum(area * np.exp(2j * np.pi * at * time_s - (np.pi * width * time_s) ** 2 / (4 * math.log(2)))
                for area, at, width in lines)  # fmt: skip
    noise = 0.14 * (rng.normal(size=_POINTS) + 1j * rng.normal(size=_POINTS))
    return Dataset(
        folder=Path("made"), fid=np.asarray(decay + noise), sweep_width_Hz=_WIDTH, basic_Hz=_ZERO,
        carrier_Hz=_ZERO * (1 + 250e-6), reference_Hz=_ZERO, start_s=_DEAD, scans=1, receiver_gain=1.0,
        recycle_delay_s=0.5, pulse_s=7e-6, power_W=80.0, temperature_K=293.0, pulse_program="zg", nucleus="7Li",
        dead_time_s=_DEAD,
    )  # fmt: skip


class _Ready:
    """A chain by hand, with window, axis and mask made beforehand; no noise, no deviation, no origins."""

    def __init__(self) -> None:
        self.length = METAL.zero_fill * _POINTS
        self.taper = np.cos(0.5 * np.pi * np.arange(_POINTS) / _POINTS) ** 2
        frequency = np.fft.fftshift(np.fft.fftfreq(self.length, 1 / _WIDTH))
        ppm = (frequency + 250e-6 * _ZERO) / _ZERO * 1e6
        span = slice(*np.searchsorted(ppm, (80.0, 395.0)))
        ppm, self.frequency = ppm[span], frequency[span]
        self.index = np.fft.fftshift(np.arange(self.length))[span]
        self.base = ((ppm > 80) & (ppm < 200)) | ((ppm > 320) & (ppm < 395))
        self.basis = np.vander((ppm - 237.5) / 157.5, METAL.order + 1)
        self.inside = (ppm > 215) & (ppm < 310)

    def integral(self, fid: np.ndarray) -> float:
        spectrum = np.fft.fft(fid * self.taper, self.length)[self.index]
        real = (spectrum * np.exp(-2j * np.pi * self.frequency * _DEAD)).real
        found, *_ = np.linalg.lstsq(self.basis[self.base], real[self.base], rcond=None)
        flat = real - self.basis @ found
        return float(flat[self.inside].sum() * 2 / self.length)


def _write(data: Dataset, folder: Path) -> Path:
    """Write a dataset whose acqus has as many parameters as a real one."""
    folder.mkdir()
    data.fid.view(np.float64).astype("<f8").tofile(folder / "fid")
    zeros = " ".join(["0"] * 64)
    pairs = {"TD": 2 * _POINTS, "SW_h": _WIDTH, "BF1": _ZERO * 1e-6, "SFO1": data.carrier_Hz * 1e-6, "DE": _DEAD * 1e6,
             "NS": 1, "RG": 1, "DTYPA": 2, "BYTORDA": 0, "NC": 0, "AQ_mod": 3, "DIGMOD": 0}  # fmt: skip
    lines = [f"##${name}= {value}" for name, value in pairs.items()]
    lines += [f"##${name}= (0..63)\n{zeros}" for name in ("D", "P", "PLW", "PL", "CNST", "L", "GPX", "SP", "SPOFFS")]
    lines += [f"##$FILLER{index}= {index}" for index in range(250)]
    (folder / "acqus").write_text("\n".join(["##TITLE= x", *lines, "##END="]) + "\n")
    return folder


def _labctl(data: Dataset) -> float:
    spectrum = nmr.process(data, replace(METAL, phase=Phase(0.0), zero_Hz=_ZERO))
    return spectrum.integral(METAL.metal).value


def _cold(data: Dataset) -> float:
    for cached in (transform.axis_of, baseline.fit_of, baseline.functional):
        cached.cache_clear()
    return _labctl(data)


def _side_by_side(works: Sequence[Callable[[], float]]) -> list[float]:
    """Best time of each in s, taken in turn so that a busy machine slows all alike."""
    best = [math.inf] * len(works)
    for _ in range(_REPEATS):
        for index, work in enumerate(works):
            begun = time.perf_counter()
            work()
            best[index] = min(best[index], time.perf_counter() - begun)
    return best


def run() -> list[str]:
    """Give the printed lines: number, bound, kept or BROKEN."""
    data, ready = _fid(), _Ready()
    with tempfile.TemporaryDirectory() as place:
        folder = _write(data, Path(place) / "1")

        def from_disk() -> float:
            return ready.integral(np.fromfile(folder / "fid", "<c16"))

        pairs = (
            ("one of a campaign", lambda: _labctl(data), lambda: ready.integral(data.fid)),
            ("the first of its kind", lambda: _cold(data), lambda: _Ready().integral(data.fid)),
            ("from disk, with all parameters", lambda: _labctl(nmr.read_bruker(folder)), from_disk),
        )
        taken = _side_by_side([work for _, *both in pairs for work in both])
    lines = []
    for index, (name, *_) in enumerate(pairs):
        ratio = taken[2 * index] / taken[2 * index + 1]
        lines.append(
            f"32k decay, {name}: {taken[2 * index] * 1e3:.2f} ms, bare chain {taken[2 * index + 1] * 1e3:.2f} ms, "
            f"ratio {ratio:.2f} (at most {_BOUND:g}): {'kept' if ratio <= _BOUND else 'BROKEN'}"
        )
    apart = abs(_labctl(data) / ready.integral(data.fid) - 1.0)
    lines.append(f"32k decay, integrals differ by {100 * apart:.4f} % (at most 0.1): "
                 f"{'kept' if apart < 1e-3 else 'BROKEN'}")  # fmt: skip
    return lines


if __name__ == "__main__":
    print("\n".join(run()))
