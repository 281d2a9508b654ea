"""The Term program that hosts Thales: named connections, DevCli commands, file exchange, online display.

Captured from the vendor's client: what it sends, and which field of a reply it reads. Guessed: the reply texts of
``3,N,0,...`` and ``3,N,5,...``, and the answer for a file that is not there (its path and length 0). Left out:
everything that the client does not use. Nothing here waits for a running measurement: DevCli is answered at once.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final, Protocol

from labctl_simulators.thales.telegram import (
    DEVCLI,
    FILE_DATA,
    FILE_EXCHANGE,
    FILE_LENGTH,
    FILE_PATH,
    SCRIPT,
    SIGN_OFF,
    NotAClient,
    Reader,
    Telegram,
    pack,
)

VERSION: Final = "5.9.4"
CHUNK: Final = 4096

# Packet ids of the online display, the first byte of a telegram to the connection named Logging.
BEGIN, END, COLUMNS, UNITS, ROW = 1, 2, 4, 5, 6

# The vendor's client hangs in its reader when the server just closes, so a sign-off is answered by empty telegrams.
_SIGN_OFF_AFTER: Final = 0.3
_SIGN_OFF_EVERY: Final = 0.1
_SIGN_OFF_TIMES: Final = 3


class Thales(Protocol):
    """What Term needs of the Thales software that it hosts."""

    serial: str

    def submit(self, connection: Connection, text: str) -> None:
        """Queue a script telegram; its reply goes to ``connection``."""

    def force(self, then: Callable[[], None]) -> None:
        """Leave whatever runs, a measurement too, and call ``then`` when done."""

    def start_script(self) -> None:
        """Start the Remote script."""

    def file(self, path: str) -> bytes:
        """Content of a file on the Term PC; empty where there is none."""

    def heartbeat_ms(self) -> int:
        """Milliseconds since Thales last gave a sign of life."""


class Connection(asyncio.Protocol):
    """One TCP connection to Term."""

    def __init__(self, term: Term) -> None:
        self._term = term
        self._reader = Reader()
        self._transport: asyncio.Transport | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self.patterns: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name that the client registered."""
        return self._reader.name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join Term's connections."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
        self._term.connections.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave; replies that are still due are dropped. That Thales goes on measuring is unverified."""
        for timer in self._timers:
            timer.cancel()
        self._transport = None
        self._term.connections.remove(self)

    def data_received(self, data: bytes) -> None:
        """Serve every telegram that is complete."""
        try:
            telegrams = self._reader.feed(data)
        except NotAClient:
            self.close()
            return
        for telegram in telegrams:
            self._term.serve(self, telegram)

    def send(self, channel: int, payload: bytes | str = b"") -> None:
        """Send one telegram, or nothing where the client has gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(pack(channel, payload))

    def send_file(self, path: str, content: bytes) -> None:
        """Send one file: path, length, then the data in chunks (none for an empty file)."""
        self.send(FILE_PATH, path)
        self.send(FILE_LENGTH, str(len(content)))
        for start in range(0, len(content), CHUNK):
            self.send(FILE_DATA, content[start : start + CHUNK])

    def sign_off(self, manner: str) -> None:
        """Let the client go: ``empty`` telegrams and a close, a bare ``fin``, a ``rst``, or not at all (``mute``)."""
        later = asyncio.get_running_loop().call_later
        if manner == "fin":
            self.close()
        elif manner == "rst":
            self._timers.append(later(_SIGN_OFF_AFTER, self._reset))
        elif manner == "empty":
            for turn in range(_SIGN_OFF_TIMES):
                self._timers.append(later(_SIGN_OFF_AFTER + turn * _SIGN_OFF_EVERY, self.send, SCRIPT))
            self._timers.append(later(_SIGN_OFF_AFTER + _SIGN_OFF_TIMES * _SIGN_OFF_EVERY, self.close))

    def close(self) -> None:
        """Close in order."""
        if self._transport is not None:
            self._transport.close()

    def _reset(self) -> None:
        if self._transport is not None:
            raw = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()


class Term:
    """Everything that listens on the port.

    Parameters
    ----------
    thales : Thales
        Takes the script commands.
    sign_off : str
        How clients that sign off are let go: ``empty`` (default), ``fin``, ``rst``, ``mute``.
    """

    def __init__(self, thales: Thales, sign_off: str = "empty") -> None:
        self._thales = thales
        self._sign_off = sign_off
        self._server: asyncio.Server | None = None
        self.gives_files = True
        self.connections: list[Connection] = []

    async def listen(self, port: int) -> int:
        """Listen on loopback ``port`` (0: a free one) and give the port."""
        self._server = await asyncio.get_running_loop().create_server(lambda: Connection(self), "127.0.0.1", port)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Close the port and every connection."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self.connections):
            connection.close()
        await self._server.wait_closed()
        await asyncio.sleep(0)
        self._server = None

    def serve(self, connection: Connection, telegram: Telegram) -> None:
        """Answer one telegram."""
        text = telegram.payload.decode("ascii", "replace")
        if telegram.channel == SCRIPT:
            self._thales.submit(connection, text)
        elif telegram.channel == DEVCLI:
            self._devcli(connection, text)
        elif telegram.channel == SIGN_OFF:
            connection.sign_off(self._sign_off)

    def _devcli(self, connection: Connection, text: str) -> None:
        code, _, rest = text.partition(",")
        name, _, order = rest.partition(",")
        if code == "1":
            connection.send(DEVCLI, f"128,{name},{self._thales.heartbeat_ms()}")
        elif code == "2":
            self._thales.start_script()
            connection.send(DEVCLI, f"128,{name},5,6,0,0")
        elif code == "3":
            self._order(connection, name, order)

    def _order(self, connection: Connection, name: str, order: str) -> None:
        number, _, argument = order.partition(",")
        if number == "0" and argument == "OFF":
            self._thales.force(lambda: connection.send(DEVCLI, f"128,{name},0,OFF"))
        elif number in ("0", "5"):
            connection.send(DEVCLI, f"128,{name},{order}")
        elif number == "1" and self.gives_files:
            connection.send_file(argument, self._thales.file(argument))
        elif number == "4":
            switch, _, patterns = argument.partition(",")
            connection.patterns = tuple(part.lower() for part in patterns.split("*") if part) if switch == "ON" else ()
            connection.send(FILE_EXCHANGE, f"128,{name},{switch}")
        elif number == "6":
            connection.send(DEVCLI, f"128,{name},{self._thales.serial}")
        elif number == "7":
            connection.send(DEVCLI, f"128,{name},{VERSION}")

    def display(self, packet: int, text: str = "") -> None:
        """Show something on the online display of every connection named ``Logging``."""
        for connection in self.connections:
            if connection.name == "Logging":
                connection.send(SCRIPT, bytes((packet,)) + text.encode("ascii"))

    def push(self, path: str, content: bytes) -> None:
        """Send a finished file to the connections that asked for its kind."""
        for connection in self.connections:
            if any(path.lower().endswith(pattern) for pattern in connection.patterns):
                connection.send_file(path, content)
