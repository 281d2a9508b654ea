"""From the journal of a planned run to a schedule, and the desk at which its person is asked to move cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from labctl.engine.bench import Bench
from labctl.engine.campaign import REFERENCE, Campaign
from labctl.engine.clock import LoopClock
from labctl.engine.needs import is_place
from labctl.engine.orchestrator import Orchestrator
from labctl.engine.routing import BY_HAND
from labctl.instruments import TransferRequest
from labctl.journal import UNDER_WAY, Journal, OperationRow, Status
from labctl.planning import Action, Equipment, Schedule, Task
from labctl.station import Station

#: Estimated bytes of a bundle: beside its data, and for each record of a cycler in its raw export, table and records.
_BUNDLE: Final = 6_000
_RECORD: Final = 330


class Desk:
    """Where a planned person sees what is asked and says what was done.

    Transfers have a way to themselves: how long the walk takes is part of the plan.

    Parameters
    ----------
    orchestrator : Orchestrator
        Asks.
    clock : LoopClock
        Tells when.
    """

    def __init__(self, orchestrator: Orchestrator, clock: LoopClock) -> None:
        self._movement = orchestrator.movement
        self._people = orchestrator.people
        self._clock = clock
        self.began_at: dict[str, datetime] = {}

    def requests(self) -> Sequence[TransferRequest]:
        """What is asked now."""
        return self._movement.requests()

    def began(self, request: TransferRequest) -> None:
        """Take notice that somebody sets out."""
        self.began_at[request.token] = self._clock.now()

    def confirm(self, request: TransferRequest, name: str) -> None:
        """Confirm it with its barcode."""
        self._movement.confirm(request.cell, request.barcode, name)

    def by_hand(self) -> Sequence[Mapping[str, Any]]:
        """What is asked now besides transfers, as in ``labctl status``."""
        return self._people.requests()

    def say(self, request: Mapping[str, Any], said: Mapping[str, str], name: str) -> None:
        """Answer what is asked."""
        self._people.answer({"cell": request["cell"], **said, "user": name})


def schedule_of(
    campaign: Campaign,
    journal: Journal,
    desk: Desk,
    waits: Mapping[str, str],
    *,
    epoch: datetime,
    seed: int,
    bench: Bench,
) -> Schedule:
    """Read a schedule from the journal of a run that has ended, or that goes on no more."""
    reader = _Reader(campaign, journal, desk, epoch)
    finish, unfinished = {}, {}
    for cell, row in journal.cell_rows(campaign.name).items():
        if row.state == "finished":
            finish[cell] = reader.seconds(row.at)
        elif row.state == UNDER_WAY:
            # A cell that waits for nothing itself waits for the reference of its spectrometer.
            unfinished[cell] = waits.get(cell) or waits.get(REFERENCE) or "it does not go on"
        else:
            unfinished[cell] = f"{row.state}: {row.reason}" if row.reason else row.state
    actions = tuple(sorted(reader.actions(), key=lambda one: one.at_s))
    return Schedule(
        epoch=epoch,
        protocol=campaign.protocol.protocol,
        station=campaign.station.station,
        seed=seed,
        tasks=tuple(sorted(reader.tasks(actions), key=lambda one: (one.held_s, one.cell))),
        actions=actions,
        finish=finish,
        unfinished=unfinished,
        instruments=_equipment(campaign.station, bench),
        offsets={cell.id: cell.start_after for cell in campaign.cells.cells},
    )


def _equipment(station: Station, bench: Bench) -> dict[str, Equipment]:
    found = {}
    for name, role in bench.roles.items():
        units = 1
        if role == "cycler":
            wired = [lead for place in station.places.values() if name in place.leads for lead in _leads(place, name)]
            units = max(len(set(wired)), 1)
        found[name] = Equipment(role, str(bench.entries[name]["stands_for"]), units)
    return found


def _leads(place: Any, instrument: str) -> Sequence[int]:
    wiring = place.leads[instrument]
    return getattr(wiring, "channels", ()) or wiring.leads


class _Reader:
    """Reads the operations of one campaign."""

    def __init__(self, campaign: Campaign, journal: Journal, desk: Desk, epoch: datetime) -> None:
        self._campaign = campaign
        self._desk = desk
        self._epoch = epoch
        self._rows = [row for row in journal.operations() if Status.LEASED in row.times]
        #: Bytes of the spectra within an operation.
        self._within: dict[str, int] = {}
        for row in self._rows:
            if "of" in row.result:
                size = _BUNDLE + int(row.result.get("bytes") or 0)
                self._within[str(row.result["of"])] = self._within.get(str(row.result["of"]), 0) + size
        self._planned = {(cell, one.path): one for cell, operations in campaign.plans.items() for one in operations}
        self._delayed = {
            event.operation: str(event.data["until"]) for event in journal.events(category="delay") if event.operation
        }

    def seconds(self, instant: str) -> float:
        """Seconds since the epoch."""
        return (datetime.fromisoformat(instant) - self._epoch).total_seconds()

    def actions(self) -> list[Action]:
        """Give all transfers that were made."""
        found = []
        for row in self._rows:
            if row.kind != "transfer" or row.status is not Status.DONE:
                continue
            asked, began = row.result["request"], self._desk.began_at[row.token]
            found.append(
                Action(
                    asked_s=self.seconds(row.times[Status.RUNNING]),
                    at_s=(began - self._epoch).total_seconds(),
                    until_s=self.seconds(str(row.result["at"])),
                    cell=row.cell,
                    what="transfer",
                    source=asked["source"],
                    target=asked["target"],
                    checklist=tuple(asked.get("checklist", ())),
                    path=row.step.rpartition("/")[0],
                    person=str(row.result.get("user", "")),
                )
            )
        return found

    def tasks(self, actions: Sequence[Action]) -> list[Task]:
        """Give all operations on instruments that came to an end, in the order of their requests."""
        by_step: dict[tuple[str, str], list[Action]] = {}
        for action in actions:
            by_step.setdefault((action.cell, action.path), []).append(action)
        found, last = [], dict[str, float]()
        for row in self._rows:
            if row.kind == "transfer" or Status.RUNNING not in row.times:
                continue
            task = self._task(row, by_step.get((row.cell, row.step), ()), last.get(row.cell))
            if task is not None:
                found.append(task)
                last[row.cell] = task.end_s
        return found

    def _task(self, row: OperationRow, actions: Sequence[Action], after: float | None) -> Task | None:
        planned = self._planned.get((row.cell, row.step))
        if planned is None and row.cell != REFERENCE:
            return None
        freed = row.times.get(Status.DONE) or list(row.times.values())[-1]
        ended = str(row.result.get("ended") or freed)
        ready, held = self.seconds(row.times[Status.REQUESTED]), self.seconds(row.times[Status.LEASED])
        spans = [(one.at_s, one.until_s) for one in actions if ready <= one.at_s and one.until_s <= self.seconds(freed)]
        records = int(row.result.get("records") or 0)
        data = int(row.result.get("bytes") or 0) + self._within.get(row.operation, 0)
        places = [one for one in row.resources if is_place(one) and one.partition("/")[0] in self._places]
        return Task(
            cell=row.cell,
            path=row.step,
            kind=row.kind,
            cycle=planned.cycle if planned is not None else 0,
            label=planned.label if planned is not None else None,
            resources=tuple(_resource(one) for one in row.resources if one not in places),
            place=places[0] if places else "",
            ready_s=self.seconds(self._delayed.get(row.operation) or row.times[Status.REQUESTED]),
            held_s=held,
            start_s=self.seconds(row.times[Status.RUNNING]),
            end_s=self.seconds(ended),
            freed_s=self.seconds(freed),
            after_s=after,
            start_within_s=planned.start_within if planned is not None else None,
            persons_s=tuple(spans),
            outcome=str(row.result.get("status") or row.status.value) if row.status is not Status.DONE else _ok(row),
            size_bytes=_BUNDLE + _RECORD * records + data,
            asked=str(row.result.get("request", {}).get("asked", "")) if row.kind in BY_HAND else "",
        )

    @property
    def _places(self) -> Mapping[str, Any]:
        return self._campaign.station.places


def _ok(row: OperationRow) -> str:
    return str(row.result.get("status") or "ok")


def _resource(resource: str) -> str:
    """Write a resource of the arbiter as a plan does: ``maccor/3``, ``oven@313.15``."""
    name, _, value = resource.partition("=")
    return f"{name}@{value.removesuffix(' K')}" if value else name.replace(":", "/")
