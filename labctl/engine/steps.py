"""One step of a cell's plan as a job: where the cell must be, what must be true around it, what to ask and to keep."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from labctl.engine.actions import (
    AcquisitionAction,
    Action,
    CyclerAction,
    ImpedanceAction,
    Pulse,
    acquisition_request,
)
from labctl.engine.bench import Bench
from labctl.engine.campaign import Campaign
from labctl.engine.chambers import Oven
from labctl.engine.description import describe
from labctl.engine.leases import Need
from labctl.engine.routing import ROLE_OF, Route, routes
from labctl.errors import JournalError, LabctlError
from labctl.instruments import Fetched
from labctl.journal import Journal, OperationRow, Status
from labctl.protocol import Acquisition, Kind, PlannedOperation
from labctl.results import write_bundle
from labctl.safety.identity import LastSeen

#: Kinds that leave a cell with a voltage that the next instrument can compare with.
CYCLING: Final = frozenset({Kind.REST, Kind.CHARGE, Kind.DISCHARGE, Kind.HOLD})

#: Brings a cell to a slot, for an operation; does nothing where it sits there already.
Move = Callable[[str, str, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every step of a campaign shares."""

    campaign: Campaign
    journal: Journal
    bench: Bench
    ovens: Mapping[str, Oven]
    move: Move
    results: Path
    reference_of: Callable[[str], str | None]


class StepJob:
    """One planned operation of one cell."""

    has_files = True

    def __init__(self, around: Surroundings, cell: str, planned: PlannedOperation) -> None:
        self._around = around
        self._cell = around.campaign.cell(cell)
        self._planned = planned

    # -- which way -------------------------------------------------------------------------------------------------
    def _routes(self) -> list[Route]:
        here = self._around.journal.places().get(self._cell.id)
        found = routes(self._around.campaign.station, self._around.bench.roles, self._planned, here, self._cell.place)
        if not found:
            role = ROLE_OF[self._planned.kind]
            raise LabctlError(f"{self._planned.path}: no place of the station has a {role} for it")
        return found

    def _route(self, row: OperationRow) -> Route:
        for route in self._routes():
            if set(route.resources) == set(row.resources):
                return route
        raise JournalError(f"{row.operation} holds {', '.join(row.resources)}, which is no way of the station to do it")

    def need(self, row: OperationRow) -> Need:
        """Every way to carry it out, the best first."""
        options = tuple(route.resources for route in self._routes())
        return Need(row.operation, row.cell, row.order, options, self._cell.priority)

    # -- before and after --------------------------------------------------------------------------------------------
    async def ready(self, row: OperationRow) -> Action:
        """Bring the cell to its slot, the chamber to its temperature, and let the cell soak."""
        route = self._route(row)
        await self._around.move(row.operation, self._cell.id, route.slot)
        if route.chamber is not None and self._planned.temperature is not None:
            await self._around.ovens[route.chamber].join(row.operation, self._planned.temperature)
        await asyncio.sleep(self._planned.soak)
        return self.action(row)

    async def leave(self, row: OperationRow) -> None:
        """Let the chamber go."""
        route = self._route(row) if row.resources else None
        if route is not None and route.chamber is not None:
            await self._around.ovens[route.chamber].leave(row.operation)

    def place_after(self) -> str | None:
        """The cell stays where it is."""
        return None

    # -- what is asked -----------------------------------------------------------------------------------------------
    def action(self, row: OperationRow) -> Action:
        """Give the action on the instrument that the lease names."""
        route = self._route(row)
        bench, planned = self._around.bench, self._planned
        if planned.kind in CYCLING:
            return CyclerAction(row.operation, planned, route, bench.cycler(route.instrument), self._last_seen())
        if planned.kind is Kind.EIS:
            mux = bench.multiplexer(route.through) if route.through is not None else None
            return ImpedanceAction(row.operation, planned, route, bench.potentiostat(route.instrument), mux)
        request = acquisition_request(row.operation, self._cell.id, planned, self._pulse())
        return AcquisitionAction(request, bench.spectrometer(route.instrument))

    def _done(self, *kinds: Kind) -> list[OperationRow]:
        rows = self._around.journal.operations(
            campaign=self._around.campaign.name, cell=self._cell.id, status=[Status.DONE]
        )
        return [row for row in rows if row.kind in kinds]

    def _last_seen(self) -> LastSeen | None:
        rows = self._done(*CYCLING)
        if not rows or "voltage_V" not in rows[-1].result:
            return None
        return LastSeen(float(rows[-1].result["voltage_V"]), rows[-1].kind)

    def _nutation(self) -> OperationRow | None:
        rows = self._done(Kind.NUTATION)
        return rows[-1] if rows else None

    def _pulse(self) -> Pulse:
        parameters = self._planned.parameters
        if not isinstance(parameters, Acquisition):
            raise LabctlError(f"{self._planned.path} is no step for a spectrometer")
        length = parameters.nominal_pulse
        if self._planned.kind is Kind.NMR and parameters.pulse in ("calibrate", "reuse"):
            nutation = self._nutation()
            if nutation is None:
                raise LabctlError(f"{self._planned.path}: the pulse was to be calibrated on this cell first")
            length = float(nutation.result["pi_half_s"]) * parameters.flip / (math.pi / 2)
        gain = None
        if parameters.receiver_gain_from not in (None, self._planned.label):
            for row in self._done(Kind.NMR):
                if row.result.get("label") == parameters.receiver_gain_from:
                    gain = row.result.get("receiver_gain")
        return Pulse(length, float(gain) if gain is not None else None)

    # -- what is kept ------------------------------------------------------------------------------------------------
    def close(self, row: OperationRow, fetched: Fetched, folder: Path, ended: str) -> Mapping[str, Any]:
        """Evaluate what the next steps need, and write the bundle."""
        planned, around = self._planned, self._around
        route = self._route(row)
        delay = self._delay(row)
        late = planned.start_within is not None and delay is not None and delay > planned.start_within
        flags = [*planned.flags, *(["started late"] if late else [])]
        result: dict[str, Any] = {**fetched.summary, "label": planned.label}
        reference = None
        if planned.kind in (Kind.NMR, Kind.NUTATION):
            reference = around.reference_of(route.instrument)
        if planned.kind is Kind.NUTATION:
            result["pi_half_s"] = pi_half(folder, fetched)
        nutation = self._nutation() if planned.kind is Kind.NMR else None
        asked = self.action(row).asked
        operation = {
            **describe(row, around.bench, route.instrument, around.campaign.mode, asked, fetched, ended),
            "group": self._cell.group,
            "cycle": planned.cycle,
            "label": planned.label,
            "delay_s": delay,
            "place": route.slot,
            "summary": result,
            "flags": flags,
            "reference": reference,
            "nutation": nutation.token if nutation is not None else None,
        }
        write_bundle(folder, fetched.files, operation)
        if late and delay is not None:
            around.journal.alarm(
                "warning",
                f"{planned.path} started {delay / 3600:.1f} h after the step before it, "
                f"later than {(planned.start_within or 0) / 3600:.1f} h; the result carries the delay",
                cell=row.cell,
            )
        return result

    def _delay(self, row: OperationRow) -> float | None:
        """Seconds between the end of the step before and the start of this one."""
        before = [one for one in self._done(*ROLE_OF) if one.order < row.order and one.operation != row.operation]
        started = row.times.get(Status.RUNNING)
        if not before or started is None or "ended" not in before[-1].result:
            return None
        ended = datetime.fromisoformat(str(before[-1].result["ended"]))
        return (datetime.fromisoformat(started) - ended).total_seconds()


def pi_half(folder: Path, fetched: Fetched) -> float:
    """Evaluate a nutation series to the length of the 90 degree pulse in s."""
    datasets = sorted({(folder / name).parent for name in fetched.files if Path(name).name == "acqus"})
    datasets.sort(key=lambda dataset: int(dataset.name))
    # Here, because it brings numpy, which an orchestrator that starts does not need.
    from labctl.analysis import nutation

    return float(nutation.evaluate(datasets).t90_s)
