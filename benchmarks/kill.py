"""Kills the orchestrator again and again while the laboratory goes on: ``python -m benchmarks.kill --kills 200``.

Prints one line of counts for each campaign, judged from the instruments' own logs; exit code 1 where anything is not
as in an undisturbed run. ``--boundaries`` kills right before and right after every commit of every kind of operation
instead of at random instants.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.crash.kill_harness import (
    PROTOCOLS,
    Outcome,
    Setting,
    boundaries_of,
    boundary_kills,
    random_kills,
    undisturbed,
)


def main() -> int:
    """Run campaigns until there were as many kills as asked for."""
    arguments = _arguments()
    left, failed, seed = arguments.kills, False, arguments.seed
    with tempfile.TemporaryDirectory(prefix="labctl-kill-") as temporary:
        folder = arguments.lab or Path(temporary)
        while True:
            setting = Setting(arguments.cells, arguments.cycles, seed, arguments.speed, arguments.campaign)
            here = folder / f"seed-{seed}"
            twin = undisturbed(setting, here / "undisturbed")
            if arguments.boundaries:
                outcome = boundary_kills(setting, here / "killed", twin, boundaries_of(setting.campaign))
            else:
                outcome = random_kills(setting, here / "killed", twin, left)
            failed = _report(outcome, setting) or failed
            left -= outcome.kills
            if arguments.boundaries or left <= 0 or outcome.kills == 0 or outcome.problems:
                return 1 if failed else 0
            seed += 1


def _report(outcome: Outcome, setting: Setting) -> bool:
    print(
        f"kill: {setting.campaign}, {setting.cells} cells x {setting.cycles} cycles, "
        f"seed {setting.seed}, speed {setting.speed:g}: " + outcome.line(),
        flush=True,
    )
    for problem in outcome.problems[:20]:
        print(f"  {problem}", file=sys.stderr)
    return bool(outcome.problems)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how many, at random instants (200)")
    parser.add_argument("--boundaries", action="store_true", help="at every commit boundary of every kind instead")
    parser.add_argument("--campaign", choices=tuple(PROTOCOLS), default="cycling", help="what the cells do (cycling)")
    parser.add_argument("--seed", type=int, default=1, help="of cells, noise and kills (1)")
    parser.add_argument("--speed", type=float, default=300.0, help="simulated seconds in a real one (300)")
    parser.add_argument("--cells", type=int, default=8, help="1 to 8 (8)")
    parser.add_argument("--cycles", type=int, default=2, help="all of them measured (2)")
    parser.add_argument("--lab", type=Path, help="folder to keep everything in; a temporary one by default")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
