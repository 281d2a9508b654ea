"""``labctl analyze`` through the command line, on files that labctl did not write."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import polars
import pytest
from loose_files import impedance_ism, maccor, mpt_cycling, mpt_impedance
from synthetic import Acquisition, Line, World, metal_lines, write_dataset

from labctl.analysis import analyze, calibration
from labctl.analysis.inventory import SHARES
from labctl.cli.app import run_app
from labctl.cli.manifest import TEMPLATE, load_listed

EIS = "bare-01-06-eis.csv"
METAL = Acquisition((*metal_lines(2.5, "early", 1.0), Line(0.5, 2.0, 2.8)), 4.5)


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> World:
    """A campaign of two cells, and the same data as loose files with a list."""
    world = World(tmp_path_factory.mktemp("lab") / "results" / "first", seed=5)
    world.cell("bare-01", "bare", 1)
    world.cell("bare-02", "bare", 2, nutation=False)
    world.finish()
    loose = world.folder.parents[1] / "loose"
    loose.mkdir()
    for cell in ("bare-01", "bare-02"):
        (loose / f"{cell}.001").write_bytes(maccor(sorted((world.folder / cell).rglob("records.parquet"))))
        for found in (world.folder / cell).rglob("acqus"):
            shutil.copytree(found.parent, loose / "nmr" / found.parent.parent.name / found.parent.name)
        for found in (world.folder / cell).rglob("impedance.csv"):
            shutil.copy(found, loose / f"{cell}-{found.parent.parent.name}.csv")
    shutil.copytree(world.folder / "reference" / "s1" / "a1" / "ref-1", loose / "nmr" / "licl")
    with zipfile.ZipFile(loose / "nmr.zip", "w") as archive:
        for path in sorted((loose / "nmr").rglob("*")):
            archive.write(path, path.relative_to(loose / "nmr"))
    (loose / "files.yaml").write_text(listed(("bare-01", 1, "nmr"), ("bare-02", 2, "nmr.zip")), encoding="utf-8")
    return world


@pytest.fixture(scope="module")
def document(lab) -> dict:
    return analyze([lab.folder]).to_json()


def listed(*cells: tuple[str, int, str]) -> str:
    head = "labctl: 1\nanalysis: mine\nmode: simulated\ncapacity_accuracy: 0.1 %\nreference: nmr/licl/1\ncells:\n"
    return head + "".join(
        f"""  - id: {name}
    group: bare
    area: 1.0 cm2
    chemistry: Cu||NMC622
    cycling: {name}.001
    pristine: {nmr}/{name}-c000-02-nmr-pristine/1
    cycles:
      - cycle: {n}
        charged: {nmr}/{name}-c00{n}-02-nmr-charged
        discharged: {nmr}/{name}-c00{n}-05-nmr-discharged/1
        dead: {{file: {nmr}/{name}-c00{n}-08-nmr-dead/1, temperature: 20 degC}}
        {f"nutation: {nmr}/nut-{name}" if name == "bare-01" else "# no nutation"}
        impedance: {{charged: {name}-03-eis-charged.csv, discharged: {name}-06-eis.csv, stripped: {name}-09-eis.csv}}
"""
        for name, n, nmr in cells
    )


def loose_of(world: World) -> Path:
    return world.folder.parents[1] / "loose"


def analyzed(capfd, *words: object) -> tuple[int, dict, str]:
    code = run_app(["analyze", *map(str, words), "--json"])
    out, err = capfd.readouterr()
    return code, json.loads(out) if out.strip() else {}, err


# -- lists of files --------------------------------------------------------------------------------------------------


def test_listed_files_come_to_the_same_shares_as_the_campaign(lab, document, capfd):
    code, mine, err = analyzed(capfd, loose_of(lab) / "files.yaml")
    assert (code, err) == (0, "")
    assert mine["mode"] == "simulated"
    for one, other in zip(mine["cells"], document["cells"], strict=True):
        found, wanted = one["cycles"][-1], other["cycles"][-1]
        for share in SHARES:
            # The export has 10 decimals of an ampere-hour.
            assert found[f"{share}_percent"] == pytest.approx(wanted[f"{share}_percent"], abs=1e-5)
            assert found[f"{share}_percent_sd"] == pytest.approx(wanted[f"{share}_percent_sd"], rel=1e-5)
        for name in ("hold_capacity_mAh", "excess_coulometric_percent"):
            assert found[name] == pytest.approx(wanted[name], rel=1e-5)
        assert found["pi_half_us"] == wanted["pi_half_us"]
        assert "reference" not in one["flag_names"]


def test_capacities_can_be_told_instead_of_recorded(lab, capfd):
    text = listed(("bare-01", 1, "nmr")).replace("    cycling: bare-01.001\n", "")
    text = text.replace("      - cycle: 1\n", "      - cycle: 1\n        charge: 2.6 mAh\n        discharge: 2.3 mAh\n")
    path = loose_of(lab) / "told.yaml"
    path.write_text(text, encoding="utf-8")
    code, found, _ = analyzed(capfd, path)
    cycle = found["cells"][0]["cycles"][0]
    assert code == 0
    assert (cycle["charge_capacity_mAh"], cycle["discharge_capacity_mAh"]) == pytest.approx((2.6, 2.3))
    assert cycle["reversible_percent"] == pytest.approx(100 * 2.3 / 2.6)
    assert "records.parquet" not in json.dumps(found)


def test_a_listed_file_that_is_broken_costs_one_line_with_its_place_and_nothing_else(lab, capfd):
    text = listed(("bare-01", 1, "nmr"), ("bare-02", 2, "nmr"))
    path = loose_of(lab) / "broken.yaml"
    path.write_text(text.replace("nmr/bare-02-c002-02-nmr-charged", "nmr/gone"), encoding="utf-8")
    code, found, err = analyzed(capfd, path)
    assert code == 0
    line = path.read_text().splitlines().index("        charged: nmr/gone") + 1
    assert err.startswith(f"{path}:{line}:18: ")
    assert "there is no such dataset" in err
    assert err.count("\n") == 1
    assert found["failed"][0]["error"] in err
    assert found["cells"][0]["cycles"][0]["dead_percent"] is not None
    assert "no usable NMR of the state charged" in " ".join(found["cells"][1]["flags"])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("area: 1.0 cm2", "area: 1.0", ":9:11: 1.0 has no unit; write for example '1.0 cm2'"),
        ("charged:", "chraged:", ":15:9: unknown key 'chraged'; did you mean 'charged'?"),
        ("cycle: 1\n", "cycle: 0\n", ":14:16: the number 0; write at least 1"),
        ("20 degC", "20 mV", "'mV' is not a unit of temperature"),
        ("mode: simulated", "mode: simulatd", ":3:7: 'simulatd' is not known; did you mean 'simulated'?"),
        ("labctl: 1\n", "labctl: 1\nsettings: {soc: columb}\n", "did you mean 'coulomb'?"),
        ("labctl: 1\n", "labctl: 1\nsettings: {recipe: {ordr: 3}}\n", "unknown key 'ordr'; did you mean 'order'?"),
        ("labctl: 1\n", "labctl: 1\nsettings: {leak_uA: -1}\n", "write at least 0"),
        ("id: bare-01", "id: reference", "'reference' means the LiCl spectrum"),
    ],
)
def test_mistakes_of_a_list_are_told_by_line_and_field(lab, capfd, old, new, words):
    path = loose_of(lab) / "wrong.yaml"
    path.write_text(listed(("bare-01", 1, "nmr")).replace(old, new, 1), encoding="utf-8")
    code, _, err = analyzed(capfd, path)
    assert code == 6
    assert f"{path}:" in err
    assert words in err


def test_the_template_is_a_list_without_mistakes_and_never_replaces_a_file(tmp_path, capfd):
    target = tmp_path / "mine.yaml"
    assert run_app(["analyze", "--template", str(target)]) == 0
    assert load_listed(target).cells[0].name == "bare-01"
    assert run_app(["analyze", "--template", str(target)]) == 2
    capfd.readouterr()
    assert run_app(["analyze", "--template"]) == 0
    assert capfd.readouterr().out == TEMPLATE.read_text(encoding="utf-8")


def test_settings_of_a_file_and_of_a_list_are_used_and_recorded(lab, capfd, tmp_path):
    given = tmp_path / "settings.yaml"
    given.write_text("labctl: 1\nsettings: {soc: coulomb, recipe: {order: 4, metal: [220, 300]}}\n", encoding="utf-8")
    _, found, _ = analyzed(capfd, loose_of(lab) / EIS, "--settings", given)
    assert (found["settings"]["soc"], found["settings"]["recipe"]["order"]) == ("coulomb", 4)
    assert found["settings"]["recipe"]["metal"] == [220, 300]
    assert found["settings"]["recipe"]["baseline"] == [[80, 200], [320, 395]]
    own = loose_of(lab) / "own.yaml"
    own.write_text("settings: {soc: coulomb}\n" + listed(("bare-02", 2, "nmr")), encoding="utf-8")
    _, found, _ = analyzed(capfd, own)
    assert found["cells"][0]["cycles"][1]["soc_mode"] == "coulomb"


# -- single files ----------------------------------------------------------------------------------------------------


def test_a_bruker_folder_and_a_zip_of_it_say_the_same(tmp_path, capfd):
    write_dataset(tmp_path / "data" / "10", METAL, np.random.default_rng(3))
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for path in sorted((tmp_path / "data").rglob("*")):
            archive.write(path, path.relative_to(tmp_path / "data"))
    code, found, err = analyzed(capfd, tmp_path / "data", tmp_path / "data.zip")
    assert (code, err) == (0, "")
    assert len(found["files"]) == 2
    for one in found["files"]:
        assert (one["nucleus"], one["scans"], one["receiver_gain"]) == ("7Li", 1024, 101.0)
        assert (one["recycle_delay_s"], one["pulse_s"]) == pytest.approx((0.5, 7e-6))
        assert sorted(line["ppm"] for line in one["lines"])[0] == pytest.approx(0.5, abs=1.0)
        assert any(240 < line["ppm"] < 262 for line in one["lines"])
        assert one["metal"] == pytest.approx(2.5, abs=5 * one["metal_sd"] + 0.05)
        assert one["warnings"] == []


def test_a_maccor_export_gives_capacities_efficiencies_and_the_cycle_life(tmp_path, capfd):
    tables = []
    for cycle, (charge, discharge) in enumerate([(2.6, 2.3), (2.3, 2.2), (2.2, 1.7)], start=1):
        for kind, mAh in (("charge", charge), ("discharge", discharge)):
            hours = np.linspace(0, 5, 31)
            sign = 1 if kind == "charge" else -1
            path = tmp_path / "records" / f"{cycle}-{kind}.parquet"
            path.parent.mkdir(exist_ok=True)
            columns = {"Test Time / s": hours * 3600, "Voltage / V": 3.7 + 0.1 * sign + 0.01 * hours}
            columns |= {"Current / A": np.full(31, sign * mAh * 2e-4), "Step Capacity / Ah": hours / 5 * mAh * 1e-3}
            polars.DataFrame(columns).write_parquet(path)
            tables.append(path)
    (tmp_path / "cell.001").write_bytes(maccor(tables))
    code, found, _ = analyzed(capfd, tmp_path / "cell.001")
    assert code == 0
    (one,) = found["files"]
    first, _, last = one["cycles"]
    assert (one["source"], one["n80"]) == ("MACCOR", 3)
    assert (first["charge_capacity_mAh"], first["discharge_capacity_mAh"]) == pytest.approx((2.6, 2.3))
    assert first["charge_energy_mWh"] == pytest.approx(2.6 * 3.825, rel=1e-4)
    assert first["coulombic_efficiency"] == pytest.approx(2.3 / 2.6)
    assert first["energy_efficiency"] == pytest.approx(2.3 * 3.625 / (2.6 * 3.825), rel=1e-4)
    assert last["state_of_health"] == pytest.approx(1.7 / 2.3)


def test_ec_lab_files_are_told_apart_and_zahner_files_are_fitted(tmp_path, capfd):
    (tmp_path / "cycling.mpt").write_text(mpt_cycling([(2.0, 1.8), (1.8, 1.7)]), encoding="latin-1")
    (tmp_path / "peis.mpt").write_text(mpt_impedance(), encoding="latin-1")
    (tmp_path / "cell.ism").write_bytes(impedance_ism())
    code, found, err = analyzed(capfd, tmp_path)
    assert (code, err) == (0, "")
    kinds = {Path(one["path"]).name: one for one in found["files"]}
    assert [round(one["discharge_capacity_mAh"], 3) for one in kinds["cycling.mpt"]["cycles"]] == [1.8, 1.7]
    for name in ("peis.mpt", "cell.ism"):
        one = kinds[name]
        assert one["passes"]
        assert [one["parameters"][key] for key in ("R0", "R1", "R2")] == pytest.approx([6, 20, 60], rel=0.02)
        assert one["time_constants_s"][0] == pytest.approx(2e-5, rel=0.1)


def test_broken_files_cost_a_line_each_and_never_the_rest(lab, tmp_path, capfd):
    shutil.copytree(loose_of(lab) / "nmr" / "licl" / "1", tmp_path / "good" / "1")
    shutil.copytree(tmp_path / "good" / "1", tmp_path / "cut" / "2")
    (tmp_path / "cut" / "2" / "fid").write_bytes(b"\0" * 100)
    (tmp_path / "half.ism").write_bytes(impedance_ism()[:200])
    (tmp_path / "notes.txt").write_text("nothing of use\n", encoding="utf-8")
    broken = [tmp_path / "cut", tmp_path / "half.ism", tmp_path / "notes.txt", tmp_path / "gone"]
    code, found, err = analyzed(capfd, tmp_path / "good", *broken)
    assert code == 0
    assert len(found["files"]) == 1
    assert len(err.splitlines()) == len(found["failed"]) == 4
    for words in ("fid: truncated", "half.ism: is cut short", "notes.txt: neither", "gone: there is no"):
        assert words in err
    code, _, err = analyzed(capfd, *broken)
    assert code == 1
    assert len(err.splitlines()) == 4


def test_a_broken_bundle_costs_its_file_and_never_the_campaign(lab, tmp_path, capfd):
    shutil.copytree(lab.folder, tmp_path / "first")
    victim = tmp_path / "first" / "bare-02" / "c001" / "01-charge" / "a1" / "operation.json"
    victim.write_text("{", encoding="utf-8")
    code, found, err = analyzed(capfd, tmp_path / "first")
    assert code == 0
    assert f"{victim}: cannot be read" in err
    assert found["cells"][0]["cycles"][0]["dead_percent"] is not None
    assert any("the first charge's" in text for text in found["cells"][1]["flags"])


# -- where results go ------------------------------------------------------------------------------------------------


def test_results_go_to_out_and_never_in_or_above_raw_data(lab, tmp_path, capfd, monkeypatch):
    raw = tmp_path / "raw" / "1"
    shutil.copytree(loose_of(lab) / "nmr" / "licl" / "1", raw)
    before = sorted(path.name for path in raw.iterdir())
    for where in (raw, raw / "pdata", tmp_path / "raw", tmp_path, lab.folder / "report", lab.folder.parent):
        source = lab.folder if where.is_relative_to(lab.folder.parent) else raw
        assert run_app(["analyze", str(source), "--out", str(where)]) == 2
        assert "raw data" in capfd.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert run_app(["analyze", str(raw)]) == 0
    assert json.loads((tmp_path / "analysis" / "analysis.json").read_text(encoding="utf-8"))["files"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["analysis", "raw"]
    monkeypatch.chdir(raw)
    assert run_app(["analyze", "."]) == 2
    assert run_app(["analyze", ".", "--json"]) == 0
    assert sorted(path.name for path in raw.iterdir()) == before


def test_tables_fit_80_columns(lab, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    nmr = loose_of(lab) / "nmr"
    files = [loose_of(lab) / "bare-01.001", nmr / "bare-01-c001-02-nmr-charged", nmr / "licl", loose_of(lab) / EIS]
    assert run_app(["analyze", str(lab.folder / "bare-02"), *map(str, files), "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "report.html").is_file()
    out = capfd.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for words in ("SIMULATED", "bare-02", "before believing a number:", "bare-01.001", "licl/1", "R2"):
        assert words in out


def test_several_processes_give_the_same_document(tmp_path, capfd, monkeypatch):
    for number in (1, 2, 10):
        (tmp_path / f"{number}.mpt").write_text(mpt_cycling([(2.0 + number, 1.8)]), encoding="latin-1")
    (tmp_path / "3.ism").write_bytes(b"no such file")
    monkeypatch.setattr("labctl.analysis.parallel.WORTH_S", 0.0)
    one, two = (analyzed(capfd, tmp_path, "--jobs", jobs) for jobs in (1, 2))
    assert one == two
    assert len(two[1]["files"]) == 3
    assert len(two[1]["failed"]) == 1


# -- planning --------------------------------------------------------------------------------------------------------


def test_the_number_of_cells_for_a_wanted_effect(capfd):
    words = ("--design", "--effect", "2", "--sd", "1", "--sd-known-from", "3")
    code, found, _ = analyzed(capfd, *words)
    assert code == 0
    assert found["cells_per_group"] == 6
    assert found["power"] > 0.8
    assert found["cells_per_group_if_unlucky"] > found["cells_per_group"]
    reached = {one["cells_per_group"]: one["power"] for one in found["reached"]}
    assert reached[5] < 0.8 <= reached[6]
    assert run_app(["analyze", *words, "--confidence", "0.99"]) == 0
    assert "8 cells in each group show a difference of 2" in " ".join(capfd.readouterr().out.split())
    assert run_app(["analyze", "--design", "--sd", "1"]) == 2
    assert run_app(["analyze", "--design", "--effect", "2", "--sd", "1", "--alpha", "0.1", "--confidence", "0.9"]) == 2
    assert run_app(["analyze"]) == 2


def test_a_calibration_series_becomes_a_file_that_cells_can_name(tmp_path, capfd):
    lines = ["labctl: 1", "calibration: probe-1", "source: foil against NMC622", "spectra:"]
    for series in ("foil-1", "foil-2"):
        for number, (soc, factor) in enumerate(((1.0, 1.0), (0.0, 1.12)), 1):
            foil = Acquisition((Line(250.0 - 3.3 * soc, 3.0 / factor, 8.0, 3.0),), sigma=2.0)
            write_dataset(tmp_path / "nmr" / series / str(number), foil, np.random.default_rng(number))
            lines.append(f"  - {{file: nmr/{series}/{number}, lithium: foil, series: {series}, soc: {soc}}}")
    listed_series = tmp_path / "series.yaml"
    listed_series.write_text("\n".join(lines), encoding="utf-8")
    assert run_app(["analyze", str(listed_series), "--out", str(tmp_path / "out")]) == 0
    assert "probe-1" in capfd.readouterr().out
    found = calibration.load(tmp_path / "out" / "probe-1.yaml").curve
    assert found.at(0.0) == pytest.approx(1.12, rel=0.005)
    assert found.shift_at(0.0) == pytest.approx(3.3, abs=0.1)
    listed_series.write_text("\n".join(lines).replace("lithium: foil", "lithium: foal", 1), encoding="utf-8")
    code, _, said = analyzed(capfd, listed_series)
    assert code == 6
    assert "series.yaml:5:" in said
    assert "'foal'" in said


def test_a_broken_series_costs_one_line(tmp_path, capfd):
    write_dataset(tmp_path / "a" / "1", Acquisition((Line(247.0, 3.0, 8.0),), sigma=2.0), np.random.default_rng(1))
    text = "labctl: 1\ncalibration: probe-1\nsource: x\nspectra:\n"
    text += "".join(
        f"  - {{file: {name}/1, lithium: foil, series: one, soc: {soc}}}\n" for name, soc in (("a", 1.0), ("b", 0.0))
    )
    (tmp_path / "series.yaml").write_text(text, encoding="utf-8")
    code, document, said = analyzed(capfd, tmp_path / "series.yaml")
    assert code == 1
    assert "there is no such dataset" in said
    assert len(document["failed"]) == 1
