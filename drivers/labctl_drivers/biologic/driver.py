"""The cycler and potentiostat roles on the channels of one BioLogic instrument, whichever way in.

What is common to both roles: the run is written down before it is started, found again by that and by what the channel
says of itself, watched against the cell's limits at every look, and switched off by an order that is verified.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from labctl.errors import DataError, InstrumentError
from labctl.instruments import (
    Busy,
    CannotSay,
    DriverContext,
    Handle,
    Identity,
    Inspection,
    NotIdentified,
    OutOfRange,
    Progress,
    Refused,
    State,
)
from labctl_drivers.biologic.backend import Backend, ChannelStatus, Doing, Run, Technique
from labctl_drivers.biologic.runs import TOKEN, Runs
from labctl_drivers.biologic.station import Settings

ABORTED: Final = "aborted"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be started on a channel under a token, and what is kept of it besides."""

    token: str
    channel: int
    techniques: tuple[Technique, ...]
    facts: Mapping[str, Any]


def backend_of(context: DriverContext, settings: Settings, runs: Runs) -> Backend:
    """Make the way in that the station file names."""
    if settings.backend == "eclib":
        from labctl_drivers.biologic.eclib_backend import EclibBackend

        return EclibBackend(context, settings, runs)
    if settings.backend == "olecom":
        from labctl_drivers.biologic.olecom_backend import EcLabBackend

        return EcLabBackend(context, settings, runs)
    raise NotIdentified(f"there is no way in called '{settings.backend}'", instrument=context.name)


class BiologicInstrument:
    """What both roles share.

    Parameters
    ----------
    context : DriverContext
        Its settings as :class:`labctl_drivers.biologic.station.Settings` reads them.
    settings : Settings
        As read.
    """

    def __init__(self, context: DriverContext, settings: Settings) -> None:
        self.role = settings.role
        self._context = context
        self._settings = settings
        self._runs = Runs(settings.folder)
        self._backend = backend_of(context, settings, self._runs)
        self._lock = asyncio.Lock()

    async def connect(self) -> Identity:
        """Connect and identify; nothing on any channel is changed.

        Raises
        ------
        NotReachable, NotIdentified
            Within 5 s.
        """
        async with self._lock:
            return await self._backend.connect()

    async def inspect(self, *, exercise: bool) -> Inspection:
        """Tell versions, firmware and ranges, and what is unverified; nothing moves."""
        from labctl_drivers.biologic.inspection import inspect

        async with self._lock:
            return await inspect(self._backend, self._settings, self._runs)

    async def close(self) -> None:
        """Disconnect; what runs goes on."""
        await self._backend.close()

    async def find(self, token: str) -> Handle | None:
        """Find a run by what was written down before its start, and by what its channel says.

        Raises
        ------
        CannotSay
            It may have been started, and neither channel nor records tell.
        """
        async with self._lock:
            try:
                run = self._runs.read(token)
                if run is None:
                    return None
                if await self._was_started(token):
                    return self._handle(run)
            except CannotSay:
                raise
            except (InstrumentError, DataError) as fault:
                raise self._fault(CannotSay, f"whether '{token}' was started: {fault.message}") from fault
            return None

    async def abort(self, handle: Handle) -> None:
        """To open circuit, now, verified. Idempotent; a run that is not the newest on its channel is left alone.

        Where what was written down is lost or can't be read, the handle's channel is stopped.
        """
        channel = int(handle.place)
        async with self._lock:
            try:
                known = self._runs.read(handle.token) is not None
                newest = self._runs.newest(channel)
            except DataError as error:
                self._context.log.error("a run's file is damaged", instrument=self._context.name, why=error.message)
                known, newest = False, None
            if not known and newest in (None, handle.token):
                await self._backend.stop(channel)
            elif known:
                await self._abort(handle.token, ABORTED)

    async def _abort(self, token: str, message: str) -> Progress:
        run = self._runs.read(token)
        if run is not None and self._runs.is_newest(run) and "verdict" not in self._runs.facts(token):
            await self._backend.stop(run.channel)
            self._runs.note(token, verdict="failed", message=message)
        return Progress(State.FAILED, message)

    async def _begin(self, orders: Sequence[Order]) -> list[Handle]:
        """Load, write down, start, all by one order; never twice under one token."""
        for order in orders:
            if not TOKEN.match(order.token):
                raise self._fault(Refused, f"'{order.token}' is no token: letters, digits, '-' and '_', at most 64")
            if order.channel not in self._settings.channels:
                raise self._fault(OutOfRange, f"channel {order.channel} is not one that the station gave us")
        coming = [order for order in orders if not await self._was_started(order.token)]
        runs = []
        for order in coming:
            sent = await self._backend.load(order.token, order.channel, order.techniques)
            runs.append(Run(order.token, order.channel, order.techniques, self._context.clock.now(), sent))
        for order, run in zip(coming, runs, strict=True):
            self._runs.write(replace(run, begun=self._context.clock.now()), order.facts)
        if runs:
            try:
                await self._backend.start(runs)
            except (Refused, Busy):
                for run in runs:
                    self._runs.forget(run.token)
                raise
        for run in runs:
            self._runs.note(run.token, started=True)
        return [self._handle(self._run(order.token)) for order in orders]

    async def _was_started(self, token: str) -> bool:
        run = self._runs.read(token)
        if run is None:
            return False
        facts = self._runs.facts(token)
        return "verdict" in facts or bool(facts.get("started")) or await self._backend.started(run)

    def _run(self, token: str) -> Run:
        run = self._runs.read(token)
        if run is None:
            raise self._fault(CannotSay, f"what was started as '{token}' is not in {self._settings.folder}")
        return run

    def _verdict(self, token: str) -> Progress | None:
        facts = self._runs.facts(token)
        if "verdict" not in facts:
            return None
        state = State.DONE if facts["verdict"] == "done" else State.FAILED
        return Progress(state, str(facts.get("message", "")), 0.0 if state is State.DONE else None)

    def _judged(self, token: str, problem: str, done: str) -> Progress:
        """Write down what became of a run that has ended."""
        if problem:
            self._runs.note(token, verdict="failed", message=problem)
            return Progress(State.FAILED, problem)
        self._runs.note(token, verdict="done", message=done)
        return Progress(State.DONE, done, 0.0)

    async def _look(self, run: Run) -> ChannelStatus:
        """Look at the channel of a run; that it has stopped must be seen twice."""
        status = await self._backend.status(run.channel)
        return status if status.doing is not Doing.STOPPED else await self._backend.status(run.channel)

    def _handle(self, run: Run) -> Handle:
        return Handle(run.token, str(run.channel), run.begun.isoformat(), {})

    def _fault(self, kind: type[InstrumentError], message: str, hint: str | None = None) -> InstrumentError:
        return kind(message, instrument=self._context.name, address=self._settings.address, hint=hint)

    def _values(self, status: ChannelStatus) -> dict[str, float]:
        values = {"voltage_V": status.voltage, "current_A": status.current, "test_time_s": status.elapsed}
        if self._settings.electrodes == 3:
            values |= {"counter_V": status.counter, "cell_V": status.voltage - status.counter}
        return values


def put(path: Path, text: str) -> str:
    """Write a file whole or not at all; gives its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8", newline="\n")
    part.replace(path)
    return path.name
