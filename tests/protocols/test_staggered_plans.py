"""``labctl plan --stagger`` and ``--compare`` from the command line, on the example laboratory."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from labctl.cli.app import run_app
from labctl.cli.init import make_laboratory
from labctl.station import load_cells

PROTOCOL = "protocols/dead-lithium.yaml"


@pytest.fixture
def laboratory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four of the example's cells, measured at cycle 1: short, and all at the spectrometer at once."""
    make_laboratory(tmp_path, quiet=True)
    cells = (tmp_path / "cells.yaml").read_text()
    kept = re.sub(r"  - \{id: \w+-0[34].*\n.*\n", "", cells)
    (tmp_path / "cells.yaml").write_text(kept)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert run_app(["plan", PROTOCOL, "--runs", "1", "--begin", "2026-11-23 08:00", *more]) == 0
    return capsys.readouterr().out


def test_proposed_starts_are_run_by_the_engine_and_written_into_a_file_that_loads(
    laboratory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = json.loads(plan(capsys, "--stagger", "--method", "heuristic", "--write", "staggered.yaml", "--json"))
    assert told["schema"] == "labctl.stagger/1"
    assert told["staggered"]["fresh_s"] <= told["at_once"]["fresh_s"]
    assert told["staggered"]["makespan_s"] >= told["lower_bound"]["seconds"] * 0.97
    written = {cell.id: cell.start_after for cell in load_cells("staggered.yaml").cells}
    assert written == pytest.approx(told["starts_s"], abs=20.0)
    compared = json.loads(plan(capsys, "--compare", "staggered.yaml", "--json"))
    assert compared["compared"] == "cells"
    assert [one["name"] for one in compared["plans"]] == ["cells.yaml", "staggered.yaml"]


def test_a_comparison_of_stations_fits_into_80_columns(
    laboratory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (laboratory / "station.yaml").read_text().replace("station: example", "station: by-day")
    (laboratory / "by-day.yaml").write_text(text.replace("{name: operator}", '{name: op, hours: "Mo-Fr 08:00-19:00"}'))
    monkeypatch.setenv("COLUMNS", "80")
    shown = plan(capsys, "--compare", "by-day.yaml")
    assert "example" in shown
    assert "by-day" in shown
    assert max(map(len, shown.splitlines())) <= 80
