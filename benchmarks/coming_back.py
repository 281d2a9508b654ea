"""How long a killed orchestrator takes to be back at a simulated laboratory that is a process of its own.

    python benchmarks/coming_back.py [TIMES]

Prints wall and processor seconds from the start of the process until its endpoint is published: its instruments are
connected and its journal is read by then. Each run ends by a kill.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from labctl.cli.demo import PROTOCOL
from labctl.cli.init import make_laboratory
from labctl.engine import lock
from labctl.engine.clock import pause, real_seconds

LABCTL = [sys.executable, "-c", "from labctl.cli import main; main()"]


def back(folder: Path) -> tuple[float, float]:
    """Start the orchestrator, wait until it is reachable, kill it: wall and processor seconds."""
    before, began = os.times(), real_seconds()
    command = [*LABCTL, "run", f"protocols/{PROTOCOL}", "--simulate"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while (lock.read(folder) or {}).get("pid") != process.pid:
        if process.poll() is not None:
            raise SystemExit(f"labctl run ended with {process.returncode}")
        pause(0.005)
    wall = real_seconds() - began
    process.kill()
    process.wait()
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, used


def main() -> int:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_laboratory(folder, quiet=True)
        command = [*LABCTL, "simulate", "--speed", "60", "--json"]
        laboratory = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE)
        try:
            json.loads(laboratory.stdout.readline())
            taken = [back(folder) for _ in range(times)]
        finally:
            laboratory.terminate()
            laboratory.communicate()
    wall, used = (statistics.median(column) for column in zip(*taken, strict=True))
    print(f"restart: median of {times}: {wall:.2f} s wall, {used:.2f} s of a processor")
    return 0


if __name__ == "__main__":
    sys.exit(main())
