"""The journal: every change of state is one commit, durable before the next thing happens.

SQLite with write-ahead log and ``synchronous=FULL`` by default. An operation's row is its lease: entering ``done``
and giving the lease back are the same commit. One orchestrator is the only writer of a laboratory, so what was read or
committed once is answered from memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, bindparam, create_engine, delete, event, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from labctl.errors import JournalError
from labctl.instruments import Clock, Confirmation
from labctl.journal import schema
from labctl.journal.rows import ENTERED_FROM, HELD, Alarm, CampaignRow, Event, OperationRow, Status

_ops = schema.operations

# Statements that are run thousands of times are made once: the library then knows them by heart.
_NEW = insert(_ops)
_EVENT = insert(schema.events)
_MUTABLE = ("status", "resources", "fence", "handle", "bundle", "result", "error", "times")
_CHANGE = (
    update(_ops)
    .where(_ops.c.operation == bindparam("of"), _ops.c.status == bindparam("was"))
    .values({_ops.c[name]: bindparam(f"new_{name}", type_=_ops.c[name].type) for name in _MUTABLE})
)


def _mutable(row: OperationRow) -> dict[str, Any]:
    values = {f"new_{name}": getattr(row, name) for name in _MUTABLE}
    return {**values, "new_status": row.status.value, "new_resources": list(row.resources)}


class _DbapiConnection(Protocol):
    def cursor(self) -> Any: ...


def _durable(connection: _DbapiConnection, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.close()


class Journal:
    """The durable record of one laboratory.

    Parameters
    ----------
    path : Path
        The SQLite file; made if it does not exist.
    clock : Clock
        Stamps every commit.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._engine = create_engine(f"sqlite:///{path}")
        event.listen(self._engine, "connect", _durable)
        try:
            with self._engine.begin() as connection:
                schema.metadata.create_all(connection)
            self._connection = self._engine.connect()
            self._load()
        except (SQLAlchemyError, JournalError) as error:
            raise JournalError(f"{path}: not a journal that can be used ({error})") from error

    def _load(self) -> None:
        self._operations = {row.operation: row for row in self._rows(select(_ops).order_by(_ops.c.order))}
        self._by_cell: dict[str, list[str]] = {}
        for name, row in self._operations.items():
            self._by_cell.setdefault(row.cell, []).append(name)
        self._positions = {row["cell"]: row["place"] for row in self._all(select(schema.positions))}
        self._confirmations = {
            row["token"]: Confirmation(row["cell"], row["barcode"], row["user"], row["at"])
            for row in self._all(select(schema.confirmations))
        }
        self._alarms = {
            row["alarm"]: Alarm(**row) for row in self._all(select(schema.alarms).order_by(schema.alarms.c.alarm))
        }
        self._states = {(row["campaign"], row["cell"]): row["state"] for row in self._all(select(schema.cell_states))}

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
        self._engine.dispose()

    def now(self) -> str:
        """Give the instant that a commit would carry."""
        return self._clock.now().isoformat(timespec="milliseconds")

    @contextmanager
    def _commit(self) -> Iterator[Connection]:
        try:
            with self._connection.begin():
                yield self._connection
        except SQLAlchemyError as error:
            raise JournalError(f"{self.path}: {error}") from error

    def _all(self, statement: Any) -> list[Mapping[str, Any]]:
        with self._commit() as connection:
            return [dict(row) for row in connection.execute(statement).mappings()]

    # -- the laboratory -----------------------------------------------------------------------------------------
    def identity(self, propose: str) -> str:
        """Give the laboratory's id, storing ``propose`` if it has none yet."""
        table = schema.laboratory
        found = self._all(select(table.c.value).where(table.c.key == "id"))
        if found:
            return str(found[0]["value"])
        with self._commit() as connection:
            connection.execute(insert(table).values(key="id", value=propose))
        return propose

    # -- campaigns ----------------------------------------------------------------------------------------------
    def begin_campaign(self, row: CampaignRow, places: Mapping[str, str]) -> None:
        """Freeze a campaign and say where its cells sit."""
        with self._commit() as connection:
            connection.execute(
                insert(schema.campaigns).values(
                    campaign=row.campaign,
                    mode=row.mode,
                    files=dict(row.files),
                    settings=dict(row.settings),
                    started=row.started,
                )
            )
            for cell, place in places.items():
                self._place(connection, cell, place)
            self._event(connection, "campaign", f"campaign {row.campaign} begins")
        self._positions.update(places)

    def end_campaign(self, campaign: str) -> None:
        """Note that nothing more will happen in this campaign."""
        table = schema.campaigns
        with self._commit() as connection:
            connection.execute(update(table).where(table.c.campaign == campaign).values(ended=self.now()))
            self._event(connection, "campaign", f"campaign {campaign} has ended")

    def campaigns(self) -> list[CampaignRow]:
        """All campaigns, oldest first."""
        return [CampaignRow(**row) for row in self._all(select(schema.campaigns).order_by(schema.campaigns.c.started))]

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
        known = self._operations.get(operation)
        if known is not None:
            return known
        times = {Status.REQUESTED.value: self.now()}
        values: dict[str, Any] = {
            "operation": operation,
            "campaign": campaign,
            "cell": cell,
            "step": step,
            "kind": kind,
            "attempt": attempt,
            "token": token,
            "result": dict(result or {}),
            "times": times,
        }
        with self._commit() as connection:
            inserted = connection.execute(_NEW, {**values, "status": Status.REQUESTED.value, "resources": []})
        row = OperationRow(
            **values,
            order=int((inserted.inserted_primary_key or (0,))[0]),
            status=Status.REQUESTED,
            resources=(),
            fence=None,
            handle=None,
            bundle=None,
            error=None,
        )
        self._operations[operation] = row
        self._by_cell.setdefault(cell, []).append(operation)
        return row

    def operation(self, operation: str) -> OperationRow:
        """Look an operation up that must be there."""
        found = self._operations.get(operation)
        if found is None:
            raise JournalError(f"no operation {operation} in {self.path}")
        return found

    def operations(
        self, *, campaign: str | None = None, cell: str | None = None, status: Collection[Status] | None = None
    ) -> list[OperationRow]:
        """Operations in the order in which they were requested."""
        names = self._by_cell.get(cell, []) if cell is not None else self._operations
        rows = [self._operations[name] for name in names]
        return [
            row
            for row in rows
            if (campaign is None or row.campaign == campaign) and (status is None or row.status in status)
        ]

    def held(self) -> list[OperationRow]:
        """Give the operations that hold something, oldest first: these are the leases."""
        return self.operations(status=HELD)

    def leased(self, operation: str, resources: Sequence[str]) -> OperationRow:
        """Give ``resources`` to an operation, with a fence that only ever grows."""
        fence = 1 + max((row.fence or 0 for row in self._operations.values()), default=0)
        return self._enter(operation, Status.LEASED, resources=list(resources), fence=fence)

    def intent(self, operation: str) -> OperationRow:
        """Note that the instrument is about to be told, under the row's token."""
        return self._enter(operation, Status.INTENT)

    def running(self, operation: str, handle: Mapping[str, Any]) -> OperationRow:
        """Note that the instrument answered that it runs."""
        return self._enter(operation, Status.RUNNING, handle=dict(handle))

    def fetched(self, operation: str, bundle: str, result: Mapping[str, Any]) -> OperationRow:
        """Note that everything the operation produced is safe in ``bundle``."""
        return self._enter(operation, Status.FETCHED, bundle=bundle, result=dict(result))

    def done(self, operation: str, *, place: str | None = None) -> OperationRow:
        """End an operation and give its lease back, in one commit; a transfer also moves its cell to ``place``."""
        return self._enter(operation, Status.DONE, place=place)

    def failed(self, operation: str, error: str) -> OperationRow:
        """End an operation that cannot go on."""
        return self._enter(operation, Status.FAILED, error=error)

    def aborted(self, operation: str, error: str) -> OperationRow:
        """End an operation that a person stopped."""
        return self._enter(operation, Status.ABORTED, error=error)

    def needs_operator(self, operation: str, error: str) -> OperationRow:
        """Keep the lease and wait for a person: what the instrument did can't be told."""
        return self._enter(operation, Status.NEEDS_OPERATOR, error=error)

    def _enter(self, operation: str, status: Status, *, place: str | None = None, **values: Any) -> OperationRow:
        before = self.operation(operation)
        if before.status not in ENTERED_FROM[status]:
            raise JournalError(f"{operation} is {before.status} and cannot become {status}")
        if "resources" in values:
            values["resources"] = tuple(values["resources"])
        row = replace(before, status=status, times={**before.times, status.value: self.now()}, **values)
        with self._commit() as connection:
            changed = connection.execute(_CHANGE, {"of": operation, "was": before.status.value, **_mutable(row)})
            if changed.rowcount != 1:
                raise JournalError(f"{operation} is not {before.status} any more: somebody else writes {self.path}")
            if place is not None:
                self._place(connection, before.cell, place)
            if "error" in values:
                # The ordinary way stands in the row's own times; history needs a line where something went wrong.
                message = f"{before.step} {status.value}: {values['error']}"
                self._event(connection, "operation", message, cell=before.cell, operation=operation)
        self._operations[operation] = row
        if place is not None:
            self._positions[before.cell] = place
        return row

    def _rows(self, statement: Any) -> list[OperationRow]:
        return [
            OperationRow(**{**row, "status": Status(row["status"]), "resources": tuple(row["resources"])})
            for row in self._all(statement)
        ]

    # -- where cells are, what people said ----------------------------------------------------------------------
    def _place(self, connection: Connection, cell: str, place: str) -> None:
        table = schema.positions
        changed = connection.execute(update(table).where(table.c.cell == cell).values(place=place, since=self.now()))
        if changed.rowcount == 0:
            connection.execute(insert(table).values(cell=cell, place=place, since=self.now()))

    def places(self) -> dict[str, str]:
        """Where every cell sits."""
        return dict(self._positions)

    def cell_ended(self, campaign: str, cell: str, state: str) -> None:
        """Note where a cell's way ended: finished, held or aborted."""
        table = schema.cell_states
        with self._commit() as connection:
            connection.execute(delete(table).where(table.c.campaign == campaign, table.c.cell == cell))
            connection.execute(insert(table).values(campaign=campaign, cell=cell, state=state, at=self.now()))
            self._event(connection, "cell", f"{cell} is {state}", cell=cell)
        self._states[campaign, cell] = state

    def cell_states(self, campaign: str) -> dict[str, str]:
        """Cells whose way has ended, and how."""
        return {cell: state for (of, cell), state in self._states.items() if of == campaign}

    def confirm(self, token: str, confirmation: Confirmation) -> None:
        """Store a person's confirmation; repeating it changes nothing."""
        if self.confirmation(token) is not None:
            return
        with self._commit() as connection:
            connection.execute(
                insert(schema.confirmations).values(
                    token=token,
                    cell=confirmation.cell,
                    barcode=confirmation.barcode,
                    user=confirmation.user,
                    at=confirmation.at,
                )
            )
            message = f"{confirmation.user} confirmed {confirmation.cell} ({confirmation.barcode})"
            self._event(connection, "confirmation", message, cell=confirmation.cell)
        self._confirmations[token] = confirmation

    def confirmation(self, token: str) -> Confirmation | None:
        """Look up what a person confirmed for a request."""
        return self._confirmations.get(token)

    # -- events and alarms --------------------------------------------------------------------------------------
    def _event(
        self,
        connection: Connection,
        category: str,
        message: str,
        *,
        cell: str | None = None,
        operation: str | None = None,
        instrument: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        values = {"at": self.now(), "category": category, "message": message, "data": dict(data or {})}
        connection.execute(_EVENT, {**values, "cell": cell, "operation": operation, "instrument": instrument})

    def note(self, category: str, message: str, **where: Any) -> None:
        """Write one line of history; ``where``: cell, operation, instrument, data."""
        with self._commit() as connection:
            self._event(connection, category, message, **where)

    def events(self, *, category: str | None = None, last: int | None = None) -> list[Event]:
        """History, oldest first; ``last`` limits it to the newest so many."""
        table = schema.events
        statement = select(table).order_by(table.c.id.desc())
        if category is not None:
            statement = statement.where(table.c.category == category)
        if last is not None:
            statement = statement.limit(last)
        rows = self._all(statement)
        return [Event(**{key: value for key, value in row.items() if key != "id"}) for row in reversed(rows)]

    def alarm(self, severity: str, message: str, *, cell: str | None = None, instrument: str | None = None) -> int:
        """Raise an alarm; one that stands already with the same words is not raised twice."""
        for standing in self.alarms():
            if (standing.message, standing.cell, standing.instrument) == (message, cell, instrument):
                return standing.alarm
        at = self.now()
        row = {"at": at, "severity": severity, "message": message, "cell": cell, "instrument": instrument}
        with self._commit() as connection:
            raised = connection.execute(insert(schema.alarms).values(**row))
            self._event(connection, "alarm", message, cell=cell, instrument=instrument)
        number = int((raised.inserted_primary_key or (0,))[0])
        self._alarms[number] = Alarm(number, at, severity, message, cell, instrument, None)
        return number

    def clear_alarm(self, alarm: int) -> None:
        """Note that the cause of an alarm is gone."""
        standing = self._alarms.get(alarm)
        if standing is None or standing.cleared is not None:
            return
        table, at = schema.alarms, self.now()
        with self._commit() as connection:
            connection.execute(update(table).where(table.c.alarm == alarm).values(cleared=at))
        self._alarms[alarm] = replace(standing, cleared=at)

    def alarms(self, *, standing: bool = True) -> list[Alarm]:
        """Alarms, oldest first; only those that stand unless told otherwise."""
        return [alarm for alarm in self._alarms.values() if not standing or alarm.cleared is None]
