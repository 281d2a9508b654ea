"""Puts the outbox together from what the station file says of delivery."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from labctl.cli.logs import open_log
from labctl.cli.output import say
from labctl.cli.secrets import resolve
from labctl.cli.status import outbox_lines
from labctl.engine.clock import LoopClock, run_real
from labctl.engine.lock import LaboratoryLock
from labctl.engine.outbox import PATIENCE, Outbox
from labctl.engine.status import outbox_report
from labctl.errors import NoOrchestrator
from labctl.instruments import Clock
from labctl.journal import FILE_NAME, Journal
from labctl.results import Core, DropFolder, HttpEndpoint, Target
from labctl.station import Station, ToCore, ToFolder, ToHttp, load_station

#: Seconds that a person waits for what they have asked to be delivered.
_LONG = 300.0
Entries = Sequence[ToCore | ToFolder | ToHttp]


def check_credentials(entries: Entries) -> None:
    """Refuse to begin with credentials that are not there.

    Raises
    ------
    UsageError
        Names the first.
    """
    for entry in entries:
        if isinstance(entry, ToHttp) and entry.token is not None:
            resolve(entry.token.model_dump())


def make_outbox(
    entries: Entries, journal: Journal, folder: Path, laboratory: str, clock: Clock, log: Any
) -> tuple[Outbox, Core]:
    """Make the outbox of a laboratory folder, and the built-in core, which is in it where it is wanted."""
    results = folder / "results"
    core = Core(results)
    targets: list[Target] = []
    for entry in entries:
        match entry:
            case ToFolder():
                # A relative path is the laboratory's own, so it is made; a share has to be mounted by somebody.
                inside = not Path(entry.path).is_absolute()
                targets.append(DropFolder(entry.target, folder / entry.path, laboratory, results, make=inside))
            case ToHttp():
                token = partial(resolve, entry.token.model_dump()) if entry.token is not None else None
                certificates = folder / entry.certificates if entry.certificates is not None else None
                targets.append(HttpEndpoint(entry.target, entry.address, token, certificates, laboratory))
            case _:
                targets.append(core)
    return Outbox(journal, targets, results, clock, log), core


async def go_on(
    journal: Journal, station: Station, folder: Path, clock: Clock, log: Any, seconds: float = PATIENCE
) -> None:
    """Deliver what waits, where nothing else is to be done; gives up after so many seconds."""
    if not journal.waiting():
        return
    outbox, _ = make_outbox(station.delivery, journal, folder, journal.identity(""), clock, log)
    keeping = asyncio.create_task(outbox.keep())
    try:
        await outbox.settle(seconds)
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


def still_waiting(journal: Journal) -> list[str]:
    """Say in lines for a person what waits for whom."""
    return outbox_lines(outbox_report(journal.waiting()))


def deliver_waiting(folder: Path, station: Path) -> int:
    """Deliver what waits in a laboratory folder, without its instruments; return the exit code.

    Raises
    ------
    NoOrchestrator
        There is no journal: nothing was ever to be delivered.
    Locked
        An orchestrator runs there: it delivers by itself.
    InvalidFile
        The station file has mistakes.
    """
    if not (folder / FILE_NAME).exists():
        raise NoOrchestrator(f"{folder}: no journal, so nothing waits here", hint="name the laboratory with --lab")
    there = load_station(station)
    check_credentials(there.delivery)
    lock = LaboratoryLock(folder)
    lock.take()

    async def main(clock: LoopClock) -> list[str]:
        log, file = open_log(folder, clock)
        journal = Journal(folder / FILE_NAME, clock)
        try:
            before = len(journal.waiting())
            await go_on(journal, there, folder, clock, log, _LONG)
            say(f"delivered: {before - len(journal.waiting())}")
            named = {entry.target for entry in there.delivery}
            left = {row.target for row in journal.waiting()} - named
            return [*still_waiting(journal), *(f"{station} names no '{one}' any more" for one in sorted(left))]
        finally:
            journal.close()
            file.close()

    try:
        waiting = run_real(main)
    finally:
        lock.release()
    for line in waiting:
        say(line)
    return 1 if waiting else 0
