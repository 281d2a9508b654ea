"""Binary messages: files, starts, commands on a test, readings of several channels, and the compiler's words.

Known layouts: file transfer, (6,2) of type 1 and 2, the eighteen bytes of (6,8). Guessed: that the answer to a command
is one 16-bit code, that names in (1,3) and (1,4) are padded to 25 bytes and answered by one byte, and that an unknown
message gets an empty answer. Direct mode is not simulated: (6,8) is answered with code 4, not active.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Final

from labctl_simulators.macnet.messages import single
from labctl_simulators.macnet.tester import INVALID, SYSTEM_ID, Tester

_PROCEDURES: Final = 3
_BLOCK: Final = 500
_READ, _WRITE, _DATA, _ACK, _ERROR = 1, 2, 3, 4, 5
_READINGS: Final = {2: "V", 3: "I", 9: "test"}


def answer(
    tester: Tester, session: dict[str, Any], fclass: int, fnum: int, channel: int, length: int, payload: bytes
) -> bytes:
    """Give the data of the reply to one message."""
    message = (fclass, fnum)
    if message == (0, 0):
        return payload
    if message == (1, 2):
        return SYSTEM_ID.encode().ljust(50) + struct.pack("<BBHBHBBI", 0, 1, len(tester.channels), 0, 0, 0, 0, 0)
    if message in ((1, 3), (1, 4)):
        name = payload[:25].decode("latin-1").strip()
        found = tester.procedure(name) is not None if fnum == 3 else name in tester.archive
        return bytes([found])
    if message in ((1, 6), (1, 7)):
        return _transfer(tester, session, payload)
    if fclass == 4 and fnum in (1, *_READINGS):
        return _readings(tester, fnum, channel, length)
    if fclass == 6 and 0 <= channel < len(tester.channels):
        return _command(tester, fnum, channel, payload)
    return b""


def _readings(tester: Tester, fnum: int, first: int, count: int) -> bytes:
    channels = tester.channels[first : first + count]
    now = tester.laboratory.time()
    for channel in channels:
        channel.advance(now)
    if fnum == 1:
        return b"".join(bytes([channel.doing, channel.reason, channel.stat]) for channel in channels)
    return b"".join(struct.pack("<f", single(channel.reading()[_READINGS[fnum]])) for channel in channels)


def _command(tester: Tester, fnum: int, index: int, payload: bytes) -> bytes:
    channel = tester.channels[index]
    if fnum == 12:
        lines = tester.complaints.get(channel.number, [])
        return lines.pop(0).encode("latin-1", "replace") if lines else b""
    if fnum == 8:
        return struct.pack("<H", 4)
    orders = {3: tester.suspend, 4: tester.resume, 5: tester.clear, 6: tester.clear}
    if fnum in orders:
        return struct.pack("<H", orders[fnum](channel))
    if fnum in (2, 11):
        # Type 1 starts the selected channels, and nothing here selects any.
        if len(payload) < 132 or payload[0] != 2:
            return struct.pack("<H", INVALID)
        test, procedure, comment = (
            payload[begin:end].decode("latin-1").strip() for begin, end in ((2, 27), (27, 52), (52, 132))
        )
        if fnum == 11:
            return struct.pack("<H", tester.check(channel, test, procedure))
        return struct.pack("<H", tester.start(channel, test, procedure, comment))
    return b""


def _transfer(tester: Tester, session: dict[str, Any], payload: bytes) -> bytes:
    if len(payload) < 4:
        return _error(0, 1, "Short message")
    kind, operation, number = struct.unpack_from("<BBH", payload)
    if kind != _PROCEDURES:
        return _error(kind, 2, "File type is not served here")
    if operation in (_READ, _WRITE):
        path = _path(tester, payload[4 : 4 + number])
        if path is None:
            return _error(kind, 3, "Illegal file name")
        if operation == _WRITE:
            session.update(path=path, content=bytearray(), next=1)
            return struct.pack("<BBH", kind, _ACK, 0)
        if not path.is_file():
            return _error(kind, 1, "File not found")
        session.update(content=path.read_bytes(), path=None)
        return _block(kind, session["content"], 1)
    if operation == _DATA and session.get("path") is not None:
        if number == (session["next"] - 1) & 0xFFFF:
            return struct.pack("<BBH", kind, _ACK, number)
        if number != session["next"] & 0xFFFF:
            return _error(kind, 4, "Block out of order")
        session["content"] += payload[4:]
        session["next"] += 1
        if len(payload) - 4 < _BLOCK:
            path = session["path"]
            temporary = path.with_suffix(".part")
            temporary.write_bytes(session["content"])
            temporary.replace(path)
            session.clear()
        return struct.pack("<BBH", kind, _ACK, number)
    if operation == _ACK and "content" in session:
        return _block(kind, session["content"], number + 1)
    return _error(kind, 4, "Illegal operation")


def _block(kind: int, content: bytes, number: int) -> bytes:
    return struct.pack("<BBH", kind, _DATA, number) + content[(number - 1) * _BLOCK : number * _BLOCK]


def _error(kind: int, code: int, text: str) -> bytes:
    return struct.pack("<BBH", kind, _ERROR, code) + text.encode() + b"\0"


def _path(tester: Tester, raw: bytes) -> Path | None:
    name = raw.decode("latin-1").strip().rstrip("\0")
    if not name.endswith(".000") or Path(name).name != name or "\\" in name or not name[:-4]:
        return None
    return tester.procedures / name
