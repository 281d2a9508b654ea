"""MacNet on the wire: one connection for JSON, one for binary messages. No retries and no meaning here.

Sources: the vendor's MacNet help (framing, file transfer) and a published client, which also shows that requests of
the JSON port have no terminator and that replies end with CR LF.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable
from typing import Any, Final

from labctl.instruments.faults import Garbled, NotReachable, Refused, TimedOut

#: File types of the transfer messages.
PROCEDURES: Final = 3

_HEADER: Final = struct.Struct("<HHHH")
_BLOCK: Final = 500
_LARGEST_REPLY: Final = 1 << 20
#: Lines of an answer; the longest, about 128 channels, has 700 where every member has one of its own.
_MOST_LINES: Final = 2000
_READ, _WRITE, _DATA, _ACK, _ERROR = 1, 2, 3, 4, 5


class Line:
    """One TCP connection of question and answer. Whoever sees it fail must close it.

    Parameters
    ----------
    host, port : str, int
        Where the tester listens.
    timeout : float
        Real seconds for a connection and for an answer.
    patience : callable
        Gives the running loop's seconds that correspond to real ones.
    """

    def __init__(self, host: str, port: int, timeout: float, patience: Callable[[float], float] = float) -> None:
        self.address = f"{host}:{port}"
        self._host = host
        self._port = port
        self.timeout = timeout
        self._patience = patience
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    @property
    def connected(self) -> bool:
        """Whether a connection stands, as far as this side knows."""
        return self._writer is not None

    async def open(self) -> None:
        """Connect. Raises ``NotReachable``."""
        try:
            async with asyncio.timeout(self._patience(self.timeout)):
                self._reader, self._writer = await asyncio.open_connection(self._host, self._port, limit=_LARGEST_REPLY)
        except TimeoutError as error:
            raise NotReachable(f"no connection within {self.timeout:g} s", address=self.address) from error
        except OSError as error:
            raise NotReachable(f"no connection ({error.strerror or error})", address=self.address) from error

    async def close(self) -> None:
        """Disconnect; never raises, idempotent."""
        writer, self._reader, self._writer = self._writer, None, None
        if writer is None:
            return
        writer.close()
        try:
            async with asyncio.timeout(self._patience(self.timeout)):
                await writer.wait_closed()
        except (OSError, TimeoutError):
            # It is gone either way.
            return

    def _streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None:
            raise NotReachable("not connected", address=self.address)
        if self._reader.at_eof():
            raise NotReachable("the connection was closed by the other side", address=self.address)
        return self._reader, self._writer


class JsonLine(Line):
    """The JSON-RPC port."""

    def __init__(self, host: str, port: int, timeout: float, patience: Callable[[float], float] = float) -> None:
        super().__init__(host, port, timeout, patience)
        self._last_id = 1987

    async def ask(self, fclass: int, fnum: int, params: dict[str, Any]) -> dict[str, Any]:
        """Send one request, give its ``result``.

        Raises
        ------
        NotReachable, TimedOut, Garbled
            The line can't be trusted any more and must be closed.
        Refused
            The tester answered with an error object, whose text the message carries.
        """
        reader, writer = self._streams()
        self._last_id += 1
        request = {
            "jsonrpc": "2.0",
            "method": "MacNet",
            "params": {"FClass": fclass, "FNum": fnum, **params},
            "id": self._last_id,
        }
        what = f"({fclass},{fnum})"
        try:
            async with asyncio.timeout(self._patience(self.timeout)):
                writer.write(json.dumps(request).encode())
                reply = await self._reply(reader, what)
        except TimeoutError as error:
            raise TimedOut(f"no answer to {what} within {self.timeout:g} s", address=self.address) from error
        except OSError as error:
            raise NotReachable(f"connection lost during {what}", address=self.address) from error
        result = self._checked(reply, what, fclass, fnum)
        if "Chan" in params and result.get("Chan", params["Chan"]) != params["Chan"]:
            raise Garbled(f"the answer to {what} is about another channel", address=self.address)
        return result

    async def _reply(self, reader: asyncio.StreamReader, what: str) -> Any:
        text = ""
        for _ in range(_MOST_LINES):
            try:
                chunk = await reader.readuntil(b"\r\n")
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                raise NotReachable(f"the connection broke off during {what}", address=self.address) from error
            try:
                first, text = not text, text + chunk.decode()
                # Only a brace can end it; what does not begin as an object is known at once.
                if first or chunk.rstrip().endswith(b"}"):
                    return json.loads(text)
            except UnicodeDecodeError as error:
                raise Garbled(f"the answer to {what} is no text", address=self.address) from error
            except json.JSONDecodeError as error:
                # A line end inside the object is unusual but lawful: read on while the text is only too short.
                if error.pos < len(text.rstrip()) and not error.msg.startswith("Unterminated"):
                    raise Garbled(f"the answer to {what} is no JSON: {text[:60]!r}", address=self.address) from error
            except (ValueError, RecursionError) as error:
                raise Garbled(f"the answer to {what} is beyond reading: {text[:60]!r}", address=self.address) from error
        raise Garbled(f"the answer to {what} has no end within {_MOST_LINES} lines", address=self.address)

    def _checked(self, reply: Any, what: str, fclass: int, fnum: int) -> dict[str, Any]:
        if not isinstance(reply, dict) or reply.get("jsonrpc") != "2.0":
            raise Garbled(f"the answer to {what} is no JSON-RPC: {str(reply)[:60]}", address=self.address)
        # Only what could not be read has no number: JSON-RPC answers it with an error object.
        if reply.get("id") != self._last_id and not (reply.get("id") is None and reply.get("error") is not None):
            raise Garbled(f"the answer to {what} belongs to another question", address=self.address)
        if (error := reply.get("error")) is not None:
            text = error.get("message", error) if isinstance(error, dict) else error
            if text == "Parse error":
                # We send well-formed requests: what arrived there was not what was sent.
                raise Garbled(f"the tester could not read {what}", address=self.address)
            raise Refused(f"{what} refused: {text}", address=self.address)
        result = reply.get("result")
        if not isinstance(result, dict) or result.get("FClass") != fclass or result.get("FNum") != fnum:
            raise Garbled(f"the answer to {what} answers something else: {str(result)[:60]}", address=self.address)
        return result


class BinaryLine(Line):
    """The binary port; used for what JSON can't do: files, and the compiler's own words."""

    async def ask(self, fclass: int, fnum: int, channel: int, payload: bytes = b"", count: int | None = None) -> bytes:
        """Send one message and give the payload of its reply.

        Raises
        ------
        NotReachable, TimedOut, Garbled
            The line can't be trusted any more and must be closed.
        """
        reader, writer = self._streams()
        what = f"binary ({fclass},{fnum})"
        length = len(payload) if count is None else count
        try:
            async with asyncio.timeout(self._patience(self.timeout)):
                writer.write(_HEADER.pack(fclass, fnum, channel, length) + payload)
                got_class, got_num, got_channel, size = _HEADER.unpack(await reader.readexactly(_HEADER.size))
                if (got_class, got_num) != (fclass, fnum):
                    raise Garbled(f"{what} was answered by ({got_class},{got_num})", address=self.address)
                if got_channel != channel:
                    raise Garbled(f"the answer to {what} is about another channel", address=self.address)
                return await reader.readexactly(size)
        except TimeoutError as error:
            raise TimedOut(f"no answer to {what} within {self.timeout:g} s", address=self.address) from error
        except asyncio.IncompleteReadError as error:
            raise NotReachable(f"the connection broke off during {what}", address=self.address) from error
        except OSError as error:
            raise NotReachable(f"connection lost during {what}", address=self.address) from error

    async def put_file(self, name: str, content: bytes, kind: int = PROCEDURES) -> None:
        """Write a file into one of the tester's folders, block by block.

        Raises
        ------
        Refused
            In the tester's words.
        """
        encoded = name.encode("ascii")
        opening = struct.pack("<BBH", kind, _WRITE, len(encoded)) + encoded
        self._acknowledged(await self.ask(1, 6, 0, opening), 0, name)
        # A block that is not full ends the file; a size that fills the last one needs an empty block more.
        for number in range(1, len(content) // _BLOCK + 2):
            block = content[(number - 1) * _BLOCK : number * _BLOCK]
            reply = await self.ask(1, 6, 0, struct.pack("<BBH", kind, _DATA, number & 0xFFFF) + block)
            self._acknowledged(reply, number & 0xFFFF, name)

    async def get_file(self, name: str, kind: int = PROCEDURES) -> bytes:
        """Read a file out of one of the tester's folders. Raises ``Refused`` in the tester's words."""
        encoded = name.encode("ascii")
        reply = await self.ask(1, 7, 0, struct.pack("<BBH", kind, _READ, len(encoded)) + encoded)
        content = bytearray()
        number = 1
        while True:
            _, operation, got = self._block_head(reply, name)
            if operation != _DATA or got != number & 0xFFFF:
                raise Garbled(f"block {got} of {name} came where {number} was due", address=self.address)
            block = reply[4:]
            content += block
            if len(block) < _BLOCK:
                return bytes(content)
            reply = await self.ask(1, 7, 0, struct.pack("<BBH", kind, _ACK, number & 0xFFFF))
            number += 1

    def _block_head(self, reply: bytes, name: str) -> tuple[int, int, int]:
        if len(reply) < 4:
            raise Garbled(f"a block of {name} has {len(reply)} bytes", address=self.address)
        kind, operation, number = struct.unpack_from("<BBH", reply)
        if operation == _ERROR:
            text = reply[4:].split(b"\0")[0].decode("latin-1")
            raise Refused(f"file {name}: {text or f'error {number}'}", address=self.address)
        return kind, operation, number

    def _acknowledged(self, reply: bytes, number: int, name: str) -> None:
        _, operation, got = self._block_head(reply, name)
        if operation != _ACK or got != number:
            raise Garbled(f"block {number} of {name} was answered by {operation}/{got}", address=self.address)
