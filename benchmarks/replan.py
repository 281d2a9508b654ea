"""How fast the rest of a running campaign is planned anew, and how near that comes to what happens.

    python -m benchmarks.replan                               32 cells x 30 cycles: below 1 s CPU, within 2 %
    python -m benchmarks.replan --cells 6 --cycles 3 --seeds 1 2 3 4 5

The shipped dead-lithium protocol as in :mod:`benchmarks.dry_run`, planned with seed 0. What happens is a run of the
engine in virtual time with another seed, without wires; its journal is cut off at nine instants, and at each the rest
is planned. Given are the differences between expected and real end of the campaign, as parts of the time that remained;
beside them those of the plan moved by what its last cell is behind.

Small campaigns, in which cells race for one spectrometer that each of them keeps for hours, are told without a bound.

Exit 1 where a bound is broken.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.dry_run import laboratory
from labctl.cli.plan_kept import against, keep
from labctl.cli.planned_run import planned_run
from labctl.cli.taking_up import check_files
from labctl.journal import FILE_NAME

SECONDS = 1.0
WITHIN = 0.02
LOOKS = 9
BEGIN = datetime(2026, 11, 23, 8, tzinfo=UTC)
#: The statuses of an operation in their order, and those in which it holds what it needs.
STATUSES = ("requested", "leased", "intent", "running", "fetched", "done")


def cut(journal: Path, now: datetime) -> None:
    """Make a journal what it was at an instant."""
    instant = now.isoformat(timespec="milliseconds")
    with closing(sqlite3.connect(journal)) as connection, connection:
        homes = dict(connection.execute("SELECT cell, place FROM positions"))
        moved: dict[str, str] = {}
        found = connection.execute('SELECT operation, cell, kind, times, result FROM operations ORDER BY "order"')
        for operation, cell, kind, times, result in found.fetchall():
            then = {status: at for status, at in json.loads(times).items() if at <= instant}
            if not then:
                connection.execute("DELETE FROM operations WHERE operation = ?", (operation,))
                continue
            status = max(then, key=STATUSES.index)
            told = (status, json.dumps(then), operation)
            connection.execute("UPDATE operations SET status = ?, times = ? WHERE operation = ?", told)
            if kind == "transfer":
                asked = json.loads(result)["request"]
                moved.setdefault(cell, asked["source"])
                moved[cell] = asked["target"] if status == "done" else moved[cell]
        for cell, place in {**homes, **moved}.items():
            connection.execute("UPDATE positions SET place = ? WHERE cell = ?", (place, cell))
        connection.execute("UPDATE cell_states SET state = 'under way' WHERE at > ?", (instant,))
        connection.execute("UPDATE campaigns SET ended = NULL WHERE ended > ?", (instant,))
        connection.execute("DELETE FROM events WHERE at > ?", (instant,))


def measure(folder: Path, cells: int, cycles: int, seed: int) -> tuple[list[float], list[float], list[float]]:
    """Give how far the expectations were off, how far the moved plan was, and the CPU seconds."""
    request = laboratory(folder, cells, cycles)
    campaign = check_files(request.protocol, request.station, request.cells)
    plan = planned_run(campaign, 0, BEGIN)
    happened = planned_run(campaign, seed, BEGIN, folder / FILE_NAME)
    end = BEGIN + timedelta(seconds=happened.makespan_s)
    off, moved, took = [], [], []
    for number in range(1, LOOKS + 1):
        now = BEGIN + timedelta(seconds=number * happened.makespan_s / (LOOKS + 1))
        then = folder / f"look-{number}"
        keep(then, plan.to_json())
        shutil.copy(folder / FILE_NAME, then)
        cut(then / FILE_NAME, now)
        began = time.process_time()
        found = against(then, {"orchestrator": "running", "time": now.isoformat(), "cells": []})
        took.append(time.process_time() - began)
        if found is None or found["replanned"] is None:
            raise SystemExit(f"nothing was planned at {now}: {found and found['why_not']}")
        left = end - now
        shifted = max(
            datetime.fromisoformat(one["planned_end"]) + timedelta(seconds=one["behind_s"]) for one in found["cells"]
        )
        off.append((datetime.fromisoformat(found["expected_end"]) - end) / left)
        moved.append((shifted - end) / left)
    shown = ", ".join(f"{100 * one:+.1f}" for one in off)
    print(f"seed {seed}, {happened.makespan_s / 3600:.1f} h: off by {shown} % of what remained")
    return off, moved, took


def main() -> int:
    parser = argparse.ArgumentParser(description="Speed and truth of planning the rest of a campaign anew.")
    parser.add_argument("--cells", type=int, default=32)
    parser.add_argument("--cycles", type=int, default=30)
    parser.add_argument("--seeds", type=int, nargs="*", default=[3])
    given = parser.parse_args()
    off, moved, took = list[float](), list[float](), list[float]()
    for seed in given.seeds:
        with tempfile.TemporaryDirectory() as made:
            for all_of, some in zip(
                (off, moved, took), measure(Path(made), given.cells, given.cycles, seed), strict=True
            ):
                all_of += some
    for name, found in (("planned anew", off), ("plan moved", moved)):
        sizes = [abs(one) for one in found]
        within = sum(one <= WITHIN for one in sizes)
        print(
            f"{name}: median {100 * statistics.median(sizes):.2f} %, at most {100 * max(sizes):.2f} %, "
            f"{within} of {len(sizes)} within {100 * WITHIN:g} %"
        )
    print(f"CPU time: median {statistics.median(took):.2f} s, at most {max(took):.2f} s")
    if (given.cells, given.cycles) != (32, 30):
        return 0
    good = max(map(abs, off)) <= WITHIN and max(took) < SECONDS
    print(f"  within {100 * WITHIN:g} %, below {SECONDS:g} s: {'kept' if good else 'BROKEN'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
