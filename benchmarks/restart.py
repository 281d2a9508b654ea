"""How long a restart takes: from opening the journal to the first answer about every operation that is held.

    python benchmarks/restart.py [CELLS] [--profile]

Five hundred cells charge on one simulated tester of as many channels, which runs as a process of its own; the journal
has 33,000 operations that ended and as many lines of history. Prints what was done by when, in ms after the journal
began to be opened, and what it took before that to check the user's files, which are those of the campaign. Exit 1 if
the last held operation was asked about after more than a second.
"""

from __future__ import annotations

import asyncio
import cProfile
import json
import pstats
import subprocess
import sys
import tempfile
from pathlib import Path
from time import process_time
from typing import Any

from labctl.cli import plugins
from labctl.cli.attached import attach
from labctl.cli.init import make_laboratory
from labctl.cli.logs import open_log
from labctl.cli.running import RunRequest, run
from labctl.cli.simulation import Simulation, read_saved, saved_clock
from labctl.cli.taking_up import begun_in, check_files, take_up
from labctl.engine.bench import Bench
from labctl.engine.clock import LoopClock, WallClock, real_seconds, run_real
from labctl.engine.lock import LaboratoryLock
from labctl.engine.orchestrator import Orchestrator
from labctl.journal import FILE_NAME, Journal, OperationRow
from labctl.station import load_cells, load_station

BOUND = 1.0
CYCLES = 33
PROTOCOL = """labctl: 1
protocol: long
cutoffs: {upper: 4.3 V, lower: 3.0 V}
limits: {voltage: [2.8 V, 4.4 V], current: 5 mA, temperature: [10 degC, 60 degC]}
steps:
  - cycle:
      count: 60
      steps:
        - charge: {current: 0.2 mA/cm2, until: {voltage: upper}, at_most: 16 h}
        - discharge: {current: 0.6 mA/cm2, until: {voltage: lower}, at_most: 8 h}
"""


def write_files(folder: Path, cells: int) -> None:
    """Make a laboratory of one tester and as many channels as cells."""
    make_laboratory(folder, quiet=True)
    (folder / "protocols" / "long.yaml").write_text(PROTOCOL)
    (folder / "station.yaml").write_text(
        "labctl: 1\nstation: large\nmode: simulated\ncapacity_accuracy: 0.1 %\noperators: [{name: operator}]\n"
        "instruments:\n"
        f"  maccor: {{driver: maccor, address: 192.0.2.10, channels: 1-{cells}, export_folder: maccor-export}}\n"
        f"places:\n  cabinet: {{count: {cells}, temperature: ambient, leads: {{maccor: 1-{cells}}}}}\n"
    )
    lines = "".join(
        f"  - {{id: cell-{n:03d}, barcode: B{n:04d}, group: bare, area: 1.0 cm2, chemistry: Cu||NMC622, "
        f"place: cabinet/{n}, simulate: {{substrate: bare}}}}\n"
        for n in range(1, cells + 1)
    )
    (folder / "cells.yaml").write_text(f"labctl: 1\ncells:\n{lines}")


def interrupted_campaign(folder: Path) -> str:
    """Begin the campaign, let go of it while every cell charges, and give its name."""
    main: list[asyncio.Task[Any]] = []

    def begin(_campaign: Any, _at: Any) -> None:
        task = asyncio.current_task()
        if task is not None:
            main.append(task)
            asyncio.get_running_loop().call_later(120.0, task.cancel)

    files = (folder / "protocols" / "long.yaml", folder / "station.yaml", folder / "cells.yaml")
    outcome = run(RunRequest(folder, *files, simulate=True, accelerate=True), on_begin=begin)
    if not outcome.detached:
        raise RuntimeError(f"not interrupted: {outcome.states}")
    return outcome.campaign


def add_history(journal: Journal, campaign: str) -> int:
    """Put cycles before the one that runs, and as many lines of history; give the number of operations.

    Written past the journal's own functions, which would take a commit for every status of every operation.
    """
    import sqlite3
    from contextlib import closing

    running = journal.held()
    path = journal.path
    journal.close()
    steps = [(cycle, *step) for cycle in range(1, CYCLES + 1) for step in ((1, "charge"), (2, "discharge"))]
    then = running[0].times["requested"]
    times = dict.fromkeys(("requested", "leased", "intent", "running", "fetched", "done"), then)
    result = {"ended": times["done"], "status": "ok", "capacity_C": 9.4, "voltage_V": 4.3, "records": 512, "cycle": 1}
    count = len(steps) * len(running)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute('UPDATE operations SET "order" = "order" + ?', (count,))
        first = f"c{CYCLES + 1:03d}/01-charge"
        for row in running:
            connection.execute(
                "UPDATE operations SET operation = ?, step = ? WHERE operation = ?",
                (f"{campaign}/{row.cell}/{first}/a1", first, row.operation),
            )
        connection.executemany(
            'INSERT INTO operations ("order", operation, campaign, cell, step, kind, attempt, token, status, resources,'
            " fence, handle, bundle, result, error, times) VALUES (?,?,?,?,?,?,1,?,'done',?,?,?,?,?,NULL,?)",
            [
                ended(row, n * len(running) + k + 1, campaign, step, result, times)
                for n, step in enumerate(steps)
                for k, row in enumerate(running)
            ],
        )
        connection.executemany(
            "INSERT INTO events (at, category, message, cell, data) VALUES (?, 'hiccup', ?, ?, '{}')",
            [
                (times["done"], f"timed out: no answer for 3 s, asked again ({n})", running[n % len(running)].cell)
                for n in range(count)
            ],
        )
        connection.commit()
    return count


def ended(
    row: OperationRow,
    order: int,
    campaign: str,
    at: tuple[int, int, str],
    result: dict[str, Any],
    times: dict[str, str],
) -> tuple[Any, ...]:
    """Make the row of an operation that has ended."""
    cycle, number, kind = at
    step = f"c{cycle:03d}/{number:02d}-{kind}"
    operation, token = f"{campaign}/{row.cell}/{step}/a1", f"{row.cell}-old{order:07d}"
    handle = json.dumps({**(dict(row.handle or {})), "token": token})
    told = (json.dumps(row.resources), order, handle, operation, json.dumps(result), json.dumps(times))
    return (order, operation, campaign, row.cell, step, kind, token, *told)


async def laboratory(folder: Path, clock: LoopClock) -> None:
    """Be the simulated laboratory: say where it listens, and stop when nobody listens any more."""
    log, file = open_log(folder, clock)
    station, cells = load_station(folder / "station.yaml"), load_cells(folder / "cells.yaml")
    saved = read_saved(folder)
    simulation = Simulation(station, cells, folder=folder, seed=0, clock=clock, log=log)
    await simulation.start(saved)
    for number in range(1, len(cells.cells) + 1):
        # A tester runs on by itself; a simulated one works out where a test has come to when it is first looked at.
        if (on := simulation.laboratory.cell_on("maccor", number)) is not None:
            simulation.laboratory.bring_up_to_date(on)
    print(json.dumps(simulation.entries), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await simulation.stop()
    file.close()


async def restart(folder: Path, entries: dict[str, Any], clock: LoopClock) -> dict[str, float]:
    """Do what a restart does and say how long everything took from the opening of the journal, in s."""
    # In a laboratory the PC's clock and the tester's agree about how long a test has run.
    await attach(folder).align(clock)
    log, file = open_log(folder, clock)
    asked: dict[str, float] = {}
    whole = asyncio.Event()
    took: dict[str, float] = {}
    began = real_seconds()
    files = (folder / "protocols" / "long.yaml", folder / "station.yaml", folder / "cells.yaml")
    wanted = check_files(*files, begun_in(folder, clock))
    before = real_seconds() - began
    began, busy = real_seconds(), process_time()
    journal = Journal(folder / FILE_NAME, clock)
    held = {row.token for row in journal.held()}
    took["journal open"] = real_seconds() - began
    campaign = take_up(journal, wanted, simulate=True).asked
    took["campaign taken up"] = real_seconds() - began
    driver = plugins.driver("maccor")

    class Watched(driver):  # type: ignore[misc, valid-type]
        """The driver, which tells when each operation was asked about."""

        async def poll(self, handle: Any) -> Any:
            """Ask, and note when the answer came."""
            progress = await super().poll(handle)
            asked.setdefault(handle.token, real_seconds() - began)
            if held <= asked.keys():
                whole.set()
            return progress

    bench = Bench(
        entries, {"maccor": Watched}, clock=clock, log=log, report=lambda hiccup: None, secret=str, folder=folder
    )
    await bench.connect()
    took["instruments connected"] = real_seconds() - began
    lock = LaboratoryLock(folder)
    lock.take()
    orchestrator = Orchestrator(
        folder,
        journal,
        campaign.station,
        campaign.mode,
        bench,
        clock=clock,
        log=log,
        lock=lock,
        laboratory=journal.identity("simulated 0"),
    )
    orchestrator.add(campaign)
    took["orchestrator made"] = real_seconds() - began
    task = asyncio.create_task(orchestrator.run())
    await whole.wait()
    took["first held operation asked"] = min(asked.values())
    took["last held operation asked"] = max(asked.values())
    took["of which this process computed"] = process_time() - busy
    took["user's files checked before that"] = before
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await bench.close()
    lock.release()
    journal.close()
    file.close()
    return took


def measured(folder: Path, *, profile: bool) -> dict[str, float]:
    """Restart against the laboratory as a process of its own."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--laboratory", str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("no pipe")
    try:
        entries = json.loads(process.stdout.readline())
        watch = cProfile.Profile()
        if profile:
            watch.enable()
        took = run_real(lambda clock: restart(folder, entries, clock))
        if profile:
            watch.disable()
            pstats.Stats(watch).sort_stats("cumulative").print_stats(45)
    finally:
        process.stdin.close()
        process.wait(timeout=120)
    return took


def main() -> int:
    if sys.argv[1:2] == ["--laboratory"]:
        folder = Path(sys.argv[2])
        run_real(lambda clock: laboratory(folder, clock), saved_clock(read_saved(folder)))
        return 0
    words = sys.argv[1:]
    cells = next((int(word) for word in words if word.isdigit()), 500)
    with tempfile.TemporaryDirectory(prefix="labctl-restart-") as made:
        folder = Path(made) / "lab"
        write_files(folder, cells)
        campaign = interrupted_campaign(folder)
        operations = add_history(journal_of(folder), campaign)
        print(f"{cells} cells on held operations, {operations} operations ended, {operations} lines of history")
        took = measured(folder, profile="--profile" in words)
    for what, seconds in took.items():
        print(f"{1e3 * seconds:7.0f} ms  {what}")
    last = took["last held operation asked"]
    print(f"restart: {last:.2f} s, at most {BOUND:g} s")
    return 0 if last < BOUND else 1


def journal_of(folder: Path) -> Journal:
    """Open the journal of a laboratory folder with the wall clock."""
    return Journal(folder / FILE_NAME, WallClock())


if __name__ == "__main__":
    sys.exit(main())
