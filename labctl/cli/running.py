"""Putting a run together: files, journal, clock, instruments or their simulators, and the orchestrator."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from labctl.cli import plugins
from labctl.cli.attached import Attached, SimulationLock, attach
from labctl.cli.logs import open_log
from labctl.cli.simulation import Simulation, read_saved, saved_clock
from labctl.engine import campaign as campaigns
from labctl.engine.bench import Bench
from labctl.engine.campaign import Campaign
from labctl.engine.clock import LoopClock, run_real, run_scaled, run_virtual
from labctl.engine.lock import LaboratoryLock
from labctl.engine.orchestrator import Orchestrator
from labctl.errors import InvalidFile, LabctlError, UsageError
from labctl.instruments import Hiccup
from labctl.journal import FILE_NAME, CampaignRow, Journal
from labctl.protocol import load_protocol, read_protocol
from labctl.results import deliver
from labctl.safety.preflight import check
from labctl.station import load_cells, load_station, read_cells, read_station


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
    """

    campaign: str
    states: Mapping[str, str]
    detached: bool = False
    attached: bool = False
    analysis: Any = None
    truth: Mapping[str, Any] | None = None
    violations: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told what happens during a run; see :func:`run`."""

    on_progress: Callable[[str, str], None]
    on_begin: Callable[[Campaign, datetime], None]
    on_simulation: Callable[[Simulation], None]
    warn: Callable[[str], None]


def resolve_secret(value: Any) -> str:
    """Resolve a credential of the station file.

    Raises
    ------
    UsageError
        The environment variable is not set, or the key ring can't be used.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and "env" in value:
        found = os.environ.get(str(value["env"]))
        if not found:
            raise UsageError(f"environment variable {value['env']} is not set", hint="the station file names it")
        return found
    raise UsageError("a credential is given as {env: NAME}")


def check_files(protocol: Path, station: Path, cells: Path) -> Campaign:
    """Load and check all three files.

    Raises
    ------
    InvalidFile
        With every mistake of all of them.
    """
    loaded_protocol = load_protocol(protocol)
    loaded_station = load_station(station, drivers=plugins.driver_names())
    loaded_cells = load_cells(cells)
    mistakes = check(loaded_protocol, loaded_station, loaded_cells, plugins.roles(loaded_station.entries()))
    if mistakes:
        raise InvalidFile(mistakes)
    return campaigns.make("", loaded_protocol, loaded_station, loaded_cells, loaded_station.mode)


@dataclass(frozen=True, slots=True)
class TakenUp:
    """A campaign that goes on, or one that is about to begin.

    Attributes
    ----------
    campaign : Campaign
        From its frozen files where it goes on.
    begun : bool
        Whether the journal has it.
    changed : tuple of str
        What a person should know: files that are not those it began with.
    laboratory : str or None
        When the simulated laboratory was born in which it began.
    """

    campaign: Campaign
    begun: bool
    changed: tuple[str, ...] = ()
    laboratory: str | None = None


def _take_up(journal: Journal, request: RunRequest, wanted: Campaign) -> TakenUp:
    row = campaigns.unfinished(journal)
    if row is None:
        name = campaigns.next_name(journal, wanted.protocol.protocol)
        mode = "simulated" if request.simulate else wanted.mode
        return TakenUp(campaigns.make(name, wanted.protocol, wanted.station, wanted.cells, mode), begun=False)
    if row.settings.get("simulate") != request.simulate:
        was = "simulated" if row.settings.get("simulate") else "with live instruments"
        raise UsageError(f"campaign {row.campaign} runs {was}; it can't go on otherwise")
    changed = tuple(
        f"{file['path']} has changed since campaign {row.campaign} began; it goes on with the file as it was then"
        for kind, file in wanted.files().items()
        if file["sha256"] != row.files[kind]["sha256"]
    )
    # Reading them once more would give the same: an orchestrator that comes back should be there at once.
    same = replace(wanted, name=row.campaign, mode=row.mode) if not changed else frozen(row)
    return TakenUp(same, begun=True, changed=changed, laboratory=row.settings.get("laboratory"))


def _born(saved: Mapping[str, Any] | None, attached: Attached | None) -> str | None:
    """When the simulated laboratory at hand was born, None if there is none."""
    if attached is not None:
        return attached.born
    return None if saved is None else saved.get("born")


def frozen(row: CampaignRow) -> Campaign:
    """Rebuild a campaign from its files as the journal keeps them."""
    files = row.files
    protocol = read_protocol(files["protocol"]["text"], files["protocol"]["path"])
    station = read_station(files["station"]["text"], files["station"]["path"], drivers=plugins.driver_names())
    cells = read_cells(files["cells"]["text"], files["cells"]["path"])
    return campaigns.make(row.campaign, protocol, station, cells, row.mode)


def run(
    request: RunRequest,
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
    on_progress, on_begin, on_simulation, warn : callable
        Told of each step of a cell, of the campaign, of the simulated laboratory once it stands, and of what a person
        should know.

    Raises
    ------
    LabctlError
        Whatever stands against it; its exit code is the command's.
    """
    wanted = check_files(request.protocol, request.station, request.cells)
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
            return await _run(request, wanted, clock, lock, saved, attached, listener)

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
        taken = _take_up(journal, request, wanted)
        for message in taken.changed:
            listener.warn(message)
        if request.simulate and taken.begun and (not (saved or attached) or taken.laboratory != _born(saved, attached)):
            raise LabctlError(
                f"{request.folder}: campaign {taken.campaign.name} has begun, but its simulated laboratory is gone",
                hint="begin anew in another laboratory folder",
            )
        if attached is not None:
            attached.check(taken.campaign.station, taken.campaign.cells)
        return await _orchestrate(request, taken, clock, lock, saved, attached, journal, log, listener)
    finally:
        journal.close()
        file.close()


async def _orchestrate(
    request: RunRequest,
    taken: TakenUp,
    clock: LoopClock,
    lock: LaboratoryLock,
    saved: Mapping[str, Any] | None,
    attached: Attached | None,
    journal: Journal,
    log: Any,
    listener: Listener,
) -> Outcome:
    simulation = None
    campaign = taken.campaign
    entries: Mapping[str, Mapping[str, Any]] = campaign.station.entries()
    settings: dict[str, Any] = {"seed": request.seed, "simulate": request.simulate}
    if attached is not None:
        entries = attached.entries
        settings.update(seed=attached.seed, laboratory=attached.born)
    elif request.simulate:
        seed = int(saved["seed"]) if saved is not None else request.seed
        simulation = Simulation(
            campaign.station,
            campaign.cells,
            folder=request.folder,
            seed=seed,
            clock=clock,
            log=log,
            faults=request.faults,
            speed=request.speed,
        )
        await simulation.start(saved)
        listener.on_simulation(simulation)
        entries = simulation.entries
        settings.update(seed=seed, laboratory=simulation.born)

    def report(hiccup: Hiccup) -> None:
        log.warning("hiccup", instrument=hiccup.instrument, kind=hiccup.kind, message=hiccup.message)
        journal.note("hiccup", f"{hiccup.kind}: {hiccup.message}", instrument=hiccup.instrument)

    laboratory = journal.identity(f"simulated {settings['seed']}" if request.simulate else os.urandom(8).hex())
    outcome = Outcome(campaign.name, {}, attached=simulation is None)
    bench = make_bench(entries, clock=clock, log=log, report=report, folder=request.folder)
    try:
        await bench.connect()
        if not taken.begun:
            # Only now: a station file with a wrong address must not be frozen.
            campaigns.begin(journal, campaign, settings)
        listener.on_begin(campaign, clock.now())
        orchestrator = Orchestrator(
            request.folder,
            journal,
            campaign,
            bench,
            clock=clock,
            log=log,
            lock=lock,
            laboratory=laboratory,
            on_progress=listener.on_progress,
        )
        outcome.states = {cell: machine.state for cell, machine in orchestrator.machines.items()}
        helping = simulation

        def people(port: int, token: str) -> Sequence[asyncio.Task[Any]]:
            return helping.people(lambda: (port, token)) if helping is not None else ()

        let_go_on_terminate()
        try:
            await orchestrator.run(people)
        except asyncio.CancelledError:
            # Ctrl-C: the instruments hold their own limits and go on; this process only lets go.
            outcome.detached = True
        outcome.states = {cell: machine.state for cell, machine in orchestrator.machines.items()}
    finally:
        await bench.close()
        if simulation is not None:
            await simulation.stop()
    if not outcome.detached:
        outcome.analysis = orchestrator.analysis or deliver(request.folder / "results", campaign.name)
        if simulation is not None:
            outcome.truth, outcome.violations = simulation.truth(), simulation.violations()
    return outcome


def let_go_on_terminate() -> None:
    """Take a service that stops and a terminal that closes as Ctrl-C: let go in order. Windows has no such signals."""
    task = asyncio.current_task()
    if task is not None and sys.platform != "win32":
        for request in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(request, task.cancel)


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
    return Bench(entries, drivers, clock=clock, log=log, report=report, secret=resolve_secret, folder=folder)
