"""Every chemistry of the virtual cell keeps its lithium and shows what its papers say; its numbers have sources."""

from __future__ import annotations

import functools
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl_simulators.cell import Course, Current, Drive, Rest, VirtualCell, Voltage
from labctl_simulators.cell.chemistries import (
    CHEMISTRIES,
    FOILS,
    HOSTS,
    LAYERS,
    MAH_PER_UM,
    SUBSTRATES,
    find,
    markdown,
)
from labctl_simulators.cell.curves import equilibrium

ROOM_K = 293.15
AREA_M2 = 1e-4
AGAINST_HOST = [name for name, one in CHEMISTRIES.items() if one.host is not None]


def cell(chemistry: str, seed: int = 1, **options: object) -> VirtualCell:
    return VirtualCell("a", AREA_M2, seed, options, chemistry=chemistry)


def window(made: VirtualCell) -> tuple[float, float]:
    host = made.parameters.chemistry.host
    assert host is not None
    return host.window


def step(made: VirtualCell, amperes: float, volts: float) -> tuple[Course, float]:
    """Go to a cut-off; the course, and the hours that it took."""
    course = made.project(Current(amperes), made.state.t, 60 * 3600.0, ROOM_K)
    beyond = course.voltage >= volts if amperes > 0 else course.voltage <= volts
    index = int(np.argmax(beyond))
    assert beyond[index], "the course never gets there"
    (t0, t1), (v0, v1) = course.t[index - 1 : index + 1], course.voltage[index - 1 : index + 1]
    end = float(t0 + (volts - v0) / (v1 - v0) * (t1 - t0))
    made.follow(course, end)
    return course, (end - float(course.t[0])) / 3600


def for_a_time(made: VirtualCell, amperes: float, seconds: float) -> Course:
    course = made.project(Current(amperes), made.state.t, seconds, ROOM_K)
    made.follow(course, float(course.t[-1]))
    return course


def lithium(made: VirtualCell) -> float:
    """All lithium outside the positive electrode's host, less what the cell was built with: what left the host."""
    state, built = made.state, made.parameters
    outside = state.connected + state.dead + state.interphase + state.alloy + state.second
    return outside - built.metal - built.second + built.soc * built.capacity


def overvoltage(course: Course) -> float:
    """Tip minus plateau, as P2 defines it: the highest of the first twentieth, the median from 20 to 40 %."""
    part = (course.t - course.t[0]) / (course.t[-1] - course.t[0])
    plateau = np.interp(np.linspace(0.2, 0.4, 50), part, course.voltage)
    return float(course.voltage[part < 0.05].max() - np.median(plateau))


# Charge is conserved

DRIVES: st.SearchStrategy[Drive] = st.one_of(
    st.just(Rest()),
    st.builds(Current, st.sampled_from([0.2e-3, 2e-3, -0.6e-3, -2e-3])),
    st.builds(Voltage, st.sampled_from([-1.0, 0.0, 0.5, 3.0, 3.6, 4.8]), st.sampled_from([3e-3, 0.3e-3])),
)
STEPS = st.lists(st.tuples(DRIVES, st.floats(1.0, 12 * 3600.0)), min_size=1, max_size=6)


@given(
    steps=STEPS,
    chemistry=st.sampled_from(list(CHEMISTRIES)),
    substrate=st.sampled_from(list(SUBSTRATES)),
    layer=st.sampled_from(list(LAYERS)),
)
@settings(max_examples=60, deadline=None)
def test_lithium_is_conserved_in_every_chemistry(
    steps: list[tuple[Drive, float]], chemistry: str, substrate: str, layer: str
) -> None:
    made = cell(chemistry, substrate=substrate, layer=layer)
    booked = 0.0
    for drive, seconds in steps:
        before = made.state
        course = made.project(drive, made.state.t, seconds, ROOM_K)
        assert np.isfinite(course.voltage).all()
        assert (np.diff(course.t) >= 0).all()
        made.follow(course, float(course.t[-1]))
        state = made.state
        assert abs(lithium(made) - state.soc * made.parameters.capacity) < 1e-9
        amounts = (state.connected, state.dead, state.interphase, state.alloy, state.second, state.soc)
        assert min(amounts) > -1e-9
        if isinstance(drive, Current) and float(np.abs(course.charge[-1])) / 3.6 <= course.room:
            moved = abs(drive.amperes) * seconds / 3.6
            booked += moved
            change = state.soc * made.parameters.capacity - state.second
            was = before.soc * made.parameters.capacity - before.second
            assert change - was == pytest.approx(np.sign(drive.amperes) * moved, abs=1e-9)
    assert booked >= 0


@pytest.mark.parametrize("chemistry", ["Li||Li", "Cu||Li"])
def test_looking_in_between_changes_nothing(chemistry: str) -> None:
    whole, parted = cell(chemistry), cell(chemistry)
    for amperes in (0.5e-3, -0.4e-3):
        course = whole.project(Current(amperes), whole.state.t, 3600.0, ROOM_K)
        whole.follow(course, whole.state.t + 1000.0)
        whole.follow(course, float(course.t[-1]))
        for seconds in (1000.0, 2600.0):
            for_a_time(parted, amperes, seconds)
        for amount in ("connected", "second", "interphase", "dead", "damage", "passed"):
            assert getattr(parted.state, amount) == pytest.approx(getattr(whole.state, amount), abs=1e-9)


# Full cells


@pytest.mark.parametrize("host", HOSTS)
def test_open_circuit_curves_rise_within_the_window(host: str) -> None:
    voltage = equilibrium(HOSTS[host].curve, np.linspace(0.0, 1.0, 2001))
    assert (np.diff(voltage) > 0).all()
    lower, upper = HOSTS[host].window
    assert voltage[-1] > upper
    assert voltage[0] < 3.0
    assert np.interp(0.1, np.linspace(0.0, 1.0, 2001), voltage) > lower


@pytest.mark.parametrize(
    ("host", "soc", "plateau"), [("LFP", (0.15, 0.95), 3.40), ("LNMO", (0.1, 0.95), 4.71), ("LNMO", (0.02, 0.03), 4.03)]
)
def test_plateaus_lie_where_they_are_known(host: str, soc: tuple[float, float], plateau: float) -> None:
    voltage = equilibrium(HOSTS[host].curve, np.linspace(*soc, 50))
    assert np.abs(voltage - plateau).max() < 0.055


@pytest.mark.parametrize("chemistry", AGAINST_HOST)
def test_a_cell_charges_and_discharges_between_the_papers_cut_offs(chemistry: str) -> None:
    made = cell(chemistry, capacity_mAh=HOSTS[chemistry.partition("||")[2]].capacity)
    lower, upper = window(made)
    course, hours = step(made, 0.2e-3, upper)
    capacity = made.parameters.capacity
    assert hours == pytest.approx(capacity / 0.2, rel=0.003), "nearly full"
    settled = course.voltage[(course.t > course.t[0] + 2 * 3600) & (course.t < made.state.t)]
    assert (np.diff(settled) > 0).all()
    course, hours = step(made, -0.6e-3, lower)
    assert (np.diff(course.voltage[(course.t > course.t[0] + 3600) & (course.t < made.state.t)]) < 0).all()
    assert 0.85 < 0.6 * hours / capacity < 1.0


def test_the_first_charge_of_NMC622_takes_13_hours_and_7_minutes() -> None:
    _, hours = step(cell("Cu||NMC622", capacity_mAh=2.62), 0.2e-3, 4.3)
    assert hours == pytest.approx(13 + 7 / 60, abs=1.5 / 60)


@pytest.mark.parametrize(("host", "left"), [("NMC622", 8.8), ("LFP", 2.4), ("LNMO", 0.2)])
def test_lithium_cells_keep_what_the_positive_electrode_does_not_take_back(host: str, left: float) -> None:
    made = cell(f"Li||{host}")
    lower, upper = window(made)
    _, charged = step(made, 0.2e-3, upper)
    _, discharged = step(made, -0.6e-3, lower)
    assert 100 * (1 - discharged * 0.6 / (charged * 0.2)) == pytest.approx(left, abs=4.0 if host == "NMC622" else 0.4)


@functools.cache
def soh80(layer: str) -> int:
    made = cell("NMC622||Li", layer=layer)
    first = 0.0
    for cycle in range(1, 150):
        step(made, 0.2e-3, 4.3)
        _, hours = step(made, -0.2e-3, 3.0)
        first = first or hours
        if hours < 0.8 * first:
            return cycle
    return 0


@pytest.mark.parametrize("layer", LAYERS)
def test_lithium_against_NMC622_loses_a_fifth_when_the_paper_says(layer: str) -> None:
    assert soh80(layer) == pytest.approx(LAYERS[layer].soh80, abs=1)


# Lithium against lithium, and against copper


def test_half_cycles_of_a_symmetric_cell_pass_exactly_what_they_are_told() -> None:
    made = cell("Li||Li")
    built = made.parameters.second
    assert built == pytest.approx(FOILS["rolled"].thickness_um * MAH_PER_UM)
    for cycle in range(1, 11):
        for amperes in (0.5e-3, -0.5e-3):
            course = for_a_time(made, amperes, 3600.0)
            assert course.charge[-1] == pytest.approx(amperes * 3600.0)
            assert (np.sign(course.voltage[1:]) == np.sign(amperes)).all()
        record = made.state.records[-1]
        assert (record.cycle, record.charge_mAh, record.discharge_mAh) == (
            cycle,
            pytest.approx(0.5),
            pytest.approx(0.5),
        )
        assert made.state.second == pytest.approx(built, abs=1e-9)


@pytest.mark.parametrize("layer", ["none", "dual"])
def test_a_symmetric_cell_reaches_the_cut_off_when_the_paper_says(layer: str) -> None:
    made = cell("Li||Li", layer=layer)
    cycles = 0
    while all(np.abs(for_a_time(made, amperes, 1800.0).voltage).max() < 1.5 for amperes in (1e-3, -1e-3)):
        cycles += 1
    assert cycles == pytest.approx(LAYERS[layer].life[0], abs=1)


def test_a_symmetric_cell_held_where_it_stands_opens_no_cycle() -> None:
    made = cell("Li||Li")
    for amperes in (0.5e-3, -0.5e-3):
        for_a_time(made, amperes, 3600.0)
    for volts in (0.0, 0.005, -0.005):
        course = made.project(Voltage(volts, 1e-3), made.state.t, 300.0, ROOM_K)
        assert abs(course.current[0]) == pytest.approx(abs(volts) / 175.0, rel=0.01)
        made.follow(course, float(course.t[-1]))
    assert (made.state.cycle, made.state.phase) == (1, "discharge")


def test_a_symmetric_cell_without_lithium_left_is_driven_to_the_end() -> None:
    made = cell("Li||Li", foil_um=2.0)
    course = made.project(Current(1e-3), 0.0, 3600.0, ROOM_K)
    out = made.parameters.second / 1.0 * 3600
    assert np.abs(course.at(0.9 * out)[0]) < 1.5
    assert course.at(out + 1.0)[0] > 1.5
    back = made.project(Current(-1e-3), 0.0, 3600.0, ROOM_K)
    assert back.at(out + 1.0)[0] < -1.5


def test_a_soft_short_takes_the_voltage_away() -> None:
    made = cell("Li||Li", soft_short=2)
    before = [np.abs(for_a_time(made, amperes, 3600.0).voltage).max() for amperes in (0.5e-3, -0.5e-3)]
    assert np.abs(for_a_time(made, 0.5e-3, 3600.0).voltage).max() < 0.1 * min(before)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_first_deposition_has_the_papers_nucleation_overvoltage(layer: str) -> None:
    course = for_a_time(cell("Li||Li", layer=layer), 0.5e-3, 3600.0)
    assert overvoltage(course) == pytest.approx(LAYERS[layer].nucleation_V, abs=0.005)


def test_lithium_on_copper_nucleates_with_a_tip_that_the_coatings_make_smaller() -> None:
    tips = {}
    for substrate in SUBSTRATES:
        made = cell("Cu||Li", substrate=substrate)
        assert made.voltage(0.0) == pytest.approx(-2.8), "copper, the counter electrode, is positive of lithium"
        course = for_a_time(made, 0.2e-3, 2 * 3600.0)
        inside = int(np.argmax(course.voltage))
        assert 0 < inside < course.voltage.size - 1
        counter = made.counter(course)
        assert counter.min() < counter[-1] < 0, "the counter electrode's own tip points down"
        part = (course.t - course.t[0]) / (course.t[-1] - course.t[0])
        tips[substrate] = course.voltage.max() - np.median(course.voltage[(part > 0.2) & (part < 0.4)])
        back = made.project(Current(-0.2e-3), made.state.t, 3 * 3600.0, ROOM_K)
        assert back.voltage[1] < 0
        assert back.voltage[-1] < -1.0, "copper without lithium"
        assert back.room == pytest.approx(made.state.connected, rel=0.01)
    assert tips["bare"] > tips["SrF2"] > 2 * tips["coated"] > 0.01
    assert tips["Sn"] == pytest.approx(tips["coated"], abs=0.005)


# Three electrodes


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
def test_both_electrodes_add_up_to_the_cell(chemistry: str) -> None:
    made = cell(chemistry, substrate="Sn")
    for amperes, hours in ((0.5e-3, 2.0), (-0.5e-3, 1.0)):
        course = for_a_time(made, amperes, hours * 3600.0)
        counter = made.counter(course)
        assert counter.shape == course.voltage.shape
        assert np.isfinite(counter).all()
        plating = counter[-1] if amperes > 0 else -counter[-1]
        assert -0.5 < plating < 0, "plating is below lithium, stripping above"
    assert 0.0 < made.counter_share() < 1.0
    if made.parameters.chemistry.host is not None:
        assert made.counter_at_rest() == 0.0
    else:
        assert made.voltage(made.state.t) == pytest.approx(-made.counter_at_rest())


def test_impedance_of_lithium_falls_from_a_first_value_that_layers_make_larger() -> None:
    first, later = {}, {}
    for layer in LAYERS:
        made = cell("Li||Li", layer=layer)
        for cycle, found in ((0, first), (50, later)):
            while made.state.cycle < cycle:
                for_a_time(made, 0.5e-3, 3600.0)
                for_a_time(made, -0.5e-3, 3600.0)
            found[layer] = float(abs(made.impedance(np.array([0.1]), np.array([0.0]), made.state.t)[0]))
        assert later[layer] < 0.6 * first[layer]
    assert first["none"] < first["LiN"] < first["dual"]
    assert later["none"] == pytest.approx(later["LiN"], rel=0.05)
    assert later["dual"] > 1.5 * later["none"]


# Names and sources


@pytest.mark.parametrize(
    ("name", "found", "substrate"),
    [("coated Cu||LFP", "Cu||LFP", "coated"), ("NMC622||Li", "Li||NMC622", "bare"), ("LFP||Cu", "Cu||LFP", "bare")],
)
def test_other_spellings_of_a_chemistry_are_understood(name: str, found: str, substrate: str) -> None:
    assert (find(name)[0].name, find(name)[1]) == (found, substrate)


@pytest.mark.parametrize(
    ("chemistry", "options", "named"),
    [
        ("Cu||LCO", {}, "unknown chemistry 'Cu||LCO'; known are Cu||NMC622, Cu||LFP"),
        ("coated Li||Li", {}, "only copper"),
        ("Li||Li", {"layer": "gold"}, "unknown layer 'gold'; known are none, LiN, dual"),
        ("Li||Li", {"electrolyte": "water"}, "unknown electrolyte 'water'"),
        ("Li||Li", {"foil_um": -1}, "foil_um is -1"),
        ("Cu||LFP", {"soc": 1.5}, "soc is 1.5"),
    ],
)
def test_what_cannot_be_made_is_named(chemistry: str, options: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named.replace("|", r"\|").replace("'", ".")):
        cell(chemistry, **options)


def test_every_number_has_a_source() -> None:
    for table in (HOSTS, SUBSTRATES, FOILS, LAYERS):
        for entry in table.values():
            named = {one.name for one in fields(entry)} - {"name", "sources"}
            assert named == set(entry.sources), entry.name
            assert all(any(word in said for word in ("P1", "P2", "assumed", "none", "Afshar", "inferred", "so that"))
                       for said in entry.sources.values())  # fmt: skip


def test_the_page_on_the_virtual_cell_has_all_of_it() -> None:
    page = Path(__file__).parents[2] / "docs" / "virtual-cell.md"
    assert markdown() in page.read_text(encoding="utf-8")
