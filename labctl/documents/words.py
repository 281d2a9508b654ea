"""Annotated types for names and text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from labctl.documents.validation import describe, expected


@dataclass(frozen=True)
class Word:
    """Marks text that must match a pattern as a whole; ``right`` says the pattern in words."""

    pattern: str
    right: str

    def read(self, value: str) -> str:
        """Check the text."""
        if re.fullmatch(self.pattern, value) is None:
            raise expected(f"{describe(value, None)} cannot stand here", self.right)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read text."""
        return core_schema.no_info_after_validator_function(self.read, core_schema.str_schema())

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Offer text of the pattern."""
        return {"type": "string", "pattern": f"^(?:{self.pattern})$", "errorMessage": self.right}


#: What names things in ids, tokens and folders.
Name = Annotated[
    str, Word("[a-z0-9][a-z0-9-]{0,23}", "use lower-case letters, digits and '-', at most 24, such as 'bare-01'")
]
#: A line for people.
Text = Annotated[str, Word(r"[^\x00-\x1f]{1,300}", "write one line of text, such as 'some words'")]
