"""One question, one answer, over a library that blocks: the rule by which a session is trusted and rebuilt.

A late answer that is taken for the next one is the commonest way in which instrument programs lie. Therefore any
time-out, any answer that does not fit its question, any byte that nobody asked for and any call that was cancelled
half-way ends the session: it is closed, opened again and identified before anything else is asked.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from labctl.errors import InstrumentError
from labctl.instruments import DriverContext, Garbled, Hiccup, NotIdentified, NotReachable, TimedOut
from labctl_drivers.resource_lock import ResourceLock
from labctl_drivers.worker import Worker

#: Consecutive failures after which a fault is raised; together with the sessions' own time-outs this stays below 5 s.
ATTEMPTS: Final = 3
#: Real seconds between closing and opening, in which late bytes of the old session may still arrive.
REOPEN_AFTER: Final = 0.25

T = TypeVar("T")

_SURVIVABLE = (NotReachable, TimedOut, Garbled, NotIdentified)


class Session(Protocol):
    """A connection as its library has it. All of it is called in the instrument's worker thread, and nowhere else."""

    def open(self) -> None:
        """Connect. Raises ``NotReachable``."""

    def exchange(self, command: str, answers: bool) -> str:
        """Send one command; give its one line without the end, or nothing where it has no answer.

        Raises ``NotReachable`` where the connection is gone, ``TimedOut``, and ``Garbled`` for bytes that are no text
        or that nobody asked for.
        """

    def close(self) -> None:
        """Disconnect. Never raises; idempotent."""


class Link:
    """A session that is rebuilt whenever it can't be trusted.

    Parameters
    ----------
    context : DriverContext
        For the clock, and to report what was survived.
    address : str
        For messages.
    session : Session
        Not opened yet.
    identify : callable
        Asks who answers; called after every opening. Raises ``NotIdentified``.
    pace : float
        Seconds of the loop that must pass after one exchange before the next.
    unit : str
        Which of several instruments behind one address this is, where each may have a session of its own.
    """

    def __init__(
        self,
        context: DriverContext,
        address: str,
        session: Session,
        identify: Callable[[], Awaitable[None]],
        pace: float = 0.0,
        unit: str = "",
    ) -> None:
        self._context = context
        self._lock = ResourceLock(context, address, unit)
        self._address = address
        self._session = session
        self._identify = identify
        self._pace = pace
        self._worker = Worker(context.clock, context.name)
        self._trusted = False
        self._opened_before = False
        self._last: float | None = None

    async def connect(self) -> None:
        """Open and identify, within 5 s.

        Raises
        ------
        NotReachable
            Nobody is at the address, or nobody there says a word.
        NotIdentified
            Somebody else answers.
        Busy
            Another session of labctl has this address.
        """
        try:
            await self._persist(self._rebuild)
        except TimedOut as silence:
            message = f"the connection stands, but nothing answers ({silence.message})"
            raise self.fault(NotReachable, message) from silence
        except Garbled as nonsense:
            raise self.fault(NotIdentified, nonsense.message) from nonsense

    async def ask(self, command: str, answer: re.Pattern[str], *, repeat: bool = True) -> re.Match[str]:
        """Send a query and give its answer, which must be all of what ``answer`` describes.

        Parameters
        ----------
        command : str
            One line, without its end.
        answer : re.Pattern
            The form of every acceptable answer.
        repeat : bool
            Whether the command may be sent again after a fault. Where not, the fault is raised, and the session is
            rebuilt by whatever is asked next.

        Raises
        ------
        NotReachable, TimedOut, Garbled, NotIdentified
            After three failures in a row.
        """

        async def once() -> re.Match[str]:
            if not self._trusted:
                await self._rebuild()
            return await self.ask_once(command, answer)

        return await self._persist(once) if repeat else await once()

    async def tell(self, command: str) -> None:
        """Send a command that has no answer. That it arrived is for the caller to find out, by asking."""

        async def once() -> None:
            if not self._trusted:
                await self._rebuild()
            await self._exchange(command, answers=False)

        await self._persist(once)

    async def ask_once(self, command: str, answer: re.Pattern[str]) -> re.Match[str]:
        """Ask within the session as it stands, without rebuilding; for identification."""
        line = await self._exchange(command, answers=True)
        match = answer.fullmatch(line)
        if match is None:
            self._trusted = False
            raise self.fault(Garbled, f"'{line}' is no answer to '{command}'")
        return match

    def fault(self, kind: type[InstrumentError], message: str, hint: str | None = None) -> InstrumentError:
        """Make a fault that names instrument and address."""
        return kind(message, instrument=self._context.name, address=self._address, hint=hint)

    async def close(self) -> None:
        """Close the session and let the thread end. Idempotent."""
        if self._worker.closed:
            return
        self._trusted = False
        try:
            await self._worker.run(self._session.close)
        finally:
            self._lock.release()
            self._worker.close()

    async def _persist(self, once: Callable[[], Awaitable[T]]) -> T:
        survived: list[InstrumentError] = []
        while True:
            try:
                result = await once()
            except _SURVIVABLE as fault:
                self._trusted = False
                survived.append(fault)
                if len(survived) == ATTEMPTS:
                    raise
            else:
                for harmless in survived:
                    self.survived(harmless)
                return result

    def survived(self, fault: InstrumentError) -> None:
        """Report a fault that did no harm."""
        kind = "connection lost" if isinstance(fault, NotReachable) else fault.category
        message = f"{fault.message}; reconnected, identified again and asked again"
        self._context.report(Hiccup(self._context.name, kind, message))

    async def _rebuild(self) -> None:
        """Close, open, identify. Untrusted until the first answer is a good one."""
        self._trusted = False
        if self._opened_before:
            await self._worker.run(self._session.close)
            await asyncio.sleep(self._context.clock.patience(REOPEN_AFTER))
        self._opened_before = True
        self._lock.take()
        await self._worker.run(self._session.open)
        if self._last is None:
            # What another program sent just before is not known: the pace holds from the opening.
            self._last = asyncio.get_running_loop().time()
        identified = False
        try:
            await self._identify()
            identified = True
        finally:
            self._trusted = self._trusted and identified

    async def _exchange(self, command: str, *, answers: bool) -> str:
        loop = asyncio.get_running_loop()
        if self._last is not None and (wait := self._last + self._pace - loop.time()) > 0:
            await asyncio.sleep(wait)
        # If this is cancelled or fails, nobody knows what the line still holds.
        self._trusted = False
        try:
            line = await self._worker.run(self._session.exchange, command, answers)
        finally:
            self._last = loop.time()
        self._trusted = True
        return line
