"""Every number of the two papers that can be computed, computed. Where a paper contradicts itself, the test holds the
contradiction, not a tolerance that hides it; docs/published-numbers.md tells each in words.

P1: Wichmann et al., Nat. Commun. 2025. P2: Bela et al., J. Mater. Chem. A 2025, 13, 7476.
"""

# ruff: noqa: SIM300 - what is computed stands on the left, what is printed on the right
from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.analysis import amounts, physics, skin
from labctl.analysis.design import cells_needed, power
from labctl.analysis.electrochemistry import cycle_life, kinetically_limited
from labctl.analysis.inventory import allocate
from labctl.analysis.statistics import Summary, compare

#: "4.7 T (200 MHz)" and "14.1 T (600 MHz)" are Bruker's classes: 200.13 and 600.13 MHz for protons.
LOW, HIGH = physics.lithium_frequency(200.13e6), physics.lithium_frequency(600.13e6)


def about(value, digits):
    """As printed: within half a unit of the last digit."""
    return pytest.approx(value, abs=0.5001 * 10.0**-digits)


# -- P1: radio field and times -------------------------------------------------------------------------------------


def test_the_pulses_of_6p5_and_7p5_us_are_the_stated_field_strengths():
    assert physics.b1_strength(6.5e-6) / 1e3 == about(38.5, 1)
    assert physics.b1_strength(7.5e-6) / 1e3 == about(33.3, 1)
    assert physics.quarter_turn(20e3) * 1e6 == about(12.5, 1)


def test_a_record_of_32k_at_100_ns_lasts_3p28_ms_and_spans_5_MHz():
    assert physics.acquisition_time(32768, 0.1e-6) * 1e3 == about(3.28, 2)
    assert physics.sweep_width(0.1e-6) == pytest.approx(5e6)
    assert physics.sweep_width(0.1e-6) / LOW * 1e6 == pytest.approx(64300, abs=50)


def test_1024_scans_take_512_s_and_their_acquisition():
    assert physics.measurement_time(1024, 0.5, 0.0) == 512.0
    assert physics.measurement_time(1024, 0.5, 3.28e-3) == about(515.4, 1)


def test_the_in_situ_spectra_tell_an_overhead_that_the_operando_spectra_agree_with():
    duration = 2 * 3600 + 19 * 60 + 5
    per_scan = duration / 4096
    assert (duration, per_scan) == (8345, about(2.03735, 4))
    overhead = per_scan - 2.0
    assert overhead * 1e3 == about(37.35, 1)
    assert physics.measurement_time(4096, 0.4, overhead) / 60 == about(29.86, 2)  # "30 min"


def test_the_alloy_spectrum_of_2_h_25_min_has_another_overhead_and_no_stated_dwell_gives_either():
    duration = 2 * 3600 + 25 * 60
    assert physics.measurement_time(16384, 0.5, 0.0) / 60 == about(136.5, 1)
    assert (duration / 16384 - 0.5) * 1e3 == about(31.0, 1)
    assert (duration / 16000 - 0.5) * 1e3 == about(43.8, 1)  # 43.75
    # 0.1 us x 32k is a tenth of what the in situ spectra need: 37.35 ms takes a dwell of 1.14 us.
    assert 37.35e-3 / 32768 * 1e6 == about(1.14, 2)
    assert 37.35e-3 / physics.acquisition_time(32768, 0.1e-6) > 11


# -- P1: skin depth, thickness --------------------------------------------------------------------------------------


def test_the_stated_skin_depths_do_not_follow_from_the_resistivity_of_lithium():
    assert skin.skin_depth(LOW, skin.LITHIUM_RESISTIVITY) * 1e6 == about(17.38, 2)
    assert skin.skin_depth(HIGH, skin.LITHIUM_RESISTIVITY) * 1e6 == about(10.04, 2)
    assert skin.resistivity_for(14.7e-6, LOW) * 1e9 == about(66.4, 1)
    assert skin.resistivity_for(8.4e-6, HIGH) * 1e9 == about(65.0, 1)
    assert 14.7 / 8.4 == about(1.750, 3)
    assert math.sqrt(HIGH / LOW) == about(1.732, 3)


@pytest.mark.parametrize(("resistivity", "bound"), [(65e-9, 0.011), (66e-9, 0.008), (67e-9, 0.016)])
def test_the_stated_skin_depths_follow_from_66_nanoohm_metres(resistivity, bound):
    """At 67 the one of 14.1 T is off by 1.55 %, at 65 the one of 4.7 T by 1.05 %: the two do not share one value."""
    assert skin.skin_depth(LOW, resistivity) == pytest.approx(14.7e-6, rel=bound)
    assert skin.skin_depth(HIGH, resistivity) == pytest.approx(8.4e-6, rel=bound)


def test_linearity_up_to_2p5_mAh_needs_a_field_from_both_sides():
    film = amounts.lithium_thickness(2.5) * 1e-6
    assert film * 1e6 == about(12.1, 1)
    share = {field: skin.film_signal(film, LOW, field=field).share for field in ("one side", "both sides", "on foil")}
    assert share["one side"] == about(0.60, 2)
    assert share["both sides"] == pytest.approx(0.993, abs=1e-3)
    assert share["on foil"] == about(0.80, 2)
    rho = skin.resistivity_for(14.7e-6, LOW)
    own = [skin.film_signal(film, LOW, field=field, resistivity_ohm_m=rho).share for field in share]
    assert own == [about(0.54, 2), about(0.987, 3), about(0.70, 2)]


def test_lithium_is_4p85_um_per_mAh_and_3860_mAh_per_gram():
    assert amounts.theoretical_capacity("Li") == pytest.approx(3860, rel=6e-4)  # 3862 with A = 6.94
    assert amounts.lithium_thickness(1.0) == about(4.85, 2)
    assert 5.0 / amounts.lithium_thickness(1.0) == pytest.approx(1.03, abs=2e-3)  # "5 um per mAh" is 3 % much


def test_the_alloy_is_buried_from_spectrum_D_on():
    at_D = 4 * 2.0 * 0.2  # four times two hours
    assert at_D == pytest.approx(1.6)
    assert 5.0 * at_D == pytest.approx(8.0)  # against a skin depth of 8.4
    assert 5.0 * at_D < 8.4 < 5.0 * (at_D + 0.4)
    assert amounts.lithium_thickness(at_D) == about(7.76, 2)


# -- P1: shifts ------------------------------------------------------------------------------------------------------


def test_the_shifts_add_up_and_the_window_is_moved_by_less_than_was_measured():
    assert 242.9 + 7.1 == pytest.approx(250.0) == 246.7 + 3.3
    assert 246.7 - 242.9 == pytest.approx(3.8)  # the windows were "adjusted by about 3.5"
    assert (246.5 - 2.5, 246.5 + 2.5) == (244.0, 249.0)
    assert 246.7 + 3.3 > 249.0  # discharged, dense lithium lies outside its own window
    assert [b - a for a, b in ((249, 254), (259, 264))] == [5, 5]
    assert 5e-6 * LOW == about(389, 0)


def test_the_factor_1p08_is_that_of_the_foil_and_not_of_the_deposit():
    assert 1.0 / (1.0 - 0.06) == about(1.064, 3)  # deposited lithium, 100 to 0 %
    assert 1.0 / (1.0 - 0.08) == about(1.087, 3)  # foil
    assert 1.0 / (1.0 - 0.07) == about(1.075, 3)  # deposited, 50 to 0 %: less is lost from further away
    assert 1.0 + 0.08 == pytest.approx(1.08)


# -- P1: capacities and currents --------------------------------------------------------------------------------------


def test_the_charge_of_13_h_7_min_is_2p62_mAh_on_an_electrode_of_2p3():
    charge = (13 + 7 / 60) * 0.2
    assert charge == about(2.623, 3)
    assert amounts.per_mass(charge, 13.5, active=0.95) == pytest.approx(204.5, abs=0.1)
    assert amounts.per_mass(2.3, 13.5, active=0.95) == pytest.approx(179.3, abs=0.1)
    assert charge / 2.3 == about(1.14, 2)


def test_the_electrodes_loadings_are_their_capacities():
    """P1's electrodes: loading, share of active material and capacity fix mAh/g."""
    assert amounts.per_mass(2.3, 16.5, active=0.95) == pytest.approx(
        amounts.theoretical_capacity("LiNi0.5Mn1.5O4"), rel=1e-3
    )
    assert amounts.per_mass(2.3, 14.7, active=0.925) == pytest.approx(amounts.theoretical_capacity("LiFePO4"), rel=6e-3)
    assert amounts.per_mass(2.3, 13.5, active=0.95) / amounts.theoretical_capacity(amounts.NMC622) == about(0.65, 2)


def test_dynamic_impedance_strips_one_per_cent_in_its_last_five_spectra():
    cell = 2.3 * amounts.disc_area(14.0)
    assert cell == about(3.54, 2)
    assert 100 * 0.04 / cell == about(1.13, 2)  # "1 %"
    per_spectrum = 0.04 / 5 / (0.05 * amounts.disc_area(14.0)) * 60
    assert per_spectrum == about(6.2, 1)
    frequency = np.logspace(math.log10(300e3), -1, 66)
    sweep = np.sum(6.0 / frequency)
    assert sweep == about(293, 0)
    assert np.sum(6.0 / frequency[frequency < 1.0]) == about(269, 0)
    assert sweep / 60 == about(4.9, 1)  # 1.4 min less than a spectrum took


def test_0p05_mA_is_not_quite_a_fortieth_of_C_and_the_alternating_current_is_130_per_cent():
    assert amounts.c_rate(0.05, 2.3) == about(0.0217, 4)
    assert 1.0 - amounts.c_rate(0.05, 2.3) / 0.025 == about(0.13, 2)
    assert 0.065 / 0.05 == pytest.approx(1.30)


def test_kinetic_capacity_of_LFP_and_of_the_coating_are_small_shares_of_the_first_charge():
    assert kinetically_limited(0.024 * 2.3, 2.3).percent == pytest.approx(2.4)
    assert 100 * 0.05 / 2.62 == about(1.9, 1)
    assert amounts.disc_area(14.0, count=2) == about(3.08, 2)


def test_a_hundred_uA_on_the_risen_impedance_is_far_from_linear():
    assert 100e-6 * 415 * 1e3 == pytest.approx(41.5)  # against 25.3 mV of kT/e
    assert physics.curie_factor(313.15) == pytest.approx(1 - 0.064, abs=5e-4)


# -- P1: losses --------------------------------------------------------------------------------------------------------


def test_less_interphase_on_coated_copper_is_not_significant_with_two_cells():
    found = compare(Summary(18.9, 0.2, 2), Summary(20.5, 1.0, 2), names=("coated", "bare"))
    assert (found.t, found.df, found.p) == (about(2.22, 2), about(1.08, 2), about(0.25, 2))
    halves = [0.5 * (one.interval()[1] - one.interval()[0]) for one in (found.first, found.second)]
    assert halves == [about(1.8, 1), about(9.0, 1)]
    assert not found.significant
    assert "do not show that the groups differ" in found.sentence
    assert power(1.6, 0.2, 2, sd_other=1.0) == about(0.19, 2)
    assert cells_needed(1.6, 0.2, sd_other=1.0).cells == 6


def test_cycle_life_of_50_instead_of_35_is_more_than_40_per_cent():
    assert 100 * (50 / 35 - 1) == about(42.9, 1)


def test_a_health_of_80_per_cent_at_cycle_35_implies_the_dead_lithium_of_cycle_30():
    """The paper prints no dead lithium at cycle 30; its other numbers fix it if both losses are linear."""
    first = allocate(2.620, 2.300, 100.0, 8.80, 0.55, soc_factor=1.08)
    lost = 100.0 - 0.8 * first.reversible_percent
    assert lost == about(29.8, 1)
    interphase_rate = (20.5 - first.interphase_percent) / 29
    dead_at_35 = lost - (20.5 + 5 * interphase_rate)
    bare = first.dead_percent + 29 / 34 * (dead_at_35 - first.dead_percent)
    assert bare == pytest.approx(5.4, abs=0.1)
    assert 0.4 * bare == pytest.approx(2.1, abs=0.1)  # "reduced by about 60 %"


# -- P2 --------------------------------------------------------------------------------------------------------------


def test_the_second_papers_gains_are_what_its_numbers_give():
    assert 360 / 200 - 1 == pytest.approx(0.80)
    assert 105 / 70 - 1 == pytest.approx(0.50)
    assert 71 / 70 - 1 < 0.02  # a single Li3N layer gains nothing
    lives = {70: 0, 71: 0, 105: 0}
    for end in lives:
        fading = {n: 1.0 - 0.2 * (n - 1) / (end - 1.5) for n in range(1, end + 20)}
        lives[end] = cycle_life(fading).first_below
    assert lives == {end: end for end in lives}


def test_nucleation_overvoltages_fall_by_a_quarter_with_either_layer():
    """0.26 V bare, 0.20 V with both layers, 0.19 V with Li3N alone: the dual layer is not the lowest."""
    assert [round(100 * (1 - value / 0.26)) for value in (0.20, 0.19)] == [23, 27]


def test_full_cells_shuttle_four_to_five_times_what_symmetric_cells_do():
    assert 4.0 < 2.3 / 0.5 < 5.0


def test_the_second_papers_rate_of_a_fifth_C_is_not_0p2_mA():
    assert amounts.c_rate(0.2, 2.3) == about(0.087, 3)
    assert 0.2 * 2.3 == pytest.approx(0.46)  # mA/cm2 at 0.2 C of 2.3 mAh/cm2
    # 180 mA/g is 65 % of the lithium of NMC622.
    assert 180 / amounts.theoretical_capacity(amounts.NMC622) == about(0.65, 2)
    assert amounts.theoretical_capacity(amounts.NMC622, lithium=(1.0, 0.42)) == pytest.approx(160, abs=1)
