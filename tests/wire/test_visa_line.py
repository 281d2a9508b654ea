"""What the VISA back end does that must not reach a relay, and a serial port instead of a socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pyvisa
from line_bench import Bench, context_of
from line_bench import on_bench as run_on_bench

from labctl.engine.clock import LoopClock, run_virtual
from labctl.errors import InstrumentError
from labctl_drivers.scpi_multiplexer import ScpiMultiplexer
from labctl_drivers.visa_line import VisaLine
from labctl_simulators.scpi import ScpiMultiplexerSimulator


def on_bench(test: Callable[[Bench], Awaitable[None]], **settings: Any) -> None:
    laboratory: dict[str, Any] = {"cells": [], "places": {}}
    run_on_bench(ScpiMultiplexer, ScpiMultiplexerSimulator, "mux", test, {"model": "34970A", **settings}, laboratory)


def test_questions_asked_at_once_get_their_own_answers() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        bench.simulator._hear("ROUT:CLOS (@101,103,105,107)")
        asked = [{relay, relay + 1} for relay in range(101, 108)] * 5
        answers = await asyncio.gather(*(bench.driver.closed(relays) for relays in asked))
        assert answers == [relays & {101, 103, 105, 107} for relays in asked]
        assert not bench.hiccups

    on_bench(test)


def test_one_unit_that_is_closed_leaves_the_others_connected() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        unit = ScpiMultiplexerSimulator("mux-2", {}, bench.laboratory)
        another = ScpiMultiplexer(context_of(bench.clock, "mux-2", await unit.start(), []))
        await another.connect()
        await another.close()
        await unit.stop()
        assert await bench.driver.closed([101]) == frozenset()
        assert not bench.hiccups

    on_bench(test)


def test_a_line_that_ends_with_carriage_return_too_is_the_same_line() -> None:
    async def test(bench: Bench) -> None:
        bench.simulator._server.end_sent = b"\r\n"
        assert (await bench.driver.connect()).model == "34970A"
        await bench.driver.switch(101, [101, 102])
        assert not bench.hiccups

    on_bench(test)


def test_closing_a_driver_leaves_the_one_manager_of_the_process_open() -> None:
    """The back end hands out one manager for all: whoever closed it would close every session."""

    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        assert pyvisa.ResourceManager("@py").list_opened_resources()
        await bench.driver.close()
        assert pyvisa.ResourceManager("@py").session

    on_bench(test)


def test_a_unit_on_a_serial_port() -> None:
    async def test(bench: Bench) -> None:
        import tty  # Windows has none

        ours, theirs = os.openpty()
        tty.setraw(ours)
        tty.setraw(theirs)
        loop = asyncio.get_running_loop()
        waiting = bytearray()

        def answer() -> None:
            waiting.extend(os.read(ours, 4096))
            while b"\n" in waiting:
                line, _, rest = bytes(waiting).partition(b"\n")
                waiting[:] = rest
                said = bench.simulator._hear(line.decode())
                if said is not None:
                    os.write(ours, said.encode() + b"\n")

        loop.add_reader(ours, answer)
        settings = {"address": f"ASRL{os.ttyname(theirs)}::INSTR", "model": "2700", "serial": "19200 8N1"}
        driver = ScpiMultiplexer(context_of(bench.clock, "mux", settings, []))
        try:
            assert (await driver.connect()).model == "2700"
            await driver.switch(101, [101, 102])
            assert await driver.closed([101, 102]) == {101}
        finally:
            await driver.close()
            loop.remove_reader(ours)
            os.close(ours)
            os.close(theirs)

    on_bench(test, model="2700")


@pytest.mark.parametrize("frame", ["9600", "9600 9N1", "fast"])
def test_a_frame_of_another_form_is_refused(frame: str) -> None:
    async def main(clock: LoopClock) -> None:
        with pytest.raises(InstrumentError, match="is no line setting"):
            VisaLine(context_of(clock, "mux", {}, []), "ASRL3::INSTR", frame=frame)

    run_virtual(main)
