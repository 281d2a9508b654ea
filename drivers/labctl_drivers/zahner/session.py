"""The connections to Term, and the rule by which they are trusted and rebuilt.

Answers carry no number, so a late one would be taken for the next. Therefore any time-out, any answer that makes no
sense, any lost connection and any call that was cancelled half-way drops all connections; they are opened and
identified again before anything else is asked. A running measurement goes on meanwhile (for Thales itself unverified:
its clients only say that the source may stay on).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from labctl.errors import InstrumentError
from labctl.instruments import Busy, DriverContext, Garbled, Hiccup, NotIdentified, NotReachable, TimedOut
from labctl_drivers.zahner import replies
from labctl_drivers.zahner.wire import DEVCLI, FILE_DATA, FILE_LENGTH, FILE_PATH, SCRIPT, Wire, text_of

ATTEMPTS: Final = 3
# Real seconds, all of them.
_PAUSE: Final = 0.2
_DEVCLI_TIMEOUT: Final = 2.0
_FILE_TIMEOUT: Final = 5.0
# The vendor's client calls 20 s safe for a forced return from a measurement.
_FORCE_TIMEOUT: Final = 30.0
_SURVIVABLE: Final = (NotReachable, TimedOut, Garbled)

T = TypeVar("T")


class Session:
    """Term at one address.

    Parameters
    ----------
    context : DriverContext
        To report what was survived.
    host, port : str, int
        Where Term listens.
    serial : str
        The workstation that is expected; empty for whichever answers first.
    """

    def __init__(self, context: DriverContext, host: str, port: int, serial: str) -> None:
        self._context = context
        self._host = host
        self._port = port
        self._script: Wire | None = None
        self._display: Wire | None = None
        self._survived: list[InstrumentError] = []
        self.address = f"{host}:{port}"
        self.serial = serial
        self.version = ""
        self.generation = 0
        #: Age of Thales' last sign of life, in s, when it was last asked for.
        self.heartbeat = 0.0

    # Connections.

    async def script(self) -> Wire:
        """Give the connection for script commands, opened and identified.

        Raises
        ------
        NotReachable, Garbled
            It was lost or has lost its sense since the last exchange, or cannot be opened.
        NotIdentified
            Somebody else answers.
        """
        if self._script is None:
            self._script = await self._open("ScriptRemote")
            await self._identify(self._script)
            self.generation += 1
        self._script.check()
        return self._script

    async def display(self) -> Wire:
        """Give the connection on which measured points are shown."""
        if self._display is not None:
            try:
                self._display.check()
            except (NotReachable, Garbled) as fault:
                self.lost(fault, everything=False)
        if self._display is None:
            self._display = await self._open("Logging")
        return self._display

    async def _open(self, name: str) -> Wire:
        return await Wire.open(self._host, self._port, name, self._context.clock.patience)

    def drop(self) -> None:
        """Close all connections as they are, without a word."""
        for wire in (self._script, self._display):
            if wire is not None:
                wire.close()
        self._script = self._display = None

    def leave(self) -> None:
        """Sign off and close; what runs goes on."""
        for wire in (self._script, self._display):
            if wire is not None:
                wire.close(sign_off=True)
        self._script = self._display = None

    async def _identify(self, wire: Wire) -> None:
        found = replies.devcli(await wire.ask(DEVCLI, f"3,{wire.name},7", _DEVCLI_TIMEOUT), wire.name)
        version = replies.version(found)
        if version is None:
            oldest = ".".join(map(str, replies.OLDEST))
            raise self.fault(NotIdentified, f"'{found}' is no Thales version from {oldest} on")
        serial = replies.devcli(await wire.ask(DEVCLI, f"3,{wire.name},6", _DEVCLI_TIMEOUT), wire.name).strip()
        if self.serial and serial != self.serial:
            raise self.fault(NotIdentified, f"workstation {serial} answers, expected {self.serial}")
        self.serial, self.version = serial, version

    # Trust.

    async def survive(self, exchange: Callable[[], Awaitable[T]]) -> T:
        """Do an exchange that may be repeated, until it succeeds or has failed three times.

        Raises
        ------
        NotReachable, TimedOut, Garbled
            The last fault. Others at once.
        """
        for attempt in range(ATTEMPTS):
            try:
                result = await exchange()
            except _SURVIVABLE as fault:
                self.lost(fault)
                if attempt + 1 == ATTEMPTS:
                    self._survived.clear()
                    raise self.fault(type(fault), fault.message) from fault
                await asyncio.sleep(self._context.clock.patience(_PAUSE))
            except InstrumentError as refusal:
                if isinstance(refusal, NotIdentified):
                    self.drop()
                self._tell()
                raise self.fault(type(refusal), refusal.message) from refusal
            except asyncio.CancelledError:
                self.drop()
                raise
            else:
                break
        self._tell()
        return result

    def lost(self, fault: InstrumentError, *, everything: bool = True) -> None:
        """Take note of a fault, reported once it is survived; drop all connections, or that of the display alone."""
        self._survived.append(fault)
        if everything:
            self.drop()
        elif self._display is not None:
            self._display.close()
            self._display = None

    def fault(self, kind: type[InstrumentError], message: str) -> InstrumentError:
        """Make an error that names instrument and address."""
        return kind(message, instrument=self._context.name, address=self.address)

    def _tell(self) -> None:
        survived, self._survived = self._survived, []
        for fault in survived:
            self._context.report(
                Hiccup(self._context.name, _kind(fault), f"{fault.message}; connected and identified again")
            )

    # Exchanges.

    async def command(self, text: str, timeout: float) -> str:
        """Send one script command and give its reply. Raises ``Busy`` while a measurement's reply is due."""
        wire = await self.script()
        if wire.owes is not None:
            raise self.fault(Busy, f"{wire.owes} is still running")
        return await wire.ask(SCRIPT, f"1:{text}:", timeout)

    async def launch(self, text: str, patience: float) -> str | None:
        """Send a command that takes long; give its reply if it comes within ``patience`` s, otherwise None.

        The heartbeat that follows on the same connection proves that the command has arrived.
        """
        wire = await self.script()
        wire.expect_nothing(SCRIPT)
        wire.owes = text
        wire.send(SCRIPT, f"1:{text}:")
        await self._heartbeat(wire)
        return await self._due(wire, patience)

    async def word(self, patience: float) -> tuple[str, str] | None:
        """Listen whether the script is free.

        Returns
        -------
        (command, reply) or None
            The reply that was due, or that to ``SENDSETUP`` where none was; None while the script is busy.
        """
        wire = await self.script()
        await self._heartbeat(wire)
        if wire.owes is None:
            wire.expect_nothing(SCRIPT)
            wire.owes = "SENDSETUP"
            wire.send(SCRIPT, "1:SENDSETUP:")
            command, reply = wire.owes, await self._due(wire, patience)
        else:
            command, reply = wire.owes, await self._due(wire, 0.0)
        return None if reply is None else (command, reply)

    async def force(self) -> None:
        """Force Thales into the Remote script, out of whatever it does."""
        self.drop()
        wire = await self.script()
        await wire.ask(DEVCLI, f"3,{wire.name},0,OFF", _FORCE_TIMEOUT)
        await wire.ask(DEVCLI, f"2,{wire.name}", _FORCE_TIMEOUT)

    async def file(self, path: str) -> bytes:
        """Fetch a file from the Term PC; empty where there is none.

        The wire has no checksum, so a file is fetched twice and must be the same.
        """
        await self.script()
        wire = await self._open("FileExchange")
        try:
            content = await self._transfer(wire, path)
            if content and await self._transfer(wire, path) != content:
                raise Garbled(f"{path} came differently the second time")
        finally:
            wire.close(sign_off=True)
        return content

    async def _transfer(self, wire: Wire, path: str) -> bytes:
        wire.send(DEVCLI, f"3,{wire.name},1,{path}")
        named = text_of(await wire.wait(FILE_PATH, _FILE_TIMEOUT))
        length = text_of(await wire.wait(FILE_LENGTH, _FILE_TIMEOUT))
        if named.lower() != path.lower() or not length.isdecimal():
            raise Garbled(f"asked for {path}, Term sends {named} of length {length}")
        content = bytearray()
        while len(content) < int(length):
            content += await wire.wait(FILE_DATA, _FILE_TIMEOUT)
        if len(content) != int(length):
            raise Garbled(f"{path} should have {length} bytes, {len(content)} came")
        return bytes(content)

    async def _heartbeat(self, wire: Wire) -> None:
        field = replies.devcli(await wire.ask(DEVCLI, f"1,{wire.name}", _DEVCLI_TIMEOUT), wire.name)
        try:
            self.heartbeat = float(field) / 1000.0
        except ValueError as error:
            raise Garbled(f"'{field}' is no heartbeat") from error

    async def _due(self, wire: Wire, patience: float) -> str | None:
        payload = wire.take(SCRIPT)
        if payload is None and patience > 0:
            try:
                payload = await wire.wait(SCRIPT, patience)
            except TimedOut:
                return None
        if payload is None:
            return None
        # An error is an answer too: nothing is owed any more, whatever is raised here.
        owed, wire.owes = wire.owes, None
        reply = text_of(payload)
        if owed == "SENDSETUP":
            replies.setup(reply)
        elif owed == "EIS":
            replies.swept(reply)
        return reply


def _kind(fault: InstrumentError) -> str:
    return "connection lost" if isinstance(fault, NotReachable) else fault.category
