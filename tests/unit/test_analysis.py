from __future__ import annotations

import copy
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from synthetic import World, metal_lines

import labctl.analysis
from labctl.analysis import Settings, analyze, impedance, truth_shares
from labctl.analysis.cycling import CycleCapacities, ledger
from labctl.analysis.inventory import SHARES
from labctl.errors import AnalysisError, DataError


def line_of(analysis, cell, cycle=1, truth=None):
    document = analysis.to_json(truth=truth)
    found = next(one for one in document["cells"] if one["cell"] == cell)
    return next(one for one in found["cycles"] if one["cycle"] == cycle)


def flags_of(analysis, cell):
    return " | ".join(next(one for one in analysis.cells if one.cell == cell).flags)


def rewrite(folder: Path, change) -> None:
    path = folder / "operation.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("lab") / "results" / "first", seed=1)
    w.cell("bare-01", "bare", 1)
    w.cell("bare-02", "bare", 1, nutation=False)
    w.cell("coated-01", "coated", 4)
    w.cell("coated-02", "coated", 9, cycles=2)  # not there yet
    w.finish()
    return w


@pytest.fixture(scope="module")
def analysis(world):
    return analyze([world.folder])


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A campaign of one cell."""
    w = World(tmp_path_factory.mktemp("one") / "results" / "spoilt", seed=2)
    w.cell("a", "bare", 1, nutation=False)
    w.finish()
    return w


@pytest.fixture
def one(sound, tmp_path):
    """The same for one test alone, to be spoilt."""
    w = copy.deepcopy(sound)
    w.folder = tmp_path / "results" / "spoilt"
    shutil.copytree(sound.folder, w.folder)
    return w


# -- results ---------------------------------------------------------------------------------------------------------


def test_every_share_is_within_three_deviations_of_the_truth_and_they_add_up(world, analysis):
    for cell, cycle in (("bare-01", 1), ("bare-02", 1), ("coated-01", 4)):
        found = line_of(analysis, cell, cycle, world.truth)
        true = truth_shares(world.truth, cell, cycle)
        for share in SHARES:
            assert found[f"{share}_percent_truth"] == pytest.approx(true[share])
            assert abs(found[f"{share}_percent"] - true[share]) < 3 * found[f"{share}_percent_sd"]
        assert sum(found[f"{share}_percent"] for share in SHARES) == pytest.approx(100.0, abs=1e-9)


def test_the_document_is_the_contracts(analysis):
    document = json.loads(json.dumps(analysis.to_json(), allow_nan=False))
    assert document["schema"] == "labctl.analysis/1"
    assert document["mode"] == "simulated"
    assert [cell["cell"] for cell in document["cells"]] == ["bare-01", "bare-02", "coated-01", "coated-02"]
    assert {"settings", "notes", "flags", "groups"} <= document.keys()
    plain = document["cells"][2]["cycles"][0]
    wanted = {"cycle", "charge_capacity_mAh", "discharge_capacity_mAh", "coulombic_efficiency", "state_of_health"}
    assert wanted <= set(plain)
    assert "dead_percent" not in plain
    measured = document["cells"][0]["cycles"][0]
    wanted = {f"{share}_percent{end}" for share in SHARES for end in ("", "_sd")} | {f"{share}_mAh" for share in SHARES}
    wanted |= {"excess_coulometric_percent", "excess_coulometric_percent_sd", "not_re_extracted_percent",
               "not_re_extracted_percent_sd", "detection_limit_percent", "conversion_mAh_per_au", "reference",
               "nutation", "pi_half_us", "b1_kHz"}  # fmt: skip
    assert wanted <= set(measured)
    assert measured["reference"] == "ref-1"
    assert measured["nutation"] == "nut-bare-01"
    assert measured["pi_half_us"] == pytest.approx(7.0, abs=0.15)
    assert measured["b1_kHz"] == pytest.approx(250 / measured["pi_half_us"])
    assert measured["not_re_extracted_percent"] == 0
    assert measured["excess_coulometric_percent"] == pytest.approx(8.8, abs=0.1)
    assert 0.5 < measured["detection_limit_percent"] < 4


def test_efficiency_and_health_are_fractions(world, analysis):
    first, last = line_of(analysis, "coated-01", 1), line_of(analysis, "coated-01", 4)
    efficiency = first["discharge_capacity_mAh"] / first["charge_capacity_mAh"]
    assert first["coulombic_efficiency"] == pytest.approx(efficiency)
    assert first["state_of_health"] == 1.0
    assert last["state_of_health"] == pytest.approx(last["discharge_capacity_mAh"] / first["discharge_capacity_mAh"])
    third = analyze([world.folder / "coated-01"], settings=Settings(reference_cycle=3))
    assert line_of(third, "coated-01", 3)["state_of_health"] == 1.0


def test_a_cell_that_is_not_measured_yet_has_its_cycles_and_no_complaint(analysis):
    cell = next(one for one in analysis.cells if one.cell == "coated-02")
    assert [one.cycle for one in cell.cycles] == [1, 2]
    assert not cell.allocated
    assert "NMR" not in flags_of(analysis, "coated-02")


def test_groups_have_mean_sample_deviation_and_number(analysis):
    document = analysis.to_json()
    bare, coated = document["groups"]
    assert (bare["group"], bare["cycle"], bare["n"]) == ("bare", 1, 2)
    values = [line_of(analysis, name)["dead_percent"] for name in ("bare-01", "bare-02")]
    assert bare["dead_percent"] == pytest.approx(np.mean(values))
    assert bare["dead_percent_sd"] == pytest.approx(np.std(values, ddof=1))
    assert any("two cells" in text for text in bare["flags"])
    assert (coated["n"], coated["dead_percent_sd"]) == (1, None)


def test_what_every_reader_must_know_is_flagged(analysis):
    assert "SOC factor 1.08 ± 0.015: paper, not calibrated here" in flags_of(analysis, "bare-01")
    assert "beyond 2.5 mAh/cm2" in flags_of(analysis, "bare-01")
    assert "alloyed" in flags_of(analysis, "coated-01")
    assert "alloyed" not in flags_of(analysis, "bare-01")
    assert "not calibrated" in flags_of(analysis, "bare-02")
    assert "no nutation" in flags_of(analysis, "bare-02")


@pytest.mark.parametrize("below", ["../..", "..", ".", "campaign.json"])
def test_the_laboratory_its_results_and_the_campaign_are_all_found(sound, below):
    assert [cell.cell for cell in analyze([sound.folder / below]).cells] == ["a"]


def test_single_cells_and_several_campaigns_are_found(world, one):
    assert [cell.cell for cell in analyze([world.folder / "coated-02"]).cells] == ["coated-02"]
    both = analyze([world.folder / "bare-02", world.folder / "coated-02", one.folder])
    assert [cell.cell for cell in both.cells] == ["bare-02", "coated-02", "a"]
    assert both.campaigns == ("first", "spoilt")
    assert [group.cells for group in both.groups if group.group == "bare"] == [("bare-02", "a")]


def test_the_deviations_are_those_of_a_normal_distribution(tmp_path):
    """Twelve cells of a small world; the benchmark looks at hundreds."""
    away = []
    for seed in range(3):
        w = World(tmp_path / f"{seed}", seed=100 + seed)
        for index in range(4):
            w.cell(f"c{index}", "bare", 1, nutation=False)
        found = analyze([w.finish()])
        for index in range(4):
            true = truth_shares(w.truth, f"c{index}", 1)
            line = line_of(found, f"c{index}")
            away += [(line[f"{x}_percent"] - true[x]) / line[f"{x}_percent_sd"] for x in SHARES]
    assert max(map(abs, away)) < 4
    assert 0.48 < np.mean(np.abs(away) < 1) < 0.87  # 99 % of 48 drawings, were they independent
    assert np.mean(np.abs(away) < 2) > 0.85


# -- what is missing or spoilt -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["charged", "discharged", "dead"])
def test_a_missing_spectrum_is_named_and_the_rest_is_reported(one, label):
    step = {"charged": "02-nmr-charged", "discharged": "05-nmr-discharged", "dead": "08-nmr-dead"}[label]
    shutil.rmtree(one.folder / "a" / "c001" / step)
    found = analyze([one.folder])
    assert f"cycle 1: shares not evaluated: no usable NMR of the state {label}" in flags_of(found, "a")
    line = line_of(found, "a")
    assert "dead_percent" not in line
    assert line["coulombic_efficiency"] == pytest.approx(0.879, abs=0.01)
    assert found.groups == ()


def test_a_cell_that_was_to_be_measured_and_was_not_says_so(one):
    for path in (one.folder / "a" / "c001").glob("*nmr*"):
        shutil.rmtree(path)
    assert "was to be measured, but there is no NMR" in flags_of(analyze([one.folder]), "a")


def test_a_changed_file_is_named_and_not_used(one):
    path = next((one.folder / "a" / "c001" / "08-nmr-dead").rglob("fid"))
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    found = analyze([one.folder])
    assert f"{path}: changed since it was fetched" in flags_of(found, "a")
    assert "dead_percent" not in line_of(found, "a")


def test_a_changed_table_takes_its_capacity_with_it(one):
    path = next((one.folder / "a" / "c001" / "04-discharge").rglob("records.parquet"))
    path.write_bytes(path.read_bytes() + b"x")
    found = analyze([one.folder])
    assert str(path) in flags_of(found, "a")
    assert line_of(found, "a")["discharge_capacity_mAh"] is None
    assert "discharge capacity is missing" in flags_of(found, "a")


def test_a_missing_reference_is_said(one):
    shutil.rmtree(one.folder / "reference")
    assert "reference spectrum ref-1 is missing" in flags_of(analyze([one.folder]), "a")


def test_without_a_pristine_spectrum_there_is_no_detection_limit(one):
    shutil.rmtree(one.folder / "a" / "c000")
    found = analyze([one.folder])
    assert line_of(found, "a")["detection_limit_percent"] is None
    assert "no detection limit" in flags_of(found, "a")


@pytest.mark.parametrize(
    ("acquisition", "more", "said"),
    [
        ({"recycle_s": 2.0}, {}, "the recycle delay differs"),
        ({"pulse_us": 3.0}, {}, "pulse length differs"),
        ({}, {"sample_temperature_K": 313.15}, "temperature differs"),
    ],
)
def test_spectra_that_are_not_alike_are_not_compared(one, acquisition, more, said):
    step = "c001/08-nmr-dead"
    shutil.rmtree(one.folder / "a" / step)
    one.nmr("a", "bare", 1, step, "dead", metal_lines(0.005, "dead", 0.0), acquisition=acquisition, **more)
    found = analyze([one.folder])
    assert said in flags_of(found, "a")
    assert "dead_percent" not in line_of(found, "a")


def test_more_scans_for_the_dead_state_are_lawful_and_better(one):
    before = line_of(analyze([one.folder]), "a")
    step = "c001/08-nmr-dead"
    shutil.rmtree(one.folder / "a" / step)
    one.scans = 16384
    one.nmr("a", "bare", 1, step, "dead", metal_lines(0.0052, "dead", 0.0))
    after = line_of(analyze([one.folder]), "a")
    assert after["dead_percent"] == pytest.approx(0.2, abs=3 * after["dead_percent_sd"])
    assert after["dead_percent_sd"] < 0.35 * before["dead_percent_sd"]


def test_a_hold_that_timed_out_and_a_cell_that_went_on_are_flagged(one):
    rewrite(one.folder / "a" / "c001" / "07-hold" / "a1", lambda d: d["summary"].update(end="time"))
    one.cycling("a", "bare", 2, "c002/01-charge", "charge", 2.3)
    one.cycling("a", "bare", 2, "c002/02-discharge", "discharge", 2.2)
    text = flags_of(analyze([one.folder]), "a")
    assert "cycle 1: hold ended by time-out" in text
    assert "went on after the hold of cycle 1" in text


def test_excess_that_contradicts_the_hold_is_flagged(one):
    shutil.rmtree(one.folder / "a" / "c001" / "07-hold")
    one.cycling("a", "bare", 1, "c001/07-hold", "hold", 0.6, "current")
    assert "differ by more than 2 SD" in flags_of(analyze([one.folder]), "a")


def test_two_attempts_of_a_charge_add_up_and_are_flagged(one):
    source = one.folder / "a" / "c001" / "01-charge"
    shutil.copytree(source / "a1", source / "a2")
    rewrite(source / "a2", lambda d: d.update(attempt=2))
    found = analyze([one.folder])
    assert line_of(found, "a")["charge_capacity_mAh"] == pytest.approx(2 * 2.62, rel=0.05)
    assert "2 attempts" in flags_of(found, "a")


def test_only_the_last_attempt_of_a_measurement_counts(one):
    source = one.folder / "a" / "c001" / "08-nmr-dead"
    shutil.copytree(source / "a1", source / "a2")
    rewrite(source / "a2", lambda d: d.update(attempt=2, token="second"))
    assert line_of(analyze([one.folder]), "a")["spectra"]["dead"]["token"] == "second"


def test_flags_of_an_operation_stay_with_its_cell(one):
    rewrite(one.folder / "a" / "c001" / "02-nmr-charged" / "a1", lambda d: d["flags"].append("started 3 h late"))
    assert "c001/02-nmr-charged: started 3 h late" in flags_of(analyze([one.folder]), "a")


def test_nothing_at_all_is_refused_in_words(tmp_path):
    with pytest.raises(DataError, match=r"no campaign\.json here"):
        analyze([tmp_path])


def test_a_broken_document_is_refused_by_name(one):
    (one.folder / "campaign.json").write_text("{")
    with pytest.raises(DataError, match=r"campaign\.json: cannot be read"):
        analyze([one.folder])


def test_simulated_and_live_are_never_evaluated_together(world, one):
    document = json.loads((one.folder / "campaign.json").read_text())
    (one.folder / "campaign.json").write_text(json.dumps(document | {"mode": "live"}))
    with pytest.raises(AnalysisError, match="different modes"):
        analyze([world.folder, one.folder])


# -- the ledger --------------------------------------------------------------------------------------------------------


def test_the_ledger_finds_lithium_that_was_not_taken_out_again():
    cycles = [CycleCapacities(1, 2.6, 2.3), CycleCapacities(2, 2.25, 2.2), CycleCapacities(3, 2.2, 2.1, hold=0.2),
              CycleCapacities(4, 2.2, None)]  # fmt: skip
    lines = ledger(cycles, accuracy=0.001)
    assert lines[1].not_re_extracted_mAh == 0
    assert lines[1].not_re_extracted_sd_mAh == 0
    assert lines[2].inventory_mAh == pytest.approx(2.55)
    assert lines[2].not_re_extracted_mAh == pytest.approx(0.05)
    assert lines[2].not_re_extracted_sd_mAh == pytest.approx(0.001 * math.hypot(2.25, 2.3))
    assert lines[4].inventory_mAh == pytest.approx(2.6 + 2.25 + 2.2 + 2.2 - 2.3 - 2.2 - 2.1 - 0.2)
    assert lines[4].coulombic_efficiency is None


def test_a_gap_ends_the_ledger():
    lines = ledger([CycleCapacities(1, 2.6, 2.3), CycleCapacities(3, 2.2, 2.1)])
    assert lines[3].inventory_mAh is None
    assert lines[3].state_of_health == pytest.approx(2.1 / 2.3)


# -- the package -------------------------------------------------------------------------------------------------------


def test_the_package_offers_these_names_and_loads_nothing_heavy():
    assert labctl.analysis.__all__ == ["Allocation", "Analysis", "Settings", "allocate", "analyze", "truth_shares",
                                       "write_report"]  # fmt: skip
    assert all(callable(getattr(labctl.analysis, name)) for name in labctl.analysis.__all__)
    with pytest.raises(AttributeError):
        _ = labctl.analysis.nonsense
    script = "import sys, labctl.analysis; print(sorted({'numpy', 'scipy', 'matplotlib', 'polars'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_truth_says_when_it_does_not_know(world):
    with pytest.raises(AnalysisError, match="no cycle 77"):
        truth_shares(world.truth, "bare-01", 77)


# -- impedance ---------------------------------------------------------------------------------------------------------


def test_impedance_is_sorted_and_knows_what_is_stationary(one):
    spectrum = impedance.read(one.folder / "a" / "c001" / "06-eis" / "a1" / "impedance.csv")
    assert np.all(np.diff(spectrum.frequency_Hz) < 0)
    assert np.array_equal(spectrum.stationary, spectrum.frequency_Hz > 1.0)
    low, high = spectrum.magnitude_at(0.2), spectrum.magnitude_at(1e5)
    assert low > high > 0
    assert spectrum.magnitude_at(1e9) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("frequency_Hz,real_ohm\n1,2\n", "columns imaginary_ohm are missing"),
        ("frequency_Hz,real_ohm,imaginary_ohm\n1,2\n", "line 2 is not complete"),
        ("frequency_Hz,real_ohm,imaginary_ohm\n", "no points"),
        ("frequency_Hz,real_ohm,imaginary_ohm\n-1,2,3\n", "no impedance"),
    ],
)
def test_a_spoilt_impedance_file_is_refused_by_name(tmp_path, text, said):
    path = tmp_path / "impedance.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=said) as caught:
        impedance.read(path)
    assert str(path) in str(caught.value)
