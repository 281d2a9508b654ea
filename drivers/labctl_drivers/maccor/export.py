"""The tester's text export: read, checked for gaps, and written as ``records.csv``.

MacNet itself gives only the latest reading; the records come from the folder into which the tester exports a
tab-separated text file per test. Both known headings are read (seconds, or days and clock times), decimal commas,
unsigned currents, and a last line that is still being written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labctl.errors import DataError
from labctl_drivers.maccor.codes import (
    END_CURRENT,
    END_TIME,
    END_VOLTAGE,
    FAULTS,
    NORMAL_END,
    SUSPENDED_BY_OPERATOR,
)
from labctl_drivers.maccor.procedure import TesterStep

_CLOCK: Final = re.compile(r"\s*(?:(\d+)d)?\s*(\d+):(\d+):(\d+(?:[.,]\d*)?)\s*\Z")
_COLUMNS: Final = {
    "Rec#": "record",
    "Step": "step",
    "Test (Sec)": "time",
    "TestTime": "time",
    "Amp-hr": "capacity",
    "Amps": "current",
    "Volts": "voltage",
    "State": "state",
    "ES": "end",
}
# Thermocouples and thermistors have a code each.
_ENDS: Final = {END_VOLTAGE: "voltage", END_CURRENT: "current", 158: "temperature", 159: "temperature"}


@dataclass(frozen=True, slots=True)
class Records:
    """All records of one test, in the tester's order.

    Attributes
    ----------
    number, step, end : ndarray of int
        Record number, tester step, and why the record was made (ES).
    time, voltage, current, capacity : ndarray of float
        Seconds of the test, V, A (charging positive), and the tester step's capacity in C as a magnitude.
    state : list of str
        The tester's state letter.
    """

    number: NDArray[np.int64]
    step: NDArray[np.int64]
    end: NDArray[np.int64]
    time: NDArray[np.float64]
    voltage: NDArray[np.float64]
    current: NDArray[np.float64]
    capacity: NDArray[np.float64]
    state: list[str]

    def closed(self) -> bool:
        """Whether the last record is one after which no more can come: an end, a suspension, or a fault."""
        return bool(self.number.size) and int(self.end[-1]) in FAULTS | {NORMAL_END, SUSPENDED_BY_OPERATOR}


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
        It is no export, or a line in its middle can't be read.
    """
    # What follows the last line end is a line that is still being written, or nothing.
    *lines, _ = data.decode("latin-1").split("\n")
    if len(lines) < 2:
        raise DataError(f"{file}: no heading yet; is this the tester's text export?")
    heading = [name.strip() for name in lines[1].split("\t")]
    where = {_COLUMNS[name]: index for index, name in reversed(list(enumerate(heading))) if name in _COLUMNS}
    missing = sorted(set(_COLUMNS.values()) - set(where))
    if missing:
        raise DataError(f"{file}: no column for {', '.join(missing)} in the heading")
    # Exports differ in whether trailing empty columns are written, so the last needed column decides.
    needed = max(where.values()) + 1
    rows = [line.split("\t", needed) for line in lines[2:]]
    for index, row in enumerate(rows):
        if len(row) < needed:
            raise DataError(f"{file}:{index + 3}: {len(row)} columns where {needed} are needed")
    columns: dict[str, Sequence[str]] = {name: [row[at] for row in rows] for name, at in where.items()}
    try:
        return _records(columns)
    except ValueError as error:
        raise DataError(f"{file}: {error}") from error


def _records(columns: dict[str, Sequence[str]]) -> Records:
    state = [letter.strip() for letter in columns["state"]]
    current = _numbers(columns["current"])
    discharging = np.array([letter.startswith("D") for letter in state], dtype=bool)
    if not np.any(current[discharging] < 0):
        # An unsigned export: the direction stands in the state letter.
        current = np.where(discharging, -current, current)
    return Records(
        number=_numbers(columns["record"]).astype(np.int64),
        step=_numbers(columns["step"]).astype(np.int64),
        end=_numbers(columns["end"]).astype(np.int64),
        time=_times(columns["time"]),
        voltage=_numbers(columns["voltage"]),
        current=current,
        capacity=np.abs(_numbers(columns["capacity"])) * 3600.0,
        state=state,
    )


def _numbers(texts: Sequence[str]) -> NDArray[np.float64]:
    try:
        return np.array(list(map(float, texts)))
    except ValueError:
        return np.array([float(text.replace(",", ".")) for text in texts])


def _times(texts: Sequence[str]) -> NDArray[np.float64]:
    if texts and ":" in texts[0]:
        return np.array([_clock(text) for text in texts])
    return _numbers(texts)


def _clock(text: str) -> float:
    match = _CLOCK.match(text)
    if match is None:
        raise ValueError(f"'{text}' is no time of a test")
    days, hours, minutes, seconds = match.groups()
    whole = 86400 * int(days or 0) + 3600 * int(hours) + 60 * int(minutes)
    return whole + float(seconds.replace(",", "."))


def begun_at(data: bytes) -> datetime | None:
    """When the first record was made, by the tester's clock taken for UTC; None where that can't be told."""
    lines = data.decode("latin-1").split("\n", 3)[1:3]
    if len(lines) < 2:
        return None
    row = dict(zip((name.strip() for name in lines[0].split("\t")), lines[1].split("\t"), strict=False))
    try:
        return datetime.strptime(row.get("DPt Time", "").strip(), "%m/%d/%Y %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def check_gaps(records: Records, file: str, last: int | None) -> None:
    """Make sure that every record number from the first to ``last`` is there once.

    Raises
    ------
    DataError
        Naming the numbers that are missing or come twice.
    """
    if not records.number.size:
        raise DataError(f"{file}: no records")
    first = min(1, int(records.number[0]))
    final = max(int(records.number[-1]), last or 0)
    expected = np.arange(first, final + 1)
    if records.number.size == expected.size and bool(np.all(records.number == expected)):
        return
    lost = np.setdiff1d(expected, records.number)
    if lost.size:
        raise DataError(f"{file}: record {_ranges(lost)} of {first} to {final} is missing")
    raise DataError(f"{file}: the record numbers do not rise one by one")


def _ranges(numbers: NDArray[np.int64]) -> str:
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
    texts = [str(run[0]) if run.size == 1 else f"{run[0]} to {run[-1]}" for run in runs[:5]]
    return ", ".join(texts) + (", …" if len(runs) > 5 else "")


def program_view(records: Records, plan: Sequence[TesterStep]) -> Records:
    """The same records by steps of the program, where one of them can be several of the tester's.

    The capacity runs on over the tester's steps that belong together; the End step counts to the last of the program,
    so that the last record tells the whole of it.
    """
    if not plan or not records.number.size:
        return records
    last = plan[-1].program
    program_of = np.array([plan[0].program, *(step.program for step in plan), last])
    step = program_of[np.clip(records.step, 0, len(plan) + 1)]
    # A new run of the tester's counter begins where its step changes, or where the counter fell back.
    begins = (np.diff(records.step) != 0) | (np.diff(records.capacity) < 0)
    ended = np.where(begins, records.capacity[:-1], 0.0)
    running = records.capacity + np.concatenate(([0.0], np.cumsum(ended)))
    # Subtract what had run up before each program step.
    starts = np.concatenate(([True], np.diff(step) != 0))
    base = np.where(starts, running - records.capacity, 0.0)
    base = np.maximum.accumulate(base)
    return _with(records, step, running - base)


def _with(records: Records, step: NDArray[np.int64], capacity: NDArray[np.float64]) -> Records:
    return Records(
        records.number, step, records.end, records.time, records.voltage, records.current, capacity, records.state
    )


def how_ended(records: Records, plan: Sequence[TesterStep]) -> tuple[str, bool]:
    """Tell how the last step ended, and whether that was a guard.

    Returns
    -------
    end : str
        ``voltage``, ``current``, ``temperature``, ``time``, ``aborted`` or ``fault``.
    guard : bool
        Whether a time that should not have been what ended it did.
    """
    codes = records.end
    final = int(codes[-1])
    if final in FAULTS:
        return "fault", False
    ends = np.flatnonzero((codes >= 128) & (codes < SUSPENDED_BY_OPERATOR))
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
    """``records.csv`` in the cycler contract's columns."""
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
