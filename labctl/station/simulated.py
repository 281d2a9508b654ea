"""A value under ``simulate`` that a simulator does not take, as a mistake at its place in the station or cells file.

What stands there is the simulator's own business, so it is known to be wrong only when the simulator is made or asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from labctl.documents import Path
from labctl.errors import InvalidFile, Mistake
from labctl.station.models import Cells, Station

_CELLS_RIGHT: Final = "docs/virtual-cell.md says what 'simulate' may hold"
_RIGHT: Final = "its driver's page in docs/drivers says what 'simulate' may hold"


def impossible(station: Station, instrument: str, error: Exception) -> InvalidFile | None:
    """Make the mistake of what a simulator said about its options; None where the file gives it none.

    Parameters
    ----------
    station : Station
        The file.
    instrument : str
        Its name of what was to be simulated.
    error : Exception
        What the simulator raised.
    """
    options = {key: value for key, value in _options(station, instrument).items() if key != "faults"}
    if not options:
        return None
    reason = _reason(error)
    path, key = _place(options, reason)
    found = f"'{instrument}' can't be simulated like this: {reason}"
    document = station.document
    return InvalidFile([document.mistake(("instruments", instrument, "simulate", *path), found, _RIGHT, key=key)])


def impossible_cells(cells: Cells, reasons: Iterable[tuple[str, str]]) -> list[Mistake]:
    """Make the mistakes of cells that the simulated laboratory can't have.

    Parameters
    ----------
    cells : Cells
        The file.
    reasons : iterable
        Name of a cell, and what the laboratory said about it.
    """
    document, found = cells.document, []
    places = {cell.id: index for index, cell in enumerate(cells.cells)}
    for name, said in reasons:
        reason = said.removeprefix(f"cell {name}: ")
        what, _, known = reason.partition("; known are ")
        index = places[name]
        path: Path = ("cells", index, "chemistry")
        key = False
        if "chemistry" not in what:
            inside, key = _place(dict(cells.cells[index].simulate), what)
            path = ("cells", index, "simulate", *inside)
        right = f"write one of {known}" if known else _CELLS_RIGHT
        found.append(document.mistake(path, f"'{name}' can't be simulated like this: {what}", right, key=key))
    return found


def _options(station: Station, instrument: str) -> dict[str, Any]:
    return dict(station.document.data["instruments"][instrument].get("simulate") or {})


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"'{error.args[0]}' is not known" if error.args else "something is not known"
    if isinstance(error, ValueError):
        return str(error)
    return f"a value is of the wrong kind ({error})"


def _place(options: dict[str, Any], reason: str) -> tuple[Path, bool]:
    """Find what the reason speaks of: a value that it names, or else a key, the innermost; and whether it is a key."""
    values, keys = [], []
    for path, value in _walk(options, ()):
        if not isinstance(value, (dict, list)) and _named(str(value), reason):
            values.append(path)
        if _named(str(path[-1]), reason):
            keys.append(path)
    for found, is_key in ((values, False), (keys, True)):
        if found:
            return max(found, key=len), is_key
    return (), True


def _walk(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key), one
        yield from _walk(one, (*path, key))


def _named(word: str, reason: str) -> bool:
    return bool(word) and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", reason) is not None
