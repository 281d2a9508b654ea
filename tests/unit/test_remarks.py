"""What is allowed and seldom meant: spectra that would lack what they refer to are told with their line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labctl.cli.app import run_app
from labctl.protocol import shipped

STATION = Path(__file__).parents[1] / "good" / "station.yaml"
DEAD_LITHIUM = next(path for path in shipped() if path.stem == "dead-lithium")


def remarks(capsys: pytest.CaptureFixture[str], *arguments: Path | str) -> list[tuple[int, int, str, str]]:
    assert run_app(["check", *map(str, arguments), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["remarks"]
    return [(one["line"], one["column"], one["found"], one["right"]) for one in told]


def test_a_real_station_that_does_not_say_how_zero_is_found_is_told_so(capsys, tmp_path):
    real = tmp_path / "station.yaml"
    real.write_text(STATION.read_text().replace("mode: simulated", "mode: live"))
    found = "nothing says how topspin measures the LiCl standard, by which 0 ppm is found: 7 us at 80 W are taken"
    right = "write 'reference: {pulse: 7 us, power: 80 W}' with what its probe bears"

    assert remarks(capsys, DEAD_LITHIUM, "--station", real) == [(9, 3, found, right)]

    real.write_text(real.read_text().replace("data_folder: topspin-data", "reference: {pulse: 5 us, power: 50 W}"))
    assert remarks(capsys, DEAD_LITHIUM, "--station", real) == []
    assert remarks(capsys, DEAD_LITHIUM, "--station", STATION) == []


def test_a_discharged_cell_is_counted_against_the_charged_one(capsys, tmp_path):
    lone = tmp_path / "lone.yaml"
    lone.write_text(DEAD_LITHIUM.read_text().replace("charged, experiment", "full, experiment"))
    lone.write_text(lone.read_text().replace("disfull", "discharged").replace(": charged,", ": full,"))
    lone.write_text(lone.read_text().replace("from: charged", "from: full"))

    [(line, column, found, right)] = remarks(capsys, lone)

    assert (line, column) == (33, 25)
    assert found == "'discharged' is measured, but not 'charged': its integral is no amount of lithium then"
    assert right == "put an 'nmr' step 'as: charged' behind the charge, or give the state another label"
