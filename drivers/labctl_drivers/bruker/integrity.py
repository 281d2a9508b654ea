"""Whether the numbers of a ``fid`` can be what its parameters say: form, size, and that all of it was written.

What is wrong is told, nothing is put right. Reading the decay itself, with NC and the digital filter's delay applied,
is the analysis' part.

Facts: number formats and byte orders as nmrglue reads real data; that a fid is filled with zeros before it is measured
as reported in public scripts. That no receiver gives a page of zeros is taken for granted: its noise is in there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from labctl_drivers.bruker.dataset import Value, scalar

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: A run of so many bytes of zeros is one that nobody measured; the silence before a digital filter's onset is shorter.
PAGE: Final = 4096
_KINDS: Final = {"0": "i4", "2": "f8"}
_ORDERS: Final = {"0": "<", "1": ">"}
#: Largest exponent of NC that makes sense of 32 bit.
_EXPONENT: Final = 62


def fault_of(parameters: Mapping[str, Value], fid: bytes) -> str | None:
    """Name what is wrong with a ``fid``, or nothing.

    Parameters
    ----------
    parameters : mapping
        ``acqus``, as :func:`labctl_drivers.bruker.dataset.parse_parameters` gives it.
    fid : bytes
        The file.
    """
    # Not for those who only want to know what this driver can do.
    import numpy as np

    given = dict(parameters)
    contradiction = _contradiction(given)
    if contradiction is not None:
        return contradiction
    kind = _ORDERS[scalar(given, "BYTORDA") or "0"] + _KINDS[scalar(given, "DTYPA") or "0"]
    numbers = np.frombuffer(fid, dtype=kind) if len(fid) % np.dtype(kind).itemsize == 0 else None
    wanted = int(_number(given, "TD") or 0)
    if numbers is None or numbers.size != wanted:
        return f"fid has {len(fid)} bytes where TD asks for {wanted * np.dtype(kind).itemsize}"
    if not np.all(np.isfinite(numbers)):
        return "fid holds values that are no numbers"
    return _unwritten(numbers)


def _contradiction(given: dict[str, Value]) -> str | None:
    """Name what in the parameters makes no sense."""
    for name, known in (("DTYPA", _KINDS), ("BYTORDA", _ORDERS)):
        if (scalar(given, name) or "0") not in known:
            return f"{name} is {scalar(given, name)}, a number format that nobody knows here"
    points, width = _number(given, "TD"), _number(given, "SW_h")
    if points is None or points < 2 or points % 2:
        return f"TD is {scalar(given, 'TD')}: real and imaginary points come in pairs"
    if width is None or width <= 0:
        return f"SW_h is {scalar(given, 'SW_h')}"
    exponent = _number(given, "NC", 0.0)
    if exponent is None or exponent != round(exponent) or abs(exponent) > _EXPONENT:
        return f"NC is {scalar(given, 'NC')}, no exponent of two for these numbers"
    delay = _number(given, "GRPDLY", 0.0)
    if delay is None or delay >= points / 2:
        return f"GRPDLY is {scalar(given, 'GRPDLY')}: the digital filter would last longer than the decay"
    return None


def _unwritten(numbers: NDArray[Any]) -> str | None:
    """Name a stretch of zeros that no receiver gives."""
    import numpy as np

    (measured,) = np.nonzero(numbers)
    # The gaps before, between and after what is not zero.
    edges = np.concatenate(([-1], measured, [numbers.size]))
    gaps = np.diff(edges) - 1
    longest = int(np.argmax(gaps))
    if gaps[longest] * numbers.itemsize < min(PAGE, numbers.nbytes // 2):
        return None
    if longest == gaps.size - 1:
        return "the end of fid is empty: it was filled before the acquisition, not by it"
    first = int(edges[longest]) + 1
    return f"fid has a hole: {gaps[longest]} zeros from point {first} on"


def _number(given: dict[str, Value], name: str, default: float | None = None) -> float | None:
    text = scalar(given, name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
