"""T1 from a saturation recovery: what the delays do not tell is refused, never made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic import Acquisition, Line, metal_lines, write_dataset

from labctl.analysis import recovery
from labctl.errors import AnalysisError

DELAYS = tuple(np.geomspace(0.02, 2.0, 8))
SF = 77.77812e6


def series(folder: Path, rng: np.random.Generator, t1: float, saturated: float = 1.0, sigma: float = 4.0) -> list[Path]:
    datasets = []
    for index, delay in enumerate(DELAYS, start=1):
        scale = 1 - saturated * np.exp(-delay / t1)
        lines = tuple(Line(x.ppm, x.area * scale, x.gauss, x.lorentz) for x in metal_lines(2.5, "early", 1.0))
        a = Acquisition(lines, sigma, scans=64, recycle_s=float(delay), points=8192)
        datasets.append(write_dataset(folder / str(index), a, rng))
    return datasets


@pytest.mark.parametrize("t1", [0.05, 0.15, 0.5])
def test_t1_is_found_within_its_error(tmp_path: Path, t1: float) -> None:
    found = recovery.evaluate(series(tmp_path, np.random.default_rng(1), t1), SF)
    assert abs(found.t1_s - t1) < 3 * found.t1_sd_s
    assert found.t1_sd_s < 0.1 * t1
    assert found.saturated == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(("t1", "saturated"), [(5.0, 1.0), (50.0, 1.0), (0.002, 1.0), (0.15, 0.0), (0.15, 0.3)])
def test_delays_that_are_all_too_short_or_too_long_and_a_comb_that_saturates_nothing_are_refused(
    tmp_path: Path, t1: float, saturated: float
) -> None:
    rng = np.random.default_rng(2)
    for attempt, sigma in enumerate((4.0, 40.0, 4.0, 40.0)):
        datasets = series(tmp_path / str(attempt), rng, t1, saturated, sigma)
        with pytest.raises(AnalysisError, match=r"do not tell T1|nothing to see recover|no metal line"):
            recovery.evaluate(datasets, SF)


def test_fewer_than_four_delays_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="at least 4 different"):
        recovery.evaluate(series(tmp_path, np.random.default_rng(3), 0.15)[:3], SF)
