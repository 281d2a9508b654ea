"""A laboratory in which no driver works yet: people run every instrument, and the campaign goes all the way."""

import json
import re

import pytest
from laboratory_folder import Laboratory

from labctl.cli.running import RunRequest, run

BY_HAND = {
    "maccor": "{driver: assisted, role: cycler, channels: 1-17, drop_folder: by-hand/cycler}",
    "topspin": "{driver: assisted, role: spectrometer, drop_folder: by-hand/nmr}",
    "zahner": "{driver: assisted, role: potentiostat, drop_folder: by-hand/impedance}",
    "oven": "{driver: assisted, role: chamber, drop_folder: by-hand/oven}",
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """One bare cell, measured after cycle 1, in virtual time; only the multiplexer is driven."""
    laboratory = Laboratory(tmp_path_factory.mktemp("assisted") / "lab")
    laboratory.keep_cells("bare-01")
    station = laboratory.folder / "station.yaml"
    text = station.read_text()
    for name, entry in BY_HAND.items():
        text = re.sub(rf"(?m)^  {name}: +\{{driver.*$", f"  {name}: {entry}", text)
    station.write_text(text)
    request = RunRequest(
        laboratory.folder,
        laboratory.protocol,
        station,
        laboratory.folder / "cells.yaml",
        simulate=True,
        accelerate=True,
        seed=3,
    )
    return laboratory, run(request)


def bundles(laboratory):
    for path in sorted((laboratory.folder / "results").rglob("operation.json")):
        yield path.parent, json.loads(path.read_text())


def test_a_cell_goes_all_the_way_by_hand(ran):
    _, outcome = ran
    assert outcome.states == {"bare-01": "finished"}
    assert outcome.violations == []


def test_what_people_dropped_carries_the_analysis(ran):
    _, outcome = ran
    (cell,) = outcome.analysis.to_json()["cells"]
    measured = [cycle for cycle in cell["cycles"] if cycle.get("dead_percent") is not None]
    assert [cycle["cycle"] for cycle in measured] == [1]
    assert sum(measured[0][f"{share}_percent"] for share in ("reversible", "excess", "dead", "interphase")) == (
        pytest.approx(100, abs=1e-9)
    )


def test_every_result_says_that_it_was_assisted_and_keeps_its_request(ran):
    laboratory, _ = ran
    kinds = set()
    for folder, operation in bundles(laboratory):
        assert operation["instrument"]["driver"] == "assisted"
        asked = json.loads((folder / "request.json").read_text())
        assert asked["token"] == operation["token"]
        assert asked["data"]["name"] == operation["operation"]
        kinds.add(operation["kind"])
    assert kinds == {"rest", "charge", "discharge", "hold", "nmr", "nutation", "eis", "reference"}


def test_nobody_is_left_with_an_open_request(ran):
    laboratory, _ = ran
    sheets = list(laboratory.folder.rglob("request.json"))
    open_ones = list(laboratory.folder.rglob("REQUEST.txt"))
    assert len(sheets) > 12
    assert open_ones == []
