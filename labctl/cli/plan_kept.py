"""A plan beside the journal, and how far reality has come against it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from labctl.cli.output import ago
from labctl.cli.status import PLAN as NAME
from labctl.engine.clock import WallClock
from labctl.errors import DataError, JournalError
from labctl.journal import FILE_NAME, LastWord, Status
from labctl.planning import Schedule
from labctl.results.bundle import write_json

#: Seconds by which a cell may be ahead or behind before it is named.
_SLACK: Final = 1800.0


def keep(lab: Path, plan: Mapping[str, Any]) -> Path:
    """Write a plan (``labctl.plan/1``) into a laboratory folder."""
    lab.mkdir(parents=True, exist_ok=True)
    write_json(lab / NAME, plan)
    return lab / NAME


def against(lab: Path) -> dict[str, Any] | None:
    """Hold what has happened against the plan that is kept; None where none is, or nothing of it has begun.

    A cell is as far behind as the last step that it has done ended later than planned, both since the beginning. It
    is expected to end as much later. What this does to other cells at shared instruments only a new plan tells.
    """
    try:
        plan = Schedule.from_json(json.loads((lab / NAME).read_text(encoding="utf-8")))
        journal = LastWord(lab / FILE_NAME, WallClock())
        campaigns = journal.campaigns()
    except (OSError, ValueError, DataError, JournalError):
        return None
    planned = {(task.cell, task.path): task for task in plan.tasks}
    for campaign in reversed(campaigns):
        started = datetime.fromisoformat(campaign.started)
        done = [
            row
            for row in journal.operations(campaign=campaign.campaign)
            if row.status is Status.DONE and (row.cell, row.step) in planned
        ]
        if not done:
            continue
        last = {row.cell: row for row in sorted(done, key=lambda row: row.order)}
        cells = []
        for cell in plan.cells:
            if cell not in last or cell not in plan.finish:
                continue
            row, task = last[cell], planned[cell, last[cell].step]
            happened = (datetime.fromisoformat(row.times[Status.DONE]) - started).total_seconds()
            behind = happened - task.freed_s
            cells.append(
                {
                    "cell": cell,
                    "step": row.step,
                    "behind_s": behind,
                    "planned_end": (started + timedelta(seconds=plan.finish[cell])).isoformat(),
                    "expected_end": (started + timedelta(seconds=plan.finish[cell] + behind)).isoformat(),
                }
            )
        return {"campaign": campaign.campaign, "planned_for": plan.epoch.isoformat(), "cells": cells}
    return None


def lines(found: Mapping[str, Any]) -> Sequence[str]:
    """Say it in a few lines: the whole, and the cells that are furthest off."""
    cells = found["cells"]
    if not cells:
        return []
    planned = max(datetime.fromisoformat(one["planned_end"]) for one in cells)
    expected = max(datetime.fromisoformat(one["expected_end"]) for one in cells)
    late = (expected - planned).total_seconds()
    whole = "as planned" if abs(late) < _SLACK else f"{ago(abs(late))} {'later' if late > 0 else 'sooner'} than planned"
    said = [f"plan: {found['campaign']} is expected to end {expected:%m-%d %H:%M} UTC, {whole}"]
    off = sorted((one for one in cells if abs(one["behind_s"]) >= _SLACK), key=lambda one: -abs(one["behind_s"]))
    for one in off[:4]:
        way = "behind" if one["behind_s"] > 0 else "ahead"
        said.append(f"  {one['cell']} is {ago(abs(one['behind_s']))} {way} after {one['step']}")
    if len(off) > 4:
        said.append(f"  and {len(off) - 4} more")
    return said
