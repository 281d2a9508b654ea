"""Are shares unbiased, and their deviations true, in worlds that the analysis was not made after?

    python -m benchmarks.analysis_worlds [CASES]

500 seeded cells in each of the tests' recoverable worlds (tests/unit/worlds.py: line shapes, background, skin effect,
temperature, insertion, recharge, corrosion, T1, factor, gain, pulse and leak of their own). For every world and share:
the mean and the standard deviation of the pulls (result less truth, over the deviation that the result claims), and the
bias in percent of the first charge with its own standard error.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "unit"))

from worlds import RECOVERABLE, Outcome, explore

CASES = 500
_SEED = 2025
_MEAN = 0.15
_SD = (0.85, 1.15)
_BIAS = 0.1


def _world(name: str, cases: int) -> tuple[str, Outcome]:
    return name, explore(RECOVERABLE[name], cases, _SEED)


def lines_of(name: str, outcome: Outcome) -> list[str]:
    """Give the lines of one world."""
    found = []
    for share, pulls in outcome.pulls.items():
        errors = np.array(outcome.errors[share])
        mean, sd = float(np.mean(pulls)), float(np.std(pulls, ddof=1))
        bias, unsure = float(np.mean(errors)), float(np.std(errors, ddof=1) / np.sqrt(len(errors)))
        kept = abs(mean) <= _MEAN and _SD[0] <= sd <= _SD[1]
        small = abs(bias) < _BIAS
        found.append(
            f"worlds: {name.replace('_', ' ')}, {share}, {len(pulls)} of {outcome.cases}: pulls mean {mean:+.3f} "
            f"(within ±{_MEAN:g}), SD {sd:.3f} ({_SD[0]:g} to {_SD[1]:g}) {'kept' if kept else 'BROKEN'}; "
            f"bias {bias:+.4f} ± {unsure:.4f} % of the first charge (below {_BIAS:g}) {'kept' if small else 'BROKEN'}"
        )
    if outcome.refused:
        found.append(f"worlds: {name.replace('_', ' ')}: {len(outcome.refused)} refusals, none expected BROKEN")
    return found


def run(cases: int = CASES) -> list[str]:
    """Evaluate every recoverable world; one line for each share."""
    with ProcessPoolExecutor(2) as pool:
        done = list(pool.map(_world, RECOVERABLE, [cases] * len(RECOVERABLE)))
    return [line for name, outcome in done for line in lines_of(name, outcome)]


if __name__ == "__main__":
    for text in run(int(sys.argv[1]) if len(sys.argv) > 1 else CASES):
        print(text)
