"""Reads Zahner's ``.ism`` files.

Source of the layout: the vendor's open-source importer. Everything is big-endian: version (6 bytes), number of points
less one (6 bytes), then for all points frequency in Hz, magnitude in ohm, phase in rad, time in s since 1980, the
significance in thousandths, twelve texts, and a table of 32 numbers, of which the 28th tells whether direct voltage
and current of each point follow.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from labctl.analysis.impedance.spectrum import Floats, ImpedanceSpectrum, falling
from labctl.errors import DataError

_VERSIONS: Final = (bytes.fromhex("0000FFFFFFFE"), bytes.fromhex("0000FFFFFFFF"))
_HEAD: Final = 12
_PER_POINT: Final = 4 * 8 + 2
_TEXTS: Final = 12
_K_BYTES: Final = 256
_FLAGS: Final = 27
_TRACKS: Final = 0x8000
#: More do not fit the length of what follows the points.
_MOST: Final = 2031


def read_ism(path: Path) -> ImpedanceSpectrum:
    """Read the spectrum of a file.

    Where a sweep went to the highest frequency first and then down, the range above the start is in the file twice;
    the way from the highest to the lowest frequency is taken, as the vendor's importer does.

    Raises
    ------
    DataError
        It is no such file, is cut short, or holds values that are no impedance.
    """
    raw = path.read_bytes()
    if len(raw) < _HEAD or raw[:6] not in _VERSIONS:
        raise DataError(f"{path}: is no .ism file: begins with {raw[:6].hex() or 'nothing'}")
    points = int.from_bytes(raw[6:_HEAD], "big", signed=True) + 1
    if not 1 <= points <= _MOST:
        raise DataError(f"{path}: claims {points} points; 1 to {_MOST} are possible")
    if len(raw) < _HEAD + points * _PER_POINT:
        raise DataError(f"{path}: is cut short: {len(raw)} bytes cannot hold {points} points")
    columns = np.frombuffer(raw, ">f8", 4 * points, _HEAD).reshape(4, points).astype(np.float64)
    if not np.isfinite(columns).all() or (columns[:2] <= 0).any():
        raise DataError(f"{path}: a frequency or an impedance that is no positive number")
    voltage, current = _tracks(raw, _HEAD + points * _PER_POINT, points)
    frequency = columns[0]
    ends = sorted((int(np.argmax(frequency)), int(np.argmin(frequency))))
    part = slice(ends[0], ends[1] + 1)
    outside = points - (ends[1] + 1 - ends[0])
    return falling(
        frequency[part],
        (columns[1] * np.exp(1j * columns[2]))[part],
        tracks=(np.abs(columns[3])[part], voltage[part], current[part]),
        flags=(f"{outside} points before the highest or behind the lowest frequency left out",) if outside else (),
    )


def _tracks(raw: bytes, position: int, points: int) -> tuple[Floats, Floats]:
    """Voltage and current of each point, not a number where the file has none or its end cannot be read."""
    nothing = np.full(points, np.nan)
    for _ in range(_TEXTS):
        length = int.from_bytes(raw[position : position + 2], "big", signed=True)
        if length < 0:
            return nothing, nothing
        position += 2 + length
    length = int.from_bytes(raw[position : position + 2], "big", signed=True)
    position += 2
    if length <= _K_BYTES or len(raw) < position + _K_BYTES + 16 * points:
        return nothing, nothing
    flags = float(np.frombuffer(raw, ">f8", 32, position)[_FLAGS])
    if not np.isfinite(flags) or not int(flags) & _TRACKS:
        return nothing, nothing
    pairs = np.frombuffer(raw, ">f8", 2 * points, position + _K_BYTES).reshape(points, 2).astype(np.float64)
    return pairs[:, 0], pairs[:, 1]
