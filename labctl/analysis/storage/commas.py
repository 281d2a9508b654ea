"""Tables as CSV: UTF-8, comma, point, one line of names, nothing where there is no value."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import polars

from labctl.analysis.storage.tables import Column, Table


def sheets(table: Table, mode: str) -> Iterator[tuple[str, bytes]]:
    """Give each CSV of a table, its rows and its curves, by name; ``mode`` is their last column."""
    yield table.name, _bytes({one.name: _series(table, one) for one in table.used}, mode)
    if table.points and table.longest:
        yield table.points, _bytes(_long(table), mode)


def _long(table: Table) -> dict[str, polars.Series]:
    """Give the curves below each other, each point with the keys of its row."""
    curves = table.used_curves
    lengths = np.array([max((len(values) for values in row.values()), default=0) for row in table.curve_rows])
    whose = np.repeat(np.arange(len(lengths)), lengths)
    by_name = {one.name: one for one in table.columns}
    keys = {name: _series(table, by_name[name])[whose] for name in table.keys}
    inside = np.arange(table.longest)[None, :] < lengths[:, None]
    return keys | {one.name: polars.Series(table.curve(one)[inside], nan_to_null=True) for one in curves}


def _series(table: Table, one: Column) -> polars.Series:
    if one.kind in ("text", "time"):
        return polars.Series([row.get(one.name) or None for row in table.rows], dtype=polars.String)
    if one.kind == "yes":
        found = [row.get(one.name) for row in table.rows]
        return polars.Series([None if value is None else int(value) for value in found], dtype=polars.Int8)
    return polars.Series(table.column(one), nan_to_null=True)


def _bytes(columns: dict[str, polars.Series], mode: str) -> bytes:
    buffer = io.BytesIO()
    polars.DataFrame(columns).with_columns(polars.lit(mode).alias("mode")).write_csv(buffer)
    return buffer.getvalue()
