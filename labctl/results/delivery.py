"""The built-in analysis core: evaluates a campaign when it has come to its end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from labctl import analysis
from labctl.errors import LabctlError
from labctl.results.bundle import campaign_folder, write_json
from labctl.results.parcel import Parcel, Undeliverable
from labctl.station import CORE

if TYPE_CHECKING:
    from labctl.analysis.model import Analysis


def deliver(results: Path, campaign: str) -> Analysis:
    """Evaluate a campaign, write ``analysis.json`` beside its bundles, and give the evaluation.

    Delivering again gives the same file: the evaluation depends on the bundles alone.
    """
    folder = campaign_folder(results, campaign)
    evaluated = analysis.analyze([folder])
    write_json(folder / "analysis.json", evaluated.to_json())
    return evaluated


class Core:
    """The built-in analysis core as a target of the outbox: what is delivered is the description of a campaign.

    Parameters
    ----------
    results : Path
        The laboratory's results folder.
    """

    name = CORE

    def __init__(self, results: Path) -> None:
        self._results = results
        #: What campaigns came to, by their ids.
        self.evaluated: dict[str, Analysis] = {}

    def deliver(self, parcel: Parcel) -> None:
        """Evaluate a campaign; doing it again gives the same file."""
        try:
            self.evaluated[parcel.operation] = deliver(self._results, parcel.operation)
        except LabctlError as error:
            raise Undeliverable(f"{parcel.operation} can't be evaluated: {error}") from error

    def close(self) -> None:
        """An evaluation that is under way leaves its file whole or not at all."""
