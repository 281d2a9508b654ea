from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
import synthetic
from synthetic import World

from labctl.analysis import Settings, analyze
from labctl.analysis.deposits import bare, line_kernel, noise_correlation
from labctl.analysis.impedances import by_group, evolution
from labctl.analysis.morphology import MorphologySettings
from labctl.errors import AnalysisError


def plated(mAh, shape, soc, factor=1.08):
    """The metal's lines where the paper has them: dense lithium at 246.7 ppm in the charged state, and higher below."""
    seen = mAh / (factor + (1 - factor) * soc)
    shapes = zip(synthetic.SHAPES[shape], (246.7, 256.5, 266.5), (7, 8, 9), (3, 3, 4), strict=True)
    return tuple(
        synthetic.Line(at + 3.3 * (1 - soc), seen * part, gauss, lorentz) for part, at, gauss, lorentz in shapes
    )


@pytest.fixture(scope="module", autouse=True)
def deposits_in_their_windows():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "metal_lines", plated)
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("lab") / "results" / "findings", seed=5, sigma=1.0)
    for name, group, measured in (
        ("bare-01", "bare", 1),
        ("bare-02", "bare", 1),
        ("bare-03", "bare", 4),
        ("coated-01", "coated", 1),
        ("coated-02", "coated", 1),
    ):
        w.cell(name, group, measured, nutation=False)
    w.finish()
    return w


@pytest.fixture(scope="module")
def analysis(world):
    return analyze([world.folder])


@pytest.fixture(scope="module")
def document(analysis):
    return json.loads(json.dumps(analysis.to_json(), allow_nan=False))


@pytest.fixture
def one(tmp_path):
    w = World(tmp_path / "results" / "single", seed=6)
    w.cell("a", "bare", 1, nutation=False)
    w.finish()
    return w


def cell_of(document, name):
    return next(one for one in document["cells"] if one["cell"] == name)


def rehash(folder):
    """Tell the bundle's document what its files are now."""
    import hashlib

    path = folder / "operation.json"
    document = json.loads(path.read_text())
    for entry in document["files"]:
        content = (folder / entry["name"]).read_bytes()
        entry |= {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    path.write_text(json.dumps(document))


# -- deposits --------------------------------------------------------------------------------------------------------


def test_deposits_of_a_charged_cell_are_the_ones_that_were_plated(analysis):
    for cell in analysis.cells:
        found = cell.allocated[0].measured.deposits["charged"]
        for fraction, sd, true in zip(found.fractions, found.sd, (0.78, 0.17, 0.05), strict=True):
            assert abs(fraction - true) < 3 * sd
            assert sd < 0.06


def test_the_deposits_errors_hold_what_the_phase_leaves_uncertain(analysis):
    found = analysis.cells[0].allocated[0].measured
    assert found.states["charged"].phase_sd_deg > 0
    assert any("the phase, known to" in text for text in found.deposits["charged"].flags)


def test_noise_correlation_and_line_are_those_of_the_processing(analysis):
    spectrum = analysis.cells[0].allocated[0].measured.states["charged"].spectrum
    grid = spectrum.chain.grid
    apart = line_kernel(grid)[2][0]
    assert apart == pytest.approx(0.5 / (grid.points / grid.width_Hz) / grid.zero_Hz * 1e6)
    found = noise_correlation(grid)
    # cos² to the fourth: noise of neighbours in the filled spectrum is nearly the same, of far points none.
    assert found[0] == 1.0
    assert found[1] > 0.9
    assert abs(found[-1]) < 0.01
    assert bare(spectrum).intensity == pytest.approx(spectrum.intensity + spectrum.baseline)


def test_a_weak_spectrum_is_flagged_once_for_all_its_cycles(one):
    found = analyze([one.folder], settings=Settings(morphology=MorphologySettings(quotable_snr=1e6, baseline="cubic",
                                                                                 range_ppm=(80.0, 395.0))))  # fmt: skip
    said = [text for text in found.cells[0].flags if text.startswith("deposits:")]
    assert len(said) == 1
    assert "not quotable" in said[0]
    assert said[0].name == "deposits"


# -- impedance -------------------------------------------------------------------------------------------------------


def test_every_state_is_tested_and_fitted_by_itself(document):
    found = cell_of(document, "bare-01")["cycles"][0]["impedance"]
    assert list(found) == ["charged", "discharged", "stripped"]
    for state, resistance in (("charged", 20), ("discharged", 60), ("stripped", 400)):
        assert found[state]["kramers_kronig"]["passes"]
        assert found[state]["fit"]["above_Hz"] == 1.0
        assert found[state]["fit"]["parameters"]["R2_ohm"] == pytest.approx(resistance, rel=0.15)
        assert found[state]["fit"]["parameters"]["R2_ohm_sd"] > 0


def test_cut_off_circuit_and_weights_are_settings_that_the_result_records(one):
    chosen = Settings(circuit="R0-p(R1,CPE1)-p(R2,CPE2)-W1", circuit_weights="unit", impedance_cut_off="kramers-kronig")
    found = analyze([one.folder], settings=chosen).to_json()
    fit = found["cells"][0]["cycles"][0]["impedance"]["charged"]["fit"]
    assert fit["circuit"] == found["settings"]["circuit"] == chosen.circuit
    assert fit["weights"] == "unit"
    assert fit["above_Hz"] is None
    assert fit["parameters"]["W1_ohm_s^-1/2"] == pytest.approx(3 / math.sqrt(2), rel=0.05)


@pytest.mark.parametrize(
    "wrong", [{"circuit_weights": "none"}, {"impedance_cut_off": "1 Hz"}, {"deposit_states": ("pristine",)}]
)
def test_a_setting_that_does_not_exist_is_refused(wrong):
    with pytest.raises(AnalysisError, match=next(iter(wrong))):
        Settings(**wrong)


def test_a_circuit_over_cycles_is_there_for_cells_and_groups_and_never_mixes_states(analysis):
    bare_cells = by_group(analysis.cells)["bare"]
    group = evolution(bare_cells, "discharged", analysis.settings)
    assert group.positions.tolist() == [1, 1, 4]
    assert group.values("R2") == pytest.approx([60, 60, 60], rel=0.15)
    assert evolution(bare_cells[:1], "stripped", analysis.settings).values("R2") == pytest.approx([400], rel=0.15)
    assert evolution(bare_cells, "dynamic", analysis.settings) is None


def test_electrodes_that_do_not_add_up_are_flagged(one):
    folder = one.folder / "a/c001/03-eis-charged/a1"
    with (folder / "impedance.csv").open() as file:
        rows = list(csv.DictReader(file))
    z = np.array([complex(float(row["real_ohm"]), float(row["imaginary_ohm"])) for row in rows])
    for part, flagged in ((0.7, False), (0.6, True)):
        lines = ["freq/Hz,Re(Z)/Ohm,-Im(Z)/Ohm,Re(Zwe)/Ohm,-Im(Zwe)/Ohm,Re(Zce)/Ohm,-Im(Zce)/Ohm"]
        for row, cell in zip(rows, z, strict=True):
            both = (cell, 0.3 * cell, (part + 1e-4) * cell)
            lines.append(f"{row['frequency_Hz']}," + ",".join(f"{each.real:.8g},{-each.imag:.8g}" for each in both))
        (folder / "impedance.csv").write_text("\n".join(lines) + "\n")
        rehash(folder)
        found = analyze([one.folder])
        impedance = found.cells[0].cycles[0].impedance["charged"]
        assert set(impedance.electrodes) == set(impedance.electrode_fits) == {"working", "counter"}
        assert impedance.electrode_check.passes is not flagged
        assert any("do not add up" in text for text in found.cells[0].flags) is flagged


# -- ageing ----------------------------------------------------------------------------------------------------------


def test_energies_are_the_voltage_over_the_charge(document):
    first = cell_of(document, "bare-01")["cycles"][0]
    hours = np.linspace(0, 1, 20001)
    for kind, sign in (("charge", 1), ("discharge", -1)):
        mean = np.mean(3.65 + sign * 0.1 + sign * 0.5 * hours**3)
        assert first[f"{kind}_energy_mWh"] == pytest.approx(first[f"{kind}_capacity_mAh"] * mean, rel=1e-3)
    assert first["energy_efficiency"] == pytest.approx(first["discharge_energy_mWh"] / first["charge_energy_mWh"])
    assert first["voltage_efficiency"] == pytest.approx(first["energy_efficiency"] / first["coulombic_efficiency"])


def test_records_too_sparse_for_a_nucleation_say_so_and_raise_no_flag(document):
    cell = cell_of(document, "bare-01")
    tip = cell["cycles"][0]["nucleation"]
    assert tip["overvoltage_V"] is None
    assert "too coarsely" in tip["reason"]
    assert not any("nucleation" in text for text in cell["flags"])


def test_the_cycle_life_of_a_cell_knows_how_far_it_has_come(document):
    life = cell_of(document, "bare-03")["life"]
    assert (life["first_below_cycle"], life["last_cycle"], life["threshold"]) == (None, 4, 0.8)


# -- groups ----------------------------------------------------------------------------------------------------------


def test_groups_are_compared_where_both_have_two_cells(document):
    found = document["comparisons"]
    assert [(one["cycle"], one["share"], one["first"], one["second"]) for one in found] == [
        (1, "dead", "bare", "coated"),
        (1, "interphase", "bare", "coated"),
    ]
    assert all(one["p"] <= one["p_adjusted"] <= 1 for one in found)


def test_loss_rates_and_the_conversion_factor_have_deviations(document):
    (rates,) = document["loss_rates"]
    assert rates["group"] == "bare"
    rate = rates["interphase"]
    assert rate["percent_per_cycle"] == pytest.approx(0.6, abs=4 * rate["percent_per_cycle_sd"])
    (factor,) = document["conversions"]
    assert len(factor["values_mAh_per_au"]) == 5
    assert factor["pooled"]["mean_mAh_per_au"] == pytest.approx(np.mean(factor["values_mAh_per_au"]), rel=0.05)
    assert factor["pooled"]["cells"] == 5
    assert factor["chart"]["in_control"]


def test_the_factors_own_deviation_leaves_out_what_is_common_to_all_cells(analysis):
    pooled = analysis.conversions[0].pooled
    for one in pooled.measurements:
        name, _, cycle = one.name.partition(", cycle ")
        cell = next(each for each in analysis.cells if each.cell == name)
        allocation = next(each for each in cell.allocated if each.cycle == int(cycle)).measured.allocation
        assert one.own == allocation.conversion
        assert one.own_sd < allocation.conversion_sd


def test_what_an_operation_says_fifty_times_is_said_once(one):
    for folder in (one.folder / "a" / "c001").glob("*/a1"):
        path = folder / "operation.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"flags": ["continued after hold"]}))
    said = [text for text in analyze([one.folder]).cells[0].flags if "continued after hold" in text]
    assert said == ["c001/01-charge to c001/09-eis (9 steps): continued after hold"]
