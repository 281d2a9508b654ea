"""Writes a proposal into the text of a cells file: nothing but the values that change is touched. Text alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from labctl.documents import Document, Path, read
from labctl.errors import LabctlError


class _Edit(NamedTuple):
    """What is put in the place of so many characters, counted from 0."""

    line: int
    column: int
    length: int
    text: str


def with_starts(
    text: str,
    starts: Mapping[str, float],
    measure_at: Mapping[str, tuple[int, ...]] | None = None,
    places: Mapping[str, str] | None = None,
) -> str:
    """Give the text of a cells file with other starts, and where asked with other measured cycles and homes.

    Parameters
    ----------
    text : str
        A cells file that has been checked.
    starts : mapping of str to float
        ``start_after`` of each cell, s; written in hours with two decimals. 0 is written where something else stood.
    measure_at : mapping of str to tuple of int, optional
        ``measure_at`` of cells for which it changes.
    places : mapping of str to str, optional
        ``place`` of cells for which it changes.

    Raises
    ------
    LabctlError
        The text is no cells file.
    """
    document = read(text, "cells file")
    if not isinstance(document.data.get("cells"), list):
        raise LabctlError("this is no cells file")
    lines = text.splitlines(keepends=True)
    edits: list[_Edit] = []
    for index, cell in enumerate(document.data["cells"]):
        at = ("cells", index)
        if cell["id"] in starts:
            edits += _start(document, lines, at, starts[cell["id"]])
        if measure_at and cell["id"] in measure_at:
            cycles = ", ".join(map(str, measure_at[cell["id"]]))
            edits += _list(document, lines, (*at, "measure_at"), f"[{cycles}]")
        if places and cell["id"] in places:
            edits.append(_Edit(*_span(document, lines, (*at, "place")), places[cell["id"]]))
    for edit in sorted(edits, reverse=True):
        line = lines[edit.line]
        lines[edit.line] = line[: edit.column] + edit.text + line[edit.column + edit.length :]
    return "".join(lines)


def _start(document: Document, lines: list[str], cell: Path, seconds: float) -> list[_Edit]:
    value = f"{round(seconds / 3600, 2):g} h"
    own = (*cell, "start_after")
    if own in document.places:
        line, column, length = _span(document, lines, own)
        return [_Edit(line, column, length, value)]
    if seconds <= 0:
        return []
    name = (*cell, "id")
    line, column, length = _span(document, lines, name)
    place = document.place(cell)
    if lines[place.line - 1][place.column - 1 :].startswith("{"):
        return [_Edit(line, column + length, 0, f", start_after: {value}")]
    indent = " " * (document.place(name).key_column - 1)
    return [_Edit(line + 1, 0, 0, f"{indent}start_after: {value}\n")] if line + 1 < len(lines) else []


def _span(document: Document, lines: list[str], path: Path) -> tuple[int, int, int]:
    """Give line, column and length of a plain value as it stands, with its quotes."""
    place = document.place(path)
    line, column = place.line - 1, place.column - 1
    quote = lines[line][column]
    if quote in "'\"":
        return line, column, lines[line].index(quote, column + 1) + 1 - column
    return line, column, len(place.text or "")


def _list(document: Document, lines: list[str], path: Path, value: str) -> list[_Edit]:
    """Replace a list in brackets; the cycles of a cell stand on one line."""
    place = document.place(path)
    line, column = place.line - 1, place.column - 1
    end = lines[line].find("]", column)
    if path not in document.places or not lines[line][column:].startswith("[") or end < 0:
        raise LabctlError(f"line {place.line}: the list can't be rewritten", hint="write it as '[1, 15]' on one line")
    return [_Edit(line, column, end + 1 - column, value)]
