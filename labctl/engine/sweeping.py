"""What is done on a potentiostat: a spectrum, or whatever else it measures through leads that may be switched.

The source is off before the leads are opened, and what they show in between is how the cell is known afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from labctl.engine.actions import doubt
from labctl.engine.routing import Route
from labctl.engine.switching import Switching
from labctl.errors import InstrumentError, LabctlError
from labctl.instruments import (
    CannotSay,
    Cycler,
    DynamicRequest,
    Fetched,
    Handle,
    ImpedanceRequest,
    Multiplexer,
    Potentiostat,
    Progress,
    State,
)
from labctl.protocol import Impedance, PlannedOperation
from labctl.safety.identity import LastSeen


@dataclass(frozen=True, slots=True)
class Leads:
    """How a potentiostat reaches its cell.

    Attributes
    ----------
    route : Route
        The way.
    multiplexer : Multiplexer or None
        What switches its leads.
    beside : (Cycler, int) or None
        Whose leads are always at the cell, with their channel.
    last_seen : callable
        How the cell was seen last.
    """

    route: Route
    multiplexer: Multiplexer | None
    beside: tuple[Cycler, int] | None
    last_seen: Callable[[], LastSeen | None]


class SweepAction:
    """What all that a potentiostat does has in common, from the rest before it to the open relay after it."""

    def __init__(
        self, request: ImpedanceRequest | DynamicRequest, rest: float, potentiostat: Potentiostat, leads: Leads
    ) -> None:
        self._potentiostat = potentiostat
        limits = request.voltage_min, request.voltage_max
        look = potentiostat.open_circuit_voltage
        self._switching = Switching(leads.route, look, leads.multiplexer, leads.beside, limits, leads.last_seen)
        self._switched = leads.multiplexer is not None
        self._rest = rest
        self._left_at: float | None = None
        self._request = request

    @property
    def asked(self) -> Mapping[str, Any]:
        """Give the request."""
        return asdict(self._request)

    async def prepare(self) -> None:
        """Let the cell rest, then take the leads to it and make sure that it is this cell."""
        await asyncio.sleep(self._rest)
        wrong = await self._switching.connect()
        if wrong is not None:
            raise doubt(wrong)

    async def fetch(self, handle: Handle, folder: Path) -> Fetched:
        """Fetch all that was measured."""
        fetched = await self._potentiostat.fetch(handle, folder)
        if not self._switched:
            return fetched
        # The driver has read open leads by then.
        summary = {key: value for key, value in fetched.summary.items() if key != "voltage_after_V"}
        known = {} if self._left_at is None else {"voltage_after_V": self._left_at}
        return replace(fetched, summary={**summary, **known})

    async def abort(self, handle: Handle) -> None:
        """Source off, then the relay open; what the leads show in between is how the cell is known afterwards."""
        await self._potentiostat.abort(handle)
        if self._switched:
            with suppress(InstrumentError):
                self._left_at = await self._potentiostat.open_circuit_voltage()
        await self._switching.isolate()

    async def find(self, token: str) -> Handle | None:
        """Find it by its files."""
        return await self._potentiostat.find(token)

    async def finish(self) -> None:
        """Open the relay; the source is off by then."""
        await self._switching.isolate()

    async def prove_safe(self) -> None:
        """The driver reads back that the source is off; relays are read back as open, and the leads asked whether."""
        await self._switching.isolate()


class ImpedanceAction(SweepAction):
    """An impedance spectrum, and on request the sweeps that show whether it can be trusted."""

    def __init__(self, name: str, planned: PlannedOperation, potentiostat: Potentiostat, leads: Leads) -> None:
        parameters = planned.parameters
        if not isinstance(parameters, Impedance):
            raise LabctlError(f"{planned.path} is no step for a potentiostat")
        self.request = ImpedanceRequest(
            name=name,
            control=parameters.control,
            frequency_start=parameters.frequency_start,
            frequency_end=parameters.frequency_end,
            points_per_decade=parameters.points_per_decade,
            periods=parameters.periods,
            amplitude=parameters.amplitude,
            bias=0.0,
            voltage_min=parameters.voltage_min,
            voltage_max=parameters.voltage_max,
            points_per_decade_low=parameters.points_per_decade_low,
            periods_low=parameters.periods_low,
            linearity=parameters.linearity,
            repeat=parameters.repeat,
        )
        super().__init__(self.request, parameters.rest_before, potentiostat, leads)

    async def start(self, token: str) -> Handle:
        """Start the sweep."""
        return await self._potentiostat.start(token, self.request)

    async def poll(self, handle: Handle) -> Progress:
        """Look at the sweep; what the leads show at its end is asked before they are opened."""
        progress = await self._potentiostat.poll(handle)
        if progress.state is State.DONE and self._switched:
            with suppress(CannotSay):
                self._left_at = await self._potentiostat.open_circuit_voltage()
        return progress
