"""The history of a laboratory as lines: its events, and the ways of its operations, in the order of time.

Read-only, by the standard library alone, while an orchestrator writes or without one. What an operation went through
stands in its own row, so that the ordinary way costs no event; here both are put together.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from labctl.errors import JournalError
from labctl.journal.rows import ENDED, Status

#: Where an operation went wrong or was ended, an event says so, and why.
_TOLD_BY_EVENTS: Final = frozenset({Status.FAILED, Status.ABORTED, Status.NEEDS_OPERATOR})
#: Statuses that say something to a person; the others are steps between.
PLAIN: Final = frozenset({Status.RUNNING.value, Status.DONE.value})
_OPERATION: Final = 'SELECT "order", operation, cell, step, kind, status, resources, result, times FROM operations'


@dataclass(frozen=True, slots=True)
class Line:
    """One line of history.

    Attributes
    ----------
    at : str
        UTC, ISO 8601.
    category : str
        Of the event, or ``operation``.
    message : str
        In words.
    cell, operation, instrument : str or None
        What it is about.
    status : str or None
        What an operation became; None for an event.
    event : int or None
        The event's number; None for an operation.
    data : mapping
        What else the event carries.
    """

    at: str
    category: str
    message: str
    cell: str | None
    operation: str | None
    instrument: str | None
    status: str | None
    event: int | None
    data: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {
            "at": self.at,
            "category": self.category,
            "cell": self.cell,
            "message": self.message,
            "operation": self.operation,
            "status": self.status,
            "instrument": self.instrument,
            "event": self.event,
            "data": dict(self.data),
        }


class History:
    """Follows a journal.

    Parameters
    ----------
    path : Path
        The SQLite file.
    cell : str, optional
        Only lines about this cell.

    Raises
    ------
    JournalError
        There is no journal, or it can't be read.
    """

    def __init__(self, path: Path, cell: str | None = None) -> None:
        self.path = path
        if not path.exists():
            raise JournalError(f"{path}: there is no journal here", hint="run 'labctl run' in this folder first")
        self._cell = cell
        self._event = 0
        self._order = 0
        # Operations on their way, with how much of it has been told.
        self._open: dict[int, frozenset[str]] = {}
        self._version: int | None = None
        try:
            self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)
            self._connection.row_factory = sqlite3.Row
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def new(self) -> list[Line]:
        """Give what has come since the last call, oldest first; at first everything.

        Raises
        ------
        JournalError
            The file can't be read.
        """
        try:
            # Another process's commit changes this number, so that nothing is read where nothing has happened.
            version = int(self._connection.execute("PRAGMA data_version").fetchone()[0])
            if version == self._version:
                return []
            # In this order, so that what came of a change in the same millisecond stands after it.
            lines = [*self._operations(), *self._events()]
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            raise self._unreadable(error) from error
        self._version = version
        return sorted(lines, key=lambda line: line.at)

    def _unreadable(self, error: Exception) -> JournalError:
        return JournalError(f"{self.path}: not a journal that can be read ({error})")

    def _events(self) -> Iterator[Line]:
        rows = self._connection.execute(
            "SELECT * FROM events WHERE id > ? AND (? IS NULL OR cell = ?) ORDER BY id",
            (self._event, self._cell, self._cell),
        )
        for row in rows:
            self._event = row["id"]
            data = json.loads(row["data"]) if row["data"] else {}
            yield Line(
                row["at"],
                row["category"],
                row["message"],
                row["cell"],
                row["operation"],
                row["instrument"],
                None,
                row["id"],
                data,
            )

    def _operations(self) -> Iterator[Line]:
        rows = self._connection.execute(
            f'{_OPERATION} WHERE "order" > ? AND (? IS NULL OR cell = ?) ORDER BY "order"',
            (self._order, self._cell, self._cell),
        ).fetchall()
        for order in list(self._open):
            rows += self._connection.execute(f'{_OPERATION} WHERE "order" = ?', (order,)).fetchall()
        for row in rows:
            yield from self._way(row)

    def _way(self, row: sqlite3.Row) -> Iterator[Line]:
        """Tell what of an operation's way has not been told."""
        order, times = int(row["order"]), json.loads(row["times"])
        self._order = max(self._order, order)
        told = self._open.get(order, frozenset())
        for status, at in times.items():
            if status in told or status in _TOLD_BY_EVENTS:
                continue
            line = Line(at, "operation", "", row["cell"], row["operation"], None, status, None, {})
            yield replace(line, message=_words(row, status))
        if row["status"] in ENDED:
            self._open.pop(order, None)
        else:
            self._open[order] = frozenset(times)


def _words(row: sqlite3.Row, status: str) -> str:
    step = row["step"]
    result = json.loads(row["result"]) if row["result"] else {}
    if row["kind"] == "transfer":
        asked = result.get("request") or {}
        way = f"{asked.get('source', '?')} to {asked.get('target', '?')}"
        return {"running": f"asked: from {way}", "done": f"moved: from {way}"}.get(status, f"{step}: {status}")
    if status == "requested":
        return f"{step}: waits for its instrument"
    if status == "leased":
        return f"{step}: has {', '.join(json.loads(row['resources']) or ['what it needs'])}"
    if status == "intent":
        return f"{step}: the instrument is about to be told"
    if status == "running":
        return f"{step} runs"
    if status == "fetched":
        return f"{step}: its data are here"
    return f"{step} is done{_result(result)}"


def _result(result: Mapping[str, Any]) -> str:
    parts = []
    if result.get("status") not in (None, "ok"):
        parts.append(str(result["status"]))
    if isinstance(result.get("voltage_V"), int | float):
        parts.append(f"{result['voltage_V']:.3f} V")
    if isinstance(result.get("capacity_C"), int | float):
        parts.append(f"{result['capacity_C'] / 3.6:.3f} mAh")
    return f": {', '.join(parts)}" if parts else ""
