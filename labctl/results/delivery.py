"""Results go to the built-in analysis core when a campaign has come to an end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from labctl import analysis
from labctl.results.bundle import campaign_folder, write_json

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
