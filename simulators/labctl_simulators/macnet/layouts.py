"""Layouts of the binary port: members of requests and replies in their order, packed, little-endian.

Known, from the vendor's manual: (1,2), (6,2) of both types, (6,7), (6,8), four bytes a channel in (4,1), times as
milliseconds since 1970, and that texts are padded with blanks. Every other layout is a guess: the members of the JSON
message in their order, numbers as in the manual's list of types.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

Layout = Sequence[tuple[str, str]]
"""Member and type: a letter of :mod:`struct`, or ``mode``, ``truth``, ``hex``, ``time``, ``text``, ``words``."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: Types that are not a number or a text of their own, and the letter they travel as.
_LETTERS: Final = {"mode": "B", "truth": "B", "hex": "I", "time": "Q"}

_TYPE_1: Final = (
    ("Type", "B"), ("Version", "B"), ("TestName", "25s"), ("ProcName", "25s"), ("Comment", "80s"), ("Crate", "f"),
    ("ChamberNum", "B"),
)  # fmt: skip
_TYPE_2: Final = (
    *_TYPE_1, ("StartCycle", "H"), ("TotCycles", "H"), ("Mass", "f"), ("VGain", "B"), ("AbsTRepAlign", "B"),
    ("ParallelR", "f"), ("VDivHiR", "f"), ("VDivLoR", "f"), ("CANpos", "h"), ("CANprof", "25s"),
)  # fmt: skip
_WITH_REGIME: Final = (*_TYPE_2, ("RegimeName", "25s"))
_OUTPUT: Final = (
    ("Current", "f"), ("Voltage", "f"), ("Power", "f"), ("Resistance", "f"), ("CurrentRange", "B"), ("ChMode", "mode"),
)  # fmt: skip
_SAFETY: Final = tuple(
    (key, "f") for key in ("VSafeMax", "VSafeMin", "ISafeChg", "ISafeDis", "PBatSafeChg", "PBatSafeDis")
)
_ADVANCED: Final = (
    *_TYPE_2, ("Options", "I"), ("ArchivedTestName", "25s"), ("RemoveLastDataRecords", "B"), ("TestTime", "d"),
    ("StepTime", "d"), ("TestStep", "h"), ("Cycle", "i"), ("RemainingLoop1", "i"), ("RemainingLoop2", "i"),
    ("RemainingLoop3", "i"), ("RemainingLoop4", "i"), ("Capacity", "d"), ("Energy", "d"),
)  # fmt: skip

#: Requests with data; more than one layout where they differ in length.
REQUESTS: Final[Mapping[tuple[int, int], Sequence[Layout]]] = {
    (1, 3): [(("ProcName", "25s"),)],
    (1, 4): [(("TestName", "25s"),)],
    (1, 5): [(("FileType", "B"), ("Command", "B"))],
    (5, 1): [(("GlobFlags", "hex"),)],
    (6, 1): [(("Chans", "words"),)],
    (6, 2): [_TYPE_1, _TYPE_2, _WITH_REGIME],
    (6, 7): [
        (("TestName", "25s"), *_OUTPUT, ("DataTime", "f"), ("DataV", "f"), ("DataI", "f")),
    ],
    (6, 8): [_OUTPUT],
    (6, 9): [(("VarNum", "B"), ("Value", "f"))],
    (6, 10): [_SAFETY],
    (6, 11): [_TYPE_1, _TYPE_2, _WITH_REGIME],
    (6, 13): [_ADVANCED],
    (8, 1): [(("UserID", "25s"), ("Password", "25s"))],
}

_RESULT: Final = (("Result", "H"),)
REPLIES: Final[Mapping[tuple[int, int], Layout]] = {
    (1, 1): (
        ("APIVersion", "H"),
        *((f"MacTest32{kind}version{part}", "H") for kind in ("EXE", "DLL") for part in ("Major", "Minor", "Build")),
        ("MacTest32ExeDT", "time"), ("MacTest32DLLDT", "time"),
    ),
    (1, 2): (
        ("SystemID", "50s"), ("SystemType", "B"), ("ControllerBoards", "B"), ("TestChannels", "H"), ("AuxBoards", "B"),
        ("AuxChannels", "H"), ("SMB1Pos", "B"), ("SMB3Pos", "B"), ("ChannelNumberOffset", "I"),
    ),
    (1, 3): (("ProcedurExists", "truth"),),
    (1, 4): (("TestNameExists", "truth"),),
    (1, 5): (("NumberOfFiles", "H"), ("Index", "H"), ("FileDate", "time"), ("Size", "I"), ("FileName", "text")),
    (3, 1): (
        ("TickSpeed", "f"), ("Vmax", "f"), ("Vmin", "f"), *_SAFETY,
        *((f"IR{scale}{way}", "f") for way in ("Chg", "Dis") for scale in (4, 3, 2, 1)),
        ("PChanSafeChg", "f"), ("PChanSafeDis", "f"), ("PSVChg", "f"), ("PSVDis", "f"),
    ),
    (3, 2): (
        ("VChg", "time"), ("VDis", "time"),
        *((f"I{way}R{scale}", "time") for way in ("Chg", "Dis") for scale in (4, 3, 2, 1)),
    ),
    (4, 1): (("Status", "states"),),
    (4, 2): (("Voltage", "singles"),),
    (4, 3): (("Current", "singles"),),
    (4, 4): (("AuxValues", "singles"),),
    (4, 5): (("AuxUnit", "letters"),),
    (4, 6): (("TestName", "25s"), ("ProcName", "25s"), ("Comment", "80s"), ("ProcDesc", "80s")),
    (4, 7): (
        ("RF1", "B"), ("RF2", "B"), ("Stat", "H"), ("LastRecNum", "I"), ("Cycle", "I"), ("Step", "H"),
        ("TestTime", "d"), ("StepTime", "d"), ("Capacity", "d"), ("Energy", "d"), ("Current", "f"), ("Voltage", "f"),
        ("TesterTime", "time"),
    ),
    (4, 8): (("GlobFlags", "hex"), ("VARs", "singles")),
    (4, 9): (("TestTimes", "singles"),),
    (4, 10): (("NumOfEnds", "H"), ("EndNum", "H")),
    (5, 1): (("New GlobFlags", "hex"),),
    (6, 10): _SAFETY,
    **{(6, number): _RESULT for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13)},
    (8, 1): _RESULT,
    (8, 2): _RESULT,
}  # fmt: skip


def read(message: tuple[int, int], payload: bytes) -> dict[str, Any] | None:
    """Read a request's data; None where its length fits no layout."""
    if message not in REQUESTS:
        return {}
    for layout in REQUESTS[message]:
        if layout[0][1] == "words":
            return {layout[0][0]: list(struct.unpack(f"<{len(payload) // 2}H", payload[: len(payload) // 2 * 2]))}
        packed = struct.Struct("<" + "".join(_LETTERS.get(kind, kind) for _, kind in layout))
        if packed.size == len(payload):
            values = packed.unpack(payload)
            return {key: _member(kind, value) for (key, kind), value in zip(layout, values, strict=True)}
    return None


def _member(kind: str, value: Any) -> Any:
    if kind == "mode":
        return chr(value)
    if kind == "hex":
        return f"0x{value:08X}"
    return value.decode("latin-1").rstrip("\0 ") if isinstance(value, bytes) else value


def write(message: tuple[int, int], members: Mapping[str, Any]) -> bytes:
    """Write a reply's data, up to the first member that it does not have."""
    parts = []
    for key, kind in REPLIES[message]:
        if key not in members:
            break
        parts.append(_packed(kind, members[key]))
    return b"".join(parts)


def _packed(kind: str, value: Any) -> bytes:
    if kind == "states":
        return b"".join(struct.pack("<BBH", one["RF1"], one["RF2"], one["Stat"]) for one in value)
    if kind == "singles":
        return struct.pack(f"<{len(value)}f", *value)
    if kind == "letters":
        return "".join(value).encode("ascii")
    if kind == "text":
        return str(value).encode("latin-1", "replace")
    if kind == "truth":
        return bytes([value == "TRUE"])
    if kind == "hex":
        return struct.pack("<I", int(value, 16))
    if kind == "time":
        since = datetime.fromisoformat(value).replace(tzinfo=UTC) - _EPOCH
        return struct.pack("<Q", since // timedelta(milliseconds=1))
    if kind.endswith("s"):
        size = int(kind[:-1])
        return str(value).encode("latin-1", "replace")[:size].ljust(size)
    return struct.pack(f"<{kind}", value)
