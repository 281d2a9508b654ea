"""Files over the binary port, (1,6) and (1,7), block by block, and what the tester lists of them.

Known: types, operations, blocks of 500 bytes. Guessed: the words of errors. Left out: raw data of tests, whose format
only the vendor's own library reads; what is listed as such is the text export of the same name.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, Final

from labctl_simulators.macnet.clients import Client
from labctl_simulators.macnet.tester import Tester, legal

BLOCK: Final = 500
ACTIVE_DATA, ARCHIVED_DATA, PROCEDURES, EVENTS = 1, 2, 3, 8

_READ, _WRITE, _DATA, _ACK, _ERROR = 1, 2, 3, 4, 5
_NOT_FOUND, _NOT_SERVED, _ILLEGAL_NAME, _ILLEGAL_OPERATION = 1, 2, 3, 4
#: Folder and extension of the other types that can be put and got.
_OTHERS: Final = {4: ("functions", ".dll"), 5: ("can", ""), 6: ("fra", ""), 7: ("waveforms", ".mwf")}
_EVENT_LOG: Final = "SysEvent.log"


def listed(tester: Tester, kind: int) -> list[Path]:
    """Files of one type, by name."""
    if kind == PROCEDURES:
        return sorted(tester.procedures.glob("*.000"))
    if kind in (ACTIVE_DATA, ARCHIVED_DATA):
        running = {one.test.file for one in tester.channels if one.test is not None}
        if kind == ACTIVE_DATA:
            return [file for name in sorted(running) if (file := tester.exports / name).is_file()]
        found = (file for file in tester.exports.iterdir() if file.is_file() and file.name not in running)
        return sorted(file for file in found if file.stem in tester.archive and file.suffix[1:].isdigit())
    if kind == EVENTS:
        return [_events(tester)]
    folder = _folder(tester, kind)
    return sorted(file for file in folder.iterdir() if file.is_file()) if folder.is_dir() else []


def transfer(tester: Tester, client: Client, payload: bytes) -> bytes:
    """Answer one message of a transfer."""
    if len(payload) < 4:
        return _error(0, _NOT_FOUND, "Short message")
    kind, operation, number = struct.unpack_from("<BBH", payload)
    if kind not in (PROCEDURES, EVENTS, *_OTHERS):
        return _error(kind, _NOT_SERVED, "File type is not served here")
    if operation in (_READ, _WRITE):
        return _opened(tester, client.transfer, kind, operation, payload[4 : 4 + number])
    if operation == _DATA and client.transfer.get("path") is not None:
        return _received(client.transfer, kind, number, payload[4:])
    if operation == _ACK and client.transfer.get("path", 0) is None:
        return _block(kind, client.transfer["content"], number + 1)
    return _error(kind, _ILLEGAL_OPERATION, "Illegal operation")


def _opened(tester: Tester, state: dict[str, Any], kind: int, operation: int, raw: bytes) -> bytes:
    path = _path(tester, kind, raw)
    if path is None:
        return _error(kind, _ILLEGAL_NAME, "Illegal file name")
    if operation == _WRITE:
        if kind == EVENTS:
            return _error(kind, _ILLEGAL_OPERATION, "Illegal operation")
        state.update(path=path, content=bytearray(), next=1)
        return struct.pack("<BBH", kind, _ACK, 0)
    if kind == EVENTS:
        _events(tester)
    if not path.is_file():
        return _error(kind, _NOT_FOUND, "File not found")
    state.update(content=path.read_bytes(), path=None)
    return _block(kind, state["content"], 1)


def _received(state: dict[str, Any], kind: int, number: int, block: bytes) -> bytes:
    if number == (state["next"] - 1) & 0xFFFF:
        return struct.pack("<BBH", kind, _ACK, number)
    if number != state["next"] & 0xFFFF or len(block) > BLOCK:
        return _error(kind, _ILLEGAL_OPERATION, "Block out of order")
    state["content"] += block
    state["next"] += 1
    if len(block) < BLOCK:
        path: Path = state["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".part")
        temporary.write_bytes(state["content"])
        temporary.replace(path)
        state.clear()
    return struct.pack("<BBH", kind, _ACK, number)


def _block(kind: int, content: bytes, number: int) -> bytes:
    begin = (number - 1) * BLOCK
    return struct.pack("<BBH", kind, _DATA, number & 0xFFFF) + content[begin : begin + BLOCK]


def _error(kind: int, code: int, text: str) -> bytes:
    return struct.pack("<BBH", kind, _ERROR, code) + text.encode() + b"\0"


def _folder(tester: Tester, kind: int) -> Path:
    name = "log" if kind == EVENTS else _OTHERS[kind][0]
    return tester.procedures.with_name(f"{tester.name}-{name}")


def _path(tester: Tester, kind: int, raw: bytes) -> Path | None:
    name = raw.decode("latin-1").strip().rstrip("\0")
    if not legal(name) or Path(name).name != name:
        return None
    if kind == EVENTS:
        return _folder(tester, kind) / name if name == _EVENT_LOG else None
    ending = ".000" if kind == PROCEDURES else _OTHERS[kind][1]
    if not name.lower().endswith(ending) or len(name) == len(ending):
        return None
    return (tester.procedures if kind == PROCEDURES else _folder(tester, kind)) / name


def _events(tester: Tester) -> Path:
    """Write the log of the tester's events out; its format is not the vendor's."""
    path = _folder(tester, EVENTS) / _EVENT_LOG
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        f"{tester.laboratory.at(entry['t']).isoformat(timespec='seconds')[:19]} {json.dumps(entry)}\r\n"
        for entry in tester.laboratory.records(tester.name)
    ]
    path.write_text("".join(lines), encoding="ascii", newline="")
    return path
