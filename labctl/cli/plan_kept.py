"""A plan beside the journal: how far reality has come against it, and what is to be expected from here on.

The rest of a running campaign is planned anew at every look (:mod:`labctl.planning.replan`): queues at instruments that
cells share, people's hours, what is held now.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from labctl.cli.plan_hours import people_and_closed
from labctl.cli.plan_reality import Reality
from labctl.cli.status import PLAN as NAME
from labctl.cli.taking_up import frozen
from labctl.engine.clock import WallClock
from labctl.engine.situation import HELD
from labctl.errors import LabctlError
from labctl.journal import FILE_NAME, CampaignRow, LastWord, OperationRow, Status
from labctl.planning import Schedule
from labctl.planning.chains import slots_of, walks_of
from labctl.planning.dispatch import AGEING, NeverEnds
from labctl.planning.replan import Laboratory, Move, Replanned, replan, soaks_of
from labctl.station import Station

#: Seconds for which working hours are looked up, beyond what the plan takes.
_AHEAD: Final = 30 * 86400.0
#: How many actions of people, and starts on each instrument, are told.
_ACTIONS: Final = 6
_STARTS: Final = 3


def keep(lab: Path, plan: Mapping[str, Any]) -> Path:
    """Write a plan (``labctl.plan/1``) into a laboratory folder."""
    from labctl.results.bundle import write_json

    lab.mkdir(parents=True, exist_ok=True)
    write_json(lab / NAME, plan)
    return lab / NAME


def against(lab: Path, report: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """Hold what has happened against the plan that is kept, and plan the rest anew.

    None where no plan is kept, or nothing of it has begun. ``report`` is a ``labctl.status/1``: an orchestrator that
    runs knows the time, and the ends of what runs.
    """
    report = report if report is not None and report["orchestrator"] == "running" else None
    try:
        plan = Schedule.from_json(json.loads((lab / NAME).read_text(encoding="utf-8")))
        journal = LastWord(lab / FILE_NAME, WallClock())
        planned = {(task.cell, task.path) for task in plan.tasks}
        for campaign in reversed(journal.campaigns()):
            rows = journal.operations(campaign=campaign.campaign)
            if any((row.cell, row.step) in planned for row in rows):
                return _against(plan, campaign, rows, journal, report)
        return None
    except (OSError, ValueError, LabctlError):
        # Whatever is wrong with the plan, the status is told without it.
        return None


def _against(
    plan: Schedule,
    row: CampaignRow,
    rows: Sequence[OperationRow],
    journal: LastWord,
    report: Mapping[str, Any] | None,
) -> dict[str, Any]:
    campaign = frozen(row)
    ends: dict[str, datetime] = {}
    if report is not None:
        told = {one["cell"]: one["expected_end"] for one in report["cells"]}
        ends = {cell: datetime.fromisoformat(at) for cell, at in told.items() if at is not None}
    now = datetime.fromisoformat(report["time"]) if report is not None else _standing_still(row, rows, journal)
    reality = Reality(plan, campaign, rows, journal, now, ends)
    found: Replanned | None = None
    why = None
    if reality.going_on():
        try:
            found = replan(reality.standings(), _laboratory(plan, campaign.station, now), reality.taken())
        except NeverEnds as never:
            why = str(never)
    cells = list(_cells(plan, reality, datetime.fromisoformat(row.started), now, found))
    return {
        "campaign": campaign.name,
        "planned_for": plan.epoch.isoformat(),
        "cells": cells,
        "replanned": now.isoformat(timespec="seconds") if found is not None else None,
        "why_not": why,
        "planned_end": max((one["planned_end"] for one in cells), default=None),
        "expected_end": max((one["expected_end"] for one in cells), default=None),
        "held": [one["cell"] for one in cells if one["state"] == HELD],
        "unplanned": [cell for cell in reality.going_on() if cell not in plan.finish],
        **_coming(found, plan, campaign.station, now),
    }


def _standing_still(row: CampaignRow, rows: Sequence[OperationRow], journal: LastWord) -> datetime:
    """Give the present where no orchestrator runs; the time of a simulated laboratory goes on only with it."""
    now = datetime.fromisoformat(journal.now())
    if row.mode != "simulated":
        return now
    return datetime.fromisoformat(max((at for one in rows for at in one.times.values()), default=now.isoformat()))


def _laboratory(plan: Schedule, station: Station, now: datetime) -> Laboratory:
    people, closed = people_and_closed(station, now, plan.makespan_s + _AHEAD)
    capacity = {slots_of(name): place.count for name, place in station.places.items()}
    return Laboratory(walks_of([plan]), capacity, soaks_of(plan), people, closed, now.timestamp() % AGEING)


def _cells(
    plan: Schedule, reality: Reality, started: datetime, now: datetime, found: Replanned | None
) -> Iterator[dict[str, Any]]:
    planned = {(task.cell, task.path): task for task in plan.tasks}
    for cell in plan.cells:
        if cell not in plan.finish or cell not in reality.states:
            continue
        row, state = reality.last_done(cell), reality.states[cell]
        behind = 0.0
        if row is not None:
            happened = (datetime.fromisoformat(row.times[Status.DONE]) - started).total_seconds()
            behind = happened - planned[cell, row.step].freed_s
        end = started + timedelta(seconds=plan.finish[cell])
        expected = end + timedelta(seconds=behind)
        if found is not None and cell in found.finish:
            expected = now + timedelta(seconds=found.finish[cell])
        elif cell not in reality.going_on():
            expected = datetime.fromisoformat(state.at)
        yield {
            "cell": cell,
            "step": row.step if row is not None else None,
            "behind_s": behind,
            "planned_end": end.isoformat(timespec="seconds"),
            "expected_end": expected.isoformat(timespec="seconds"),
            "state": state.state,
        }


def _coming(found: Replanned | None, plan: Schedule, station: Station, now: datetime) -> dict[str, Any]:
    """Give what comes next on instruments that cells share and for people, and who will be late."""
    if found is None:
        return {"late": [], "next": [], "actions": []}

    def at(seconds: float) -> str:
        return (now + timedelta(seconds=seconds)).isoformat(timespec="seconds")

    # What only switches leads is not what a cell waits for.
    worth = {name for name, equipment in plan.instruments.items() if equipment.role != "multiplexer"}
    late, coming, count = [], [], dict[str, int]()
    for start in found.starts:
        told = {"cell": start.cell, "step": start.path, "starts": at(start.at)}
        instruments = [name for name in start.needs if name in worth]
        if start.late > 0:
            late.append({"instrument": instruments[0] if instruments else None, **told, "late_s": start.late})
        for name in instruments:
            if count.get(name, 0) < _STARTS:
                count[name] = count.get(name, 0) + 1
                coming.append({"instrument": name, **told})
    return {
        "late": late,
        "next": coming,
        "actions": [_action(move, station, at(move.at)) for move in found.moves[:_ACTIONS]],
    }


def _action(move: Move, station: Station, at: str) -> dict[str, Any]:
    places = (station.places.get(slot.partition("/")[0]) for slot in (move.source, move.target))
    return {
        "at": at,
        "cell": move.cell,
        "from": _slot(move.source, station),
        "to": _slot(move.target, station),
        "checklist": [item for place in places if place is not None for item in place.checklist],
        "for": move.path,
        "asked": move.asked,
    }


def _slot(place: str, station: Station) -> str:
    """Name the slot of a place where there is but one; which of several it will be is decided later."""
    return f"{place}/1" if place in station.places and station.places[place].count == 1 else place
