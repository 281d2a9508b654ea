"""One run of a plan: the engine in virtual time on a planning laboratory, and what happened as a schedule.

Nothing of it reaches a laboratory folder: the journal is in memory, and there are neither wires nor results.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog

from labctl.cli import plugins
from labctl.cli.planned_results import NothingKept
from labctl.cli.planned_schedule import Desk, schedule_of
from labctl.engine import campaign as campaigns
from labctl.engine.bench import Bench
from labctl.engine.campaign import Campaign
from labctl.engine.clock import LoopClock, run_virtual
from labctl.engine.lock import LaboratoryLock
from labctl.engine.orchestrator import Orchestrator
from labctl.engine.shifts import Shifts, on_duty
from labctl.errors import LabctlError
from labctl.instruments import Hiccup
from labctl.journal import Journal, OperationRow, Status
from labctl.planning import Schedule

#: Seconds between two looks whether anything goes on, and without anything until nothing is thought to come any more.
_LOOK: Final = 6 * 3600.0
_STUCK: Final = 21 * 86400.0
#: Planned instruments know their ends: seconds between two looks at most.
_LONGEST_LOOK: Final = 7 * 86400.0
#: Seconds after which a plan is given up, whatever goes on.
_LONGEST: Final = 5 * 365 * 86400.0


def planned_run(campaign: Campaign, seed: int, epoch: datetime, journal: Path = Path(":memory:")) -> Schedule:
    """Run a campaign to its end in virtual time, or to where nothing goes on.

    Parameters
    ----------
    campaign : Campaign
        Checked, as ``check_files`` gives it.
    seed : int
        Of the cells and instruments.
    epoch : datetime
        When it begins, UTC.
    journal : Path
        Where its journal is written, for who wants to look at it afterwards.

    Raises
    ------
    LabctlError
        Something can't be planned at all.
    """

    async def main(clock: LoopClock) -> Schedule:
        with tempfile.TemporaryDirectory(prefix="labctl-plan-") as folder:
            return await _Run(replace(campaign, mode="simulated"), seed, clock, Path(folder), journal).go()

    return run_virtual(main, epoch.astimezone(UTC))


class _Run:
    """Puts everything together for one run."""

    def __init__(self, campaign: Campaign, seed: int, clock: LoopClock, folder: Path, journal: Path) -> None:
        self._campaign = campaign
        self._seed = seed
        self._clock = clock
        self._folder = folder
        self._journal = journal
        self._log: Any = structlog.wrap_logger(
            structlog.ReturnLogger(), processors=[], wrapper_class=structlog.make_filtering_bound_logger(50)
        )
        self._steps = 0
        self._waits: dict[str, str] = {}

    async def go(self) -> Schedule:
        """Run, and say what happened."""
        station, cells = self._campaign.station, self._campaign.cells
        laboratory = plugins.simulator("planning")(
            station.description(cells), folder=self._folder, seed=self._seed, clock=self._clock, log=self._log
        )
        entries, drivers = self._instruments(laboratory)
        bench = Bench(
            entries,
            drivers,
            clock=self._clock,
            log=self._log,
            report=self._report,
            secret=str,
            folder=self._folder,
        )
        journal = Journal(self._journal, self._clock)
        lock = LaboratoryLock(self._folder)
        lock.take()
        try:
            await bench.connect()
            orchestrator = Orchestrator(
                self._folder,
                journal,
                station,
                "simulated",
                bench,
                clock=self._clock,
                log=self._log,
                lock=lock,
                laboratory="plan",
                waits_for_people=False,
                keeping=NothingKept(),
                hurried_look=_LONGEST_LOOK,
                on_progress=self._on_progress,
            )
            named = replace(self._campaign, name=f"{self._campaign.protocol.protocol}-1")
            mine = campaigns.begin(journal, named, {"seed": self._seed})
            orchestrator.add(mine)
            desk = Desk(orchestrator, self._clock)
            person = laboratory.person(desk, on_duty(station.operators))
            await self._drive(orchestrator, journal, person)
            return schedule_of(mine, journal, desk, self._waits, epoch=self._clock.epoch, seed=self._seed, bench=bench)
        finally:
            await bench.close()
            journal.close()
            lock.release()

    def _instruments(self, laboratory: Any) -> tuple[Mapping[str, Mapping[str, Any]], Mapping[str, type]]:
        """Put a planned instrument in the place of each of the station's."""
        asked = self._campaign.station.entries()
        roles = plugins.roles(asked)
        entries = {
            name: {
                **entry,
                "driver": roles[name],
                "stands_for": entry["driver"],
                "device": laboratory.device(roles[name], name, entry),
            }
            for name, entry in asked.items()
        }
        return entries, {role: plugins.planned(role) for role in set(roles.values())}

    def _report(self, hiccup: Hiccup) -> None:
        raise LabctlError(f"a planned instrument reports what it can't: {hiccup.message}")

    def _on_progress(self, cell: str, step: str) -> None:
        self._steps += 1

    async def _drive(self, orchestrator: Orchestrator, journal: Journal, person: Any) -> None:
        """Run to the end, or until nothing happens any more."""
        working = asyncio.create_task(orchestrator.run(lambda port, token: [asyncio.create_task(person.work())]))
        seen, since, shifts = -1, self._clock.now(), Shifts(self._campaign.station, self._clock)
        while not working.done():
            await asyncio.wait({working}, timeout=_LOOK)
            now, happened = self._clock.now(), self._steps
            goes_on = shifts.next_date() is not None or any(_goes_on(row) for row in journal.held())
            if happened != seen or goes_on:
                seen, since = happened, now
            too_long = (now - self._clock.epoch).total_seconds() > _LONGEST
            if (now - since).total_seconds() > _STUCK or too_long:
                self._waits = orchestrator.why_waiting()
                working.cancel()
                with suppress(asyncio.CancelledError):
                    await working
                return
        working.result()


def _goes_on(row: OperationRow) -> bool:
    """Whether an instrument is at work; who only holds something, or asks a person, may do so for ever."""
    return row.status is Status.RUNNING and row.kind != "transfer"
