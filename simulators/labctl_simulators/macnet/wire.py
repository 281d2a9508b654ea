"""MacNet's two TCP ports: framing only. Both take many connections, split requests and pipelined ones."""

from __future__ import annotations

import asyncio
import codecs
import json
import struct
from collections.abc import Callable
from typing import Any

HEADER = struct.Struct("<HHHH")

_LONGEST = 1 << 20
_DECODER = json.JSONDecoder()
# Line feeds inside, as the tester pretty-prints; CR LF only at the end.
_ENCODER = json.JSONEncoder(separators=(",\n", ":"))


class _Connection(asyncio.Protocol):
    def __init__(self, connections: set[_Connection]) -> None:
        self._connections = connections
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self.transport = transport
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)

    def send(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)


class JsonConnection(_Connection):
    """Requests have no terminator, so each is over where its braces close; replies end with CR LF."""

    def __init__(self, connections: set[_Connection], answer: Callable[[Any], Any]) -> None:
        super().__init__(connections)
        self._answer = answer
        self._text = ""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._text += self._decode(data)
        while text := self._text.lstrip():
            end: int | None
            try:
                request, end = _DECODER.raw_decode(text)
            except (ValueError, RecursionError):
                # Too deep or too long a number is no JSON to the tester either.
                request, end = None, _closed(text)
                if end is None and len(text) < _LONGEST:
                    self._text = text
                    return
            self._text = text[end:]
            self.send(_ENCODER.encode(self._answer(request)).encode() + b"\r\n")
        self._text = ""


def _closed(text: str) -> int | None:
    """Where an object that is no JSON ends, None while more may come; text that opens no object ends at once."""
    if not text.startswith("{"):
        return len(text)
    depth, quoted, escaped = 0, False, False
    for index, letter in enumerate(text):
        if quoted:
            quoted, escaped = escaped or letter != '"', not escaped and letter == "\\"
        elif letter == '"':
            quoted = True
        elif letter in "{}":
            depth += 1 if letter == "{" else -1
            if depth == 0:
                return index + 1
    return None


class BinaryConnection(_Connection):
    """Eight bytes of header, then data; on reads of several channels the length counts channels, not bytes.

    ``session`` is kept per connection: file transfers run over many messages.
    """

    def __init__(
        self, connections: set[_Connection], answer: Callable[[dict[str, Any], int, int, int, int, bytes], bytes]
    ) -> None:
        super().__init__(connections)
        self._answer = answer
        self._data = b""
        self._session: dict[str, Any] = {}

    def data_received(self, data: bytes) -> None:
        """Answer every message that is complete."""
        self._data += data
        while len(self._data) >= HEADER.size:
            fclass, fnum, channel, length = HEADER.unpack_from(self._data)
            size = 0 if fclass in (3, 4) else length
            if len(self._data) < HEADER.size + size:
                return
            payload = self._data[HEADER.size : HEADER.size + size]
            self._data = self._data[HEADER.size + size :]
            reply = self._answer(self._session, fclass, fnum, channel, length, payload)
            self.send(HEADER.pack(fclass, fnum, channel, len(reply)) + reply)


class Port:
    """One listening port on loopback."""

    def __init__(self, make: Callable[[set[_Connection]], _Connection]) -> None:
        self._make = make
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> int:
        """Listen; give the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: self._make(self._connections), "127.0.0.1", port)
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    async def stop(self) -> None:
        """Stop listening and cut every connection. Idempotent."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        while self._connections:
            for connection in tuple(self._connections):
                if connection.transport is not None:
                    connection.transport.abort()
            await asyncio.sleep(0)
        await server.wait_closed()
