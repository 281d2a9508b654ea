"""The programs that exported protocols are for read them themselves: aurora-unicycler and PyBaMM."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from labctl.cli.app import run_app
from labctl.protocol import shipped

pytestmark = pytest.mark.conformance
AREA = ("--cell-area", "1.0 cm2")
UNICYCLER = "import json, sys, aurora_unicycler as u; print(u.Protocol.from_json(sys.argv[1]).model_dump_json())"
PYBAMM = """
import json, runpy, sys
experiment = runpy.run_path(sys.argv[1])["experiment"]
print(json.dumps([
    {"kind": type(one).__name__, "value": float(one.value), "duration": one.duration, "temperature": one.temperature,
     "ends": [[type(end).__name__, float(end.value)] for end in one.termination]}
    for one in experiment.steps
]))
"""


def asked(script: str, path: Path) -> object:
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYBAMM_DISABLE_TELEMETRY": "true", "HOME": str(path.parent), "PATH": "/usr/bin:/bin"},
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("protocol", [path.name for path in shipped()])
def test_aurora_unicycler_reads_every_shipped_protocol_as_it_was_meant(tmp_path, protocol):
    path = next(one for one in shipped() if one.name == protocol)
    out = tmp_path / "p.json"
    assert run_app(["protocol", "export", str(path), "--format", "unicycler", "--out", str(out), *AREA]) == 0
    read = asked(UNICYCLER, out)
    written = json.loads(out.read_text(encoding="utf-8"))
    assert len(read["method"]) == len(written["method"])
    for one, other in zip(read["method"], written["method"], strict=True):
        assert {key: one[key] for key in other} == other


def test_what_aurora_unicycler_wrote_comes_in(tmp_path):
    made = tmp_path / "u.json"
    script = (
        "import json, sys, aurora_unicycler as u\n"
        "p = u.Protocol(record=u.RecordParams(time_s=10), sample=u.SampleParams(name='x', capacity_mAh=2), method=[\n"
        " u.Tag(tag='a'), u.ConstantCurrent(rate_C='C/2', until_voltage_V=4.2, until_time_s=9000),\n"
        " u.ConstantVoltage(voltage_V=4.2, until_rate_C=0.05, until_time_s=3600),\n"
        " u.ConstantCurrent(rate_C=-0.5, until_voltage_V=3.0, until_time_s=9000),\n"
        " u.Loop(loop_to='a', cycle_count=5)])\n"
        "p.to_json(sys.argv[1]); print('0')"
    )
    asked(script, made)
    assert run_app(["protocol", "import", str(made), "--out", str(tmp_path / "p.yaml")]) == 0
    text = (tmp_path / "p.yaml").read_text(encoding="utf-8")
    assert "count: 5" in text
    assert "- charge: {current: 1 mA, until: {voltage: 4.2 V}, at_most: 2.5 h, on_timeout: continue}" in text
    assert "until: {current: 0.1 mA}" in text


def test_pybamm_reads_every_step_with_its_current_its_time_and_its_end(tmp_path):
    path = next(one for one in shipped() if one.name == "dead-lithium.yaml")
    out = tmp_path / "e.py"
    command = ["protocol", "export", str(path), "--format", "pybamm", "--out", str(out), "--measure-at", "1", *AREA]
    assert run_app(command) == 0
    steps = asked(PYBAMM, out)
    assert [step["kind"] for step in steps[:2]] == ["Rest", "Current"]
    # PyBaMM counts a discharge as positive.
    assert steps[1] == {
        "kind": "Current",
        "value": pytest.approx(-0.0002),
        "duration": 57600,
        "temperature": None,
        "ends": [["VoltageTermination", 4.3]],
    }
    hold = next(step for step in steps if step["kind"] == "Voltage")
    assert hold["value"] == 3.0
    assert hold["temperature"] == pytest.approx(313.15)
    assert hold["ends"] == [["CurrentTermination", pytest.approx(1e-6)]]


@pytest.mark.parametrize("protocol", [path.name for path in shipped()])
def test_pybamm_parses_the_strings_of_every_shipped_protocol(tmp_path, protocol, capsys):
    path = next(one for one in shipped() if one.name == protocol)
    command = ["protocol", "export", str(path), "--format", "pybamm", "--out", str(tmp_path / "e.py"), *AREA]
    assert run_app([*command, "--verify"]) == 0
    assert "PyBaMM reads it" in capsys.readouterr().err
