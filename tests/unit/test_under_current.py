"""Spectra that were taken while current flowed, from bundles on disk to a table: nothing lost for one torn file."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import under_current as truth

from labctl import analysis
from labctl.analysis import bundles, dynamic, operando, summaries
from labctl.analysis.growth import growths
from labctl.analysis.measured import Session
from labctl.analysis.settings import Settings

OPERANDO = f"{truth.CELL}/c000/02-operando-plating/a1"
DEIS = f"{truth.CELL}/c030/03-deis-end/a1"


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    return truth.campaign(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def spoilt(campaign, tmp_path):
    return Path(shutil.copytree(campaign, tmp_path / "probe"))


@pytest.fixture(scope="module")
def whole(campaign):
    return analysis.analyze([campaign])


def spectra(folder):
    (found,) = bundles.find([folder])
    said: list[str] = []
    (one,) = operando.read(Session(found, Settings()), found.of(truth.CELL), said.append)
    return one, said


def series(folder):
    (found,) = bundles.find([folder])
    said: list[str] = []
    (one,) = dynamic.read(Settings(), found.of(truth.CELL), said.append)
    return one, said


def test_the_metals_signal_grows_with_the_charge_that_the_stamps_tell(whole):
    (cell,) = whole.cells
    (one,) = cell.cycles[0].operando
    assert one.charge_end_mAh[-1] == pytest.approx(truth.TOTAL_MAH)
    assert one.sort == tuple(each.sort for each in truth.TAKEN)
    assert one.end_h[3] - one.start_h[3] == pytest.approx(truth.PAUSE_S / 3600)
    during = growths(one)[0.4]
    assert during.line.slope == pytest.approx(1000 * truth.SATURATED[0.4], rel=0.04)  # some of the tails lie outside
    assert during.lag_mAh == pytest.approx(0.0, abs=0.02)
    assert during.largest_deviation < 0.02


def test_integrals_of_different_recycle_delays_are_not_compared_without_a_word(whole):
    (cell,) = whole.cells
    assert sum("the recycle delay differs (0.4 s: 6 (during); 2 s: 2 (pause, end))" in flag for flag in cell.flags) == 1


def test_deposits_are_told_at_every_state_of_charge(whole):
    (cell,) = whole.cells
    (one,) = cell.cycles[0].operando
    assert one.soc == pytest.approx([0.083, 0.25, 0.417, 0.5, 0.583, 0.75, 0.917, 1.0], abs=1e-3)
    told = one.deposits[-1]
    assert told is not None
    for found, sd, true in zip(told.fractions, told.sd, truth.FRACTIONS, strict=True):
        assert abs(found - true) < 4 * sd + 0.005


def test_the_cyclers_record_stands_still_while_the_program_is_suspended(whole):
    (one,) = whole.cells[0].cycles[0].operando
    assert np.all(np.diff(one.course_h) >= 0)
    assert one.course_h[-1] == pytest.approx((truth.LENGTH_S + truth.PAUSE_S) / 3600, abs=1e-3)
    paused = (one.course_h > 5.0 + 0.01) & (one.course_h < 5.0 + truth.PAUSE_S / 3600 - 0.01)
    assert not paused.any()
    assert one.course_current_mA[np.isnan(one.course_voltage_V)].tolist() == [0.0, 0.0]


def test_a_torn_spectrum_costs_one_sentence_and_not_the_series(spoilt):
    (spoilt / OPERANDO / "s002" / "a1" / "t2" / "1" / "fid").write_bytes(b"torn")
    shutil.rmtree(spoilt / OPERANDO / "s005")
    one, said = spectra(spoilt)
    assert one.numbers == (1, 3, 4, 6, 7, 8)
    assert [text.split(": ")[1] for text in said if "fid" in text or "missing" in text] == ["spectrum 2", "spectrum 5"]


def test_without_its_stamps_and_looks_a_series_has_spectra_but_no_charge(spoilt):
    with (spoilt / OPERANDO / "stamps.csv").open("a") as file:
        file.write("9,during\n")
    (spoilt / OPERANDO / "looks.csv").unlink()
    one, said = spectra(spoilt)
    assert len(one.integral) == 8
    assert np.isnan(one.charge_mAh).all()
    assert sum("the charge that had passed is not known" in text for text in said) == 1
    assert summaries.operando(one).rows[0]["charge_mAh"] is None
    assert one.course_h.size == 0
    assert sum("the cycler's record is not shown" in text for text in said) == 1


def test_resistances_under_direct_current_are_those_of_the_cell(whole):
    (one,) = whole.cells[0].cycles[-1].dynamic
    assert one.direction == "discharge"
    assert one.soc[[0, -1]] == pytest.approx([0.2, 0.15])
    for n, (fit, test) in enumerate(zip(one.fits, one.tests, strict=True)):
        assert fit is not None
        assert test is not None
        assert test.passes
        for name, value in truth.TRUE_OHM.items():
            assert fit.parameters[name] == pytest.approx(value(n), rel=0.01)


def test_a_missing_table_of_a_series_costs_one_sentence(spoilt):
    (spoilt / DEIS / "impedance-003.csv").unlink()
    one, said = series(spoilt)
    assert one.numbers == (1, 2, 4, 5, 6)
    assert sum("impedance-003.csv: missing" in text for text in said) == 1


def test_a_campaign_of_spectra_under_current_alone_has_tables(whole):
    nmr, impedance = summaries.under_current(whole)
    assert [row["spectrum"] for row in nmr.rows] == list(range(1, 9))
    assert nmr.rows[-2]["metal_mAh"] == pytest.approx(nmr.rows[-2]["charge_mAh"], rel=0.02)
    first = dict(zip((column.key for column in impedance.columns), impedance.texts()[0], strict=True))
    assert (first["spectrum"], first["soc"], first["charge_mAh"]) == ("1", "0.2000", "-0.0021")
    value, sd = map(float, first["R2_ohm"].split("±"))
    assert abs(value - 60.0) < 5 * sd + 0.1
    assert whole.to_json()["cells"][0]["cycles"][0]["cycle"] == 0
