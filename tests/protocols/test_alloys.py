"""Ex situ spectra of alloys as they ship: two cells are charged and taken apart for one sample, which holds both."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from shipped_runs import HOUR, MINUTE, Ran, run_shipped

from labctl.analysis import nmr, phase
from labctl.analysis.recipe import METAL

STATION = "examples/station-14t.yaml"
SAMPLES = "examples/cells-alloy-samples.yaml"
#: The line of lithium and tin, with a baseline of its own.
ALLOY = replace(METAL, metal=(55.0, 145.0), baseline=((-60.0, 40.0), (160.0, 210.0)), order=3)
ONE = """\
  - id: {id}
    barcode: {id}
    group: one
    area: 1.54 cm2
    kind: electrode
    chemistry: Cu
    place: cabinet/{slot}
    simulate: {{substrate: Sn, alloy_mAh: {alloy}, deposit_mAh: {deposit}}}
"""


@pytest.fixture(scope="module")
def charged(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Cells that were charged and taken apart."""
    folder = tmp_path_factory.mktemp("alloys") / "charge"
    return run_shipped(folder, "alloy-charge.yaml", station=STATION, cells="examples/cells-alloys.yaml")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, charged: Ran) -> Ran:
    """The samples, and beside them either electrode of the tin one alone."""
    more = ""
    for slot, cell in ((4, "sn-01"), (5, "sn-02")):
        state = charged.laboratory.cells[cell].state
        more += ONE.format(id=f"{cell}-negative", slot=slot, alloy=state.alloy, deposit=state.connected)
    folder = tmp_path_factory.mktemp("alloys") / "spectrum"
    return run_shipped(folder, "alloy-spectrum.yaml", station=STATION, cells=SAMPLES, more_cells=more)


def test_alloys_are_charged_for_two_hours_and_taken_apart(charged):
    charges = charged.steps("*/c000/02-charge")
    assert [charged.seconds(step) for step in charges] == pytest.approx([2 * HOUR] * 6, abs=5)
    assert len(charged.steps("*/c000/03-disassemble-apart")) == 6


def test_ex_situ_spectra_of_two_electrodes_take_2_h_25_min_at_14_tesla(measured):
    found = measured.steps("stack-*/c000/01-nmr-alloy")
    assert [measured.seconds(step) for step in found] == pytest.approx([2 * HOUR + 25 * MINUTE] * 3, abs=60)
    assert all(len(measured.document(step)["sample"]["parents"]) == 2 for step in found)


@pytest.mark.parametrize("group", ["coated", "srf2", "sn"])
def test_a_sample_holds_the_lithium_of_the_two_cells_that_it_is_made_of(charged, measured, group):
    parents = [charged.laboratory.cells[f"{group}-0{number}"].state for number in (1, 2)]
    sample = measured.laboratory.cells[f"stack-{group}"].state
    assert sample.connected == pytest.approx(sum(one.connected for one in parents), rel=0.002)
    assert sample.alloy == pytest.approx(sum(one.alloy for one in parents))


def integrals(ran: Ran, cell: str) -> tuple[float, float, float]:
    """Metal, alloy and the alloy's deviation of a spectrum, for a pulse of 90 degrees in this cell."""
    data = nmr.read_bruker(Path(ran.bundle(f"{cell}/c000/01-nmr-alloy")))
    zero, _ = nmr.zero_of(data, METAL)
    angle = phase.line_phase(data, zero, METAL).angle_rad
    metal, alloy = (nmr.metal_integral(data, zero, angle, recipe) for recipe in (METAL, ALLOY))
    t90 = ran.laboratory.cells[cell].t90_s * math.sqrt(80.0 / 27.0)
    signal = math.sin(0.5 * math.pi * data.pulse_s / t90)
    return metal.value / signal, alloy.value / signal, alloy.sd / signal


def test_the_spectrum_of_two_electrodes_is_the_sum_of_both(measured):
    both, first, second = (integrals(measured, cell) for cell in ("stack-sn", "sn-01-negative", "sn-02-negative"))
    # The probe is tuned anew for each sample, which moves the pulse by some degrees.
    assert both[0] == pytest.approx(first[0] + second[0], rel=0.01)
    assert both[1] == pytest.approx(first[1] + second[1], abs=3.0 * math.hypot(both[2], first[2], second[2]))
    assert both[1] > 50.0 * both[2]


def test_fluoride_alone_shows_no_alloy(measured):
    _, alloy, deviation = integrals(measured, "stack-srf2")
    assert abs(alloy) < 3.0 * deviation
