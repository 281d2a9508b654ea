"""One step of a cell's plan as a job: where the cell must be, what must be true around it, what to ask and to keep."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from labctl.engine import delays
from labctl.engine.acquiring import AcquisitionAction, Pulse, acquisition_request, ahead_of, parameters_of
from labctl.engine.actions import SAFETY_MARGIN_CURRENT, SAFETY_MARGIN_VOLT, Action, CyclerAction
from labctl.engine.bench import Bench
from labctl.engine.byhand import about
from labctl.engine.campaign import BENCH, Campaign
from labctl.engine.chambers import Oven
from labctl.engine.clock import beside
from labctl.engine.description import describe
from labctl.engine.ending import ends_by_time
from labctl.engine.keeping import Keeping
from labctl.engine.leases import Need
from labctl.engine.ledgers import Ledgers
from labctl.engine.movement import Movement
from labctl.engine.references import References
from labctl.engine.routing import ROLE_OF, Route, RouteBook
from labctl.engine.shifts import Shifts
from labctl.engine.spectra import is_alike
from labctl.engine.sweeping import ImpedanceAction, Leads
from labctl.engine.watch import Bounds
from labctl.errors import JournalError, LabctlError
from labctl.instruments import Clock, Cycler, Fetched, Progress
from labctl.journal import ENDED, Journal, OperationRow, Status
from labctl.protocol import Cycling, Dynamic, Impedance, Kind, PlannedOperation, Together
from labctl.results import SET_ASIDE
from labctl.safety.identity import LastSeen

#: Kinds that leave a cell with a voltage that the next instrument can compare with.
CYCLING: Final = frozenset({Kind.REST, Kind.CHARGE, Kind.DISCHARGE, Kind.HOLD, Kind.OPERANDO, Kind.DEIS})

#: Kinds whose guard time should not be what ends them.
GUARDED: Final = frozenset({Kind.CHARGE, Kind.DISCHARGE, Kind.HOLD, Kind.OPERANDO, Kind.DEIS})

#: What a deadline may count from; a mark is no step that anything waits for.
_STEPS: Final = tuple(kind for kind in ROLE_OF if kind is not Kind.MARK)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every step of a campaign shares."""

    campaign: Campaign
    journal: Journal
    bench: Bench
    book: RouteBook
    ovens: Mapping[str, Oven]
    movement: Movement
    results: Path
    clock: Clock
    ledgers: Ledgers
    references: References
    keeping: Keeping
    shifts: Shifts


class StepJob:
    """One planned operation of one cell."""

    has_files = True

    def __init__(self, around: Surroundings, cell: str, planned: PlannedOperation) -> None:
        self._around = around
        self._cell = around.campaign.cell(cell)
        self._planned = planned

    # -- which way -------------------------------------------------------------------------------------------------
    def _routes(self) -> list[Route]:
        around, cell = self._around, self._cell
        here = around.journal.place(cell.id)
        found = around.book.ways(self._planned, here, cell.place, around.movement.kept())
        if not found:
            role = ROLE_OF[self._planned.kind]
            raise LabctlError(f"{self._planned.path}: no place of the station has a {role} for it")
        return found

    def _route(self, row: OperationRow) -> Route:
        route = self._around.book.way_of(self._planned, row.resources)
        if route is None:
            held = ", ".join(row.resources)
            raise JournalError(f"{row.operation} holds {held}, which is no way of the station to do it")
        return route

    def need(self, row: OperationRow) -> Need:
        """Every way to carry it out, the best first."""
        options = tuple(route.resources for route in self._routes())
        due = self._due(row)
        deadline = due.timestamp() if due is not None else None
        cell = self._cell
        return Need(row.operation, row.cell, row.order, options, cell.priority, cell.user or "", row.since, deadline)

    async def ahead(self, row: OperationRow, enter: Callable[[], None]) -> None:
        """Wait until a measured charge may begin; have the spectrometer's reference measured before a spectrum.

        A cell that sits in the probe makes room for the reference.
        """
        await self._until_hours(row)
        references, movement, cell = self._around.references, self._around.movement, self._cell
        # Again, where the session ended while its reference was measured.
        while (spectrometer := references.missing(self._planned.kind)) is not None:
            slot = references.slot(spectrometer)
            if self._around.journal.place(cell.id) == slot:
                home = cell.place if cell.place != slot and movement.is_free_for(cell.id, cell.place) else BENCH
                await movement.move(row.operation, cell.id, home)
            await references.ensure(spectrometer, row.campaign, enter)

    async def _until_hours(self, row: OperationRow) -> None:
        """Delay a measured charge, so that people are there when it has ended; a person's retry begins at once."""
        around, planned = self._around, self._planned
        if planned.kind is not Kind.CHARGE or row.attempt > 1 or not around.shifts.any_hours:
            return
        plan = around.campaign.plans[self._cell.id]
        wanted = delays.chain(plan, plan.index(planned), self._takes)
        now = around.clock.now()
        if not wanted:
            return
        shifts = around.shifts
        begin = delays.earliest(now, wanted, shifts.somebody, self._promised(row.operation), shifts.next_date())
        text = f"{planned.path} begins {begin:%Y-%m-%d %H:%M} UTC, so that people are there when it has ended"
        spans = [[instant.isoformat() for instant in one.span(begin)] for one in wanted]
        data = {"until": begin.isoformat(), "spectrometer": spans}
        around.journal.note("delay", text, cell=row.cell, operation=row.operation, data=data)
        await asyncio.sleep((begin - now).total_seconds())

    def _promised(self, operation: str) -> list[delays.Span]:
        """Give when the spectrometer is expected to be taken by the cells of other measured charges."""
        told = {event.operation: event.data for event in self._around.journal.events(category="delay")}
        spans = [span for other, data in told.items() if other != operation for span in data["spectrometer"]]
        return [(datetime.fromisoformat(begin), datetime.fromisoformat(end)) for begin, end in spans]

    def _takes(self, step: PlannedOperation) -> float | None:
        """Expect how long a charge or discharge takes, from what the campaign has done."""
        journal, campaign = self._around.journal, self._around.campaign
        latest = (journal.latest(campaign.name, cell.id, step.path) for cell in campaign.cells.cells)
        own = journal.backwards(campaign.name, self._cell.id)
        done = (row for row in latest if row is not None)
        return delays.takes(step, done, own, nominal=self._cell.capacity)

    # -- how late ----------------------------------------------------------------------------------------------------
    def _before(self, row: OperationRow) -> OperationRow | None:
        """Give the step that this cell did last."""
        return next((one for one in self._done(*_STEPS) if one.order < row.order), None)

    def _due(self, row: OperationRow) -> datetime | None:
        """Say when the step should have started."""
        before = self._before(row)
        if self._planned.start_within is None or before is None:
            return None
        return datetime.fromisoformat(str(before.result["ended"])) + timedelta(seconds=self._planned.start_within)

    def latest(self, row: OperationRow) -> datetime | None:
        """Say until when it must start, or else not at all; a person's retry is started whenever it is."""
        if self._planned.late == "continue" or row.attempt > 1:
            return None
        return self._due(row)

    @property
    def skips_when_late(self) -> bool:
        """Whether the cell goes on without this step where it is too late for it."""
        return self._planned.late == "skip"

    # -- before and after --------------------------------------------------------------------------------------------
    async def ready(self, row: OperationRow) -> Action:
        """Bring the cell to its slot, the chamber to its temperature, and let the cell soak."""
        route = self._route(row)
        if row.attempt == 1:
            self._around.ledgers.check(self._around.campaign.name, self._cell.id)
        await self._around.movement.move(row.operation, self._cell.id, route.slot)
        if route.chamber is not None and self._planned.temperature is not None:
            await self._around.ovens[route.chamber].join(
                row.operation, self._planned.temperature, self._planned.temperature_limits
            )
        await asyncio.sleep(self._planned.soak)
        return self.action(row)

    async def look_around(self, row: OperationRow) -> None:
        """Look at the chamber that the step relies on."""
        if self._planned.temperature is not None and (chamber := self._route(row).chamber) is not None:
            await self._around.ovens[chamber].look(row.operation, self._planned.temperature_limits)

    async def leave(self, row: OperationRow) -> None:
        """Let the chamber go."""
        route = self._route(row) if row.resources else None
        if route is not None and route.chamber is not None:
            await self._around.ovens[route.chamber].leave(row.operation)

    def place_after(self) -> str | None:
        """The cell stays where it is."""
        return None

    def bounds(self, row: OperationRow) -> Bounds:
        """The step's limits, as the instrument has them: the engine watches the same."""
        planned = self._planned
        parameters = planned.parameters
        if not isinstance(parameters, Cycling):
            return Bounds(temperature=planned.temperature_limits)
        return Bounds(
            voltage=(parameters.voltage_min - SAFETY_MARGIN_VOLT, parameters.voltage_max + SAFETY_MARGIN_VOLT),
            current=parameters.current_max * SAFETY_MARGIN_CURRENT,
            temperature=planned.temperature_limits,
            at_most=planned.at_most,
        )

    def seen(self, row: OperationRow, progress: Progress) -> None:
        """A look leaves nothing to keep: records come from the instrument's own file."""

    # -- what is asked -----------------------------------------------------------------------------------------------
    def action(self, row: OperationRow) -> Action:
        """Give the action on the instrument that the lease names."""
        route = self._route(row)
        bench, planned = self._around.bench, self._planned
        mux = bench.multiplexer(route.through) if route.through is not None else None
        last_seen = partial(self._last_seen, row)
        if planned.kind in CYCLING:
            return CyclerAction(row.operation, planned, route, bench.cycler(route.instrument), mux, last_seen)
        if planned.kind is Kind.EIS:
            potentiostat = bench.potentiostat(route.instrument)
            leads = Leads(route, mux, self._beside(route), last_seen)
            return ImpedanceAction(row.operation, planned, potentiostat, leads)
        request = acquisition_request(row.operation, self._cell.id, planned, self._pulse())
        return AcquisitionAction(request, bench.spectrometer(route.instrument), row.token, ahead_of(planned))

    def _beside(self, route: Route) -> tuple[Cycler, int] | None:
        """Give the cycler whose leads stay at the cell while another instrument measures."""
        bench = self._around.bench
        found = ((name, channel) for name, channel in route.beside if bench.roles[name] == "cycler")
        return next(((bench.cycler(name), channel) for name, channel in found), None)

    def _done(self, *kinds: Kind) -> Iterator[OperationRow]:
        """Give what this cell has done of these kinds, the last first."""
        rows = self._around.journal.backwards(self._around.campaign.name, self._cell.id)
        return (row for row in rows if row.status is Status.DONE and row.kind in kinds)

    def _last_seen(self, of: OperationRow) -> LastSeen | None:
        """Say how the cell was last seen, for whoever is about to let current flow; None where a person knows it."""
        if "known_by" in of.result:
            return None
        rows = self._around.journal.backwards(self._around.campaign.name, self._cell.id)
        row = next((one for one in rows if one.kind in CYCLING and one.status in ENDED and _seen(one)), None)
        if row is None or not self._usual(float(row.result["voltage_V"])):
            return None
        # Some steps go on for a while after their current has ended.
        ended = datetime.fromisoformat(str(row.result.get("current_ended") or row.result["ended"]))
        seconds = (self._around.clock.now() - ended).total_seconds()
        return LastSeen(
            float(row.result["voltage_V"]),
            str(row.result.get("direction") or row.kind),
            float(row.result.get("current_A", 0.0)),
            max(seconds, 0.0),
            float(row.result["duration_s"]) if row.kind == Kind.REST and "duration_s" in row.result else None,
        )

    def _usual(self, voltage: float) -> bool:
        """Whether a step ended inside the limits: from beyond them a cell comes back further than any band says."""
        asked = self._planned.parameters
        limits = asked.cycling if isinstance(asked, Together) else asked.sweep if isinstance(asked, Dynamic) else asked
        if not isinstance(limits, (Cycling, Impedance)):
            return True
        return limits.voltage_min <= voltage <= limits.voltage_max

    def _alike(self, kind: Kind) -> Iterator[OperationRow]:
        """Give what this cell has done of this kind with this experiment in this cycle, the last first."""
        cycle, experiment = self._planned.path.split("/")[0], parameters_of(self._planned).experiment
        rows = (row for row in self._done(kind) if row.step.split("/")[0] == cycle)
        return (row for row in rows if row.result.get("experiment", experiment) == experiment)

    def _nutation(self) -> OperationRow | None:
        return next(self._alike(Kind.NUTATION), None)

    def _compared(self, row: OperationRow) -> Mapping[str, Any] | None:
        """Give the last spectrum or calibration of this cell that was taken alike, for what it said of the probe."""
        asked, kind = parameters_of(self._planned), self._planned.kind
        rows = (one for one in self._done(kind) if one.operation != row.operation)
        return next((one.result for one in rows if is_alike(one.result, asked, kind)), None)

    def _pulse(self) -> Pulse:
        parameters = parameters_of(self._planned)
        length, gain = parameters.nominal_pulse, parameters.receiver_gain
        if self._planned.kind is not Kind.NUTATION and parameters.pulse in ("calibrate", "reuse"):
            nutation = self._nutation()
            if nutation is None:
                raise LabctlError(f"{self._planned.path}: the pulse was to be calibrated on this cell first")
            length = float(nutation.result["pi_half_s"]) * parameters.flip / (math.pi / 2)
            # A gain that overloaded the receiver at this pulse would do so again.
            gain = nutation.result.get("receiver_gain", gain)
        if parameters.receiver_gain_from not in (None, self._planned.label):
            labels = (row for row in self._alike(Kind.NMR) if row.result.get("label") == parameters.receiver_gain_from)
            gain = next((row.result.get("receiver_gain") for row in labels), gain)
        return Pulse(length, float(gain) if gain is not None else None)

    # -- what is kept ------------------------------------------------------------------------------------------------
    async def close(
        self, row: OperationRow, fetched: Fetched, folder: Path, ended: str, outcome: str = "ok"
    ) -> Mapping[str, Any]:
        """Evaluate what the next steps need, and write the bundle."""
        planned, around = self._planned, self._around
        route = self._route(row)
        delay = self._delay(row)
        late = planned.start_within is not None and delay is not None and delay > planned.start_within
        by_time = planned.kind in GUARDED and fetched.summary.get("end") == "time"
        asked_for = by_time and ends_by_time(planned)
        timed_out = outcome == "ok" and by_time and not asked_for
        status = "timeout" if timed_out else outcome
        known = ["a person vouched for the cell"] if "known_by" in row.result else []
        flags = [*planned.flags, *known, *(["started late"] if late else []), *([status] if status != "ok" else [])]
        result: dict[str, Any] = {**fetched.summary, "label": planned.label, "status": status}
        if asked_for:
            result["end"] = "duration"
        reference = None
        if ROLE_OF[planned.kind] == "spectrometer":
            # Of the session in which it was acquired: the gateway may have been started anew since.
            session = fetched.summary.get("session")
            reference = around.references.token(route.instrument, session)
            if outcome == "ok":
                zero = around.references.zero(route.instrument, session)
                found = await beside(partial(around.keeping.judge, planned, folder, fetched, zero, self._compared(row)))
                result |= found.result
                flags += found.flags
                if parameters_of(planned).tuned_by_person:
                    result["tuning"] = self._tuned_by(row)
                    flags += [] if result["tuning"].get("checklist") else ["nobody was asked to tune and match"]
                flags += ["no reference in its spectrometer session"] if reference is None else []
        nutation = self._nutation() if planned.kind is Kind.NMR else None
        asked = self.action(row).asked
        operation = {
            **describe(row, around.bench, route.instrument, around.campaign.mode, asked, fetched, ended),
            **about(around, self._cell, planned, row),
            "label": planned.label,
            "status": status,
            "delay_s": delay,
            "transfers": self._transfers(row),
            "place": route.slot,
            "summary": result,
            "flags": flags,
            "reference": reference,
            "nutation": nutation.token if nutation is not None else None,
            **self._described(),
        }
        if not await beside(partial(around.keeping.keep, folder, fetched, operation, result)):
            around.journal.alarm(
                "warning",
                f"{planned.path}: the records kept while it ran are not those that {route.instrument} gave at its end; "
                f"the result has the latter, {SET_ASIDE} the former",
                cell=row.cell,
                instrument=route.instrument,
            )
        if late and delay is not None:
            around.journal.alarm(
                "warning",
                f"{planned.path} started {delay / 3600:.1f} h after the step before it, "
                f"later than {(planned.start_within or 0) / 3600:.1f} h; the result carries the delay",
                cell=row.cell,
            )
        return result

    def _described(self) -> Mapping[str, Any]:
        """Say what else the bundle says of itself."""
        return {}

    def _delay(self, row: OperationRow) -> float | None:
        """Seconds between the end of the step before and the start of this one."""
        before, started = self._before(row), row.times.get(Status.RUNNING)
        if before is None or started is None:
            return None
        return (datetime.fromisoformat(started) - datetime.fromisoformat(str(before.result["ended"]))).total_seconds()

    def _tuned_by(self, row: OperationRow) -> dict[str, Any]:
        """Say who put the cell where it is, and what they were asked and confirmed to have done."""
        for one in self._around.journal.backwards(row.campaign, row.cell):
            if one.kind == "transfer" and one.status is Status.DONE:
                asked = one.result["request"].get("checklist", [])
                return {"by": one.result.get("user"), "at": one.result.get("at"), "checklist": asked}
        return {}

    def _transfers(self, row: OperationRow) -> list[dict[str, Any]]:
        """Say how the cell came here since its last step, and between which instants it was out of its clamp."""
        before = self._before(row)
        since = before.order if before is not None else 0
        moves = []
        for one in self._around.journal.backwards(row.campaign, row.cell):
            if one.order <= since:
                break
            if one.kind == "transfer" and one.status is Status.DONE:
                moves.append(
                    {
                        "from": one.result["request"]["source"],
                        "to": one.result["request"]["target"],
                        "asked": one.times[Status.RUNNING],
                        "confirmed": one.result.get("at"),
                        "by": one.result.get("user"),
                        "checklist": one.result["request"].get("checklist", []),
                    }
                )
        return moves[::-1]


def _seen(row: OperationRow) -> bool:
    """Whether an operation left a voltage; one that failed half way did too."""
    return "voltage_V" in row.result and "ended" in row.result
