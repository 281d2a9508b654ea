"""A TCP server of lines: one line in, one line out or none, on the running loop. Knows no instrument's language."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_LONGEST_LINE = 65536


class _Connection(asyncio.Protocol):
    def __init__(self, server: LineServer) -> None:
        self._server = server
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(self._server.end_received)
        if len(self._rest) > _LONGEST_LINE:
            self._rest = b""
        for line in lines:
            answer = self._server.answer(line.strip(b"\r\n").decode("latin-1"))
            if answer is not None and isinstance(self.transport, asyncio.Transport):
                self.transport.write(answer.encode("latin-1") + self._server.end_sent)


class LineServer:
    """Listens on a loopback port and answers line by line.

    Parameters
    ----------
    answer : callable
        Gives the answer to a line (both without their ends), or None for silence.
    end_received, end_sent : bytes
        What ends a line in each direction, as the instrument has it.
    """

    def __init__(self, answer: Callable[[str], str | None], *, end_received: bytes, end_sent: bytes) -> None:
        self.answer = answer
        self.end_received = end_received
        self.end_sent = end_sent
        self.connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen; give the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def drop(self) -> None:
        """Cut every connection, as a pulled cable does; go on listening."""
        while self.connections:
            for connection in tuple(self.connections):
                if isinstance(connection.transport, asyncio.Transport):
                    connection.transport.abort()
            await asyncio.sleep(0)

    async def stop(self) -> None:
        """Stop listening and cut every connection. Idempotent."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        await self.drop()
        await server.wait_closed()
