"""Delivers what the journal's outbox holds, beside the cells: no step waits for it, and no receiver can stop one.

Every target has a line of its own. What could not be delivered is tried again after 5 s, 10 s, ... up to half an hour;
what a receiver refuses for good waits for a person, that is until labctl is started again or the alarm is reset.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from labctl.engine.aside import aside
from labctl.engine.room import lacks_room
from labctl.errors import LabctlError
from labctl.instruments import Clock, Log
from labctl.journal import Journal, OutboxRow, Posting
from labctl.results import (
    NotDelivered,
    Target,
    Undeliverable,
    bundle_folder,
    campaign_folder,
    document_hash,
    open_parcel,
)
from labctl.station import CORE

#: Seconds until the first retry, doubled with each further one, and at most.
FIRST: Final = 5.0
LONGEST: Final = 1800.0
#: After so many tries in vain a person is told: two and a half minutes.
TOLD_AFTER: Final = 6
#: Seconds that the end of a campaign waits for what is still on its way.
PATIENCE: Final = 30.0


def wait_after(tries: int) -> float:
    """Give the seconds until the next try after so many in vain."""
    return min(FIRST * 2.0 ** min(tries - 1, 30), LONGEST)


@dataclass(slots=True)
class _Line:
    """What goes to one target.

    Attributes
    ----------
    target : Target
        To whom.
    wake : asyncio.Event
        Set where there is something new.
    failures : int
        Tries in vain since the last that succeeded.
    free : datetime or None
        Not before this is anything tried again.
    due : dict
        The same for single bundles, by operation.
    refused : dict
        Alarms of what was refused for good, by operation and hash.
    shut : int or None
        Alarm of a target that refuses whatever comes.
    late : int or None
        Alarm of what was tried often.
    gone : bool
        Whether nobody works on it any more.
    """

    target: Target
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    failures: int = 0
    free: datetime | None = None
    due: dict[str, datetime] = field(default_factory=dict)
    refused: dict[tuple[str, str], int] = field(default_factory=dict)
    shut: int | None = None
    late: int | None = None
    gone: bool = False

    @property
    def refusal(self) -> str:
        """How the alarm of a refusal begins."""
        return f"delivery to {self.target.name} was refused: "

    @property
    def delay(self) -> str:
        """How the alarm of many tries begins."""
        return f"delivery to {self.target.name} waits: "

    def is_refused(self, row: OutboxRow) -> bool:
        """Whether a bundle waits for a person."""
        return self.shut is not None or (row.operation, row.sha256) in self.refused


class Outbox:
    """The outbox of one laboratory.

    Parameters
    ----------
    journal : Journal
        Where it is kept.
    targets : sequence of Target
        To whom is delivered.
    results : Path
        The laboratory's results folder.
    """

    def __init__(self, journal: Journal, targets: Sequence[Target], results: Path, clock: Clock, log: Log) -> None:
        self._journal = journal
        self._results = results
        self._clock = clock
        self._log = log
        self._lines = {target.name: _Line(target) for target in targets}
        self._abroad = tuple(name for name in self._lines if name != CORE)
        self._moved = asyncio.Event()

    # -- what is put in ----------------------------------------------------------------------------------------------
    def posting(self, operation: str) -> Posting | None:
        """Say where an operation's bundle is to go, for the commit that ends it; None where nowhere, or it has none."""
        if not self._abroad:
            return None
        try:
            return Posting(document_hash(bundle_folder(self._results, operation) / "operation.json"), self._abroad)
        except FileNotFoundError:
            return None

    def begin(self, campaign: str) -> None:
        """Have the description of a campaign delivered, unless it is or waits already."""
        self._post(campaign, self._abroad)

    async def end(self, campaign: str) -> None:
        """Have a campaign evaluated by the built-in core, where that is wanted, and wait for it."""
        line = self._lines.get(CORE)
        if line is None:
            return
        self._post(campaign, (CORE,), again=True)
        while not line.gone and (row := self._journal.outbox.of(CORE).get(campaign)) and not line.is_refused(row):
            self._moved.clear()
            await self._moved.wait()

    def _post(self, campaign: str, targets: Sequence[str], *, again: bool = False) -> None:
        outbox = self._journal.outbox
        sha256 = document_hash(campaign_folder(self._results, campaign) / "campaign.json") if targets else ""
        known = {target: outbox.known(campaign, target) for target in targets}
        missing = [
            target
            for target, row in known.items()
            if row is None or row.sha256 != sha256 or (again and row.delivered is not None)
        ]
        if missing:
            outbox.post(outbox.rows(campaign, campaign, Posting(sha256, tuple(missing))))
            self.wake()

    def wake(self) -> None:
        """Take notice: something was put in, or a person has reset an alarm."""
        for line in self._lines.values():
            self._heed_resets(line)
            line.wake.set()

    # -- what goes out -----------------------------------------------------------------------------------------------
    async def keep(self) -> None:
        """Deliver, until cancelled."""
        self._take_up()
        try:
            async with asyncio.TaskGroup() as group:
                for line in self._lines.values():
                    group.create_task(self._serve(line), name=f"outbox {line.target.name}")
        finally:
            for line in self._lines.values():
                line.gone = True
                line.target.close()
            self._moved.set()

    async def settle(self, seconds: float = PATIENCE) -> None:
        """Wait until nothing is on its way any more, but not longer than so many seconds."""
        try:
            async with asyncio.timeout(self._clock.patience(seconds)):
                while any(self._is_busy(line) for line in self._lines.values()):
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            return

    def _is_busy(self, line: _Line) -> bool:
        waiting = self._journal.outbox.of(line.target.name)
        return not line.gone and any(not line.is_refused(row) for row in waiting.values())

    def _take_up(self) -> None:
        """Begin anew: what was refused is tried again, so it is not refused any more."""
        for line in self._lines.values():
            for alarm in self._journal.alarms():
                if alarm.message.startswith(line.refusal):
                    self._journal.clear_alarm(alarm.alarm)
                elif alarm.message.startswith(line.delay):
                    line.late = alarm.alarm

    async def _serve(self, line: _Line) -> None:
        try:
            while True:
                line.wake.clear()
                row, wait = self._next(line)
                if row is not None:
                    await self._deliver(line, row)
                    self._moved.set()
                else:
                    await _sleep(line.wake, wait)
        except Exception as error:  # noqa: BLE001 - it is said, and the cells go on
            # Cells go on whatever becomes of their results' way out.
            self._log.error("an outbox can't go on", target=line.target.name, error=repr(error), exc_info=error)
            self._journal.alarm("warning", f"{line.delay}internal error: {error!r}")
        finally:
            line.gone = True
            self._moved.set()

    def _heed_resets(self, line: _Line) -> None:
        """Let go of refusals whose alarm a person has reset."""
        if line.shut is None and not line.refused:
            return
        standing = {alarm.alarm for alarm in self._journal.alarms()}
        if line.shut not in standing:
            line.shut = None
        line.refused = {key: alarm for key, alarm in line.refused.items() if alarm in standing}

    def _next(self, line: _Line) -> tuple[OutboxRow | None, float | None]:
        """Choose what is tried next; else say in how many seconds to look again, None for not by itself."""
        if line.shut is not None:
            return None, None
        now = self._clock.now()
        waiting = self._journal.outbox.of(line.target.name)
        if line.free is not None and line.free > now:
            return None, (line.free - now).total_seconds() if waiting else None
        soonest: datetime | None = None
        for row in waiting.values():
            if line.is_refused(row):
                continue
            due = line.due.get(row.operation)
            if due is None or due <= now:
                return row, None
            soonest = due if soonest is None else min(soonest, due)
        return None, (soonest - now).total_seconds() if soonest is not None else None

    async def _deliver(self, line: _Line, row: OutboxRow) -> None:
        def work() -> None:
            line.target.deliver(open_parcel(self._results, row.operation, row.sha256))

        try:
            await aside(self._clock, work, f"delivery to {line.target.name}")
        except Undeliverable as error:
            self._refused(line, row, str(error), everything=error.everything)
        except NotDelivered as error:
            self._later(line, row, str(error), error.after)
        except OSError as error:
            if lacks_room(error):
                self._later(line, row, str(error), None, told=True)
            else:
                self._refused(line, row, str(error), everything=False)
        except LabctlError as error:
            # Such as a credential that is not set.
            self._refused(line, row, str(error), everything=True)
        except Exception as error:  # noqa: BLE001 - it is said, and the cells go on
            self._log.error("a delivery failed", target=line.target.name, operation=row.operation, exc_info=error)
            self._refused(line, row, f"internal error: {error!r}", everything=False)
        else:
            self._delivered(line, row)

    def _delivered(self, line: _Line, row: OutboxRow) -> None:
        outbox = self._journal.outbox
        outbox.delivered(row)
        line.failures, line.free = 0, None
        line.due.pop(row.operation, None)
        if row.error is not None:
            self._journal.note("delivery", f"delivered to {line.target.name} after all", operation=row.operation)
        tried = [one for one in outbox.of(line.target.name).values() if one.tries >= TOLD_AFTER]
        if line.late is not None and not tried:
            self._journal.clear_alarm(line.late)
            line.late = None

    def _later(self, line: _Line, row: OutboxRow, error: str, after: float | None, *, told: bool = False) -> None:
        line.failures += 1
        now = self._clock.now()
        wait = max(wait_after(row.tries + 1), min(after or 0.0, LONGEST))
        line.due[row.operation] = now + timedelta(seconds=wait)
        line.free = now + timedelta(seconds=max(wait_after(line.failures), min(after or 0.0, LONGEST)))
        due = max(line.due[row.operation], line.free)
        self._journal.outbox.tried(row, error, due.isoformat(timespec="milliseconds"))
        if line.late is None and (told or max(line.failures, row.tries + 1) >= TOLD_AFTER):
            words = f"{line.delay}it is tried again, half an hour apart at most; first seen: {error}"
            line.late = self._journal.alarm("warning", words)

    def _refused(self, line: _Line, row: OutboxRow, error: str, *, everything: bool) -> None:
        self._journal.outbox.tried(row, error, None)
        what = "nothing more is sent there" if everything else "it is not sent again"
        words = f"{line.refusal}{error}; {what} until labctl is started anew or this alarm is reset"
        alarm = self._journal.alarm("warning", words)
        self._journal.note("delivery", f"{line.target.name} refused: {error}", operation=row.operation)
        if everything:
            line.shut = alarm
        else:
            line.refused[row.operation, row.sha256] = alarm


async def _sleep(wake: asyncio.Event, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return
