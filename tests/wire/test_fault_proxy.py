"""The proxy spoils what an instrument says, once, as asked, and then no more."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from laboratory_scene import EPOCH, Echo, ask, in_laboratory

from labctl.engine.clock import LoopClock, run_virtual
from labctl_simulators.dialects import DIALECTS
from labctl_simulators.faults import FaultPlan, FaultProxy
from labctl_simulators.laboratory import Laboratory, NotPossible


class Raw(Echo):
    """Repeats whatever comes, lines or not."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            self.heard.append(piece)
            writer.write(piece)
        writer.close()
        await writer.wait_closed()


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


def test_answers_can_be_lost_before_and_after_and_come_in_pieces() -> None:
    async def scene(proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.plan.inject("slow", seconds=4.0)
        assert await ask(reader, writer, b"12345678\r\n", patience=0.4) == b""
        assert await ask(reader, writer, b"x\r\n", patience=2.0) == b"12345678\r\nx\r\n"
        proxy.plan.inject("drop-after")
        assert await ask(reader, writer, b"ab\n") == b"ab\n<closed>"

    with_proxy(scene)

    async def before(proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.plan.inject("drop-before")
        assert await ask(reader, writer, b"ab\n") == b"<closed>"

    with_proxy(before)


async def once(port: int, line: bytes) -> bytes:
    """Ask on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await ask(reader, writer, line)
    except ConnectionError:
        return b"<closed>"
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def test_a_rebooting_instrument_lets_nobody_in_until_it_is_back(tmp_path: Path) -> None:
    async def scene(lab: Laboratory) -> None:
        lost: list[str] = []
        echo = Echo()
        lab.register_restart("mux", lambda: lost.append("relays"))
        port = await lab.expose("mux", await echo.start())
        lab.inject("mux", "reboot", seconds=20.0)
        assert await once(port, b"a\n") == b"<closed>"
        assert lost == ["relays"]
        assert await once(port, b"b\n") == b"<closed>"
        await asyncio.sleep(25.0)
        assert await once(port, b"c\n") == b"c\n"
        await echo.stop()

    in_laboratory(tmp_path, scene, faults=True)


READ = bytes.fromhex("0007 0000 0006 01 03 1292 0001")
WRITE = bytes.fromhex("0007 0000 000B 01 10 114C 0002 04 0000 4220")
WORDS = bytes.fromhex("0007 0000 0005 01 03 02 0002")
WORDS_RTU = bytes.fromhex("01 03 02 0002 3985")
TOLD = b'{"jsonrpc":"2.0","result":{"FClass":4,"FNum":7,"Chan":2,"Voltage":3.5},"id":9}\r\n'


@pytest.mark.parametrize(
    ("wire", "kind", "said", "heard"),
    [
        ("macnet-json", "wrong-channel", TOLD, rb'(?s).*"Chan":3.*"Voltage":3.5.*'),
        ("macnet-json", "wrong-value", TOLD, rb'(?s).*"Chan":2,\n"Voltage":(?!3.5\b).*'),
        (
            "macnet-json",
            "busy",
            b'{"params":{"FClass":6,"FNum":2,"Chan":0},"id":9}',
            rb'(?s).*"id":9.*"Channel in use".*',
        ),
        ("macnet-json", "refuse", b'{"params":{"FClass":4,"FNum":7,"Chan":0},"id":9}', rb'(?s).*"id":9.*"error".*'),
        ("topspin-gateway", "refuse", b'{"id":4,"op":"start"}\n', rb'\{"id":4,"ok":false,"code":"PAR_REJECTED".*\n'),
        ("topspin-gateway", "wrong-channel", b'{"id":4,"expnos":{"1":{}}}\n', rb'.*"expnos":\{"2":\{\}\}.*\n'),
        ("thales", "refuse", b"\x0c\0\x021:POTENTIAL:", rb"\x0c\0\x02ERROR;101;1\r"),
        ("thales", "wrong-channel", b"\x02\0\x02OK", rb"\x02\0\x80OK"),
        ("scpi", "wrong-channel", b'+0,"No error";1,0,0\n', rb'\+0,"No error";0,1,0\n'),
        ("scpi", "wrong-value", b"1,0,0\n", rb"(0,0,0|1,1,0|1,0,1)\n"),
        ("scpi", "wrong-channel", b'0,"No error";1, 0, 0\n', rb'0,"No error";0, 1, 0\n'),
        ("espec", "wrong-value", b"25.0\r\n", rb"(?!25\.0\r)-?[\d.]+\r\n"),
        ("espec", "busy", b"TEMP?\r\n", rb"NA:DATA NOT READY\r\n"),
        ("espec", "refuse", b"1,TEMP,S40.0\r\n", rb"NA:PROTECT ON\r\n"),
        ("modbus-tcp", "busy", READ, rb"\0\x07\0\0\0\x03\x01\x83\x06"),
        ("modbus-tcp", "refuse", WRITE, rb"\0\x07\0\0\0\x03\x01\x90\x08"),
        (
            "modbus-tcp",
            "wrong-channel",
            WORDS,
            rb"\0\x07\0\0\0\x05\x02\x03\x02\0\x02|\0\x06\0\0\0\x05\x01\x03\x02\0\x02",
        ),
        ("modbus-tcp", "wrong-value", WORDS, rb"(?s)\0\x07\0\0\0\x05\x01\x03\x02(?!\0\x02).."),
        ("modbus-rtu", "refuse", WORDS_RTU, rb"\x01\x83\x04\x40\xf3"),
        ("modbus-rtu", "wrong-value", WORDS_RTU, rb"(?s)\x01\x03\x02(?!\0\x02)...."),
        ("julabo", "wrong-value", b"25.00\n", rb"(?!25\.00\n)-?[\d.]+\n"),
    ],
)
def test_faults_with_a_meaning_speak_the_language_of_the_wire(wire: str, kind: str, said: bytes, heard: bytes) -> None:
    async def main(clock: LoopClock) -> None:
        del clock
        echo = Raw()
        proxy = FaultProxy(await echo.start(), dialect=DIALECTS[wire])
        reader, writer = await asyncio.open_connection("127.0.0.1", await proxy.start())
        proxy.plan.inject(kind)
        assert re.fullmatch(heard, await ask(reader, writer, said))
        # A request that was refused never reached the instrument.
        assert echo.heard == ([] if kind in ("busy", "refuse") else [said])
        assert await ask(reader, writer, said) == said
        writer.close()
        await writer.wait_closed()
        await proxy.stop()
        await echo.stop()

    run_virtual(main, EPOCH)


def test_what_is_left_to_chance_follows_from_the_seed() -> None:
    def met(seed: int) -> list[tuple[str, float] | None]:
        plan = FaultPlan(seed)
        plan.scatter(("late", "garble"), 0.2, seconds=1.0)
        return [plan.take() for _ in range(500)]

    assert met(1) == met(1)
    assert met(1) != met(2)
    assert 60 < sum(fault is not None for fault in met(1)) < 140


def test_a_fault_without_a_meaning_on_its_wire_is_refused(tmp_path: Path) -> None:
    async def scene(lab: Laboratory) -> None:
        echo = Echo()
        await lab.expose("door", await echo.start())
        with pytest.raises(NotPossible, match="wrong-value needs the language of the wire"):
            lab.inject("door", "wrong-value")
        await echo.stop()

    in_laboratory(tmp_path, scene, faults=True)
