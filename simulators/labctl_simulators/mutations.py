"""Messages that are almost right: what a bad line, a wrong program or another version of the other side may send.

Seeded: the same random generator gives the same messages. Knows no protocol, only bytes, numbers in text, and brackets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

_NUMBER: Final = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_WINDOW: Final = 400
_WORD: Final = re.compile(rb"[A-Za-z_]{2,}")
_ODD: Final = (
    b"NaN", b"Infinity", b"-Infinity", b"nan", b"inf", b"1e999", b"-1e308", b"1e-320", b"9" * 40, b"9" * 5000, b"-0",
    b"0x1F", b"1_000", b"1,5", b"", b"null", b"true", b"[]", b"{}", b'"7"', b"18446744073709551616", b"-32768",
    b"\xd9\xa3", b"1e5", b"0.0",
)  # fmt: skip
_ENCODINGS: Final = ("utf-16", "utf-32", "utf-8-sig", "cp037")


def mutated(message: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Give ``message`` with one to three things wrong.

    Parameters
    ----------
    message : bytes
        A valid one.
    others : sequence of bytes
        Further valid ones, to splice with.
    random : Random
        Decides.
    """
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        message = random.choice(_WAYS)(message, others, random)
    return message


def _around(pattern: re.Pattern[bytes], message: bytes, random: Random) -> list[re.Match[bytes]]:
    """Find what is near some place of a message that may be long."""
    begin = random.randrange(max(1, len(message) - _WINDOW))
    return list(pattern.finditer(message, begin, begin + _WINDOW))


def _flip(message: bytes, others: Sequence[bytes], random: Random) -> bytes:
    del others
    changed = bytearray(message)
    for _ in range(random.choice((1, 1, 2, 8))):
        if changed:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _truncate(message: bytes, others: Sequence[bytes], random: Random) -> bytes:
    del others
    return message[: random.randrange(len(message) + 1)]


def _behead(message: bytes, others: Sequence[bytes], random: Random) -> bytes:
    del others
    return message[random.randrange(len(message) + 1) :]


def _splice(message: bytes, others: Sequence[bytes], random: Random) -> bytes:
    other = random.choice(others) if others else message
    return message[: random.randrange(len(message) + 1)] + other[random.randrange(len(other) + 1) :]


def _twice(message: bytes, others: Sequence[bytes], random: Random) -> bytes:
    del others
    begin = random.randrange(len(message) + 1)
    piece = message[begin : begin + random.randrange(1, 20)]
    return message[:begin] + piece * random.choice((1, 2, 50)) + message[begin:]


def _number(message: bytes, others: Sequence[bytes], random: Random) -> bytes:
    del others
    found = _around(_NUMBER, message, random)
    if not found:
        return message + random.choice(_ODD)
    chosen = random.choice(found)
    return message[: chosen.start()] + random.choice(_ODD) + message[chosen.end() :]


def _word(message: bytes, others: Sequence[bytes], random: Random) -> bytes:
    del others
    found = _around(_WORD, message, random)
    if not found:
        return message
    chosen = random.choice(found)
    other = random.choice((chosen[0].swapcase(), chosen[0][:-1], chosen[0] * 3, b"", b"\xe9\xe8", b"null"))
    return message[: chosen.start()] + other + message[chosen.end() :]


def _nest(message: bytes, others: Sequence[bytes], random: Random) -> bytes:
    del others
    depth = random.choice((3, 200, 20_000))
    opening, closing = random.choice(((b"[", b"]"), (b'{"a":', b"}")))
    found = _around(_NUMBER, message, random)
    inside = opening * depth + b"1" + closing * random.choice((depth, depth, depth - 1))
    if not found:
        return inside + message[-2:]
    chosen = random.choice(found)
    return message[: chosen.start()] + inside + message[chosen.end() :]


def _encode(message: bytes, others: Sequence[bytes], random: Random) -> bytes:
    del others
    return message.decode("latin-1").encode(random.choice(_ENCODINGS), "replace")


def _noise(message: bytes, others: Sequence[bytes], random: Random) -> bytes:
    del others
    return random.randbytes(random.choice((1, 3, len(message), 300))) + message[-2:]


def _ends(message: bytes, others: Sequence[bytes], random: Random) -> bytes:
    del others
    end = random.choice((b"", b"\r", b"\n", b"\r\n", b"\n\r", b"\0", b"\r\n\r\n", b" \r\n"))
    return message.rstrip(b"\r\n") + end


_WAYS: Final[tuple[Callable[[bytes, Sequence[bytes], Random], bytes], ...]] = (
    _flip, _flip, _truncate, _behead, _splice, _twice, _number, _number, _number, _word, _nest, _encode, _noise, _ends,
)  # fmt: skip
