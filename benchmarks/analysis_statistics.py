"""What the statistics promise, against drawing: coverage of intervals, honesty of pooled values, power, false alarms.

``run()`` gives one line per promise with the number, its bound, and whether it is kept. Nothing here is timed except
the pooling of a campaign.
"""

from __future__ import annotations

import time

import numpy as np
from scipy.special import stdtrit

from labctl.analysis.control_chart import chart
from labctl.analysis.design import power
from labctl.analysis.loss_rates import line
from labctl.analysis.pooling import pool
from labctl.analysis.statistics import compare


def _said(what: str, value: float, low: float, high: float) -> str:
    return f"{what}: {value:.3f} ({low:g} to {high:g}) {'kept' if low <= value <= high else 'BROKEN'}"


def _intervals(rng: np.random.Generator) -> list[str]:
    held = []
    for _ in range(3000):
        one = compare(rng.normal(0, 1, 4), rng.normal(2, 1, 4))
        held.append(one.low <= 2.0 <= one.high)
    cycles = np.array([1.0, 1, 15, 15, 30, 30])
    slopes = [line(cycles, 3 + 0.6 * cycles + rng.normal(size=6)) for _ in range(3000)]
    return [
        _said("95 % interval of a difference of 4 and 4 cells holds it", float(np.mean(held)), 0.94, 0.97),
        _said("95 % interval of a loss rate holds it",
              float(np.mean([one.slope_low <= 0.6 <= one.slope_high for one in slopes])), 0.94, 0.96),
    ]  # fmt: skip


def _pooled(rng: np.random.Generator) -> list[str]:
    lines = []
    for count, between, own in ((4, 0.02, 0.01), (8, 0.02, 0.01), (8, 0.01, 0.02), (24, 0.02, 0.01)):
        held, pulls, gain = [], [], []
        for _ in range(300):
            sds = own * rng.uniform(0.5, 1.5, size=count)
            true = 1.0 + between * rng.normal(size=count)
            measured = true + sds * rng.normal(size=count)
            found = pool(measured, sds)
            held.append(found.low <= 1.0 <= found.high)
            value = np.array([one.value for one in found.measurements])
            pulls.append((value - true) / [one.sd for one in found.measurements])
            gain.append((np.mean((value - true) ** 2), np.mean((measured - true) ** 2)))
        name = f"{count} cells, spread {between:.0%}, own {own:.0%}"
        better = float(np.sqrt(np.divide(*np.mean(gain, axis=0))))
        lines += [
            _said(f"pooled k, {name}: interval holds the mean", float(np.mean(held)), 0.92, 1.0),
            _said(f"single k, {name}: SD of its pulls", float(np.std(np.concatenate(pulls))), 0.8, 1.1),
            _said(f"single k, {name}: RMSE over that without pooling", better, 0.0, 1.0),
        ]
    return lines


def _repeated(rng: np.random.Generator) -> list[str]:
    cells = [f"c{i}" for i in range(6) for _ in range(3)]
    held, alone = [], []
    for _ in range(250):
        true = 1.0 + np.repeat(0.02 * rng.normal(size=6), 3) + 0.005 * rng.normal(size=18)
        measured, sds = true + 0.008 * rng.normal(size=18), np.full(18, 0.008)
        found, naive = pool(measured, sds, cells=cells), pool(measured, sds)
        held.append(found.low <= 1.0 <= found.high)
        alone.append(naive.low <= 1.0 <= naive.high)
    return [
        _said("pooled k, 6 cells of 3 cycles: interval holds the mean", float(np.mean(held)), 0.92, 1.0),
        _said("the same taken for 18 cells, which it is not", float(np.mean(alone)), 0.0, 0.9),
    ]


def _powers(rng: np.random.Generator) -> list[str]:
    worst, trials = 0.0, 100_000
    for effect, a, b, n, m in ((1.6, 0.2, 1.0, 2, 2), (1.6, 0.2, 1.0, 6, 6), (2, 1, 1, 4, 4), (2, 1, 2, 3, 8)):
        x, y = a * rng.normal(size=(trials, n)), b * rng.normal(size=(trials, m))
        p, q = x.var(axis=1, ddof=1) / n, y.var(axis=1, ddof=1) / m
        t = (effect + y.mean(axis=1) - x.mean(axis=1)) / np.sqrt(p + q)
        drawn = np.mean(np.abs(t) > stdtrit((p + q) ** 2 / (p**2 / (n - 1) + q**2 / (m - 1)), 0.975))
        worst = max(worst, abs(float(drawn) - power(effect, a, n, sd_other=b, cells_other=m)))
    return [_said("power, largest difference to drawing", worst, 0.0, 0.006)]


def _alarms(rng: np.random.Generator) -> list[str]:
    beyond = [sum("beyond 3" in o.reason for o in chart(rng.normal(size=30)).out) for _ in range(1000)]
    shifted = []
    for _ in range(1000):
        found = chart(np.r_[rng.normal(size=20), rng.normal(2, 1, 8)], baseline=20)
        shifted.append(any(one.index >= 20 and not one.warning for one in found.out))
    return [
        _said("control chart, good values beyond 3 sigma, per value", float(np.mean(beyond)) / 30, 0.0, 0.01),
        _said("control chart, a shift of 2 sigma found within 8 values", float(np.mean(shifted)), 0.9, 1.0),
    ]


def _time(rng: np.random.Generator) -> list[str]:
    cells = [f"c{i}" for i in range(24) for _ in range(4)]
    values = 1.0 + np.repeat(0.02 * rng.normal(size=24), 4) + 0.01 * rng.normal(size=96)
    begin = time.perf_counter()
    pool(values, np.full(96, 0.008), cells=cells)
    return [_said("pooling 24 cells of 4 cycles, s", time.perf_counter() - begin, 0.0, 1.0)]


def run() -> list[str]:
    """Check every promise; about half a minute."""
    rng = np.random.default_rng(2025)
    return [
        line
        for part in (_intervals, _pooled, _repeated, _powers, _alarms, _time)
        for line in part(rng)
    ]  # fmt: skip


if __name__ == "__main__":
    print("\n".join(run()))
