"""What all cells of a station share, tried by ``labctl plan``: one chamber for two temperatures, a booked probe."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from labctl.cli.app import run_app
from labctl.planning import Schedule

BEGIN = "2026-11-23 09:00"
STATION = """\
labctl: 1
station: small
mode: simulated
capacity_accuracy: 0.1 %
operators: [{name: ana}]
instruments:
  maccor: {driver: maccor, address: 192.0.2.10, channels: 1-16, export_folder: maccor-export}
  topspin: {driver: bruker, address: "192.0.2.11:5410", token: {env: LABCTL_TOPSPIN_TOKEN}}
  oven: {driver: julabo, address: COM3, settled: {tolerance: 0.3 K, for: 10 min, at_most: 2 h}}
places:
  cabinet: {count: 8, leads: {maccor: 9-16}}
  oven: {count: 2, temperature: oven, leads: {maccor: 1-2}}
  probe: {count: 1, instrument: topspin}
"""
HEAD = """\
labctl: 1
protocol: tried
cutoffs: {upper: 4.3 V, lower: 3.0 V}
limits: {voltage: [2.8 V, 4.4 V], current: 5 mA, temperature: [10 degC, 60 degC]}
"""
CHARGE = "- charge: {current: 0.4 mA/cm2, until: {voltage: upper}, at_most: 16 h%s}"
DISCHARGE = "- discharge: {current: 0.6 mA/cm2, until: {voltage: lower}, at_most: 8 h%s}"


class Lab:
    """A laboratory with one chamber of two slots, one probe, and cells."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.protocol, self.station, self.cells = (folder / f"{one}.yaml" for one in ("protocol", "station", "cells"))
        self.station.write_text(STATION)

    def write(self, steps: list[str], places: list[str], **more: str) -> None:
        entries = [
            f"  - {{id: c-{number}, barcode: C{number}, group: bare, area: 1.0 cm2, chemistry: Cu||NMC622, "
            f"place: {place}, start_after: {3 * number} h, capacity: 2.7 mAh}}\n"
            for number, place in enumerate(places)
        ]
        self.cells.write_text("labctl: 1\ncells:\n" + "".join(entries))
        keys = "".join(f"{key}: {value}\n" for key, value in more.items())
        lines = "".join(f"  {line}\n" for line in steps)
        self.protocol.write_text(f"{HEAD}steps:\n{lines}{keys}")

    def files(self) -> list[str]:
        return [str(self.protocol), "--station", str(self.station), "--cells", str(self.cells)]

    def plan(self, capsys: pytest.CaptureFixture[str]) -> tuple[int, Schedule, str]:
        capsys.readouterr()
        code = run_app(["plan", *self.files(), "--json", "--begin", BEGIN, "--runs", "1"])
        shown = capsys.readouterr()
        return code, Schedule.from_json(json.loads(shown.out)), shown.err


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def cycles(count: int, *steps: str) -> list[str]:
    return ["- cycle:", f"    count: {count}", "    steps:", *(f"      {step}" for step in steps)]


WARM, HOT = ", temperature: 25 degC", ", temperature: 40 degC"
#: Cells that live in the chamber cycle at 25 degC, and rest at 40 degC in each cycle; the deadline differs.
TWO = (CHARGE % WARM, DISCHARGE % WARM, "- rest: {duration: 2 h, temperature: 40 degC%s}")


def test_cells_that_need_two_temperatures_of_one_chamber_take_turns_and_all_end(lab, capsys):
    lab.write(cycles(4, *TWO[:2], TWO[2] % ""), ["oven/1", "oven/2"])
    assert run_app(["check", *lab.files()]) == 0
    assert "oven is the only chamber for 25 degC and 40 degC: 2 cells wait for one another" in capsys.readouterr().err
    code, schedule, said = lab.plan(capsys)
    assert (code, said) == (0, "")
    at = {(task.held_s, task.freed_s): one for task in schedule.tasks for one in task.resources if "oven@" in one}
    assert len(set(at.values())) == 2
    for (begin, end), one in at.items():
        assert all(other == one or later >= end or until <= begin for (later, until), other in at.items())
    hot = [task for task in schedule.tasks if task.kind == "rest"]
    assert len(hot) == 8
    assert max(task.start_s - task.ready_s for task in hot) < 12 * 3600, "nobody's temperature is kept away for long"


def test_a_start_that_another_temperature_makes_impossible_is_told_with_the_cells_and_what_would_help(lab, capsys):
    lab.write(cycles(2, *TWO[:2], TWO[2] % ", start_within: {within: 1 h, else: hold}"), ["oven/1", "oven/2"])
    code, schedule, said = lab.plan(capsys)
    assert code == 1
    assert "c-0" in schedule.unfinished
    assert "c-0: held: its instrument did not become free before" in said
    assert "oven can't be at 40 degC while it is at 25 degC for c-1 (a second chamber would help" in said


def test_a_cell_at_its_end_leaves_the_chamber_to_those_who_wait_for_a_slot_of_it(lab, capsys):
    lab.write(
        [CHARGE % "", "- rest: {duration: 2 h, temperature: 40 degC}"], [f"cabinet/{one}" for one in (1, 2, 3, 4)]
    )
    code, schedule, _ = lab.plan(capsys)
    assert code == 0
    assert len(schedule.finish) == 4
    assert sum(action.source.startswith("oven") for action in schedule.actions) == 4


def test_a_start_before_any_chamber_can_have_settled_is_refused_with_its_place(lab, capsys):
    lab.write(
        [CHARGE % "", "- rest: {duration: 2 h, soak: 20 min, start_within: 30 min, temperature: 40 degC}"],
        ["cabinet/1"],
    )
    assert run_app(["check", *lab.files()]) == 6
    said = capsys.readouterr().err
    assert "protocol.yaml:7:55: a start within 30 min can never be kept" in said
    assert "oven must be settled and soaked for 30 min before; write more than 30 min" in said


def test_a_probe_that_is_booked_by_date_is_used_then_and_cells_wait_discharged_until_then(lab, capsys):
    booked = "2026-12-29 08:00 - 2026-12-31 12:00"
    text = lab.station.read_text().replace("probe: {count: 1,", f'probe: {{count: 1, booked: "{booked}",')
    lab.station.write_text(text)
    experiment = "{metal: {nucleus: 7Li, pulse_program: zgpr, carrier: 250 ppm, scans: 256, recycle_delay: 0.5 s, "
    experiment += "dwell_time: 0.1 us, points: 32768, pulse: {flip: 90 deg, power: 80 W}}}"
    measured = "- nmr: {as: charged, experiment: metal, start_within: 2 h}"
    lab.write(cycles(1, CHARGE % "", measured, DISCHARGE % ""), ["cabinet/1", "cabinet/2"], experiments=experiment)
    code, schedule, said = lab.plan(capsys)
    assert (code, said) == (0, "")
    begin, end = datetime(2026, 12, 29, 8).astimezone(), datetime(2026, 12, 31, 12).astimezone()
    spectra = [task for task in schedule.tasks if task.kind == "nmr"]
    assert len(spectra) == 2
    for task in spectra:
        assert begin <= schedule.at(task.held_s) and schedule.at(task.freed_s) <= end
        assert task.start_s - next(one.end_s for one in schedule.of(task.cell) if one.kind == "charge") < 7200
    sheet = lab.folder / "days.md"
    run_app(["plan", *lab.files(), "--begin", BEGIN, "--runs", "1", "--day-sheet", str(sheet)])
    assert "## Tuesday, 2026-12-29" in sheet.read_text()
    assert "2026-12-0" not in sheet.read_text()
