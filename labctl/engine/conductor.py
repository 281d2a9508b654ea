"""Drives one cell through its plan from wherever the journal says it is, and does what people want of it meanwhile.

What a person wants stands in the journal before it is carried out (``CellRow.wanted``), so that a command that was
answered is not forgotten by a crash, and one that is repeated changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from labctl.cell import CellMachine
from labctl.cell.machine import ABORTED, ENDED, FINISHED, HELD, STOPPED, UNDER_WAY
from labctl.engine.attention import attend, attend_so_far, pause
from labctl.engine.byhand import asked
from labctl.engine.campaign import BENCH
from labctl.engine.decided import DECISIONS
from labctl.engine.deciding import Deciding, NotYet
from labctl.engine.direction import Direction
from labctl.engine.jobs import Jobs
from labctl.engine.leases import Need
from labctl.engine.refuge import Refuge
from labctl.engine.room import lacks_room, wait_for_room
from labctl.engine.routing import IN_PROBE
from labctl.engine.series import Company
from labctl.engine.situation import is_behind, why_not_on
from labctl.engine.steps import Surroundings
from labctl.engine.tasks import breaks_off, let_go
from labctl.engine.tokens import token_for
from labctl.engine.wishes import HOLD, HOLD_NOW, RESUME, RETRIES, RETRY_KNOWN, SKIP
from labctl.errors import LabctlError, NoRoom
from labctl.instruments import Refused
from labctl.journal import ENDED as ENDED_STATUSES
from labctl.journal import CellRow, OperationRow, Status
from labctl.protocol import Kind, PlannedOperation

#: A step in one of these is an instrument's business already.
_BEGUN: Final = frozenset({Status.LEASED, Status.INTENT, Status.RUNNING, Status.FETCHED})
#: Seconds until an instrument that would not be interrupted is told again.
_AGAIN: Final = 2.0


class _NobodyComes(Exception):
    """A held cell waits for a person, and none will come."""


class Conductor:
    """One cell of one campaign.

    Parameters
    ----------
    cell : str
        Its id.
    around : Surroundings
        Of its campaign.
    direction : Direction
        Of the orchestrator.
    """

    def __init__(self, cell: str, around: Surroundings, direction: Direction) -> None:
        self.cell = cell
        self.around = around
        self._direction = direction
        self._journal = around.journal
        self._campaign = around.campaign.name
        plan = around.campaign.plans[cell]
        self._planned: Mapping[str, PlannedOperation] = {planned.path: planned for planned in plan}
        token_of = partial(token_for, direction.laboratory, cell=cell)
        self._refuge = Refuge(around, cell, token_of)
        company = Company(direction.life, token_of, self._ask_to_hold, direction.waits_for_people)
        self._jobs = Jobs(around, cell, self._planned, self._refuge, company)
        self._deciding = Deciding(self._journal, self._campaign, cell, plan, around.campaign.protocol)
        self._task: asyncio.Task[OperationRow] | None = None
        self._changed = asyncio.Event()
        self._take_up()

    # -- where it stands ---------------------------------------------------------------------------------------------
    @property
    def row(self) -> CellRow:
        """What the journal says of the cell."""
        return self._journal.cell(self._campaign, self.cell)

    @property
    def state(self) -> str:
        """Its state, for people."""
        return self.machine.state

    def rows(self) -> list[OperationRow]:
        """Its operations, in the order of their requests."""
        return self._journal.operations(campaign=self._campaign, cell=self.cell)

    def latest(self) -> OperationRow | None:
        """Give the latest attempt at the step that it is at."""
        step = self.machine.step
        return self._journal.latest(self._campaign, self.cell, step) if step is not None else None

    def _last(self) -> OperationRow | None:
        """Give the operation that brought it to the step that it is at."""
        rows = (self._journal.latest(self._campaign, self.cell, step) for step in reversed(self._behind()))
        return next((row for row in rows if row is not None), None)

    def _behind(self) -> Sequence[str]:
        return self.machine.steps[: self.machine.at]

    def waits_for(self) -> Need | None:
        """Give what the cell was waiting for when the last orchestrator went, None if for nothing that is granted."""
        latest = self.latest()
        if latest is None or latest.status is not Status.REQUESTED or self.machine.state != UNDER_WAY:
            return None
        if self._deciding.out(self._planned[latest.step]):
            return None
        if self.around.references.missing(self._planned[latest.step].kind) is not None:
            # A new session: its reference goes first, and this cell asks after it.
            return None
        return self._jobs.of(self._planned[latest.step]).need(latest)

    def _take_up(self) -> None:
        self.machine = CellMachine(self.cell, list(self._planned))
        reached = self._journal.reached(self._campaign, self.cell)
        passed = self._deciding.take_up(reached)
        self.machine.replay(passed | {step for step, status in reached.items() if self._left_behind(step, status)})
        state = self.row.state
        if state in ENDED:
            self.machine.state = state
        elif (state == HELD or self.row.wanted == RESUME) and self.machine.state == UNDER_WAY:
            # One that was let go on, and whose instrument has not been told yet, is still held.
            self.machine.fire("hold")

    def _left_behind(self, step: str, status: Status) -> bool:
        if status is not Status.ABORTED:
            return status is Status.DONE
        latest = self._journal.latest(self._campaign, self.cell, step)
        return latest is not None and is_behind(latest)

    def _ask_to_hold(self, reason: str) -> None:
        """Have the cell held now for what went wrong beside its step, as a person would."""
        self._journal.alarm("pause", reason, cell=self.cell)
        self._journal.control(self._campaign, self.cell, wanted=HOLD_NOW, reason=reason, by="labctl")
        self._changed.set()

    def changed(self) -> None:
        """Take notice: a person wants something."""
        self._changed.set()

    # -- the way -----------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Go on until the cell has come to its end (or is held, where nobody is waited for)."""
        try:
            while await self._stopped_for_room():
                await wait_for_room(self._journal, self.cell)
                # What was not written down has not happened: taken up as after a restart.
                self._take_up()
        except _NobodyComes:
            return
        except Exception as error:
            self._direction.log.error("a cell can't go on", cell=self.cell, error=repr(error), exc_info=error)
            self._keep_away(error)

    async def _stopped_for_room(self) -> bool:
        try:
            await self._run()
        except (NoRoom, OSError) as error:
            if not lacks_room(error):
                raise
            return True
        return False

    def _keep_away(self, error: Exception) -> None:
        """Hold the cell: its operation keeps its lease, and nothing of it is touched before the next start."""
        self._journal.alarm("trip", f"internal error: {error!r}; its operation keeps its lease", cell=self.cell)
        self._hold(f"internal error: {error!r}")

    async def _run(self) -> None:
        if self.latest() is None:
            # Nothing has come after it yet: whether the last step is for a person to judge is still open.
            self._hold_if_timed_out()
        if not self._runs():
            # A step that has begun has what it needs: the cell has left where it was before.
            await self._vacate(self._last())
        await self._stagger()
        while self.machine.step is not None:
            self._changed.clear()
            await self._go_on(self.machine.step, self.row)
        if self.machine.state == FINISHED and self.row.state != FINISHED:
            await self._end(FINISHED)

    async def _go_on(self, step: str, row: CellRow) -> None:
        """Do the next thing: what a person wants, or the step."""
        wanted, held, runs = row.wanted or "", self.machine.state == HELD, self._runs()
        refuge = self._refuge.active() if held and (wanted or row.state == UNDER_WAY) else None
        if refuge is not None:
            why = f"{row.by} has decided: {row.reason}"
            await self._direction.life.end_idle(refuge.operation, self._jobs.of_row(refuge), why)
        if wanted == "abort":
            await self._end_active(f"aborted by {row.by}: {row.reason}")
            await self._end(ABORTED, "abort")
        elif wanted == "stop" and (held or not runs):
            await self._end_active(f"stopped by {row.by}: {row.reason}")
            await self._end(STOPPED, "stop")
        elif held and row.state == UNDER_WAY and not runs:
            await self._resume(row)
        elif wanted.startswith(SKIP):
            await self._skip(step, row)
        elif held and not runs:
            if not self._direction.waits_for_people:
                raise _NobodyComes
            await self._stay_held(self._planned[step])
        elif wanted in (HOLD, HOLD_NOW) and not runs:
            self._hold(row.reason or "held", by=row.by)
        elif not await self._left_out(step):
            await self._operate(step)

    async def _left_out(self, step: str) -> bool:
        """Whether conditions of the protocol leave the step out: decided once, and written down before it counts."""
        planned, latest = self._planned[step], self.latest()
        if not planned.conditions or (latest is not None and latest.status is not Status.REQUESTED):
            return False
        try:
            verdict = self._deciding.of(planned, self.machine.at)
        except NotYet as reason:
            self._journal.alarm("pause", str(reason), cell=self.cell)
            self._hold(str(reason))
            return True
        if verdict.made:
            latest = self._request(planned, 1, {DECISIONS: verdict.made})
            self._deciding.count(verdict.made)
        if verdict.does:
            return False
        if latest is not None:
            await self._judge(self._journal.aborted(latest.operation, verdict.why, {"skipped": True}))
        else:
            while (after := self.machine.step) and self.latest() is None and self._deciding.out(self._planned[after]):
                self.machine.fire("complete")
            await self._vacate(self._last())
        return True

    async def _stay_held(self, planned: PlannedOperation) -> None:
        """Wait for a person; where the protocol says so, with the cell's voltage held meanwhile."""
        row = self._refuge.wanted(planned, self.latest())
        if row is None:
            await self._changed.wait()
        else:
            await attend_so_far(
                self._changed, self._direction.life.run(row.operation, self._refuge.job(row, planned)), let_go
            )

    async def _stagger(self) -> None:
        """Wait for the cell's own start."""
        campaign = self.around.campaign
        start = datetime.fromisoformat(campaign.started) + timedelta(seconds=campaign.cell(self.cell).start_after)
        while self.machine.at == 0 and self.row.wanted is None and not self.rows():
            left = (start - self.around.clock.now()).total_seconds()
            if left <= 0:
                return
            self._changed.clear()
            await pause(self._changed, left)

    def _runs(self) -> bool:
        """Whether the present step has begun, so that it must be followed whatever people want."""
        latest = self.latest()
        return latest is not None and latest.status in _BEGUN

    # -- one step ----------------------------------------------------------------------------------------------------
    async def _operate(self, step: str) -> None:
        """Bring the present step to its end, or to where a person wants it."""
        if self.row.wanted is not None:
            # Asked for before the last restart, or a moment ago: it concerns the step at once.
            self._changed.set()
        try:
            row = await attend(self._changed, self._step(step), self._interrupt)
        except asyncio.CancelledError:
            if breaks_off():
                raise
            return
        finally:
            self._task = None
        await self._judge(row)

    async def _step(self, step: str) -> OperationRow:
        self._task = asyncio.current_task()
        planned, latest = self._planned[step], self.latest()
        if latest is not None and latest.status in ENDED_STATUSES and not self._tries_again(latest):
            return latest
        self._direction.on_progress(self.cell, step)
        if latest is None or latest.status in ENDED_STATUSES:
            latest = self._request(planned, 1 + (latest.attempt if latest is not None else 0))
        if self.row.wanted in RETRIES:
            self._journal.control(self._campaign, self.cell, wanted=None)
        return await self._direction.life.run(latest.operation, self._jobs.of(planned))

    def _tries_again(self, latest: OperationRow) -> bool:
        if latest.status is Status.DONE or latest.result.get("skipped"):
            return False
        return self.row.wanted in RETRIES or bool(latest.result.get("again"))

    def _request(self, planned: PlannedOperation, attempt: int, known: Mapping[str, Any] | None = None) -> OperationRow:
        operation = f"{self._campaign}/{self.cell}/{planned.path}/a{attempt}"
        row = self.row
        return self._journal.request(
            operation,
            campaign=self._campaign,
            cell=self.cell,
            step=planned.path,
            kind=planned.kind.value,
            attempt=attempt,
            token=token_for(self._direction.laboratory, operation, self.cell),
            result={**asked(planned), **(known or {}), **({"known_by": row.by} if row.wanted == RETRY_KNOWN else {})},
        )

    async def _judge(self, row: OperationRow) -> None:
        """Decide how the cell goes on after an operation has come to some end."""
        if is_behind(row):
            if self.machine.state == HELD:
                # It ended while the cell was held; it counts when the cell goes on.
                return
            self.machine.fire("complete")
            if (self.row.wanted or "").startswith(SKIP):
                self._journal.control(self._campaign, self.cell, wanted=None)
            self._hold_if_timed_out()
            await self._vacate(row)
        elif row.status is Status.ABORTED:
            if row.result.get("again") or self.row.wanted == "abort":
                return
            self._hold(row.error or "aborted")
        else:
            self._hold(row.error or row.status.value)
            await self._vacate(row if row.status is Status.FAILED else None)

    def _hold_if_timed_out(self) -> None:
        """A step that its guard time ended is for a person to judge, unless the protocol says otherwise."""
        row = self._last()
        if row is None or self.machine.state not in (UNDER_WAY, FINISHED):
            return
        if row.result.get("goes") == "end" and self.machine.state == UNDER_WAY:
            # A person's answer ends the cell: what its plan has beyond that is not for it.
            self.machine.fire("finish")
            return
        why = why_not_on(row, self._planned[row.step].on_timeout)
        if why is None or self.row.at > row.times[Status.DONE]:
            return
        if self.machine.state == FINISHED:
            # Nothing comes after it that could be held back.
            self._journal.alarm("warning", why, cell=self.cell)
            return
        self._journal.alarm("pause", why, cell=self.cell)
        self._hold(why)

    # -- what people want --------------------------------------------------------------------------------------------
    async def _interrupt(self, task: asyncio.Task[OperationRow]) -> None:
        """Carry out on the present step what a person wants, as far as it concerns the step."""
        row = self.row
        wanted = row.wanted or ""
        if wanted == "abort":
            await self._end_active(f"aborted by {row.by}: {row.reason}")
        elif wanted == SKIP + str(self.machine.step):
            await self._end_active(f"skipped by {row.by}: {row.reason}", skipped=True)
        elif wanted == HOLD_NOW:
            await self._hold_now(task, row)
        elif wanted in (HOLD, "stop") and not self._runs():
            # Nothing has begun: the step after which it was to hold is behind it already.
            await let_go(task)
        elif row.state == UNDER_WAY and self.machine.state == HELD:
            await self._resume(row)

    async def _hold_now(self, task: asyncio.Task[OperationRow], row: CellRow) -> None:
        """Bring the cell to open circuit, in the way that its instrument knows."""
        latest = self.latest()
        why = f"held by {row.by}: {row.reason}"
        if latest is None or latest.status is Status.REQUESTED:
            await let_go(task)
        elif latest.status is Status.INTENT:
            self._soon()
        elif latest.status is Status.LEASED or latest.kind in (Kind.EIS, Kind.DEIS):
            await self._end_active(why, again=True)
        elif latest.status is Status.RUNNING:
            try:
                await self._direction.life.suspend(latest.operation, self._jobs.of_row(latest))
            except Refused as error:
                text = f"{latest.step} can't be interrupted, the cell is held when it has ended: {error}"
                self._journal.alarm("warning", text, cell=self.cell)
                self._journal.control(self._campaign, self.cell, wanted=HOLD)
                return
            except (LabctlError, OSError) as error:
                self._journal.alarm("warning", f"{latest.step}: {error}", cell=self.cell)
                self._soon()
                return
            self._hold(row.reason or "held", by=row.by)

    def _soon(self) -> None:
        """Have the same tried again in a moment."""
        asyncio.get_running_loop().call_later(_AGAIN, self._changed.set)

    async def _resume(self, row: CellRow) -> None:
        """Go on from a hold: what was suspended, what is to be asked again, or the next step."""
        latest = self.latest()
        if latest is not None and latest.status is Status.RUNNING:
            try:
                await self._direction.life.resume(latest.operation, self._jobs.of_row(latest))
            except (LabctlError, OSError) as error:
                self._journal.alarm("warning", f"{latest.step}: {error}", cell=self.cell)
                # It may have come to an end of its own while it was held: whoever follows it sees that.
                self._direction.life.wake()
                self._soon()
                return
        elif latest is not None and latest.status is Status.NEEDS_OPERATOR:
            if row.wanted in RETRIES:
                self._direction.life.give_up(latest.operation, f"declared not to be running by {row.by}: {row.reason}")
            else:
                self._journal.ask_again(latest.operation)
        if row.wanted == RESUME:
            self._journal.control(self._campaign, self.cell, wanted=None)
        self.machine.fire("resume")

    async def _skip(self, step: str, row: CellRow) -> None:
        """Leave out the step that it is at; one that is behind it already is left out already."""
        if row.wanted != SKIP + step:
            self._journal.control(self._campaign, self.cell, wanted=None)
            return
        why = f"skipped by {row.by}: {row.reason}"
        await self._end_active(why, skipped=True)
        latest = self.latest()
        if latest is None or not is_behind(latest):
            latest = self._request(self._planned[step], 1 + (latest.attempt if latest is not None else 0))
            latest = self._journal.aborted(latest.operation, why, {"skipped": True})
        await self._judge(latest)

    async def _end_active(self, why: str, **result: Any) -> None:
        """End whatever of this cell has not ended, safely; a way home from the probe goes on, it only makes room."""
        home = self.around.campaign.cell(self.cell).place
        active = [
            row
            for row in self.rows()
            if row.status not in ENDED_STATUSES
            and not (row.kind == "transfer" and row.result["request"]["target"] == home)
        ]
        life, task = self._direction.life, self._task
        if task is not None and not task.done():
            life.end([row.operation for row in active], why, **result)
            if not active:
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for row in active:
            if self._journal.operation(row.operation).status not in ENDED_STATUSES:
                await life.end_idle(row.operation, self._jobs.of_row(row), why, **result)

    def _hold(self, reason: str, by: str = "") -> None:
        if self.machine.state == UNDER_WAY:
            self.machine.fire("hold")
        self._journal.control(self._campaign, self.cell, state=self.machine.state, wanted=None, reason=reason, by=by)
        self._direction.on_progress(self.cell, self.machine.state)

    async def _end(self, state: str, trigger: str | None = None) -> None:
        row, last = self.row, self.latest() or self._last()
        if trigger is not None:
            self.machine.fire(trigger)
        self._journal.control(self._campaign, self.cell, state=state, wanted=None, reason=row.reason, by=row.by)
        self._direction.on_progress(self.cell, state)
        self._direction.log.info("a cell has come to its end", cell=self.cell, state=state)
        await self._vacate(last)
        self.around.movement.let_go(self.cell)

    # -- out of the way ----------------------------------------------------------------------------------------------
    async def _vacate(self, row: OperationRow | None) -> None:
        """Clear the probe, or at its end a chamber or channel for others, before waiting for anything else."""
        if row is None or (row.kind not in IN_PROBE and not self._keeps_others_out()):
            return
        following = self._planned[self.machine.step] if self.machine.state == UNDER_WAY and self.machine.step else None
        if following is not None and following.kind in IN_PROBE:
            return
        home = self.around.campaign.cell(self.cell).place
        target = home if self.around.movement.is_free_for(self.cell, home) else BENCH
        way = self.around.movement.move(row.operation, self.cell, target)

        async def listen(task: asyncio.Task[None]) -> None:
            """Hold the cell at once; everything else can wait until it is home, or takes it up there."""
            wanted = self.row.wanted
            if wanted in (HOLD, HOLD_NOW):
                self._hold(self.row.reason or "held", by=self.row.by)
            elif wanted in ("stop", "abort") and self.machine.state not in ENDED:
                await let_go(task)

        await attend_so_far(self._changed, way, listen)

    def _keeps_others_out(self) -> bool:
        """Whether a cell at its end sits away from home, in a chamber or at leads that belong to whoever comes next."""
        around, place = self.around, self._journal.place(self.cell)
        if self.machine.state not in ENDED or place in (around.campaign.cell(self.cell).place, BENCH, None):
            return False
        station = around.campaign.station
        return around.campaign.gives_back or station.chamber_of(place.partition("/")[0]) is not None
