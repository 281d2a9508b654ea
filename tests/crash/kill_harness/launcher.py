"""Has a process die at commit boundaries.

The commit of Python's own SQLite connections is wrapped, and nothing of labctl: right before it, what the transaction
changed is read through the very connection that is about to commit.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
from typing import Any

from .boundaries import Plan

_CHANGE = re.compile(r"\s*(INSERT INTO|UPDATE|DELETE FROM)\s+\"?(\w+)", re.IGNORECASE)


class Watcher:
    """Knows what each commit changes, and ends the process where the plan says so."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._left = plan.left()
        self._statuses: dict[str, str] = {}
        self._changes: list[str] = []

    def statement(self, statement: str) -> None:
        """Take note of a statement of the present transaction."""
        found = _CHANGE.match(statement)
        if found is not None:
            self._changes.append(f"{found[1].split()[0].lower()} {found[2]}")

    def commits(self, connection: Any) -> list[str]:
        """Name what the transaction of ``connection`` has changed."""
        changes, self._changes = self._changes, []
        names = [change for change in dict.fromkeys(changes) if not change.endswith(" operations")]
        if any(change.endswith(" operations") for change in changes):
            cursor = connection.cursor()
            rows = cursor.execute("SELECT operation, kind, status FROM operations").fetchall()
            cursor.close()
            for operation, kind, status in rows:
                if self._statuses.get(operation) != status:
                    self._statuses[operation] = status
                    names.append(f"{kind} {status}")
        return names

    def look(self, names: list[str], side: str) -> None:
        """Die here if the plan says so."""
        for name in names:
            boundary = f"{name} {side}"
            if boundary in self._left:
                self._plan.note(boundary)
                os.kill(os.getpid(), signal.SIGKILL)


def install(plan: Plan) -> None:
    """Wrap the commit of every SQLite connection of this process."""
    watcher = Watcher(plan)
    connect = sqlite3.dbapi2.connect

    class Watched(sqlite3.Connection):
        def commit(self) -> None:
            names = watcher.commits(self)
            watcher.look(names, "before")
            super().commit()
            watcher.look(names, "after")

    def watched(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **{"factory": Watched, **options})
        connection.set_trace_callback(watcher.statement)
        return connection

    sqlite3.dbapi2.connect = watched  # type: ignore[assignment]
