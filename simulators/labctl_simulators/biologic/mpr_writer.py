"""EC-Lab's data files of a technique: the binary ``.mpr`` in the form of 11.50 and later, and its text export ``.mpt``.

Module heads, places of the rows, numbers, types and units of the columns are those that independent readers have found
in EC-Lab's own files. Guessed: which columns a technique has, that a file that is being written lacks its log, and
everything in the settings and the log that those readers do not look at, which is zero.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import cos as cosine
from math import degrees, sin
from typing import Final

_MAGIC: Final = b"BIO-LOGIC MODULAR FILE\x1a".ljust(48) + b"\0\0\0\0"
_HEAD: Final = struct.Struct("<6s10s25sIIII8s")
_ROWS_AT: Final = 1007
_SETTINGS_SIZE: Final = 0x1A00
_LOG_SIZE: Final = 0x0A00
_START_AT: Final = 0x0249
_EPOCH: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - local time of the PC
_SERIAL_AT, _CHANNEL_AT = 0x00AB, 0x0009

#: Number, type and name in a text export; flags are bits of one byte.
_FLAGS: Final = ((1, 0x03, "mode"), (2, 0x04, "ox/red"), (3, 0x08, "error"))
_TIME: Final = (4, "d", "time/s")
_DIRECT: Final = (*((6, "f", "Ewe/V"), (8, "f", "I/mA")), (13, "d", "(Q-Qo)/mA.h"), (39, "H", "I Range"))
_SPECTRUM: Final = (
    *((32, "f", "freq/Hz"), (37, "f", "Re(Z)/Ohm"), (38, "f", "-Im(Z)/Ohm"), (36, "f", "|Z|/Ohm")),
    *((35, "f", "Phase(Z)/deg"), _TIME, (77, "f", "<Ewe>/V"), (76, "f", "<I>/mA"), (33, "f", "|Ewe|/V")),
    (34, "f", "|I|/A"),
)
_FAR: Final = (
    *((99, "f", "|Zce|/Ohm"), (98, "f", "Phase(Zce)/deg"), (100, "f", "Re(Zce)/Ohm"), (101, "f", "-Im(Zce)/Ohm")),
    *((430, "f", "Phase(Zwe-ce)/deg"), (431, "f", "|Zwe-ce|/Ohm"), (432, "f", "Re(Zwe-ce)/Ohm")),
    *((433, "f", "-Im(Zwe-ce)/Ohm"), (471, "f", "<Ece>/V")),
)
_RANGE: Final = 39


@dataclass(frozen=True, slots=True)
class Row:
    """A record ``at`` s after the start of the run, in pass ``passed`` of a loop.

    ``values`` as :class:`labctl_simulators.biologic.channel.Row` has them: of direct current where ``point`` is false,
    else of a point of a spectrum.
    """

    at: float
    passed: int
    point: bool
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class DataFile:
    """What a technique has recorded.

    Attributes
    ----------
    technique : int
        EC-Lab's number of it.
    name : str
        Its long name.
    kind : str
        ``open``, ``driven`` or ``spectrum``.
    channel, serial : int
        From 0, and the board's.
    counter : bool
        Whether the counter electrode is recorded.
    started : datetime
        Of the technique.
    rows : sequence of Row
        All of it.
    """

    technique: int
    name: str
    kind: str
    channel: int
    serial: int
    counter: bool
    started: datetime
    rows: Sequence[Row]

    def columns(self) -> tuple[tuple[int, str, str], ...]:
        """Number, type and name of the columns behind the flags."""
        far = ((9, "f", "Ece/V"),) if self.counter else ()
        if self.kind == "open":
            return (_TIME, (6, "f", "Ewe/V"), *far)
        if self.kind == "spectrum":
            return (*_SPECTRUM, *(_FAR if self.counter else ()))
        return (_TIME, *far, *_DIRECT)

    def values(self) -> list[tuple[float, ...]]:
        """Values of all rows, in the columns' order and EC-Lab's units."""
        found, charge, before = [], 0.0, None
        for row in self.rows:
            if row.point:
                named = _of_point(row)
            else:
                ewe, ece, current = row.values[:3]
                if before is not None:
                    charge += 0.5 * (current + before.values[2]) * (row.at - before.at)
                before = row
                named = {
                    "Ewe/V": ewe,
                    "<Ewe>/V": ewe,
                    "Ece/V": ece,
                    "<Ece>/V": ece,
                    "I/mA": current * 1e3,
                    "<I>/mA": current * 1e3,
                    "(Q-Qo)/mA.h": charge / 3.6,
                    "I Range": _RANGE,
                }
            named["time/s"] = row.at
            found.append(tuple(named.get(name, 0.0) for _, _, name in self.columns()))
        return found

    def loops(self) -> list[int]:
        """Rows at which a further pass begins."""
        return [index for index in range(1, len(self.rows)) if self.rows[index].passed != self.rows[index - 1].passed]


def _of_point(row: Row) -> dict[str, float]:
    frequency, ewe_size, i_size, phase, ewe, current, ece_size, ice_size, far_phase, ece = row.values
    near, far = ewe_size / i_size, ece_size / ice_size
    near_parts = near * cosine(phase), near * sin(phase)
    far_parts = far * cosine(far_phase), far * sin(far_phase)
    whole = complex(near_parts[0] + far_parts[0], near_parts[1] + far_parts[1])
    return {
        "freq/Hz": frequency,
        "Re(Z)/Ohm": near_parts[0],
        "-Im(Z)/Ohm": -near_parts[1],
        "|Z|/Ohm": near,
        "Phase(Z)/deg": degrees(phase),
        "<Ewe>/V": ewe,
        "<I>/mA": current * 1e3,
        "|Ewe|/V": ewe_size,
        "|I|/A": i_size,
        "<Ece>/V": ece,
        # Against the current of the working electrode, which enters the counter electrode the other way.
        "|Zce|/Ohm": far,
        "Phase(Zce)/deg": degrees(far_phase) - 180.0,
        "Re(Zce)/Ohm": -far_parts[0],
        "-Im(Zce)/Ohm": far_parts[1],
        "|Zwe-ce|/Ohm": abs(whole),
        "Re(Zwe-ce)/Ohm": whole.real,
        "-Im(Zwe-ce)/Ohm": -whole.imag,
    }


def binary(file: DataFile, *, closed: bool) -> bytes:
    """Give the ``.mpr``; one that is not closed lacks its log."""
    columns = file.columns()
    numbers = [number for number, _, _ in _FLAGS] + [number for number, _, _ in columns]
    layout = struct.Struct("<B" + "".join(kind for _, kind, _ in columns))
    head = struct.pack("<IB", len(file.rows), len(numbers)) + struct.pack(f">{len(numbers)}H", *numbers)
    whole = [index for index, (_, kind, _) in enumerate(columns) if kind == "H"]
    body = bytearray()
    for values in file.values():
        fitting = [int(value) if index in whole else value for index, value in enumerate(values)]
        body += layout.pack(2, *fitting)
    parts = [_MAGIC, _module("VMP Set", "VMP settings", _settings(file), 0, 10, file.started)]
    parts.append(_module("VMP data", "VMP data", head.ljust(_ROWS_AT, b"\0") + body, 0, 11, file.started))
    if closed:
        parts.append(_module("VMP LOG", "VMP LOG", _log(file), 0, 10, file.started))
        loops = file.loops()
        if loops:
            begins = [0, *loops]
            content = struct.pack(f"<I{len(begins)}I", len(begins), *begins)
            parts.append(_module("VMP loop", "VMP loop", content, 0, 10, file.started))
    return b"".join(parts)


def _settings(file: DataFile) -> bytes:
    content = bytearray(_SETTINGS_SIZE)
    content[0] = file.technique
    return bytes(content)


def _log(file: DataFile) -> bytes:
    content = bytearray(_LOG_SIZE)
    content[_CHANNEL_AT] = file.channel
    struct.pack_into("<H", content, _SERIAL_AT, file.serial)
    struct.pack_into("<d", content, _START_AT, (file.started - _EPOCH).total_seconds() / 86400.0)
    return bytes(content)


def _module(short: str, long: str, content: bytes, version: int, newer: int, date: datetime) -> bytes:
    names = short.ljust(10).encode("ascii"), long.ljust(25).encode("ascii")
    day = date.strftime("%m/%d/%y").encode("ascii")
    return _HEAD.pack(b"MODULE", *names, 0xFFFFFFFF, len(content), version, newer, day) + content


def text(file: DataFile, mark: str = ".") -> bytes:
    """Give the ``.mpt`` that EC-Lab exports."""
    titles = [name for _, _, name in _FLAGS] + [name for _, _, name in file.columns()]
    head = [
        "EC-Lab ASCII FILE",
        "",
        "",
        file.name,
        "",
        f"Acquisition started on : {file.started:%m/%d/%Y %H:%M:%S}.{file.started.microsecond // 1000:03d}",
    ]
    begins = [0, *file.loops()]
    if len(begins) > 1:
        ends = [begin - 1 for begin in begins[1:]] + [len(file.rows) - 1]
        for index, (first, last) in enumerate(zip(begins, ends, strict=True)):
            head.append(f"Loop {index} from point number {first} to {last}")
    head += ["", "\t".join(titles) + "\t"]
    head[1] = f"Nb header lines : {len(head)}"
    rows = []
    for values in file.values():
        numbers = [f"{value:.9E}".replace(".", mark) for value in values]
        rows.append("\t".join(["2", "0", "0", *numbers]))
    return "\r\n".join([*head, *rows, ""]).encode("latin-1")
