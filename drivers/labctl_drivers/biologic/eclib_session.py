"""The connection to one instrument through the vendor's library: one thread, time-outs, repeats, errors by name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from labctl.errors import InstrumentError
from labctl.instruments import Busy, DriverContext, Garbled, Hiccup, NotReachable, Refused, TimedOut
from labctl_drivers.biologic import eclib_codes as codes
from labctl_drivers.biologic.eclib import DeviceInfos, Library, LibraryError, load
from labctl_drivers.biologic.station import Settings
from labctl_drivers.worker import Worker

T = TypeVar("T")

ATTEMPTS: Final = 3
LINE_FAULTS: Final = (NotReachable, TimedOut, Garbled)
#: Real s: that a connection may take, by the library and by us.
_CONNECT: Final = 3
_CONNECT_WITHIN: Final = 4.5
#: Loading a kernel takes long.
FIRMWARE_WITHIN: Final = 60.0


class Session:
    """Connects when it must, and repeats what may be repeated."""

    def __init__(self, context: DriverContext, settings: Settings) -> None:
        self._context = context
        self._settings = settings
        self._worker = Worker(context.clock, context.name)
        self._library: Library | None = None
        self._identifier: int | None = None
        # A connection that failed is still one to the library, and an instrument takes a few only.
        self._stale: int | None = None
        #: What the instrument said of itself at the last connection.
        self.device: DeviceInfos | None = None
        self.version = ""

    async def call(self, function: Callable[[Library, int], T], *, within: float | None = None) -> T:
        """Call once, connected.

        Raises
        ------
        NotReachable, TimedOut, Garbled
            Of the line: whether it was done is not known.
        Busy, Refused
            In the vendor's words.
        """
        identifier = await self._connected()
        library = self._library
        if library is None:
            raise self.fault(NotReachable, "no connection")
        return await self._run(lambda: function(library, identifier), within or self._settings.answer_within)

    async def survive(self, function: Callable[[Library, int], T]) -> T:
        """Call what may be repeated, up to three times; every fault that was survived is reported."""
        for attempt in range(ATTEMPTS):
            try:
                return await self.call(function)
            except LINE_FAULTS as fault:
                if attempt == ATTEMPTS - 1:
                    raise
                self.survived(fault)
        raise self.fault(NotReachable, "no connection")

    async def connect(self) -> DeviceInfos:
        """Connect anew within 5 s."""
        await self._drop()
        await self._connected()
        if self.device is None:
            raise self.fault(NotReachable, "no connection")
        return self.device

    async def close(self) -> None:
        """Disconnect; what runs goes on."""
        await self._drop()
        self._worker.close()

    def survived(self, fault: InstrumentError) -> None:
        """Report a fault that did no harm."""
        self._context.report(Hiccup(self._context.name, fault.category, fault.message))

    def fault(self, kind: type[InstrumentError], message: str, hint: str | None = None) -> InstrumentError:
        """Make a fault that names instrument and address."""
        return kind(message, instrument=self._context.name, address=self._settings.address, hint=hint)

    async def _connected(self) -> int:
        if self._identifier is not None:
            return self._identifier
        if self._worker.closed:
            self._worker = Worker(self._context.clock, self._context.name)

        stale, self._stale = self._stale, None

        def connect() -> tuple[Library, str, int, DeviceInfos]:
            library = self._library or Library(load(self._settings.library))
            _let_go(library, stale)
            identifier, device = library.connect(self._settings.address, _CONNECT)
            return library, library.version(), identifier, device

        found = await self._run(connect, min(_CONNECT_WITHIN, self._settings.answer_within))
        self._library, self.version, self._identifier, self.device = found
        return self._identifier

    async def _drop(self) -> None:
        library, held = self._library, [self._identifier, self._stale]
        self._identifier = self._stale = None
        if library is None or not any(one is not None for one in held):
            return

        def let_go() -> None:
            for one in held:
                _let_go(library, one)

        with suppress(InstrumentError):
            await self._run(let_go, self._settings.answer_within)

    async def _run(self, function: Callable[[], T], within: float) -> T:
        try:
            async with asyncio.timeout(self._context.clock.patience(within)):
                return await self._worker.run(function)
        except TimeoutError as error:
            # The call can't be ended; its thread is left to it. Its connection is given back before the next is made,
            # so that an order that is still on its way finds none.
            self._worker.close()
            self._worker = Worker(self._context.clock, self._context.name)
            self._stale = self._stale if self._identifier is None else self._identifier
            self._identifier = self._library = None
            raise self.fault(TimedOut, f"the library has not come back within {within:g} s") from error
        except LibraryError as error:
            raise self._fault_of(error) from error

    def _fault_of(self, error: LibraryError) -> InstrumentError:
        words = f"{error.call}: {codes.error_text(error.code)}"
        if error.code == codes.RUNNING:
            return self.fault(Busy, words)
        if error.code not in codes.LINE:
            return self.fault(Refused, words, _HINTS.get(error.code))
        self._identifier, self._stale = None, self._identifier
        return self.fault(NotReachable if error.code in codes.NOT_CONNECTED else Garbled, words)


def _let_go(library: Library, identifier: int | None) -> None:
    if identifier is not None:
        with suppress(LibraryError):
            library.disconnect(identifier)


_HINTS: Final[dict[int, Any]] = {
    -9: "let EC-Lab release the channel, or say 'firmware: replace' for it in the station file",
    -401: "EC-Lab's and EClib's versions on the channel differ; load EClib's kernel again",
    -309: "EC-Lab's and EClib's versions on the channel differ; load EClib's kernel again",
}
