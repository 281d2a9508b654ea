"""The simulated Thales, byte by byte: what a client sends and what it gets, without any driver."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.engine.clock import LoopClock, run_virtual
from labctl_drivers.zahner import ism
from labctl_simulators.laboratory import Laboratory
from labctl_simulators.thales import ThalesSimulator

REGISTRATION = b"\x00\x0c\x12\xd0\xff\xff\xff\xffScriptRemote"
DEVCLI, SCRIPT = 128, 2


class Silent:
    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **fields: None


class Client:
    """A raw socket that frames telegrams and nothing else."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def telegram(self) -> tuple[int, bytes]:
        head = await asyncio.wait_for(self.reader.readexactly(3), 1000)
        return head[2], await self.reader.readexactly(head[0] + 256 * head[1])

    async def ask(self, channel: int, text: str) -> bytes:
        self.say(channel, text)
        answered, payload = await self.telegram()
        assert answered == channel
        return payload

    def say(self, channel: int, payload: str | bytes) -> None:
        data = payload.encode() if isinstance(payload, str) else payload
        self.writer.write(bytes((len(data) % 256, len(data) // 256, channel)) + data)

    async def set_up(self, *assignments: str) -> None:
        for assignment in assignments:
            assert await self.ask(SCRIPT, f"1:{assignment}:") == b"OK\r"


class Bench:
    def __init__(self, laboratory: Laboratory, port: int) -> None:
        self.laboratory, self.port = laboratory, port
        self.writers: list[asyncio.StreamWriter] = []

    async def client(self, name: str = "ScriptRemote") -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(bytes((0, len(name))) + b"\x12\xd0\xff\xff\xff\xff" + name.encode())
        self.writers.append(writer)
        return Client(reader, writer)


def on_wire(folder: Path, story: Callable[[Bench], Awaitable[None]], **simulate: Any) -> None:
    async def main(clock: LoopClock) -> None:
        laboratory = Laboratory(
            {
                "cells": [{"id": "bare-01", "area_m2": 1e-4, "place": "cabinet/1", "simulate": {"substrate": "bare"}}],
                "places": {"cabinet": {"count": 1, "leads": {"zahner": {"through": "mux", "relays": [101]}}}},
            },
            folder=folder,
            seed=1,
            clock=clock,
            log=Silent(),
        )
        laboratory.relays("mux").add(101)
        simulator = ThalesSimulator("zahner", {"simulate": simulate}, laboratory)
        bench = Bench(laboratory, (await simulator.start())["port"])
        try:
            await story(bench)
        finally:
            for writer in bench.writers:
                writer.close()
            await asyncio.sleep(1)
            await simulator.stop()

    run_virtual(main)


SWEEP = (
    "EIS_MOD=2",
    r"EIS_PATH=c:\thales\temp",
    "EIS_ROOT=cell01",
    "Gal=-1:GAL=1",
    "Ampl=1.0e-01",
    "Cset=0",
    "Fstart=1.0e+05",
    "Fmax=1.0e+05",
    "Fmin=1.0e+00",
    "dfm=10",
    "dfl=5",
    "Nws=6",
    "Nwl=4",
    "ScanStrategy=0",
    "ScanDirection=0",
    "Pot=-1",
)


def test_a_registration_is_big_endian_and_telegrams_are_little_endian(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.port)
        bench.writers.append(writer)
        writer.write(REGISTRATION + b"\x10\x00\x803,ScriptRemote,7")
        assert await reader.readexactly(25) == b"\x16\x00\x80128,ScriptRemote,5.9.4"

    on_wire(tmp_path, story)


DEVCLI_TABLE = [
    ("2,ScriptRemote", b"128,ScriptRemote,5,6,0,0"),
    ("3,ScriptRemote,0,OFF", b"128,ScriptRemote,0,OFF"),
    ("3,ScriptRemote,0,RS", b"128,ScriptRemote,0,RS"),
    ("3,ScriptRemote,5,off", b"128,ScriptRemote,5,off"),
    ("3,ScriptRemote,6", b"128,ScriptRemote,33021"),
    ("3,ScriptRemote,7", b"128,ScriptRemote,5.9.4"),
]
SCRIPT_TABLE = [
    ("1:ALLNUM:", b"OK;33021;ZenniumPro\r"),
    ("1:DEVINF:", b"OK;DEVINF;ZENNIUM PRO;33021\r"),
    ("1:Gal=-1:GAL=1:", b"OK\r"),
    ("1:Ampl=5.00000000000000e-02:", b"OK\r"),
    (r"1:EIS_PATH=c:\thales\temp:", b"OK\r"),
    ("1:EIS_PATH=z:\\elsewhere:", b"ERROR;100;1\r"),
    ("1:EIS_ROOT=no blank:", b"ERROR;100;1\r"),
    ("1:Fmax=20e6:", b"ERROR;100;1\r"),
    ("1:Ampl=much:", b"ERROR;100;1\r"),
    ("1:Ampl=-1:", b"ERROR;100;1\r"),
    ("1:NOSUCH:", b"ERROR;101;1\r"),
    ("1:NoSuch=1:", b"ERROR;101;1\r"),
    ("POTENTIAL", b"ERROR;101;1\r"),
    ("1:EIS:", b"ERROR;105;1\r"),
    (
        "1:SENDSETUP:",
        b"OK;SETUP;Pset=0.0000e+00;Cset=0.0000e+00;Frq=1.0000e+03;Ampl=5.0000e-02;Nw=1;Pot=0;Gal=-1;GAL=1;"
        b"Cmin=-3.0000e+00;Cmax=3.0000e+00;Pmin=-5.2377e+00;Pmax=5.2377e+00;DEV=0;EPC=0;MAXDEV=4;ENDSETUP\r",
    ),
]


def test_devcli_and_script_commands_are_answered_as_the_tables_say(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        client = await bench.client()
        for sent, expected in DEVCLI_TABLE[::-1]:
            assert await client.ask(DEVCLI, sent) == expected
        assert 0 <= float((await client.ask(DEVCLI, "1,ScriptRemote")).split(b",")[2]) < 1140
        for sent, expected in SCRIPT_TABLE:
            assert await client.ask(SCRIPT, sent) == expected, sent
        assert (await client.ask(SCRIPT, "1:POTENTIAL:")).startswith(b"potential= ")
        assert (await client.ask(SCRIPT, "1:POTENTIAL:")).endswith(b"V\r")
        assert await client.ask(SCRIPT, "1:CURRENT:") == b"current= 0.000000e+00A\r"
        began = bench.laboratory.time()
        assert await client.ask(SCRIPT, "1:CALOFFSETS:") == b"OK\r"
        assert bench.laboratory.time() - began == pytest.approx(2.0)

    on_wire(tmp_path, story)


def test_pieces_and_bunches_of_telegrams_are_all_served(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.port)
        bench.writers.append(writer)
        client = Client(reader, writer)
        question = b"\x10\x00\x803,ScriptRemote,6"
        for byte in REGISTRATION + question:
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0.001)
        assert await client.telegram() == (DEVCLI, b"128,ScriptRemote,33021")
        writer.write(question + question + b"\x09\x00\x021:ALLNUM:" + question[:7])
        for expected in (b"128,ScriptRemote,33021", b"128,ScriptRemote,33021", b"OK;33021;ZenniumPro\r"):
            assert (await client.telegram())[1] == expected
        writer.write(question[7:])
        assert await client.telegram() == (DEVCLI, b"128,ScriptRemote,33021")

    on_wire(tmp_path, story)


def test_who_does_not_register_is_shown_out(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.port)
        bench.writers.append(writer)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""

    on_wire(tmp_path, story)


def test_a_sweep_is_shown_pushed_and_answered_while_devcli_goes_on(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        script, files = await bench.client(), await bench.client("FileExchange")
        shown = await bench.client("Logging")
        files.say(DEVCLI, "3,FileExchange,1,c:\\thales\\temp\\cell01.ism")
        assert await files.telegram() == (130, b"c:\\thales\\temp\\cell01.ism")
        assert await files.telegram() == (129, b"0")
        files.say(DEVCLI, "3,FileExchange,4,ON,*.ism*.isc*.isw*.iss")
        assert await files.telegram() == (132, b"128,FileExchange,ON")
        await script.set_up(*SWEEP)
        began = bench.laboratory.time()
        script.say(SCRIPT, "1:EIS:")
        script.say(SCRIPT, "1:ALLNUM:")
        await asyncio.sleep(5)
        assert (await script.ask(DEVCLI, "1,ScriptRemote")).startswith(b"128,ScriptRemote,")
        assert bench.laboratory.time() - began < 5.1
        assert await script.telegram() == (SCRIPT, b"EIS DONE\r")
        assert await script.telegram() == (SCRIPT, b"OK;33021;ZenniumPro\r")
        lasted = bench.laboratory.time() - began

        packets = [await shown.telegram() for _ in range(3)]
        assert packets[0] == (SCRIPT, b"\x013,Impedance Spectroscopy")
        assert packets[1] == (SCRIPT, b"\x04frequency,impedance,phase,time,significance,voltage,current,")
        assert packets[2] == (SCRIPT, b"\x05Hz,Ohm,rad,s, ,V,A,")
        rows = []
        while (packet := (await shown.telegram())[1])[0] == 6:
            assert packet.endswith(b",")
            rows.append([float(field) for field in packet[1:-1].split(b",")])
        assert packet == b"\x02"
        frequency = np.array(rows)[:, 0]
        assert len(frequency) == 42
        assert lasted == pytest.approx(np.maximum(0.3, 6 / frequency).sum(), rel=0.25)

        for name in (b"cell01.ism", b"lastshot.ism"):
            assert await files.telegram() == (130, b"c:\\thales\\temp\\" + name)
            length = int((await files.telegram())[1])
            content = b""
            while len(content) < length:
                channel, chunk = await files.telegram()
                assert channel == 131
                content += chunk
        files.say(DEVCLI, "3,FileExchange,4,OFF")
        assert await files.telegram() == (132, b"128,FileExchange,OFF")
        spectrum = ism.read(content)
        assert np.allclose(spectrum.frequency, frequency, rtol=1e-5)
        assert np.allclose(np.abs(spectrum.impedance), np.array(rows)[:, 1], rtol=1e-5)
        assert content[:6] == bytes.fromhex("0000fffffffe")
        assert int.from_bytes(content[6:12], "big") == 41
        assert len(content) == 12 + 42 * 50 + sum(2 + len(t) for t in strings(content, 42)) + 2 + 256
        assert await script.ask(SCRIPT, "1:EIS:") == b"ERROR;102;1\r"

    on_wire(tmp_path, story)


def strings(content: bytes, points: int) -> list[bytes]:
    position, found = 12 + 34 * points, []
    for _ in range(12):
        length = int.from_bytes(content[position : position + 2], "big")
        found.append(content[position + 2 : position + 2 + length])
        position += 2 + length
    return found


def test_a_forced_return_ends_a_sweep_without_a_file_and_leaves_the_source_on(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        first = await bench.client()
        await first.set_up(*SWEEP)
        first.say(SCRIPT, "1:EIS:")
        await asyncio.sleep(3)
        second = await bench.client()
        assert await second.ask(DEVCLI, "3,ScriptRemote,0,OFF") == b"128,ScriptRemote,0,OFF"
        assert await first.telegram() == (SCRIPT, b"ERROR;104;1\r")
        assert await second.ask(DEVCLI, "2,ScriptRemote") == b"128,ScriptRemote,5,6,0,0"
        assert b"Pot=-1;" in await second.ask(SCRIPT, "1:SENDSETUP:")
        second.say(DEVCLI, "3,ScriptRemote,1,c:\\thales\\temp\\cell01.ism")
        assert [await second.telegram() for _ in range(2)][1] == (129, b"0")

    on_wire(tmp_path, story)


def test_open_leads_overload_a_sweep(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        bench.laboratory.relays("mux").clear()
        client = await bench.client()
        await client.set_up(*SWEEP)
        assert await client.ask(SCRIPT, "1:EIS:") == b"ERROR;103;1\r"
        assert await client.ask(SCRIPT, "1:IMPEDANCE:") == b"ERROR;103;1\r"

    on_wire(tmp_path, story)


def test_the_counter_names_files_one_after_the_other(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        client = await bench.client()
        await client.set_up(*SWEEP, "EIS_MOD=1", "EIS_NUM=7", "Fmin=1e4")
        for _ in range(2):
            assert await client.ask(SCRIPT, "1:EIS:") == b"EIS DONE\r"
        for number, there in ((7, True), (8, True), (9, False)):
            client.say(DEVCLI, f"3,ScriptRemote,1,c:\\thales\\temp\\cell01_{number:04d}.ism")
            await client.telegram()
            length = int((await client.telegram())[1])
            assert (length > 0) == there
            if there:
                assert (await client.telegram())[0] == 131

    on_wire(tmp_path, story)


@pytest.mark.parametrize(
    ("manner", "rest"), [("empty", b"\x00\x00\x02" * 3), ("fin", b""), ("rst", None), ("mute", TimeoutError)]
)
def test_a_sign_off_is_answered_in_the_chosen_manner(tmp_path: Path, manner: str, rest: Any) -> None:
    async def story(bench: Bench) -> None:
        client = await bench.client()
        await client.ask(DEVCLI, "1,ScriptRemote")
        began = bench.laboratory.time()
        client.say(4, b"\xff\xff")
        if rest is None:
            with pytest.raises(ConnectionResetError):
                await client.reader.read()
        elif rest is TimeoutError:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.reader.read(), 10)
        else:
            assert await client.reader.read() == rest
        if manner in ("empty", "rst"):
            assert bench.laboratory.time() - began >= 0.25

    on_wire(tmp_path, story, sign_off=manner)


def test_a_cut_file_is_never_read_as_a_spectrum(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        client = await bench.client()
        await client.set_up(*SWEEP, "Fmin=1e4")
        assert await client.ask(SCRIPT, "1:EIS:") == b"EIS DONE\r"
        client.say(DEVCLI, "3,ScriptRemote,1,c:/thales/temp/CELL01.ism")
        assert await client.telegram() == (130, b"c:/thales/temp/CELL01.ism")
        assert (await client.telegram())[0] == 129
        content = (await client.telegram())[1]
        assert len(ism.read(content).frequency) == 11
        for length in range(len(content)):
            with pytest.raises(ValueError, match=r"points|cut short"):
                ism.read(content[:length])
        with pytest.raises(ValueError, match="no positive number"):
            ism.read(content[:12] + b"\xff" * 8 + content[20:])

    on_wire(tmp_path, story)
