"""A simulated station says at once which cells its laboratory can't have, each at its place in the cells file."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.cli.check import check_protocol
from labctl.errors import InvalidFile
from labctl.station import impossible_cells, load_cells
from labctl_simulators.laboratory import Laboratory

GOOD = Path(__file__).parents[1] / "good"
PROTOCOL = """\
labctl: 1
protocol: one-charge
cutoffs: {upper: 4.3 V, lower: 3.0 V}
limits: {voltage: [2.8 V, 4.4 V], current: 5 mA}
steps:
  - charge: {current: 0.2 mA/cm2, until: {voltage: upper}, at_most: 16 h}
"""
CELLS = """\
labctl: 1
cells:
  - {id: a, barcode: B1, group: g, area: 1 cm2, chemistry: Li||S, place: cabinet/1}
  - {id: b, barcode: B2, group: g, area: 1 cm2, chemistry: Cu||LFP, place: cabinet/2, simulate: {substrate: tin}}
  - {id: c, barcode: B3, group: g, area: 1 cm2, chemistry: coated Cu||LNMO, place: cabinet/3, simulate: {foil: 20}}
  - {id: d, barcode: B4, group: g, area: 1 cm2, chemistry: NMC622||Li, place: cabinet/4, simulate: {layer: dual}}
"""
KNOWN = "Cu||NMC622, Cu||LFP, Cu||LNMO, Li||NMC622, Li||LFP, Li||LNMO, Li||Li, Cu||Li"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    protocol, station, cells = (tmp_path / name for name in ("protocol.yaml", "station.yaml", "cells.yaml"))
    protocol.write_text(PROTOCOL)
    station.write_text((GOOD / "station.yaml").read_text())
    cells.write_text(CELLS)
    return protocol, station, cells


def test_check_names_every_cell_that_cannot_be_simulated(files: tuple[Path, Path, Path]) -> None:
    with pytest.raises(InvalidFile) as raised:
        check_protocol(*files, as_json=False)
    found = [(one.line, one.column, one.found, one.right) for one in raised.value.mistakes]
    assert found == [
        (3, 60, "'a' can't be simulated like this: unknown chemistry 'Li||S'",
         f"write one of {KNOWN}; of electrodes alone Cu, Li, NMC622, LFP, LNMO"),
        (4, 109, "'b' can't be simulated like this: unknown substrate 'tin'", "write one of bare, coated, SrF2, Sn"),
        (5, 106, "'c' can't be simulated like this: unknown simulation option 'foil'",
         "write one of substrate, soc_factor, leak_A, capacity_mAh, relaxation, layer, electrolyte, foil_um, "
         "alloy_mAh, deposit_mAh, soc, soft_short"),
    ]  # fmt: skip


def test_a_live_station_takes_any_chemistry(files: tuple[Path, Path, Path]) -> None:
    protocol, station, cells = files
    station.write_text(station.read_text().replace("mode: simulated", "mode: live"))
    check_protocol(protocol, station, cells, as_json=True)


def test_a_wrong_amount_has_its_place_too(files: tuple[Path, Path, Path]) -> None:
    cells = files[2]
    cells.write_text(
        CELLS.splitlines(keepends=True)[0] + "cells:\n" + CELLS.splitlines()[5].replace("dual}", "dual, soc: 3}")
    )
    loaded = load_cells(cells)
    entries = [{"id": "d", "area_m2": 1e-4, "chemistry": "NMC622||Li", "simulate": {"layer": "dual", "soc": 3}}]
    (mistake,) = impossible_cells(loaded, Laboratory.impossible_cells({"cells": entries}))
    assert mistake.found == "'d' can't be simulated like this: soc is 3; it must be between 0 and 1"
    assert "docs/virtual-cell.md" in mistake.right
