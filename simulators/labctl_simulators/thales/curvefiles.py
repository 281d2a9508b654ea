"""Writes curves as the instrument does: ``.isc`` for voltammograms, ``.iss`` for current-voltage curves, text for
sequences.

The layouts are those that the vendor's open-source importers read. Everything binary is big-endian; voltages are
16-bit numbers with an offset and a factor that stand in a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from labctl_simulators.thales.ism import zahner_string

_FULL_SCALE: Final = 8000.0
_CV_NUMBERS: Final = (
    *("CV_Pstart", "CV_Tstart", "CV_Pupper", "CV_Plower", "CV_Tend", "CV_Pend", "CV_Srate", "CV_Periods", "CV_PpPer"),
    *("CV_Imi", "CV_Ima", "CV_Odrop"),
)
_IE_NUMBERS: Final = (
    *("IE_EckPot1", "IE_EckPot2", "IE_EckPot3", "IE_EckPot4", "IE_Resolution", "IE_WZmin", "IE_WZmax", "IE_Torel"),
    *("IE_Toabs", "IE_Odrop"),
)


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve that is complete: settings in the instrument's units, and its samples in s, V and A."""

    begun: datetime
    ended: datetime
    settings: dict[str, float]
    time: Sequence[float]
    voltage: Sequence[float]
    current: Sequence[float]


def isc(curve: Curve) -> bytes:
    """Give a voltammogram's bytes; its scan rate is stored in mV/s."""
    numbers = [curve.settings[name] * (1000.0 if name == "CV_Srate" else 1.0) for name in _CV_NUMBERS]
    between = float(np.mean(np.diff(curve.time))) if len(curve.time) > 1 else 0.0
    numbers += [float(curve.time[0]), float(curve.time[-1]), curve.time[-1] - curve.time[0], between, 0.0]
    voltages, scale = _voltages(curve.voltage)
    parts = [_numbers(numbers), _count(curve), voltages, _numbers(curve.current), *_texts(curve, f"{scale} 1.0, 0.0")]
    return b"".join(parts)


def iss(curve: Curve) -> bytes:
    """Give a current-voltage curve's bytes."""
    voltages, scale = _voltages(curve.voltage)
    numbers = [curve.settings[name] for name in _IE_NUMBERS]
    limits = f"{scale} Ima={curve.settings['IE_Ima']:g}, 1.0, 0.0"
    columns = (voltages, _numbers(curve.current), _numbers(curve.time))
    return b"".join([_numbers(numbers), _count(curve), *columns, *_texts(curve, limits)])


def sequence_text(curve: Curve) -> bytes:
    """Give a sequence's table."""
    lines = ["  Time/s            E/V               I/A            "]
    columns = zip(curve.time, curve.voltage, curve.current, strict=True)
    lines += ["  " + "  ".join(f"{value: .8e}" for value in row) + "  " for row in columns]
    return ("\r\n".join(lines) + "\r\n").encode("ascii")


def _numbers(values: Sequence[float]) -> bytes:
    return np.asarray(values, dtype=">f8").tobytes()


def _count(curve: Curve) -> bytes:
    return (len(curve.time) - 1).to_bytes(6, "big", signed=True)


def _voltages(values: Sequence[float]) -> tuple[bytes, str]:
    """Voltages as 16-bit numbers, and the text from which they are volts again."""
    array = np.asarray(values, dtype=float)
    offset = float((array.max() + array.min()) / 2)
    factor = max(float(array.max() - array.min()), 1e-3) / 4
    scale = f"{offset:.9e},{factor:.9e} POIPF"
    offset, factor = float(f"{offset:.9e}"), float(f"{factor:.9e}")
    return np.round((array - offset) * _FULL_SCALE / factor).astype(">i2").tobytes(), scale


def _texts(curve: Curve, scale: str) -> list[bytes]:
    window = f"{curve.begun:%H:%M:%S}-{curve.ended:%H:%M:%S}"
    texts = (f"{curve.begun:%d%m%y}", "", "-273.15+-0.0C", window, "", "", "", "", "", "", "", scale)
    return [zahner_string(text) for text in texts]
