"""Protocols that pass to other programs and back: the same steps, and a line for everything that does not pass."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from labctl.cli.app import run_app
from labctl.protocol import expand, load_protocol, shipped

AREA = ("--cell-area", "1.0 cm2")
DEAD_LITHIUM = next(path for path in shipped() if path.name == "dead-lithium.yaml")

#: As BuildTest writes them: no description of ours, CRLF, a safety end, a C-rate, a current with a limit of voltage.
FOREIGN = """<?xml version="1.0" encoding="UTF-8"?>\r
<?maccor-application progid="Maccor Procedure File"?>\r
<MaccorTestProcedure><header><FileFormatVersion><BTVersion>11</BTVersion></FileFormatVersion><ProcDesc><desc>ours</desc>
</ProcDesc></header><ProcSteps>{steps}</ProcSteps></MaccorTestProcedure>"""


def foreign(*steps: str) -> str:
    return FOREIGN.format(steps="\r\n".join(steps))


def told(kind: str, mode: str = "", value: str = "", limits: str = "", ends: tuple[str, ...] = ()) -> str:
    entries = ""
    for end in ends:
        what, sign, amount, target, *safety = end.split()
        sign = sign.replace("<", "&lt;").replace(">", "&gt;")
        extra = "<ChanSafetyEnd>True</ChanSafetyEnd>" if safety else ""
        entries += (
            f"<EndEntry><EndType>{what.replace('_', ' '):<8}</EndType><SpecialType> </SpecialType>"
            f"<Oper>{sign:^3}</Oper><Step>{target}</Step><Value>{amount}</Value>{extra}</EndEntry>"
        )
    return (
        f"<TestStep><StepType>{kind:^8}</StepType><StepMode>{mode:<8}</StepMode><StepValue>{value}</StepValue>"
        f"<Limits>{limits}</Limits><Ends>{entries}</Ends><Reports/><Range>2</Range><StepNote></StepNote></TestStep>"
    )


CYCLED = foreign(
    told("Rest", ends=("StepTime = 12:00:00 002", "Voltage >= 4.35 007 safety")),
    told("Do 1"),
    told("Charge", "Current", "0.0002", ends=("Voltage >= 4.3 004", "StepTime = 20:00:00 007")),
    told("Dischrge", "Current", "0.0006", ends=("Voltage <= 3.0 005",)),
    told("AdvCycle"),
    told("Loop 1", ends=("Loop_Cnt = 30 007",)),
    told("End"),
)


def export(protocol: Path, kind: str, out: Path, *more: str) -> str:
    assert run_app(["protocol", "export", str(protocol), "--format", kind, "--out", str(out), *(more or AREA)]) == 0
    return out.read_text(encoding="utf-8")


def bring(source: Path, out: Path) -> Path:
    assert run_app(["protocol", "import", str(source), "--out", str(out)]) == 0
    return out


def steps_told(text: str) -> list[tuple[str, ...]]:
    """What a tester does: kind, mode, value, limits and ends of every step, without texts that only describe."""
    return [
        (
            *((step.findtext(part) or "").strip() for part in ("StepType", "StepMode", "StepValue", "Limits/Current")),
            *("".join(part.strip() for part in end.itertext()) for end in step.iterfind("Ends/EndEntry")),
        )
        for step in ElementTree.fromstring(text).iter("TestStep")
    ]


@pytest.mark.parametrize("protocol", ["dead-lithium", "deis"])
def test_a_procedure_that_comes_back_is_written_with_the_same_steps(tmp_path, protocol):
    path = DEAD_LITHIUM.with_name(f"{protocol}.yaml")
    first = export(path, "maccor", tmp_path / "first.000")
    back = bring(tmp_path / "first.000", tmp_path / "back.yaml")
    again = export(back, "maccor", tmp_path / "again.000")
    assert steps_told(again) == steps_told(first)
    assert len(steps_told(first)) > 10


def test_thirty_cycles_are_a_loop_and_not_sixty_steps(tmp_path):
    steps = steps_told(export(DEAD_LITHIUM, "maccor", tmp_path / "p.000"))
    assert [kind for kind, *_ in steps[:6]] == ["Rest", "Do 1", "Charge", "Dischrge", "AdvCycle", "Loop 1"]
    # Cycles 1 and 2 at 0.2 mA, 3 to 29 at 0.4 mA, and the measured one apart.
    assert [end for kind, *_, end in steps if kind.startswith("Loop")] == [
        "Loop Cnt=0072",
        "Loop Cnt=01227",
        "Loop Cnt=0231",
    ]


def test_a_guard_time_ends_the_procedure_and_never_leads_on(tmp_path):
    steps = steps_told(export(DEAD_LITHIUM, "maccor", tmp_path / "p.000"))
    charge = next(step for step in steps if step[0] == "Charge")
    assert f"StepTime={len(steps):03d}16:00:00" in charge


def test_every_step_that_is_no_electrochemistry_is_said(tmp_path, capsys):
    export(DEAD_LITHIUM, "maccor", tmp_path / "p.000", *AREA, "--measure-at", "15")
    said = capsys.readouterr().err
    for part in (
        "02-nmr-pristine (before the first cycle): an NMR spectrum is no electrochemistry: left out",
        "02-nutation-charged (cycle 15): the calibration of an NMR pulse",
        "02-nmr-charged (cycle 15)",
        "03-eis-charged: the cycler's procedure takes no impedance",
        "07-hold: no procedure sets its temperature of 40 degC: left out",
        "the limits of the channel, 2.8 V to 4.4 V and 5 mA, are not in a procedure",
    ):
        assert part in said
    kinds = ("nmr", "eis", "nutation")

    class _Cell:
        id, area, measure_at = "cell", 1e-4, (15,)

    left = {one.path.partition("/")[2] for one in expand(load_protocol(DEAD_LITHIUM), _Cell()) if one.kind in kinds}
    assert all(step in said for step in left)


def test_a_procedure_of_buildtest_becomes_a_protocol_that_is_valid_and_says_what_was_assumed(tmp_path, capsys):
    (tmp_path / "Cycling 30x.000").write_text(CYCLED, encoding="utf-8", newline="")
    text = bring(tmp_path / "Cycling 30x.000", tmp_path / "p.yaml").read_text(encoding="utf-8")
    said = capsys.readouterr().err
    assert "  - rest: {duration: 12 h}\n  - cycle:\n      count: 30\n" in text
    assert "- charge: {current: 0.2 mA, until: {voltage: 4.3 V}, at_most: 20 h}\n" in text
    assert "step 001: ends the procedure by Voltage >= 4.35 V: said for all steps, as a limit of the protocol" in said
    assert "limits: {voltage: [2.9 V, 4.35 V], current: 0.6 mA}" in text
    assert "no time ends it: 'at_most: 48 h' taken" in said
    # Whoever opens the file reads the same.
    assert all(f"# - {line}" in text for line in said.splitlines()[:-1])
    assert run_app(["check", str(tmp_path / "p.yaml")]) == 0


def test_what_a_protocol_has_no_word_for_is_named_with_its_step(tmp_path, capsys):
    steps = (
        told("Charge", "Power", "0.001", ends=("StepTime = 01:00:00 002",)),
        told("FastWave", value="DRIVE", ends=("StepTime = 01:00:00 003",)),
        told("Charge", "Current", "0.001", "<Voltage>4.2</Voltage>", ("Current <= 0.00005 004",)),
        told("Dischrge", "Current", "0.001", ends=("Voltage <= 3 005", "Current <= 1 001", "Half_Cyc = 5 005")),
        told("End"),
        told("Rest", ends=("StepTime = 01:00:00 007",)),
        told("End"),
    )
    (tmp_path / "odd.000").write_text(foreign(*steps), encoding="utf-8")
    text = bring(tmp_path / "odd.000", tmp_path / "odd.yaml").read_text(encoding="utf-8")
    said = capsys.readouterr().err
    for part in (
        "step 001: a Charge with mode 'Power' at '0.001' can't be said: left out",
        "step 002: 'FastWave' is unknown: left out",
        "step 003: a current with a limit of the voltage is said as two steps",
        "step 004: goes to step 001 by Current <= 1 A: no protocol branches so: left out",
        "step 004: its end by Half Cyc >= 5 can't be said: left out",
        "step 005: 2 steps behind an End are left out",
    ):
        assert part in said
    assert "- charge: {current: 1 mA, until: {voltage: 4.2 V}, at_most: 48 h}" in text
    assert "- hold: {voltage: 4.2 V, limit: {current: 1 mA}, until: {current: 0.05 mA}, at_most: 48 h}" in text


UNICYCLER = {
    "sample": {"name": "x", "capacity_mAh": 2.0},
    "record": {"time_s": 10},
    "safety": {"max_voltage_V": 4.5, "min_voltage_V": 2.5, "max_current_mA": 4, "min_current_mA": -4},
    "method": [
        {"step": "open_circuit_voltage", "until_time_s": 3600},
        {"step": "impedance_spectroscopy", "amplitude_V": 0.01, "start_frequency_Hz": 1e5, "end_frequency_Hz": 0.1},
        {"step": "tag", "tag": "formation"},
        {"step": "constant_current", "rate_C": "C/10", "until_voltage_V": 4.2, "until_time_s": 43200},
        {"step": "constant_voltage", "voltage_V": 4.2, "until_rate_C": 0.02, "until_time_s": 7200},
        {"step": "constant_current", "current_mA": -0.5, "until_voltage_V": 3.0, "until_time_s": 43200},
        {"step": "loop", "loop_to": "formation", "cycle_count": 3},
        {"step": "open_circuit_voltage", "until_time_s": 60},
    ],
}


def test_a_unicycler_protocol_that_comes_back_has_the_same_steps(tmp_path):
    (tmp_path / "u.json").write_text(json.dumps(UNICYCLER), encoding="utf-8")
    back = bring(tmp_path / "u.json", tmp_path / "u.yaml")
    found = json.loads(export(back, "unicycler", tmp_path / "again.json"))
    assert found["safety"] == UNICYCLER["safety"]
    absolute = [dict(step) for step in UNICYCLER["method"]]
    # A protocol's currents are absolute once a cell is chosen: 2 mAh at C/10.
    absolute[3] = {**absolute[3], "current_mA": 0.2}
    absolute[4] = {**absolute[4], "until_current_mA": 0.04}
    for step in absolute:
        step.pop("rate_C", None)
        step.pop("until_rate_C", None)
        step.pop("tag", None)
        step.pop("loop_to", None)
    absolute[1] |= {"points_per_decade": 10, "measures_per_point": 1}
    for step in found["method"]:
        step.pop("tag", None)
        step.pop("loop_to", None)
    assert found["method"] == absolute


def test_a_spectrum_beyond_the_other_programs_band_is_left_out_and_said(tmp_path, capsys):
    method = json.loads(export(DEAD_LITHIUM, "unicycler", tmp_path / "u.json"))["method"]
    assert all(step["step"] != "impedance_spectroscopy" for step in method)
    assert "03-eis-charged: a spectrum from 300000 Hz to 0.1 Hz" in capsys.readouterr().err


def test_an_experiment_is_a_script_whose_steps_name_current_time_and_end(tmp_path):
    script = export(DEAD_LITHIUM, "pybamm", tmp_path / "e.py", *AREA, "--measure-at", "1")
    calls = [node for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Call) and len(node.args) == 1]
    said = [call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)]
    assert said[:2] == ["Rest for 12 hours", "Charge at 0.0002 A for 16 hours or until 4.3 V"]
    assert "Hold at 3 V for 24 hours or until 0.000001 A" in said
    assert 'step("Hold at 3 V for 24 hours or until 0.000001 A", temperature=313.15)' in script


def test_an_operando_step_keeps_its_current_and_says_what_it_loses(tmp_path, capsys):
    script = export(DEAD_LITHIUM.with_name("operando.yaml"), "pybamm", tmp_path / "e.py")
    assert "Charge at 0.0002 A for 20 hours or until 4.3 V" in script
    assert (
        "only its current is electrochemistry: the NMR spectra and the pauses are left out" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no JSON"),
        ("{}", "it has no 'method'"),
        ('{"method": [{"step": "loop", "loop_to": "nowhere", "cycle_count": 2}]}', "loops to 'nowhere'"),
        ('{"method": [{"step": "constant_current", "until_time_s": 5}]}', "neither 'rate_C' nor 'current_mA'"),
        ('{"method": [{"step": "open_circuit_voltage", "until_time_s": "soon"}]}', "not a number"),
        ('{"method": [{"step": "dance"}]}', "no step that a protocol could say"),
        ("<a/>", "not a procedure file"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "declares no document type"),
        (foreign(told("Loop 1", ends=("Loop_Cnt = 3 002",))), "has not begun"),
        (foreign(told("Do 1"), told("Rest", ends=("StepTime = 1:00:00 003",))), "the loop 1 has no end"),
        (foreign(told("End")), "does nothing that a protocol could say"),
    ],
)
def test_what_is_neither_is_refused_in_one_line(tmp_path, capsys, text, said):
    (tmp_path / "x").write_text(text, encoding="utf-8")
    assert run_app(["protocol", "import", str(tmp_path / "x"), "--out", str(tmp_path / "y.yaml")]) == 2
    message = capsys.readouterr().err
    assert said in message
    assert "Traceback" not in message
    assert not (tmp_path / "y.yaml").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "give --cell-area '1.0 cm2', or --cells FILE --cell ID"),
        (("--cell-area", "1.0"), "has no unit"),
        (("--cell-area", "1.0 cm2", "--measure-at", "2"), "the protocol does not measure cycle 2"),
        (("--cell-area", "1.0 cm2", "--measure-at", "x"), "not numbers of cycles"),
    ],
)
def test_whose_currents_is_asked_before_anything_is_written(tmp_path, capsys, more, said):
    out = tmp_path / "p.000"
    assert run_app(["protocol", "export", str(DEAD_LITHIUM), "--format", "maccor", "--out", str(out), *more]) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_a_cell_of_a_cells_file_gives_area_and_measured_cycle(tmp_path):
    cells = Path(__file__).parent.parent / "good" / "cells.yaml"
    text = export(DEAD_LITHIUM, "unicycler", tmp_path / "u.json", "--cells", str(cells), "--cell", "bare-01")
    found = json.loads(text)
    assert found["sample"]["name"] == "bare-01"
    assert found["method"][2]["current_mA"] == pytest.approx(0.2)


def test_nothing_that_is_there_is_overwritten(tmp_path):
    (tmp_path / "p.000").write_text("mine", encoding="utf-8")
    command = ["protocol", "export", str(DEAD_LITHIUM), "--format", "maccor", "--out", str(tmp_path / "p.000"), *AREA]
    assert run_app(command) == 2
    assert (tmp_path / "p.000").read_text(encoding="utf-8") == "mine"


RICH = """
labctl: 1
protocol: rich
limits: {voltage: [2.5 V, 4.5 V], current: 5 mA}
steps:
  - cycle:
      count: 3
      steps:
        - charge: {current: 0.5C, until: {any: [{voltage: 4.2 V}, {capacity: 1 mAh}]}, at_most: 4 h}
        - repeat:
            count: 4
            steps:
              - discharge: {current: 1 mA, until: {duration: 10 min}}
              - rest: {duration: 5 min}
        - when: {if: "ce < 90 %", steps: [rest: {duration: 1 h}]}
        - discharge: {current: 1 mA, until: {voltage: 3 V}, at_most: 4 h}
"""


def test_loops_within_cycles_capacities_and_c_rates_pass_and_conditions_are_said(tmp_path, capsys):
    (tmp_path / "rich.yaml").write_text(RICH, encoding="utf-8")
    sizes = ("--cell-area", "1 cm2", "--cell-capacity", "2 mAh")
    first = export(tmp_path / "rich.yaml", "maccor", tmp_path / "rich.000", *sizes)
    assert "'ce < 90 %', which is known at run time only: left out" in capsys.readouterr().err
    steps = steps_told(first)
    assert [kind for kind, *_ in steps if "oop" in kind or kind == "Charge"] == ["Charge", "Loop 2", "Loop 1"]
    assert steps[1][:3] == ("Charge", "Current", "0.001")
    assert any("Capacity" in end and end.endswith("0.001") for end in steps[1][4:])
    back = bring(tmp_path / "rich.000", tmp_path / "back.yaml")
    text = back.read_text(encoding="utf-8")
    assert "- repeat:" in text
    assert "until: {any: [{voltage: 4.2 V}, {capacity: 1 mAh}]}, at_most: 4 h" in text
    assert steps_told(export(back, "maccor", tmp_path / "again.000")) == steps


def test_an_end_by_capacity_is_the_time_that_it_takes_where_none_is_known(tmp_path, capsys):
    (tmp_path / "rich.yaml").write_text(RICH, encoding="utf-8")
    sizes = ("--cell-area", "1 cm2", "--cell-capacity", "2 mAh")
    script = export(tmp_path / "rich.yaml", "pybamm", tmp_path / "e.py", *sizes)
    assert "Charge at 0.001 A for 1 hours or until 4.2 V" in script
    assert "01-charge: its end by capacity is said as a time, 1 h" in capsys.readouterr().err
