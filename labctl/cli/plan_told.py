"""What is to be expected of a running campaign, in a few lines of at most 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from labctl.cli.output import ago

#: Seconds by which an end may be sooner or later than planned before its cell is named.
_SLACK: Final = 1800.0
_WIDTH: Final = 80
#: How many cells, delays, starts on an instrument and actions are named.
_CELLS: Final = 4
_LATE: Final = 2
_STARTS: Final = 2
_ACTIONS: Final = 4


def lines(found: Mapping[str, Any]) -> Sequence[str]:
    """Say the whole, the cells that are furthest off, who will be late, and what comes next."""
    if not found["cells"]:
        return []
    return [line for text in _said(found) for line in textwrap.wrap(text, _WIDTH, subsequent_indent="    ")]


def _said(found: Mapping[str, Any]) -> Iterator[str]:
    off = _seconds(found["expected_end"], found["planned_end"])
    yield (
        f"plan: {found['campaign']} is expected to end {_utc(found['expected_end'])}, "
        f"{f'{_off(off)} than planned' if abs(off) >= _SLACK else 'as planned'}"
    )
    if found["why_not"]:
        yield f"  planned anew it would not end: {found['why_not']}"
    if found["held"]:
        yield f"  held, planned as if released now: {_some(found['held'])}"
    if found["unplanned"]:
        yield f"  not in the plan: {_some(found['unplanned'])}"
    cells = {one["cell"]: _seconds(one["expected_end"], one["planned_end"]) for one in found["cells"]}
    furthest = sorted((cell for cell in cells if abs(cells[cell]) >= _SLACK), key=lambda cell: -abs(cells[cell]))
    ends = {one["cell"]: one["expected_end"] for one in found["cells"]}
    for cell in furthest[:_CELLS]:
        yield f"  {cell} ends {_utc(ends[cell])}, {_off(cells[cell])}"
    if len(furthest) > _CELLS:
        yield f"  and {len(furthest) - _CELLS} more"
    for one in found["late"][:_LATE]:
        yield f"  {one['cell']} will wait for {one['instrument']}: {one['step']} begins {ago(one['late_s'])} too late"
    if len(found["late"]) > _LATE:
        yield f"  and {len(found['late']) - _LATE} more such waits"
    if found["next"] or found["actions"]:
        yield "next, in local time:"
    for instrument in dict.fromkeys(one["instrument"] for one in found["next"]):
        coming = [f"{_local(one['starts'])} {one['cell']}" for one in found["next"] if one["instrument"] == instrument]
        yield f"  {instrument}: {', '.join(coming[:_STARTS])}"
    for one in found["actions"][:_ACTIONS]:
        when = "asked for now" if one["asked"] else _local(one["at"])
        yield f"  {when}: {one['cell']} from {one['from']} to {one['to']}"


def _off(seconds: float) -> str:
    return f"{ago(abs(seconds))} {'later' if seconds > 0 else 'sooner'}"


def _some(cells: Sequence[str]) -> str:
    return ", ".join(cells[:_CELLS]) + (f" and {len(cells) - _CELLS} more" if len(cells) > _CELLS else "")


def _seconds(one: str, other: str) -> float:
    return (datetime.fromisoformat(one) - datetime.fromisoformat(other)).total_seconds()


def _utc(at: str) -> str:
    return f"{datetime.fromisoformat(at):%m-%d %H:%M} UTC"


def _local(at: str) -> str:
    return f"{datetime.fromisoformat(at).astimezone():%a %m-%d %H:%M}"
