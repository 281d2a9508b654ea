"""Questions of the stand-ins for BioLogic's library and EC-Lab's object, read from their lines; the form is ours."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*\Z")


class Asked(NamedTuple):
    """A question: its number, the call, its arguments, and whether these are of the kinds that the call takes."""

    number: int
    call: str
    arguments: list[Any]
    fits: bool


def read(line: str, takes: Mapping[str, str]) -> Asked | None:
    """Read a line; None where it is no question.

    Parameters
    ----------
    takes : mapping
        By call, a letter for each argument: ``i`` a whole number of 32 bits, ``b`` true or false, ``s`` text, ``h``
        bytes as hex.
    """
    try:
        asked = json.loads(line)
        number, call, arguments = asked["n"], asked["call"], asked["with"]
        kinds = takes[call]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(number, int) or not isinstance(arguments, list):
        return None
    fits = len(arguments) == len(kinds) and all(map(_is, arguments, kinds))
    return Asked(number, call, arguments, fits)


def _is(value: Any, kind: str) -> bool:
    if kind == "b" or isinstance(value, bool):
        return kind == "b" and isinstance(value, bool)
    if kind == "i":
        return isinstance(value, int) and -(2**31) <= value < 2**31
    return isinstance(value, str) and (kind == "s" or _HEX.match(value) is not None)
