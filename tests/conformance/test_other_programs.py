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
AREA = ("--cell-area", "1.0 cm2", "--cell-capacity", "2.6 mAh")
#: What shipped protocols leave to be said.
SAID = {"nmc-lithium.yaml": ("--set", "rate=0.2C")}
#: Nothing in them is for a cycler.
NMR_ALONE = {"alloy-spectrum.yaml", "soc-deposit.yaml", "soc-foil.yaml"}
UNICYCLER = """
import json, pathlib, sys, aurora_unicycler as u
folder = pathlib.Path(sys.argv[1])
print(json.dumps({one.stem: json.loads(u.Protocol.from_json(one).model_dump_json()) for one in folder.glob("*.json")}))
"""
PYBAMM = """
import json, pathlib, runpy, sys
folder = pathlib.Path(sys.argv[1])
print(json.dumps({one.stem: [
    {"kind": type(step).__name__, "value": float(step.value), "duration": step.duration,
     "temperature": step.temperature, "ends": [[type(end).__name__, float(end.value)] for end in step.termination]}
    for step in runpy.run_path(str(one))["experiment"].steps
] for one in folder.glob("*.py")}))
"""


def exported(folder: Path, kind: str, suffix: str, *more: str) -> None:
    """Export every shipped protocol that has something for a cycler."""
    for path in shipped():
        out = folder / f"{path.stem}{suffix}"
        command = ["protocol", "export", str(path), "--format", kind, "--out", str(out), *AREA, *more]
        assert run_app([*command, *SAID.get(path.name, ())]) == (2 if path.name in NMR_ALONE else 0)
        assert out.exists() is (path.name not in NMR_ALONE)


def asked(script: str, path: Path) -> object:
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYBAMM_DISABLE_TELEMETRY": "true", "HOME": str(path.parent), "PATH": "/usr/bin:/bin"},
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_aurora_unicycler_reads_every_shipped_protocol_as_it_was_meant(tmp_path):
    exported(tmp_path, "unicycler", ".json")
    found = asked(UNICYCLER, tmp_path)
    assert len(found) == len(shipped()) - len(NMR_ALONE)
    for name, read in found.items():
        written = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
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
    assert "- charge: {current: 1 mA, until: {any: [{voltage: 4.2 V}, {duration: 2.5 h}]}}" in text
    assert "until: {any: [{current: 0.1 mA}, {duration: 1 h}]}" in text


def test_pybamm_reads_every_step_of_every_shipped_protocol_with_its_current_its_time_and_its_end(tmp_path):
    exported(tmp_path, "pybamm", ".py")
    found = asked(PYBAMM, tmp_path)
    assert len(found) == len(shipped()) - len(NMR_ALONE)
    steps = found["dead-lithium"]
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


@pytest.mark.parametrize(
    ("kind", "says"), [("pybamm", "PyBaMM reads it: 64"), ("unicycler", "aurora-unicycler reads it")]
)
def test_an_export_can_be_verified_on_the_way(tmp_path, capsys, kind, says):
    path = next(one for one in shipped() if one.name == "deis.yaml")
    command = ["protocol", "export", str(path), "--format", kind, "--out", str(tmp_path / "e"), "--verify", *AREA]
    assert run_app(command) == 0
    assert says in capsys.readouterr().err
