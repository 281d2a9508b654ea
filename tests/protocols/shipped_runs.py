"""A shipped protocol as it stands, run to its end by the real engine on a simulated station, in virtual time."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars

from labctl.cli.init import make_laboratory
from labctl.cli.running import Outcome, RunRequest, run

HOUR, MINUTE = 3600.0, 60.0


@dataclass(frozen=True)
class Ran:
    """A campaign that has ended."""

    folder: Path
    outcome: Outcome
    laboratory: Any

    def steps(self, pattern: str = "*") -> list[str]:
        """Name the steps that left a bundle, such as ``bare-01/c001/01-charge``, in order."""
        (campaign,) = (self.folder / "results").iterdir()
        found = campaign.glob(f"{pattern}/a*/operation.json")
        return sorted(path.parents[1].relative_to(campaign).as_posix() for path in found)

    def bundle(self, step: str) -> Path:
        """Give the folder of the last attempt at a step."""
        (campaign,) = (self.folder / "results").iterdir()
        return max((campaign / step).glob("a*"))

    def document(self, step: str) -> Mapping[str, Any]:
        """Give a step's ``operation.json``."""
        return json.loads((self.bundle(step) / "operation.json").read_text())

    def records(self, step: str) -> polars.DataFrame:
        """Give what the cycler recorded."""
        return polars.read_parquet(self.bundle(step) / "records.parquet")

    def seconds(self, step: str) -> float:
        """How long a step took by its instrument's own account."""
        summary = self.document(step)["summary"]
        if "acquired_from" in summary:
            begin, end = (datetime.fromisoformat(summary[f"acquired_{when}"]) for when in ("from", "until"))
            return (end - begin).total_seconds()
        return float(summary["duration_s"])


def run_shipped(
    folder: Path,
    protocol: str,
    *,
    station: str = "station.yaml",
    cells: str = "cells.yaml",
    keep: Sequence[str] = (),
    values: Mapping[str, str] | None = None,
    more_cells: str = "",
    seed: int = 3,
) -> Ran:
    """Run a shipped protocol, no word of it changed, in a laboratory as ``labctl init`` makes it.

    Parameters
    ----------
    keep : sequence of str
        Cells of the cells file to run; none for all.
    values : mapping of str to str, optional
        Of the protocol's parameters, as ``--set`` gives them.
    more_cells : str
        Entries for the end of the cells file.
    """
    make_laboratory(folder, quiet=True)
    with (folder / cells).open("a", encoding="utf-8") as file:
        file.write(more_cells)
    if keep:
        path = folder / cells
        head, *entries = re.split(r"(?m)^  - ", path.read_text())
        kept = [entry for entry in entries if any(re.search(rf"\bid: {cell}(,|\n)", entry) for cell in keep)]
        assert len(kept) == len(keep)
        path.write_text(head + "".join(f"  - {entry}" for entry in kept))
    simulations: list[Any] = []
    files = (folder / name for name in (f"protocols/{protocol}", station, cells))
    request = RunRequest(folder, *files, simulate=True, accelerate=True, seed=seed, values=values or {})
    outcome = run(request, on_simulation=simulations.append)
    assert set(outcome.states.values()) == {"finished"}, outcome.states
    assert outcome.violations == []
    return Ran(folder, outcome, simulations[0].laboratory)
