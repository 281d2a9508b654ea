"""Which raw files a result rests on, and where they are. Names and places only; nothing is opened here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from labctl.analysis.bundles import Campaign


@dataclass(frozen=True, slots=True)
class RawFiles:
    """The files of one operation.

    Attributes
    ----------
    campaign, cell, step, kind, label, token : str
        As in ``operation.json``; ``cell`` is ``reference`` for what all cells of a campaign share.
    cycle, attempt : int
        Cycle 0 is before the first.
    started : str
        UTC.
    folder : Path
        Absolute.
    names : tuple of str
        Files in it that ``operation.json`` vouches for, relative to it.
    place : str
        The folder relative to the one that holds the campaign, with ``/``; whole where it lies elsewhere.
    """

    campaign: str
    cell: str
    step: str
    kind: str
    label: str
    token: str
    cycle: int
    attempt: int
    started: str
    folder: Path
    names: tuple[str, ...]
    place: str = ""


def raw_files(campaigns: Iterable[Campaign]) -> tuple[RawFiles, ...]:
    """Give the files of all operations of some campaigns, in the order in which they were started."""
    return tuple(
        RawFiles(
            campaign.name,
            one.cell,
            one.step,
            one.kind,
            one.label,
            one.token,
            one.cycle,
            one.attempt,
            one.started,
            one.folder,
            tuple(one.names()),
            _place(one.folder, campaign.folder.parent),
        )
        for campaign in campaigns
        for one in campaign.operations
    )


def _place(folder: Path, results: Path) -> str:
    return (folder.relative_to(results) if folder.is_relative_to(results) else folder).as_posix()
