"""What is asked of Thales, each question repeated where that is harmless, and the source seen to be off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

from labctl.instruments import (
    Busy,
    DriverContext,
    Garbled,
    NotReachable,
    OutOfRange,
    Refused,
    TimedOut,
    VendorAlarm,
)
from labctl_drivers.zahner import replies
from labctl_drivers.zahner.display import Point, arrived
from labctl_drivers.zahner.session import ATTEMPTS, Session

# An answer of an idle script takes milliseconds.
PROBE: Final = 1.0
_ANSWER: Final = 5.0
_LAUNCHED: Final = 0.4
_LOOK_EVERY: Final = 5.0
# Real seconds.
_ORDER_AGAIN: Final = 0.2

T = TypeVar("T")


class Thales:
    """Thales behind a session.

    Parameters
    ----------
    context : DriverContext
        Clock, log and name.
    session : Session
        To Term.
    quiet : float
        Seconds of silence after which nothing can be running.
    """

    def __init__(self, context: DriverContext, session: Session, quiet: float) -> None:
        self._context = context
        self.session = session
        self.quiet = quiet

    # Questions.

    async def survive(self, exchange: Callable[[], Any]) -> Any:
        """Do an exchange that may be repeated; raises as :meth:`Session.survive`."""
        return await self.session.survive(exchange)

    async def word(self) -> tuple[str, str] | None:
        """Listen whether the script is free, as :meth:`Session.word`."""
        found: tuple[str, str] | None = await self.survive(lambda: self.session.word(PROBE))
        return found

    async def word_anew(self, why: str) -> tuple[str, str] | None:
        """Listen on a new connection, since a reply may have been lost with the old one."""
        self.session.lost(TimedOut(why))
        return await self.word()

    async def is_free(self) -> bool:
        """Whether the script answers, for whoever wants the source off: an error is an answer, too."""
        try:
            return await self.word() is not None
        except (Refused, OutOfRange):
            return True

    async def ask(self, command: str, parse: Callable[[str], T], timeout: float = _ANSWER) -> T:
        """Send a script command and read its answer with ``parse``."""

        async def once() -> T:
            return parse(await self.session.command(command, timeout))

        return await self.session.survive(once)

    async def set(self, name: str, value: str) -> None:
        """Assign one setting. Raises ``OutOfRange`` or ``Refused`` where Thales declines."""
        assignment = f"{name}={value}"
        await self.ask(assignment, lambda reply: replies.done(assignment, reply))

    async def setup(self) -> replies.Setup:
        """Read the set-up back."""
        return await self.ask("SENDSETUP", replies.setup)

    async def potential(self) -> float:
        """Voltage at the leads, V."""
        return await self.ask("POTENTIAL", replies.potential)

    async def file(self, path: str) -> bytes:
        """Fetch a file; empty where there is none."""
        return await self.session.survive(lambda: self.session.file(path))

    async def points(self) -> list[Point]:
        """Take in what the online display shows; a fault there costs no more than points."""
        try:
            return arrived(await self.session.display())
        except (NotReachable, Garbled) as fault:
            self.session.lost(fault, everything=False)
            return []

    # Actions.

    async def off(self) -> replies.Setup:
        """Switch off, amplitude to 0, and look whether it is so; what Thales declines is ordered up to three times.

        Raises
        ------
        VendorAlarm
            It still shows as on, or Thales would not say.
        """
        why = "the source was switched off, but still shows as on"
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(self._context.clock.patience(_ORDER_AGAIN))
            declined, shown = await self._ordered_off()
            if shown is not None and shown.off and (declined is None or attempt + 1 == ATTEMPTS):
                return shown
            why = declined or why
        raise self.session.fault(VendorAlarm, f"{why}; take the source for on, and switch it off at the instrument")

    async def _ordered_off(self) -> tuple[str | None, replies.Setup | None]:
        """Order it once; what Thales declined of it, and the set-up that it shows then."""
        declined: str | None = None
        for name in ("Pot", "Ampl"):
            try:
                await self.set(name, "0")
            except (Refused, OutOfRange) as refusal:
                declined = declined or refusal.message
        try:
            return declined, await self.setup()
        except (Refused, OutOfRange) as refusal:
            return declined or refusal.message, None

    async def launch(self, file: str) -> bool:
        """Send ``EIS`` once; whether it has taken effect: a sweep runs, or its ``file`` is there already.

        Raises
        ------
        OutOfRange, Refused
            Thales declined.
        """
        try:
            reply = await self.session.launch("EIS", _LAUNCHED)
        except (NotReachable, TimedOut, Garbled) as fault:
            # Whether it has taken effect, only Thales knows: it is silent while it measures, or has the file already.
            self.session.lost(fault)
            return await self.word() is None or bool(await self.file(file))
        if reply is not None:
            replies.checked("EIS", reply)
        return True

    async def claim(self, busy: Callable[[], bool]) -> replies.Setup:
        """Make sure that the script answers and nothing is being measured.

        Parameters
        ----------
        busy : callable
            Whether a sweep that this driver started may still run.

        Raises
        ------
        Busy
            A point was shown, or that sweep runs.
        TimedOut
            The script keeps silent although it was started by force after ``quiet`` seconds.
        """
        quiet_since, forced = self._context.clock.now(), False
        while True:
            if await self.word() is not None:
                return await self.setup()
            if forced:
                raise self.session.fault(TimedOut, "the Remote script keeps silent, although it was started")
            if await self.points() or busy():
                raise self.session.fault(Busy, "a measurement is running")
            if self._context.clock.now() - quiet_since > timedelta(seconds=self.quiet):
                await self.survive(self.session.force)
                forced = True
            else:
                await asyncio.sleep(_LOOK_EVERY)
