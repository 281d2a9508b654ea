"""A wrong value under ``simulate`` in a station file is one message at its place, and nothing is simulated."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.cli.app import run_app
from labctl.protocol import shipped

GOOD = Path(__file__).parent.parent / "good"
#: Where the options go in the station of ``tests/good``: behind what, and in which line that stands.
LINES = {"maccor": ("export_folder: maccor-export", 8), "mux": ('::5025::SOCKET"', 12)}


@pytest.mark.parametrize(
    ("instrument", "options", "at", "words"),
    [
        ("maccor", "{export: {layout: secnds}}", "secnds", "unknown layout 'secnds' of an export; known are seconds,"),
        ("maccor", "{export: {layuot: seconds}}", "layuot", "an export has no layuot; it has layout, decimal"),
        ("mux", "{broken: {stuck: [101, 999]}}", "999", "mux has no relay 999"),
        ("mux", "{clock_ahead_s: soon}", "soon", "could not convert string to float: 'soon'"),
        ("mux", "{power_fail_recall: true, slots: 7}", "simulate", "a value is of the wrong kind"),
    ],
)
@pytest.mark.parametrize("command", ["simulate", "run"])
def test_a_wrong_value_for_a_simulator_is_one_message_at_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, instrument: str, options: str, at: str, words: str
) -> None:
    behind, line = LINES[instrument]
    station, lab = tmp_path / "station.yaml", tmp_path / "lab"
    station.write_text((GOOD / "station.yaml").read_text().replace(behind, f"{behind}, simulate: {options}", 1))
    column = station.read_text().splitlines()[line - 1].index(at) + 1

    asked = ["simulate"] if command == "simulate" else ["run", str(shipped()[0]), "--simulate"]
    code = run_app([*asked, "--station", str(station), "--cells", str(GOOD / "cells.yaml"), "--lab", str(lab)])

    assert code == 6
    [message] = capsys.readouterr().err.splitlines()
    assert message.startswith(f"{station}:{line}:{column}: '{instrument}' can't be simulated like this: {words}")
    assert not (lab / "simulation.json").exists()
