"""The spectra of an ``operando`` step: which is taken when, each an operation of its own with its own token.

Driven by what can be asked again after a kill: the journal's rows, the cycler's state and its test's clock. Spectra are
taken one after the other while current flows; when it has flowed for long enough the program is suspended, which is
read back, and a longer one is taken at open circuit; then the program goes on. A spectrum of a pause is requested
before the program is suspended, so that a suspension of ours is known from one that somebody made at the tester.

A spectrum that comes to nothing does not harm the cell, but the step is not what was wanted: the program is suspended
and the cell held for a person to decide.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from labctl.cell.machine import HELD
from labctl.engine.acquiring import Pulse
from labctl.engine.actions import Action, CyclerAction
from labctl.engine.clock import beside
from labctl.engine.kinds import SPECTRUM
from labctl.engine.leases import Need
from labctl.engine.lifecycle import LifeCycle
from labctl.engine.routing import Route
from labctl.engine.steps import StepJob, Surroundings
from labctl.engine.watch import Bounds
from labctl.engine.wishes import HOLD_NOW, RESUME
from labctl.errors import LabctlError
from labctl.instruments import Fetched, Handle, Inspectable, Progress, State
from labctl.journal import ENDED, OperationRow, Status
from labctl.protocol import Acquisition, Kind, PlannedOperation, Together
from labctl.results import Look, bundle_folder

DURING: Final = "during"
PAUSE: Final = "pause"
END: Final = "end"
#: A spectrum is begun before a pause if this share of it ends before the pause is due; the pause waits for it.
_WORTH: Final = 0.9
#: Seconds between two looks while nothing can be begun, at most.
_LOOK_AGAIN: Final = 300.0
#: And while the cell is held.
_HELD: Final = 30.0
#: Real seconds for ending a spectrum whose step has ended, before a person is asked.
_END_WITHIN: Final = 60.0


@dataclass(frozen=True, slots=True)
class Company:
    """What a step needs that has operations of its own, or that may have its cell held.

    Attributes
    ----------
    life : LifeCycle
        Runs operations.
    token_of : callable
        Names an operation for its instrument.
    hold : callable
        Has the cell held now, for the reason that is given.
    waits_for_people : bool
        Whether a held cell is waited for.
    """

    life: LifeCycle
    token_of: Callable[[str], str]
    hold: Callable[[str], None]
    waits_for_people: bool


def together_of(planned: PlannedOperation) -> Together:
    """Give the parameters of an ``operando`` step."""
    if not isinstance(planned.parameters, Together):
        raise LabctlError(f"{planned.path} is no step of cycler and spectrometer together")
    return planned.parameters


class SpectrumJob(StepJob):
    """One spectrum of an ``operando`` step; what it needs is leased by the step."""

    def __init__(self, around: Surroundings, cell: str, parent: PlannedOperation, row: OperationRow) -> None:
        asked = together_of(parent)
        acquisition: Acquisition | None = asked.during if row.result["sort"] == DURING else asked.pausing
        if acquisition is None:
            raise LabctlError(f"{row.step} belongs to no pause of {parent.path}")
        planned = replace(
            parent,
            path=row.step,
            kind=Kind.NMR,
            parameters=acquisition,
            start_within=None,
            at_most=None,
            soak=0.0,
            expected_duration=acquisition.duration,
        )
        super().__init__(around, cell, planned)
        self._parent = parent
        self._of = str(row.result["of"])

    def need(self, row: OperationRow) -> Need:
        """Nothing: the step holds it."""
        return Need(row.operation, row.cell, row.order, ((),), self._cell.priority, self._cell.user or "", row.since)

    def _route(self, row: OperationRow) -> Route:
        held = self._around.journal.operation(self._of).resources
        route = self._around.book.way_of(self._parent, held)
        if route is None or route.spectrometer is None:
            raise LabctlError(f"{self._of} holds no spectrometer for {row.operation}")
        return Route(route.slot, route.spectrometer, None, None, (), None, route.resources)

    async def ahead(self, row: OperationRow, enter: Callable[[], None]) -> None:
        """The reference was measured before the step; the probe is not free for another now."""

    def latest(self, row: OperationRow) -> datetime | None:
        """Late is better than never."""
        return None

    async def ready(self, row: OperationRow) -> Action:
        """Everything was arranged by the step."""
        return self.action(row)

    async def look_around(self, row: OperationRow) -> None:
        """The step looks at the cycler."""

    def bounds(self, row: OperationRow) -> Bounds:
        """The step watches the cell."""
        return Bounds()

    async def leave(self, row: OperationRow) -> None:
        """Nothing was arranged."""

    def _pulse(self) -> Pulse:
        """Bind all spectra of the step to one receiver gain."""
        pulse = super()._pulse()
        first = next((one.result.get("receiver_gain") for one in self._siblings() if one.status is Status.DONE), None)
        if pulse.receiver_gain is not None or first is None:
            return pulse
        return replace(pulse, receiver_gain=float(first))

    def _siblings(self) -> list[OperationRow]:
        return spectra_of(self._around, self._cell.id, self._of)

    async def close(
        self, row: OperationRow, fetched: Fetched, folder: Path, ended: str, outcome: str = "ok"
    ) -> Mapping[str, Any]:
        """Compare the spectrometer's clock, and write the bundle."""
        look = self._around.keeping.looks(bundle_folder(self._around.results, self._of))
        own = {key: row.result[key] for key in ("of", "number", "sort")}
        own |= {"test_s": look[-1].test if look else None, "clock_offset_s": await self._clock_offset(row)}
        fetched = replace(fetched, summary={**fetched.summary, **own})
        return await super().close(row, fetched, folder, ended, outcome)

    async def _clock_offset(self, row: OperationRow) -> float | None:
        """Seconds by which the spectrometer's clock is ahead; None where nobody can say."""
        spectrometer = self._around.bench.spectrometer(self._route(row).instrument)
        if not isinstance(spectrometer, Inspectable):
            return None
        try:
            return (await spectrometer.inspect(exercise=False)).clock_offset
        except LabctlError as error:
            text = f"{row.step}: the spectrometer's clock could not be compared: {error}"
            self._around.journal.note("stamps", text, cell=row.cell, operation=row.operation)
            return None


def spectra_of(around: Surroundings, cell: str, operation: str) -> list[OperationRow]:
    """Give the spectra of an ``operando`` operation, every attempt, in the order of their requests."""
    found = []
    for row in around.journal.backwards(around.campaign.name, cell):
        if row.operation == operation:
            break
        if row.kind == SPECTRUM and row.result.get("of") == operation:
            found.append(row)
    return found[::-1]


class Series:
    """Takes the spectra of one ``operando`` operation.

    Parameters
    ----------
    around : Surroundings
        Of the campaign.
    planned : PlannedOperation
        The step.
    row : OperationRow
        The operation.
    cycling : CyclerAction
        Its cycler.
    company : Company
        Runs the spectra and holds the cell.
    """

    def __init__(
        self,
        around: Surroundings,
        planned: PlannedOperation,
        row: OperationRow,
        cycling: CyclerAction,
        company: Company,
    ) -> None:
        self._around = around
        self._journal = around.journal
        self._planned = planned
        self._asked = together_of(planned)
        self._row = row
        self._cycling = cycling
        self._company = company

    # -- what is known -----------------------------------------------------------------------------------------------
    def _rows(self) -> list[OperationRow]:
        return spectra_of(self._around, self._row.cell, self._row.operation)

    def _last(self, sort: str) -> OperationRow | None:
        done = [row for row in self._rows() if row.result["sort"] == sort and row.status is Status.DONE]
        return done[-1] if done else None

    def _open(self) -> OperationRow | None:
        """Give the spectrum that has been requested and has not ended."""
        return next((row for row in self._rows() if row.status not in ENDED), None)

    @property
    def pausing(self) -> bool:
        """Whether the program stands for a spectrum that has not ended."""
        row = self._open()
        return row is not None and row.result["sort"] == PAUSE

    def _held(self) -> bool:
        """Whether the cell is held, or about to be, or not quite let go."""
        cell = self._journal.cell(self._around.campaign.name, self._row.cell)
        return cell.state == HELD or cell.wanted in (HOLD_NOW, RESUME)

    def _since(self) -> tuple[float, bool]:
        """What the test's clock showed when the last pause was over, and whether the program was seen to run since.

        Most clocks stand in a pause; one that does not is followed as far as it was looked at.
        """
        last = self._last(PAUSE)
        if last is None:
            return 0.0, True
        shown, over = float(last.result["test_s"] or 0.0), datetime.fromisoformat(str(last.result["ended"])).timestamp()
        for look in self._around.keeping.looks(bundle_folder(self._around.results, self._row.operation)):
            if look.at > over and not look.standing:
                return shown, True
            shown = max(shown, look.test) if look.at > over else shown
        return shown, False

    # -- the way -----------------------------------------------------------------------------------------------------
    async def take(self, handle: Handle) -> None:
        """Take spectra until the current has come to its end, and the last one after that.

        Raises
        ------
        LabctlError
            The cycler can't be asked, or a spectrum came to nothing and nobody is there to decide.
        """
        while True:
            progress = await self._look(handle)
            if progress.state is State.FAILED:
                return
            if progress.state is State.DONE:
                break
            await self._next(handle, progress)
        wanted = self._asked.at_end and self._asked.pausing is not None
        while (row := self._open()) is not None or (wanted and self._last(END) is None):
            if self._held():
                await asyncio.sleep(_HELD)
            else:
                await self._run(row or self._request(END))

    async def _next(self, handle: Handle, progress: Progress) -> None:
        """Do what is to be done now, by what the cycler shows."""
        test, standing = self._test(progress), progress.message.startswith("suspended")
        row = self._open()
        if self._held():
            await asyncio.sleep(_HELD)
        elif row is not None and row.result["sort"] == PAUSE:
            await self._pause(handle, row)
        elif row is not None:
            await self._run(row)
        elif standing:
            await self._stands(handle)
        else:
            await self._while_it_flows(handle, test)

    async def _while_it_flows(self, handle: Handle, test: float) -> None:
        every = self._asked.every
        left = self._since()[0] + every - test if every is not None else None
        if left is not None and left <= 0.0:
            await self._pause(handle, self._request(PAUSE))
        elif left is None or left >= _WORTH * self._asked.during.duration:
            await self._run(self._request(DURING))
        else:
            await asyncio.sleep(min(max(left, 0.5), _LOOK_AGAIN))

    async def _stands(self, handle: Handle) -> None:
        """Go on from a pause whose spectrum is there; what somebody else has suspended stays so."""
        if self._since()[1]:
            await asyncio.sleep(_LOOK_AGAIN)
        else:
            await self._cycling.resume(handle)

    async def _pause(self, handle: Handle, row: OperationRow) -> None:
        """Suspend the program, verified, take the spectrum, and let the program go on."""
        await self._cycling.suspend(handle)
        if (await self._look(handle)).state is not State.RUNNING:
            # It has come to its own end on the way: the spectrum is taken all the same.
            await self._run(row)
            return
        await self._run(row)
        if self._journal.operation(row.operation).status is Status.DONE and not self._held():
            await self._cycling.resume(handle)

    async def _look(self, handle: Handle) -> Progress:
        progress = await self._cycling.poll(handle)
        await self.note(progress)
        return progress

    async def note(self, progress: Progress) -> None:
        """Keep what the test's clock shows beside this PC's."""
        test = progress.values.get("test_time_s")
        if test is None:
            return
        standing = progress.state is not State.RUNNING or progress.message.startswith("suspended")
        look = Look(self._around.clock.now().timestamp(), test, standing)
        folder = bundle_folder(self._around.results, self._row.operation)
        await beside(partial(self._around.keeping.look, folder, look))

    def _test(self, progress: Progress) -> float:
        test = progress.values.get("test_time_s")
        if test is None:
            raise LabctlError(f"{self._planned.path}: this cycler does not tell its test's clock, which stamps need")
        return test

    # -- one spectrum ------------------------------------------------------------------------------------------------
    def _request(self, sort: str) -> OperationRow:
        """Journal a spectrum before anything is done for it; one that has failed is tried again under a new token."""
        rows = self._rows()
        again = rows[-1] if rows and rows[-1].status is not Status.DONE and rows[-1].result["sort"] == sort else None
        number = int(again.result["number"]) if again is not None else len({row.step for row in rows}) + 1
        attempt = again.attempt + 1 if again is not None else 1
        operation = f"{self._row.operation}/s{number:03d}/a{attempt}"
        return self._journal.request(
            operation,
            campaign=self._row.campaign,
            cell=self._row.cell,
            step=f"{self._row.step}/a{self._row.attempt}/s{number:03d}",
            kind=SPECTRUM,
            attempt=attempt,
            token=self._company.token_of(operation),
            result={"of": self._row.operation, "number": number, "sort": sort},
        )

    def _job(self, row: OperationRow) -> SpectrumJob:
        return SpectrumJob(self._around, row.cell, self._planned, row)

    async def _run(self, row: OperationRow) -> None:
        """Take a spectrum; where that comes to nothing, have the cell held."""
        if row.status is Status.NEEDS_OPERATOR:
            row = self._journal.ask_again(row.operation)
        row = await self._company.life.run(row.operation, self._job(row))
        if row.status is Status.DONE and row.result.get("hold") and self._company.waits_for_people:
            # It is there, but what it shows is for a person to judge before more of it is taken.
            self._company.hold(f"{row.step}: {row.result['hold']}")
        if row.status in (Status.DONE, Status.ABORTED):
            return
        why = f"{row.step} ({row.result.get('sort')}): {row.error or row.status.value}"
        if not self._company.waits_for_people:
            raise LabctlError(why)
        self._company.hold(why)

    async def halt(self, why: str) -> None:
        """End what is being acquired; the cycler is safe by then, so one that can't be reached is not waited for."""
        row = self._open()
        if row is None:
            return
        try:
            async with asyncio.timeout(self._around.clock.patience(_END_WITHIN)):
                await self._company.life.end_idle(row.operation, self._job(row), why)
        except TimeoutError:
            text = f"{row.step}: the spectrometer could not be told to stop: {why}"
            self._journal.alarm("warning", text, cell=row.cell)
            self._journal.needs_operator(row.operation, text)
