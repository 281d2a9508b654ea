"""Operations as the journal keeps them: their rows in memory, and the statements that change them.

What nothing more happens to is kept small: what it was and how it ended stay in memory, its result and times are read
from the file when somebody asks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import bindparam, func, insert, literal_column, select, update

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
    Status.FAILED: ("error", "result"),
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
#: What there is of every cell, as lists in JSON: as many rows of Python would take longer than a restart may.
_GROUPED = select(
    _ops.c.campaign,
    _ops.c.cell,
    func.json_group_array(_ops.c.order),
    func.json_group_array(_ops.c.step),
    func.json_group_array(_ops.c.status),
    func.max(_ops.c.fence),
).group_by(_ops.c.campaign, _ops.c.cell)
_WHOLE = select(
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
)
_PLAIN = _WHOLE.add_columns(_ops.c.handle, _ops.c.result, _ops.c.times).where(
    *(_ops.c.status != status.value for status in ENDED)
)
_ONE = _WHOLE.where(_ops.c.order == bindparam("of"))
_NAMED = _WHOLE.where(_ops.c.operation == bindparam("of"))
_OF_CELL = _WHOLE.where(_ops.c.cell == bindparam("of"))
_OF_CAMPAIGN = _WHOLE.where(_ops.c.campaign == bindparam("of"))
_HEAVY = select(_ops.c.handle, _ops.c.result, _ops.c.times).where(_ops.c.order == bindparam("of"))
_HANDLE, _RESULT, _TIMES = range(3)
_STATUS: Final = {status.value: status for status in Status}
# So many operations of a cell stay whole in memory: what people look at.
_NEAR: Final = 8


@lru_cache(maxsize=4096)
def _resources(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


class Operations:
    """All operations of a journal."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # By number. What had ended when the journal was opened gets a row when somebody asks for it.
        self._rows: dict[int, OperationRow] = {}
        self._numbers: dict[str, int] = {}
        self._held: set[int] = set()
        # By campaign and cell: its operations, each step's newest attempt, which was requested last, and its status.
        self._of: dict[tuple[str, str], list[int]] = {}
        self._newest: dict[tuple[str, str], dict[str, int]] = {}
        self._reached: dict[tuple[str, str], dict[str, Status]] = {}
        self._fence = 0
        self.order = 1
        self._heavy = lru_cache(maxsize=2048)(self._read_heavy)
        for campaign, cell, orders, steps, words, fence in store.rows(_GROUPED):
            self._load((campaign, cell), json.loads(orders), json.loads(steps), json.loads(words))
            self._fence = max(self._fence, fence or 0)
        for *read, handle, result, times in store.rows(_PLAIN):
            self._keep(self._row_of(read, [json.loads(text) if text else None for text in (handle, result, times)]))

    def _load(self, key: tuple[str, str], orders: list[int], steps: list[str], words: list[str]) -> None:
        if orders != (in_order := sorted(orders)):
            # SQLite may group rows in whatever order it finds them.
            _, steps, words = (list(one) for one in zip(*sorted(zip(orders, steps, words, strict=True)), strict=True))
        if unknown := set(words) - _STATUS.keys():
            row = self._store.rows(_ONE, {"of": in_order[words.index(word := min(unknown))]})[0]
            raise JournalError(f"operation {row[0]} has the status {word!r}, which is none")
        self._of[key] = in_order
        self._newest[key] = dict(zip(steps, in_order, strict=True))
        self._reached[key] = {step: _STATUS[word] for step, word in zip(steps, words, strict=True)}
        self.order = max(self.order, in_order[-1] + 1)

    def _row_of(self, read: Sequence[Any], heavy: Sequence[Mapping[str, Any] | None]) -> OperationRow:
        """Make the row of what was read, and of its heavy parts: whole if it goes on, on demand if it has ended."""
        operation, order, campaign, cell, step, kind, attempt, token, word, resources, fence, handled, bundle, error = (
            read
        )
        return OperationRow(
            operation,
            order,
            campaign,
            cell,
            step,
            kind,
            attempt,
            token,
            _STATUS[word],
            _resources(resources),
            fence,
            heavy[_HANDLE] if handled else None,
            bundle,
            heavy[_RESULT] or {},
            error,
            heavy[_TIMES] or {},
        )

    def _look_up(self, statement: Any, of: int | str) -> None:
        """Make the rows of what had ended when the journal was opened, as many as the statement finds."""
        for read in self._store.rows(statement, {"of": of}):
            if read[1] not in self._rows:
                self._remember(self._row_of(read, self._late(read[1])))

    def _read_heavy(self, order: int) -> Sequence[Mapping[str, Any] | None]:
        """Read handle, result and times of one row."""
        return [json.loads(text) if text else None for text in self._store.rows(_HEAVY, {"of": order})[0]]

    def _late(self, order: int) -> Sequence[Late]:
        return [Late(self._part, order, part) for part in (_HANDLE, _RESULT, _TIMES)]

    def _part(self, order: int, part: int) -> Mapping[str, Any]:
        return self._heavy(order)[part] or {}

    # -- memory ---------------------------------------------------------------------------------------------------
    def _remember(self, row: OperationRow) -> None:
        self._rows[row.order] = row
        self._numbers[row.operation] = row.order

    def _keep(self, row: OperationRow) -> None:
        self._remember(row)
        if row.status in HELD:
            self._held.add(row.order)
        else:
            self._held.discard(row.order)
        if self._newest[row.campaign, row.cell][row.step] == row.order:
            self._reached[row.campaign, row.cell][row.step] = row.status
        self._fence = max(self._fence, row.fence or 0)

    def added(self, row: OperationRow) -> None:
        """Remember a row that was committed for the first time."""
        self.order = row.order + 1
        key = row.campaign, row.cell
        self._of.setdefault(key, []).append(row.order)
        self._newest.setdefault(key, {})[row.step] = row.order
        self._reached.setdefault(key, {})
        self._keep(row)

    def entered(self, row: OperationRow) -> None:
        """Remember a row whose new status was committed."""
        self._keep(row)
        if row.status in ENDED:
            self._shed(self._of[row.campaign, row.cell])

    def _shed(self, orders: Sequence[int]) -> None:
        """Keep only the newest operations of a cell whole."""
        old = self._rows.get(orders[-_NEAR - 1]) if len(orders) > _NEAR else None
        if old is not None and old.status in ENDED and not isinstance(old.times, Late):
            handle, result, times = self._late(old.order)
            self._rows[old.order] = replace(
                old, handle=None if old.handle is None else handle, result=result, times=times
            )

    # -- questions ------------------------------------------------------------------------------------------------
    def get(self, operation: str) -> OperationRow | None:
        """Look an operation up."""
        if operation not in self._numbers:
            self._look_up(_NAMED, operation)
        number = self._numbers.get(operation)
        return None if number is None else self._rows[number]

    def _row(self, order: int) -> OperationRow:
        if order not in self._rows:
            self._look_up(_ONE, order)
        return self._rows[order]

    def find(self, campaign: str | None, cell: str | None, status: Collection[Status] | None) -> list[OperationRow]:
        """Operations in the order in which they were requested."""
        if campaign is not None and cell is not None:
            keys = [(campaign, cell)]
        else:
            keys = [key for key in self._of if campaign in (None, key[0]) and cell in (None, key[1])]
        orders = [order for key in keys for order in self._of.get(key, ())]
        if status is not None and not ENDED & set(status):
            # What goes on has its row.
            found = [self._rows[order] for order in orders if order in self._rows]
        else:
            if any(order not in self._rows for order in orders):
                for of in {key[0] for key in keys} if cell is None else {cell}:
                    self._look_up(_OF_CAMPAIGN if cell is None else _OF_CELL, of)
            found = [self._rows[order] for order in orders]
        if len(keys) > 1:
            found.sort(key=lambda row: row.order)
        return found if status is None else [row for row in found if row.status in status]

    def backwards(self, campaign: str, cell: str) -> Iterator[OperationRow]:
        """Operations of a cell, the newest first; what is not looked at is not made a row."""
        return (self._row(order) for order in reversed(self._of.get((campaign, cell), ())))

    def latest(self, campaign: str, cell: str, step: str) -> OperationRow | None:
        """Give the newest attempt at one step of a cell."""
        order = self._newest.get((campaign, cell), {}).get(step)
        return None if order is None else self._row(order)

    def reached(self, campaign: str, cell: str) -> Mapping[str, Status]:
        """Step to status of its newest attempt, in the order of requests, without making a row of any."""
        return self._reached.get((campaign, cell), {})

    def held(self) -> list[OperationRow]:
        """Operations that hold something, oldest first."""
        return [self._rows[order] for order in sorted(self._held)]

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
