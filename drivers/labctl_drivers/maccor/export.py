"""The tester's text export as records: read whole, checked for gaps, seen by steps of the program, and written as csv.

MacNet itself gives only the latest reading; the records come from the folder into which the tester exports a
tab-separated text file per test. ``export_layouts`` knows the spellings, ``export_reader`` reads, ``tail`` follows a
file while it grows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from labctl.errors import DataError
from labctl_drivers.maccor.codes import (
    END_CAPACITY,
    END_CURRENT,
    END_TIME,
    END_VOLTAGE,
    FAULTS,
    NORMAL_END,
    SUSPENDED_BY_OPERATOR,
)
from labctl_drivers.maccor.export_layouts import could_be_heading
from labctl_drivers.maccor.export_reader import Reader, Records
from labctl_drivers.maccor.procedure import TesterStep

#: Ends of steps that do nothing with the cell: cycle number, loop count.
_COUNTED: Final = (131, 147)
# Thermocouples and thermistors have a code each.
_ENDS: Final = {
    END_VOLTAGE: "voltage",
    END_CURRENT: "current",
    END_CAPACITY: "capacity",
    158: "temperature",
    159: "temperature",
}
__all__ = ["ProgramView", "Records", "begun_at", "check_gaps", "csv_text", "how_ended", "parse", "program_view"]

#: The test's clock may seem to go back by so much, s, where times are exported rounded.
_ROUNDING: Final = 1.0
#: Of the columns for the date of a record, which layouts spell differently.
_DATED: Final = re.compile(r"DPT Time\Z", re.IGNORECASE)
_DATES: Final = ("%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%d-%b-%y %I:%M:%S %p")


def parse(data: bytes, file: str) -> Records:
    """Read an export file.

    Parameters
    ----------
    data : bytes
        The whole file, perhaps with an unfinished last line, which is left out.
    file : str
        For messages.

    Raises
    ------
    DataError
        It is no export, its heading is unknown, or a line can't be read or contradicts those before it.
    """
    reader = Reader(file)
    records = reader.read(data, final=True)
    if not reader.has_heading:
        raise DataError(f"{file}: no heading yet; is this the tester's text export?")
    return records


def begun_at(data: bytes) -> datetime | None:
    """When the first record was made, by the tester's clock taken for UTC; None where that can't be told."""
    lines = iter(data.decode("latin-1").split("\n"))
    names = next((line.split("\t") for line in lines if could_be_heading(line)), [])
    at = next((index for index, name in enumerate(names) if _DATED.match(name.strip())), None)
    first = next((line.split("\t") for line in lines if line.strip()), [])
    if at is None or at >= len(first):
        return None
    for spelling in _DATES:
        try:
            return datetime.strptime(first[at].strip(), spelling).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def check_gaps(records: Records, file: str, last: int | None) -> None:
    """Make sure that every record number from the first to ``last`` is there once.

    Raises
    ------
    DataError
        Naming the numbers that are missing or come twice, or a record at which the test's clock goes back.
    """
    if not records.number.size:
        raise DataError(f"{file}: no records")
    first = min(1, int(records.number[0]))
    final = max(int(records.number[-1]), last or 0)
    _check_numbers(records, file, first, final)
    _check_clock(records, file, None)


def check_next(records: Records, file: str, before: tuple[int, float] | None) -> None:
    """Make sure that records follow on the one before.

    Parameters
    ----------
    before : tuple of int and float
        Number and time (s) of the record before; None where these are the first of the test.

    Raises
    ------
    DataError
        As :func:`check_gaps` does.
    """
    if not records.number.size:
        return
    first = min(1, int(records.number[0])) if before is None else before[0] + 1
    _check_numbers(records, file, first, int(records.number[-1]))
    _check_clock(records, file, before)


def _check_numbers(records: Records, file: str, first: int, final: int) -> None:
    found = records.number
    if int(found[0]) == first and found.size == final - first + 1 and bool(np.all(np.diff(found) == 1)):
        return
    # Not by listing all that should be there: a garbled number may be anything.
    present = np.unique(found[(found >= first) & (found <= final)])
    edges = np.concatenate(([first - 1], present, [final + 1]))
    lost = [(int(edges[at]) + 1, int(edges[at + 1]) - 1) for at in np.flatnonzero(np.diff(edges) > 1)]
    if lost:
        raise DataError(f"{file}: record {_ranges(lost)} of {first} to {final} is missing")
    raise DataError(f"{file}: the record numbers do not rise one by one")


def _check_clock(records: Records, file: str, before: tuple[int, float] | None) -> None:
    times = records.time if before is None else np.concatenate(([before[1]], records.time))
    back = np.flatnonzero(np.diff(times) < -_ROUNDING)
    if back.size:
        at = int(back[0])
        number = int(records.number[at + (before is None)])
        raise DataError(
            f"{file}: at record {number} the test's clock goes back from {times[at]:g} to {times[at + 1]:g} s"
        )


def _ranges(runs: Sequence[tuple[int, int]]) -> str:
    texts = [str(begin) if begin == end else f"{begin} to {end}" for begin, end in runs[:5]]
    return ", ".join(texts) + (", …" if len(runs) > 5 else "")


class ProgramView:
    """Records by steps of the program, where one of them can be several of the tester's; in pieces as they come.

    The capacity runs on over the tester's steps that belong together; the End step counts to the last of the program,
    so that the last record tells the whole of it.

    Parameters
    ----------
    plan : sequence of TesterStep
        The tester's steps; without any the records stay as they are.
    """

    def __init__(self, plan: Sequence[TesterStep]) -> None:
        self._count = len(plan)
        self._programs = np.array([one.program for one in (plan[0], *plan, plan[-1])] if plan else [], dtype=np.int64)
        # The record before: its step and capacity, what had run up by it, and by the beginning of its program step.
        self._before: tuple[int, float, int] | None = None
        self._ended = self._base = 0.0

    def see(self, records: Records) -> Records:
        """Give the records that follow on those seen before, by steps of the program."""
        if not self._count or not records.number.size:
            return records
        step = self._programs[np.clip(records.step, 0, self._count + 1)]
        before = self._before or (int(records.step[0]), float(records.capacity[0]), int(step[0]) - 1)
        steps = np.concatenate(([before[0]], records.step))
        capacities = np.concatenate(([before[1]], records.capacity))
        # A new run of the tester's counter begins where its step changes, or where the counter fell back.
        begins = (np.diff(steps) != 0) | (np.diff(capacities) < 0)
        ended = np.cumsum(np.concatenate(([self._ended], np.where(begins, capacities[:-1], 0.0))))[1:]
        # Subtract what had run up before each program step.
        starts = np.diff(np.concatenate(([before[2]], step))) != 0
        base = np.maximum.accumulate(np.concatenate(([self._base], np.where(starts, ended, 0.0))))[1:]
        self._before = int(records.step[-1]), float(records.capacity[-1]), int(step[-1])
        self._ended, self._base = float(ended[-1]), float(base[-1])
        return Records(
            records.number,
            step,
            records.end,
            records.time,
            records.voltage,
            records.current,
            records.capacity + ended - base,
            records.state,
        )


def program_view(records: Records, plan: Sequence[TesterStep]) -> Records:
    """Give all records of a test by steps of the program."""
    return ProgramView(plan).see(records)


def how_ended(records: Records, plan: Sequence[TesterStep]) -> tuple[str, bool]:
    """Tell how the last step ended, and whether that was a guard.

    Returns
    -------
    end : str
        ``voltage``, ``current``, ``capacity``, ``temperature``, ``time``, ``aborted`` or ``fault``.
    guard : bool
        Whether a time that should not have been what ended it did.
    """
    codes = records.end
    final = int(codes[-1])
    if final in FAULTS:
        return "fault", False
    ends = np.flatnonzero((codes >= 128) & (codes < SUSPENDED_BY_OPERATOR) & ~np.isin(codes, _COUNTED))
    if final != NORMAL_END or not ends.size:
        return "aborted", False
    code, number = int(codes[ends[-1]]), int(records.step[ends[-1]])
    step = plan[number - 1] if 0 < number <= len(plan) else None
    if code == END_TIME:
        if step is not None and step.confirm:
            return "temperature" if step.kind == "Rest" else "current", False
        return "time", step is not None and step.guard
    return _ENDS.get(code, "fault"), False


def csv_text(records: Records) -> str:
    """Give the table in the cycler contract's columns."""
    columns: list[list[Any]] = [
        records.number.tolist(),
        records.time.tolist(),
        records.step.tolist(),
        records.voltage.tolist(),
        records.current.tolist(),
        records.capacity.tolist(),
        records.state,
        records.end.tolist(),
    ]
    template = "%d,%.10g,%d,%.10g,%.10g,%.10g,%s,%d\n"
    body = "".join([template % row for row in zip(*columns, strict=True)])
    return "record,time_s,step,voltage_V,current_A,capacity_C,state,end\n" + body
