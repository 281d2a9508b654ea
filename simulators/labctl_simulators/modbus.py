"""A Modbus server on a loopback port: Modbus TCP, or RTU as a TCP serial server passes it on. Knows no register.

From the public specification: the frames of functions 3, 6 and 16 and of exceptions, the RTU checksum, silence after a
broken RTU frame or one for another unit. Left out: all other functions, which are answered with exception 1.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from typing import Final

FUNCTION, ADDRESS, VALUE, NOT_READY, DENIED = 1, 2, 3, 4, 8
_READ, _WRITE_ONE, _WRITE = 3, 6, 16
_HEADER: Final = struct.Struct(">HHHB")


class Declined(Exception):
    """A register can't be read or written; the code goes onto the wire."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def checksum(frame: bytes) -> bytes:
    """Give the two bytes that end an RTU frame."""
    crc = 0xFFFF
    for byte in frame:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return struct.pack("<H", crc)


class ModbusServer:
    """Listens on a loopback port and answers frame by frame.

    Parameters
    ----------
    read : callable
        Gives the words of ``count`` registers from ``address``. Raises :class:`Declined`.
    write : callable
        Takes words for the registers from ``address``. Raises :class:`Declined`.
    unit : int
        Own address; over RTU frames for others are not answered.
    rtu : bool
        RTU frames instead of Modbus TCP.
    silent : callable
        Whether nothing is answered at all now.
    """

    def __init__(
        self,
        read: Callable[[int, int], Sequence[int]],
        write: Callable[[int, Sequence[int]], None],
        *,
        unit: int = 1,
        rtu: bool = False,
        silent: Callable[[], bool] = lambda: False,
    ) -> None:
        self._read = read
        self._write = write
        self._unit = unit
        self._silent = silent
        self.take = self._take_rtu if rtu else self._take_tcp
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

    def answer(self, request: bytes) -> bytes:
        """Answer a request from its function code on."""
        function = request[0] if request else 0
        try:
            if function == _READ and len(request) == 5:
                address, count = struct.unpack(">HH", request[1:])
                if not 1 <= count <= 125:
                    raise Declined(VALUE)
                words = self._read(address, count)
                return struct.pack(f">BB{count}H", function, 2 * count, *words)
            if function == _WRITE_ONE and len(request) == 5:
                address, word = struct.unpack(">HH", request[1:])
                self._write(address, (word,))
                return request
            if function == _WRITE and len(request) >= 8:
                address, count, size = struct.unpack(">HHB", request[1:6])
                if size != 2 * count or len(request) != 6 + size:
                    raise Declined(VALUE)
                self._write(address, struct.unpack(f">{count}H", request[6:]))
                return request[:5]
            raise Declined(FUNCTION)
        except Declined as declined:
            return bytes((function | 0x80, declined.code))

    def _take_tcp(self, data: bytes) -> tuple[bytes, bytes]:
        """Give the answers to all whole frames, and what is left."""
        answers = b""
        while len(data) >= _HEADER.size:
            number, protocol, length, unit = _HEADER.unpack_from(data)
            if protocol != 0 or not 2 <= length <= 254:
                return answers, b""
            if len(data) < 6 + length:
                break
            request, data = data[_HEADER.size : 6 + length], data[6 + length :]
            if not self._silent():
                answer = self.answer(request)
                answers += _HEADER.pack(number, 0, len(answer) + 1, unit) + answer
        return answers, data

    def _take_rtu(self, data: bytes) -> tuple[bytes, bytes]:
        answers = b""
        while len(data) >= 8:
            size = 9 + data[6] if data[1] == _WRITE else 8
            if len(data) < size:
                break
            frame, data = data[:size], data[size:]
            if checksum(frame[:-2]) != frame[-2:]:
                # Where the next frame begins is told by a pause on the line; here by the next that arrives.
                return answers, b""
            if frame[0] == self._unit and not self._silent():
                answer = frame[:1] + self.answer(frame[1:-2])
                answers += answer + checksum(answer)
        return answers, data


class _Connection(asyncio.Protocol):
    def __init__(self, server: ModbusServer) -> None:
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
