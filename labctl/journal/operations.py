"""Operations as the journal keeps them: their rows in memory, and the statements that change them.

What nothing more happens to is kept small: what it was and how it ended stay in memory, its result and times are read
from the file when somebody asks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import lru_cache, partial
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
    Status.ABORTED: ("error",),
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
    _ops.c.order,
    _ops.c.operation,
    _ops.c.campaign,
    _ops.c.cell,
    _ops.c.step,
    _ops.c.kind,
    _ops.c.attempt,
    _ops.c.token,
    _ops.c.status,
    _ops.c.resources,
    _ops.c.fence,
    _ops.c.bundle,
    _ops.c.error,
    # Version 1 wrote an empty handle as JSON.
    literal_column("handle IS NOT NULL AND handle != 'null'"),
).order_by(_ops.c.order)
_HEAVY = select(_ops.c.handle, _ops.c.result, _ops.c.times).where(_ops.c.order == bindparam("of"))
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
        self._held: set[str] = set()
        self._of_cell: dict[str, list[str]] = {}
        self._of_campaign: dict[str, list[str]] = {}
        self._in_campaign: dict[tuple[str, str], list[str]] = {}
        self._fence = 0
        self._heavy = lru_cache(maxsize=2048)(self._read_heavy)
        self._load()
        self.order = 1 + max((row.order for row in self._rows.values()), default=0)

    def _load(self) -> None:
        for order, *names, attempt, token, status, resources, fence, bundle, error, handled in self._store.rows(_LIGHT):
            operation, campaign, cell, step, kind = names
            try:
                entered = Status(status)
            except ValueError:
                raise JournalError(f"operation {operation} has the status {status!r}, which is none") from None
            heavy = self._late(order) if entered in ENDED else self._read_heavy(order)
            self._keep(
                OperationRow(
                    operation,
                    order,
                    campaign,
                    cell,
                    step,
                    kind,
                    attempt,
                    token,
                    entered,
                    _resources(resources),
                    fence,
                    heavy[0] if handled else None,
                    bundle,
                    heavy[1],
                    error,
                    heavy[2],
                )
            )
            self._index(operation, campaign, cell)

    def _read_heavy(self, order: int) -> tuple[Mapping[str, Any] | None, Mapping[str, Any], Mapping[str, Any]]:
        """Read handle, result and times of one row."""
        handle, result, times = self._store.rows(_HEAVY, {"of": order})[0]
        return (json.loads(handle) if handle else None), json.loads(result), json.loads(times)

    def _late(self, order: int) -> tuple[Late, Late, Late]:
        return (
            Late(partial(self._part, order, 0)),
            Late(partial(self._part, order, 1)),
            Late(partial(self._part, order, 2)),
        )

    def _part(self, order: int, part: int) -> Mapping[str, Any]:
        return self._heavy(order)[part] or {}

    # -- memory ---------------------------------------------------------------------------------------------------
    def _index(self, operation: str, campaign: str, cell: str) -> None:
        self._of_cell.setdefault(cell, []).append(operation)
        self._of_campaign.setdefault(campaign, []).append(operation)
        self._in_campaign.setdefault((campaign, cell), []).append(operation)

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
        self._index(row.operation, row.campaign, row.cell)

    def entered(self, row: OperationRow) -> None:
        """Remember a row whose new status was committed."""
        self._keep(row)
        if row.status in ENDED:
            self._shed(self._of_cell[row.cell])

    def _shed(self, names: list[str]) -> None:
        """Keep only the newest operations of a cell whole."""
        if len(names) <= _WHOLE:
            return
        old = self._rows[names[-_WHOLE - 1]]
        if old.status in ENDED and not isinstance(old.times, Late):
            handle, result, times = self._late(old.order)
            self._rows[old.operation] = replace(
                old, handle=None if old.handle is None else handle, result=result, times=times
            )

    # -- questions ------------------------------------------------------------------------------------------------
    def get(self, operation: str) -> OperationRow | None:
        """Look an operation up."""
        return self._rows.get(operation)

    def find(self, campaign: str | None, cell: str | None, status: Collection[Status] | None) -> list[OperationRow]:
        """Operations in the order in which they were requested."""
        if cell is not None:
            names = self._of_cell.get(cell, []) if campaign is None else self._in_campaign.get((campaign, cell), [])
        else:
            names = list(self._rows) if campaign is None else self._of_campaign.get(campaign, [])
        rows = [self._rows[name] for name in names]
        return rows if status is None else [row for row in rows if row.status in status]

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
