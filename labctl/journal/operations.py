"""Operations as the journal keeps them: their rows in memory, and the statements that change them.

What nothing more happens to is kept small: what it was and how it ended stay in memory, its result and times are read
from the file when somebody asks.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import bindparam, insert, literal_column, select, update

from labctl.errors import JournalError
from labctl.journal import schema
from labctl.journal.rows import ENDED, ENTERED_FROM, HELD, Late, OperationRow, Status
from labctl.journal.store import Store

_ops = schema.operations
_NEW = insert(_ops)
_MORE: Final[Mapping[Status, tuple[str, ...]]] = {
    Status.LEASED: ("resources", "fence"),
    Status.RUNNING: ("handle",),
    Status.FETCHED: ("bundle", "result"),
    Status.FAILED: ("error",),
    Status.ABORTED: ("error", "result"),
    Status.NEEDS_OPERATOR: ("error",),
}
_WRITTEN: Final[Mapping[str, Callable[[OperationRow], Any]]] = {
    "resources": lambda row: json.dumps(row.resources),
    "fence": lambda row: row.fence,
    "handle": lambda row: None if row.handle is None else json.dumps(dict(row.handle)),
    "bundle": lambda row: row.bundle,
    "result": lambda row: json.dumps(dict(row.result)),
    "error": lambda row: row.error,
    "times": lambda row: json.dumps(dict(row.times)),
}
#: The statement that enters each status; nothing else of the row is written.
_ENTER: Final = {
    status: update(_ops)
    .where(_ops.c.order == bindparam("of"), _ops.c.status == bindparam("was"))
    .values({name: bindparam(f"new_{name}") for name in ("status", "times", *_MORE.get(status, ()))})
    for status in ENTERED_FROM
}
_LIGHT = select(
    _ops.c.operation,
    _ops.c.order,
    _ops.c.campaign,
    _ops.c.cell,
    _ops.c.step,
    _ops.c.kind,
    _ops.c.attempt,
    _ops.c.token,
    _ops.c.status,
    _ops.c.resources,
    _ops.c.fence,
    # Version 1 wrote an empty handle as JSON.
    literal_column("handle IS NOT NULL AND handle != 'null'"),
    _ops.c.bundle,
    _ops.c.error,
).order_by(_ops.c.order)
_HEAVY = select(_ops.c.handle, _ops.c.result, _ops.c.times).where(_ops.c.order == bindparam("of"))
_HANDLE, _RESULT, _TIMES = range(3)
_STATUS: Final = {status.value: status for status in Status}
# So many operations of a cell stay whole in memory: what people look at.
_WHOLE: Final = 8


@lru_cache(maxsize=4096)
def _resources(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


class Operations:
    """All operations of a journal."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: dict[str, OperationRow] = {}
        # What had ended when the journal was opened stays as it was read until somebody asks for it.
        self._read: dict[str, tuple[Any, ...]] = {}
        self._held: set[str] = set()
        self._of_campaign: dict[str, list[str]] = {}
        self._of_cell: dict[tuple[str, str], list[str]] = {}
        # By cell, step to its newest attempt, which is the one that was requested last.
        self._newest: dict[tuple[str, str], dict[str, str]] = {}
        self._fence = 0
        self.order = 1
        self._heavy = lru_cache(maxsize=2048)(self._read_heavy)
        # Tens of thousands of rows are made at once and none is garbage: looking for any takes a third of the time.
        collecting = gc.isenabled()
        gc.disable()
        try:
            self._load()
        finally:
            if collecting:
                gc.enable()

    def _load(self) -> None:
        statuses = {word: status in ENDED for word, status in _STATUS.items()}
        names, cells, newest = self._of_campaign, self._of_cell, self._newest
        for read in self._store.rows(_LIGHT):
            operation, order, campaign, cell = read[:4]
            ended = statuses.get(read[8])
            if ended is None:
                raise JournalError(f"operation {operation} has the status {read[8]!r}, which is none")
            if campaign not in names:
                names[campaign] = []
            names[campaign].append(operation)
            if (campaign, cell) not in cells:
                cells[campaign, cell], newest[campaign, cell] = [], {}
            cells[campaign, cell].append(operation)
            newest[campaign, cell][read[4]] = operation
            if read[10] is not None and read[10] > self._fence:
                self._fence = read[10]
            if ended:
                self._read[operation] = read
            else:
                self._keep(self._row_of(read))
            self.order = order + 1

    def _row_of(self, read: tuple[Any, ...]) -> OperationRow:
        """Make the row of what was read: whole if it goes on, its heavy parts on demand if it has ended."""
        operation, order, campaign, cell, step, kind, attempt, token, word, resources, fence, handled, bundle, error = (
            read
        )
        status = Status(word)
        heavy = self._late(order) if status in ENDED else self._read_heavy(order)
        return OperationRow(
            operation,
            order,
            campaign,
            cell,
            step,
            kind,
            attempt,
            token,
            status,
            _resources(resources),
            fence,
            heavy[_HANDLE] if handled else None,
            bundle,
            heavy[_RESULT] or {},
            error,
            heavy[_TIMES] or {},
        )

    def _read_heavy(self, order: int) -> Sequence[Mapping[str, Any] | None]:
        """Read handle, result and times of one row."""
        return [json.loads(text) if text else None for text in self._store.rows(_HEAVY, {"of": order})[0]]

    def _late(self, order: int) -> Sequence[Late]:
        return [Late(self._part, order, part) for part in (_HANDLE, _RESULT, _TIMES)]

    def _part(self, order: int, part: int) -> Mapping[str, Any]:
        return self._heavy(order)[part] or {}

    # -- memory ---------------------------------------------------------------------------------------------------
    def _keep(self, row: OperationRow) -> None:
        self._rows[row.operation] = row
        if row.status in HELD:
            self._held.add(row.operation)
        else:
            self._held.discard(row.operation)
        self._fence = max(self._fence, row.fence or 0)

    def added(self, row: OperationRow) -> None:
        """Remember a row that was committed for the first time."""
        self.order = row.order + 1
        self._keep(row)
        self._of_campaign.setdefault(row.campaign, []).append(row.operation)
        self._of_cell.setdefault((row.campaign, row.cell), []).append(row.operation)
        self._newest.setdefault((row.campaign, row.cell), {})[row.step] = row.operation

    def entered(self, row: OperationRow) -> None:
        """Remember a row whose new status was committed."""
        self._keep(row)
        if row.status in ENDED:
            self._shed(self._of_cell[row.campaign, row.cell])

    def _shed(self, names: Sequence[str]) -> None:
        """Keep only the newest operations of a cell whole."""
        old = self._rows.get(names[-_WHOLE - 1]) if len(names) > _WHOLE else None
        if old is not None and old.status in ENDED and not isinstance(old.times, Late):
            handle, result, times = self._late(old.order)
            self._rows[old.operation] = replace(
                old, handle=None if old.handle is None else handle, result=result, times=times
            )

    # -- questions ------------------------------------------------------------------------------------------------
    def get(self, operation: str) -> OperationRow | None:
        """Look an operation up."""
        row = self._rows.get(operation)
        if row is None and operation in self._read:
            row = self._rows[operation] = self._row_of(self._read.pop(operation))
        return row

    def find(self, campaign: str | None, cell: str | None, status: Collection[Status] | None) -> list[OperationRow]:
        """Operations in the order in which they were requested."""
        if cell is None:
            lists = [names for of, names in self._of_campaign.items() if campaign in (None, of)]
        elif campaign is None:
            lists = [names for (_, of), names in self._of_cell.items() if of == cell]
        else:
            lists = [self._of_cell.get((campaign, cell), [])]
        if status is not None and not ENDED & set(status):
            # What goes on is never as it was read.
            found = [row for names in lists for name in names if (row := self._rows.get(name)) is not None]
        else:
            found = [row for names in lists for name in names if (row := self.get(name)) is not None]
        if len(lists) > 1:
            found.sort(key=lambda row: row.order)
        return found if status is None else [row for row in found if row.status in status]

    def backwards(self, campaign: str, cell: str) -> Iterator[OperationRow]:
        """Operations of a cell, the newest first; what is not looked at is not made a row."""
        return (
            row for name in reversed(self._of_cell.get((campaign, cell), ())) if (row := self.get(name)) is not None
        )

    def latest(self, campaign: str, cell: str, step: str) -> OperationRow | None:
        """Give the newest attempt at one step of a cell."""
        name = self._newest.get((campaign, cell), {}).get(step)
        return None if name is None else self.get(name)

    def reached(self, campaign: str, cell: str) -> dict[str, Status]:
        """Step to status of its newest attempt, in the order of requests, without making a row of any."""
        rows, read = self._rows, self._read
        return {
            step: rows[name].status if name in rows else _STATUS[read[name][8]]
            for step, name in self._newest.get((campaign, cell), {}).items()
        }

    def held(self) -> list[OperationRow]:
        """Operations that hold something, oldest first."""
        return sorted((self._rows[name] for name in self._held), key=lambda row: row.order)

    def next_fence(self) -> int:
        """Give a number larger than any that was given with a lease."""
        return self._fence + 1

    # -- statements -----------------------------------------------------------------------------------------------
    def write_new(self, row: OperationRow) -> None:
        """Add a row, within a commit."""
        self._store.write(
            _NEW,
            {
                "order": row.order,
                "operation": row.operation,
                "campaign": row.campaign,
                "cell": row.cell,
                "step": row.step,
                "kind": row.kind,
                "attempt": row.attempt,
                "token": row.token,
                "status": row.status.value,
                **{name: written(row) for name, written in _WRITTEN.items()},
            },
        )

    def write_entered(self, before: OperationRow, row: OperationRow) -> None:
        """Change a row to its new status, within a commit.

        Raises
        ------
        JournalError
            The row in the file is not what it was here.
        """
        values: dict[str, Any] = {"of": before.order, "was": before.status.value, "new_status": row.status.value}
        for name in ("times", *_MORE.get(row.status, ())):
            values[f"new_{name}"] = _WRITTEN[name](row)
        if self._store.write(_ENTER[row.status], values) != 1:
            raise JournalError(
                f"{row.operation} is not {before.status} any more: somebody else writes {self._store.path}"
            )
