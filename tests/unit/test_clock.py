"""Virtual time jumps only when nothing else can happen, and is exact."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from labctl.engine.clock import LoopClock, real_seconds, run_real, run_scaled, run_virtual

EPOCH = datetime(2025, 3, 1, tzinfo=UTC)


def test_weeks_pass_at_once_and_to_the_second():
    async def main(clock: LoopClock) -> timedelta:
        await asyncio.sleep(30 * 86400)
        return clock.now() - EPOCH

    began = real_seconds()
    assert run_virtual(main, EPOCH) == timedelta(days=30)
    assert real_seconds() - began < 5


def test_timers_fire_in_their_order():
    seen: list[tuple[str, float]] = []

    async def one(name: str, period: float) -> None:
        for _ in range(3):
            await asyncio.sleep(period)
            seen.append((name, asyncio.get_running_loop().time()))

    async def main(clock: LoopClock) -> None:
        await asyncio.gather(one("hour", 3600), one("day", 86400), one("minute", 60))

    run_virtual(main)
    assert seen == sorted(seen, key=lambda entry: entry[1])
    assert seen[-1] == ("day", 3 * 86400)


def test_an_answer_on_a_socket_always_comes_before_its_time_out():
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        writer.close()

    async def main(clock: LoopClock) -> int:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        answered = 0
        for _ in range(300):
            writer.write(b"?\n")
            async with asyncio.timeout(0.5):
                answered += bool(await reader.readline())
        writer.close()
        await writer.wait_closed()
        server.close()
        return answered

    assert run_virtual(main) == 300


def test_time_stands_still_while_a_worker_thread_is_in_an_exchange():
    async def main(clock: LoopClock) -> timedelta:
        loop = asyncio.get_running_loop()
        asked, may_answer = asyncio.Event(), asyncio.Event()
        nag = asyncio.create_task(asyncio.sleep(3600))
        with ThreadPoolExecutor(1) as pool:
            began = clock.now()

            def exchange() -> None:
                # Comes back to the loop, as a blocking client does to a simulator that runs on it.
                asyncio.run_coroutine_threadsafe(answer(), loop).result(10)

            async def answer() -> None:
                asked.set()
                await may_answer.wait()

            with clock.exchange():
                running = loop.run_in_executor(pool, exchange)
                await asked.wait()
                may_answer.set()
                await running
            passed = clock.now() - began
        nag.cancel()
        return passed

    assert run_virtual(main) == timedelta(0)


def test_scaled_time_runs_faster_than_the_wall_by_its_factor():
    async def main(clock: LoopClock) -> timedelta:
        began = clock.now()
        await asyncio.sleep(100)
        return clock.now() - began

    assert timedelta(seconds=100) <= run_scaled(main, 1000.0) < timedelta(seconds=2000)


def test_a_wire_is_waited_for_in_real_seconds_at_any_speed():
    async def main(clock: LoopClock) -> float:
        return clock.patience(2.0)

    assert (run_scaled(main, 500.0), run_virtual(main), run_real(main)) == (1000.0, 2.0, 2.0)


def test_a_clock_that_follows_another_shows_its_time():
    theirs = datetime(2025, 3, 1, 12, tzinfo=UTC)

    async def main(clock: LoopClock) -> datetime:
        asked = asyncio.get_running_loop().time()
        await asyncio.sleep(60)
        clock.align(theirs, asked)
        return clock.now()

    assert run_virtual(main) == theirs + timedelta(seconds=60)
