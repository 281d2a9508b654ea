"""How long commands take to start, against Python itself in the same run.

    python benchmarks/startup.py

``labctl --help`` may take at most 15 times, ``labctl status`` on a small journal at most 40 times what ``python -c
pass`` takes. Prints the medians and the ratios; exit 1 if one is beyond its bound.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from labctl.cli.demo import PROTOCOL
from labctl.cli.init import make_laboratory
from labctl.cli.running import RunRequest, run
from labctl.engine.clock import real_seconds

RUNS = 15
BOUNDS = {"labctl --help": 15.0, "labctl status": 40.0}


def median_seconds(command: list[str], folder: Path) -> float:
    """Give the median wall time of a command as a whole process."""
    times = []
    for _ in range(RUNS):
        began = real_seconds()
        subprocess.run(command, cwd=folder, capture_output=True, check=False)
        times.append(real_seconds() - began)
    return statistics.median(times)


def small_laboratory(folder: Path) -> None:
    """Run one cell to the end, so that there is a journal."""
    make_laboratory(folder, quiet=True)
    cells = folder / "cells.yaml"
    cells.write_text("\n".join(cells.read_text().splitlines()[:5]) + "\n")
    files = (folder / "protocols" / PROTOCOL, folder / "station.yaml", cells)
    run(RunRequest(folder, *files, simulate=True, accelerate=True))


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        laboratory = Path(folder) / "lab"
        small_laboratory(laboratory)
        labctl = str(Path(sys.executable).with_name("labctl"))
        nothing = median_seconds([sys.executable, "-c", "pass"], laboratory)
        print(f"python -c pass  {1e3 * nothing:6.1f} ms")
        good = True
        for name, bound in BOUNDS.items():
            taken = median_seconds([labctl, *name.split()[1:]], laboratory)
            ratio = taken / nothing
            good &= ratio <= bound
            print(f"{name:<15} {1e3 * taken:6.1f} ms  {ratio:5.1f} times, at most {bound:g}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
