"""What a record file costs: an operation of a thousand records, appending to long files, reading one back; and what it
costs to follow a growing text export.

    python -m benchmarks.records

Prints medians: processor time of this process, but for the forcing to the disk, which is waited for. Exit 1 if an
operation of 1000 records costs 5 ms or more, or if opening and appending to a file of 1,000,000 records costs more than
1.5 times as much as to one of 1,000, or if the same holds for looks at growing exports of 200,000 and 1,000 records.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from labctl.engine.clock import real_seconds
from labctl.instruments import CyclerProgram, CyclerStep, End, Mode, SafetyLimits
from labctl.results import Record, RecordWriter, read_records
from labctl_drivers.maccor.procedure import compile_program
from labctl_drivers.maccor.tail import Tail
from labctl_simulators.macnet.export import USUAL

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
STEP = CyclerStep(Mode.CHARGE, 2e-4, None, (End("voltage", True, 4.3),))
PLAN = compile_program(CyclerProgram("c/charge", (STEP,), SafetyLimits(2.5, 4.4, 5e-3, 5e-3)), lambda current: "2")
OPERATION = "lab-1/bare-01/c001/01-charge/a1"
RUNS = 41
APPENDS = 401


def records(first: int, number: int) -> list[Record]:
    return [
        Record(n, 60.0 * n, 1, 3.1 + 1e-4 * (n % 999), 2e-4, 0.012 * n, "C", 1) for n in range(first, first + number)
    ]


def median_ms(act: Callable[[], object], runs: int = RUNS, seconds: Callable[[], float] = time.process_time) -> float:
    times = []
    for _ in range(runs):
        began = seconds()
        act()
        times.append(seconds() - began)
    return 1e3 * statistics.median(times)


def made(path: Path, rows: int) -> Path:
    """Make a file of so many records."""
    with RecordWriter(path, OPERATION) as writer:
        for first in range(1, rows, 50_000):
            writer.append(records(first, min(50_000, rows)))
    return path


def append_ten(path: Path) -> None:
    """Open a file, append ten records, close it."""
    writer = RecordWriter(path, OPERATION)
    writer.append(records((writer.last or 0) + 1, 10))
    writer.close(sync=False)


def append_ms(*paths: Path) -> list[float]:
    """Give the cost of opening each file and appending ten; in turns, so that all see the same machine."""
    took = [[median_ms(partial(append_ten, path), runs=1) for path in paths] for _ in range(APPENDS)]
    return [statistics.median(of) for of in zip(*took, strict=True)]


def export_lines(first: int, number: int) -> str:
    """Give lines of a text export of the tester."""
    times = 60.0 * np.arange(first, first + number)
    values = 3.1 + 0.0 * times, 2e-4 + 0.0 * times, 2e-4 * times, 6e-4 * times
    return USUAL.rows(first, 0, 1, "C", np.ones(number, int), times, times, values, BEGAN, (0, 0, 0, 0), "2")


def look_ms(folder: Path, *lengths: int) -> list[float]:
    """Give the cost of a look at exports of these lengths that have grown by ten records; in turns."""
    tails = []
    for length in lengths:
        file = folder / f"growing-{length}.001"
        file.write_text(USUAL.heading(file, BEGAN, BEGAN, "p", "") + export_lines(1, length), newline="")
        tail = Tail(file, PLAN, print)
        tail.table(None)
        tails.append((file, tail, length, list[float]()))
    for turn in range(RUNS):
        for file, tail, length, took in tails:
            last = length + 10 * turn
            with file.open("a", newline="") as growing:
                growing.write(export_lines(last + 1, 10))
            took.append(median_ms(partial(tail.table, last), runs=1))
    return [statistics.median(took) for *_, took in tails]


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = "record,time_s,step,voltage_V,current_A,capacity_C,state,end\n"
        table += "".join(f"{n},{60 * n},1,3.{n:06d},0.0002,{0.012 * n:.10g},C,1\n" for n in range(1, 1001))
        numbers = iter(range(10_000))

        def operation(*, looks: int, sync: bool) -> None:
            writer = RecordWriter(folder / f"{next(numbers)}.log", OPERATION)
            for look in range(looks):
                writer.append(records(1 + 10 * look, 10))
            writer.append_csv(table)
            writer.close(sync=sync)

        at_fetch = median_ms(lambda: operation(looks=0, sync=False))
        with_looks = median_ms(lambda: operation(looks=20, sync=False))
        synced = median_ms(lambda: operation(looks=0, sync=True), seconds=real_seconds)
        print(f"operation of 1000 records: {at_fetch:.2f} ms at fetch, {with_looks:.2f} ms with 20 looks before")
        print(f"                           {synced:.2f} ms forced to the disk")
        short, long = append_ms(made(folder / "short.log", 1_000), made(folder / "long.log", 1_000_000))
        print(
            f"open and append 10 records: {short:.3f} ms to 1,000, {long:.3f} ms to 1,000,000, {long / short:.2f} times"
        )
        few, many = look_ms(folder, 1_000, 200_000)
        print(f"look at an export with 10 new: {few:.3f} ms of 1,000, {many:.3f} ms of 200,000, {many / few:.2f} times")
        reading = median_ms(lambda: read_records(folder / "long.log"), runs=3)
        print(f"read and check 1,000,000 records: {reading:.0f} ms")
        return 0 if with_looks < 5 and long / short <= 1.5 and many / few <= 1.5 else 1


if __name__ == "__main__":
    sys.exit(main())
