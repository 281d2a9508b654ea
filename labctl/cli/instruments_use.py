"""Who uses a laboratory's instruments now, and where no cell sits: what a check of them must leave alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labctl.cli.output import say
from labctl.engine import lock
from labctl.engine.clock import WallClock
from labctl.engine.endpoint import ask
from labctl.errors import InvalidFile, JournalError, Locked, NoOrchestrator
from labctl.journal import FILE_NAME, LastWord
from labctl.station import Station, load_cells


def in_use(lab: Path, wanted: Sequence[str], locked: Locked) -> dict[str, Locked]:
    """Say which instruments the process that holds this laboratory uses: all, where it does not say."""
    found = lock.read(lab) or {}
    if "what" in found:
        message = f"{lab}: '{found['what']}' is at work here (process {found.get('pid', 'unknown')})"
        return dict.fromkeys(wanted, Locked(message, hint="try again when it has ended"))
    try:
        users = {one["name"]: one["used_by"] for one in ask(lab, "status")["status"]["instruments"]}
    except NoOrchestrator:
        return dict.fromkeys(wanted, locked)
    hint = "look at it with 'labctl status', and check it when the campaign has ended"
    used = {}
    for name in wanted:
        if name in users:
            cells = f" for {', '.join(users[name])}" if users[name] else ""
            used[name] = Locked(f"{name}: the campaign that runs here uses it{cells}", hint=hint)
    return used


def held_by_campaigns(lab: Path) -> dict[str, Locked]:
    """Say which instruments go on for a campaign that was let go of: nothing there may be exercised."""
    if not (lab / FILE_NAME).exists():
        return {}
    cells: dict[str, set[str]] = {}
    for row in LastWord(lab / FILE_NAME, WallClock()).held():
        for resource in row.resources:
            cells.setdefault(resource.split(":")[0].split("=")[0], set()).add(row.cell)
    hint = "leave --exercise out, or end the campaign first"
    return {
        name: Locked(f"{name}: a campaign that was let go of uses it for {', '.join(sorted(held))}", hint=hint)
        for name, held in cells.items()
    }


def free_slots(station: Station, cells: Path, lab: Path) -> frozenset[str]:
    """Give the slots at which no cell is known to sit; none where that can't be told."""
    try:
        taken = {cell.place for cell in load_cells(cells).cells}
        if (lab / FILE_NAME).exists():
            taken |= set(LastWord(lab / FILE_NAME, WallClock()).places().values())
    except (InvalidFile, JournalError) as error:
        say(f"which slots are free is not known, and none is taken to be: {error}")
        return frozenset()
    slots = {f"{name}/{slot}" for name, place in station.places.items() for slot in range(1, place.count + 1)}
    return frozenset(slots - taken)
