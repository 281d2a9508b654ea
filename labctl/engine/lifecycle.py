"""The life of one operation, from request to done: idempotent, re-entrant, journalled before and after every step.

What is done in each status, after a crash as in an ordinary run, is the table of the architecture, section 3:
*requested* asks for its lease, *leased* prepares, *intent* asks the instrument by token before anything is started,
*running* attaches and polls, *fetched* only has to give its lease back. When it does not go well is ``rescue``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from labctl.engine.actions import LONGEST, Accompanied, Action, Suspendable, next_look
from labctl.engine.keeping import Bundles, Keeping
from labctl.engine.kinds import SPECTRUM
from labctl.engine.leases import Arbiter, Need
from labctl.engine.obstruction import reasons
from labctl.engine.outbox import Outbox
from labctl.engine.recorder import Recorder
from labctl.engine.rescue import Rescue
from labctl.engine.retries import policy_for, worth_a_line
from labctl.engine.room import lacks_room, wait_for_room
from labctl.engine.watch import LOOK_AGAIN, Bounds, Watch
from labctl.errors import LabctlError
from labctl.instruments import CannotSay, Clock, Handle, Log, Progress, State
from labctl.journal import ENDED, Journal, OperationRow, Status


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
    request : mapping or None
        What a person is asked to do, where a person is the instrument.
    message : str
        The instrument's words.
    """

    at: str
    values: Mapping[str, float]
    remaining: float | None
    request: Mapping[str, Any] | None = None
    message: str = ""


class TooLate(LabctlError):
    """A step could not start within its time, and the protocol says that it must then not start."""

    category = "freshness"


class OutOfBounds(LabctlError):
    """A running operation broke a limit that the engine watches."""

    category = "limit"


class Job(Protocol):
    """What an operation is about; made anew whenever it is taken up.

    Attributes
    ----------
    has_files : bool
        Whether it leaves a bundle.
    """

    has_files: bool

    @property
    def skips_when_late(self) -> bool:
        """Whether the cell goes on without it where it could not start in time."""

    def need(self, row: OperationRow) -> Need:
        """Say which resources it takes."""

    async def ahead(self, row: OperationRow, enter: Callable[[], None]) -> None:
        """Have done what must come before its turn; ``enter`` puts it into the queue meanwhile."""

    def latest(self, row: OperationRow) -> datetime | None:
        """Say until when it must have its lease, or else not start at all; None where late is better than never."""

    async def ready(self, row: OperationRow) -> Action:
        """Bring cell and surroundings to where the operation can start."""

    def action(self, row: OperationRow) -> Action:
        """Give the action without preparing anything, for an operation that has started."""

    async def look_around(self, row: OperationRow) -> None:
        """Look at what the running operation relies on beside its instrument; raise where that has failed."""

    def bounds(self, row: OperationRow) -> Bounds:
        """Say what no look at the running operation may show."""

    def seen(self, row: OperationRow, progress: Progress) -> None:
        """Keep what a look brought."""

    async def leave(self, row: OperationRow) -> None:
        """Undo what ``ready`` arranged around the cell; safe to repeat."""

    async def close(
        self, row: OperationRow, fetched: Any, folder: Path, ended: str, outcome: str = "ok"
    ) -> Mapping[str, Any]:
        """Write the bundle and say what the journal should remember of the result.

        ``outcome`` is ``failed`` or ``aborted`` where the operation did not come to its own end.
        """

    def place_after(self) -> str | None:
        """Where the cell sits when it is done, if the operation was a transfer."""


class LifeCycle:
    """Runs operations. One per orchestrator.

    Parameters
    ----------
    look_every : float
        Seconds that may pass at most between two looks at a running operation.
    record_every : float or None
        Seconds that pass at least between two looks at its records; None fetches them only at the end.
    outbox : Outbox
        Gets what operations bring.
    keeping : Keeping, optional
        Makes their folders; bundles are, unless something else is given.
    """

    def __init__(
        self,
        journal: Journal,
        arbiter: Arbiter,
        clock: Clock,
        log: Log,
        results: Path,
        outbox: Outbox,
        look_every: float = LONGEST,
        record_every: float | None = None,
        keeping: Keeping | None = None,
    ) -> None:
        self._journal = journal
        self._arbiter = arbiter
        self._clock = clock
        self._log = log
        self._look_every = look_every
        self._longest = max(look_every, LONGEST)
        self._outbox = outbox
        self._rescue = Rescue(journal, log, results, self._release, outbox, (keeping or Bundles()).folder)
        self._recorder = Recorder(journal, clock, record_every)
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._ending: dict[str, tuple[str, Mapping[str, Any]]] = {}
        self._looks: dict[str, asyncio.Event] = {}
        self.live: dict[str, Live] = {}
        self.waiting: dict[str, Need] = {}
        self.suspended: set[str] = set()

    # -- what others may do to a running operation ---------------------------------------------------------------
    def wake(self, operation: str | None = None) -> None:
        """Have every running operation look at its instrument soon, or only one."""
        if operation is not None:
            self._look_at(operation)
            return
        for event in self._looks.values():
            event.set()

    async def look_now(self) -> None:
        """Have every running operation look at its instrument, and wait for that (at most a second)."""
        events = list(self._looks.values())
        self.wake()
        try:
            async with asyncio.timeout(self._clock.patience(1.0)):
                while any(event.is_set() for event in events if event in self._looks.values()):
                    await asyncio.sleep(self._clock.patience(0.01))
        except TimeoutError:
            # An instrument is slow; what is known is shown with its age.
            self._log.debug("not every instrument answered a look in time")

    def end(self, operations: Sequence[str], why: str, **result: Any) -> None:
        """End operations of one cell now: the source goes off, the cell is left safe; ``result`` goes into the rows."""
        self._ending.update(dict.fromkeys(operations, (why, result)))
        for task in {self._tasks[operation] for operation in operations if operation in self._tasks}:
            task.cancel()

    async def end_idle(self, operation: str, job: Job, why: str, **result: Any) -> OperationRow:
        """End an operation that nobody works on, as after a restart."""
        self._ending[operation] = why, result
        return await self._end_now(operation, job)

    def give_up(self, operation: str, why: str) -> OperationRow:
        """Take a person's word that an operation does not run, and give its lease back."""
        row = self._journal.failed(operation, why)
        self._release(row)
        return row

    async def suspend(self, operation: str, job: Job) -> bool:
        """Interrupt a running operation to open circuit, verified; False where its instrument knows no such thing."""
        row = self._journal.operation(operation)
        action = job.action(row)
        if row.status is not Status.RUNNING or not isinstance(action, Suspendable):
            return False
        await action.suspend(Handle.from_json(row.handle or {}))
        self.suspended.add(operation)
        self._look_at(operation)
        return True

    async def resume(self, operation: str, job: Job) -> None:
        """Let a suspended operation go on."""
        row = self._journal.operation(operation)
        action = job.action(row)
        if row.status is Status.RUNNING and isinstance(action, Suspendable):
            await action.resume(Handle.from_json(row.handle or {}))
        self.suspended.discard(operation)
        self._look_at(operation)

    def _look_at(self, operation: str) -> None:
        if operation in self._looks:
            self._looks[operation].set()

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
            if operation not in self._ending:
                raise
            task.uncancel()
            return await self._end_now(operation, job)
        finally:
            for kept in (self._tasks, self._looks):
                kept.pop(operation, None)
            self._recorder.ended(operation)
            self._ending.pop(operation, None)
            self.suspended.discard(operation)

    async def _run(self, operation: str, job: Job) -> OperationRow:
        stages: Mapping[Status, Callable[[OperationRow, Job], Awaitable[OperationRow]]] = {
            Status.REQUESTED: self._lease,
            Status.LEASED: self._start,
            Status.INTENT: self._find_or_start,
            Status.RUNNING: self._follow,
            Status.FETCHED: self._end,
        }
        row = self._journal.operation(operation)
        retries = 0
        while row.status in stages:
            before = row.status
            try:
                row = await stages[row.status](row, job)
            except (LabctlError, OSError) as error:
                if operation in self._ending:
                    # What was ended on its behalf, such as a transfer, failed it before its own turn came.
                    return await self._end_now(operation, job)
                row = await self._trouble(operation, job, error, retries)
                retries += 1
            if row.status is not before:
                retries = 0
        return row

    async def _trouble(self, operation: str, job: Job, error: LabctlError | OSError, retries: int) -> OperationRow:
        """Decide by the class of the fault: wait and try again, ask a person, or fail and leave the cell safe."""
        row = self._journal.operation(operation)
        if isinstance(error, OSError) and not lacks_room(error):
            return await self._rescue.fail(row, job, f"{error.strerror}: {error.filename}")
        if lacks_room(error):
            await wait_for_room(self._journal, row.step)
            return self._journal.operation(operation)
        if isinstance(error, TooLate) and job.skips_when_late:
            await self._rescue.end(row, job, str(error), {"skipped": True})
            self._journal.alarm("warning", f"{row.step} was left out: {error}", cell=row.cell)
            return self._journal.operation(operation)
        policy = policy_for(error)
        if policy is not None and retries < policy.attempts:
            wait = policy.wait(retries)
            self._journal.alarm("warning", f"{row.step}: {error}", cell=row.cell, instrument=_instrument(error))
            if worth_a_line(retries):
                text = f"{row.step}: try {retries + 2} in {wait:g} s, after: {error}"
                self._journal.note("retry", text, cell=row.cell, operation=operation, instrument=_instrument(error))
            await asyncio.sleep(wait)
            return self._journal.operation(operation)
        if isinstance(error, CannotSay) or (policy is not None and row.status in (Status.INTENT, Status.RUNNING)):
            self._journal.alarm("trip", f"{row.step}: {error}", cell=row.cell)
            return self._journal.needs_operator(operation, str(error))
        return await self._rescue.fail(row, job, str(error))

    async def _lease(self, row: OperationRow, job: Job) -> OperationRow:
        need, latest = job.need(row), job.latest(row)
        self.waiting[row.operation] = need
        resources = None
        try:
            await job.ahead(row, lambda: self._arbiter.restore_waiting(need))
            if latest is None:
                resources = await self._arbiter.acquire(need)
            else:
                left = (latest - self._clock.now()).total_seconds()
                try:
                    async with asyncio.timeout(max(left, 0.0)):
                        resources = await self._arbiter.acquire(need)
                except TimeoutError as error:
                    why = reasons(self._arbiter.obstacles(need), self._arbiter.held)
                    late = f"its instrument did not become free before {latest:%Y-%m-%d %H:%M} UTC"
                    raise TooLate(f"{late}: {why}" if why else late) from error
        finally:
            self.waiting.pop(row.operation, None)
            if resources is None and not self._arbiter.withdraw(row.operation):
                self._arbiter.release(row.operation)
        return self._journal.leased(row.operation, resources)

    async def _start(self, row: OperationRow, job: Job) -> OperationRow:
        action = await job.ready(row)
        await action.prepare()
        latest = job.latest(row)
        if latest is not None and self._clock.now() > latest:
            raise TooLate(f"it could not start before {latest:%Y-%m-%d %H:%M} UTC")
        row = self._journal.intent(row.operation)
        handle = await action.start(row.token)
        return self._journal.running(row.operation, handle.to_json())

    async def _find_or_start(self, row: OperationRow, job: Job) -> OperationRow:
        handle = await job.action(row).find(row.token)
        if handle is None:
            action = await job.ready(row)
            await action.prepare()
            handle = await action.start(row.token)
            self._note(row, "started after a restart: the instrument had proven not to know it")
        else:
            self._note(row, "found again at the instrument by its token")
        return self._journal.running(row.operation, handle.to_json())

    def _note(self, row: OperationRow, message: str) -> None:
        self._journal.note("recovery", f"{row.step}: {message}", cell=row.cell, operation=row.operation)

    async def _follow(self, row: OperationRow, job: Job) -> OperationRow:
        action, handle = job.action(row), Handle.from_json(row.handle or {})
        progress = await self._with_company(self._until_ended(row, job, action, handle), action, handle)
        self._rescue.clear_warnings(row)
        if progress.state is State.FAILED:
            return await self._rescue.fail(row, job, progress.message or "the instrument reports a fault")
        ended = self._journal.now()
        await action.finish()
        await job.leave(row)
        folder = self._rescue.folder(row, job)
        fetched = await action.fetch(handle, folder)
        result = await job.close(row, fetched, folder, ended)
        posting = self._outbox.posting(row.operation)
        row = self._journal.fetched(row.operation, row.operation, {**row.result, **result, "ended": ended}, posting)
        self._outbox.wake()
        return row

    @staticmethod
    async def _with_company(following: Coroutine[Any, Any, Progress], action: Action, handle: Handle) -> Progress:
        """Follow an action to its end, and what goes on beside it; the fault of either ends both."""
        if not isinstance(action, Accompanied):
            return await following
        main, company = asyncio.create_task(following), asyncio.create_task(action.accompany(handle))
        try:
            await asyncio.wait({main, company}, return_when=asyncio.FIRST_COMPLETED)
            if company.done():
                company.result()
            progress = await main
            if progress.state is not State.FAILED:
                await company
            return progress
        finally:
            for task in (main, company):
                task.cancel()
            await asyncio.gather(main, company, return_exceptions=True)

    async def _until_ended(self, row: OperationRow, job: Job, action: Action, handle: Handle) -> Progress:
        """Look until the instrument says that it has ended.

        Raises
        ------
        OutOfBounds
            Two looks in a row broke a limit, or data stopped coming.
        """
        look = self._looks.setdefault(row.operation, asyncio.Event())
        watch, doubt = Watch(job.bounds(row)), False
        began = self._clock.now()
        while True:
            progress = await action.poll(handle)
            look.clear()
            self._seen(row, job, progress)
            if progress.state is not State.RUNNING:
                return progress
            # Only now: what has ended may have had its surroundings stopped for it before a restart.
            await job.look_around(row)
            await self._recorder.look(row, action, handle, partial(self._rescue.folder, row, job))
            elapsed = (self._clock.now() - began).total_seconds()
            suspended = row.operation in self.suspended or progress.message.startswith("suspended")
            wrong = watch.judge(elapsed, progress.values, suspended=suspended)
            if wrong is not None and doubt:
                raise OutOfBounds(wrong)
            doubt = wrong is not None
            await self._sleep(
                look, LOOK_AGAIN if doubt else min(next_look(progress, elapsed, self._longest), self._look_every)
            )

    async def _end(self, row: OperationRow, job: Job) -> OperationRow:
        row = self._journal.done(row.operation, place=job.place_after())
        self._release(row)
        return row

    async def _end_now(self, operation: str, job: Job) -> OperationRow:
        """End an operation for a person, whatever it takes: the instrument is asked until it obeys."""
        why, result = self._ending.pop(operation)
        retries = 0
        while (row := self._journal.operation(operation)).status not in ENDED:
            try:
                await self._rescue.end(row, job, why, result)
            except (LabctlError, OSError) as error:
                if lacks_room(error):
                    await wait_for_room(self._journal, row.step)
                    continue
                policy = policy_for(error)
                if policy is None or retries >= policy.attempts:
                    self._journal.alarm("trip", f"{row.step}: could not be ended: {error}", cell=row.cell)
                    return self._journal.needs_operator(operation, str(error))
                self._journal.alarm("warning", f"{row.step}: {error}", cell=row.cell, instrument=_instrument(error))
                await asyncio.sleep(policy.wait(retries))
                retries += 1
        self._rescue.clear_warnings(row)
        return row

    # -- small things ------------------------------------------------------------------------------------------------
    def _release(self, row: OperationRow) -> None:
        self._arbiter.release(row.operation)
        self._looks.pop(row.operation, None)

    def _seen(self, row: OperationRow, job: Job, progress: Progress) -> None:
        values: dict[str, float] = {key: value for key, value in progress.values.items() if value == value}
        around = self.live.get(row.cell) if row.kind == SPECTRUM else None
        if around is not None:
            # The step's own look says how the cell does.
            self.live[row.cell] = replace(around, values={**around.values, **values})
        else:
            self.live[row.cell] = Live(
                self._journal.now(), values, progress.remaining, progress.request, progress.message
            )
        job.seen(row, progress)

    async def _sleep(self, look: asyncio.Event, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await look.wait()
        except TimeoutError:
            return


def _instrument(error: Exception) -> str | None:
    return getattr(error, "instrument", "") or None
