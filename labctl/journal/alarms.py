"""Alarms: raised, acknowledged, cleared; and where there is no room to write them, kept in memory until there is."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sqlalchemy import bindparam, insert, select, update

from labctl.errors import JournalError, NoRoom
from labctl.journal import schema
from labctl.journal.rows import Alarm
from labctl.journal.store import Store, Write

_table = schema.alarms
_NEW: Final = insert(_table)
_CHANGE: Final = (
    update(_table)
    .where(_table.c.alarm == bindparam("of"))
    .values({name: bindparam(f"new_{name}") for name in ("cleared", "acknowledged", "by")})
)


def _change(alarm: Alarm) -> Write:
    return Write(
        _CHANGE,
        {
            "of": alarm.alarm,
            "new_cleared": alarm.cleared,
            "new_acknowledged": alarm.acknowledged,
            "new_by": alarm.by,
        },
    )


class Alarms:
    """All alarms of a journal."""

    def __init__(self, store: Store) -> None:
        self._store = store
        rows = store.rows(select(_table).order_by(_table.c.alarm))
        self._all: dict[int, Alarm] = {alarm.alarm: alarm for alarm in (Alarm(*row) for row in rows)}
        self._standing: dict[tuple[str, str | None, str | None], int] = {}
        for alarm in self._all.values():
            self._keep(alarm)

    def _keep(self, alarm: Alarm) -> None:
        self._all[alarm.alarm] = alarm
        words = (alarm.message, alarm.cell, alarm.instrument)
        if alarm.cleared is None:
            self._standing[words] = alarm.alarm
        elif self._standing.get(words) == alarm.alarm:
            del self._standing[words]

    def list(self, *, standing: bool) -> list[Alarm]:
        """Alarms, oldest first."""
        return [self._all[number] for number in sorted(self._standing.values())] if standing else [*self._all.values()]

    def get(self, alarm: int) -> Alarm:
        """Look an alarm up.

        Raises
        ------
        JournalError
            There is none of this number.
        """
        found = self._all.get(alarm)
        if found is None:
            raise JournalError(f"there is no alarm {alarm}", hint="'labctl alarms list' shows those that stand")
        return found

    def raise_(self, severity: str, message: str, cell: str | None, instrument: str | None) -> int:
        """Raise an alarm; one that stands already with the same words is not raised twice."""
        standing = self._standing.get((message, cell, instrument))
        if standing is not None:
            return standing
        alarm = Alarm(max(self._all, default=0) + 1, self._store.now(), severity, message, cell, instrument, None)
        row = {
            "alarm": alarm.alarm,
            "at": alarm.at,
            "severity": severity,
            "message": message,
            "cell": cell,
            "instrument": instrument,
            "cleared": None,
            "acknowledged": None,
            "by": None,
        }
        line = self._store.event("alarm", message, cell=cell, instrument=instrument, data={"severity": severity})
        self._store.attempt([Write(_NEW, row), line])
        self._keep(alarm)
        return alarm.alarm

    def clear(self, alarm: int) -> None:
        """Note that the cause of an alarm is gone; what is not known or cleared already stays as it is."""
        standing = self._all.get(alarm)
        if standing is None or standing.cleared is not None:
            return
        cleared = replace(standing, cleared=self._store.now())
        self._store.attempt([_change(cleared)])
        self._keep(cleared)

    def change(self, alarm: Alarm, words: str) -> None:
        """Write what a person did about an alarm.

        Raises
        ------
        NoRoom
            Nothing has changed.
        """
        with self._store.commit() as store:
            write = _change(alarm)
            if store.write(write.statement, write.values) != 1:
                raise NoRoom(f"{store.path}: the alarm itself waits for room on the disk", hint="make room first")
            store.line("alarm", words, cell=alarm.cell, instrument=alarm.instrument, data={"alarm": alarm.alarm})
        self._keep(alarm)
