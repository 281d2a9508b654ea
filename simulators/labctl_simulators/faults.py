"""A TCP proxy that spoils what an instrument says, on demand: one vocabulary of faults for all wires.

It stands between a client and a simulator, so the fault happens on the wire and the simulator knows nothing of it.
Most faults spoil bytes, whatever they mean; a wrong channel, a wrong value, busy and refuse need the wire's language,
which :mod:`labctl_simulators.dialects` knows. Faults come from the station file, from the control port or from a test.
What is left to chance (which number is wrong, and how; which reply a scattered fault meets) follows from a seed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from labctl_simulators.dialect import HELD, Dialect

KINDS: Final = (
    "drop-before",
    "drop",
    "drop-after",
    "half",
    "garble",
    "duplicate",
    "late",
    "slow",
    "silent",
    "wrong-channel",
    "wrong-value",
    "busy",
    "refuse",
    "reboot",
)
"""What can happen to a chunk; see :class:`FaultProxy`."""

MEANT: Final = frozenset(("wrong-channel", "wrong-value", "busy", "refuse"))
"""Those that need the wire's language: on a wire without a dialect they never happen."""

_OF_REQUESTS: Final = frozenset(("busy", "refuse"))
_PIECES: Final = 8
TERMINATORS = b"\r\n"


@dataclass(slots=True)
class _Fault:
    kind: str
    left: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Scattered:
    kinds: tuple[str, ...]
    share: float
    seconds: float


class FaultPlan:
    """The faults that are still to come for one instrument; shared by all of its ports.

    Parameters
    ----------
    seed
        Everything left to chance follows from it: int or str.
    """

    def __init__(self, seed: int | str = 0) -> None:
        self._waiting: list[_Fault] = []
        self._scattered: list[_Scattered] = []
        self.random = Random(seed)
        self._down_until = float("-inf")
        self.reboots: list[Callable[[], None]] = []

    def inject(self, kind: str, count: int = 1, seconds: float = 5.0) -> None:
        """Spoil the next ``count`` chunks.

        Raises
        ------
        ValueError
            For an unknown kind, a count below 1 or a negative duration.
        """
        _check(kind, seconds)
        if count < 1:
            raise ValueError(f"a fault needs count >= 1 and seconds >= 0, not {count} and {seconds}")
        self._waiting.append(_Fault(kind, count, seconds))

    def scatter(self, kinds: Iterable[str], share: float, seconds: float = 5.0) -> None:
        """Spoil ``share`` of all exchanges from now on, by chance, each with one of ``kinds``.

        Raises
        ------
        ValueError
            For an unknown kind, no kind, a share that is not between 0 and 1, or a negative duration.
        """
        chosen = tuple(kinds)
        for kind in chosen:
            _check(kind, seconds)
        if not chosen or not 0 < share < 1:
            raise ValueError(f"scattered faults need a kind and a share between 0 and 1, not {share}")
        self._scattered.append(_Scattered(chosen, share, seconds))

    def take(self) -> tuple[str, float] | None:
        """Take the next fault of a reply, if one waits: kind and seconds."""
        return self._next(of_requests=False)

    def take_for_request(self) -> tuple[str, float] | None:
        """Take the next fault of a request, if one waits: kind and seconds."""
        return self._next(of_requests=True)

    def put_back(self, kind: str, seconds: float) -> None:
        """Let a fault that this chunk does not suit wait for the next one."""
        self._waiting.insert(0, _Fault(kind, 1, seconds))

    def _next(self, *, of_requests: bool) -> tuple[str, float] | None:
        if not self._waiting:
            for rule in self._scattered:
                kinds = [kind for kind in rule.kinds if (kind in _OF_REQUESTS) is of_requests]
                # Each way with its part of the kinds: question and answer together meet one with that share.
                if kinds and self.random.random() < rule.share * len(kinds) / len(rule.kinds):
                    return self.random.choice(kinds), rule.seconds
            return None
        fault = self._waiting[0]
        if (fault.kind in _OF_REQUESTS) is not of_requests:
            return None
        fault.left -= 1
        if fault.left == 0:
            del self._waiting[0]
        return fault.kind, fault.seconds

    def reboot(self, until: float) -> None:
        """Cut every connection through a proxy of this plan, and accept none before ``until`` of the loop's time."""
        self._down_until = until
        for cut in tuple(self.reboots):
            cut()

    def down(self, now: float) -> bool:
        """Whether the instrument is rebooting at ``now`` of the loop's time."""
        return now < self._down_until

    @property
    def pending(self) -> int:
        """How many chunks are still to be spoilt, scattered faults not counted."""
        return sum(fault.left for fault in self._waiting)


def _check(kind: str, seconds: float) -> None:
    if kind not in KINDS:
        raise ValueError(f"unknown fault {kind!r}; known are {', '.join(KINDS)}")
    if seconds < 0:
        raise ValueError(f"a fault needs count >= 1 and seconds >= 0, not {seconds} s")


class FaultProxy:
    """A loopback port that forwards to ``target_port`` and spoils chunks as the plans say.

    Of a reply: ``drop-before``, ``drop`` and ``drop-after`` close both sides before it, in its middle, and after it;
    ``half`` cuts off its second half, terminator included; ``garble`` replaces all bytes but the last terminator by
    0xFF; ``duplicate`` sends it twice; ``late`` holds it back for some seconds; ``slow`` sends it in pieces over some
    seconds; ``silent`` swallows this and everything else for some seconds; ``wrong-channel`` makes it one about
    another channel, or to another question; ``wrong-value`` changes one number in it. Of a request: ``busy`` and
    ``refuse`` answer it in the instrument's place, which never hears of it. ``reboot`` cuts all connections to the
    instrument instead of a reply, and lets nobody in for some seconds.

    Parameters
    ----------
    target_port : int
        Loopback port of the simulator.
    plans : FaultPlan
        Asked in this order before each chunk.
    dialect : callable, optional
        Makes what knows the wire's language, for one connection.
    noticed : callable
        Called with the kind of each fault as it happens.
    patience : callable
        Gives the running loop's seconds that correspond to real ones; how long a fault lasts is real time.
    clients : callable
        Called with the number of connected clients whenever one comes or goes.
    """

    def __init__(
        self,
        target_port: int,
        *plans: FaultPlan,
        noticed: Callable[[str], Any] | None = None,
        clients: Callable[[int], Any] | None = None,
        patience: Callable[[float], float] = float,
        dialect: Callable[[], Dialect] = Dialect,
    ) -> None:
        self.plan = plans[0] if plans else FaultPlan()
        self._plans = plans or (self.plan,)
        self._target = target_port
        self._noticed = noticed
        self._patience = patience
        self._dialect = dialect
        self._tell_clients = clients
        self._clients = 0
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen on a free loopback port and return it."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        for plan in self._plans:
            plan.reboots.append(self._cut)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Close the port and every connection through it."""
        if self._server is not None:
            self._server.close()
            for plan in self._plans:
                plan.reboots.remove(self._cut)
        self._cut()
        await asyncio.gather(*self._links, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    def _cut(self) -> None:
        for link in tuple(self._links):
            link.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._links.add(task)
            task.add_done_callback(self._links.discard)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._link(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        now = asyncio.get_running_loop().time()
        if any(plan.down(now) for plan in self._plans):
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        dialect = self._dialect()
        self._count(+1)
        upward = asyncio.create_task(self._listen(reader, far_writer, writer, dialect))
        upward.add_done_callback(lambda _: self._count(-1))
        downward = asyncio.create_task(self._spoil(far_reader, writer, dialect))
        try:
            await asyncio.wait({upward, downward}, return_when=asyncio.FIRST_COMPLETED)
            if upward.done() and not downward.done():
                # The client has closed its side, or only finished sending: let what is under way arrive.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(downward), self._patience(0.5))
        finally:
            for task in (upward, downward):
                task.cancel()
            # Closed before anything is awaited: a second cancellation must not leave it open.
            far_writer.close()
            await asyncio.gather(upward, downward, return_exceptions=True)
            with contextlib.suppress(OSError):
                await far_writer.wait_closed()

    def _count(self, change: int) -> None:
        self._clients += change
        if self._tell_clients is not None:
            self._tell_clients(self._clients)

    async def _listen(
        self, reader: asyncio.StreamReader, onward: asyncio.StreamWriter, back: asyncio.StreamWriter, dialect: Dialect
    ) -> None:
        while chunk := await reader.read(65536):
            chunk = await self._judged(chunk, back, dialect)
            onward.write(chunk)
            await onward.drain()
        if onward.can_write_eof():
            onward.write_eof()

    async def _judged(self, request: bytes, back: asyncio.StreamWriter, dialect: Dialect) -> bytes:
        """Give what the instrument hears in place of a request, answering it here where a fault says so."""
        for plan in self._plans:
            fault = plan.take_for_request()
            if fault is None:
                continue
            kind, seconds = fault
            instead = dialect.declined(request, busy=kind == "busy")
            if instead is None:
                plan.put_back(kind, seconds)
                continue
            self._notice(kind)
            if instead.back == HELD:
                await asyncio.sleep(self._patience(seconds))
                return request
            back.write(instead.back)
            await back.drain()
            return instead.onward
        return request

    async def _spoil(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dialect: Dialect) -> None:
        loop = asyncio.get_running_loop()
        silent_until = float("-inf")
        while chunk := await reader.read(65536):
            if loop.time() < silent_until:
                continue
            kind, seconds, chunk, plan = self._met(chunk, dialect)
            if kind == "reboot":
                plan.reboot(loop.time() + self._patience(seconds))
                return
            if kind == "silent":
                silent_until = loop.time() + self._patience(seconds)
                continue
            if kind == "late":
                await asyncio.sleep(self._patience(seconds))
            pieces = _spoilt(kind, chunk)
            for piece in pieces:
                if kind == "slow":
                    await asyncio.sleep(self._patience(seconds) / len(pieces))
                writer.write(piece)
                await writer.drain()
            if kind.startswith("drop"):
                return

    def _met(self, chunk: bytes, dialect: Dialect) -> tuple[str, float, bytes, FaultPlan]:
        """Find the fault that this reply meets, if any, and the reply as the wire's language lets it be spoilt."""
        for plan in self._plans:
            fault = plan.take()
            if fault is None:
                continue
            kind, seconds = fault
            if kind in MEANT:
                spoil = dialect.shifted if kind == "wrong-channel" else dialect.falsified
                changed = spoil(chunk, plan.random)
                if changed is None:
                    plan.put_back(kind, seconds)
                    continue
                chunk = changed
            self._notice(kind)
            return kind, seconds, chunk, plan
        return "", 0.0, dialect.passing(chunk), self.plan

    def _notice(self, kind: str) -> None:
        if self._noticed is not None:
            self._noticed(kind)


def _spoilt(kind: str, chunk: bytes) -> tuple[bytes, ...]:
    if kind == "drop-before":
        return ()
    if kind in ("drop", "half"):
        return (chunk[: len(chunk) // 2],)
    if kind == "garble":
        body = chunk.rstrip(TERMINATORS)
        return (b"\xff" * len(body) + chunk[len(body) :],)
    if kind == "duplicate":
        return (chunk, chunk)
    if kind == "slow":
        size = max(1, -(-len(chunk) // _PIECES))
        return tuple(chunk[begin : begin + size] for begin in range(0, len(chunk), size))
    return (chunk,)
