"""``labctl run``: says where it begins, what it is doing, and what remains when it stops."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from labctl.cli.output import say
from labctl.cli.running import Outcome, RunRequest, run
from labctl.engine.campaign import Campaign

INTERRUPTED = 130


def run_campaign(
    lab: Path, protocol: Path, station: Path, cells: Path, *, simulate: bool, accelerate: bool, seed: int
) -> int:
    """Run a campaign and return the exit code."""
    request = RunRequest(lab, protocol, station, cells, simulate=simulate, accelerate=accelerate, seed=seed)
    outcome = run(request, on_progress=_progress, on_begin=_begin, warn=say)
    if outcome.detached:
        say(_detached(outcome))
        return INTERRUPTED
    held = [cell for cell, state in outcome.states.items() if state != "finished"]
    say(f"campaign {outcome.campaign} has ended: {len(outcome.states) - len(held)} cells finished")
    for cell in held:
        say(f"  {cell} is {outcome.states[cell]}; 'labctl status' says why")
    if outcome.analysis is not None:
        say(f"evaluated: {lab / 'results' / outcome.campaign / 'analysis.json'}")
        say(f"look at it: labctl analyze {lab} --report report")
    return 1 if held else 0


def _begin(campaign: Campaign, at: datetime) -> None:
    say(
        f"{campaign.mode.upper()}: campaign {campaign.name}, {len(campaign.cells.cells)} cells, "
        f"station {campaign.station.station}, {at:%Y-%m-%d %H:%M} UTC"
    )
    say("look at it from anywhere with 'labctl status'; Ctrl-C lets go and leaves the instruments running")


def _progress(cell: str, step: str) -> None:
    say(f"  {cell:<16} {step}")


def _detached(outcome: Outcome) -> str:
    goes_on = (
        "instruments that hold their own limits go on"
        if outcome.attached
        else "the simulated laboratory stands still and is saved"
    )
    return (
        f"let go of campaign {outcome.campaign}: {goes_on}.\n"
        "The next 'labctl run' with the same files attaches again; 'labctl abort CELL' is what ends a cell."
    )
