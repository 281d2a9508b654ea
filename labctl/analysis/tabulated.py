"""A finding as a table: for people to read, for programs to take on. Data, and how it is written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Value = float | int | str | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    key : str
        For programs, with the unit; a standard deviation has the key with ``_sd``.
    title : str
        For people, with the unit.
    digits : int
        After the point.
    """

    key: str
    title: str
    digits: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a finding.

    Attributes
    ----------
    title : str
        What, of which cell and step.
    columns : tuple of Column
        In their order.
    rows : tuple of mapping
        Values by key, with ``_sd`` beside those that have one; None where nothing is known.
    notes : tuple of str
        What is to be said of the whole table.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Value], ...]
    notes: tuple[str, ...] = ()

    def texts(self) -> list[list[str]]:
        """Give every row as texts in the order of the columns, with ± where there is a standard deviation."""
        return [[_text(row, one) for one in self.columns] for row in self.rows]

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {"title": self.title, "rows": [dict(row) for row in self.rows], "notes": list(self.notes)}


def _text(row: Mapping[str, Value], column: Column) -> str:
    value, sd = row.get(column.key), row.get(f"{column.key}_sd")
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    text = f"{value:.{column.digits}f}"
    return f"{text}±{sd:.{column.digits}f}" if isinstance(sd, (int, float)) else text


def known(value: float) -> float | None:
    """Give a number, or nothing in place of what is none."""
    return float(value) if math.isfinite(value) else None
