"""``labctl plan --stagger`` and ``--compare`` from the command line, on the example laboratory."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.cli.app import run_app
from labctl.cli.init import make_laboratory
from labctl.cli.taking_up import check_files
from labctl.engine import campaign as campaigns
from labctl.engine.clock import WallClock
from labctl.journal import FILE_NAME, Journal
from labctl.planning import by_hours
from labctl.station import load_cells

PROTOCOL = "protocols/dead-lithium.yaml"


@pytest.fixture
def laboratory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four of the example's cells, measured at cycle 1: short, and all at the spectrometer at once."""
    make_laboratory(tmp_path, quiet=True)
    cells = (tmp_path / "cells.yaml").read_text()
    kept = re.sub(r"  - \{id: \w+-0[34].*\n.*\n", "", cells)
    (tmp_path / "cells.yaml").write_text(kept)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert run_app(["plan", PROTOCOL, "--runs", "1", "--begin", "2026-11-23 08:00", *more]) == 0
    return capsys.readouterr().out


def test_proposed_starts_are_run_by_the_engine_and_written_into_a_file_that_loads(
    laboratory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = json.loads(plan(capsys, "--stagger", "--method", "heuristic", "--write", "staggered.yaml", "--json"))
    assert told["schema"] == "labctl.stagger/1"
    assert told["staggered"]["fresh_s"] <= told["at_once"]["fresh_s"]
    assert told["staggered"]["makespan_s"] >= told["lower_bound"]["seconds"] * 0.97
    written = {cell.id: cell.start_after for cell in load_cells("staggered.yaml").cells}
    assert written == pytest.approx(told["starts_s"], abs=20.0)
    compared = json.loads(plan(capsys, "--compare", "staggered.yaml", "--json"))
    assert compared["compared"] == "cells"
    assert [one["name"] for one in compared["plans"]] == ["cells.yaml", "staggered.yaml"]


def test_by_hours_it_is_told_where_the_time_of_the_last_cell_goes(
    laboratory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_hours, "TRIES", 10)
    text = (laboratory / "station.yaml").read_text()
    (laboratory / "station.yaml").write_text(text.replace("{name: operator}", '{name: op, hours: "Mo-Fr 08:00-19:00"}'))
    told = json.loads(plan(capsys, "--stagger", "--json"))
    account = told["account"]
    parts = sum(account[name] for name in ("start_s", "work_s", "held_back_s", "waits_s"))
    assert parts == pytest.approx(told["staggered"]["makespan_s"], abs=1.0)
    assert told["shifts"]["count"] >= 3
    assert told["staggered"]["makespan_s"] >= 0.97 * told["lower_bound"]["seconds"]
    assert told["near_bound"] is None or told["near_bound"]["makespan_s"] <= told["staggered"]["makespan_s"]


TWO_CABINETS = """\
labctl: 1
station: two-cabinets
mode: simulated
capacity_accuracy: 0.1 %
operators: [{name: operator}]
instruments:
  maccor: {driver: maccor, address: 192.0.2.10, channels: 1-4, export_folder: maccor-export}
  vmp-a: {driver: biologic, role: potentiostat, address: 192.0.2.22, channels: 1, model: VMP-3e}
  vmp-b: {driver: biologic, role: potentiostat, address: 192.0.2.23, channels: 1, model: VMP-3e}
  mux-a: {driver: scpi-multiplexer, model: 34970A, address: "TCPIP::192.0.2.13::5025::SOCKET"}
  mux-b: {driver: scpi-multiplexer, model: 34970A, address: "TCPIP::192.0.2.14::5025::SOCKET"}
places:
  cabinet-a: {count: 2, temperature: ambient, leads: {maccor: 1-2, vmp-a: {through: mux-a, relays: 101-102}}}
  cabinet-b: {count: 2, temperature: ambient, leads: {maccor: 3-4, vmp-b: {through: mux-b, relays: 101-102}}}
"""
SWEEPS = """\
labctl: 1
protocol: sweeps
cutoffs: {upper: 4.3 V, lower: 3.0 V}
limits: {voltage: [2.8 V, 4.4 V], current: 5 mA}
measure: {cycles: [1, 2, 3], then: THEN}
steps:
  - rest: {duration: 1 h}
  - cycle:
      count: 3
      steps:
        - STEP
        - when_measured: [{eis: {as: cycled, spectrum: slow}}]
spectra:
  slow: {control: potentiostatic, frequency: [100 kHz, 1 mHz], points_per_decade: 10, periods: 3, amplitude: 10 mV}
"""
REST = "rest: {duration: 1 h}"
CHARGE = """charge: {current: 0.4 mA, until: {voltage: upper}, at_most: 20 h}
        - discharge: {current: 0.4 mA, until: {voltage: lower}, at_most: 20 h}"""
OFTEN_AND_ONCE = [
    *(f"measure_at: [1, 2, 3], place: cabinet-a/{number}" for number in (1, 2)),
    *(f"measure_at: [3], place: cabinet-b/{number}" for number in (1, 2)),
]


def write(folder: Path, then: str, step: str, cells: list[str]) -> None:
    (folder / "two.yaml").write_text(TWO_CABINETS)
    (folder / "sweeps.yaml").write_text(SWEEPS.replace("THEN", then).replace("STEP", step))
    common = "group: full, area: 1 cm2, chemistry: Cu||NMC622"
    lines = [f"  - {{id: full-{n}, barcode: F{n}, {common}, {cell}}}" for n, cell in enumerate(cells, start=1)]
    (folder / "two-cells.yaml").write_text("\n".join(["labctl: 1", "cells:  # by cabinet", *lines]) + "\n")


def stagger(capsys: pytest.CaptureFixture[str], *more: str) -> dict:
    asked = ("plan", "sweeps.yaml", "--station", "two.yaml", "--cells", "two-cells.yaml", "--begin", "2026-11-23 08:00")
    assert run_app([*asked, "--stagger", "--method", "heuristic", "--runs", "1", "--json", *more]) == 0
    return json.loads(capsys.readouterr().out)


def test_other_homes_share_the_sweeps_out_over_two_potentiostats_and_shorten_the_campaign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "continue", REST, OFTEN_AND_ONCE)
    told = stagger(capsys, "--write", "placed.yaml")
    assert told["staggered"]["makespan_s"] < 0.85 * told["at_once"]["makespan_s"], "in the engine"
    assert len(told["homes"]) == 2
    text = Path("placed.yaml").read_text()
    homes = {cell.id: cell.place for cell in load_cells("placed.yaml").cells}
    assert {homes[cell].partition("/")[0] for cell in ("full-1", "full-2")} == {"cabinet-a", "cabinet-b"}
    assert len(set(homes.values())) == 4
    assert "# by cabinet" in text


def test_cells_that_the_journal_has_seen_at_a_place_stay_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "continue", REST, OFTEN_AND_ONCE)
    campaign = check_files(Path("sweeps.yaml"), Path("two.yaml"), Path("two-cells.yaml"))
    journal = Journal(tmp_path / FILE_NAME, WallClock())
    campaigns.begin(journal, replace(campaign, name="sweeps-1"), {"simulate": True})
    journal.close()
    told = stagger(capsys)
    assert told["homes"] == {}
    assert told["remarks"] == ["Homes stay as they are: all cells sit there already, as the journal says"]


def test_the_fast_cell_of_a_group_is_measured_last_where_cycles_may_be_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    slow_last = [
        "measure_at: [1], place: cabinet-a/1, simulate: {capacity_mAh: 0.5}",
        "measure_at: [3], place: cabinet-a/2, simulate: {capacity_mAh: 2.0}",
    ]
    write(tmp_path, "end", CHARGE, slow_last)
    (tmp_path / "two.yaml").write_text(re.sub("  cabinet-b.*\n", "", TWO_CABINETS))
    assert stagger(capsys)["measure_at"] == {}, "only where it is asked for"
    told = stagger(capsys, "--assign-cycles")
    assert told["measure_at"] == {"full-1": [3], "full-2": [1]}
    assert told["staggered"]["makespan_s"] < 0.85 * told["at_once"]["makespan_s"], "in the engine"


def test_a_comparison_of_stations_fits_into_80_columns(
    laboratory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (laboratory / "station.yaml").read_text().replace("station: example", "station: by-day")
    (laboratory / "by-day.yaml").write_text(text.replace("{name: operator}", '{name: op, hours: "Mo-Fr 08:00-19:00"}'))
    monkeypatch.setenv("COLUMNS", "80")
    shown = plan(capsys, "--compare", "by-day.yaml")
    assert "example" in shown
    assert "by-day" in shown
    assert max(map(len, shown.splitlines())) <= 80
