"""From the records of a series to its bundle: spectra, their stamps, and the record of the direct current."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from labctl.instruments import DynamicRequest, Fetched
from labctl_drivers.biologic.driver import put
from labctl_drivers.biologic.series import Course
from labctl_drivers.biologic.tables import electrode_impedance_table, impedance_table

SPECTRA: Final = (
    "spectrum,started_s,middle_s,ended_s,charge_start_C,charge_middle_C,charge_end_C,"
    "voltage_start_V,voltage_middle_V,voltage_end_V,table,file"
)
DIRECT: Final = "time_s,voltage_V,current_A,charge_C"
#: Share by which the direct current may be seen to differ from the one that was set.
_ODD_CURRENT: Final = 0.01
#: s that it may take to switch the source off before that is worth a word.
_PROMPT: Final = 1.0
#: Number of the technique, from 1, in the name of a data file of EC-Lab.
_NUMBERED: Final = re.compile(r"_(\d{2})_[A-Za-z0-9 ]+_C\d{2}\.mpr$")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a series has ended.

    Attributes
    ----------
    started : datetime
        UTC, when the current was switched on.
    off, ordered : float or None
        s after that, when it was seen to be off, and when that was ordered; None where the last record is its end.
    end : str
        ``cut-off``, ``all spectra``, ``aborted``, ``ended early``.
    failed : str
        What is wrong; empty for nothing.
    before, after : float, float or None
        V at the leads with the source off.
    """

    started: datetime
    off: float | None
    ordered: float | None
    end: str
    failed: str
    before: float
    after: float | None


def store(
    course: Course,
    request: DynamicRequest,
    ended: Ended,
    raws: Sequence[str],
    folder: Path,
    sent: Mapping[str, Any],
    longest: float,
) -> Fetched:
    """Lay everything into ``folder`` where the raw files lie already, as ``DynamicPotentiostat.fetch`` says.

    ``longest``: s that may pass between two records.
    """
    direct = _direct(course, request, ended)
    time, voltage, _, charge = (np.array(column) for column in zip(*direct, strict=True))
    files, lines = [*raws], [SPECTRA]
    for spectrum in course.spectra:
        if not course.is_complete(spectrum):
            continue
        table = put(folder / f"impedance-{spectrum.number:03d}.csv", impedance_table(spectrum.points, spectrum.began))
        files.append(table)
        if any(point.counter is not None for point in spectrum.points):
            name = f"impedance_electrodes-{spectrum.number:03d}.csv"
            files.append(put(folder / name, electrode_impedance_table(spectrum.points)))
        last = spectrum.points[-1].at
        moments = (spectrum.began, (spectrum.began + last) / 2, last)
        values = [*moments, *np.interp(moments, time, charge), *np.interp(moments, time, voltage)]
        numbers = ",".join(f"{value:.9g}" for value in values)
        lines.append(f"{spectrum.number},{numbers},{table},{_raw(raws, spectrum.technique)}")
    record = [DIRECT, *(",".join(f"{value:.9g}" for value in row) for row in direct)]
    files.append(put(folder / "spectra.csv", "\n".join([*lines, ""])))
    files.append(put(folder / "direct.csv", "\n".join([*record, ""])))
    if (broken := course.unfinished) is not None:
        files.append(put(folder / "unfinished.csv", impedance_table(broken.points, broken.began)))
    summary = {
        "started": ended.started.isoformat(),
        "spectra": len(lines) - 1,
        "end": ended.end,
        "charge_C": direct[-1][3],
        "duration_s": direct[-1][0],
        "voltage_before_V": ended.before,
    }
    if ended.after is not None:
        summary["voltage_after_V"] = ended.after
    warnings = [*_warnings(course, request, ended), *_gaps(course, longest)]
    return Fetched(tuple(files), dict(sent), {}, summary, tuple(warnings))


def _direct(course: Course, request: DynamicRequest, ended: Ended) -> list[tuple[float, float, float, float]]:
    """The direct current as it was recorded, and as it was set before the first and after the last record."""
    direct = list(course.direct)
    if direct[0][0] > 0:
        direct.insert(0, (0.0, ended.before, request.current, 0.0))
    at, voltage, _, charge = direct[-1]
    if ended.off is not None and ended.off > at:
        direct.append((ended.off, voltage, request.current, charge + request.current * (ended.off - at)))
    return direct


def _raw(raws: Sequence[str], technique: int) -> str:
    """The raw file in which a technique's records are."""
    data = [name for name in raws if name.endswith((".eclib", ".mpr"))]
    for name in data:
        numbered = _NUMBERED.search(name)
        if numbered and int(numbered.group(1)) == technique + 1:
            return name
    return data[0] if data else ""


def _warnings(course: Course, request: DynamicRequest, ended: Ended) -> list[str]:
    warnings = []
    for spectrum in course.spectra:
        if not course.is_complete(spectrum) and spectrum is not course.unfinished:
            warnings.append(f"spectrum {spectrum.number}: {len(spectrum.points)} points only, records are missing")
    numbers = [spectrum.number for spectrum in course.spectra]
    lost = sorted(set(range(1, max(numbers, default=0) + 1)) - set(numbers))
    warnings += [f"spectrum {number}: its records are missing" for number in lost]
    odd = [row for row in course.direct if abs(row[2] - request.current) > _ODD_CURRENT * abs(request.current)]
    if odd:
        when = f"{odd[0][0]:.0f} s"
        warnings.append(f"the direct current differs by more than 1 % from {request.current:g} A, first after {when}")
    voltages = [row[1] for row in course.direct]
    far = min(voltages) if request.current < 0 else max(voltages)
    if not request.voltage_min <= far <= request.voltage_max and not ended.failed:
        warnings.append(f"the cell went past its cut-off to {far:.4f} V between two looks, beyond its limits")
    if ended.off is not None and ended.ordered is not None and ended.off > ended.ordered + _PROMPT:
        when = f"between {ended.ordered:.0f} s and {ended.off:.0f} s"
        warnings.append(f"the source went off {when}: the charge is counted to the latter, less may have passed")
    if ended.failed:
        warnings.append(ended.failed)
        if ended.off is None:
            last = f"{course.direct[-1][0]:.0f} s"
            warnings.append(f"what may have flowed after the last record, at {last}, is not counted: nothing tells it")
    return warnings


def _gaps(course: Course, longest: float) -> list[str]:
    """Say where records are missing, or somebody has paused the channel."""
    times = [row[0] for row in course.direct]
    return [
        f"no records between {before:.0f} s and {after:.0f} s: the charge there is that of the current beside them"
        for before, after in pairwise(times)
        if after - before > longest + _PROMPT
    ]
