"""A laboratory with a spectrometer, its gateway and its driver, for the tests of both."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from labctl.engine.clock import LoopClock, run_virtual
from labctl.instruments import (
    AcquisitionRequest,
    DriverContext,
    Fetched,
    Handle,
    Hiccup,
    Progress,
    State,
)
from labctl_drivers.bruker import BrukerSpectrometer
from labctl_drivers.bruker.gateway import Gateway
from labctl_simulators.laboratory import Laboratory
from labctl_simulators.topspin import TopspinSimulator

TOKEN = "a token for tests"
STATION = {
    "cells": [{"id": "bare-01", "barcode": "B0001", "area_m2": 1e-4, "place": "probe/1"}],
    "places": {"probe": {"count": 1, "instrument": "topspin"}, "cabinet": {"count": 2}},
}


class Silence:
    """A logger that nobody reads."""

    def debug(self, event: str, **fields: Any) -> None: ...
    def info(self, event: str, **fields: Any) -> None: ...
    def warning(self, event: str, **fields: Any) -> None: ...
    def error(self, event: str, **fields: Any) -> None: ...


def request(**changes: Any) -> AcquisitionRequest:
    usual: dict[str, Any] = {
        "name": "camp/bare-01/c001/02-nmr-charged/a1", "sample": "bare-01", "nucleus": "7Li", "pulse_program": "zg",
        "carrier_ppm": 250.0, "scans": 64, "recycle_delay": 0.5, "dwell_time": 1e-7, "points": 32768,
        "pulse_lengths": (7e-6,), "pulse_power": 80.0, "receiver_gain": 101.0,
    }  # fmt: skip
    return AcquisitionRequest(**(usual | changes))


class Bench:
    """A laboratory with a spectrometer, its gateway and a driver."""

    def __init__(self, folder: Path, clock: LoopClock, faults: bool, **settings: str) -> None:
        self.folder, self.clock = folder, clock
        self.laboratory = Laboratory(STATION, folder=folder, seed=7, clock=clock, log=Silence(), faults=faults)
        self.simulator = TopspinSimulator(
            "topspin", {"data_folder": "topspin-data", "simulate": settings}, self.laboratory
        )
        self.hiccups: list[Hiccup] = []
        self.gateways: list[Gateway] = []
        self.drivers: list[BrukerSpectrometer] = []
        self.port = 0

    async def open(self, api: Any = None, **settings: Any) -> None:
        changes = await self.simulator.start()
        gateway = Gateway(
            api or self.simulator.api, token=TOKEN, clock=self.clock, session=self.simulator.session,
            data_folder=changes["data_folder"], **settings,
        )  # fmt: skip
        self.gateways.append(gateway)
        self.port = await self.laboratory.expose("topspin", await gateway.start())

    def driver(self, port: int | None = None, token: Any = TOKEN) -> BrukerSpectrometer:
        settings = {"address": f"127.0.0.1:{self.port if port is None else port}", "token": token}
        context = DriverContext(
            "topspin",
            settings,
            self.clock,
            Silence(),
            self.hiccups.append,
            lambda named: f"{TOKEN}{named}",
            self.folder,
        )
        driver = BrukerSpectrometer(context)
        self.drivers.append(driver)
        return driver

    async def close(self) -> None:
        for driver in self.drivers:
            await driver.close()
        for gateway in self.gateways:
            await gateway.stop()
        await self.simulator.stop()
        await self.laboratory.stop()

    def commands(self, command: str) -> int:
        return sum(entry.get("command") == command for entry in self.laboratory.records("topspin"))

    async def until_over(self, driver: BrukerSpectrometer, handle: Handle) -> Progress:
        for _ in range(200):
            progress = await driver.poll(handle)
            if progress.state is not State.RUNNING:
                return progress
            assert progress.remaining is not None
            await asyncio.sleep(progress.remaining)
        raise TimeoutError("it does not end")


def on_bench(test: Callable[[Bench], Awaitable[None]], folder: Path, faults: bool = False, **settings: str) -> None:
    async def main(clock: LoopClock) -> None:
        bench = Bench(folder, clock, faults, **settings)
        await bench.open()
        try:
            await test(bench)
        finally:
            await bench.close()

    run_virtual(main)


class Wire:
    """A client that speaks the gateway's wire by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, port: int, token: str | None = TOKEN) -> Wire:
        wire = cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))
        if token is not None:
            assert (await wire.ask(op="hello", token=token))["ok"]
        return wire

    async def ask(self, **fields: Any) -> dict[str, Any]:
        return await self.say(json.dumps({"id": 1, **fields}).encode() + b"\n")

    async def say(self, line: bytes) -> dict[str, Any]:
        self.writer.write(line)
        answer: dict[str, Any] = json.loads(await self.reader.readuntil(b"\n"))
        return answer

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


async def measure(bench: Bench, driver: BrukerSpectrometer, token: str, wanted: AcquisitionRequest) -> Fetched:
    handle = await driver.start(token, wanted)
    progress = await bench.until_over(driver, handle)
    assert progress.state is State.DONE, progress.message
    return await driver.fetch(handle, bench.folder / "bundle")


class LosesOneAnswer:
    """Forwards line by line, and closes the connection in place of the ``n``-th answer: the command took effect."""

    def __init__(self, target: int, n: int) -> None:
        self._target, self._left = target, n
        self._links: set[asyncio.Task[Any]] = set()

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        self._server.close()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        far, out = await asyncio.open_connection("127.0.0.1", self._target, limit=1 << 20)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                out.write(await reader.readuntil(b"\n"))
                answer = await far.readuntil(b"\n")
                self._left -= 1
                if self._left == 0:
                    break
                writer.write(answer)
        for end in (out, writer):
            end.close()
            with contextlib.suppress(OSError):
                await end.wait_closed()
        self._links.discard(task)
