"""Parameters, included files and defines: what is left is the protocol that somebody would have written out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labctl.cli.app import run_app
from labctl.cli.init import make_laboratory
from labctl.cli.running import RunRequest, run
from labctl.cli.taking_up import frozen as frozen_campaign
from labctl.documents import load
from labctl.engine.campaign import make
from labctl.engine.clock import WallClock
from labctl.errors import InvalidFile, UsageError
from labctl.journal import FILE_NAME, LastWord
from labctl.protocol import Protocol, load_protocol, read_protocol
from labctl.station import load_cells, load_station

GOOD = Path(__file__).parents[1] / "good"
CELLS = Path(__file__).parents[2] / "labctl" / "cli" / "templates" / "cells-operando.yaml"
PIECE = """labctl: 1
parameters: {slow: 0.1 mA/cm2}
define:
  formation:
    parameters: {current: 0.1 mA/cm2, upper: null}
    steps:
      - charge: {current: $current, until: {voltage: $upper}, at_most: 20 h}
      - use: {waiting: {duration: 30 min}}
  waiting:
    parameters: {duration: 1 h}
    steps:
      - rest: {duration: $duration}
spectra:
  standard: {control: potentiostatic, frequency: [100 kHz, 0.1 Hz], points_per_decade: 10, periods: 3, amplitude: 10 mV}
"""
SHORT = """labctl: 1
protocol: my-cells
parameters: {formation_current: 0.2 mA/cm2, count: 2, label: null, upper: 4.2 V}
include: [pieces/formation.yaml]
limits: {voltage: [2.8 V, $upper], current: 5 mA}
steps:
  - use: {formation: {current: $formation_current, upper: $upper}}
  - cycle:
      count: $count
      steps:
        - use: {formation: {current: $slow, upper: 4.1 V}}
        - eis: {as: $label, spectrum: standard}
        - use: waiting
"""
LONG = """labctl: 1
protocol: my-cells
limits: {voltage: [2.8 V, 4.2 V], current: 5 mA}
steps:
  - charge: {current: 0.2 mA/cm2, until: {voltage: 4.2 V}, at_most: 20 h}
  - rest: {duration: 30 min}
  - cycle:
      count: 2
      steps:
        - charge: {current: 0.1 mA/cm2, until: {voltage: 4.1 V}, at_most: 20 h}
        - rest: {duration: 30 min}
        - eis: {as: after, spectrum: standard}
        - rest: {duration: 1 h}
spectra:
  standard: {control: potentiostatic, frequency: [100 kHz, 0.1 Hz], points_per_decade: 10, periods: 3, amplitude: 10 mV}
"""


@pytest.fixture
def short(tmp_path: Path) -> Path:
    (tmp_path / "pieces").mkdir()
    (tmp_path / "pieces" / "formation.yaml").write_text(PIECE)
    path = tmp_path / "short.yaml"
    path.write_text(SHORT)
    return path


def test_a_protocol_of_defines_is_the_one_written_out(short: Path) -> None:
    found = load_protocol(short, {"label": "after"})
    assert found.model_dump() == read_protocol(LONG, "long.yaml").model_dump()
    assert found.document.data == read_protocol(LONG, "long.yaml").document.data
    assert found.document.remarks == ()


def test_what_is_said_beside_the_file_wins_and_is_read_as_in_the_file(short: Path) -> None:
    found = load_protocol(short, {"label": "after", "count": "7", "slow": "0.3 mA/cm2"})
    cycle = found.steps[2].cycle
    assert cycle.count == 7
    assert cycle.steps[0].charge.current.written == "0.3 mA/cm2"


def test_a_parameter_that_there_is_not_cannot_be_said(short: Path) -> None:
    with pytest.raises(UsageError, match="no parameter 'lable'; did you mean 'label'"):
        load_protocol(short, {"lable": "after"})


def test_a_mistake_in_what_is_said_names_the_command_line(short: Path) -> None:
    with pytest.raises(InvalidFile) as caught:
        load_protocol(short, {"label": "after", "count": "0"})
    assert str(caught.value) == (
        f"{short}:3:52: the number 0; write at least 1 (by --set count=0, used at {short}:9:14)"
    )


def test_text_in_quotes_is_text_and_no_parameter(short: Path) -> None:
    text = SHORT.replace("limits:", "cites: '$upper'\nlimits:", 1)
    short.write_text(text)
    assert load_protocol(short, {"label": "after"}).cites == "$upper"


def test_all_mistakes_of_all_files_come_in_one_go(short: Path) -> None:
    short.write_text(SHORT.replace("use: waiting", "use: waitin").replace("$slow", "$slo").replace("5 mA", "5 V"))
    (short.parent / "pieces" / "formation.yaml").write_text(PIECE.replace("20 h", "20 hrs"))
    with pytest.raises(InvalidFile) as caught:
        load_protocol(short, {"label": "after"})
    places = [(Path(one.file).name, one.line, one.column) for one in caught.value.mistakes]
    assert places == [("formation.yaml", 7, 72), ("short.yaml", 5, 45), ("short.yaml", 11, 38), ("short.yaml", 13, 16)]


def test_what_is_used_nowhere_is_remarked(short: Path) -> None:
    extra = "define:\n  idle: {parameters: {time: 1 h}, steps: [{rest: {duration: 1 h}}]}\n"
    short.write_text(SHORT.replace("upper: 4.2 V}", "upper: 4.2 V, odd: 1}") + extra)
    remarks = load_protocol(short, {"label": "after"}).document.remarks
    assert [(one.line, one.column, one.found) for one in remarks] == [
        (3, 82, "the parameter 'odd' is used nowhere"),
        (15, 3, "the define 'idle' is used nowhere"),
        (15, 23, "the parameter 'time' of 'idle' is used nowhere"),
    ]


def frozen(protocol: Protocol) -> Protocol:
    """Take a protocol through what the journal keeps of its campaign."""
    campaign = make("c", protocol, load_station(GOOD / "station.yaml"), load_cells(CELLS), "simulated")
    kept = json.loads(json.dumps(campaign.files()))["protocol"]
    return read_protocol(kept["text"], kept["path"], kept["data"], values=kept["values"], pieces=kept["pieces"])


def test_a_campaign_keeps_what_its_protocol_has_come_to(short: Path) -> None:
    short.write_text(SHORT.replace("eis: {as: $label, spectrum: standard}", "rest: {duration: $label}"))
    begun = load_protocol(short, {"label": "3 h"})
    for path in (short.parent / "pieces" / "formation.yaml", short):
        path.unlink()

    again = frozen(begun)

    assert again == begun
    assert again.sha256 == begun.sha256
    path = ("steps", 2, "cycle", "steps", 0, "charge", "at_most")
    assert again.document.place(path) == begun.document.place(path)
    assert again.document.mistake(path, "x", "y").file.endswith("formation.yaml")


def test_another_piece_or_another_value_is_another_protocol(short: Path) -> None:
    first = load_protocol(short, {"label": "after"}).sha256
    assert load_protocol(short, {"label": "before"}).sha256 != first
    assert load_protocol(short, {"label": "after"}).sha256 == first
    (short.parent / "pieces" / "formation.yaml").write_text(PIECE.replace("20 h", "21 h"))
    assert load_protocol(short, {"label": "after"}).sha256 != first


def test_a_protocol_without_any_of_it_keeps_the_hash_of_its_text(tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    path.write_text(LONG)
    assert load_protocol(path).sha256 == load(path).sha256
    assert load_protocol(path).document.pieces == {}


def test_check_takes_values_and_tells_remarks(short: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["check", str(short)]) == 6
    assert "3:55: the parameter 'label' is not said; write its value here, or say it" in capsys.readouterr().err
    assert run_app(["check", str(short), "--set", "label=after", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["remarks"] == []
    short.write_text(SHORT.replace("upper: 4.2 V}", "upper: 4.2 V, odd: 1}"))
    assert run_app(["check", str(short), "--set", "label=after", "--set", "count=3"]) == 0
    assert "remark: " in capsys.readouterr().err
    for wrong in (["--set", "label"], ["--set", "label=a", "--set", "label=b"], ["--set", "=x"], ["--set", "x=1"]):
        assert run_app(["check", str(short), *wrong]) == 2


def test_a_run_takes_values_and_goes_on_without_the_files_that_it_included(short: Path) -> None:
    make_laboratory(short.parent / "lab", quiet=True)
    short.write_text(SHORT.replace("eis: {as: $label, spectrum: standard}", "rest: {duration: $label}"))
    lab = short.parent / "lab"
    begun = []
    request = RunRequest(
        lab, short, lab / "station.yaml", lab / "cells-operando.yaml", simulate=True, accelerate=True,
        values={"label": "2 h", "count": "1", "formation_current": "5 mA"},
    )  # fmt: skip
    outcome = run(request, on_begin=lambda campaign, at: begun.append(campaign))
    assert set(outcome.states.values()) <= {"finished", "held"}
    (row,) = LastWord(lab / FILE_NAME, WallClock()).campaigns()
    (short.parent / "pieces" / "formation.yaml").unlink()
    assert frozen_campaign(row).protocol == begun[0].protocol
    assert frozen_campaign(row).plans == begun[0].plans
