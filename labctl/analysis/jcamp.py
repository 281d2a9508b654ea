"""Bruker's parameter files (JCAMP-DX with private labels): ``acqus``, ``procs`` and their like."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

#: A parameter: its name, and its value to the next label or comment.
_ENTRY: Final = re.compile(r"^##\$(\w+) ?= ?(.*(?:\n(?!##|\$\$).*)*)", re.MULTILINE)


class Parameters:
    """The parameters of one file, by name without regard to case: releases have differed in it.

    ``values`` are all of them, under the names that the file has.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self._names = {name.upper(): name for name in values}

    @classmethod
    def parse(cls, content: bytes) -> Parameters:
        """Read numbers, texts without their <>, and lists; anything else stays text."""
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            text = content.decode("cp1252", "replace")
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        return cls(_Read(_ENTRY.findall(text)))

    def __contains__(self, name: str) -> bool:
        return name.upper() in self._names

    def __len__(self) -> int:
        return len(self.values)

    def get(self, name: str) -> Any:
        """Give the value as it was read, or None."""
        found = self._names.get(name.upper())
        return None if found is None else self.values[found]

    def number(self, name: str) -> float | None:
        """Give a finite number, or None where there is none under this name."""
        value = self.get(name)
        return value if isinstance(value, float) and math.isfinite(value) else None

    def element(self, name: str, index: int) -> float | None:
        """Give one number of a list such as ``##$D= (0..63)``; old releases also wrote ``##$D1=``."""
        values = self.get(name)
        if isinstance(values, list):
            value = values[index] if len(values) > index else None
            return value if isinstance(value, float) and math.isfinite(value) else None
        return self.number(f"{name}{index}")

    def text(self, name: str) -> str:
        """Give a text; empty where there is none."""
        value = self.get(name)
        return "" if value is None else str(value)

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain data."""
        return dict(self.values)


class _Read(Mapping[str, Any]):
    """Values that are understood when somebody asks for them: of some hundred, an evaluation wants twenty."""

    def __init__(self, entries: Iterable[tuple[str, str]]) -> None:
        self._texts = dict(entries)
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = _value(self._texts[name].strip())
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def _value(text: str) -> Any:
    if text.startswith("<"):
        return text[1:].partition(">")[0]
    if text.startswith("("):
        return [_scalar(part) for part in text.partition(")")[2].split()]
    return _scalar(text)


def _scalar(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text
