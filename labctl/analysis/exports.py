"""Records of cyclers that labctl did not drive: text exports of MACCOR testers, and EC-Lab's ``.mpt`` of a cycling.

Reads what such a file has in common whatever program wrote it: time, voltage, current, and the tester's own count of
charge where there is one. The columns are known by name, in any order. What the file does not tell is refused by name,
and never guessed: plain numbers under ``TestTime`` have no unit. Which step is a charge, a discharge or a hold, and to
which cycle it belongs, is told in ``steps``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labctl.errors import DataError

Floats = NDArray[np.float64]

#: Names of MACCOR's columns in lower case, without their unit.
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "step": ("step",),
    "time": ("test", "test time", "testtime"),
    "capacity": ("amp-hr", "capacity", "cap.", "amphr"),
    "energy": ("watt-hr", "energy", "ener.", "watthr"),
    "current": ("amps", "current"),
    "voltage": ("volts", "voltage"),
    "state": ("state", "md", "mode"),
}
_SIZES: Final = {"": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6}
_UNITS: Final = {"a": "current", "v": "voltage", "ah": "capacity", "wh": "energy", "s": "time", "sec": "time"}
_HEADING: Final = re.compile(r"^(?P<name>.*?)\s*(?:[\[(]\s*(?P<unit>[^\])]+?)\s*[\])])?$")
_CLOCK: Final = re.compile(r"(?:(\d+)\s*d)?\s*(\d+):(\d\d):(\d\d(?:\.\d*)?)$", re.ASCII)
#: A heading is among the first so many lines.
_ABOVE: Final = 40
_EC_LAB: Final = ("EC-Lab ASCII FILE", "BT-Lab ASCII FILE")
_HEAD_LINES: Final = re.compile(r"Nb header lines\s*:\s*(\d+)")
#: A current below this part of the largest one is no current, where nothing else tells the step.
_NO_CURRENT: Final = 1e-6
#: Names in EC-Lab and what makes them s, V, A, Ah or Wh.
_EC_NAMES: Final[Mapping[str, Mapping[str, float]]] = {
    "time": {"time/s": 1.0},
    "voltage": {"Ewe/V": 1.0, "<Ewe>/V": 1.0, "Ecell/V": 1.0, "<Ecell>/V": 1.0, "Ewe-Ece/V": 1.0},
    "current": {"<I>/mA": 1e-3, "I/mA": 1e-3, "<I>/A": 1.0, "I/A": 1.0},
    "capacity": {"(Q-Qo)/mA.h": 1e-3, "(Q-Qo)/C": 1.0 / 3600.0},
    "part": {"half cycle": 1.0},
    "step": {"Ns": 1.0},
}


@dataclass(frozen=True, slots=True)
class Table:
    """A cycler's record, one entry for each sample.

    Attributes
    ----------
    path : Path
        The file.
    source : str
        ``MACCOR`` or ``EC-Lab``.
    time_s, voltage_V, current_A : ndarray
        Charging is positive.
    capacity_Ah : ndarray or None
        The instrument's own count, a magnitude that begins anew with a step, or runs on; None where it has none.
    step : ndarray of int
        Number that changes where a step ends.
    state : ndarray of str or None
        The tester's letter: C, D, R and others; None where the file has none.
    """

    path: Path
    source: str
    time_s: Floats
    voltage_V: Floats
    current_A: Floats
    capacity_Ah: Floats | None
    step: NDArray[np.int64]
    state: NDArray[np.str_] | None = None


def is_record(path: Path) -> bool:
    """Whether a file looks like a cycler's text export, from its first lines."""
    lines = first_lines(path)
    return bool(lines) and (lines[0].strip() in _EC_LAB or _heading(lines) is not None)


def first_lines(path: Path) -> list[str]:
    """Give the lines among which a heading is, and those above it; nothing of a file that is no text."""
    try:
        with path.open("rb") as file:
            raw = file.read(1 << 16)
    except OSError:
        return []
    if b"\0" in raw and not raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return []
    lines = _text(raw).splitlines()
    counted = _HEAD_LINES.match(lines[1]) if len(lines) > 1 else None
    return lines[: max(_ABOVE + 1, int(counted[1]) if counted is not None else 0)]


def read(path: Path) -> Table:
    """Read a text export.

    Raises
    ------
    DataError
        It cannot be read, its heading is unknown, a line is cut off, or a value is no number; with file and line.
    """
    try:
        lines = _text(path.read_bytes()).split("\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    if lines[0].strip() in _EC_LAB:
        return _ec_lab(path, lines)
    found = _heading(lines[:_ABOVE])
    if found is None:
        raise DataError(f"{path}: no heading of a cycler's export in its first {_ABOVE} lines (time, current and "
                        "voltage are needed)", hint="export the test as text with its heading")  # fmt: skip
    return _maccor(path, lines, *found)


def _text(raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


@dataclass(frozen=True, slots=True)
class _Column:
    place: int
    title: str
    factor: float
    unit: str


def _heading(lines: Sequence[str]) -> tuple[int, str, dict[str, _Column]] | None:
    """Find the line that names time, current and voltage: its number, what parts columns, and the columns."""
    for number, line in enumerate(lines):
        for mark in ("\t", ";", ","):
            if line.count(mark) < 4:
                continue
            found: dict[str, _Column] = {}
            for place, title in enumerate(line.rstrip("\r\n").split(mark)):
                meaning = _meaning(title.strip().strip('"'))
                if meaning is not None and meaning[0] not in found:
                    found[meaning[0]] = _Column(place, title.strip(), *meaning[1:])
            if {"time", "current", "voltage"} <= found.keys():
                return number, mark, found
    return None


def _meaning(title: str) -> tuple[str, float, str] | None:
    parts = _HEADING.match(title)
    if parts is None:
        return None
    name, unit = parts["name"].lower(), parts["unit"] or ""
    role = next((role for role, names in _NAMES.items() if name in names), None)
    if role is None:
        return None
    size, kind = ("", unit.lower())
    if unit[:1] in _SIZES and unit[1:].lower() in _UNITS:
        size, kind = unit[:1], unit[1:].lower()
    if unit and _UNITS.get(kind) != role:
        return None
    return role, _SIZES[size], kind


def _maccor(path: Path, lines: Sequence[str], head: int, mark: str, found: Mapping[str, _Column]) -> Table:
    needed = max(one.place for one in found.values()) + 1
    rows: list[list[str]] = []
    numbers: list[int] = []
    whole = lines[-1] == ""
    for number, line in enumerate(lines[head + 1 :], head + 2):
        if not line.strip():
            continue
        parts = line.split(mark)
        if len(parts) < needed:
            if number == len(lines) and not whole:
                continue  # the last line of a file that is still being written
            raise DataError(f"{path}:{number}: {len(parts)} columns where the heading has {needed}")
        rows.append(parts)
        numbers.append(number)
    if not rows:
        raise DataError(f"{path}: a heading and no records below it")
    sign = "," if mark != "," and _comma([row[found["voltage"].place] for row in rows]) else "."

    def values(role: str) -> Floats:
        one = found[role]
        return one.factor * np.array(
            [_number(row[one.place], sign, path, number, one.title) for row, number in zip(rows, numbers, strict=True)]
        )

    time = _times(path, rows, numbers, found["time"], sign)
    voltage, current = values("voltage"), values("current")
    state = None
    if "state" in found:
        state = np.array([row[found["state"].place].strip().strip('"')[:1].upper() for row in rows])
        out = state == "D"
        if out.any() and not (current[out] < 0).any():
            current = np.where(out, -np.abs(current), current)
    step = values("step").astype(np.int64) if "step" in found else np.zeros(len(rows), dtype=np.int64)
    capacity = np.abs(values("capacity")) if "capacity" in found else None
    return _checked(Table(path, "MACCOR", time, voltage, current, capacity, step, state))


def _comma(texts: Sequence[str]) -> bool:
    return any("," in text for text in texts) and not any("." in text for text in texts)


def _number(text: str, sign: str, path: Path, line: int, title: str) -> float:
    plain = text.strip().strip('"')
    plain = plain.replace(".", "").replace(",", ".") if sign == "," else plain.replace(",", "")
    try:
        return float(plain)
    except ValueError:
        raise DataError(f"{path}:{line}: {title} is {text.strip()!r}, which is no number") from None


def _times(path: Path, rows: Sequence[Sequence[str]], numbers: Sequence[int], column: _Column, sign: str) -> Floats:
    times = np.empty(len(rows))
    for index, (row, number) in enumerate(zip(rows, numbers, strict=True)):
        text = row[column.place].strip().strip('"')
        clock = _CLOCK.match(text.replace(",", "."))
        if clock is not None:
            days, hours, minutes, seconds = clock.groups()
            times[index] = 86400.0 * int(days or 0) + 3600.0 * int(hours) + 60.0 * int(minutes) + float(seconds)
        elif not column.unit:
            raise DataError(f"{path}:{number}: {column.title} is {text!r}, a time without a unit",
                            hint="export times as d hh:mm:ss or in seconds")  # fmt: skip
        else:
            times[index] = _number(text, sign, path, number, column.title)
    return times


def _ec_lab(path: Path, lines: Sequence[str]) -> Table:
    counted = _HEAD_LINES.match(lines[1]) if len(lines) > 1 else None
    head = int(counted[1]) if counted is not None else 0
    if not 3 <= head <= len(lines):
        raise DataError(f"{path}: its head of {head} lines is not that of a text export of EC-Lab")
    titles = [title.strip() for title in lines[head - 1].rstrip("\r").split("\t")]
    found: dict[str, _Column] = {}
    for role, names in _EC_NAMES.items():
        for name, factor in names.items():
            if name in titles and role not in found:
                found[role] = _Column(titles.index(name), name, factor, "")
    lacking = [role for role in ("time", "voltage", "current") if role not in found]
    if lacking:
        raise DataError(f"{path}: no column of {', '.join(lacking)}; found {', '.join(filter(None, titles))}")
    needed = max(one.place for one in found.values()) + 1
    rows: list[list[str]] = []
    for number, line in enumerate(lines[head:], head + 1):
        if not line.strip():
            continue
        parts = line.rstrip("\r").split("\t")
        if len(parts) < needed:
            raise DataError(f"{path}:{number}: {len(parts)} columns where the heading has {len(titles)}")
        rows.append([*parts, str(number)])
    if not rows:
        raise DataError(f"{path}: a heading and no records below it")
    table = {}
    for role, one in found.items():
        texts = ((row[one.place].replace(",", "."), int(row[-1])) for row in rows)
        table[role] = one.factor * np.array([_number(text, ".", path, number, one.title) for text, number in texts])
    current = table["current"]
    parts_of = [table[role] for role in ("part", "step") if role in table]
    floor = _NO_CURRENT * float(np.abs(current).max())
    parts_of.append(np.where(np.abs(current) > floor, np.sign(current), 0.0) if not parts_of else np.zeros(len(rows)))
    turns = np.any([np.diff(one) != 0 for one in parts_of], axis=0)
    step = np.concatenate(([0], np.cumsum(turns))).astype(np.int64)
    return _checked(Table(path, "EC-Lab", table["time"], table["voltage"], current, table.get("capacity"), step))


def _checked(table: Table) -> Table:
    for name in ("time_s", "voltage_V", "current_A", "capacity_Ah"):
        values = getattr(table, name)
        if values is not None and not np.isfinite(values).all():
            at = int(np.flatnonzero(~np.isfinite(values))[0])
            raise DataError(f"{table.path}: record {at + 1} has no number for {name}")
    back = np.flatnonzero(np.diff(table.time_s) < -1.0)
    if back.size:
        raise DataError(f"{table.path}: the clock goes back after record {int(back[0]) + 1}")
    return table
