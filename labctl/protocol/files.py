"""Protocol files: reading them, the ones that ship, and their JSON Schema."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from labctl.documents import Document, for_editors, in_order, known, load, read, require_kind, schema, validate
from labctl.errors import InvalidFile
from labctl.protocol.checks import check_meaning
from labctl.protocol.expansion import expand_document
from labctl.protocol.models import Protocol
from labctl.protocol.schema import as_written, piece
from labctl.protocol.size import check_size

_MAIN: Final = "dead-lithium.yaml"


def load_protocol(path: str | Path, values: Mapping[str, str] | None = None) -> Protocol:
    """Read and check a protocol file, with the files that it includes.

    Parameters
    ----------
    path : str or Path
        The file.
    values : mapping of str to str, optional
        What its parameters are, where not what the file says.

    Raises
    ------
    InvalidFile
        With every mistake at its line and column.
    UsageError
        ``values`` names a parameter that there is not.
    """
    return _read(load(path), values, None)


def read_protocol(
    text: str,
    file: str,
    data: Mapping[str, Any] | None = None,
    *,
    values: Mapping[str, str] | None = None,
    pieces: Mapping[str, str] | None = None,
) -> Protocol:
    """Read and check a protocol from its text, such as the copy frozen in the journal with its plain data.

    Parameters
    ----------
    text, file : str
        What the file holds, and its name for messages.
    data : mapping, optional
        Its plain data, where they are known: with everything put in its place.
    values : mapping of str to str, optional
        What its parameters are, where not what the file says.
    pieces : mapping of str to str, optional
        The files that it includes, where they are not read from the disk.

    Raises
    ------
    InvalidFile
        With every mistake at its line and column of ``file``.
    UsageError
        ``values`` names a parameter that there is not.
    """
    if data is None:
        return _read(read(text, file), values, pieces)

    def again() -> Document:
        return expand_document(read(text, file), values, pieces)

    return _protocol(replace(known(text, file, data, again), values=values or {}, pieces=pieces or {}))


def _read(document: Document, values: Mapping[str, str] | None, pieces: Mapping[str, str] | None) -> Protocol:
    require_kind(document, "protocol")
    return _protocol(expand_document(document, values, pieces))


def _protocol(document: Document) -> Protocol:
    protocol = validate(document, Protocol)
    mistakes = [*check_meaning(protocol, document), *check_size(protocol, document)]
    if mistakes:
        raise InvalidFile(in_order(mistakes))
    protocol._document = document
    return protocol


def shipped() -> tuple[Path, ...]:
    """Give the protocols that come with labctl, the main job first; from an installed wheel and a checkout alike."""
    package = Path(str(importlib.resources.files("labctl")))
    for folder in (package / "shipped_protocols", package.parent / "protocols"):
        if folder.is_dir():
            return tuple(sorted(folder.glob("*.yaml"), key=lambda path: (path.name != _MAIN, path.name)))
    return ()


def shipped_pieces() -> tuple[Path, ...]:
    """Give the files that shipped protocols include, all in folders beside them."""
    protocols = shipped()
    return tuple(sorted(protocols[0].parent.glob("*/*.yaml"))) if protocols else ()


def protocol_schema() -> dict[str, Any]:
    """Give the JSON Schema of protocol files."""
    return for_editors(_schema(), "protocol")


def piece_schema() -> dict[str, Any]:
    """Give the JSON Schema of files that protocols include."""
    return for_editors(piece(_schema()), "piece")


def _schema() -> dict[str, Any]:
    return as_written(schema(Protocol))
