"""How much a better start of the cells brings: 32 cells x 30 cycles, one spectrometer, one potentiostat, one person.

    python -m benchmarks.stagger                   with somebody there day and night, and with working hours
    python -m benchmarks.stagger --cells 8 --runs 1 --effort 2

The shipped dead-lithium protocol; a third of the cells each is measured, and ends, at cycles 1, 15 and 30. Every
campaign is planned with all cells started at once and with the proposed starts, the latter with seeds that the proposal
has not seen. Bounds: fresh cells wait at most half as long, and the makespan is within 5 % of the lower bound. With
working hours it may be longer where the best that was found near the bound, run by the engine as well, does not halve
the waiting; that is printed, and where the time goes.

Exit 1 where a bound is broken.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.dry_run import cells_file, station
from labctl.cli.demo import PROTOCOL
from labctl.cli.init import make_laboratory
from labctl.cli.plan import PlanRequest
from labctl.cli.plan_stagger import StaggerRequest, stagger
from labctl.cli.plan_staggered import tell

#: A Monday, 08:00.
BEGIN = datetime(2026, 11, 23, 8, tzinfo=UTC)
HOURS = "Mo-Fr 08:00-19:00"
MEASURED = (1, 15, 30)
NEAR = 1.05
HALF = 0.5


def laboratory(folder: Path, cells: int, hours: str | None) -> PlanRequest:
    """Make a laboratory folder with the shipped protocol."""
    make_laboratory(folder, quiet=True)
    text = station(cells)
    if hours is not None:
        text = text.replace("{name: operator}", f'{{name: operator, hours: "{hours}"}}')
    (folder / "station.yaml").write_text(text)
    (folder / "cells.yaml").write_text(cells_file(cells, MEASURED))
    files = folder / "protocols" / PROTOCOL, folder / "station.yaml", folder / "cells.yaml"
    return PlanRequest(*files, seed=0, runs=1, begin=BEGIN)


def measure(cells: int, hours: str | None, runs: int, effort: float, method: str) -> bool:
    """Propose, plan again with other seeds, print, and say whether the bounds are kept."""
    with tempfile.TemporaryDirectory() as made:
        request = laboratory(Path(made) / "laboratory", cells, hours)
        began = time.perf_counter()
        found = stagger(StaggerRequest(request, runs=runs, effort=effort, method=method))
        wall = time.perf_counter() - began
    print(f"-- {cells} cells, {hours or 'somebody always there'}: {wall:.0f} s", flush=True)
    for line in tell(found):
        print(line)
    near = found.after.makespan_s / found.bound.seconds
    waits = found.before.fresh_s or 1.0
    half = found.after.fresh_s / waits
    short = found.near.fresh_s / waits if found.near is not None else None
    explained = hours is not None and short is not None and short > HALF
    good = half <= HALF and (near <= NEAR or explained)
    print(f"   {near:.3f} x the lower bound (at most {NEAR:g}), fresh cells wait {half:.2f} x (at most {HALF:g}): "
          f"{'kept' if near <= NEAR and good else 'longer, and shown why' if good else 'BROKEN'}")  # fmt: skip
    if short is not None:
        print(f"   near the bound fresh cells would wait {short:.2f} x")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description="What staggered starts bring.")
    parser.add_argument("--cells", type=int, default=32)
    parser.add_argument("--runs", type=int, default=2, help="plans that durations and result are taken from")
    parser.add_argument("--effort", type=float, default=6.0)
    parser.add_argument("--method", choices=("auto", "cp-sat", "heuristic"), default="auto")
    parser.add_argument("--hours", choices=("always", "working", "both"), default="both")
    given = parser.parse_args()
    wanted = {"always": (None,), "working": (HOURS,), "both": (None, HOURS)}[given.hours]
    good = [measure(given.cells, hours, given.runs, given.effort, given.method) for hours in wanted]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
