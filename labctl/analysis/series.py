"""Series of spectra that were taken while current flowed: their table of stamps, and remarks on many of them as one.

``dynamic`` and ``operando`` read what belongs to the stamps.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final

from labctl.analysis.bundles import Campaign, Operation
from labctl.errors import DataError

Row = Mapping[str, str]

_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?(e[-+]?\d+)?")
#: What passes charge, with its sign where the result's own summary does not tell it.
_SIGNS: Final = {"charge": 1.0, "discharge": -1.0, "hold": -1.0}


def stamps(operation: Operation, name: str, needed: Sequence[str]) -> list[Row]:
    """Read a table of stamps, one row for each spectrum.

    Raises
    ------
    DataError
        If the bundle does not list the file, it was changed, it is no such table, or a row is cut off.
    """
    path = operation.file(name)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file, strict=True)
            rows: list[Row] = list(table)
            heading = table.fieldnames or ()
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: is not to be read ({error})") from error
    missing = [one for one in ("spectrum", *needed) if one not in heading]
    if missing:
        raise DataError(f"{path}: {', '.join(missing)} is missing in its first line")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise DataError(f"{path}:{number}: has not as many columns as the first line")
        if not row["spectrum"].isdecimal():
            raise DataError(f"{path}:{number}: {row['spectrum']!r} is no number of a spectrum")
    if not rows:
        raise DataError(f"{path}: names no spectrum")
    return rows


def value(row: Row, name: str) -> float:
    """Give a number of a row; not a number where there is none."""
    try:
        found = float(row.get(name) or "nan")
    except ValueError:
        return math.nan
    return found if math.isfinite(found) else math.nan


def instant(stamp: str) -> float:
    """Give s UTC of a written instant; not a number where it is none."""
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except (ValueError, OverflowError):
        return math.nan


def passed_C(operation: Operation) -> float:
    """Give the charge in C that an operation moved, positive when charging; 0 where it moved none or nobody knows."""
    summary: Mapping[str, object] = operation.document.get("summary") or {}
    for name in ("integrated_C", "charge_C"):
        told = summary.get(name)
        if isinstance(told, (int, float)) and math.isfinite(told):
            return float(told)
    told, sign = summary.get("capacity_C"), _SIGNS.get(operation.kind, 0.0)
    return sign * abs(float(told)) if isinstance(told, (int, float)) and math.isfinite(told) else 0.0


def held_C(campaign: Campaign, operation: Operation) -> tuple[float, float]:
    """Count the charge of a cell by what its steps in this campaign have moved.

    Returns
    -------
    before, most : float
        In the cell before this operation, C, and the most that it has held up to the end of it.
    """
    before = most = 0.0
    for one in campaign.of(operation.cell):
        if one.token == operation.token and one.step == operation.step and one.attempt == operation.attempt:
            break
        before += passed_C(one)
        most = max(most, before)
    return before, max(most, before + passed_C(operation))


def gathered(remarks: Iterable[tuple[int, str]], whole: int) -> list[str]:
    """Say what was remarked of many spectra once, with their numbers; remarks that differ in figures alone are one.

    Parameters
    ----------
    remarks : iterable of (number, text)
        Number of the spectrum, and what was said of it.
    whole : int
        How many spectra there are.
    """
    found: dict[str, list[tuple[int, str]]] = {}
    for number, text in remarks:
        found.setdefault(_NUMBER.sub("#", text), []).append((number, text))
    said = []
    for alike in found.values():
        numbers = sorted({number for number, _ in alike})
        first = alike[0][1]
        if len(numbers) == 1:
            said.append(f"spectrum {numbers[0]}: {first}")
            continue
        where = f"all {whole} spectra" if len(numbers) == whole else f"spectra {_listed(numbers)}"
        varied = any(text != first for _, text in alike)
        said.append(f"{where}: {first}" + (f" (in spectrum {alike[0][0]})" if varied else ""))
    return said


def _listed(numbers: Sequence[int]) -> str:
    """Write rising numbers with runs drawn together."""
    runs: list[list[int]] = [[numbers[0], numbers[0]]]
    for before, number in pairwise(numbers):
        if number == before + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(low) if low == high else f"{low} to {high}" for low, high in runs)
