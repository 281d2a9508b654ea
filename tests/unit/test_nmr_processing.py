from __future__ import annotations

from dataclasses import replace

import bruker_folders
import numpy as np
import pytest
from synthetic import ELECTROLYTE, RANDOM_PHASE, Acquisition, Line, metal_lines, write_dataset

from labctl.analysis import bruker, nmr, reference
from labctl.analysis.dead_time import extrapolated
from labctl.analysis.recipe import METAL, Apodisation, Phase, Recipe
from labctl.errors import AnalysisError, DataError

CHARGED = Acquisition((*metal_lines(2.5, "early", 1.0), ELECTROLYTE), sr_Hz=120.0)
NOISY = replace(CHARGED, sigma=4.0)
SR = 77.77812e6 + 120.0


def integral(tmp_path, acquisition, rng=None, phase=-RANDOM_PHASE, name="x"):
    return nmr.metal_integral(bruker.read(write_dataset(tmp_path / name, acquisition, rng)), SR, phase)


# -- reading ---------------------------------------------------------------------------------------------------------


def test_integers_with_a_scaling_exponent_and_doubles_say_the_same(tmp_path):
    ints, doubles = (bruker.read(write_dataset(tmp_path / str(k), replace(CHARGED, kind=k))) for k in (0, 2))
    assert np.max(np.abs(ints.fid - doubles.fid)) < 1e-8 * np.max(np.abs(doubles.fid))
    assert doubles.scans == 1024
    assert doubles.pulse_s == pytest.approx(7e-6)
    assert doubles.recycle_delay_s == 0.5
    assert doubles.reference_Hz == pytest.approx(SR)
    assert doubles.acquisition_s == pytest.approx(3.2768e-3)


def truncate(folder):
    (folder / "fid").write_bytes((folder / "fid").read_bytes()[:-4096])


def preallocate(folder):
    (folder / "fid").write_bytes(bytes((folder / "fid").stat().st_size))


def in_progress(folder):
    (folder / "audita.txt").write_text("(1,<created by zg>)\n(2,<acquisition in progress>)\n")


def two_dimensional(folder):
    (folder / "fid").rename(folder / "ser")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncate, r"fid: truncated, 258048 of 262144 bytes"),
        (preallocate, "nothing but zeros"),
        (in_progress, "still being written"),
        (two_dimensional, "two-dimensional"),
        (lambda folder: (folder / "acqus").unlink(), "still being written, acqus is missing"),
        (lambda folder: (folder / "fid").unlink(), "fid is missing"),
        (lambda folder: (folder / "acqus").write_text("##TITLE= x\n##END=\n"), "no Bruker parameter file"),
        (lambda folder: (folder / "fid").write_bytes((folder / "fid").read_bytes() * 2), "asks for 262144"),
    ],
)
def test_a_dataset_that_is_not_whole_is_refused_by_name(tmp_path, damage, said):
    folder = write_dataset(tmp_path / "17", CHARGED)
    damage(folder)
    with pytest.raises(DataError, match=said) as caught:
        bruker.read(folder)
    assert str(folder) in str(caught.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such dataset"):
        bruker.read(tmp_path / "99")


# -- the chain -------------------------------------------------------------------------------------------------------


def test_the_reported_noise_is_the_noise(tmp_path):
    data = bruker.read(write_dataset(tmp_path / "n", NOISY, np.random.default_rng(1)))
    assert nmr.noise(data) == pytest.approx(4.0 * 101.0 * 32.0, rel=0.03)


@pytest.mark.parametrize("delay", [0.0, 67.9856])
@pytest.mark.parametrize("dead_time", [0.0, 6.5])
def test_the_phase_is_found_within_two_degrees(tmp_path, delay, dead_time):
    world = replace(NOISY, delay=delay, dead_time_us=dead_time)
    data = bruker.read(write_dataset(tmp_path / "p", world, np.random.default_rng(2)))
    assert np.degrees(nmr.phase_of(data, SR) + RANDOM_PHASE) == pytest.approx(0.0, abs=2.0)


def test_no_metal_gives_no_phase(tmp_path):
    data = bruker.read(write_dataset(tmp_path / "e", replace(NOISY, lines=(ELECTROLYTE,)), np.random.default_rng(3)))
    with pytest.raises(AnalysisError, match="no metal line"):
        nmr.phase_of(data, SR)


@pytest.mark.parametrize("delay", [0.0, 67.9856])
def test_a_line_stands_where_it_is(tmp_path, delay):
    world = replace(CHARGED, lines=(Line(246.0, 2.0, 8.0, 1.0), ELECTROLYTE), delay=delay)
    data = bruker.read(write_dataset(tmp_path / "s", world))
    spectrum = nmr.spectrum(data, SR, -RANDOM_PHASE)
    strong = spectrum.intensity > 0.5 * spectrum.intensity.max()
    centre = np.average(spectrum.ppm[strong], weights=spectrum.intensity[strong])
    assert centre == pytest.approx(246.0, abs=0.1)


def test_the_integral_is_the_sum_over_the_spectrum(tmp_path):
    data = bruker.read(write_dataset(tmp_path / "i", NOISY, np.random.default_rng(4)))
    spectrum = nmr.spectrum(data, SR, -RANDOM_PHASE)
    inside = (spectrum.ppm > 215) & (spectrum.ppm < 310)
    total = spectrum.intensity[inside].sum() * (spectrum.ppm[1] - spectrum.ppm[0])
    assert nmr.metal_integral(data, SR, -RANDOM_PHASE).value == pytest.approx(total, rel=1e-3)


def test_the_integral_is_linear_in_the_metal_and_blind_to_the_electrolyte(tmp_path):
    one = integral(tmp_path, CHARGED, name="a").value
    two = integral(tmp_path, replace(CHARGED, lines=metal_lines(5.0, "early", 1.0)), name="b").value
    assert two == pytest.approx(2 * one, rel=1e-3)
    for electrolyte in (Line(-1.0, 2.0, 2.8), Line(-1.0, 2.0, 2.8, 0.3)):
        nothing = integral(tmp_path, replace(CHARGED, lines=(electrolyte,)), name=f"c{electrolyte.lorentz}").value
        assert abs(nothing) < 2e-4 * one


def test_all_states_and_morphologies_are_treated_alike(tmp_path):
    found = [
        integral(tmp_path, replace(CHARGED, lines=metal_lines(1.0, shape, soc, 1.0)), name=f"{shape}{soc}").value
        for shape in ("early", "late", "dead")
        for soc in (0.0, 1.0)
    ]
    assert np.ptp(found) < 0.003 * np.mean(found)


def test_a_broad_background_and_a_lost_start_stay_out_of_the_integral(tmp_path):
    for dead_time in (0.0, 6.5, 10.0):
        world = replace(CHARGED, lines=(Line(0.0, 2.0, 800.0),), dead_time_us=dead_time)
        assert abs(integral(tmp_path, world, name=f"b{dead_time}").value) < 0.002


def test_the_reported_deviation_is_the_scatter(tmp_path):
    rng = np.random.default_rng(1)
    world = replace(NOISY, lines=(ELECTROLYTE,), points=8192, width=1.25e6)
    found = [integral(tmp_path, world, rng) for _ in range(150)]
    scatter = np.std([one.value for one in found])
    assert scatter == pytest.approx(np.mean([one.sd for one in found]), rel=0.15)
    assert abs(np.mean([one.value for one in found])) < 0.3 * scatter


def test_scans_and_receiver_gain_cancel(tmp_path):
    usual = integral(tmp_path, CHARGED, name="u")
    other = integral(tmp_path, replace(CHARGED, scans=4096, gain=32.0), name="o")
    assert other.value == pytest.approx(usual.value, rel=1e-9)


def test_four_times_the_scans_halve_the_deviation(tmp_path):
    rng = np.random.default_rng(7)
    usual, more = (integral(tmp_path, replace(NOISY, scans=n), rng, name=str(n)).sd for n in (1024, 4096))
    assert more == pytest.approx(0.5 * usual, rel=0.05)


def test_a_width_that_does_not_reach_the_baseline_is_refused(tmp_path):
    data = bruker.read(write_dataset(tmp_path / "w", replace(CHARGED, width=20e3)))
    with pytest.raises(AnalysisError, match="does not cover 80 to 395 ppm"):
        nmr.metal_integral(data, SR, 0.0)


def test_a_recipe_of_ones_own_is_followed(tmp_path):
    data = bruker.read(write_dataset(tmp_path / "r", CHARGED))
    narrow = replace(METAL, metal=(248.0, 252.0))
    assert nmr.metal_integral(data, SR, -RANDOM_PHASE, narrow).value < 0.5 * integral(tmp_path, CHARGED).value


# -- the axis --------------------------------------------------------------------------------------------------------

BARE = Recipe(apodisation=Apodisation("none"), zero_fill=1, order=0, shown="all", phase=Phase(0.0))
#: How the console's filter is told: nothing, by its own word, by the table of old consoles.
FILTERS = {
    "analog": (0.0, {}),
    "told": (67.9856, {"GRPDLY": 67.9856, "DIGMOD": 1, "DECIM": 20}),
    "table": (3368 / 48, {"DIGMOD": 1, "DSPFVS": 12, "DECIM": 24, "GRPDLY": 0}),
}


@pytest.mark.parametrize("filtered", FILTERS)
@pytest.mark.parametrize("basic", [77.77812, 233.2335], ids=["4.7 T", "14.1 T"])
@pytest.mark.parametrize("between", [0.0, 0.5])
def test_a_line_stands_at_its_frequency_to_a_bin(tmp_path, filtered, basic, between):
    delay, given = FILTERS[filtered]
    points, width, reference = 8192, basic * 2000.0, basic + 150e-6  # MHz, Hz, MHz
    bin_number = 517
    carrier = basic * (1 + 200e-6)
    after = (np.arange(points) - delay) / width  # s after the pulse
    offset = (bin_number + between) * width / points
    made = np.where(after >= 0, np.exp(2j * np.pi * offset * after - 200.0 * after), 0.0)
    folder = bruker_folders.write(
        tmp_path / "1", 2.0**20 * made, DTYPA=2, BF1=basic, SFO1=carrier, SW_h=width, DE=0.0, sf=reference, **given
    )
    found = nmr.process(nmr.read_bruker(folder), BARE)
    assert len(found.ppm) == points
    truth = (carrier * 1e6 + bin_number * width / points - reference * 1e6) / reference
    top = int(np.argmax(found.intensity))
    here = int(np.argmin(np.abs(found.ppm - truth)))
    assert found.ppm[here] == pytest.approx(truth, abs=1e-9)
    assert found.ppm[1] - found.ppm[0] == pytest.approx(width / points / reference, rel=1e-12)
    high = found.intensity[here : here + 2] / found.intensity.max()
    if between:
        assert top in (here, here + 1)
        assert high == pytest.approx([1.0, 1.0], abs=0.03)
    else:
        assert top == here
        assert high[1] < 0.9


@pytest.mark.parametrize("filtered", FILTERS)
def test_a_filters_delay_leaves_no_turn_of_the_phase(tmp_path, filtered):
    delay, given = FILTERS[filtered]
    width, points = 1e5, 4096
    after = (np.arange(points) - delay) / width
    made = sum(np.exp(2j * np.pi * at * after - 900.0 * after) for at in (-6000.0, 0.0, 9000.0))
    folder = bruker_folders.write(
        tmp_path / "1", 2.0**20 * np.where(after >= 0, made, 0.0), DTYPA=2, SW_h=width, DE=0.0, sf=77.77812, **given
    )
    found = nmr.process(nmr.read_bruker(folder), BARE)
    for at in (-6000.0, 0.0, 9000.0):
        near = np.abs(found.ppm - (19444.53 + at) / 77.77812) < 0.5
        peak = int(np.argmax(np.where(near, found.intensity, -np.inf)))
        assert abs(found.imaginary[peak]) < 0.12 * found.intensity[peak]


@pytest.mark.parametrize(("zero_Hz", "sr_Hz", "source", "shift"), [
    (None, None, "dataset", 120.0), (SR - 80.0, None, "standard", 40.0), (None, 200.0, "recipe", 200.0),
])  # fmt: skip
def test_zero_is_where_the_recipe_or_the_dataset_says(tmp_path, zero_Hz, sr_Hz, source, shift):
    data = bruker.read(write_dataset(tmp_path / "x", CHARGED))
    found = nmr.process(data, replace(METAL, zero_Hz=zero_Hz, sr_Hz=sr_Hz))
    assert found.zero_Hz == pytest.approx(77.77812e6 + shift)
    assert [one.source for one in found.origins if one.name == "0 ppm"] == [source]
    assert found.ppm[np.argmax(found.intensity)] == pytest.approx(246.7 + (120.0 - shift) / 77.77812, abs=1.0)


def test_a_dataset_without_reference_says_that_its_shifts_are_none(tmp_path):
    found = nmr.process(bruker.read(write_dataset(tmp_path / "x", CHARGED, sf=False)), METAL)
    assert any("not referenced" in str(one) and one.source == "assumed" for one in found.origins)


# -- the steps of a recipe -------------------------------------------------------------------------------------------


def test_process_and_the_metals_integral_agree_and_say_how_they_were_made(tmp_path):
    data = bruker.read(write_dataset(tmp_path / "x", NOISY, np.random.default_rng(10)))
    found = nmr.process(data, replace(METAL, phase=Phase(-RANDOM_PHASE, source="charged spectrum")))
    direct, summed = nmr.metal_integral(data, SR, -RANDOM_PHASE), found.integral(METAL.metal)
    assert summed.value == pytest.approx(direct.value, rel=1e-9)
    assert (summed.sd, summed.baseline_sd) == pytest.approx((direct.sd, direct.baseline_sd), rel=1e-9)
    names = {one.name: str(one) for one in found.origins}
    assert {"digital filter", "time of the first point", "apodisation", "zero filling", "phase", "baseline", "0 ppm",
            "scans", "receiver gain", "first point", "lost first points"} <= set(names)  # fmt: skip
    assert "charged spectrum" in names["phase"]


@pytest.mark.parametrize("order", [1, 5])
def test_any_windows_deviation_is_its_scatter_with_the_baselines_share(tmp_path, order):
    rng = np.random.default_rng(11)
    recipe = Recipe(order=order, zero_fill=2, phase=Phase(0.0))
    window = (240.0, 262.0)
    whole, drawn = [], []
    for number in range(80):
        world = Acquisition((), 4.0, points=4096, width=0.625e6)
        found = nmr.process(bruker.read(write_dataset(tmp_path / str(number), world, rng)), recipe)
        inside = (found.ppm > window[0]) & (found.ppm < window[1])
        drawn.append(found.baseline[inside].mean() * (window[1] - window[0]))
        whole.append(found.integral(window))
    assert np.std([one.value for one in whole]) == pytest.approx(np.mean([one.sd for one in whole]), rel=0.2)
    assert np.std(drawn) == pytest.approx(np.mean([one.baseline_sd for one in whole]), rel=0.2)


def width_Hz(ppm, intensity):
    """Full width at half maximum, between the points."""
    top = int(np.argmax(intensity))
    half = 0.5 * intensity[top]
    left = np.interp(half, intensity[: top + 1], ppm[: top + 1])
    return (np.interp(-half, -intensity[top:], ppm[top:]) - left) * 77.77812


@pytest.mark.parametrize(
    ("given", "gained"),
    [(Apodisation("none"), 0.0), (Apodisation("exponential", lorentz_Hz=400.0), 400.0),
     (Apodisation("lorentz-gauss", lorentz_Hz=-300.0, gauss_Hz=0.0), -300.0)],
)  # fmt: skip
def test_an_exponential_window_adds_its_width_to_a_lorentzian_line(tmp_path, given, gained):
    world = Acquisition((Line(250.0, 1.0, 0.0, 10.0),), points=65536, dead_time_us=0.0, carrier_ppm=250.0)
    data = bruker.read(write_dataset(tmp_path / "x", world))
    recipe = replace(METAL, apodisation=given, phase=Phase(-RANDOM_PHASE), zero_fill=8)
    found = nmr.process(data, recipe)
    total = found.intensity + found.baseline
    assert width_Hz(found.ppm, total) == pytest.approx(10.0 * 77.77812 + gained, abs=15.0)


def test_a_gaussian_window_adds_its_width_to_a_gaussian_line_in_squares(tmp_path):
    world = Acquisition((Line(250.0, 1.0, 10.0),), dead_time_us=0.0)
    data = bruker.read(write_dataset(tmp_path / "x", world))
    recipe = replace(
        METAL, apodisation=Apodisation("gaussian", gauss_Hz=600.0), phase=Phase(-RANDOM_PHASE), zero_fill=8
    )
    found = nmr.process(data, recipe)
    assert width_Hz(found.ppm, found.intensity) == pytest.approx(np.hypot(777.8, 600.0), abs=10.0)


def test_a_first_point_at_the_pulse_counts_by_half(tmp_path):
    world = replace(CHARGED, dead_time_us=0.0, lines=(Line(250.0, 1.0, 8.0),))
    data = bruker.read(write_dataset(tmp_path / "x", world))
    recipe = replace(METAL, phase=Phase(-RANDOM_PHASE))
    usual, whole = (nmr.process(data, replace(recipe, first_point=factor)) for factor in (None, 1.0))
    level = 1.0 * usual.zero_Hz * 1e-6 / data.sweep_width_Hz  # half a point, doubled for the one-sided decay
    raised = np.mean((whole.intensity + whole.baseline) - (usual.intensity + usual.baseline))
    assert raised == pytest.approx(level, rel=1e-3)


def test_a_magnitude_spectrum_needs_no_phase_and_has_no_integral(tmp_path):
    for angle in (0.0, 2.0):
        data = bruker.read(write_dataset(tmp_path / str(angle), replace(CHARGED, phase=angle)))
        found = nmr.process(data, replace(METAL, phase="magnitude"))
        assert found.ppm[np.argmax(found.intensity)] == pytest.approx(246.7, abs=1.0)
        assert found.intensity.min() >= 0.0
        with pytest.raises(AnalysisError, match="magnitude spectrum has no integral"):
            found.integral(METAL.metal)


def test_a_window_outside_the_spectrum_is_refused(tmp_path):
    found = nmr.process(bruker.read(write_dataset(tmp_path / "x", CHARGED)), METAL)
    with pytest.raises(AnalysisError, match=r"380 to 420 ppm is not within the spectrum, 80\.\d to 39"):
        found.integral((380.0, 420.0))


def test_what_is_shown_may_reach_further_than_the_baseline(tmp_path):
    found = nmr.process(bruker.read(write_dataset(tmp_path / "x", CHARGED)), replace(Recipe(), shown=(-50.0, 450.0)))
    assert (found.ppm[0], found.ppm[-1]) == pytest.approx((-50.0, 450.0), abs=1.0)
    assert found.ppm[np.argmax(found.intensity)] == pytest.approx(-1.0, abs=1.0)
    assert np.ptp(found.baseline[found.ppm < 80.0]) == 0.0


@pytest.mark.parametrize("delay", [0.0, 67.9856])
@pytest.mark.parametrize("dead_time", [6.5, 10.0])
def test_a_lost_start_can_be_put_back(tmp_path, delay, dead_time):
    world = replace(
        CHARGED, lines=(Line(250.0, 2.0, 20.0), ELECTROLYTE), sigma=0.2, delay=delay, dead_time_us=dead_time
    )
    data = bruker.read(write_dataset(tmp_path / "x", world, np.random.default_rng(12)))
    lost = replace(data, fid=np.where(np.arange(len(data.fid)) < delay, 0.0, data.fid))
    data = lost if delay else data
    filled, start = extrapolated(data.fid, data.sweep_width_Hz, data.start_s, data.delay_points, 25e3)
    assert 0.0 <= start < 1.0 / data.sweep_width_Hz
    at_pulse = filled[0] * np.exp(-1j * RANDOM_PHASE) / (data.scans * data.receiver_gain)
    assert at_pulse == pytest.approx(4.0, rel=0.02)
    put_back = nmr.process(data, replace(METAL, phase=Phase(-RANDOM_PHASE), dead_time="extrapolate"))
    left_out = nmr.process(data, replace(METAL, phase=Phase(-RANDOM_PHASE)))
    # What is lost with the start is a roll under the whole spectrum.
    roll = [np.abs(one.baseline).max() / one.intensity.max() for one in (put_back, left_out)]
    assert roll[0] < 0.3 * roll[1]
    assert any("extrapolate" in str(one) for one in put_back.origins)


def test_a_decay_too_short_to_be_extrapolated_is_refused(tmp_path):
    data = bruker.read(write_dataset(tmp_path / "x", replace(CHARGED, points=512)))
    with pytest.raises(AnalysisError, match="too short to be extrapolated"):
        nmr.process(data, replace(METAL, dead_time="extrapolate"))


def test_the_default_recipe_follows_a_rolling_baseline(tmp_path):
    """A roll of 2 % of the peak moves the integral by less than half a percent (method: -0.28 %)."""
    data = bruker.read(
        write_dataset(tmp_path / "x", replace(CHARGED, lines=(Line(250.0, 2.0, 8.0),), dead_time_us=0.0))
    )
    plain = nmr.process(data, Recipe(phase=Phase(-RANDOM_PHASE)))
    # A spurious point of the decay is a wave in the spectrum, here of 400 ppm.
    at = round(data.sweep_width_Hz / (400.0 * 77.77812))
    height = 0.02 * plain.intensity.max() * data.sweep_width_Hz / (2.0 * 77.77812) * data.scans * data.receiver_gain
    spurious = np.where(np.arange(len(data.fid)) == at, height * np.exp(1j * (RANDOM_PHASE + 0.6)), 0.0)
    rolled = replace(data, fid=data.fid + spurious)
    moved = {}
    for order in (1, 5):
        found = nmr.process(rolled, Recipe(order=order, phase=Phase(-RANDOM_PHASE)))
        moved[order] = abs(found.integral((215.0, 310.0)).value / 2.0 - 1.0)
    assert moved[5] < 5e-3
    assert moved[1] > 0.02


# -- reference -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [-400.0, 0.0, 133.3])
@pytest.mark.parametrize("width", [5e6, 2e4])
def test_the_reference_says_where_zero_is(tmp_path, shift, width):
    world = Acquisition((Line(0.0, 5.0, 0.3, 0.3),), 4.0, scans=8, carrier_ppm=10.0, sr_Hz=shift, width=width)
    found = reference.evaluate(write_dataset(tmp_path / "1", world, np.random.default_rng(8)))
    assert found.sr_Hz == pytest.approx(shift, abs=2.0)  # 0.03 ppm
    assert 0 < found.width_Hz < 700


def test_noise_is_no_reference(tmp_path):
    world = Acquisition((Line(0.0, 1e-6, 1.0),), 4.0, scans=8)
    with pytest.raises(AnalysisError, match="no reference line"):
        reference.evaluate(write_dataset(tmp_path / "1", world, np.random.default_rng(9)))


def test_a_line_far_away_is_no_reference(tmp_path):
    world = Acquisition((Line(260.0, 5.0, 1.0),), 4.0, scans=8)
    with pytest.raises(AnalysisError, match="260 ppm from BF1"):
        reference.evaluate(write_dataset(tmp_path / "1", world, np.random.default_rng(9)))
