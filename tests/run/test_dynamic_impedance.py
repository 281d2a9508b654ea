"""Impedance while a small current ends a discharge and begins a charge: every spectrum knows its state of charge."""

import csv

import pytest
from trouble import Scene, one_cell, play

from labctl.journal import Status

STEPS = """
charge: {current: 2 mA/cm2, until: {voltage: upper}, at_most: 16 h}
discharge: {current: 0.1 mA/cm2, until: {voltage: lower}, at_most: 40 h}
deis: {as: end-of-discharge, direction: discharge, current: 0.05 mA/cm2, until: {voltage: lower}, SERIES, LAST}
rest: {duration: 30 min}
deis: {as: start-of-charge, direction: charge, current: 0.05 mA/cm2, until: {voltage: upper}, SERIES}
""".replace("SERIES", "spectrum: dynamic, count: 20, at_most: 24 h").replace("LAST", "keep_on: true, pause: 30 s")
SPECTRUM = """spectra:
  dynamic: {control: galvanostatic, frequency: [30 kHz, 1 Hz], points_per_decade: 5, periods: 3,
            amplitude: 0.065 mA/cm2}
"""


def deis(laboratory) -> None:
    one_cell(laboratory, STEPS)
    laboratory.protocol.write_text(laboratory.protocol.read_text().replace("spectra:\n", SPECTRUM))


def stamps(folder):
    with (folder / "stamps.csv").open() as file:
        return list(csv.DictReader(file))


def test_twenty_spectra_each_at_the_end_of_discharge_and_the_start_of_charge_know_their_state_of_charge(laboratory):
    deis(laboratory)

    async def script(scene: Scene) -> None:
        cell = scene.lab.cells["bare-01"]
        await scene.until_state("finished", every=120.0)
        first = scene.row("01-charge").result["capacity_C"]
        out = scene.row("02-discharge").result["capacity_C"]
        net = first - out
        for label, way in (("end-of-discharge", -1), ("start-of-charge", 1)):
            row = scene.row(f"deis-{label}")
            assert row.status is Status.DONE
            found = stamps(scene.bundle(row))
            wanted = [one for one in found if one["wanted"] == "1"]
            assert len(wanted) == 20
            assert wanted == (found[-20:] if way < 0 else found[:20])
            for one in found:
                socs = [float(one[f"soc_{when}"]) for when in ("start", "middle", "end")]
                assert socs == sorted(socs, reverse=way < 0)
                assert socs[1] == pytest.approx((net + float(one["charge_middle_C"])) / first, abs=1e-6)
                assert (scene.bundle(row) / one["table"]).is_file()
            net += row.result["charge_C"]
        assert scene.document(scene.row("deis-end-of-discharge"))["summary"]["end"] == "voltage"
        assert scene.document(scene.row("deis-start-of-charge"))["summary"]["end"] == "spectra"
        state = scene.lab.cells["bare-01"].state
        assert net / 3.6 == pytest.approx(state.soc * cell.parameters.capacity, abs=0.003 * cell.parameters.capacity)
        assert scene.is_open()
        assert scene.lab.violations == []

    play(laboratory, script)
