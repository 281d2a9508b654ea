"""One thread per instrument: order, exceptions, giving up, and what the clock is told."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from labctl.engine.clock import run_virtual
from labctl_drivers.worker import Worker


class Clock:
    """Counts exchanges."""

    def __init__(self) -> None:
        self.exchanges = 0

    def now(self) -> datetime:
        return datetime(2025, 1, 1, tzinfo=UTC)

    def patience(self, seconds: float) -> float:
        return seconds

    @contextmanager
    def exchange(self) -> Iterator[None]:
        self.exchanges += 1
        try:
            yield
        finally:
            self.exchanges -= 1


def test_it_gives_what_the_function_gives_in_one_named_thread() -> None:
    async def main() -> None:
        clock = Clock()
        worker = Worker(clock, "oven")
        names = [await worker.run(lambda: threading.current_thread().name) for _ in range(3)]
        assert len(set(names)) == 1
        assert names[0].startswith("oven")
        assert await worker.run(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await worker.run(divmod, 1, 0)
        assert clock.exchanges == 0
        worker.close()

    asyncio.run(main())


def test_the_clock_is_told_until_the_thread_is_really_done() -> None:
    async def main() -> None:
        clock = Clock()
        worker = Worker(clock, "oven")
        begun, go_on = threading.Event(), threading.Event()

        def slow() -> None:
            begun.set()
            go_on.wait(10)

        task = asyncio.create_task(worker.run(slow))
        while not begun.is_set():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert clock.exchanges == 1
        after = asyncio.create_task(worker.run(lambda: "after"))
        await asyncio.sleep(0)
        assert not after.done()
        go_on.set()
        assert await after == "after"
        assert clock.exchanges == 0
        worker.close()

    asyncio.run(main())


def test_what_waits_for_its_turn_and_is_given_up_never_runs() -> None:
    async def main() -> None:
        clock = Clock()
        worker = Worker(clock, "oven")
        go_on = threading.Event()
        ran: list[str] = []
        first = asyncio.create_task(worker.run(go_on.wait, 10))
        second = asyncio.create_task(worker.run(ran.append, "second"))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        go_on.set()
        assert await first
        await worker.run(ran.append, "third")
        assert ran == ["third"]
        assert clock.exchanges == 0
        worker.close()

    asyncio.run(main())


def test_closing_does_not_wait_and_ends_the_use() -> None:
    async def main() -> None:
        clock = Clock()
        worker = Worker(clock, "oven")
        go_on = threading.Event()
        task = asyncio.create_task(worker.run(go_on.wait, 10))
        await asyncio.sleep(0)
        worker.close()
        worker.close()
        assert worker.closed
        with pytest.raises(RuntimeError):
            await worker.run(print)
        go_on.set()
        assert await task
        assert clock.exchanges == 0

    asyncio.run(main())


def test_a_call_that_never_comes_back_does_not_keep_the_process() -> None:
    script = (
        "import asyncio, threading\n"
        "from labctl.engine.clock import run_real\n"
        "from labctl_drivers.worker import Worker\n"
        "async def main(clock):\n"
        "    worker = Worker(clock, 'oven')\n"
        "    call = asyncio.ensure_future(worker.run(threading.Event().wait))\n"
        "    await asyncio.sleep(0)\n"
        "    call.cancel()\n"
        "    worker.close()\n"
        "run_real(main)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], timeout=20, check=False, capture_output=True)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_virtual_time_stands_still_for_an_exchange() -> None:
    async def main(clock: object) -> None:
        loop = asyncio.get_running_loop()
        worker = Worker(clock, "oven")  # type: ignore[arg-type]
        slept = asyncio.create_task(asyncio.sleep(86400.0))
        go_on = threading.Event()
        threading.Timer(0.05, go_on.set).start()
        assert await worker.run(go_on.wait, 10)
        assert loop.time() == 0.0
        await slept
        assert loop.time() == pytest.approx(86400.0)
        worker.close()

    run_virtual(main)
