"""The SOC calibration as it ships: cells charged and taken apart, both arms, and the file that cells then name."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from shipped_runs import HOUR, MINUTE, Ran, run_shipped

from labctl.analysis import calibration, calibration_series
from labctl.cli.app import run_app

SPECTRUM = 9 * MINUTE + 6
#: Lithium alone gives more signal than beside charged NMC622, in the virtual cell.
ALONE = 1.03
SAMPLES = {"foil": 8, "deposit": 4}
LABELS = {"foil": "foil", "deposit": "pristine-nmc"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    """All four campaigns, each in a laboratory of its own."""
    folder = tmp_path_factory.mktemp("calibration")
    charged = {
        part: run_shipped(
            folder / part,
            "soc-charge.yaml",
            cells=f"examples/cells-soc-charge-{part}.yaml",
            values={"charged": f"{part} %"},
        )
        for part in ("50", "100")
    }
    arms = {
        arm: run_shipped(folder / arm, f"soc-{arm}.yaml", cells=f"examples/cells-soc-{arm}.yaml") for arm in SAMPLES
    }
    return charged | arms


@pytest.mark.parametrize(("part", "hours"), [("50", 6.55), ("100", 13.1)])
def test_cells_are_charged_to_a_part_measured_and_taken_apart(runs, part, hours):
    for cell in (f"cal{part}-01", f"cal{part}-02"):
        assert runs[part].seconds(f"{cell}/c000/02-charge") == pytest.approx(hours * HOUR, rel=0.003)
        assert runs[part].seconds(f"{cell}/c000/03-nmr-own") == pytest.approx(SPECTRUM, abs=10)
        parts = runs[part].document(f"{cell}/c000/04-disassemble-apart")["summary"]["parts"]
        assert parts == [f"{cell}-negative", f"{cell}-positive"]


@pytest.mark.parametrize("arm", SAMPLES)
def test_both_arms_have_every_state_of_charge_twice_with_parents(runs, arm):
    found = runs[arm].steps(f"*/c000/*-nmr-{LABELS[arm]}")
    assert len(found) == SAMPLES[arm]
    assert all(runs[arm].seconds(step) == pytest.approx(SPECTRUM, abs=10) for step in found)
    side = "positive" if arm == "foil" else "negative"
    for step in found:
        number = step.split("/")[0].removeprefix("foil-nmc").removeprefix("deposit")
        if number.startswith(("50", "100")):
            assert runs[arm].document(step)["sample"]["parents"] == [f"cal{number}-{side}"]


def test_a_reassembled_sample_holds_what_was_deposited_in_its_parent(runs):
    for number in ("50-01", "50-02", "100-01", "100-02"):
        parent = runs[number.split("-")[0]].laboratory.cells[f"cal{number}"].state
        sample = runs["deposit"].laboratory.cells[f"deposit{number}"].state
        assert sample.connected == pytest.approx(parent.connected, rel=0.005)


def listed(runs: dict[str, Ran]) -> Iterator[tuple[str, dict[str, object]]]:
    """Give every spectrum of the series by its cell, as docs/analyze.md has a list of them."""

    def spectrum(part: str, cell: str, label: str, **what: object) -> tuple[str, dict[str, object]]:
        paths = (
            runs[part].bundle(runs[part].steps(f"{cell}/c000/*-{kind}-{label}")[0]) for kind in ("nmr", "nutation")
        )
        return cell, dict(zip(("file", "nutation"), map(str, paths), strict=True)) | what

    for number in ("01", "02"):
        foil = {"lithium": "foil", "series": "foil"}
        yield spectrum("foil", f"foil-alone-{number}", "foil", **foil)
        for part in (0, 50, 100):
            yield spectrum("foil", f"foil-nmc{part}-{number}", "foil", **foil, soc=part / 100)
        for part in (50, 100):
            deposit = {"lithium": "deposited", "series": "deposit", "amount": f"{0.0262 * part:g} mAh"}
            yield spectrum(f"{part}", f"cal{part}-{number}", "own", **deposit, soc=part / 100)
            yield spectrum("deposit", f"deposit{part}-{number}", "pristine-nmc", **deposit, soc=0.0)


def truly(runs: dict[str, Ran], cell: str, soc: float | None) -> float:
    """By how much the virtual cell's signal is too small."""
    if soc is None:
        return 1.0 / ALONE
    cells = {name: one for ran in runs.values() for name, one in ran.laboratory.cells.items()}
    return 1.0 + (cells[cell].parameters.soc_factor - 1.0) * (1.0 - soc)


def test_integrals_of_both_arms_follow_the_true_factor_within_noise_and_make_a_file_that_cells_can_name(
    runs, tmp_path, capfd
):
    spectra = dict(listed(runs))
    entries = [
        calibration_series.Entry(
            Path(str(one["file"])),
            one["lithium"],
            one["series"],
            one.get("soc"),
            float(str(one.get("amount", "1 mAh")).split()[0]),
            nutation=Path(str(one["nutation"])),
        )
        for one in spectra.values()
    ]
    series: dict[str, list[tuple[str, float, float]]] = {}
    for cell, point in zip(spectra, calibration_series.points(entries), strict=True):
        true = point.integral / point.amount * truly(runs, cell, point.soc)
        series.setdefault(point.series, []).append((cell, true, point.sd / point.integral))
    for members in series.values():
        weights = [1.0 / sd**2 for _, _, sd in members]
        mean = sum(value * weight for (_, value, _), weight in zip(members, weights, strict=True)) / sum(weights)
        off = {cell: (value / mean - 1.0) / sd for cell, value, sd in members}
        assert all(abs(one) < 3.0 for one in off.values()), off
        assert sum(one**2 for one in off.values()) < 20.0

    written = {"labctl": 1, "calibration": "probe", "source": "the shipped protocols", "spectra": [*spectra.values()]}
    (tmp_path / "series.yaml").write_text(json.dumps(written))
    assert run_app(["analyze", str(tmp_path / "series.yaml"), "--out", str(tmp_path / "out")]) == 0
    assert "0.00  1.0" in capfd.readouterr().out
    told = calibration.load(tmp_path / "out" / "probe.yaml")
    for soc in (0.0, 0.5):
        beside = [truly(runs, cell, soc) for cell, one in spectra.items() if one.get("soc") == soc]
        sd = math.sqrt(told.curve.covariance[told.curve.soc.index(soc)][told.curve.soc.index(soc)])
        assert told.curve.at(soc) == pytest.approx(sum(beside) / len(beside), abs=2.0 * sd)
        assert 0.003 < sd < 0.015
    assert told.curve.shift_ppm == pytest.approx((3.3, 1.65, 0.0), abs=0.2)
    assert told.without_electrode[0] == pytest.approx(1 / ALONE, abs=2 * told.without_electrode[1])

    cell = {"id": "cal100-01", "group": "bare", "area": "1.0 cm2", "chemistry": "Cu||NMC622"}
    cell |= {"soc_factor": {"calibration": "out/probe.yaml"}}
    cell |= {"cycles": [{"cycle": 1, "charge": "2.62 mAh", "charged": spectra["cal100-01"]["file"]}]}
    (tmp_path / "own.yaml").write_text(json.dumps({"labctl": 1, "analysis": "own", "cells": [cell]}))
    assert run_app(["analyze", str(tmp_path / "own.yaml"), "--json"]) == 0
    used = json.loads(capfd.readouterr().out)["cells"][0]
    assert used["soc_factor"]["value"] == pytest.approx(told.curve.at(0.0))
    assert used["soc_factor"]["calibration"] == "probe"
    assert "uncalibrated" not in used["flag_names"]
