from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from synthetic import ELECTROLYTE, Acquisition, Line, World, metal_lines, write_dataset
from worlds import PAPER, RECOVERABLE, WARNED, ZERO, Case, analysed, cell, chosen, draw, explore, truth_of, written

from labctl.analysis import Settings, analyze, calibration, calibration_series, nmr
from labctl.analysis.budget import TERMS
from labctl.analysis.comparable import Shot
from labctl.analysis.cycling import CycleCapacities, LedgerLine
from labctl.analysis.flags import NAMES, Flag, name_of, within
from labctl.analysis.inventory import SHARES, allocate
from labctl.analysis.judgement import neighbours
from labctl.analysis.model import CellResult, CycleResult, Measured
from labctl.analysis.shares import evaluate
from labctl.errors import AnalysisError, InvalidFile

CASES = 60


def names(flags) -> set[str]:
    return {name_of(text) for text in flags}


def band(chance: float) -> tuple[float, float]:
    return stats.binom.interval(0.999, CASES, chance)


# -- known truth -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECOVERABLE)
def test_shares_are_unbiased_and_their_deviations_true_in_a_world_of_another_form(name):
    outcome = explore(RECOVERABLE[name], CASES, seed=6)
    assert outcome.refused == []
    for share in SHARES:
        pulls = np.array(outcome.pulls[share])
        for width in (1, 2):
            low, high = band(2 * stats.norm.cdf(width) - 1)
            assert low <= np.count_nonzero(np.abs(pulls) < width) <= high, (share, width)
        assert abs(np.mean(pulls)) < stats.norm.isf(5e-4) / math.sqrt(CASES), share


@pytest.mark.parametrize("name", WARNED)
def test_what_is_wrong_is_said_by_name_and_refused_where_it_must_be(name):
    world, expected, refused = WARNED[name]
    for seed in range(2):
        found, flags = analysed(world(np.random.default_rng(seed)), np.random.default_rng(seed))
        assert expected in names(flags), flags
        assert (found.allocation is None) == refused
        assert names(flags) <= set(NAMES)


def test_a_world_read_from_the_console_s_files_is_the_same_world(tmp_path):
    case = RECOVERABLE["other_gain_and_scans"](np.random.default_rng(3))
    first, _ = analysed(case, np.random.default_rng(4))
    rng, flags = np.random.default_rng(4), []
    shots = {}
    for index, (label, one) in enumerate(case.spectra.items(), start=1):
        data = nmr.read_bruker(written(tmp_path / str(index), one, case, rng))
        shots[label] = Shot(data, ZERO, "token", data.temperature_K)
    second = evaluate(shots, case.charges, case.factor, case.settings, flags.append)
    for share in SHARES:
        assert second.allocation.percent(share) == pytest.approx(first.allocation.percent(share), abs=1e-6)
        assert second.allocation.percent_sd(share) == pytest.approx(first.allocation.percent_sd(share), rel=1e-6)


def test_a_sound_set_raises_no_alarm():
    outcome = explore(RECOVERABLE["other_line_shapes"], 15, seed=11)
    assert set(outcome.flags) <= {"soc_not_zero", "below_detection"}


def test_leaving_the_background_in_is_worse_than_taking_it_out():
    rng = np.random.default_rng(2)
    away = {"auto": [], "never": []}
    for _ in range(10):
        case = RECOVERABLE["broad_background"](rng)
        for blank, errors in away.items():
            found, _ = analysed(replace(case, settings=chosen(blank=blank)), rng)
            errors.append(found.allocation.dead_percent - case.truth["dead"])
    assert abs(np.mean(away["auto"])) < 0.5 < 5 < np.mean(away["never"])


def test_the_scatter_of_the_electrolyte_tells_the_error_of_an_insertion():
    rng = np.random.default_rng(4)
    told = []
    for _ in range(15):
        case = RECOVERABLE["reinserted"](rng)
        case.settings = chosen(reinsertion="scatter", insertion_tolerance=0.1)
        found, _ = analysed(case, rng)
        whole = found.allocation
        told.append(whole.budget["dead"]["reinsertion"] / whole.dead_percent)
    # 2 % of I_v and of I_c, whose slope is a little over 1, told from four lines each time.
    assert math.sqrt(np.mean(np.square(told))) == pytest.approx(0.02 * math.hypot(1, 1.15), rel=0.25)


def test_the_paper_s_factor_over_corrects_beside_an_electrode_that_is_not_empty():
    rng = np.random.default_rng(8)
    a = replace(draw(rng, excess=(0.0, 0.001)), interphase=0.6, dead=0.15)
    case: Case = cell(rng, a, lambda soc: 1 + 0.08 * (1 - soc), noise=1e-4)
    paper, flags = analysed(case, rng)
    said = next(text for text in flags if name_of(text) == "soc_not_zero")
    counted, _ = analysed(replace(case, settings=chosen(soc="coulomb")), rng)
    true = truth_of(a)["dead"]
    assert counted.allocation.dead_percent == pytest.approx(true, rel=0.004)
    over = paper.allocation.dead_percent / true - 1
    assert 0.01 < over < 0.04
    assert float(said.split("by about ")[1].split(" %")[0]) / 100 == pytest.approx(over, abs=0.006)
    assert (paper.soc_mode, counted.soc_mode) == ("paper", "coulomb")
    assert counted.state_of_charge[2] == pytest.approx(1 - (a.discharge + a.excess) / a.first, abs=0.004)
    assert counted.allocation.budget["dead"]["soc_factor"] > 0


def test_the_budget_names_every_term_and_adds_up():
    case = RECOVERABLE["reinserted_untold"](np.random.default_rng(1))
    case.settings = replace(case.settings, pulse_sd=0.05, temperature_sd_K=0.5)
    found, _ = analysed(case, np.random.default_rng(1))
    for share in SHARES:
        parts = found.allocation.budget[share]
        assert tuple(parts) == tuple(TERMS)
        assert math.hypot(*parts.values()) == pytest.approx(found.allocation.percent_sd(share))
    seen = {term for term, value in found.allocation.budget["dead"].items() if value > 0}
    assert {"noise", "baseline", "phase", "reinsertion", "pulse", "temperature", "soc_factor", "cycler"} <= seen
    assert found.allocation.budget["reversible"]["noise"] == 0


@pytest.mark.parametrize("change", [{"soc": "guess"}, {"blank": ""}, {"pulse_sd": -1.0}, {"t1_spread": math.nan}])
def test_a_setting_that_makes_no_sense_is_refused(change):
    with pytest.raises(AnalysisError, match=next(iter(change))):
        Settings(**change)


# -- the calibration series --------------------------------------------------------------------------------------------

TRUE = {0.0: 1.12, 0.5: 1.03, 1.0: 1.0}


def series(rng, noise=0.003, scatter=0.0, foil_more=0.0) -> list[calibration.Point]:
    """Foil and deposited lithium beside three electrodes, each repeated with a new cell; foil alone too."""
    points = []
    for kind, name, lithium in (("foil", "f1", 4.1), ("foil", "f2", 4.1), ("deposited", "d1", 1.0),
                                ("deposited", "d2", 1.0)):  # fmt: skip
        levels = list(TRUE.items()) + ([(None, 0.95)] if kind == "foil" else [])
        for soc, f in levels:
            amount = 1.0 if kind == "foil" else rng.uniform(2.2, 2.6)
            more = 1 + (foil_more if kind == "foil" and soc == 0.0 else 0.0)
            true = lithium * amount / (f * more)
            drawn = true * (1 + math.hypot(noise, scatter) * rng.normal())
            shift = None if soc is None else 246.7 + 3.3 * (1 - soc) + 0.1 * rng.normal()
            width = 13.0 if kind == "foil" and soc == 1.0 else None
            points.append(calibration.Point(kind, name, soc, drawn, noise * true, amount, shift, width))
    return points


def test_a_calibration_series_gives_the_factor_with_true_deviations():
    rng = np.random.default_rng(3)
    pulls = []
    for _ in range(60):
        told = calibration.evaluate(series(rng, scatter=0.006), id="probe", source="test")
        for index, soc in enumerate((0.0, 0.5)):
            sd = math.sqrt(told.curve.covariance[index][index])
            pulls.append((told.curve.factor[index] - TRUE[soc]) / sd)
    assert abs(np.mean(pulls)) < 0.3
    assert 0.85 < np.std(pulls) < 1.25
    assert told.curve.factor[2] == 1.0
    assert told.curve.covariance[2] == (0.0, 0.0, 0.0)
    assert told.curve.shift_at(0.0) == pytest.approx(3.3, abs=0.3)
    assert told.curve.width_cap_ppm == 13.0
    value, sd = told.without_electrode
    assert value == pytest.approx(0.95, abs=4 * sd)


def test_a_calibration_series_is_evaluated_from_its_spectra(tmp_path):
    """Foil and deposits beside electrodes at 0, 0.5 and 1 and foil alone, as files; the paper's Fig. 1."""
    entries = []
    rng = np.random.default_rng(8)
    for lithium, name, amount in (("foil", "f1", 1.0), ("foil", "f2", 1.0), ("deposited", "d1", 2.4)):
        for number, (soc, f) in enumerate([*TRUE.items(), (None, 0.95)] if lithium == "foil" else TRUE.items()):
            at = 246.7 + 3.3 * (1 - (1.0 if soc is None else soc))
            metal = Line(at, 3.0 * amount / f, 8.0, 3.0)
            taken = Acquisition((metal, ELECTROLYTE), sigma=4.5, scans=1024 if number else 2048)
            folder = write_dataset(tmp_path / name / str(number + 1), taken, rng)
            entries.append(calibration_series.Entry(folder, lithium, name, soc, amount))
    told = calibration_series.evaluate(entries, id="probe", source="test")
    for soc, f in TRUE.items():
        sd = math.sqrt(told.curve.covariance[told.curve.soc.index(soc)][told.curve.soc.index(soc)])
        assert told.curve.at(soc) == pytest.approx(f, abs=4 * sd + 1e-12)
    assert told.curve.shift_at(0.0) == pytest.approx(3.3, abs=0.15)
    width = 0.5346 * 3 + math.sqrt(0.2166 * 9 + 64)
    assert told.curve.width_cap_ppm == pytest.approx(width, abs=0.3)
    longer = Acquisition((metal,), pulse_us=9.0)
    other = calibration_series.Entry(write_dataset(tmp_path / "x", longer), "foil", "f1", 0.5)
    with pytest.raises(AnalysisError, match="series f1: the pulse length differs"):
        calibration_series.evaluate([*entries, other], id="probe", source="test")


def test_each_cells_own_nutation_makes_unlike_pulses_of_a_calibration_series_comparable(tmp_path):
    entries = []
    rng = np.random.default_rng(9)
    for soc, f, t90, pulse in ((1.0, 1.0, 6.6, 6.6), (0.0, 1.08, 7.4, 5.5)):
        folder = tmp_path / f"{soc:g}"
        for number, length in enumerate((pulse, 2.0, 5.0, 8.0, 11.0, 14.0)):
            metal = Line(246.7, 3.0 / f * math.sin(0.5 * math.pi * length / t90), 8.0, 3.0)
            where = folder / (f"pulses/{number}" if number else "1")
            write_dataset(where, Acquisition((metal, ELECTROLYTE), sigma=1.0, pulse_us=length), rng)
        entries.append(calibration_series.Entry(folder / "1", "foil", "f1", soc, nutation=folder / "pulses"))
    told = calibration_series.evaluate(entries, id="probe", source="test").curve
    assert told.at(0.0) == pytest.approx(1.08, abs=4 * math.sqrt(told.covariance[0][0]))
    assert math.sqrt(told.covariance[0][0]) < 0.02


def test_repeats_that_scatter_widen_the_factor_and_agreeing_ones_do_not():
    calm = calibration.evaluate(series(np.random.default_rng(5)), id="a", source="test")
    wild = calibration.evaluate(series(np.random.default_rng(5), scatter=0.03), id="a", source="test")
    assert wild.scatter == pytest.approx(0.03, rel=0.6)
    assert wild.curve.covariance[0][0] > 20 * calm.curve.covariance[0][0]


def test_foil_that_disagrees_with_deposits_is_said():
    told = calibration.evaluate(series(np.random.default_rng(5), foil_more=0.05), id="a", source="test")
    assert any("foil and deposited lithium differ at a state of charge of 0" in text for text in told.flags)
    assert not calibration.evaluate(series(np.random.default_rng(5)), id="a", source="test").flags


def test_between_calibrated_points_the_factor_is_linear_and_beyond_them_refused():
    curve = calibration.FactorCurve((0.2, 0.6, 1.0), (1.1, 1.04, 1.0), ((4e-4, 1e-4, 0), (1e-4, 1e-4, 0), (0, 0, 0)),
                                    "test", "a")  # fmt: skip
    assert curve.at(0.4) == pytest.approx(1.07)
    errors = np.array(curve.errors((1.0, 0.6, 0.2)))
    assert errors.T @ errors == pytest.approx(np.array([[0, 0, 0], [0, 1e-4, 1e-4], [0, 1e-4, 4e-4]]), abs=1e-12)
    with pytest.raises(AnalysisError, match=r"calibrated from 0\.2 to 1"):
        curve.at(0.1)
    with pytest.raises(AnalysisError, match="tells no shifts"):
        curve.shift_at(0.5)


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_calibration_is_read_as_it_was_written(tmp_path, suffix):
    told = calibration.evaluate(series(np.random.default_rng(9)), id="probe-2025-03", source="static probe, March")
    path = calibration.save(told, tmp_path / f"probe.{suffix}")
    assert calibration.load(path) == told
    assert list(tmp_path.iterdir()) == [path]


def test_points_in_any_order_keep_their_covariance(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("labctl: 1\ncalibration: a\nsource: b\npoints:\n  - {soc: 1.0, factor: 1.0}\n"
                    "  - {soc: 0.0, factor: 1.1}\ncovariance: [[0, 0], [0, 1.0e-4]]\n")  # fmt: skip
    curve = calibration.load(path).curve
    assert (curve.soc, curve.factor, curve.covariance) == ((0.0, 1.0), (1.1, 1.0), ((1e-4, 0.0), (0.0, 0.0)))


def test_every_mistake_of_a_calibration_s_file_is_told_with_its_place(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("labctl: 2\ncalibration: a\nsource: b\ncolour: red\npoints:\n  - {soc: 0.0, factor: 9}\n"
                    "  - {soc: 1.5, factor: 1.0, sd: x}\n")  # fmt: skip
    with pytest.raises(InvalidFile) as caught:
        calibration.load(path)
    text = str(caught.value)
    for place, found in (("1:1", "labctl is 2"), ("4:1", "unknown key 'colour'"), ("6:16", "factor is 9"),
                         ("7:6", "soc is 1.5"), ("7:29", "sd is 'x'")):  # fmt: skip
        assert f"{path}:{place}: {found}" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- 1\n", "no calibration stands here"),
        ("labctl: [\n", "not YAML"),
        ("labctl: 1\ncalibration: a\nsource: b\npoints: 3\n", "no list of points"),
        ("labctl: 1\ncalibration: a\nsource: b\npoints: [{soc: 0, factor: 1}, {soc: 0.5, factor: 1}]\n",
         "no factor of a full electrode"),
        ("labctl: 1\ncalibration: a\nsource: b\npoints: [{soc: 0, factor: 1}, {soc: 1, factor: 1}]\n"
         "covariance: [[1, 2], [0, 1]]\n", "no covariance of the points"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_calibration_is_refused_in_words(tmp_path, text, said):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(InvalidFile, match=said):
        calibration.load(path)
    with pytest.raises(InvalidFile, match="cannot be read"):
        calibration.load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([("a", 0.0, 1.0), ("a", 0.5, 1.0)], "no series has a full positive electrode"),
        ([("a", 0.0, 1.0), ("a", 1.0, 1.0), ("b", 0.5, 1.0)], "series b cannot be normalised"),
        ([("a", 0.0, -1.0), ("a", 1.0, 1.0)], "is none"),
        ([("a", 1.2, 1.0), ("a", 1.0, 1.0)], "not between 0 and 1"),
    ],
)
def test_a_series_that_tells_nothing_is_refused_in_words(points, said):
    given = [calibration.Point("foil", name, soc, value, 0.01) for name, soc, value in points]
    with pytest.raises(AnalysisError, match=said):
        calibration.evaluate(given, id="a", source="test")


# -- through a campaign ------------------------------------------------------------------------------------------------


def rewrite(path: Path, change) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_a_cell_names_its_calibration_and_every_flag_its_reason(tmp_path):
    world = World(tmp_path / "results" / "own", seed=3)
    world.cell("a", "coated", 1, nutation=False)
    told = calibration.evaluate(series(np.random.default_rng(9)), id="probe-7", source="static probe")
    folder = world.finish()
    calibration.save(told, folder / "probe.yaml")
    rewrite(folder / "campaign.json", lambda d: d["cells"][0].update(soc_factor={"calibration": "probe.yaml"}))
    hold = folder / "a" / "c001" / "07-hold" / "a1" / "operation.json"
    rewrite(hold, lambda d: d.update(summary={"end": "time", "duration_s": 86400.0}))
    rewrite(folder / "a/c001/08-nmr-dead/a1/operation.json", lambda d: d.update(delay_s=90000.0))
    world.cycling("a", "coated", 2, "c002/01-charge", "charge", 2.3)
    found = analyze([folder], settings=Settings(soc="coulomb")).to_json()["cells"][0]
    assert found["soc_factor"]["calibration"] == "probe-7"
    assert found["soc_factor"]["calibrated"]
    said = dict(zip(found["flag_names"], found["flags"], strict=True))
    assert {"leak", "alloy", "continued", "beyond_linearity", "waited", "pulse"} <= set(said)
    assert "uncalibrated" not in said
    assert said["leak"].startswith("cycle 1: the stripping hold ended by its time limit")
    cycle = found["cycles"][0]
    assert cycle["soc_mode"] == "coulomb"
    assert cycle["soc_factors_used"][0] == pytest.approx(1.0, abs=1e-9)
    assert cycle["spectra"]["dead"]["electrolyte_ppm"] == pytest.approx(-1.0, abs=0.1)
    # A hold whose limit the instrument saw reached has not leaked, though its last record is a minute old.
    ends = {"steps": [{"ends": [{"what": "current", "above": False, "value": 1e-6}]}]}
    rewrite(hold, lambda d: d.update(summary={"end": "current"}, asked=ends))
    # A calibration that is lost is said, and the paper's factor is not taken for one.
    (folder / "probe.yaml").unlink()
    again = analyze([folder]).to_json()["cells"][0]
    assert again["flag_names"].count("uncalibrated") == 2
    assert "leak" not in again["flag_names"]
    assert again["soc_factor"] == {"value": 1.08, "sd": 0.015, "source": "paper, not calibrated here",
                                   "calibrated": False}  # fmt: skip


def test_recoveries_of_every_state_make_spectra_of_unlike_delays_comparable(tmp_path):
    """A hold, a discharge and hours lie between the states; a recovery belongs to the spectrum nearest in time."""
    world = World(tmp_path / "results" / "t1", seed=5, sigma=1.0)
    world.cell("a", "bare", 1, nutation=False)
    steps = {"02-nmr-charged": ("charged", 0.15), "05-nmr-discharged": ("discharged", 0.2),
             "08-nmr-dead": ("dead", 0.3)}  # fmt: skip
    folder = world.finish()
    total = world.truth["cells"]["a"]
    row = total["cycles"][0]
    amounts = {"charged": total["first_charge_mAh"] - row["interphase_mAh"],
               "discharged": row["connected_mAh"] + row["dead_mAh"], "dead": row["dead_mAh"] + 0.1}  # fmt: skip
    for step, (label, t1) in steps.items():
        place = folder / "a" / "c001" / step / "a1"
        hour = json.loads((place / "operation.json").read_text())["started"]
        delay = 1.0 if label == "dead" else 0.5

        def seen(after: float, label=label, t1=t1) -> tuple[Line, ...]:
            share = 1 - math.exp(-(after + 16384 / 5e6) / t1)
            return tuple(replace(one, area=one.area * share)
                         for one in metal_lines(amounts[label], "early", 1.0 if label == "charged" else 0.0,
                                                total["soc_factor"]))  # fmt: skip

        world.nmr("a", "bare", 1, f"c001/{step}", label, seen(delay), acquisition={"recycle_s": delay})
        rewrite(place / "operation.json", lambda d, hour=hour: d.update(started=hour))
        token, there = f"t1-{label}", folder / "a" / "c001" / f"{step}-t1" / "a1"
        for index, after in enumerate((0.03, 0.1, 0.25, 0.6, 1.5), start=1):
            taken = Acquisition(seen(after - 16384 / 5e6), 0.3, recycle_s=after, sr_Hz=world.sr_Hz)
            write_dataset(there / token / str(index), taken, world.rng, sf=False)
        world.bundle("a", "bare", 1, f"c001/{step}-t1", "recovery", token=token, reference="ref-1", started=hour)
    found = analyze([folder]).to_json()["cells"][0]
    cycle = found["cycles"][0]
    true = 100 * amounts["dead"] / total["first_charge_mAh"]
    assert cycle["dead_percent"] == pytest.approx(true, abs=4 * cycle["dead_percent_sd"])
    assert cycle["dead_percent_sd"] < 0.3
    assert cycle["dead_percent_budget"]["relaxation"] > 0
    assert cycle["spectra"]["dead"]["corrections"]["relaxation"] == pytest.approx(1.036, abs=0.01)
    assert {"scaled", "recycle_delay"} <= set(found["flag_names"])


def fake(name: str, k: float) -> CellResult:
    """A cell whose integrals stand for ``k`` mAh each."""
    allocation = allocate(2.62, 2.3, 2.62 / k, 0.2 / k, 0.05 / k, sigma_integral=0.003 / k)
    cycle = CycleResult(1, CycleCapacities(1, 2.62, 2.3), LedgerLine(None, None, None, None, None),
                        measured=Measured({}, allocation))  # fmt: skip
    return CellResult("first", name, "bare", "Cu||NMC622", 1e-4, PAPER, (1,), (), (cycle,))


def test_a_cell_whose_signal_stands_for_other_lithium_than_its_neighbours_is_named():
    rng = np.random.default_rng(1)
    cells = [fake(f"c{index}", 1 + 0.002 * rng.normal()) for index in range(6)]
    assert neighbours(cells, Settings()) == {}
    found = neighbours([*cells, fake("odd", 1.08)], Settings())
    assert list(found) == [("first", "odd")]
    assert name_of(found["first", "odd"][0]) == "k_outside"
    assert neighbours([*cells[:2], fake("odd", 1.08)], Settings()) == {}


def test_a_flag_is_a_sentence_that_keeps_its_name_where_it_belongs():
    assert Flag("too warm", "temperature") == "too warm"
    assert copy.copy(Flag("too warm", "temperature")).name == "temperature"
    assert name_of(within("cycle 1", Flag("too warm", "temperature"))) == "temperature"
    assert name_of("just text") == ""
