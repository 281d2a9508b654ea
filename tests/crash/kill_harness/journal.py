"""What the journal on disk says, read from outside and without changing it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = "labctl.sqlite"


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the journal."""

    operation: str
    cell: str
    step: str
    kind: str
    token: str
    status: str
    result: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def _open(folder: Path) -> Iterator[sqlite3.Connection]:
    # Read only: whoever closes a journal last would otherwise tidy up what the killed one left behind.
    with closing(sqlite3.connect(f"{(folder / FILE).resolve().as_uri()}?mode=ro", uri=True)) as connection:
        yield connection


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    asked = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,))
    return asked.fetchone() is not None


def ended_campaigns(folder: Path) -> list[str]:
    """Campaigns that have ended; none where there is no journal yet."""
    if not (folder / FILE).is_file():
        return []
    with _open(folder) as connection:
        if not _has_table(connection, "campaigns"):
            return []
        rows = connection.execute("SELECT campaign FROM campaigns WHERE ended IS NOT NULL ORDER BY started")
        return [row[0] for row in rows]


def operations(folder: Path) -> list[Operation]:
    """All operations, in the order in which they were requested."""
    if not (folder / FILE).is_file():
        return []
    with _open(folder) as connection:
        if not _has_table(connection, "operations"):
            return []
        rows = connection.execute(
            'SELECT operation, cell, step, kind, token, status, result FROM operations ORDER BY "order"'
        )
        return [Operation(*row[:-1], json.loads(row[-1] or "{}")) for row in rows]


def held(folder: Path) -> list[str]:
    """Cells that wait for a person, and nobody has said anything yet."""
    if not (folder / FILE).is_file():
        return []
    with _open(folder) as connection:
        if not _has_table(connection, "cell_states"):
            return []
        rows = connection.execute("SELECT cell FROM cell_states WHERE state = 'held' AND wanted IS NULL")
        return [str(row[0]) for row in rows]


def cell_states(folder: Path, campaign: str) -> dict[str, str]:
    """What has become of each cell."""
    with _open(folder) as connection:
        rows = connection.execute("SELECT cell, state FROM cell_states WHERE campaign = ?", (campaign,))
        return {str(cell): str(state) for cell, state in rows}


def told(folder: Path) -> dict[str, str]:
    """What people have said to steps by hand, as ``token: what was said`` in JSON."""
    if not (folder / FILE).is_file():
        return {}
    with _open(folder) as connection:
        if not _has_table(connection, "commands"):
            return {}
        rows = connection.execute("SELECT id, data FROM commands WHERE op = 'confirm'")
        return {str(row[0]): str(row[1]) for row in rows}


def marks(folder: Path) -> list[str]:
    """Operations of the history's marks, one for each line."""
    with _open(folder) as connection:
        return [str(row[0]) for row in connection.execute("SELECT operation FROM events WHERE category = 'mark'")]
