"""Patterns by which editors know a quantity while it is being written: number and unit, as ``labctl.units`` reads them.

Only the usual ways to write a unit are in them; what the reader of files accepts beside these is told by no editor.
"""

from __future__ import annotations

from typing import Final

_PREFIX: Final = "[numµμckMG]?"
_AREA: Final = rf"{_PREFIX}m\^?2"
_MASS: Final = rf"{_PREFIX}g"
_CURRENT: Final = f"{_PREFIX}A"
_CAPACITY: Final = rf"(?:{_PREFIX}Ah|{_PREFIX}A[ *·]h|{_PREFIX}C)"


def _per(unit: str, of: str, inverse: str) -> str:
    return rf"{unit}(?:\s*/\s*{of}|[\s*·]+{inverse})"


_PER_AREA: Final = (_AREA, rf"{_PREFIX}m\^?-2")
_PER_MASS: Final = (_MASS, rf"{_PREFIX}g\^?-1")

#: How the units of a kind of quantity are written; a kind that is not here may have any.
UNITS: Final = {
    "voltage": f"{_PREFIX}V",
    "current": _CURRENT,
    "current density": _per(_CURRENT, *_PER_AREA),
    "specific current": _per(_CURRENT, *_PER_MASS),
    "capacity": _CAPACITY,
    "areal capacity": _per(_CAPACITY, *_PER_AREA),
    "specific capacity": _per(_CAPACITY, *_PER_MASS),
    "power": f"{_PREFIX}W",
    "resistance": f"{_PREFIX}(?:ohm|Ω)",
    "duration": f"(?:{_PREFIX}s|min|h|d)",
    "frequency": f"{_PREFIX}Hz",
    "temperature": f"(?:degC|°C|{_PREFIX}K)",
    "temperature difference": f"{_PREFIX}K",
    "area": _AREA,
    "length": f"{_PREFIX}m",
    "mass": _MASS,
    "ratio": "%",
    "shift": "ppm",
    "angle": "(?:deg|rad)",
}
_DIGITS: Final = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_ZERO: Final = r"(?![+-]?(?:0+(?:\.0*)?|\.0+)(?:[eE][+-]?[0-9]+)?\s*[^\s0-9.eE])"


def quantity(kinds: tuple[str, ...], *, above_zero: bool = False, negative: bool = True) -> str:
    """Give the pattern of a number with a unit of one of these kinds."""
    unit = "|".join(dict.fromkeys(UNITS.get(kind, r"[^\s\d.+-].*") for kind in kinds))
    sign = r"\+?" if above_zero or not negative else "[+-]?"
    return rf"\s*{_ZERO if above_zero else ''}{sign}{_DIGITS}\s*(?:{unit})\s*"
