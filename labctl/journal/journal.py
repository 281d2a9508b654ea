"""The journal: every change of state is one commit, durable before the next thing happens.

SQLite with write-ahead log and ``synchronous=FULL``. An operation's row is its lease: entering ``done`` and giving the
lease back are the same commit. One orchestrator is the only writer of a laboratory, so what was read or committed once
is answered from memory. Where the disk is full a commit raises :class:`~labctl.errors.NoRoom` and nothing has changed,
in memory as in the file; lines of history and alarms wait in memory and go into the next commit.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import EllipsisType
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from labctl.errors import JournalError
from labctl.instruments import Clock, Confirmation
from labctl.journal import schema
from labctl.journal.alarms import Alarms
from labctl.journal.cells import CellRecords
from labctl.journal.integrity import check_file, check_leases
from labctl.journal.operations import Operations
from labctl.journal.outbox import OutboxRecords
from labctl.journal.rows import (
    ENTERED_FROM,
    UNDER_WAY,
    Alarm,
    CampaignRow,
    CellRow,
    CommandRow,
    Event,
    OperationRow,
    OutboxRow,
    Posting,
    Status,
)
from labctl.journal.sentences import order, sentence
from labctl.journal.store import Store

_campaigns, _laboratory, _events = schema.campaigns, schema.laboratory, schema.events
_BEGIN = insert(_campaigns)
_END = update(_campaigns).where(_campaigns.c.campaign == bindparam("of")).values(ended=bindparam("new_ended"))
_IDENTITY = insert(_laboratory)


class Journal:
    """The durable record of one laboratory.

    Parameters
    ----------
    path : Path
        The SQLite file; made if it does not exist. An older one is brought to today's tables, and kept beside it.
    clock : Clock
        Stamps every commit.

    Raises
    ------
    JournalError
        The file is no journal, is damaged, contradicts itself, or was written by a newer labctl.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._store = Store(path, clock)
        try:
            check_file(self._store)
            self._ops = Operations(self._store)
            check_leases(self._ops.held(), str(path))
            self._cells = CellRecords(self._store)
            self._alarms = Alarms(self._store)
            #: What is on its way to whom.
            self.outbox = OutboxRecords(self._store)
            self._campaigns = self._read_campaigns()
        except (ValueError, TypeError) as error:
            self._store.close()
            raise JournalError(f"{path}: not a journal that can be used ({error})") from error
        except JournalError:
            self._store.close()
            raise

    def _read_campaigns(self) -> dict[str, CampaignRow]:
        rows = self._store.rows(select(_campaigns).order_by(_campaigns.c.started))
        return {
            name: CampaignRow(name, mode, json.loads(files), json.loads(settings), started, ended)
            for name, mode, files, settings, started, ended in rows
        }

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def now(self) -> str:
        """Give the instant that a commit would carry."""
        return self._store.now()

    # -- the laboratory -----------------------------------------------------------------------------------------
    def identity(self, propose: str) -> str:
        """Give the laboratory's id, storing ``propose`` if it has none yet."""
        found = self._store.rows(select(_laboratory.c.value).where(_laboratory.c.key == "id"))
        if found:
            return str(found[0][0])
        with self._store.commit() as store:
            store.write(_IDENTITY, {"key": "id", "value": propose})
        return propose

    # -- campaigns ----------------------------------------------------------------------------------------------
    def begin_campaign(self, row: CampaignRow, places: Mapping[str, str], cells: Collection[str] = ()) -> None:
        """Freeze a campaign, say where its cells sit, and have ``cells`` under way."""
        states = [CellRow(row.campaign, cell, UNDER_WAY, row.started) for cell in cells]
        with self._store.commit() as store:
            store.write(
                _BEGIN,
                {
                    "campaign": row.campaign,
                    "mode": row.mode,
                    "files": json.dumps(dict(row.files)),
                    "settings": json.dumps(dict(row.settings)),
                    "started": row.started,
                    "ended": None,
                },
            )
            for cell, place in places.items():
                self._cells.write_place(cell, place)
            for state in states:
                self._cells.write_state(state)
            store.line("campaign", f"campaign {row.campaign} begins")
        self._campaigns[row.campaign] = replace(row, ended=None)
        for cell, place in places.items():
            self._cells.keep_place(cell, place)
        for state in states:
            self._cells.keep_state(state)

    def end_campaign(self, campaign: str) -> None:
        """Note that nothing more will happen in this campaign."""
        ended = self.now()
        with self._store.commit() as store:
            store.write(_END, {"of": campaign, "new_ended": ended})
            store.line("campaign", f"campaign {campaign} has ended")
        self._campaigns[campaign] = replace(self._campaigns[campaign], ended=ended)

    def campaigns(self) -> list[CampaignRow]:
        """All campaigns, oldest first."""
        return list(self._campaigns.values())

    # -- operations ---------------------------------------------------------------------------------------------
    def request(
        self,
        operation: str,
        *,
        campaign: str,
        cell: str,
        step: str,
        kind: str,
        attempt: int,
        token: str,
        result: Mapping[str, Any] | None = None,
    ) -> OperationRow:
        """Ask for an operation; asking again gives the one that is there."""
        known = self._ops.get(operation)
        if known is not None:
            return known
        row = OperationRow(
            operation=operation,
            order=self._ops.order,
            campaign=campaign,
            cell=cell,
            step=step,
            kind=kind,
            attempt=attempt,
            token=token,
            status=Status.REQUESTED,
            resources=(),
            fence=None,
            handle=None,
            bundle=None,
            result=dict(result or {}),
            error=None,
            times={Status.REQUESTED.value: self.now()},
        )
        with self._store.commit():
            self._ops.write_new(row)
        self._ops.added(row)
        return row

    def operation(self, operation: str) -> OperationRow:
        """Look an operation up that must be there."""
        found = self._ops.get(operation)
        if found is None:
            raise JournalError(f"no operation {operation} in {self.path}")
        return found

    def known(self, operation: str) -> OperationRow | None:
        """Look an operation up that may be there."""
        return self._ops.get(operation)

    def operations(
        self, *, campaign: str | None = None, cell: str | None = None, status: Collection[Status] | None = None
    ) -> list[OperationRow]:
        """Operations in the order in which they were requested."""
        return self._ops.find(campaign, cell, status)

    def backwards(self, campaign: str, cell: str) -> Iterator[OperationRow]:
        """Operations of a cell, the newest first, for who looks for the last one of a kind."""
        return self._ops.backwards(campaign, cell)

    def latest(self, campaign: str, cell: str, step: str) -> OperationRow | None:
        """Give the newest attempt at one step of a cell, None if it was never requested."""
        return self._ops.latest(campaign, cell, step)

    def reached(self, campaign: str, cell: str) -> Mapping[str, Status]:
        """Give each step of a cell that was requested and the status of its newest attempt; cheap, for restarts."""
        return self._ops.reached(campaign, cell)

    def held(self) -> list[OperationRow]:
        """Give the operations that hold something, oldest first: these are the leases."""
        return self._ops.held()

    def leased(self, operation: str, resources: Sequence[str]) -> OperationRow:
        """Give ``resources`` to an operation, with a fence that only ever grows."""
        return self._enter(operation, Status.LEASED, resources=tuple(resources), fence=self._ops.next_fence())

    def intent(self, operation: str) -> OperationRow:
        """Note that the instrument is about to be told, under the row's token."""
        return self._enter(operation, Status.INTENT)

    def running(self, operation: str, handle: Mapping[str, Any]) -> OperationRow:
        """Note that the instrument answered that it runs."""
        return self._enter(operation, Status.RUNNING, handle=dict(handle))

    def fetched(
        self, operation: str, bundle: str, result: Mapping[str, Any], posting: Posting | None = None
    ) -> OperationRow:
        """Note that everything the operation produced is safe in ``bundle``, and is to be delivered."""
        return self._enter(operation, Status.FETCHED, posting=posting, bundle=bundle, result=dict(result))

    def done(self, operation: str, *, place: str | None = None) -> OperationRow:
        """End an operation and give its lease back, in one commit; a transfer also moves its cell to ``place``."""
        return self._enter(operation, Status.DONE, place=place)

    def failed(
        self,
        operation: str,
        error: str,
        result: Mapping[str, Any] | None = None,
        posting: Posting | None = None,
    ) -> OperationRow:
        """End an operation that cannot go on; ``result`` is what it brought all the same."""
        known = {**self.operation(operation).result, **(result or {})}
        return self._enter(operation, Status.FAILED, posting=posting, error=error, result=known)

    def aborted(
        self,
        operation: str,
        error: str,
        result: Mapping[str, Any] | None = None,
        posting: Posting | None = None,
    ) -> OperationRow:
        """End an operation that a person stopped; ``result`` says what comes of that (``skipped``, ``again``)."""
        known = {**self.operation(operation).result, **(result or {})}
        return self._enter(operation, Status.ABORTED, posting=posting, error=error, result=known)

    def ask_again(self, operation: str) -> OperationRow:
        """Have the instrument asked once more what became of an operation that a person was asked about."""
        status = Status.INTENT if self.operation(operation).handle is None else Status.RUNNING
        return self._enter(operation, status)

    def needs_operator(self, operation: str, error: str) -> OperationRow:
        """Keep the lease and wait for a person: what the instrument did can't be told."""
        return self._enter(operation, Status.NEEDS_OPERATOR, error=error)

    def _enter(
        self,
        operation: str,
        status: Status,
        *,
        place: str | None = None,
        posting: Posting | None = None,
        **values: Any,
    ) -> OperationRow:
        before = self.operation(operation)
        # Nothing runs that nobody has meant to start, whoever was asked in between.
        unmeant = status is Status.RUNNING and Status.INTENT.value not in before.times
        if before.status not in ENTERED_FROM[status] or unmeant:
            raise JournalError(f"{operation} is {before.status} and cannot become {status}")
        row = replace(before, status=status, times={**before.times, status.value: self.now()}, **values)
        posted = self.outbox.rows(operation, before.campaign, posting) if posting is not None else []
        with self._store.commit() as store:
            self._ops.write_entered(before, row)
            if place is not None:
                self._cells.write_place(before.cell, place)
            if "error" in values:
                # The ordinary way stands in the row's own times; history needs a line where something went wrong.
                message = f"{before.step} {status.value}: {values['error']}"
                store.line("operation", message, cell=before.cell, operation=operation)
            for one in posted:
                self.outbox.write_new(one)
        self._ops.entered(row)
        for one in posted:
            self.outbox.keep(one)
        if place is not None:
            self._cells.keep_place(before.cell, place)
        return row

    def waiting(self) -> list[OutboxRow]:
        """Bundles that are not delivered yet, those that were tried last behind."""
        return self.outbox.waiting()

    # -- where cells are, how far they are, what people said ------------------------------------------------------
    def places(self) -> dict[str, str]:
        """Where every cell sits."""
        return dict(self._cells.places)

    def place(self, cell: str) -> str | None:
        """Where one cell sits, None where nobody has said."""
        return self._cells.places.get(cell)

    def occupant(self, place: str) -> str | None:
        """Which cell sits in a slot, None where none does."""
        return self._cells.occupants.get(place)

    def cell(self, campaign: str, cell: str) -> CellRow:
        """How far one cell of a campaign is, and what a person has asked for it."""
        return self._cells.row(campaign, cell)

    def cell_rows(self, campaign: str) -> dict[str, CellRow]:
        """How far every cell of a campaign is, and what a person has asked for it."""
        return self._cells.rows(campaign)

    def cell_states(self, campaign: str) -> dict[str, str]:
        """Cells that don't go on by themselves, and how that came: held, stopped, aborted or finished."""
        return {cell: row.state for cell, row in self._cells.rows(campaign).items() if row.state != UNDER_WAY}

    def control(
        self,
        campaign: str,
        cell: str,
        *,
        state: str | None = None,
        wanted: str | EllipsisType | None = ...,
        reason: str = "",
        by: str = "",
        command: CommandRow | None = None,
    ) -> CellRow:
        """Say how far a cell is or what is wanted of it, in one commit with the command that it comes from.

        Parameters
        ----------
        state : str, optional
            The cell's new state; left out, it stays.
        wanted : str or None, optional
            What a person has asked for, None once that is carried out or taken back; left out, it stays.
        reason, by : str
            Why and by whom; where both are empty and the state stays, what was said before stays too.
        command : CommandRow, optional
            Stored with its answer. One whose id is stored already changes nothing, whatever else is given.

        Returns
        -------
        CellRow
            As it is now.

        Raises
        ------
        JournalError
            There is no such state or wish.
        NoRoom
            Nothing has changed.
        """
        before = self._cells.row(campaign, cell)
        if command is not None and command.id in self._cells.commands:
            return before
        changed = state is not None and state != before.state
        said = (reason, by) if reason or by or changed else (before.reason, before.by)
        row = CellRow(
            campaign,
            cell,
            state or before.state,
            self.now() if changed else before.at,
            *said,
            before.wanted if isinstance(wanted, EllipsisType) else wanted,
        )
        with self._store.commit() as store:
            self._cells.write_state(row)
            if command is not None:
                self._cells.write_command(command)
            store.line("command" if command else "cell", sentence(row, command, changed=changed), cell=cell)
        self._cells.keep_state(row)
        if command is not None:
            self._cells.commands[command.id] = command
        return row

    def command(self, id: str) -> CommandRow | None:
        """Look up what was answered to a command, None if it was never carried out."""
        return self._cells.commands.get(id)

    def remember(self, command: CommandRow) -> None:
        """Store a command that changes no cell's row, with its answer; repeating it changes nothing."""
        if command.id in self._cells.commands:
            return
        with self._store.commit() as store:
            self._cells.write_command(command)
            store.line("command", order(command), cell=command.cell)
        self._cells.commands[command.id] = command

    def confirm(self, token: str, confirmation: Confirmation, command: CommandRow | None = None) -> None:
        """Store a person's confirmation, with the command it came by; repeating it changes nothing."""
        if self.confirmation(token) is not None:
            return
        with self._store.commit() as store:
            self._cells.write_confirmation(token, confirmation)
            if command is not None and command.id not in self._cells.commands:
                self._cells.write_command(command)
            message = f"{confirmation.user} confirmed {confirmation.cell} ({confirmation.barcode})"
            store.line("confirmation", message, cell=confirmation.cell)
        self._cells.confirmations[token] = confirmation
        if command is not None:
            self._cells.commands.setdefault(command.id, command)

    def confirmation(self, token: str) -> Confirmation | None:
        """Look up what a person confirmed for a request."""
        return self._cells.confirmations.get(token)

    # -- events and alarms --------------------------------------------------------------------------------------
    def note(self, category: str, message: str, **where: Any) -> None:
        """Write one line of history; ``where``: cell, operation, instrument, data. Without room it waits in memory."""
        self._store.note(category, message, **where)

    def events(
        self, *, category: str | None = None, cell: str | None = None, since: int = 0, last: int | None = None
    ) -> list[Event]:
        """History, oldest first.

        Parameters
        ----------
        category, cell : str, optional
            Only lines of this category, about this cell.
        since : int
            Only lines with a larger id: what has come since one looked.
        last : int, optional
            Only the newest so many.
        """
        statement = select(_events).where(_events.c.id > since).order_by(_events.c.id.desc())
        if category is not None:
            statement = statement.where(_events.c.category == category)
        if cell is not None:
            statement = statement.where(_events.c.cell == cell)
        if last is not None:
            statement = statement.limit(last)
        return [
            Event(at, kind, message, about, operation, instrument, json.loads(data), number)
            for number, at, kind, message, about, operation, instrument, data in reversed(
                self._store.rows(statement, once=True)
            )
        ]

    def alarm(self, severity: str, message: str, *, cell: str | None = None, instrument: str | None = None) -> int:
        """Raise an alarm; one that stands already with the same words is not raised twice. Waits for room."""
        return self._alarms.raise_(severity, message, cell, instrument)

    def clear_alarm(self, alarm: int) -> None:
        """Note that the cause of an alarm is gone."""
        self._alarms.clear(alarm)

    def acknowledge(self, alarm: int, user: str) -> Alarm:
        """Note that a person knows of an alarm, which goes on standing; doing it again changes nothing.

        Raises
        ------
        JournalError
            There is no such alarm.
        """
        standing = self._alarms.get(alarm)
        if standing.acknowledged is not None or standing.cleared is not None:
            return standing
        changed = replace(standing, acknowledged=self.now(), by=user)
        self._alarms.change(changed, f"{user} has seen: {standing.message}")
        return changed

    def reset(self, alarm: int, user: str) -> Alarm:
        """Clear an alarm by a person's word; doing it again changes nothing.

        Raises
        ------
        JournalError
            There is no such alarm.
        """
        standing = self._alarms.get(alarm)
        if standing.cleared is not None:
            return standing
        changed = replace(standing, cleared=self.now(), by=user)
        self._alarms.change(changed, f"{user} has reset: {standing.message}")
        return changed

    def alarms(self, *, standing: bool = True) -> list[Alarm]:
        """Alarms, oldest first; only those that stand unless told otherwise."""
        return self._alarms.list(standing=standing)
