"""What a campaign began with is read again from the journal as it was, without reading YAML again."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.documents import known, load
from labctl.engine.campaign import make
from labctl.protocol import load_protocol, read_protocol, shipped
from labctl.station import load_cells, load_station, read_cells, read_station

GOOD = Path(__file__).parents[1] / "good"


def frozen(document):
    """Give what the journal keeps, after a way through its file."""
    return document.text, document.file, json.loads(json.dumps(document.data))


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_a_frozen_protocol_is_the_protocol(path):
    values = {"rate": "0.2C"} if path.stem == "nmc-lithium" else {}
    loaded = load_protocol(path, values)
    text, file, data = frozen(loaded.document)
    again = read_protocol(text, file, data, values=values)
    assert again == loaded
    assert again.sha256 == loaded.sha256


def test_frozen_station_and_cells_are_what_they_were():
    station, cells = load_station(GOOD / "station.yaml"), load_cells(GOOD / "cells.yaml")
    text, file, data = frozen(station.document)
    assert read_station(text, file, data=data).entries() == station.entries()
    assert read_cells(*frozen(cells.document)) == cells


def test_places_of_a_frozen_file_are_found_when_they_are_asked_for():
    document = load(GOOD / "cells.yaml")
    again = known(*frozen(document))
    assert again.place(("cells", 1, "barcode")) == document.place(("cells", 1, "barcode"))
    assert replace(again, places=dict(again.places)) == document


def test_cells_that_are_measured_alike_have_equal_plans():
    protocol = next(path for path in shipped() if path.stem == "dead-lithium")
    campaign = make(
        "c", load_protocol(protocol), load_station(GOOD / "station.yaml"), load_cells(GOOD / "cells.yaml"), "simulated"
    )
    for one in campaign.cells.cells:
        for other in campaign.cells.cells:
            alike = (one.area, one.measure_at) == (other.area, other.measure_at)
            assert (campaign.plans[one.id] == campaign.plans[other.id]) == alike
