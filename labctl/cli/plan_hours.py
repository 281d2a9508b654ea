"""When a station's people are there and its instruments are booked, as spans of seconds after an instant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from labctl.planning.problem import ALWAYS, NEVER, Windows
from labctl.station import Hours, Station, parse_hours

#: Who leaves within so many seconds takes up nothing new, and nothing is begun on what is booked for less than this.
_LAST_CALL: Final = 900.0
_LAST_BEGIN: Final = 3600.0


def people_and_closed(
    station: Station, begin: datetime, ahead: float
) -> tuple[tuple[Windows, ...], dict[str, Windows]]:
    """Give when everybody is there, and when each booked instrument can't be had, for ``ahead`` seconds."""
    people = [
        _windows(parse_hours(one.hours), begin, _LAST_CALL, ahead) if one.hours is not None else ALWAYS
        for one in station.operators
    ]
    closed = {
        place.instrument: _closed(_windows(parse_hours(place.booked), begin, _LAST_BEGIN, ahead))
        for place in station.places.values()
        if place.instrument is not None and place.booked is not None
    }
    return tuple(people or [ALWAYS]), closed


def _windows(hours: Hours, begin: datetime, before: float, ahead: float) -> Windows:
    """When somebody is there who takes up nothing new shortly ``before`` (s) leaving."""
    spans = [(first, last - before) for first, last in _spans(hours, begin, ahead) if last - before > first]
    return Windows(tuple(spans))


def _spans(hours: Hours, begin: datetime, ahead: float) -> Iterator[tuple[float, float]]:
    at = begin.astimezone()
    while (passed := (at - begin).total_seconds()) < ahead:
        following = hours.next_change(at)
        until = (following - begin).total_seconds() if following is not None else NEVER
        if hours.at(at):
            yield passed, until
        if following is None:
            return
        at = following


def _closed(open_: Windows) -> Windows:
    """The time between."""
    found, at = [], 0.0
    for first, last in open_.spans:
        if first > at:
            found.append((at, first))
        at = last
    return Windows((*found, (at, NEVER))) if at < NEVER else Windows(tuple(found))
