"""From the instrument's files to the bundle: checked, kept as they are, and written as tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from labctl.errors import DataError
from labctl.instruments import Fetched, Handle
from labctl_drivers.zahner import ism
from labctl_drivers.zahner.replies import Setup

LEAST_SIGNIFICANCE: Final = 0.9
# A cell that is linear and stationary repeats its impedance to better than this, noise of 0.2 % included.
_DEVIATION: Final = 0.02


def store(
    handle: Handle,
    readings: Mapping[str, Any],
    raws: Sequence[tuple[str, bytes]],
    folder: Path,
    shown: Setup,
    voltage_after: float,
) -> Fetched:
    """Lay ``<token>.ism`` and ``impedance.csv`` into ``folder``, and the same of further sweeps, named alike.

    Parameters
    ----------
    handle : Handle
        With what was asked, if this driver started the sweep.
    readings : mapping
        What the handle could not hold yet: ``voltage_before_V``, ``sent``, ``read_back`` after a rest.
    raws : sequence of (str, bytes)
        The instrument's files, the spectrum itself first.
    folder : Path
        The bundle's.
    shown : Setup
        The instrument's set-up after the sweep, source off.
    voltage_after : float
        Voltage at the leads then, V.

    Raises
    ------
    DataError
        A file cannot be read or is not what was asked for.
    """
    data = {**handle.data, **readings}
    suffixes = ["", *(name.removesuffix(".ism").removeprefix(handle.token) for name, _ in raws[1:])]
    spectra = {suffix: read(handle.place, data, raw) for suffix, (_, raw) in zip(suffixes, raws, strict=True)}
    files = []
    for suffix, (name, raw) in zip(suffixes, raws, strict=True):
        put(folder / name, raw)
        put(folder / f"impedance{suffix}.csv", ism.table(spectra[suffix]).encode("utf-8"))
        files += [name, f"impedance{suffix}.csv"]
    main = spectra[""]
    before = data.get("voltage_before_V", float(main.voltage[0]))
    checks, warnings = _checks(data, spectra)
    return Fetched(
        files=tuple(files),
        sent=dict(data.get("sent", {})),
        read_back={**data.get("read_back", {}), "after": shown.text, "file": about(main)},
        summary={
            "points": len(main.frequency),
            "frequency_max_Hz": float(main.frequency.max()),
            "frequency_min_Hz": float(main.frequency.min()),
            "voltage_before_V": before if math.isfinite(before) else None,
            "voltage_after_V": voltage_after,
            "duration_s": float(main.time[-1] - main.time[0]),
            **checks,
        },
        warnings=(*doubts(main), *warnings),
    )


def found(token: str, place: str, raw: bytes, *, series: bool) -> Handle:
    """Handle for a file that was found by its token; times are the file's own."""
    data: dict[str, Any] = {"kind": "series"} if series else {}
    try:
        spectrum = ism.read(raw, lenient=True)
    except ValueError:
        return Handle(token, place, "", data)
    known: dict[str, Any] = {name: spectrum.texts[name] for name in ("time_window", "date") if name in spectrum.texts}
    return Handle(token, place, "", {**data, **known})


def read(place: str, data: Mapping[str, Any], raw: bytes) -> ism.Spectrum:
    """Read a file and compare it with what was asked. Raises ``DataError`` with its place."""
    try:
        spectrum = ism.read(raw, lenient=True)
        _check(data, spectrum)
    except ValueError as error:
        raise DataError(f"{place}: {error}") from error
    return spectrum


def about(spectrum: ism.Spectrum) -> dict[str, Any]:
    """What the instrument wrote into its file beside the points."""
    return {**spectrum.texts, "amplitude": spectrum.amplitude, "settings": dict(spectrum.settings)}


def doubts(spectrum: ism.Spectrum, where: str = "") -> list[str]:
    """What a person should know of a file."""
    doubtful = int((spectrum.significance < LEAST_SIGNIFICANCE).sum())
    warnings = [f"{where}{doubtful} points with a significance below {LEAST_SIGNIFICANCE}"] if doubtful else []
    if spectrum.damage:
        warnings.append(f"{where}the file's end cannot be read ({spectrum.damage}); its points can")
    return warnings


def put(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)


def _checks(data: Mapping[str, Any], spectra: Mapping[str, ism.Spectrum]) -> tuple[dict[str, float], list[str]]:
    """How far the further sweeps differ from the spectrum itself, relative to it."""
    asked, main = data.get("asked", {}), spectra[""]
    wanted = {"-linearity": asked.get("linearity") is not None, "-repeat": bool(asked.get("repeat"))}
    words = {"-linearity": "with another amplitude", "-repeat": "when repeated"}
    summary, warnings = {}, []
    for suffix, asked_for in wanted.items():
        if suffix not in spectra:
            if asked_for:
                warnings.append(f"the sweep {suffix.lstrip('-')} was asked for and is not there")
            continue
        other = spectra[suffix]
        if len(other.frequency) != len(main.frequency) or not np.allclose(other.frequency, main.frequency, rtol=1e-3):
            warnings.append(f"the sweep {suffix.lstrip('-')} has other frequencies and cannot be compared")
            continue
        deviation = np.abs(other.impedance / main.impedance - 1)
        worst = int(deviation.argmax())
        summary[f"{suffix.lstrip('-')}_deviation"] = float(deviation[worst])
        if deviation[worst] > _DEVIATION:
            warnings.append(
                f"{words[suffix]} the impedance differs by up to {100 * deviation[worst]:.1f} % "
                f"(at {main.frequency[worst]:.3g} Hz)"
            )
    return summary, warnings


def _check(data: Mapping[str, Any], spectrum: ism.Spectrum) -> None:
    rising = bool(data.get("rising"))
    steps = np.diff(spectrum.frequency)
    if (steps <= 0 if rising else steps >= 0).any():
        raise ValueError(f"the frequencies do not {'rise' if rising else 'fall'} from point to point")
    if "frequency_Hz" not in data:
        return
    high, low = data["frequency_Hz"]
    above = data["points_per_decade"]
    fewest = min(above, data.get("points_per_decade_low", above))
    least = math.floor(math.log10(high / low) * fewest + 1e-9) + 1
    if len(spectrum.frequency) < least:
        raise ValueError(f"{len(spectrum.frequency)} points, at least {least} were asked for")
    ends = (low, high) if rising else (high, low)
    for wanted, measured in zip(ends, spectrum.frequency[[0, -1]], strict=True):
        if not math.isclose(wanted, measured, rel_tol=0.01):
            raise ValueError(f"{wanted:g} Hz was asked for, the file has {measured:g} Hz")
