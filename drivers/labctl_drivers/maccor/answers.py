"""The smaller answers of the catalogue as typed data: auxiliary inputs, flags and variables, end status. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from labctl.instruments.faults import Garbled
from labctl_drivers.maccor.members import finite, listed, text, whole

#: Variables of a channel, VAR1 to VAR15.
VARIABLES: Final = 15

_FLAGS: Final = re.compile(r"0x[0-9A-Fa-f]{1,8}\Z")
#: How auxiliary units spell a temperature, and what makes it K.
_KELVIN: Final[Mapping[str, float]] = {"C": 273.15, "°C": 273.15, "degC": 273.15, "K": 0.0}


@dataclass(frozen=True, slots=True)
class EndStatus:
    """Answer to (4,10).

    Attributes
    ----------
    ends : int
        How many End steps the procedure has.
    reached : int
        Which of them ended the test, from 1; 0 while it runs.
    """

    ends: int
    reached: int

    @classmethod
    def read(cls, result: Mapping[str, Any]) -> EndStatus:
        """Read a result. Raises ``Garbled`` where it is none, or names an End step that the procedure has not."""
        ends, reached = (whole(result, member, "(4,10)") for member in ("NumOfEnds", "EndNum"))
        if reached > ends:
            raise Garbled(f"the answer to (4,10) names End step {reached} of {ends}")
        return cls(ends, reached)

    @property
    def failed(self) -> bool:
        """Whether the test came to an End step after the first one, which is how a procedure says FAIL."""
        return self.reached > 1


@dataclass(frozen=True, slots=True)
class Memory:
    """Answer to (4,8): the tester's global flags, and the variables of one channel, VAR1 first."""

    flags: int
    variables: tuple[float, ...]

    @classmethod
    def read(cls, result: Mapping[str, Any]) -> Memory:
        """Read a result. Raises ``Garbled``."""
        values = listed(result, "VARs", "(4,8)", VARIABLES)
        return cls(flags(result, "GlobFlags", "(4,8)"), tuple(finite(value, "VARs", "(4,8)") for value in values))


def flags(result: Mapping[str, Any], member: str, what: str) -> int:
    """Read 32 flags, which travel as ``0x00000020``. Raises ``Garbled``."""
    found = text(result, member, what)
    if not _FLAGS.match(found):
        raise Garbled(f"the answer to {what} tells '{found[:20]}' for {member}")
    return int(found, 16)


def auxiliary_units(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Units of a channel's auxiliary inputs, from (4,5). Raises ``Garbled``."""
    return tuple(text({"AuxUnit": unit}, "AuxUnit", "(4,5)") for unit in listed(result, "AuxUnit", "(4,5)"))


def kelvin_offset(unit: str) -> float | None:
    """What added to a value in ``unit`` gives K; None where the unit is no temperature."""
    return _KELVIN.get(unit)


def auxiliary(result: Mapping[str, Any], index: int) -> float:
    """Value of auxiliary input ``index`` (from 1) in its own unit, from (4,4). Raises ``Garbled``."""
    values = listed(result, "AuxValues", "(4,4)")
    if index > len(values):
        raise Garbled(f"the answer to (4,4) has {len(values)} auxiliary inputs, input {index} is asked for")
    return finite(values[index - 1], f"input {index}", "(4,4)")
