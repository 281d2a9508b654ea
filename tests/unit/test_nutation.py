from __future__ import annotations

import numpy as np
import pytest
from synthetic import Acquisition, Line, metal_lines, write_dataset

from labctl.analysis import nutation
from labctl.errors import AnalysisError

PULSES = tuple(np.linspace(3.0, 24.0, 8))
SF = 77.77812e6


def series(folder, rng, t90=7.0, pulses=PULSES, sigma=4.0, decay=60.0, scatter=0.0, **more):
    datasets = []
    for index, pulse in enumerate(pulses, start=1):
        scale = np.sin(np.pi / 2 * pulse / t90) * np.exp(-pulse / decay) * (1 + scatter * rng.normal())
        lines = tuple(Line(x.ppm, x.area * scale, x.gauss, x.lorentz) for x in metal_lines(2.5, "early", 1.0))
        a = Acquisition(lines, sigma, scans=64, pulse_us=float(pulse), points=8192, **more)
        datasets.append(write_dataset(folder / str(index), a, rng))
    return datasets


@pytest.mark.parametrize("t90", [6.5, 7.5, 12.5])
def test_the_pulse_is_found_within_its_error(tmp_path, t90):
    found = nutation.evaluate(series(tmp_path, np.random.default_rng(1), t90), SF)
    assert abs(found.t90_s * 1e6 - t90) < 3 * found.t90_sd_s * 1e6
    assert found.t90_sd_s < 0.02 * found.t90_s
    assert found.b1_Hz == pytest.approx(0.25 / found.t90_s)


@pytest.mark.parametrize("scatter", [0.0, 0.02])
def test_the_error_of_the_pulse_is_its_scatter(tmp_path, scatter):
    rng = np.random.default_rng(2)
    found = [nutation.evaluate(series(tmp_path, rng, scatter=scatter), SF) for _ in range(40)]
    away = np.array([(one.t90_s * 1e6 - 7.0) / (one.t90_sd_s * 1e6) for one in found])
    assert 0.7 < np.sqrt(np.mean(away**2)) < 1.6
    assert abs(np.mean(away)) < 0.6


def test_the_order_of_the_datasets_does_not_matter(tmp_path):
    datasets = series(tmp_path, np.random.default_rng(3))
    forth, back = nutation.evaluate(datasets, SF), nutation.evaluate(datasets[::-1], SF)
    assert forth.t90_s == pytest.approx(back.t90_s, rel=1e-6)


def test_without_a_reference_the_datasets_own_zero_serves(tmp_path):
    found = nutation.evaluate(series(tmp_path, np.random.default_rng(4)))
    assert found.t90_s == pytest.approx(7e-6, rel=0.03)


def test_too_few_pulses_are_refused(tmp_path):
    with pytest.raises(AnalysisError, match="at least 4 different"):
        nutation.evaluate(series(tmp_path, np.random.default_rng(5), pulses=(3.0, 6.0, 9.0)), SF)


def test_pulses_that_are_all_short_are_refused(tmp_path):
    with pytest.raises(AnalysisError, match="do not tell"):
        nutation.evaluate(series(tmp_path, np.random.default_rng(6), t90=40.0, pulses=(1.0, 1.5, 2.0, 2.5, 3.0)), SF)


def test_a_cell_without_metal_is_refused(tmp_path):
    with pytest.raises(AnalysisError, match="no metal line"):
        nutation.evaluate(series(tmp_path, np.random.default_rng(7), decay=0.2), SF)


def test_datasets_of_different_recycle_delays_are_refused(tmp_path):
    rng = np.random.default_rng(8)
    datasets = series(tmp_path / "a", rng)[:4] + series(tmp_path / "b", rng, recycle_s=2.0)[4:]
    with pytest.raises(AnalysisError, match="differ in recycle_delay_s"):
        nutation.evaluate(datasets, SF)


@pytest.mark.parametrize(
    ("t90", "longest", "noise"), [(7.0, 7.0, 30.0), (7.0, 4.0, 10.0), (14.0, 16.0, 30.0), (1.2, 16.0, 100.0)]
)
def test_a_series_that_does_not_tell_the_pulse_never_tells_a_wrong_one(tmp_path, t90, longest, noise):
    """Too short, or too coarse for the field; the noise is given as the signal-to-noise ratio of a full pulse."""
    rng = np.random.default_rng(9)
    pulses = tuple(np.linspace(longest / 8, longest, 8))
    for attempt in range(8):
        datasets = series(tmp_path / str(attempt), rng, t90=t90, pulses=pulses, sigma=400.0 / noise)
        try:
            found = nutation.evaluate(datasets, SF)
        except AnalysisError:
            continue
        assert found.t90_s * 1e6 == pytest.approx(t90, rel=0.1)
