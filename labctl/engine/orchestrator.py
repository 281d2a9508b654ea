"""The orchestrator of one laboratory: drives every cell of a campaign from where the journal says it is."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.cell import CellMachine
from labctl.cell.machine import ABORTED, FINISHED, HELD
from labctl.engine import campaign as campaigns
from labctl.engine.bench import Bench
from labctl.engine.campaign import REFERENCE, Campaign
from labctl.engine.chambers import Oven, Settled
from labctl.engine.endpoint import Endpoint
from labctl.engine.leases import Arbiter, Need
from labctl.engine.lifecycle import LifeCycle, newest
from labctl.engine.lock import LaboratoryLock
from labctl.engine.references import References
from labctl.engine.routing import ROLE_OF
from labctl.engine.status import status_report
from labctl.engine.steps import StepJob, Surroundings
from labctl.engine.tokens import token_for
from labctl.engine.transfers import TransferJob, confirmation
from labctl.errors import LabctlError, UsageError
from labctl.instruments import Clock, Log, TransferRequest
from labctl.journal import HELD as HELD_STATUSES
from labctl.journal import Journal, OperationRow, Status
from labctl.protocol import PlannedOperation
from labctl.results import deliver, write_campaign

if TYPE_CHECKING:
    from labctl.analysis.model import Analysis

Progress = Callable[[str, str], None]


class Orchestrator:
    """Runs one campaign in one laboratory folder.

    Parameters
    ----------
    folder : Path
        The laboratory folder.
    journal : Journal
        Its journal, in which the campaign has begun.
    campaign : Campaign
        What is to be done.
    bench : Bench
        Connected instruments.
    lock : LaboratoryLock
        Held by the caller; the endpoint is published in it.
    on_progress : callable
        Called with cell and step whenever a cell goes on.
    """

    def __init__(
        self,
        folder: Path,
        journal: Journal,
        campaign: Campaign,
        bench: Bench,
        *,
        clock: Clock,
        log: Log,
        lock: LaboratoryLock,
        laboratory: str,
        on_progress: Progress = lambda cell, step: None,
    ) -> None:
        self._folder = folder
        self._journal = journal
        self._campaign = campaign
        self._bench = bench
        self._log = log
        self._lock = lock
        self._laboratory = laboratory
        self._on_progress = on_progress
        self._results = folder / "results"
        self._homes = {cell.id: cell.place for cell in campaign.cells.cells}
        self._moving: set[str] = set()
        self._arbiter = Arbiter(self._blocked)
        self._life = LifeCycle(journal, self._arbiter, clock, log, self._results)
        self._references = References(campaign, journal, bench, self._life, self.move, laboratory)
        self._ovens = {
            name: Oven(name, bench.chamber(name), settled_of(bench.entries[name]), clock)
            for name, role in bench.roles.items()
            if role == "chamber"
        }
        self._around = Surroundings(
            campaign, journal, bench, self._ovens, self.move, self._results, self._references.token
        )
        self.machines = {
            cell: CellMachine(cell, [planned.path for planned in plan]) for cell, plan in campaign.plans.items()
        }
        self.analysis: Analysis | None = None
        self._token = secrets.token_urlsafe(24)
        self._endpoint = Endpoint(
            self._token,
            {
                "status": self._serve_status,
                "requests": self._serve_requests,
                "confirm": self._serve_confirm,
                "abort": self._serve_abort,
            },
        )

    # -- the campaign ----------------------------------------------------------------------------------------------
    async def run(self, companions: Callable[[int, str], Iterable[asyncio.Task[Any]]] = lambda port, token: ()) -> None:
        """Drive all cells to their end; cancelling this detaches in order.

        Parameters
        ----------
        companions : callable
            Given the endpoint's port and token, starts what should run beside the campaign, such as a scripted person.
        """
        write_campaign(self._results, self._campaign.describe())
        for row in self._journal.held():
            self._arbiter.restore(row.operation, row.resources)
        port = await self._endpoint.start()
        self._lock.publish(port=port, token=self._token, since=self._journal.now(), mode=self._campaign.mode)
        beside = list(companions(port, self._token))
        try:
            async with asyncio.TaskGroup() as group:
                for cell in self._campaign.cells.cells:
                    group.create_task(self._drive_safely(cell.id), name=cell.id)
            if all(machine.state in (FINISHED, ABORTED) for machine in self.machines.values()):
                # Before the commit: killed in between, the next run delivers again; after it, nobody would.
                self.analysis = deliver(self._results, self._campaign.name)
                self._journal.end_campaign(self._campaign.name)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await self._endpoint.stop()

    async def _drive_safely(self, cell: str) -> None:
        """Keep a mistake of ours in one cell away from all others: that cell is held, with an alarm."""
        try:
            await self._drive(cell)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other cells go on
            self._log.error("a cell can't go on", cell=cell, error=repr(error), exc_info=error)
            self._journal.alarm("trip", f"internal error: {error!r}; its operation keeps its lease", cell=cell)
            if self.machines[cell].step is not None:
                self.machines[cell].fire("hold")
            self._ended(cell)

    def _ended(self, cell: str) -> None:
        state = self.machines[cell].state
        self._journal.cell_ended(self._campaign.name, cell, state)
        self._on_progress(cell, state)
        self._log.info("a cell has come to its end", cell=cell, state=state)

    async def _drive(self, cell: str) -> None:
        """Walk one cell through its plan."""
        machine = self.machines[cell]
        plan = {planned.path: planned for planned in self._campaign.plans[cell]}
        order = list(plan)
        ended: dict[str, list[OperationRow]] = {}
        for row in self._journal.operations(campaign=self._campaign.name, cell=cell):
            ended.setdefault(row.step, []).append(row)
        done = {row.step: row for rows in ended.values() for row in rows if row.status is Status.DONE}
        machine.replay(done.keys())
        reached = order.index(machine.step) if machine.step is not None else len(order)
        if reached > 0:
            before = order[reached - 1]
            # Its way home may have been pending when the last run let go; where it is home, this does nothing.
            await self._vacate(done[before], plan[before], plan[machine.step] if machine.step else None)
        while (step := machine.step) is not None:
            last = newest(ended.get(step, []))
            if last is not None and last.status in (Status.FAILED, Status.ABORTED):
                machine.fire("abort" if last.status is Status.ABORTED else "hold")
                break
            self._on_progress(cell, step)
            row = await self._step(cell, plan[step])
            if row.status is Status.DONE:
                machine.fire("complete")
                following = order[order.index(step) + 1] if order.index(step) + 1 < len(order) else None
                await self._vacate(row, plan[step], plan[following] if following else None)
            elif row.status is Status.ABORTED:
                machine.fire("abort")
            else:
                machine.fire("hold")
        self._ended(cell)

    async def _step(self, cell: str, planned: PlannedOperation) -> OperationRow:
        spectrometer = self._spectrometer() if ROLE_OF[planned.kind] == "spectrometer" else None
        if spectrometer is not None:
            await self._references.ensure(spectrometer)
        operation = f"{self._campaign.name}/{cell}/{planned.path}/a1"
        self._journal.request(
            operation,
            campaign=self._campaign.name,
            cell=cell,
            step=planned.path,
            kind=planned.kind.value,
            attempt=1,
            token=token_for(self._laboratory, operation, cell),
        )
        return await self._life.run(operation, StepJob(self._around, cell, planned))

    def _spectrometer(self) -> str | None:
        return next((name for name, role in self._bench.roles.items() if role == "spectrometer"), None)

    # -- moving cells ------------------------------------------------------------------------------------------------
    def _blocked(self, need: Need) -> list[str]:
        """Places where another cell sits, or to which it will come back."""
        places = {cell: place for cell, place in self._journal.places().items() if cell != need.cell}
        homes = [place for cell, place in self._homes.items() if cell != need.cell]
        return [*places.values(), *homes]

    async def move(self, operation: str, cell: str, target: str) -> None:
        """Have a person bring ``cell`` to ``target``; nothing happens where it sits there already."""
        source = self._journal.places().get(cell, "bench")
        if source == target:
            return
        name = f"{operation.rsplit('/', 1)[0]}/to-{target.replace('/', '-')}/{operation.rsplit('/', 1)[1]}"
        row = self._journal.request(
            name,
            campaign=self._campaign.name,
            cell=cell,
            step="/".join(name.split("/")[2:-1]),
            kind="transfer",
            attempt=int(name.rsplit("/a", 1)[1]),
            token=token_for(self._laboratory, name, cell),
            result={"request": {"source": source, "target": target}},
        )
        self._moving.add(name)
        try:
            row = await self._life.run(name, TransferJob(self._journal, self._request_of(row), self._priority(cell)))
        finally:
            self._moving.discard(name)
        self._arbiter.pump()
        if row.status is not Status.DONE:
            raise LabctlError(f"{cell} was not moved to {target}: {row.error or row.status}")

    def _priority(self, cell: str) -> int:
        return 1_000 if cell == REFERENCE else self._campaign.cell(cell).priority

    def _request_of(self, row: OperationRow) -> TransferRequest:
        """Rebuild what a person is asked from the transfer's row."""
        asked = row.result["request"]
        barcode = REFERENCE if row.cell == REFERENCE else self._campaign.cell(row.cell).barcode
        checklist: list[str] = []
        for slot in (asked["source"], asked["target"]):
            place = self._campaign.station.places.get(slot.split("/")[0])
            checklist += place.checklist if place is not None else []
        since = row.times.get(Status.RUNNING) or row.times[Status.REQUESTED]
        return TransferRequest(row.token, row.cell, barcode, asked["source"], asked["target"], tuple(checklist), since)

    async def _vacate(self, row: OperationRow, done: PlannedOperation, following: PlannedOperation | None) -> None:
        """Clear the probe for the next cell before waiting for anything else."""
        if ROLE_OF[done.kind] != "spectrometer":
            return
        if following is not None and ROLE_OF[following.kind] == "spectrometer":
            return
        await self.move(row.operation, row.cell, self._homes[row.cell])

    # -- what the endpoint answers -----------------------------------------------------------------------------------
    async def _serve_status(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if request.get("fresh", True):
            await self._life.look_now()
        return {
            "status": status_report(
                self._journal,
                self._campaign.name,
                states={cell: machine.state for cell, machine in self.machines.items()},
                live=self._life.live,
                waits_for=self._life.waits_for,
                bench=self._bench,
                ovens={name: oven.live for name, oven in self._ovens.items()},
            )
        }

    def _requests(self) -> list[TransferRequest]:
        rows = [self._journal.operation(name) for name in self._moving]
        return [self._request_of(row) for row in rows if row.status is Status.RUNNING]

    async def _serve_requests(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {
            "requests": [
                {
                    "token": one.token,
                    "cell": one.cell,
                    "barcode": one.barcode,
                    "from": one.source,
                    "to": one.target,
                    "checklist": list(one.checklist),
                    "since": one.since,
                }
                for one in self._requests()
                if self._journal.confirmation(one.token) is None
            ]
        }

    async def _serve_confirm(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        cell, barcode, user = (
            str(request.get("cell")),
            str(request.get("barcode")),
            str(request.get("user", "operator")),
        )
        for asked in self._requests():
            if asked.cell == cell:
                self._journal.confirm(asked.token, confirmation(asked, barcode, user, self._journal.now()))
                self._life.wake()
                return {"cell": cell, "from": asked.source, "to": asked.target}
        raise UsageError(f"nothing of cell {cell} waits for a confirmation", hint="'labctl status' shows what does")

    async def _serve_abort(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        cell = str(request.get("cell"))
        machine = self.machines.get(cell)
        if machine is None:
            raise UsageError(f"no cell {cell} in campaign {self._campaign.name}")
        if machine.state in (FINISHED, ABORTED, HELD):
            return {"cell": cell, "state": machine.state}
        why = f"aborted by {request.get('user', 'operator')}: {request.get('reason') or 'no reason given'}"
        rows = self._journal.operations(
            campaign=self._campaign.name, cell=cell, status={Status.REQUESTED, *HELD_STATUSES}
        )
        self._journal.note("command", why, cell=cell)
        self._life.abort([row.operation for row in rows], why)
        return {"cell": cell, "state": "aborting"}


def settled_of(entry: Mapping[str, Any]) -> Settled:
    """Read when a chamber counts as settled from its station entry (already in SI)."""
    settled = entry.get("settled")
    return Settled(**settled) if settled else Settled()


__all__ = ["Orchestrator", "campaigns"]
