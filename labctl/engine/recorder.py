"""Keeps the records of running operations as they come, so that a crash finds them in the record file already.

Now and then a look at an operation is followed by one at its records: what is new is appended to the operation's
record file. Nothing depends on it. The end of the operation fetches all records and completes the file; where the
instrument gives records only then, or keeping them fails, the file is written as a whole at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from labctl.engine.actions import Action, Recorded
from labctl.engine.clock import beside
from labctl.errors import LabctlError
from labctl.instruments import Clock, Handle
from labctl.journal import Journal, OperationRow
from labctl.results import add_records, last_record

_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class _Kept:
    """How far an operation's records are kept.

    Attributes
    ----------
    due : datetime
        When to look for new ones.
    known : bool
        Whether the file was looked at for what it has.
    last : int or None
        Number of the last record that is kept; None for none.
    troubled : bool
        Whether it was said that keeping them failed.
    """

    due: datetime
    known: bool = False
    last: int | None = None
    troubled: bool = False


class Recorder:
    """Records of what runs. One per orchestrator.

    Parameters
    ----------
    journal : Journal
        Told once per operation where its records can't be kept for now.
    clock : Clock
        Time.
    every : float or None
        Seconds that pass at least between two looks at an operation's records; None keeps them only at the end.
    """

    def __init__(self, journal: Journal, clock: Clock, every: float | None) -> None:
        self._journal = journal
        self._clock = clock
        self._every = timedelta(seconds=every) if every is not None else None
        self._kept: dict[str, _Kept] = {}

    async def look(self, row: OperationRow, action: Action, handle: Handle, folder: Callable[[], Path]) -> None:
        """Keep what is new of an operation's records, if it is time for that.

        Parameters
        ----------
        folder : callable
            Gives the folder of the bundle, made where it is not there yet.
        """
        if self._every is None:
            return
        now = self._clock.now()
        kept = self._kept.get(row.operation)
        if kept is None:
            # Not at once: after a restart every operation is asked after first, and short ones need no second look.
            self._kept[row.operation] = _Kept(now + self._every)
            return
        if now < kept.due:
            return
        kept.due = now + self._every
        if not isinstance(action, Recorded):
            kept.due = _NEVER
            return
        try:
            if not kept.known:
                kept.last = await beside(partial(last_record, folder(), row.operation))
                kept.known = True
            table = await action.records(handle, kept.last)
            if table is None:
                kept.due = _NEVER
            elif table.count("\n") > 1:
                kept.last = await beside(partial(add_records, folder(), row.operation, table))
        except (LabctlError, OSError) as error:
            # The operation goes on, and its end tells whether anything is wrong with what it leaves.
            if not kept.troubled:
                kept.troubled = True
                self._journal.note(
                    "records",
                    f"{row.step}: records can't be kept for now: {error}",
                    cell=row.cell,
                    operation=row.operation,
                )

    def ended(self, operation: str) -> None:
        """Forget an operation: its record file is whole, or will not grow any more."""
        self._kept.pop(operation, None)
