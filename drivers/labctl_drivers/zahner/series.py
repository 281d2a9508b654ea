"""From the files of a series to the bundle: spectra, their stamps, and the record of the direct current."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labctl.instruments import DynamicRequest, Fetched, Handle, State
from labctl_drivers.zahner import ism, result
from labctl_drivers.zahner.display import Point
from labctl_drivers.zahner.plan import SHORTEST
from labctl_drivers.zahner.replies import Setup
from labctl_drivers.zahner.run import ALL, Run

SPECTRA: Final = (
    "spectrum,started_s,middle_s,ended_s,charge_start_C,charge_middle_C,charge_end_C,"
    "voltage_start_V,voltage_middle_V,voltage_end_V,table,file"
)
DIRECT: Final = "time_s,voltage_V,current_A,charge_C"
_ODD_CURRENT: Final = 0.01


@dataclass(frozen=True, slots=True)
class Direct:
    """The direct current from its beginning on: s, V, A, and C that have passed."""

    time: NDArray[np.float64]
    voltage: NDArray[np.float64]
    current: NDArray[np.float64]
    charge: NDArray[np.float64]

    def at(self, time: float) -> tuple[float, float]:
        """Charge (C) and voltage (V) at a time (s)."""
        return float(np.interp(time, self.time, self.charge)), float(np.interp(time, self.time, self.voltage))


def store(
    handle: Handle, run: Run, raws: Sequence[tuple[str, bytes]], folder: Path, shown: Setup, voltage_after: float
) -> Fetched:
    """Lay everything into ``folder``, as :meth:`DynamicPotentiostat.fetch` says.

    Times on this PC's clock follow from the start of the first spectrum, which is known on both clocks; the Term PC's
    clock gives all others by their distance.

    Raises
    ------
    DataError
        A file cannot be read or is not what was asked for.
    """
    if run.series is None:
        raise ValueError("this handle is no series")
    series, data, files = run.series, handle.data, []
    spectra = [result.read(name, data, raw) for name, raw in raws]
    switched_on = datetime.fromisoformat(handle.started)
    first = (datetime.fromisoformat(data["launched"]) - switched_on).total_seconds()
    times = _times(series, spectra, first)
    off = times[-1][-1] if run.off_at is None else (run.off_at - switched_on).total_seconds()
    direct = _direct(series, spectra, times, data["voltage_before_V"], off)
    lines = [SPECTRA]
    for number, ((name, raw), spectrum, time) in enumerate(zip(raws, spectra, times, strict=True), start=1):
        table = f"impedance-{number:03d}.csv"
        result.put(folder / name, raw)
        result.put(folder / table, ism.table(spectrum).encode("utf-8"))
        files += [name, table]
        moments = (time[0], (time[0] + time[-1]) / 2, time[-1])
        charges, voltages = zip(*(direct.at(moment) for moment in moments), strict=True)
        lines.append(",".join([str(number), *(f"{v:.9g}" for v in (*moments, *charges, *voltages)), table, name]))
    columns = (direct.time, direct.voltage, direct.current, direct.charge)
    record = [DIRECT, *(",".join(f"{v:.9g}" for v in row) for row in zip(*columns, strict=True))]
    for file, content in (("spectra.csv", lines), ("direct.csv", record)):
        result.put(folder / file, ("\n".join(content) + "\n").encode("utf-8"))
        files.append(file)
    if run.begun is not None and run.points and len(spectra) < len(run.plans):
        result.put(folder / "unfinished.csv", _unfinished(run.points).encode("utf-8"))
        files.append("unfinished.csv")
    end = run.end or (ALL if len(spectra) == series.spectra else "ended early")
    return Fetched(
        files=tuple(files),
        sent=dict(data.get("sent", {})),
        read_back={**data.get("read_back", {}), "after": shown.text, "file": result.about(spectra[0])},
        summary={
            "started": handle.started,
            "spectra": len(spectra),
            "end": end,
            "charge_C": float(direct.charge[-1]),
            "duration_s": float(direct.time[-1]),
            "voltage_before_V": data["voltage_before_V"],
            "voltage_after_V": voltage_after,
        },
        warnings=tuple(_warnings(run, spectra, times)),
    )


def _times(series: DynamicRequest, spectra: Sequence[ism.Spectrum], first: float) -> list[NDArray[np.float64]]:
    """For each spectrum its start and its points' ends, in s since the direct current was switched on."""
    begins = [float(spectrum.time[0]) - _lasts(series, float(spectrum.frequency[0])) for spectrum in spectra]
    return [
        np.concatenate(([begin], spectrum.time)) - begins[0] + first
        for begin, spectrum in zip(begins, spectra, strict=True)
    ]


def _lasts(series: DynamicRequest, frequency: float) -> float:
    """Seconds that a spectrum's first point takes."""
    low = min(series.frequency_start, series.frequency_end)
    periods = series.periods if frequency > low or series.periods_low is None else series.periods_low
    return max(SHORTEST, periods / frequency)


def _direct(
    series: DynamicRequest,
    spectra: Sequence[ism.Spectrum],
    times: Sequence[NDArray[np.float64]],
    before: float,
    off: float,
) -> Direct:
    """The direct current as the files have it, and as it was set between them."""
    time, voltage, current = [0.0], [before], [series.current]
    for spectrum, moments in zip(spectra, times, strict=True):
        time += moments[1:].tolist()
        voltage += spectrum.voltage.tolist()
        measured = np.where(np.isnan(spectrum.current), series.current, spectrum.current)
        current += measured.tolist()
    if off > time[-1]:
        time.append(off)
        voltage.append(voltage[-1])
        current.append(series.current)
    t, i = np.array(time), np.array(current)
    charge = np.concatenate(([0.0], np.cumsum(np.diff(t) * (i[1:] + i[:-1]) / 2)))
    return Direct(t, np.array(voltage), i, charge)


def _warnings(run: Run, spectra: Sequence[ism.Spectrum], times: Sequence[NDArray[np.float64]]) -> list[str]:
    warnings = [word for n, spectrum in enumerate(spectra, 1) for word in result.doubts(spectrum, f"spectrum {n}: ")]
    for number, (earlier, later) in enumerate(pairwise(times), start=2):
        if later[0] < earlier[-1] - 1.0:
            warnings.append(f"spectrum {number} begins before its predecessor ends: the Term PC's clock was set back")
    limits = run.plans[0].request
    if run.voltage is not None and not limits.voltage_min <= run.voltage <= limits.voltage_max:
        warnings.append(f"the cell went past its cut-off to {run.voltage:.4f} V between two looks, beyond its limits")
    wanted = 0.0 if run.series is None else run.series.current
    for number, spectrum in enumerate(spectra, start=1):
        if np.isnan(spectrum.current).any():
            warnings.append(f"spectrum {number}: the file has no current, that which was set is counted")
        elif (np.abs(spectrum.current - wanted) > _ODD_CURRENT * abs(wanted)).any():
            warnings.append(f"spectrum {number}: the direct current differs by more than 1 % from {wanted:g} A")
    if run.verdict is not None and run.verdict.state is State.FAILED:
        warnings.append(run.verdict.message)
    return warnings


def _unfinished(points: Sequence[Point]) -> str:
    """Displayed points of a spectrum that was broken off, as ``impedance.csv`` has them."""
    lines = [ism.HEADER]
    for point in points:
        z = point.modulus * np.exp(1j * point.phase)
        values: tuple[Any, ...] = (point.frequency, z.real, z.imag, point.time, point.voltage, point.current)
        lines.append(",".join(f"{value:.6g}" for value in values))
    return "\n".join(lines) + "\n"
