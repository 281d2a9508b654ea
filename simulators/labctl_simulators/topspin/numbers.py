"""How the numbers of a ``fid`` are written: form and byte order, and what can befall them on the way to the disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from labctl_simulators.topspin.parameters import Parameters

#: What can befall the next acquisition's files, and what becomes of the data's bytes.
SPOILS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "truncated": lambda data: data[: len(data) // 3],
    "unwritten": lambda data: bytes(len(data)),
    "flat": lambda data: _flat(data),
    "holed": lambda data: data[: len(data) // 2] + bytes(8192) + data[len(data) // 2 + 8192 :],
}
#: How numbers are written: DTYPA, BYTORDA and numpy's name for it.
FORMATS: Final = {
    "int32": (0, 0, "<i4"),
    "int32-big": (0, 1, ">i4"),
    "float64": (2, 0, "<f8"),
    "float64-big": (2, 1, ">f8"),
}


def written(data: np.ndarray[Any, np.dtype[Any]], exponent: int, parameters: Parameters, numbers: str) -> bytes:
    """Give the bytes of a fid; float64 needs no exponent."""
    kind, _, dtype = FORMATS[numbers]
    parameters.put("NC", exponent if kind == 0 else 0)
    return (data if kind == 0 else data * 2.0**exponent).astype(dtype).tobytes()


def _flat(data: bytes) -> bytes:
    values = np.frombuffer(data, dtype="<i4")
    limit = int(0.6 * np.abs(values).max())
    return np.clip(values, -limit, limit).astype("<i4").tobytes()
