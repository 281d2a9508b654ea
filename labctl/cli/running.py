"""Putting a run together: files, journal, clock, instruments or their simulators, and the orchestrator."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from labctl.cli import plugins
from labctl.cli.attached import Attached, SimulationLock, attach
from labctl.cli.delivering import check_credentials, go_on, make_outbox, still_waiting
from labctl.cli.logs import open_log
from labctl.cli.secrets import resolve
from labctl.cli.signals import let_go_on_terminate
from labctl.cli.simulation import Simulation, read_saved, saved_clock
from labctl.cli.taking_up import TakenUp, begun_in, check_files, hand_over, take_up
from labctl.engine import campaign as campaigns
from labctl.engine.bench import Bench
from labctl.engine.campaign import Campaign
from labctl.engine.clock import LoopClock, WallClock, run_real, run_scaled, run_virtual
from labctl.engine.lock import LaboratoryLock
from labctl.engine.orchestrator import Orchestrator
from labctl.engine.outbox import Outbox
from labctl.errors import LabctlError, UsageError
from labctl.instruments import Hiccup
from labctl.journal import FILE_NAME, Journal
from labctl.results import Core
from labctl.station import CORE, Station


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What ``labctl run`` was asked.

    Attributes
    ----------
    folder : Path
        The laboratory folder.
    protocol, station, cells : Path
        The user's files.
    simulate : bool
        Against the simulated laboratory that runs in the folder as a process of its own; where none does, against
        simulators in this process.
    accelerate : bool
        In virtual time.
    seed : int
        Of the simulated laboratory.
    faults : bool
        Fault proxies in front of the simulators, for tests.
    again : bool
        Begin anew what has ended.
    values : mapping of str to str
        What the protocol's parameters are, where not what its file says.
    """

    folder: Path
    protocol: Path
    station: Path
    cells: Path
    simulate: bool = False
    accelerate: bool = False
    seed: int = 0
    faults: bool = False
    speed: float = 1.0
    again: bool = False
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Outcome:
    """How a run ended.

    Attributes
    ----------
    campaign : str
        Its id.
    states : mapping of str to str
        Cell to state.
    detached : bool
        Whether it was interrupted before its end.
    attached : bool
        Whether the instruments, live or simulated, go on without this process.
    analysis : Analysis or None
        What the analysis core made of it; ``analysis.json`` is in the campaign's results.
    truth : mapping or None
        Of a simulated laboratory.
    outbox : sequence of str
        What could not be delivered so far, for a person.
    unevaluated : bool
        Whether the built-in core could not evaluate a campaign.
    """

    campaign: str
    states: Mapping[str, str]
    detached: bool = False
    attached: bool = False
    analysis: Any = None
    truth: Mapping[str, Any] | None = None
    violations: list[dict[str, Any]] = field(default_factory=list)
    outbox: Sequence[str] = ()
    unevaluated: bool = False


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told what happens during a run; see :func:`run`."""

    on_progress: Callable[[str, str], None]
    on_begin: Callable[[Campaign, datetime], None]
    on_simulation: Callable[[Simulation], None]
    warn: Callable[[str], None]


def run(
    request: RunRequest,
    wanted: Campaign | None = None,
    *,
    on_progress: Callable[[str, str], None] = lambda cell, step: None,
    on_begin: Callable[[Campaign, datetime], None] = lambda campaign, at: None,
    on_simulation: Callable[[Simulation], None] = lambda simulation: None,
    warn: Callable[[str], None] = lambda message: None,
) -> Outcome:
    """Run a campaign to its end, or to where it was interrupted.

    Parameters
    ----------
    request : RunRequest
        What was asked.
    wanted : Campaign, optional
        Its files, where they have been read and checked already.
    on_progress, on_begin, on_simulation, warn : callable
        Told of each step of a cell, of the campaign, of the simulated laboratory once it stands, and of what a person
        should know.

    Raises
    ------
    LabctlError
        Whatever stands against it; its exit code is the command's.
    """
    if wanted is None:
        begun = begun_in(request.folder, WallClock())
        wanted = check_files(request.protocol, request.station, request.cells, begun, request.values)
    checked = wanted
    if request.accelerate and not request.simulate:
        raise UsageError("--accelerate needs --simulate: live instruments can't be hurried")
    if not request.simulate and wanted.mode == "simulated":
        raise UsageError("the station says 'mode: simulated'", hint="add --simulate, or say 'mode: live'")
    if request.simulate and wanted.mode == "live":
        raise UsageError("the station says 'mode: live'", hint="leave --simulate out, or say 'mode: simulated'")
    request.folder.mkdir(parents=True, exist_ok=True)
    lock = LaboratoryLock(request.folder)
    lock.take()
    simulation_lock = SimulationLock(request.folder)
    try:
        attached = None
        if request.simulate and not simulation_lock.try_take():
            if request.accelerate:
                raise UsageError(
                    f"{request.folder}: another process simulates this laboratory, and its time can't be hurried",
                    hint="leave --accelerate out; 'labctl simulate --speed' says how fast it goes",
                )
            attached = attach(request.folder)
        saved = read_saved(request.folder) if request.simulate and attached is None else None

        async def main(clock: LoopClock) -> Outcome:
            if attached is not None:
                await attached.align(clock)
            listener = Listener(on_progress, on_begin, on_simulation, warn)
            return await _run(request, checked, clock, lock, saved, attached, listener)

        epoch = saved_clock(saved)
        if request.accelerate:
            return run_virtual(main, epoch)
        speed = attached.speed if attached is not None else request.speed
        return run_scaled(main, speed, epoch) if speed != 1.0 else run_real(main, epoch)
    finally:
        simulation_lock.release()
        lock.release()


async def _run(
    request: RunRequest,
    wanted: Campaign,
    clock: LoopClock,
    lock: LaboratoryLock,
    saved: Mapping[str, Any] | None,
    attached: Attached | None,
    listener: Listener,
) -> Outcome:
    log, file = open_log(request.folder, clock)
    journal = Journal(request.folder / FILE_NAME, clock)
    try:
        taken = take_up(journal, wanted, simulate=request.simulate, again=request.again)
        if taken.ended and not taken.others:
            name = taken.asked.name
            listener.warn(f"campaign {name} of these files has ended; 'labctl run --again' would begin another")
            await go_on(journal, wanted.station, request.folder, clock, log)
            states = {cell: row.state for cell, row in journal.cell_rows(name).items()}
            return Outcome(name, states, outbox=still_waiting(journal))
        for message in taken.changed:
            listener.warn(message)
        if request.simulate and taken.goes_on and taken.laboratory != _born(saved, attached):
            raise LabctlError(
                f"{request.folder}: campaign {taken.asked.name} has begun, but its simulated laboratory is gone",
                hint="begin anew in another laboratory folder",
            )
        if attached is not None:
            attached.check(taken.asked.station, taken.asked.cells)
        if wanted.station.delivery != taken.asked.station.delivery:
            listener.warn(f"where results go is taken from {wanted.station.document.file} as it is now")
        run_ = _Run(request, taken, wanted.station, clock, lock, journal, log, listener)
        return await run_.go(saved, attached)
    finally:
        journal.close()
        file.close()


def _born(saved: Mapping[str, Any] | None, attached: Attached | None) -> str | None:
    """When the simulated laboratory at hand was born, None if there is none."""
    if attached is not None:
        return attached.born
    return None if saved is None else saved.get("born")


class _Run:
    """One run: instruments or their simulators, the orchestrator, and what comes out."""

    def __init__(
        self,
        request: RunRequest,
        taken: TakenUp,
        station: Station,
        clock: LoopClock,
        lock: LaboratoryLock,
        journal: Journal,
        log: Any,
        listener: Listener,
    ) -> None:
        self._request = request
        self._taken = taken
        self._clock = clock
        self._lock = lock
        self._journal = journal
        self._log = log
        self._listener = listener
        self._simulation: Simulation | None = None
        self._attached: Attached | None = None
        self._settings: dict[str, Any] = {"seed": request.seed, "simulate": request.simulate}
        self._running: list[Campaign] = []
        self._outcome = Outcome(taken.asked.name, {})
        # As the file is now, not as it was frozen: where results go is no part of an experiment.
        self._delivery = station.delivery

    async def go(self, saved: Mapping[str, Any] | None, attached: Attached | None) -> Outcome:
        """Run to the end, or to where it is interrupted."""
        entries = await self._instruments(saved, attached)
        bench = make_bench(entries, clock=self._clock, log=self._log, report=self._report, folder=self._request.folder)
        try:
            await bench.connect()
            await self._conduct(bench)
        finally:
            await bench.close()
            if self._simulation is not None:
                await self._simulation.stop()
        if self._simulation is not None and not self._outcome.detached:
            self._outcome.truth = self._simulation.truth()
            self._outcome.violations = self._simulation.violations()
        return self._outcome

    async def _instruments(
        self, saved: Mapping[str, Any] | None, attached: Attached | None
    ) -> Mapping[str, Mapping[str, Any]]:
        """Say where the instruments are; in a simulated laboratory, make or find them first."""
        station = self._taken.asked.station
        if attached is not None:
            self._attached = attached
            self._settings.update(seed=attached.seed, laboratory=attached.born)
            return attached.entries
        if not self._request.simulate:
            return station.entries()
        seed = int(saved["seed"]) if saved is not None else self._request.seed
        self._simulation = Simulation(
            station,
            self._taken.all_cells(),
            folder=self._request.folder,
            seed=seed,
            clock=self._clock,
            log=self._log,
            faults=self._request.faults,
            speed=self._request.speed,
        )
        await self._simulation.start(saved)
        self._listener.on_simulation(self._simulation)
        self._settings.update(seed=seed, laboratory=self._simulation.born)
        return self._simulation.entries

    def _report(self, hiccup: Hiccup) -> None:
        self._log.warning("hiccup", instrument=hiccup.instrument, kind=hiccup.kind, message=hiccup.message)
        self._journal.note("hiccup", f"{hiccup.kind}: {hiccup.message}", instrument=hiccup.instrument)

    async def _conduct(self, bench: Bench) -> None:
        """Run the orchestrator."""
        request, asked = self._request, self._taken.asked
        simulated = f"simulated {self._settings['seed']}"
        laboratory = self._journal.identity(simulated if request.simulate else os.urandom(8).hex())
        if not self._taken.begun:
            check_credentials(self._delivery)
        outbox, core = make_outbox(self._delivery, self._journal, request.folder, laboratory, self._clock, self._log)
        orchestrator = Orchestrator(
            request.folder,
            self._journal,
            asked.station,
            asked.mode,
            bench,
            clock=self._clock,
            log=self._log,
            lock=self._lock,
            laboratory=laboratory,
            on_progress=self._listener.on_progress,
            on_ended=partial(self._deliver, outbox, core),
            outbox=outbox,
            accept=self._accept,
            waits_for_people=not request.accelerate,
        )
        # Only now, with instruments that answer: a station file with a wrong address must not be frozen.
        mine = asked if self._taken.begun else campaigns.begin(self._journal, asked, self._settings)
        self._running = [*self._taken.others, *([] if self._taken.ended else [mine])]
        for campaign in self._running:
            orchestrator.add(campaign)
        self._listener.on_begin(mine, self._clock.now())
        let_go_on_terminate()
        try:
            await orchestrator.run(self._people)
        except asyncio.CancelledError:
            # Ctrl-C: the instruments hold their own limits and go on; this process only lets go. Where all campaigns
            # have ended, it was about what is still to be delivered.
            ended = {row.campaign for row in self._journal.campaigns() if row.ended is not None}
            self._outcome.detached = not {campaign.name for campaign in self._running} <= ended
            self._outcome.attached = self._simulation is None
        states = {cell: row.state for cell, row in self._journal.cell_rows(mine.name).items()} | orchestrator.states
        self._outcome.states = {cell.id: states[cell.id] for cell in asked.cells.cells}
        self._outcome.outbox = still_waiting(self._journal)
        self._outcome.unevaluated = bool(self._journal.outbox.of(CORE)) and not self._outcome.detached

    def _people(self, port: int, token: str) -> Sequence[asyncio.Task[Any]]:
        return self._simulation.people(lambda: (port, token)) if self._simulation is not None else ()

    async def _accept(self, request: Mapping[str, Any]) -> Campaign:
        """Take over the campaign of a client."""
        campaign = hand_over(self._journal, self._running, request, simulate=self._request.simulate)
        if campaign in self._running:
            return campaign
        if self._attached is not None:
            self._attached.check(campaign.station, campaign.cells)
        if self._simulation is not None:
            self._simulation.add(campaign.cells)
        campaign = campaigns.begin(self._journal, campaign, self._settings)
        self._running.append(campaign)
        return campaign

    async def _deliver(self, outbox: Outbox, core: Core, campaign: Campaign) -> None:
        """Have the analysis core evaluate what a campaign brought, beside the loop: other cells go on meanwhile."""
        await outbox.end(campaign.name)
        if campaign.name == self._outcome.campaign:
            self._outcome.analysis = core.evaluated.get(campaign.name)


def make_bench(
    entries: Mapping[str, Mapping[str, Any]],
    *,
    clock: LoopClock,
    log: Any,
    report: Callable[[Hiccup], None],
    folder: Path,
) -> Bench:
    """Make the drivers that the station names."""
    drivers = {entry["driver"]: plugins.driver(entry["driver"]) for entry in entries.values()}
    return Bench(entries, drivers, clock=clock, log=log, report=report, secret=resolve, folder=folder)
