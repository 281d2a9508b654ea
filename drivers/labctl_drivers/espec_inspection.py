"""What labctl relies on without having seen it on an ESPEC chamber; and answers to what not every one knows. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

_DECLINED: Final = r"|NA:\s*(?P<declined>.+)"
#: ``DATE?`` is answered with two digits of the year, ``TIME?`` with whole seconds.
DATE: Final = re.compile(rf"(\d{{2}})\.(\d{{1,2}})/(\d{{1,2}}){_DECLINED}")
TIME: Final = re.compile(rf"(\d{{1,2}}):(\d{{1,2}}):(\d{{1,2}}){_DECLINED}")
LOCK: Final = re.compile(rf"(?:ON|OFF){_DECLINED}")

#: For ``labctl instruments check``, each with what to do.
UNVERIFIED: Final = (
    "commands and answers are from public clients; set one temperature by labctl, and look at the display",
    "that the chamber acts on its limits by itself; set one close to its temperature without cells, and see it trip",
    "what it does after a loss of mains; set it to stand by at its panel, and interrupt them once without cells",
    "what its alarm codes mean; they are in the chamber's manual",
    "the level of its over-temperature protector can't be read; set it by hand above the protocol's limit",
)


def told_time(date: re.Match[str], clock: re.Match[str]) -> datetime | None:
    """Read :data:`DATE` and :data:`TIME`; None where they are no time."""
    year, month, day = (int(part) for part in date.group(1, 2, 3))
    hour, minute, second = (int(part) for part in clock.group(1, 2, 3))
    try:
        return datetime(2000 + year, month, day, hour, minute, second)  # noqa: DTZ001 - it tells no time zone
    except ValueError:
        return None
