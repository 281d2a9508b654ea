"""How a number is printed, the same on every page: to two digits of its standard deviation, or to four of its own.

Two digits of the standard deviation are the rule of the GUM (JCGM 100:2008, 7.2.6).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_SD_DIGITS: Final = 2
_DIGITS: Final = 4
#: Beyond these a number is written with a power of ten.
_SMALLEST, _LARGEST = 1e-3, 1e6
#: Parts of a budget below the first are not spelt out, those below the second are rounding errors. Points of percent.
_LEAST: Final = 1e-3
ROUNDING: Final = 1e-9
_RAISED: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True)
class Missing:
    """A number that is not there, or not all of it, and why; ``shown`` stands in its place."""

    reason: str
    shown: str = "–"


def number(value: float, sd: float | None = None, *, digits: int = _DIGITS) -> str:
    """Write a number, with its standard deviation where it has one.

    Parameters
    ----------
    value : float
        Any; what is not finite becomes a dash.
    sd : float, optional
        Rounded to two digits, and the value to the same place.
    digits : int
        Of a value without deviation.
    """
    if not math.isfinite(value):
        return "–"
    told = sd is not None and math.isfinite(sd) and sd > 0.0
    size = max(abs(value), sd if told and sd is not None else 0.0)
    power = 0
    if size and not _SMALLEST <= size < _LARGEST:
        power = math.floor(math.log10(size))
    scale = 10.0**-power
    if told and sd is not None:
        places = _places(sd * scale, _SD_DIGITS)
        text = f"{_fixed(value * scale, places)} ± {_fixed(sd * scale, places)}"
        return f"({text}) · 10{str(power).translate(_RAISED)}" if power else text
    text = _fixed(value * scale, _places(value * scale, digits))
    return f"{text} · 10{str(power).translate(_RAISED)}" if power else text


@dataclass(frozen=True, slots=True)
class Scale:
    """A power of ten that the numbers of a row or column share, so that they can be compared at a glance."""

    power: int

    def unit(self, unit: str) -> str:
        """Give the unit with the power before it."""
        if not self.power:
            return unit
        power = f"10{str(self.power).translate(_RAISED)}"
        return power if unit == "1" else f"{power} {unit}"

    def number(self, value: float, sd: float | None = None, *, digits: int = _DIGITS) -> str:
        """Write a number in this scale, as :func:`number` does."""
        by = 10.0**-self.power
        return number(value * by, None if sd is None else sd * by, digits=digits)


def scale_of(values: Iterable[float], *, step: int = 3) -> Scale:
    """Give the scale in which none of some numbers needs a power of its own; powers are multiples of ``step``."""
    sizes = [abs(value) for value in values if math.isfinite(value) and value != 0.0]
    if not sizes or (min(sizes) >= 10.0 * _SMALLEST and max(sizes) < 0.1 * _LARGEST):
        return Scale(0)
    return Scale(step * math.floor(math.log10(max(sizes)) / step))


def spread(value: float) -> str:
    """Write a standard deviation, or a part of one, that stands alone."""
    return number(value, digits=_SD_DIGITS)


def part(value: float) -> str:
    """Write a part of a standard deviation in points of percent."""
    return spread(value) if value >= _LEAST else f"< {_LEAST:g}" if value > ROUNDING else "0"


def _places(value: float, digits: int) -> int:
    """Give the decimal places that leave so many digits of a value."""
    if value == 0.0 or not math.isfinite(value):
        return 0
    # Rounded before it is counted: 0.0996 to two digits is 0.10.
    rounded = float(f"{abs(value):.{digits - 1}e}")
    return digits - 1 - math.floor(math.log10(rounded))


def _fixed(value: float, places: int) -> str:
    text = f"{round(value, places):.{max(places, 0)}f}"
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text
