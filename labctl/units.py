"""Quantities at the border: ``"0.2 mA/cm2"`` becomes 2.0 A/m2, and back.

Inside labctl every number is an SI float. Outside, in YAML, on the command line and in reports, every number
carries its unit. This module is the only place where the two meet. It is not a general unit library: it knows the
units that battery laboratories write, and refuses all others by name.
"""

from __future__ import annotations

import math
import re
from typing import Final, NamedTuple


class UnitError(ValueError):
    """A quantity cannot be read: no unit, an unknown unit, or the wrong kind of quantity."""


class Dimension(NamedTuple):
    """Exponents of metre, kilogram, second, ampere, kelvin; ratio, shift and angle are kinds of their own."""

    m: int = 0
    kg: int = 0
    s: int = 0
    A: int = 0
    K: int = 0
    kind: str = ""

    def times(self, other: Dimension, power: int) -> Dimension:
        """Multiply by ``other`` to the ``power``."""
        return Dimension(
            self.m + power * other.m,
            self.kg + power * other.kg,
            self.s + power * other.s,
            self.A + power * other.A,
            self.K + power * other.K,
            self.kind or other.kind,
        )


_VOLT = Dimension(2, 1, -3, -1)
_OHM = Dimension(2, 1, -3, -2)
_WATT = Dimension(2, 1, -3)

# symbol: (factor to SI, dimension, may carry a prefix)
_UNITS: Final[dict[str, tuple[float, Dimension, bool]]] = {
    "m": (1.0, Dimension(m=1), True),
    "g": (1e-3, Dimension(kg=1), True),
    "s": (1.0, Dimension(s=1), True),
    "min": (60.0, Dimension(s=1), False),
    "h": (3600.0, Dimension(s=1), False),
    "d": (86400.0, Dimension(s=1), False),
    "A": (1.0, Dimension(A=1), True),
    "Ah": (3600.0, Dimension(A=1, s=1), True),
    "C": (1.0, Dimension(A=1, s=1), True),
    "K": (1.0, Dimension(K=1), True),
    "V": (1.0, _VOLT, True),
    "W": (1.0, _WATT, True),
    "Wh": (3600.0, Dimension(2, 1, -2), True),
    "ohm": (1.0, _OHM, True),
    "Ω": (1.0, _OHM, True),
    "Hz": (1.0, Dimension(s=-1), True),
    "%": (1e-2, Dimension(kind="ratio"), False),
    "ppm": (1.0, Dimension(kind="shift"), False),
    "deg": (math.pi / 180.0, Dimension(kind="angle"), False),
    "rad": (1.0, Dimension(kind="angle"), False),
}
_PREFIXES: Final = {
    "n": 1e-9,
    "u": 1e-6,
    "µ": 1e-6,
    "μ": 1e-6,
    "m": 1e-3,
    "c": 1e-2,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
}
_CELSIUS: Final = ("degC", "°C")

#: The kinds of quantity that files may ask for: name -> (dimension, unit shown in messages).
KINDS: Final[dict[str, tuple[Dimension, str]]] = {
    "voltage": (_VOLT, "V"),
    "current": (Dimension(A=1), "mA"),
    "current density": (Dimension(A=1, m=-2), "mA/cm2"),
    "specific current": (Dimension(A=1, kg=-1), "mA/g"),
    "capacity": (Dimension(A=1, s=1), "mAh"),
    "areal capacity": (Dimension(A=1, s=1, m=-2), "mAh/cm2"),
    "specific capacity": (Dimension(A=1, s=1, kg=-1), "mAh/g"),
    "power": (_WATT, "W"),
    "resistance": (_OHM, "ohm"),
    "duration": (Dimension(s=1), "h"),
    "frequency": (Dimension(s=-1), "Hz"),
    "temperature": (Dimension(K=1), "degC"),
    "temperature difference": (Dimension(K=1), "K"),
    "area": (Dimension(m=2), "cm2"),
    "length": (Dimension(m=1), "um"),
    "mass": (Dimension(kg=1), "mg"),
    "ratio": (Dimension(kind="ratio"), "%"),
    "shift": (Dimension(kind="shift"), "ppm"),
    "angle": (Dimension(kind="angle"), "deg"),
}

_NUMBER = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*?)\s*\Z")
_RATE = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)?\s*C\s*(?:/\s*(\d+(?:\.\d*)?|\.\d+))?\s*\Z")
_FACTOR = re.compile(r"([^\W\d]+|[%Ω°µμ]\w*)(?:\^?(-?\d))?\Z")


def _unit(symbol: str) -> tuple[float, Dimension]:
    if symbol in _UNITS:
        factor, dimension, _ = _UNITS[symbol]
        return factor, dimension
    prefix, rest = symbol[:1], symbol[1:]
    if prefix in _PREFIXES and rest in _UNITS and _UNITS[rest][2]:
        factor, dimension, _ = _UNITS[rest]
        return _PREFIXES[prefix] * factor, dimension
    raise UnitError(f"unknown unit '{symbol}'")


def _compound(text: str) -> tuple[float, Dimension]:
    factor, dimension = 1.0, Dimension()
    for position, part in enumerate(text.split("/")):
        sign = -1 if position else 1
        for piece in re.split(r"[*·\s]+", part.strip()):
            match = _FACTOR.match(piece)
            if match is None:
                raise UnitError(f"unknown unit '{text}'")
            one, base = _unit(match[1])
            power = sign * int(match[2] or 1)
            factor *= one**power
            dimension = dimension.times(base, power)
    return factor, dimension


def parse(text: object, kind: str) -> float:
    """Read a quantity such as ``"4.3 V"`` and return it in SI units.

    Parameters
    ----------
    text : object
        What stood in the file: a string of number and unit. A bare number is refused.
    kind : str
        A key of :data:`KINDS`. Temperatures may be given in degC or K and are returned in K; a current may not be
        given as a current density, and so on.

    Returns
    -------
    float
        The value in SI units (A, V, s, K, m2, C, Hz, rad; a ratio as a fraction; a shift in ppm).

    Raises
    ------
    UnitError
        If there is no unit, an unknown one, or one of another kind; the message says what was found.
    """
    dimension, _ = KINDS[kind]
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise UnitError(f"expected a {kind} with its unit, found {type(text).__name__}")
    match = _NUMBER.match(str(text))
    if match is None:
        raise UnitError(f"'{text}' is not a number with a unit")
    number, symbol = float(match[1]), match[2]
    if not math.isfinite(number):
        raise UnitError(f"'{text}' is not a finite number")
    if not symbol:
        raise UnitError(f"'{text}' has no unit")
    if symbol in _CELSIUS:
        if kind != "temperature":
            raise UnitError(f"'{text}' is a temperature, not a {kind}")
        if number < -273.15:
            raise UnitError(f"'{text}' lies below absolute zero")
        return number + 273.15
    factor, found = _compound(symbol)
    if found != dimension:
        raise UnitError(f"'{symbol}' is not a unit of {kind}")
    value = number * factor
    if kind == "temperature" and value < 0:
        raise UnitError(f"'{text}' lies below absolute zero")
    if not math.isfinite(value):
        raise UnitError(f"'{text}' is too large")
    return value


def c_rate(text: object) -> float | None:
    """Read a C-rate such as ``"0.2C"`` or ``"C/5"`` in 1/s, None where it is none.

    Times the capacity of a cell in C it is a current in A. Only where a current is asked for: ``C`` is a coulomb too.
    """
    match = _RATE.match(text) if isinstance(text, str) else None
    if match is None:
        return None
    number, divisor = float(match[1] or 1), float(match[2] or 1)
    rate = number / divisor / 3600.0 if divisor > 0 else math.inf
    return rate if math.isfinite(rate) else None


def fits(text: object, kind: str) -> bool:
    """Whether ``text`` reads as a quantity of this ``kind``."""
    try:
        parse(text, kind)
    except UnitError:
        return False
    return True


def show(value: float, unit: str, digits: int = 4) -> str:
    """Write an SI value in ``unit``: ``show(2.0, "mA/cm2")`` is ``"0.2 mA/cm2"``."""
    if unit in _CELSIUS:
        return f"{value - 273.15:.{digits}g} {unit}"
    factor, _ = _compound(unit)
    return f"{value / factor:.{digits}g} {unit}"


def unit_pattern(kind: str) -> str:
    """Give a regular expression for the units of a kind, for editors: every one that is read, and few others.

    Units of one symbol are listed; of compound ones only the form is told.
    """
    dimension = KINDS[kind][0]
    prefixes = "".join(_PREFIXES)
    known = [
        f"[{prefixes}]?{symbol}" if prefixed else symbol
        for symbol, (_, found, prefixed) in _UNITS.items()
        if found == dimension
    ]
    known += _CELSIUS if kind == "temperature" else ()
    return "|".join([*known, r"[^\s\d.+-][^\d/*·^\s-]*[\d/*·^\s-].*"])


def example_unit(kind: str) -> str:
    """Give the unit that messages suggest for this ``kind``."""
    return KINDS[kind][1]


def quantity(number: float, unit: str) -> tuple[float, Dimension]:
    """Give a number with any unit in SI, and what kind of quantity that is.

    Raises
    ------
    UnitError
        The unit is unknown, or the temperature lies below absolute zero.
    """
    if unit in _CELSIUS:
        return parse(f"{number!r} {unit}", "temperature"), KINDS["temperature"][0]
    factor, dimension = _compound(unit)
    return number * factor, dimension


def is_unit(symbol: str) -> bool:
    """Whether a single symbol, perhaps with a power, is a unit: ``mAh``, ``cm2``, ``%``."""
    try:
        quantity(1.0, symbol)
    except UnitError:
        return False
    return True


#: One milliampere hour in coulomb.
MAH: Final = 3.6
