"""Where the vendor's own client waits for ever, this driver comes to an end with the source seen to be off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from zahner_bench import REQUEST, TOKEN, Bench, ended, on_bench

from labctl.instruments import DynamicRequest, Progress, State, TimedOut, VendorAlarm
from labctl_drivers.zahner import ZahnerPotentiostat
from labctl_simulators.dialects import Thales
from labctl_simulators.faults import FaultProxy

SHORT = replace(REQUEST, frequency_end=10.0)
OFF = b"Pot=0;"
SERIES = DynamicRequest(
    name="dead-lithium/bare-01/c030/04-deis/a1",
    current=1e-3,
    amplitude=1.3e-3,
    frequency_start=1e4,
    frequency_end=10.0,
    points_per_decade=4,
    periods=4,
    spectra=2,
    cutoff=4.4,
    voltage_min=2.5,
    voltage_max=4.4,
)


class Tap:
    """Stands in the wire and notes what goes over it, whatever connection it goes over."""

    def __init__(self) -> None:
        self.said = bytearray()
        self._tasks: list[asyncio.Task[None]] = []

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.said += data
            writer.write(data)
        writer.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        self._tasks += [
            asyncio.create_task(self._carry(reader, far_writer)),
            asyncio.create_task(self._carry(far_reader, writer)),
        ]

    @asynccontextmanager
    async def before(self, port: int) -> AsyncIterator[str]:
        server = await asyncio.start_server(lambda r, w: self._accept(r, w, port), "127.0.0.1", 0)
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()
        await asyncio.gather(*self._tasks)

    def seen_off(self) -> bool:
        """Whether the last thing said of the source is the instrument's own word that it is off, after an order."""
        order = self.said.rfind(b"1:Pot=0:")
        word = self.said.rfind(b"ENDSETUP")
        return 0 < order < word and OFF in self.said[order:word] and b"1:Pot=-1:" not in self.said[order:]


@pytest.mark.parametrize("ending", ["measured", "aborted", "overloaded", "broken off by a limit"])
def test_the_source_is_ordered_off_and_seen_off_on_the_wire_after_every_run(tmp_path: Path, ending: str) -> None:
    async def story(made: Bench) -> None:
        tap = Tap()
        async with tap.before(made.settings["port"]) as address:
            driver = made.driver(address=address)
            await driver.connect()
            request = SHORT
            if ending == "broken off by a limit":
                request = replace(SHORT, bias=1e-3, voltage_max=await driver.open_circuit_voltage() + 0.02)
            handle = await driver.start(TOKEN, request)
            assert not tap.seen_off()
            await asyncio.sleep(3)
            if ending == "aborted":
                await driver.abort(handle)
            elif ending == "overloaded":
                made.laboratory.break_down("zahner", "overload")
            progress = await ended(driver, handle, 1.0)
            assert progress.state is (State.DONE if ending == "measured" else State.FAILED)
            assert tap.seen_off()
            await driver.close()
        assert made.laboratory.sources_on(made.cell) == ()

    on_bench(tmp_path, story)


@pytest.mark.parametrize("ending", ["all spectra", "cut-off", "aborted", "overloaded", "closed"])
def test_the_source_is_ordered_off_and_seen_off_on_the_wire_after_every_series(tmp_path: Path, ending: str) -> None:
    async def story(made: Bench) -> None:
        tap = Tap()
        async with tap.before(made.settings["port"]) as address:
            driver = made.driver(address=address)
            await driver.connect()
            request = SERIES
            if ending == "cut-off":
                request = replace(SERIES, cutoff=await driver.open_circuit_voltage() + 0.055, spectra=99)
            handle = await driver.start_dynamic(TOKEN, request)
            assert not tap.seen_off()
            await asyncio.sleep(3)
            if ending == "aborted":
                await driver.abort(handle)
            elif ending == "overloaded":
                made.laboratory.break_down("zahner", "overload")
            elif ending == "closed":
                await driver.close()
            else:
                assert not tap.seen_off()
            if ending != "closed":
                progress = await ended(driver, handle, 1.0)
                assert progress.state is (State.DONE if ending in ("all spectra", "cut-off") else State.FAILED)
            assert tap.seen_off()
            if ending in ("all spectra", "cut-off"):
                assert (await driver.fetch(handle, tmp_path)).summary["end"] == ending
            await driver.close()
        assert made.laboratory.sources_on(made.cell) == ()

    on_bench(tmp_path, story)


def test_every_reconnection_that_finds_the_script_free_sees_the_source_off(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        handle = await driver.start(TOKEN, SHORT)
        driver._session.drop()
        await asyncio.sleep(60)  # the sweep is over, the source still on
        assert made.laboratory.sources_on(made.cell) == ("zahner",)
        looks: list[Any] = [
            lambda other: other.connect(),
            lambda other: other.poll(handle),
            lambda other: other.abort(handle),
            lambda other: other.find(TOKEN),
            lambda other: other.find("never-started"),
            lambda other: other.fetch(handle, tmp_path),
            lambda other: other.open_circuit_voltage(),
        ]
        for look in looks:
            made.thales.settings.numbers["Pot"] = -1.0
            made.thales.source.rewire()
            tap = Tap()
            async with tap.before(made.settings["port"]) as address:
                other = made.driver(address=address)
                await look(other)
                assert tap.seen_off()
                await other.close()
            assert made.laboratory.sources_on(made.cell) == ()

    on_bench(tmp_path, story)


def test_a_sweep_whose_answer_never_comes_is_judged_by_its_file(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        handle = await driver.start(TOKEN, SHORT)
        made.laboratory.break_down("zahner", "lost reply")
        began = made.laboratory.time()
        assert (await ended(driver, handle, 5.0)).state is State.DONE
        assert made.laboratory.time() - began < 1.5 * handle.data["expected_s"] + 60
        assert made.laboratory.sources_on(made.cell) == ()
        assert (await driver.fetch(handle, tmp_path)).summary["points"] > 40
        await driver.close()

    on_bench(tmp_path, story)


def test_a_term_that_never_hands_a_file_over_is_an_error_with_the_source_off(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        handle = await driver.start(TOKEN, SHORT)
        await asyncio.sleep(60)
        made.laboratory.break_down("zahner", "no files")
        began = made.laboratory.time()
        with pytest.raises(TimedOut, match="no answer on FileExchange"):
            await driver.poll(handle)
        assert made.laboratory.time() - began < 30
        assert made.laboratory.sources_on(made.cell) == ()
        with pytest.raises(TimedOut):
            await driver.fetch(handle, tmp_path)
        await driver.abort(handle)
        assert made.laboratory.sources_on(made.cell) == ()
        await driver.close()

    on_bench(tmp_path, story)


def test_a_term_that_never_answers_a_sign_off_does_not_hold_the_driver_up(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        began = made.laboratory.time()
        await driver.close()
        assert made.laboratory.time() - began < 1

    on_bench(tmp_path, story, sign_off="mute")


def test_a_thales_without_a_sign_of_life_is_an_alarm_and_an_abort_says_that_it_failed(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver: ZahnerPotentiostat = made.driver(heartbeat_s=30)
        await driver.connect()
        handle = await driver.start(TOKEN, REQUEST)
        await asyncio.sleep(10)
        made.laboratory.break_down("zahner", "freeze")
        began = made.laboratory.time()
        with pytest.raises(VendorAlarm, match=r"no sign of life for \d+ s"):
            await ended(driver, handle, 5.0)
        assert made.laboratory.time() - began < 45
        began = made.laboratory.time()
        with pytest.raises(TimedOut, match="zahner at 127"):
            await driver.abort(handle)
        assert made.laboratory.time() - began < 120
        assert made.laboratory.sources_on(made.cell) == ("zahner",)
        await driver.close()

    on_bench(tmp_path, story)


@pytest.mark.parametrize("declined", [1, 2, 4, 6])
def test_an_abort_of_which_thales_declines_some_orders_ends_with_the_source_seen_off(
    tmp_path: Path, declined: int
) -> None:
    async def story(made: Bench) -> None:
        tap, proxy = Tap(), FaultProxy(made.settings["port"], dialect=Thales)
        async with tap.before(await proxy.start()) as address:
            driver = made.driver(address=address)
            await driver.connect()
            handle = await driver.start(TOKEN, REQUEST)
            await asyncio.sleep(3)
            proxy.plan.inject("refuse", declined)
            await driver.abort(handle)
            assert proxy.plan.pending == 0
            assert tap.seen_off()
            assert await driver.poll(handle) == Progress(State.FAILED, "aborted")
            await driver.close()
        await proxy.stop()
        assert made.laboratory.sources_on(made.cell) == ()

    on_bench(tmp_path, story)


def test_a_source_that_cannot_be_switched_off_is_told_as_on_and_a_later_abort_ends_it(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        proxy = FaultProxy(made.settings["port"], dialect=Thales)
        driver = made.driver(address=f"127.0.0.1:{await proxy.start()}")
        await driver.connect()
        handle = await driver.start(TOKEN, REQUEST)
        await asyncio.sleep(3)
        proxy.plan.inject("refuse", 9)
        with pytest.raises(VendorAlarm, match="take the source for on, and switch it off at the instrument"):
            await driver.abort(handle)
        assert made.laboratory.sources_on(made.cell) == ("zahner",)
        await driver.abort(handle)
        assert made.laboratory.sources_on(made.cell) == ()
        await driver.close()
        await proxy.stop()

    on_bench(tmp_path, story)
