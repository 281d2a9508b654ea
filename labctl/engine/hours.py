"""Working hours of the people who carry cells: ``"Mo-Fr 08:00-19:00; Sa 09:00-12:00"`` or ``"always"``. Pure.

The hours are those of the clock on the wall. On the days on which the clocks change a shift is an hour shorter or
longer, and begins and ends when the wall clock says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Final

DAYS: Final = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
ALWAYS: Final = "always"
MINUTES: Final = 24 * 60

_EXAMPLE: Final = 'such as "Mo-Fr 08:00-19:00; Sa 09:00-12:00", or "always"'
_RANGE: Final = re.compile(r"(?:(?P<days>[A-Za-z][A-Za-z,\s-]*?)\s+)?(?P<times>\d[\d:\s,-]*)\Z")
_TIMES: Final = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\Z")


@dataclass(frozen=True, slots=True)
class Hours:
    """When somebody is there, week by week.

    Attributes
    ----------
    week : tuple of tuple of (int, int)
        For each weekday from Monday on: from which minute of the day to which, the end not included.
    text : str
        As it was written.
    """

    week: tuple[tuple[tuple[int, int], ...], ...]
    text: str = ALWAYS

    def at(self, local: datetime) -> bool:
        """Whether somebody is there.

        Parameters
        ----------
        local : datetime
            With its zone. Where that is a fixed offset, as ``.astimezone()`` gives it, this PC's local time counts.

        Raises
        ------
        ValueError
            It has no zone.
        """
        wall = _local(local)
        minute = wall.hour * 60 + wall.minute
        return any(first <= minute < last for first, last in self.week[wall.weekday()])

    def next_change(self, local: datetime) -> datetime | None:
        """When :meth:`at` will next answer otherwise, in the same zone, or None if never.

        Raises
        ------
        ValueError
            The time has no zone.
        """
        here = _local(local)
        now = self.at(here)
        for moment in sorted(set(self._edges(here))):
            if moment > here.astimezone(UTC) and self.at(_like(moment, here)) != now:
                return _like(moment, here)
        return None

    def _edges(self, here: datetime) -> Iterator[datetime]:
        """Every instant (UTC) of the next fortnight at which the answer may change: edges of shifts, clock changes."""
        for ahead in range(-1, 16):
            day = here.date() + timedelta(days=ahead)
            for first, last in self.week[day.weekday()]:
                for minute in (first, last):
                    yield from _instants(day, minute, here)
            yield from _clock_change(day, here)


def parse(text: str) -> Hours:
    """Read working hours.

    Parameters
    ----------
    text : str
        ``always``, or ranges separated by ``;``. A range is days (``Mo``, ``Mo-Fr``, ``Mo,We``; none means every day)
        and times (``08:00-12:00``, several separated by commas). ``24:00`` is the end of a day; a range that ends
        before it begins, ``22:00-06:00``, runs into the next day.

    Raises
    ------
    ValueError
        It can't be read; the message says which part, and what would be right.
    """
    if text.strip().lower() == ALWAYS:
        return Hours(((((0, MINUTES)),),) * 7, ALWAYS)
    week: list[list[tuple[int, int]]] = [[] for _ in DAYS]
    for part in text.split(";"):
        found = _RANGE.match(part.strip())
        if found is None:
            raise ValueError(f"working hours '{part.strip()}' are no days with times, {_EXAMPLE}")
        times = [_times(one.strip(), part.strip()) for one in found["times"].split(",")]
        for day in _days(found["days"], part.strip()):
            for first, last in times:
                if first < last:
                    week[day].append((first, last))
                else:
                    week[day].append((first, MINUTES))
                    week[(day + 1) % 7].append((0, last))
    return Hours(tuple(tuple(sorted(shifts)) for shifts in week), text.strip())


def _days(text: str | None, part: str) -> list[int]:
    if text is None:
        return list(range(7))
    days: list[int] = []
    for one in text.split(","):
        ends = [_day(name.strip(), part) for name in one.split("-")]
        if len(ends) > 2:
            raise ValueError(f"working hours '{part}': '{one.strip()}' is no range of days, {_EXAMPLE}")
        first, last = ends[0], ends[-1]
        days.extend((first + ahead) % 7 for ahead in range((last - first) % 7 + 1))
    return days


def _day(name: str, part: str) -> int:
    for number, day in enumerate(DAYS):
        if name.lower() == day.lower():
            return number
    raise ValueError(f"working hours '{part}': '{name}' is no day; the days are {', '.join(DAYS)}")


def _times(text: str, part: str) -> tuple[int, int]:
    found = _TIMES.match(text)
    if found is None:
        raise ValueError(f"working hours '{part}': '{text}' are no times, {_EXAMPLE}")
    hours, minutes, until_hours, until_minutes = (int(number) for number in found.groups())
    first, last = hours * 60 + minutes, until_hours * 60 + until_minutes
    if max(minutes, until_minutes) > 59 or first >= MINUTES or last > MINUTES:
        raise ValueError(f"working hours '{part}': '{text}' lie outside 00:00-24:00")
    if first == last:
        raise ValueError(f"working hours '{part}': '{text}' is no time at all; the whole day is 00:00-24:00")
    return first, last


def _local(moment: datetime) -> datetime:
    """The wall clock: of the time's own zone, or of this PC where the zone is only an offset."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone: working hours need one")
    # By way of UTC, so that a time in the hour that is left out in spring becomes one that the clock shows.
    return _like(moment.astimezone(UTC), moment)


def _like(moment: datetime, here: datetime) -> datetime:
    """An instant on the wall clock of ``here``."""
    return moment.astimezone() if isinstance(here.tzinfo, timezone) else moment.astimezone(here.tzinfo)


def _instants(day: date, minute: int, here: datetime) -> Iterator[datetime]:
    """The instants at which the wall clock shows that minute of that day: two where an hour comes twice."""
    wall = datetime.combine(day, time()) + timedelta(minutes=minute)
    for fold in (0, 1):
        zone = None if isinstance(here.tzinfo, timezone) else here.tzinfo
        yield wall.replace(fold=fold, tzinfo=zone).astimezone(UTC)


def _clock_change(day: date, here: datetime) -> Iterator[datetime]:
    """The instant in the day at which the wall clock is put forward or back, if it is."""
    early, late = (next(_instants(day, minute, here)) for minute in (0, MINUTES))
    before = _like(early, here).utcoffset()
    if before == _like(late, here).utcoffset():
        return
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) / 2
        if _like(middle, here).utcoffset() == before:
            early = middle
        else:
            late = middle
    yield late.replace(microsecond=0)
