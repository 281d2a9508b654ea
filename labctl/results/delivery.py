"""Results go to the built-in analysis core when a campaign has come to an end."""

from __future__ import annotations

from pathlib import Path

from labctl import analysis
from labctl.results.bundle import campaign_folder, write_json


def deliver(results: Path, campaign: str) -> Path:
    """Evaluate a campaign and write ``analysis.json`` beside its bundles.

    Delivering again gives the same file: the evaluation depends on the bundles alone.
    """
    folder = campaign_folder(results, campaign)
    path = folder / "analysis.json"
    write_json(path, analysis.analyze([folder]).to_json())
    return path
