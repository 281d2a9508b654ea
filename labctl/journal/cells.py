"""Cells as the journal keeps them: where they sit, how far they are, what people said and confirmed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import bindparam, delete, insert, select

from labctl.errors import JournalError
from labctl.instruments import Confirmation
from labctl.journal import schema
from labctl.journal.rows import CELL_STATES, UNDER_WAY, WISHES, CellRow, CommandRow
from labctl.journal.store import Store

_places, _states = schema.positions, schema.cell_states
_NO_PLACE: Final = delete(_places).where(_places.c.cell == bindparam("of"))
_PLACE: Final = insert(_places)
_NO_STATE: Final = delete(_states).where(
    _states.c.campaign == bindparam("of_campaign"), _states.c.cell == bindparam("of_cell")
)
_STATE: Final = insert(_states)
_COMMAND: Final = insert(schema.commands)
_CONFIRMATION: Final = insert(schema.confirmations)


class CellRecords:
    """Everything about cells that is not an operation."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.places: dict[str, str] = {}
        self.occupants: dict[str, str] = {}
        for cell, place in store.rows(select(_places.c.cell, _places.c.place)):
            self.keep_place(cell, place)
        self._rows: dict[str, dict[str, CellRow]] = {}
        for row in store.rows(select(_states)):
            self.keep_state(CellRow(*row))
        self.confirmations: dict[str, Confirmation] = {
            token: Confirmation(*said) for token, *said in store.rows(select(schema.confirmations))
        }
        self.commands: dict[str, CommandRow] = {}
        for id_, at, op, campaign, cell, user, reason, data, answer in store.rows(select(schema.commands)):
            command = CommandRow(id_, at, op, campaign, cell, user, reason, json.loads(data), json.loads(answer))
            self.commands[command.id] = command

    # -- places -----------------------------------------------------------------------------------------------------
    def write_place(self, cell: str, place: str) -> None:
        """Say where a cell sits, within a commit."""
        self._store.write(_NO_PLACE, {"of": cell})
        self._store.write(_PLACE, {"cell": cell, "place": place, "since": self._store.now()})

    def keep_place(self, cell: str, place: str) -> None:
        """Remember a place that was committed."""
        before = self.places.get(cell)
        if before is not None and self.occupants.get(before) == cell:
            del self.occupants[before]
        self.places[cell] = place
        self.occupants[place] = cell

    # -- how far they are -------------------------------------------------------------------------------------------
    def rows(self, campaign: str) -> dict[str, CellRow]:
        """Rows of a campaign's cells."""
        return dict(self._rows.get(campaign, {}))

    def row(self, campaign: str, cell: str) -> CellRow:
        """Give the row of one cell; one that has none is under way."""
        found = self._rows.get(campaign, {}).get(cell)
        return found or CellRow(campaign, cell, UNDER_WAY, self._store.now())

    def write_state(self, row: CellRow) -> None:
        """Write a cell's row, within a commit.

        Raises
        ------
        JournalError
            There is no such state or wish.
        """
        if row.state not in CELL_STATES:
            raise JournalError(f"{row.cell}: {row.state!r} is no state of a cell; there are {', '.join(CELL_STATES)}")
        if row.wanted is not None and row.wanted not in WISHES and not row.wanted.startswith("skip "):
            raise JournalError(f"{row.cell}: {row.wanted!r} can't be wanted; there are {', '.join(WISHES)}")
        self._store.write(_NO_STATE, {"of_campaign": row.campaign, "of_cell": row.cell})
        self._store.write(
            _STATE,
            {
                "campaign": row.campaign,
                "cell": row.cell,
                "state": row.state,
                "at": row.at,
                "reason": row.reason,
                "by": row.by,
                "wanted": row.wanted,
            },
        )

    def keep_state(self, row: CellRow) -> None:
        """Remember a row that was committed."""
        self._rows.setdefault(row.campaign, {})[row.cell] = row

    # -- what people said -------------------------------------------------------------------------------------------
    def write_command(self, command: CommandRow) -> None:
        """Store a command with its answer, within a commit."""
        values: Mapping[str, Any] = {
            "id": command.id,
            "at": command.at,
            "op": command.op,
            "campaign": command.campaign,
            "cell": command.cell,
            "user": command.user,
            "reason": command.reason,
            "data": json.dumps(dict(command.data)),
            "answer": json.dumps(dict(command.answer)),
        }
        self._store.write(_COMMAND, values)

    def write_confirmation(self, token: str, said: Confirmation) -> None:
        """Store a person's confirmation, within a commit."""
        self._store.write(
            _CONFIRMATION,
            {"token": token, "cell": said.cell, "barcode": said.barcode, "user": said.user, "at": said.at},
        )
