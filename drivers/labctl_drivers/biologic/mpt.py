"""EC-Lab's text export ``.mpt`` of a data file. Pure.

A head of as many lines as its second line says, whose last is the columns' names, then rows between tabulators, with
the decimal mark of the PC. It stands in for a ``.mpr`` that can't be read.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from labctl.errors import DataError
from labctl_drivers.biologic.mpr import Measured
from labctl_drivers.biologic.mpr_columns import FACTORS

_MAGICS: Final = ("EC-Lab ASCII FILE", "BT-Lab ASCII FILE")
_HEAD: Final = re.compile(r"Nb header lines\s*:\s*(\d{1,9})\s*\Z")
_LOOP: Final = re.compile(r"Loop \d+ from point number (\d{1,9}) to \d+")


def read(content: bytes, name: str) -> Measured:
    """Read a text export.

    Raises
    ------
    DataError
        It is none, or a row has not all its columns.
    """
    lines = content.decode("latin-1").replace("\r\n", "\n").split("\n")
    counted = _HEAD.match(lines[1]) if len(lines) > 1 else None
    if lines[0].strip() not in _MAGICS or counted is None:
        raise DataError(f"{name}: is no text export of EC-Lab")
    head = int(counted.group(1))
    if not 3 <= head <= len(lines):
        raise DataError(f"{name}: tells of a head of {head} lines and has {len(lines)}")
    titles = [title for title in lines[head - 1].split("\t") if title.strip()]
    rows = []
    for number, line in enumerate(lines[head:], start=head + 1):
        if not line.strip():
            continue
        try:
            values = [float(part.replace(",", ".")) for part in line.split("\t") if part.strip()]
        except ValueError as error:
            raise DataError(f"{name}:{number}: {error}") from error
        if len(values) != len(titles):
            raise DataError(f"{name}:{number}: {len(values)} values, where there are {len(titles)} columns")
        rows.append(values)
    table = np.array(rows, dtype=float).reshape(len(rows), len(titles))
    with np.errstate(over="ignore"):
        columns = {title: table[:, index] * FACTORS.get(title, 1.0) for index, title in enumerate(titles)}
    begins = [int(found.group(1)) for line in lines[: head - 1] if (found := _LOOP.search(line)) is not None]
    return Measured(columns, len(rows), loops=tuple(one for one in begins if 0 < one < len(rows)))
