"""What every rig of the fault table has: simulators behind spoiling proxies, an aimed fault, and doubts.

For :mod:`benchmarks.fault_rigs` and :mod:`benchmarks.chamber_rigs`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from labctl.errors import DataError, LabctlError
from labctl.instruments import DriverContext, Handle, Hiccup, State
from labctl_simulators.dialect import Dialect
from labctl_simulators.dialects import DIALECTS
from labctl_simulators.faults import FaultPlan, FaultProxy
from labctl_simulators.laboratory import Laboratory

PHASES = ("connect", "identify", "command", "poll", "fetch", "abort")
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
        #: Whether what was started turned out to have failed, when the wire was sound again.
        self.failed = False
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
        elif phase in ("poll", "fetch", "abort"):
            await self.command()
            if phase == "fetch":
                await self.ended()

    async def ended(self) -> State:
        """Wait for the end of what runs."""
        while (progress := await self.driver.poll(self.handle)).state is State.RUNNING:
            await asyncio.sleep(30.0)
        return progress.state

    def left_on(self) -> list[str]:
        """Say what drives a cell."""
        cells = self.laboratory.cells.values()
        return [f"{source} drives {cell.id}" for cell in cells for source in self.laboratory.sources_on(cell)]

    async def aftermath(self, phase: str, *, failed: bool) -> None:
        """Go on to the end with a wire that is sound again, and compare with the truth; adds to ``doubts``."""
        raise NotImplementedError


class Started(Rig):
    """What is started, polled and fetched under a token."""

    token = "a-token"

    async def poll(self) -> State | None:
        loop = asyncio.get_running_loop()
        progress = await self.driver.poll(self.handle)
        seen_at = loop.time()
        again = await self.driver.poll(self.handle)
        if progress.state is State.DONE and again.state is State.RUNNING:
            await self._believe_the_end()
            return State.FAILED
        for key in progress.values if self.plan.spoils_values and loop.time() - seen_at < 0.1 else ():
            late, early = again.values.get(key), progress.values[key]
            if late is not None and abs(late - early) > 0.02 * abs(late) + 1e-6:
                self.shown.append(f"{key} {early:g} instead of {late:g}")
        return progress.state

    async def _believe_the_end(self) -> None:
        """Fetch what a poll said is over, although it runs: only an error is right."""
        try:
            await self.driver.fetch(self.handle, self.folder / "early")
        except LabctlError:
            return
        self.doubts.append("an end was believed too early, and a record made of it")

    async def fetch(self) -> None:
        (self.folder / "bundle").mkdir(exist_ok=True)
        fetched = await self.driver.fetch(self.handle, self.folder / "bundle")
        self.judge(fetched)

    def judge(self, fetched: Any) -> None:
        raise NotImplementedError

    def starts(self) -> int:
        raise NotImplementedError

    def came_to_its_end(self) -> bool:
        """Whether the instrument was done before anything could break it off, so that it is no failure."""
        return False

    async def abort(self) -> None:
        """Break it off; whoever is told that it is must find every source off."""
        await self.driver.abort(self.handle)
        self.doubts += self.left_on()

    async def aftermath(self, phase: str, *, failed: bool) -> None:
        await asyncio.sleep(60.0)
        if failed and phase == "command":
            found = await self.driver.find(self.token)
            if (found is not None) != (self.starts() > 0):
                self.doubts.append(f"started {self.starts()} times, and found is {found}")
            self.handle = found
        if self.handle is None and phase in ("connect", "identify", "command"):
            await self.driver.connect()
            await self.command()
        if phase == "abort":
            await self.abort()
        self.failed = await self.ended() is State.FAILED
        if phase == "abort" and not (failed or self.failed or self.came_to_its_end()):
            self.doubts.append("broken off, and not told so")
        try:
            await self.fetch()
        except DataError:
            # Of what has failed there may be nothing.
            if not self.failed:
                raise
        if self.starts() != 1:
            self.doubts.append(f"started {self.starts()} times")
        self.doubts += self.left_on()
        if self.laboratory.violations:
            self.doubts.append(f"violation: {self.laboratory.violations[0]['kind']}")
