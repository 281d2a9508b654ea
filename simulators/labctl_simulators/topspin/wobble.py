"""The wobble curve of a probe: what it reflects around the transmitter's frequency, as ``atma storeWobb`` stores it.

From the vendor's description: stored as processed data (``1r`` with ``procs``), SFO1 in the middle, a dip where the
probe is in resonance, which reaches the zero line where it is matched. Invented: a circuit 250 kHz wide at half its
height, 512 points over 4 MHz, the scale, a noise of half a percent. A probe with a part of its field left is taken to
be matched and out of tune.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import numpy as np

from labctl_simulators.topspin.parameters import Parameters, jcamp

_POINTS: Final = 512
_SPAN_HZ: Final = 4e6
_HALF_WIDTH_HZ: Final = 250e3
_SCALE: Final = 1e8
_NOISE: Final = 0.005


def reflected(tuning: float, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[Any]]:
    """Give the curve of a probe with this part of its field left, as parts of what it reflects far from resonance."""
    off = _HALF_WIDTH_HZ * math.sqrt(1.0 / tuning**2 - 1.0)
    frequency = _SPAN_HZ * (np.arange(_POINTS) - _POINTS // 2) / _POINTS
    distance = (frequency - off) / _HALF_WIDTH_HZ
    curve: np.ndarray[Any, np.dtype[Any]] = np.abs(distance) / np.sqrt(1.0 + distance**2)
    return curve + rng.standard_normal(_POINTS) * _NOISE


def store(folder: Path, procno: str, parameters: Parameters, tuning: float, rng: np.random.Generator, now: str) -> None:
    """Write the curve into a PROCNO of this EXPNO."""
    place = folder / "pdata" / procno
    place.mkdir(parents=True, exist_ok=True)
    data = np.rint(reflected(tuning, rng) * _SCALE).astype("<i4")
    (place / "1r").write_bytes(data.tobytes())
    span, centre = format(_SPAN_HZ, ".12g"), parameters.number("SFO1")
    values: dict[str, str | list[str]] = {
        "AXNUC": parameters.get("NUC1"), "BYTORDP": "0", "DTYPP": "0", "NC_proc": "0", "SF": format(centre, ".12g"),
        "OFFSET": format(_SPAN_HZ / 2 / centre, ".9g"), "SI": str(_POINTS), "SW_p": span, "XDIM": "0",
    }  # fmt: skip
    (place / "procs").write_text(jcamp(values, {"AXNUC"}, now), encoding="utf-8")
