"""What is made of the data that instruments gave: read at once where the next step needs it, and kept as bundles.

The engine knows no other way to its results folder than this, so that a plan, which has no data, can stand in here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from labctl.engine.spectra import Findings, judge
from labctl.instruments import Fetched
from labctl.protocol import PlannedOperation
from labctl.results import (
    SET_ASIDE,
    Look,
    Taken,
    add_look,
    keep_records,
    read_looks,
    stamp_charges,
    write_bundle,
    write_campaign,
    write_stamps,
)
from labctl.safety.ledger import integral


class Keeping(Protocol):
    """Reads and keeps results."""

    def begin(self, results: Path, description: Mapping[str, Any]) -> None:
        """Describe a campaign."""

    def folder(self, folder: Path) -> None:
        """Make the folder of a bundle, if it is not there."""

    def judge(
        self,
        planned: PlannedOperation,
        folder: Path,
        fetched: Fetched,
        zero: float | None,
        last: Mapping[str, Any] | None,
    ) -> Findings:
        """Read from spectra what the next step or a person needs; see :func:`labctl.engine.spectra.judge`."""

    def zero(self, folder: Path, fetched: Fetched) -> float:
        """Find the standard's line, Hz."""

    def keep(self, folder: Path, fetched: Fetched, operation: Mapping[str, Any], result: dict[str, Any]) -> bool:
        """Keep a bundle, and add to ``result`` what the cell's ledger and the next identity check need.

        Returns
        -------
        bool
            False where records kept while it ran are not those at its end, and were set aside.
        """

    def stamp_spectra(
        self, folder: Path, operation: str, taken: Sequence[Taken], *, discharging: bool
    ) -> Mapping[str, Any] | None:
        """Stamp the spectra of an ``operando`` step; None where the cycler left no records."""

    def stamp_charges(
        self, folder: Path, fetched: Fetched, before: float, capacity: float | None, *, count: int, last: bool
    ) -> Mapping[str, Any]:
        """Add states of charge to the spectra of a series under direct current."""

    def look(self, folder: Path, look: Look) -> None:
        """Keep what a test's clock showed."""

    def looks(self, folder: Path) -> Sequence[Look]:
        """Give what was kept of that."""


class Bundles:
    """Keeps everything as files below the results folder."""

    def begin(self, results: Path, description: Mapping[str, Any]) -> None:
        """Write ``campaign.json``."""
        write_campaign(results, description)

    def folder(self, folder: Path) -> None:
        """Make it."""
        folder.mkdir(parents=True, exist_ok=True)

    def judge(
        self,
        planned: PlannedOperation,
        folder: Path,
        fetched: Fetched,
        zero: float | None,
        last: Mapping[str, Any] | None,
    ) -> Findings:
        """Evaluate the datasets."""
        return judge(planned, folder, fetched, zero, last)

    def zero(self, folder: Path, fetched: Fetched) -> float:
        """Evaluate the reference, so that one without its line is known before a cell is measured."""
        # Here, because it brings numpy, which an orchestrator that starts does not need.
        from labctl.analysis import reference

        acqus = next(name for name in fetched.files if Path(name).name == "acqus")
        return reference.evaluate((folder / acqus).parent).sf_Hz

    def keep(self, folder: Path, fetched: Fetched, operation: Mapping[str, Any], result: dict[str, Any]) -> bool:
        """Write the bundle."""
        columns = keep_records(folder, operation["operation"])
        if columns is not None and columns["record"]:
            result["integrated_C"] = integral(columns["time_s"], columns["current_A"])
            result["current_A"] = columns["current_A"][-1]
        write_bundle(folder, fetched.files, operation, columns)
        return not (folder / SET_ASIDE).exists()

    def stamp_spectra(
        self, folder: Path, operation: str, taken: Sequence[Taken], *, discharging: bool
    ) -> Mapping[str, Any] | None:
        """Write ``stamps.csv`` from the cycler's records."""
        columns = keep_records(folder, operation)
        return None if columns is None else write_stamps(folder, taken, columns, discharging=discharging)

    def stamp_charges(
        self, folder: Path, fetched: Fetched, before: float, capacity: float | None, *, count: int, last: bool
    ) -> Mapping[str, Any]:
        """Write ``stamps.csv`` from the driver's own stamps."""
        return stamp_charges(folder, before, capacity, count=count, last=last)

    def look(self, folder: Path, look: Look) -> None:
        """Append to ``looks.csv``."""
        folder.mkdir(parents=True, exist_ok=True)
        add_look(folder, look)

    def looks(self, folder: Path) -> Sequence[Look]:
        """Read ``looks.csv``."""
        return read_looks(folder)
