from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import stdtrit

from labctl.analysis.control_chart import chart
from labctl.analysis.design import cells_needed, power, sd_upper_limit, smallest_effect
from labctl.analysis.loss_rates import line, loss_rates
from labctl.analysis.pooling import pool
from labctl.analysis.statistics import Summary, adjusted, compare, summary
from labctl.errors import AnalysisError, DataError

# -- replicates and comparison -------------------------------------------------------------------------------------


def test_two_cells_differ_by_root_two_standard_deviations():
    found = summary([18.7, 19.1])
    assert (found.mean, found.n) == (pytest.approx(18.9), 2)
    assert found.sd == pytest.approx(0.4 / math.sqrt(2))
    assert found.interval()[1] - found.mean == pytest.approx(12.706 * found.sd / math.sqrt(2), rel=1e-4)


def test_a_single_cell_has_no_spread():
    found = summary([18.7])
    assert (found.sd, found.interval(), str(found)) == (None, None, "18.7 (n = 1)")
    with pytest.raises(DataError, match="at least 1"):
        summary([])


def test_the_two_cells_of_the_paper_show_no_difference():
    found = compare(Summary(18.9, 0.2, 2), Summary(20.5, 1.0, 2), names=("coated", "bare"))
    assert (found.t, found.df, found.p) == pytest.approx((2.22, 1.08, 0.25), abs=0.005)
    assert found.low < 0 < found.high
    assert "bare 20.5 ± 1 (n = 2) against coated 18.9 ± 0.2 (n = 2)" in found.sentence
    assert "do not show that the groups differ, nor that they are equal" in found.sentence
    assert "itself uncertain by 60 %" in found.sentence


def test_a_clear_difference_is_called_one_with_no_more_than_that():
    rng = np.random.default_rng(1)
    found = compare(5.4 + 0.4 * rng.normal(size=5), 2.1 + 0.3 * rng.normal(size=4), names=("bare", "coated"))
    assert found.significant
    assert found.high < 0
    assert "unlikely without a cause" in found.sentence


def test_equal_spreads_and_numbers_give_students_t():
    """Known by hand: 1, 2, 3 against 4, 5, 6: t = 3.674, df = 4, p = 0.0213."""
    found = compare([1, 2, 3], [4, 5, 6])
    assert (found.t, found.df, found.p) == pytest.approx((3.6742, 4.0, 0.021312), rel=1e-4)


def test_the_interval_holds_the_true_difference_as_often_as_it_says():
    rng = np.random.default_rng(3)
    held = []
    for _ in range(500):
        one = compare(rng.normal(0, 1, 5), rng.normal(2, 2, 5))
        held.append(one.low <= 2.0 <= one.high)
    assert 0.92 <= np.mean(held) <= 0.975


def test_a_small_group_with_the_wider_spread_is_warned_of():
    """Drawn without labctl: two cells against five of half the spread alarm in 10 % of cases, not in 5."""
    rng = np.random.default_rng(4)
    a, b = 2 * rng.normal(size=(40000, 2)), rng.normal(size=(40000, 5))
    p, q = a.var(axis=1, ddof=1) / 2, b.var(axis=1, ddof=1) / 5
    t = (a.mean(axis=1) - b.mean(axis=1)) / np.sqrt(p + q)
    alarms = np.mean(np.abs(t) > stdtrit((p + q) ** 2 / (p**2 + q**2 / 4), 0.975))
    assert alarms == pytest.approx(0.097, abs=0.006)
    assert "twice as often as it says" in compare([1.0, 5.0], [1.0, 1.5, 2.0, 1.2, 1.8]).sentence
    assert "twice as often as it says" not in compare([1.0, 1.2], [1.0, 5.0, 2.0, 1.2, 1.8]).sentence


@pytest.mark.parametrize(("first", "said"), [([1.0], "found 1"), ([2.0, 2.0], "any spread")])
def test_what_cannot_be_compared_is_refused(first, said):
    with pytest.raises(AnalysisError, match=said):
        compare(first, [3.0, 3.0])


def test_several_comparisons_are_adjusted():
    assert adjusted([0.04, 0.01, 0.03]) == pytest.approx((0.06, 0.03, 0.06))
    assert adjusted([0.9, 0.8]) == (1.0, 1.0)


# -- loss rates ----------------------------------------------------------------------------------------------------


def test_a_line_and_its_deviation_are_those_of_least_squares():
    """Against the normal equations in matrix form."""
    rng = np.random.default_rng(5)
    x = np.array([1.0, 5, 15, 15, 30])
    y = 3.0 + 0.6 * x + 0.5 * rng.normal(size=5)
    basis = np.stack([np.ones(5), x], axis=1)
    free = np.linalg.solve(basis.T @ basis, basis.T @ y)
    variance = np.sum((y - basis @ free) ** 2) / 3
    sds = np.sqrt(variance * np.diag(np.linalg.inv(basis.T @ basis)))
    found = line(x, y)
    assert (found.intercept, found.slope) == pytest.approx(tuple(free))
    assert (found.intercept_sd, found.slope_sd) == pytest.approx(tuple(sds))
    assert found.slope_high - found.slope == pytest.approx(3.1824 * sds[1], rel=1e-4)


def test_the_slopes_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(6)
    held = []
    for _ in range(400):
        one = line([1, 1, 15, 15, 30, 30], 3 + 0.6 * np.array([1, 1, 15, 15, 30, 30]) + rng.normal(size=6))
        held.append(one.slope_low <= 0.6 <= one.slope_high)
    assert 0.92 <= np.mean(held) <= 0.98


def test_cells_measured_at_several_cycles_give_the_spread_between_cells():
    cycles = [1, 15, 30]
    cells = {f"c{i}": (cycles, [2.5 + rate * (n - 1) for n in cycles]) for i, rate in enumerate((0.58, 0.60, 0.65))}
    found = loss_rates(cells)
    assert found.quoted == "cells"
    assert (found.mean, found.n) == (pytest.approx(0.61), 3)
    assert found.sd == pytest.approx(np.std([0.58, 0.60, 0.65], ddof=1))
    assert found.rate_sd == pytest.approx(found.sd / math.sqrt(3))


def test_a_cohort_per_cycle_gives_one_line_through_all_cells():
    rng = np.random.default_rng(8)
    cells = {f"c{n}-{i}": ([n], [0.2 + 0.18 * n + 0.2 * rng.normal()]) for n in (1, 5, 15, 30) for i in (1, 2)}
    found = loss_rates(cells)
    assert (found.quoted, found.n, found.mean) == ("pooled", 0, None)
    assert abs(found.rate - 0.18) < 3 * found.rate_sd < 0.05
    assert found.flags == ()


def test_losses_that_level_off_are_said_to_bend():
    cycles = np.array([1, 5, 10, 15, 20, 30])
    levelling = 4.4 + 0.11 * cycles + 10 * (1 - np.exp(-cycles / 8))
    assert "bend" in loss_rates({"coated": (cycles, levelling)}).flags[0]
    assert loss_rates({"bare": (cycles, 2.5 + 0.6 * cycles)}).flags == ()


def test_a_rate_needs_two_cycles_and_a_deviation_three_points():
    with pytest.raises(AnalysisError, match="two different cycles"):
        loss_rates({"a": ([30], [5.0]), "b": ([30], [6.0])})
    two = loss_rates({"a": ([1, 30], [1.0, 5.0])})
    assert two.rate_sd is None
    assert "no standard deviation" in two.flags[0]


# -- planning ------------------------------------------------------------------------------------------------------


def simulated_power(effect, sds, cells, trials=30000, seed=9):
    rng = np.random.default_rng(seed)
    a, b = (s * rng.normal(size=(trials, n)) for s, n in zip(sds, cells, strict=True))
    parts = a.var(axis=1, ddof=1) / cells[0], b.var(axis=1, ddof=1) / cells[1]
    df = (parts[0] + parts[1]) ** 2 / (parts[0] ** 2 / (cells[0] - 1) + parts[1] ** 2 / (cells[1] - 1))
    t = (effect + b.mean(axis=1) - a.mean(axis=1)) / np.sqrt(parts[0] + parts[1])
    return float(np.mean(np.abs(t) > stdtrit(df, 0.975)))


@pytest.mark.parametrize(
    ("effect", "sds", "cells"),
    [(1.6, (0.2, 1.0), (2, 2)), (1.6, (0.2, 1.0), (6, 6)), (2.0, (1.0, 1.0), (4, 4)), (1.0, (1.0, 1.0), (17, 17)),
     (2.0, (1.0, 2.0), (3, 8)), (0.0, (1.0, 1.0), (5, 5))],
)  # fmt: skip
def test_the_power_is_what_drawing_cells_gives(effect, sds, cells):
    found = power(effect, sds[0], cells[0], sd_other=sds[1], cells_other=cells[1])
    truth = simulated_power(effect, sds, cells)
    assert found == pytest.approx(truth, abs=3.5 * math.sqrt(0.25 / 30000) + 1e-3)


def test_the_known_number_of_cells_for_one_standard_deviation():
    """17 per group at 5 % and 80 %, as tables of Student's test have it for equal spreads."""
    assert cells_needed(1.0, 1.0).cells == 17


def test_the_papers_difference_would_have_taken_more_than_two_cells():
    plan = cells_needed(1.6, 0.2, sd_other=1.0, sd_known_from=2)
    assert power(1.6, 0.2, 2, sd_other=1.0) < 0.3
    assert plan.cells >= 5
    assert plan.power >= 0.8 > power(1.6, 0.2, plan.cells - 1, sd_other=1.0)
    assert plan.cells_if_unlucky > 3 * plan.cells
    assert f"{plan.cells} cells in each group" in plan.sentence
    assert f"takes {plan.cells_if_unlucky}" in plan.sentence


def test_the_smallest_effect_is_the_one_that_needs_these_cells():
    effect = smallest_effect(1.0, 4)
    assert power(effect, 1.0, 4) == pytest.approx(0.8, abs=1e-4)
    assert cells_needed(1.0001 * effect, 1.0).cells == 4


def test_a_spread_known_from_few_cells_may_be_larger():
    rng = np.random.default_rng(10)
    drawn = rng.normal(size=(20000, 3)).std(axis=1, ddof=1)
    factor = sd_upper_limit(1.0, 3)
    assert np.mean(drawn * factor > 1.0) == pytest.approx(0.8, abs=0.012)


def test_plans_that_make_no_sense_are_refused():
    with pytest.raises(AnalysisError, match="effect"):
        cells_needed(0.0, 1.0)
    with pytest.raises(AnalysisError, match="wanted power"):
        cells_needed(1.0, 1.0, wanted_power=1.0)
    with pytest.raises(AnalysisError, match="finite"):
        power(float("nan"), 1.0, 3)
    with pytest.raises(AnalysisError, match="two cells"):
        power(1.0, 1.0, 1)
    with pytest.raises(AnalysisError, match="more than 100000"):
        cells_needed(1e-4, 1.0)


# -- pooled conversion ---------------------------------------------------------------------------------------------

# Thirteen trials (Colditz et al., JAMA 1994, 271, 698): cases and others, treated and not. The standard example of
# random-effects models, with published results.
TRIALS = np.array([
    (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761),
    (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232), (17, 1699, 65, 1600),
    (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825),
], dtype=float)  # fmt: skip


def test_pooling_agrees_with_the_published_results_of_a_standard_example():
    a, b, c, d = TRIALS.T
    ratio = np.log(a / (a + b)) - np.log(c / (c + d))
    sd = np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))
    found = pool(ratio, sd)
    assert found.spread**2 == pytest.approx(0.3132, abs=5e-5)
    assert found.mean == pytest.approx(-0.7145, abs=5e-5)
    weights = 1 / (sd**2 + 0.3132)  # Hartung and Knapp
    assert found.mean_sd == pytest.approx(math.sqrt(np.average((ratio + 0.7145) ** 2, weights=weights) / 12), rel=1e-3)
    assert found.q == pytest.approx(152.233, abs=5e-4)


def draw(rng, n, spread, own):
    true = 0.0254 * (1 + spread * rng.normal(size=n))
    sds = 0.0254 * own * rng.uniform(0.5, 1.5, size=n)
    return true, true + sds * rng.normal(size=n), sds


@pytest.mark.parametrize(("spread", "own"), [(0.02, 0.01), (0.01, 0.02), (0.0, 0.01)])
def test_the_pooled_value_is_honest(spread, own):
    rng = np.random.default_rng(11)
    held, pulls, single, shrunk = [], [], [], []
    for _ in range(60):
        true, measured, sds = draw(rng, 8, spread, own)
        found = pool(measured, sds)
        held.append(found.low <= 0.0254 <= found.high)
        values = np.array([one.value for one in found.measurements])
        pulls.append((values - true) / [one.sd for one in found.measurements])
        single.append(np.mean((measured - true) ** 2))
        shrunk.append(np.mean((values - true) ** 2))
    assert np.mean(held) >= 0.87
    assert np.mean(shrunk) < np.mean(single)
    assert abs(np.mean(pulls)) < 0.15
    # Cells that are all alike are drawn together less than they could be: never too boldly.
    assert 0.6 < np.std(pulls) < 1.15


def test_a_noisy_cell_is_drawn_to_the_mean_and_a_precise_one_is_not():
    found = pool([1.00, 1.02, 0.98, 1.01, 1.20], [0.005, 0.005, 0.005, 0.005, 0.15], names=["a", "b", "c", "d", "e"])
    precise, noisy = found.measurements[1], found.measurements[4]
    assert precise.weight > 0.8 > 0.1 > noisy.weight
    assert abs(noisy.value - found.mean) < 0.02 < abs(noisy.own - found.mean)
    assert noisy.name == "e"


def test_equal_cells_pool_to_their_weighted_mean():
    found = pool([1.000, 1.001, 0.999, 1.0], [0.01, 0.02, 0.01, 0.02])
    assert found.spread == 0.0 < found.spread_high < 0.1
    assert found.mean_sd == pytest.approx(1 / math.sqrt(2 / 1e-4 + 2 / 4e-4))
    assert "4 cells" in found.flags[0]


def test_cells_known_far_better_than_they_agree_pool_to_their_plain_mean_and_spread():
    found = pool([1.0, 2.0, 3.5], [1e-9, 1e-8, 1e-9])
    assert (found.mean, found.spread) == pytest.approx((2.1667, np.std([1.0, 2.0, 3.5], ddof=1)), rel=1e-4)
    assert [one.value for one in found.measurements] == pytest.approx([1.0, 2.0, 3.5])


def test_pooling_does_not_depend_on_the_unit():
    one, other = pool([1.0, 1.1, 0.9], [0.02, 0.03, 0.02]), pool([1e-9, 1.1e-9, 0.9e-9], [2e-11, 3e-11, 2e-11])
    assert other.spread == pytest.approx(1e-9 * one.spread, rel=1e-6)
    assert other.mean == pytest.approx(1e-9 * one.mean)


@pytest.mark.parametrize(("between", "within"), [(0.02, 0.005), (0.005, 0.02)])
def test_cells_measured_again_are_one_cell_each(between, within):
    """Six cells, three cycles each: taken for eighteen cells they would promise too much. Coverage: benchmarks."""
    rng = np.random.default_rng(14)
    cells = [f"c{i}" for i in range(6) for _ in range(3)]
    wider, pulls = [], []
    for _ in range(10):
        true = 1.0 + np.repeat(between * rng.normal(size=6), 3) + within * rng.normal(size=18)
        measured = true + 0.008 * rng.normal(size=18)
        found, alone = pool(measured, np.full(18, 0.008), cells=cells), pool(measured, np.full(18, 0.008))
        wider.append((found.high - found.low) / (alone.high - alone.low))
        pulls.append([(one.value - t) / one.sd for one, t in zip(found.measurements, true, strict=True)])
        assert (found.cells, alone.cells) == (6, 18)
        assert (found.within is None, alone.within is None) == (False, True)
    assert 0.6 < np.std(pulls) < 1.2
    assert np.mean(wider) > (1.5 if between > within else 1.0)


def test_cells_of_one_measurement_each_pool_the_same_with_and_without_their_names():
    values, sds = [1.0, 1.1, 0.9, 1.05], [0.02, 0.03, 0.02, 0.05]
    assert pool(values, sds, cells=list("abcd")).mean == pool(values, sds).mean
    assert pool(values, sds).within is None


def test_pooling_with_repeats_has_the_largest_restricted_likelihood():
    """Against the likelihood written with whole matrices, on a grid."""
    rng = np.random.default_rng(15)
    member = np.repeat(np.eye(5), 2, axis=0)
    y = 1.0 + member @ (0.03 * rng.normal(size=5)) + 0.02 * rng.normal(size=10)
    s = np.full(10, 0.01)

    def restricted(tau, omega):
        V = np.diag(s**2 + omega**2) + tau**2 * member @ member.T
        W = np.linalg.inv(V)
        mean = W.sum(axis=0) @ y / W.sum()
        return -0.5 * (np.linalg.slogdet(V)[1] + np.log(W.sum()) + (y - mean) @ W @ (y - mean))

    found = pool(y, s, cells=[f"c{i // 2}" for i in range(10)])
    best = max(restricted(t, w) for t in np.linspace(0, 0.08, 30) for w in np.linspace(0, 0.06, 20))
    assert restricted(found.spread, found.within) >= best - 1e-6


def test_what_cannot_be_pooled_is_refused():
    with pytest.raises(AnalysisError, match="at least two cells"):
        pool([1.0, 1.1], [0.1, 0.1], cells=["a", "a"])
    with pytest.raises(AnalysisError, match="each needs its own"):
        pool([1.0, 1.1], [0.1, 0.1], cells=["a"])
    with pytest.raises(AnalysisError, match="at least two cells"):
        pool([1.0], [0.1])
    with pytest.raises(AnalysisError, match="standard deviation of c1 is 0"):
        pool([1.0, 1.1], [0.1, 0.0], names=["c0", "c1"])


# -- control chart -------------------------------------------------------------------------------------------------


def quiet(n=20, seed=12):
    return 1.0 + 0.01 * np.clip(np.random.default_rng(seed).normal(size=n), -1.6, 1.6)


def test_limits_come_from_the_moving_ranges():
    values = [1.00, 1.02, 0.99, 1.01, 1.00, 1.03, 0.98, 1.00]
    found = chart(values)
    mean_range = np.mean([0.02, 0.03, 0.02, 0.01, 0.03, 0.05, 0.02])
    assert found.centre == pytest.approx(np.mean(values))
    assert found.sigma == pytest.approx(mean_range / 1.128, rel=1e-3)
    assert found.action_limits[1] == pytest.approx(found.centre + 2.66 * mean_range, rel=1e-3)
    assert found.range_limit == pytest.approx(3.267 * mean_range, rel=1e-3)
    assert found.in_control


def test_an_outlier_is_named_with_its_reason():
    values = quiet()
    values[13] = 1.08
    found = chart(values, names=[f"cell-{i:02d}" for i in range(20)], estimate="median")
    beyond = [one for one in found.out if "beyond 3" in one.reason]
    assert [one.name for one in beyond] == ["cell-13"]
    assert beyond[0].deviation > 3
    assert any("step" in one.reason and one.index == 13 for one in found.out)
    assert not found.in_control


def test_an_outlier_that_its_own_noise_explains_is_said_to_be_one():
    values = quiet()
    values[13] = 1.05
    sds = np.full(20, 0.003)
    sds[13] = 0.03
    found = [one for one in chart(values, sds=sds, estimate="median").out if one.index == 13]
    assert found
    assert all("its own standard deviation" in one.reason for one in found)
    with pytest.raises(DataError, match="each value needs its own"):
        chart(values, sds=sds[:5])


def test_a_lasting_shift_is_found_though_no_value_is_beyond_three_sigma():
    values = np.where(np.arange(24) < 12, quiet(24), quiet(24) + 0.018)
    found = chart(values, baseline=12)
    assert any("a shift" in one.reason or "two of three" in one.reason for one in found.out)
    assert all(one.index >= 12 for one in found.out)


def test_a_standard_fixes_the_centre():
    found = chart(quiet() + 0.05, centre=1.0)
    assert found.centre == 1.0
    assert len({one.index for one in found.out}) == 20


def test_beyond_two_sigma_alone_is_a_warning():
    values = np.resize([0.99, 1.01], 20).astype(float)
    sigma = 0.02 / 1.128
    values[10] = 1.0 + 2.3 * sigma
    found = chart(values, baseline=10)
    assert [one.warning for one in found.out if one.index == 10] == [True]
    assert found.in_control


def test_good_values_are_seldom_called_bad():
    rng = np.random.default_rng(13)
    alarms = np.mean([any("beyond 3" in o.reason for o in chart(rng.normal(size=30)).out) for _ in range(80)])
    assert alarms < 0.2


def test_charts_that_cannot_be_are_refused_and_short_ones_are_flagged():
    with pytest.raises(DataError, match="at least 3"):
        chart([1.0, 1.1])
    with pytest.raises(AnalysisError, match="do not differ"):
        chart([1.0, 1.0, 1.0, 1.0])
    with pytest.raises(AnalysisError, match="baseline"):
        chart(quiet(), baseline=2)
    assert "provisional" in chart([1.0, 1.1, 0.9]).flags[0]
