"""The way to EC-Lab: one thread for its object, time-outs for calls that never return, repeats for those that fail.

EC-Lab declines calls that follow each other too fast; they are repeated after 10, 50 and 250 ms. A call that does not
come back keeps its thread and its object; the next call gets new ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from labctl.errors import InstrumentError
from labctl.instruments import DriverContext, Garbled, Hiccup, NotReachable, Refused, TimedOut
from labctl_drivers.biologic.olecom import CallFailed, EcLab, ServerGone, load
from labctl_drivers.biologic.station import Settings
from labctl_drivers.worker import Worker

T = TypeVar("T")

#: Real s between repeats.
PAUSES: Final = (0.01, 0.05, 0.25)


class Session:
    """Makes the object when it must."""

    def __init__(self, context: DriverContext, settings: Settings, source: str) -> None:
        self._context = context
        self._settings = settings
        self._source = source
        self._worker = Worker(context.clock, context.name)
        self._lab: EcLab | None = None

    async def once(self, function: Callable[[EcLab], T]) -> T:
        """Call once.

        Raises
        ------
        CallFailed
            EC-Lab did not carry it out.
        NotReachable, TimedOut
            Whether it was done is not known.
        """
        lab = await self._object()
        return await self._run(lambda: function(lab))

    async def call(self, function: Callable[[EcLab], T], what: str) -> T:
        """Call what may be repeated; repeats are reported once they have helped.

        Raises
        ------
        Refused
            EC-Lab does not carry it out, asked four times.
        NotReachable, TimedOut
            EC-Lab does not answer, asked four times.
        """
        for pause in PAUSES:
            try:
                return await self.once(function)
            except CallFailed as failed:
                self._context.log.debug("call repeated", instrument=self._context.name, why=str(failed))
            except (NotReachable, TimedOut) as fault:
                self.survived(fault)
            await self.wait(pause)
        try:
            return await self.once(function)
        except CallFailed as failed:
            raise self.fault(Refused, f"{what}: {failed}") from failed

    async def look(self, function: Callable[[EcLab], T], what: str) -> T:
        """As :meth:`call`, for a look: what fails is the line, not the order. Raises ``Garbled`` instead."""
        try:
            return await self.call(function, what)
        except Refused as fault:
            raise self.fault(Garbled, fault.message) from fault

    async def wait(self, seconds: float) -> None:
        """Wait for real, as EC-Lab wants it."""
        await asyncio.sleep(self._context.clock.patience(seconds))

    async def close(self) -> None:
        """Let go of the object; EC-Lab and what it runs go on."""
        lab, self._lab = self._lab, None
        if lab is not None and not self._context.read_only:
            await self._release(lab)
        self._worker.close()

    def survived(self, fault: InstrumentError) -> None:
        """Report a fault that did no harm."""
        self._context.report(Hiccup(self._context.name, fault.category, fault.message))

    def fault(self, kind: type[InstrumentError], message: str, hint: str | None = None) -> InstrumentError:
        """Make a fault that names instrument and address."""
        address = self._settings.address or "EC-Lab on this computer"
        return kind(message, instrument=self._context.name, address=address, hint=hint)

    async def _release(self, lab: EcLab) -> None:
        def let_people_work(lab: EcLab) -> None:
            lab.messages(shown=True)

        try:
            await self._run(lambda: let_people_work(lab))
        except (CallFailed, InstrumentError) as fault:
            self._context.log.debug("EC-Lab was not told", instrument=self._context.name, why=str(fault))

    async def _object(self) -> EcLab:
        if self._lab is None:
            if self._worker.closed:
                self._worker = Worker(self._context.clock, self._context.name)
            lab = self._lab = await self._run(lambda: load(self._source, self._settings.address))
            # Without this EC-Lab stops for a question that nobody answers; a mere look raises none.
            if not self._context.read_only:
                await self._run(lambda: lab.messages(shown=False))
        return self._lab

    async def _run(self, function: Callable[[], T]) -> T:
        within = self._settings.answer_within
        try:
            async with asyncio.timeout(self._context.clock.patience(within)):
                return await self._worker.run(function)
        except TimeoutError as error:
            # The call can't be ended; its thread is left to it.
            self._worker.close()
            self._worker = Worker(self._context.clock, self._context.name)
            self._lab = None
            raise self.fault(TimedOut, f"EC-Lab has not come back within {within:g} s") from error
        except ServerGone as error:
            self._lab = None
            raise self.fault(NotReachable, str(error), hint="is EC-Lab running in this session?") from error
