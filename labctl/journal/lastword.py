"""A look into a journal without an orchestrator: read-only, at once, by the standard library alone.

``labctl status`` is run every few seconds by people and by scripts; the database library that writes the journal takes
longer to import than everything else there. Nothing is written, not even a lock that another process would notice.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

from labctl.errors import JournalError
from labctl.instruments import Clock
from labctl.journal.rows import HELD, Alarm, CampaignRow, OperationRow, Status


class LastWord:
    """What a journal says, as of now.

    Parameters
    ----------
    path : Path
        The SQLite file.
    clock : Clock
        Tells how old things are.

    Raises
    ------
    JournalError
        There is no journal, or it can't be read.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        if not path.exists():
            raise JournalError(f"{path}: there is no journal here", hint="run 'labctl run' in this folder first")
        try:
            with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)) as connection:
                connection.row_factory = sqlite3.Row
                self._operations = [_operation(row) for row in _all(connection, "operations", "order")]
                self._campaigns = [_campaign(row) for row in _all(connection, "campaigns", "started")]
                self._alarms = [Alarm(**row) for row in _all(connection, "alarms", "alarm")]
                self._places = {row["cell"]: row["place"] for row in _all(connection, "positions", "cell")}
                self._states = _all(connection, "cell_states", "at")
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            raise JournalError(f"{path}: not a journal that can be read ({error})") from error

    def now(self) -> str:
        """Give the present instant as the journal writes instants."""
        return self._clock.now().isoformat(timespec="milliseconds")

    def campaigns(self) -> list[CampaignRow]:
        """All campaigns, oldest first."""
        return self._campaigns

    def operations(
        self, *, campaign: str | None = None, cell: str | None = None, status: Collection[Status] | None = None
    ) -> list[OperationRow]:
        """Operations in the order in which they were requested."""
        return [
            row
            for row in self._operations
            if (campaign is None or row.campaign == campaign)
            and (cell is None or row.cell == cell)
            and (status is None or row.status in status)
        ]

    def held(self) -> list[OperationRow]:
        """Give the operations that hold something, oldest first."""
        return self.operations(status=HELD)

    def places(self) -> dict[str, str]:
        """Where every cell sits."""
        return self._places

    def cell_states(self, campaign: str) -> dict[str, str]:
        """Cells whose way has ended, and how."""
        return {row["cell"]: row["state"] for row in self._states if row["campaign"] == campaign}

    def alarms(self) -> list[Alarm]:
        """Alarms that stand, oldest first."""
        return [alarm for alarm in self._alarms if alarm.cleared is None]


def _all(connection: sqlite3.Connection, table: str, order: str) -> list[dict[str, Any]]:
    # Both names are ours, never a user's.
    return [dict(row) for row in connection.execute(f'SELECT * FROM "{table}" ORDER BY "{order}"')]  # noqa: S608


def _operation(row: dict[str, Any]) -> OperationRow:
    decoded = {key: json.loads(row[key]) if row[key] else None for key in ("resources", "handle", "result", "times")}
    resources = tuple(decoded.pop("resources") or ())
    return OperationRow(**{**row, **decoded, "resources": resources, "status": Status(row["status"])})


def _campaign(row: dict[str, Any]) -> CampaignRow:
    return CampaignRow(**{**row, "files": json.loads(row["files"]), "settings": json.loads(row["settings"])})
