from __future__ import annotations

import numpy as np
import pytest

from labctl.analysis.electrochemistry import (
    cycle_life,
    efficiency,
    kinetically_limited,
    passed,
)
from labctl.analysis.nucleation import NucleationSettings, nucleation_overvoltage
from labctl.analysis.profiles import (
    DerivativeSettings,
    differential_voltage,
    incremental_capacity,
    on_common_grid,
    profile,
)
from labctl.errors import AnalysisError, DataError


def step(current_A, hours, voltage, n=2001):
    """A constant current whose voltage is a function of the share of the charge."""
    share = np.linspace(0.0, 1.0, n)
    return 3600 * hours * share, voltage(share), np.full(n, current_A)


# -- charge and energy ----------------------------------------------------------------------------------------------


def test_charge_and_energy_of_a_step_are_the_integrals():
    found = passed(*step(0.2e-3, 10.0, lambda x: 3.6 + 0.6 * x))
    assert found.capacity_mAh == pytest.approx(2.0, rel=1e-12)
    assert found.energy_mWh == pytest.approx(2.0 * 3.9, rel=1e-12)
    assert found.mean_voltage_V == pytest.approx(3.9)
    assert found.duration_s == 36000.0
    assert found.flags == ()


def test_a_discharge_is_negative_and_uneven_samples_do_not_matter():
    rng = np.random.default_rng(1)
    time = np.sort(np.concatenate(([0.0, 7200.0], rng.uniform(0, 7200, 300))))
    current = -0.6e-3 * (1.0 - 0.5 * time / 7200)  # linear, so that trapezoids are exact
    assert passed(time, np.full(302, 3.5), current).capacity_mAh == pytest.approx(-0.9, rel=1e-12)


def test_a_decaying_hold_is_integrated_to_the_last_microampere():
    time = np.linspace(0, 8 * 1800, 4000)
    current = -2e-3 * np.exp(-time / 1800)
    truth = -2e-3 * 1800 * (1 - np.exp(-8)) / 3.6
    assert passed(time, np.full_like(time, 3.0), current).capacity_mAh == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize("n", [12, 30, 100])
def test_a_sparsely_sampled_hold_says_how_far_it_may_be_off(n):
    time = np.linspace(0, 8 * 1800, n)
    current = -2e-3 * np.exp(-time / 1800)
    found = passed(time, np.full_like(time, 3.0), current)
    error = abs(found.capacity_mAh + 2e-3 * 1800 * (1 - np.exp(-8)) / 3.6)
    assert 0.6 * error < found.sampling_error_mAh < 1.5 * error
    assert passed(*step(0.2e-3, 10.0, lambda x: 3.6 + x)).sampling_error_mAh == pytest.approx(0.0, abs=1e-12)


def test_a_current_of_both_signs_is_flagged():
    time = np.arange(100.0)
    assert "changes its sign" in passed(time, np.full(100, 3.0), np.where(time < 50, 1e-3, -1e-3)).flags[0]


def test_efficiencies_are_of_charge_energy_and_voltage():
    charge = passed(*step(0.4e-3, 6.0, lambda x: 3.8 + 0.4 * x))
    discharge = passed(*step(-0.6e-3, 3.6, lambda x: 4.0 - 0.4 * x))
    found = efficiency(charge, discharge)
    assert found.coulombic == pytest.approx(2.16 / 2.4)
    assert found.energy == pytest.approx(2.16 * 3.8 / (2.4 * 4.0))
    assert found.voltage == pytest.approx(3.8 / 4.0)
    with pytest.raises(AnalysisError, match=r"needs a charge and a discharge, found -2\.16 mAh"):
        efficiency(discharge, charge)


@pytest.mark.parametrize(
    ("time", "voltage", "current", "said"),
    [
        ([0, 1, 2], [3, 3], [1, 1, 1], "differ in length"),
        ([0, 2, 1], [3, 3, 3], [1, 1, 1], "time goes back at sample 3"),
        ([0, 1, 2], [3, float("nan"), 3], [1, 1, 1], "voltage is not a finite number at sample 2"),
        ([0], [3], [1], "at least 2"),
        ([0, 1], ["x", "y"], [1, 1], "no numbers"),
        ([[0, 1]], [[3, 3]], [[1, 1]], "shape"),
    ],
)
def test_a_table_that_is_none_is_refused_by_name(time, voltage, current, said):
    with pytest.raises(DataError, match=said):
        passed(time, voltage, current)


# -- health ---------------------------------------------------------------------------------------------------------


def test_the_cycle_life_is_the_first_cycle_below_and_the_crossing_before_it():
    fading = {n: 2.3 * (1.0 - 0.006 * (n - 1)) for n in range(1, 60)}
    found = cycle_life(fading)
    assert found.first_below == found.lasting == 35  # 0.796
    assert found.interpolated == pytest.approx(1 + 0.2 / 0.006)
    assert found.health[1] == 1.0
    assert found.flags == ()


def test_the_reference_cycle_is_a_setting_and_earlier_cycles_do_not_count():
    capacities = {1: 2.5, 2: 2.45, 3: 2.0, 4: 1.9, 5: 1.5}
    assert cycle_life(capacities).first_below == 4
    third = cycle_life(capacities, reference_cycle=3)
    assert (third.first_below, list(third.health)) == (5, [3, 4, 5])
    with pytest.raises(AnalysisError, match="reference cycle 7"):
        cycle_life(capacities, reference_cycle=7)


def test_a_life_that_has_not_ended_is_only_known_to_be_longer():
    found = cycle_life({1: 2.0, 2: 1.9, 3: 1.8})
    assert (found.first_below, found.interpolated, found.last_cycle) == (None, None, 3)


def test_gaps_and_recoveries_at_the_crossing_are_said():
    gap = cycle_life({1: 2.0, 10: 1.7, 20: 1.5})
    assert gap.interpolated == pytest.approx(10 + 10 * 0.05 / 0.10)
    assert "cycles 11 to 19 are missing" in gap.flags[0]
    back = cycle_life({1: 2.0, 2: 1.5, 3: 1.9, 4: 1.5, 5: 1.4})
    assert (back.first_below, back.lasting) == (2, 4)
    assert "lastingly from cycle 4" in back.flags[0]


def test_kinetically_limited_capacity_is_less_its_leak():
    found = kinetically_limited(0.236, 2.62, leak_A=1e-6, duration_s=3600 * 6, accuracy=1e-3)
    assert found.capacity_mAh == pytest.approx(0.230)
    assert found.percent == pytest.approx(100 * 0.230 / 2.62)
    assert found.percent_sd == pytest.approx(100 / 2.62 * 1e-3 * np.hypot(0.236, 0.230))
    with pytest.raises(AnalysisError, match="initial charge"):
        kinetically_limited(0.2, 0.0)


# -- nucleation -----------------------------------------------------------------------------------------------------


def deposition(tip, noise=0.0, n=4000, seed=0):
    """Potential of copper against lithium: from 1.5 V down to a tip, then back to a plateau at -30 mV."""

    def voltage(x):
        fall = 1.5 * np.exp(-x / 0.001)
        dip = -tip * np.exp(-(((np.log(x + 1e-9) - np.log(0.012)) / 0.45) ** 2))
        return fall + dip - 0.03 + noise * np.random.default_rng(seed).normal(size=len(x))

    return step(0.2e-3, 5.0, voltage, n)


@pytest.mark.parametrize("noise", [0.0, 1e-4, 5e-4])
def test_the_nucleation_overvoltage_is_tip_less_plateau(noise):
    time, voltage, current = deposition(0.045, noise)
    found = nucleation_overvoltage(time, voltage, current, signal="substrate potential")
    clean = deposition(0.045)[1]
    truth = -0.03 - clean.min()
    # The lowest of noisy samples lies a little below the curve's.
    assert found.overvoltage_V == pytest.approx(truth, abs=3.5 * noise + 1e-4)
    assert found.plateau_V == pytest.approx(-0.03, abs=1e-4 + 0.1 * noise)
    assert found.tip_at_mAh == pytest.approx(1.0 * 0.012, rel=0.25)
    assert "substrate" in found.signal


@pytest.mark.parametrize("signal", ["cell voltage", "symmetric cell"])
def test_the_tip_points_the_other_way_in_a_cell_voltage(signal):
    time, voltage, current = deposition(0.26)
    found = nucleation_overvoltage(time, -voltage - 1.5 * np.exp(-time / 3), current, signal=signal)
    assert found.overvoltage_V == pytest.approx(0.26, rel=0.03)


@pytest.mark.parametrize("noise", [0.0, 2e-4])
def test_an_alloying_substrate_has_a_shoulder_and_no_number(noise):
    rng = np.random.default_rng(3)
    time, voltage, current = step(
        0.2e-3, 5.0, lambda x: 0.4 * np.exp(-x / 0.02) + 0.2 * np.exp(-x / 0.004) - 0.02 + noise * rng.normal(size=2001)
    )
    found = nucleation_overvoltage(time, voltage, current, signal="substrate potential")
    assert found.overvoltage_V is None
    assert "alloying" in found.reason


def test_a_tip_between_two_samples_is_not_made_up():
    time, voltage, current = deposition(0.045, n=60)
    found = nucleation_overvoltage(time, voltage, current, signal="substrate potential")
    assert found.overvoltage_V is None
    assert "coarsely" in found.reason


def test_windows_and_signals_that_make_no_sense_are_refused():
    record = deposition(0.045)
    with pytest.raises(AnalysisError, match="unknown"):
        nucleation_overvoltage(*record, signal="potential")
    with pytest.raises(AnalysisError, match="rising shares"):
        nucleation_overvoltage(*record, signal="cell voltage", settings=NucleationSettings(plateau=(0.4, 0.2)))
    with pytest.raises(AnalysisError, match="discharges the cell"):
        nucleation_overvoltage(record[0], record[1], -record[2], signal="cell voltage")
    with pytest.raises(AnalysisError, match="no charge passed"):
        nucleation_overvoltage(record[0], record[1], 0.0 * record[2], signal="cell voltage")


# -- curves and derivatives -----------------------------------------------------------------------------------------


def test_curves_of_different_length_share_a_grid_and_nothing_is_extrapolated():
    long = profile(*step(-0.6e-3, 4.0, lambda x: 4.2 - x))
    short = profile(*step(-0.6e-3, 2.0, lambda x: 4.2 - x, n=777))
    found = on_common_grid([long, short], points=241)
    assert found.capacity_mAh[[0, -1]] == pytest.approx([0.0, 2.4])
    assert found.voltage_V[0] == pytest.approx(4.2 - found.capacity_mAh / 2.4)
    inside = found.capacity_mAh < 1.1999
    assert found.voltage_V[1][inside] == pytest.approx(4.2 - found.capacity_mAh[inside] / 1.2)
    assert np.isnan(found.voltage_V[1][found.capacity_mAh > 1.2001]).all()


def test_a_profile_of_two_steps_is_refused():
    time = np.arange(200.0)
    with pytest.raises(DataError, match="turns round"):
        profile(time, np.full(200, 3.5), np.where(time < 150, 1e-3, -1e-3))


PEAKS = ((0.5, 3.65, 0.030), (0.9, 3.80, 0.045), (0.4, 4.10, 0.025))


def charge_at(voltage):
    """Charge against voltage with three peaks of dQ/dV: logistic steps."""
    return sum(q / (1.0 + np.exp(-(voltage - v) / w)) for q, v, w in PEAKS)


def slope_at(voltage):
    return sum(q / (4 * w) / np.cosh((voltage - v) / (2 * w)) ** 2 for q, v, w in PEAKS)


def sampled(noise=0.0, n=12000, seed=4, resolution=0.0):
    fine = np.linspace(3.3, 4.35, 40001)
    passed_mAh = np.linspace(0.0, charge_at(4.35) - charge_at(3.3), n)
    voltage = np.interp(passed_mAh, charge_at(fine) - charge_at(3.3), fine)
    voltage = voltage + noise * np.random.default_rng(seed).normal(size=n)
    return passed_mAh, np.round(voltage / resolution) * resolution if resolution else voltage


@pytest.mark.parametrize(("noise", "resolution"), [(0.0, 0.0), (1e-3, 0.0), (0.0, 3e-4), (2e-3, 0.0)])
def test_dQ_dV_finds_peaks_where_and_as_high_as_they_are(noise, resolution):
    found = incremental_capacity(*sampled(noise, resolution=resolution))
    for _, centre, _ in PEAKS:
        near = np.abs(found.voltage_V - centre) < 0.04
        top = np.argmax(found.dQ_dV_mAh_per_V[near])
        truth = slope_at(found.voltage_V[near])
        assert found.voltage_V[near][top] == pytest.approx(found.voltage_V[near][np.argmax(truth)], abs=0.008)
        assert found.dQ_dV_mAh_per_V[near][top] == pytest.approx(truth.max(), rel=0.05)
    assert found.covered > 0.999
    whole = np.trapezoid(found.dQ_dV_mAh_per_V, found.voltage_V)
    assert whole == pytest.approx(charge_at(found.voltage_V[-1]) - charge_at(found.voltage_V[0]), rel=0.01)


def test_dQ_dV_of_a_discharge_is_positive_and_rises_in_voltage():
    passed_mAh, voltage = sampled(5e-4)
    found = incremental_capacity(passed_mAh, voltage[::-1])
    assert np.all(np.diff(found.voltage_V) > 0)
    assert found.dQ_dV_mAh_per_V.max() == pytest.approx(slope_at(np.linspace(3.4, 4.3, 2000)).max(), rel=0.05)


def test_a_turning_voltage_is_cut_off_and_said():
    passed_mAh, voltage = sampled(2e-4)
    tip = np.where(passed_mAh < 0.05, 0.4 * np.exp(-passed_mAh / 0.01), 0.0)
    found = incremental_capacity(passed_mAh, voltage + tip)
    assert 0.95 < found.covered < 0.999
    middle = (found.voltage_V > 3.7) & (found.voltage_V < 4.2)
    assert found.dQ_dV_mAh_per_V[middle] == pytest.approx(slope_at(found.voltage_V[middle]), rel=0.12)


def test_a_parabola_is_differentiated_exactly_to_its_ends():
    """What a Savitzky-Golay filter of second order must do, whatever its window."""
    passed_mAh = np.linspace(0.0, 2.0, 5000)
    for window in (0.01, 0.1, 0.5):
        found = differential_voltage(
            passed_mAh, 3.5 + 0.3 * passed_mAh + 0.1 * passed_mAh**2, settings=DerivativeSettings(window=window)
        )
        assert found.dV_dQ_V_per_mAh == pytest.approx(0.3 + 0.2 * found.capacity_mAh, rel=1e-4)


def test_smoothing_is_a_setting_and_one_that_cannot_be_is_refused():
    curve = sampled()
    wide = incremental_capacity(*curve, settings=DerivativeSettings(window_V=0.2))
    assert wide.dQ_dV_mAh_per_V.max() < 0.95 * incremental_capacity(*curve).dQ_dV_mAh_per_V.max()
    with pytest.raises(AnalysisError, match="too few for a polynomial"):
        incremental_capacity(*curve, settings=DerivativeSettings(window_V=1e-3))
    for derivative in (incremental_capacity, differential_voltage):
        with pytest.raises(AnalysisError, match="order 1 at least"):
            derivative(*curve, settings=DerivativeSettings(order=0))
    with pytest.raises(AnalysisError, match="one way over"):
        incremental_capacity(curve[0], 3.7 + 1e-3 * curve[0])


def test_dV_dQ_is_the_slope_of_the_curve():
    passed_mAh, voltage = sampled(5e-4)
    found = differential_voltage(passed_mAh, voltage)
    fine = np.linspace(3.3, 4.35, 40001)
    at = np.interp(found.capacity_mAh, charge_at(fine) - charge_at(3.3), fine)
    # Where it bends less than the window is long.
    truth = 1 / slope_at(at)
    smooth = np.convolve(truth, np.ones(15) / 15, mode="same")
    inside = np.flatnonzero(np.abs(smooth / truth - 1) < 0.02)[20:-20]
    assert len(inside) > 300
    assert found.dV_dQ_V_per_mAh[inside] == pytest.approx(truth[inside], rel=0.06, abs=0.03)
    with pytest.raises(DataError, match="goes back"):
        differential_voltage(passed_mAh[::-1], voltage)
