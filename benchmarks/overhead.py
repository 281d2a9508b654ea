"""What labctl itself costs in real time: 100 cells on one tester, seen from outside.

    python -m benchmarks.overhead                     100 cells, 4 short rests each, 30 s of idling: four minutes
    python -m benchmarks.overhead --cells 20 --rests 2

Three processes: the simulated tester (``labctl simulate``), the orchestrator (``labctl run``, in real time, with the
tester entered as if it were real), and this one, which sits on the wire between the two and notes when each message
passes. The cells start one after the other over the length of one rest, so that their steps end one by one.

*Overhead*: from the reply that shows a channel as completed to the next command on that channel (the tester is told to
archive the test), less the time for which the tester kept labctl waiting in between. In it are the poll's judgement,
fetching and checking the records, the bundle on disk, the journal's commits, the lease and the next operation's
preparation. *Idle*: processor time of the orchestrator while all cells rest. *Memory*: its peak.

Exit 1 where a bound is broken. Processor time and memory are read from /proc, so elsewhere than on Linux they are not
measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BOUND_MS = 20.0
BOUND_IDLE_PERCENT = 5.0
BOUND_MIB = 250.0
REST_S = 30.0

_LABCTL = [sys.executable, "-c", "import sys; from labctl.cli import main; sys.exit(main())"]
_CLASS, _NUMBER = re.compile(rb'"FClass": ?(\d+)'), re.compile(rb'"FNum": ?(\d+)')
_CHANNEL, _STATUS = re.compile(rb'"Chan": ?(-?\d+)'), re.compile(rb'"Stat": ?(\d+)')
_COMPLETED = 4
_START = (6, 2)


def _first(pattern: re.Pattern[bytes], data: bytes) -> int | None:
    found = pattern.search(data)
    return int(found[1]) if found else None


@dataclass
class Recorder:
    """What passed on the JSON port, by channel. Times in s of this process's monotonic clock."""

    overheads: list[float] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)
    to_start: list[float] = field(default_factory=list)
    starts: Counter[int] = field(default_factory=Counter)
    exchanges: int = 0
    _ended: dict[int, float] = field(default_factory=dict)
    _started_after: dict[int, float] = field(default_factory=dict)
    _waited: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    _asked: tuple[int, float] | None = None

    def request(self, data: bytes, now: float) -> None:
        """Note a message to the tester."""
        self.exchanges += 1
        channel = _first(_CHANNEL, data)
        if channel is None:
            self._asked = None
            return
        self._asked = channel, now
        if _first(_CLASS, data) != 6:
            return
        if (ended := self._ended.pop(channel, None)) is not None:
            self.totals.append(now - ended)
            self.overheads.append(now - ended - self._waited.pop(channel, 0.0))
            self._started_after[channel] = ended
        if _first(_NUMBER, data) == _START[1]:
            self.starts[channel] += 1
            if (ended := self._started_after.pop(channel, None)) is not None:
                self.to_start.append(now - ended)

    def reply(self, data: bytes, now: float) -> None:
        """Note an answer of the tester."""
        if self._asked is None:
            return
        channel, asked = self._asked
        if channel in self._ended:
            self._waited[channel] += now - asked
        elif _first(_STATUS, data) == _COMPLETED and channel not in self._started_after:
            self._ended[channel] = now


class Wire:
    """Passes bytes on between one listening port and the tester, and shows them to a recorder."""

    def __init__(self, port: int, recorder: Recorder) -> None:
        self._to = port
        self._recorder = recorder
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        there = asyncio.create_task(self._pass(reader, far_writer, self._recorder.request))
        back = asyncio.create_task(self._pass(far_reader, writer, self._recorder.reply))
        self._tasks |= {there, back}

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: Callable[[bytes, float], None]
    ) -> None:
        try:
            while data := await reader.read(65536):
                note(data, time.perf_counter())
                writer.write(data)
        except ConnectionError:
            return
        finally:
            writer.close()


def write_laboratory(folder: Path, cells: int, rests: int, instrument: str, mode: str) -> Path:
    """Write the three files of a laboratory; give the protocol's path."""
    folder.mkdir(parents=True, exist_ok=True)
    protocol = folder / "overhead.yaml"
    protocol.write_text(
        "labctl: 1\nprotocol: overhead\ncutoffs: {upper: 4.3 V, lower: 3.0 V}\n"
        "limits: {voltage: [2.8 V, 4.4 V], current: 5 mA, temperature: [10 degC, 60 degC]}\nsteps:\n"
        f"  - cycle: {{count: {rests}, steps: [{{rest: {{duration: {REST_S:g} s}}}}]}}\n"
        "  - rest: {duration: 12 h}\n"
    )
    (folder / "station.yaml").write_text(
        f"labctl: 1\nstation: overhead\nmode: {mode}\ncapacity_accuracy: 0.1 %\n"
        f"instruments:\n  maccor: {instrument}\n"
        f"places:\n  cabinet: {{count: {cells}, temperature: ambient, leads: {{maccor: 1-{cells}}}}}\n"
    )
    lines = [
        f"  - {{id: cell-{n:03d}, barcode: C{n:04d}, group: all, area: 1.0 cm2, chemistry: Cu||NMC622,"
        f" place: cabinet/{n}, start_after: {REST_S * (n - 1) / cells:.2f} s}}"
        for n in range(1, cells + 1)
    ]
    (folder / "cells.yaml").write_text("\n".join(["labctl: 1", "cells:", *lines]) + "\n")
    return protocol


def processor_seconds(pid: int) -> float | None:
    """Processor time that a process has used; None where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mebibytes(pid: int) -> float | None:
    """Peak resident memory of a process; None where the system does not tell."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return None
    return int(found[1]) / 1024 if found else None


async def end(process: asyncio.subprocess.Process) -> None:
    """Have a process let go in order; end it where it does not."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(20):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def simulated(folder: Path, cells: int, rests: int) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    """Start the simulated tester; give its process and its entry."""
    channels = f"{{driver: maccor, address: 192.0.2.10, channels: 1-{cells}, export_folder: maccor-export}}"
    write_laboratory(folder, cells, rests, channels, "simulated")
    process = await asyncio.create_subprocess_exec(
        *_LABCTL, "simulate", "--lab", str(folder), "--json", stdout=asyncio.subprocess.PIPE
    )
    if process.stdout is None:
        raise SystemExit("the simulated tester says nothing")
    line = await process.stdout.readline()
    if not line:
        raise SystemExit(f"the simulated tester did not start (exit {await process.wait()})")
    return process, json.loads(line)["instruments"][0]


async def until_all_run(recorder: Recorder, run: asyncio.subprocess.Process, cells: int) -> None:
    """Wait until every cell's first step was started: what is imported when first needed is imported by then."""
    while len(recorder.starts) < cells and run.returncode is None:
        await asyncio.sleep(0.1)


async def measure(folder: Path, cells: int, rests: int, idle: float) -> dict[str, Any]:
    """Run the three processes and give what was measured."""
    recorder = Recorder()
    tester, entry = await simulated(folder / "simulated", cells, rests)
    wire = Wire(int(entry["json_port"]), recorder)
    port = await wire.start()
    instrument = (
        f"{{driver: maccor, address: 127.0.0.1, json_port: {port}, binary_port: {entry['binary_port']},"
        f" channels: 1-{cells}, export_folder: '{entry['export_folder']}'}}"
    )
    laboratory = folder / "laboratory"
    protocol = write_laboratory(laboratory, cells, rests, instrument, "live")
    run = await asyncio.create_subprocess_exec(
        *_LABCTL, "run", str(protocol), "--lab", str(laboratory), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        # Until the last rest, the long one, has begun everywhere.
        await until_all_run(recorder, run, cells)
        busy, seen = processor_seconds(run.pid), len(recorder.overheads)
        patience = time.perf_counter() + 3 * (rests + 2) * REST_S + 60
        while sum(recorder.starts.values()) < cells * (rests + 1):
            if run.returncode is not None or time.perf_counter() > patience:
                raise SystemExit(f"only {sum(recorder.starts.values())} starts (exit {run.returncode})")
            await asyncio.sleep(0.5)
        await asyncio.sleep(1)
        worked, steps = processor_seconds(run.pid), len(recorder.overheads) - seen
        await asyncio.sleep(4)
        before, began = processor_seconds(run.pid), time.perf_counter()
        await asyncio.sleep(idle)
        after, ended = processor_seconds(run.pid), time.perf_counter()
        peak = peak_mebibytes(run.pid)
    finally:
        await end(run)
        await wire.stop()
        await end(tester)
    return {
        "overheads_ms": [1e3 * one for one in recorder.overheads],
        "totals_ms": [1e3 * one for one in recorder.totals],
        "to_start_ms": [1e3 * one for one in recorder.to_start],
        "exchanges": recorder.exchanges,
        "step_ms": None if busy is None or worked is None else 1e3 * (worked - busy) / max(1, steps),
        "idle_percent": None if before is None or after is None else 100 * (after - before) / (ended - began),
        "peak_MiB": peak,
    }


def spread(values: list[float]) -> str:
    """Median and the slow end."""
    return f"median {statistics.median(values):.1f} ms, 95 % below {statistics.quantiles(values, n=20)[-1]:.1f} ms"


def main() -> int:
    parser = argparse.ArgumentParser(description="What the orchestrator costs in real time, measured from outside.")
    parser.add_argument("--cells", type=int, default=100)
    parser.add_argument("--rests", type=int, default=4, help="short rests of each cell")
    parser.add_argument("--idle", type=float, default=30.0, help="seconds over which idling is measured")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        found = asyncio.run(measure(Path(made), given.cells, given.rests, given.idle))
    overhead = statistics.median(found["overheads_ms"])
    good = overhead < BOUND_MS
    print(f"{given.cells} cells, {len(found['overheads_ms'])} steps ended, {found['exchanges']} exchanges")
    print(f"end of step seen -> next command on the channel: {spread(found['overheads_ms'])}; at most {BOUND_MS:g} ms")
    print(f"  the same with what the tester took to answer:  {spread(found['totals_ms'])}")
    print(f"  until the next step was started, tester's time included: {spread(found['to_start_ms'])}")
    if found["idle_percent"] is not None:
        print(f"processor time of the orchestrator for each step, all polls included: {found['step_ms']:.1f} ms")
        good &= found["idle_percent"] < BOUND_IDLE_PERCENT and found["peak_MiB"] < BOUND_MIB
        print(f"idle: {found['idle_percent']:.2f} % of one core; at most {BOUND_IDLE_PERCENT:g} %")
        print(f"peak memory: {found['peak_MiB']:.0f} MiB; at most {BOUND_MIB:g} MiB")
    print("kept" if good else "BROKEN")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
