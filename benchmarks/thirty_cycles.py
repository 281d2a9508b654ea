"""How long thirty cycles of one cell take with ``--accelerate``: under 30 s.

python benchmarks/thirty_cycles.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from labctl.cli.demo import PROTOCOL
from labctl.cli.init import make_laboratory
from labctl.cli.running import RunRequest, run
from labctl.engine.clock import real_seconds

BOUND = 30.0


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        laboratory = Path(folder) / "lab"
        make_laboratory(laboratory, quiet=True)
        cells = laboratory / "cells.yaml"
        text = "\n".join(cells.read_text().splitlines()[:5]) + "\n"
        cells.write_text(text.replace("measure_at: [1]", "measure_at: [30]"))
        began = real_seconds()
        files = (laboratory / "protocols" / PROTOCOL, laboratory / "station.yaml", cells)
        outcome = run(RunRequest(laboratory, *files, simulate=True, accelerate=True))
        taken = real_seconds() - began
    print(f"{outcome.states}: {taken:.1f} s, at most {BOUND:g}")
    return 0 if taken < BOUND and set(outcome.states.values()) == {"finished"} else 1


if __name__ == "__main__":
    sys.exit(main())
