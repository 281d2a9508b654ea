"""Variables and attributes to the bytes of a netCDF-4 file.

A netCDF-4 file is an HDF5 file whose dimensions are dimension scales. It is written through h5py's low-level
interface: a file of results has some two hundred variables, and what h5netcdf needs for each grows with their number
(see ``docs/results-files.md``). Files are read with h5netcdf and with the netCDF library alike.

The same variables give the same bytes with the same versions of HDF5 and h5py: no times are kept within.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import h5py
import numpy as np
from h5py import h5a, h5d, h5ds, h5f, h5p, h5r, h5s, h5t
from numpy.typing import NDArray

from labctl.errors import DataError

#: A variable of fewer bytes is not compressed: chunks and filters would cost more than they save.
_WORTH_IT: Final = 4096
_LEVEL: Final = 4
#: HDF5 keeps attributes in a header of 64 KiB.
_LARGEST_ATTRIBUTE: Final = 60_000
_SCALAR: Final = h5s.create(h5s.SCALAR)
_LISTS: Final = h5py.vlen_dtype(h5py.ref_dtype)
_USERS: Final = np.dtype([("dataset", h5py.ref_dtype), ("dimension", np.int32)])
#: HDF5 tells files in memory apart by their names; these are nowhere in their bytes.
_NUMBER: Final = itertools.count()
#: What the netCDF library calls a dimension that has no variable.
_BARE: Final = "This is a netCDF dimension but not a netCDF variable."


@dataclass(frozen=True, slots=True)
class Variable:
    """A netCDF variable.

    Attributes
    ----------
    name : str
        Of the variable.
    dimensions : tuple of str
        Names; sizes are those of ``values``.
    values : ndarray
        Numbers or text. Text becomes UTF-8 characters with a dimension of their own, which every reader knows; only
        the coordinate of a dimension, which can't have a second one, becomes strings.
    attributes : mapping
        Text or numbers.
    """

    name: str
    dimensions: tuple[str, ...]
    values: NDArray[Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)


def image(variables: Sequence[Variable], attributes: Mapping[str, Any]) -> bytes:
    """Give the bytes of a file.

    Raises
    ------
    DataError
        If two variables disagree about the size of a dimension, or an attribute is too long for HDF5.
    """
    kept = [_characters(one) if one.values.dtype.kind == "U" and one.dimensions != (one.name,) else one
            for one in variables]  # fmt: skip
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fapl_core(block_size=1 << 16, backing_store=False)
    creation = h5p.create(h5p.FILE_CREATE)
    creation.set_link_creation_order(h5p.CRT_ORDER_TRACKED | h5p.CRT_ORDER_INDEXED)
    creation.set_obj_track_times(False)
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    file = h5f.create(b"results-%d" % next(_NUMBER), h5f.ACC_TRUNC, fcpl=creation, fapl=access)
    try:
        root = h5py.h5g.open(file, b"/")
        versions = f"version=2,hdf5={h5py.version.hdf5_version},h5py={h5py.version.version}"
        for name, value in {"_NCProperties": versions, **attributes}.items():
            _attribute(root, name, value)
        scales = _scales(file, kept)
        places: list[tuple[h5d.DatasetID, tuple[str, ...]]] = []
        for one in kept:
            dataset = scales.get(one.name) or _dataset(file, one)
            for name, value in one.attributes.items():
                _attribute(dataset, name, value)
            if one.name not in scales:
                places.append((dataset, one.dimensions))
        _attach(file, scales, places)
        h5f.flush(file)
        return bytes(file.get_file_image())
    finally:
        file.close()


def _scales(file: h5f.FileID, variables: Sequence[Variable]) -> dict[str, h5d.DatasetID]:
    """Make the dimensions: coordinates where there is a variable of their name, else scales that hold nothing."""
    sizes: dict[str, int] = {}
    for one in variables:
        for dimension, size in zip(one.dimensions, one.values.shape, strict=True):
            if sizes.setdefault(dimension, size) != size:
                raise DataError(f"{one.name}: {size} along '{dimension}', which has {sizes[dimension]} elsewhere")
    coordinates = {one.name: one for one in variables if one.dimensions == (one.name,)}
    found = {}
    for number, (dimension, size) in enumerate(sizes.items()):
        if dimension in coordinates:
            dataset, label = _dataset(file, coordinates[dimension]), dimension
        else:
            dataset = h5d.create(file, dimension.encode(), h5t.IEEE_F32BE, _space((size,)), _PLAIN)
            label = f"{_BARE}{size:10d}"
        h5ds.set_scale(dataset, label.encode())
        _attribute(dataset, "_Netcdf4Dimid", number)
        found[dimension] = dataset
    return found


def _attach(
    file: h5f.FileID, scales: Mapping[str, h5d.DatasetID], places: Sequence[tuple[h5d.DatasetID, tuple[str, ...]]]
) -> None:
    """Say of each variable which dimensions it has, and of each dimension which variables.

    The attributes are those of HDF5's dimension scales (HDF5 Dimension Scale Specification, 4.2). The library's own
    function writes a dimension's list anew for each variable.
    """
    pointers = {name: h5r.create(scale, b".", h5r.OBJECT) for name, scale in scales.items()}
    users: dict[str, list[tuple[Any, int]]] = {name: [] for name in scales}
    kind = h5t.py_create(_LISTS, logical=True)
    lists: dict[tuple[str, ...], NDArray[Any]] = {}
    for dataset, dimensions in places:
        if dimensions not in lists:
            found = np.empty(len(dimensions), dtype=_LISTS)
            for axis, name in enumerate(dimensions):
                found[axis] = np.array([pointers[name]], dtype=h5py.ref_dtype)
            lists[dimensions] = found
        h5a.create(dataset, b"DIMENSION_LIST", kind, _space((len(dimensions),))).write(lists[dimensions])
        pointer = h5r.create(dataset, b".", h5r.OBJECT)
        for axis, name in enumerate(dimensions):
            users[name].append((pointer, axis))
    for name, using in users.items():
        if using:
            content = np.array(using, dtype=_USERS)
            attribute = h5a.create(scales[name], b"REFERENCE_LIST", h5t.py_create(_USERS, logical=True),
                                   _space(content.shape))  # fmt: skip
            attribute.write(content)


def _properties() -> h5p.PropDCID:
    """Give properties of a dataset that keeps no times."""
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    return properties


_PLAIN: Final = _properties()


@lru_cache(maxsize=64)
def _kind(dtype: np.dtype[Any]) -> h5t.TypeID:
    return h5t.py_create(dtype)


@lru_cache(maxsize=64)
def _space(shape: tuple[int, ...]) -> h5s.SpaceID:
    return h5s.create_simple(shape)


def _dataset(file: h5f.FileID, one: Variable) -> h5d.DatasetID:
    values = np.ascontiguousarray(one.values)
    if values.dtype.kind == "U":
        strings = h5py.Group(file).create_dataset(one.name, data=values.astype(object), dtype=h5py.string_dtype())
        return strings.id
    properties = _PLAIN
    fill = one.attributes.get("_FillValue")
    if values.nbytes >= _WORTH_IT or fill is not None:
        properties = _properties()
    if values.nbytes >= _WORTH_IT:
        properties.set_chunk(values.shape)
        properties.set_shuffle()
        properties.set_deflate(_LEVEL)
    if fill is not None:
        properties.set_fill_value(np.array(fill, dtype=values.dtype))
    kind = _kind(values.dtype)
    dataset = h5d.create(file, one.name.encode(), kind, _space(values.shape), properties)
    dataset.write(h5s.ALL, h5s.ALL, values, kind)
    return dataset


def _characters(one: Variable) -> Variable:
    """Turn text into characters; widths are rounded up so that few dimensions are needed."""
    encoded = np.char.encode(one.values, "utf-8")
    width = 4
    while width < encoded.dtype.itemsize:
        width *= 2
    characters = encoded.astype(f"S{width}").view("S1").reshape((*one.values.shape, width))
    return Variable(one.name, (*one.dimensions, f"characters_{width}"), characters,
                    {**one.attributes, "_Encoding": "utf-8"})  # fmt: skip


def _attribute(target: Any, name: str, value: Any) -> None:
    if isinstance(value, str):
        kind, space, content = _text(value)
    else:
        content = np.atleast_1d(np.asarray(value))
        if content.dtype == np.int64:
            content = content.astype(np.int32)
        kind, space = _kind(content.dtype), _space(content.shape)
    h5a.create(target, name.encode(), kind, space).write(content, kind)


@lru_cache(maxsize=2048)
def _text(value: str) -> tuple[Any, Any, NDArray[Any]]:
    """Give type, space and content of a text attribute; most of them return in every file."""
    raw = value.encode("utf-8") or b"\0"
    if len(raw) > _LARGEST_ATTRIBUTE:
        raise DataError(f"an attribute has {len(raw)} bytes, {_LARGEST_ATTRIBUTE} are allowed: {value[:60]} …")
    kind = h5t.C_S1.copy()
    kind.set_size(len(raw))
    kind.set_strpad(h5t.STR_NULLPAD)
    if not value.isascii():
        kind.set_cset(h5t.CSET_UTF8)
    return kind, _SCALAR, np.array(raw, dtype=f"S{len(raw)}")
