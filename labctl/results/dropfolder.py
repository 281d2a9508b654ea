"""A drop folder: bundles are copied below it, under the same paths as in the results folder.

Each is copied under a temporary name, forced to the disk and then renamed, so that whoever watches the folder sees
whole bundles only. Its marker, :data:`MARKER`, holds the hash of ``operation.json`` and the names of all files.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from labctl.results.parcel import CAMPAIGN, NotDelivered, Parcel, Undeliverable

#: In every bundle that was delivered whole.
MARKER: Final = "labctl-delivered.json"
#: Says in a campaign's folder whose campaign it is.
OWNER: Final = "labctl-laboratory.json"
#: Where a bundle goes that a newer one of the same operation has taken the place of.
SUPERSEDED: Final = "superseded"
MARKER_SCHEMA: Final = "labctl.delivered/1"


class DropFolder:
    """Delivers into a folder.

    Parameters
    ----------
    name : str
        What the journal calls it.
    path : Path
        The folder.
    laboratory : str
        Whose bundles they are; a campaign's folder belongs to one laboratory.
    results : Path
        The laboratory's own results, into which nothing is delivered.
    make : bool
        Whether the folder is made where it is missing. A share that is not mounted would be filled beneath.
    """

    def __init__(self, name: str, path: Path, laboratory: str, results: Path, *, make: bool) -> None:
        self.name = name
        self._path = path
        self._laboratory = laboratory
        self._results = results
        self._make = make
        self._closed = False

    def close(self) -> None:
        """End before the next file."""
        self._closed = True

    def deliver(self, parcel: Parcel) -> None:
        """Copy a bundle, unless it is there; see :class:`~labctl.results.parcel.Target`."""
        try:
            self._deliver(parcel)
        except OSError as error:
            raise NotDelivered(f"{error.filename or self._path}: {error.strerror or error}") from error

    def _deliver(self, parcel: Parcel) -> None:
        if self._make:
            self._path.mkdir(parents=True, exist_ok=True)
        if not self._path.is_dir():
            raise NotDelivered(f"{self._path} is not there; is the share mounted?")
        if self._path.resolve().is_relative_to(self._results.resolve()):
            raise Undeliverable(f"{self._path} is inside the laboratory's own results", everything=True)
        target = self._path.joinpath(*parcel.operation.split("/"))
        self._claim(self._path / parcel.operation.split("/")[0])
        if parcel.document == CAMPAIGN:
            _write(target / CAMPAIGN, parcel.text)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        there = _read_json(target / MARKER)
        if there.get("sha256") == parcel.sha256:
            return
        partial = target.with_name(f".{target.name}.{parcel.sha256[:12]}.partial")
        if partial.exists():
            shutil.rmtree(partial)
        self._fill(partial, parcel)
        if target.exists():
            self._set_aside(target, there, parcel)
        partial.rename(target)
        _sync_folder(target.parent)

    def _claim(self, folder: Path) -> None:
        """Have a campaign's folder be this laboratory's.

        Raises
        ------
        Undeliverable
            It is another's.
        """
        folder.mkdir(exist_ok=True)
        owner = _read_json(folder / OWNER).get("laboratory")
        if owner is None:
            text = json.dumps({"schema": "labctl.laboratory/1", "laboratory": self._laboratory}).encode()
            _write(folder / OWNER, text)
        elif owner != self._laboratory:
            raise Undeliverable(
                f"{folder} has the results of another laboratory ({owner})",
                everything=True,
                hint="give each laboratory a drop folder of its own",
            )

    def _fill(self, folder: Path, parcel: Parcel) -> None:
        folders, names = {folder}, []
        for name, content in parcel.contents():
            if self._closed:
                raise NotDelivered("labctl has let go")
            path = folder.joinpath(*name.split("/"))
            path.parent.mkdir(parents=True, exist_ok=True)
            folders.update(one for one in path.parents if one.is_relative_to(folder))
            _write_file(path, content)
            names.append(name)
        marker = {
            "schema": MARKER_SCHEMA,
            "operation": parcel.operation,
            "sha256": parcel.sha256,
            "laboratory": self._laboratory,
            "files": names,
        }
        _write_file(folder / MARKER, json.dumps(marker, indent=1).encode())
        for one in folders:
            _sync_folder(one)

    def _set_aside(self, target: Path, there: Mapping[str, Any], parcel: Parcel) -> None:
        """Make way for a bundle that its operation has come to since; what is not ours is left alone.

        Raises
        ------
        Undeliverable
            Something stands there that labctl has not delivered.
        """
        if "sha256" not in there:
            hint = "move it away; labctl overwrites nothing"
            raise Undeliverable(f"{target} is there already, and labctl has not put it there", hint=hint)
        aside = self._path.joinpath(SUPERSEDED, *parcel.operation.split("/"), there["sha256"][:12])
        aside.parent.mkdir(parents=True, exist_ok=True)
        target.rename(aside)


def _read_json(path: Path) -> Mapping[str, Any]:
    """Read a file of ours; nothing where it is not there or not whole."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all; one that is the same already is left alone."""
    with suppress(FileNotFoundError):
        if path.read_bytes() == content:
            return
    partial = path.with_name(f".{path.name}.partial")
    _write_file(partial, content)
    partial.replace(path)
    _sync_folder(path.parent)


def _write_file(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    # Windows can't open a folder, and journals its names itself.
    if sys.platform == "win32":
        return
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
