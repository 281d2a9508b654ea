"""Working hours as a station file says them, checked for their form: ``Mo-Fr 08:00-19:00; Sa 09:00-12:00``.

Whether somebody is there at an instant is the engine's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from labctl.documents import describe, expected

DAYS: Final = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
ALWAYS: Final = "always"

_DAY: Final = f"(?:{'|'.join(DAYS)})"
_DAY_RANGE: Final = f"{_DAY}(?:-{_DAY})?"
_TIME: Final = "(?:[01]?[0-9]|2[0-3]):[0-5][0-9]"
_TIMES: Final = rf"{_TIME}-(?:{_TIME}|24:00)"
_PART: Final = rf"\s*(?:{_DAY_RANGE}(?:,\s*{_DAY_RANGE})*\s+)?{_TIMES}(?:,\s*{_TIMES})*\s*"
_RIGHT: Final = "write for example 'Mo-Fr 08:00-19:00', several with ';', or 'always'"


@dataclass(frozen=True)
class WorkingHours:
    """Marks text that says when somebody is there."""

    @staticmethod
    def read(value: Any) -> str:
        """Check the text; it stays what it is."""
        if not isinstance(value, str):
            raise expected(f"{describe(value, None)}, not working hours", _RIGHT)
        if value.strip() == ALWAYS:
            return value
        for part in value.split(";"):
            _check(part.strip())
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read text."""
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Offer text of the pattern."""
        pattern = f"^({ALWAYS}|{_PART}(;{_PART})*)$"
        return {"type": "string", "pattern": pattern, "examples": ["Mo-Fr 08:00-19:00"], "errorMessage": _RIGHT}


def _check(part: str) -> None:
    if re.fullmatch(_PART, part) is None:
        raise expected(f"'{part}' are no working hours", _RIGHT)
    for times in re.findall(_TIMES, part):
        begin, _, end = times.partition("-")
        # Hours that end before they begin run over midnight.
        if begin.rjust(5, "0") == end.rjust(5, "0"):
            raise expected(f"the hours '{times}' never come", "the whole day is '00:00-24:00'")
