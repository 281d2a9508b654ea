"""The bytes of a Term connection: one registration packet from the client, then telegrams both ways.

Seen in the vendor's open-source client: the registration carries its length big-endian, telegrams theirs
little-endian; nothing answers a registration. This module knows framing alone, no commands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

REGISTRATION: Final = bytes((0x12, 0xD0, 0xFF, 0xFF, 0xFF, 0xFF))

# Channels, as the third byte of a telegram says them.
SCRIPT: Final = 2
SIGN_OFF: Final = 4
DEVCLI: Final = 128
FILE_LENGTH: Final = 129
FILE_PATH: Final = 130
FILE_DATA: Final = 131
FILE_EXCHANGE: Final = 132


class NotAClient(Exception):
    """The first bytes on the socket are no registration."""


@dataclass(frozen=True, slots=True)
class Telegram:
    """One telegram: channel and payload."""

    channel: int
    payload: bytes


def pack(channel: int, payload: bytes | str = b"") -> bytes:
    """Frame ``payload`` (text becomes ASCII) for ``channel``; an empty payload gives a zero-length telegram."""
    data = payload.encode("ascii", "replace") if isinstance(payload, str) else payload
    return len(data).to_bytes(2, "little") + bytes((channel,)) + data


class Reader:
    """Collects what arrives in pieces of any size.

    Attributes
    ----------
    name : str
        The connection's name once registered, empty before.
    """

    def __init__(self) -> None:
        self.name = ""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Telegram]:
        """Take more bytes and give the telegrams that are now complete.

        Raises
        ------
        NotAClient
            If the connection does not begin with a registration.
        """
        buffer = self._buffer
        buffer += data
        if not self.name:
            if len(buffer) >= 8 and buffer[2:8] != REGISTRATION:
                raise NotAClient("no registration packet")
            length = int.from_bytes(buffer[:2], "big")
            if len(buffer) < 8 + length:
                return []
            self.name = buffer[8 : 8 + length].decode("ascii", "replace")
            del buffer[: 8 + length]
            if not self.name:
                raise NotAClient("registration without a name")
        telegrams = []
        while len(buffer) >= 3:
            length = int.from_bytes(buffer[:2], "little")
            if len(buffer) < 3 + length:
                break
            telegrams.append(Telegram(buffer[2], bytes(buffer[3 : 3 + length])))
            del buffer[: 3 + length]
        return telegrams
