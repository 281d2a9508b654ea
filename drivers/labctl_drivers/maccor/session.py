"""Both connections to one tester as one thing that can be trusted: rebuilt after any fault, identified again.

Questions are repeated after a fault, up to three times. A command that may have taken effect is never repeated here:
:meth:`Session.command` raises, and the driver finds out by the tester's state what became of it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from labctl.errors import InstrumentError
from labctl.instruments.common import DriverContext, Hiccup, Identity
from labctl.instruments.faults import Garbled, NotIdentified, NotReachable, Refused, TimedOut
from labctl_drivers.maccor.station import Settings
from labctl_drivers.maccor.wire import BinaryLine, JsonLine

ATTEMPTS: Final = 3
#: Real seconds before the second and the third try; with the time-outs, a silence of 5 s is outlived.
_PAUSES: Final = (0.5, 2.0)
#: Real time-out of one exchange, s: MacNet clients in use allow 2 s.
_TIMEOUT: Final = 2.0
#: The same while connecting, and for connecting as a whole.
_CONNECT_TIMEOUT: Final = 1.2
_CONNECT_WITHIN: Final = 4.8
_CONNECT_PAUSES: Final = (0.1, 0.3, 0.0)

#: Faults after which the connection is rebuilt.
LINE_FAULTS: Final = (NotReachable, TimedOut, Garbled)

_LOGIN_HINT: Final = "where the tester wants a login, give 'login: {user: NAME, password: {env: NAME}}' in its entry"
#: Whether a refusal is about a login: its words on the wire are unverified, so they are guessed at for the hint only.
_WANTS_LOGIN: Final = re.compile(r"log(?:ged)?[ -]?in|authenti|authori[sz]|permission|MacNet error", re.IGNORECASE)

T = TypeVar("T")


class Session:
    """A tester at one address."""

    def __init__(self, context: DriverContext, settings: Settings) -> None:
        self._context = context
        self.address = f"{settings.host}:{settings.json_port}"
        self._json = JsonLine(settings.host, settings.json_port, _TIMEOUT, context.clock.patience)
        self._binary = BinaryLine(settings.host, settings.binary_port, _TIMEOUT, context.clock.patience)
        self._login = settings.login
        self._first = min(settings.channels) - 1
        self._lock = asyncio.Lock()
        self._survived: list[InstrumentError] = []
        self._identity: Identity | None = None
        self.test_channels = 0
        #: What kind of tester it says it is; 0 is a laboratory system, the only kind with direct mode.
        self.system_type: Any = None

    async def connect(self) -> Identity:
        """Connect both ports and identify, within 5 s. Raises ``NotReachable`` or ``NotIdentified``."""
        last: InstrumentError = NotReachable("no answer", address=self.address)
        try:
            async with asyncio.timeout(self._context.clock.patience(_CONNECT_WITHIN)), self._lock:
                for pause in _CONNECT_PAUSES:
                    try:
                        identity = await self._open()
                        break
                    except LINE_FAULTS as fault:
                        last = fault
                        self._survived.append(fault)
                        await self._drop()
                        await asyncio.sleep(self._context.clock.patience(pause))
                else:
                    raise self._final(last)
        except TimeoutError as error:
            await self._drop()
            raise self._final(last) from error
        self._report()
        return identity

    def _final(self, fault: InstrumentError) -> InstrumentError:
        self._survived.clear()
        kind = NotIdentified if isinstance(fault, Garbled) else NotReachable
        return kind(fault.message, instrument=self._context.name, address=fault.address or self.address)

    async def _open(self) -> Identity:
        """Connect both ports anew and identify; whatever goes wrong, nothing stays open."""
        await self._drop()
        identified = False
        try:
            identity = await self._introduced()
            identified = True
            return identity
        finally:
            if not identified:
                await self._drop()

    async def _introduced(self) -> Identity:
        for line in (self._json, self._binary):
            line.timeout = _CONNECT_TIMEOUT
            await line.open()
        admitted = await self._log_in()
        try:
            version = await self._json.ask(1, 1, {})
            general = await self._json.ask(1, 2, {})
        except Refused as fault:
            raise self._not_admitted(f"it declines to say what it is ({fault.message})", admitted) from fault
        identity = self._identified(version, general, admitted)
        if self._first < self.test_channels:
            # Who it is a tester may say to everybody, and the rest only to whom has logged in.
            try:
                await self._json.ask(4, 7, {"Chan": self._first})
            except Refused as fault:
                said = f"it says who it is, but declines to be asked about channel {self._first + 1} ({fault.message})"
                raise self._not_admitted(said, admitted) from fault
        for line in (self._json, self._binary):
            line.timeout = _TIMEOUT
        return identity

    def _not_admitted(self, said: str, admitted: str) -> InstrumentError:
        if admitted:
            said += f"; its answer to the login was: {admitted}"
        return self.fault(NotIdentified, said, _LOGIN_HINT if self._login is None else None)

    async def _log_in(self) -> str:
        """Log in where the station file says so, (8,1); give what the tester says to it.

        Whether a login counts for the connection or for the whole PC is unverified: it is repeated with each connection
        of the JSON port. The binary port's layout is not known, so nothing is sent there.
        """
        login = self._login
        if login is None:
            return ""
        try:
            reply = await self._json.ask(8, 1, {"UserID": login.user, "Password": login.password})
        except Garbled as fault:
            # In its own words it might repeat the password.
            raise Garbled("the answer to the login (8,1) is none", address=fault.address) from None
        except Refused:
            # A tester without authentication need not know the message; one with it declines what comes next.
            self._context.log.warning("the tester knows no login; going on without", instrument=self._context.name)
            return "declined"
        if str(reply.get("Result")).strip().upper() not in ("PASSED", "1"):
            raise self.fault(
                NotIdentified,
                f"the tester does not let user '{login.user}' in",
                "look at user and password that 'login' of the station file names",
            )
        return "passed"

    def _identified(self, version: dict[str, Any], general: dict[str, Any], admitted: str) -> Identity:
        serial = general.get("SystemID")
        channels = general.get("TestChannels")
        if not isinstance(serial, str) or not isinstance(channels, int) or isinstance(channels, bool):
            raise self.fault(NotIdentified, f"it answers, but not like a MACCOR tester: {str(general)[:80]}")
        before = self._identity
        if before is not None and before.serial != serial.strip():
            raise self.fault(NotIdentified, f"tester '{serial.strip()}' answers where '{before.serial}' was")
        firmware = ".".join(str(version.get(f"MacTest32EXEversion{part}", "?")) for part in ("Major", "Minor", "Build"))
        library = ".".join(str(version.get(f"MacTest32DLLversion{part}", "?")) for part in ("Major", "Minor", "Build"))
        if firmware != library:
            raise self.fault(NotIdentified, f"MacTest32 {firmware} and its MacNet library {library} do not match")
        self.test_channels = channels
        self.system_type = general.get("SystemType")
        details = {"MacNet API": str(version.get("APIVersion", "?")), "test channels": str(channels)}
        if self._login is not None:
            details["login"] = f"{self._login.user}: {admitted}"
        identity = Identity("MACCOR", "Series 4000", serial.strip(), firmware, self.address, details)
        self._identity = identity
        return identity

    async def ask(self, fclass: int, fnum: int, **params: Any) -> dict[str, Any]:
        """Put a question whose repetition does no harm. Raises the fault after three failures in a row."""
        return await self.ask_as(dict, fclass, fnum, **params)

    async def ask_as(self, read: Callable[[dict[str, Any]], T], fclass: int, fnum: int, **params: Any) -> T:
        """Put a question and ``read`` the answer; one that it finds ``Garbled`` is asked for again."""

        async def once() -> T:
            return read(await self._json.ask(fclass, fnum, params))

        return await self.repeat(once)

    async def command(self, fclass: int, fnum: int, **params: Any) -> dict[str, Any]:
        """Give a command once. A line fault is raised as it is: the command may or may not have taken effect."""
        async with self._lock:
            if not (self._json.connected and self._binary.connected):
                await self._open_after_faults()
            return await self._trusting(lambda: self._json.ask(fclass, fnum, params))

    async def ask_binary(self, fclass: int, fnum: int, channel: int, payload: bytes = b"") -> bytes:
        """Put a question, or an order whose repetition does no harm, on the binary port; ``channel`` counts from 0."""
        return await self.repeat(lambda: self._binary.ask(fclass, fnum, channel, payload))

    async def log_out(self) -> None:
        """Log out, (8,2).

        Not done at :meth:`close`: whether it ends the rights of this connection only, or of every program on this PC,
        is unverified, and a look at the tester must not take them from a campaign that runs.
        """
        await self.ask(8, 2)

    async def put_file(self, name: str, content: bytes) -> None:
        """Write a procedure file; repeating it does no harm."""
        await self.repeat(lambda: self._binary.put_file(name, content))

    async def get_file(self, name: str) -> bytes:
        """Read a procedure file."""
        return await self.repeat(lambda: self._binary.get_file(name))

    async def compiler_words(self, channel: int) -> str:
        """Everything that the tester's compiler has to say after a refused dry start, (6,12)."""

        async def once() -> str:
            lines = []
            # The tester is asked until it has nothing more; the bound keeps a talkative one finite.
            for _ in range(50):
                text = (await self._binary.ask(6, 12, channel)).rstrip(b"\0").decode("latin-1").strip()
                if not text:
                    break
                lines.append(text)
            return "; ".join(lines)

        return await self.repeat(once)

    async def repeat(self, once: Callable[[], Awaitable[T]]) -> T:
        """Do ``once``, over a rebuilt session again where the line fails."""
        async with self._lock:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    if not (self._json.connected and self._binary.connected):
                        await self._open()
                    result = await self._trusting(once)
                    break
                except LINE_FAULTS as fault:
                    await self._failed(fault)
                    if attempt == ATTEMPTS:
                        self._survived.clear()
                        raise self._named(fault) from fault
                    await asyncio.sleep(self._context.clock.patience(_PAUSES[attempt - 1]))
            self._report()
            return result

    async def _open_after_faults(self) -> None:
        try:
            await self._open()
        except LINE_FAULTS as fault:
            await self._failed(fault)
            raise self._named(fault) from fault

    async def _trusting(self, once: Callable[[], Awaitable[T]]) -> T:
        # Whatever ends this early, a cancellation too, leaves an answer on the line that nobody waits for.
        clean = False
        try:
            try:
                result = await once()
            except Refused as fault:
                if self._login is None or not _WANTS_LOGIN.search(fault.message):
                    raise
                # Another program on this PC may have logged out for all of them; what is refused was not done.
                await self._log_in()
                result = await once()
            clean = True
            return result
        except Refused as fault:
            clean = True
            raise self._named(fault) from fault
        finally:
            if not clean:
                await self._drop()

    async def _failed(self, fault: InstrumentError) -> None:
        await self._drop()
        self._survived.append(fault)

    def survived(self, fault: InstrumentError) -> None:
        """Take note of a fault of a command that the driver dealt with; reported with the next good exchange."""
        self._survived.append(fault)

    def fault(self, kind: type[InstrumentError], message: str, hint: str | None = None) -> InstrumentError:
        """Make a fault that names instrument and address."""
        return kind(message, instrument=self._context.name, address=self.address, hint=hint)

    def _named(self, fault: InstrumentError) -> InstrumentError:
        hint = _LOGIN_HINT if self._login is None and _WANTS_LOGIN.search(fault.message) else None
        return type(fault)(
            fault.message, instrument=self._context.name, address=fault.address or self.address, hint=hint
        )

    def _report(self) -> None:
        survived, self._survived = self._survived, []
        for fault in survived:
            kind = "connection lost" if isinstance(fault, NotReachable) else fault.category
            message = f"{fault.message}; reconnected, identified again and went on"
            self._context.report(Hiccup(self._context.name, kind, message))

    async def _drop(self) -> None:
        await self._json.close()
        await self._binary.close()

    async def close(self) -> None:
        """Disconnect; running tests go on."""
        async with self._lock:
            await self._drop()
