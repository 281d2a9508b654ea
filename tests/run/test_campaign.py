"""One cell goes all the way, and what is kept of it is whole."""

import hashlib
import json

import nmrglue
import polars
import pytest
from laboratory_folder import Laboratory

from labctl import analysis
from labctl.cli.running import RunRequest, run
from labctl.engine.clock import WallClock
from labctl.journal import Journal, Status

STEPS = [
    "c000/01-rest",
    "c000/02-nmr-pristine",
    "c001/01-charge",
    "c001/02-nutation-charged",
    "c001/02-nmr-charged",
    "c001/03-eis-charged",
    "c001/04-discharge",
    "c001/05-nmr-discharged",
    "c001/06-eis-discharged",
    "c001/07-hold",
    "c001/08-nmr-dead",
    "c001/09-eis-stripped",
]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """One bare cell, measured after cycle 1, in virtual time."""
    laboratory = Laboratory(tmp_path_factory.mktemp("campaign") / "lab")
    laboratory.keep_cells("bare-01")
    simulations = []
    request = RunRequest(
        laboratory.folder,
        laboratory.protocol,
        laboratory.folder / "station.yaml",
        laboratory.folder / "cells.yaml",
        simulate=True,
        accelerate=True,
        seed=3,
    )
    outcome = run(request, on_simulation=simulations.append)
    return laboratory, outcome, simulations[0]


@pytest.fixture
def journal(ran):
    made = Journal(ran[0].folder / "labctl.sqlite", WallClock())
    yield made
    made.close()


def bundles(laboratory):
    for path in sorted((laboratory.folder / "results").rglob("operation.json")):
        yield path.parent, json.loads(path.read_text())


def test_the_cell_goes_through_every_step_once_and_finishes(ran, journal):
    _, outcome, _ = ran
    assert outcome.states == {"bare-01": "finished"}
    rows = [row for row in journal.operations(cell="bare-01") if row.kind != "transfer"]
    assert [row.step for row in rows] == STEPS
    assert {row.status for row in rows} == {Status.DONE}
    assert not journal.held()


def test_every_operation_was_journalled_in_the_order_of_its_life(ran, journal):
    for row in journal.operations():
        assert list(row.times) == ["requested", "leased", "intent", "running", "fetched", "done"]
        assert list(row.times.values()) == sorted(row.times.values())


def test_nothing_happened_that_must_not_happen_in_a_laboratory(ran):
    assert ran[1].violations == []


def test_no_instrument_or_place_was_ever_given_twice_at_once(ran, journal):
    rows = [row for row in journal.operations() if row.resources]
    for one in rows:
        for other in rows:
            if one is other or not set(one.resources) & set(other.resources):
                continue
            assert one.times["done"] <= other.times["leased"] or other.times["done"] <= one.times["leased"]


def test_cells_were_moved_only_after_a_confirmation(ran, journal):
    moved = [row for row in journal.operations(cell="bare-01") if row.kind == "transfer"]
    places = [(row.result["request"]["source"], row.result["request"]["target"]) for row in moved]
    assert places == [
        ("cabinet/1", "probe/1"),
        ("probe/1", "cabinet/1"),
        ("cabinet/1", "probe/1"),
        ("probe/1", "cabinet/1"),
        ("cabinet/1", "probe/1"),
        ("probe/1", "cabinet/1"),
        ("cabinet/1", "oven/1"),
        ("oven/1", "probe/1"),
        ("probe/1", "cabinet/1"),
    ]
    assert all(journal.confirmation(row.token).barcode == "B0001" for row in moved)


def test_every_file_of_every_bundle_is_listed_with_its_hash(ran):
    for folder, operation in bundles(ran[0]):
        listed = {entry["name"]: entry for entry in operation["files"]}
        found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert found == {*listed, "operation.json"}
        for name, entry in listed.items():
            content = (folder / name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == entry["sha256"]


def test_bundles_say_who_what_when_and_that_it_was_simulated(ran):
    for _, operation in bundles(ran[0]):
        assert operation["schema"] == "labctl.operation/1"
        assert operation["mode"] == "simulated"
        assert operation["requested"] <= operation["started"] <= operation["ended"]
        assert operation["instrument"]["name"] in {"maccor", "topspin", "zahner"}
        assert operation["sent"]


def test_no_record_of_the_cycler_is_missing(ran):
    cycled = 0
    for folder, operation in bundles(ran[0]):
        if operation["kind"] not in ("rest", "charge", "discharge", "hold"):
            continue
        table = polars.read_parquet(folder / "records.parquet")
        numbers = table["Record Number / 1"].to_list()
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert {"Test Time / s", "Voltage / V", "Current / A"} <= set(table.columns)
        assert table["Test Time / s"].is_sorted()
        cycled += 1
    assert cycled == 4


def test_the_steps_did_what_the_protocol_says(ran):
    by_step = {operation["step"]: (folder, operation) for folder, operation in bundles(ran[0])}
    records = {
        step: polars.read_parquet(by_step[step][0] / "records.parquet").filter(polars.col("Current / A") != 0)
        for step in ("c001/01-charge", "c001/04-discharge", "c001/07-hold")
    }
    charge, discharge, hold = records.values()
    assert charge["Current / A"][5] == pytest.approx(0.2e-3, rel=1e-3)
    assert charge["Voltage / V"][-1] == pytest.approx(4.3, abs=2e-3)
    assert discharge["Current / A"][5] == pytest.approx(-0.6e-3, rel=1e-3)
    assert discharge["Voltage / V"][-1] == pytest.approx(3.0, abs=2e-3)
    assert hold["Voltage / V"][5] == pytest.approx(3.0, abs=2e-3)
    assert abs(hold["Current / A"][-1]) < 1e-6
    assert by_step["c001/07-hold"][1]["place"] == "oven/1"


def test_every_spectrum_is_bound_to_the_sessions_reference_and_the_cells_own_pulse(ran, journal):
    operations = [operation for _, operation in bundles(ran[0])]
    references = [one for one in operations if one["kind"] == "reference"]
    nutation = next(one for one in operations if one["kind"] == "nutation")
    assert len(references) == 1
    for one in operations:
        if one["kind"] in ("nmr", "nutation"):
            assert one["reference"] == references[0]["token"]
    calibrated = {one["label"]: float(one["read_back"]["P 1"]) for one in operations if one["kind"] == "nmr"}
    truth = ran[1].truth["cells"]["bare-01"]["t90_us"]
    for label in ("charged", "discharged", "dead"):
        assert calibrated[label] == pytest.approx(truth, rel=0.03)
    assert nutation["summary"]["pi_half_s"] == pytest.approx(truth * 1e-6, rel=0.03)
    gains = {one["label"]: one["read_back"]["RG"] for one in operations if one["kind"] == "nmr"}
    assert gains["charged"] == gains["discharged"] == gains["dead"]


def test_an_independent_reader_reads_every_dataset(ran):
    read = 0
    for path in sorted((ran[0].folder / "results").rglob("acqus")):
        _, fid = nmrglue.bruker.read(str(path.parent))
        assert fid.size > 8000
        read += 1
    assert read == 1 + 1 + 8 + 3


def test_shares_agree_with_the_truth_and_add_up(ran):
    laboratory, outcome, _ = ran
    data = analysis.analyze([laboratory.folder]).to_json(truth=outcome.truth)
    cycle = next(one for one in data["cells"][0]["cycles"] if one["cycle"] == 1)
    shares = ("reversible", "excess", "dead", "interphase")
    assert sum(cycle[f"{share}_percent"] for share in shares) == pytest.approx(100, abs=1e-9)
    for share in shares:
        off = cycle[f"{share}_percent"] - cycle[f"{share}_percent_truth"]
        assert abs(off) < 4 * cycle[f"{share}_percent_sd"], share


def test_the_results_were_delivered_to_the_analysis_core(ran):
    folder = ran[0].folder / "results" / ran[1].campaign
    delivered = json.loads((folder / "analysis.json").read_text())
    assert delivered == analysis.analyze([folder]).to_json()


def test_impedance_covers_the_band_that_was_asked_for(ran):
    labels = {}
    for folder, operation in bundles(ran[0]):
        if operation["kind"] == "eis":
            table = polars.read_csv(folder / "impedance.csv")
            labels[operation["label"]] = table
    assert set(labels) == {"charged", "discharged", "stripped"}
    for table in labels.values():
        assert table["frequency_Hz"].max() == pytest.approx(300e3, rel=1e-3)
        assert table["frequency_Hz"].min() == pytest.approx(0.1, rel=1e-3)
        assert len(table) >= 60
