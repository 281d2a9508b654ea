"""Reads the instrument's ``.ism`` files, and writes the table that labctl keeps beside them.

Source of the layout: the vendor's open-source importer, checked on vendor files. Everything is big-endian; texts are
stored with upper and lower case exchanged. The meaning of the K table is inferred, except 25 (amplitude in mA or mV)
and 27 (flags, 0x8000: voltage and current follow), which the importer uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_HEAD: Final = 12
_PER_POINT: Final = 4 * 8 + 2
_TEXTS: Final = ("date", "system", "voltage", "current", "temperature", "time_window")
_STRINGS: Final = 12
_K_BYTES: Final = 256
_MOST_POINTS: Final = 2031
HEADER: Final = "frequency_Hz,real_ohm,imaginary_ohm,time_s,voltage_V,current_A"


@dataclass(frozen=True, slots=True)
class Spectrum:
    """One spectrum in the order of measurement, each array with one value per point.

    Attributes
    ----------
    frequency : ndarray
        Hz.
    impedance : ndarray of complex
        Ohm; capacitive is negative.
    time : ndarray
        s since 1980-01-01, local time of the Term PC.
    significance : ndarray
        0 to 1.
    voltage, current : ndarray
        DC values in V and A; NaN where the file has none.
    texts : dict
        Date, system, voltage, current, temperature, time window, as the instrument wrote them.
    amplitude : float
        In A or V.
    """

    frequency: NDArray[np.float64]
    impedance: NDArray[np.complex128]
    time: NDArray[np.float64]
    significance: NDArray[np.float64]
    voltage: NDArray[np.float64]
    current: NDArray[np.float64]
    texts: dict[str, str]
    amplitude: float


def read(raw: bytes) -> Spectrum:
    """Read a file.

    Raises
    ------
    ValueError
        The file is cut short or makes no sense.
    """
    points = int.from_bytes(raw[6:_HEAD], "big", signed=True) + 1
    if len(raw) < _HEAD or not 1 <= points <= _MOST_POINTS:
        raise ValueError(f"{len(raw)} bytes that claim {points} points are no .ism file")
    if len(raw) < _HEAD + points * _PER_POINT:
        raise ValueError(f"cut short: {len(raw)} bytes cannot hold {points} points")
    columns = np.frombuffer(raw, ">f8", 4 * points, _HEAD).reshape(4, points).astype(np.float64)
    position = _HEAD + 32 * points
    significance = np.frombuffer(raw, ">i2", points, position) / 1000.0
    position += 2 * points
    strings = []
    for _ in range(_STRINGS):
        length = int.from_bytes(_slice(raw, position, 2), "big", signed=True)
        strings.append(_slice(raw, position + 2, length).decode("ascii", "replace").swapcase())
        position += 2 + length
    trailer = int.from_bytes(_slice(raw, position, 2), "big", signed=True)
    k = np.frombuffer(_slice(raw, position + 2, _K_BYTES), ">f8")
    position += 2 + _K_BYTES
    tracks = np.full((points, 2), np.nan)
    if trailer > _K_BYTES and int(k[27]) & 0x8000:
        tracks = np.frombuffer(_slice(raw, position, 16 * points), ">f8").reshape(points, 2).astype(np.float64)
    if not np.isfinite(columns).all() or (columns[:2] <= 0).any():
        raise ValueError("a frequency or an impedance that is no positive number")
    return Spectrum(
        frequency=columns[0],
        impedance=columns[1] * np.exp(1j * columns[2]),
        time=np.abs(columns[3]),
        significance=significance,
        voltage=tracks[:, 0],
        current=tracks[:, 1],
        texts=dict(zip(_TEXTS, strings, strict=False)),
        amplitude=float(k[25]) / 1000.0,
    )


def table(spectrum: Spectrum) -> str:
    """Give the points as ``impedance.csv``; time in s since the first point, missing tracks empty."""
    lines = [HEADER]
    begin = spectrum.time[0]
    for n, frequency in enumerate(spectrum.frequency):
        z = spectrum.impedance[n]
        values = (frequency, z.real, z.imag, spectrum.time[n] - begin, spectrum.voltage[n], spectrum.current[n])
        lines.append(",".join("" if np.isnan(value) else f"{value:.9g}" for value in values))
    return "\n".join(lines) + "\n"


def _slice(raw: bytes, start: int, length: int) -> bytes:
    if length < 0 or start + length > len(raw):
        raise ValueError(f"cut short at byte {len(raw)}")
    return raw[start : start + length]
