"""Are the reported standard deviations true? The demo's shares against the virtual cells' truth, over many seeds.

    python benchmarks/shares_against_truth.py [SEEDS] [FIRST]

For every seed the whole demo runs; every share of every cell gives (result - truth) / standard deviation. The fraction
within 1 and 2 SD must lie inside the 99 % binomial band of a normal distribution. Prints one line per seed, the pooled
fractions with their bands, and those of each share.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from scipy import stats

from labctl.cli.analyze_shown import SHARES
from labctl.cli.demo import demo_run
from labctl.engine.clock import real_seconds


def deviations(data: dict) -> list[tuple[str, float]]:
    """Give share and deviation in standard deviations, of every measured cycle."""
    return [
        (share, (cycle[f"{share}_percent"] - cycle[f"{share}_percent_truth"]) / cycle[f"{share}_percent_sd"])
        for cell in data["cells"]
        for cycle in cell["cycles"]
        if cycle.get("dead_percent") is not None
        for share in SHARES
    ]


def band(probability: float, count: int) -> tuple[float, float]:
    """Give the 99 % binomial band of a fraction."""
    low, high = stats.binom.interval(0.99, count, probability)
    return low / count, high / count


def verdict(name: str, values: list[float]) -> bool:
    """Print the fractions of one set of deviations; say whether both are inside their bands."""
    inside = True
    parts = []
    for width in (1, 2):
        fraction = sum(abs(value) <= width for value in values) / len(values)
        low, high = band(2 * stats.norm.cdf(width) - 1, len(values))
        inside &= low <= fraction <= high
        parts.append(f"within {width} SD {fraction:.3f} (band {low:.3f} to {high:.3f})")
    mean = sum(values) / len(values)
    largest = max(map(abs, values))
    print(f"{name:<12} n {len(values):5d}  {parts[0]}  {parts[1]}  mean {mean:+.3f}  largest {largest:.2f}")
    return inside


def main() -> int:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    pooled: list[tuple[str, float]] = []
    for seed in range(first, first + seeds):
        began = real_seconds()
        with tempfile.TemporaryDirectory(prefix="labctl-seed-") as folder:
            data, _ = demo_run(Path(folder) / "lab", seed)
        found = deviations(data)
        pooled += found
        worst = max(found, key=lambda one: abs(one[1]))
        print(f"seed {seed:3d}: {real_seconds() - began:5.1f} s, largest {worst[1]:+.2f} SD ({worst[0]})", flush=True)
    inside = verdict("all", [value for _, value in pooled])
    for share in SHARES:
        verdict(share, [value for name, value in pooled if name == share])
    print("inside both bands" if inside else "OUTSIDE")
    return 0 if inside else 1


if __name__ == "__main__":
    sys.exit(main())
