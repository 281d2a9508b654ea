"""A request's folder: the sheet for the person, its twin for labctl, and what the person dropped beside them.

Everything labctl writes is there whole or not at all. Blocking file calls throughout: the driver's own thread runs
them, since a drop folder may lie on a share that hangs.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from labctl.errors import DataError

SCHEMA: Final = "labctl.assisted/1"
REQUEST: Final = "request.json"
SHEET: Final = "REQUEST.txt"
DIFFERS: Final = "DIFFERS.txt"
ACCEPT: Final = "accept.txt"
TAKEN: Final = "TAKEN.txt"
WITHDRAWN: Final = "WITHDRAWN.txt"

_OWN: Final = frozenset(name.lower() for name in (REQUEST, SHEET, DIFFERS, ACCEPT, TAKEN, WITHDRAWN))
#: What file browsers and editors leave behind, and copies that are still on their way.
_CLUTTER: Final = frozenset({"thumbs.db", "desktop.ini", ".ds_store"})
_UNFINISHED: Final = (".part", ".partial", ".tmp", ".crdownload", "~")
#: Below a dropped dataset lie EXPNO and pdata/1; deeper is somebody's whole disk.
_DEPTH: Final = 6
_MOST_FILES: Final = 5000
_LARGEST: Final = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A person's word that what differs is to be taken in as it is."""

    name: str
    reason: str


class Desk:
    """The folder of one token.

    Parameters
    ----------
    folder : Path
        ``<drop folder>/<token>``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def request(self) -> dict[str, Any] | None:
        """Read the request back, None where nothing was ever asked under this token.

        Raises
        ------
        DataError
            The file is there but is not what labctl wrote.
        """
        try:
            found = json.loads((self.folder / REQUEST).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise DataError(f"{self.folder / REQUEST}: damaged ({error})") from error
        if not isinstance(found, dict) or found.get("schema") != SCHEMA:
            raise DataError(f"{self.folder / REQUEST}: not a request of labctl")
        return found

    def ask(self, request: Mapping[str, Any], attachments: Mapping[str, bytes]) -> None:
        """Lay the request down; attachments first, so that a request that is there is whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, content in attachments.items():
            put(self.folder / name, content)
        text = json.dumps({"schema": SCHEMA, **request}, indent=1, ensure_ascii=False, allow_nan=False)
        put(self.folder / REQUEST, text.encode())

    def show(self, sheet: str) -> None:
        """Lay the person's sheet down unless it is there, or the request is over."""
        if not any((self.folder / name).exists() for name in (SHEET, TAKEN, WITHDRAWN)):
            put(self.folder / SHEET, sheet.encode())

    @property
    def withdrawn(self) -> bool:
        """Whether the request does not stand any more."""
        return (self.folder / WITHDRAWN).exists()

    def end(self, name: str, headline: str) -> bool:
        """Rename the sheet, with a headline that says what became of the request. False where that was done before."""
        target, sheet = self.folder / name, self.folder / SHEET
        fresh = not target.exists()
        if fresh:
            self.folder.mkdir(parents=True, exist_ok=True)
            text = sheet.read_text(encoding="utf-8") if sheet.exists() else ""
            put(target, f"{headline}\n\n{text}".encode())
        sheet.unlink(missing_ok=True)
        return fresh

    # -- what the person does ------------------------------------------------------------------------------------
    def dropped(self, attachments: Sequence[str]) -> list[Path]:
        """List what was dropped, in order: every file but labctl's own and clutter.

        Raises
        ------
        DataError
            There are too many to be one measurement.
        """
        ours = _OWN | {name.lower() for name in attachments}
        found: list[Path] = []
        for root, folders, names in os.walk(self.folder):
            here = Path(root)
            depth = len(here.relative_to(self.folder).parts)
            folders[:] = sorted(name for name in folders if not name.startswith(".") and depth < _DEPTH)
            for name in sorted(names):
                low = name.lower()
                if low in _CLUTTER or low.startswith((".", "~")) or low.endswith(_UNFINISHED):
                    continue
                if depth == 0 and low in ours:
                    continue
                found.append(here / name)
            if len(found) > _MOST_FILES:
                raise DataError(f"more than {_MOST_FILES} files in {self.folder}: drop one measurement only")
        return found

    def signature(self, files: Sequence[Path]) -> str:
        """Fingerprint of names, sizes and times, which changes while a file is still being copied."""
        digest = hashlib.sha256()
        for file in files:
            about = file.stat()
            digest.update(f"{file}\n{about.st_size}\n{about.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    # -- what differs, and what is accepted ----------------------------------------------------------------------
    def tell(self, text: str) -> None:
        """Write ``DIFFERS.txt``, or take it away where nothing differs; left alone where it says the same already."""
        path = self.folder / DIFFERS
        if not text:
            path.unlink(missing_ok=True)
        elif not path.exists() or path.read_text(encoding="utf-8", errors="replace") != text:
            put(path, text.encode())

    def acceptance(self) -> Acceptance | str:
        """Read ``accept.txt``: a person's word, or what is wrong with it; empty where there is none.

        Only a file that was saved after the differences were told can mean them.
        """
        path = self.folder / ACCEPT
        if not path.exists():
            return ""
        fields: dict[str, str] = {}
        for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
            key, colon, value = line.partition(":")
            if colon:
                fields[key.strip().lower()] = value.strip()
        if not fields.get("name") or not fields.get("reason"):
            return f"{ACCEPT}: needs two lines, 'name: ...' and 'reason: ...'"
        if path.stat().st_mtime_ns < (self.folder / DIFFERS).stat().st_mtime_ns:
            return f"{ACCEPT}: is older than {DIFFERS}; read what differs, then save it again"
        return Acceptance(fields["name"], fields["reason"])


def put(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def content_of(path: Path) -> bytes:
    """Read a dropped file. Raises ``DataError`` for one that can be no measurement of ours by its size."""
    size = path.stat().st_size
    if size > _LARGEST:
        raise DataError(f"{path.name}: {size} bytes are more than any measurement has")
    return path.read_bytes()


def plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """Give data as JSON has it: tuples as lists."""
    found: dict[str, Any] = json.loads(json.dumps(dict(data), allow_nan=False))
    return found
