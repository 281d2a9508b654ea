"""How each kind of operation is carried out on its instrument: what is asked, and the role's own calls.

An action is made anew whenever its operation is taken up, before or after a restart; all it knows comes from the plan,
the station and the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from labctl.engine.ending import step_ends
from labctl.engine.routing import Route
from labctl.engine.switching import OPEN_CIRCUIT_CURRENT, NotSafe, Switching, still
from labctl.errors import LabctlError
from labctl.instruments import (
    CannotSay,
    Cycler,
    CyclerProgram,
    CyclerStep,
    Fetched,
    Handle,
    Mode,
    Multiplexer,
    Progress,
    Recording,
    SafetyLimits,
)
from labctl.protocol import Cycling, Kind, PlannedOperation
from labctl.safety.identity import LastSeen, mismatch
from labctl.units import show

#: A safety limit of the channel lies this far outside the protocol's limit, so that the step's own end comes first.
SAFETY_MARGIN_VOLT: Final = 0.02
SAFETY_MARGIN_CURRENT: Final = 1.1


class Action(Protocol):
    """One operation on one instrument."""

    @property
    def asked(self) -> Mapping[str, Any]:
        """Say what the instrument is asked, in SI."""

    async def prepare(self) -> None:
        """Do all that must be true before the instrument is told; safe to repeat."""

    async def start(self, token: str) -> Handle:
        """Tell the instrument."""

    async def poll(self, handle: Handle) -> Progress:
        """Look once."""

    async def fetch(self, handle: Handle, folder: Path) -> Fetched:
        """Lay what it produced into ``folder``."""

    async def abort(self, handle: Handle) -> None:
        """End it now, safely."""

    async def find(self, token: str) -> Handle | None:
        """Find it by its token."""

    async def finish(self) -> None:
        """Undo what ``prepare`` connected; safe to repeat."""

    async def prove_safe(self) -> None:
        """Read back that no current flows from this instrument.

        Raises
        ------
        NotSafe
            It flows, or can't be told.
        """


@runtime_checkable
class Suspendable(Protocol):
    """An action that can be interrupted to open circuit and go on later where it was."""

    async def suspend(self, handle: Handle) -> None:
        """To open circuit, verified; safe to repeat."""

    async def resume(self, handle: Handle) -> None:
        """Go on; safe to repeat."""


@runtime_checkable
class Accompanied(Protocol):
    """An action beside which something else goes on, as long as it runs and perhaps a while longer."""

    async def accompany(self, handle: Handle) -> None:
        """Do that, to its end; begun again after a restart or a fault. Cancelled where the action fails."""


@runtime_checkable
class Recorded(Protocol):
    """An action whose records can be had while it runs."""

    async def records(self, handle: Handle, after: int | None) -> str | None:
        """Give the table of records beyond ``after``; None where this instrument gives them only at the end."""


#: Seconds between two looks at most, whatever an instrument says of its end.
LONGEST: Final = 1800.0

_VOUCH: Final = "; if it is the booked cell, 'labctl retry' with --barcode as read from it goes on all the same"


class CyclerAction:
    """Rest, charge, discharge or hold on a cycler channel."""

    def __init__(
        self,
        name: str,
        planned: PlannedOperation,
        route: Route,
        cycler: Cycler,
        multiplexer: Multiplexer | None,
        last_seen: Callable[[], LastSeen | None],
    ) -> None:
        parameters = planned.parameters
        if not isinstance(parameters, Cycling):
            raise LabctlError(f"{planned.path} is no step for a cycler")
        self._name = name
        self._planned = planned
        self._route = route
        self._cycler = cycler
        self._last_seen = last_seen
        self._multiplexer = multiplexer
        limits = parameters.voltage_min, parameters.voltage_max
        self._switching = Switching(route, self._at_leads, multiplexer, None, limits, last_seen)
        self.program = cycler_program(name, planned)

    @property
    def asked(self) -> Mapping[str, Any]:
        """Give the program."""
        return asdict(self.program)

    @property
    def _channel(self) -> int:
        if self._route.channel is None:
            raise LabctlError(f"{self._route.slot} has no channel of {self._route.instrument}")
        return self._route.channel

    async def _at_leads(self) -> float:
        return await still(self._cycler, self._channel, self._route.slot)

    async def prepare(self) -> None:
        """Close the relay, where there is one, and check that this is the booked cell before any current flows."""
        if self._multiplexer is not None:
            wrong = await self._switching.connect()
            if wrong is not None:
                raise doubt(wrong)
            return
        try:
            reading = await self._cycler.reading(self._channel)
        except CannotSay:
            # Nobody but a person can read this channel: what they drop is compared instead.
            return
        wrong = mismatch(self._last_seen(), reading.voltage)
        if wrong is not None:
            raise doubt(wrong)

    async def start(self, token: str) -> Handle:
        """Start the program on the channel."""
        return await self._cycler.start(token, self._channel, self.program)

    async def poll(self, handle: Handle) -> Progress:
        """Look at the channel."""
        return await self._cycler.poll(handle)

    async def fetch(self, handle: Handle, folder: Path) -> Fetched:
        """Fetch the records; where the channel could not be read before, their first one identifies the cell."""
        fetched = await self._cycler.fetch(handle, folder)
        opened = fetched.summary.get("open_voltage_V")
        wrong = mismatch(self._last_seen(), float(opened)) if opened is not None else None
        if wrong is not None:
            raise doubt(wrong)
        return fetched

    async def abort(self, handle: Handle) -> None:
        """To open circuit."""
        await self._cycler.abort(handle)

    async def find(self, token: str) -> Handle | None:
        """Find the test by its name."""
        return await self._cycler.find(token)

    async def finish(self) -> None:
        """Open the relay, where there is one; without, an idle channel is open."""
        await self._switching.isolate()

    async def suspend(self, handle: Handle) -> None:
        """Interrupt the program; the channel opens, which is read back."""
        await self._cycler.suspend(handle)
        await self.prove_safe()

    async def resume(self, handle: Handle) -> None:
        """Let the program go on."""
        await self._cycler.resume(handle)

    async def records(self, handle: Handle, after: int | None) -> str | None:
        """Give the records so far, where the cycler gives them before the end."""
        return await self._cycler.records(handle, after) if isinstance(self._cycler, Recording) else None

    async def prove_safe(self) -> None:
        """Read the channel's current."""
        try:
            reading = await self._cycler.reading(self._channel)
        except CannotSay:
            # A person runs this cycler, and was told.
            return
        if not abs(reading.current) <= OPEN_CIRCUIT_CURRENT:
            raise NotSafe(
                f"{self._route.instrument} channel {self._channel} should be open, but shows "
                f"{show(reading.current, 'mA')}"
            )


class IdentityDoubt(LabctlError):
    """The cell at the leads does not look like the booked one."""

    category = "identity"


def doubt(wrong: str) -> IdentityDoubt:
    """Say why the cell can't be the booked one, and how a person who knows better goes on."""
    return IdentityDoubt(f"{wrong}{_VOUCH}")


def cycler_program(name: str, planned: PlannedOperation) -> CyclerProgram:
    """Translate a planned step into what a channel runs by itself."""
    parameters = planned.parameters
    if not isinstance(parameters, Cycling):
        raise LabctlError(f"{planned.path} is no step for a cycler")
    modes = {Kind.REST: Mode.REST, Kind.CHARGE: Mode.CHARGE, Kind.DISCHARGE: Mode.DISCHARGE, Kind.HOLD: Mode.HOLD}
    not_before, ends = step_ends(parameters, planned.kind is Kind.CHARGE, planned.at_most)
    step = CyclerStep(
        mode=modes[planned.kind],
        current=parameters.current,
        voltage=parameters.voltage,
        ends=ends,
        record_every=300.0 if planned.kind is Kind.REST else 60.0,
        record_voltage_step=0.0 if planned.kind in (Kind.REST, Kind.HOLD) else 0.02,
        discharging=parameters.discharging,
        not_before=not_before,
    )
    safety = SafetyLimits(
        voltage_min=parameters.voltage_min - SAFETY_MARGIN_VOLT,
        voltage_max=parameters.voltage_max + SAFETY_MARGIN_VOLT,
        charge_current=parameters.current_max * SAFETY_MARGIN_CURRENT,
        discharge_current=parameters.current_max * SAFETY_MARGIN_CURRENT,
    )
    return CyclerProgram(name, (step,), safety)


def next_look(progress: Progress, elapsed: float) -> float:
    """Seconds until the next look: coarse while far from the end, fine near it.

    A driver's ``remaining`` is never late where it is exact, and cautious where it is a guess, so it can be waited out.
    """
    if progress.remaining is None:
        return min(max(elapsed / 10.0, 10.0), 300.0)
    return min(max(progress.remaining + 0.5, 2.0), LONGEST)
