"""When the station's people are there: requests wait for them, and the arbiter knows it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime

from labctl.engine.hours import Hours, parse
from labctl.engine.movement import people_of
from labctl.instruments import Clock
from labctl.station import Station


class Shifts:
    """The working hours of all operators of a station, in the laboratory PC's local time.

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
            person: parse(one.hours)
            for person, one in zip(people_of(station), station.operators, strict=False)
            if one.hours is not None
        }

    def _local(self) -> datetime:
        return self._clock.now().astimezone()

    def off_duty(self) -> Collection[str]:
        """People who are not there now."""
        if not self._hours:
            return ()
        now = self._local()
        return {person for person, hours in self._hours.items() if not hours.at(now)}

    async def keep(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` whenever somebody comes or goes; never returns where anybody has hours."""
        while True:
            now = self._local()
            following = [change for hours in self._hours.values() if (change := hours.next_change(now)) is not None]
            if not following:
                return
            await asyncio.sleep(max((min(following) - now).total_seconds(), 1.0))
            changed()
