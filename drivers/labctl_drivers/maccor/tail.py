"""Follows a test's text export while the tester writes it: each look reads only what came since the one before.

What was read is told to be the same file by its last bytes. A file that is shorter or other than it was is read from
its beginning, which is said. Records stay here until the next look shows that they were kept, so none is lost where
keeping them failed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from labctl.errors import DataError
from labctl_drivers.maccor.export import ProgramView, Records, check_next, csv_text
from labctl_drivers.maccor.export_reader import Reader, none
from labctl_drivers.maccor.procedure import TesterStep

#: Bytes before the place of reading that must still be what they were.
_KNOWN: Final = 128


def nothing() -> str:
    """Give the table of no records."""
    return csv_text(none())


class Tail:
    """The growing export of one test.

    Parameters
    ----------
    file : Path
        The export; it need not be there yet.
    plan : sequence of TesterStep
        The tester's steps, as :class:`ProgramView` takes them.
    say : callable
        Told in words for a lab person when the file is not the one that it was.
    """

    def __init__(self, file: Path, plan: Sequence[TesterStep], say: Callable[[str], None]) -> None:
        self._file = file
        self._plan = plan
        self._say = say
        self._begin()

    def _begin(self) -> None:
        self._reader = Reader(self._file.name)
        self._view = ProgramView(self._plan)
        self._offset, self._known = 0, b""
        self._last: tuple[int, float] | None = None
        self._waiting: list[Records] = []

    def table(self, after: int | None) -> str:
        """Give the records that have come beyond ``after`` as a table in the cycler contract's columns.

        Parameters
        ----------
        after : int or None
            Number of the last record that is kept already; None for none.

        Raises
        ------
        DataError
            The file can't be read, or is not understood; the next look reads it from its beginning.
        """
        try:
            self._look(after)
        except (OSError, DataError) as error:
            self._begin()
            if isinstance(error, OSError):
                raise DataError(f"{self._file}: can't be read ({error.strerror})") from error
            raise
        return nothing() + "".join([csv_text(part.beyond(after)).partition("\n")[2] for part in self._waiting])

    def _look(self, after: int | None) -> None:
        self._waiting = [part for part in self._waiting if after is None or int(part.number[-1]) > after]
        first = int(self._waiting[0].number[0]) if self._waiting else None
        asked = 0 if after is None else after
        if self._last is not None and asked < (self._last[0] if first is None else first - 1):
            # Asked again for what was thought to be kept.
            self._begin()
        try:
            file = self._file.open("rb")
        except FileNotFoundError:
            if self._offset:
                self._anew("is not there any more")
            return
        with file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(self._offset - _KNOWN, 0))
            if size < self._offset or file.read(len(self._known)) != self._known:
                self._anew("is shorter than it was" if size < self._offset else "is not the file that it was")
                file.seek(0)
            data = file.read(size - self._offset)
        if not data:
            return
        self._offset += len(data)
        self._known = (self._known + data)[-_KNOWN:]
        records = self._reader.read(data)
        if not records.number.size:
            return
        check_next(records, self._file.name, self._last)
        self._last = int(records.number[-1]), float(records.time[-1])
        self._waiting.append(self._view.see(records))

    def _anew(self, why: str) -> None:
        self._say(f"the export {self._file.name} {why}; it is read from its beginning")
        self._begin()
