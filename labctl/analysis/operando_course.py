"""The cycler's record of a charge that was suspended for spectra, on the clock of this PC.

The clock of a cycler's test stands while its program is suspended. ``looks.csv`` has what it showed each time that
labctl looked, so that a record's time becomes one of this PC's.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable

import numpy as np

from labctl.analysis.bundles import Operation
from labctl.analysis.findings import Floats
from labctl.errors import DataError

_EMPTY = np.empty(0)
#: Before the first look and after the last the clock is taken to have run, s.
_LONG = 1e7


def course(operation: Operation, began: float, told: Callable[[str], None]) -> tuple[Floats, Floats, Floats]:
    """Give hours since ``began`` (s UTC), voltage in V and current in mA; empty where the record is not to be had."""
    import polars

    try:
        path = operation.file("records.parquet")
        frame = polars.read_parquet(path)
        if "Record Number / 1" in frame.columns:
            frame = frame.sort("Record Number / 1")
        columns = ("Test Time / s", "Voltage / V", "Current / A")
        time, voltage, current = (frame[name].to_numpy().astype(np.float64) for name in columns)
        test, at, stops = _clock(operation)
    except (
        DataError,
        OSError,
        polars.exceptions.PolarsError,
        polars.exceptions.PanicException,
        ValueError,
        csv.Error,
    ) as error:
        told(f"the cycler's record is not shown beside the spectra: {error}")
        return _EMPTY, _EMPTY, _EMPTY
    # At the instant of a suspension the test's clock has two times of this PC; the record before it is the earlier.
    hours = (np.interp(time, test, at) - began) / 3600.0
    for stop, since, until in stops:
        place = int(np.searchsorted(time, stop, side="right"))
        moments = (np.array([since, until]) - began) / 3600.0
        hours[(time == stop) & (np.arange(len(time)) < place)] = moments[0]
        hours = np.insert(hours, place, moments)
        time = np.insert(time, place, [stop, stop])
        voltage = np.insert(voltage, place, [math.nan, math.nan])
        current = np.insert(current, place, [0.0, 0.0])
    return hours, voltage, 1e3 * current


def _clock(operation: Operation) -> tuple[Floats, Floats, list[tuple[float, float, float]]]:
    """Read how the test's clock went.

    Returns
    -------
    test, at : ndarray
        Nodes: the test's clock, s, and this PC's, s UTC.
    stops : list of tuple
        Where it stood: what it showed, and since when and until when.

    Raises
    ------
    DataError
        If the looks are not to be had, or it was never seen running.
    """
    path = operation.file("looks.csv")
    looks: list[tuple[float, float, bool]] = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file):
            try:
                look = float(row[0]), float(row[1]), row[2] == "1"
            except (ValueError, IndexError):
                continue  # the first line, and what a kill has torn
            if math.isfinite(look[0]) and math.isfinite(look[1]):
                looks.append(look)
    nodes: list[tuple[float, float]] = []
    stops: list[tuple[float, float, float]] = []
    stood: tuple[float, float] | None = None
    for at, test, standing in sorted(looks):
        if standing:
            if nodes and stood is None:
                stood = test, nodes[-1][1] + max(0.0, test - nodes[-1][0])
                nodes.append(stood)
            continue
        if stood is not None:
            until = max(stood[1], at - max(0.0, test - stood[0]))
            stops.append((stood[0], stood[1], until))
            nodes.append((stood[0], until))
            stood = None
        nodes.append((test, at))
    if not nodes:
        raise DataError(f"{path}: the test's clock was never seen running")
    (first, at_first), (last, at_last) = nodes[0], nodes[-1]
    told = np.array([(first - _LONG, at_first - _LONG), *nodes, (last + _LONG, at_last + _LONG)])
    return told[:, 0], told[:, 1], stops
