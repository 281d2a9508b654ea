"""When people are there and instruments are ours: ``Mo-Fr 08:00-19:00; 2026-12-05 10:00 - 2026-12-06 12:00``. Pure.

By the week, by date, or both; what follows ``not`` is taken away. The hours are those of the clock on the wall. On the
days on which the clocks change a shift is an hour shorter or longer, and begins and ends when the wall clock says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from labctl.documents import describe, expected

DAYS: Final = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
ALWAYS: Final = "always"
MINUTES: Final = 24 * 60

_DAY: Final = f"(?:{'|'.join(DAYS)})"
_DAY_RANGE: Final = f"{_DAY}(?:-{_DAY})?"
_TIME: Final = "(?:[01]?[0-9]|2[0-3]):[0-5][0-9]"
_END: Final = f"(?:{_TIME}|24:00)"
_SHIFT: Final = f"{_TIME}-{_END}"
_SHIFTS: Final = rf"{_SHIFT}(?:,\s*{_SHIFT})*"
_DATE: Final = "[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
#: By the week; from one date to another; on one date.
_WEEKLY: Final = rf"(?:{_DAY_RANGE}(?:,\s*{_DAY_RANGE})*\s+)?{_SHIFTS}"
_SPAN: Final = rf"{_DATE}(?:\s+{_TIME})?\s+-\s+{_DATE}(?:\s+{_END})?"
_ONE_DAY: Final = rf"{_DATE}(?:\s+{_SHIFTS})?"
_DATED: Final = f"(?:{_SPAN}|{_ONE_DAY})"
_PART: Final = rf"\s*(?:{ALWAYS}|{_WEEKLY}|(?:not\s+)?{_DATED})\s*"
_RIGHT: Final = (
    "write for example 'Mo-Fr 08:00-19:00' or '2026-12-03 08:00 - 2026-12-05 12:00', several with ';', or 'always'"
)

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Hours:
    """When somebody is there.

    Attributes
    ----------
    week : tuple of tuple of (int, int)
        For each weekday from Monday on: from which minute of the day to which, the end not included.
    dated, without : tuple of (datetime, datetime)
        From when to when besides, and when not whatever else is said: what a clock on the wall shows, without a zone.
    """

    week: tuple[tuple[tuple[int, int], ...], ...]
    dated: tuple[Span, ...] = ()
    without: tuple[Span, ...] = ()

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
        there = any(first <= minute < last for first, last in self.week[wall.weekday()])
        if self.dated or self.without:
            shown = wall.replace(tzinfo=None)
            there = there or any(first <= shown < last for first, last in self.dated)
            there = there and not any(first <= shown < last for first, last in self.without)
        return there

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

    def next_date(self, local: datetime) -> datetime | None:
        """When something that was said by date next begins to let somebody be there, or None if nothing does.

        Raises
        ------
        ValueError
            The time has no zone.
        """
        here = _local(local)
        walls = [*(first for first, _ in self.dated), *(last for _, last in self.without)]
        instants = (next(_instants(wall, here)) for wall in walls)
        return min((_like(one, here) for one in instants if one > here.astimezone(UTC)), default=None)

    def _edges(self, here: datetime) -> Iterator[datetime]:
        """Every instant (UTC) at which the answer may change: edges of shifts, dates, clock changes.

        By the week a fortnight is enough, from now on and from each date on.
        """
        dates = [wall for span in (*self.dated, *self.without) for wall in span]
        for wall in dates:
            yield from _instants(wall, here)
        days = {day.date() + timedelta(days=ahead) for day in (here, *dates) for ahead in range(-1, 16)}
        for day in days:
            for first, last in self.week[day.weekday()]:
                for minute in (first, last):
                    yield from _instants(_wall(day, minute), here)
            yield from _clock_change(day, here)


@dataclass(frozen=True)
class WorkingHours:
    """Marks text that says when somebody is there; it stays what it is."""

    @staticmethod
    def read(value: Any) -> str:
        """Check the text."""
        if not isinstance(value, str):
            raise expected(f"{describe(value, None)}, not working hours", _RIGHT)
        parse_hours(value)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read text."""
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Offer text of the pattern."""
        pattern = f"^{_PART}(;{_PART})*$"
        return {"type": "string", "pattern": pattern, "examples": ["Mo-Fr 08:00-19:00"], "errorMessage": _RIGHT}


def parse_hours(text: str) -> Hours:
    """Read working hours, or bookings.

    Parameters
    ----------
    text : str
        ``always``, or parts separated by ``;``. By the week: days (``Mo``, ``Mo-Fr``, ``Mo,We``; none means every day)
        and times (``08:00-12:00``, several separated by commas); ``24:00`` is the end of a day, and what ends before it
        begins, ``22:00-06:00``, runs into the next day. By date: ``2026-12-03`` with times or, whole, without, and
        ``2026-12-03 08:00 - 2026-12-05 12:00``, where times may be left out: both days are whole then. ``not`` before
        dates takes them away from all the rest.

    Raises
    ------
    ValueError
        It can't be read; the message says which part, and what would be right.
    """
    week: list[list[tuple[int, int]]] = [[] for _ in DAYS]
    dated: list[Span] = []
    without: list[Span] = []
    parts = [part.strip() for part in text.split(";")]
    for part in parts:
        if re.fullmatch(_PART, part) is None:
            raise expected(f"'{part}' are no working hours", _RIGHT)
        if part == ALWAYS:
            week = [[(0, MINUTES)] for _ in DAYS]
        elif re.search(_DATE, part):
            (without if part.startswith("not") else dated).extend(_spans(part))
        else:
            for day in _days(part):
                for first, last in _shifts(part):
                    for at, minutes in _by_day(first, last):
                        week[(day + at) % 7].append(minutes)
    if all(part.startswith("not") for part in parts):
        raise expected(f"'{text.strip()}' says only when not", f"write '{ALWAYS}; {text.strip()}'")
    return Hours(tuple(tuple(sorted(shifts)) for shifts in week), tuple(dated), tuple(without))


def _spans(part: str) -> Iterator[Span]:
    """Read what is said by date."""
    days = [_date(found) for found in re.findall(_DATE, part)]
    if len(days) == 2:
        first, last = (re.findall(_END, end) for end in re.split(r"\s+-\s+", part))
        span = _wall(days[0], _minute(*first or ["0:00"])), _wall(days[1], _minute(*last or ["24:00"]))
        if span[0] >= span[1]:
            raise expected(f"'{part}' ends before it begins", "write the earlier date first")
        yield span
    else:
        for begin, end in _shifts(part) or [(0, MINUTES)]:
            yield _wall(days[0], begin), _wall(days[0], end if end > begin else end + MINUTES)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise expected(f"there is no day '{text}'", "write year, month and day, such as 2026-12-03") from error


def _days(part: str) -> list[int]:
    days: list[int] = []
    for one in re.findall(_DAY_RANGE, part):
        first, last = DAYS.index(one[:2]), DAYS.index(one[-2:])
        days.extend((first + ahead) % 7 for ahead in range((last - first) % 7 + 1))
    return days or list(range(7))


def _shifts(part: str) -> list[tuple[int, int]]:
    """Read the times of a day, in minutes; what ends before it begins runs over midnight."""
    found = []
    for times in re.findall(_SHIFT, part):
        first, last = map(_minute, times.split("-"))
        if first == last:
            raise expected(f"the hours '{times}' never come", "the whole day is '00:00-24:00'")
        found.append((first, last))
    return found


def _by_day(first: int, last: int) -> list[tuple[int, tuple[int, int]]]:
    return [(0, (first, last))] if first < last else [(0, (first, MINUTES)), (1, (0, last))]


def _minute(text: str) -> int:
    hour, minute = map(int, text.split(":"))
    return 60 * hour + minute


def _wall(day: date, minute: int) -> datetime:
    """What the wall clock shows at a minute of a day."""
    return datetime.combine(day, time()) + timedelta(minutes=minute)


def _local(moment: datetime) -> datetime:
    """The wall clock: of the time's own zone, or of this PC where the zone is only an offset."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone: working hours need one")
    # By way of UTC, so that a time in the hour that is left out in spring becomes one that the clock shows.
    return _like(moment.astimezone(UTC), moment)


def _like(moment: datetime, here: datetime) -> datetime:
    """An instant on the wall clock of ``here``."""
    return moment.astimezone() if isinstance(here.tzinfo, timezone) else moment.astimezone(here.tzinfo)


def _instants(wall: datetime, here: datetime) -> Iterator[datetime]:
    """The instants at which the wall clock shows that: two where an hour comes twice."""
    for fold in (0, 1):
        zone = None if isinstance(here.tzinfo, timezone) else here.tzinfo
        yield wall.replace(fold=fold, tzinfo=zone).astimezone(UTC)


def _clock_change(day: date, here: datetime) -> Iterator[datetime]:
    """The instant in the day at which the wall clock is put forward or back, if it is."""
    early, late = (next(_instants(_wall(day, minute), here)) for minute in (0, MINUTES))
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
