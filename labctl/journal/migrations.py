"""From the tables of an older labctl to those of today, forward only, one version at a time.

A step is a list of statements that run in one transaction together with the new version's number, so a kill leaves the
old version or the new one. Before the first step the old file is copied beside it. The statements of a step describe
the tables as they were then: they are never changed again, whatever :mod:`labctl.journal.schema` says later.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from labctl.errors import JournalError
from labctl.journal.schema import VERSION

#: Old version to the statements that make the next one of it.
MIGRATIONS: Final[Mapping[int, Sequence[str]]] = {
    1: (
        # A labctl of version 1 that was killed while it made its tables may have left these out.
        "CREATE TABLE IF NOT EXISTS laboratory (key VARCHAR NOT NULL, value TEXT, PRIMARY KEY (key))",
        "CREATE TABLE IF NOT EXISTS cell_states (campaign VARCHAR NOT NULL, cell VARCHAR NOT NULL,"
        " state VARCHAR NOT NULL, at VARCHAR NOT NULL, PRIMARY KEY (campaign, cell))",
        "CREATE TABLE IF NOT EXISTS alarms (alarm INTEGER NOT NULL, at VARCHAR NOT NULL, severity VARCHAR NOT NULL,"
        " message TEXT NOT NULL, cell VARCHAR, instrument VARCHAR, cleared VARCHAR, PRIMARY KEY (alarm))",
        "ALTER TABLE cell_states ADD COLUMN reason TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE cell_states ADD COLUMN \"by\" VARCHAR NOT NULL DEFAULT ''",
        "ALTER TABLE cell_states ADD COLUMN wanted VARCHAR",
        # Cells that were on their way had no row; 'reference' is the spectrometer's standard, which has no way.
        "INSERT OR IGNORE INTO cell_states (campaign, cell, state, at)"
        " SELECT operations.campaign, operations.cell, 'under way', campaigns.started"
        " FROM operations JOIN campaigns ON campaigns.campaign = operations.campaign"
        " WHERE campaigns.ended IS NULL AND operations.cell != 'reference'"
        " GROUP BY operations.campaign, operations.cell",
        "CREATE TABLE commands (id VARCHAR NOT NULL, at VARCHAR NOT NULL, op VARCHAR NOT NULL, campaign VARCHAR,"
        ' cell VARCHAR, "user" VARCHAR NOT NULL, reason TEXT NOT NULL, data JSON NOT NULL, answer JSON NOT NULL,'
        " PRIMARY KEY (id))",
        "ALTER TABLE alarms ADD COLUMN acknowledged VARCHAR",
        'ALTER TABLE alarms ADD COLUMN "by" VARCHAR',
        # Held operations are found in memory; the index was written with every commit.
        "DROP INDEX IF EXISTS ix_operations_status",
    ),
    2: (
        "CREATE TABLE outbox (operation VARCHAR NOT NULL, target VARCHAR NOT NULL, campaign VARCHAR NOT NULL,"
        " sha256 VARCHAR NOT NULL, since VARCHAR NOT NULL, tries INTEGER NOT NULL, next_try VARCHAR, error TEXT,"
        " delivered VARCHAR, PRIMARY KEY (operation, target))",
    ),
}


def version_of(connection: sqlite3.Connection) -> int | None:
    """Read which version of the tables a file has; None where it has none yet.

    Raises
    ------
    JournalError
        The version is not a number, or newer than this labctl knows.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "laboratory" not in tables:
        # Version 1 made its tables one by one, in an order that may have begun with others.
        return 1 if "operations" in tables else None
    found = connection.execute("SELECT value FROM laboratory WHERE key = 'schema'").fetchone()
    if found is None:
        return 1 if "operations" in tables else None
    try:
        version = int(found[0])
    except (TypeError, ValueError):
        raise JournalError(f"its schema version is {found[0]!r}, which is no number") from None
    if version > VERSION or version < 1:
        raise JournalError(
            f"it has schema version {version}, and this labctl knows versions 1 to {VERSION}",
            hint="use the labctl that wrote it, or a newer one",
        )
    return version


def migrate(path: Path, connection: sqlite3.Connection) -> int | None:
    """Bring an older file to today's version.

    Parameters
    ----------
    path : Path
        The journal; the copy is ``labctl.sqlite.v1.bak`` beside it.
    connection : sqlite3.Connection
        Open on it, outside a transaction.

    Returns
    -------
    int or None
        The version that the file had, None where there was nothing to do.

    Raises
    ------
    JournalError
        The version can't be read or is newer than this labctl knows.
    sqlite3.Error, OSError
        A statement or the copy failed; the file is as it was.
    """
    before = version_of(connection)
    if before is None or before == VERSION:
        return None
    _copy(connection, path.with_name(f"{path.name}.v{before}.bak"))
    for version in range(before, VERSION):
        _step(connection, version)
    return before


def _step(connection: sqlite3.Connection, version: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in MIGRATIONS[version]:
            connection.execute(statement)
        stamp(connection, version + 1)
        connection.commit()
    except sqlite3.Error:
        connection.rollback()
        raise


def stamp(connection: Any, version: int) -> None:
    """Write the version into the file, within the caller's transaction."""
    connection.execute("INSERT OR REPLACE INTO laboratory (key, value) VALUES ('schema', ?)", (str(version),))


def _copy(connection: sqlite3.Connection, target: Path) -> None:
    """Copy the whole database, what is still in its write-ahead log included; whole or not at all."""
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    with closing(sqlite3.connect(partial)) as copy:
        connection.backup(copy)
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(target)
