"""The chemical-shift reference: measured once per spectrometer session, bound to every spectrum of it by token.

The paper references its shift scale to 0 ppm with 1 mol/L LiCl and 1 g/L CuSO4 in water (Wichmann et al. 2025,
Methods).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from labctl.engine.acquiring import AcquisitionAction
from labctl.engine.bench import Bench
from labctl.engine.campaign import BENCH, REFERENCE
from labctl.engine.clock import beside
from labctl.engine.description import describe
from labctl.engine.keeping import Keeping
from labctl.engine.leases import Need
from labctl.engine.lifecycle import LifeCycle
from labctl.engine.routing import IN_PROBE
from labctl.engine.tokens import token_for
from labctl.engine.watch import Bounds
from labctl.errors import InstrumentError
from labctl.instruments import AcquisitionRequest, Fetched, Progress
from labctl.journal import ENDED, HELD, Journal, OperationRow, Status
from labctl.protocol import Kind
from labctl.station import Station

#: A narrow line at the spectrometer's own zero: a window of 250 kHz, resolved to 15 Hz before zero filling. Pulse,
#: power and scans are the station's.
EXPERIMENT: Final[Mapping[str, Any]] = {
    "nucleus": "7Li",
    "pulse_program": "zg",
    "carrier_ppm": 0.0,
    "dwell_time": 2e-6,
    "points": 32768,
}
# The spectrometer is nobody's before its reference: a reference goes before every cell.
PRIORITY: Final = 1_000


class ReferenceJob:
    """The reference standard in the probe, acquired."""

    has_files = True
    skips_when_late = False

    def __init__(self, around: References, spectrometer: str, slot: str) -> None:
        self._around = around
        self._spectrometer = spectrometer
        self._slot = slot

    def need(self, row: OperationRow) -> Need:
        """The spectrometer with its probe."""
        return Need(row.operation, row.cell, row.order, ((self._spectrometer, self._slot),), PRIORITY, since=row.since)

    def latest(self, row: OperationRow) -> datetime | None:
        """A reference is never too late."""
        return None

    def bounds(self, row: OperationRow) -> Bounds:
        """Nothing flows through a glass tube."""
        return Bounds()

    async def look_around(self, row: OperationRow) -> None:
        """It relies on nothing but its instrument."""

    def seen(self, row: OperationRow, progress: Progress) -> None:
        """A look leaves nothing to keep."""

    async def ready(self, row: OperationRow) -> AcquisitionAction:
        """Have the standard put into the probe."""
        self._around.leased()
        await self._around.move(row.operation, REFERENCE, self._slot)
        return self.action(row)

    def action(self, row: OperationRow) -> AcquisitionAction:
        """Give the acquisition."""
        asked = self._around.station.reference(self._spectrometer)
        request = AcquisitionRequest(
            name=row.operation,
            sample="1 mol/L LiCl + 1 g/L CuSO4 in water",
            scans=asked.scans,
            recycle_delay=asked.recycle_delay,
            pulse_lengths=(asked.pulse,),
            pulse_power=asked.power,
            **EXPERIMENT,
        )
        return AcquisitionAction(request, self._around.bench.spectrometer(self._spectrometer))

    async def ahead(self, row: OperationRow, enter: Callable[[], None]) -> None:
        """Nothing comes before a reference."""

    async def leave(self, row: OperationRow) -> None:
        """Have the standard put back on the bench, while the probe is still ours."""
        await self._around.move(row.operation, REFERENCE, BENCH)

    async def close(
        self, row: OperationRow, fetched: Fetched, folder: Path, ended: str, outcome: str = "ok"
    ) -> Mapping[str, Any]:
        """Write the bundle."""
        around = self._around
        asked = self.action(row).asked
        operation = describe(row, around.bench, self._spectrometer, around.mode, asked, fetched, ended)
        zero = None
        if outcome == "ok":
            zero = await beside(partial(around.keeping.zero, folder, fetched))
        around.keeping.keep(folder, fetched, operation, {})
        return {**fetched.summary, "spectrometer": self._spectrometer, "zero_Hz": zero}

    def place_after(self) -> str | None:
        """Its transfers say where it is."""
        return None


class References:
    """Keeps a valid reference for every spectrometer session.

    Parameters
    ----------
    station : Station
        Says where the probe is.
    mode : str
        ``live``, ``simulated`` or ``mixed``, for the bundles.
    """

    def __init__(
        self,
        station: Station,
        mode: str,
        journal: Journal,
        bench: Bench,
        life: LifeCycle,
        move: Callable[[str, str, str], Awaitable[None]],
        laboratory: str,
        keeping: Keeping,
    ) -> None:
        self.keeping = keeping
        self.station = station
        self.mode = mode
        self.journal = journal
        self.bench = bench
        self.move = move
        self._life = life
        self._laboratory = laboratory
        self._lock = asyncio.Lock()
        self._entries: list[Callable[[], None]] = []

    def _rows(self, step: str) -> list[OperationRow]:
        return [row for row in self.journal.operations(cell=REFERENCE) if row.kind == "reference" and row.step == step]

    def token(self, spectrometer: str, session: str | None = None) -> str | None:
        """Token of the reference that is good for a session, the present one by default, or None."""
        step = self._step(spectrometer, session)
        return next((row.token for row in self._rows(step) if row.status is Status.DONE), None)

    def zero(self, spectrometer: str, session: str | None = None) -> float | None:
        """Frequency of 0 ppm in Hz in a session, the present one by default, or None."""
        rows = (row for row in self._rows(self._step(spectrometer, session)) if row.status is Status.DONE)
        return next((row.result.get("zero_Hz") for row in rows), None)

    def _step(self, spectrometer: str, session: str | None = None) -> str:
        return f"{spectrometer}-{session or self.bench.spectrometer(spectrometer).session()}"

    def missing(self, kind: Kind) -> str | None:
        """Name the spectrometer that a step needs and that has no reference in this session; None if all is well."""
        if kind not in IN_PROBE:
            return None
        name = next((name for name, role in self.bench.roles.items() if role == "spectrometer"), None)
        return name if name is not None and self.token(name) is None else None

    def leased(self) -> None:
        """Have the cells that wait for a reference wait for the spectrometer too: it is the reference's now."""
        entries, self._entries = self._entries, []
        for enter in entries:
            enter()

    async def ensure(self, spectrometer: str, campaign: str, enter: Callable[[], None]) -> None:
        """Measure a reference if this session has none; it is filed under the campaign that first needs it.

        Parameters
        ----------
        enter : callable
            Puts a cell into the queue for the spectrometer. Called as soon as the reference has the spectrometer, so
            that after it the most urgent of all cells goes first, not the one that asked first.

        Raises
        ------
        InstrumentError
            It could not be measured.
        """
        step = self._step(spectrometer)
        before = self._rows(step)
        if any(row.status in HELD for row in before):
            enter()
        else:
            self._entries.append(enter)
        try:
            async with self._lock:
                if self.token(spectrometer) is not None:
                    return
                rows = self._rows(step)
                row = next((one for one in rows if one.status not in ENDED), None)
                if row is None and _ended(rows) == _ended(before):
                    row = self._request(campaign, step, len(rows) + 1)
                if row is not None:
                    row = await self._life.run(row.operation, ReferenceJob(self, spectrometer, self.slot(spectrometer)))
                else:
                    # One that all waited for together has failed: the next try is for whoever asks after that.
                    row = rows[-1]
        finally:
            if enter in self._entries:
                self._entries.remove(enter)
        if row.status is not Status.DONE:
            raise InstrumentError(f"no reference spectrum: {row.error}", instrument=spectrometer)

    def slot(self, spectrometer: str) -> str:
        """Name the slot of a spectrometer's probe."""
        return next(f"{name}/1" for name, place in self.station.places.items() if place.instrument == spectrometer)

    def _request(self, campaign: str, step: str, attempt: int) -> OperationRow:
        operation = f"{campaign}/{REFERENCE}/{step}/a{attempt}"
        return self.journal.request(
            operation,
            campaign=campaign,
            cell=REFERENCE,
            step=step,
            kind="reference",
            attempt=attempt,
            token=token_for(self._laboratory, operation, REFERENCE),
        )


def _ended(rows: list[OperationRow]) -> int:
    return sum(row.status in ENDED for row in rows)
