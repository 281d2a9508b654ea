"""A look into a journal without an orchestrator: read-only, at once, by the standard library alone.

``labctl status`` and ``labctl log`` are run every few seconds by people and by scripts; the database library that
writes the journal takes longer to import than everything else there. Nothing is written, not even a lock that another
process would notice, and an older journal is read as it is.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from labctl.errors import JournalError
from labctl.instruments import Clock
from labctl.journal.rows import (
    HELD,
    UNDER_WAY,
    Alarm,
    CampaignRow,
    CellRow,
    CommandRow,
    Event,
    Late,
    OperationRow,
    OutboxRow,
    Status,
)

#: The newest schema version that can be read here.
_VERSION: Final = 3


class LastWord:
    """What a journal says, as of now: every question is asked anew.

    Parameters
    ----------
    path : Path
        The SQLite file.
    clock : Clock
        Tells how old things are.

    Raises
    ------
    JournalError
        There is no journal, it can't be read, or a newer labctl wrote it; any question may raise it too.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        if not path.exists():
            raise JournalError(f"{path}: there is no journal here", hint="run 'labctl run' in this folder first")
        found = self._all("SELECT value FROM laboratory WHERE key = 'schema'")
        version = str(found[0]["value"]) if found else "1"
        if not version.isdigit() or int(version) > _VERSION:
            raise JournalError(
                f"{path}: it has schema version {version}, and this labctl knows versions 1 to {_VERSION}",
                hint="use the labctl that wrote it, or a newer one",
            )
        self.version = int(version)

    def _all(self, statement: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        try:
            address = f"{self._path.resolve().as_uri()}?mode=ro"
            with closing(sqlite3.connect(address, uri=True, timeout=5.0)) as connection:
                connection.row_factory = sqlite3.Row
                return [dict(row) for row in connection.execute(statement, values)]
        except sqlite3.Error as error:
            raise JournalError(f"{self._path}: not a journal that can be read ({error})") from error

    def _read(self, statement: str, values: Sequence[Any], make: Any) -> list[Any]:
        try:
            return [make(row) for row in self._all(statement, values)]
        except (ValueError, KeyError, TypeError) as error:
            raise JournalError(f"{self._path}: not a journal that can be read ({error})") from error

    def now(self) -> str:
        """Give the present instant as the journal writes instants."""
        return self._clock.now().isoformat(timespec="milliseconds")

    def campaigns(self) -> list[CampaignRow]:
        """All campaigns, oldest first."""
        return self._read("SELECT * FROM campaigns ORDER BY started", (), _campaign)

    def operations(
        self, *, campaign: str | None = None, cell: str | None = None, status: Collection[Status] | None = None
    ) -> list[OperationRow]:
        """Operations in the order in which they were requested."""
        where = {"campaign": campaign, "cell": cell}
        text, values = _where(where, "status", sorted(status) if status is not None else None)
        return self._read(f'SELECT * FROM operations{text} ORDER BY "order"', values, _operation)  # noqa: S608 - ours

    def held(self) -> list[OperationRow]:
        """Give the operations that hold something, oldest first."""
        return self.operations(status=HELD)

    def places(self) -> dict[str, str]:
        """Where every cell sits."""
        return {row["cell"]: row["place"] for row in self._all("SELECT cell, place FROM positions ORDER BY cell")}

    def cell_rows(self, campaign: str) -> dict[str, CellRow]:
        """How far every cell of a campaign is, and what a person has asked for it."""
        rows = self._read("SELECT * FROM cell_states WHERE campaign = ?", (campaign,), lambda row: CellRow(**row))
        return {row.cell: row for row in rows}

    def cell_states(self, campaign: str) -> dict[str, str]:
        """Cells that don't go on by themselves, and how that came: held, stopped, aborted or finished."""
        return {cell: row.state for cell, row in self.cell_rows(campaign).items() if row.state != UNDER_WAY}

    def command(self, id: str) -> CommandRow | None:
        """Look up what was answered to a command, None if it was never carried out."""
        if self.version < 2:
            return None
        found = self._read("SELECT * FROM commands WHERE id = ?", (id,), _command)
        return found[0] if found else None

    def commands(self, campaign: str) -> list[CommandRow]:
        """What people have told labctl about a campaign, oldest first."""
        if self.version < 2:
            return []
        return self._read("SELECT * FROM commands WHERE campaign = ? ORDER BY at", (campaign,), _command)

    def alarms(self, *, standing: bool = True) -> list[Alarm]:
        """Alarms, oldest first; only those that stand unless told otherwise."""
        text = " WHERE cleared IS NULL" if standing else ""
        return self._read(f"SELECT * FROM alarms{text} ORDER BY alarm", (), lambda row: Alarm(**row))  # noqa: S608 - ours

    def waiting(self) -> list[OutboxRow]:
        """Bundles that are not delivered yet, in the order in which they were put into the outbox."""
        if self.version < 3:
            return []
        return self._read(
            "SELECT * FROM outbox WHERE delivered IS NULL ORDER BY rowid", (), lambda row: OutboxRow(**row)
        )

    def events(
        self, *, category: str | None = None, cell: str | None = None, since: int = 0, last: int | None = None
    ) -> list[Event]:
        """History, oldest first; see :meth:`labctl.journal.Journal.events`."""
        text, values = _where({"category": category, "cell": cell}, "id", None, since)
        statement = f"SELECT * FROM events{text} ORDER BY id DESC LIMIT ?"  # noqa: S608 - ours
        return self._read(statement, (*values, -1 if last is None else last), _event)[::-1]


def _where(
    equal: Mapping[str, str | None], column: str, among: Sequence[str] | None, above: int | None = None
) -> tuple[str, list[Any]]:
    """Make the condition of a query; the names in it are ours, the values are bound."""
    said = {name: value for name, value in equal.items() if value is not None}
    parts = [f'"{name}" = ?' for name in said]
    values: list[Any] = list(said.values())
    if among is not None:
        parts.append(f'"{column}" IN ({", ".join("?" for _ in among)})')
        values += among
    if above is not None:
        parts.append(f'"{column}" > ?')
        values.append(above)
    return (f" WHERE {' AND '.join(parts)}" if parts else ""), values


def _decode(text: str | None) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(text or "{}")
    return found


def _late(text: str | None) -> Late:
    # Decoded when somebody looks, once: most rows are only counted.
    return Late(cache(partial(_decode, text)))


def _operation(row: dict[str, Any]) -> OperationRow:
    row["status"] = Status(row["status"])
    row["resources"] = tuple(json.loads(row["resources"]))
    row["result"], row["times"] = _late(row["result"]), _late(row["times"])
    row["handle"] = None if row["handle"] in (None, "null") else _late(row["handle"])
    return OperationRow(**row)


def _campaign(row: dict[str, Any]) -> CampaignRow:
    return CampaignRow(**{**row, "files": json.loads(row["files"]), "settings": json.loads(row["settings"])})


def _command(row: dict[str, Any]) -> CommandRow:
    return CommandRow(**{**row, "data": json.loads(row["data"]), "answer": json.loads(row["answer"])})


def _event(row: dict[str, Any]) -> Event:
    return Event(**{**row, "data": json.loads(row["data"])})
