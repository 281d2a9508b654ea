"""Impedance while a small current ends a discharge and begins a charge: every spectrum knows its state of charge."""

import csv
import json

import pytest

from labctl.cli.running import RunRequest, run


def stamps(folder):
    with (folder / "stamps.csv").open() as file:
        return list(csv.DictReader(file))


def summary(folder):
    return json.loads((folder / "operation.json").read_text())["summary"]


def test_the_shipped_protocol_gives_twenty_spectra_at_either_end_that_know_their_state_of_charge(laboratory):
    files = (laboratory.folder / name for name in ("protocols/deis.yaml", "station.yaml", "cells-operando.yaml"))
    simulations = []
    outcome = run(
        RunRequest(laboratory.folder, *files, simulate=True, accelerate=True, seed=3), on_simulation=simulations.append
    )
    assert outcome.states == {"plated-01": "finished"}
    lab, results = simulations[0].laboratory, laboratory.folder / "results"
    moved = [
        summary(folder)["capacity_C"] * (1 if folder.parent.name.endswith("-charge") else -1)
        for folder in sorted(results.rglob("*charge/a1"))
        if "deis" not in folder.parent.name
    ]
    assert len(moved) == 60
    net = sum(moved)
    for label, way in (("end-of-discharge", -1), ("start-of-charge", 1)):
        (folder,) = results.rglob(f"*deis-{label}/a1")
        found, told = stamps(folder), summary(folder)
        wanted = [one for one in found if one["wanted"] == "1"]
        assert len(wanted) == 20
        assert wanted == (found[-20:] if way < 0 else found[:20])
        for one in found:
            socs = [float(one[f"soc_{when}"]) for when in ("start", "middle", "end")]
            assert socs == sorted(socs, reverse=way < 0)
            assert socs[1] == pytest.approx((net + float(one["charge_middle_C"])) / moved[0], abs=1e-4)
            assert (folder / one["table"]).is_file()
        assert told["end"] == ("voltage" if way < 0 else "spectra")
        # As the leads showed it before they were opened: the next step knows the cell by it.
        assert told["voltage_V"] > 2.5
        net += told["charge_C"]
    assert lab.sources_on(lab.cells["plated-01"]) == ()
    assert lab.violations == []


VMP = "{driver: biologic, role: potentiostat, address: 192.0.2.22, channels: 1, model: VMP-3e}"


def test_on_a_vmp_3e_both_ends_have_their_twenty_spectra_whose_charge_is_the_cells(laboratory):
    laboratory.keep_cells("bare-01")
    laboratory.replace("cells.yaml", ", measure_at: [1]", "")
    station = laboratory.folder / "station.yaml"
    lines = station.read_text().splitlines(keepends=True)
    station.write_text("".join(f"  zahner: {VMP}\n" if one.startswith("  zahner:") else one for one in lines))
    # As the paper's, but for fewer cycles before, a larger current, and spectra down to 1 Hz, which is where it stops.
    for old, new in (
        ("count: 29", "count: 1"),
        ("{1-2: 0.2 mA/cm2, 3-: 0.4 mA/cm2}", "0.4 mA/cm2"),
        ("slow_from: 3.65 V", "slow_from: 3.5 V"),
        ("current: 0.05 mA/cm2", "current: 0.4 mA/cm2"),
        ("[300 kHz, 0.1 Hz]", "[300 kHz, 1 Hz]"),
    ):
        laboratory.replace("protocols/deis.yaml", old, new)
    files = (laboratory.folder / name for name in ("protocols/deis.yaml", "station.yaml", "cells.yaml"))
    simulations = []
    outcome = run(
        RunRequest(laboratory.folder, *files, simulate=True, accelerate=True, seed=3), on_simulation=simulations.append
    )
    assert outcome.states == {"bare-01": "finished"}
    lab = simulations[0].laboratory
    for label, way in (("end-of-discharge", -1), ("start-of-charge", 1)):
        (folder,) = (laboratory.folder / "results").rglob(f"*deis-{label}/a1")
        found, told = stamps(folder), summary(folder)
        wanted = [one for one in found if one["wanted"] == "1"]
        assert len(wanted) == 20
        assert wanted == (found[-20:] if way < 0 else found[:20])
        for one in found:
            socs = [float(one[f"soc_{when}"]) for when in ("start", "middle", "end")]
            assert socs == sorted(socs, reverse=way < 0)
            capacity = told["reference_capacity_C"]
            assert socs[1] == pytest.approx((told["net_before_C"] + float(one["charge_middle_C"])) / capacity, abs=1e-4)
            assert (folder / one["table"]).is_file()
        assert told["end"] == ("voltage" if way < 0 else "spectra")
        assert told["voltage_V"] > 2.5
    assert told["charge_C"] == pytest.approx(3.6 * lab.cells["bare-01"].truth()["cycles"][-1]["charge_mAh"], rel=1e-3)
    assert lab.sources_on(lab.cells["bare-01"]) == ()
    assert lab.violations == []
