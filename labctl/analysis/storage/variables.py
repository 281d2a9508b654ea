"""Tables to netCDF variables with their CF attributes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.storage.netcdf import Variable
from labctl.analysis.storage.tables import UNCERTAIN, Column, Table


def variables(table: Table) -> Iterator[Variable]:
    """Give a variable for each column and each curve of a table.

    Columns lie along the table's dimension, curves along a second one, ``<dimension>_point``. Keys are named as
    coordinates of all others, unless the key is the dimension's own coordinate.
    """
    columns, curves = table.used, table.used_curves if table.longest else ()
    names = {one.name for one in (*columns, *curves)}
    keys = [_name(table, key) for key in table.keys]
    coordinates = " ".join(key for key in keys if key != table.dimension)
    places = [_name(table, one.name) for one in curves if one.name in _PLACES]
    for one in columns:
        values, attributes = table.column(one), _attributes(table, one, names)
        name = _name(table, one.name)
        if coordinates and name not in keys:
            attributes["coordinates"] = coordinates
        if one.kind == "time":
            attributes |= {"units": "seconds since 1970-01-01T00:00:00Z", "calendar": "standard"}
            attributes |= {"standard_name": "time"}
        if one.kind == "yes":
            attributes |= {"flag_values": np.array([0, 1], dtype=np.int8), "flag_meanings": "no yes"}
            attributes |= {"_FillValue": np.int8(-1)} if -1 in values else {}
        yield Variable(name, (table.dimension,), values, _missing(values, attributes))
    for one in curves:
        values, attributes = table.curve(one), _attributes(table, one, names)
        name = _name(table, one.name)
        shown = [*keys, *(place for place in places if name not in places)]
        attributes["coordinates"] = " ".join(place for place in shown if place != table.dimension)
        yield Variable(name, (table.dimension, f"{table.dimension}_point"), values, _missing(values, attributes))


#: Curves that say where the other curves' points lie.
_PLACES = ("ppm", "frequency_Hz")


def _name(table: Table, column: str) -> str:
    """Give a column's name in the file; a table's only key is the coordinate of its dimension."""
    return table.dimension if table.keys == (column,) else f"{table.prefix}{column}"


def _attributes(table: Table, one: Column, names: set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"long_name": one.long_name}
    if one.kind != "text":
        found["units"] = one.units
    uncertain = [_name(table, one.name + ending) for ending in UNCERTAIN if one.name + ending in names]
    if uncertain:
        found["ancillary_variables"] = " ".join(uncertain)
    if one.note:
        found["comment"] = one.note
    return found


def _missing(values: NDArray[Any], attributes: dict[str, Any]) -> dict[str, Any]:
    if values.dtype.kind == "f" and np.isnan(values).any():
        return attributes | {"_FillValue": values.dtype.type(np.nan)}
    return attributes
