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

_DAY: Final = "|".join(DAYS)
_TIME: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_RANGE: Final = re.compile(rf"(?P<first>{_DAY})(?:-(?P<last>{_DAY}))? (?P<begin>{_TIME})-(?P<end>{_TIME}|24:00)\Z")
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
        one = rf"\s*({_DAY})(-({_DAY}))? {_TIME}-({_TIME}|24:00)\s*"
        return {"type": "string", "pattern": rf"^({ALWAYS}|{one}(;{one})*)$", "examples": ["Mo-Fr 08:00-19:00"]}


def _check(part: str) -> None:
    match = _RANGE.match(part)
    if match is None:
        raise expected(f"'{part}' are no working hours", _RIGHT)
    if match["last"] is not None and DAYS.index(match["last"]) < DAYS.index(match["first"]):
        found = f"the days '{match['first']}-{match['last']}' run backwards"
        raise expected(found, "begin the week with Mo and write two ranges: 'Sa-Su 09:00-12:00; Mo 08:00-19:00'")
    if match["begin"] >= match["end"]:
        found = f"the hours '{match['begin']}-{match['end']}' never come: they end before they begin"
        raise expected(found, "write hours over midnight as two ranges: 'Mo 22:00-24:00; Tu 00:00-06:00'")
