"""How numbers and times are spelled in a procedure file."""

from __future__ import annotations

import math
from typing import Final

from labctl.instruments import LONGEST_STEP
from labctl.instruments.faults import OutOfRange

#: Half of the last decimal.
_SMALLEST: Final = 0.5e-10
#: Kelvin at 0 degC.
ZERO_CELSIUS: Final = 273.15


def clock_text(seconds: float) -> str:
    """``HH:MM:SS``, rounded up to a whole second; 1 s at least.

    Raises
    ------
    OutOfRange
        Beyond 99 h.
    """
    whole = max(1, math.ceil(seconds - 1e-6))
    if whole > LONGEST_STEP:
        raise OutOfRange(f"a step of {seconds / 3600:.1f} h is longer than the tester's 99 h; split it")
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def clock_seconds(text: str) -> float:
    """Seconds of a time; parts may be empty. Raises ``ValueError``."""
    hours, minutes, seconds = (float(part or 0) for part in text.split(":"))
    return 3600 * hours + 60 * minutes + seconds


def number_text(value: float) -> str:
    """Write a plain decimal number: the tester's spelling of powers of ten is unverified.

    Raises
    ------
    OutOfRange
        Too small for ten decimals: it would become zero.
    """
    if 0 < abs(value) < _SMALLEST:
        raise OutOfRange(f"{value:g} is too small for a procedure file")
    text = f"{value:.10f}".rstrip("0")
    return text + "0" if text.endswith(".") else text


def celsius(kelvin: float) -> float:
    """Temperature as a procedure says it, in degC to 1 mK."""
    return round(kelvin - ZERO_CELSIUS, 3)
