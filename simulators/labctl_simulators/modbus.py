"""A Modbus server on a loopback port: Modbus TCP, or RTU as a TCP serial server passes it on. Knows no register.

From the public specification: the frames of functions 3, 6 and 16 and of exceptions, the RTU checksum, silence after a
broken RTU frame or one for another unit. Left out: all other functions, which are answered with exception 1.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final

from labctl_simulators.listening import Listening

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


class ModbusServer(Listening):
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
        super().__init__()
        self._read = read
        self._write = write
        self._unit = unit
        self._silent = silent
        self._rtu = rtu

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Answer every whole frame; give what is left."""
        return self._take_rtu(data) if self._rtu else self._take_tcp(data)

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
