"""What could never end, or not end safely, is refused before anything starts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labctl.protocol import read_protocol
from labctl.safety.preflight import check
from labctl.station import Cells, load_cells, load_station, read_cells, read_station

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


def told(old: str, new: str) -> str:
    text = PROTOCOL.read_text()
    assert old in text
    return text.replace(old, new)


SWITCHED = "leads: {maccor: {through: mux, relays: 201-208, channels: 1-8}, zahner"


def test_a_cell_can_be_isolated_where_its_leads_pass_through_a_multiplexer() -> None:
    protocol = read_protocol(told("at_most: 16 h", "at_most: 16 h, on_failure: isolate"), "p.yaml")
    switched = read_station(STATION.read_text().replace("leads: {maccor: 1-8, zahner", SWITCHED), "s.yaml")
    assert check(protocol, switched, load_cells(CELLS), ROLES) == []
    (mistake,) = check(protocol, load_station(STATION), load_cells(CELLS), ROLES)
    assert str(mistake).startswith("p.yaml:27:116: maccor's leads in 'cabinet' pass through no multiplexer")


def test_isolating_is_refused_where_the_step_is_done_even_if_it_would_do_at_home() -> None:
    text = told("soak: 1 h\n", "soak: 1 h\n                on_failure: isolate\n")
    switched = read_station(STATION.read_text().replace("leads: {maccor: 1-8, zahner", SWITCHED), "s.yaml")
    (mistake,) = check(read_protocol(text, "p.yaml"), switched, load_cells(CELLS), ROLES)
    assert "maccor's leads in 'oven'" in str(mistake)


def test_stopping_without_labctl_is_for_instruments_whose_driver_has_a_watchdog() -> None:
    protocol = read_protocol(told("at_most: 16 h", "at_most: 16 h, on_controller_loss: stop"), "p.yaml")
    files = (protocol, load_station(STATION), load_cells(CELLS), ROLES)
    assert check(*files, {"maccor": frozenset({"watchdog"})}) == []
    for nothing in (None, {}, {"maccor": frozenset()}, {"zahner": frozenset({"watchdog"})}):
        (mistake,) = check(*files, nothing)
        assert "maccor does not stop by itself when labctl is gone" in str(mistake)


BELOW_ZERO = """\
labctl: 1
protocol: short
limits: {voltage: [-1.6 V, 1.6 V], current: 5 mA}
steps:
  - discharge: {current: 1 mA, until: {duration: 1 h}LIMITS}
"""


@pytest.mark.parametrize(
    ("mode", "own", "limits", "wanted"),
    [
        ("simulated", "", "", "'simulate: {lowest_voltage: -5}' for maccor"),
        ("simulated", "simulate: {lowest_voltage: -1}, ", "", "lies below -1 V"),
        ("simulated", "limits: {voltage: [-5 V, 5 V]}, ", "", "lies below 0 V"),
        ("simulated", "simulate: {lowest_voltage: -5}, ", "", None),
        ("live", "", "", "'limits: {voltage: [-5 V, 5 V]}' for maccor"),
        ("live", "limits: {voltage: [-5 V, 5 V]}, ", "", None),
        ("live", "", ", limits: {voltage: [0 V, 1.6 V]}", None),
    ],
)
def test_limits_that_the_tester_cannot_hold_are_refused_and_it_is_said_where_its_reach_is_told(
    mode: str, own: str, limits: str, wanted: str | None
) -> None:
    text = STATION.read_text().replace("mode: simulated", f"mode: {mode}").replace("channels:", f"{own}channels:")
    one = "[{id: c, barcode: B, group: g, area: 1 cm2, chemistry: x, place: cabinet/1}]"
    cells = read_cells(f"labctl: 1\ncells: {one}", "c.yaml")
    protocol = read_protocol(BELOW_ZERO.replace("LIMITS", limits), "p.yaml")
    found = [str(one) for one in check(protocol, read_station(text, "s.yaml"), cells, ROLES)]
    assert len(found) == (0 if wanted is None else 1)
    assert wanted is None or (found[0].startswith("p.yaml:3:20: the limit -1.6 V lies below") and wanted in found[0])


def test_a_pulse_that_the_probe_does_not_bear_is_refused_before_anything_starts() -> None:
    for power, messages in (("80 W", []), ("50 W", ["a pulse of 80 W, topspin can bear 50 W"])):
        bears = f"driver: bruker, limits: {{power: {power}}}, reference: {{power: 40 W}},"
        station = read_station(STATION.read_text().replace("driver: bruker,", bears), "s.yaml")
        found = check(read_protocol(PROTOCOL.read_text(), "p.yaml"), station, load_cells(CELLS), ROLES)
        assert [mistake.found for mistake in found] == messages
        assert all(re.match(r"p\.yaml:\d+:\d+: ", str(mistake)) for mistake in found)


# -- what would wait for ever ------------------------------------------------------------------------------------------
CYCLING = """\
labctl: 1
protocol: cycling
limits: {voltage: [2.8 V, 4.4 V], current: 5 mA}
steps:
  - cycle: {count: 2, steps: [{charge: {current: 1 mA, until: {voltage: 4.3 V}, at_most: 9 h}}]}
"""
WARM = CYCLING + "  - rest: {duration: 1 h, temperature: 40 degC}\n"
NMR_ONLY = """\
labctl: 1
protocol: spectrum
limits: {voltage: [2.8 V, 4.4 V], current: 5 mA}
steps: [{nmr: {as: pristine, experiment: metal}}]
experiments:
  metal: {nucleus: 7Li, pulse_program: zg, carrier: 250 ppm, scans: 8, recycle_delay: 1 s, dwell_time: 1 us,
          points: 1024, pulse: {flip: 90 deg, power: 80 W}}
"""


def cells_at(*places: str) -> Cells:
    entry = "  - {{id: c-{0}, barcode: B{0}, group: g, area: 1 cm2, chemistry: x, place: {1}}}\n"
    text = "".join(entry.format(number, place) for number, place in enumerate(places, 1))
    return read_cells(f"labctl: 1\ncells:\n{text}", "cells.yaml")


def test_a_campaign_that_never_moves_a_cell_needs_no_operators() -> None:
    nobody = read_station(STATION.read_text().replace("operators:", "operators: [] #"), "s.yaml")
    assert check(read_protocol(CYCLING, "p.yaml"), nobody, cells_at("cabinet/1"), ROLES) == []
    (mistake,) = check(read_protocol(WARM, "p.yaml"), nobody, cells_at("cabinet/1"), ROLES)
    assert str(mistake).startswith(
        "s.yaml:6:1: for 'rest' a person brings c-1 from 'cabinet' to 'oven', but the station has no operators"
    )


def test_a_cell_that_lives_in_the_probe_still_needs_a_person_for_the_reference_standard() -> None:
    text = STATION.read_text().replace("probe:   {count: 1", "probe:   {count: 2")
    protocol = read_protocol(NMR_ONLY, "p.yaml")
    assert check(protocol, read_station(text, "s.yaml"), cells_at("probe/2"), ROLES) == []
    nobody = read_station(text.replace("operators:", "operators: [] #"), "s.yaml")
    (mistake,) = check(protocol, nobody, cells_at("probe/2"), ROLES)
    assert "a person puts the reference standard into 'probe'" in str(mistake)


def test_no_cell_may_live_where_the_reference_standard_is_measured() -> None:
    (mistake,) = check(read_protocol(NMR_ONLY, "p.yaml"), load_station(STATION), cells_at("probe/1"), ROLES)
    assert "c-1 lives in 'probe/1', which the reference standard needs" in str(mistake)
    assert (mistake.file, mistake.line) == ("cells.yaml", 3)


def test_a_step_whose_every_slot_is_another_cells_home_is_refused() -> None:
    station = read_station(
        STATION.read_text().replace("oven:    {count: 8", "oven:    {count: 1").replace("maccor: 9-16", "maccor: 9"),
        "s.yaml",
    )
    warm_only = CYCLING.replace("current: 1 mA", "temperature: 40 degC, current: 1 mA")
    protocol = read_protocol(warm_only, "p.yaml")
    assert check(protocol, station, cells_at("cabinet/1", "cabinet/2"), ROLES) == []
    (mistake,) = check(protocol, station, cells_at("oven/1", "cabinet/2"), ROLES)
    assert "c-2 can never do 'charge': every slot of 'oven' is the home of another cell" in str(mistake)
    assert (mistake.file, mistake.line) == ("cells.yaml", 4)


def test_two_cells_that_need_one_probe_take_turns() -> None:
    protocol = read_protocol(NMR_ONLY, "p.yaml")
    assert check(protocol, load_station(STATION), cells_at("cabinet/1", "cabinet/2"), ROLES) == []


def test_what_people_do_by_hand_needs_people() -> None:
    by_hand = "maccor:  {driver: assisted, role: cycler, channels: 1-16, drop_folder: drop}"
    text = re.sub(r"maccor:  \{.*?\}", by_hand, STATION.read_text())
    text = text.replace("operators:", "operators: [] #")
    (mistake,) = check(read_protocol(CYCLING, "p.yaml"), read_station(text, "s.yaml"), cells_at("cabinet/1"), ROLES)
    assert "'maccor' is run by hand, but the station has no operators" in str(mistake)
