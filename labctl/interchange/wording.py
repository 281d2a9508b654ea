"""Numbers with their units as files of the protocol language spell them: exactly what is meant, and no digit more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_DURATIONS: Final = (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3))
_SCALES: Final = (("", 1.0), ("m", 1e-3), ("u", 1e-6), ("n", 1e-9))


def number(value: float) -> str:
    """Write a number without a power of ten."""
    text = f"{value:.12g}"
    if "e" in text:
        text = f"{value:.15f}".rstrip("0").rstrip(".")
    return text


def duration(seconds: float) -> str:
    """Write a duration in the largest unit in which it is a short number."""
    for unit, size in _DURATIONS:
        amount = seconds / size
        if amount >= 1 and abs(amount - round(amount, 2)) < 1e-9 * amount:
            return f"{number(round(amount, 2))} {unit}"
    return f"{number(seconds)} s"


def quantity(value: float, unit: str) -> str:
    """Write a value with the prefix that leaves at least 1 before the unit: ``0.0002`` A is ``0.2 mA``."""
    for prefix, size in _SCALES:
        if abs(value) >= size * (0.1 if prefix == "m" else 1.0) * (1 - 1e-12):
            return f"{number(value / size)} {prefix}{unit}"
    return f"{number(value)} {unit}"


def current(ampere: float) -> str:
    """Write a current as laboratories do, in mA down to 0.01 mA."""
    return f"{number(ampere * 1e3)} mA" if abs(ampere) >= 1e-5 else quantity(ampere, "A")


def among(numbers: Sequence[int]) -> str:
    """Write numbers with their spans: ``1, 3–14, 30``."""
    spans: list[list[int]] = []
    for one in sorted(set(numbers)):
        if spans and one == spans[-1][1] + 1:
            spans[-1][1] = one
        else:
            spans.append([one, one])
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in spans)
