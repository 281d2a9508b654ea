from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.special import voigt_profile
from scipy.stats import binom

from labctl.analysis import nmr
from labctl.analysis.morphology import (
    Fractions,
    MorphologySettings,
    bootstrap,
    deconvolve,
    sensitivity,
)
from labctl.errors import AnalysisError, DataError

FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
# Centre, Gaussian and Lorentzian full width of the deposits of the virtual cell, all in ppm.
DEPOSITS = ((246.7, 7.0, 3.0), (256.5, 8.0, 3.0), (266.5, 9.0, 4.0))
GRID = np.linspace(215.0, 310.0, 350)


def shares(cycle):
    """Fractions over the life of a cell: mostly dense at first, mostly mossy at the end."""
    aged = 1.0 / (1.0 + np.exp(-(cycle - 14.0) / 4.0))
    return (1.0 - aged) * np.array([0.78, 0.17, 0.05]) + aged * np.array([0.28, 0.46, 0.26])


def signal(fractions, ppm=GRID, shift=0.0, deposits=DEPOSITS):
    lines = [
        part * voigt_profile(ppm - centre - shift, gauss / FWHM, lorentz / 2.0)
        for part, (centre, gauss, lorentz) in zip(fractions, deposits, strict=True)
    ]
    return np.sum(lines, axis=0)


def spectrum(fractions=None, snr=400.0, seed=0, ppm=GRID, cycle=14, **more):
    made = signal(shares(cycle) if fractions is None else fractions, ppm, **more)
    rng = np.random.default_rng(seed)
    return SimpleNamespace(ppm=ppm, intensity=made + rng.normal(0.0, made.max() / snr, ppm.size))


def without(flag, result):
    return [one for one in result.flags if flag not in one]


# -- the fractions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cycle", [1, 8, 14, 20, 30])
def test_without_noise_the_fractions_are_those_that_were_put_in(cycle):
    made = spectrum(cycle=cycle, snr=np.inf)
    found = deconvolve(made)
    assert found.fractions == pytest.approx(shares(cycle), abs=1e-5)
    assert sum(found.fractions) == pytest.approx(1.0, abs=1e-12)
    assert found.areas == pytest.approx(shares(cycle), abs=1e-5)
    assert found.positions_ppm == pytest.approx([centre for centre, _, _ in DEPOSITS], abs=1e-3)
    for width, (_, gauss, lorentz) in zip(found.fwhm_ppm, DEPOSITS, strict=True):
        assert width == pytest.approx(0.5346 * lorentz + np.sqrt(0.2166 * lorentz**2 + gauss**2), abs=1e-3)
    assert abs(found.residual) < 1e-6


def test_the_curves_of_a_result_add_up_to_the_spectrum():
    made = spectrum(snr=1e9, cycle=25)
    curves = deconvolve(made).lines(made.ppm)
    assert np.max(np.abs(sum(curves) - made.intensity)) < 1e-6 * made.intensity.max()
    assert np.max(np.abs(curves.mossy - signal(shares(25) * [0, 1, 0]))) < 1e-4 * made.intensity.max()


@pytest.mark.parametrize(("snr", "bounds"), [(400.0, (0.0065, 0.012, 0.006)), (100.0, (0.019, 0.038, 0.020))])
def test_the_error_of_the_fractions_is_what_the_noise_leaves(snr, bounds):
    # The bounds hold for 700 points; these spectra have half as many, and half the noise's power.
    errors = []
    for seed in range(40):
        truth = shares(1 + seed % 30)
        made = spectrum(truth, snr * np.sqrt(2.0), seed)
        errors.append(np.array(deconvolve(made).fractions) - truth)
    assert np.all(np.sqrt(np.mean(np.square(errors), axis=0)) < 1.25 * np.array(bounds))


@pytest.mark.parametrize("snr", [400.0, 100.0])
def test_standard_deviations_are_honest(snr):
    pulls = []
    for seed in range(50):
        truth = shares(1 + seed % 30)
        found = deconvolve(spectrum(truth, snr, 1000 + seed))
        pulls.append((np.array(found.fractions) - truth) / np.array(found.sd))
    within = np.abs(np.array(pulls))
    for count in np.sum(within < 1.0, axis=0):
        assert binom.cdf(count, 50, 0.683) > 0.002
        assert binom.sf(count - 1, 50, 0.683) > 0.002
    for count in np.sum(within < 2.0, axis=0):
        assert binom.cdf(count, 50, 0.954) > 0.002


def test_no_start_ends_in_a_local_optimum():
    ppm = np.linspace(220.0, 300.0, 80)
    settings = MorphologySettings(range_ppm=(220.0, 300.0))
    low = np.array([[244.0, 4.0, 0.0], [254.0, 4.0, 0.0], [264.0, 4.0, 0.0]])
    high = np.array([[249.0, 14.0, 1.0], [259.0, 14.0, 1.0], [269.0, 14.0, 1.0]])
    rng = np.random.default_rng(6)
    for seed in range(20):
        made = spectrum(shares(2 + 1.4 * seed), 400.0 if seed % 2 else 250.0, seed, ppm)
        best = deconvolve(made, settings=settings)
        for _ in range(50):
            other = deconvolve(made, settings=settings, start=low + (high - low) * rng.random((3, 3)))
            # The noise is that of the residual: it tells the sum of squares.
            assert abs(other.noise_sd / best.noise_sd - 1.0) < 1e-6
            assert max(abs(a - b) for a, b in zip(other.fractions, best.fractions, strict=True)) < 2e-4


def test_the_order_of_the_points_and_the_unit_make_no_difference():
    made = spectrum()
    turned = SimpleNamespace(ppm=made.ppm[::-1], intensity=3e9 * made.intensity[::-1])
    one, other = deconvolve(made), deconvolve(turned)
    assert other.fractions == pytest.approx(one.fractions, abs=1e-6)
    assert other.sd == pytest.approx(one.sd, rel=1e-4)
    assert other.fit_sum == pytest.approx(3e9 * one.fit_sum, rel=1e-6)


def test_a_spectrum_of_the_analysis_core_is_taken_with_its_noise():
    made = spectrum(snr=200.0)
    sd = float(signal(shares(14)).max()) / 200.0
    found = deconvolve(nmr.Spectrum(made.ppm, made.intensity, sd))
    assert (found.noise_from, found.noise_sd) == ("given", pytest.approx(sd))
    assert found.chi_square == pytest.approx(1.0, abs=0.3)
    assert found.snr == pytest.approx(200.0, rel=0.02)
    alone = deconvolve(made)
    assert alone.noise_from == "residual"
    assert alone.noise_sd == pytest.approx(sd, rel=0.15)
    assert alone.sd == pytest.approx(found.sd, rel=0.2)


def test_filling_with_zeros_tells_nothing_new():
    # A decay with white noise, transformed as it is and filled to four times its length.
    count, width, centre = 256, 220.0, 262.0
    since = np.arange(count) / width
    decay = sum(
        part * np.exp(2j * np.pi * (c - centre) * since - np.pi * l * since - (np.pi * g * since) ** 2 / 4 / np.log(2))
        for part, (c, g, l) in zip(shares(14), DEPOSITS, strict=True)  # noqa: E741
    )
    decay[0] *= 0.5
    rng = np.random.default_rng(3)
    sigma = 0.01
    decay = decay + sigma * (rng.normal(size=count) + 1j * rng.normal(size=count))
    results = []
    for fill in (1, 4):
        length = fill * count
        ppm = np.fft.fftshift(np.fft.fftfreq(length, 1.0 / width)) + centre
        values = np.fft.fftshift(np.fft.fft(decay, length)).real
        # Neighbours share noise: their correlation is the transform of the decay's window, all ones here.
        window = np.fft.fft(np.ones(count), length).real / count
        made = SimpleNamespace(
            ppm=ppm, intensity=values, noise_sd=sigma * np.sqrt(count), noise_correlation=window[: length // 2]
        )
        results.append(deconvolve(made))
    assert results[1].sd == pytest.approx(results[0].sd, rel=0.25)
    blind = deconvolve(SimpleNamespace(ppm=made.ppm, intensity=made.intensity, noise_sd=made.noise_sd))
    assert any("not white" in flag for flag in blind.flags)


def test_an_apodisation_that_makes_other_lines_is_allowed_for():
    # cos² over 3.28 ms at 77.8 MHz: half the line where it is, a quarter 1.96 ppm to either side.
    kernel = ((0.0, 0.5), (1.96, 0.25), (-1.96, 0.25))
    plain = signal(shares(14), np.linspace(205.0, 320.0, 800))
    ppm = np.linspace(205.0, 320.0, 800)
    smeared = sum(weight * np.interp(GRID - offset, ppm, plain) for offset, weight in kernel)
    noise = np.random.default_rng(2).normal(0.0, plain.max() / 4000.0, GRID.size)
    made = SimpleNamespace(ppm=GRID, intensity=smeared + noise, line_kernel=kernel)
    found = deconvolve(made)
    assert found.fractions == pytest.approx(shares(14), abs=0.005)
    assert found.fwhm_ppm.dense == pytest.approx(0.5346 * 3 + np.sqrt(0.2166 * 9 + 49), abs=0.05)
    assert np.max(np.abs(sum(found.lines(GRID)) - smeared)) < 2e-3 * smeared.max()
    assert found.line_kernel == kernel


# -- states and settings ---------------------------------------------------------------------------------------------


def test_the_windows_move_with_the_state_of_charge():
    made = spectrum(snr=2000.0, shift=3.3)
    found = deconvolve(made, soc=0.0, state="discharged")
    assert found.fractions == pytest.approx(shares(14), abs=0.01)
    assert found.windows_ppm.dense == pytest.approx((247.3, 252.3))
    assert any("moved for a state of charge of 0.00" in flag for flag in found.flags)
    half = deconvolve(spectrum(snr=2000.0, shift=1.65), soc=0.5)
    assert half.windows_ppm.dendritic == pytest.approx((265.65, 270.65))
    assert half.fractions == pytest.approx(shares(14), abs=0.01)


def test_a_discharged_spectrum_whose_state_of_charge_nobody_said_is_refused():
    with pytest.raises(AnalysisError, match=r"hold for the charged state.*discharged.*soc"):
        deconvolve(spectrum(), state="discharged")


def test_a_discharged_spectrum_that_is_taken_for_a_charged_one_says_that_something_is_wrong():
    found = deconvolve(spectrum(cycle=1, shift=3.3))
    assert any("centre of dense at the edge of its window (249.0 ppm)" in flag for flag in found.flags)


def test_what_was_assumed_is_said_with_every_result():
    found = deconvolve(spectrum())
    assert found.flags == ("not calibrated with this set-up: windows: Wichmann et al. 2025; width cap: assumed",)
    assert found.settings == MorphologySettings()
    own = MorphologySettings(calibrated=True, source="foil series 3", width_cap_ppm=13.0)
    assert deconvolve(spectrum(), settings=own).flags == ()


def test_below_a_signal_to_noise_ratio_of_100_nothing_is_quotable():
    assert any("not quotable: signal-to-noise ratio 6" in flag for flag in deconvolve(spectrum(snr=62.0)).flags)
    assert not any("quotable" in flag for flag in deconvolve(spectrum(snr=120.0)).flags)


def test_the_width_cap_holds_and_is_named_where_it_does():
    broad = ((246.7, 7.0, 3.0), (256.5, 16.0, 3.0), (266.5, 9.0, 4.0))
    found = deconvolve(spectrum(deposits=broad), width_cap=12.0)
    assert max(found.fwhm_ppm) <= 12.0
    assert "width of mossy at its cap (12.0 ppm)" in found.at_bound
    assert set(found.at_bound) <= set(found.flags)
    assert found.settings.width_cap_ppm == 12.0


@pytest.mark.parametrize(("kind", "offset"), [("constant", (0.02, 0.02)), ("linear", (0.03, -0.01))])
def test_a_baseline_is_fitted_along_on_demand(kind, offset):
    made = spectrum(snr=4000.0)
    lying = np.interp(made.ppm, [215.0, 310.0], offset) * made.intensity.max()
    lifted = SimpleNamespace(ppm=made.ppm, intensity=made.intensity + lying)
    found = deconvolve(lifted, settings=MorphologySettings(baseline=kind))
    assert found.fractions == pytest.approx(shares(14), abs=0.01)
    assert found.baseline == pytest.approx((lying[0], lying[-1]), abs=0.002 * made.intensity.max())
    sd = made.intensity.max() / 4000.0
    assert any("three lines do not describe" in flag for flag in deconvolve(lifted, noise_sd=sd).flags)


def test_signal_in_no_line_is_reported_and_the_basis_is_a_choice():
    other = 0.15 * voigt_profile(GRID - 290.0, 1.5, 0.5)
    made = spectrum(snr=1000.0)
    made.intensity = made.intensity + other
    by_fit = deconvolve(made)
    by_data = deconvolve(made, settings=MorphologySettings(relative_to="data"))
    left = float(trapezoid(made.intensity - sum(by_fit.lines(made.ppm)), made.ppm))
    assert left > 0.05  # half of it drew the dendritic line wider
    assert by_fit.residual == pytest.approx(left / by_fit.fit_sum, rel=1e-6)
    assert sum(by_fit.fractions) == pytest.approx(1.0)
    assert sum(by_data.fractions) + by_data.residual == pytest.approx(1.0)
    assert by_data.data_integral == pytest.approx(float(trapezoid(made.intensity, made.ppm)), rel=1e-9)
    assert any("% of the signal is in no line" in flag for flag in by_fit.flags)


# -- what is not a case of three lines -------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [0, 1, 2])
def test_a_deposit_of_one_kind_is_found_alone(phase):
    truth = np.eye(3)[phase]
    found = deconvolve(spectrum(truth, 400.0, seed=phase))
    error = np.abs(np.array(found.fractions) - truth)
    assert np.all(error < 0.02)
    assert np.all(error < 4.0 * np.array(found.sd) + 1e-4)


def test_a_pristine_cell_has_no_morphology():
    rng = np.random.default_rng(4)
    blank = SimpleNamespace(ppm=GRID, intensity=rng.normal(0.0, 1.0, GRID.size))
    with pytest.raises(AnalysisError, match="no metal line"):
        deconvolve(blank)
    with pytest.raises(AnalysisError, match="zero everywhere"):
        deconvolve(SimpleNamespace(ppm=GRID, intensity=np.zeros(GRID.size)))


def test_a_spectrum_upside_down_is_told_to_be_a_matter_of_phase():
    made = spectrum()
    with pytest.raises(AnalysisError, match=r"not positive.*look at the phase"):
        deconvolve(SimpleNamespace(ppm=made.ppm, intensity=-made.intensity))


@pytest.mark.parametrize(
    ("ppm", "intensity", "error", "said"),
    [
        (np.linspace(250, 310, 300), np.ones(300), AnalysisError, "covers 250.0 to 310.0 ppm, the windows .* 244.0"),
        (np.linspace(-20, 20, 300), np.ones(300), AnalysisError, "covers -20.0 to 20.0 ppm"),
        (np.linspace(215, 310, 20), np.ones(20), AnalysisError, "20 points between 215.0 and 310.0"),
        (GRID, np.ones(GRID.size, complex), DataError, "complex; phase it"),
        (GRID, np.where(GRID > 300, np.nan, 1.0), DataError, "not a number, the first is"),
        (GRID, np.ones(5), DataError, "are no spectrum"),
        (GRID, None, DataError, "needs ppm and intensity"),
        (GRID, ["high"] * GRID.size, DataError, "not numbers"),
        (np.abs(GRID - 260), np.ones(GRID.size), DataError, "neither rise nor fall"),
    ],
)
def test_what_is_no_spectrum_of_the_metal_is_refused_in_plain_words(ppm, intensity, error, said):
    with pytest.raises(error, match=said):
        deconvolve(SimpleNamespace(ppm=ppm, intensity=intensity))


def test_a_spectrum_that_ends_inside_the_range_says_so():
    ppm = np.linspace(235.0, 285.0, 300)
    found = deconvolve(spectrum(snr=2000.0, ppm=ppm))
    assert any("ends inside the range of 215.0 to 310.0 ppm" in flag for flag in found.flags)
    assert found.range_ppm == (235.0, 285.0)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"width_cap_ppm": 3.0}, "leave no width"),
        ({"range_ppm": (250.0, 310.0)}, "does not hold the windows"),
        ({"baseline": "spline"}, "no baseline 'spline'; known are none, constant, linear, quadratic, cubic"),
        ({"relative_to": "peak"}, "known are fit, data"),
        ({"windows_ppm": ((244.0, 256.0), (254.0, 259.0), (264.0, 269.0))}, "overlap"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changed, said):
    with pytest.raises(AnalysisError, match=said):
        deconvolve(spectrum(), settings=replace(MorphologySettings(), **changed))


@pytest.mark.parametrize(
    ("told", "error", "said"),
    [
        ({"soc": 1.2}, AnalysisError, "0 to 1 is meant"),
        ({"state": "resting"}, AnalysisError, "known are charged, discharged, dead"),
        ({"noise_sd": -1.0}, DataError, "above 0"),
        ({"noise_correlation": [0.5, 0.2]}, DataError, "begin with 1"),
        ({"start": [[246, 8, 0.3]]}, AnalysisError, "for each of three lines"),
        ({"line_kernel": [(0.0, 0.5)]}, DataError, "weights add up to 1"),
    ],
)
def test_what_is_told_about_a_spectrum_is_checked(told, error, said):
    with pytest.raises(error, match=said):
        deconvolve(spectrum(), **told)


# -- how far to trust it ---------------------------------------------------------------------------------------------


def test_bootstrap_agrees_with_the_standard_deviations_and_can_be_repeated():
    made = spectrum(snr=400.0, cycle=20)
    nominal = deconvolve(made)
    again = bootstrap(made, count=80, seed=5)
    assert again.sd == pytest.approx(nominal.sd, rel=0.4)
    assert bootstrap(made, count=20, seed=5) == bootstrap(made, count=20, seed=5)
    for low, value, high in zip(again.low, nominal.fractions, again.high, strict=True):
        assert low < value < high
    assert bootstrap(made, count=40, kind="residual").sd == pytest.approx(nominal.sd, rel=0.5)
    with pytest.raises(AnalysisError, match="at least 20"):
        bootstrap(made, count=3)


def test_sensitivity_shows_what_windows_and_cap_decide():
    free = sensitivity(spectrum(snr=5000.0))
    assert [one.choice for one in free.variations] == [
        "windows +1 ppm",
        "windows -1 ppm",
        "width cap +20 %",
        "width cap -20 %",
    ]
    for one in free.variations[:3]:
        assert np.max(np.abs(one.change)) < 1e-3  # the lines stand clear of these bounds
    # Dendritic lithium's line is 11.3 ppm wide, the narrower cap 11.2.
    assert free.largest == pytest.approx(np.abs(free.variations[3].change))
    assert free.largest.dendritic > 1e-3
    held = sensitivity(spectrum(snr=5000.0, shift=2.5))
    assert max(held.largest) > 0.02  # dense lies outside its window
    assert held.largest.dense == max(abs(one.change.dense) for one in held.variations)


def test_sensitivity_says_what_a_degree_of_phase_does():
    made = spectrum(snr=2000.0)
    told = sensitivity(made, phase_deg=2.0)
    # The same by hand: dispersion is the Hilbert transform of absorption, here on a range where both have ended.
    wide = np.linspace(-2000.0, 2500.0, 18001)
    spectral = np.fft.fft(signal(shares(14), wide))
    partner = np.imag(np.fft.ifft(spectral * (1.0 + np.sign(np.fft.fftfreq(wide.size)))))
    changes = []
    for turn in np.radians([2.0, -2.0]):
        turned = SimpleNamespace(ppm=GRID, intensity=made.intensity + turn * np.interp(GRID, wide, partner))
        changes.append(np.abs(np.array(deconvolve(turned).fractions) - np.array(told.nominal.fractions)))
    assert told.phase == pytest.approx(np.max(changes, axis=0), rel=0.05)
    assert told.phase_deg == 2.0
    assert max(told.phase) > 0.01


def test_a_baseline_that_has_swallowed_the_tails_is_undone_by_fitting_it_along():
    ppm = np.linspace(80.0, 395.0, 1160)
    made = spectrum(snr=8000.0, ppm=ppm)
    free = (ppm < 200.0) | (ppm > 320.0)
    scaled = (ppm - 237.5) / 157.5
    made.intensity = made.intensity - np.polyval(np.polyfit(scaled[free], made.intensity[free], 3), scaled)
    along = MorphologySettings(baseline="cubic", range_ppm=(80.0, 395.0))
    assert deconvolve(made, settings=along).fractions == pytest.approx(shares(14), abs=0.005)
    assert max(abs(np.array(deconvolve(made).fractions) - shares(14))) > 0.02


def test_a_result_is_plain_data_on_demand():
    found = deconvolve(spectrum())
    plain = found.to_json()
    assert isinstance(found, Fractions)
    assert plain["sd"]["mossy"] == found.sd.mossy
    assert plain["settings"]["windows_ppm"]["dense"] == (244.0, 249.0)
    assert plain["windows_ppm"]["dendritic"] == (264.0, 269.0)
