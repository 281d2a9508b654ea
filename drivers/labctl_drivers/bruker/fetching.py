"""A dataset from the spectrometer PC into the bundle: whole, checked against the request, or not at all.

The gateway lists the files with their hashes and a hash over the list. What is too long for the listing comes in
pieces; those that have arrived are kept beside the bundle, so that a copy that broke off goes on where it was, also
after a restart. After the last piece the listing is asked for again: what has changed meanwhile is copied again.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from labctl.errors import DataError
from labctl.instruments import Garbled
from labctl_drivers.bruker.dataset import DONE, judge_content, manifest, parse_parameters, scalar
from labctl_drivers.bruker.integrity import fault_of
from labctl_drivers.bruker.link import ATTEMPTS, GatewayLink
from labctl_drivers.bruker.parameters import disagreement

#: What no file of a dataset has in its name, and other systems take for a path.
_ODD: Final = frozenset("\\:\0")
_CHUNK: Final = 196608
#: Small files, and a usual fid, come with the listing.
_INLINE: Final = 393216
#: Parameters that are reported beside those that were sent.
_ALSO: Final = ("NS", "RG", "BF1", "SFO1", "DE", "TE", "DATE", "DTYPA", "BYTORDA", "NC", "GRPDLY", "OVERFLW")
#: Files without which a dataset can't be evaluated or understood later.
_NEEDED: Final = ("acqu", "acqus", "audita.txt", "fid", "pulseprogram")


class Pieces:
    """What has arrived of files that come in pieces, each under the hash that the whole file must have.

    Parameters
    ----------
    folder : Path
        Made when the first piece arrives, gone when the dataset is whole.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def kept(self, digest: str) -> bytes:
        """Give what has arrived of the file with this hash."""
        path = self._folder / digest
        return path.read_bytes() if path.is_file() else b""

    def add(self, digest: str, piece: bytes) -> None:
        """Keep the next piece."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / digest).open("ab") as file:
            file.write(piece)

    def forget(self, digest: str) -> None:
        """Begin this file anew."""
        (self._folder / digest).unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget everything."""
        if self._folder.exists():
            shutil.rmtree(self._folder)


async def fetch_expno(link: GatewayLink, name: str, expno: int, pieces: Pieces) -> dict[str, bytes]:
    """Read all files of one EXPNO, as they were together at one moment; by their paths below the EXPNO folder.

    Raises
    ------
    DataError
        It is not complete, or kept changing while it was copied.
    """
    listed = await _listing(link, name, expno, inline=_INLINE)
    for _ in range(ATTEMPTS):
        if listed["state"] != DONE:
            pieces.clear()
            raise DataError(f"{name}/{expno}: the dataset is not complete ({listed['state']})")
        files = {str(entry["file"]): await fetch_file(link, name, expno, entry, pieces) for entry in listed["files"]}
        again = await _listing(link, name, expno, inline=0)
        if again["manifest"] == listed["manifest"]:
            return files
        link.survived(link.fault(Garbled, f"{name}/{expno} changed while it was copied"))
        listed = again
    pieces.clear()
    raise DataError(f"{name}/{expno}: it changes while it is copied; is it being processed or written?")


async def _listing(link: GatewayLink, name: str, expno: int, inline: int) -> Mapping[str, Any]:
    """Ask for the files of one EXPNO; the list must have the hash that came with it, and name files of a dataset."""
    for _ in range(ATTEMPTS):
        reply = await link.request("list", name=name, expno=expno, inline=inline)
        if manifest(reply["files"]) == reply.get("manifest") and isinstance(reply.get("state"), str):
            for entry in reply["files"]:
                relative = PurePosixPath(entry["file"])
                if relative.is_absolute() or ".." in relative.parts or _ODD & set(str(relative)):
                    raise DataError(f"{name}/{expno}: '{relative}' is no file of a dataset")
            return reply
        link.survived(link.fault(Garbled, f"the list of files of {name}/{expno} has not the hash that came with it"))
    raise DataError(f"{name}/{expno}: the list of its files does not arrive as the gateway made it")


async def fetch_file(
    link: GatewayLink, name: str, expno: int, entry: Mapping[str, str | int], pieces: Pieces | None = None
) -> bytes:
    """Read one file as the gateway's listing has it: same size, same hash.

    Raises
    ------
    DataError
        It kept changing while it was copied.
    """
    digest = str(entry["sha256"])
    if "data" in entry:
        content = _decoded(entry["data"])
        if hashlib.sha256(content).hexdigest() == digest:
            return content
    for _ in range(ATTEMPTS):
        content = await _content(link, name, expno, entry, pieces)
        if hashlib.sha256(content).hexdigest() == digest:
            return content
        if pieces is not None:
            pieces.forget(digest)
        link.survived(link.fault(Garbled, f"'{entry['file']}' of {name}/{expno} arrived with another hash"))
    raise DataError(f"{name}/{expno}: '{entry['file']}' does not arrive as the gateway lists it; is it being written?")


async def _content(
    link: GatewayLink, name: str, expno: int, entry: Mapping[str, str | int], pieces: Pieces | None
) -> bytes:
    file, size, digest = str(entry["file"]), int(entry["size"]), str(entry["sha256"])
    content = bytearray() if pieces is None else bytearray(pieces.kept(digest))
    while len(content) < size:
        reply = await link.request("read", name=name, expno=expno, file=file, offset=len(content), length=_CHUNK)
        piece = _decoded(reply.get("data"))
        if not piece:
            break
        content += piece
        if pieces is not None:
            pieces.add(digest, piece)
    return bytes(content)


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
    acqus = files.get("acqus", b"").decode("utf-8", "replace").replace("\r\n", "\n")
    fid, trail = files.get("fid", b""), files.get("audita.txt", b"").decode("utf-8", "replace")
    verdict = judge_content(trail, acqus, len(fid) if "fid" in files else None)
    if verdict.state != DONE:
        raise DataError(f"{name}: the dataset is not complete ({verdict.message or verdict.state})")
    lacking = [file for file in _NEEDED if file not in files]
    if lacking:
        raise DataError(f"{name}: the dataset is not complete ({', '.join(lacking)} missing)")
    if not acqus.rstrip().endswith("##END="):
        raise DataError(f"{name}: the dataset is not complete (acqus breaks off)")
    parameters = parse_parameters(acqus)
    fault = fault_of(parameters, fid)
    if fault is not None:
        raise DataError(f"{name}: {fault}")
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
