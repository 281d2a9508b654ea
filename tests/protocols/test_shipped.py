"""Every protocol that ships runs to its end on the simulated station, and takes the times that its header tells."""

import csv
import re
from datetime import datetime

import numpy as np
import polars
import pytest
from shipped_runs import HOUR, MINUTE, run_shipped

from labctl.errors import InvalidFile
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
    protocol = load_protocol(path, {"rate": "0.2C"} if path.stem == "nmc-lithium" else {})
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


@pytest.mark.parametrize(
    ("cells", "cell", "cycles"), [("coins", "coin-bare-01", 60), ("pouches", "pouch-coated-01", 3)]
)
def test_coins_and_pouches_are_cycled_alike(lab, cells, cell, cycles):
    values = {} if cycles == 60 else {"cycles": str(cycles)}
    ran = run_shipped(lab, "cycling-nmc.yaml", cells=f"examples/cells-{cells}.yaml", keep=(cell,), values=values)
    assert len(ran.steps("*/c*/*-charge")) == len(ran.steps("*/c*/*-discharge")) == cycles
    assert ran.seconds(f"{cell}/c000/01-rest") == pytest.approx(12 * HOUR, abs=5)
    assert ran.seconds(f"{cell}/c001/01-charge") == pytest.approx(FIRST_CHARGE, rel=SPREAD)
    assert ran.seconds(f"{cell}/c003/01-charge") < 0.52 * ran.seconds(f"{cell}/c002/01-charge")


@pytest.mark.parametrize(("electrode", "window"), [("lfp", (2.0, 3.8)), ("lnmo", (3.0, 4.95))])
def test_lfp_and_lnmo_are_cycled_in_their_windows_against_copper_and_lithium(lab, electrode, window):
    ran = run_shipped(lab, f"cycling-{electrode}.yaml", cells=f"examples/cells-{electrode}.yaml")
    for cell in (f"{electrode}-copper-01", f"{electrode}-lithium-01"):
        # 2.3 mAh/cm2 at 0.2 mA/cm2, less what is left at the cut-off.
        assert ran.seconds(f"{cell}/c001/01-charge") == pytest.approx(11.5 * HOUR, rel=SPREAD)
        seen = ran.records(f"{cell}/c001/01-charge")["Voltage / V"]
        assert seen.max() == pytest.approx(window[1], abs=0.01)
        assert ran.records(f"{cell}/c001/02-discharge")["Voltage / V"].min() >= window[0] - 0.01
        assert ran.document(f"{cell}/c003/03-hold")["summary"]["end"] == "current"


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


def test_five_portions_of_lithium_are_plated_each_followed_by_its_spectrum(lab):
    ran = run_shipped(lab, "linearity-steps.yaml", cells="cells-operando.yaml")
    charges = ran.steps("*/c000/*-charge")
    assert [ran.seconds(step) for step in charges] == pytest.approx([2.5 * HOUR] * 5, abs=30)
    assert len(ran.steps("*/c000/*-nmr-plated-*")) == 5


def test_either_electrode_has_its_impedance_after_discharges_of_a_three_electrode_cell(lab):
    names = {"station": "examples/station-three-electrode.yaml", "cells": "examples/cells-three-electrode.yaml"}
    ran = run_shipped(lab, "three-electrode.yaml", **names, keep=("pat-bare-01",))
    found = ran.steps("*/c*/*-eis-discharged")
    assert [step.split("/")[1] for step in found] == ["c001", "c015"]
    assert all((ran.bundle(step) / "impedance_electrodes.csv").is_file() for step in found)


def test_nucleation_on_copper_is_a_dip_of_the_counter_electrode(lab):
    names = {"station": "examples/station-three-electrode.yaml", "cells": "examples/cells-t-cells.yaml"}
    ran = run_shipped(lab, "nucleation-copper.yaml", **names)
    dips = {}
    for cell in ("tee-bare-01", "tee-coated-01"):
        step = f"{cell}/c000/02-charge"
        assert ran.seconds(step) == pytest.approx(HOUR, abs=5)
        with (ran.bundle(step) / "electrodes.csv").open() as file:
            counter = [float(row["counter_V"]) for row in csv.DictReader(file)]
        assert counter[0] > 2
        dips[cell] = counter[-1] - min(counter)
        assert ran.records(step)["Voltage / V"].abs().max() < 0.02
    assert dips["tee-bare-01"] > 0.03 > dips["tee-coated-01"]


def test_operando_alloying_at_14_tesla_has_the_papers_times(lab):
    names = {"station": "examples/station-14t.yaml", "cells": "examples/cells-alloying.yaml"}
    ran = run_shipped(lab, "operando.yaml", **names)
    step = "alloying-01/c000/02-operando-plating"
    rows = stamps(ran, step)
    long = [span(row) for row in rows if row["sort"] in ("pause", "end")]
    short = [span(row) for row in rows if row["sort"] == "during"]
    assert long == pytest.approx([2 * HOUR + 19 * MINUTE + 5] * 7, abs=20)
    assert short == pytest.approx([30 * MINUTE] * len(short), abs=30)
    assert len(short) >= 24
    # Of the instrument's own record, whatever its clock says in pauses.
    table = ran.records(step)
    times, current = table["Test Time / s"].to_numpy(), table["Current / A"].to_numpy()
    charge = np.concatenate(([0.0], np.cumsum(np.diff(times) * (current[1:] + current[:-1]) / 2)))
    for row in rows:
        for moment, at in (("start", "started_s"), ("middle", "middle_s"), ("end", "ended_s")):
            recorded = np.interp(float(row[at]), times, charge)
            assert float(row[f"charge_{moment}_C"]) == pytest.approx(recorded, rel=1e-3, abs=1e-5)
    # The charge over its current: the instrument's own time counts pauses, too.
    assert ran.document(step)["summary"]["capacity_C"] / 0.2e-3 == pytest.approx(FIRST_CHARGE, rel=SPREAD)


@pytest.mark.parametrize("cell", ["deis-bare-01", "deis-lithium-01"])
def test_deis_ends_the_30th_discharge_and_begins_the_31st_charge_of_copper_and_of_lithium_in_excess(lab, cell):
    names = {"station": "examples/station-coins.yaml", "cells": "examples/cells-deis.yaml"}
    ran = run_shipped(lab, "deis.yaml", **names, keep=(cell,))
    found = ran.steps("*/c*/*-deis-*")
    assert [step.split("/")[1] for step in found] == ["c030", "c031"]
    for step in found:
        wanted = [row for row in stamps(ran, step) if row["wanted"] == "1"]
        assert len(wanted) == 20
        times = [float(row["ended_s"]) - float(row["started_s"]) for row in wanted]
        assert times == pytest.approx([SWEEP] * 20, abs=10)


def test_lithium_against_lithium_is_cycled_until_a_cut_off_ends_its_life(lab):
    names = {"station": "examples/station-coins.yaml", "cells": "examples/cells-symmetric.yaml"}
    ran = run_shipped(lab, "symmetric-cycling.yaml", **names, keep=("li-bare-01",))
    assert ran.seconds("li-bare-01/c000/01-rest") == pytest.approx(5 * HOUR, abs=5)
    for step in ("c001/01-charge", "c001/02-discharge", "c100/01-charge"):
        assert ran.seconds(f"li-bare-01/{step}") == pytest.approx(30 * MINUTE, abs=5)
    last = max(int(step.split("/")[1][1:]) for step in ran.steps("*/c*/01-charge"))
    assert last == pytest.approx(200, abs=10)


@pytest.mark.parametrize(("density", "minutes"), [("0.5", 60), ("1", 30), ("2", 15)])
def test_lithium_against_lithium_moves_half_a_mah_per_cm2_either_way_at_each_current_of_the_paper(
    lab, density, minutes
):
    names = {"station": "examples/station-coins.yaml", "cells": "examples/cells-symmetric.yaml"}
    values = {"current": f"{density} mA/cm2", "cycles": "3"}
    ran = run_shipped(lab, "symmetric-cycling.yaml", **names, keep=("li-dual-01",), values=values)
    halves = [*ran.steps("*/c*/01-charge"), *ran.steps("*/c*/02-discharge")]
    assert len(halves) == 6
    for step in halves:
        summary = ran.document(step)["summary"]
        assert summary["duration_s"] == pytest.approx(minutes * MINUTE, abs=5)
        assert summary["capacity_C"] == pytest.approx(0.5 * 3.6 * 1.13, rel=0.002)
        assert summary["end"] == "capacity"
        assert ran.records(step)["Current / A"].abs().max() == pytest.approx(float(density) * 1.13e-3, rel=0.005)


def test_lithium_against_lithium_has_its_spectra_three_times_fresh_and_after_the_cycles_of_the_paper(lab):
    names = {"station": "examples/station-coins.yaml", "cells": "examples/cells-symmetric.yaml"}
    ran = run_shipped(lab, "symmetric-eis.yaml", **names, keep=("li-dual-01",))
    assert len(ran.steps("*/c000/*-eis-fresh-*")) == 3
    found = [int(step.split("/")[1][1:]) for step in ran.steps("*/c*/*-eis-cycled")]
    assert found == [*range(1, 11), *range(15, 51, 5)]
    assert ran.seconds("li-dual-01/c050/02-discharge") == pytest.approx(HOUR, abs=5)


def test_the_first_deposition_shows_the_nucleation_overvoltage_of_each_layer(lab):
    names = {"station": "examples/station-coins.yaml", "cells": "examples/cells-symmetric.yaml"}
    ran = run_shipped(lab, "symmetric-nucleation.yaml", **names)
    for cell, volts in (("li-bare-01", 0.26), ("li-nitride-01", 0.19), ("li-dual-01", 0.20)):
        step = f"{cell}/c000/02-charge"
        assert ran.seconds(step) == pytest.approx(HOUR, abs=5)
        flowing = ran.records(step).filter(polars.col("Current / A") > 0)["Voltage / V"]
        assert flowing.max() - flowing[-1] == pytest.approx(volts, abs=0.02)


def test_nmc_against_lithium_ends_at_80_percent_and_must_be_told_its_rate(lab):
    path = next(path for path in shipped() if path.stem == "nmc-lithium")
    with pytest.raises(InvalidFile, match="the parameter 'rate' is not said"):
        load_protocol(path)
    cells = "examples/cells-nmc-lithium.yaml"
    ran = run_shipped(lab, "nmc-lithium.yaml", cells=cells, keep=("nmc-bare-01",), values={"rate": "0.2 mA/cm2"})
    assert ran.seconds("nmc-bare-01/c000/01-rest") == pytest.approx(5 * HOUR, abs=5)
    assert ran.seconds("nmc-bare-01/c001/01-charge") == pytest.approx(FIRST_CHARGE, rel=SPREAD)
    given = [ran.document(step)["summary"]["capacity_C"] for step in ran.steps("*/c*/02-discharge")]
    assert given[-1] < 0.8 * given[0] <= given[-2]
    assert len(given) == pytest.approx(70, abs=7)


def test_every_shipped_protocol_is_run_in_this_file_or_beside_it(request):
    here = request.path.read_text()
    elsewhere = ("cycling", "soc", "alloy")
    assert all(f'"{path.name}"' in here or path.stem.split("-")[0] in elsewhere for path in shipped())
