"""Steps that a person carries out and confirms, and marks that nobody has to: questions, samples, values typed in.

The request is the operation itself, and what a person said of it is one row of the journal under the operation's
token, so that an answer counts once, whenever whoever is killed. Nobody's attention is reserved meanwhile: a question
may stand for days.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from labctl.engine.campaign import Campaign
from labctl.engine.clock import beside
from labctl.engine.decided import DECISIONS, Decided
from labctl.engine.description import describe_by_hand
from labctl.engine.leases import Need
from labctl.engine.lifecycle import LifeCycle
from labctl.engine.routing import BY_HAND
from labctl.engine.samples import handled, part_of, sample_of
from labctl.engine.watch import Bounds
from labctl.engine.wording import doing, duration, how_to_confirm
from labctl.errors import JournalError, LabctlError, NotConfirmed, UsageError
from labctl.instruments import Clock, Fetched, Handle, Progress, State
from labctl.journal import CommandRow, Journal, OperationRow, Status
from labctl.protocol import Handling, Note, PlannedOperation, Question, Reading
from labctl.units import UnitError, parse

if TYPE_CHECKING:
    from labctl.engine.steps import Surroundings
    from labctl.station import Cell

#: Takes nothing: neither a place nor anybody's attention.
_NOTHING: Final[tuple[tuple[str, ...], ...]] = ((),)


class HandAction:
    """A request to a person as an action: started by asking, done when it is confirmed."""

    def __init__(self, journal: Journal, clock: Clock, planned: PlannedOperation, cell: str) -> None:
        self._journal = journal
        self._clock = clock
        self._planned = planned
        self._cell = cell

    @property
    def asked(self) -> Mapping[str, Any]:
        """Give the request."""
        return asdict(self._planned.parameters)

    async def prepare(self) -> None:
        """Nothing: the person prepares."""

    async def start(self, token: str) -> Handle:
        """Ask. The request is the operation itself, so nothing can get lost."""
        return Handle(token, "operator", self._journal.now())

    def _left(self, handle: Handle) -> float | None:
        """Seconds until nobody waits for an answer any more; None without end."""
        if self._planned.at_most is None:
            return None
        return self._planned.at_most - (self._clock.now() - datetime.fromisoformat(handle.started)).total_seconds()

    async def poll(self, handle: Handle) -> Progress:
        """See whether the person has answered, or whether the time for that is over."""
        task, left = self._planned.parameters, self._left(handle)
        if isinstance(task, Note) or self._journal.command(handle.token) is not None:
            return Progress(State.DONE)
        if left is None or left > 0:
            return Progress(State.RUNNING, remaining=left)
        if isinstance(task, Question) and task.on_timeout != "hold":
            return Progress(State.DONE)
        waited = duration(self._planned.at_most or 0.0)
        return Progress(State.FAILED, f"nobody has answered within {waited}: {doing(self._planned)}")

    async def fetch(self, handle: Handle, folder: Path) -> Fetched:
        """Give what was said, by whom, when."""
        task, said = self._planned.parameters, self._journal.command(handle.token)
        if said is None:
            left = self._left(handle)
            if isinstance(task, Question) and left is not None and left <= 0:
                return Fetched((), summary={"goes": task.on_timeout, "end": "time"})
            return Fetched(())
        summary: dict[str, Any] = {"user": said.user, "at": said.at}
        if isinstance(task, Question):
            answer = str(said.data["answer"])
            summary |= {"answer": answer, "goes": task.answers[answer], "end": "answered"}
        elif isinstance(task, Reading):
            summary |= {"written": said.data["value"], "value": parse(said.data["value"], task.kind)}
        elif isinstance(task, Handling):
            summary |= handled(self._cell, self._planned.label or "", task)
        return Fetched((), summary=summary)

    async def abort(self, handle: Handle) -> None:
        """Withdraw the request."""

    async def find(self, token: str) -> Handle | None:
        """A request is where its operation is: asking again is the same request."""
        return None

    async def finish(self) -> None:
        """Nothing to undo."""

    async def prove_safe(self) -> None:
        """Nothing flows: no instrument was told anything."""


class HandJob:
    """One step by hand of one cell."""

    has_files = True
    skips_when_late = False

    def __init__(self, around: Surroundings, cell: str, planned: PlannedOperation) -> None:
        self._around = around
        self._cell: Cell = around.campaign.cell(cell)
        self._planned = planned

    def need(self, row: OperationRow) -> Need:
        """Nothing."""
        return Need(row.operation, row.cell, row.order, _NOTHING, self._cell.priority, since=row.since)

    async def ahead(self, row: OperationRow, enter: Callable[[], None]) -> None:
        """Nothing comes before it."""

    def latest(self, row: OperationRow) -> datetime | None:
        """It is never too late."""
        return None

    async def ready(self, row: OperationRow) -> HandAction:
        """Nothing has to be arranged."""
        return self.action(row)

    def action(self, row: OperationRow) -> HandAction:
        """Give the action."""
        return HandAction(self._around.journal, self._around.clock, self._planned, self._cell.id)

    async def look_around(self, row: OperationRow) -> None:
        """It relies on nothing."""

    def bounds(self, row: OperationRow) -> Bounds:
        """Nothing flows."""
        return Bounds()

    def seen(self, row: OperationRow, progress: Progress) -> None:
        """A look at a person leaves nothing to keep."""

    async def leave(self, row: OperationRow) -> None:
        """Nothing was arranged."""

    def place_after(self) -> str | None:
        """The cell stays where it is, as far as labctl knows."""
        return None

    async def close(
        self, row: OperationRow, fetched: Fetched, folder: Path, ended: str, outcome: str = "ok"
    ) -> Mapping[str, Any]:
        """Write the bundle, which has no raw data."""
        planned, around = self._planned, self._around
        unanswered = outcome == "ok" and fetched.summary.get("end") == "time"
        status = "unanswered" if unanswered else outcome
        result = {**fetched.summary, "label": planned.label, "status": status}
        if outcome != "ok":
            # A person has decided otherwise meanwhile, or is asked to.
            result.pop("goes", None)
        elif result.get("goes") == "hold":
            result["hold"] = f"{result.get('user', 'nobody')} answered '{result.get('answer', 'nothing')}'"
        operation = {
            **describe_by_hand(row, around.campaign.mode, self.action(row).asked, fetched, ended),
            **about(around, self._cell, planned, row),
            "label": planned.label,
            "status": status,
            "place": around.journal.place(self._cell.id),
            "summary": result,
            "flags": [*planned.flags, *([status] if status != "ok" else [])],
        }
        await beside(partial(around.keeping.keep, folder, fetched, operation, result))
        if isinstance(planned.parameters, Note):
            self._mark(row, planned.parameters)
        return result

    def _mark(self, row: OperationRow, task: Note) -> None:
        """Write the line of a mark, unless who was killed right after that had written it."""
        journal = self._around.journal
        marked = journal.events(category="mark", cell=row.cell)
        if all(line.operation != row.operation for line in marked):
            journal.note("mark", f"{row.step}: {task.text}", cell=row.cell, operation=row.operation)


def asked(planned: PlannedOperation) -> dict[str, Any]:
    """Say what a person is asked for a step, for its row in the journal; nothing for any other step."""
    if planned.kind not in BY_HAND:
        return {}
    task = planned.parameters
    return {"request": {"asked": f"an answer to '{task.ask}'" if isinstance(task, Question) else doing(planned)}}


def about(around: Surroundings, cell: Cell, planned: PlannedOperation, row: OperationRow) -> dict[str, Any]:
    """Say of which group, cycle and sample an operation is, and by which conditions it was done."""
    cycle, before = planned.cycle, list[OperationRow]()
    if planned.after is not None or around.campaign.handles_samples:
        rows = around.journal.operations(campaign=around.campaign.name, cell=cell.id)
        before = [one for one in rows if one.order < row.order]
        cycle = Decided(before).cycle(planned)
    decided = row.result.get(DECISIONS)
    return {
        "group": cell.group,
        "cycle": cycle,
        "sample": sample_of(cell.id, cell.kind, cell.parents, before),
        **({"conditions": decided} if decided else {}),
    }


class People:
    """What people are asked besides moving cells, and what they say to that.

    Parameters
    ----------
    journal : Journal
        Has both.
    life : LifeCycle
        Told that there is something to look at.
    campaign_of : callable
        The campaign of a cell that is under way.
    """

    def __init__(self, journal: Journal, life: LifeCycle, campaign_of: Callable[[str], Campaign | None]) -> None:
        self._journal = journal
        self._life = life
        self._campaign_of = campaign_of

    def _open(self) -> Sequence[tuple[OperationRow, PlannedOperation]]:
        found = []
        for row in self._journal.held():
            if row.kind in BY_HAND and row.status is Status.RUNNING and self._journal.command(row.token) is None:
                found.append((row, self._planned(row)))
        return found

    def _planned(self, row: OperationRow) -> PlannedOperation:
        campaign = self._campaign_of(row.cell)
        plan = campaign.plans[row.cell] if campaign is not None else ()
        planned = next((one for one in plan if one.path == row.step), None)
        if planned is None:
            raise JournalError(f"{row.operation} is no step of a plan here")
        return planned

    def requests(self) -> list[dict[str, Any]]:
        """Give what people are asked and have not answered, for whoever shows or answers it."""
        found = []
        for row, planned in self._open():
            task = planned.parameters
            request: dict[str, Any] = {
                "kind": row.kind,
                "cell": row.cell,
                "step": row.step,
                "token": row.token,
                "since": row.times[Status.RUNNING],
                "asked": doing(planned),
                "instruction": how_to_confirm(planned, row.cell),
            }
            if isinstance(task, Question):
                request |= {"question": task.ask, "answers": dict(task.answers)}
            elif isinstance(task, Reading):
                request["quantity"] = task.kind
            elif isinstance(task, Handling):
                request["barcode"] = self._barcode(row.cell)
                if task.gives:
                    request["gives"] = list(task.gives)
                else:
                    request["takes"] = [part_of(of or row.cell, part) for part, of in task.takes]
            found.append(request)
        return found

    def _barcode(self, cell: str) -> str:
        campaign = self._campaign_of(cell)
        return campaign.cell(cell).barcode if campaign is not None else ""

    def answer(self, request: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Take what a person says of a step by hand; None where no such step of the cell waits for it.

        Saying the same again under the same id gets the same answer and changes nothing.

        Raises
        ------
        NotConfirmed
            The barcode is that of another cell, or what is said is no answer to what was asked.
        """
        cell, command = str(request.get("cell")), request.get("id")
        said_before = self._said(cell, command)
        if said_before is not None:
            return said_before.answer
        found = next(((row, planned) for row, planned in self._open() if row.cell == cell), None)
        if found is None:
            if "answer" in request or "value" in request:
                raise UsageError(f"nothing of cell {cell} waits for an answer", hint="'labctl status' shows what does")
            return None
        row, planned = found
        barcode = request.get("barcode")
        if barcode is not None and barcode != self._barcode(cell):
            raise NotConfirmed(f"barcode {barcode} is not that of cell {cell}; nothing was confirmed")
        data, told = self._understood(planned, cell, request)
        answer = {"cell": cell, "step": row.step, "will": f"{cell}: {told}"}
        user = str(request.get("user") or "operator")
        said = {**data, "command": command, "step": row.step}
        self._journal.remember(
            CommandRow(row.token, self._journal.now(), "confirm", row.campaign, cell, user, told, said, answer)
        )
        self._life.wake()
        return answer

    def _said(self, cell: str, command: Any) -> CommandRow | None:
        """Look up what was said under the client's id."""
        campaign = self._campaign_of(cell)
        if command is None or campaign is None:
            return None
        rows = (row for row in self._journal.backwards(campaign.name, cell) if row.kind in BY_HAND)
        known = (self._journal.command(row.token) for row in rows)
        return next((one for one in known if one is not None and one.data.get("command") == command), None)

    @staticmethod
    def _understood(planned: PlannedOperation, cell: str, request: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """Check what is said against what was asked; gives what to keep, and what comes of it."""
        task, hint = planned.parameters, how_to_confirm(planned, cell)
        if isinstance(task, Question):
            given = request.get("answer")
            if not isinstance(given, str) or given not in task.answers:
                told = f"'{given}' is no answer" if given is not None else "no answer was given"
                raise NotConfirmed(f"{told} to '{task.ask}'; nothing was confirmed", hint=hint)
            goes = {"continue": "it goes on", "end": "it comes to its end", "hold": "it is held"}[task.answers[given]]
            return {"answer": given}, f"'{given}' was answered, {goes}"
        if isinstance(task, Reading):
            value = request.get("value")
            try:
                parse(value, task.kind)
            except UnitError as error:
                raise NotConfirmed(f"{error}; nothing was confirmed", hint=hint) from None
            return {"value": str(value)}, f"{task.what} is {value}, it goes on"
        if not isinstance(task, Handling):
            raise LabctlError(f"{planned.path} is nothing that a person confirms")
        if request.get("barcode") is None:
            raise NotConfirmed("no barcode was given; nothing was confirmed", hint=hint)
        return {"barcode": request["barcode"]}, f"{doing(planned)} is done, it goes on"
