"""Protocol, station and cells files: what they are read as, what editors are told of them, and what cannot happen."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.documents import Document, load, read
from labctl.errors import InvalidFile
from labctl.protocol import load_protocol, protocol_schema, read_protocol, shipped
from labctl.safety.preflight import check
from labctl.station import (
    KNOWN_DRIVERS,
    cells_schema,
    load_cells,
    load_station,
    read_cells,
    read_station,
    station_schema,
)

TESTS = Path(__file__).parent.parent
STATION = TESTS / "good" / "station.yaml"
CELLS = TESTS / "good" / "cells.yaml"
PROTOCOL = TESTS.parent / "protocols" / "dead-lithium.yaml"
ROLES = {
    "maccor": "cycler",
    "topspin": "spectrometer",
    "zahner": "potentiostat",
    "oven": "chamber",
    "mux": "multiplexer",
}


# -- YAML --------------------------------------------------------------------------------------------------------------
def data(text: str) -> dict[str, Any]:
    return read(text, "f.yaml").data


def test_values_are_those_of_yaml_1_2() -> None:
    text = "a: 1e-6\nb: on\nc: 0o17\nd: 017\ne: 2026-01-02\nf: 1_000\ng: 12:30:45\nh: ~\ni: 'true'\nj: True\nk: -.5\n"
    assert data(text) == {
        "a": 1e-6,
        "b": "on",
        "c": 15,
        "d": 17,
        "e": "2026-01-02",
        "f": "1_000",
        "g": "12:30:45",
        "h": None,
        "i": "true",
        "j": True,
        "k": -0.5,
    }


def test_keys_are_always_text_and_anchors_are_followed() -> None:
    document = read("x: &x {1: one, 2-: two}\ny: [*x, *x]\n", "f.yaml")
    assert document.data == {"x": {"1": "one", "2-": "two"}, "y": [{"1": "one", "2-": "two"}] * 2}


def test_every_key_value_and_item_knows_its_place() -> None:
    document = read("labctl: 1\nsteps:\n  - rest: {duration: 12 h}\n", "f.yaml")
    place = document.place(("steps", 0, "rest", "duration"))
    assert (place.line, place.column) == (3, 22)
    assert (place.key_line, place.key_column) == (3, 12)
    assert document.written(("steps", 0, "rest", "duration")) == "12 h"
    assert document.place(("steps", 0)).column == 5
    assert document.place(("steps", 7, "nowhere")).line == 3


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xef\xbb\xbflabctl: 1\r\nx: {y: 2}\r\n")
    document = load(path)
    assert document.data == {"labctl": 1, "x": {"y": 2}}
    assert document.place(("x", "y")).line == 2


# -- the examples of the contracts -------------------------------------------------------------------------------------
def test_the_shipped_protocol_is_found_and_carries_the_papers_numbers() -> None:
    assert shipped()[0].name == "dead-lithium.yaml"
    assert {"deis.yaml", "operando.yaml"} <= {path.name for path in shipped()}
    protocol = load_protocol(shipped()[0])
    assert protocol.protocol == "dead-lithium"
    assert protocol.cutoffs is not None
    assert (protocol.cutoffs.upper, protocol.cutoffs.lower) == (4.3, 3.0)
    assert protocol.limits.temperature == pytest.approx((283.15, 333.15))
    assert protocol.measure is not None
    assert protocol.measure.cycles.cycles(1, 30) == (1, 15, 30)
    assert protocol.experiments["metal"].dwell_time == pytest.approx(1e-7)
    assert protocol.spectra["standard"].frequency == (300e3, 0.1)
    assert protocol.source == PROTOCOL.read_text()
    assert len(protocol.sha256) == 64
    assert read_protocol(protocol.source, "frozen").sha256 == protocol.sha256


def test_the_example_station_is_read_as_written() -> None:
    station = load_station(STATION, KNOWN_DRIVERS)
    assert station.mode == "simulated"
    assert station.capacity_accuracy == pytest.approx(0.001)
    assert station.places["cabinet"].leads["maccor"].leads == tuple(range(1, 9))
    assert station.places["cabinet"].leads["zahner"].leads == tuple(range(101, 109))
    assert station.places["oven"].leads["maccor"].leads == tuple(range(9, 17))
    assert "zahner" not in station.places["oven"].leads
    assert station.places["cabinet"].leads["zahner"].through == "mux"
    assert station.places["probe"].checklist == ("disconnect", "unclamp", "orient", "tune and match")
    assert station.chamber_of("oven") == "oven"
    assert station.chamber_of("cabinet") is None


def test_drivers_get_their_settings_as_they_stand_in_the_file() -> None:
    station = load_station(STATION, KNOWN_DRIVERS)
    assert station.settings("topspin") == {
        "driver": "bruker",
        "address": "192.0.2.11:5410",
        "token": {"env": "LABCTL_TOPSPIN_TOKEN"},
        "data_folder": "topspin-data",
    }
    assert station.settings("oven")["settled"] == {"tolerance": 0.3, "duration": 600.0, "at_most": 7200.0}
    assert station.entries()["zahner"]["output_path"] == "c:\\thales\\labctl"
    json.dumps(station.entries())


def test_the_example_cells_are_read_as_written() -> None:
    first, second = load_cells(CELLS).cells
    assert (first.id, first.barcode, first.group, first.place) == ("bare-01", "B0001", "bare", "cabinet/1")
    assert first.area == pytest.approx(1e-4)
    assert first.measure_at == (1,)
    assert second.simulate == {"substrate": "bare"}


def test_a_cell_without_calibration_of_its_own_says_so() -> None:
    factor = load_cells(CELLS).cells[1].soc_factor
    assert factor.model_dump() == {"value": 1.08, "sd": 0.015, "source": "paper, not calibrated here"}


def test_a_simulation_is_told_where_everything_is_in_plain_si_data() -> None:
    station, cells = load_station(STATION), load_cells(CELLS)
    description = station.description(cells)
    assert description["cells"][1] == {
        "id": "bare-02",
        "barcode": "B0002",
        "area_m2": pytest.approx(1e-4),
        "chemistry": "Cu||NMC622",
        "place": "cabinet/2",
        "simulate": {"substrate": "bare"},
    }
    assert description["places"]["cabinet"] == {
        "count": 8,
        "temperature": None,
        "leads": {"maccor": [1, 2, 3, 4, 5, 6, 7, 8], "zahner": {"through": "mux", "relays": list(range(101, 109))}},
        "instrument": None,
    }
    assert description["places"]["oven"]["temperature"] == "oven"
    assert description["places"]["probe"]["instrument"] == "topspin"
    json.dumps(description)


def test_a_driver_of_someone_else_may_have_settings_of_its_own() -> None:
    text = STATION.read_text().replace("{driver: zahner, address", "{driver: gamry, frames: [1, 2], address")
    assert read_station(text, "s.yaml", [*KNOWN_DRIVERS, "gamry"]).settings("zahner")["frames"] == [1, 2]
    with pytest.raises(InvalidFile, match="there is no driver 'gamry'"):
        read_station(text, "s.yaml", KNOWN_DRIVERS)


@pytest.mark.parametrize(
    "hours",
    [
        "Mo-Fr 08:00-19:00",
        "Sa 9:00-12:30",
        "Mo-Fr 08:00-19:00; Sa-Su 10:00-12:00",
        "Mo-We,Fr 08:00-12:00, 13:00-17:00",
        "Mo-Fr 22:00-06:00",
        "00:00-24:00",
        "always",
    ],
)
def test_working_hours_may_have_several_ranges(hours: str) -> None:
    station = read_station(STATION.read_text().replace("Mo-Fr 08:00-19:00", hours), "s.yaml")
    assert station.operators[0].hours == hours


def test_cells_may_begin_one_after_the_other() -> None:
    text = CELLS.read_text().replace("place: cabinet/2,", "place: cabinet/2, start_after: 90 min,")
    assert [cell.start_after for cell in read_cells(text, "c.yaml").cells] == [0.0, 5400.0]


def test_a_cell_keeps_its_channel_unless_the_station_says_otherwise() -> None:
    assert load_station(STATION).channels == "keep"
    text = STATION.read_text().replace("mode: simulated", "channels: give_back\nmode: simulated")
    assert read_station(text, "s.yaml").channels == "give_back"


# -- the three together ------------------------------------------------------------------------------------------------
def test_the_examples_fit_together() -> None:
    assert check(load_protocol(PROTOCOL), load_station(STATION), load_cells(CELLS), ROLES) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "  probe:   {count: 1, instrument: topspin, ",
            "  probe:   {count: 1, ",
            [f"{PROTOCOL}:23:5: no place of station 'example' has a spectrometer for 'nmr'"],
        ),
        (
            ", zahner: {through: mux, relays: 101-108}",
            "",
            [f"{PROTOCOL}:30:15: no place of station 'example' has a potentiostat for 'eis'"],
        ),
        (
            "temperature: oven",
            "temperature: ambient",
            [f"{PROTOCOL}:37:30: no place of station 'example' with a cycler can be set to 40 degC"],
        ),
        (
            "settled: {tolerance",
            "limits: {temperature: [5 degC, 35 degC]}, settled: {tolerance",
            [f"{PROTOCOL}:37:30: 40 degC lies outside of what oven can do"],
        ),
        (
            "channels: 1-16",
            "channels: 1-16, limits: {current: 1 mA}",
            [f"{PROTOCOL}:39:34: 'hold' asks for 3 mA, maccor can do 1 mA"],
        ),
        (
            "channels: 1-16",
            "channels: 1-16, limits: {voltage: [0 V, 4.2 V]}",
            [f"{PROTOCOL}:27:81: 'charge' asks for 4.3 V, outside of what maccor can do"],
        ),
        (
            'address: "192.0.2.12:260"',
            'limits: {current: 50 uA}, address: "192.0.2.12:260"',
            [f"{PROTOCOL}:62:16: 'eis' asks for 0.1 mA, zahner can do 0.05 mA"],
        ),
    ],
    ids=[
        "no spectrometer",
        "no potentiostat",
        "no chamber",
        "chamber too cold",
        "cycler too weak",
        "cycler of too low a voltage",
        "potentiostat too weak",
    ],
)
def test_a_step_that_the_station_cannot_do_is_said_once(old: str, new: str, expected: list[str]) -> None:
    station = read_station(STATION.read_text().replace(old, new), "station.yaml")
    found = check(load_protocol(PROTOCOL), station, load_cells(CELLS), ROLES)
    assert [str(mistake).split(";")[0] for mistake in found] == expected


def test_a_station_without_any_cycler_leads_is_said_once() -> None:
    text = STATION.read_text().replace("leads: {maccor: 1-8, zahner", "leads: {zahner")
    station = read_station(text.replace(", leads: {maccor: 9-16}", ""), "station.yaml")
    found = check(load_protocol(PROTOCOL), station, load_cells(CELLS), ROLES)
    assert [mistake.found for mistake in found] == ["no place of station 'example' has a cycler for 'rest'"]


def test_a_current_that_is_too_large_for_all_cells_is_the_protocols_mistake() -> None:
    protocol = read_protocol(PROTOCOL.read_text().replace("0.6 mA/cm2", "6 mA/cm2"), "p.yaml")
    found = check(protocol, load_station(STATION), load_cells(CELLS), ROLES)
    assert [str(mistake).split(";")[0] for mistake in found] == [
        "p.yaml:31:32: 6 mA/cm2 on 1 cm2 is 6 mA, above the limit 5 mA"
    ]


# -- for editors -------------------------------------------------------------------------------------------------------
SCHEMAS = [(protocol_schema, PROTOCOL), (station_schema, STATION), (cells_schema, CELLS)]


@pytest.mark.parametrize(("make", "path"), SCHEMAS, ids=["protocol", "station", "cells"])
def test_the_json_schema_accepts_the_examples_and_refuses_bare_numbers(make: Any, path: Path) -> None:
    schema = make()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    good = load(path).data
    assert [error.message for error in validator.iter_errors(good)] == []
    assert list(validator.iter_errors({**good, "colour": "red"}))
    assert list(validator.iter_errors({key: value for key, value in good.items() if key != "labctl"}))


def test_the_json_schema_knows_where_results_can_go() -> None:
    validator = jsonschema.Draft202012Validator(station_schema())
    good = load(STATION).data
    endpoint = {"to": "http", "address": "https://lims.example.org", "token": {"env": "X"}, "name": "lims"}
    for entry, right in (
        ({"to": "core"}, True),
        ({"to": "folder", "path": "/mnt/archive"}, True),
        (endpoint, True),
        ({**endpoint, "token": "X"}, False),
        ({"to": "folder"}, False),
        ({"to": "cloud"}, False),
    ):
        assert (not list(validator.iter_errors({**good, "delivery": [entry]}))) is right, entry


def test_the_json_schema_of_a_quantity_wants_a_unit() -> None:
    validator = jsonschema.Draft202012Validator(cells_schema())
    good = load(CELLS).data
    for area, right in (("1.0 cm2", True), (".5 cm2", True), ("1e2 mm2", True), (1.0, False), ("1.0", False)):
        cells = {**good, "cells": [{**good["cells"][0], "area": area}]}
        assert (not list(validator.iter_errors(cells))) is right, area


@pytest.mark.parametrize(
    ("start_within", "right"),
    [
        ("2 h", True),
        ({"within": "2 h"}, True),
        ({"within": "2 h", "else": "skip"}, True),
        ({"within": "2 h", "else": "abort"}, False),
        ({"else": "skip"}, False),
        (7200, False),
    ],
)
def test_the_json_schema_knows_both_ways_to_write_a_deadline(start_within: Any, right: bool) -> None:
    validator = jsonschema.Draft202012Validator(protocol_schema())
    good = load(PROTOCOL).data
    steps = [{"rest": {"duration": "1 h", "start_within": start_within}}]
    assert (not list(validator.iter_errors({**good, "steps": steps}))) is right


@pytest.mark.parametrize(("make", "path"), SCHEMAS, ids=["protocol", "station", "cells"])
def test_every_key_has_help_for_editors(make: Any, path: Path) -> None:
    schema = make()
    for model in (schema, *schema["$defs"].values()):
        for name, field in model.get("properties", {}).items():
            # An editor shows the help of what is referred to where the key adds none of its own.
            referred = next((one["$ref"] for one in field.get("anyOf", [field]) if "$ref" in one), "/")
            shown = field if "description" in field else schema["$defs"][referred.rsplit("/", 1)[-1]]
            assert shown.get("description"), f"{model.get('title')}.{name}"


# -- whatever stands in a file -----------------------------------------------------------------------------------------
READERS = (read_protocol, read_station, read_cells)
GOOD_TEXTS = [path.read_text() for path in (PROTOCOL, STATION, CELLS)]
GOOD_DATA = [read(text, "f").data for text in GOOD_TEXTS]


def survives(text: str, readers: Sequence[Callable[[str, str], object]] = READERS) -> None:
    for reader in readers:
        try:
            reader(text, "f.yaml")
        except InvalidFile as error:
            assert error.mistakes
            lines = (
                text.count("\n") + text.count("\r") + text.count("\x85") + text.count("\u2028") + text.count("\u2029")
            )
            for mistake in error.mistakes:
                assert 1 <= mistake.line <= lines + 2
                assert mistake.column >= 1
                assert mistake.found
                assert mistake.right


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_an_invalid_file_or_nothing(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random.yaml"
    path.write_bytes(content)
    for loader in (load_protocol, load_station, load_cells):
        with pytest.raises(InvalidFile):
            loader(path)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="abc:-[]{}&*!|>'\"%@,#?~ \t\n1.e\\", max_size=60))
def test_random_yaml_is_an_invalid_file(text: str) -> None:
    survives(text)
    survives("labctl: 1\nprotocol: x\nstation: x\ncells:\n" + text)


def _values() -> st.SearchStrategy[Any]:
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    return st.recursive(
        plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    )


def _replaced(tree: Any, choose: Any, value: Any) -> Any:
    """Give the tree with one place in it replaced."""
    if isinstance(tree, dict) and tree:
        key = choose(sorted(tree))
        return {**tree, key: _replaced(tree[key], choose, value)}
    if isinstance(tree, list) and tree and choose((True, True, False)):
        index = choose(range(len(tree)))
        return [*tree[:index], _replaced(tree[index], choose, value), *tree[index + 1 :]]
    return value


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_good_file_with_one_value_replaced_is_valid_or_an_invalid_file(draw: st.DataObject) -> None:
    kind = draw.draw(st.integers(0, 2))
    broken = _replaced(GOOD_DATA[kind], lambda options: draw.draw(st.sampled_from(options)), draw.draw(_values()))
    survives(json.dumps(broken), READERS[kind : kind + 1])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_good_file_with_a_piece_cut_out_is_valid_or_an_invalid_file(draw: st.DataObject) -> None:
    kind = draw.draw(st.integers(0, 2))
    text = GOOD_TEXTS[kind]
    start = draw.draw(st.integers(0, len(text)))
    survives(text[:start] + text[start + draw.draw(st.integers(1, 40)) :], READERS[kind : kind + 1])


def test_a_document_is_plain_data() -> None:
    document = load(STATION)
    assert isinstance(document, Document)
    json.dumps(document.data)


def test_a_cell_can_name_the_calibration_of_its_set_up(tmp_path) -> None:
    text = CELLS.read_text(encoding="utf-8")
    found = text.index("soc_factor: {")
    end = text.index("}", found) + 1

    def cells(entry: str):
        path = tmp_path / "cells.yaml"
        path.write_text(text[:found] + f"soc_factor: {entry}" + text[end:], encoding="utf-8")
        return load_cells(path).cells

    factors = [cell.soc_factor for cell in cells("{calibration: probe.yaml}")]
    assert {"calibration": "probe.yaml"} in [one.model_dump() for one in factors]
    both = cells('{calibration: probe.yaml, value: 1.08, sd: 0.015, source: "paper"}')
    assert any(one.soc_factor.value == 1.08 and one.soc_factor.calibration for one in both)
    with pytest.raises(InvalidFile, match=r"sd and source missing in 'soc_factor'; add 'sd: 0\.015, source: paper'"):
        cells("{value: 1.08}")
    with pytest.raises(InvalidFile, match=r"or 'calibration: probe\.yaml'"):
        cells("{}")
