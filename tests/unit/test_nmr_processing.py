from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import ELECTROLYTE, RANDOM_PHASE, Acquisition, Line, metal_lines, write_dataset

from labctl.analysis import bruker, nmr, reference
from labctl.analysis.recipe import METAL
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
    rng = np.random.default_rng(6)
    found = [integral(tmp_path, replace(NOISY, lines=(ELECTROLYTE,)), rng) for _ in range(150)]
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
