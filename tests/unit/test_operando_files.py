"""What a protocol and a station say of spectra under current: refused where it can't be, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.cli import plugins
from labctl.errors import InvalidFile
from labctl.protocol import Acquisition, Together, expand, read_protocol
from labctl.safety.preflight import check
from labctl.station import load_station, read_cells, read_station

TESTS = Path(__file__).parent.parent
STATION = TESTS / "good" / "station.yaml"
OPERANDO = TESTS.parent / "protocols" / "operando.yaml"
ROLES = {
    "maccor": "cycler",
    "topspin": "spectrometer",
    "zahner": "potentiostat",
    "oven": "chamber",
    "mux": "multiplexer",
}
CELLS = """\
labctl: 1
cells: [{id: c-1, barcode: B1, group: g, area: 1 cm2, chemistry: x, place: cabinet/1}]
"""


def calibrated(state: str, *again: str) -> str:
    """The shipped protocol with a spectrum before the charge, and the pulse of both calibrated."""
    text = OPERANDO.read_text()
    before = "  - nmr: {as: pristine, experiment: operando}\n  - operando:\n"
    pulse = f"pulse: {{flip: 90 deg, power: 80 W, calibrate: {{in: {state}, points: 8, reuse: [{', '.join(again)}]}}}}"
    return text.replace("  - operando:\n", before).replace("pulse: {flip: 90 deg, power: 80 W}", pulse, 1)


def test_spectra_under_current_use_the_pulse_that_was_calibrated_on_the_cell_before() -> None:
    protocol = read_protocol(calibrated("pristine", "plating"), "p.yaml")
    (cell,) = read_cells(CELLS, "cells.yaml").cells
    parameters = {one.path: one.parameters for one in expand(protocol, cell)}
    before, both = parameters["c000/02-nmr-pristine"], parameters["c000/03-operando-plating"]
    assert isinstance(before, Acquisition)
    assert isinstance(both, Together)
    assert (before.pulse, both.during.pulse) == ("calibrate", "reuse")
    assert both.pausing is not None
    assert both.pausing.pulse == "nominal"


@pytest.mark.parametrize(("state", "again"), [("plating", ()), ("pristine", ("platting",))])
def test_a_pulse_is_not_calibrated_under_current_nor_for_a_step_that_is_not_there(
    state: str, again: tuple[str]
) -> None:
    with pytest.raises(InvalidFile, match="no 'nmr' step with 'operando' measures the state 'pla"):
        read_protocol(calibrated(state, *again), "p.yaml")


def test_a_probe_without_leads_of_a_cycler_is_told_before_the_start() -> None:
    protocol, cells = read_protocol(OPERANDO.read_text(), "p.yaml"), read_cells(CELLS, "cells.yaml")
    (mistake,) = check(protocol, load_station(STATION), cells, ROLES)
    assert str(mistake) == (
        "p.yaml:20:5: no place of station 'example' has a cycler at a spectrometer for 'operando'; give the "
        "spectrometer's place 'leads' of a cycler, such as 'leads: {maccor: 17}', or leave the step out"
    )
    text = STATION.read_text().replace("1-16", "1-17").replace("topspin, check", "topspin, leads: {maccor: 17}, check")
    assert check(protocol, read_station(text, "s.yaml"), cells, ROLES) == []


PROBE = "topspin, leads: {sp: 1}, check"
BY_HAND = "{driver: assisted, role: cycler, channels: 1, drop_folder: drop}"


def told(station: str, protocol: str) -> list[str]:
    """What is said of a protocol at a station, before anything is connected."""
    loaded = read_station(station, "s.yaml")
    entries = loaded.entries()
    files = (read_protocol(protocol, "p.yaml"), loaded, read_cells(CELLS, "cells.yaml"))
    return [str(mistake) for mistake in check(*files, plugins.roles(entries), plugins.capabilities(entries))]


def charged_by(instrument: str) -> str:
    """A station whose probe has the leads of this instrument."""
    text = STATION.read_text().replace("topspin, check", PROBE)
    return text.replace("  topspin:", f"  sp: {instrument}\n  topspin:", 1)


def test_pauses_are_refused_before_the_start_where_the_cycler_could_not_go_on_after_one() -> None:
    through_ec_lab = charged_by("{driver: biologic, backend: olecom, channels: 1, device: 0}")
    (mistake,) = told(through_ec_lab, OPERANDO.read_text())
    assert mistake.startswith("p.yaml:27:7: sp can't interrupt a program so that it goes on afterwards")
    without = OPERANDO.read_text().replace("      pauses:", "      # pauses:")
    assert told(through_ec_lab, without) == []
    assert told(charged_by("{driver: biologic, address: 192.0.2.20, channels: 1}"), OPERANDO.read_text()) == []


def test_nothing_is_stamped_by_a_tester_that_a_person_runs() -> None:
    first, *_ = told(charged_by(BY_HAND), OPERANDO.read_text())
    assert first.startswith("p.yaml:20:5: sp does not tell the clock of its running test")


DEIS = """\
labctl: 1
protocol: deis
limits: {voltage: [2.8 V, 4.4 V], current: 5 mA}
steps:
  - deis: {as: start, direction: charge, current: 0.05 mA/cm2, until: {voltage: 4.3 V}, spectrum: s, count: 2,
           at_most: 1 h}
spectra:
  s: {control: galvanostatic, frequency: [1 kHz, 10 Hz], points_per_decade: 3, periods: 3, amplitude: 0.065 mA/cm2}
"""


def test_spectra_under_current_are_refused_before_the_start_where_the_potentiostat_takes_none() -> None:
    station = STATION.read_text()
    entry = next(line for line in station.splitlines() if line.strip().startswith("zahner:"))
    by_hand = "  zahner:  {driver: assisted, role: potentiostat, drop_folder: drop}"
    assert told(station, DEIS) == []
    (mistake,) = told(station.replace(entry, by_hand), DEIS)
    assert mistake.startswith("p.yaml:5:5: zahner takes no spectra while a direct current flows")


def test_direct_and_alternating_current_together_stay_within_the_limit() -> None:
    text = DEIS.replace("current: 5 mA}", "current: 0.1 mA}")
    (mistake,) = told(STATION.read_text(), text)
    assert "0.05 mA/cm2 and an amplitude of 0.065 mA/cm2 on 1 cm2 is 0.115 mA, above the protocol's limit" in mistake
    assert told(STATION.read_text(), text.replace("0.065 mA/cm2", "0.04 mA/cm2")) == []


TRUSTED = """\
labctl: 1
protocol: careful
limits: {voltage: [2.8 V, 4.4 V], current: 5 mA}
steps:
  - eis: {as: fresh, spectrum: s}
spectra:
  s: {control: galvanostatic, frequency: [1 kHz, 10 Hz], points_per_decade: 3, periods: 3, amplitude: 1 mA,
      repeat: true}
"""


def test_sweeps_that_a_potentiostat_does_not_know_are_refused_where_they_are_asked_for() -> None:
    station = STATION.read_text()
    entry = next(line for line in station.splitlines() if line.strip().startswith("zahner:"))
    other = station.replace(
        entry, "  zahner:  {driver: biologic, role: potentiostat, address: 192.0.2.21, channels: 1}"
    )
    assert told(station, TRUSTED) == []
    (mistake,) = told(other, TRUSTED)
    assert mistake.startswith("p.yaml:8:7: zahner knows no 'repeat' such as this")
    assert told(other, TRUSTED.replace("repeat: true", "repeat: false")) == []


def test_a_series_under_current_has_no_further_sweeps() -> None:
    with pytest.raises(InvalidFile, match="the cell does not stand still under a direct current"):
        read_protocol(DEIS.replace("periods: 3", "periods: 3, repeat: true"), "p.yaml")
    with pytest.raises(InvalidFile, match="4 periods at the lowest frequency, but 3 above"):
        read_protocol(DEIS.replace("periods: 3", "periods: 3, periods_low: 4"), "p.yaml")
