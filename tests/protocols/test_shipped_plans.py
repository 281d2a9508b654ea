"""Every protocol that ships has a plan: the command in its head, with ``plan`` in the place of ``run``."""

import json
import re
import shlex

import pytest

from labctl.cli.app import run_app
from labctl.cli.init import make_laboratory
from labctl.protocol import shipped

BEGIN = "2026-11-23 08:00"


def command_of(path) -> list[str]:
    """Give the words of the command in the head of a protocol, which may go on over several lines."""
    head = re.split(r"(?m)^labctl:", path.read_text(encoding="utf-8"))[0]
    found = re.search(r"labctl run (.*?--simulate --accelerate)", re.sub(r"\n#\s*", " ", head))
    assert found, f"{path.name} says no command"
    return [word for word in shlex.split(found[1]) if word not in ("--simulate", "--accelerate")]


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plans") / "lab"
    make_laboratory(folder, quiet=True)
    return folder


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_a_plan_brings_every_cell_of_a_shipped_protocol_to_its_end(path, laboratory, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(laboratory)
    sheet = tmp_path / "days.md"
    asked = ["plan", *command_of(path), "--begin", BEGIN, "--runs", "1", "--json", "--day-sheet", str(sheet)]
    assert run_app(asked) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["unfinished"] == {}
    assert min(plan["finish"].values()) > 0
    # Who takes cells apart and answers questions finds that on the sheet as well.
    by_hand = [task for task in plan["tasks"] if task["kind"] in ("pause", "disassemble", "assemble", "measure")]
    assert all(task["asked"] in sheet.read_text(encoding="utf-8") for task in by_hand)
    assert bool(by_hand) == (path.stem in ("alloy-charge", "soc-charge"))
