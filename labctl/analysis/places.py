"""Where a dataset's files lie: a folder, or a zip archive that is read in place and never unpacked.

An archive's members are only ever read by their own names into memory, up to a bound, so that neither a path that
climbs out of it nor one that swells to fill the disk can do harm; both are refused all the same, because an archive
that holds one was made to harm.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

from labctl.errors import DataError

#: The largest decay and the largest parameter file that are read, in bytes. 2**25 complex doubles are 512 MiB.
LARGEST: Final = 1 << 29
#: The most members of an archive that are looked at.
_MEMBERS: Final = 200_000
#: What marks an EXPNO.
_MARKS: Final = frozenset({"acqus", "acqu", "fid", "ser"})


class Place(Protocol):
    """The files of one EXPNO, by their names relative to it."""

    @property
    def path(self) -> Path:
        """Where it is, for people; inside an archive, the archive's path and the member's."""

    def has(self, name: str) -> bool:
        """Whether there is such a file."""

    def read(self, name: str) -> bytes:
        """Read a file.

        Raises
        ------
        DataError
            If it is not there, cannot be read, or is larger than any decay.
        """

    def below(self, name: str) -> list[str]:
        """Give the names of the folders under ``name``, sorted."""


@dataclass(frozen=True, slots=True)
class Folder:
    """An EXPNO folder on disk."""

    path: Path

    def __str__(self) -> str:
        """Its path."""
        return str(self.path)

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return (self.path / name).is_file()

    def read(self, name: str) -> bytes:
        """Read a file."""
        file = self.path / name
        try:
            if file.stat().st_size > LARGEST:
                raise DataError(f"{file}: {file.stat().st_size} bytes are no single decay")
            return file.read_bytes()
        except OSError as error:
            raise DataError(f"{file}: unreadable ({error.strerror or error})") from error

    def below(self, name: str) -> list[str]:
        """Give the names of the folders under ``name``, sorted."""
        parent = self.path / name
        return sorted(one.name for one in parent.iterdir() if one.is_dir()) if parent.is_dir() else []


@dataclass(frozen=True, slots=True)
class Archived:
    """An EXPNO folder inside a zip archive."""

    archive: Path
    prefix: str
    names: frozenset[str]

    @property
    def path(self) -> Path:
        """The archive's path and the folder's inside it."""
        return self.archive / self.prefix

    def __str__(self) -> str:
        """Its path."""
        return str(self.path)

    def has(self, name: str) -> bool:
        """Whether there is such a member."""
        return self.prefix + name in self.names

    def read(self, name: str) -> bytes:
        """Read a member into memory."""
        try:
            with zipfile.ZipFile(self.archive) as opened, opened.open(self.prefix + name) as member:
                content = member.read(LARGEST + 1)
        except (OSError, KeyError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{self.path / name}: unreadable ({error})") from error
        if len(content) > LARGEST:
            raise DataError(f"{self.path / name}: more than {LARGEST} bytes are no single decay")
        return content

    def below(self, name: str) -> list[str]:
        """Give the names of the folders under ``name``, sorted."""
        start = f"{self.prefix}{name}/"
        return sorted({one[len(start) :].partition("/")[0] for one in self.names if one.startswith(start)})


def locate(path: Path) -> list[Place]:
    """Find every EXPNO at ``path``.

    Parameters
    ----------
    path : Path
        An EXPNO folder, any folder above some, a zip archive of either or a folder inside the archive, or a file or
        folder inside an EXPNO: its ``fid``, its ``acqus``, its ``pdata`` or anything below.

    Returns
    -------
    list of Place
        In the order of their names, numbers as numbers.

    Raises
    ------
    DataError
        If there is nothing, nothing of Bruker's, or the archive is damaged or unsafe.
    """
    if path.is_file() and zipfile.is_zipfile(path):
        return _archived(path)
    if path.is_file() and path.suffix.lower() == ".zip":
        raise DataError(f"{path}: a damaged zip archive")
    if not path.exists():
        inside = _inside(path)
        if not inside:
            raise DataError(f"{path}: there is no such dataset")
        return inside
    for folder in (path, *path.parents[:4]) if path.is_dir() else path.parents[:4]:
        if is_expno(folder):
            return [Folder(folder)]
        if folder == path and (below := list(_walk(path, 4))):
            return below
    raise DataError(f"{path}: no Bruker dataset here or below (no folder that holds acqus)")


def _inside(path: Path) -> list[Place]:
    """Find the datasets at or below a folder inside an archive, where the path leads into one."""
    for above in path.parents:
        if above.is_file():
            found = _archived(above) if zipfile.is_zipfile(above) else []
            return [one for one in found if path == one.path or path in one.path.parents]
    return []


def _walk(folder: Path, depth: int) -> Iterator[Place]:
    for one in sorted((entry for entry in folder.iterdir() if entry.is_dir()), key=lambda entry: order(entry.name)):
        if is_expno(one):
            yield Folder(one)
        elif depth > 1:
            yield from _walk(one, depth - 1)


def is_expno(folder: Path) -> bool:
    """Whether a folder is an EXPNO."""
    return folder.is_dir() and any((folder / name).is_file() for name in _MARKS)


def order(name: str) -> tuple[int, int, str]:
    """Give the key that sorts names of folders, numbers as numbers."""
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)


def _archived(path: Path) -> list[Place]:
    try:
        with zipfile.ZipFile(path) as opened:
            members = opened.infolist()
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise DataError(f"{path}: a damaged zip archive ({error})") from error
    if len(members) > _MEMBERS:
        raise DataError(f"{path}: {len(members)} members are too many for NMR data")
    for member in members:
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or (name.parts and name.parts[0].endswith(":")):
            raise DataError(f"{path}: unsafe archive, its member {member.filename!r} leads out of it")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise DataError(f"{path}: unsafe archive, its member {member.filename!r} is a link")
        if member.flag_bits & 0x1:
            raise DataError(f"{path}: encrypted; unpack it and give the folder")
    files = frozenset(member.filename for member in members if not member.is_dir())
    prefixes = {f"{head}/" if head else "" for head, _, tail in (name.rpartition("/") for name in files)
                if tail in _MARKS}  # fmt: skip
    if not prefixes:
        raise DataError(f"{path}: no Bruker dataset in this archive (no folder that holds acqus)")
    ordered = sorted(prefixes, key=lambda one: [order(part) for part in one.rstrip("/").split("/")])
    return [Archived(path, prefix, files) for prefix in ordered]
