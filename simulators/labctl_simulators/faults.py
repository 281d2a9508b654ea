"""A TCP proxy that spoils what an instrument says, once and on demand.

It stands between a client and a simulator, so the fault happens on the wire and the simulator knows nothing of it.
Only the direction from instrument to client is spoilt.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

KINDS = ("drop", "garble", "silent", "late", "duplicate", "half")
"""What can happen to a chunk; see :class:`FaultProxy`."""

TERMINATORS = b"\r\n"


@dataclass(slots=True)
class _Fault:
    kind: str
    left: int
    seconds: float


class FaultPlan:
    """The faults that are still to come for one instrument; shared by all of its ports."""

    def __init__(self) -> None:
        self._waiting: list[_Fault] = []

    def inject(self, kind: str, count: int = 1, seconds: float = 5.0) -> None:
        """Spoil the next ``count`` chunks.

        Raises
        ------
        ValueError
            For an unknown kind, a count below 1 or a negative duration.
        """
        if kind not in KINDS:
            raise ValueError(f"unknown fault {kind!r}; known are {', '.join(KINDS)}")
        if count < 1 or seconds < 0:
            raise ValueError(f"a fault needs count >= 1 and seconds >= 0, not {count} and {seconds}")
        self._waiting.append(_Fault(kind, count, seconds))

    def take(self) -> tuple[str, float] | None:
        """Take the next fault, if one waits: kind and seconds."""
        if not self._waiting:
            return None
        fault = self._waiting[0]
        fault.left -= 1
        if fault.left == 0:
            del self._waiting[0]
        return fault.kind, fault.seconds

    @property
    def pending(self) -> int:
        """How many chunks are still to be spoilt."""
        return sum(fault.left for fault in self._waiting)


class FaultProxy:
    """A loopback port that forwards to ``target_port`` and spoils chunks as the plans say.

    ``drop`` forwards half of the chunk and closes both sides; ``garble`` replaces all bytes but the last terminator
    by 0xFF; ``silent`` swallows this and everything else for some seconds; ``late`` holds it back for some seconds;
    ``duplicate`` sends it twice; ``half`` cuts off its second half, terminator included.

    Parameters
    ----------
    target_port : int
        Loopback port of the simulator.
    plans : FaultPlan
        Asked in this order before each chunk.
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
    ) -> None:
        self.plan = plans[0] if plans else FaultPlan()
        self._plans = plans or (self.plan,)
        self._target = target_port
        self._noticed = noticed
        self._patience = patience
        self._tell_clients = clients
        self._clients = 0
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen on a free loopback port and return it."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Close the port and every connection through it."""
        if self._server is not None:
            self._server.close()
        for link in list(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

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
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._count(+1)
        upward = asyncio.create_task(_forward(reader, far_writer))
        upward.add_done_callback(lambda _: self._count(-1))
        downward = asyncio.create_task(self._spoil(far_reader, writer))
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

    async def _spoil(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        silent_until = float("-inf")
        while chunk := await reader.read(65536):
            if loop.time() < silent_until:
                continue
            fault = self._next()
            if fault is None:
                writer.write(chunk)
                await writer.drain()
                continue
            kind, seconds = fault
            if kind == "silent":
                silent_until = loop.time() + self._patience(seconds)
                continue
            if kind == "late":
                await asyncio.sleep(self._patience(seconds))
            for piece in _spoilt(kind, chunk):
                writer.write(piece)
            await writer.drain()
            if kind == "drop":
                return

    def _next(self) -> tuple[str, float] | None:
        for plan in self._plans:
            fault = plan.take()
            if fault is not None:
                if self._noticed is not None:
                    self._noticed(fault[0])
                return fault
        return None


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def _spoilt(kind: str, chunk: bytes) -> tuple[bytes, ...]:
    if kind in ("drop", "half"):
        return (chunk[: len(chunk) // 2],)
    if kind == "garble":
        body = chunk.rstrip(TERMINATORS)
        return (b"\xff" * len(body) + chunk[len(body) :],)
    if kind == "duplicate":
        return (chunk, chunk)
    return (chunk,)
