"""The rest of a running campaign, planned anew from what its cells do now."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from labctl.cli.plan_kept import against, keep
from labctl.cli.plan_told import lines
from labctl.cli.status import print_status
from labctl.engine.campaign import begin, make
from labctl.engine.decided import DECISIONS
from labctl.journal import FILE_NAME, Journal, OperationRow
from labctl.planning import Action, Schedule, Task
from labctl.planning.problem import Windows
from labctl.planning.replan import LITTLE, Laboratory, Phase, Standing, Taken, replan, stretched
from labctl.protocol import read_protocol
from labctl.station import read_cells, read_station

HOUR = 3600.0
WAY = 600.0
HERE = Laboratory({("cabinet", "probe"): WAY, ("probe", "cabinet"): WAY}, {"slots of cabinet": 2, "slots of probe": 1})


def standing(cell: str, **more) -> Standing:
    """A cell that is to be charged for ten hours and measured for two, then brought home."""
    number = cell[-1]
    charge = Task(cell, "c001/01-charge", "charge", 1, None, (f"maccor/{number}",), f"cabinet/{number}",
                  0, 0, 0, 10 * HOUR, 10 * HOUR)  # fmt: skip
    spectrum = Task(cell, "c001/02-nmr", "nmr", 1, None, ("topspin",), "probe/1", 10 * HOUR, 10 * HOUR,
                    10 * HOUR + WAY, 12 * HOUR, 12 * HOUR, 10 * HOUR, 2 * HOUR)  # fmt: skip
    ways = [
        Action(at, at, at + WAY, cell, "transfer", source, target, (), "c001/02-nmr")
        for at, source, target in ((10 * HOUR, f"cabinet/{number}", "probe/1"), (12 * HOUR, "probe/1", "cabinet/1"))
    ]
    home = f"cabinet/{number}"
    return replace(Standing(cell, home, home, (charge, spectrum), tuple(ways), known=False), **more)


def charging(cell: str, passed: float, **more) -> Standing:
    return standing(cell, phase=Phase.RUNNING, passed=passed, since=passed, **more)


def measured(cell: str, **more) -> Standing:
    """The same with its charge behind it."""
    found = standing(cell)
    return replace(found, tasks=found.tasks[1:], before="c001/01-charge", **more)


def test_what_runs_takes_what_is_left_of_it_or_what_its_instrument_says():
    alone = replan([charging("cell-1", 4 * HOUR)], HERE)
    assert alone.finish["cell-1"] == pytest.approx(8 * HOUR + WAY)
    told = replan([charging("cell-1", 4 * HOUR, left=HOUR)], HERE)
    assert told.finish["cell-1"] == pytest.approx(3 * HOUR + WAY)


def test_what_is_overdue_takes_a_little_more():
    found = replan([charging("cell-1", 15 * HOUR)], HERE)
    assert LITTLE <= found.finish["cell-1"] - (2 * HOUR + WAY) < HOUR


def test_who_waits_gets_the_spectrometer_when_its_cell_is_away_and_counts_as_late_from_its_own_charge():
    inside = measured("cell-1", phase=Phase.RUNNING, place="probe/1", passed=0.5 * HOUR)
    found = replan([inside, measured("cell-2", since=1.5 * HOUR)], HERE)
    (start,) = found.starts
    length = 2 * HOUR - WAY
    assert start.at == pytest.approx(length - 0.5 * HOUR + 2 * WAY)
    assert start.late == pytest.approx(start.at + 1.5 * HOUR - 2 * HOUR)
    assert [(move.cell, move.source, move.target) for move in found.moves] == [
        ("cell-1", "probe/1", "cabinet/1"),
        ("cell-2", "cabinet/2", "probe"),
        ("cell-2", "probe", "cabinet/2"),
    ]


def test_a_way_home_that_is_asked_for_comes_before_the_next_cell():
    leaving = charging("cell-1", 0.0)
    leaving = replace(leaving, phase=Phase.LEAVING, place="probe/1", asked=WAY / 2)
    found = replan([leaving, measured("cell-2")], HERE)
    assert (found.moves[0].cell, found.moves[0].asked) == ("cell-1", True)
    assert found.starts[0].cell == "cell-2"
    assert found.starts[0].at == pytest.approx(WAY / 2 + WAY)


def test_a_cell_that_lies_ready_does_not_lie_anew():
    cell = measured("cell-1", phase=Phase.PREPARED, place="probe/1", passed=HOUR)
    (spectrum,) = cell.tasks
    late = replace(spectrum, start_s=spectrum.start_s + 2 * HOUR, end_s=spectrum.end_s + 2 * HOUR)
    found = replan([replace(cell, tasks=(late,), actions=cell.actions[:1])], HERE)
    assert found.starts[0].at == pytest.approx(HOUR)


def test_nobody_moves_a_cell_before_people_come():
    found = replan([measured("cell-1")], replace(HERE, people=(Windows(((9 * HOUR, 17 * HOUR),)),)))
    assert found.moves[0].at == pytest.approx(9 * HOUR)


def test_what_others_have_is_waited_for_and_the_reference_goes_first():
    needs = ("topspin", "slots of probe")
    taken = replan([measured("cell-1")], HERE, [Taken("other", needs, 5 * HOUR)])
    assert taken.starts[0].at == pytest.approx(5 * HOUR + WAY)
    first = replan([charging("cell-1", 9 * HOUR)], HERE, [Taken("reference", needs, HOUR, None)])
    assert first.starts[0].at == pytest.approx(2 * HOUR + WAY)
    assert set(first.finish) == {"cell-1"}


def test_a_step_that_takes_longer_puts_off_what_comes_after_it():
    cell = standing("cell-1")
    tasks, actions = stretched(cell.tasks, cell.actions, {"charge": 1.5})
    assert [task.end_s - task.start_s for task in tasks] == [15 * HOUR, 2 * HOUR - WAY]
    assert tasks[1].start_s == 15 * HOUR + WAY
    assert [action.at_s for action in actions] == [15 * HOUR, 17 * HOUR]


def test_a_chamber_that_is_warm_keeps_nobody_waiting_and_a_cold_one_all_until_it_is_warm():
    def stripped(number: int, **more) -> Standing:
        hold = Task(f"cell-{number}", "c001/03-hold", "hold", 1, None, ("oven@313.15",), f"oven/{number}",
                    0, 0, 2 * HOUR, 3 * HOUR, 3 * HOUR)  # fmt: skip
        home = f"cabinet/{number}"
        way = Action(0, 0, WAY, hold.cell, "transfer", home, "oven/1", (), hold.path)
        return replace(Standing(hold.cell, home, home, (hold,), (way,)), **more)

    oven = replace(
        HERE,
        walks={("cabinet", "oven"): WAY},
        capacity={"slots of oven": 8},
        soaks={("oven@313.15", "hold", None): (HOUR, 2 * HOUR)},
    )
    both = replan([stripped(1), stripped(2)], oven)
    assert both.finish["cell-2"] == pytest.approx(both.finish["cell-1"], abs=1)
    assert both.finish["cell-1"] == pytest.approx(WAY + 3 * HOUR, abs=2)
    warm = stripped(1, phase=Phase.RUNNING, place="oven/1", passed=0.0)
    assert replan([warm, stripped(2)], oven).finish["cell-2"] == pytest.approx(WAY + 2 * HOUR, abs=2)


STATION = """
labctl: 1
station: here
mode: simulated
capacity_accuracy: 0.1 %
instruments: {maccor: {driver: maccor, address: 192.0.2.10, channels: 1-2, export_folder: maccor-export}}
places: {cabinet: {count: 2, temperature: ambient, leads: {maccor: 1-2}}}
"""
CELLS = """
labctl: 1
cells:
  - {id: one, barcode: C1, group: g, area: 1.0 cm2, chemistry: Cu||NMC622, place: cabinet/1}
  - {id: two, barcode: C2, group: g, area: 1.0 cm2, chemistry: Cu||NMC622, place: cabinet/2}
"""
PROTOCOL = """
labctl: 1
protocol: either
cutoffs: {upper: 4.3 V, lower: 3.0 V}
limits: {voltage: [2.8 V, 4.4 V], current: 5 mA, temperature: [10 degC, 60 degC]}
steps:
  - rest: {duration: 1 h}
  - when: {if: "voltage > 3.2 V", steps: [rest: {duration: 20 h}], else: [rest: {duration: 2 h}]}
  - rest: {duration: 3 h}
"""


class Clock:
    now_ = datetime(2026, 11, 23, 8, tzinfo=UTC)

    def now(self) -> datetime:
        return self.now_


@pytest.fixture
def campaign(tmp_path):
    """Two cells that rest; the plan expected a long rest of the one and a short one of the other."""
    station = read_station(STATION, "station.yaml")
    found = make("either-1", read_protocol(PROTOCOL, "either.yaml"), station, read_cells(CELLS, "c"), "simulated")
    clock = Clock()
    journal = Journal(tmp_path / FILE_NAME, clock)
    begin(journal, found, {})
    first, long, short, last = found.plans["one"]
    tasks, finish = [], {}
    for number, (cell, branch, hours) in enumerate((("one", long, 20), ("two", short, 2)), start=1):
        at = 0.0
        for planned, length in ((first, HOUR), (branch, hours * HOUR), (last, 3 * HOUR)):
            on = (f"maccor/{number}",), f"cabinet/{number}"
            tasks.append(Task(cell, planned.path, "rest", 0, None, *on, at, at, at, at + length, at + length))
            at += length
        finish[cell] = at
    plan = Schedule(clock.now(), "either", "here", 0, tuple(tasks), finish=finish, offsets=dict.fromkeys(finish, 0.0))
    keep(tmp_path, plan.to_json())
    yield tmp_path, journal, clock, found.plans["one"]
    journal.close()


def ask(journal: Journal, cell: str, step: str, **result) -> OperationRow:
    name = f"either-1/{cell}/{step}/a1"
    token = f"{cell}-{step[-8:]}"
    return journal.request(
        name, campaign="either-1", cell=cell, step=step, kind="rest", attempt=1, token=token, result=result
    )


def done(journal: Journal, clock: Clock, cell: str, step: str, hours: float) -> None:
    """Let a rest take its time."""
    row = ask(journal, cell, step)
    number = {"one": 1, "two": 2}[cell]
    journal.leased(row.operation, [f"maccor:{number}", f"cabinet/{number}"])
    journal.intent(row.operation)
    journal.running(row.operation, {"token": row.token, "place": "1", "started": journal.now(), "data": {}})
    if hours:
        clock.now_ += timedelta(hours=hours)
        journal.fetched(row.operation, row.operation, {"ended": journal.now()})
        journal.done(row.operation)


def status(journal: Journal) -> dict:
    return {"orchestrator": "running", "time": journal.now(), "cells": []}


def left(lab: Path, journal: Journal, cell: str) -> float:
    """Seconds to the expected end of a cell."""
    ends = {one["cell"]: one["expected_end"] for one in against(lab, status(journal))["cells"]}
    return (datetime.fromisoformat(ends[cell]) - datetime.fromisoformat(journal.now())).total_seconds()


def test_a_condition_that_was_decided_otherwise_than_planned_counts_as_decided(campaign):
    lab, journal, clock, (first, long, *_) = campaign
    done(journal, clock, "one", first.path, 1)
    assert left(lab, journal, "one") == pytest.approx(23 * HOUR, abs=2)
    decision = {"id": long.conditions[0].id, "if": "voltage > 3.2 V", "holds": False, "values": {}}
    row = ask(journal, "one", long.path, **{DECISIONS: [decision]})
    journal.aborted(row.operation, "left out", {"skipped": True})
    assert left(lab, journal, "one") == pytest.approx(5 * HOUR, abs=2)


def test_a_cell_that_was_ended_falls_away_and_one_that_is_stopped_ends_after_its_step(campaign):
    lab, journal, clock, (first, *_) = campaign
    done(journal, clock, "one", first.path, 1)
    journal.control("either-1", "one", state="aborted", by="ana")
    done(journal, clock, "two", first.path, 0)
    journal.control("either-1", "two", wanted="stop", by="ana")
    found = {one["cell"]: one for one in against(lab, status(journal))["cells"]}
    assert (found["one"]["state"], datetime.fromisoformat(found["one"]["expected_end"])) == ("aborted", clock.now())
    assert left(lab, journal, "two") == pytest.approx(HOUR, abs=2)


def test_what_is_asked_for_already_is_told_as_that():
    leaving = replace(charging("cell-1", 0.0), phase=Phase.LEAVING, place="probe/1", asked=0.0)
    move = replan([leaving], HERE).moves[0]
    found = {
        "cell": move.cell,
        "from": move.source,
        "to": move.target,
        "asked": move.asked,
        "at": "2026-11-23T08:00:00Z",
    }
    end = {"planned_end": "2026-11-23T08:00:00Z", "expected_end": "2026-11-23T08:00:00Z"}
    report = {"campaign": "c-1", "cells": [{"cell": "cell-1", **end}], **end, "why_not": None, "actions": [found]}
    said = lines({**report, **{key: [] for key in ("held", "unplanned", "late", "next")}})
    assert said[0] == "plan: c-1 is expected to end 11-23 08:00 UTC, as planned"
    assert said[-1] == "  asked for now: cell-1 from probe/1 to cabinet/1"


def test_what_comes_never_is_said(campaign, monkeypatch):
    lab, journal, clock, (first, *_) = campaign
    done(journal, clock, "one", first.path, 1)

    def never(*given):
        from labctl.planning.dispatch import NeverEnds

        raise NeverEnds("one waits for ever before c000/03-rest")

    monkeypatch.setattr("labctl.cli.plan_kept.replan", never)
    found = against(lab, status(journal))
    assert found["replanned"] is None
    assert "waits for ever" in "\n".join(lines(found))


@pytest.mark.parametrize(("state", "said"), [("charging", True), ("finished", False)])
def test_where_no_plan_is_kept_a_running_campaign_says_how_to_make_one(state, said, capsys):
    nothing = dict.fromkeys(("voltage_V", "current_A", "capacity_mAh", "age_s", "expected_end", "waits_for"))
    cell = {"cell": "x", "campaign": "c-1", "place": "cabinet/1", "state": state, "step": None, "since": None}
    cell |= {"instrument": None, "channel": None, **nothing}
    report = {"orchestrator": "running", "mode": "live", "campaigns": ["c-1"], "campaign": "c-1", "cells": [cell]}
    print_status({**report, "time": "2026-11-23T08:00:00+00:00", "instruments": [], "alarms": []})
    shown = capsys.readouterr().out
    assert ("labctl plan PROTOCOL --keep" in shown) is said
