"""A protocol's datasheet: what stands in it for people, and that its diagram is the machine's own."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from labctl.cell import CellMachine, transitions
from labctl.cli.app import run_app
from labctl.protocol import shipped

DEAD_LITHIUM = next(path for path in shipped() if path.name == "dead-lithium.yaml")


def shown(capsys, *more: str, path=DEAD_LITHIUM) -> str:
    assert run_app(["protocol", "show", str(path), *more]) == 0
    return capsys.readouterr().out


def test_a_datasheet_says_limits_steps_spectra_and_durations(capsys):
    text = shown(capsys)
    for part in (
        "# dead-lithium\n\nAfter Wichmann et al., Nat. Commun. 2025, Methods",
        "- limits of the voltage: 2.8 V to 4.4 V",
        "- measured: cycle 1, 15, 30; a measured cell ends there",
        "| 01 charge | current 0.2 mA/cm2 (cycles 1-2), 0.4 mA/cm2 (cycles 3-); until voltage upper | all | – | 16 h |",
        "| metal | 7Li zgpr | 1024 | 500 ms | 9 min 10 s |",
        "| standard | galvanostatic | 300 kHz to 100 mHz | 10 | 6 | 100 uA/cm2 | 34 min 53 s | 3 |",
        "- A cell is held at 07-hold, if its guard time of 24 h ends it.",
    ):
        assert part in text


def test_for_a_cell_its_currents_and_the_time_of_a_whole_capacity_are_shown(capsys):
    text = shown(capsys, "--cell-area", "1.0 cm2", "--cell-capacity", "2.62 mAh")
    # The paper's first charge: 13 h 07 min at 0.2 mA cm-2 for 2.62 mAh cm-2; 13.1 h are 13 h 06 min.
    assert "| 6 h 33 min to 13 h 6 min | 16 h | 0.2 mA or 0.4 mA |" in text


def test_the_diagram_has_the_states_and_transitions_of_the_machine(capsys):
    text = shown(capsys)
    for one in transitions():
        if one.to != one.source:
            source, to = (name.replace(" ", "_") for name in (one.source, one.to))
            assert re.search(rf"^    {source} --> {to} : {one.trigger}", text, re.MULTILINE)
    machine = CellMachine("a", ["x", "y"])
    reached = {machine.fire(trigger) for trigger in ("hold", "resume", "complete", "complete")}
    assert reached <= {name for one in transitions() for name in (one.source, one.to)}


def test_measured_cycles_go_their_own_way_in_the_diagram(capsys):
    text = shown(capsys)
    names = dict(re.findall(r'state "(\d\d-[^"]+)" as (s\d+)', text))
    charge, discharge, nutation = (names[name] for name in ("01-charge", "04-discharge", "02-nutation-charged"))
    assert f"{charge} --> {discharge} : cycle 1–29\n" in text
    assert f"{charge} --> {nutation} : cycle 1, 15, 30" in text
    assert f"{discharge} --> {charge} : after cycle 1–29\n" in text
    assert f"{names['09-eis-stripped']} --> [*]" in text


def test_a_page_opens_offline_and_shows_the_diagram(tmp_path, capsys):
    page = tmp_path / "sheet.html"
    shown(capsys, "--html", str(page))
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    # Nothing but the name of the SVG's own vocabulary looks like an address.
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= {"http://www.w3.org/2000/svg"}
    svg = ElementTree.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    words = {"".join(one.itertext()) for one in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert {"under way", "held", "finished", "stopped", "aborted"} <= words
    assert all(name in words for name in re.findall(r'state "([^"]+)" as s\d', text.replace("&quot;", '"')))


def test_a_page_that_is_there_is_not_overwritten(tmp_path, capsys):
    page = tmp_path / "sheet.html"
    page.write_text("mine", encoding="utf-8")
    assert run_app(["protocol", "show", str(DEAD_LITHIUM), "--html", str(page)]) == 2
    assert page.read_text(encoding="utf-8") == "mine"


MEASURED = """
labctl: 1
protocol: until-worn
limits: {voltage: [2.8 V, 4.4 V], current: 5 mA}
steps:
  - cycle:
      count: 50
      until: "soh < 80 %"
      steps:
        - charge: {current: 0.4 mA, until: {voltage: 4.3 V}, at_most: 16 h}
        - discharge: {current: 0.6 mA, until: {voltage: 3 V}, at_most: 8 h}
        - when: {if: "ce < 90 %", steps: [rest: {duration: 1 h}]}
"""


def test_what_is_decided_by_what_is_measured_is_said_so(tmp_path, capsys):
    (tmp_path / "p.yaml").write_text(MEASURED, encoding="utf-8")
    text = shown(capsys, path=tmp_path / "p.yaml")
    assert "## Steps of cycle 1–50, until soh < 80 %" in text
    assert "| 03 rest | duration 1 h | all; if ce &lt; 90 % | 1 h | – |" in text
    # After the discharge a cell rests, or goes into its next cycle, or is finished.
    assert "s2 --> s3 : cycle 1–50, as measured" in text
    assert "s2 --> s1 : after cycle 1–49, as measured" in text
    assert "s2 --> [*]" in text
