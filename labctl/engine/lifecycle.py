"""The life of one operation, from request to done: idempotent, re-entrant, journalled before and after every step.

What is done in each status, after a crash as in an ordinary run, is the table of the architecture, section 3:
*requested* asks for its lease, *leased* prepares, *intent* asks the instrument by token before anything is started,
*running* attaches and polls, *fetched* only has to give its lease back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from labctl.engine.actions import Action, next_look
from labctl.engine.leases import Arbiter, Need
from labctl.errors import InstrumentError, LabctlError
from labctl.instruments import (
    CannotSay,
    Clock,
    Fetched,
    Garbled,
    Handle,
    Log,
    NotReachable,
    Progress,
    State,
    TimedOut,
)
from labctl.journal import ENDED, Journal, OperationRow, Status
from labctl.results import bundle_folder

#: Faults that pass by themselves: the instrument holds its own limits meanwhile, so labctl waits and asks again.
PASSING = (NotReachable, TimedOut, Garbled)
# Seconds between attempts to reach an instrument that has gone.
RETRY = 30.0


@dataclass(frozen=True, slots=True)
class Live:
    """The last values seen of a cell.

    Attributes
    ----------
    at : str
        UTC time of the look, ISO 8601.
    values : mapping of str to float
        Unit in the key.
    remaining : float or None
        Expected seconds to the end of the operation.
    """

    at: str
    values: Mapping[str, float]
    remaining: float | None


class Job(Protocol):
    """What an operation is about; made anew whenever it is taken up.

    Attributes
    ----------
    has_files : bool
        Whether it leaves a bundle.
    """

    has_files: bool

    def need(self, row: OperationRow) -> Need:
        """Say which resources it takes."""

    async def ready(self, row: OperationRow) -> Action:
        """Bring cell and surroundings to where the operation can start."""

    def action(self, row: OperationRow) -> Action:
        """Give the action without preparing anything, for an operation that has started."""

    async def leave(self, row: OperationRow) -> None:
        """Undo what ``ready`` arranged around the cell; safe to repeat."""

    def close(self, row: OperationRow, fetched: Fetched, folder: Path, ended: str) -> Mapping[str, Any]:
        """Write the bundle and say what the journal should remember of the result."""

    def place_after(self) -> str | None:
        """Where the cell sits when it is done, if the operation was a transfer."""


class LifeCycle:
    """Runs operations. One per orchestrator."""

    def __init__(self, journal: Journal, arbiter: Arbiter, clock: Clock, log: Log, results: Path) -> None:
        self._journal = journal
        self._arbiter = arbiter
        self._clock = clock
        self._log = log
        self._results = results
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._aborting: dict[str, str] = {}
        self._looks: dict[str, asyncio.Event] = {}
        self.live: dict[str, Live] = {}
        self.waits_for: dict[str, str] = {}

    # -- what others may do to a running operation ---------------------------------------------------------------
    def wake(self) -> None:
        """Have every running operation look at its instrument soon."""
        for event in self._looks.values():
            event.set()

    async def look_now(self) -> None:
        """Have every running operation look at its instrument, and wait for that (at most a second)."""
        events = list(self._looks.values())
        self.wake()
        try:
            async with asyncio.timeout(1.0):
                while any(event.is_set() for event in events if event in self._looks.values()):
                    await asyncio.sleep(0.01)
        except TimeoutError:
            # An instrument is slow; what is known is shown with its age.
            self._log.debug("not every instrument answered a look in time")

    def abort(self, operations: Sequence[str], why: str) -> None:
        """End operations of one cell now: the source goes off, the cell is left safe."""
        self._aborting.update(dict.fromkeys(operations, why))
        for task in {self._tasks[operation] for operation in operations if operation in self._tasks}:
            task.cancel()

    # -- the life itself -------------------------------------------------------------------------------------------
    async def run(self, operation: str, job: Job) -> OperationRow:
        """Bring an operation to its end from wherever it stands."""
        task = asyncio.current_task()
        if task is None:
            raise LabctlError("operations run in a task")
        self._tasks[operation] = task
        try:
            return await self._run(operation, job)
        except asyncio.CancelledError:
            if operation not in self._aborting:
                raise
            task.uncancel()
            return await self._abort(self._journal.operation(operation), job)
        finally:
            self._tasks.pop(operation, None)
            self._looks.pop(operation, None)

    async def _run(self, operation: str, job: Job) -> OperationRow:
        stages: Mapping[Status, Callable[[OperationRow, Job], Awaitable[OperationRow]]] = {
            Status.REQUESTED: self._lease,
            Status.LEASED: self._start,
            Status.INTENT: self._find_or_start,
            Status.RUNNING: self._follow,
            Status.FETCHED: self._end,
        }
        row = self._journal.operation(operation)
        while row.status in stages:
            try:
                row = await stages[row.status](row, job)
            except LabctlError as error:
                if operation in self._aborting:
                    return await self._abort(self._journal.operation(operation), job)
                row = await self._trouble(operation, job, error)
        return row

    async def _trouble(self, operation: str, job: Job, error: LabctlError) -> OperationRow:
        row = self._journal.operation(operation)
        if isinstance(error, PASSING):
            await self._wait_for_instrument(row, error)
            return self._journal.operation(operation)
        if isinstance(error, CannotSay):
            self._journal.alarm("trip", f"{row.step}: {error}", cell=row.cell)
            return self._journal.needs_operator(operation, str(error))
        return await self._fail(row, job, str(error))

    async def _lease(self, row: OperationRow, job: Job) -> OperationRow:
        need = job.need(row)
        self.waits_for[row.cell] = ", ".join(self._arbiter.holders(need)) or "a free place"
        try:
            resources = await self._arbiter.acquire(need)
        finally:
            self.waits_for.pop(row.cell, None)
        return self._journal.leased(row.operation, resources)

    async def _start(self, row: OperationRow, job: Job) -> OperationRow:
        action = await job.ready(row)
        await action.prepare()
        row = self._journal.intent(row.operation)
        handle = await action.start(row.token)
        return self._journal.running(row.operation, handle.to_json())

    async def _find_or_start(self, row: OperationRow, job: Job) -> OperationRow:
        handle = await job.action(row).find(row.token)
        if handle is None:
            action = await job.ready(row)
            await action.prepare()
            handle = await action.start(row.token)
            self._log.info("started after a restart: the instrument had proven not to know it", token=row.token)
        else:
            self._log.info("found again by its token", token=row.token)
        return self._journal.running(row.operation, handle.to_json())

    async def _follow(self, row: OperationRow, job: Job) -> OperationRow:
        action = job.action(row)
        handle = Handle.from_json(row.handle or {})
        look = self._looks.setdefault(row.operation, asyncio.Event())
        began = self._clock.now()
        while True:
            progress = await action.poll(handle)
            look.clear()
            self._seen(row, progress)
            if progress.state is not State.RUNNING:
                break
            await self._sleep(look, next_look(progress, (self._clock.now() - began).total_seconds()))
        self._clear_alarms(row)
        ended = self._journal.now()
        await action.finish()
        await job.leave(row)
        row = await self._fetch(row, job, action, handle, ended)
        if progress.state is State.FAILED:
            row = self._journal.failed(row.operation, progress.message or "the instrument reports a fault")
            self._release(row)
            self._journal.alarm("pause", f"{row.step}: {row.error}", cell=row.cell)
        return row

    async def _fetch(self, row: OperationRow, job: Job, action: Action, handle: Handle, ended: str) -> OperationRow:
        folder = bundle_folder(self._results, row.operation)
        if job.has_files:
            folder.mkdir(parents=True, exist_ok=True)
        fetched = await action.fetch(handle, folder)
        result = job.close(row, fetched, folder, ended)
        return self._journal.fetched(row.operation, row.operation, {**row.result, **result, "ended": ended})

    async def _end(self, row: OperationRow, job: Job) -> OperationRow:
        row = self._journal.done(row.operation, place=job.place_after())
        self._release(row)
        return row

    # -- when it does not go well ----------------------------------------------------------------------------------
    async def _fail(self, row: OperationRow, job: Job, error: str) -> OperationRow:
        self._log.error("operation failed", operation=row.operation, error=error)
        await self._quietly(lambda: job.leave(row))
        if row.status in (Status.LEASED, Status.INTENT, Status.RUNNING):
            await self._quietly(lambda: job.action(row).finish())
        row = self._journal.failed(row.operation, error)
        self._release(row)
        self._journal.alarm("pause", f"{row.step}: {error}", cell=row.cell)
        return row

    async def _abort(self, row: OperationRow, job: Job) -> OperationRow:
        why = self._aborting.pop(row.operation)
        if row.status in ENDED:
            return row
        action = job.action(row)
        handle = Handle.from_json(row.handle) if row.handle is not None else None
        if handle is None and row.status is Status.INTENT:
            handle = await action.find(row.token)
        if handle is not None:
            await action.abort(handle)
            await self._quietly(partial(self._fetch_partial, row, job, action, handle))
        elif row.status is Status.LEASED:
            await self._quietly(action.finish)
        await self._quietly(lambda: job.leave(row))
        row = self._journal.aborted(row.operation, why)
        self._release(row)
        return row

    async def _fetch_partial(self, row: OperationRow, job: Job, action: Action, handle: Handle) -> None:
        folder = bundle_folder(self._results, row.operation)
        if job.has_files:
            folder.mkdir(parents=True, exist_ok=True)
        job.close(row, await action.fetch(handle, folder), folder, self._journal.now())

    async def _quietly(self, step: Callable[[], Awaitable[Any]]) -> None:
        """Carry out a step of tidying up whose own failure must not hide what went wrong first."""
        try:
            await step()
        except (LabctlError, OSError) as error:
            self._log.error("while tidying up", error=str(error))
            self._journal.note("fault", f"while tidying up: {error}")

    async def _wait_for_instrument(self, row: OperationRow, error: InstrumentError) -> None:
        self._journal.alarm("warning", f"{row.step}: {error}", cell=row.cell, instrument=error.instrument or None)
        await asyncio.sleep(RETRY)

    def _clear_alarms(self, row: OperationRow) -> None:
        for alarm in self._journal.alarms():
            if alarm.severity == "warning" and alarm.cell == row.cell and alarm.message.startswith(f"{row.step}: "):
                self._journal.clear_alarm(alarm.alarm)

    def _release(self, row: OperationRow) -> None:
        self._arbiter.release(row.operation)
        self._looks.pop(row.operation, None)

    def _seen(self, row: OperationRow, progress: Progress) -> None:
        values: dict[str, float] = {key: value for key, value in progress.values.items() if value == value}
        self.live[row.cell] = Live(self._journal.now(), values, progress.remaining)

    async def _sleep(self, look: asyncio.Event, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await look.wait()
        except TimeoutError:
            return


def newest(rows: Sequence[OperationRow]) -> OperationRow | None:
    """Give the latest attempt among operations of one step."""
    return max(rows, key=lambda row: row.attempt, default=None)
