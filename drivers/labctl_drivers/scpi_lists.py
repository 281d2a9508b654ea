"""Channel lists as they are written, states and errors as they are answered. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

#: One entry of an error queue; the text may hold commas.
ERROR: Final = re.compile(r"([+-]?\d{1,6}),(.*)")
#: The answer to ``*OPC?``.
DONE: Final = re.compile(r"[+-]?1")
_DATE: Final = r"\+?\d{4},\+?\d{1,2},\+?\d{1,2}"
#: The answer to date, time of day, and the date again: ``2026,01,05;09,30,00.000;2026,01,05``.
CLOCK: Final = rf"{_DATE};\+?\d{{1,2}},\+?\d{{1,2}},\+?\d{{1,2}}(?:\.\d*)?;{_DATE}"


def state_of(count: int) -> re.Pattern[str]:
    """Give the form of an error and the state of so many channels; a refused query leaves the second part out."""
    return re.compile(rf'([+-]?\d{{1,6}},"[^"]*")(?:;((?:[01], ?){{{count - 1}}}[01]))?')


def after_done(answer: str) -> re.Pattern[str]:
    """Give the form of ``*OPC?;:...`` whose second part may be refused, and then is left out."""
    return re.compile(rf"[+-]?1(?:;({answer}))?")


def no_error(entry: str) -> bool:
    """Whether an entry of the queue says that the queue is empty."""
    match = ERROR.fullmatch(entry)
    return match is not None and int(match[1]) == 0


def channel_list(channels: Collection[int]) -> str:
    """Write a channel list: ``(@101:108,205)``."""
    return f"(@{','.join(_runs(sorted(channels)))})" if channels else "(@)"


def _runs(channels: Sequence[int]) -> Iterator[str]:
    start = last = channels[0]
    for channel in [*channels[1:], None]:
        if channel == last + 1:
            last = channel
            continue
        yield str(start) if start == last else f"{start}:{last}"
        if channel is not None:
            start = last = channel


def words(relays: Iterable[int]) -> str:
    """List relays for people."""
    return ", ".join(str(relay) for relay in sorted(relays)) or "none"


def told_time(answer: str) -> datetime | None:
    """Read :data:`CLOCK`; None where it is no time, or midnight fell between its parts."""
    date, clock, again = answer.split(";")
    year, month, day = (int(part) for part in date.split(","))
    hour, minute, second = (float(part) for part in clock.split(","))
    if date != again or hour >= 24 or minute >= 60 or second >= 61:
        return None
    try:
        midnight = datetime(year, month, day)  # noqa: DTZ001 - the unit tells no time zone
    except ValueError:
        return None
    return midnight + timedelta(hours=hour, minutes=minute, seconds=second)
