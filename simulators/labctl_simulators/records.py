"""The instruments' own logs of a virtual laboratory: complete, one JSON line for each entry, in a file per instrument.

They are what a laboratory is judged by afterwards: nothing is left out, however long it runs.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_WRITTEN_AT = 500
"""Entries that wait in memory before they are written."""


class Records:
    """Logs by instrument.

    Parameters
    ----------
    folder : Path
        Gets ``NAME.jsonl`` for each instrument; what is there from another laboratory is begun anew.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: dict[str, list[str]] = {}
        self._written: dict[str, int] = {}
        self._begun: set[str] = set()

    def add(self, instrument: str, entry: Mapping[str, Any]) -> None:
        """Add an entry of JSON values."""
        waiting = self._waiting.setdefault(instrument, [])
        waiting.append(json.dumps(entry) + "\n")
        if len(waiting) >= _WRITTEN_AT:
            self._write(instrument)

    def read(self, instrument: str, since: int = 0, most: int | None = None) -> list[dict[str, Any]]:
        """Give an instrument's entries after the first ``since``, oldest first, at most so many."""
        lines = self._waiting.get(instrument, [])
        written = self._written.get(instrument, 0)
        if since < written:
            with self._path(instrument).open(encoding="utf-8") as file:
                lines = [*itertools.islice(file, since, None), *lines]
        else:
            lines = lines[since - written :]
        return [json.loads(line) for line in lines[:most]]

    def flush(self) -> None:
        """Write what waits."""
        for instrument in self._waiting:
            self._write(instrument)

    def lengths(self) -> dict[str, int]:
        """Give how many entries each instrument has, all of them written."""
        self.flush()
        return dict(self._written)

    def go_on(self, lengths: Mapping[str, int]) -> None:
        """Go on with the logs of an earlier process, as far as they are there."""
        self._written = {name: length for name, length in lengths.items() if self._path(name).is_file()}
        self._begun = set(self._written)

    def _write(self, instrument: str) -> None:
        waiting = self._waiting[instrument]
        if not waiting:
            return
        path = self._path(instrument)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a" if instrument in self._begun else "w", encoding="utf-8") as file:
            file.writelines(waiting)
        self._begun.add(instrument)
        self._written[instrument] = self._written.get(instrument, 0) + len(waiting)
        waiting.clear()

    def _path(self, instrument: str) -> Path:
        return self._folder / f"{instrument}.jsonl"
