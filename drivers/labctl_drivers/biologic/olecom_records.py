"""From the data files of a run to its numbered records. Pure.

Files are one for each technique, and hold all passes of a loop; put in order by time, which runs through, they are the
order in which the channel made them. A technique that comes again after another has begun a further pass; one that
loops on itself has where a row repeats the time before, or where the file's own list of loops says so, which is there
only once EC-Lab has closed it. A spectrum's rows at the frequency 0 are direct current before its first point.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from labctl.errors import DataError
from labctl_drivers.biologic.backend import Point, Record, Sample
from labctl_drivers.biologic.mpr import Measured

_VOLTAGES: Final = ("Ewe/V", "<Ewe>/V")
_COUNTERS: Final = ("Ece/V", "<Ece>/V")
_CURRENTS: Final = ("I/mA", "<I>/mA")


def records_of(files: Mapping[int, Measured], *, own_times: bool = False, known: Sequence[Record] = ()) -> list[Record]:
    """Give all records, numbered from 1.

    Parameters
    ----------
    files : mapping
        By technique, from 0.
    own_times : bool
        Whether each file counts its time from the start of its technique, which then follows from its log.
    known : sequence of Record
        What was given before: only its newest is made anew, to be compared, as a long series has tens of thousands.

    Raises
    ------
    DataError
        A file lacks time or voltage, or the logs that are needed do not tell when they began.
    """
    beginning = files[min(files)].started if files else None
    views: dict[int, Mapping[str, Any]] = {}
    times: dict[int, Any] = {}
    for technique in sorted(files):
        measured = files[technique]
        view = views[technique] = _view(measured, technique)
        shift = 0.0
        if own_times and technique != min(files):
            if measured.started is None or beginning is None:
                raise DataError(f"technique {technique + 1}: its log does not tell when it began")
            shift = (measured.started - beginning).total_seconds()
        times[technique] = view["time"] + shift
        if np.any(np.diff(times[technique]) < 0):
            raise DataError(f"technique {technique + 1}: its times do not rise from row to row")
    found: list[Record] = []
    passed = dict.fromkeys(files, -1)
    for technique, first, last in _stretches(times):
        passed[technique] += 1
        inner = _begins(
            times[technique][first:last],
            [one - first for one in files[technique].loops],
            _part(views[technique]["frequency"], first, last),
        )
        for row in range(first, last):
            passed[technique] += row - first in inner
            number = len(found) + 1
            before = known[number - 1] if number < len(known) else None
            if before is not None and (before.technique, before.passed) == (technique, passed[technique]):
                found.append(before)
                continue
            at = float(times[technique][row])
            found.append(_record(number, technique, at, row, passed[technique], views[technique]))
    return found


def _stretches(times: Mapping[int, Any]) -> Iterator[tuple[int, int, int]]:
    """Give technique, first row and row behind the last of every stretch that one technique made, in order."""
    heads = dict.fromkeys(times, 0)
    waiting = [technique for technique, column in times.items() if len(column)]
    while waiting:
        technique = min(waiting, key=lambda one: (float(times[one][heads[one]]), one))
        first = heads[technique]
        others = [float(times[one][heads[one]]) for one in waiting if one != technique]
        # Where one technique ends as another begins, the row that ends comes first.
        last = int(np.searchsorted(times[technique], min(others), side="right")) if others else len(times[technique])
        heads[technique] = max(first + 1, last)
        yield technique, first, heads[technique]
        waiting = [one for one in waiting if heads[one] < len(times[one])]


def _part(column: Any, first: int, last: int) -> Any:
    return None if column is None else column[first:last]


def _begins(times: Any, told: Sequence[int], frequency: Any) -> set[int]:
    """Rows of a stretch, but the first, with which a technique that loops on itself begins anew.

    A sweep begins anew with the first row behind a point that is not a point of a lower frequency.
    """
    if frequency is not None:
        before, after = frequency[:-1], frequency[1:]
        return {int(one) for one in np.flatnonzero((before > 0) & ((after == 0) | (after >= before))) + 1}
    repeated = np.flatnonzero(np.diff(times) == 0) + 1
    return {int(one) for one in repeated} | {one for one in told if 0 < one < len(times)}


def _view(measured: Measured, technique: int) -> dict[str, Any]:
    columns = measured.columns
    if "time/s" not in columns:
        raise DataError(f"technique {technique + 1}: its file has no time")
    voltage = _first(columns, _VOLTAGES)
    if voltage is None:
        raise DataError(f"technique {technique + 1}: its file has no voltage of the working electrode")
    current = _first(columns, _CURRENTS)
    view: dict[str, Any] = {
        "time": columns["time/s"],
        "voltage": voltage,
        # At open circuit no current is recorded.
        "current": np.zeros(measured.rows) if current is None else current,
        "counter": _first(columns, _COUNTERS),
        "frequency": columns.get("freq/Hz"),
    }
    if view["frequency"] is not None:
        if "Re(Z)/Ohm" not in columns or "-Im(Z)/Ohm" not in columns:
            raise DataError(f"technique {technique + 1}: its file has frequencies and no impedance")
        view["working"] = columns["Re(Z)/Ohm"] - 1j * columns["-Im(Z)/Ohm"]
        view["far"] = _counter_impedance(columns, view["working"])
    return view


def _counter_impedance(columns: Mapping[str, Any], working: Any) -> Any:
    """Give the part of the cell's impedance that is not the working electrode's; None where it was not measured."""
    if "Re(Zwe-ce)/Ohm" in columns and "-Im(Zwe-ce)/Ohm" in columns:
        return columns["Re(Zwe-ce)/Ohm"] - 1j * columns["-Im(Zwe-ce)/Ohm"] - working
    if "Re(Zce)/Ohm" in columns and "-Im(Zce)/Ohm" in columns:
        # Ece over the current of the working electrode: the cell is their difference.
        return 1j * columns["-Im(Zce)/Ohm"] - columns["Re(Zce)/Ohm"]
    return None


def _first(columns: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((columns[name] for name in names if name in columns), None)


def _record(number: int, technique: int, at: float, row: int, passed: int, view: Mapping[str, Any]) -> Record:
    voltage, current = float(view["voltage"][row]), float(view["current"][row])
    frequency = view["frequency"]
    if frequency is not None and frequency[row] > 0:
        far = view["far"]
        return Point(
            number=number,
            technique=technique,
            at=at,
            frequency=float(frequency[row]),
            working=complex(view["working"][row]),
            counter=None if far is None else complex(far[row]),
            voltage=voltage,
            current=current,
            passed=passed,
        )
    counter = view["counter"]
    far_voltage = None if counter is None else float(counter[row])
    return Sample(number, technique, at, voltage, far_voltage, current, passed)
