"""Plans as data: what is read from them, and when measured charges begin."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from labctl.cli.plan_figure import draw
from labctl.cli.plan_page import page_of
from labctl.cli.plan_sheet import sheet_of
from labctl.cli.plan_shown import print_plan
from labctl.engine.delays import CARRYING, Wanted, chain, earliest, takes
from labctl.engine.shifts import Shifts
from labctl.errors import DataError
from labctl.journal import Status
from labctl.planning import (
    Action,
    Equipment,
    Schedule,
    Task,
    forecast_of,
    fresh_waiting,
    loads,
    lower_bound,
)
from labctl.protocol import expand, load_protocol, shipped
from labctl.station import parse_hours

MONDAY = datetime(2026, 11, 23, 8).astimezone()
HOUR = 3600.0


def task(cell, path, resource, ready, held, start, end, freed, **more):
    kind = path.rpartition("-")[2]
    return Task(cell, path, kind, 1, None, (resource,), "cabinet/1", ready, held, start, end, freed, **more)


@pytest.fixture
def schedule():
    """Two cells that charge for ten hours; the second waits two hours for the spectrometer."""
    tasks = (
        task("one", "c001/01-charge", "maccor/1", 0, 0, 0, 10 * HOUR, 10 * HOUR),
        task("two", "c001/01-charge", "maccor/2", 0, 0, 0, 10 * HOUR, 10 * HOUR),
        task("one", "c001/02-nmr", "topspin", 10 * HOUR, 10 * HOUR, 10.5 * HOUR, 12 * HOUR, 12 * HOUR,
             after_s=10 * HOUR, start_within_s=2 * HOUR, persons_s=((10.2 * HOUR, 10.3 * HOUR),), size_bytes=1000),
        task("two", "c001/02-nmr", "topspin", 10 * HOUR, 12 * HOUR, 12.5 * HOUR, 14 * HOUR, 14 * HOUR,
             after_s=10 * HOUR, start_within_s=2 * HOUR),
    )  # fmt: skip
    action = Action(10 * HOUR, 10.2 * HOUR, 10.3 * HOUR, "one", "transfer", "cabinet/1", "probe/1", ("unclamp",))
    return Schedule(
        MONDAY,
        "dead-lithium",
        "example",
        0,
        tasks,
        (action,),
        {"one": 12 * HOUR, "two": 14 * HOUR},
        {},
        {"maccor": Equipment("cycler", "maccor", 2), "topspin": Equipment("spectrometer", "bruker")},
        {"one": 0.0, "two": 0.0},
    )


def test_a_plan_comes_back_from_its_json_as_it_was(schedule):
    assert Schedule.from_json(json.loads(json.dumps(schedule.to_json()))) == schedule


@pytest.mark.parametrize("spoilt", [{"schema": "labctl.plan/2"}, {"tasks": [{}]}, {"epoch": "soon"}, {"finish": None}])
def test_what_is_no_plan_is_refused(schedule, spoilt):
    with pytest.raises(DataError):
        Schedule.from_json({**schedule.to_json(), **spoilt})


def test_an_instrument_is_busy_while_somebody_has_it_over_all_its_channels(schedule):
    found = {one.resource: one for one in loads(schedule)}
    assert found["maccor"].share == pytest.approx(20 / 28)
    assert found["topspin"].busy_s == 4 * HOUR
    assert found["topspin"].measuring_s == 3 * HOUR
    assert found["topspin"].idle_s == 10 * HOUR
    assert found["topspin"].waited_s == 2 * HOUR
    assert {one.resource for one in loads(schedule, channels=True)} == {"maccor/1", "maccor/2", "topspin"}


def test_a_shared_chamber_is_counted_once(schedule):
    together = [replace(one, resources=(*one.resources, "oven@313.15")) for one in schedule.tasks[:2]]
    warm = replace(schedule, tasks=tuple(together), instruments={"oven": Equipment("chamber", "julabo")})
    assert next(one for one in loads(warm) if one.resource == "oven").busy_s == 10 * HOUR


def test_fresh_cells_are_held_against_what_the_protocol_asks_the_longest_first(schedule):
    waiting = fresh_waiting(schedule)
    assert [(one.cell, one.waited_s, one.late_s) for one in waiting] == [
        ("two", 2.5 * HOUR, 0.5 * HOUR),
        ("one", 0.5 * HOUR, 0.0),
    ]


def test_no_order_can_be_shorter_than_the_busiest_instrument_with_what_comes_before(schedule):
    bound = lower_bound(schedule)
    assert (bound.longest_cell, bound.cell_s) == ("one", 12 * HOUR)
    assert (bound.busiest, bound.instrument_s) == ("topspin", 14 * HOUR)
    assert bound.seconds <= schedule.makespan_s


def test_the_median_run_stands_for_all_and_the_spread_is_that_of_all(schedule):
    runs = [replace(schedule, seed=n, finish={"one": 12 * HOUR + n, "two": 14 * HOUR + n}) for n in (2, 0, 1)]
    found = forecast_of(runs)
    assert found.schedule.seed == 1
    assert found.makespans_s == (14 * HOUR, 14 * HOUR + 1, 14 * HOUR + 2)
    assert found.spread_s["one"] == (12 * HOUR, 12 * HOUR + 2)
    held = replace(schedule, seed=3, unfinished={"two": "held"}, finish={"one": 12 * HOUR})
    assert forecast_of([*runs, held]).unfinished == {"two": "held"}


@pytest.mark.parametrize("width", [80, 120])
def test_the_timelines_fit_the_terminal(schedule, width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    print_plan(forecast_of([schedule, replace(schedule, seed=1)]))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert any(line.startswith("one") and "▀" in line and "N" in line for line in lines)
    assert any("1 of 2 later than" in line or "later than the protocol asks" in line for line in lines)


def test_the_day_sheet_names_day_time_cell_way_and_checklist(schedule):
    sheet = sheet_of(schedule, html=False)
    local = (MONDAY + timedelta(hours=10.2)).astimezone()
    assert f"{local:%Y-%m-%d}: 1 transfer" in sheet
    assert f"| ☐ | {local:%H:%M} | one | cabinet/1 | probe/1 | unclamp |" in sheet
    assert "<td>unclamp</td>" in sheet_of(schedule, html=True)


def test_page_and_figures_are_whole_and_fetch_nothing(schedule):
    page = page_of(forecast_of([schedule]))
    assert page.endswith("</html>\n")
    assert "http://" not in page and "https://" not in page and "<script" not in page
    assert draw(forecast_of([schedule]), "png").startswith(b"\x89PNG")


# -- when measured charges begin ---------------------------------------------------------------------------------------
def hours(text):
    parsed = parse_hours(text)
    return lambda instant: parsed.at(instant)


def test_a_charge_that_would_end_at_night_begins_so_that_somebody_is_there_at_its_end():
    wanted = (Wanted(13 * HOUR, 2 * HOUR, HOUR),)
    begin = earliest(MONDAY, wanted, hours("Mo-Fr 08:00-19:00"))
    assert begin == MONDAY + timedelta(hours=11)  # 13 h later it is 08:00 on Tuesday


def test_over_a_weekend_the_cell_waits_discharged():
    friday = MONDAY + timedelta(days=4)
    begin = earliest(friday, (Wanted(13 * HOUR, 0.0, HOUR),), hours("Mo-Fr 08:00-19:00"))
    assert begin + timedelta(hours=13) == MONDAY + timedelta(days=7)


def test_two_charges_do_not_end_at_the_same_spectrometer_at_once():
    wanted = (Wanted(13 * HOUR, 2 * HOUR, HOUR),)
    first = earliest(MONDAY, wanted, hours("Mo-Fr 08:00-19:00"))
    second = earliest(MONDAY, wanted, hours("Mo-Fr 08:00-19:00"), [wanted[0].span(first)])
    assert second >= first + timedelta(hours=1)


def test_where_nobody_ever_comes_nothing_is_delayed():
    assert earliest(MONDAY, (Wanted(13 * HOUR, 0.0, HOUR),), lambda instant: False) == MONDAY


@pytest.fixture(scope="module")
def plan():
    protocol = load_protocol(next(path for path in shipped() if path.name == "dead-lithium.yaml"))
    cell = SimpleNamespace(id="one", area=1e-4, measure_at=(1,), capacity=None, mass=None)
    return expand(protocol, cell)


def test_people_are_wanted_after_a_measured_charge_and_after_the_discharge_behind_it(plan):
    at = next(n for n, step in enumerate(plan) if step.kind == "charge")
    wanted = chain(plan, at, lambda step: {"charge": 13 * HOUR, "discharge": 4 * HOUR}[step.kind])
    assert len(wanted) == 2
    assert wanted[0].after == 13 * HOUR
    assert wanted[0].window == 2 * HOUR - CARRYING
    assert wanted[1].after > wanted[0].after + wanted[0].lasts + 4 * HOUR
    assert chain(plan, at, lambda step: None) == ()


def test_a_charge_takes_what_the_cell_holds_or_what_others_took_or_what_it_is_said_to_hold(plan):
    charge = next(step for step in plan if step.kind == "charge")
    done = SimpleNamespace(kind="charge", status=Status.DONE, result={"capacity_C": 7.2, "duration_s": 36000.0})
    assert takes(charge, [], [done]) == pytest.approx(7.2 / charge.parameters.current)
    assert takes(charge, [done], []) == 36000.0
    assert takes(charge, [], [], nominal=3.6) == pytest.approx(3.6 / charge.parameters.current)
    assert takes(charge, [], []) is None


@pytest.mark.parametrize(
    ("hour", "closed"),
    [(9.0, set()), (18.9, {"operator:ana", "topspin"}), (17.5, {"topspin"}), (20.0, {"operator:ana", "topspin"})],
)
def test_nothing_is_taken_up_shortly_before_somebody_leaves_or_a_booking_ends(hour, closed):
    now = datetime(2026, 11, 24).astimezone() + timedelta(hours=hour)
    operator = SimpleNamespace(name="ana", hours="Mo-Fr 08:00-19:00")
    place = SimpleNamespace(instrument="topspin", booked="Mo-Fr 08:00-18:00")
    shifts = Shifts(SimpleNamespace(operators=(operator,), places={"probe": place}), SimpleNamespace(now=lambda: now))
    assert set(shifts.off_duty()) == closed
