"""A laboratory in trouble: a whole run in virtual time, with a script beside it that breaks things and gives commands.

Real drivers, the wire simulators, the real endpoint. A held cell is waited for, as in a laboratory, until the script
ends; then the orchestrator lets go, and the next ``play`` in the same folder takes everything up again.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from laboratory_folder import Laboratory

from labctl.cli import running, taking_up
from labctl.cli.logs import open_log
from labctl.cli.simulation import Simulation, read_saved, saved_clock
from labctl.engine import campaign as campaigns
from labctl.engine.clock import LoopClock, WallClock, run_virtual
from labctl.engine.lock import LaboratoryLock
from labctl.engine.orchestrator import Orchestrator
from labctl.instruments import Hiccup
from labctl.journal import FILE_NAME, Journal, OperationRow, Status

HEAD = """
labctl: 1
protocol: trouble
cutoffs: {upper: 4.3 V, lower: 3.0 V}
limits: {voltage: [2.8 V, 4.4 V], current: 5 mA, temperature: [10 degC, 60 degC]}
spectra:
  short: {control: galvanostatic, frequency: [1 kHz, 1 Hz], points_per_decade: 5, periods: 3, amplitude: 100 uA/cm2,
          rest_before: 2 min}
steps:
"""


class Asked(Exception):
    """The orchestrator declined; ``code`` is its exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Scene:
    """What a script sees and can do while the run goes on."""

    def __init__(self, simulation: Simulation, journal: Journal, clock: LoopClock, folder: Path) -> None:
        self.lab = simulation.laboratory
        self.journal = journal
        self.clock = clock
        self.folder = folder
        self._endpoint = 0, ""

    def at(self, port: int, token: str) -> None:
        self._endpoint = port, token

    # -- a person at a terminal --------------------------------------------------------------------------------------
    async def ask(self, op: str, **request: Any) -> dict[str, Any]:
        port, token = self._endpoint
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(json.dumps({"op": op, "token": token, **request}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(await reader.readline())
        finally:
            writer.close()
            await writer.wait_closed()
        if not answer["ok"]:
            raise Asked(str(answer["error"]), int(answer["exit"]))
        return answer

    async def tell(self, op: str, cell: str = "bare-01", **request: Any) -> dict[str, Any]:
        return await self.ask(op, cell=cell, user="ana", reason="looked at it", **request)

    async def alarms(self) -> list[str]:
        return [one["message"] for one in (await self.ask("alarms"))["alarms"]]

    async def explained(self, cell: str = "bare-01") -> dict[str, Any]:
        return (await self.ask("explain", cell=cell))["explain"]

    # -- waiting -----------------------------------------------------------------------------------------------------
    async def until(self, condition: Callable[[], Any], *, hours: float = 48.0, every: float = 5.0) -> Any:
        """Look every few (virtual) seconds; gives what the condition gave."""
        deadline = self.clock.now().timestamp() + hours * 3600
        while not (found := condition()):
            if self.clock.now().timestamp() > deadline:
                raise AssertionError(f"it did not happen within {hours:g} h: {self.told()}")
            await asyncio.sleep(every)
        return found

    async def until_state(self, state: str, cell: str = "bare-01", **kw: Any) -> None:
        await self.until(lambda: self.state(cell) == state, **kw)

    async def until_running(self, step: str, cell: str = "bare-01", **kw: Any) -> OperationRow:
        return await self.until(lambda: self.find(step, cell, Status.RUNNING), **kw)

    def find(self, step: str, cell: str, status: Status) -> OperationRow | None:
        return next((row for row in self.rows(step, cell) if row.status is status), None)

    def told(self) -> list[str]:
        return [f"{event.at[5:19]} {event.category}: {event.message}" for event in self.journal.events(last=12)]

    # -- what is written -----------------------------------------------------------------------------------------------
    @property
    def campaign(self) -> str:
        return self.journal.campaigns()[0].campaign

    def state(self, cell: str = "bare-01") -> str:
        return self.journal.cell(self.campaign, cell).state

    def reason(self, cell: str = "bare-01") -> str:
        return self.journal.cell(self.campaign, cell).reason

    def rows(self, step: str | None = None, cell: str = "bare-01") -> list[OperationRow]:
        """Operations of a cell whose path ends like ``step``; transfers only where asked for."""
        rows = self.journal.operations(campaign=self.campaign, cell=cell)
        if step is None:
            return [row for row in rows if row.kind != "transfer"]
        return [row for row in rows if re.search(rf"(^|[/-]){re.escape(step)}$", row.step)]

    def row(self, step: str, cell: str = "bare-01") -> OperationRow:
        return self.rows(step, cell)[-1]

    def bundle(self, row: OperationRow) -> Path:
        return self.folder / "results" / row.operation

    def document(self, row: OperationRow) -> dict[str, Any]:
        return json.loads((self.bundle(row) / "operation.json").read_text())

    def log(self, instrument: str, *events: str) -> list[dict[str, Any]]:
        return [entry for entry in self.lab.records(instrument) if entry["event"] in events]

    def starts(self, row: OperationRow) -> int:
        """How often the tester has started the test of an operation."""
        return sum(entry["test"] == row.token for entry in self.log("maccor", "started"))

    def is_open(self, cell: str = "bare-01") -> bool:
        """Whether no instrument drives the cell."""
        return self.lab.sources_on(self.lab.cells[cell]) == ()


Script = Callable[[Scene], Awaitable[Any]]


def one_cell(laboratory: Laboratory, steps: str, *cells: str, **options: str) -> None:
    """Leave only these cells (``bare-01``) and a protocol of these steps; ``options`` go to the virtual cells."""
    laboratory.keep_cells(*(cells or ("bare-01",)))
    laboratory.replace("cells.yaml", ", measure_at: [1]", "")
    for name, value in options.items():
        laboratory.replace("cells.yaml", "substrate: bare", f"substrate: bare, {name}: {value}")
    laboratory.protocol.write_text(HEAD + "".join(f"  - {line.strip()}\n" for line in steps.strip().splitlines()))


def play(
    laboratory: Laboratory,
    script: Script,
    *,
    people: bool = True,
    prepare: Callable[[Journal], None] = lambda journal: None,
) -> Any:
    """Run the campaign with a script beside it until the script ends; gives what the script gave."""
    wanted = taking_up.check_files(
        laboratory.protocol, laboratory.folder / "station.yaml", laboratory.folder / "cells.yaml"
    )
    lock = LaboratoryLock(laboratory.folder)
    lock.take()
    saved = read_saved(laboratory.folder)
    given: list[Any] = []

    async def main(clock: LoopClock) -> None:
        log, file = open_log(laboratory.folder, clock)
        journal = Journal(laboratory.folder / FILE_NAME, clock)
        try:
            given.append(await _run(laboratory, wanted, script, saved, clock, log, journal, lock, people, prepare))
        finally:
            journal.close()
            file.close()

    try:
        run_virtual(main, saved_clock(saved))
    finally:
        lock.release()
    return given[0]


async def _run(
    laboratory: Laboratory,
    wanted: Any,
    script: Script,
    saved: Mapping[str, Any] | None,
    clock: LoopClock,
    log: Any,
    journal: Journal,
    lock: LaboratoryLock,
    people: bool,
    prepare: Callable[[Journal], None],
) -> Any:
    taken = taking_up.take_up(journal, wanted, simulate=True)
    simulation = Simulation(
        wanted.station, wanted.cells, folder=laboratory.folder, seed=5, clock=clock, log=log, faults=True
    )
    await simulation.start(saved)

    def report(hiccup: Hiccup) -> None:
        journal.note("hiccup", f"{hiccup.kind}: {hiccup.message}", instrument=hiccup.instrument)

    bench = running.make_bench(simulation.entries, clock=clock, log=log, report=report, folder=laboratory.folder)
    try:
        await bench.connect()
        mine = taken.asked if taken.begun else campaigns.begin(journal, taken.asked, {"simulate": True})
        prepare(journal)
        orchestrator = Orchestrator(
            laboratory.folder,
            journal,
            mine.station,
            mine.mode,
            bench,
            clock=clock,
            log=log,
            lock=lock,
            laboratory=journal.identity("simulated 5"),
        )
        orchestrator.add(mine)
        scene = Scene(simulation, journal, clock, laboratory.folder)
        return await _beside(orchestrator, simulation, scene, script, people)
    finally:
        await bench.close()
        await simulation.stop()


async def _beside(
    orchestrator: Orchestrator, simulation: Simulation, scene: Scene, script: Script, people: bool
) -> Any:
    scripted: list[asyncio.Task[Any]] = []

    def companions(port: int, token: str) -> list[asyncio.Task[Any]]:
        scene.at(port, token)
        scripted.append(asyncio.ensure_future(script(scene)))
        return list(simulation.people(lambda: (port, token))) if people else []

    whole = asyncio.create_task(orchestrator.run(companions))
    while not scripted and not whole.done():
        await asyncio.sleep(0.1)
    try:
        return await scripted[0]
    finally:
        # Where the campaign has just ended, it comes to its own end.
        await asyncio.wait({whole}, timeout=1.0)
        whole.cancel()
        await asyncio.gather(whole, return_exceptions=True)


def reread(laboratory: Laboratory) -> Journal:
    """Open the journal after a run."""
    return Journal(laboratory.folder / FILE_NAME, WallClock())


def seconds(row: OperationRow, first: str, then: str) -> float:
    """Seconds between two instants of an operation's life."""
    return (datetime.fromisoformat(row.times[then]) - datetime.fromisoformat(row.times[first])).total_seconds()
