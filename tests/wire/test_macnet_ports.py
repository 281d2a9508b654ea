"""The simulated tester's two ports: who is let in, how many, several testers, what is broken, what our driver sends."""

from __future__ import annotations

import asyncio
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from maccor_bench import DESCRIPTION, Bench, Quiet, charge, tell
from macnet_client import Client, client

from labctl.engine.clock import run_virtual
from labctl.instruments import Refused, State
from labctl_simulators.laboratory import Laboratory
from labctl_simulators.macnet import MacnetSimulator

# --- login -----------------------------------------------------------------------------------------------------------


def test_with_authentication_only_who_logged_in_is_answered(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with client(b.settings) as one:
            with pytest.raises(Refused, match="MacNet error"):
                await one.stand(0)
            assert await one.raw(4, 1, 0, count=1) == b""
            assert await one.result(8, 1, UserID="lab", Password="wrong") == "FAILED"
            with pytest.raises(Refused, match="MacNet error"):
                await one.result(6, 5, Chan=0)
            assert await one.result(8, 1, UserID="lab", Password="right") == "PASSED"
            assert (await one.stand(0))["Stat"] == 0
            # It holds for the client's other connection too.
            assert await one.raw(4, 1, 0, count=1) == bytes(4)
            assert await one.result(8, 2) == "LOGGED OUT"
            with pytest.raises(Refused, match="MacNet error"):
                await one.stand(0)
            credentials = b"lab".ljust(25) + b"right".ljust(25)
            assert await one.code(8, 1, 0, credentials) == 1
            assert await one.code(8, 1, 0, b"lab".ljust(50)) == 0

    tell(tmp_path, story, simulate={"login": {"user": "lab", "password": "right"}})


def test_a_login_ends_with_its_connection(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with client(b.settings) as one:
            assert await one.result(8, 1, UserID="lab", Password="right") == "PASSED"
        await asyncio.sleep(0.1)
        async with client(b.settings) as other:
            with pytest.raises(Refused, match="MacNet error"):
                await other.stand(0)

    tell(tmp_path, story, simulate={"login": {"user": "lab", "password": "right"}})


def test_without_authentication_everybody_passes(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with client(b.settings) as one:
            assert await one.result(8, 1, UserID="any", Password="any") == "PASSED"
            assert (await one.stand(0))["Stat"] == 0

    tell(tmp_path, story)


# --- many systems, many connections, and what goes wrong -------------------------------------------------------------


def test_several_testers_stand_side_by_side_and_know_nothing_of_each_other(tmp_path: Path) -> None:
    async def main(clock: Any) -> None:
        laboratory = Laboratory(DESCRIPTION, folder=tmp_path, seed=7, clock=clock, log=Quiet())
        systems = [
            MacnetSimulator(
                name, {"channels": "1-3", "simulate": {"channels": count, "system_id": name.upper()}}, laboratory
            )
            for name, count in (("maccor", 8), ("second", 4), ("third", 96))
        ]
        ports = [await system.start() for system in systems]
        assert len({entry[port] for entry in ports for port in ("json_port", "binary_port")}) == 6
        clients = [Client(entry) for entry in ports]
        seen = []
        for one in clients:
            await one.json.open()
            await one.binary.open()
            general = await one.ask(1, 2)
            seen.append((general["SystemID"], general["TestChannels"]))
            await one.ask(5, 1, GlobFlags=f"0x{general['TestChannels']:X}")
        assert seen == [("MACCOR", 8), ("SECOND", 4), ("THIRD", 96)]
        assert [(await one.ask(4, 8, Chan=0))["GlobFlags"] for one in clients] == [
            "0x00000008",
            "0x00000004",
            "0x00000060",
        ]
        for one in clients:
            await one.close()
        for system in systems:
            await system.stop()
        await laboratory.stop()

    run_virtual(main)


def test_three_hundred_connections_are_served_and_stay(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        clients = [Client(b.settings) for _ in range(150)]
        await asyncio.gather(*(line.open() for one in clients for line in (one.json, one.binary)))
        for _ in range(2):
            said = await asyncio.gather(*(one.stand(index % 16) for index, one in enumerate(clients)))
            assert [answer["Chan"] for answer in said] == [index % 16 for index in range(150)]
            assert set(await asyncio.gather(*(one.raw(4, 1, 0, count=1) for one in clients))) == {bytes(4)}
        assert len(b.simulator.tester.clients) == 300
        await asyncio.gather(*(one.close() for one in clients))
        await asyncio.sleep(0.1)
        assert len(b.simulator.tester.clients) == 0

    tell(tmp_path, story)


def test_what_a_channel_shows_and_error_objects_can_be_broken_on_demand(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with client(b.settings) as one:
            b.laboratory.break_down("maccor", "shows", channel=1, code=17)
            assert (await one.stand(0))["Stat"] == 17
            assert (await one.ask(4, 1, Chan=0, Len=2))["Status"][0]["Stat"] == 17
            assert (await one.stand(1))["Stat"] == 0
            b.laboratory.break_down("maccor", "repaired", channel=1)
            assert (await one.stand(0))["Stat"] == 0
            b.laboratory.break_down("maccor", "error", count=2)
            for _ in range(2):
                with pytest.raises(Refused, match="MacNet error"):
                    await one.stand(0)
            assert (await one.stand(0))["Stat"] == 0

    tell(tmp_path, story)


STRANGE: list[bytes] = [
    b"[" * 100_000,
    b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    b"1" * 10_000,
    b'{"jsonrpc":"2.0","method":"MacNet","params":{"FClass":4,"FNum":7,"Chan":1e999},"id":1}',
    b'{"jsonrpc":"2.0","method":"MacNet","params":{"FClass":4,"FNum":7,"Chan":NaN},"id":1}',
    b'{"jsonrpc":"2.0","method":"MacNet","params":{"FClass":4,"FNum":7,"Chan":0.5},"id":1}',
    b'{"jsonrpc":"2.0","method":"MacNet","params":{"FClass":6,"FNum":9,"Chan":0,"VarNum":1,"Value":1e300},"id":1}',
    b'{"jsonrpc":"2.0","method":"MacNet","params":{"FClass":6,"FNum":9,"Chan":0,"VarNum":1,"Value":'
    + b"9" * 400
    + b'},"id":1}',
    b'{"jsonrpc":"2.0","method":"MacNet","params":{"FClass":6,"FNum":2,"Chan":0,"TestName":"\\u0000","ProcName":"'
    + b"x" * 5000
    + b'"},"id":1}',
    b'{"jsonrpc":"2.0","method":"MacNet","params":{"FClass":6,"FNum":1,"Chans":[[]]},"id":1}',
    b'{"jsonrpc":"2.0","method":"MacNet","params":{"FClass":1,"FNum":3,"ProcName":"\\ud800"},"id":1}',
]


@pytest.mark.parametrize("text", STRANGE, ids=range(len(STRANGE)))
def test_what_no_client_should_send_is_answered_and_the_connection_lives(tmp_path: Path, text: bytes) -> None:
    async def story(b: Bench) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", b.settings["json_port"])
        good = b'{"jsonrpc":"2.0","method":"MacNet","params":{"FClass":1,"FNum":2},"id":77}'
        writer.write(text)
        seen = await reader.readuntil(b"\r\n")
        writer.write(good)
        while b'"id":77' not in seen.replace(b"\n", b""):
            part = await asyncio.wait_for(reader.read(65536), 20)
            assert part
            seen += part
        first = json.loads(seen.split(b"\r\n")[0])
        assert "error" in first or "Result" in first["result"] or "ProcedurExists" in first["result"]
        assert json.loads(seen.split(b"\r\n")[-2])["result"]["TestChannels"] == 16
        writer.close()
        await writer.wait_closed()

    tell(tmp_path, story)


# --- what our driver sends -------------------------------------------------------------------------------------------


def test_no_order_of_the_driver_for_a_channel_ever_carries_another_channel(tmp_path: Path) -> None:
    seen: list[tuple[int, int, int]] = []

    async def tapped(b: Bench, port: str) -> asyncio.Server:
        async def link(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", b.settings[port])

            async def back() -> None:
                while data := await far_reader.read(65536):
                    writer.write(data)
                writer.close()

            returning = asyncio.create_task(back())
            while data := await reader.read(65536):
                note(port, data)
                far_writer.write(data)
            far_writer.close()
            await far_writer.wait_closed()
            await returning

        return await asyncio.start_server(link, "127.0.0.1", 0)

    def note(port: str, data: bytes) -> None:
        if port == "binary_port":
            seen.append(struct.unpack_from("<HHH", data))
        else:
            params = json.loads(data)["params"]
            if "Chan" in params:
                seen.append((params["FClass"], params["FNum"], params["Chan"]))

    async def story(b: Bench) -> None:
        servers = {port: await tapped(b, port) for port in ("json_port", "binary_port")}
        ports = {port: server.sockets[0].getsockname()[1] for port, server in servers.items()}
        driver = b.driver(**ports)
        await driver.connect()
        seen.clear()
        for channel in (2, 1):
            handle = await driver.start(f"only-{channel}", channel, charge())
            await driver.poll(handle)
            await driver.suspend(handle)
            await driver.resume(handle)
            await driver.abort(handle)
            await driver.fetch(handle, tmp_path / f"bundle-{channel}")
            about = {chan for fclass, _, chan in seen if fclass != 1}
            assert about == {channel - 1}
            assert {(6, 2), (6, 3), (6, 4), (6, 5), (6, 10), (6, 11), (4, 7)} <= {one[:2] for one in seen}
            seen.clear()
        await driver.close()
        for server in servers.values():
            server.close()
            await server.wait_closed()

    tell(tmp_path, story)


def test_a_channel_that_ignores_its_orders_still_has_its_test(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        await driver.start("stays", 1, charge())
        one = b.simulator.tester.channels[0]
        one.break_down("stubborn")
        assert b.simulator.tester.clear(one) == 0
        assert [(entry["test"], entry["state"]) for entry in b.simulator.tester.tests()] == [("stays", "active")]

    tell(tmp_path, story)


def test_a_channel_stops_where_its_power_goes_beyond_the_limit(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        handle = await driver.start("warm", 1, charge())
        one = b.simulator.tester.channels[0]
        one.limit({**one.safety, "PBatSafeChg": 2e-4 * 3.9})
        progress = await b.wait(driver, handle)
        assert progress.state is State.FAILED
        # Open again when it is looked at, and relaxed a little.
        assert 3.85 < progress.values["voltage_V"] <= 3.9

    tell(tmp_path, story)
