"""How much it takes to look at many channels of one tester: latency of a look, and what the driver computes.

    python benchmarks/polling.py [CHANNELS] [SECONDS]

The tester is a process of its own, in real time, with as many channels as are asked for (200), each with a cell that
charges; all are looked at once a second through one driver, that is over one pair of connections, each at a moment of
its own within the second. Prints one line; exit 1 if the median of a look's time, waiting for its turn included, is
50 ms or more, or if this process computes for 40 % of the time or more. A second line tells the same for looks that all
begin at one moment and wait for each other; it is not judged, as nothing in labctl looks in step.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import process_time
from typing import Any

import structlog

from labctl.engine.clock import LoopClock, real_seconds, run_real
from labctl.instruments import CyclerProgram, CyclerStep, DriverContext, End, Handle, Hiccup, Mode, SafetyLimits, State
from labctl_drivers.maccor import MaccorCycler
from labctl_simulators.laboratory import Laboratory
from labctl_simulators.macnet import MacnetSimulator

MEDIAN = 0.050
SHARE = 0.40
PERIOD = 1.0
PROGRAM = CyclerProgram(
    "polling/charge",
    (CyclerStep(Mode.CHARGE, 2e-4, None, (End("voltage", True, 4.3), End("time", True, 16 * 3600.0, guard=True))),),
    SafetyLimits(0.5, 4.4, 5e-3, 5e-3),
)


def silent() -> Any:
    """Make a logger that drops everything."""
    return structlog.wrap_logger(None, processors=[_dropped])


def _dropped(logger: Any, method: str, event: Any) -> Any:
    raise structlog.DropEvent


async def tester(folder: Path, channels: int, clock: LoopClock) -> None:
    """Be the tester: say where it listens, and stop when nobody listens any more."""
    cells = [
        {"id": f"c{n}", "barcode": f"B{n}", "area_m2": 1e-4, "place": f"cabinet/{n}", "simulate": {"substrate": "bare"}}
        for n in range(1, channels + 1)
    ]
    leads = {"maccor": list(range(1, channels + 1))}
    places = {"cabinet": {"count": channels, "temperature": None, "leads": leads}}
    laboratory = Laboratory({"cells": cells, "places": places}, folder=folder, seed=1, clock=clock, log=silent())
    entry = {"channels": f"1-{channels}", "export_folder": "export"}
    simulator = MacnetSimulator("maccor", entry, laboratory)
    print(json.dumps({**entry, **await simulator.start()}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await simulator.stop()
    await laboratory.stop()


async def look(driver: MaccorCycler, handle: Handle, first: float, until: float, took: list[float]) -> None:
    """Look at one channel once a second; a look that has to wait for others began when it was due."""
    loop = asyncio.get_running_loop()
    due = first
    while due < until:
        await asyncio.sleep(max(0.0, due - loop.time()))
        progress = await driver.poll(handle)
        took.append(loop.time() - due)
        if progress.state is not State.RUNNING:
            raise RuntimeError(f"{handle.token}: {progress.message}")
        due += PERIOD


async def measure(settings: dict[str, Any], folder: Path, seconds: float, clock: LoopClock) -> int:
    """Start a charge on every channel, look at all of them for ``seconds``, and judge."""
    hiccups: list[Hiccup] = []
    driver = MaccorCycler(DriverContext("maccor", settings, clock, silent(), hiccups.append, str, folder))
    await driver.connect()
    numbers = range(1, int(settings["channels"].partition("-")[2]) + 1)
    handles = [await driver.start(f"poll-{number}", number, PROGRAM) for number in numbers]
    spread, share = await looks(driver, handles, seconds, 1.0 / len(handles))
    at_once, busy = await looks(driver, handles, seconds, 0.0)
    await driver.close()
    median = statistics.median(spread)
    print(
        f"polling: {len(handles)} channels, {len(spread)} looks in {seconds:g} s over one pair of connections: median "
        f"{1e3 * median:.1f} ms (below {1e3 * MEDIAN:g}), 99 % {1e3 * slowest(spread):.1f} ms; the driver computes "
        f"{100 * share:.0f} % of one core (below {100 * SHARE:g} %); {len(hiccups)} faults survived"
    )
    print(
        f"         all at one moment: median {1e3 * statistics.median(at_once):.1f} ms, 99 % "
        f"{1e3 * slowest(at_once):.1f} ms, {100 * busy:.0f} % of one core"
    )
    kept = len(spread) >= 0.99 * len(handles) * seconds / PERIOD
    if not kept:
        print("polling: not every channel was looked at once a second")
    return 0 if kept and median < MEDIAN and share < SHARE else 1


async def looks(driver: MaccorCycler, handles: list[Handle], seconds: float, apart: float) -> tuple[list[float], float]:
    """Look at every channel for ``seconds``, ``apart`` periods apart; give what each look took, and the load."""
    loop = asyncio.get_running_loop()
    took: list[float] = []
    begun = loop.time() + 1.0
    await asyncio.sleep(1.0)
    computed, wall = process_time(), real_seconds()
    async with asyncio.TaskGroup() as group:
        for index, handle in enumerate(handles):
            group.create_task(look(driver, handle, begun + PERIOD * apart * index, begun + seconds, took))
    return took, (process_time() - computed) / (real_seconds() - wall)


def slowest(took: list[float]) -> float:
    """Give the time that 99 % of the looks stay below."""
    return sorted(took)[int(0.99 * len(took))]


def main() -> int:
    if sys.argv[1:2] == ["--tester"]:
        run_real(lambda clock: tester(Path(sys.argv[2]), int(sys.argv[3]), clock))
        return 0
    channels = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 15.0
    with tempfile.TemporaryDirectory(prefix="labctl-polling-") as made:
        folder = Path(made)
        process = subprocess.Popen(
            [sys.executable, __file__, "--tester", made, str(channels)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("no pipe")
        try:
            settings = json.loads(process.stdout.readline())
            return run_real(lambda clock: measure(settings, folder, seconds, clock))
        finally:
            process.stdin.close()
            process.wait(timeout=60)


if __name__ == "__main__":
    sys.exit(main())
