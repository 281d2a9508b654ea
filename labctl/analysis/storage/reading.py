"""Reads a file of results back into xarray's dataset.

h5netcdf asks HDF5 for the same things dozens of times for each variable, which takes seconds for a file of two hundred;
here each is asked once. Attributes, characters and times are then decoded by xarray itself, so that the outcome is that
of ``xarray.open_dataset``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import xarray

from labctl.analysis.storage import SCHEMA
from labctl.errors import DataError

#: What HDF5 and the netCDF libraries keep for themselves.
_OWN: Final = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid", "_NCProperties"}
_BARE: Final = b"This is a netCDF dimension but not a netCDF variable."


def read_whole(path: Path) -> xarray.Dataset:
    """Read a netCDF file of results; see :func:`labctl.analysis.storage.read`."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    try:
        with h5py.File(path, "r") as file:
            attributes = _attributes(file)
            if attributes.get("schema") != SCHEMA:
                raise DataError(f"{path}: is no file of results, its schema is {attributes.get('schema')!r} and not "
                                f"'{SCHEMA}'")  # fmt: skip
            variables = _variables(file)
        return xarray.decode_cf(xarray.Dataset(variables, attrs=attributes))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise DataError(f"{path}: not a readable netCDF file ({error})") from error


def _variables(file: h5py.File) -> dict[str, tuple[tuple[str, ...], Any, dict[str, Any]]]:
    datasets = {name: file[name] for name in file}
    by_place = {h5py.h5o.get_info(one.id).addr: name for name, one in datasets.items()}
    found = {}
    for name, one in datasets.items():
        if one.attrs.get("NAME", b"").startswith(_BARE):
            continue
        pointers = one.attrs.get("DIMENSION_LIST")
        dimensions = (name,) if pointers is None else tuple(
            by_place[h5py.h5o.get_info(h5py.h5r.dereference(each[-1], file.id)).addr] for each in pointers
        )  # fmt: skip
        values = one.asstr()[()] if h5py.check_string_dtype(one.dtype) and one.dtype.kind == "O" else one[()]
        found[name] = (dimensions, values, _attributes(one))
    return found


def _attributes(target: Any) -> dict[str, Any]:
    """Give the attributes of a file or a variable: text as text, single numbers as numbers."""
    found = {}
    for name, value in target.attrs.items():
        if name in _OWN:
            continue
        if isinstance(value, bytes):
            found[name] = value.decode("utf-8").rstrip("\0")
        elif isinstance(value, np.ndarray) and value.shape == (1,):
            found[name] = value[0]
        else:
            found[name] = value
    return found
