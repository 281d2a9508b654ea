"""The three clocks, and the only place that knows the real time.

*real*: wall time. *scaled*: wall time times a factor, for a simulated laboratory that runs as a process of its own.
*virtual*: an event loop that jumps to its next timer when nothing else can happen, for dry runs. Everything above
waits by ``asyncio.sleep`` on the running loop and takes instants from :class:`LoopClock`, so that one code path serves
all three.

The virtual loop first polls its sockets without waiting; if something is ready it serves that. If a worker thread is
in an exchange with an instrument, it waits for real. Otherwise it adds the time-out to its clock and goes on.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

# Windows delivers loopback data a little later than the send returns; Linux does not.
_POLL = 0.001 if sys.platform == "win32" else 0.0
# While a worker thread is in an exchange, look at least this often (s of real time) whether it has ended.
_WORKER_POLL = 0.05


class _VirtualSelector(selectors.BaseSelector):
    """A selector that, where it would sleep, moves its loop's clock instead."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.offset = 0.0
        self.exchanges = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(_POLL)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self.exchanges or timeout is None:
            return self._real.select(_WORKER_POLL if self.exchanges else None)
        self.offset += timeout
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only when nothing else can happen."""

    def __init__(self) -> None:
        self._virtual = _VirtualSelector()
        super().__init__(self._virtual)
        # Timers that differ by less are one instant; doubles resolve this for decades.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Give the virtual seconds since the loop was made."""
        return self._virtual.offset

    def exchange_began(self) -> None:
        """Let time pass for real until the matching :meth:`exchange_ended`."""
        self._virtual.exchanges += 1

    def exchange_ended(self) -> None:
        """End what :meth:`exchange_began` began."""
        self._virtual.exchanges -= 1


class _ScaledSelector(_VirtualSelector):
    """A selector whose time-outs are shorter than they say, by a factor."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return self._real.select(None if timeout is None else max(timeout, 0.0) / self._speed)


class ScaledLoop(asyncio.SelectorEventLoop):
    """An event loop whose seconds are ``speed`` times shorter than real ones."""

    def __init__(self, speed: float) -> None:
        #: Seconds of this loop in one real second.
        self.speed = speed
        self._start = time.monotonic()  # noqa: TID251 - this is the clock module
        super().__init__(_ScaledSelector(speed))

    def time(self) -> float:
        """Give the scaled seconds since the loop was made."""
        return (time.monotonic() - self._start) * self.speed  # noqa: TID251 - this is the clock module


class LoopClock:
    """Instants for everything that runs on one loop.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        Whose time is told.
    epoch : datetime
        The UTC instant at which this clock was made.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, epoch: datetime) -> None:
        self._loop = loop
        self._start = loop.time()
        self.epoch = epoch

    def now(self) -> datetime:
        """Give the present instant in UTC."""
        return self.epoch + timedelta(seconds=self._loop.time() - self._start)

    def align(self, instant: datetime, at: float) -> None:
        """Follow another clock of the same speed: it showed ``instant`` (UTC) when this loop's time was ``at`` (s)."""
        self.epoch = instant - timedelta(seconds=at - self._start)

    def patience(self, seconds: float) -> float:
        """Give the seconds of this loop that pass while ``seconds`` of real waiting do; for time-outs on a wire.

        The other side of a wire, and the machine it runs on, hurry no more when simulated time does. A virtual clock
        stands still while anything is under way, so there both are the same.
        """
        return seconds * self._loop.speed if isinstance(self._loop, ScaledLoop) else seconds

    def wall_ahead(self) -> float | None:
        """Give the seconds that the wall clock is ahead of this one; None where this one's time is not the world's."""
        if isinstance(self._loop, (ScaledLoop, VirtualLoop)):
            return None
        return (real_now() - self.now()).total_seconds()

    @contextmanager
    def exchange(self) -> Iterator[None]:
        """Mark a worker thread's exchange with an instrument; a virtual clock stands still for it."""
        if not isinstance(self._loop, VirtualLoop):
            yield
            return
        self._loop.exchange_began()
        try:
            yield
        finally:
            self._loop.exchange_ended()


async def beside(work: Callable[[], T]) -> T:
    """Do lengthy work on files beside the running loop, so that others are served meanwhile.

    In virtual time nobody waits while it is done: there a thread would only take turns with the loop.
    """
    if isinstance(asyncio.get_running_loop(), VirtualLoop):
        return work()
    return await asyncio.to_thread(work)


def real_now() -> datetime:
    """Give the wall-clock instant in UTC, for those who have no clock yet: the command line and log files."""
    return datetime.now(UTC)  # noqa: TID251 - this is the clock module


class WallClock:
    """Wall time without a loop, for commands that only read the journal."""

    def now(self) -> datetime:
        """Give the wall-clock instant in UTC."""
        return real_now()

    @contextmanager
    def exchange(self) -> Iterator[None]:
        """Do nothing: wall time passes by itself."""
        yield

    def patience(self, seconds: float) -> float:
        """Give ``seconds``: real waiting is the only one here."""
        return seconds


def real_seconds() -> float:
    """Give a monotonic count of real seconds, for progress that people watch."""
    return time.monotonic()  # noqa: TID251 - this is the clock module


def pause(seconds: float) -> None:
    """Wait for real, in a command that watches something from outside."""
    time.sleep(seconds)  # noqa: TID251 - this is the clock module


def _run(
    loop: asyncio.AbstractEventLoop, main: Callable[[LoopClock], Coroutine[Any, Any, T]], epoch: datetime | None
) -> T:
    results: list[T] = []

    async def keep() -> None:
        # Not handed back by the task itself: restoring the signal handler writes out the whole task, result and all.
        results.append(await main(LoopClock(loop, epoch or real_now())))

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(keep())
    return results[0]


def run_real(main: Callable[[LoopClock], Coroutine[Any, Any, T]], epoch: datetime | None = None) -> T:
    """Run ``main(clock)`` in wall time."""
    return _run(asyncio.SelectorEventLoop(), main, epoch)


def run_scaled(main: Callable[[LoopClock], Coroutine[Any, Any, T]], speed: float, epoch: datetime | None = None) -> T:
    """Run ``main(clock)`` with seconds that are ``speed`` times shorter."""
    return _run(ScaledLoop(speed), main, epoch)


def run_virtual(main: Callable[[LoopClock], Coroutine[Any, Any, T]], epoch: datetime | None = None) -> T:
    """Run ``main(clock)`` in virtual time: waiting costs nothing."""
    return _run(VirtualLoop(), main, epoch)
