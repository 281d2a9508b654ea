"""A dataset from the spectrometer PC into the bundle: whole, checked against the request, or not at all."""

from __future__ import annotations

import base64
import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from labctl.errors import DataError
from labctl.instruments import Garbled
from labctl_drivers.bruker.dataset import DONE, judge_content, parse_parameters, scalar
from labctl_drivers.bruker.link import ATTEMPTS, GatewayLink
from labctl_drivers.bruker.parameters import disagreement

_CHUNK: Final = 196608
#: Small files, and a usual fid, come with the listing.
_INLINE: Final = 393216
#: Parameters that are reported beside those that were sent.
_ALSO: Final = ("NS", "RG", "BF1", "SFO1", "DE", "TE", "DATE")
#: The last part of a fid must not be empty: it is filled with zeros before it is measured.
_TAIL: Final = 4096


async def fetch_expno(link: GatewayLink, name: str, expno: int) -> dict[str, bytes]:
    """Read all files of one EXPNO, each verified by its hash; by their paths below the EXPNO folder.

    Raises
    ------
    DataError
        A file kept changing while it was copied.
    """
    listing = (await link.request("list", name=name, expno=expno, inline=_INLINE))["files"]
    files: dict[str, bytes] = {}
    for entry in listing:
        relative = PurePosixPath(entry["file"])
        if relative.is_absolute() or ".." in relative.parts:
            raise DataError(f"{name}/{expno}: '{relative}' is no file of a dataset")
        files[str(relative)] = await fetch_file(link, name, expno, entry)
    return files


async def fetch_file(link: GatewayLink, name: str, expno: int, entry: Mapping[str, str | int]) -> bytes:
    """Read one file as the gateway's listing has it: same size, same hash.

    Raises
    ------
    DataError
        It kept changing while it was copied.
    """
    if "data" in entry:
        content = _decoded(entry["data"])
        if hashlib.sha256(content).hexdigest() == entry["sha256"]:
            return content
    for _ in range(ATTEMPTS):
        content = await _content(link, name, expno, str(entry["file"]), int(entry["size"]))
        if hashlib.sha256(content).hexdigest() == entry["sha256"]:
            return content
        link.survived(link.fault(Garbled, f"'{entry['file']}' of {name}/{expno} arrived with another hash"))
    raise DataError(f"{name}/{expno}: '{entry['file']}' does not arrive as the gateway lists it; is it being written?")


async def _content(link: GatewayLink, name: str, expno: int, file: str, size: int) -> bytes:
    parts: list[bytes] = []
    offset = 0
    while offset < size:
        reply = await link.request("read", name=name, expno=expno, file=file, offset=offset, length=_CHUNK)
        part = _decoded(reply.get("data"))
        if not part:
            break
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


def _decoded(data: object) -> bytes:
    """Bytes from base64; none where it is not base64, which the hash then finds."""
    try:
        return base64.b64decode(data, validate=True) if isinstance(data, str) else b""
    except ValueError:
        return b""


def write_expno(folder: Path, files: Mapping[str, bytes]) -> None:
    """Lay the files of one EXPNO into a fresh folder."""
    for parent in {(folder / file).parent for file in files}:
        parent.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (folder / file).write_bytes(content)


def check_expno(name: str, files: Mapping[str, bytes], sent: Mapping[str, str]) -> dict[str, str]:
    """Check one EXPNO against what was asked for; give the parameters that were used.

    Raises
    ------
    DataError
        It is truncated, was still being written, or is not what was asked for.
    """
    acqus = files.get("acqus", b"").decode("utf-8", "replace")
    fid = files.get("fid")
    trail = files.get("audita.txt", b"").decode("utf-8", "replace")
    verdict = judge_content(trail, acqus, None if fid is None else len(fid))
    if verdict.state != DONE or fid is None:
        raise DataError(f"{name}: the dataset is not complete ({verdict.message or verdict.state})")
    parameters = parse_parameters(acqus)
    if not any(fid[-_TAIL:]):
        raise DataError(f"{name}: the end of fid is empty: it was filled before the acquisition, not by it")
    used = {name: scalar(parameters, name) for name in sent}
    difference = disagreement(sent, used)
    if difference is not None:
        parameter, asked, found = difference
        raise DataError(f"{name}: {parameter} was {found} where {asked} was asked for")
    extra = {also: value for also in _ALSO if (value := scalar(parameters, also)) is not None}
    return extra | {parameter: value for parameter, value in used.items() if value is not None}


def replace_folder(fresh: Path, target: Path) -> None:
    """Put a complete folder in place of whatever an earlier attempt left there."""
    if target.exists():
        shutil.rmtree(target)
    fresh.replace(target)
