"""What a plan makes of data that there are none of: the numbers that the next step needs, and no files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labctl.engine.acquiring import parameters_of
from labctl.engine.spectra import Findings
from labctl.instruments import Fetched
from labctl.protocol import Kind, PlannedOperation
from labctl.results import Look, Taken


class NothingKept:
    """Stands where bundles are kept otherwise: every spectrum is good, and nothing is written."""

    def __init__(self) -> None:
        self._looks: dict[Path, list[Look]] = {}

    def begin(self, results: Path, description: Mapping[str, Any]) -> None:
        """Write nothing."""

    def folder(self, folder: Path) -> None:
        """Make none."""

    def judge(
        self,
        planned: PlannedOperation,
        folder: Path,
        fetched: Fetched,
        zero: float | None,
        last: Mapping[str, Any] | None,
    ) -> Findings:
        """Give the pulse that a calibration would find."""
        found = Findings()
        found.result["experiment"] = parameters_of(planned).experiment
        if planned.kind is Kind.NUTATION:
            found.result["pi_half_s"] = fetched.summary["pi_half_s"]
        return found

    def zero(self, folder: Path, fetched: Fetched) -> float:
        """Give a frequency that nothing depends on."""
        return 0.0

    def keep(self, folder: Path, fetched: Fetched, operation: Mapping[str, Any], result: dict[str, Any]) -> bool:
        """Write nothing."""
        return True

    def stamp_spectra(
        self, folder: Path, operation: str, taken: Sequence[Taken], *, discharging: bool
    ) -> Mapping[str, Any]:
        """Stamp nothing."""
        self._looks.pop(folder, None)
        return {"clock_gaps": 0}

    def stamp_charges(
        self, folder: Path, fetched: Fetched, before: float, capacity: float | None, *, count: int, last: bool
    ) -> Mapping[str, Any]:
        """Count the spectra."""
        return {"spectra": fetched.summary["spectra"], "soc_first": None, "soc_last": None}

    def look(self, folder: Path, look: Look) -> None:
        """Remember it while its step runs."""
        self._looks.setdefault(folder, []).append(look)

    def looks(self, folder: Path) -> Sequence[Look]:
        """Give what was remembered."""
        return self._looks.get(folder, [])
