"""The ``operando`` step: a cycler and a spectrometer at one cell, under one lease, with one bundle.

The operation is the cycler's: its program, handle and records. The spectra are operations within it (``series``).
Where one instrument fails the other is left safe: the cycler's fault ends the acquisition, a spectrum that comes to
nothing suspends the cycler.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from labctl.engine.actions import SAFETY_MARGIN_CURRENT, SAFETY_MARGIN_VOLT, Action, CyclerAction
from labctl.engine.clock import beside
from labctl.engine.series import Company, Series, SpectrumJob, spectra_of, together_of
from labctl.engine.steps import StepJob, Surroundings
from labctl.engine.watch import Bounds
from labctl.errors import LabctlError
from labctl.instruments import Fetched, Handle, Progress
from labctl.journal import OperationRow, Status
from labctl.protocol import Kind, PlannedOperation, Together
from labctl.results import LOOKS, STAMPS, Taken


class OperandoAction:
    """A cycler's program with spectra beside it.

    Parameters
    ----------
    cycling : CyclerAction
        The cycler's part.
    series : Series
        The spectrometer's.
    together : Together
        What both are asked.
    """

    def __init__(self, cycling: CyclerAction, series: Series, together: Together) -> None:
        self._cycling = cycling
        self._series = series
        self._together = together

    @property
    def asked(self) -> Mapping[str, Any]:
        """Give the program and the spectra."""
        both = self._together
        return {
            **self._cycling.asked,
            "during": asdict(both.during),
            "pausing": asdict(both.pausing) if both.pausing is not None else None,
            "pause_every_s": both.every,
            "at_end": both.at_end,
        }

    async def prepare(self) -> None:
        """Make sure that this is the booked cell before current flows."""
        await self._cycling.prepare()

    async def start(self, token: str) -> Handle:
        """Start the cycler's program; the spectra begin once it is known to run."""
        return await self._cycling.start(token)

    async def poll(self, handle: Handle) -> Progress:
        """Look at the cycler."""
        progress = await self._cycling.poll(handle)
        await self._series.note(progress)
        return progress

    async def accompany(self, handle: Handle) -> None:
        """Take the spectra."""
        await self._series.take(handle)

    async def fetch(self, handle: Handle, folder: Path) -> Fetched:
        """Fetch the cycler's records."""
        return await self._cycling.fetch(handle, folder)

    async def abort(self, handle: Handle) -> None:
        """To open circuit first, then the acquisition is ended."""
        try:
            await self._cycling.abort(handle)
            await self._cycling.prove_safe()
        finally:
            await self._series.halt("its step was ended")

    async def find(self, token: str) -> Handle | None:
        """Find the cycler's test."""
        return await self._cycling.find(token)

    async def finish(self) -> None:
        """Open the cycler's relay, where there is one."""
        await self._cycling.finish()

    async def prove_safe(self) -> None:
        """Read the cycler's current."""
        await self._cycling.prove_safe()

    async def suspend(self, handle: Handle) -> None:
        """Interrupt the current, read back; an acquisition goes on to its end."""
        await self._cycling.suspend(handle)

    async def resume(self, handle: Handle) -> None:
        """Let the program go on, unless a spectrum at open circuit is not done: it goes on after that."""
        if not self._series.pausing:
            await self._cycling.resume(handle)

    async def records(self, handle: Handle, after: int | None) -> str | None:
        """Give the cycler's records so far."""
        return await self._cycling.records(handle, after)


class OperandoJob(StepJob):
    """An ``operando`` step of one cell."""

    def __init__(self, around: Surroundings, cell: str, planned: PlannedOperation, company: Company) -> None:
        super().__init__(around, cell, planned)
        self._company = company

    def action(self, row: OperationRow) -> Action:
        """Give the action on cycler and spectrometer."""
        both, bench, route = together_of(self._planned), self._around.bench, self._route(row)
        mux = bench.multiplexer(route.through) if route.through is not None else None
        flowing = replace(
            self._planned, kind=Kind.DISCHARGE if both.discharging else Kind.CHARGE, parameters=both.cycling
        )
        last_seen = partial(self._last_seen, row)
        cycling = CyclerAction(row.operation, flowing, route, bench.cycler(route.instrument), mux, last_seen)
        return OperandoAction(cycling, Series(self._around, self._planned, row, cycling, self._company), both)

    def spectrum(self, row: OperationRow) -> SpectrumJob:
        """Make the job of one of its spectra anew."""
        return SpectrumJob(self._around, row.cell, self._planned, row)

    def bounds(self, row: OperationRow) -> Bounds:
        """The limits of the cycler's part."""
        limits = together_of(self._planned).cycling
        return Bounds(
            voltage=(limits.voltage_min - SAFETY_MARGIN_VOLT, limits.voltage_max + SAFETY_MARGIN_VOLT),
            current=limits.current_max * SAFETY_MARGIN_CURRENT,
            temperature=self._planned.temperature_limits,
            at_most=self._planned.at_most,
        )

    async def close(
        self, row: OperationRow, fetched: Fetched, folder: Path, ended: str, outcome: str = "ok"
    ) -> Mapping[str, Any]:
        """Stamp the spectra from the cycler's records, and write the bundle round them."""
        both = together_of(self._planned)
        rows = [one for one in spectra_of(self._around, row.cell, row.operation) if one.status is Status.DONE]
        taken = [_taken(one, row) for one in rows]
        stamp = self._around.keeping.stamp_spectra
        stamped = await beside(partial(stamp, folder, row.operation, taken, discharging=both.discharging))
        if stamped is None:
            raise LabctlError(f"{row.step}: the cycler left no records to stamp the spectra by")
        kept = [STAMPS, LOOKS, *(f"{one.folder}/operation.json" for one in taken)]
        direction = "discharge" if both.discharging else "charge"
        own = {
            "direction": direction,
            "spectra": {sort: sum(one.sort == sort for one in taken) for sort in ("during", "pause", "end")},
            "stamps": dict(stamped),
            "current_ended": self._current_ended(rows, ended),
        }
        unknown = sum(one.clock_offset is None for one in taken)
        told = [f"{unknown} spectra are stamped by this PC's clock, not the spectrometer's"] if unknown else []
        told += ["the cycler's clock stood unseen; stamps thereabouts are uncertain"] if stamped["clock_gaps"] else []
        fetched = replace(
            fetched,
            files=(*fetched.files, *kept),
            summary={**fetched.summary, **own},
            warnings=(*fetched.warnings, *told),
        )
        return await super().close(row, fetched, folder, ended, outcome)

    def _current_ended(self, rows: list[OperationRow], ended: str) -> str:
        """Say since when the cell has been at rest: the last spectrum may have come after the current's end."""
        after = [one for one in rows if one.result["sort"] == "end"]
        return after[0].times[Status.REQUESTED] if after else ended


def _taken(row: OperationRow, parent: OperationRow) -> Taken:
    """Say when a spectrum was taken, by this PC's clock."""
    result, offset = row.result, row.result.get("clock_offset_s")
    began, over = result.get("acquired_from"), result.get("acquired_until")
    if began is None or over is None or offset is None:
        # The dataset does not say, or nobody knows how its clock stands: this PC saw it begin and end.
        began, over, offset = row.times[Status.RUNNING], str(result["ended"]), None
    ahead = float(offset or 0.0)
    return Taken(
        number=int(result["number"]),
        sort=str(result["sort"]),
        folder=row.operation.removeprefix(parent.operation + "/"),
        token=row.token,
        began=datetime.fromisoformat(str(began)).timestamp() - ahead,
        over=datetime.fromisoformat(str(over)).timestamp() - ahead,
        clock_offset=float(offset) if offset is not None else None,
    )
