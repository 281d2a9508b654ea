"""C-rates and sizes, values by cycle, cycles and labels of steps, ends and limits: what they come to, what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest

from labctl.cli import plugins
from labctl.documents import known, read
from labctl.errors import InvalidFile, UsageError
from labctl.protocol import Cycling, PlannedOperation, expand, protocol_schema, read_protocol
from labctl.safety.preflight import check
from labctl.station import load_station, read_cells
from labctl.units import c_rate

GOOD = Path(__file__).parent.parent / "good"
HEAD = """\
labctl: 1
protocol: values
cutoffs: {upper: 4.3 V, lower: 3.0 V}
limits: {voltage: [2.8 V, 4.4 V], current: 5 mA}
"""
SCHEMA = jsonschema.Draft202012Validator(protocol_schema())


@dataclass(frozen=True)
class Cell:
    id: str = "one"
    area: float = 2e-4
    capacity: float | None = 2.0 * 3.6
    mass: float | None = 10e-6
    measure_at: tuple[int, ...] = ()


def protocol_text(*steps: str, count: int | None = None, head: str = HEAD) -> str:
    lines = [f"  - {step}" for step in steps]
    if count is not None:
        lines = [f"  - cycle:\n      count: {count}\n      steps:", *(f"        - {step}" for step in steps)]
    return head + "steps:\n" + "\n".join(lines) + "\n"


def plan(*steps: str, count: int | None = None, cell: Cell | None = None) -> list[PlannedOperation]:
    text = protocol_text(*steps, count=count)
    assert not list(SCHEMA.iter_errors(read(text, "p.yaml").data))
    return list(expand(read_protocol(text, "p.yaml"), cell or Cell()))


def asked(operation: PlannedOperation) -> Cycling:
    assert isinstance(operation.parameters, Cycling)
    return operation.parameters


def mistakes(*steps: str, count: int | None = None, head: str = HEAD) -> list[str]:
    with pytest.raises(InvalidFile) as caught:
        read_protocol(protocol_text(*steps, count=count, head=head), "p.yaml")
    return [str(mistake) for mistake in caught.value.mistakes]


@pytest.mark.parametrize(
    ("text", "milliamperes"),
    [("0.2C", 0.4), ("C/5", 0.4), ("1 C", 2.0), ("2C/4", 1.0), ("20 mA/g", 0.2), ("0.3 mA/cm2", 0.6), ("0.7 mA", 0.7)],
)
def test_a_current_is_said_by_any_size_of_the_cell(text: str, milliamperes: float) -> None:
    (charge,) = plan(f"charge: {{current: {text}, until: {{voltage: upper}}, at_most: 9 h}}")
    assert asked(charge).current == pytest.approx(milliamperes * 1e-3)


@pytest.mark.parametrize(
    ("text", "milliampere_hours"),
    [("80 %", 1.6), ("0.5 mAh", 0.5), ("0.5 mAh/cm2", 1.0), ("100 mAh/g", 1.0)],
)
def test_a_capacity_is_said_by_any_size_of_the_cell(text: str, milliampere_hours: float) -> None:
    (charge,) = plan(f"charge: {{current: 1 mA, until: {{capacity: {text}}}, at_most: 9 h}}")
    assert asked(charge).end_capacity == pytest.approx(milliampere_hours * 3.6)
    assert asked(charge).end_voltage is None


def test_a_coulomb_is_a_rate_only_where_a_current_is_asked_for() -> None:
    assert c_rate("C/0") is None and c_rate("0.2 mA") is None
    (charge,) = plan("charge: {current: 1 mA, until: {capacity: 2 C}, at_most: 9 h}")
    assert asked(charge).end_capacity == pytest.approx(2.0)


def test_every_quantity_follows_the_cycle() -> None:
    steps = plan(
        "charge: {current: {1-2: C/10, 3-: C/2}, until: {voltage: {1: 4.1 V, 2-: upper}}, "
        "at_most: {1-2: 20 h, 3-: 4 h}}",
        "rest: {duration: {every 2: 1 h, others: 2 h}}",
        count=4,
    )
    charges = [one for one in steps if one.kind == "charge"]
    assert [asked(one).current for one in charges] == pytest.approx([2e-4, 2e-4, 1e-3, 1e-3])
    assert [asked(one).end_voltage for one in charges] == [4.1, 4.3, 4.3, 4.3]
    assert [one.at_most for one in charges] == [72000.0, 72000.0, 14400.0, 14400.0]
    assert [one.expected_duration for one in steps if one.kind == "rest"] == [7200.0, 3600.0, 7200.0, 3600.0]


def test_a_step_is_done_in_its_cycles_and_named_by_its_label() -> None:
    steps = plan(
        "rest: {duration: 1 h, cycles: '1-2, then every 3'}",
        "charge: {as: slow, cycles: last, current: C/20, until: {voltage: upper}, at_most: 30 h}",
        "rest: {duration: 1 h, as: relaxed}",
        count=6,
    )
    assert [one.path for one in steps if not one.path.endswith("relaxed")] == [
        "c001/01-rest",
        "c002/01-rest",
        "c005/01-rest",
        "c006/02-charge-slow",
    ]
    assert steps[-1].path == "c006/03-rest-relaxed"
    assert steps[-1].label == "relaxed"


def test_a_step_has_narrower_limits_than_the_protocol() -> None:
    (charge,) = plan(
        "charge: {current: 1 mA, until: {voltage: upper}, at_most: 9 h, "
        "limits: {voltage: [2.9 V, 4.35 V], current: 2 mA}}"
    )
    limits = asked(charge)
    assert (limits.voltage_min, limits.voltage_max, limits.current_max) == (2.9, 4.35, 2e-3)


def test_a_cell_without_the_size_is_named_before_anything_starts() -> None:
    with pytest.raises(UsageError, match=r"cell one: '0.2C' needs its capacity"):
        plan("charge: {current: 0.2C, until: {voltage: upper}, at_most: 9 h}", cell=Cell(capacity=None))


CHARGE = "charge: {current: 1 mA, until: %s, at_most: 9 h}"
HOLD = "hold: {voltage: upper, limit: {current: C/10}, until: %s, at_most: 9 h}"
# A step with '@' where the mistake is to be told, the cycles that it is in, and part of what is told.
WRONG = [
    (CHARGE % "@{}", None, "no end stands here; write one, such as 'voltage: upper'"),
    (CHARGE % "@{voltage: upper, capacity: 1 mAh}", None, "two ends stand side by side, 'voltage' and 'capacity'"),
    (CHARGE % "{voltage: @lower}", None, "a charge never ends at the lower cut-off; write 'upper'"),
    (CHARGE % "{any: [{voltage: @4.5 V}, {capacity: 1 mAh}]}", None, "4.5 V lies outside the limits"),
    (CHARGE % "{current: @1 uA}", None, "a constant current does not fall, so 'charge' never ends by it"),
    (CHARGE % "{any: [{capacity: 1 mAh}, {capacity: @2 mAh}]}", None, "a second end by capacity"),
    (CHARGE % "{capacity: @20 mAh}", None, "20 mAh take 20 h, but 'at_most' is 9 h"),
    (CHARGE % "{duration: @10 h}", None, "the step ends after 10 h, but 'at_most' ends it after 9 h"),
    (CHARGE % "{@voltag: upper}", None, "unknown key 'voltag'; did you mean 'voltage'?"),
    (CHARGE % "{capacity: 1 mAh, for: @60 s}", None, "only a current can be asked to last"),
    ("@charge: {current: 1 mA, until: {voltage: upper}}", None, "'at_most' is missing in 'charge'"),
    (HOLD % "{voltage: @4 V}", None, "a hold keeps its voltage"),
    (
        HOLD % "{all: @[{current: 1 uA}, {capacity: 1 mAh}]}",
        None,
        "can't wait for a capacity and for a current",
    ),
    (HOLD % "{current: @C/5}", None, "the hold ends at C/5, which is not below its limit C/10"),
    ("rest: {duration: 1 h, limits: {current: @6 mA}}", None, "6 mA is above the protocol's limit"),
    ("rest: {duration: 1 h, limits: {voltage: @[2 V, 4 V]}}", None, "2 V to 4 V is wider than the protocol's"),
    ("rest: {duration: 1 h, limits: @{}}", None, "no limit stands here"),
    ("rest: {duration: 1 h, @cycles: every 5}", None, "'cycles' outside of a cycle"),
    ("rest: {duration: 1 h, cycles: @every 5}", 4, "'every 5' is none of the cycles 1 to 4 of this step"),
    ("rest: {duration: 1 h, cycles: [1, @7]}", 4, "'7' is none of the cycles 1 to 4 of this step"),
    ("rest: {duration: {1-2: 1 h, @every 2: 2 h, others: 3 h}}", 4, "'1-2' and 'every 2' overlap, in cycle 2"),
    ("rest: {duration: @{every 2: 1 h}}", 9, "no duration for cycles 1, 3, 5, 7, 9; add for example 'others: 12 h'"),
    ("rest: {duration: {1-4: 1 h, @others: 2 h}}", 4, "'others' is left no cycle of 1 to 4"),
    ("rest: {duration: @{1-2: 1 h}}", None, "durations by cycle outside of a cycle"),
    ("charge: {current: {1-2: @9 mA, 3-: 1 mA}, until: {voltage: upper}, at_most: 9 h}", 4, "9 mA is above the limit"),
]


@pytest.mark.parametrize(("marked", "count", "message"), WRONG, ids=[one[2][:40] for one in WRONG])
def test_what_makes_no_sense_is_said_at_its_place(marked: str, count: int | None, message: str) -> None:
    found = mistakes(marked.replace("@", ""), count=count)
    line, before = next(
        (number, one) for number, one in enumerate(protocol_text(marked, count=count).splitlines(), 1) if "@" in one
    )
    assert len(found) == 1, found
    assert found[0].startswith(f"p.yaml:{line}:{before.index('@') + 1}: "), found
    assert message in found[0]


NMR = """\
experiments:
  metal: {nucleus: 7Li, pulse_program: zg, carrier: 250 ppm, scans: 8, recycle_delay: 0.5 s, dwell_time: 0.1 us,
          points: 1024, pulse: {flip: 90 deg, power: 80 W, calibrate: {in: charged, points: 8, reuse: [discharged]}}}
"""


def test_a_pulse_that_is_not_calibrated_in_every_cycle_that_needs_it_is_found() -> None:
    steps = ("nmr: {as: charged, experiment: metal, cycles: every 2}", "nmr: {as: discharged, experiment: metal%s}")
    for own, wrong in (("", True), (", cycles: every 3", True), (", cycles: every 4", False), (", cycles: 2", False)):
        text = protocol_text(steps[0], steps[1] % own, count=12) + NMR
        if not wrong:
            assert read_protocol(text, "p.yaml")
            continue
        with pytest.raises(InvalidFile, match="but 'charged', on whose pulse or gain it rests, not") as caught:
            read_protocol(text, "p.yaml")
        assert [mistake.line for mistake in caught.value.mistakes] == [10]


@pytest.mark.parametrize(
    "step",
    [
        "charge: {current: {1-x: 1 mA}, until: {voltage: 4 V}, at_most: 1 h}",
        "charge: {current: C/5, until: {voltage: 4 V, capacity: 1 mAh}, at_most: 1 h}",
        "charge: {current: C/5, until: {}, at_most: 1 h}",
        "charge: {current: C/5, until: {voltage: 4 V}}",
        "charge: {current: 4 V, until: {voltage: 4 V}, at_most: 1 h}",
        "charge: {current: C/5, until: {any: []}, at_most: 1 h}",
        "charge: {current: C/5, until: {voltage: 4 V, for: 1 s}, at_most: 1 h}",
        "rest: {duration: 1 h, cycles: evry 5}",
    ],
)
def test_an_editor_underlines_what_is_refused(step: str) -> None:
    assert not SCHEMA.is_valid(read(protocol_text(step), "p.yaml").data)


# -- with the cells ----------------------------------------------------------------------------------------------------
CELLS = """\
labctl: 1
cells:
  - {id: a, barcode: B1, group: g, area: 1 cm2, chemistry: x, place: cabinet/1%s}
  - {id: b, barcode: B2, group: g, area: 1 cm2, chemistry: x, place: cabinet/2%s}
"""


def preflight(step: str, first: str, second: str) -> list[str]:
    protocol = read_protocol(protocol_text(step), "p.yaml")
    station = load_station(GOOD / "station.yaml")
    entries = {name: dict(entry) for name, entry in station.document.data["instruments"].items()}
    cells = read_cells(CELLS % (first, second), "c.yaml")
    return [str(one) for one in check(protocol, station, cells, plugins.roles(entries), plugins.capabilities(entries))]


def test_sizes_that_a_cell_does_not_say_are_asked_for_with_place_and_cell() -> None:
    step = "charge: {current: 0.2C, until: {voltage: upper}, at_most: 9 h}"
    assert preflight(step, ", capacity: 2 mAh", ", capacity: 3 mAh") == []
    assert preflight(step, ", capacity: 2 mAh", "") == [
        "c.yaml:4:5: b says no capacity, which '0.2C' in p.yaml:6:23 needs; add for example 'capacity: 2.62 mAh'"
    ]
    assert preflight(step, "", "") == [
        "p.yaml:6:23: '0.2C' needs the capacity of each cell, such as a, which says none; "
        "add for example 'capacity: 2.62 mAh' to every cell"
    ]


def test_a_rate_that_is_too_much_for_a_cell_is_found_before_anything_starts() -> None:
    step = "charge: {current: 2C, until: {any: [{voltage: upper}, {capacity: 80 %}]}, at_most: 9 h}"
    assert preflight(step, ", capacity: 2 mAh", ", capacity: 3 mAh") == [
        "c.yaml:4:91: 2C of 3 mAh is 6 mA, above the protocol's limit 5 mA; "
        "check the capacity, the current and the limit"
    ]
    limited = step[:-1] + ", limits: {current: 3 mA}}"
    assert (
        "2C of 2 mAh is 4 mA, above the limit 3 mA" in preflight(limited, ", capacity: 2 mAh", ", capacity: 3 mAh")[0]
    )


def test_an_end_that_one_of_the_cells_never_reaches_is_found_before_anything_starts() -> None:
    step = "hold: {voltage: upper, limit: {current: 0.5 mA}, until: {current: C/5}, at_most: 9 h}"
    assert preflight(step, ", capacity: 2 mAh", ", capacity: 2.4 mAh") == []
    assert preflight(step, ", capacity: 2 mAh", ", capacity: 3 mAh") == [
        "p.yaml:6:61: on b the hold ends at 0.6 mA, not below its limit 0.5 mA; check the end, the current and the size"
    ]
    (found,) = preflight(CHARGE % "{capacity: 90 %}", ", capacity: 2 mAh", ", capacity: 20 mAh")
    assert "on b 18 mAh take 18 h, but 'at_most' is 9 h" in found


def test_what_an_instrument_cannot_end_by_is_refused_with_its_name() -> None:
    step = "hold: {voltage: upper, limit: {current: 1 mA}, until: {%s}, at_most: 9 h}"
    both, charge = "all: [{current: 1 uA}, {duration: 1 h}]", "capacity: 1 mAh"
    protocol = [read_protocol(protocol_text(step % ends), "p.yaml") for ends in (both, charge)]
    station, cells = load_station(GOOD / "station.yaml"), read_cells(CELLS % ("", ""), "c.yaml")
    entries = {name: dict(entry) for name, entry in station.document.data["instruments"].items()}
    roles = plugins.roles(entries)
    nothing: dict[str, tuple[str, ...]] = {}
    for one, message in zip(protocol, ("can't wait until all of several ends", "counts no charge"), strict=True):
        (found,) = check(one, station, cells, roles, nothing)
        assert "maccor" in str(found) and message in str(found)
        assert check(one, station, cells, roles, plugins.capabilities(entries)) == []


def test_a_frozen_protocol_is_read_again_from_its_plain_data() -> None:
    text = protocol_text(
        "charge: {current: {every 2: C/5, others: 1 mA}, until: {voltage: upper}, at_most: 9 h}", count=4
    )
    once = read_protocol(text, "p.yaml")
    assert read_protocol(text, "p.yaml", known(text, "p.yaml", once.document.data).data) == once
