"""The record file of one operation: append-only, a checksum on every line, readable after any kill.

It is text. Every line ends in the CRC-32 of what stands before its last comma, as eight hex digits::

    # {"schema": "labctl.records/1", "operation": "…", "units": {…}},0a1b2c3d
    record,time_s,step,voltage_V,current_A,capacity_C,state,end,crc32
    1,0,1,3.1042,0,0,R,0,5e6f7a8b

so that any reader of CSV that skips ``#`` can open it too. A line counts whole or not at all. This module knows the
lines and reads files; ``recording`` appends. Not for what an operation is or how it ended (``operation.json``), nor
for raw vendor files.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

from labctl.errors import DataError

SCHEMA: Final = "labctl.records/1"
UNITS: Final = {
    "record": "1",
    "time_s": "s",
    "step": "1",
    "voltage_V": "V",
    "current_A": "A",
    "capacity_C": "C",
    "state": "",
    "end": "",
}
#: The columns of ``records.csv``, in order.
COLUMNS: Final = ",".join(UNITS)

NAMES: Final = f"{COLUMNS},crc32\n".encode()
HEAD: Final = b"# "
# A state is a word or letter of the instrument; what would break the line is refused.
_STATE: Final = re.compile(r"[^,\"\x00-\x1f\x7f]*")
_WHOLE, _REAL = r"-?\d+", r"(?:-?\d+\.?\d*(?:[eE][-+]?\d+)?|nan|-?inf)"
#: What the line of a record looks like without its checksum.
ROW: Final = re.compile(
    rf"{_WHOLE},{_REAL},{_WHOLE},{_REAL},{_REAL},{_REAL},{_STATE.pattern},{_WHOLE}".encode(), re.DOTALL
)


class Record(NamedTuple):
    """One record of a cycler: SI, charging positive, number and step and end code as the instrument counts them."""

    record: int
    time_s: float
    step: int
    voltage_V: float
    current_A: float
    capacity_C: float
    state: str
    end: int


@dataclass(frozen=True, slots=True)
class RecordFile:
    """What could be read of a record file.

    Attributes
    ----------
    operation : str or None
        Whose records they are; None where the first line is damaged.
    lines : tuple of bytes
        The whole lines in order, without checksum and line end.
    torn : int
        Lines that were rejected: unfinished, damaged, or with a number that does not rise.
    """

    operation: str | None
    lines: tuple[bytes, ...]
    torn: int

    def rows(self) -> list[Record]:
        """Give the records."""
        return [record_of(line) for line in self.lines]

    def numbers(self) -> list[int]:
        """Give the record numbers, rising."""
        return [number_of(line) for line in self.lines]

    def missing(self, first: int | None = None, last: int | None = None) -> tuple[range, ...]:
        """Give the runs of record numbers that are not there between ``first`` and ``last``.

        Parameters
        ----------
        first, last : int, optional
            What the instrument says it has; by default the first and last that are there.
        """
        numbers = self.numbers()
        inner = [range(a + 1, b) for a, b in pairwise(numbers) if b > a + 1]
        if not numbers:
            return (range(first, last + 1),) if first is not None and last is not None else ()
        before = [range(first, numbers[0])] if first is not None and first < numbers[0] else []
        after = [range(numbers[-1] + 1, last + 1)] if last is not None and last > numbers[-1] else []
        return (*before, *inner, *after)

    def csv(self) -> str:
        """Give the table as ``records.csv`` has it."""
        return "\n".join([COLUMNS, *(line.decode() for line in self.lines), ""])


def read_records(path: Path) -> RecordFile:
    """Read what is whole of a record file.

    A damaged line is left out and counted, never repaired; where a line end is damaged, the two lines that it parted
    are one damaged line.

    Raises
    ------
    DataError
        There is no such file, or it can't be read.
    """
    try:
        parts = path.read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error})") from error
    operation, lines, torn = None, [], 0 if parts.pop() == b"" else 1
    last: int | None = None
    names = NAMES[:-1]
    for index, part in enumerate(parts):
        line = unsealed(part)
        if index == 0 and (operation := operation_of(part)) is not None:
            continue
        if index == 1 and part == names:
            continue
        # A number that does not rise would be a record twice.
        if line is None or ROW.fullmatch(line) is None or (last is not None and number_of(line) <= last):
            torn += 1
            continue
        last = number_of(line)
        lines.append(line)
    return RecordFile(operation, tuple(lines), torn)


def line_of(record: Record) -> bytes:
    """Write a record as its line, without checksum.

    Raises
    ------
    DataError
        Its state can't stand in a line.
    """
    if _STATE.fullmatch(record.state) is None:
        raise DataError(f"record {record.record}: the state {record.state!r} can't stand in a line")
    number, time, step, voltage, current, capacity, state, end = record
    # A float's repr is the shortest text that reads back as the same number.
    reals = [repr(float(value)) for value in (time, voltage, current, capacity)]
    return f"{number},{reals[0]},{step},{reals[1]},{reals[2]},{reals[3]},{state},{end}".encode()


def record_of(line: bytes) -> Record:
    """Read the line of a record back."""
    number, time, step, voltage, current, capacity, state, end = line.decode().split(",")
    return Record(int(number), float(time), int(step), float(voltage), float(current), float(capacity), state, int(end))


def number_of(line: bytes) -> int:
    """Read the record number off a line."""
    return int(line.partition(b",")[0])


def sealed(line: bytes) -> bytes:
    """Put the checksum and the line end behind a line."""
    return b"%b,%08x\n" % (line, crc32(line))


def unsealed(line: bytes) -> bytes | None:
    """Take the checksum off a line; None where it does not fit."""
    content, _, found = line.rpartition(b",")
    return content if found == b"%08x" % crc32(content) else None


def operation_of(line: bytes) -> str | None:
    """Read whose records these are from a first line; None if it is none or damaged."""
    content = unsealed(line)
    if content is None or not content.startswith(HEAD):
        return None
    try:
        found = json.loads(content[len(HEAD) :])
    except ValueError:
        return None
    return str(found["operation"]) if isinstance(found, dict) and found.get("schema") == SCHEMA else None


def run_of(numbers: range) -> str:
    """Say a run of record numbers: ``7`` or ``7 to 9``."""
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
