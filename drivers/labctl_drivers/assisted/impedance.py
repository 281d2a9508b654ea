"""An impedance spectrum asked of a person: the sheet, and how a dropped ``.ism`` or csv file is judged and taken in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

from labctl.errors import DataError
from labctl.instruments import Fetched, Handle, ImpedanceRequest
from labctl.units import show
from labctl_drivers.assisted.desk import content_of, put
from labctl_drivers.assisted.findings import Candidate, Difference, Setting, Window
from labctl_drivers.assisted.tolerances import AMPLITUDE, BIAS, DENSITY, EXACT, FREQUENCY, SAFETY
from labctl_drivers.zahner import ism

#: Times in ``.ism`` files count from here, by the local clock of the instrument's PC.
_EPOCH: Final = datetime(1980, 1, 1, tzinfo=UTC)
_NEEDED: Final = ("frequency_Hz", "real_ohm", "imaginary_ohm")
_ENDINGS: Final = {"zahner": ".ism", "csv": ".csv"}


class ImpedanceTask:
    """One spectrum; see ``findings.Task``.

    Parameters
    ----------
    token : str
        Must stand in the file's name.
    request : ImpedanceRequest
        What is asked.
    vendor : str
        ``zahner`` (``.ism``) or ``csv``.
    """

    def __init__(self, token: str, request: ImpedanceRequest, vendor: str) -> None:
        self._token = token
        self._request = request
        self._vendor = vendor
        self.asked: Mapping[str, Any] = asdict(request)
        self.title = f"impedance, {request.control}"
        self.settings: Sequence[Setting] = self._settings()
        kind = "the .ism file" if vendor == "zahner" else f"a csv file with the columns {', '.join(_NEEDED)}"
        self.steps: Sequence[str] = (
            f"make sure that the leads reach the cell of {request.name}; the source stays off until the sweep",
            "set what stands above and measure from the highest frequency to the lowest",
            f"save as {token}{_ENDINGS[vendor]}",
            f"switch the source off when the sweep is over, and copy {kind} here",
        )
        self.attachments: Mapping[str, bytes] = {}

    @classmethod
    def again(cls, token: str, asked: Mapping[str, Any], vendor: str) -> ImpedanceTask:
        """Make it from what a handle or a request keeps."""
        return cls(token, ImpedanceRequest(**asked), vendor)

    @property
    def _galvanostatic(self) -> bool:
        return self._request.control == "galvanostatic"

    @property
    def _range(self) -> tuple[float, float]:
        ends = (self._request.frequency_start, self._request.frequency_end)
        return max(ends), min(ends)

    @property
    def _least(self) -> int:
        high, low = self._range
        return math.floor(math.log10(high / low) * self._request.points_per_decade + 1e-9) + 1

    def _settings(self) -> list[Setting]:
        asked, (high, low) = self._request, self._range
        unit, bias = ("uA", "against zero") if self._galvanostatic else ("mV", "against open circuit")
        limits = f"{show(asked.voltage_min, 'V')} to {show(asked.voltage_max, 'V')}"
        return [
            Setting("technique", asked.control, EXACT.text, "the other one polarises the cell differently"),
            Setting("amplitude (peak)", show(asked.amplitude, unit), AMPLITUDE.text, AMPLITUDE.why),
            Setting("bias", f"{show(asked.bias, unit)} {bias}", "exactly", BIAS.why),
            Setting("frequencies", f"{hertz(high)} to {hertz(low)}", FREQUENCY.text, FREQUENCY.why),
            Setting("points", f"{asked.points_per_decade} per decade, {self._least} in all", "at least", DENSITY.why),
            Setting("periods", f"{asked.periods} per point", "not checked", "the file is not known to tell"),
            Setting("voltage limits", limits, SAFETY.text, SAFETY.why),
        ]

    # -- judging -------------------------------------------------------------------------------------------------
    def candidates(self, folder: Path, files: Sequence[Path]) -> list[Candidate]:
        """Each file of the vendor's kind; any others only where there is none of it."""
        fitting = [file for file in files if file.suffix.lower() == _ENDINGS[self._vendor]]
        return [Candidate(file.relative_to(folder).as_posix(), (file,)) for file in fitting or files]

    def _read(self, file: Path) -> ism.Spectrum:
        raw = content_of(file)
        try:
            spectrum = ism.read(raw) if self._vendor == "zahner" else _read_csv(raw)
        except ValueError as error:
            raise DataError(f"{file.name}: {error}") from error
        return spectrum

    def check(self, candidate: Candidate, window: Window) -> list[Difference]:
        """Compare with the request. Raises ``DataError`` for a file that can't be read."""
        file, where = candidate.parts[0], candidate.where
        spectrum = self._read(file)
        frequency = spectrum.frequency
        if (np.diff(frequency) >= 0).any():
            raise DataError(f"{where}: the frequencies do not fall from point to point")
        found = []
        if self._token not in file.stem.lower():
            found.append(Difference(f"name: '{file.name}' found, {self._token}{file.suffix} asked"))
        for name, asked, has in (
            ("highest frequency", self._range[0], float(frequency[0])),
            ("lowest frequency", self._range[1], float(frequency[-1])),
        ):
            if not FREQUENCY.allows(asked, has):
                found.append(Difference(f"{name}: {hertz(has)} found, {hertz(asked)} asked ({where})"))
        if len(frequency) < self._least:
            found.append(Difference(f"points: {len(frequency)} found, at least {self._least} asked ({where})"))
        if self._vendor == "zahner":
            found += self._technique(spectrum, where)
        found += self._limits(spectrum, where)
        if self._vendor == "zahner":
            began, ended = (_EPOCH + timedelta(seconds=float(spectrum.time[n])) - window.ahead for n in (0, -1))
            found += window.check(began, ended, where)
        return found

    def _technique(self, spectrum: ism.Spectrum, where: str) -> list[Difference]:
        """Compare technique and amplitude: the instrument writes the amplitude beside what it modulates."""
        marks = {
            "galvanostatic": "ampl" in spectrum.texts["current"].lower(),
            "potentiostatic": "ampl" in spectrum.texts["voltage"].lower(),
        }
        used = [control for control, marked in marks.items() if marked]
        if used != [self._request.control]:
            shown = used[0] if len(used) == 1 else "neither technique told"
            return [Difference(f"technique: {shown} found, {self._request.control} asked ({where})")]
        if AMPLITUDE.allows(self._request.amplitude, spectrum.amplitude):
            return []
        unit = "uA" if self._galvanostatic else "mV"
        has, asked = show(spectrum.amplitude, unit), show(self._request.amplitude, unit)
        return [Difference(f"amplitude: {has} found, {asked} asked ({AMPLITUDE.text}) ({where})")]

    def _limits(self, spectrum: ism.Spectrum, where: str) -> list[Difference]:
        """Compare the direct voltage and current at every point with the limits and the bias."""
        asked, found = self._request, []
        voltage = spectrum.voltage[np.isfinite(spectrum.voltage)]
        if voltage.size and not (asked.voltage_min <= voltage.min() and voltage.max() <= asked.voltage_max):
            has = f"{show(float(voltage.min()), 'V')} to {show(float(voltage.max()), 'V')}"
            limits = f"{show(asked.voltage_min, 'V')} to {show(asked.voltage_max, 'V')}"
            found.append(Difference(f"voltage: {has} found, limits {limits} asked ({where})"))
        current = spectrum.current[np.isfinite(spectrum.current)]
        if self._galvanostatic and current.size:
            mean = float(current.mean())
            if abs(mean - asked.bias) > max(0.05 * asked.amplitude, BIAS.relative * abs(asked.bias)):
                has, wanted = show(mean, "uA"), show(asked.bias, "uA")
                found.append(Difference(f"bias: {has} found, {wanted} asked ({where})"))
        return found

    # -- taking in -----------------------------------------------------------------------------------------------
    def store(self, candidate: Candidate, handle: Handle, folder: Path) -> Fetched:
        """Copy the file untouched, and write ``impedance.csv`` beside it."""
        file = candidate.parts[0]
        spectrum = self._read(file)
        name = f"{self._token}{file.suffix.lower()}"
        put(folder / name, content_of(file))
        put(folder / "impedance.csv", ism.table(spectrum).encode("utf-8"))
        voltage = float(spectrum.voltage[0])
        missing = []
        if self._vendor == "csv":
            missing.append("the file tells neither technique and amplitude nor start and end: not checked")
        if not math.isfinite(voltage):
            missing.append("the file has no direct voltage: the cell's limits were not checked")
        return Fetched(
            files=(name, "impedance.csv"),
            sent=dict(self.asked),
            read_back={"file": {**spectrum.texts, "amplitude": _finite(spectrum.amplitude)}},
            summary={
                "points": len(spectrum.frequency),
                "frequency_max_Hz": float(spectrum.frequency.max()),
                "frequency_min_Hz": float(spectrum.frequency.min()),
                "voltage_before_V": _finite(voltage),
                "duration_s": _finite(float(spectrum.time[-1] - spectrum.time[0])),
                "dropped": candidate.where,
            },
            warnings=tuple(missing),
        )


def hertz(value: float) -> str:
    """Write a frequency as a person reads it."""
    return show(value, "kHz" if value >= 1000 else "Hz", 6)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _read_csv(raw: bytes) -> ism.Spectrum:
    """Read a table with a heading; ``time_s``, ``voltage_V`` and ``current_A`` may be there. Raises ``ValueError``."""
    import csv

    rows = csv.DictReader(raw.decode("utf-8-sig", "replace").splitlines())
    heading = [name.strip() for name in rows.fieldnames or ()]
    missing = [name for name in _NEEDED if name not in heading]
    if missing:
        raise ValueError(f"no column {', '.join(missing)} in the heading")
    rows.fieldnames = heading
    table = list(rows)
    if not table:
        raise ValueError("no points")
    columns: dict[str, list[float]] = {}
    for name in (*_NEEDED, "time_s", "voltage_V", "current_A"):
        columns[name] = [float(row[name]) if row.get(name) not in (None, "") else math.nan for row in table]
    frequency = np.array(columns["frequency_Hz"])
    impedance = np.array(columns["real_ohm"]) + 1j * np.array(columns["imaginary_ohm"])
    if not (np.isfinite(frequency).all() and np.isfinite(impedance).all()) or (frequency <= 0).any():
        raise ValueError("a frequency or an impedance that is no number, or a last line that is cut short")
    return ism.Spectrum(
        frequency=frequency,
        impedance=impedance,
        time=np.array(columns["time_s"]),
        significance=np.ones(len(table)),
        voltage=np.array(columns["voltage_V"]),
        current=np.array(columns["current_A"]),
        texts={},
        amplitude=math.nan,
    )
