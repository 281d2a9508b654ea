"""Station and cells files: reading them, and their JSON Schemas."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from labctl.documents import Document, for_editors, in_order, known, load, read, require_kind, schema, validate
from labctl.errors import InvalidFile
from labctl.station.checks import check_cells, check_station
from labctl.station.models import Cells, Station


def load_station(path: str | Path, drivers: Collection[str] | None = None) -> Station:
    """Read and check a station file.

    Parameters
    ----------
    path : str or Path
        The file.
    drivers : collection of str, optional
        Names of the installed drivers; others are refused. Without it every name passes.

    Raises
    ------
    InvalidFile
        With every mistake at its line and column.
    """
    return _station(load(path), drivers)


def read_station(
    text: str, file: str, drivers: Collection[str] | None = None, data: Mapping[str, Any] | None = None
) -> Station:
    """Read a station from its text, such as the copy frozen in the journal with its plain data; see load_station."""
    return _station(read(text, file) if data is None else known(text, file, data), drivers)


def _station(document: Document, drivers: Collection[str] | None) -> Station:
    require_kind(document, "station")
    station = validate(document, Station)
    mistakes = check_station(station, document, drivers)
    if mistakes:
        raise InvalidFile(in_order(mistakes))
    station._document = document
    return station


def load_cells(path: str | Path) -> Cells:
    """Read and check a cells file.

    Raises
    ------
    InvalidFile
        With every mistake at its line and column.
    """
    return _cells(load(path))


def read_cells(text: str, file: str, data: Mapping[str, Any] | None = None) -> Cells:
    """Read cells from their text, such as the copy frozen in the journal with its plain data; see load_cells."""
    return _cells(read(text, file) if data is None else known(text, file, data))


def _cells(document: Document) -> Cells:
    require_kind(document, "cells")
    cells = validate(document, Cells)
    mistakes = check_cells(cells, document)
    if mistakes:
        raise InvalidFile(in_order(mistakes))
    cells._document = document
    return cells


def station_schema() -> dict[str, Any]:
    """Give the JSON Schema of station files."""
    return for_editors(schema(Station), "station")


def cells_schema() -> dict[str, Any]:
    """Give the JSON Schema of cells files."""
    return for_editors(schema(Cells), "cells")
