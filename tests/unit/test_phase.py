"""Phases in cells whose metal lags behind the electrolyte, made without labctl's own code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import BF1, Acquisition, Line, metal_lines, write_dataset

from labctl.analysis import nmr, phase
from labctl.analysis.autophase import automatic
from labctl.analysis.recipe import METAL, Phase
from labctl.errors import AnalysisError

ZERO = BF1 * 1e6
RECEIVER = 0.7
DISTANCE = 250e-6 * ZERO
LIQUID = Line(-1.0, 2.0, 2.8)


def spectrum(folder, mAh, shape="early", soc=1.0, *, lag=0.0, rng=None, sigma=1.0, liquid=LIQUID, late_us=0.0, **more):
    """A cell whose metal lags by ``lag`` rad per mAh, and whose first point came later than DE says."""
    lines = [replace(one, area=one.area * np.exp(-1j * lag * mAh)) for one in metal_lines(mAh, shape, soc, 1.0)]
    world = Acquisition((*lines, liquid), sigma=sigma, phase=RECEIVER, dead_time_us=6.5 + late_us, **more)
    made = write_dataset(folder, world, rng)
    text = (made / "acqus").read_text()
    (made / "acqus").write_text(text.replace(f"##$DE= {6.5 + late_us}", "##$DE= 6.5"))
    return nmr.read_bruker(made)


def learnt(*states):
    pairs = [(phase.line_phase(one, ZERO), phase.line_phase(one, ZERO, phase.electrolyte())) for one in states]
    return phase.learn(pairs)


@pytest.mark.parametrize("lag", [0.0, 0.1, 0.2])
def test_dead_lithium_is_phased_as_dead_lithium_whatever_the_film_lags(tmp_path, lag):
    rng = np.random.default_rng(1)
    charged = spectrum(tmp_path / "c", 2.62, lag=lag, rng=rng)
    discharged = spectrum(tmp_path / "d", 0.24, soc=0.0, lag=lag, rng=rng)
    dead = spectrum(tmp_path / "x", 0.05, "dead", 0.0, lag=lag, rng=rng)
    cell = learnt(charged, discharged)
    settled = phase.settle(dead, ZERO, cell)
    truth = lag * 0.05 - RECEIVER
    assert abs(settled.angle_rad - truth) < 3.5 * max(settled.sd_rad, np.radians(0.3))
    assert settled.sd_rad < np.radians(1.5)
    assert cell.slope_rad == pytest.approx(lag, abs=0.03)


def test_the_charged_phase_would_lose_dead_lithium_that_the_cells_own_keeps(tmp_path):
    charged, discharged, dead = (
        spectrum(
            tmp_path / name,
            mAh,
            shape,
            soc,
            lag=0.2,
            sigma=0.05,
            rng=np.random.default_rng(2),
            liquid=Line(-1.0, 0.5, 2.8),
        )
        for name, mAh, shape, soc in (("c", 2.62, "early", 1.0), ("d", 0.24, "early", 0.0), ("x", 0.13, "dead", 0.0))
    )
    own = phase.line_phase(charged, ZERO).angle_rad
    reference = nmr.metal_integral(charged, ZERO, own).value / 2.62
    settled = phase.settle(dead, ZERO, learnt(charged, discharged)).angle_rad
    kept, reused = (nmr.metal_integral(dead, ZERO, angle).value / 0.13 / reference for angle in (settled, own))
    assert kept == pytest.approx(1.0, abs=0.01)
    assert reused < 0.96


def test_one_state_alone_says_how_little_it_knows_of_another(tmp_path):
    rng = np.random.default_rng(3)
    cell = learnt(spectrum(tmp_path / "c", 2.62, lag=0.1, rng=rng))
    dead = spectrum(tmp_path / "x", 0.03, "dead", 0.0, lag=0.1, rng=rng)
    settled = phase.settle(dead, ZERO, cell)
    assert settled.sd_rad == pytest.approx(METAL.lag_sd_rad, rel=0.05)
    assert abs(settled.angle_rad - (0.1 * 0.03 - RECEIVER)) < 2.0 * settled.sd_rad
    assert "one state of the cell" in settled.source


def test_a_strong_line_tells_its_own_phase(tmp_path):
    rng = np.random.default_rng(4)
    charged = spectrum(tmp_path / "c", 2.62, lag=0.1, rng=rng)
    settled = phase.settle(charged, ZERO, learnt(charged))
    assert settled.source.startswith("own metal line")
    assert settled.angle_rad == pytest.approx(0.262 - RECEIVER, abs=np.radians(1.0))


def test_a_first_point_later_than_the_dataset_says_is_found(tmp_path):
    rng = np.random.default_rng(5)
    states = ((2.62, "early", 1.0), (0.24, "early", 0.0))
    made = [spectrum(tmp_path / f"{mAh}", mAh, shape, soc, rng=rng, late_us=4.456) for mAh, shape, soc in states]
    late, sd = learnt(*made).late_s(DISTANCE)
    assert late == pytest.approx(4.456e-6, abs=1.0e-6)
    assert sd < 0.3e-6
    # Told so, the recipe makes both lines absorptive with one phase.
    told = replace(METAL, pulse_share=2.0 / np.pi)
    angles = [phase.line_phase(made[0], ZERO, one).angle_rad for one in (told, phase.electrolyte(told))]
    assert np.degrees(np.ptp(angles)) < 1.0


def test_the_reported_deviation_of_a_phase_is_its_scatter(tmp_path):
    rng = np.random.default_rng(6)
    found = [
        phase.line_phase(spectrum(tmp_path / str(n), 2.0, rng=rng, sigma=2.0, points=16384), ZERO) for n in range(40)
    ]
    scatter = np.std([one.angle_rad for one in found])
    assert scatter == pytest.approx(np.mean([one.sd_rad for one in found]), rel=0.35)


@pytest.mark.parametrize(("field", "said"), [("metal", "no metal line"), ("electrolyte", "no electrolyte line")])
def test_a_line_that_is_not_there_gives_no_phase(tmp_path, field, said):
    rng = np.random.default_rng(7)
    mAh, liquid = (1e-9, LIQUID) if field == "metal" else (2.0, Line(0.0, 1e-9, 2.0))
    data = spectrum(tmp_path / "x", mAh, rng=rng, liquid=liquid)
    cell = learnt(spectrum(tmp_path / "c", 2.62, rng=rng))
    with pytest.raises(AnalysisError, match=said):
        if field == "metal":
            phase.line_phase(data, ZERO)
        else:
            phase.settle(data, ZERO, cell)


def test_all_states_of_a_cell_are_phased_together(tmp_path):
    rng = np.random.default_rng(10)
    amounts = {"charged": (2.62, "early", 1.0), "discharged": (0.24, "early", 0.0), "dead": (0.02, "dead", 0.0)}
    spectra = {
        label: (spectrum(tmp_path / label, *state, lag=0.15, rng=rng, sigma=2.0), ZERO)
        for label, state in amounts.items()
    }
    found = phase.of_cell(spectra)
    for label, (mAh, _, _) in amounts.items():
        away = found[label].angle_rad - (0.15 * mAh - RECEIVER)
        assert abs(away) < 3.5 * max(found[label].sd_rad, np.radians(0.3))
    dark = {label: (spectrum(tmp_path / f"{label}-", *state, rng=rng, liquid=Line(0.0, 1e-9, 2.0)), ZERO)
            for label, state in amounts.items()}  # fmt: skip
    again = phase.of_cell(dark)
    assert {one.source for one in again.values()} == {"metal line of the state charged"}
    alike = phase.of_cell(spectra, replace(METAL, cell_phase="strongest"))
    assert {one.angle_rad for one in alike.values()} == {phase.line_phase(*spectra["charged"]).angle_rad}
    with pytest.raises(AnalysisError, match="no spectra"):
        phase.of_cell({})


def test_nothing_is_learnt_from_nothing():
    with pytest.raises(AnalysisError, match="no spectrum of the cell"):
        phase.learn([])


# -- automatic -------------------------------------------------------------------------------------------------------


def shown(angle, linear):
    """Three Lorentzian lines turned by angles in rad, the linear one counted from 250 ppm over the whole width."""
    ppm = np.linspace(80.0, 395.0, 1200)
    lines = sum(area / (half + 1j * (ppm - at)) for area, at, half in ((4, 247, 3), (2, 262, 4), (1, 150, 2)))
    return ppm, lines * np.exp(-1j * (angle + linear * (ppm - 250.0) / 315.0))


@pytest.mark.parametrize("angle", [-3.0, -1.2, 0.0, 0.4, 2.2])
def test_the_automatic_phase_is_a_start(angle):
    found, linear = automatic(*shown(angle, np.radians(20.0)), 250.0)
    assert np.degrees(phase.wrapped(found.angle_rad - angle)) == pytest.approx(0.0, abs=5.0)
    assert np.degrees(linear) == pytest.approx(20.0, abs=12.0)


def test_an_automatic_phase_that_runs_away_is_refused():
    with pytest.raises(AnalysisError, match="ran away"):
        automatic(*shown(0.3, np.radians(400.0)), 250.0)


def test_a_recipe_may_ask_for_the_automatic_phase(tmp_path):
    data = spectrum(tmp_path / "c", 2.62, rng=np.random.default_rng(8), sigma=0.2)
    found = nmr.process(data, replace(METAL, phase="automatic"))
    assert found.phase.angle_rad == pytest.approx(-RECEIVER, abs=np.radians(5.0))
    assert [one.source for one in found.origins if one.name == "phase"] == ["found"]


def test_a_stored_phase_with_a_linear_part_turns_about_its_pivot(tmp_path):
    data = spectrum(tmp_path / "c", 2.62, rng=np.random.default_rng(9))
    plain = nmr.process(data, replace(METAL, phase=Phase(-RECEIVER)))
    turned = nmr.process(data, replace(METAL, phase=Phase(-RECEIVER, shift_s=20e-6, pivot_ppm=250.0)))
    whole = [(one.intensity + one.baseline) + 1j * one.imaginary for one in (plain, turned)]
    at = int(np.argmin(np.abs(plain.ppm - 250.0)))
    assert whole[1][at].real == pytest.approx(whole[0][at].real, rel=0.02)
    assert abs(turned.integral(METAL.metal).value / plain.integral(METAL.metal).value - 1.0) > 1e-4
