"""``labctl demo``: the main job on a simulated laboratory, in virtual time, with the truth beside the result."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from labctl import analysis
from labctl.cli.analyze_shown import print_shares
from labctl.cli.init import make_laboratory
from labctl.cli.output import put_json, say
from labctl.cli.running import Outcome, RunRequest, run
from labctl.engine.clock import real_seconds
from labctl.errors import LabctlError

PROTOCOL = "dead-lithium.yaml"


def demo_run(folder: Path, seed: int, progress: Any = lambda cell, step: None) -> tuple[dict[str, Any], Outcome]:
    """Run the demo in ``folder``; give the analysis as JSON with the truth beside it, and the outcome."""
    make_laboratory(folder, quiet=True)
    outcome = run(
        RunRequest(
            folder,
            folder / "protocols" / PROTOCOL,
            folder / "station.yaml",
            folder / "cells.yaml",
            simulate=True,
            accelerate=True,
            seed=seed,
        ),
        on_progress=progress,
    )
    unfinished = {cell: state for cell, state in outcome.states.items() if state != "finished"}
    if unfinished:
        raise LabctlError(f"{folder}: not every cell finished: {unfinished}", hint=f"labctl status --lab {folder}")
    if outcome.violations:
        raise LabctlError(f"{folder}: the laboratory saw what must not happen: {outcome.violations[0]}")
    if outcome.analysis is None:
        raise LabctlError(f"{folder}: nothing could be evaluated", hint="; ".join(outcome.outbox) or None)
    # Only now, after the analysis has ended, is the truth put beside it.
    return outcome.analysis.to_json(truth=outcome.truth), outcome


class _Progress:
    """One line that counts the steps of all cells, only where somebody watches."""

    def __init__(self) -> None:
        self.began = real_seconds()
        self.steps = Counter[str]()
        self.watched = sys.stderr.isatty()

    def __call__(self, cell: str, step: str) -> None:
        self.steps[cell] += 1
        total = sum(self.steps.values())
        if self.watched:
            sys.stderr.write(f"\r{real_seconds() - self.began:5.1f} s  {total:4d} steps  {cell} {step:<28}")
            sys.stderr.flush()
        elif total % 40 == 0:
            say(f"{real_seconds() - self.began:5.1f} s  {total:4d} steps  {cell} {step}")

    def end(self) -> None:
        if self.watched:
            sys.stderr.write("\r" + " " * 78 + "\r")


def run_demo(directory: Path | None, *, seed: int, as_json: bool) -> None:
    """Run, print, and name the report."""
    folder = directory or Path(tempfile.mkdtemp(prefix="labctl-demo-"))
    say(f"SIMULATED laboratory in {folder}: eight cells, two coppers, measured after cycle 1 and after cycle 15")
    progress = _Progress()
    data, outcome = demo_run(folder, seed, progress)
    progress.end()
    report = analysis.write_report(outcome.analysis, folder / "report", truth=outcome.truth)
    if as_json:
        put_json(data)
    else:
        print_shares(data)
    say(f"{real_seconds() - progress.began:.1f} s; report: {report}")
