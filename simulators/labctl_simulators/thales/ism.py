"""Writes impedance spectra as the instrument does: the big-endian ``.ism`` file.

The layout up to the trailer was read by the vendor's importer and checked on vendor files. The meaning of the K table
is inferred from five files; 25 and 27 are from the importer; what is not listed here stays 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

EPOCH: Final = datetime(1980, 1, 1, tzinfo=UTC)
_VERSION: Final = bytes.fromhex("0000FFFFFFFE")
_OLDER: Final = bytes.fromhex("0000FFFFFFFF")
_WITH_TRACKS: Final = 0x80B0
_WITHOUT_TRACKS: Final = 0x00B0
_ORIGIN_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class Spectrum:
    """What a file holds.

    Attributes
    ----------
    frequency : ndarray
        Hz, in the order of measurement.
    impedance : ndarray of complex
        Ohm, capacitive with a negative imaginary part.
    measured : tuple of datetime
        When each point was ready; the Term PC's clock is set to UTC.
    voltage, current : ndarray
        DC values at each point, V and A.
    galvanostatic : bool
        Whether ``amplitude`` is in mA, otherwise mV.
    amplitude, pset, cset, fmin, fmax, fstart, nwl, nws, dfl, dfm : float
        Settings in the instrument's own units.
    serial : str
        Of the instrument.
    """

    frequency: NDArray[np.float64]
    impedance: NDArray[np.complex128]
    measured: tuple[datetime, ...]
    voltage: NDArray[np.float64]
    current: NDArray[np.float64]
    galvanostatic: bool
    amplitude: float
    pset: float
    cset: float
    fmin: float
    fmax: float
    fstart: float
    nwl: float
    nws: float
    dfl: float
    dfm: float
    serial: str


def write(spectrum: Spectrum, *, tracks: bool = True, older: bool = False) -> bytes:
    """Give the file's bytes, with voltage and current at each point or without, under the newer or older version."""
    count = len(spectrum.frequency)
    seconds = np.array([(instant - EPOCH).total_seconds() for instant in spectrum.measured])
    parts = [
        _OLDER if older else _VERSION,
        (count - 1).to_bytes(6, "big", signed=True),
        *(
            np.asarray(column, dtype=">f8").tobytes()
            for column in (spectrum.frequency, np.abs(spectrum.impedance), np.angle(spectrum.impedance), seconds)
        ),
        np.full(count, 999, dtype=">i2").tobytes(),
        *(zahner_string(text) for text in _texts(spectrum)),
        (_ORIGIN_BYTES + 16 * count * tracks).to_bytes(2, "big", signed=True),
        _k_table(spectrum, _WITH_TRACKS if tracks else _WITHOUT_TRACKS).tobytes(),
    ]
    if tracks:
        parts.append(np.column_stack((spectrum.voltage, spectrum.current)).astype(">f8").tobytes())
    return b"".join(parts)


def zahner_string(text: str) -> bytes:
    """Give a text as all of the instrument's files have it: length, then the letters with their case exchanged."""
    data = text.swapcase().encode("ascii", "replace")
    return len(data).to_bytes(2, "big", signed=True) + data


def _texts(spectrum: Spectrum) -> tuple[str, ...]:
    first, last = spectrum.measured[0], spectrum.measured[-1]
    voltage, current = f"{spectrum.voltage[0]:.4f}V", _amperes(spectrum.current[0])
    if spectrum.galvanostatic:
        current += f", Ampl: {_amperes(spectrum.amplitude / 1000)}"
    else:
        voltage += f", Ampl: {spectrum.amplitude:g}mV"
    window = f"{first:%H:%M:%S} - {last:%H:%M:%S}"
    return (f"{first:%d%m%y}", "", voltage, current, "-273.15+-0.0C", window, "", "", "", "", "", spectrum.serial)


def _amperes(value: float) -> str:
    for factor, unit in ((1.0, "A"), (1e-3, "mA"), (1e-6, "uA")):
        if abs(value) >= factor:
            return f"{value / factor:.5g}{unit}"
    return f"{value / 1e-9:.5g}nA"


def _k_table(spectrum: Spectrum, flags: int) -> NDArray[np.float64]:
    k = np.zeros(32, dtype=">f8")
    k[1], k[2], k[3], k[4] = spectrum.nwl, spectrum.nws, spectrum.dfl, spectrum.dfm
    k[6] = 1.0 if spectrum.galvanostatic else 0.0
    k[7], k[8] = spectrum.pset, spectrum.cset
    k[12], k[13], k[14] = spectrum.fmin, spectrum.fmax, spectrum.fstart
    k[17], k[21] = 2.0, 60.0
    k[25], k[27] = spectrum.amplitude, float(flags)
    return k
