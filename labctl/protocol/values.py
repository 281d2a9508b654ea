"""Values that only protocols have: spans of cycles, and currents that change from cycle to cycle."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Discriminator, GetCoreSchemaHandler, GetJsonSchemaHandler, Tag
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from labctl.documents import Amount, AmountOf, expected

_SPAN: Final = re.compile(r"([0-9]{1,6})(?:(-)([0-9]{1,6})?)?\Z")
_RIGHT: Final = "write '1-2', '3-' (and all that follow) or '5'"


@dataclass(frozen=True, slots=True)
class Span:
    """Cycles from ``first`` to ``last``, both included; ``last`` is None for all that follow."""

    first: int
    last: int | None
    written: str

    def __contains__(self, cycle: int) -> bool:
        return self.first <= cycle and (self.last is None or cycle <= self.last)


@dataclass(frozen=True)
class _SpanText:
    @staticmethod
    def read(value: Any) -> Span:
        match = _SPAN.match(str(value))
        if match is None:
            raise expected(f"'{value}' is no span of cycles", _RIGHT)
        first = int(match[1])
        last = int(match[3]) if match[3] else None if match[2] else first
        if first < 1 or (last is not None and last < first):
            raise expected(f"the span '{value}' runs backwards or from 0", _RIGHT)
        return Span(first, last, str(value))

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": "^[0-9]+(-[0-9]*)?$"}


def _shape(value: Any) -> str:
    return "by cycle" if isinstance(value, Mapping) else "one"


#: Absolute, or per area of the electrode.
Current = Annotated[Amount, AmountOf(("current density", "current"))]
CurrentByCycle = dict[Annotated[Span, _SpanText()], Current]
#: One current for all cycles, or ``{1-2: 0.2 mA/cm2, 3-: 0.4 mA/cm2}``.
PerCycle = Annotated[
    Annotated[Current, Tag("one")] | Annotated[CurrentByCycle, Tag("by cycle")],
    Discriminator(_shape),
]


def in_cycle(value: Amount | Mapping[Span, Amount], cycle: int) -> Amount | None:
    """Give the current of a cycle, ``None`` if no span covers it."""
    if isinstance(value, Amount):
        return value
    return next((amount for span, amount in value.items() if cycle in span), None)
