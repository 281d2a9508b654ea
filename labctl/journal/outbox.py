"""The outbox as the journal keeps it: what is to be delivered to whom, and how that went.

A bundle is put here by the very commit that makes its operation ``fetched``. What was delivered is read no more; what
waits is kept in memory. That a try came to something need not be durable at once: a bundle that was delivered and is
not known to be is delivered again, and the receiver knows it by its hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any, Final

from sqlalchemy import bindparam, insert, literal_column, select, update

from labctl.journal import schema
from labctl.journal.rows import OutboxRow, Posting
from labctl.journal.store import Store, Write

_table = schema.outbox
# An operation that is ended after it was fetched has another bundle then: the newer one counts.
_NEW: Final = insert(_table).prefix_with("OR REPLACE")
_WAITING: Final = select(_table).where(_table.c.delivered.is_(None)).order_by(literal_column("rowid"))
_OF: Final = select(_table).where(_table.c.operation == bindparam("of"), _table.c.target == bindparam("to"))
_CHANGE: Final = (
    update(_table)
    .where(
        _table.c.operation == bindparam("of"), _table.c.target == bindparam("to"), _table.c.sha256 == bindparam("was")
    )
    .values({name: bindparam(f"new_{name}") for name in ("tries", "next_try", "error", "delivered")})
)


class OutboxRecords:
    """What waits for delivery."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # By target; what was tried last stands last.
        self._waiting: dict[str, dict[str, OutboxRow]] = {}
        for row in store.rows(_WAITING):
            self.keep(OutboxRow(*row))

    def rows(self, operation: str, campaign: str, posting: Posting) -> list[OutboxRow]:
        """Make the rows of a bundle that is to be delivered."""
        now = self._store.now()
        return [OutboxRow(operation, target, campaign, posting.sha256, now) for target in posting.targets]

    def post(self, rows: Iterable[OutboxRow]) -> None:
        """Put in what belongs to no operation, in a commit of its own.

        Raises
        ------
        NoRoom
            Nothing has changed.
        """
        kept = list(rows)
        with self._store.commit():
            for row in kept:
                self.write_new(row)
        for row in kept:
            self.keep(row)

    def write_new(self, row: OutboxRow) -> None:
        """Write a row, within a commit."""
        self._store.write(_NEW, asdict(row))

    def keep(self, row: OutboxRow) -> None:
        """Remember a row that was committed."""
        self._waiting.setdefault(row.target, {})[row.operation] = row

    def waiting(self, target: str | None = None) -> list[OutboxRow]:
        """Rows that wait, of one target or all."""
        targets = self._waiting if target is None else [target]
        return [row for name in targets for row in self._waiting.get(name, {}).values()]

    def of(self, target: str) -> Mapping[str, OutboxRow]:
        """Rows that wait for one target, by operation; it changes with them."""
        return self._waiting.setdefault(target, {})

    def known(self, operation: str, target: str) -> OutboxRow | None:
        """Look a row up, delivered or not."""
        found = self._store.rows(_OF, {"of": operation, "to": target})
        return OutboxRow(*found[0]) if found else None

    def tried(self, row: OutboxRow, error: str, next_try: str | None) -> None:
        """Note that a try came to nothing, and when the next one is; None where not before labctl is started again."""
        if self._is_newest(row):
            self._change(replace(row, tries=row.tries + 1, error=error, next_try=next_try))

    def delivered(self, row: OutboxRow) -> None:
        """Note that a bundle has arrived; one that has come to be another meanwhile still waits."""
        if self._is_newest(row):
            self._change(replace(row, delivered=self._store.now(), next_try=None))

    def _is_newest(self, row: OutboxRow) -> bool:
        kept = self._waiting.get(row.target, {}).get(row.operation)
        return kept is not None and kept.sha256 == row.sha256

    def _change(self, row: OutboxRow) -> None:
        values: dict[str, Any] = {
            "of": row.operation,
            "to": row.target,
            "was": row.sha256,
            "new_tries": row.tries,
            "new_next_try": row.next_try,
            "new_error": row.error,
            "new_delivered": row.delivered,
        }
        self._store.attempt([Write(_CHANGE, values)])
        del self._waiting[row.target][row.operation]
        if row.delivered is None:
            self.keep(row)
