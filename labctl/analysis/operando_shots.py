"""The spectra of an ``operando`` step as they are on disk: the dataset of each, when it was taken, at what charge."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from labctl.analysis import bruker
from labctl.analysis.bruker import Dataset
from labctl.analysis.bundles import Operation, nested
from labctl.analysis.flags import Flag
from labctl.analysis.measured import Session
from labctl.analysis.series import gathered, instant, stamps, value
from labctl.errors import DataError

_WHEN: Final = ("start", "middle", "end")


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a spectrum was taken; s UTC and C at its start, middle and end, not a number where it is not known."""

    number: int
    sort: str
    bundle: str
    at: tuple[float, ...]
    charge: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Shot:
    """A spectrum that can be evaluated, with the frequency of 0 ppm."""

    stamp: Stamp
    data: Dataset
    zero_Hz: float


def whole(session: Session, operation: Operation, told: Callable[[str], None]) -> list[Shot]:
    """Read every spectrum that is whole."""
    found: list[Shot] = []
    unreferenced: list[tuple[int, str]] = []
    stamped = _stamps(operation, told)
    for stamp in stamped:
        try:
            bundle = nested(operation, stamp.bundle)
            data = bruker.read(bundle.datasets()[0])
        except DataError as error:
            told(f"spectrum {stamp.number}: {error}")
            continue
        for text in bundle.document.get("flags") or ():
            told(f"spectrum {stamp.number}: {text}")
        zero = session.zero_ppm(bundle.document.get("reference"))
        if isinstance(zero, str):
            unreferenced.append((stamp.number, f"{zero}; shifts rest on the spectrometer's own frequency"))
            zero = data.reference_Hz or data.basic_Hz
        found.append(Shot(stamp, data, zero))
    for text in gathered(unreferenced, len(stamped)):
        told(Flag(text, "reference"))
    return found


def _stamps(operation: Operation, told: Callable[[str], None]) -> list[Stamp]:
    """Read the stamps; where they are not to be had, what each spectrum's own document says of it, without charge."""
    try:
        rows = stamps(operation, "stamps.csv", ("sort", "folder", "started_utc", "charge_middle_C"))
    except DataError as error:
        told(f"the charge that had passed is not known: {error}")
        return _unstamped(operation)
    return [
        Stamp(
            int(row["spectrum"]),
            row["sort"],
            f"{row['folder']}/operation.json",
            tuple(instant(row.get(name, "")) for name in ("started_utc", "middle_utc", "ended_utc")),
            tuple(value(row, f"charge_{when}_C") for when in _WHEN),
        )
        for row in rows
    ]


def _unstamped(operation: Operation) -> list[Stamp]:
    found: dict[int, Stamp] = {}
    for name in operation.names():
        path = Path(name)
        if path.name != "operation.json":
            continue
        try:
            document = nested(operation, name).document
        except DataError:
            continue
        summary: Mapping[str, Any] = document.get("summary") or {}
        number, sort = summary.get("number"), str(summary.get("sort") or "during")
        if not isinstance(number, int):
            continue
        first, last = (instant(str(summary.get(key) or "")) for key in ("acquired_from", "acquired_until"))
        found[number] = Stamp(number, sort, name, (first, 0.5 * (first + last), last), (math.nan,) * 3)
    return [found[number] for number in sorted(found)]
