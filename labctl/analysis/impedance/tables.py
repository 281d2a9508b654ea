"""Text tables of points: labctl's own csv, tables of other programs, and EC-Lab's ``.mpt``. Splits them into sweeps."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.impedance import columns
from labctl.analysis.impedance.columns import Column
from labctl.analysis.impedance.spectrum import Complexes, Floats, Sweep, falling
from labctl.errors import DataError

_MAGICS: Final = ("EC-Lab ASCII FILE", "BT-Lab ASCII FILE")
_HEAD_LINES: Final = re.compile(r"Nb header lines\s*:\s*(\d+)")
_LOOP: Final = re.compile(r"Loop \d+ from point number (\d+) to (\d+)")
#: Columns of EC-Lab that number the passes of a series.
_PASSES: Final = ("z cycle", "cycle number")
#: Columns of EC-Lab that hold the charge, with the factor that makes it mAh.
_CHARGES: Final = {"(Q-Qo)/mA.h": 1.0, "(Q-Qo)/C": 1 / 3.6, "Q charge/discharge/mA.h": 1.0}


def read_csv(path: Path) -> list[Sweep]:
    """Read a table with one heading; delimiter and decimal mark are found.

    Raises
    ------
    DataError
        Columns are missing, a line is cut off, or a value is no positive frequency or no finite impedance.
    """
    lines = _text(path).splitlines()
    while lines and not lines[0].strip():
        lines.pop(0)
    heading = lines[0] if lines else ""
    delimiter = next((mark for mark in ("\t", ";", ",") if mark in heading), " ")
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter == " "))
    except csv.Error as error:
        raise DataError(f"{path}: is no table ({error})") from error
    titles = [title.strip() for title in rows[0]] if rows else []
    found = {title: column for title in titles if (column := columns.understand(title)) is not None}
    quantities = {column.quantity for column in found.values()}
    if not quantities & {"frequency", "angular"} or len(quantities) < 3:
        raise DataError(columns.missing(titles, found, str(path)))
    body = [(number, row) for number, row in enumerate(rows[1:], 2) if any(part.strip() for part in row)]
    values = _numbers(body, titles, list(found), str(path), comma=delimiter != ",")
    return sweeps(found, values, str(path))


def read_mpt(path: Path) -> list[Sweep]:
    """Read EC-Lab's text export, in which one file may hold several spectra and rows of direct current between them.

    Raises
    ------
    DataError
        It is none, has no impedance, or a row has not all its columns.
    """
    lines = _text(path).replace("\r\n", "\n").split("\n")
    counted = _HEAD_LINES.match(lines[1]) if len(lines) > 1 else None
    if lines[0].strip() not in _MAGICS or counted is None:
        raise DataError(f"{path}: is no text export of EC-Lab: begins with {lines[0][:40]!r}")
    head = int(counted[1])
    if not 3 <= head <= len(lines):
        raise DataError(f"{path}: tells of a head of {head} lines and has {len(lines)}")
    titles = [title.strip() for title in lines[head - 1].split("\t") if title.strip()]
    body = [(number, line.split("\t")) for number, line in enumerate(lines[head:], head + 1) if line.strip()]
    body = [(number, row[:-1] if len(row) == len(titles) + 1 and not row[-1].strip() else row) for number, row in body]
    found = {title: column for title in titles if (column := columns.understand(title)) is not None}
    wanted = [title for title in titles if title in found or title in _PASSES or title in _CHARGES]
    values = _numbers(body, titles, wanted, str(path), comma=True)
    begins = [int(one[1]) for line in lines[: head - 1] if (one := _LOOP.search(line)) is not None]
    return of_ec_lab(found, values, begins, str(path))


def of_ec_lab(
    found: Mapping[str, Column], values: Mapping[str, Floats], begins: Sequence[int], where: str
) -> list[Sweep]:
    """Make sweeps of EC-Lab's columns, whose rows of direct current have the frequency 0."""
    if not any(column.quantity == "frequency" for column in found.values()):
        raise DataError(columns.missing(tuple(values), found, where))
    frequency = next(values[title] for title, column in found.items() if column.quantity == "frequency")
    rows = np.flatnonzero(frequency > 0)
    if not len(rows):
        raise DataError(f"{where}: has {len(frequency)} rows and no point of a spectrum among them")
    passes = next((values[name] for name in _PASSES if name in values and np.ptp(values[name][rows]) > 0), None)
    if passes is None and len(begins) > 1:
        passes = np.searchsorted(np.asarray(begins), np.arange(len(frequency)), side="right").astype(np.float64)
    time = next((values[title] for title, column in found.items() if column.quantity == "time"), None)
    charge = next((values[name] * factor for name, factor in _CHARGES.items() if name in values), None)
    course = None
    if time is not None and charge is not None:
        direct = frequency <= 0
        course = (time[direct], charge[direct]) if direct.any() else (time, charge)
    points = {title: values[title][rows] for title in found}
    return sweeps(found, points, where, None if passes is None else passes[rows], course)


def sweeps(
    found: Mapping[str, Column],
    values: Mapping[str, Floats],
    where: str,
    passes: Floats | None = None,
    course: tuple[Floats, Floats] | None = None,
) -> list[Sweep]:
    """Split a table into its sweeps, where the number of the pass changes or the frequency goes back.

    Parameters
    ----------
    passes : ndarray, optional
        Number of the pass of each row.
    course : tuple of ndarray, optional
        Times in s and charges in mAh.
    """
    frequency, made, tracks = columns.impedances(found, values, where)
    told = len(frequency) > 0 and np.isfinite(frequency).all() and (frequency > 0).all()
    for impedance in made.values():
        if not told or not np.isfinite(impedance).all() or not impedance.all():
            raise DataError(f"{where}: no points, or values that are no impedance")
    changes = _turns(frequency)
    if passes is not None:
        changes = np.union1d(changes, np.flatnonzero(np.diff(passes) != 0) + 1)
    bounds = [0, *(int(one) for one in changes), len(frequency)]
    parts = [slice(first, last) for first, last in itertools.pairwise(bounds) if last > first]
    return [_sweep(number, part, frequency, made, tracks, course) for number, part in enumerate(parts, 1)]


def _turns(frequency: Floats) -> NDArray[np.intp]:
    """Rows at which the frequency jumps back by more than half the span: there a new sweep begins."""
    steps = np.diff(np.log(frequency))
    if len(steps) < 2:
        return np.empty(0, dtype=np.intp)
    usual = float(np.median(steps))
    against = steps if usual < 0 else -steps
    return np.flatnonzero(against > max(0.5 * np.ptp(np.log(frequency)), 3 * abs(usual))) + 1


def _sweep(
    number: int,
    part: slice,
    frequency: Floats,
    made: Mapping[str, Complexes],
    tracks: Mapping[str, Floats],
    course: tuple[Floats, Floats] | None,
) -> Sweep:
    """Make a sweep of the rows of ``part``."""
    f = frequency[part]
    times = tracks.get("time")
    mine = {name: tracks[name][part] if name in tracks else None for name in ("time", "voltage", "current")}
    parallel = (mine["time"], mine["voltage"], mine["current"])
    whole, working, counter = made.get("cell"), made.get("working"), made.get("counter")
    plain = made.get("")
    if counter is not None and working is None:
        # EC-Lab names the working electrode's impedance without an index.
        working, plain = plain, None
    if counter is not None and float(np.median(counter[part].real)) < 0:
        # Recorded against the current of the working electrode, which enters the counter electrode the other way.
        counter = -counter
    measured = plain if whole is None else whole
    flags: tuple[str, ...] = ()
    if measured is None:
        electrodes = [one for one in (working, counter) if one is not None]
        measured = np.sum(electrodes, axis=0)
        if len(electrodes) == 1:
            flags = ("one electrode against the reference, not the cell",)
    if np.mean(measured[part].imag > 0) > 0.8 and len(f) > 3:
        flags += ("nearly all imaginary parts are positive: the column may hold their opposite",)
    began = charge = None
    if times is not None and np.isfinite(times[part]).all():
        began = float(times[part].min())
        if course is not None and len(course[0]):
            charge = float(np.interp(0.5 * (began + float(times[part].max())), *course))
    return Sweep(
        number,
        falling(f, measured[part], tracks=parallel, flags=flags),
        None if working is None else falling(f, working[part], electrode="working", tracks=parallel),
        None if counter is None else falling(f, counter[part], electrode="counter", tracks=parallel),
        cell_measured=plain is not None or whole is not None,
        began_s=began,
        charge_mAh=charge,
    )


def _text(path: Path) -> str:
    raw = path.read_bytes()
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _numbers(
    body: Sequence[tuple[int, Sequence[str]]], titles: Sequence[str], wanted: Sequence[str], where: str, *, comma: bool
) -> dict[str, Floats]:
    """Values of the wanted columns; an empty field of a track is not a number."""
    places = [titles.index(title) for title in wanted]
    table = np.empty((len(body), len(places)))
    for index, (number, row) in enumerate(body):
        if len(row) < len(titles):
            raise DataError(f"{where}: line {number} is not complete ({len(row)} of {len(titles)} values)")
        if any(part.strip() for part in row[len(titles) :]):
            raise DataError(f"{where}: line {number} has {len(row)} values, where there are {len(titles)} columns")
        for column, place in enumerate(places):
            text = row[place].strip()
            try:
                table[index, column] = float(text.replace(",", ".") if comma else text) if text else np.nan
            except ValueError as error:
                raise DataError(f"{where}: line {number} is not complete ({error})") from error
    return {title: table[:, column] for column, title in enumerate(wanted)}
