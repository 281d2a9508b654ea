"""From the instrument's file to the bundle: checked, kept as it is, and written as a table."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import numpy as np

from labctl.errors import DataError
from labctl.instruments import Fetched, Handle
from labctl_drivers.zahner import ism
from labctl_drivers.zahner.replies import Setup

_LEAST_SIGNIFICANCE: Final = 0.9


def store(handle: Handle, raw: bytes, folder: Path, shown: Setup) -> Fetched:
    """Lay ``<token>.ism`` and ``impedance.csv`` into ``folder``.

    Parameters
    ----------
    handle : Handle
        With what was asked, if this driver started the sweep.
    raw : bytes
        The instrument's file.
    folder : Path
        The bundle's.
    shown : Setup
        The instrument's set-up after the sweep, source off.

    Raises
    ------
    DataError
        The file cannot be read or is not what was asked for.
    """
    try:
        spectrum = ism.read(raw)
        _check(handle, spectrum)
    except ValueError as error:
        raise DataError(f"{handle.place}: {error}") from error
    name = f"{handle.token}.ism"
    _put(folder / name, raw)
    _put(folder / "impedance.csv", ism.table(spectrum).encode("utf-8"))
    before = handle.data.get("voltage_before_V", float(spectrum.voltage[0]))
    read_back = dict(handle.data.get("read_back", {}))
    read_back["after"] = shown.text
    read_back["file"] = {**spectrum.texts, "amplitude": spectrum.amplitude}
    doubtful = int((spectrum.significance < _LEAST_SIGNIFICANCE).sum())
    return Fetched(
        files=(name, "impedance.csv"),
        sent=dict(handle.data.get("sent", {})),
        read_back=read_back,
        summary={
            "points": len(spectrum.frequency),
            "frequency_max_Hz": float(spectrum.frequency.max()),
            "frequency_min_Hz": float(spectrum.frequency.min()),
            "voltage_before_V": before if math.isfinite(before) else None,
            "duration_s": float(spectrum.time[-1] - spectrum.time[0]),
        },
        warnings=(f"{doubtful} points with a significance below {_LEAST_SIGNIFICANCE}",) if doubtful else (),
    )


def found(token: str, path: str, raw: bytes) -> Handle:
    """Handle for a file that was found by its token; times are the file's own."""
    try:
        spectrum = ism.read(raw)
    except ValueError:
        return Handle(token, path, "", {})
    return Handle(token, path, "", {"time_window": spectrum.texts["time_window"], "date": spectrum.texts["date"]})


def _check(handle: Handle, spectrum: ism.Spectrum) -> None:
    if (np.diff(spectrum.frequency) >= 0).any():
        raise ValueError("the frequencies do not fall from point to point")
    if "frequency_Hz" not in handle.data:
        return
    high, low = handle.data["frequency_Hz"]
    least = math.floor(math.log10(high / low) * handle.data["points_per_decade"] + 1e-9) + 1
    if len(spectrum.frequency) < least:
        raise ValueError(f"{len(spectrum.frequency)} points, at least {least} were asked for")
    for wanted, measured in ((high, spectrum.frequency[0]), (low, spectrum.frequency[-1])):
        if not math.isclose(wanted, measured, rel_tol=0.01):
            raise ValueError(f"{wanted:g} Hz was asked for, the file has {measured:g} Hz")


def _put(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)
