"""Which cycles: one small grammar, wherever a protocol chooses cycles.

``5``, ``1-10``, ``3-`` (and all that follow), ``every 5``, ``every 5 from 10``, ``last``, several of them joined by
commas, in any order. ``then`` says that a part comes after all before it: ``1-10, then every 5`` is 1 to 10, 15, 20 and
so on. Cycles are counted from 1 through the whole protocol; ``last`` is the last one of what the selection stands in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from labctl.documents import describe, expected

#: A key of values by cycle: all cycles that no other key names.
OTHERS: Final = "others"

_NUMBER: Final = "[0-9]{1,6}"
_ONE: Final = rf"(?:{_NUMBER}(?:\s*-\s*(?:{_NUMBER})?)?|every\s+{_NUMBER}(?:\s+from\s+{_NUMBER})?|last)"
_ALL: Final = rf"\s*{_ONE}(?:\s*,\s*(?:then\s+)?{_ONE})*\s*"
_PART: Final = re.compile(
    rf"\s*(?P<then>then\s+)?(?:(?P<first>{_NUMBER})(?:\s*(?P<to>-)\s*(?P<last>{_NUMBER})?)?"
    rf"|every\s+(?P<every>{_NUMBER})(?:\s+from\s+(?P<start>{_NUMBER}))?|(?P<end>last))\s*\Z"
)
_RIGHT: Final = "write '5', '1-10', '3-' (and all that follow), 'every 5' or 'last', several with ','"
_MOST_PARTS: Final = 1000


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a selection.

    Attributes
    ----------
    first : int
        The first cycle; 0 for whatever is the last.
    last : int or None
        The last cycle, None for all that follow.
    every : int
        Every so many cycles from the first.
    then : bool
        Whether it was said to come after all parts before it.
    counted : bool
        Whether ``first`` follows from ``every`` instead of being written.
    """

    first: int
    last: int | None
    every: int = 1
    then: bool = False
    counted: bool = False

    def range(self, first: int, last: int) -> range:
        """Give its cycles among ``first`` to ``last``."""
        if self.first == 0:
            return range(max(first, last), last + 1)
        end = last if self.last is None else min(last, self.last)
        begin = self.first
        if begin < first:
            begin += -(-(first - begin) // self.every) * self.every
        return range(begin, end + 1, self.every)

    def __str__(self) -> str:
        before = "then " if self.then else ""
        if self.first == 0:
            return f"{before}last"
        if self.every > 1 or self.counted:
            return f"{before}every {self.every}" + ("" if self.counted else f" from {self.first}")
        if self.last == self.first:
            return f"{before}{self.first}"
        return f"{before}{self.first}-{'' if self.last is None else self.last}"


@dataclass(frozen=True, slots=True)
class Selection:
    """Some of the cycles.

    Attributes
    ----------
    parts : tuple of Part
        Empty for ``others``.
    written : str
        As it stands in the file.
    """

    parts: tuple[Part, ...]
    written: str

    @property
    def others(self) -> bool:
        """Whether it stands for what no other key names."""
        return not self.parts

    def ranges(self, first: int, last: int) -> Iterator[range]:
        """Give its cycles among ``first`` to ``last``, part by part."""
        return (part.range(first, last) for part in self.parts)

    def includes(self, cycle: int, last: int) -> bool:
        """Whether a cycle is one of them where ``last`` is the last."""
        return any(cycle in part.range(1, last) for part in self.parts)

    def cycles(self, first: int, last: int) -> tuple[int, ...]:
        """Give its cycles among ``first`` to ``last``, in order, each once."""
        return tuple(sorted({cycle for one in self.ranges(first, last) for cycle in one}))

    def __str__(self) -> str:
        return ", ".join(map(str, self.parts)) or OTHERS


def selection(text: str) -> Selection:
    """Read a selection.

    Raises
    ------
    pydantic_core.PydanticCustomError
        It is none, or names a cycle twice, told as a mistake of the file.
    """
    return Selection(_parts(text.split(",")), text)


def _parts(texts: Iterable[Any], *, each: bool = False) -> tuple[Part, ...]:
    """Read parts; where they are ``each`` an item of a list, a mistake stands at its item."""
    parts: list[Part] = []
    for index, text in enumerate(texts):
        at = (index,) if each else ()
        if len(parts) >= _MOST_PARTS:
            raise expected(f"more than {_MOST_PARTS} parts", "use spans, such as '1-10'", at)
        part = _part(str(text), parts, at)
        _once(part, parts, at)
        parts.append(part)
    return tuple(parts)


def _part(text: str, before: list[Part], at: tuple[int, ...]) -> Part:
    match = _PART.match(text)
    if match is None:
        raise expected(f"{describe(text, None)} is no selection of cycles", _RIGHT, at)
    then = match["then"] is not None
    after = _greatest(before, text, at) if then else 0
    if match["end"]:
        return Part(0, None, then=then)
    if match["every"]:
        every, start = int(match["every"]), match["start"]
        first = int(start) if start is not None else after + every
        part = Part(first, None, every, then, counted=start is None)
    else:
        first = int(match["first"])
        last = int(match["last"]) if match["last"] else None if match["to"] else first
        part = Part(first, last, then=then)
        every = 1
    if part.first < 1 or every < 1 or (part.last is not None and part.last < part.first):
        raise expected(f"the selection '{text.strip()}' runs backwards or from 0", _RIGHT, at)
    if then and part.first <= after:
        raise expected(f"'{text.strip()}' does not come after cycle {after}", f"begin with cycle {after + 1}", at)
    return part


def _greatest(before: list[Part], text: str, at: tuple[int, ...]) -> int:
    if not before:
        raise expected(f"nothing stands before '{text.strip()}'", "leave 'then' out", at)
    endless = next((part for part in before if part.last is None), None)
    if endless is not None:
        raise expected(f"'{endless}' goes on to the end, and nothing comes after it", "say where it ends, '3-10'", at)
    return max(part.last or 0 for part in before)


def _once(part: Part, before: list[Part], at: tuple[int, ...]) -> None:
    """Refuse a cycle that is written twice; what ``every`` meets besides does no harm."""
    if part.last is None:
        return
    for other in before:
        if other.last is not None and part.first <= other.last and other.first <= part.last:
            cycle = max(part.first, other.first)
            raise expected(f"cycle {cycle} stands twice", "name each cycle once", at)


@dataclass(frozen=True)
class SelectionOf:
    """Marks a :class:`Selection`; a ``key`` of values by cycle may be ``others``, but no list."""

    key: bool = False

    def read(self, value: Any) -> Selection:
        """Turn what stands in the file into a selection."""
        if self.key:
            return Selection((), OTHERS) if value == OTHERS else selection(str(value))
        if isinstance(value, list) and value:
            wrong = next((at for at, one in enumerate(value) if not _sayable(one)), None)
            if wrong is not None:
                raise expected(f"{describe(value[wrong], None)}, not a cycle", _RIGHT, (wrong,))
            return Selection(_parts(value, each=True), ", ".join(str(one).strip() for one in value))
        if not _sayable(value):
            found = "the list is empty" if isinstance(value, list) else f"{describe(value, None)}, not some cycles"
            raise expected(found, _RIGHT)
        return selection(str(value))

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read text, a number or a list of both."""
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Offer all forms."""
        if self.key:
            return {"type": "string", "pattern": f"^(?:{_ALL}|{OTHERS})$", "errorMessage": f"{_RIGHT}, or '{OTHERS}'"}
        examples = ["1-10, then every 5", "every 5", "last", "3-"]
        text = {"type": "string", "pattern": f"^{_ALL}$", "examples": examples, "errorMessage": _RIGHT}
        number = {"type": "integer", "minimum": 1, "maximum": 999_999}
        part = {"type": "string", "pattern": rf"^\s*(?:then\s+)?{_ONE}\s*$"}
        return {"anyOf": [number, text, {"type": "array", "items": {"anyOf": [number, part]}, "minItems": 1}]}


def _sayable(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool)
