"""Appending to a record file, from wherever the last process was killed.

What a kill leaves unfinished can only be the tail: opening a file to append looks at its first lines and its tail
alone, however long it is, cuts off what is torn, and goes on after the last whole line.

Each append is one write and is handed to the operating system at once, so it outlives this process. Only
:meth:`RecordWriter.sync` and closing force it to the disk: what a power cut takes, the instrument still has, and
appending what it has beyond :attr:`RecordWriter.last` heals the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from labctl.errors import DataError
from labctl.results.records import (
    COLUMNS,
    HEAD,
    NAMES,
    ROW,
    SCHEMA,
    UNITS,
    Record,
    line_of,
    number_of,
    operation_of,
    run_of,
    sealed,
    unsealed,
)

# How much of a tail is looked at first; doubled until a whole line is in it.
_TAIL: Final = 4096


class RecordsRefused(DataError):
    """Records that do not follow on the last one; nothing of them was written.

    Parameters
    ----------
    path : Path
        The record file.
    last : int or None
        The last record in it.
    found : int
        The first number that does not follow.
    expected : int
        The number that would.
    """

    def __init__(self, path: Path, last: int | None, found: int, expected: int) -> None:
        self.last, self.found = last, found
        self.missing = range(expected, found)
        if self.missing:
            what = f"record {run_of(self.missing)} is missing before {found}"
        else:
            what = f"record {found} comes again after {expected - 1}"
        super().__init__(f"{path}: {what}; nothing of these records was appended")


class RecordWriter:
    """Appends to the record file of one operation; the only writer of it.

    Parameters
    ----------
    path : Path
        Made with its folder if it isn't there. One that is there is gone on with after its last whole line.
    operation : str
        The operation's id.

    Raises
    ------
    DataError
        The file is another operation's, is no record file, or can't be written.
    """

    def __init__(self, path: Path, operation: str) -> None:
        self.path = path
        self.operation = operation
        self._last: int | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644), "r+")
        except OSError as error:
            raise DataError(f"{path}: can't be opened ({error})") from error
        try:
            self._end = self._open()
        except (OSError, DataError) as error:
            self._file.close()
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path}: can't be read or written ({error})") from error

    @property
    def last(self) -> int | None:
        """The last record's number; None while there is none."""
        return self._last

    def append(self, records: Iterable[Record]) -> int:
        """Append records that follow on the last one, in one write, and return how many.

        Raises
        ------
        RecordsRefused
            A number comes again or one is missing; nothing was written.
        DataError
            A state can't stand in a line, or the file can't be written (a full disk); nothing of them remains.
        """
        return self._append([line_of(record) for record in records])

    def append_new(self, records: Iterable[Record]) -> int:
        """Append what lies beyond :attr:`last` and leave out the rest; see :meth:`append`."""
        last = self._last
        return self.append(record for record in records if last is None or record.record > last)

    def append_csv(self, text: str) -> int:
        """Append what a ``records.csv`` has beyond :attr:`last`, its digits as they are; see :meth:`append`.

        Parameters
        ----------
        text : str
            The whole table with its heading, as a driver's ``fetch`` lays it down.
        """
        heading, _, body = text.encode().partition(b"\n")
        if heading.rstrip(b"\r") != COLUMNS.encode():
            raise DataError(f"{self.path}: a table with the columns {heading.decode()} can't be appended")
        lines = body.replace(b"\r", b"").split(b"\n")
        if lines.pop() != b"":
            raise DataError(f"{self.path}: the table to append ends within a line")
        damaged = next((line for line in lines if ROW.fullmatch(line) is None), None)
        if damaged is not None:
            raise DataError(f"{self.path}: '{damaged.decode()}' is no record")
        last = self._last
        return self._append([line for line in lines if last is None or number_of(line) > last])

    def sync(self) -> None:
        """Force everything to the disk.

        Raises
        ------
        DataError
            The disk does not take it.
        """
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise DataError(f"{self.path}: not safe on the disk ({error})") from error

    def close(self, *, sync: bool = True) -> None:
        """Close; closing again does nothing.

        Parameters
        ----------
        sync : bool
            Force everything to the disk first; see :meth:`sync`.
        """
        if self._file.closed:
            return
        try:
            if sync:
                self.sync()
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, lines: Sequence[bytes]) -> int:
        if not lines:
            return 0
        first = number_of(lines[0])
        expected = first if self._last is None else self._last + 1
        for line in lines:
            if (found := number_of(line)) != expected:
                last = self._last if line is lines[0] else expected - 1
                raise RecordsRefused(self.path, last, found, expected)
            expected += 1
        self._write(b"".join([sealed(line) for line in lines]))
        self._last = expected - 1
        return len(lines)

    def _write(self, data: bytes) -> None:
        try:
            self._file.seek(self._end)
            written = self._file.write(data)
            if written != len(data):
                raise OSError(f"{written} of {len(data)} bytes were taken")
        except OSError as error:
            # What was taken in part is torn; the next append writes over it even if it can't be cut off now.
            self._cut(self._end)
            raise DataError(f"{self.path}: can't be written ({error})", hint="is the disk full?") from error
        self._end += len(data)

    def _cut(self, end: int) -> None:
        with suppress(OSError):
            self._file.truncate(end)

    def _open(self) -> int:
        """Read first line and tail, cut off what is torn, and return where to go on."""
        size = self._file.seek(0, os.SEEK_END)
        head = sealed(HEAD + json.dumps({"schema": SCHEMA, "operation": self.operation, "units": UNITS}).encode())
        head += NAMES
        if size == 0:
            return self._begin(head)
        self._file.seek(0)
        found = self._file.read(max(len(head), _TAIL))
        if not found.startswith(head):
            return self._other(found, size, head)
        end, self._last = self._last_whole(len(head), size)
        if end != size:
            self._file.truncate(end)
        return end

    def _begin(self, head: bytes) -> int:
        self._file.truncate(0)
        self._file.seek(0)
        if self._file.write(head) != len(head):
            raise OSError("the disk is full")
        return len(head)

    def _other(self, found: bytes, size: int, head: bytes) -> int:
        """Tell why the first lines are not ours; a beginning of ours that was torn is written anew."""
        if size < len(head) and head.startswith(found):
            return self._begin(head)
        operation = operation_of(found.partition(b"\n")[0])
        if operation is not None and operation != self.operation:
            raise DataError(f"{self.path}: the records of {operation}, not of {self.operation}")
        raise DataError(
            f"{self.path}: its first lines are damaged or those of another file",
            hint="move it aside; what the instrument still has is written to a new one",
        )

    def _last_whole(self, start: int, size: int) -> tuple[int, int | None]:
        """Find the end and number of the last whole line between ``start`` and ``size``, from behind."""
        window = _TAIL
        while True:
            begin = max(start, size - window)
            self._file.seek(begin)
            tail = self._read(size - begin)
            if begin > start:
                # What stands before the first line end may be half a line.
                cut = tail.find(b"\n") + 1
                begin, tail = begin + cut, tail[cut:]
            end = tail.rfind(b"\n") + 1
            while end > 0:
                before = tail.rfind(b"\n", 0, end - 1) + 1
                line = unsealed(tail[before : end - 1])
                if line is not None and ROW.fullmatch(line):
                    return begin + end, number_of(line)
                end = before
            if size - window <= start:
                return start, None
            window *= 2

    def _read(self, count: int) -> bytes:
        parts = []
        while count > 0 and (part := self._file.read(count)):
            parts.append(part)
            count -= len(part)
        return b"".join(parts)
