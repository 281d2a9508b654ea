"""``labctl run``: says where it begins, what it is doing, and what remains when it stops."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.cli.follow import LetGo, follow, hand_over
from labctl.cli.output import say
from labctl.cli.taking_up import begun_in, check_files
from labctl.engine.campaign import Campaign
from labctl.engine.clock import WallClock
from labctl.errors import Locked, UsageError

if TYPE_CHECKING:
    from labctl.cli.running import Outcome, RunRequest

INTERRUPTED = 130


def run_campaign(
    lab: Path,
    protocol: Path,
    station: Path,
    cells: Path,
    *,
    simulate: bool,
    accelerate: bool,
    seed: int,
    orchestrator: bool = False,
    again: bool = False,
    values: Mapping[str, str] | None = None,
) -> int:
    """Run a campaign, or have the orchestrator that runs in ``lab`` run it, and return the exit code.

    Raises
    ------
    Locked
        An orchestrator runs there and ``orchestrator`` insists on another, or it does not answer.
    """
    wanted = check_files(protocol, station, cells, begun_in(lab, WallClock()), values)
    # The journal's library and all that conducts are not loaded for files with a mistake.
    from labctl.cli.running import RunRequest, run

    request = RunRequest(
        lab,
        protocol,
        station,
        cells,
        simulate=simulate,
        accelerate=accelerate,
        seed=seed,
        again=again,
        values=values or {},
    )
    try:
        outcome = run(request, wanted, on_progress=_progress, on_begin=_begin, warn=say)
    except Locked as locked:
        if orchestrator:
            raise
        return _follow(request, locked)
    if outcome.detached:
        say(_detached(outcome))
        return INTERRUPTED
    code = _summary(lab, outcome.campaign, outcome.states)
    for line in outcome.outbox:
        say(line)
    if outcome.outbox:
        say("'labctl deliver' goes on with that, and so does the next 'labctl run'")
    return max(code, int(outcome.unevaluated))


def _follow(request: RunRequest, locked: Locked) -> int:
    if request.accelerate:
        raise UsageError(
            "--accelerate is for an orchestrator of its own, and one runs here already", hint="leave it out"
        ) from locked
    files = check_files(request.protocol, request.station, request.cells, values=request.values).files()
    campaign = hand_over(request.folder, files, simulate=request.simulate, again=request.again, locked=locked)
    try:
        states = follow(request.folder, campaign, _progress)
    except LetGo:
        say(f"let go of following campaign {campaign}; the orchestrator and its instruments go on")
        say("'labctl run' with the same files follows again; 'labctl abort CELL' is what ends a cell")
        return INTERRUPTED
    return _summary(request.folder, campaign, states)


def _summary(lab: Path, campaign: str, states: Mapping[str, str]) -> int:
    """Say how a campaign has ended, and give the exit code."""
    left = [cell for cell, state in states.items() if state != "finished"]
    say(f"campaign {campaign} has ended: {len(states) - len(left)} cells finished")
    for cell in left:
        say(f"  {cell} is {states[cell]}; 'labctl log --cell {cell}' says why")
    evaluated = lab / "results" / campaign / "analysis.json"
    if evaluated.exists():
        say(f"evaluated: {evaluated}")
        say(f"look at it: labctl analyze {lab}")
    return 1 if left else 0


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
