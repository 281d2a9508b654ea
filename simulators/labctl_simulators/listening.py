"""A loopback port that answers: it listens, cuts connections as a pulled cable does, and stops. Knows no protocol."""

from __future__ import annotations

import asyncio


class Listening:
    """Listens on a loopback port; what is said there is the subclass's."""

    def __init__(self) -> None:
        self.connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Give the answer to all that is complete in ``data``, and what is left of it for the next time."""
        raise NotImplementedError

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


class _Connection(asyncio.Protocol):
    def __init__(self, server: Listening) -> None:
        self._server = server
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        answers, self._rest = self._server.take(self._rest + data)
        if answers and isinstance(self.transport, asyncio.Transport):
            self.transport.write(answers)
