from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import solve_banded

from labctl.analysis import amounts, physics, skin
from labctl.errors import AnalysisError


def test_the_frequency_follows_the_magnet():
    assert physics.lithium_frequency(200.13e6) == pytest.approx(77.778e6, rel=1e-5)
    assert physics.lithium_frequency_at(4.7) == pytest.approx(77.78e6, rel=1e-4)
    assert physics.lithium_frequency_at(14.1) == pytest.approx(233.3e6, rel=1e-3)


def test_pulse_and_field_are_each_others_inverse():
    assert physics.quarter_turn(physics.b1_strength(7.1e-6)) == pytest.approx(7.1e-6)
    assert physics.flip_angle(3.5e-6, 7.0e-6) == pytest.approx(math.pi / 4)


def test_shifts_and_SR_are_bruckers():
    sf, bf1 = 77.7781234e6, 77.7780000e6
    assert physics.spectrum_reference(sf, bf1) == pytest.approx(123.4)
    assert physics.shift_ppm(sf * (1 + 246.7e-6), sf) == pytest.approx(246.7)


def test_a_warm_sample_reads_low():
    assert physics.curie_factor(313.15) == pytest.approx(0.9361, abs=1e-4)
    assert physics.curie_factor(293.15 - 1) - 1 == pytest.approx(0.0034, abs=1e-4)


@pytest.mark.parametrize("scheme", ["steady state", "comb"])
@pytest.mark.parametrize("flip", [0.3, math.pi / 2, 2.0])
def test_saturation_is_that_of_the_bloch_equations(scheme, flip):
    """Pulse after pulse, the longitudinal magnetisation followed by hand."""
    period, t1, along, seen = 0.5, 0.4, 1.0, 0.0
    for _ in range(60):
        along = 0.0 if scheme == "comb" else along * math.cos(flip) if seen else 1.0
        along = 1.0 + (along - 1.0) * math.exp(-period / t1)
        seen = along * math.sin(flip)
    assert physics.saturation_factor(period, t1, flip, scheme=scheme) == pytest.approx(seen, rel=1e-9)


def test_the_ernst_angle_gives_the_most_signal():
    angles = np.linspace(0.01, math.pi / 2, 3000)
    best = angles[np.argmax([physics.saturation_factor(0.2, 1.0, one) for one in angles])]
    assert physics.ernst_angle(0.2, 1.0) == pytest.approx(best, abs=1e-3)


def test_noise_falls_with_the_root_of_the_scans():
    rng = np.random.default_rng(2)
    few = rng.normal(size=(4000, 16)).mean(axis=1).std()
    many = rng.normal(size=(4000, 64)).mean(axis=1).std()
    assert physics.snr_with(100.0, 16, 64) == 200.0
    assert few / many == pytest.approx(2.0, rel=0.08)


def test_scans_for_a_detection_limit_are_the_fewest_that_reach_it():
    plan = physics.scans_for_limit(0.3, 0.93, 1024, floor=0.1, scan_s=0.5033)
    reached = lambda scans: math.sqrt(0.1**2 + (0.93**2 - 0.1**2) * 1024 / scans)  # noqa: E731
    assert plan.limit == pytest.approx(reached(plan.scans))
    assert reached(plan.scans) <= 0.3 < reached(plan.scans - 1)
    assert plan.time_s == pytest.approx(plan.scans * 0.5033)
    assert physics.scans_for_limit(0.5, 1.0, 1024).scans == 4096
    with pytest.raises(AnalysisError, match="not noise"):
        physics.scans_for_limit(0.1, 0.93, 1024, floor=0.1)


def test_times_that_cannot_be_are_refused():
    for wrong in ((0, 0.5, 0.0), (8, -1.0, 0.0), (8, 0.5, -1.0)):
        with pytest.raises(AnalysisError, match="at least one scan"):
            physics.measurement_time(*wrong)
    with pytest.raises(AnalysisError, match="must be a positive number"):
        physics.b1_strength(0.0)
    with pytest.raises(AnalysisError, match="must be a positive number"):
        physics.curie_factor(float("nan"))


# -- films ---------------------------------------------------------------------------------------------------------


def test_the_skin_depth_of_copper_at_1_MHz_is_the_textbooks():
    assert skin.skin_depth(1e6, 1.68e-8) == pytest.approx(65.2e-6, rel=2e-3)
    assert skin.resistivity_for(skin.skin_depth(77.8e6, 92.8e-9), 77.8e6) == pytest.approx(92.8e-9)


@pytest.mark.parametrize("field", ["one side", "both sides", "on foil"])
def test_a_thin_film_is_seen_whole(field):
    found = skin.film_signal(5e-9, 77.8e6, field=field)
    assert found.share == pytest.approx(1.0, abs=1e-3)
    assert found.lag_deg == pytest.approx(0.0, abs=0.1)


def test_a_thick_film_shows_its_surfaces_only():
    thick = {field: skin.film_signal(1e-3, 77.8e6, field=field).share for field in ("one side", "both sides")}
    assert thick["both sides"] == pytest.approx(2 * thick["one side"], rel=1e-3)
    assert thick["one side"] < 0.02


def test_the_field_in_a_film_on_foil_obeys_the_diffusion_equation():
    """Finite differences through film and foil, as an independent solution."""
    film, foil, frequency = 12e-6, 10e-6, 77.8e6
    rho_li, rho_cu = skin.LITHIUM_RESISTIVITY, skin.COPPER_RESISTIVITY
    n = 1100
    step = (film + foil) / n
    edge = (np.arange(n) + 0.5) * step
    rho = np.where(edge < film, rho_li, rho_cu)  # between nodes
    omega_mu = 2 * np.pi * frequency * 4e-7 * np.pi
    bands = np.ones((3, n + 1), dtype=complex)
    bands[0, 2:], bands[2, : n - 1] = rho[1:], rho[: n - 1]
    bands[1, 1:n] = -rho[:-1] - rho[1:] - 1j * omega_mu * step**2
    bands[0, 1] = bands[2, n - 1] = 0.0
    h = solve_banded((1, 1), bands, np.eye(n + 1)[0] + np.eye(n + 1)[n])[: round(film / step) + 1]
    signal = np.sin(0.5 * np.pi * np.abs(h)) * np.abs(h) * np.exp(2j * np.angle(h))
    whole = np.trapezoid(signal, dx=1.0) / (len(h) - 1)
    found = skin.film_signal(film, frequency, field="on foil", foil_m=foil)
    assert found.share == pytest.approx(abs(whole), rel=2e-3)
    assert found.lag_deg == pytest.approx(-math.degrees(np.angle(whole)), abs=0.3)


def test_a_thicker_film_lags_more():
    lags = [skin.film_signal(d * 1e-6, 77.8e6, field="one side").lag_deg for d in (2, 5, 10, 20)]
    assert lags == sorted(lags)
    assert skin.film_signal(10e-6, 77.8e6, field="one side", with_phase=False).lag_deg == pytest.approx(0.0)
    with pytest.raises(AnalysisError, match="flip angle"):
        skin.film_signal(1e-6, 77.8e6, flip_rad=math.pi)
    with pytest.raises(AnalysisError, match="unknown"):
        skin.film_signal(1e-6, 77.8e6, field="inside")


# -- amounts -------------------------------------------------------------------------------------------------------


def test_theoretical_capacities_are_the_known_ones():
    assert amounts.theoretical_capacity("Li") == pytest.approx(3861, abs=1.5)
    assert amounts.theoretical_capacity("LiFePO4") == pytest.approx(169.9, abs=0.1)
    assert amounts.theoretical_capacity("LiCoO2") == pytest.approx(273.8, abs=0.2)
    assert amounts.theoretical_capacity(amounts.NMC622) == pytest.approx(276.5, abs=0.2)
    assert amounts.theoretical_capacity("Li22Sn5") == pytest.approx(22 * 26801.48 / (22 * 6.94 + 5 * 118.71), rel=1e-4)
    half = amounts.theoretical_capacity(amounts.NMC622, lithium=(1.0, 0.5))
    assert half == pytest.approx(0.5 * amounts.theoretical_capacity(amounts.NMC622))


@pytest.mark.parametrize("formula", ["LiXy2", "Li(NiO2)", "", "li", "Li 2"])
def test_a_formula_that_is_not_understood_is_refused_where_it_ends(formula):
    with pytest.raises(AnalysisError, match="not understood"):
        amounts.molar_mass(formula)


def test_more_lithium_than_there_is_makes_no_sense():
    for formula, lithium in ((amounts.NMC622, (1.2, 0.0)), (amounts.NMC622, (0.5, 0.5)), ("NiO2", None)):
        with pytest.raises(AnalysisError, match="makes no sense"):
            amounts.theoretical_capacity(formula, lithium=lithium)


def test_thickness_area_and_mass_convert():
    assert amounts.lithium_areal_capacity(amounts.lithium_thickness(2.5)) == pytest.approx(2.5)
    assert amounts.lithium_thickness(1.0, porosity=0.5) == pytest.approx(2 * amounts.lithium_thickness(1.0))
    assert amounts.per_area(2.3, 0.5 * 2.0) == pytest.approx(2.3)
    assert amounts.disc_area(12.0) == pytest.approx(1.131, abs=1e-3)
    assert amounts.c_rate(0.4, 2.0) == pytest.approx(0.2)
    with pytest.raises(AnalysisError, match="area"):
        amounts.per_area(1.0, 0.0)
