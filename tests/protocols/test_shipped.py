"""Every protocol that ships runs to its end on the simulated station, and takes the times that its header tells."""

import csv
import re
from datetime import datetime

import pytest
from shipped_runs import HOUR, MINUTE, run_shipped

from labctl.protocol import load_protocol, shipped

#: How far the first charge of a simulated cell may be from the paper's: its capacity is drawn with a spread of 1.2 %.
SPREAD = 0.04
FIRST_CHARGE = 13 * HOUR + 7 * MINUTE
#: 300 kHz to 0.1 Hz, 10 points per decade, 6 periods.
SWEEP = 4 * MINUTE + 53
SPECTRUM = 9 * MINUTE + 6


@pytest.fixture
def lab(tmp_path):
    return tmp_path / "lab"


def stamps(ran, step):
    with (ran.bundle(step) / "stamps.csv").open() as file:
        return list(csv.DictReader(file))


def span(row):
    return (datetime.fromisoformat(row["ended_utc"]) - datetime.fromisoformat(row["started_utc"])).total_seconds()


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_a_shipped_protocol_is_checked_and_says_what_its_paper_states_and_where_it_is_silent(path):
    protocol = load_protocol(path)
    assert protocol.protocol == path.stem
    head = re.split(r"(?m)^labctl:", path.read_text())[0]
    assert all(line.startswith("#") for line in head.splitlines())
    for word in ("labctl run protocols/" + path.name, "# Paper: ", "# Stated: ", "# Silent: "):
        assert word in head
    assert "Wichmann" in head or "Bela" in head


def test_dead_lithium_of_cycle_1_and_15_takes_the_times_of_the_method(lab):
    ran = run_shipped(lab, "dead-lithium.yaml", keep=("bare-01", "coated-03"))
    for cell, cycle in (("bare-01", "c001"), ("coated-03", "c015")):
        assert ran.seconds(f"{cell}/c000/01-rest") == pytest.approx(12 * HOUR, abs=5)
        assert ran.seconds(f"{cell}/c001/01-charge") == pytest.approx(FIRST_CHARGE, rel=SPREAD)
        for label in ("02-nmr-charged", "05-nmr-discharged", "08-nmr-dead"):
            assert ran.seconds(f"{cell}/{cycle}/{label}") == pytest.approx(SPECTRUM, abs=10)
        assert ran.document(f"{cell}/{cycle}/07-hold")["summary"]["end"] == "current"
        assert ran.steps(f"{cell}/{cycle}/*-eis-*")


@pytest.mark.parametrize("cells", ["coins", "pouches"])
def test_coins_and_pouches_are_cycled_alike(lab, cells):
    keep = ("coin-bare-01",) if cells == "coins" else ("pouch-coated-01",)
    ran = run_shipped(lab, "cycling-nmc.yaml", cells=f"examples/cells-{cells}.yaml", keep=keep)
    assert len(ran.steps("*/c*/*-charge")) == len(ran.steps("*/c*/*-discharge")) == 60
    assert ran.seconds(f"{keep[0]}/c001/01-charge") == pytest.approx(FIRST_CHARGE, rel=SPREAD)
    assert ran.seconds(f"{keep[0]}/c003/01-charge") < 0.52 * ran.seconds(f"{keep[0]}/c002/01-charge")


def test_the_integral_is_followed_by_spectra_of_nine_minutes_through_a_whole_charge(lab):
    ran = run_shipped(lab, "linearity.yaml", cells="cells-operando.yaml")
    rows = [row for row in stamps(ran, "plated-01/c000/03-operando-plating") if float(row["flowing"]) == 1.0]
    assert len(rows) >= 80
    assert {round(span(row) / 10) for row in rows} <= {round(SPECTRUM / 10), round(SPECTRUM / 10) + 1}
    assert ran.seconds("plated-01/c000/03-operando-plating") == pytest.approx(FIRST_CHARGE, rel=SPREAD)


def test_pulse_and_recycle_delay_are_found_on_a_charged_cell(lab):
    ran = run_shipped(lab, "nmr-parameters.yaml", cells="cells-operando.yaml")
    told = ran.document("plated-01/c000/03-nutation-charged")["summary"]
    assert 6.5e-6 <= told["pi_half_s"] <= 7.5e-6
    assert 33.3 <= told["b1_kHz"] <= 38.5
    assert ran.document("plated-01/c000/03-recovery-charged")["summary"]["share"] > 0.9
    assert ran.seconds("plated-01/c000/03-nmr-charged") == pytest.approx(SPECTRUM, abs=10)


def test_morphology_has_a_spectrum_of_the_charged_cell_in_each_measured_cycle(lab):
    ran = run_shipped(lab, "morphology.yaml", cells="examples/cells-pouches.yaml", keep=("pouch-bare-01",))
    found = ran.steps("*/c*/*-nmr-charged")
    assert [step.split("/")[1] for step in found] == ["c001", "c015", "c030"]
    assert all(ran.seconds(step) == pytest.approx(SPECTRUM, abs=10) for step in found)
    assert len(ran.steps("*/c*/*-discharge")) == 30


def test_pouches_have_impedance_charged_and_discharged_with_linearity_and_stability(lab):
    ran = run_shipped(lab, "eis-pouch.yaml", cells="examples/cells-pouches.yaml", keep=("pouch-bare-01",))
    assert len(ran.steps("*/c*/*-eis-charged")) == len(ran.steps("*/c*/*-eis-discharged")) == 3


def test_operando_alloying_at_14_tesla_has_the_papers_times(lab):
    ran = run_shipped(lab, "operando.yaml", station="examples/station-14t.yaml", cells="cells-operando.yaml")
    step = "plated-01/c000/02-operando-plating"
    rows = stamps(ran, step)
    long = [span(row) for row in rows if row["sort"] in ("pause", "end")]
    short = [span(row) for row in rows if row["sort"] == "during"]
    assert long == pytest.approx([2 * HOUR + 19 * MINUTE + 5] * 7, abs=20)
    assert short == pytest.approx([30 * MINUTE] * len(short), abs=30)
    assert len(short) >= 24
    # Seconds of current alone: the clock of an SP-150e's run stands in pauses.
    charge = ran.document(step)["summary"]["capacity_C"]
    assert charge / 0.2e-3 == pytest.approx(FIRST_CHARGE, rel=SPREAD)


def test_deis_ends_the_30th_discharge_and_begins_the_31st_charge_at_a_vmp_3e(lab):
    ran = run_shipped(
        lab,
        "deis.yaml",
        station="examples/station-coins.yaml",
        cells="examples/cells-deis.yaml",
        keep=("deis-bare-01",),
    )
    for step in ran.steps("*/c*/*-deis-*"):
        wanted = [row for row in stamps(ran, step) if row["wanted"] == "1"]
        assert len(wanted) == 20
