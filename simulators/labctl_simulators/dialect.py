"""What every wire's language offers to a fault: the base of all dialects, and how a number in a text is changed.

The dialects themselves are in :mod:`labctl_simulators.dialects`, those of the chambers in
:mod:`labctl_simulators.chamber_dialects`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import Final

#: Stands in ``Instead.back`` for a request that is passed on, but later.
HELD: Final = b"\0held"

NUMBER: Final = re.compile(rb"(?<![A-Za-z0-9_.])[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![A-Za-z0-9_.])")


@dataclass(frozen=True, slots=True)
class Instead:
    """What happens in place of passing a request on.

    Attributes
    ----------
    onward : bytes
        What the instrument gets; nothing if empty.
    back : bytes
        What the client gets at once; :data:`HELD` for passing the request on after the fault's time.
    """

    onward: bytes = b""
    back: bytes = b""


class Dialect:
    """A wire of which nothing is known: nothing can be told apart, so nothing with a meaning can be spoilt."""

    def declined(self, request: bytes, *, busy: bool) -> Instead | None:
        """Answer a request in the instrument's place, by a refusal or as busy."""
        del request, busy
        return None

    def shifted(self, reply: bytes, random: Random) -> bytes | None:
        """Give the reply as if it were about another channel, or to another question where there are no channels."""
        del reply, random
        return None

    def falsified(self, reply: bytes, random: Random) -> bytes | None:
        """Give the reply with one number in it changed."""
        del reply, random
        return None

    def passing(self, reply: bytes) -> bytes:
        """Look at a reply that passes unspoilt; a refusal that shows only later is told here."""
        return reply


def other_number(text: str, random: Random) -> str:
    """Change a number: another digit, the other sign, or a decimal point that has slipped; never the same value."""
    value = float(text)
    whole = re.fullmatch(r"[+-]?\d+", text) is not None
    places = [index for index, letter in enumerate(text) if letter.isdigit()]
    while True:
        way = random.choice(("digit", "digit", "sign", "slip"))
        if way == "digit":
            place = random.choice(places)
            changed = text[:place] + random.choice("0123456789") + text[place + 1 :]
        elif way == "sign":
            changed = text[1:] if text[0] == "-" else "-" + text.removeprefix("+")
        else:
            changed = str(int(value) * 10) if whole else repr(value * 10)
        if float(changed) != value:
            return str(int(changed)) if whole else changed
        if value == 0 and way == "slip":
            return "10" if whole else "0.1"


def other_in(text: bytes, random: Random) -> bytes | None:
    """Change one number of a text; None where it has none."""
    numbers = list(NUMBER.finditer(text))
    if not numbers:
        return None
    chosen = random.choice(numbers)
    return text[: chosen.start()] + other_number(chosen[0].decode(), random).encode() + text[chosen.end() :]
