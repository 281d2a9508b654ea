"""Everything that the analysis core promises and a machine can check, side by side in one run.

    python -m benchmarks.analysis [--only NAME]

Each line says what was measured, its bound, and whether it was kept; one BROKEN is exit code 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Final

from labctl.engine.clock import real_seconds
from labctl.errors import LabctlError

#: In the order in which they run: what takes long comes last.
NAMES: Final = ("nmr", "impedance", "statistics", "morphology", "campaign", "worlds")


def lines_of(name: str) -> list[str]:
    """Run one benchmark."""
    measure: Callable[[], list[str]] = import_module(f"benchmarks.analysis_{name}").run
    return measure()


def main() -> int:
    """Run them all; give 1 where a bound is broken."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", choices=NAMES, action="append", help="this one alone; may be given several times")
    chosen = options.parse_args().only or NAMES
    broken = 0
    for name in chosen:
        began = real_seconds()
        try:
            lines = lines_of(name)
        except (LabctlError, ImportError, OSError) as error:
            lines = [f"{name}: {error} BROKEN"]
        for line in lines:
            print(line, flush=True)
            broken += "BROKEN" in line
        print(f"-- {name}: {real_seconds() - began:.0f} s", flush=True)
    print(f"{broken} BROKEN" if broken else "all kept")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
