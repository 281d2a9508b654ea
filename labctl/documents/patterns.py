"""Patterns by which editors know a quantity while it is being written: number and unit, as files are read."""

from __future__ import annotations

from typing import Final

from labctl import units

_DIGITS: Final = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_ZERO: Final = r"(?![+-]?(?:0+(?:\.0*)?|\.0+)(?:[eE][+-]?[0-9]+)?\s*[^\s0-9.eE])"


def quantity(kinds: tuple[str, ...], *, above_zero: bool = False, negative: bool = True) -> str:
    """Give the pattern of a number with a unit of one of these kinds."""
    unit = "|".join(dict.fromkeys(units.unit_pattern(kind) for kind in kinds))
    sign = r"\+?" if above_zero or not negative else "[+-]?"
    return rf"\s*{_ZERO if above_zero else ''}{sign}{_DIGITS}\s*(?:{unit})\s*"
