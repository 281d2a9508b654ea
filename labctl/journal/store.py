"""The journal's file: one connection, durable commits, and lines of history that wait for room on a full disk.

Statements are made with SQLAlchemy and turned into text once; the driver runs them. Going through the library for each
of some ten thousand commits a day costs four times what SQLite itself does. What the rows mean is not known here.
"""

from __future__ import annotations

import errno
import json
import sqlite3
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import create_engine, event, func, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex, CreateTable

from labctl.errors import JournalError, NoRoom
from labctl.instruments import Clock
from labctl.journal import schema
from labctl.journal.migrations import migrate, stamp, version_of

# How many writes wait in memory for room on the disk; the oldest go first, and how many went is written down.
_WAITING: Final = 2_000
# Primary result codes of SQLite: no room, can't be written, read-only.
_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY})
# Extended codes of what a full or broken disk answers while it is written to.
_WRITING: Final = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_DIR_FSYNC,
        sqlite3.SQLITE_IOERR_TRUNCATE,
        sqlite3.SQLITE_IOERR_SHMOPEN,
        sqlite3.SQLITE_IOERR_SHMSIZE,
    }
)
_ERRNO: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})


class Write(NamedTuple):
    """A statement and what goes into it."""

    statement: Any
    values: Mapping[str, Any]


class _Text(NamedTuple):
    statement: Any
    text: str
    names: Sequence[str]
    fixed: Mapping[str, Any]


_EVENT: Final = insert(schema.events)


def _durable(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.close()


class Store:
    """The file of a journal.

    Parameters
    ----------
    path : Path
        The SQLite file; made if it does not exist, brought to today's version if it is older.
    clock : Clock
        Stamps every line.

    Raises
    ------
    JournalError
        The file can't be used; :class:`~labctl.errors.NoRoom` where only room is missing.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._texts: dict[int, _Text] = {}
        self._waiting: deque[Write] = deque()
        self._lost = 0
        self._engine = create_engine(f"sqlite:///{path}")
        event.listen(self._engine, "connect", _durable)
        try:
            self._connection = self._engine.raw_connection()
        except (DBAPIError, sqlite3.Error) as error:
            self._engine.dispose()
            raise self._failure(error) from error
        self._cursor = self._connection.cursor()
        try:
            self._open()
        except (sqlite3.Error, OSError, JournalError) as error:
            self._dispose()
            raise self._failure(error) from error

    def _open(self) -> None:
        raw = self._connection.driver_connection
        if not isinstance(raw, sqlite3.Connection):
            raise JournalError("the journal is an SQLite file")
        if (before := migrate(self.path, raw)) is None and version_of(raw) is None:
            self._make(raw)
        self._event = 1 + int(self.rows(select(func.coalesce(func.max(schema.events.c.id), 0)))[0][0])
        if before is not None:
            self.note("journal", f"brought from schema version {before} to {schema.VERSION}; the old file is kept")

    def _make(self, raw: sqlite3.Connection) -> None:
        """Make all tables in one transaction: a kill leaves a whole journal or none."""
        raw.execute("BEGIN IMMEDIATE")
        for table in schema.metadata.sorted_tables:
            raw.execute(str(CreateTable(table).compile(dialect=self._engine.dialect)))
            for index in sorted(table.indexes, key=lambda one: str(one.name)):
                raw.execute(str(CreateIndex(index).compile(dialect=self._engine.dialect)))
        stamp(raw, schema.VERSION)
        raw.commit()

    def close(self) -> None:
        """Write what waited for room, if there is room now, and close the file."""
        self._catch_up()
        self._dispose()

    def _dispose(self) -> None:
        self._connection.close()
        self._engine.dispose()

    def now(self) -> str:
        """Give the instant that a commit would carry: UTC, ISO 8601, milliseconds."""
        return self._clock.now().isoformat(timespec="milliseconds")

    # -- reading ------------------------------------------------------------------------------------------------
    def rows(
        self, statement: Any, values: Mapping[str, Any] | None = None, *, once: bool = False
    ) -> list[tuple[Any, ...]]:
        """Read rows; columns of JSON come as their text. ``once``: this very statement will not come again.

        Raises
        ------
        JournalError
            The file can't be read.
        """
        try:
            self._run(statement, values or {}, once=once)
            found: list[Any] = list(self._cursor.fetchall())
        except sqlite3.Error as error:
            raise self._failure(error) from error
        return found

    def pragma(self, text: str) -> list[tuple[Any, ...]]:
        """Ask SQLite about the file itself."""
        try:
            self._cursor.execute(f"PRAGMA {text}")
            found = self._cursor.fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from error
        return [tuple(row) for row in found]

    # -- writing ------------------------------------------------------------------------------------------------
    @contextmanager
    def commit(self) -> Iterator[Store]:
        """One durable commit: everything that is written within happens, or nothing of it.

        What waited for room follows in a commit of its own, so that it can't keep this one out.

        Raises
        ------
        NoRoom
            The disk is full; nothing has changed.
        JournalError
            The file can't be written.
        """
        with self._transaction():
            yield self
        self._catch_up()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            yield
            self._connection.commit()
        except (sqlite3.Error, OSError) as error:
            self._connection.rollback()
            raise self._failure(error) from error
        except BaseException:
            self._connection.rollback()
            raise

    def write(self, statement: Any, values: Mapping[str, Any]) -> int:
        """Run a statement within :meth:`commit` and say how many rows it changed."""
        self._run(statement, values)
        return int(self._cursor.rowcount)

    def line(self, category: str, message: str, **where: Any) -> None:
        """Add a line of history within :meth:`commit`; ``where``: cell, operation, instrument, data."""
        self._run(_EVENT, self._line(category, message, **where))

    def note(self, category: str, message: str, **where: Any) -> None:
        """Add a line of history by itself; where there is no room it waits in memory."""
        self.attempt([self.event(category, message, **where)])

    def event(self, category: str, message: str, **where: Any) -> Write:
        """Make the write of a line of history, for :meth:`attempt`."""
        return Write(_EVENT, self._line(category, message, **where))

    def attempt(self, writes: Sequence[Write]) -> bool:
        """Commit ``writes`` after those that wait already, or keep them until there is room; say which.

        For what must not stop anybody: lines of history and alarms. At most a few thousand wait.
        """
        self._waiting.extend(writes)
        while len(self._waiting) > _WAITING:
            self._waiting.popleft()
            self._lost += 1
        self._catch_up()
        return not self._waiting

    def _catch_up(self) -> None:
        """Write what waited for room, if there is room now."""
        if not self._waiting:
            return
        try:
            with self._transaction():
                for one in self._waiting:
                    self._run(one.statement, one.values)
                if self._lost:
                    words = f"{self._lost} older lines and alarms were lost: too many waited for room on the disk"
                    self.line("journal", words)
        except NoRoom:
            return
        self._waiting.clear()
        self._lost = 0

    def _line(
        self,
        category: str,
        message: str,
        *,
        cell: str | None = None,
        operation: str | None = None,
        instrument: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        # Numbers of lines that came to nothing are not used again: a number never means two lines.
        number, self._event = self._event, self._event + 1
        return {
            "id": number,
            "at": self.now(),
            "category": category,
            "message": message,
            "cell": cell,
            "operation": operation,
            "instrument": instrument,
            "data": json.dumps(data) if data else "{}",
        }

    # -- statements ---------------------------------------------------------------------------------------------
    def _run(self, statement: Any, values: Mapping[str, Any], *, once: bool = False) -> None:
        # A statement is kept with its text, so no other one can come to have its id.
        known = self._texts.get(id(statement)) or self._prepare(statement, once=once)
        fixed = known.fixed
        self._cursor.execute(known.text, [values[name] if name in values else fixed[name] for name in known.names])

    def _prepare(self, statement: Any, *, once: bool) -> _Text:
        compiled = statement.compile(dialect=self._engine.dialect)
        text = _Text(statement, str(compiled), tuple(compiled.positiontup or ()), dict(compiled.params))
        if not once:
            self._texts[id(statement)] = text
        return text

    def _failure(self, error: Exception) -> JournalError:
        """Say what went wrong with the file, and whether room would help."""
        if isinstance(error, JournalError):
            return type(error)(f"{self.path}: {error.message}", hint=error.hint)
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, sqlite3.Error):
            code = getattr(cause, "sqlite_errorcode", 0)
            full = code & 0xFF in _FULL or code in _WRITING
        else:
            full = isinstance(cause, OSError) and cause.errno in _ERRNO
        if full:
            return NoRoom(f"{self.path}: can't be written ({cause})", hint="make room on the disk; labctl then goes on")
        if isinstance(cause, sqlite3.DatabaseError) and not isinstance(cause, sqlite3.OperationalError):
            return JournalError(f"{self.path}: not a journal that can be used ({cause})")
        return JournalError(f"{self.path}: {cause}")
