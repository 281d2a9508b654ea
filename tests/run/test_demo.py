"""The demo tells the truth: its shares agree with the virtual cells within the standard deviations it reports."""

import io
import json
import re
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from scipy import stats

from labctl.cli.analyze_shown import print_shares
from labctl.cli.app import run_app

SHARES = ("reversible", "excess", "dead", "interphase")


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """``labctl demo --json`` with the default seed."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run_app(["demo", "--json", "--lab", str(tmp_path_factory.mktemp("demo") / "lab")])
    return code, json.loads(out.getvalue()), err.getvalue()


def measured(data):
    return [
        (cell["cell"], cycle)
        for cell in data["cells"]
        for cycle in cell["cycles"]
        if cycle.get("dead_percent") is not None
    ]


def deviations(data):
    return [
        (cycle[f"{share}_percent"] - cycle[f"{share}_percent_truth"]) / cycle[f"{share}_percent_sd"]
        for _, cycle in measured(data)
        for share in SHARES
    ]


def test_eight_cells_are_measured_after_cycles_1_and_15(shown):
    code, data, _ = shown
    assert code == 0
    assert data["schema"] == "labctl.analysis/1"
    assert data["mode"] == "simulated"
    assert sorted((cell[:-3], cycle["cycle"]) for cell, cycle in measured(data)) == sorted(
        [("bare", 1)] * 2 + [("bare", 15)] * 2 + [("coated", 1)] * 2 + [("coated", 15)] * 2
    )


def test_it_names_the_report_that_it_wrote(shown):
    _, _, said = shown
    report = next(line.split("report: ")[1] for line in said.splitlines() if "report: " in line)
    assert report.endswith("report.html")
    assert "SIMULATED" in Path(report).read_text(encoding="utf-8")


def test_with_the_default_seed_every_share_is_within_three_sd_of_the_truth(shown):
    assert max(map(abs, deviations(shown[1]))) < 3


def test_shares_add_up_to_100(shown):
    for _, cycle in measured(shown[1]):
        assert sum(cycle[f"{share}_percent"] for share in SHARES) == pytest.approx(100, abs=1e-9)


@pytest.mark.parametrize("width", [1, 2])
def test_the_standard_deviations_are_those_of_a_normal_distribution(shown, width):
    """Of one world; fifty are in the benchmark."""
    values = deviations(shown[1])
    inside = sum(abs(value) <= width for value in values)
    low, high = stats.binom.interval(0.99, len(values), 2 * stats.norm.cdf(width) - 1)
    assert low <= inside <= high, f"{inside} of {len(values)} within {width} SD"


def test_coated_copper_loses_less_to_dead_lithium_by_cycle_15(shown):
    dead = {"bare": [], "coated": []}
    for cell, cycle in measured(shown[1]):
        if cycle["cycle"] == 15:
            dead[cell[:-3]].append(cycle["dead_percent"])
    assert sum(dead["coated"]) < 0.7 * sum(dead["bare"])


def test_efficiencies_and_health_are_fractions_and_nothing_is_nan(shown):
    _, data, _ = shown
    assert "NaN" not in json.dumps(data)
    for cell in data["cells"]:
        for cycle in cell["cycles"]:
            assert 0.8 < cycle["coulombic_efficiency"] < 1.01
            assert 0.7 < cycle["state_of_health"] <= 1.01


def loose(text):
    """Lines without their numbers and blanks."""
    return [" ".join(re.sub(r"[+-]?\d+(?:\.\d+)?", "0", line).split()) for line in text.splitlines()]


def test_the_readme_shows_what_the_demo_prints(shown, capsys, monkeypatch):
    _, data, said = shown
    monkeypatch.setenv("COLUMNS", "80")
    print_shares(data)
    printed = [*loose(capsys.readouterr().out), *(re.sub(r"/.*/report/", "PATH", line) for line in loose(said))]
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```\w*\n(SIMULATED.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    for line in loose(block):
        wanted = re.sub(r"/.*/report/", "PATH", line)
        assert wanted in ("...", *printed), f"the demo does not print '{line}'"
