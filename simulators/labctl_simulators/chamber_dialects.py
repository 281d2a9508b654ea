"""The languages of chambers, as faults on their wires need them: Julabo lines, ESPEC lines, Modbus frames."""

from __future__ import annotations

import re
import struct
from random import Random
from typing import Final

from labctl_simulators.dialect import Dialect, Instead, other_in, other_number
from labctl_simulators.modbus import checksum


class Julabo(Dialect):
    """Lines of a circulator: it says nothing to a command, and what it refused stands in its next ``status``."""

    _REFUSED: Final = b"-09 COMMAND NOT ALLOWED IN CURRENT OPERATING MODE\n"

    def __init__(self) -> None:
        self._complains = False
        self._before: bytes | None = None

    def declined(self, request: bytes, *, busy: bool) -> Instead | None:
        """Not see a line, or refuse a command; questions cannot be refused."""
        if busy:
            return Instead()
        if not request.startswith(b"out_"):
            return None
        self._complains = True
        return Instead()

    def shifted(self, reply: bytes, random: Random) -> bytes | None:
        """Give the answer to the question before."""
        del random
        return self._before if self._before != reply else None

    def falsified(self, reply: bytes, random: Random) -> bytes | None:
        """Change one number."""
        return other_in(reply, random)

    def passing(self, reply: bytes) -> bytes:
        """Complain in the next status, once."""
        self._before = reply
        if self._complains and re.match(rb"-?\d\d [A-Z]", reply):
            self._complains = False
            return self._REFUSED
        return reply


class Espec(Dialect):
    """Lines of an ESPEC controller, which answers everything: with what was asked, ``OK:`` or ``NA:`` and a reason."""

    _QUESTION: Final = re.compile(rb"(?:\d+,)?[A-Z]+\?(?:,[A-Z]+)?\r\n")

    def __init__(self) -> None:
        self._before: bytes | None = None

    def declined(self, request: bytes, *, busy: bool) -> Instead | None:
        """Decline in the controller's words: what is not ready passes, what is locked does not."""
        if not request.endswith(b"\r\n"):
            return None
        if self._QUESTION.fullmatch(request):
            return Instead(back=b"NA:DATA NOT READY\r\n" if busy else b"NA:INVALID REQ\r\n")
        return Instead(back=b"NA:CHB NOT READY\r\n" if busy else b"NA:PROTECT ON\r\n")

    def shifted(self, reply: bytes, random: Random) -> bytes | None:
        """Give the answer to the question before."""
        del random
        return self._before if self._before != reply else None

    def falsified(self, reply: bytes, random: Random) -> bytes | None:
        """Change one number."""
        return other_in(reply, random)

    def passing(self, reply: bytes) -> bytes:
        """Remember what was said."""
        self._before = reply
        return reply


class Modbus(Dialect):
    """Frames of Modbus TCP: transaction, protocol, length, unit, function, data. Refusals are exceptions."""

    _HEADER: Final = struct.Struct(">HHHB")
    _READ: Final = 3
    _NOT_READY, _BUSY, _DENIED = 4, 6, 8

    def declined(self, request: bytes, *, busy: bool) -> Instead | None:
        """Answer by an exception: busy, not ready for a question, denied for writing."""
        found = self.opened(request)
        if found is None:
            return None
        number, unit, body = found
        code = self._BUSY if busy else self._NOT_READY if body[0] == self._READ else self._DENIED
        return Instead(back=self.closed(number, unit, bytes((body[0] | 0x80, code))))

    def shifted(self, reply: bytes, random: Random) -> bytes | None:
        """Name the next unit, or the transaction before where frames are numbered."""
        found = self.opened(reply)
        if found is None:
            return None
        number, unit, body = found
        if number is not None and random.random() < 0.5:
            return self.closed((number - 1) & 0xFFFF, unit, body)
        return self.closed(number, (unit + 1) & 0xFF, body)

    def falsified(self, reply: bytes, random: Random) -> bytes | None:
        """Change one bit of a register or of what a write repeats, or the number that two registers hold."""
        found = self.opened(reply)
        if found is None or found[2][0] & 0x80:
            return None
        number, unit, body = found
        fixed, words = (2, body[2:]) if body[0] == self._READ else (1, body[1:])
        if body[0] == self._READ and len(words) == 4 and random.random() < 0.5:
            low, high = words[:2], words[2:]
            (value,) = struct.unpack(">f", high + low)
            changed = struct.pack(">f", float(other_number(f"{value:.2f}", random)))
            return self.closed(number, unit, body[:fixed] + changed[2:] + changed[:2])
        place = random.randrange(len(words))
        bit = bytes((words[place] ^ 1 << random.randrange(8),))
        return self.closed(number, unit, body[:fixed] + words[:place] + bit + words[place + 1 :])

    def opened(self, frame: bytes) -> tuple[int | None, int, bytes] | None:
        """Give transaction, unit and the rest of one whole frame, None for anything else."""
        if len(frame) < self._HEADER.size + 2:
            return None
        number, protocol, length, unit = self._HEADER.unpack_from(frame)
        if protocol != 0 or len(frame) != 6 + length:
            return None
        return number, unit, frame[self._HEADER.size :]

    def closed(self, number: int | None, unit: int, body: bytes) -> bytes:
        """Make a frame."""
        return self._HEADER.pack(number or 0, 0, len(body) + 1, unit) + body


class ModbusRtu(Modbus):
    """Frames of Modbus RTU: unit, function, data, checksum. A frame with a fault of meaning has a right checksum."""

    def opened(self, frame: bytes) -> tuple[int | None, int, bytes] | None:
        """Give transaction, unit and the rest of one whole frame, None for anything else."""
        if len(frame) < 5 or checksum(frame[:-2]) != frame[-2:]:
            return None
        return None, frame[0], frame[1:-2]

    def closed(self, number: int | None, unit: int, body: bytes) -> bytes:
        """Make a frame with the checksum that it should have."""
        del number
        frame = bytes((unit,)) + body
        return frame + checksum(frame)
