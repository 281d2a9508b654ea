"""How fast a dry run is: real drivers, wire simulators, journal commits and bundles in one process, in virtual time.

    python -m benchmarks.dry_run                      24 cells x 30 cycles, then the growth from 24 to 240 cells
    python -m benchmarks.dry_run --cells 8 --cycles 6 --profile profile.out --no-growth

The shipped dead-lithium protocol; a third of the cells each is measured at the first, middle and last cycle, and
goes on (``then: continue``). Every campaign runs in a process of its own, which reports wall and CPU seconds, what the
journal says was done, and its peak memory. For the growth, 24 and 240 cells run the same few cycles, on a laboratory
that has ten times the channels and places but still one spectrometer, one potentiostat and one person.

Exit 1 where a bound is broken or a cell did not come to its end.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labctl.cli.demo import PROTOCOL
from labctl.cli.init import make_laboratory
from labctl.cli.running import Outcome, RunRequest, run

SECONDS = 120.0
GROWTH = 1.3
GROWTH_CYCLES = 3
#: Slots of one cabinet: as many relays as one multiplexer has.
CABINET = 60


def station(cells: int) -> str:
    """Describe a laboratory for so many cells: cabinets of 60 slots, each behind a multiplexer of its own, one oven."""
    ovens = max(8, cells // 3)
    cabinets = [min(CABINET, cells - first) for first in range(0, cells, CABINET)]
    lines = [
        "labctl: 1",
        "station: benchmark",
        "mode: simulated",
        "capacity_accuracy: 0.1 %",
        "operators: [{name: operator}]",
        "instruments:",
        f"  maccor: {{driver: maccor, address: 192.0.2.10, channels: 1-{cells + ovens}, export_folder: maccor-export}}",
        '  topspin: {driver: bruker, address: "192.0.2.11:5410", token: {env: NONE}, data_folder: topspin-data}',
        "  zahner: {driver: zahner, address: \"192.0.2.12:260\", output_path: 'c:\\thales\\labctl'}",
        "  oven: {driver: julabo, address: COM3, serial: 4800 7E1,"
        " settled: {tolerance: 0.3 K, for: 10 min, at_most: 2 h}}",
    ]
    for number in range(1, len(cabinets) + 1):
        address = f"TCPIP::192.0.2.{20 + number}::5025::SOCKET"
        lines.append(f'  mux-{number}: {{driver: scpi-multiplexer, model: 34970A, address: "{address}"}}')
    lines.append("places:")
    first = 1
    for number, count in enumerate(cabinets, start=1):
        relays = ", ".join(f"{slot}{relay:02d}" for slot in (1, 2, 3) for relay in range(1, 21))
        chosen = ", ".join(relays.split(", ")[:count])
        zahner = f"{{through: mux-{number}, relays: [{chosen}]}}"
        leads = f"{{maccor: {first}-{first + count - 1}, zahner: {zahner}}}"
        lines.append(f"  cabinet-{number}: {{count: {count}, temperature: ambient, leads: {leads}}}")
        first += count
    lines.append(f"  oven: {{count: {ovens}, temperature: oven, leads: {{maccor: {first}-{first + ovens - 1}}}}}")
    lines.append("  probe: {count: 1, instrument: topspin, checklist: [disconnect, unclamp, orient, tune and match]}")
    return "\n".join(lines) + "\n"


def cells_file(cells: int, measured: tuple[int, ...]) -> str:
    """Describe the cells, half of them bare, half coated; one measured cycle each, in turn."""
    lines = ["labctl: 1", "cells:"]
    for number in range(cells):
        group = ("bare", "coated")[number % 2]
        place = f"cabinet-{number // CABINET + 1}/{number % CABINET + 1}"
        lines.append(
            f"  - {{id: {group}-{number + 1:03d}, barcode: C{number + 1:04d}, group: {group}, area: 1.0 cm2,"
            f" chemistry: Cu||NMC622, measure_at: [{measured[number % len(measured)]}], place: {place},"
            f" simulate: {{substrate: {group}}}}}"
        )
    return "\n".join(lines) + "\n"


def laboratory(folder: Path, cells: int, cycles: int) -> RunRequest:
    """Make a laboratory folder with the shipped protocol, shortened to ``cycles``."""
    make_laboratory(folder, quiet=True)
    protocol = folder / "protocols" / PROTOCOL
    measured = tuple(sorted({1, (cycles + 1) // 2, cycles}))
    text = protocol.read_text()
    wanted = f"measure: {{cycles: [{', '.join(map(str, measured))}], then: continue}}"
    text, found = re.subn(r"measure: \{cycles: \[[^]]*\], then: end\}", wanted, text)
    text, counted = re.subn(r"count: 30", f"count: {cycles}", text)
    if found != 1 or counted != 1:
        raise SystemExit("the shipped protocol is not what this benchmark knows")
    protocol.write_text(text)
    (folder / "station.yaml").write_text(station(cells))
    (folder / "cells.yaml").write_text(cells_file(cells, measured))
    return RunRequest(folder, protocol, folder / "station.yaml", folder / "cells.yaml", simulate=True, accelerate=True)


def peak_mebibytes() -> float:
    """Peak resident memory of this process; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024**2 if sys.platform == "darwin" else peak / 1024


def figures(folder: Path, outcome: Outcome, cells: int, cycles: int, wall: float, cpu: float) -> dict[str, Any]:
    """Put together what a campaign cost and what it did, from its journal."""
    with sqlite3.connect(folder / "labctl.sqlite") as journal:
        done, failed = journal.execute(
            "select sum(status = 'done'), sum(status not in ('done')) from operations"
        ).fetchone()
        first, last = journal.execute(
            "select min(json_extract(times, '$.requested')), max(json_extract(times, '$.done')) from operations"
        ).fetchone()
        days = journal.execute("select julianday(?) - julianday(?)", (last, first)).fetchone()[0]
    journal.close()
    states = list(outcome.states.values())
    return {
        "cells": cells,
        "cycles": cycles,
        "operations": done,
        "not_done": failed,
        "finished": states.count("finished"),
        "violations": len(outcome.violations),
        "days": days,
        "wall": wall,
        "cpu": cpu,
        "peak_MiB": peak_mebibytes(),
    }


def one(cells: int, cycles: int, folder: Path, profile: str | None) -> dict[str, Any]:
    """Run one campaign in this process."""
    request = laboratory(folder, cells, cycles)
    profiler = cProfile.Profile() if profile else None
    began, used = time.perf_counter(), time.process_time()
    if profiler is not None:
        profiler.enable()
    outcome = run(request)
    if profiler is not None:
        profiler.disable()
        profiler.dump_stats(profile)
    return figures(folder, outcome, cells, cycles, time.perf_counter() - began, time.process_time() - used)


def measure(cells: int, cycles: int, *, profile: str | None = None, keep: str | None = None) -> dict[str, Any]:
    """Run one campaign in a process of its own and print what it cost."""
    command = [sys.executable, "-m", "benchmarks.dry_run", "--worker", "--cells", str(cells), "--cycles", str(cycles)]
    command += ["--profile", profile] if profile else []
    command += ["--keep", keep] if keep else []
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise SystemExit(f"{cells} cells x {cycles} cycles: {ran.stderr}")
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    print(describe(found), flush=True)
    return found


def describe(found: Mapping[str, Any]) -> str:
    """Say in one line what a campaign cost."""
    return (
        f"{found['cells']} cells x {found['cycles']} cycles: {found['wall']:.1f} s wall, {found['cpu']:.1f} s CPU, "
        f"{found['operations']} operations, {found['operations'] / found['wall']:.0f} operations/s "
        f"({1e3 * per_operation(found):.2f} ms CPU each), {found['days']:.1f} simulated days, "
        f"{86400 * found['days'] / found['wall']:.0f} x wall time, peak {found['peak_MiB']:.0f} MiB"
    )


def per_operation(found: Mapping[str, Any]) -> float:
    """CPU seconds per operation."""
    return float(found["cpu"]) / float(found["operations"])


def sound(found: Mapping[str, Any]) -> bool:
    """Whether all cells came to their end and nothing happened that must not happen."""
    good = found["finished"] == found["cells"] and not found["not_done"] and not found["violations"]
    if not good:
        print(f"NOT SOUND: {dict(found)}")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description="Speed of a dry run with the real drivers and the wire simulators.")
    parser.add_argument("--cells", type=int, default=24)
    parser.add_argument("--cycles", type=int, default=30)
    parser.add_argument("--profile", help="write cProfile's statistics here")
    parser.add_argument("--keep", help="make the laboratory folder here and leave it")
    parser.add_argument("--no-growth", action="store_true", help="leave out the growth from 24 to 240 cells")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(given.keep) if given.keep else Path(made) / "laboratory"
            print(json.dumps(one(given.cells, given.cycles, folder, given.profile)))
        return 0
    main_run = measure(given.cells, given.cycles, profile=given.profile, keep=given.keep)
    good = sound(main_run)
    if (given.cells, given.cycles) == (24, 30):
        good &= main_run["wall"] < SECONDS
        print(f"  at most {SECONDS:g} s: {'kept' if main_run['wall'] < SECONDS else 'BROKEN'}")
    if not given.no_growth:
        few, many = measure(24, GROWTH_CYCLES), measure(240, GROWTH_CYCLES)
        growth = per_operation(many) / per_operation(few)
        good &= sound(few) and sound(many) and growth < GROWTH
        print(
            f"growth of the CPU time per operation from 24 to 240 cells, {GROWTH_CYCLES} cycles each: "
            f"{growth:.2f} x, at most {GROWTH:g}: {'kept' if growth < GROWTH else 'BROKEN'}"
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
