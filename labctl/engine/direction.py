"""What all cells of an orchestrator share, handed to each conductor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labctl.engine.lifecycle import LifeCycle
from labctl.instruments import Log


@dataclass(frozen=True, slots=True)
class Direction:
    """What all cells of an orchestrator share.

    Attributes
    ----------
    life : LifeCycle
        Runs operations.
    laboratory : str
        The laboratory's id, for tokens.
    log : Log
        For whoever maintains labctl.
    on_progress : callable
        Told cell and step, or state.
    waits_for_people : bool
        Whether a held cell is waited for; in a hurried simulation nobody comes.
    """

    life: LifeCycle
    laboratory: str
    log: Log
    on_progress: Callable[[str, str], None]
    waits_for_people: bool
