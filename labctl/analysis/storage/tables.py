"""What a table of results is: columns with units, rows, and curves that belong to the rows. Data, no files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["number", "count", "yes", "text", "time"]
Row = Mapping[str, Any]

#: Endings of columns that say how uncertain the column without the ending is.
UNCERTAIN: Final = ("_sd", "_sd_common")


@dataclass(frozen=True, slots=True)
class Column:
    """One quantity of a table.

    Attributes
    ----------
    name : str
        With its unit, where it has one, such as ``charge_capacity_mAh``.
    long_name : str
        In words.
    units : str
        As UDUNITS reads it; ``1`` for numbers without a unit.
    kind : str
        ``number``; ``count``, a whole number; ``yes``, yes or no; ``text``; ``time``, as ISO 8601 in UTC.
    optional : bool
        Left out where no row has it.
    noise : str
        Of a curve: the table's column with the standard deviation of one point. Single precision is kept where it
        rounds by far less than that.
    note : str
        What else a reader must know.
    """

    name: str
    long_name: str
    units: str = "1"
    kind: Kind = "number"
    optional: bool = False
    noise: str = ""
    note: str = ""


def with_sd(*columns: Column) -> tuple[Column, ...]:
    """Put the standard deviation of each behind it."""
    return tuple(
        each
        for one in columns
        for each in (one, replace(one, name=f"{one.name}_sd", long_name=f"standard deviation: {one.long_name}"))
    )


def text(name: str, long_name: str, *, optional: bool = False, note: str = "") -> Column:
    """Make a column of text."""
    return Column(name, long_name, kind="text", optional=optional, note=note)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one kind.

    Attributes
    ----------
    name : str
        Of the CSV.
    dimension : str
        Of the netCDF; the variable of this name, if the table has one, is the coordinate.
    keys : tuple of str
        Columns that say which row it is.
    columns : tuple of Column
        With the keys.
    rows : sequence of mapping
        Values by column; what is missing, None or no number has no value.
    prefix : str
        Before the columns' names in the netCDF.
    points : str
        Name of the CSV with the curves.
    curves : tuple of Column
        Quantities with one value for each point of a row's curve.
    curve_rows : sequence of mapping
        For each row arrays of one length by name.
    """

    name: str
    dimension: str
    keys: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: Sequence[Row]
    prefix: str = ""
    points: str = ""
    curves: tuple[Column, ...] = ()
    curve_rows: Sequence[Mapping[str, NDArray[Any]]] = field(default=())

    @property
    def used(self) -> tuple[Column, ...]:
        """The columns less the optional ones that are empty."""
        return tuple(
            one for one in self.columns if not one.optional or any(row.get(one.name) is not None for row in self.rows)
        )

    @property
    def used_curves(self) -> tuple[Column, ...]:
        """The curves less the optional ones that no row has."""
        return tuple(one for one in self.curves if not one.optional or any(one.name in row for row in self.curve_rows))

    def column(self, one: Column) -> NDArray[Any]:
        """Give a column: numbers and times as floats with NaN, yes and no as 1 and 0 with -1, counts as whole numbers.

        A count that some row has not is a column of floats. Times are seconds since 1970.
        """
        values = [row.get(one.name) for row in self.rows]
        if one.kind == "text":
            return np.array(["" if value is None else str(value) for value in values], dtype=np.str_)
        if one.kind == "time":
            return np.array([seconds(value) for value in values])
        if one.kind == "yes":
            return np.array([-1 if value is None else int(bool(value)) for value in values], dtype=np.int8)
        if one.kind == "count" and None not in values:
            return np.array(values, dtype=np.int32)
        return _finite(np.array([np.nan if value is None else value for value in values], dtype=np.float64))

    @property
    def longest(self) -> int:
        """Points of the longest curve."""
        return max((len(values) for row in self.curve_rows for values in row.values()), default=0)

    def curve(self, one: Column) -> NDArray[Any]:
        """Give a curve of all rows, NaN behind the end of shorter ones, in no more precision than its noise needs."""
        found = np.full((len(self.rows), self.longest), np.nan)
        for index, row in enumerate(self.curve_rows):
            if one.name in row:
                values = row[one.name]
                found[index, : len(values)] = values
        found = _finite(found)
        return found.astype(np.float32) if one.noise and self._coarse(one, found) else found

    def _coarse(self, one: Column, values: NDArray[np.float64]) -> bool:
        """Say whether single precision rounds every row by less than a hundredth of its noise."""
        noise = np.array([row.get(one.noise) or 0.0 for row in self.rows], dtype=np.float64)
        with np.errstate(invalid="ignore"):
            largest = np.fmax.reduce(np.abs(values), axis=1, initial=0.0)
        return bool(np.all(largest * np.finfo(np.float32).eps < 0.01 * noise))


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take what is infinite for missing, as the JSON does."""
    return np.where(np.isfinite(values), values, np.nan)


def seconds(stamp: str | None) -> float:
    """Give an ISO 8601 time in s since 1970-01-01 UTC; NaN where there is none."""
    if not stamp:
        return float("nan")
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return float("nan")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def joined(texts: Iterable[str]) -> str | None:
    """Put several sentences into one cell of a table; None where there are none."""
    return " | ".join(texts) or None
