"""When the station's people are there, and its bookings: requests wait for them, and the arbiter knows it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from labctl.engine.movement import SOMEBODY, people_of
from labctl.instruments import Clock
from labctl.station import Hours, Operator, Station, parse_hours

#: Somebody who leaves within so much time takes up nothing new, and nothing new is begun on an instrument that is
#: booked for less than this.
LAST_CALL: Final = timedelta(minutes=15)
LAST_BEGIN: Final = timedelta(hours=1)
#: Hours of somebody for whom none are given.
ALWAYS: Final = "always"


class Shifts:
    """Working hours of all operators of a station and bookings of its places, in the laboratory PC's local time.

    Parameters
    ----------
    station : Station
        Names them.
    clock : Clock
        Tells the time.
    """

    def __init__(self, station: Station, clock: Clock) -> None:
        self._clock = clock
        self._hours: dict[str, Hours] = {
            person: parse_hours(one.hours)
            for person, one in zip(people_of(station), station.operators, strict=False)
            if one.hours is not None
        }
        self._free = [one for one in station.operators if one.hours is None] or not station.operators
        self._booked: dict[str, Hours] = {
            place.instrument: parse_hours(place.booked)
            for place in station.places.values()
            if place.instrument is not None and place.booked is not None
        }

    def _local(self) -> datetime:
        return self._clock.now().astimezone()

    def off_duty(self) -> Collection[str]:
        """People who are not there now, or about to leave, and instruments that are not ours."""
        if not self.any_hours:
            return ()
        now = self._local()
        return {*_closed(self._hours, now, LAST_CALL), *_closed(self._booked, now, LAST_BEGIN)}

    @property
    def any_hours(self) -> bool:
        """Whether anything is not to be had at any time."""
        return bool(self._hours or self._booked)

    def somebody(self, instant: datetime) -> bool:
        """Whether, at an instant (UTC), a cell can be carried to every instrument that is booked by hours."""
        local = instant.astimezone()
        there = bool(self._free) or len(_closed(self._hours, local, LAST_CALL)) < len(self._hours)
        return there and not _closed(self._booked, local, LAST_BEGIN)

    def next_date(self) -> datetime | None:
        """When hours or a booking said by date next begin; None if none do."""
        now = self._local()
        found = (one.next_date(now) for one in (*self._hours.values(), *self._booked.values()))
        return min((one for one in found if one is not None), default=None)

    async def keep(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` whenever somebody comes or goes; never returns where anybody has hours."""
        while True:
            now = self._local()
            everything = (*self._hours.values(), *self._booked.values())
            following = [change for hours in everything if (change := hours.next_change(now)) is not None]
            if not following:
                return
            await asyncio.sleep(max((min(following) - now).total_seconds(), 1.0))
            changed()


def on_duty(operators: Iterable[Operator]) -> Callable[[datetime], str | None]:
    """Give who is there at an instant (UTC): a name, or None. Where the station names nobody, somebody always is."""
    people = [(one.name, parse_hours(one.hours or ALWAYS)) for one in operators] or [(SOMEBODY, parse_hours(ALWAYS))]
    return lambda now: next((name for name, hours in people if hours.at(now.astimezone())), None)


def _closed(hours: Mapping[str, Hours], local: datetime, ahead: timedelta) -> set[str]:
    """Name those that are not there now and for so long ahead."""
    return {name for name, one in hours.items() if not (one.at(local) and one.at(local + ahead))}
