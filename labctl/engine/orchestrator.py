"""The orchestrator of one laboratory: drives the cells of all its campaigns, and answers at its endpoint."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from labctl.cell.machine import ENDED
from labctl.engine.actions import LONGEST
from labctl.engine.bench import Bench
from labctl.engine.byhand import People
from labctl.engine.campaign import REFERENCE, Campaign
from labctl.engine.chambers import Oven, Settled
from labctl.engine.clock import LoopClock
from labctl.engine.commands import Commands
from labctl.engine.conductor import Conductor
from labctl.engine.direction import Direction
from labctl.engine.endpoint import Endpoint
from labctl.engine.explain import explain
from labctl.engine.keeping import Bundles, Keeping
from labctl.engine.leases import Arbiter, Need
from labctl.engine.ledgers import Ledgers
from labctl.engine.lifecycle import LifeCycle
from labctl.engine.lock import LaboratoryLock
from labctl.engine.movement import Movement
from labctl.engine.obstruction import is_closed, reasons
from labctl.engine.outbox import Outbox
from labctl.engine.references import References
from labctl.engine.room import lacks_room, wait_for_room
from labctl.engine.routing import RouteBook
from labctl.engine.shares import Interval, scarce
from labctl.engine.shifts import Shifts
from labctl.engine.status import status_report
from labctl.engine.steps import Surroundings
from labctl.engine.wall import WallWatch
from labctl.errors import NoRoom, UsageError
from labctl.instruments import Clock, Log
from labctl.journal import Journal, Status
from labctl.station import Station
from labctl.units import parse

Progress = Callable[[str, str], None]
#: Takes over a campaign that a client hands in: checks it, freezes it in the journal, and gives it.
Accept = Callable[[Mapping[str, Any]], Awaitable[Campaign]]
#: Told when a campaign has come to its end.
Ended = Callable[[Campaign], Awaitable[None]]

#: Real seconds that may pass at most between two looks at a running operation.
_LOOK_EVERY: Final = 60.0
#: Seconds, and real seconds, that pass at least between two looks at the records of a running operation.
_RECORD_EVERY: Final = 300.0
_RECORD_EVERY_REAL: Final = 2.0
#: Lines of progress kept for clients that follow a campaign.
_LINES: Final = 10_000


async def _refuse(request: Mapping[str, Any]) -> Campaign:
    raise UsageError("this orchestrator takes no further campaign")


async def _nothing(campaign: Campaign) -> None:
    """Nobody wants to know."""


class Orchestrator:
    """Runs campaigns in one laboratory folder.

    Parameters
    ----------
    folder : Path
        The laboratory folder.
    journal : Journal
        Its journal.
    station : Station
        What there is.
    mode : str
        ``live``, ``simulated`` or ``mixed``.
    bench : Bench
        Connected instruments.
    lock : LaboratoryLock
        Held by the caller; the endpoint is published in it.
    laboratory : str
        The laboratory's id, for tokens.
    on_progress : callable
        Called with cell and step (or state) whenever a cell goes on.
    on_ended : callable
        Called when all cells of a campaign have come to their end, or are held where nobody is waited for.
    outbox : Outbox, optional
        Where results go besides the results folder.
    accept : callable
        Takes over campaigns that clients hand in.
    waits_for_people : bool
        Whether a held cell is waited for; in a hurried simulation nobody comes.
    keeping : Keeping, optional
        What is made of data; bundles in the results folder, unless something else is given.
    hurried_look : float
        Seconds that may pass at most between two looks at a running operation where nobody is waited for. An end is
        noticed so much later than in a live laboratory, which is looked at every minute.
    """

    def __init__(
        self,
        folder: Path,
        journal: Journal,
        station: Station,
        mode: str,
        bench: Bench,
        *,
        clock: Clock,
        log: Log,
        lock: LaboratoryLock,
        laboratory: str,
        on_progress: Progress = lambda cell, step: None,
        on_ended: Ended = _nothing,
        outbox: Outbox | None = None,
        accept: Accept = _refuse,
        waits_for_people: bool = True,
        keeping: Keeping | None = None,
        hurried_look: float = LONGEST,
    ) -> None:
        self._keeping = keeping or Bundles()
        self._journal = journal
        self._station = station
        self._mode = mode
        self._bench = bench
        self._clock = clock
        self._lock = lock
        self._on_progress = on_progress
        self._on_ended = on_ended
        self._accept = accept
        self._results = folder / "results"
        self._conductors: dict[str, Conductor] = {}
        self._campaigns: dict[str, Campaign] = {}
        self._lines: dict[str, list[tuple[int, str, str]]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._shifts = Shifts(station, clock)
        self._arbiter = Arbiter(self._seconds, self._owners, self._shifts.off_duty)
        # Nobody is harmed in a hurried simulation, and every look costs.
        look_every = min(clock.patience(_LOOK_EVERY), LONGEST) if waits_for_people else hurried_look
        record_every = max(_RECORD_EVERY, clock.patience(_RECORD_EVERY_REAL)) if waits_for_people else None
        self._outbox = outbox or Outbox(journal, (), self._results, clock, log)
        self._life = LifeCycle(
            journal, self._arbiter, clock, log, self._results, self._outbox, look_every, record_every, self._keeping
        )
        self._movement = Movement(station, journal, self._arbiter, self._life, laboratory, self._campaign_of)
        self.people = People(journal, self._life, self._campaign_of)
        self._references = References(
            station, mode, journal, bench, self._life, self._movement.move, laboratory, self._keeping
        )
        self._direction = Direction(self._life, laboratory, log, self._progress, waits_for_people)
        self._book = RouteBook(station, bench.roles)
        self._ledgers = Ledgers(journal, station.capacity_accuracy)
        self._ovens = {
            name: Oven(name, bench.chamber(name), settled_of(bench.entries[name]), clock)
            for name, role in bench.roles.items()
            if role == "chamber"
        }
        commands = Commands(journal, clock, self._conductor)
        self._token = secrets.token_urlsafe(24)
        self._endpoint = Endpoint(
            self._token,
            {
                "status": self._serve_status,
                "requests": self._serve_requests,
                "confirm": self._serve_confirm,
                "explain": self._serve_explain,
                "alarms": self._serve_alarms,
                "begin": self._serve_begin,
                "progress": self._serve_progress,
                **dict.fromkeys(("hold", "resume", "stop", "abort", "skip", "retry"), commands.serve),
            },
        )

    # -- what the parts ask of the whole -----------------------------------------------------------------------------
    def _seconds(self) -> float:
        return self._clock.now().timestamp()

    def _owners(self) -> Mapping[str, str]:
        return self._movement.owners()

    def _campaign_of(self, cell: str) -> Campaign | None:
        conductor = self._conductors.get(cell)
        return conductor.around.campaign if conductor is not None else None

    def _conductor(self, cell: str) -> Conductor:
        found = self._conductors.get(cell)
        if found is None:
            raise UsageError(f"no cell {cell} is in a campaign here", hint="'labctl status' shows the cells")
        return found

    def _progress(self, cell: str, step: str) -> None:
        campaign = self._campaign_of(cell)
        if campaign is not None:
            lines = self._lines[campaign.name]
            lines.append((1 + (lines[-1][0] if lines else 0), cell, step))
            del lines[:-_LINES]
        self._on_progress(cell, step)

    @property
    def states(self) -> dict[str, str]:
        """The state of every cell."""
        return {cell: conductor.state for cell, conductor in self._conductors.items()}

    @property
    def movement(self) -> Movement:
        """What people are asked to move, for who stands in for them."""
        return self._movement

    def why_waiting(self) -> dict[str, str]:
        """Say for each cell that waits for its turn what keeps it from the option that is nearest.

        What somebody who is not there keeps from going on is said with all who wait behind it.
        """
        needs = {need.cell: (need, self._arbiter.obstacles(need)) for need in self._life.waiting.values()}
        held = self._arbiter.held
        said = {cell: _waits(need, reasons(found, held)) for cell, (need, found) in needs.items()}
        roots = [said[cell] for cell, (_, found) in needs.items() if found and is_closed(found)]
        return {
            cell: f"{_step(need)} waits for ever, because {roots[0]}"
            if roots and not is_closed(found)
            else f"{said[cell]}, for ever"
            for cell, (need, found) in needs.items()
        }

    # -- campaigns -----------------------------------------------------------------------------------------------------
    def add(self, campaign: Campaign) -> None:
        """Take a campaign that is in the journal; it is driven as soon as the orchestrator runs."""
        self._keeping.begin(self._results, campaign.describe())
        self._outbox.begin(campaign.name)
        self._campaigns[campaign.name] = campaign
        self._lines[campaign.name] = []
        around = Surroundings(
            campaign,
            self._journal,
            self._bench,
            self._book,
            self._ovens,
            self._movement,
            self._results,
            self._clock,
            self._ledgers,
            self._references,
            self._keeping,
            self._shifts,
        )
        for cell in campaign.cells.cells:
            conductor = Conductor(cell.id, around, self._direction)
            self._conductors[cell.id] = conductor
            if conductor.state not in ENDED and not campaign.gives_back:
                self._movement.keep(cell.id, cell.place)
        if self._group is not None:
            self._group.create_task(self._drive(campaign), name=campaign.name)

    async def _drive(self, campaign: Campaign) -> None:
        """Drive the cells of one campaign to their ends."""
        conductors = [self._conductors[cell.id] for cell in campaign.cells.cells]
        await asyncio.gather(*(conductor.run() for conductor in conductors))
        while True:
            try:
                # Delivered first: a campaign that counts as ended has its evaluation, whatever happens in between.
                await self._on_ended(campaign)
                if all(conductor.state in ENDED for conductor in conductors):
                    self._journal.end_campaign(campaign.name)
            except (NoRoom, OSError) as error:
                if not lacks_room(error):
                    raise
                await wait_for_room(self._journal, campaign.name)
            else:
                return

    async def run(self, companions: Callable[[int, str], Iterable[asyncio.Task[Any]]] = lambda port, token: ()) -> None:
        """Drive all cells to their end; cancelling this detaches in order.

        Parameters
        ----------
        companions : callable
            Given the endpoint's port and token, starts what should run beside the campaigns, such as a scripted person.
        """
        self._take_up()
        port = await self._endpoint.start()
        self._lock.publish(port=port, token=self._token, since=self._journal.now(), mode=self._mode)
        beside = [*companions(port, self._token), asyncio.create_task(self._shifts.keep(self._arbiter.pump))]
        beside.append(asyncio.create_task(self._outbox.keep()))
        if isinstance(self._clock, LoopClock):
            watch = WallWatch(self._journal, self._clock.wall_ahead, self._clock.now)
            beside.append(asyncio.create_task(watch.keep()))
        try:
            async with asyncio.TaskGroup() as self._group:
                for campaign in list(self._campaigns.values()):
                    self._group.create_task(self._drive(campaign), name=campaign.name)
            self._group = None
            await self._outbox.settle()
        finally:
            self._group = None
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await self._endpoint.stop()

    def _take_up(self) -> None:
        """Load what is held, who waits, and what everybody has had, before anything is granted."""
        users = {cell.id: cell.user or "" for campaign in self._campaigns.values() for cell in campaign.cells.cells}
        for row in self._journal.held():
            leased = datetime.fromisoformat(row.times[Status.LEASED]).timestamp()
            self._arbiter.restore(
                row.operation, row.resources, cell=row.cell, user=users.get(row.cell, ""), since=leased
            )
            for resource in row.resources:
                name, _, wanted = resource.partition("=")
                if (oven := self._ovens.get(name)) is not None:
                    settled = row.status in (Status.INTENT, Status.RUNNING)
                    oven.restore(row.operation, parse(wanted, "temperature") if settled else None)
        self._arbiter.restore_usage(self._intervals(users))
        for conductor in self._conductors.values():
            need = conductor.waits_for()
            if need is not None:
                self._arbiter.restore_waiting(need)
        self._arbiter.pump()

    def _intervals(self, users: Mapping[str, str]) -> Iterator[Interval]:
        """Give the leases of scarce instruments that have ended, as far back as they count."""
        if len(set(users.values())) < 2:
            # One user has no share to be measured against.
            return
        for name in self._campaigns:
            for row in self._journal.operations(campaign=name, status=[Status.DONE]):
                if scarce(row.resources):
                    leased, done = (datetime.fromisoformat(row.times[one]) for one in (Status.LEASED, Status.DONE))
                    yield Interval(users.get(row.cell, ""), leased.timestamp(), done.timestamp())

    # -- what the endpoint answers -----------------------------------------------------------------------------------
    def _waits(self) -> dict[str, list[tuple[str, str]]]:
        """Cell to who holds what it waits for: operation and resource."""
        return {need.cell: self._arbiter.holders(need) for need in self._life.waiting.values()}

    async def _serve_status(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if request.get("fresh", True):
            await self._life.look_now()
        return {
            "status": status_report(
                self._journal,
                list(self._campaigns),
                states=self.states,
                live=self._life.live,
                waits=self._waits(),
                bench=self._bench,
                ovens={name: oven.live for name, oven in self._ovens.items()},
            )
        }

    async def _serve_requests(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        moves = [
            {
                "kind": "transfer",
                "token": one.token,
                "cell": one.cell,
                "barcode": one.barcode,
                "from": one.source,
                "to": one.target,
                "checklist": list(one.checklist),
                "since": one.since,
            }
            for one in self._movement.requests()
        ]
        assisted = [
            {"kind": "assisted", "cell": cell, "since": live.at, **live.request}
            for cell, live in self._life.live.items()
            if live.request is not None
        ]
        return {"requests": [*moves, *assisted, *self.people.requests()]}

    async def _serve_confirm(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        answered = self.people.answer(request)
        if answered is not None:
            return answered
        cell, barcode = str(request.get("cell")), str(request.get("barcode"))
        command = request.get("id")
        user = str(request.get("user") or "operator")
        return self._movement.confirm(cell, barcode, user, None if command is None else str(command))

    async def _serve_explain(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        conductor = self._conductor(str(request.get("cell")))
        campaign = conductor.around.campaign
        return {
            "explain": explain(
                self._journal,
                campaign.name,
                conductor.cell,
                plan=campaign.plans[conductor.cell],
                states=self.states,
                live=self._life.live,
                held_by=self._waits().get(conductor.cell),
                requests=self._movement.requests(),
                station=self._station,
                roles=self._bench.roles,
            )
        }

    async def _serve_alarms(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        user = str(request.get("user") or "operator")
        action = request.get("action", "list")
        if action in ("ack", "reset"):
            change = self._journal.acknowledge if action == "ack" else self._journal.reset
            change(int(request.get("alarm", 0)), user)
            self._outbox.wake()
        return {
            "alarms": [
                {
                    "alarm": one.alarm,
                    "at": one.at,
                    "severity": one.severity,
                    "message": one.message,
                    "cell": one.cell,
                    "instrument": one.instrument,
                    "acknowledged": one.acknowledged,
                    "by": one.by,
                }
                for one in self._journal.alarms()
            ]
        }

    async def _serve_begin(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._group is None:
            raise UsageError("the orchestrator is about to end", hint="try again in a moment")
        campaign = await self._accept(request)
        joined = campaign.name in self._campaigns
        if not joined:
            self.add(campaign)
        return {"campaign": campaign.name, "joined": joined}

    async def _serve_progress(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        name, after = str(request.get("campaign")), int(request.get("after") or 0)
        campaign = self._campaigns.get(name)
        if campaign is None:
            raise UsageError(f"no campaign {name} runs here")
        states = {cell.id: self._conductors[cell.id].state for cell in campaign.cells.cells}
        ended = any(row.campaign == name and row.ended is not None for row in self._journal.campaigns())
        return {"lines": [line for line in self._lines[name] if line[0] > after], "states": states, "ended": ended}


def settled_of(entry: Mapping[str, Any]) -> Settled:
    """Read when a chamber counts as settled from its station entry (already in SI)."""
    settled = entry.get("settled")
    return Settled(**settled) if settled else Settled()


def _step(need: Need) -> str:
    return "/".join(need.operation.split("/")[1 if need.cell == REFERENCE else 2 : -1])


def _waits(need: Need, why: str) -> str:
    return f"{_step(need)} waits: {why or 'its turn does not come'}"
