"""``labctl plan`` on the laboratory that ``labctl init`` makes, in this process."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from labctl.cli.app import run_app
from labctl.cli.init import make_laboratory
from labctl.cli.plan_kept import against, keep
from labctl.cli.plan_told import lines
from labctl.cli.planned_run import planned_run
from labctl.cli.running import RunRequest, run
from labctl.cli.taking_up import check_files
from labctl.planning import Schedule, fresh_waiting

#: A Monday morning, local time.
BEGIN = "2026-11-23 09:00"
HOURS = "Mo-Fr 08:00-19:00"


class Lab:
    """A laboratory folder whose files a test edits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_laboratory(folder, quiet=True)

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def keep_cells(self, *cells: str) -> None:
        path = self.folder / "cells.yaml"
        head, *entries = re.split(r"(?m)^  - ", path.read_text())
        kept = [entry for entry in entries if any(f"id: {cell}," in entry for cell in cells)]
        path.write_text(head + "".join(f"  - {entry}" for entry in kept))

    def plan(
        self, capsys: pytest.CaptureFixture[str], *options: str, protocol: str = "dead-lithium"
    ) -> tuple[int, dict]:
        command = ["plan", str(self.folder / "protocols" / f"{protocol}.yaml"), "--lab", str(self.folder), "--json"]
        code = run_app([*command, "--begin", BEGIN, "--runs", "1", *options])
        return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path / "lab")


def local(schedule: Schedule, seconds: float) -> datetime:
    return schedule.at(seconds).astimezone()


def test_every_cell_comes_to_its_end_and_the_folder_stays_as_it_was(lab, capsys):
    before = {path: path.stat().st_mtime_ns for path in lab.folder.rglob("*")}
    code, told = lab.plan(capsys)
    assert code == 0
    schedule = Schedule.from_json(told)
    assert set(schedule.finish) == set(schedule.cells) and not schedule.unfinished
    assert told["lower_bound"]["seconds"] <= schedule.makespan_s
    assert {path: path.stat().st_mtime_ns for path in lab.folder.rglob("*")} == before


def test_the_same_seed_gives_the_same_plan_and_another_one_another(lab, capsys):
    lab.edit("protocols/dead-lithium.yaml", "cycles: [1, 15, 30]", "cycles: [1, 15]")
    first, again, other = (lab.plan(capsys, "--seed", seed)[1] for seed in ("0", "0", "1"))
    assert first == again
    assert first["makespan_s"] != other["makespan_s"]


def test_nobody_carries_a_cell_outside_working_hours_and_measured_charges_are_delayed(lab, capsys):
    lab.edit("station.yaml", "{name: operator}", f'{{name: operator, hours: "{HOURS}"}}')
    code, told = lab.plan(capsys)
    assert code == 0
    schedule = Schedule.from_json(told)
    for action in schedule.actions:
        begin, end = local(schedule, action.at_s), local(schedule, action.until_s)
        assert begin.weekday() < 5 and begin.hour >= 8 and (end.hour, end.minute) <= (19, 0)
    # By cycle 15 it is known how long charges take: no fresh cell waits for a person then.
    assert all(one.late_s == 0 for one in fresh_waiting(schedule) if one.path.startswith("c015"))
    waits = []
    for cell in ("bare-03", "bare-04", "coated-03", "coated-04"):
        steps = {task.path: task for task in schedule.of(cell)}
        waits.append(steps["c015/01-charge"].start_s - steps["c014/04-discharge"].end_s)
    assert sum(wait > 3600 for wait in waits) >= 2, "cells wait discharged"


def test_a_spectrometer_is_used_only_while_it_is_booked(lab, capsys):
    lab.edit("station.yaml", "probe:   {count: 1,", 'probe:   {count: 1, booked: "Tu,Th 08:00-20:00",')
    code, told = lab.plan(capsys)
    assert code == 0
    schedule = Schedule.from_json(told)
    used = [task for task in schedule.tasks if "topspin" in task.resources]
    assert used
    assert {local(schedule, task.held_s).weekday() for task in used} == {1, 3}


def test_where_nobody_is_ever_there_long_enough_it_says_so_and_ends(lab, capsys):
    lab.edit("station.yaml", "{name: operator}", '{name: operator, hours: "Sa 09:00-09:10"}')
    command = ["plan", str(lab.folder / "protocols" / "dead-lithium.yaml"), "--lab", str(lab.folder)]
    assert run_app([*command, "--runs", "1"]) == 1
    said = capsys.readouterr().err
    assert "does not bring 8 cells to their end" in said
    assert "operator is never there for long enough" in said


@pytest.mark.parametrize("protocol", ["operando", "deis"])
def test_two_instruments_at_once_and_spectra_under_current_are_planned(lab, capsys, protocol):
    code, told = lab.plan(capsys, "--cells", str(lab.folder / "cells-operando.yaml"), protocol=protocol)
    assert code == 0
    kinds = {task["kind"] for task in told["tasks"]}
    assert protocol in kinds


def test_what_is_planned_comes_about_within_two_percent_on_the_wires_with_another_seed(lab):
    protocol = lab.folder / "protocols" / "dead-lithium.yaml"
    lab.edit("protocols/dead-lithium.yaml", "count: 30", "count: 1")
    lab.edit("protocols/dead-lithium.yaml", "{1-2: 0.2 mA/cm2, 3-: 0.4 mA/cm2}", "0.4 mA/cm2")
    lab.edit("protocols/dead-lithium.yaml", "cycles: [1, 15, 30]", "cycles: [1]")
    lab.keep_cells("bare-01", "bare-02", "coated-01", "coated-02")
    files = protocol, lab.folder / "station.yaml", lab.folder / "cells.yaml"
    request = RunRequest(lab.folder, *files, simulate=True, accelerate=True, seed=7, hurried_look=60.0)
    began = []
    ended: dict[str, datetime] = {}
    clocks = []

    def on_progress(cell: str, step: str) -> None:
        if step == "finished":
            ended[cell] = clocks[0]()

    run(
        request,
        on_begin=lambda campaign, at: began.append(at),
        on_simulation=lambda simulation: clocks.append(simulation.laboratory.now),
        on_progress=on_progress,
    )
    happened = max((at - began[0]).total_seconds() for at in ended.values())
    campaign = check_files(*files)
    plan = planned_run(campaign, 0, datetime(2026, 11, 23, 8, tzinfo=UTC))
    assert len(ended) == 4
    assert plan.makespan_s == pytest.approx(happened, rel=0.02)
    keep(lab.folder, plan.to_json())
    found = against(lab.folder)
    assert {one["cell"] for one in found["cells"]} == set(ended)
    for one in found["cells"]:
        assert datetime.fromisoformat(one["expected_end"]) == pytest.approx(
            ended[one["cell"]], abs=timedelta(minutes=10)
        )
    assert "is expected to end" in lines(found)[0]
