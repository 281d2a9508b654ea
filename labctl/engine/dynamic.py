"""The ``deis`` step: impedance spectra while a direct current charges or discharges the cell, stamped with its charge.

The potentiostat's driver runs the series and stamps each spectrum with the charge that has passed since its direct
current was switched on. What the cell held before is known here, so the state of charge is added here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from labctl.engine.actions import SAFETY_MARGIN_VOLT, Action
from labctl.engine.clock import beside
from labctl.engine.steps import StepJob
from labctl.engine.sweeping import Leads, SweepAction
from labctl.engine.watch import Bounds
from labctl.errors import LabctlError
from labctl.instruments import DynamicPotentiostat, DynamicRequest, Fetched, Handle, Potentiostat, Progress, State
from labctl.journal import OperationRow, Status
from labctl.protocol import Dynamic, Kind, PlannedOperation
from labctl.results import STAMPS, stamp_charges

#: Looks at a cell that has gone past its limits, and seconds between them; the next step judges it after that.
_LOOKS: Final = 30
_LOOK_AGAIN: Final = 20.0


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
        held = self._around.ledgers.balance(self._around.campaign.name, self._cell.id)
        capacity = asked.capacity or self._first_charge()
        stamped = await beside(
            partial(stamp_charges, folder, held.net, capacity, count=asked.count, last=asked.keep_on)
        )
        told = []
        if (taken := int(stamped["spectra"] or 0)) < asked.count:
            told.append(f"{taken} complete spectra before its end, {asked.count} were wanted")
        if capacity is None:
            told.append("no state of charge: the cell has had no charge, and the step names no capacity")
        elif held.gaps:
            told.append(f"the state of charge leaves out what {', '.join(held.gaps)} moved")
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

    def _first_charge(self) -> float | None:
        """Give what the cell's first charge put in, C."""
        rows = self._around.journal.operations(
            campaign=self._around.campaign.name, cell=self._cell.id, status=[Status.DONE]
        )
        charged = (
            row
            for row in rows
            if row.kind == Kind.CHARGE or (row.kind == Kind.OPERANDO and row.result.get("direction") == "charge")
        )
        first = next((row for row in charged if row.result.get("capacity_C")), None)
        return float(first.result["capacity_C"]) if first is not None else None
