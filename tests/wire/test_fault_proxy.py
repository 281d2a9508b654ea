"""The proxy spoils what an instrument says, once, as asked, and then no more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from laboratory_scene import EPOCH, Echo, ask, in_laboratory

from labctl.engine.clock import LoopClock, run_virtual
from labctl_simulators.faults import FaultProxy
from labctl_simulators.laboratory import Laboratory, NotPossible


def with_proxy(
    scene: Callable[[FaultProxy, asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]],
) -> None:
    async def main(clock: LoopClock) -> None:
        del clock
        echo = Echo()
        proxy = FaultProxy(await echo.start())
        port = await proxy.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await scene(proxy, reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()
            await proxy.stop()
            await echo.stop()

    run_virtual(main, EPOCH)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("garble", b"\xff" * 8 + b"\r\n"),
        ("duplicate", b"12345678\r\n12345678\r\n"),
        ("half", b"12345"),
        ("drop", b"12345<closed>"),
        ("silent", b""),
    ],
)
def test_a_fault_spoils_one_answer(kind: str, expected: bytes) -> None:
    async def scene(proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await ask(reader, writer, b"12345678\r\n") == b"12345678\r\n"
        proxy.plan.inject(kind, seconds=0.5)
        assert await ask(reader, writer, b"12345678\r\n") == expected
        assert proxy.plan.pending == 0
        if kind != "drop":
            assert await ask(reader, writer, b"87654321\r\n") == b"87654321\r\n"

    with_proxy(scene)


def test_a_late_answer_comes_late() -> None:
    async def scene(proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.plan.inject("late", seconds=3.0)
        assert await ask(reader, writer, b"a\n", patience=2.0) == b""
        assert await ask(reader, writer, b"b\n", patience=2.0) == b"a\nb\n"

    with_proxy(scene)


def test_silence_lasts_as_long_as_it_was_asked_for() -> None:
    async def scene(proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.plan.inject("silent", seconds=10.0)
        assert await ask(reader, writer, b"a\n", patience=4.0) == b""
        assert await ask(reader, writer, b"b\n", patience=7.0) == b""
        assert await ask(reader, writer, b"c\n") == b"c\n"

    with_proxy(scene)


def test_faults_are_counted_and_come_in_order() -> None:
    async def scene(proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.plan.inject("garble", count=2)
        proxy.plan.inject("duplicate")
        answers = [await ask(reader, writer, b"ab\n") for _ in range(4)]
        assert answers == [b"\xff\xff\n", b"\xff\xff\n", b"ab\nab\n", b"ab\n"]

    with_proxy(scene)


def test_unknown_faults_are_refused() -> None:
    proxy = FaultProxy(1)
    with pytest.raises(ValueError, match="unknown fault 'fire'; known are drop"):
        proxy.plan.inject("fire")
    with pytest.raises(ValueError, match="count >= 1"):
        proxy.plan.inject("drop", count=0)


def test_nothing_listening_behind_a_proxy_closes_the_connection() -> None:
    async def main(clock: LoopClock) -> None:
        del clock
        echo = Echo()
        port = await echo.start()
        await echo.stop()
        proxy = FaultProxy(port)
        reader, writer = await asyncio.open_connection("127.0.0.1", await proxy.start())
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        await proxy.stop()

    run_virtual(main, EPOCH)


def test_both_ports_of_an_instrument_share_its_faults(tmp_path: Path) -> None:
    async def scene(lab: Laboratory) -> None:
        echo = Echo()
        behind = await echo.start()
        ports = [await lab.expose("maccor/json", behind), await lab.expose("maccor/binary", behind)]
        assert behind not in ports
        lab.inject("maccor", "garble")
        lab.inject("maccor/json", "duplicate")
        answers = []
        for port in (ports[1], ports[0], ports[0]):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            answers.append(await ask(reader, writer, b"x\n"))
            writer.close()
            await writer.wait_closed()
        assert answers == [b"\xff\n", b"x\nx\n", b"x\n"]
        assert [entry["kind"] for entry in lab.records("maccor")] == ["garble", "duplicate"]
        with pytest.raises(NotPossible, match="with a proxy: maccor/json, maccor"):
            lab.inject("zahner", "drop")
        await echo.stop()

    in_laboratory(tmp_path, scene, faults=True)


def test_without_faults_there_is_no_proxy(tmp_path: Path) -> None:
    async def scene(lab: Laboratory) -> None:
        assert await lab.expose("maccor", 12345) == 12345
        with pytest.raises(NotPossible, match="without fault proxies"):
            lab.inject("maccor", "drop")

    in_laboratory(tmp_path, scene)
