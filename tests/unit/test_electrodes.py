"""What a spectrometer sees of foil, alloy and electrodes, in cells and alone; cells taken apart and rebuilt."""

from __future__ import annotations

import json
import math

import pytest

from labctl_simulators.cell import Current, Line, VirtualCell
from labctl_simulators.cell.spectrum import reach
from labctl_simulators.glovebox import Glovebox, built, impossible_cells

ROOM_K = 293.15
AREA_M2 = 1e-4


def cell(chemistry: str, name: str = "a", **options: object) -> VirtualCell:
    return VirtualCell(name, AREA_M2, 1, options, chemistry=chemistry)


def for_a_time(made: VirtualCell, amperes: float, seconds: float) -> None:
    course = made.project(Current(amperes), made.state.t, seconds, ROOM_K)
    made.follow(course, float(course.t[-1]))


def metal(made: VirtualCell, tesla: float = 4.7) -> list[Line]:
    return [line for line in made.nmr_lines(made.state.t, tesla) if line.shift_ppm > 200]


def area(lines: list[Line]) -> float:
    return sum(line.area_mAh for line in lines)


def alloy(made: VirtualCell, tesla: float = 4.7) -> list[Line]:
    return [line for line in made.nmr_lines(made.state.t, tesla) if 50 < line.shift_ppm < 200]


def test_the_alloys_line_grows_with_its_charge_before_any_metal_and_fades_beneath_it() -> None:
    made = cell("Cu||NMC622", substrate="Sn", soc_factor=1.0)
    seen = []
    for _ in range(4):
        for_a_time(made, 0.2e-3, 200.0)
        seen.append(area(alloy(made)))
        assert not metal(made)
    passed = [0.2 * 200.0 * n / 3600 for n in (1, 2, 3, 4)]
    assert seen == pytest.approx(passed, rel=1e-9)
    assert made.state.alloy == pytest.approx(passed[-1])
    for_a_time(made, 0.2e-3, 2000.0)
    assert made.state.alloy == pytest.approx(0.05)
    assert metal(made)
    shifts, areas = [], []
    for _ in range(3):
        for_a_time(made, 0.2e-3, 2 * 3600.0)
        shifts.append(alloy(made)[0].shift_ppm)
        areas.append(area(alloy(made)))
    assert shifts == sorted(shifts, reverse=True)
    assert areas == sorted(areas, reverse=True)
    assert area(alloy(made, 14.1)) < area(alloy(made, 4.7)), "the skin is thinner at the higher field"
    for_a_time(made, -0.6e-3, 3600.0)
    assert made.state.alloy == pytest.approx(0.05), "it is not given back"


def test_only_tin_shows_an_alloy_unless_it_is_asked_for() -> None:
    for substrate, options in (("bare", {}), ("SrF2", {}), ("coated", {}), ("coated", {"alloy_mAh": 0.05})):
        made = cell("Cu||NMC622", substrate=substrate, **options)
        for_a_time(made, 0.2e-3, 2 * 3600.0)
        assert bool(alloy(made)) == bool(options)
        at_start = cell("Cu||NMC622", substrate=substrate, **options).project(Current(0.2e-3), 0.0, 100.0, ROOM_K)
        assert (at_start.voltage[-1] < 2.9) == bool(options), "the alloy's plateau lowers the cell's voltage"


def test_the_truth_of_a_cell_with_an_alloy_adds_up_too() -> None:
    made = cell("Cu||NMC622", substrate="Sn")
    for_a_time(made, 0.2e-3, 10 * 3600.0)
    for_a_time(made, -0.6e-3, 2 * 3600.0)
    record = made.truth()["cycles"][0]
    parts = [record[key] for key in ("discharge_mAh", "connected_mAh", "dead_mAh", "interphase_mAh")]
    assert sum(parts) == pytest.approx(record["charge_mAh"], rel=1e-9)


def test_foil_against_electrodes_of_any_charge_is_the_papers_calibration() -> None:
    alone = built({"id": "foil", "area_m2": AREA_M2, "chemistry": "Li", "simulate": {"foil_um": 20}}, 1)
    (line,) = alone.nmr_lines(0.0)
    assert line.shift_ppm == pytest.approx(242.9)
    seen = {soc: metal(cell("Li||NMC622", foil_um=20, soc=soc, soc_factor=1.08)) for soc in (0.0, 0.5, 1.0)}
    assert [seen[soc][0].shift_ppm for soc in (1.0, 0.0)] == pytest.approx([246.7, 250.0])
    assert area(seen[1.0]) / area(seen[0.0]) == pytest.approx(1.08)
    assert area(seen[1.0]) > area(seen[0.5]) > area(seen[0.0])
    assert line.area_mAh > area(seen[1.0])
    thick = 20 * 0.2062
    assert area(seen[1.0]) < 0.6 * thick, "20 um are more than the skin is deep"
    thin = metal(cell("Li||NMC622", foil_um=1, soc=1.0))
    assert area(thin) == pytest.approx(0.2062, rel=0.05)


def test_deposits_against_electrodes_of_any_charge_can_be_built_at_once() -> None:
    for soc, factor in ((1.0, 1.0), (0.0, 1.08)):
        made = cell("Cu||NMC622", deposit_mAh=2.62, soc=soc, soc_factor=1.08)
        assert area(metal(made)) == pytest.approx(2.62 / factor)


def test_a_cell_taken_apart_has_no_voltage_and_shows_its_negative_electrode_alone() -> None:
    made = cell("Cu||NMC622", substrate="Sn")
    for_a_time(made, 0.2e-3, 2 * 3600.0)
    box = Glovebox()
    assert box.take_apart(made, ["negative", "positive"]) == ["a-negative", "a-positive"]
    assert not made.whole
    assert made.voltage(made.state.t) == 0.0
    lines = made.nmr_lines(made.state.t, 14.1)
    assert all(line.shift_ppm > 50 for line in lines), "no electrolyte"
    assert area([line for line in lines if line.shift_ppm > 200]) == pytest.approx(1.03 * made.state.connected)
    with pytest.raises(ValueError, match="taken apart already"):
        box.take_apart(made, ["negative"])


def test_two_electrodes_make_one_sample_of_twice_the_signal() -> None:
    box, cells = Glovebox(), [cell("Cu||NMC622", name, substrate="Sn") for name in ("a", "b")]
    for made in cells:
        for_a_time(made, 0.2e-3, 2 * 3600.0)
        box.take_apart(made, ["negative"])
    one = sum(area(alloy(made)) for made in cells)
    box.put_together(cells[0], ["a-negative", "b-negative"], cells[0].state.t)
    assert area(alloy(cells[0])) == pytest.approx(one)
    assert not cells[0].whole
    assert box.shelf == ()


def test_electrodes_put_together_anew_are_a_cell_with_what_they_held() -> None:
    """The paper's calibration: deposited lithium against a pristine electrode."""
    box = Glovebox()
    full, empty = cell("Cu||NMC622", "full", soc_factor=1.08), cell("Cu||NMC622", "empty", soc_factor=1.08)
    for_a_time(full, 0.2e-3, 12 * 3600.0)
    deposited, before, voltage = full.state.connected, area(metal(full)), full.voltage(full.state.t)
    soc = full.state.soc
    box.take_apart(full, ["negative", "positive"])
    box.take_apart(empty, ["negative", "positive"])
    box.put_together(full, ["full-negative", "empty-positive"], 1e5)
    assert full.whole
    assert full.state.connected == deposited
    assert full.state.soc == 0.0
    factor = 1.08 + (1 - 1.08) * soc
    assert area(metal(full)) == pytest.approx(before * factor / 1.08)
    assert full.voltage(1e5) < voltage - 0.5
    for_a_time(full, 0.2e-3, 3600.0)
    assert full.state.connected == pytest.approx(deposited + 0.2, rel=0.02)
    again = cell("Cu||NMC622", "full")
    again.restore(json.loads(json.dumps(full.save())))
    assert again.state == full.state
    assert again.parameters == full.parameters
    with pytest.raises(ValueError, match="no part 'full-negative' on the shelf; there are full-positive"):
        box.put_together(empty, ["full-negative"], 1e5)


def test_a_shelf_that_was_saved_has_the_same_parts() -> None:
    box, other = Glovebox(), Glovebox()
    made = cell("Li||LFP")
    for_a_time(made, 0.2e-3, 3600.0)
    rested = made.voltage(made.state.t + 1e6)
    box.take_apart(made, ["negative", "positive", "separator"])
    other.restore(json.loads(json.dumps(box.save())))
    assert other.save() == box.save()
    assert other.shelf == ("a-negative", "a-positive", "a-separator")
    rebuilt = cell("Cu||LNMO", "b")
    other.take_apart(rebuilt, ["negative"])
    other.put_together(rebuilt, ["a-negative", "a-positive"], 4000.0)
    assert rebuilt.parameters.chemistry.name == "Li||LFP"
    assert rebuilt.voltage(4000.0) == pytest.approx(rested, abs=0.02)


def test_cells_that_cannot_be_are_named_all_at_once() -> None:
    entries = [
        {"id": "good", "area_m2": AREA_M2, "chemistry": "Li||Li"},
        {"id": "gold", "area_m2": AREA_M2, "chemistry": "Au||NMC622"},
        {"id": "odd", "area_m2": AREA_M2, "chemistry": "Cu||LFP", "simulate": {"substrate": "Sb"}},
        {"id": "foil", "area_m2": AREA_M2, "chemistry": "Li"},
    ]
    found = dict(impossible_cells({"cells": entries}))
    assert list(found) == ["gold", "odd"]
    assert "Au||NMC622" in found["gold"]
    assert "Sb" in found["odd"]


def test_the_skin_is_as_deep_as_the_paper_says_at_both_fields() -> None:
    assert reach(4.7) / 0.2062 == pytest.approx(14.7)
    assert reach(14.1) / 0.2062 == pytest.approx(8.4, rel=0.015)
    assert math.isclose(reach(4.7) / reach(14.1), math.sqrt(3))
