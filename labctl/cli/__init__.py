"""The command line: composes everything else and shows it. One thin face over queries and commands."""

from __future__ import annotations

import gc
import os
import sys

# The evaluations solve many small systems. More threads than this one only spin beside the loop that serves the
# laboratory; numpy reads this once, when it is imported, and a word of the user's own counts.
for _library in ("OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(_library, "1")


def main() -> None:
    """Run ``labctl``; every error of ours becomes one message on stderr and its exit code."""
    from labctl.cli.app import run_app

    code = run_app(sys.argv[1:])
    # The interpreter searches all that is left for garbage before it ends: half a second after a large evaluation.
    gc.freeze()
    sys.exit(code)


__all__ = ["main"]
