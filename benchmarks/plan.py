"""How fast ``labctl plan`` is, and how near its prediction is to a run of the real engine on the wires.

    python -m benchmarks.plan                                 32 cells x 30 cycles, five runs: at most 60 s
    python -m benchmarks.plan --cells 6 --cycles 4 --wire     also a run with real drivers and other seeds: within 2 %

The shipped dead-lithium protocol as in :mod:`benchmarks.dry_run`: a third of the cells each is measured at the first,
middle and last cycle. The comparison is with the real drivers on the wire simulators in virtual time, looked at every
minute as a live laboratory is; that takes about 80 times as long as planning, so it is for small cases. Predicted is
the median of the runs.

Exit 1 where a bound is broken or a cell does not come to its end.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.dry_run import laboratory
from labctl.cli.plan import PlanRequest, run_plan
from labctl.cli.running import RunRequest, run
from labctl.planning import Forecast

SECONDS = 60.0
WITHIN = 0.02
LOOK = 60.0
BEGIN = datetime(2026, 11, 23, 8, tzinfo=UTC)


def wire(request: RunRequest, seed: int) -> dict[str, float]:
    """Run with the real drivers; when each cell had come to its end, s."""
    outcome = run(replace(request, seed=seed, hurried_look=LOOK))
    if set(outcome.states.values()) != {"finished"}:
        raise SystemExit(f"not every cell finished on the wire: {outcome.states}")
    with sqlite3.connect(request.folder / "labctl.sqlite") as journal:
        began = datetime.fromisoformat(journal.execute("select started from campaigns").fetchone()[0])
        rows = journal.execute("select cell, at from cell_states").fetchall()
    journal.close()
    return {cell: (datetime.fromisoformat(at) - began).total_seconds() for cell, at in rows}


def compare(forecast: Forecast, ended: dict[str, float], seed: int) -> bool:
    """Print how far the prediction is from what happened."""
    predicted = forecast.schedule.makespan_s
    happened = max(ended.values())
    off = predicted / happened - 1
    print(
        f"campaign: predicted {predicted / 3600:.2f} h ({forecast.makespans_s[0] / 3600:.2f} to "
        f"{forecast.makespans_s[-1] / 3600:.2f}), "
        f"on the wires with seed {seed} {happened / 3600:.2f} h: {100 * off:+.2f} %"
    )
    single = {}
    for cell, at in ended.items():
        low, high = forecast.spread_s[cell]
        single[cell] = (0.5 * (low + high)) / at - 1
    worst = max(single, key=lambda cell: abs(single[cell]))
    mean = sum(map(abs, single.values())) / len(single)
    print(f"cells: {100 * mean:.2f} % off on average, at most {100 * single[worst]:+.2f} % ({worst})")
    good = abs(off) <= WITHIN
    print(f"  within {100 * WITHIN:g} %: {'kept' if good else 'BROKEN'}")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description="Speed of a plan, and how near it comes to a run on the wires.")
    parser.add_argument("--cells", type=int, default=32)
    parser.add_argument("--cycles", type=int, default=30)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--wire", action="store_true", help="compare with the real drivers")
    parser.add_argument("--seeds", type=int, nargs="*", default=[101], help="of the runs on the wires")
    given = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as made:
        request = laboratory(Path(made) / "plan", given.cells, given.cycles)
        asked = PlanRequest(request.protocol, request.station, request.cells, seed=0, runs=given.runs, begin=BEGIN)
        began = time.perf_counter()
        forecast = run_plan(asked)
        took = time.perf_counter() - began
        schedule = forecast.schedule
        print(
            f"{given.cells} cells x {given.cycles} cycles, {given.runs} runs: {took:.1f} s; {len(schedule.tasks)} "
            f"operations, {len(schedule.actions)} transfers, {schedule.makespan_s / 86400:.2f} simulated days"
        )
        good &= not forecast.unfinished
        if (given.cells, given.cycles) == (32, 30):
            good &= took < SECONDS
            print(f"  at most {SECONDS:g} s: {'kept' if took < SECONDS else 'BROKEN'}")
        for seed in given.seeds if given.wire else ():
            request = laboratory(Path(made) / f"wire-{seed}", given.cells, given.cycles)
            began = time.perf_counter()
            ended = wire(request, seed)
            print(f"on the wires: {time.perf_counter() - began:.1f} s")
            good &= compare(forecast, ended, seed)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
