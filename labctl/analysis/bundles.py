"""Find campaigns and the bundles of their operations on disk, and check what is used against its hash."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from labctl.analysis.places import Place
from labctl.errors import DataError

_CAMPAIGN: Final = "campaign.json"
_OPERATION: Final = "operation.json"
_EVALUATED: Final = {"fid", "ser", "acqus", "audita.txt", "procs"}
#: What is read of an operation's document, by kind; all may be null.
_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "files": (list,), "summary": (dict,), "asked": (dict,), "flags": (list,), "cycle": (int,), "attempt": (int,),
}  # fmt: skip
#: What a reader may stumble over in a file that is odd in a way that no check foresaw; it costs that file alone.
STUMBLES: Final = (OSError, ArithmeticError, LookupError, TypeError, ValueError)
_SCHEMAS: Final = {_CAMPAIGN: "labctl.campaign/1", _OPERATION: "labctl.operation/1"}


@dataclass(frozen=True)
class Operation:
    """One bundle: what an operation produced and its document.

    Attributes
    ----------
    folder : Path
        Where the bundle is.
    cell, group, kind, label, token, step, started : str
        As in the document; ``label`` is empty where it has none.
    cycle, attempt : int
        Cycle 0 is before the first.
    document : mapping
        The whole of ``operation.json``.
    """

    folder: Path
    cell: str
    group: str
    cycle: int
    step: str
    attempt: int
    kind: str
    label: str
    token: str
    started: str
    document: Mapping[str, Any] = field(repr=False)

    @property
    def end(self) -> str:
        """How a cycler operation ended: voltage, current, time, aborted, fault; empty where nothing is said."""
        return str((self.document.get("summary") or {}).get("end") or "")

    @property
    def told_mAh(self) -> float | None:
        """What a person says that it passed, as a magnitude; then there is no record."""
        return None

    def names(self) -> list[str]:
        """List the files that the document vouches for, relative to the bundle."""
        return [str(entry["name"]) for entry in self.document.get("files", [])]

    def file(self, name: str) -> Path:
        """Give the path of a file after checking it against the document.

        Raises
        ------
        DataError
            If the document does not list it, it is missing, or its hash is another; the file is named.
        """
        path = self.folder / name
        entry = next((one for one in self.document.get("files", []) if one.get("name") == name), None)
        if entry is None:
            raise DataError(f"{path}: {_OPERATION} does not list this file")
        try:
            if not path.is_file():
                raise DataError(f"{path}: missing, though {_OPERATION} lists it")
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read ({error})") from error
        if found != entry.get("sha256"):
            raise DataError(f"{path}: changed since it was fetched (SHA-256 {found[:12]}…, "
                            f"{_OPERATION} says {str(entry.get('sha256'))[:12]}…)")  # fmt: skip
        return path

    def datasets(self) -> list[Path]:
        """Give the EXPNO folders of an NMR bundle in ascending order, after checking every file that is read.

        Raises
        ------
        DataError
            If there is none, or a file was changed or is missing.
        """
        ends = [(name, name.rpartition("/")[2]) for name in self.names()]
        found = {Path(name).parent for name, end in ends if end in {"fid", "ser", "acqus"}}
        if not found:
            raise DataError(f"{self.folder}: the bundle holds no Bruker dataset")
        for name, end in ends:
            if end in _EVALUATED:
                self.file(name)
        return [self.folder / folder for folder in sorted(found, key=_by_number)]

    def decays(self) -> list[Path | Place]:
        """Give the same as what :func:`labctl.analysis.bruker.read` takes.

        Raises
        ------
        DataError
            As :meth:`datasets`.
        """
        return [*self.datasets()]


@dataclass(frozen=True)
class Campaign:
    """A campaign and what of it was asked for.

    Attributes
    ----------
    folder : Path
        Its results folder.
    name, mode : str
        ``mode`` is ``simulated`` or ``live``.
    cells : tuple of mapping
        The cells' entries in ``campaign.json``.
    operations : tuple of Operation
        Of these cells, in the order in which they were started, and the campaign's reference spectra.
    document : mapping
        The whole of ``campaign.json``.
    broken : tuple of str
        Sentences about bundles whose document cannot be read; they are left out.
    """

    folder: Path
    name: str
    mode: str
    cells: tuple[Mapping[str, Any], ...]
    operations: tuple[Operation, ...] = field(repr=False)
    document: Mapping[str, Any] = field(repr=False)
    broken: tuple[str, ...] = ()

    def of(self, cell: str) -> list[Operation]:
        """Give the operations of one cell, in the order in which they were started."""
        return [one for one in self.operations if one.cell == cell]

    def only(self, cell: str) -> Campaign:
        """Give the campaign with this cell alone, and what others measured that it may rest on."""
        shared = ("reference", "nutation")
        return replace(
            self,
            cells=tuple(one for one in self.cells if one["cell"] == cell),
            operations=tuple(one for one in self.operations if one.cell == cell or one.kind in shared),
        )

    def by_token(self, token: str | None, kind: str) -> Operation | None:
        """Give the bundle with this token and kind."""
        if not token:
            return None
        return next((one for one in self.operations if one.kind == kind and one.token == token), None)


def find(paths: Sequence[Path]) -> list[Campaign]:
    """Find the campaigns under ``paths``.

    Parameters
    ----------
    paths : sequence of Path
        Each a laboratory's folder, its results folder, one campaign, or one cell of a campaign.

    Raises
    ------
    DataError
        If a path holds no campaign, or its ``campaign.json`` cannot be read.
    """
    wanted: dict[Path, set[str] | None] = {}
    for path in paths:
        for folder, cell in _campaign_folders(path):
            before = wanted.get(folder, set())
            wanted[folder] = None if cell is None or before is None else before | {cell}
    return [_load(folder, cells) for folder, cells in wanted.items()]


def has_campaign(path: Path) -> bool:
    """Whether labctl wrote what lies here."""
    try:
        return bool(_campaign_folders(path))
    except DataError:
        return False


def promised(paths: Sequence[Path]) -> int:
    """Count the measured cycles of all cells that campaigns are planned to have; what cannot be read has none."""
    count = 0
    for path in paths:
        try:
            for folder, only in _campaign_folders(path):
                cells = _document(folder / _CAMPAIGN)["cells"]
                count += sum(len(cell.get("measure_at") or ()) for cell in cells if only in (None, cell["cell"]))
        except (DataError, AttributeError, *STUMBLES):
            continue
    return count


def _campaign_folders(path: Path) -> list[tuple[Path, str | None]]:
    here = path.resolve()
    if here.name == _CAMPAIGN:
        here = here.parent
    if (here / _CAMPAIGN).is_file():
        return [(here, None)]
    if (here.parent / _CAMPAIGN).is_file():
        return [(here.parent, here.name)]
    for above in (here / "results", here):
        found = sorted(above.glob(f"*/{_CAMPAIGN}"))
        if found:
            return [(one.parent, None) for one in found]
    raise DataError(f"{path}: no {_CAMPAIGN} here, in a folder below, or in results/",
                    hint="give a laboratory's folder, its results folder, a campaign or a cell")  # fmt: skip


def _load(folder: Path, only: set[str] | None) -> Campaign:
    document = _document(folder / _CAMPAIGN)
    cells = tuple(cell for cell in document["cells"] if only is None or cell["cell"] in only)
    if only is not None and len(cells) < len(only):
        unknown = sorted(only - {cell["cell"] for cell in cells})
        raise DataError(f"{folder / _CAMPAIGN}: no cell {', '.join(unknown)} in this campaign")
    loaded: set[str] = {"reference"} | {str(cell["cell"]) for cell in cells}
    operations: list[Operation] = []
    broken: list[str] = []
    for path in _operation_files(folder):
        try:
            one = _operation(path)
        except DataError as error:
            if only is None or path.relative_to(folder).parts[0] in only:
                broken.append(str(error))
            continue
        if one.cell in loaded:
            operations.append(one)
    operations.sort(key=lambda one: (one.started, one.cycle, one.step, one.attempt))
    name, mode = str(document["campaign"]), str(document["mode"])
    return Campaign(folder, name, mode, cells, tuple(operations), document, tuple(broken))


def _operation_files(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        folders.sort()
        if _OPERATION in files:
            folders.clear()  # below a bundle there are raw data only
            yield Path(here) / _OPERATION


def nested(operation: Operation, name: str) -> Operation:
    """Give a bundle inside a bundle, such as one spectrum of a series, by its ``operation.json``.

    Raises
    ------
    DataError
        If the outer bundle does not list that document, it was changed, or cannot be read.
    """
    return _operation(operation.file(name))


def _operation(path: Path) -> Operation:
    document = _document(path)
    return Operation(
        folder=path.parent,
        cell=str(document["cell"]),
        group=str(document.get("group") or ""),
        cycle=int(document.get("cycle") or 0),
        step=str(document.get("step") or ""),
        attempt=int(document.get("attempt") or 1),
        kind=str(document["kind"]),
        label=str(document.get("label") or ""),
        token=str(document.get("token") or ""),
        started=str(document.get("started") or document.get("requested") or ""),
        document=document,
    )


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    schema = _SCHEMAS[path.name]
    required = ("campaign", "mode", "cells") if path.name == _CAMPAIGN else ("cell", "kind", "files")
    if not isinstance(document, dict) or document.get("schema") != schema:
        raise DataError(f"{path}: is not a {schema} document")
    missing = [name for name in required if name not in document]
    if missing:
        raise DataError(f"{path}: {', '.join(missing)} is missing")
    if path.name == _OPERATION:
        _check_shape(path, document)
    return document


def _check_shape(path: Path, document: Mapping[str, Any]) -> None:
    """Refuse a document whose parts are of another kind than what is read of them."""
    for name, kinds in _KINDS.items():
        if not isinstance(document.get(name), (*kinds, type(None))) or isinstance(document.get(name), bool):
            raise DataError(f"{path}: {name} is of another kind than in a {_SCHEMAS[_OPERATION]} document")
    files = document["files"]
    if files is None or not all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in files):
        raise DataError(f"{path}: files is no list of files with their names")


def _by_number(folder: Path) -> tuple[str, int, str]:
    name = folder.name
    return str(folder.parent), int(name) if name.isdigit() else 0, name
