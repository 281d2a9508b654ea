"""What every rig of the fault table has: simulators behind spoiling proxies, an aimed fault, and doubts.

For :mod:`benchmarks.fault_rigs` and :mod:`benchmarks.chamber_rigs`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from labctl.instruments import DriverContext, Handle, Hiccup, State
from labctl_simulators.dialect import Dialect
from labctl_simulators.dialects import DIALECTS
from labctl_simulators.faults import FaultPlan, FaultProxy
from labctl_simulators.laboratory import Laboratory

PHASES = ("connect", "identify", "command", "poll", "fetch")
_REQUESTS = ("busy", "refuse")


class Quiet:
    """A logger that nobody reads."""

    def debug(self, event: str, **fields: Any) -> None: ...

    info = warning = error = debug


class Aimed(FaultPlan):
    """Spoils the n-th reply (or request) after it was armed, or the first after that which the fault suits."""

    def __init__(self, seed: int | str) -> None:
        super().__init__(seed)
        self.kind, self.nth, self.seconds = "", 0, 0.0
        self.replies = self.requests = 0
        self.fired = self.spoils_values = False
        #: The fault that was met; after a loss of power nothing need be as it was told.
        self.met = ""

    def arm(self, kind: str, nth: int, seconds: float) -> None:
        self.kind, self.nth, self.seconds = kind, nth, seconds
        self.spoils_values = kind in ("wrong-channel", "wrong-value")
        self.replies = self.requests = 0
        self.fired, self.met = False, ""

    def take(self) -> tuple[str, float] | None:
        self.replies += 1
        return self._due(self.replies, of_requests=False)

    def take_for_request(self) -> tuple[str, float] | None:
        self.requests += 1
        return self._due(self.requests, of_requests=True)

    def put_back(self, kind: str, seconds: float) -> None:
        self.kind, self.seconds = kind, seconds

    def _due(self, count: int, *, of_requests: bool) -> tuple[str, float] | None:
        if not self.kind or (self.kind in _REQUESTS) is not of_requests or count < self.nth:
            return None
        kind, self.kind = self.kind, ""
        return kind, self.seconds


class Rig:
    """One driver, one simulator, one plan.

    ``doubts`` collects what a driver accepted although it is not so, ``shown`` what it showed only.
    """

    #: Seconds that timed faults last: longer than the driver's time-out.
    seconds = 5.0
    phases = PHASES
    description: ClassVar[dict[str, Any]] = {}

    def __init__(self, clock: Any, folder: Path, seed: int | str) -> None:
        self.clock, self.folder = clock, folder
        self.plan = Aimed(seed)
        self.laboratory = Laboratory(self.description, folder=folder, seed=7, clock=clock, log=Quiet())
        self.hiccups: list[Hiccup] = []
        self.doubts: list[str] = []
        self.shown: list[str] = []
        self.handle: Handle | None = None
        self.driver: Any = None
        #: What knows the language of a wire, by its name.
        self.dialects: Mapping[str, Callable[[], Dialect]] = DIALECTS
        #: Of the simulator itself, by the name of the wire.
        self.ports: dict[str, int] = {}
        self._proxies: list[FaultProxy] = []

    async def proxied(self, port: int, wire: str, restart: Callable[[], Awaitable[None] | None] | None = None) -> int:
        restarting: list[asyncio.Future[None]] = []
        self.ports[wire] = port

        def noticed(kind: str) -> None:
            self.plan.fired, self.plan.met = True, kind
            if kind == "reboot" and restart is not None and (lost := restart()) is not None:
                restarting.append(asyncio.ensure_future(lost))

        proxy = FaultProxy(port, self.plan, noticed=noticed, patience=self.clock.patience, dialect=self.dialects[wire])
        self._proxies.append(proxy)
        return await proxy.start()

    def context(self, name: str, settings: dict[str, Any]) -> DriverContext:
        return DriverContext(name, settings, self.clock, Quiet(), self.hiccups.append, str, self.folder)

    async def open(self) -> None:
        """Start the simulator and make the driver; nothing is said on the wire yet."""
        raise NotImplementedError

    async def shut(self) -> None:
        await self.driver.close()
        for proxy in self._proxies:
            await proxy.stop()
        await self.laboratory.stop()

    def cut(self) -> None:
        """Pull the cable and put it back."""
        self.plan.reboot(float("-inf"))

    async def connect(self) -> None:
        await self.driver.connect()

    async def identify(self) -> None:
        """Something that identifies again after a cut."""
        raise NotImplementedError

    async def command(self) -> None:
        raise NotImplementedError

    async def poll(self) -> State | None:
        raise NotImplementedError

    async def fetch(self) -> None:
        raise NotImplementedError

    async def before(self, phase: str) -> None:
        """Bring about what must be so before ``phase``."""
        if phase == "connect":
            return
        await self.driver.connect()
        if phase == "identify":
            self.cut()
            await asyncio.sleep(0)
        elif phase in ("poll", "fetch"):
            await self.command()
            if phase == "fetch":
                await self.ended()

    async def ended(self) -> None:
        """Wait for the end of what runs."""
        while (await self.driver.poll(self.handle)).state is State.RUNNING:
            await asyncio.sleep(30.0)

    async def aftermath(self, phase: str, *, failed: bool) -> None:
        """Go on to the end with a wire that is sound again, and compare with the truth; adds to ``doubts``."""
        raise NotImplementedError
