"""When an acquisition began and ended, by the clock of the spectrometer's PC, as its dataset says.

The audit trail tells both to the millisecond with its zone (seen in public datasets). Where it is worded otherwise,
``DATE_START`` and ``DATE`` of ``acqus`` tell whole seconds, cut off, the former not in every version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from labctl_drivers.bruker.dataset import parse_parameters, scalar

_WHEN: Final = r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,6} [+-]\d{4})"
_ENDED: Final = re.compile(rf"\(\s*\d+,<{_WHEN}>")
_BEGAN: Final = re.compile(rf"started at {_WHEN}")
#: Whole seconds are cut off: on average the clock was half a second further.
_CUT_OFF: Final = timedelta(seconds=0.5)


def acquired(dataset: Path) -> Mapping[str, str]:
    """Give ``acquired_from`` and ``acquired_until`` of a fetched EXPNO, ISO 8601 in UTC; empty where nothing tells."""
    trail = _text(dataset / "audita.txt")
    began, ended = _BEGAN.search(trail), _ENDED.findall(trail)
    if began is not None and ended:
        return _told(_instant(began[1]), _instant(ended[-1]))
    parameters = parse_parameters(_text(dataset / "acqus"))
    seconds = [scalar(parameters, name) for name in ("DATE_START", "DATE")]
    if all(text is not None and text.isdigit() and int(text) > 0 for text in seconds):
        first, last = (datetime.fromtimestamp(int(text or 0), UTC) + _CUT_OFF for text in seconds)
        return _told(first, last)
    return {}


def _told(began: datetime, ended: datetime) -> Mapping[str, str]:
    if ended < began:
        return {}
    return {"acquired_from": began.isoformat(), "acquired_until": ended.isoformat()}


def _instant(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f %z").astimezone(UTC)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
