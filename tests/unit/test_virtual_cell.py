"""The virtual cell keeps its lithium, behaves as the papers' cells do, and does not care how often it is looked at."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.analysis.impedance import kramers_kronig
from labctl_simulators.cell import CellState, Course, Current, Drive, Rest, VirtualCell, Voltage

ROOM_K = 293.15
WARM_K = 313.15
AREA_M2 = 1e-4


def crossing(course: Course, volts: float) -> float:
    """Time at which the voltage first reaches ``volts``, coming from where the course begins to head."""
    rising = course.current[0] > 0
    beyond = course.voltage >= volts if rising else course.voltage <= volts
    index = int(np.argmax(beyond))
    assert beyond[index], "the course never gets there"
    if index == 0:
        return float(course.t[0])
    (t0, t1), (v0, v1) = course.t[index - 1 : index + 1], course.voltage[index - 1 : index + 1]
    return float(t0 + (volts - v0) / (v1 - v0) * (t1 - t0))


def until(cell: VirtualCell, amperes: float, volts: float, temperature_K: float = ROOM_K) -> None:
    course = cell.project(Current(amperes), cell.state.t + 60.0, 30 * 3600.0, temperature_K)
    cell.follow(course, crossing(course, volts))


def charge(cell: VirtualCell, cycle: int) -> None:
    until(cell, (0.2e-3 if cycle <= 2 else 0.4e-3) * cell.area_m2 / AREA_M2, 4.3)


def discharge(cell: VirtualCell) -> None:
    until(cell, -0.6e-3 * cell.area_m2 / AREA_M2, 3.0)


def strip(cell: VirtualCell, temperature_K: float = WARM_K, stop_A: float = 1e-6) -> Course:
    course = cell.project(Voltage(3.0, 3e-3), cell.state.t + 3600.0, 24 * 3600.0, temperature_K)
    below = np.abs(course.current) < stop_A
    cell.follow(course, float(course.t[int(np.argmax(below))]) if below.any() else float(course.t[-1]))
    return course


def cycled(cell: VirtualCell, cycles: int) -> list[CellState]:
    """States at the end of each discharge."""
    states = []
    for cycle in range(1, cycles + 1):
        charge(cell, cycle)
        discharge(cell)
        states.append(cell.state)
    return states


def z_at_1_hz(cell: VirtualCell, state: CellState) -> float:
    other = VirtualCell(cell.id, cell.area_m2, 0, {"substrate": cell.substrate})
    other.restore(state.to_json())
    return float(abs(other.impedance(np.array([1.0]), np.array([0.0]), state.t)[0]))


@functools.cache
def population(substrate: str, count: int = 10, cycles: int = 56) -> list[tuple[VirtualCell, list[CellState]]]:
    result = []
    for seed in range(count):
        cell = VirtualCell(f"cell-{seed}", AREA_M2, seed, {"substrate": substrate})
        result.append((cell, cycled(cell, cycles)))
    return result


def mean(substrate: str, cycle: int, amount: str) -> float:
    """Mean share of the first charge, in percent."""
    return float(
        np.mean(
            [
                100 * getattr(states[cycle - 1], amount) / states[-1].records[0].charge_mAh
                for _, states in population(substrate)
            ]
        )
    )


# The papers' numbers


@pytest.mark.parametrize(("substrate", "expected"), [("bare", 35), ("coated", 50)])
def test_state_of_health_reaches_80_percent_when_the_paper_says(substrate: str, expected: int) -> None:
    ends = []
    for _, states in population(substrate):
        health = [record.discharge_mAh / states[-1].records[0].discharge_mAh for record in states[-1].records]
        ends.append(next(n for n, value in enumerate(health, start=1) if value < 0.8))
    assert np.mean(ends) == pytest.approx(expected, abs=1.0)
    assert max(ends) - min(ends) <= 8


@pytest.mark.parametrize(
    ("substrate", "cycle", "amount", "percent", "tolerance"),
    [
        ("bare", 30, "interphase", 20.4, 0.8),
        ("coated", 30, "interphase", 18.9, 0.3),
        ("bare", 1, "interphase", 3.1, 0.2),
        ("coated", 1, "interphase", 4.5, 0.2),
        ("bare", 15, "interphase", 11.6, 0.5),
        ("coated", 15, "interphase", 13.0, 0.3),
        ("bare", 30, "dead", 5.4, 0.4),
        ("coated", 30, "dead", 2.1, 0.2),
        ("bare", 1, "connected", 8.8, 0.2),
        ("bare", 15, "connected", 0.3, 0.35),
        ("coated", 15, "connected", 0.3, 0.35),
    ],
)
def test_lithium_goes_where_the_paper_found_it(
    substrate: str, cycle: int, amount: str, percent: float, tolerance: float
) -> None:
    assert mean(substrate, cycle, amount) == pytest.approx(percent, abs=tolerance)


def test_capacity_fades_smoothly_from_the_start() -> None:
    for substrate in ("bare", "coated"):
        for _, states in population(substrate):
            records = states[-1].records
            efficiency = np.array([record.discharge_mAh / record.charge_mAh for record in records[1:]])
            assert (efficiency < 0.9997).all()
            assert (efficiency > 0.98).all()
            assert np.abs(np.diff(efficiency)).max() < 0.004


def test_impedance_of_the_discharged_cell_rises_on_bare_copper_only_and_between_cycles_15_and_30() -> None:
    for cell, states in population("bare"):
        z = [z_at_1_hz(cell, state) for state in states]
        assert 65 < z[0] < 85
        assert z[14] < 1.4 * z[0]
        assert z[29] > 4 * z[0]
        assert max(np.diff(z[:30])) < 80, "a rise, not a step"
    for cell, states in population("coated"):
        z = [z_at_1_hz(cell, state) for state in states]
        assert z[14] <= z[0]
        assert z[29] <= z[14]


@pytest.mark.parametrize("current", [0.2e-3, 0.4e-3])
def test_a_charge_to_4_3_V_is_full_within_a_tenth_of_a_percent(current: float) -> None:
    cell = VirtualCell("a", AREA_M2, 5)
    until(cell, current, 4.3)
    assert 0.999 < cell.state.soc < 1.0


def test_a_warm_hold_strips_everything_and_ends_by_itself() -> None:
    cell = VirtualCell("a", AREA_M2, 7)
    charge(cell, 1)
    discharge(cell)
    excess, soc = cell.state.connected, cell.state.soc
    course = strip(cell)
    hours = (cell.state.t - course.t[0]) / 3600
    assert 1e3 * -course.current[0] == pytest.approx(2.2, abs=0.15)
    assert 0.3 < hours < 0.7
    assert cell.state.connected < 2e-3 * excess
    assert cell.state.soc < soc
    assert cell.state.records[-1].hold_mAh == pytest.approx(excess, rel=1e-3)
    assert cell.state.records[-1].connected_mAh == excess, "the truth of the discharge stands"
    assert z_at_1_hz(cell, cell.state) > 300, "bare substrate after the hold, in every cycle"


def test_a_cold_hold_takes_three_times_as_long() -> None:
    ends = []
    for temperature in (WARM_K, ROOM_K):
        cell = VirtualCell("a", AREA_M2, 7)
        charge(cell, 1)
        discharge(cell)
        course = strip(cell, temperature)
        ends.append(cell.state.t - course.t[0])
    assert 2.5 < ends[1] / ends[0] < 4.0


def test_a_leak_above_the_limit_lets_no_hold_end() -> None:
    cell = VirtualCell("a", AREA_M2, 7, {"leak_A": 2e-6})
    charge(cell, 1)
    discharge(cell)
    course = strip(cell)
    assert (np.abs(course.current) > 1e-6).all()
    assert course.t[-1] - course.t[0] == pytest.approx(24 * 3600)


def test_voltage_recovers_by_hundreds_of_millivolts_after_the_stop_at_3_V() -> None:
    cell = VirtualCell("a", AREA_M2, 7)
    charge(cell, 1)
    discharge(cell)
    t = cell.state.t
    seen = [cell.voltage(t + after) for after in (0.0, 60.0, 3600.0, 12 * 3600.0)]
    assert seen == sorted(seen)
    assert 3.0 < seen[0] < 3.3
    assert seen[-1] > 3.5
    rest = cell.project(Rest(), t, 12 * 3600.0, ROOM_K)
    assert rest.at(t + 60.0)[0] == pytest.approx(seen[1], abs=2e-4)


def test_a_charge_shows_a_nucleation_peak_that_the_coating_makes_smaller() -> None:
    depth = {}
    for substrate in ("bare", "coated"):
        cell = VirtualCell("a", AREA_M2, 7, {"substrate": substrate})
        charge(cell, 1)
        discharge(cell)
        start = cell.state.t + 12 * 3600.0
        course = cell.project(Current(0.2e-3), start, 2 * 3600.0, ROOM_K)
        early = course.voltage[course.t < start + 1200.0]
        peak = int(np.argmax(early[course.t[: len(early)] < start + 300.0]))
        depth[substrate] = early[peak] - early[peak:].min()
    assert depth["bare"] > 2 * depth["coated"] >= 0
    assert depth["bare"] > 0.01


def test_currents_and_amounts_scale_with_the_area() -> None:
    small, large = (VirtualCell("a", area, 3) for area in (AREA_M2, 2.5 * AREA_M2))
    for cell in (small, large):
        charge(cell, 1)
        discharge(cell)
    assert large.state.connected == pytest.approx(2.5 * small.state.connected, rel=1e-9)
    assert large.state.t == pytest.approx(small.state.t)
    frequency, elapsed = np.array([100.0]), np.array([0.0])
    assert large.impedance(frequency, elapsed, 0.0) == pytest.approx(small.impedance(frequency, elapsed, 0.0) / 2.5)


# Lithium is never made or lost, and looking changes nothing

AMPERES = st.sampled_from([0.2e-3, 0.4e-3, -0.6e-3, -0.1e-3, 2e-3, -2e-3])
DRIVES: st.SearchStrategy[Drive] = st.one_of(
    st.just(Rest()),
    st.builds(Current, AMPERES),
    st.builds(Voltage, st.sampled_from([3.0, 3.3, 3.7, 4.3]), st.sampled_from([3e-3, 0.3e-3])),
)
STEPS = st.lists(
    st.tuples(DRIVES, st.floats(1.0, 8 * 3600.0), st.sampled_from([ROOM_K, WARM_K]), st.floats(0.0, 1.0)),
    min_size=1,
    max_size=10,
)


@given(steps=STEPS, substrate=st.sampled_from(["bare", "coated"]), seed=st.integers(0, 5))
@settings(max_examples=80, deadline=None)
def test_lithium_is_conserved_whatever_is_done(
    steps: list[tuple[Drive, float, float, float]], substrate: str, seed: int
) -> None:
    cell = VirtualCell("a", AREA_M2, seed, {"substrate": substrate})
    for drive, seconds, temperature, _ in steps:
        course = cell.project(drive, cell.state.t, seconds, temperature)
        cell.follow(course, cell.state.t + seconds)
        state = cell.state
        lithium = state.connected + state.dead + state.interphase
        assert abs(state.soc * cell.parameters.capacity - lithium) < 1e-9
        assert min(state.connected, state.dead, state.interphase) > -1e-12
        assert -1e-12 < state.soc <= 1.0
        assert np.isfinite(course.voltage).all()
        assert (np.diff(course.t) >= 0).all()


@given(steps=STEPS, seed=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_following_in_two_parts_is_following_at_once(steps: list[tuple[Drive, float, float, float]], seed: int) -> None:
    whole, parted = (VirtualCell("a", AREA_M2, seed) for _ in range(2))
    charge(whole, 1)
    charge(parted, 1)
    for drive, seconds, temperature, split in steps:
        start = whole.state.t
        course = whole.project(drive, start, seconds, temperature)
        whole.follow(course, start + split * seconds)
        whole.follow(course, start + seconds)
        first = parted.project(drive, start, seconds, temperature)
        parted.follow(first, start + split * seconds)
        parted.restore(json.loads(json.dumps(parted.save())))
        second = parted.project(drive, parted.state.t, (1 - split) * seconds, temperature)
        parted.follow(second, float(second.t[-1]))
        for amount in ("soc", "connected", "dead", "interphase", "passed"):
            assert getattr(parted.state, amount) == pytest.approx(getattr(whole.state, amount), abs=2e-5)
        assert parted.state.cycle == whole.state.cycle
        later = start + seconds + 600.0
        assert parted.voltage(later) == pytest.approx(whole.voltage(later), abs=2e-3)
        # From here on both are the same cell, so that small differences do not add up.
        parted.restore(whole.save())


def test_an_interrupted_charge_is_one_cycle_and_takes_up_the_same_interphase() -> None:
    whole, parted = (VirtualCell("a", AREA_M2, 4) for _ in range(2))
    charge(whole, 1)
    for hours in (1.0, 2.5, 4.0):
        course = parted.project(Current(0.2e-3), parted.state.t, 20 * 3600.0, ROOM_K)
        parted.follow(course, parted.state.t + hours * 3600)
        parted.settle(parted.state.t + 1800)
    charge(parted, 1)
    assert parted.state.cycle == whole.state.cycle == 1
    assert parted.state.interphase == pytest.approx(whole.state.interphase, rel=1e-4)


def test_the_voltage_end_on_the_course_is_the_voltage_of_the_cell() -> None:
    cell = VirtualCell("a", AREA_M2, 4)
    for cycle in range(1, 4):
        for amperes, volts in ((0.2e-3 if cycle < 3 else 0.4e-3, 4.3), (-0.6e-3, 3.0)):
            course = cell.project(Current(amperes), cell.state.t + 60, 30 * 3600.0, ROOM_K)
            end = crossing(course, volts)
            cell.follow(course, end)
            again = cell.project(Current(amperes), end, 10.0, ROOM_K)
            assert again.voltage[0] == pytest.approx(volts, abs=1e-4)


def test_projecting_changes_nothing_and_is_cheap_in_points() -> None:
    cell = VirtualCell("a", AREA_M2, 4)
    before = cell.state
    for drive in (Rest(), Current(1e-3), Voltage(4.3, 1e-3)):
        course = cell.project(drive, 100.0, 1e6, ROOM_K)
        assert len(course.t) <= 1000
        assert course.t[0] == 100.0
        assert course.t[-1] == pytest.approx(1e6 + 100.0)
    assert cell.state is before


def test_a_course_of_another_state_is_refused() -> None:
    cell = VirtualCell("a", AREA_M2, 4)
    stale = cell.project(Current(0.2e-3), 0.0, 7200.0, ROOM_K)
    charge(cell, 1)
    with pytest.raises(ValueError, match="project it anew"):
        cell.follow(stale, 3600.0)
    with pytest.raises(ValueError, match="cannot start"):
        cell.project(Rest(), 0.0, 10.0, ROOM_K)


def test_a_hold_where_a_discharged_cell_stands_opens_no_cycle() -> None:
    cell = VirtualCell("a", AREA_M2, 4)
    charge(cell, 1)
    discharge(cell)
    cell.settle(cell.state.t + 5 * 3600)
    course = cell.project(Voltage(cell.voltage(cell.state.t) + 0.001, 1e-3), cell.state.t, 600.0, ROOM_K)
    cell.follow(course, float(course.t[-1]))
    assert cell.state.cycle == 1


# What the other instruments see


def test_a_pristine_cell_shows_the_electrolyte_only_and_metal_follows_the_lithium() -> None:
    cell = VirtualCell("a", AREA_M2, 4, {"soc_factor": 1.1})
    assert [line.shift_ppm for line in cell.nmr_lines(0.0)] == [-1.0]
    charge(cell, 1)
    lines = [line for line in cell.nmr_lines(cell.state.t) if line.shift_ppm > 200]
    assert sum(line.area_mAh for line in lines) == pytest.approx(cell.state.connected + cell.state.dead, rel=1e-4)
    assert lines[0].shift_ppm == pytest.approx(246.7, abs=0.01)
    assert lines[0].area_mAh > lines[1].area_mAh > lines[2].area_mAh
    discharge(cell)
    strip(cell)
    dead = [line for line in cell.nmr_lines(cell.state.t) if line.shift_ppm > 200]
    factor = 1.1 + (1 - 1.1) * cell.state.soc
    lithium = cell.state.connected + cell.state.dead
    assert sum(line.area_mAh for line in dead) == pytest.approx(lithium / factor, rel=1e-6)
    assert dead[0].shift_ppm == pytest.approx(246.7 + 3.3 * (1 - cell.state.soc))
    assert dead[1].area_mAh > dead[0].area_mAh, "dead lithium is mossy"


def test_what_drifts_during_a_sweep_shows_below_1_hz_where_kramers_kronig_fails() -> None:
    cell = VirtualCell("a", AREA_M2, 4)
    charge(cell, 1)
    frequency = np.geomspace(3e5, 0.1, 66)
    elapsed = np.cumsum(np.maximum(0.3, 6 / frequency))
    swept, still = (cell.impedance(frequency, at, cell.state.t) for at in (elapsed, np.zeros_like(elapsed)))
    change = np.abs(swept / still - 1)
    assert change[frequency >= 1].max() < 0.1 < 0.5 < change.max()
    assert 0.79 <= kramers_kronig(frequency, swept).lowest_valid_frequency <= 1.6
    assert kramers_kronig(frequency, still).passes


# What is random, and what may be set


def test_everything_random_follows_from_seed_and_name() -> None:
    one, same = VirtualCell("a", AREA_M2, 4), VirtualCell("a", AREA_M2, 4)
    assert one.parameters == same.parameters
    assert VirtualCell("b", AREA_M2, 4).parameters != one.parameters
    assert VirtualCell("a", AREA_M2, 5).parameters != one.parameters
    many = [VirtualCell(f"c{i}", AREA_M2, 0).parameters for i in range(300)]
    assert all(6.5e-6 <= cell.t90_s <= 7.5e-6 for cell in many)
    factors = np.array([cell.soc_factor for cell in many])
    assert factors.mean() == pytest.approx(1.08, abs=0.003)
    assert factors.std() == pytest.approx(0.015, abs=0.002)
    assert np.std([cell.capacity for cell in many]) / 2.62 == pytest.approx(0.012, abs=0.002)


def test_options_set_what_they_name() -> None:
    cell = VirtualCell("a", AREA_M2, 4, {"substrate": "coated", "soc_factor": 1.0, "leak_A": 0.0, "capacity_mAh": 2.0})
    assert cell.substrate == "coated"
    assert cell.parameters.soc_factor == 1.0
    assert cell.parameters.leak == 0.0
    charge(cell, 1)
    assert cell.truth()["first_charge_mAh"] == pytest.approx(2.0, rel=1e-3)


@pytest.mark.parametrize(("options", "named"), [({"sbstrate": "bare"}, "sbstrate"), ({"substrate": "gold"}, "gold")])
def test_an_unknown_option_is_named(options: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        VirtualCell("a", AREA_M2, 4, options)


def test_the_truth_adds_up_to_the_first_charge() -> None:
    cell = VirtualCell("a", AREA_M2, 4)
    cycled(cell, 3)
    truth = cell.truth()
    assert [entry["cycle"] for entry in truth["cycles"]] == [1, 2, 3]
    for entry in truth["cycles"]:
        parts = [entry[key] for key in ("discharge_mAh", "connected_mAh", "dead_mAh", "interphase_mAh")]
        assert sum(parts) == pytest.approx(truth["first_charge_mAh"], rel=1e-3)
    json.dumps(truth)


def test_a_saved_cell_goes_on_as_if_nothing_had_been() -> None:
    cell, other = VirtualCell("a", AREA_M2, 4), VirtualCell("a", AREA_M2, 4)
    cycled(cell, 2)
    other.restore(json.loads(json.dumps(cell.save())))
    assert other.state == cell.state
    for one in (cell, other):
        charge(one, 3)
        discharge(one)
    assert other.state == cell.state
