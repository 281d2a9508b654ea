"""EC-Lab's binary data file ``.mpr``: modules ``VMP Set``, ``VMP data``, ``VMP LOG`` and ``VMP loop``. Pure.

A column whose number is not known is refused by naming it: its width, and so every value behind it, would be a guess.
A file that EC-Lab is still writing may be read as far as it goes; whole rows only.

Source of the layout: files of EC-Lab 10.40 to 11.61 as several independent readers have it; the vendor publishes none.
Unverified: which of the places at which the start was found is the right one in a version that is not among them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from labctl.errors import DataError
from labctl_drivers.biologic.mpr_columns import COLUMNS, FLAGS

MAGIC: Final = b"BIO-LOGIC MODULAR FILE\x1a".ljust(48) + b"\0\0\0\0"
_MODULE: Final = b"MODULE"
#: Short name, long name; then length, version, date, or from 11.50 on a mark, length, two versions, date.
_OLD: Final = struct.Struct("<10s25sII8s")
_NEW: Final = struct.Struct("<10s25sIIII8s")
_NEW_MARK: Final = 0xFFFFFFFF
#: Where the rows begin, by version of the data module; 11.50 and later count anew.
_ROWS_AT: Final = {2: 405, 3: 406}
_ROWS_AT_NEW: Final = 1007
#: Where the start was found in logs, and what makes it one: days since 1899-12-30 between 2009 and 2064.
_STARTS_AT: Final = (585, 465, 469, 473)
_DAYS: Final = (40000.0, 60000.0)
_EPOCH: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - the PC's local time, which the file does not name


@dataclass(frozen=True, slots=True)
class Measured:
    """What a data file holds.

    Attributes
    ----------
    columns : mapping of str to ndarray
        By EC-Lab's names, in SI, as float64; flags by their own names.
    rows : int
        How many.
    technique : int
        EC-Lab's number of the technique; -1 where it is not told.
    started : datetime or None
        Local time of the PC.
    loops : tuple of int
        Rows at which a further pass of a loop begins.
    complete : bool
        Whether the file was closed: it has its log.
    """

    columns: Mapping[str, Any]
    rows: int
    technique: int = -1
    started: datetime | None = None
    loops: tuple[int, ...] = ()
    complete: bool = True


@dataclass(slots=True)
class _Found:
    modules: dict[str, tuple[bytes, int, bool]] = field(default_factory=dict)
    broken: str = ""


def read(content: bytes, name: str, *, whole: bool = True) -> Measured:
    """Read a data file.

    Parameters
    ----------
    content : bytes
        Of the file.
    name : str
        For messages.
    whole : bool
        Whether a file that is not closed is refused.

    Raises
    ------
    DataError
        It is none, has a column that is not known, or is not whole.
    """
    if not whole and len(content) < len(MAGIC) and MAGIC.startswith(content):
        return Measured({}, 0, complete=False)
    if not content.startswith(MAGIC):
        raise DataError(f"{name}: is no data file of EC-Lab")
    found = _modules(content, name)
    if whole and (found.broken or "VMP LOG" not in found.modules):
        raise DataError(f"{name}: {found.broken or 'has no log'}; EC-Lab has not finished it, or it was cut short")
    if "VMP data" not in found.modules:
        if whole or not found.broken:
            raise DataError(f"{name}: has no data")
        return Measured({}, 0, complete=False)
    data, version, new = found.modules["VMP data"]
    columns, rows = _rows(data, version, new, name, whole=whole)
    settings = found.modules.get("VMP Set", (b"", 0, new))[0]
    log = found.modules.get("VMP LOG", (b"", 0, new))[0]
    loop = found.modules.get("VMP loop", (b"", 0, new))[0]
    return Measured(
        columns,
        rows,
        technique=settings[0] if settings else -1,
        started=_started(log),
        loops=_loops(loop, rows),
        complete="VMP LOG" in found.modules and not found.broken,
    )


def _modules(content: bytes, name: str) -> _Found:
    found, at = _Found(), len(MAGIC)
    while at < len(content):
        if content[at : at + len(_MODULE)] != _MODULE:
            found.broken = f"byte {at} should begin a module"
            break
        at += len(_MODULE)
        if len(content) < at + _NEW.size:
            found.broken = "ends within the head of a module"
            break
        short, _, mark, *_ = _NEW.unpack_from(content, at)
        new = mark == _NEW_MARK
        head = _NEW if new else _OLD
        _, _, *numbers, _ = head.unpack_from(content, at)
        length, version = (numbers[1], numbers[2]) if new else (numbers[0], numbers[1])
        at += head.size
        body = content[at : at + length]
        title = short.decode("latin-1").strip()
        if title in found.modules:
            raise DataError(f"{name}: has '{title}' twice; such a file was put together by hand")
        found.modules[title] = (body, version, new)
        if len(body) < length:
            found.broken = f"'{title}' has {len(body)} of {length} bytes"
            break
        at += length
    return found


def _rows(data: bytes, version: int, new: bool, name: str, *, whole: bool) -> tuple[dict[str, Any], int]:
    if len(data) < 5:
        if whole:
            raise DataError(f"{name}: its data have no head")
        return {}, 0
    told, count = struct.unpack_from("<IB", data)
    begin = _ROWS_AT_NEW if new else _ROWS_AT.get(version, 0)
    if not begin:
        raise DataError(f"{name}: data of version {version} are not known", hint="export it as text (.mpt)")
    if not 0 < count <= (begin - 5) // 2:
        if not count and not whole:
            return {}, 0
        raise DataError(f"{name}: its data have {count} columns")
    if len(data) < begin:
        if whole:
            raise DataError(f"{name}: its data end within their head")
        return {}, 0
    numbers = struct.unpack_from(f"{'>' if new else '<'}{count}H", data, 5)
    layout = _layout(numbers, name)
    there = (len(data) - begin) // layout.itemsize
    if whole and told != there:
        raise DataError(f"{name}: tells of {told} rows and has {there}")
    rows = min(told, there) if told else there
    table = np.frombuffer(data, dtype=layout, count=rows, offset=begin)
    columns: dict[str, Any] = {}
    for number in numbers:
        if number in FLAGS:
            title, mask = FLAGS[number]
            columns[title] = ((table["flags"] & mask) // (mask & -mask)).astype(float)
        else:
            column = COLUMNS[number]
            columns[column.name] = table[column.name].astype(float) * column.factor
    return columns, rows


def _layout(numbers: tuple[int, ...], name: str) -> np.dtype[Any]:
    unknown = [number for number in dict.fromkeys(numbers) if number not in FLAGS and number not in COLUMNS]
    if unknown:
        raise DataError(
            f"{name}: column {', '.join(str(one) for one in unknown)} is not known",
            hint="export the file as text (.mpt) beside it, or leave what is recorded in it out in EC-Lab",
        )
    fields: list[tuple[str, str]] = []
    for number in numbers:
        if number not in FLAGS:
            fields.append((COLUMNS[number].name, COLUMNS[number].kind))
        elif not any(title == "flags" for title, _ in fields):
            fields.append(("flags", "|u1"))
    titles = [title for title, _ in fields]
    if len(set(titles)) != len(titles):
        raise DataError(f"{name}: has a column twice")
    return np.dtype(fields)


def _started(log: bytes) -> datetime | None:
    for at in _STARTS_AT:
        if len(log) >= at + 8:
            (days,) = struct.unpack_from("<d", log, at)
            if _DAYS[0] < days < _DAYS[1]:
                return _EPOCH + timedelta(days=days)
    return None


def _loops(loop: bytes, rows: int) -> tuple[int, ...]:
    if len(loop) < 4:
        return ()
    (count,) = struct.unpack_from("<I", loop)
    count = min(count, (len(loop) - 4) // 4)
    found = struct.unpack_from(f"<{count}I", loop, 4)
    return tuple(one for one in found if 0 < one < rows)
