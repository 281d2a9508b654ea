"""``labctl run`` where an orchestrator runs already: hand the campaign over and follow it from outside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from labctl.cli.output import login, say
from labctl.engine.clock import WallClock, pause
from labctl.engine.endpoint import ask
from labctl.errors import Locked, NoOrchestrator

# Seconds between looks, and how many looks an orchestrator may be away, for one that is being started again.
_LOOK = 1.0
_PATIENCE = 10


class LetGo(Exception):
    """Following has ended before the campaign has."""


def hand_over(lab: Path, files: dict[str, dict[str, Any]], *, simulate: bool, again: bool, locked: Locked) -> str:
    """Give a checked campaign to the orchestrator that runs in ``lab`` and return the campaign's id.

    Parameters
    ----------
    lab : Path
        The laboratory folder.
    files : mapping
        For ``protocol``, ``station`` and ``cells``: at least ``path`` and ``text``, and what else belongs to the text.
    simulate, again : bool
        As the command line says it.
    locked : Locked
        Raised where the one that holds the laboratory does not answer.

    Raises
    ------
    RefusedByOrchestrator
        It declined.
    """
    wanted = ("path", "text", "pieces", "values")
    plain = {kind: {name: file[name] for name in wanted if name in file} for kind, file in files.items()}
    answer = _patient(lab, "begin", locked, files=plain, simulate=simulate, again=again, user=login())
    campaign = str(answer["campaign"])
    joined = "runs there already" if answer["joined"] else "is handed over to it"
    say(f"an orchestrator runs in {lab}; campaign {campaign} {joined}")
    say("look at it from anywhere with 'labctl status'; Ctrl-C ends the following and nothing else")
    return campaign


def follow(lab: Path, campaign: str, on_progress: Callable[[str, str], None]) -> dict[str, str]:
    """Follow a campaign to its end and return the state of every cell.

    Raises
    ------
    LetGo
        Ctrl-C.
    NoOrchestrator
        It went away with the campaign unfinished.
    """
    after = 0
    gone = NoOrchestrator(
        f"the orchestrator of {lab} went away before campaign {campaign} had ended",
        hint="'labctl run' with the same files takes it up again",
    )
    try:
        while True:
            try:
                answer = _patient(lab, "progress", gone, campaign=campaign, after=after)
            except NoOrchestrator:
                # It may have ended with the campaign between two looks.
                states = _ended(lab, campaign)
                if states is None:
                    raise
                return states
            for number, cell, step in answer["lines"]:
                after = max(after, int(number))
                on_progress(cell, step)
            if answer["ended"]:
                return dict(answer["states"])
            pause(_LOOK)
    except KeyboardInterrupt:
        raise LetGo from None


def _patient(lab: Path, op: str, otherwise: Exception, **request: Any) -> dict[str, Any]:
    """Ask, and ask again while an orchestrator that holds the laboratory is only just starting."""
    for _ in range(_PATIENCE):
        try:
            return ask(lab, op, **request)
        except NoOrchestrator:
            if op == "progress" and _ended(lab, str(request["campaign"])) is not None:
                break
            pause(_LOOK / 2)
    raise otherwise


def _ended(lab: Path, campaign: str) -> dict[str, str] | None:
    """Give the states of a campaign's cells if the journal says that it has ended."""
    from labctl.journal import FILE_NAME, LastWord

    if not (lab / FILE_NAME).exists():
        return None
    journal = LastWord(lab / FILE_NAME, WallClock())
    ended = any(row.campaign == campaign and row.ended is not None for row in journal.campaigns())
    return journal.cell_states(campaign) if ended else None
