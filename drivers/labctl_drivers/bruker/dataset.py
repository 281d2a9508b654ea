"""What a Bruker dataset on disk says of itself: parameters, audit trail, whether it is complete. Standard library only.

Used by the gateway on the spectrometer PC, to tell whether an acquisition is over, and by the driver, to check what it
fetched. Nothing here writes.

Facts: file names and parameter forms as in public Bruker datasets; "acquisition in progress" and "created by zg" in
``audita.txt`` as reported for TopSpin 4 (seen in public scripts, not verified on an instrument).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Union

Value = Union[str, "list[str]"]

ABSENT: Final = "absent"
PREPARED: Final = "prepared"
RUNNING: Final = "running"
DONE: Final = "done"
ERROR: Final = "error"

_IN_PROGRESS: Final = "acquisition in progress"
_CREATED: Final = "created by"
_ENTRY: Final = re.compile(r"^##\$(?P<name>\w+)=[ \t]*(?P<value>.*?)[ \t]*(?=^##|^\$\$|\Z)", re.MULTILINE | re.DOTALL)
_ARRAY: Final = re.compile(r"\((\d+)\.\.(\d+)\)\s*(.*)", re.DOTALL)
_LINES: Final = {
    name: re.compile(rf"^##\${name}=[ \t]*(.*?)[ \t]*$", re.MULTILINE) for name in ("DATE", "NS", "TD", "DTYPA")
}
_POINT_BYTES: Final = {"0": 4, "2": 8}


@dataclass(frozen=True)
class Verdict:
    """What a dataset says of its acquisition.

    Attributes
    ----------
    state : str
        ``absent``, ``prepared`` (made, never started), ``running``, ``done``, or ``error``.
    message : str
        Why, where it is ``error``.
    scans : int or None
        NS of the finished acquisition.
    date : int or None
        DATE of the finished acquisition, Unix seconds by the spectrometer PC's clock.
    """

    state: str
    message: str = ""
    scans: int | None = None
    date: int | None = None


def parse_parameters(text: str) -> dict[str, Value]:
    """Read a parameter file (``acqus``, ``procs``).

    Returns
    -------
    dict
        Texts without their angle brackets, numbers as they stand, arrays as lists.
    """
    parameters: dict[str, Value] = {}
    for entry in _ENTRY.finditer(text):
        value = entry["value"].strip()
        array = _ARRAY.match(value)
        if array:
            parameters[entry["name"]] = [_plain(item) for item in re.findall(r"<[^>]*>|\S+", array[3])]
        else:
            parameters[entry["name"]] = _plain(value)
    return parameters


def scalar(parameters: dict[str, Value], name: str) -> str | None:
    """Give one parameter by the name under which it is set, such as ``"P 1"``, ``"SWH"`` or ``"NS"``."""
    base, _, index = name.partition(" ")
    value = parameters.get("SW_h" if base == "SWH" else base)
    if isinstance(value, list):
        position = int(index) if index.isdigit() else 0
        return value[position] if position < len(value) else None
    return value


def audit_state(text: str) -> str:
    """Give ``running`` or ``done`` by the last entry of an audit trail, or nothing where there is none."""
    progress, created = text.lower().rfind(_IN_PROGRESS), text.lower().rfind(_CREATED)
    if progress < 0 and created < 0:
        return ""
    return RUNNING if progress > created else DONE


def fid_bytes(parameters: dict[str, Value]) -> int | None:
    """Give the size in bytes that a complete ``fid`` has, or None where the parameters don't tell."""
    points, width = scalar(parameters, "TD"), _POINT_BYTES.get(scalar(parameters, "DTYPA") or "0")
    return int(points) * width if points is not None and points.isdigit() and width else None


def manifest(files: Iterable[Mapping[str, Any]]) -> str:
    """Give the SHA-256 of a listing: a line ``<sha256>  <file>`` for each file, in its order."""
    lines = (f"{entry['sha256']}  {entry['file']}\n" for entry in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def judge(folder: Path, date_before: int | None = None) -> Verdict:
    """Judge an EXPNO folder by its files; the mere existence of ``fid`` proves nothing, since it is filled beforehand.

    Parameters
    ----------
    folder : Path
        The EXPNO folder.
    date_before : int, optional
        DATE in ``acqus`` before the start: an unchanged one says that nothing was written yet.

    Raises
    ------
    OSError
        A file can't be read.
    """
    if not (folder / "acqu").is_file():
        return Verdict(ABSENT)
    trail = _text(folder / "audita.txt")
    fid = folder / "fid"
    size = fid.stat().st_size if fid.is_file() else None
    return judge_content(trail, _text(folder / "acqus") if audit_state(trail) == DONE else "", size, date_before)


def judge_content(trail: str, acqus: str, fid_size: int | None, date_before: int | None = None) -> Verdict:
    """Judge a dataset by its audit trail, its ``acqus`` and the size of its ``fid``; see :func:`judge`."""
    state = audit_state(trail)
    if state == "":
        return Verdict(PREPARED) if fid_size is None else Verdict(ERROR, "a fid without an audit trail")
    if state == RUNNING:
        return Verdict(RUNNING)
    # Asked often: only these four are sought, not the whole file read.
    parameters: dict[str, Value] = {}
    for name, line in _LINES.items():
        match = line.search(acqus)
        if match:
            parameters[name] = _plain(match[1])
    date, scans = _whole(scalar(parameters, "DATE")), _whole(scalar(parameters, "NS"))
    if not date or scans is None or date == date_before:
        return Verdict(ERROR, "the audit trail says that it is done, but acqus was not written by this acquisition")
    wanted = fid_bytes(parameters)
    if fid_size != wanted:
        return Verdict(ERROR, f"fid has {fid_size or 0} bytes where TD asks for {wanted}")
    return Verdict(DONE, scans=scans, date=date)


def _plain(value: str) -> str:
    return value[1:-1] if value.startswith("<") and value.endswith(">") else value


def _whole(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdigit() else None


def _text(path: Path) -> str:
    # Titles and operators' names come in the code page of the spectrometer PC.
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
