"""Protocol files: reading them, the ones that ship, and their JSON Schema."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from labctl.documents import Document, in_order, known, load, read, require_kind, schema, validate
from labctl.errors import InvalidFile
from labctl.protocol.checks import check_meaning
from labctl.protocol.models import Protocol

_MAIN: Final = "dead-lithium.yaml"


def load_protocol(path: str | Path) -> Protocol:
    """Read and check a protocol file.

    Raises
    ------
    InvalidFile
        With every mistake at its line and column.
    """
    return _protocol(load(path))


def read_protocol(text: str, file: str, data: Mapping[str, Any] | None = None) -> Protocol:
    """Read and check a protocol from its text, such as the copy frozen in the journal with its plain data.

    Raises
    ------
    InvalidFile
        With every mistake at its line and column of ``file``.
    """
    return _protocol(read(text, file) if data is None else known(text, file, data))


def _protocol(document: Document) -> Protocol:
    require_kind(document, "protocol")
    protocol = validate(document, Protocol)
    mistakes = check_meaning(protocol, document)
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


def protocol_schema() -> dict[str, Any]:
    """Give the JSON Schema of protocol files."""
    return schema(Protocol, "labctl protocol")
