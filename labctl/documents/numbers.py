"""Numbers of channels and relays as people write them: ``1-8``, ``1-4, 7``, ``[1, 2, 5]``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from labctl.documents.validation import describe, expected

_SPAN: Final = re.compile(r"\s*(\d{1,6})(?:\s*-\s*(\d{1,6}))?\s*\Z")
_RIGHT: Final = "write for example '1-8' or '[1, 2, 5]', counted from 1"
_MOST: Final = 10_000


@dataclass(frozen=True)
class Numbers:
    """Marks a tuple of different whole numbers from 1, in the order written."""

    @staticmethod
    def read(value: Any) -> tuple[int, ...]:
        """Turn what stands in the file into numbers."""
        parts = value if isinstance(value, list) else str(value).split(",") if isinstance(value, (str, int)) else None
        if not parts or isinstance(value, bool):
            raise expected(f"{describe(value, None)}, not a list of numbers", _RIGHT)
        numbers: list[int] = []
        for part in parts:
            match = None if isinstance(part, bool) else _SPAN.match(str(part))
            if match is None:
                raise expected(f"'{part}' is not a number or a span of numbers", _RIGHT)
            first, last = int(match[1]), int(match[2] or match[1])
            if first < 1 or last < first or last - first >= _MOST:
                raise expected(f"the span '{part}' runs backwards or from 0", _RIGHT)
            numbers += range(first, last + 1)
            if len(numbers) > _MOST:
                raise expected(f"more than {_MOST} numbers", _RIGHT)
        seen: set[int] = set()
        for number in numbers:
            if number in seen:
                raise expected(f"the number {number} stands twice in '{value}'", "name each number once")
            seen.add(number)
        return tuple(numbers)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read a span, a number or a list."""
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Offer all three forms."""
        return {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {
                    "type": "string",
                    "pattern": r"^\s*\d+(\s*-\s*\d+)?(\s*,\s*\d+(\s*-\s*\d+)?)*\s*$",
                    "errorMessage": _RIGHT,
                },
                {"type": "array", "items": {"type": ["integer", "string"]}, "minItems": 1},
            ],
            "examples": ["1-8", [1, 2, 5]],
        }
