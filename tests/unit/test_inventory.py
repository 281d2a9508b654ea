from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.analysis import allocate
from labctl.analysis.budget import TERMS
from labctl.analysis.inventory import SHARES
from labctl.errors import AnalysisError

WORKED = {"first_charge_capacity": 2.620, "discharge_capacity": 2.300, "integral_charged": 100.0,
          "integral_discharged": 8.80, "integral_dead": 0.55}  # fmt: skip


def test_the_worked_example_comes_out_to_the_last_digit():
    a = allocate(**WORKED, soc_factor=1.08, hold_capacity=0.236)
    assert a.conversion == pytest.approx(0.0254154880, abs=5e-11)
    assert (a.dead, a.excess) == pytest.approx((0.01509680, 0.22645200), abs=5e-9)
    percents = (a.reversible_percent, a.excess_percent, a.dead_percent, a.interphase_percent)
    assert percents == pytest.approx((87.78626, 8.64321, 0.57621, 2.99432), abs=5e-6)
    assert a.excess_coulometric_percent == pytest.approx(9.00763, abs=5e-6)


def test_the_worked_errors_agree_with_theory_and_with_drawing():
    a = allocate(**WORKED, sigma_integral=0.3, sigma_soc_factor=0.01, sigma_capacity=0.002)
    assert a.dead_percent_sd == pytest.approx(0.31437, abs=5e-6)
    assert a.excess_percent_sd == pytest.approx(0.4768, rel=0.01)
    assert a.interphase_percent_sd == pytest.approx(0.3709, abs=5e-5)
    rng = np.random.default_rng(5)
    drawn = {share: [] for share in SHARES}
    for _ in range(8000):
        Ic, Id, Iv = np.array([100.0, 8.8, 0.55]) + 0.3 * rng.normal(size=3)
        one = allocate(2.62, 2.3 + 0.002 * rng.normal(), Ic, Id, Iv, soc_factor=1.08 + 0.01 * rng.normal())
        for share in SHARES:
            drawn[share].append(one.percent(share))
    for share in SHARES:
        assert np.std(drawn[share]) == pytest.approx(a.percent_sd(share), rel=0.035), share


positive = st.floats(0.05, 20.0)


@given(first=positive, part=st.floats(0.1, 1.1), Ic=st.floats(1.0, 1e6), d=st.floats(-0.05, 0.8),
       v=st.floats(-0.05, 0.8), f=st.floats(0.9, 1.2))  # fmt: skip
def test_the_four_shares_always_add_up_to_a_hundred(first, part, Ic, d, v, f):
    a = allocate(first, first * part, Ic, d * Ic, v * Ic, soc_factor=f)
    assert sum(a.percent(share) for share in SHARES) == pytest.approx(100.0, abs=1e-9)
    assert sum(a.mAh(share) for share in SHARES) == pytest.approx(first, rel=1e-12, abs=1e-9)


@given(Q=st.floats(0.5, 2.6), Id=st.floats(0.0, 40.0), Iv=st.floats(-1.0, 10.0), f=st.floats(1.0, 1.15),
       which=st.integers(0, 4))  # fmt: skip
def test_each_error_term_is_the_slope_times_the_deviation(Q, Id, Iv, f, which):
    """One input uncertain at a time; central differences through the public function."""
    base = np.array([100.0, Id, Iv, f, Q])
    step = np.array([1e-3, 1e-3, 1e-3, 1e-6, 1e-6])[which]

    def percents(inputs):
        a = allocate(2.62, inputs[4], *inputs[:3], soc_factor=inputs[3])
        return np.array([a.percent(share) for share in SHARES])

    shift = np.zeros(5)
    shift[which] = step
    slope = (percents(base + shift) - percents(base - shift)) / (2 * step)
    sigma = [0.01, 0.01, 0.01, 0.001, 0.001][which]
    integrals = tuple(sigma if which == i else 0.0 for i in range(3))
    a = allocate(2.62, Q, *base[:3], soc_factor=f, sigma_integral=integrals, sigma_soc_factor=sigma * (which == 3),
                 sigma_capacity=sigma * (which == 4))  # fmt: skip
    found = [a.percent_sd(share) for share in SHARES]
    assert found == pytest.approx(np.abs(slope) * sigma, rel=1e-4, abs=1e-7)


def test_the_budget_names_its_terms_and_adds_up_to_the_deviation():
    a = allocate(**WORKED, sigma_integral=(0.3, 0.2, 0.1), sigma_soc_factor=0.015, sigma_capacity=0.003)
    for share in SHARES:
        assert {name for name, value in a.budget[share].items() if value} == {"noise", "soc_factor", "cycler"} - set(
            ("noise", "soc_factor") if share == "reversible" else ()
        )
        assert tuple(a.budget[share]) == tuple(TERMS)
        assert np.hypot.reduce(list(a.budget[share].values())) == pytest.approx(a.percent_sd(share))


def test_the_hold_changes_nothing_but_its_own_number():
    without, with_hold = allocate(**WORKED), allocate(**WORKED, hold_capacity=0.2)
    assert without.excess_coulometric is None
    assert all(without.percent(share) == with_hold.percent(share) for share in SHARES)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"integral_charged": 8.0}, "does not exceed"),
        ({"integral_discharged": 95.0}, "does not exceed"),
        ({"integral_charged": -1.0, "integral_discharged": -5.0}, "must be positive"),
        ({"first_charge_capacity": 0.0}, "first charge capacity must be positive"),
        ({"discharge_capacity": -1.0}, "discharge capacity must be positive"),
        ({"integral_dead": float("nan")}, "dead integral is not a finite number"),
        ({"soc_factor": 0.0}, "SOC factor must be positive"),
        ({"sigma_integral": -0.1}, "standard deviation"),
        ({"sigma_integral": (0.1, float("inf"), 0.1)}, "standard deviation"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_in_words(change, said):
    with pytest.raises(AnalysisError, match=said):
        allocate(**(WORKED | change))
