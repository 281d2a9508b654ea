"""When an operation does not go well: the cell is left safe first, then what can be saved is saved, then it is said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import LabctlError
from labctl.instruments import Handle, Log
from labctl.journal import Journal, OperationRow, Status
from labctl.results import bundle_folder

if TYPE_CHECKING:
    from labctl.engine.actions import Action
    from labctl.engine.lifecycle import Job
    from labctl.engine.outbox import Outbox

Release = Callable[[OperationRow], None]


class Rescue:
    """Ends operations that can't come to their ordinary end.

    Parameters
    ----------
    journal : Journal
        Where it is written down.
    log : Log
        For whoever maintains labctl.
    results : Path
        Where bundles are kept.
    release : callable
        Gives the lease of a row back.
    outbox : Outbox
        Gets what could be saved.
    make_folder : callable
        Makes the folder of a bundle.
    """

    def __init__(
        self,
        journal: Journal,
        log: Log,
        results: Path,
        release: Release,
        outbox: Outbox,
        make_folder: Callable[[Path], None],
    ) -> None:
        self._make_folder = make_folder
        self._journal = journal
        self._log = log
        self._results = results
        self._release = release
        self._outbox = outbox

    def folder(self, row: OperationRow, job: Job) -> Path:
        """Give the folder of an operation's bundle; made where the operation has files."""
        folder = bundle_folder(self._results, row.operation)
        if job.has_files:
            self._make_folder(folder)
        return folder

    async def fail(self, row: OperationRow, job: Job, error: str) -> OperationRow:
        """End an operation that has failed; where the cell can't be shown to be safe, a person is asked."""
        self._log.error("operation failed", operation=row.operation, error=error)
        action = job.action(row) if row.status in (Status.LEASED, Status.INTENT, Status.RUNNING) else None
        handle, unsafe = await self._make_safe(row, action) if action is not None else (None, None)
        await self._quietly(lambda: job.leave(row))
        if unsafe is not None:
            self._journal.alarm(
                "trip", f"{row.step}: {error}; the cell could not be left safe: {unsafe}", cell=row.cell
            )
            return self._journal.needs_operator(row.operation, f"{error}; {unsafe}")
        known: Mapping[str, Any] = {}
        if action is not None and handle is not None:
            known = await self._save_partial(row, job, action, handle, "failed")
        posting = self._outbox.posting(row.operation) if known else None
        row = self._journal.failed(row.operation, error, known, posting)
        self._outbox.wake()
        self._release(row)
        self._journal.alarm("pause", f"{row.step}: {error}", cell=row.cell)
        return row

    async def _make_safe(self, row: OperationRow, action: Action) -> tuple[Handle | None, str | None]:
        """Take the instrument off the cell and read that back; gives what ran, and what stands against its end."""
        handle = None
        try:
            handle = await self._what_runs(row, action)
            if handle is not None:
                await action.abort(handle)
            await action.finish()
            if handle is not None:
                await action.prove_safe()
        except (LabctlError, OSError) as error:
            return handle, str(error)
        return handle, None

    @staticmethod
    async def _what_runs(row: OperationRow, action: Action) -> Handle | None:
        """Give what an operation has on its instrument: where it was just being told, the instrument knows."""
        if row.handle is not None:
            return Handle.from_json(row.handle)
        return await action.find(row.token) if row.status is Status.INTENT else None

    async def end(self, row: OperationRow, job: Job, why: str, result: Mapping[str, Any]) -> OperationRow:
        """End an operation because a person wants it.

        Raises
        ------
        LabctlError
            The instrument can't be reached, or does not obey; the operation is as it was.
        """
        posting = None
        action = job.action(row) if row.status is not Status.REQUESTED else None
        if action is not None:
            handle = await self._what_runs(row, action)
            if handle is not None:
                await action.abort(handle)
            await action.finish()
            if handle is not None:
                await action.prove_safe()
                result = {**await self._save_partial(row, job, action, handle, "aborted"), **result}
                posting = self._outbox.posting(row.operation)
        await self._quietly(lambda: job.leave(row))
        row = self._journal.aborted(row.operation, why, result, posting)
        self._outbox.wake()
        self._release(row)
        return row

    async def _save_partial(
        self, row: OperationRow, job: Job, action: Action, handle: Handle, outcome: str
    ) -> Mapping[str, Any]:
        """Save what an operation without an ordinary end produced, and say what is known of it."""
        ended = self._journal.now()
        known: dict[str, Any] = {"ended": ended}

        async def fetch() -> None:
            folder = self.folder(row, job)
            known.update(await job.close(row, await action.fetch(handle, folder), folder, ended, outcome))

        await self._quietly(fetch)
        return known

    async def _quietly(self, step: Callable[[], Awaitable[Any]]) -> None:
        """Carry out a step of tidying up whose own failure must not hide what went wrong first."""
        try:
            await step()
        except (LabctlError, OSError) as error:
            self._log.error("while tidying up", error=str(error))
            self._journal.note("fault", f"while tidying up: {error}")

    def clear_warnings(self, row: OperationRow) -> None:
        """Clear the warnings that an operation raised on its way."""
        for alarm in self._journal.alarms():
            if alarm.severity == "warning" and alarm.cell == row.cell and alarm.message.startswith(f"{row.step}: "):
                self._journal.clear_alarm(alarm.alarm)
