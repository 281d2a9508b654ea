"""A protocol expands to the same operations for a cell every time, with everything resolved to SI."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from labctl.errors import InvalidFile, UsageError
from labctl.protocol import (
    CONTINUED,
    Acquisition,
    Cycling,
    Impedance,
    Kind,
    PlannedOperation,
    Protocol,
    cycles,
    expand,
    load_protocol,
    read_protocol,
    shipped,
)


@dataclass(frozen=True)
class SomeCell:
    id: str = "bare-01"
    area: float = 1e-4
    measure_at: Sequence[int] = (1,)


@pytest.fixture(scope="module")
def dead_lithium() -> Protocol:
    return load_protocol(shipped()[0])


def changed(protocol: Protocol, old: str, new: str) -> Protocol:
    assert old in protocol.source
    return read_protocol(protocol.source.replace(old, new), "changed.yaml")


def by_path(plan: Sequence[PlannedOperation]) -> dict[str, PlannedOperation]:
    return {operation.path: operation for operation in plan}


def cycling(operation: PlannedOperation) -> Cycling:
    assert isinstance(operation.parameters, Cycling)
    return operation.parameters


def acquisition(operation: PlannedOperation) -> Acquisition:
    assert isinstance(operation.parameters, Acquisition)
    return operation.parameters


def test_a_cell_that_is_measured_after_the_first_cycle_goes_through_the_whole_job_once(dead_lithium: Protocol) -> None:
    assert [operation.path for operation in expand(dead_lithium, SomeCell())] == [
        "c000/01-rest",
        "c000/02-nmr-pristine",
        "c001/01-charge",
        "c001/02-nutation-charged",
        "c001/02-nmr-charged",
        "c001/03-eis-charged",
        "c001/04-discharge",
        "c001/05-nmr-discharged",
        "c001/06-eis-discharged",
        "c001/07-hold",
        "c001/08-nmr-dead",
        "c001/09-eis-stripped",
    ]


def test_step_numbers_do_not_depend_on_what_is_measured(dead_lithium: Protocol) -> None:
    plan = expand(dead_lithium, SomeCell(measure_at=(15,)))
    assert [operation.path for operation in plan if operation.cycle == 14] == ["c014/01-charge", "c014/04-discharge"]
    assert plan[-1].path == "c015/09-eis-stripped"
    assert len({operation.path for operation in plan}) == len(plan) == 2 + 14 * 2 + 10


def test_a_cell_measured_at_two_cycles_ends_after_the_later_one(dead_lithium: Protocol) -> None:
    plan = expand(dead_lithium, SomeCell(measure_at=(15, 1)))
    assert [operation.cycle for operation in plan if operation.kind is Kind.HOLD] == [1, 15]
    assert plan[-1].path == "c015/09-eis-stripped"
    flagged = {operation.cycle for operation in plan if CONTINUED in operation.flags}
    assert flagged == set(range(2, 16))


def test_a_cell_must_say_at_which_of_several_cycles_it_ends(dead_lithium: Protocol) -> None:
    with pytest.raises(UsageError, match=r"bare-01.*measure_at"):
        expand(dead_lithium, SomeCell(measure_at=()))
    with pytest.raises(UsageError, match="does not measure cycle 2"):
        expand(dead_lithium, SomeCell(measure_at=(2,)))


def test_where_cells_continue_every_later_result_is_flagged(dead_lithium: Protocol) -> None:
    going_on = changed(dead_lithium, "then: end}", "then: continue}")
    plan = expand(going_on, SomeCell(measure_at=()))
    assert plan[-1].path == "c030/09-eis-stripped"
    for operation in plan:
        assert (CONTINUED in operation.flags) is (operation.cycle > 1)


def test_a_protocol_that_measures_nothing_cycles_to_its_end(dead_lithium: Protocol) -> None:
    text = """\
labctl: 1
protocol: cycling
limits: {voltage: [2.8 V, 4.4 V], current: 5 mA}
steps:
  - cycle: {count: 2, steps: [{charge: {current: 1 mA, until: {voltage: 4.3 V}, at_most: 9 h}}]}
  - rest: {duration: 1 h}
  - cycle: {count: 1, steps: [{discharge: {current: {3: 2 mA}, until: {voltage: 3 V}, at_most: 9 h}}]}
"""
    protocol = read_protocol(text, "p.yaml")
    plan = expand(protocol, SomeCell(measure_at=()))
    assert [operation.path for operation in plan] == [
        "c001/01-charge",
        "c002/01-charge",
        "c002/02-rest",
        "c003/01-discharge",
    ]
    assert cycles(protocol) == 3
    assert cycling(plan[0]).current == cycling(plan[1]).current == pytest.approx(1e-3)
    with pytest.raises(UsageError, match="measures no cycle"):
        expand(protocol, SomeCell(measure_at=(1,)))


def test_currents_follow_the_cycle_and_the_area_of_the_cell(dead_lithium: Protocol) -> None:
    plan = by_path(expand(dead_lithium, SomeCell(area=2e-4, measure_at=(15,))))
    assert cycling(plan["c002/01-charge"]).current == pytest.approx(0.4e-3)
    assert cycling(plan["c003/01-charge"]).current == pytest.approx(0.8e-3)
    assert cycling(plan["c003/04-discharge"]).current == pytest.approx(1.2e-3)
    hold = cycling(plan["c015/07-hold"])
    assert hold.current == pytest.approx(3e-3)
    assert hold.end_current == pytest.approx(1e-6)
    impedance = plan["c015/03-eis-charged"].parameters
    assert isinstance(impedance, Impedance)
    assert impedance.amplitude == pytest.approx(200e-6)


def test_every_cycling_step_carries_its_end_its_guard_and_the_limits(dead_lithium: Protocol) -> None:
    plan = by_path(expand(dead_lithium, SomeCell()))
    charge = plan["c001/01-charge"]
    assert cycling(charge).end_voltage == 4.3
    assert charge.at_most == 16 * 3600
    hold = plan["c001/07-hold"]
    assert cycling(hold).voltage == 3.0
    assert cycling(hold).end_current_for == 60
    assert cycling(hold).discharging
    assert hold.temperature == pytest.approx(313.15)
    assert hold.soak == 3600
    assert hold.at_most == 24 * 3600
    rest = plan["c000/01-rest"]
    assert cycling(rest).duration == rest.expected_duration == 12 * 3600
    for operation in plan.values():
        if isinstance(operation.parameters, Cycling):
            limits = operation.parameters
            assert (limits.voltage_min, limits.voltage_max, limits.current_max) == (2.8, 4.4, 5e-3)


def test_the_pulse_is_calibrated_in_the_charged_state_and_reused_in_the_same_cycle(dead_lithium: Protocol) -> None:
    plan = by_path(expand(dead_lithium, SomeCell()))
    pulses = {path[5:]: acquisition(one).pulse for path, one in plan.items() if one.kind is Kind.NMR}
    assert pulses == {
        "02-nmr-pristine": "nominal",
        "02-nmr-charged": "calibrate",
        "05-nmr-discharged": "reuse",
        "08-nmr-dead": "reuse",
    }
    gains = {path[5:]: acquisition(one).receiver_gain_from for path, one in plan.items() if one.kind is Kind.NMR}
    assert gains == {
        "02-nmr-pristine": None,
        "02-nmr-charged": None,
        "05-nmr-discharged": "charged",
        "08-nmr-dead": "charged",
    }


def test_a_nutation_series_covers_the_first_maximum_and_the_first_null(dead_lithium: Protocol) -> None:
    plan = by_path(expand(dead_lithium, SomeCell()))
    series = plan["c001/02-nutation-charged"]
    lengths = acquisition(series).pulse_lengths
    assert len(lengths) == 8
    for t90 in (6.5e-6, 7.5e-6):
        assert lengths[0] < t90 < 2 * t90 < lengths[-1]
    assert list(lengths) == sorted(set(lengths))
    assert acquisition(series).scans < acquisition(plan["c001/02-nmr-charged"]).scans
    assert series.start_within == 7200
    assert acquisition(plan["c001/02-nmr-charged"]).nominal_pulse == pytest.approx(7e-6)
    assert acquisition(plan["c001/02-nmr-charged"]).flip == pytest.approx(math.pi / 2)


def test_a_smaller_flip_angle_shortens_the_nominal_pulse(dead_lithium: Protocol) -> None:
    plan = by_path(expand(changed(dead_lithium, "flip: 90 deg", "flip: 30 deg"), SomeCell()))
    assert acquisition(plan["c000/02-nmr-pristine"]).nominal_pulse == pytest.approx(7e-6 / 3)


def test_a_sample_is_soaked_once_even_where_a_nutation_series_comes_first(dead_lithium: Protocol) -> None:
    soaked = changed(dead_lithium, "{as: charged, experiment: metal,", "{as: charged, soak: 30 min, experiment: metal,")
    plan = by_path(expand(soaked, SomeCell()))
    assert plan["c001/02-nutation-charged"].soak == 1800
    assert plan["c001/02-nmr-charged"].soak == 0


def test_durations_are_those_of_the_signal_and_a_little_around_it(dead_lithium: Protocol) -> None:
    plan = by_path(expand(dead_lithium, SomeCell()))
    assert plan["c001/02-nmr-charged"].expected_duration == pytest.approx(546.1 + 4.0, abs=0.1)
    # 66 points at 6 periods take 293 s, after 30 min of rest.
    assert plan["c001/03-eis-charged"].expected_duration == pytest.approx(1800 + 293, abs=1)
    assert plan["c001/01-charge"].expected_duration is None


def test_expanding_twice_gives_the_same_plan(dead_lithium: Protocol) -> None:
    frozen = read_protocol(dead_lithium.source, "frozen.yaml")
    assert expand(frozen, SomeCell()) == expand(dead_lithium, SomeCell())


def test_what_becomes_of_a_late_or_failed_cell_is_agreed_even_where_nothing_is_written(dead_lithium: Protocol) -> None:
    for operation in expand(dead_lithium, SomeCell()):
        assert (operation.late, operation.on_timeout) == ("continue", "hold")
        assert (operation.on_failure, operation.on_controller_loss) == ("open_circuit", "continue")
    assert dead_lithium.channels is None


def test_every_operation_carries_what_its_step_says_of_lateness_and_failure(dead_lithium: Protocol) -> None:
    told = changed(
        dead_lithium,
        "{as: charged, experiment: metal, start_within: 2 h}",
        "{as: charged, experiment: metal, start_within: {within: 90 min, else: hold}, on_failure: isolate,"
        " on_controller_loss: stop}",
    )
    plan = by_path(expand(told, SomeCell()))
    for path in ("c001/02-nutation-charged", "c001/02-nmr-charged"):
        assert (plan[path].start_within, plan[path].late) == (5400, "hold")
        assert (plan[path].on_failure, plan[path].on_controller_loss) == ("isolate", "stop")
    other = plan["c001/05-nmr-discharged"]
    assert (other.start_within, other.late, other.on_failure) == (7200, "continue", "open_circuit")


LEAKING = """\
limit: {current: 3 mA}
                on_timeout: continue
                on_failure: hold_voltage"""


def test_a_step_whose_guard_time_may_end_it_says_so(dead_lithium: Protocol) -> None:
    leaking = changed(dead_lithium, "limit: {current: 3 mA}", LEAKING)
    plan = by_path(expand(leaking, SomeCell()))
    assert (plan["c001/07-hold"].on_timeout, plan["c001/07-hold"].on_failure) == ("continue", "hold_voltage")
    assert plan["c001/04-discharge"].on_timeout == "hold"


def test_a_measurement_that_nothing_rests_on_may_be_skipped(dead_lithium: Protocol) -> None:
    hurried = changed(
        dead_lithium,
        "{as: discharged, experiment: metal, start_within: 2 h}",
        "{as: discharged, experiment: metal, start_within: {within: 2 h, else: skip}}",
    )
    assert by_path(expand(hurried, SomeCell()))["c001/05-nmr-discharged"].late == "skip"


def test_a_protocol_may_say_what_becomes_of_channels(dead_lithium: Protocol) -> None:
    assert changed(dead_lithium, "measure: {", "channels: give_back\nmeasure: {").channels == "give_back"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "as: discharged, experiment",
            "as: charged, experiment",
            "two 'nmr' steps of one cycle have the label 'charged'",
        ),
        ("reuse: [discharged, dead]", "reuse: [discharged, pristine]", "'pristine' is measured before"),
        ("power: 80 W,", "power: 80 W, longest: 6 us,", "do not lie around the nominal 7 us"),
        ("cutoffs: {upper: 4.3 V, lower: 3.0 V}", "", "there is no cut-off 'upper'"),
        ("temperature: [10 degC, 60 degC]", "temperature: [60 degC, 10 degC]", "temperature run backwards"),
        ("cycles: [1, 15, 30]", "cycles: [1, 15, 15]", "cycle 15 stands twice"),
        ("3-: 0.4", "3-30: 1 mA, 31-: 0.4", "the span '31-' begins after the last cycle, 30"),
        ("{1-2: 0.2 mA/cm2, 3-", "{2: 0.2 mA/cm2, 3-", "no current for the cycles before 2"),
        ("current: {1-2: 0.2 mA/cm2, 3-: 0.4 mA/cm2}", "current: {}", "no current for any cycle"),
        ("- rest: {duration: 12 h}", "- charge: {current: {0-: 1 mA}, until: {voltage: 4 V}, at_most: 1 h}", "from 0"),
        (
            "- rest: {duration: 12 h}",
            "- charge: {current: {1-: 1 mA}, until: {voltage: upper}, at_most: 1 h}",
            "currents by cycle outside of a cycle",
        ),
        ("until: {voltage: upper}", "until: {voltage: 5 V}", "the voltage 5 V lies outside the limits"),
        ("until: {voltage: upper}", "until: {voltage: uper}", "did you mean 'upper'"),
    ],
)
def test_what_makes_no_sense_is_refused(dead_lithium: Protocol, old: str, new: str, message: str) -> None:
    with pytest.raises(InvalidFile, match=message):
        changed(dead_lithium, old, new)
