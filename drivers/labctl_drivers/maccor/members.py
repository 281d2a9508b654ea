"""Reading the members of the tester's answers strictly: what is not exactly what it should be is ``Garbled``. Pure.

A number that came as text, a truth value where a count should be, a fraction of a step, or a value that is no number
must not become a state of a channel; the question is asked again instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from labctl.instruments.faults import Garbled

#: Codes of states, steps and reasons are single bytes on the binary port.
BYTE: Final = 255
#: Numbers are single precision on the tester: a larger one is none.
_LARGEST: Final = 3.5e38


def number(result: Mapping[str, Any], member: str, what: str) -> float:
    """Give a finite number. Raises ``Garbled``, which names the message ``what``."""
    return finite(result.get(member), member, what)


def finite(value: Any, member: str, what: str) -> float:
    """Check that a value is a finite number. Raises ``Garbled``."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Garbled(f"the answer to {what} tells {_shown(value)} for {member}")
    # Written so that it holds for what is no number, and for whole numbers that no float can be.
    if not abs(value) <= _LARGEST:
        raise Garbled(f"the answer to {what} holds a {member} that is no number")
    return float(value)


def whole(result: Mapping[str, Any], member: str, what: str, most: int = 0x7FFFFFFF) -> int:
    """Give a whole number from 0 to ``most``. Raises ``Garbled``."""
    found = number(result, member, what)
    if found != int(found) or not 0 <= found <= most:
        raise Garbled(f"the answer to {what} tells {found:g} for {member}")
    return int(found)


def listed(result: Mapping[str, Any], member: str, what: str, count: int | None = None) -> list[Any]:
    """Give a list, of ``count`` entries where that is known. Raises ``Garbled``."""
    found = result.get(member)
    if not isinstance(found, list):
        raise Garbled(f"the answer to {what} tells {_shown(found)} for {member}")
    if count is not None and len(found) != count:
        raise Garbled(f"the answer to {what} has {len(found)} entries in {member}, where {count} are due")
    return found


def text(result: Mapping[str, Any], member: str, what: str) -> str:
    """Give a text without the spaces around it. Raises ``Garbled``."""
    found = result.get(member)
    if not isinstance(found, str):
        raise Garbled(f"the answer to {what} tells {_shown(found)} for {member}")
    return found.strip()


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)[:40]
