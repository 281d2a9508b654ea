"""The chemical-shift reference: measured once per spectrometer session, bound to every spectrum of it by token.

The paper references its shift scale to 0 ppm with 1 mol/L LiCl and 1 g/L CuSO4 in water (Wichmann et al. 2025,
Methods).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from labctl.engine.actions import AcquisitionAction
from labctl.engine.bench import Bench
from labctl.engine.campaign import REFERENCE, Campaign
from labctl.engine.description import describe
from labctl.engine.leases import Need
from labctl.engine.lifecycle import LifeCycle
from labctl.engine.tokens import token_for
from labctl.errors import InstrumentError
from labctl.instruments import AcquisitionRequest, Fetched
from labctl.journal import Journal, OperationRow, Status
from labctl.results import write_bundle

#: A narrow line at the spectrometer's own zero: few scans, a window of 250 kHz, resolved to 15 Hz before zero filling.
EXPERIMENT: Final[Mapping[str, Any]] = {
    "nucleus": "7Li",
    "pulse_program": "zg",
    "carrier_ppm": 0.0,
    "scans": 16,
    "recycle_delay": 2.0,
    "dwell_time": 2e-6,
    "points": 32768,
    "pulse_lengths": (7e-6,),
    "pulse_power": 80.0,
}
# The spectrometer is nobody's before its reference: a reference goes before every cell.
PRIORITY: Final = 1_000


class ReferenceJob:
    """The reference standard in the probe, acquired."""

    has_files = True

    def __init__(self, around: References, spectrometer: str, slot: str) -> None:
        self._around = around
        self._spectrometer = spectrometer
        self._slot = slot

    def need(self, row: OperationRow) -> Need:
        """The spectrometer with its probe."""
        return Need(row.operation, row.cell, row.order, ((self._spectrometer, self._slot),), PRIORITY)

    async def ready(self, row: OperationRow) -> AcquisitionAction:
        """Have the standard put into the probe."""
        await self._around.move(row.operation, REFERENCE, self._slot)
        return self.action(row)

    def action(self, row: OperationRow) -> AcquisitionAction:
        """Give the acquisition."""
        request = AcquisitionRequest(name=row.operation, sample="1 mol/L LiCl + 1 g/L CuSO4 in water", **EXPERIMENT)
        return AcquisitionAction(request, self._around.bench.spectrometer(self._spectrometer))

    async def leave(self, row: OperationRow) -> None:
        """Have the standard put back on the bench, while the probe is still ours."""
        await self._around.move(row.operation, REFERENCE, "bench")

    def close(self, row: OperationRow, fetched: Fetched, folder: Path, ended: str) -> Mapping[str, Any]:
        """Write the bundle."""
        around = self._around
        asked = self.action(row).asked
        mode = around.campaign.mode
        operation = describe(row, around.bench, self._spectrometer, mode, asked, fetched, ended)
        write_bundle(folder, fetched.files, operation)
        return {**fetched.summary, "spectrometer": self._spectrometer}

    def place_after(self) -> str | None:
        """Its transfers say where it is."""
        return None


class References:
    """Keeps a valid reference for every spectrometer session."""

    def __init__(
        self,
        campaign: Campaign,
        journal: Journal,
        bench: Bench,
        life: LifeCycle,
        move: Callable[[str, str, str], Awaitable[None]],
        laboratory: str,
    ) -> None:
        self.campaign = campaign
        self.journal = journal
        self.bench = bench
        self.move = move
        self._life = life
        self._laboratory = laboratory
        self._lock = asyncio.Lock()

    def _rows(self) -> list[OperationRow]:
        return [row for row in self.journal.operations(cell=REFERENCE) if row.kind == "reference"]

    def token(self, spectrometer: str) -> str | None:
        """Token of the reference that is good for the present session, or None."""
        session = self.bench.spectrometer(spectrometer).session()
        for row in self._rows():
            if row.status is Status.DONE and row.step == self._step(spectrometer, session):
                return row.token
        return None

    def _step(self, spectrometer: str, session: str) -> str:
        return f"{spectrometer}-{session}"

    async def ensure(self, spectrometer: str) -> None:
        """Measure a reference if this session has none.

        Raises
        ------
        InstrumentError
            It could not be measured.
        """
        async with self._lock:
            if self.token(spectrometer) is not None:
                return
            session = self.bench.spectrometer(spectrometer).session()
            step = self._step(spectrometer, session)
            attempts = [row for row in self._rows() if row.step == step]
            failed = [row for row in attempts if row.status in (Status.FAILED, Status.ABORTED)]
            operation = f"{self.campaign.name}/{REFERENCE}/{step}/a{len(failed) + 1}"
            row = self.journal.request(
                operation,
                campaign=self.campaign.name,
                cell=REFERENCE,
                step=step,
                kind="reference",
                attempt=len(failed) + 1,
                token=token_for(self._laboratory, operation, REFERENCE),
            )
            slot = next(
                f"{name}/1" for name, place in self.campaign.station.places.items() if place.instrument == spectrometer
            )
            row = await self._life.run(row.operation, ReferenceJob(self, spectrometer, slot))
            if row.status is not Status.DONE:
                raise InstrumentError(f"no reference spectrum: {row.error}", instrument=spectrometer)
