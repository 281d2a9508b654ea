"""The Kramers-Kronig test, electrodes against the cell, and relaxation times, on spectra written down here."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.analysis.impedance import check_electrodes, check_sweep, distribution, kramers_kronig
from labctl.analysis.impedance.spectrum import ImpedanceSpectrum, Sweep
from labctl.errors import AnalysisError, DataError, UsageError

FREQUENCY = np.logspace(np.log10(3e5), -1, 66)
S = 2j * np.pi * FREQUENCY
#: When each point has been measured: six periods each, from the highest frequency on.
ELAPSED = np.cumsum(6 / FREQUENCY)


def noisy(values, seed, relative=0.002):
    random = np.random.default_rng(seed)
    shape = values.shape
    return values + relative * np.abs(values) * (random.normal(size=shape) + 1j * random.normal(size=shape))


def cell(drift=0.0):
    """A resistance of 3 ohm and two depressed arcs of 8 and 20 ohm, whose second grows over the sweep."""
    second = 20 * (1 + drift * ELAPSED / ELAPSED[-1])
    storage = 1e-2**0.85 / 20
    return 3 + 8 / (1 + (S * 1e-4) ** 0.9) + second / (1 + second * storage * S**0.85)


def randles():
    return 20 + 1 / (1 / (100 + 300 / np.sqrt(S)) + S * 2e-5)


@pytest.mark.parametrize("seed", range(5))
def test_a_spectrum_that_keeps_still_passes_down_to_its_lowest_frequency(seed):
    found = kramers_kronig(FREQUENCY, noisy(cell(), seed))
    assert found.passes and found.kept.all() and not found.flags
    assert found.lowest_valid_frequency == FREQUENCY.min()
    assert found.noise == pytest.approx(0.002, rel=0.35)


@pytest.mark.parametrize(("drift", "low", "high"), [(0.1, 0.1, 0.2), (0.3, 0.25, 0.5), (1.0, 0.79, 1.6)])
@pytest.mark.parametrize("seed", range(3))
def test_a_drifting_spectrum_is_cut_where_it_drifts(drift, low, high, seed):
    found = kramers_kronig(FREQUENCY, noisy(cell(drift), seed))
    assert low * 0.999 <= found.lowest_valid_frequency <= high
    assert max(np.abs(found.kept_residual_real).max(), np.abs(found.kept_residual_imag).max()) <= 0.01
    if drift > 0.1:
        assert not found.passes and "left out" in found.flags[0]
        # The residuals of the whole say where: they are largest at the low end.
        assert np.argmax(np.abs(found.residual_real)) > 50


@pytest.mark.parametrize("relative", [0.0, 0.002])
@pytest.mark.parametrize(
    "values",
    [
        10 + 50 / (1 + S * 1e-2),
        5 + 20 / (1 + S * 1e-4) + 30 / (1 + S),
        1 + S * 1e-6 + 50 / (1 + S * 3e-3),
        np.full(66, 10 + 0j),
        randles(),
        5 + 1 / (S * 1e-3),
        3 + 40 * np.tanh(np.sqrt(S * 3)) / np.sqrt(S * 3),
    ],
    ids=["RC", "two RC", "RLC", "R", "Randles", "blocking", "finite diffusion"],
)
def test_simple_networks_raise_no_false_alarm(values, relative):
    found = kramers_kronig(FREQUENCY, noisy(values, 4, relative))
    assert found.passes
    assert found.n_rc >= 3 * 6


def test_few_elements_are_what_raises_the_false_alarm():
    single = 10 + 50 / (1 + S * 1e-2)
    assert not kramers_kronig(FREQUENCY, single, per_decade=0.5).passes
    assert kramers_kronig(FREQUENCY, single).largest_residual < 0.005


def test_residuals_come_in_the_order_of_the_points_given():
    values = noisy(cell(1.0), 0)
    falling, rising = kramers_kronig(FREQUENCY, values), kramers_kronig(FREQUENCY[::-1], values[::-1])
    assert np.allclose(falling.residual_real, rising.residual_real[::-1])
    assert np.array_equal(falling.kept, rising.kept[::-1])


def test_the_papers_fixed_cut_off_and_none_are_settings():
    values = noisy(cell(0.3), 1)
    fixed = kramers_kronig(FREQUENCY, values, cut_off="fixed")
    assert fixed.lowest_valid_frequency == FREQUENCY[FREQUENCY > 1].min() and fixed.choices.fixed_Hz == 1.0
    whole = kramers_kronig(FREQUENCY, values, cut_off="none")
    assert whole.kept.all() and "above the cut-off" in whole.flags[0]
    early = kramers_kronig(FREQUENCY, noisy(cell(5.0), 1), cut_off="fixed", fixed_Hz=0.2)
    assert "residuals reach" in early.flags[0]


def test_a_spectrum_of_nonsense_has_no_valid_part():
    random = np.random.default_rng(0)
    found = kramers_kronig(FREQUENCY, cell() * random.uniform(0.5, 2, 66))
    assert found.lowest_valid_frequency is None and not found.kept.any()
    assert "no part of the spectrum passes" in found.flags[0]


def test_noise_that_reaches_the_limit_is_named_as_such():
    assert any("noise" in flag for flag in kramers_kronig(FREQUENCY, noisy(cell(), 0, 0.006)).flags)


def test_the_admittance_is_another_way_to_test():
    # Its resistance at rest is negative: kept by a voltage, not by a current.
    negative = 1 / (0.05 - 0.1 / (1 + S * 1e-3))
    assert not kramers_kronig(FREQUENCY, negative).passes
    found = kramers_kronig(FREQUENCY, noisy(negative, 0), representation="admittance")
    assert found.passes and found.choices.representation == "admittance"
    assert not kramers_kronig(FREQUENCY, noisy(1 / cell(1.0), 0), representation="admittance").passes


@pytest.mark.parametrize(
    ("frequency", "values", "how", "error", "said"),
    [
        ([1.0, 2.0], [1 + 1j, 2 + 1j], {}, AnalysisError, "2 points"),
        (np.linspace(1, 2, 20), np.ones(20), {}, AnalysisError, "half a decade are needed"),
        ([1.0, -2.0], [1, 1], {}, DataError, "-2 Hz at point 2"),
        ([1.0], [1, 1], {}, DataError, "as many of one"),
        ([1.0, 2.0], [1, np.nan], {}, DataError, "at point 2"),
        (FREQUENCY, np.ones(66), {"cut_off": "1 Hz"}, UsageError, "automatic, fixed or none"),
        (FREQUENCY, np.ones(66), {"representation": "modulus"}, UsageError, "impedance or admittance"),
        (FREQUENCY, np.ones(66), {"limit": 0.0}, UsageError, "limit"),
    ],
)
def test_what_cannot_be_tested_is_refused_in_words(frequency, values, how, error, said):
    with pytest.raises(error, match=said):
        kramers_kronig(frequency, values, **how)


# -- electrodes --------------------------------------------------------------------------------------------------------


def test_electrodes_that_add_up_pass_and_those_that_do_not_are_named():
    near, far = 0.6 * cell(), 0.4 * cell()
    good = check_electrodes(FREQUENCY, noisy(cell(), 1), near, far)
    assert good.passes and not good.identity and "add up" in good.statement
    inductive = check_electrodes(FREQUENCY, cell() + S * 1e-6, near, far)
    assert (
        not inductive.passes
        and inductive.largest_at_Hz == FREQUENCY.max()
        and "they do from 0.1" in inductive.statement
    )
    swapped = check_electrodes(FREQUENCY, noisy(cell(), 1), near, -far)
    assert not swapped.passes and "opposite sign" in swapped.statement


def test_a_sum_that_was_computed_proves_nothing_and_says_so():
    near, far = 0.6 * cell(), 0.4 * cell()
    assert "computed, not measured" in check_electrodes(FREQUENCY, near + far, near, far).statement


def test_a_sweep_without_both_electrodes_is_no_three_electrode_measurement():
    one = ImpedanceSpectrum(FREQUENCY, cell())
    with pytest.raises(AnalysisError, match="not both electrodes"):
        check_sweep(Sweep(3, one, working=one))
    with pytest.raises(DataError, match="counter electrode has other frequencies"):
        check_sweep(Sweep(3, one, one, ImpedanceSpectrum(FREQUENCY[1:], cell()[1:], "counter")))


# -- relaxation times --------------------------------------------------------------------------------------------------


def test_the_distribution_shows_each_arc_with_its_resistance_and_time_constant():
    values = 3 + 8 / (1 + S * 1e-4) + 20 / (1 + (S * 1e-2) ** 0.9) + S * 2e-7
    found = distribution(FREQUENCY, noisy(values, 2))
    large = sorted(found.peaks, key=lambda peak: -peak.resistance_ohm)[:2]
    assert [peak.resistance_ohm for peak in large] == pytest.approx([20, 8], rel=0.1)
    assert [peak.time_constant_s for peak in large] == pytest.approx([1e-2, 1e-4], rel=0.15)
    assert found.polarisation_ohm == pytest.approx(28, rel=0.015) and found.series_ohm == pytest.approx(3, rel=0.03)
    assert found.inductance_H == pytest.approx(2e-7, rel=0.1)
    assert (found.gamma_ohm >= 0).all() and not found.flags


@pytest.mark.parametrize("derivative", [1, 2])
def test_more_smoothing_makes_broader_peaks_and_keeps_the_resistance(derivative):
    values = noisy(3 + 20 / (1 + S * 1e-2), 0)
    sharp, broad = (distribution(FREQUENCY, values, smoothing=one, derivative=derivative) for one in (1e-5, 1e-1))
    assert sharp.gamma_ohm.max() > 1.2 * broad.gamma_ohm.max()
    assert broad.polarisation_ohm == pytest.approx(20, rel=0.04)


def test_a_spectrum_that_does_not_close_is_flagged():
    assert "does not close" in distribution(FREQUENCY, 3 + 30 / np.sqrt(S)).flags[0]


@pytest.mark.parametrize("how", [{"smoothing": 0.0}, {"derivative": 3}, {"per_decade": 1}])
def test_settings_that_make_no_sense_are_refused(how):
    with pytest.raises(UsageError, match="are right"):
        distribution(FREQUENCY, cell(), **how)
    with pytest.raises(AnalysisError, match="at least 8"):
        distribution(FREQUENCY[:5], cell()[:5])
