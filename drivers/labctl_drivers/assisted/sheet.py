"""The texts of an assisted operation: what a person reads in the request's folder."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from labctl_drivers.assisted.desk import ACCEPT
from labctl_drivers.assisted.findings import Difference, Task


def instant(moment: datetime) -> str:
    """Write an instant in UTC and in this PC's time zone."""
    local = moment.astimezone()
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC ({local:%Y-%m-%d %H:%M:%S %z} here)"


def request_sheet(token: str, instrument: str, task: Task, name: str, since: datetime, folder: Path) -> str:
    """Write the sheet: what for, what to set and how close, what to do then."""
    width = max(len(one.name) for one in task.settings)
    values = max(len(one.value) for one in task.settings)
    close = max(len(one.within) for one in task.settings)
    rows = [
        f"  {one.name:<{width}}  {one.value:<{values}}  {one.within:<{close}}  {one.why}".rstrip()
        for one in task.settings
    ]
    head = f"  {'what':<{width}}  {'value':<{values}}  {'how close':<{close}}  why"
    steps = [f"  {number}. {step}" for number, step in enumerate(task.steps, start=1)]
    return "\n".join(
        [
            f"labctl asks for: {task.title}",
            "",
            f"  token       {token}",
            f"  operation   {name}",
            f"  instrument  {instrument}",
            f"  asked       {instant(since)}",
            f"  folder      {folder}",
            "",
            "Set",
            head,
            *rows,
            "",
            "Do",
            *steps,
            "",
            "labctl looks here again and again. What does not fit is written into DIFFERS.txt; this sheet is called",
            "TAKEN.txt once the file is taken in, and WITHDRAWN.txt if it is not wanted any more.",
            "",
        ]
    )


def differences_text(differences: Sequence[Difference]) -> str:
    """Write what differs, and what a person can do about it; empty where nothing differs."""
    if not differences:
        return ""
    lines = ["This is not what was asked:", "", *(f"  - {one.text}" for one in differences), ""]
    if any(one.final for one in differences):
        lines += ["Drop a complete file in its place. This can't be accepted as it is."]
    else:
        lines += [
            "Drop a corrected file in its place. Or, to have it taken in as it is and flagged for ever, save a file",
            f"{ACCEPT} here with two lines:",
            "",
            "name: who you are",
            "reason: why it may be used",
        ]
    return "\n".join([*lines, ""])
