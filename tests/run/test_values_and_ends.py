"""A protocol of rates, selections and several ends, carried out by the engine on the simulated laboratory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labctl.cli.running import RunRequest, run

PROTOCOL = """\
labctl: 1
protocol: dead-lithium
cutoffs: {upper: 4.3 V, lower: 3.0 V}
limits: {voltage: [2.8 V, 4.4 V], current: 8 mA}
steps:
  - charge: {as: formation, current: 1C, until: {any: [{voltage: upper}, {capacity: 40 %}]}, at_most: 4 h}
  - cycle:
      count: 2
      steps:
        - discharge: {current: {1: 1C, last: C/2}, until: {any: [{voltage: lower}, {duration: 12 min}]}}
        - hold: {cycles: last, voltage: upper, limit: {current: 1 mA}, until: {capacity: 0.1 mAh/cm2}, at_most: 2 h}
        - charge: {current: 1C, until: {all: [{capacity: 10 %}, {voltage: 3.6 V}]}, at_most: 3 h}
"""
NOMINAL = 2.6 * 3.6


def test_the_result_says_which_end_it_was(laboratory: Any) -> None:
    laboratory.keep_cells("bare-01")
    laboratory.replace("cells.yaml", "measure_at: [1]", "capacity: 2.6 mAh")
    laboratory.protocol.write_text(PROTOCOL)
    files = (laboratory.folder / name for name in ("protocols/dead-lithium.yaml", "station.yaml", "cells.yaml"))
    request = RunRequest(laboratory.folder, *files, simulate=True, accelerate=True, seed=3)
    assert run(request).states == {"bare-01": "finished"}

    def told(step: str) -> dict[str, Any]:
        (file,) = (laboratory.folder / "results").rglob(f"{step}/a1/operation.json")
        return dict(json.loads(Path(file).read_text()))

    formation = told("c000/01-charge-formation")
    assert formation["label"] == "formation"
    assert formation["summary"]["end"] == "capacity"
    assert formation["summary"]["capacity_C"] == pytest.approx(0.4 * NOMINAL, rel=5e-3)
    first, second = told("c001/01-discharge"), told("c002/01-discharge")
    assert (first["summary"]["end"], first["status"]) == ("voltage", "ok")
    # A time that was asked for is no time-out.
    assert (second["summary"]["end"], second["status"], second["flags"]) == ("duration", "ok", [])
    assert second["summary"]["capacity_C"] == pytest.approx(0.5 * NOMINAL / 5, rel=5e-3)
    assert told("c002/02-hold")["summary"]["end"] == "capacity"
    assert told("c001/03-charge")["summary"]["end"] == "voltage"
    assert told("c001/03-charge")["summary"]["capacity_C"] >= 0.1 * NOMINAL * 0.99
    assert not list((laboratory.folder / "results").rglob("c001/02-hold"))
