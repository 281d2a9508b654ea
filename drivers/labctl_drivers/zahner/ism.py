"""Reads the instrument's ``.ism`` files, and writes the table that labctl keeps beside them.

Source of the layout: the vendor's open-source importer, checked on vendor files. Everything is big-endian; texts are
stored with upper and lower case exchanged. The meaning of the K table is inferred, except 25 (amplitude in mA or mV)
and 27 (flags, 0x8000: voltage and current follow), which the importer uses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

_VERSIONS: Final = (bytes.fromhex("0000FFFFFFFE"), bytes.fromhex("0000FFFFFFFF"))
_HEAD: Final = 12
_PER_POINT: Final = 4 * 8 + 2
_TEXTS: Final = (
    *("date", "system", "voltage", "current", "temperature", "time_window"),
    *("comment_1", "comment_2", "comment_3", "comment_4", "electrode_area", "serial_quantity"),
)
_SETTINGS: Final = {
    "Nwl": 1,
    "Nws": 2,
    "dfl": 3,
    "dfm": 4,
    "galvanostatic": 6,
    "Pset": 7,
    "Cset": 8,
    "Fmin": 12,
    "Fmax": 13,
    "Fstart": 14,
    "Ampl": 25,
    "flags": 27,
}
_TRACKS: Final = 0x8000
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
        Date, system, voltage, current, temperature, time window, comments, electrode area, serial quantity, as the
        instrument wrote them; only those that could be read.
    amplitude : float
        In A or V; NaN where it could not be read.
    settings : dict
        Periods, densities, set-points and frequencies in the instrument's own names and units, inferred except
        ``Ampl`` and ``flags``; empty where they could not be read.
    damage : str
        Why what follows the points could not be read, empty where it could. Old versions of the format differ there,
        so the points stay valid.
    """

    frequency: NDArray[np.float64]
    impedance: NDArray[np.complex128]
    time: NDArray[np.float64]
    significance: NDArray[np.float64]
    voltage: NDArray[np.float64]
    current: NDArray[np.float64]
    texts: dict[str, str]
    amplitude: float
    settings: dict[str, float] = field(default_factory=dict)
    damage: str = ""


def read(raw: bytes, *, lenient: bool = False) -> Spectrum:
    """Read a file: its points, and what follows them.

    Parameters
    ----------
    raw : bytes
        The file.
    lenient : bool
        Whether what follows the points may be unreadable; ``damage`` then says why. For files that are known to be
        complete.

    Raises
    ------
    ValueError
        The file is cut short or makes no sense.
    """
    if len(raw) < _HEAD or raw[:6] not in _VERSIONS:
        raise ValueError(f"{len(raw)} bytes that begin with {raw[:6].hex()} are no .ism file, or cut short")
    points = int.from_bytes(raw[6:_HEAD], "big", signed=True) + 1
    if not 1 <= points <= _MOST_POINTS:
        raise ValueError(f"{len(raw)} bytes that claim {points} points are no .ism file")
    if len(raw) < _HEAD + points * _PER_POINT:
        raise ValueError(f"cut short: {len(raw)} bytes cannot hold {points} points")
    columns = np.frombuffer(raw, ">f8", 4 * points, _HEAD).reshape(4, points).astype(np.float64)
    if not np.isfinite(columns).all() or (columns[:2] <= 0).any():
        raise ValueError("a frequency or an impedance that is no positive number")
    position = _HEAD + 32 * points
    significance = np.frombuffer(raw, ">i2", points, position) / 1000.0
    trailer = _Trailer(raw, position + 2 * points, points)
    if trailer.damage and not lenient:
        raise ValueError(trailer.damage)
    return Spectrum(
        frequency=columns[0],
        impedance=columns[1] * np.exp(1j * columns[2]),
        time=np.abs(columns[3]),
        significance=significance,
        voltage=trailer.tracks[:, 0],
        current=trailer.tracks[:, 1],
        texts=trailer.texts,
        settings=trailer.settings,
        amplitude=trailer.settings.get("Ampl", float("nan")) / 1000.0,
        damage=trailer.damage,
    )


class _Trailer:
    """What follows the points, read as far as it goes."""

    def __init__(self, raw: bytes, position: int, points: int) -> None:
        self.texts: dict[str, str] = {}
        self.settings: dict[str, float] = {}
        self.tracks = np.full((points, 2), np.nan)
        self.damage = ""
        try:
            self._read(raw, position, points)
        except ValueError as error:
            self.damage = str(error)

    def _read(self, raw: bytes, position: int, points: int) -> None:
        for name in _TEXTS:
            length = int.from_bytes(_slice(raw, position, 2), "big", signed=True)
            self.texts[name] = _slice(raw, position + 2, length).decode("ascii", "replace").swapcase()
            position += 2 + length
        length = int.from_bytes(_slice(raw, position, 2), "big", signed=True)
        k = np.frombuffer(_slice(raw, position + 2, _K_BYTES), ">f8")
        if not np.isfinite(k).all():
            raise ValueError("a setting that is no number")
        self.settings = {name: float(k[index]) for name, index in _SETTINGS.items()}
        position += 2 + _K_BYTES
        if length > _K_BYTES and int(k[27]) & _TRACKS:
            tracks = np.frombuffer(_slice(raw, position, 16 * points), ">f8").reshape(points, 2)
            self.tracks = tracks.astype(np.float64)


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
