"""One TCP connection to Term: registration, telegrams, channels. No meaning of commands here.

Source: read in the vendor's open-source client, and driven against it. The registration's length is big-endian,
telegrams' lengths are little-endian; nothing answers a registration; answers have no number and are matched to
questions by their order on a channel.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from labctl.instruments import Garbled, NotReachable, TimedOut

# Channels, as the third byte of a telegram says them.
SCRIPT: Final = 2
SIGN_OFF: Final = 4
DEVCLI: Final = 128
FILE_LENGTH: Final = 129
FILE_PATH: Final = 130
FILE_DATA: Final = 131
_KNOWN: Final = frozenset((SCRIPT, 42, DEVCLI, FILE_LENGTH, FILE_PATH, FILE_DATA, 132))

_REGISTRATION: Final = bytes.fromhex("12D0FFFFFFFF")
_OPEN_TIMEOUT: Final = 2.0


def registration(name: str) -> bytes:
    """First bytes on a connection, which name it."""
    return len(name).to_bytes(2, "big") + _REGISTRATION + name.encode("ascii")


def telegram(channel: int, payload: bytes | str) -> bytes:
    """Frame one telegram; text is ASCII.

    Raises
    ------
    UnicodeEncodeError
        For text that is not ASCII, which the instrument cannot read.
    """
    data = payload.encode("ascii") if isinstance(payload, str) else payload
    return len(data).to_bytes(2, "little") + bytes((channel,)) + data


class Wire(asyncio.Protocol):
    """A registered connection and what has come in on it.

    Parameters
    ----------
    name : str
        ``ScriptRemote`` for script commands, ``Logging`` for the online display, anything else for DevCli and files.
    patience : callable
        Gives the running loop's seconds that correspond to real ones.
    """

    def __init__(self, name: str, patience: Callable[[float], float] = float) -> None:
        self.name = name
        self._patience = patience
        self.owes: str | None = None
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._arrived: dict[int, deque[bytes]] = {}
        self._waiter: asyncio.Future[None] | None = None
        self._broken: str | None = None
        self._garbled = False

    @classmethod
    async def open(cls, host: str, port: int, name: str, patience: Callable[[float], float] = float) -> Wire:
        """Connect and register.

        Parameters
        ----------
        host, port : str, int
            Where Term listens.
        name : str
            Of the connection.
        patience : callable
            Gives the running loop's seconds that correspond to real ones, in which all time-outs here are given.

        Raises
        ------
        NotReachable
            Nobody listens there.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(patience(_OPEN_TIMEOUT)):
                _, wire = await loop.create_connection(lambda: cls(name, patience), host, port)
        except (OSError, TimeoutError) as error:
            raise NotReachable(f"no connection to Term ({error or 'no answer'})") from error
        wire._write(registration(name))
        return wire

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self._transport = None
        self._break(f"the connection {self.name} was lost" + (f" ({exc})" if exc else ""))

    def data_received(self, data: bytes) -> None:
        """Sort complete telegrams by channel; empty ones mean nothing."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= 3:
            length, channel = int.from_bytes(buffer[:2], "little"), buffer[2]
            if channel not in _KNOWN:
                self._garbled = True
                self._break(f"a telegram of unknown channel {channel} on {self.name}")
                return
            if len(buffer) < 3 + length:
                break
            if length:
                self._arrived.setdefault(channel, deque()).append(bytes(buffer[3 : 3 + length]))
            del buffer[: 3 + length]
        self._wake()

    @property
    def usable(self) -> bool:
        """Whether it stands and has made sense so far."""
        return self._broken is None

    def check(self) -> None:
        """Raise ``NotReachable`` or ``Garbled`` if the connection can't be trusted any more."""
        if self._broken is not None:
            raise (Garbled if self._garbled else NotReachable)(self._broken)

    def send(self, channel: int, payload: bytes | str) -> None:
        """Send one telegram. Raises as :meth:`check`."""
        self.check()
        self._write(telegram(channel, payload))

    def expect_nothing(self, channel: int) -> None:
        """Raise ``Garbled`` if an answer on ``channel`` waits that nobody asked for."""
        if self._arrived.get(channel):
            raise Garbled(f"an answer on {self.name} that nobody asked for")

    def take(self, channel: int) -> bytes | None:
        """Give the oldest payload that has arrived on ``channel``, or None."""
        queue = self._arrived.get(channel)
        return queue.popleft() if queue else None

    async def wait(self, channel: int, timeout: float) -> bytes:
        """Give the oldest payload of ``channel``, waiting for it.

        Raises
        ------
        TimedOut
            Nothing came within ``timeout`` seconds.
        NotReachable, Garbled
            As :meth:`check`.
        """
        try:
            async with asyncio.timeout(self._patience(timeout)):
                while True:
                    payload = self.take(channel)
                    if payload is not None:
                        return payload
                    self.check()
                    self._waiter = asyncio.get_running_loop().create_future()
                    await self._waiter
        except TimeoutError as error:
            raise TimedOut(f"no answer on {self.name}, channel {channel}, within {timeout:g} s") from error

    async def ask(self, channel: int, payload: str, timeout: float) -> str:
        """Send a question and give its answer, a line of ASCII without the end.

        Raises
        ------
        Garbled
            Something had arrived before the question, or the answer is no text.
        TimedOut, NotReachable
            As :meth:`wait`.
        """
        self.expect_nothing(channel)
        self.send(channel, payload)
        return text_of(await self.wait(channel, timeout))

    def close(self, *, sign_off: bool = False) -> None:
        """Close; with ``sign_off`` say goodbye first."""
        if self._transport is not None:
            if sign_off and self.usable:
                self._write(telegram(SIGN_OFF, b"\xff\xff"))
            self._transport.close()
        self._break(f"the connection {self.name} is closed")

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _break(self, why: str) -> None:
        if self._broken is None:
            self._broken = why
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def text_of(payload: bytes) -> str:
    """Read a reply: printable ASCII, its line end taken off. Raises ``Garbled``."""
    try:
        text = payload.decode("ascii").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise Garbled(f"an answer that is no text: {payload[:40]!r}") from error
    if not text.isprintable():
        raise Garbled(f"an answer with control characters: {payload[:40]!r}")
    return text
