"""The ``deis`` step: impedance spectra while a direct current charges or discharges the cell, stamped with its charge.

The potentiostat's driver runs the series and stamps each spectrum with the charge that has passed since its direct
current was switched on. What the cell held before is known here, so the state of charge is added here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any, Final

from labctl.engine.actions import SAFETY_MARGIN_VOLT, Action
from labctl.engine.clock import beside
from labctl.engine.ledgers import MOVING, signed
from labctl.engine.steps import StepJob
from labctl.engine.sweeping import Leads, SweepAction
from labctl.engine.watch import Bounds
from labctl.errors import LabctlError
from labctl.instruments import DynamicPotentiostat, DynamicRequest, Fetched, Handle, Potentiostat, Progress, State
from labctl.journal import ENDED, OperationRow, Status
from labctl.protocol import Dynamic, PlannedOperation
from labctl.results import STAMPS
from labctl.safety.ledger import SMALLEST
from labctl.units import show

#: Looks at a cell that has gone past its limits, and seconds between them; the next step judges it after that.
_LOOKS: Final = 30
_LOOK_AGAIN: Final = 20.0
#: States of charge that a cell can have; by others the capacity that they are counted in is not the cell's.
_BELIEVED: Final = (-0.1, 1.2)


def dynamic_of(planned: PlannedOperation) -> Dynamic:
    """Give the parameters of a ``deis`` step."""
    if not isinstance(planned.parameters, Dynamic):
        raise LabctlError(f"{planned.path} is no step of impedance under direct current")
    return planned.parameters


def dynamic_request(name: str, planned: PlannedOperation) -> DynamicRequest:
    """Translate a planned ``deis`` step into what a potentiostat is asked."""
    asked = dynamic_of(planned)
    sweep = asked.sweep
    return DynamicRequest(
        name=name,
        current=-asked.current if asked.discharging else asked.current,
        amplitude=sweep.amplitude,
        frequency_start=sweep.frequency_start,
        frequency_end=sweep.frequency_end,
        points_per_decade=sweep.points_per_decade,
        periods=sweep.periods,
        spectra=asked.most,
        cutoff=asked.cutoff,
        voltage_min=sweep.voltage_min,
        voltage_max=sweep.voltage_max,
        pause=asked.pause,
        points_per_decade_low=sweep.points_per_decade_low,
        periods_low=sweep.periods_low,
    )


class DynamicAction(SweepAction):
    """A series of spectra under direct current."""

    def __init__(self, name: str, planned: PlannedOperation, potentiostat: Potentiostat, leads: Leads) -> None:
        if not isinstance(potentiostat, DynamicPotentiostat):
            raise LabctlError(f"{leads.route.instrument} takes no spectra under direct current")
        self._series: DynamicPotentiostat = potentiostat
        self.request = dynamic_request(name, planned)
        super().__init__(self.request, dynamic_of(planned).sweep.rest_before, potentiostat, leads)

    async def start(self, token: str) -> Handle:
        """Switch the direct current on and start the first spectrum."""
        return await self._series.start_dynamic(token, self.request)

    async def poll(self, handle: Handle) -> Progress:
        """Look at the series; it goes on by being looked at. One that has ended lets the cell come back first."""
        progress = await self._series.poll(handle)
        if progress.state is State.DONE:
            await self._come_back()
        return progress

    async def _come_back(self) -> None:
        """Wait until the cell is inside its limits again: what ends at a steep cut-off may have gone past them."""
        low, high = self.request.voltage_min, self.request.voltage_max
        for _ in range(_LOOKS):
            self._left_at = await self._potentiostat.open_circuit_voltage()
            if low <= self._left_at <= high:
                return
            await asyncio.sleep(_LOOK_AGAIN)


@dataclass(frozen=True, slots=True)
class Held:
    """What a cell held before a series.

    Attributes
    ----------
    net : float
        C, by what its steps have moved.
    first_charge : float or None
        C that its first charge put in.
    gaps : tuple of str
        Operations of which nobody knows what they moved.
    """

    net: float
    first_charge: float | None
    gaps: tuple[str, ...]


class DynamicJob(StepJob):
    """A ``deis`` step of one cell."""

    def action(self, row: OperationRow) -> Action:
        """Give the action on the potentiostat."""
        route, bench = self._route(row), self._around.bench
        mux = bench.multiplexer(route.through) if route.through is not None else None
        potentiostat = bench.potentiostat(route.instrument)
        last_seen = partial(self._last_seen, row)
        leads = Leads(route, mux, self._beside(route), last_seen)
        return DynamicAction(row.operation, self._planned, potentiostat, leads)

    def bounds(self, row: OperationRow) -> Bounds:
        """The cell's limits, for the mean voltage."""
        sweep = dynamic_of(self._planned).sweep
        low, high = sweep.voltage_min - SAFETY_MARGIN_VOLT, sweep.voltage_max + SAFETY_MARGIN_VOLT
        return Bounds(voltage=(low, high), temperature=self._planned.temperature_limits)

    async def close(
        self, row: OperationRow, fetched: Fetched, folder: Path, ended: str, outcome: str = "ok"
    ) -> Mapping[str, Any]:
        """Add the state of charge to every spectrum's stamps, and write the bundle."""
        asked, summary = dynamic_of(self._planned), dict(fetched.summary)
        held = self._held_before(row)
        capacity = asked.capacity or held.first_charge
        stamp = partial(self._around.keeping.stamp_charges, folder, fetched, held.net, capacity)
        stamped = await beside(partial(stamp, count=asked.count, last=asked.keep_on))
        told = []
        if (taken := int(stamped["spectra"] or 0)) < asked.count:
            told.append(f"{taken} complete spectra before its end, {asked.count} were wanted")
        if capacity is None:
            told.append("no state of charge: the cell has had no charge, and the step names no capacity")
        elif held.gaps:
            told.append(f"the state of charge leaves out what {', '.join(held.gaps)} moved")
        socs = [float(soc) for key in ("soc_first", "soc_last") if (soc := stamped[key]) is not None]
        if any(not _BELIEVED[0] <= soc <= _BELIEVED[1] for soc in socs):
            span = f"states of charge from {socs[0]:.3g} to {socs[-1]:.3g}"
            told.append(f"{span}: {show(capacity or 0.0, 'mAh')} is not what the cell holds; name a 'capacity'")
        direction = "discharge" if asked.discharging else "charge"
        own = {
            "direction": direction,
            "net_before_C": held.net,
            "reference_capacity_C": capacity,
            "stamps": dict(stamped),
            "end": self._end_of(str(summary.get("end"))),
            "current_ended": ended,
        }
        if "voltage_after_V" in summary:
            own["voltage_V"] = summary["voltage_after_V"]
        fetched = replace(
            fetched,
            files=(*fetched.files, STAMPS),
            summary={**summary, **own},
            warnings=(*fetched.warnings, *told),
        )
        return await super().close(row, fetched, folder, ended, outcome)

    def _end_of(self, told: str) -> str:
        """Say in the words of all steps what ended a series; the guard time allows so many spectra and no more."""
        asked = dynamic_of(self._planned)
        guarded = asked.keep_on or asked.most < asked.count
        return {"cut-off": "voltage", "all spectra": "time" if guarded else "spectra"}.get(told, told)

    def _held_before(self, row: OperationRow) -> Held:
        """Sum up what this cell's steps had moved, in all campaigns and attempts, when the operation was requested."""
        rows = [
            one
            for one in self._around.journal.operations(cell=self._cell.id, status=ENDED)
            if one.order < row.order and one.kind in MOVING and Status.RUNNING in one.times
        ]
        moved = [signed(one.kind, one.result) for one in rows]
        # Of what was broken off the records at least say something.
        known = [
            charge if charge is not None else float(one.result.get("integrated_C") or 0.0)
            for one, charge in zip(rows, moved, strict=True)
        ]
        gaps = tuple(one.operation for one, charge in zip(rows, moved, strict=True) if charge is None)
        # The first charge may have come in pieces; it is over when something is taken out again.
        began = dropwhile(lambda charge: charge <= SMALLEST, known)
        first = sum(takewhile(lambda charge: charge > -SMALLEST, began))
        return Held(sum(known), first or None, gaps)
