"""What Thales answers, as numbers and faults.

Source of the forms: the patterns that the vendor's client reads, and its notebooks. Of the error numbers only 100
(parameter out of range) is known from there; the others stand in the vendor's manual, which was not at hand.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from labctl.instruments import Garbled, OutOfRange, Refused

OLDEST: Final = (5, 9, 3)

_NUMBER: Final = r"\s*([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)"
#: No workstation measures so many volts.
_HIGHEST: Final = 1e4
_ERROR: Final = re.compile(r"ERROR(?:;(-?\d+))?(?:;(-?\d+))?.*")
_POTENTIAL: Final = re.compile(rf"potential={_NUMBER}\s*V?")
_SETUP: Final = re.compile(r"OK;SETUP;(.*);ENDSETUP")
_IDENTITY: Final = re.compile(r"(.*);(.*);([a-zA-Z]*)")
_VERSION: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_SHOWN: Final = ("Pset", "Cset", "Ampl", "Pot", "Gal", "GAL", "Cmin", "Cmax", "Pmin", "Pmax")


def checked(command: str, reply: str) -> str:
    """Give ``reply`` back unless it is an error.

    Raises
    ------
    OutOfRange
        Error 100.
    Refused
        Any other error, with its numbers.
    """
    if "ERROR" not in reply:
        return reply
    match = _ERROR.fullmatch(reply)
    kind = OutOfRange if match is not None and match[1] == "100" else Refused
    raise kind(f"Thales answers {reply} to {command}")


def done(command: str, reply: str) -> None:
    """Check the answer to a setting. Raises as :func:`checked`, or ``Garbled`` where it is not OK."""
    if checked(command, reply) != "OK":
        raise Garbled(f"'{reply}' is no answer to {command}")


def swept(reply: str) -> None:
    """Check the answer to ``EIS``, whose text is unverified. Raises ``Garbled`` for what is plainly another answer."""
    if "EIS" not in reply and "ERROR" not in reply:
        raise Garbled(f"'{reply}' is no answer to EIS")


def potential(reply: str) -> float:
    """Voltage in V. Raises ``Garbled``, ``Refused``."""
    match = _POTENTIAL.fullmatch(checked("POTENTIAL", reply))
    if match is None or not abs(float(match[1])) < _HIGHEST:
        raise Garbled(f"'{reply}' is no potential")
    return float(match[1])


@dataclass(frozen=True, slots=True)
class Setup:
    """What ``SENDSETUP`` shows: set-points in V and A, amplitude in mV or mA, switches, and limits in V and A."""

    values: dict[str, float]
    text: str

    def __getitem__(self, name: str) -> float:
        return self.values[name]

    @property
    def off(self) -> bool:
        """Whether the source is off."""
        return self.values["Pot"] == 0


def setup(reply: str) -> Setup:
    """Read ``SENDSETUP``. Raises ``Garbled``, ``Refused``."""
    match = _SETUP.fullmatch(checked("SENDSETUP", reply))
    if match is None:
        raise Garbled(f"'{reply}' is no set-up")
    values = {}
    for part in match[1].split(";"):
        name, _, value = part.partition("=")
        try:
            values[name] = float(value)
        except ValueError as error:
            raise Garbled(f"'{part}' in the set-up is no number") from error
        if not math.isfinite(values[name]):
            raise Garbled(f"'{part}' in the set-up is no number")
    missing = [name for name in _SHOWN if name not in values]
    if missing:
        raise Garbled(f"the set-up does not show {', '.join(missing)}")
    return Setup(values, reply)


def identity(reply: str) -> tuple[str, str]:
    """Read ``ALLNUM``: (serial, model). Raises ``Garbled``, ``Refused``."""
    match = _IDENTITY.fullmatch(checked("ALLNUM", reply))
    if match is None:
        raise Garbled(f"'{reply}' names no device")
    return match[2], match[3]


def devcli(reply: str, name: str) -> str:
    """Third field of a DevCli answer to connection ``name``. Raises ``Garbled``."""
    fields = reply.split(",", 2)
    if len(fields) < 3 or fields[0] != "128" or fields[1] != name:
        raise Garbled(f"'{reply}' is no answer of Term to {name}")
    return fields[2]


def version(field: str) -> str | None:
    """Thales version in the field, ``devel`` included; None where there is none or it is older than supported."""
    match = _VERSION.search(field)
    if match is None:
        return field if "devel" in field else None
    return match[0] if tuple(int(part) for part in match.groups()) >= OLDEST else None
