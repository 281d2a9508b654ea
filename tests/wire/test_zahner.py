"""What the Zahner driver promises, over the wire against the simulated Thales."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zahner_bench import REQUEST, TOKEN, Bench, Silent, description, ended, on_bench, rows

from labctl.engine.clock import LoopClock, run_virtual
from labctl.errors import DataError
from labctl.instruments import (
    Busy,
    CannotSay,
    Handle,
    NotIdentified,
    NotReachable,
    OutOfRange,
    Progress,
    Refused,
    State,
)
from labctl_simulators.faults import FaultPlan, FaultProxy
from labctl_simulators.laboratory import Laboratory
from labctl_simulators.thales import ThalesSimulator


def test_a_spectrum_comes_back_complete_and_is_the_cells(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        identity = await driver.connect()
        assert (identity.vendor, identity.model, identity.serial) == ("Zahner", "ZenniumPro", "33021")
        assert identity.details["source"] == "off"
        before = await driver.open_circuit_voltage()
        assert before == pytest.approx(made.cell.voltage(made.laboratory.time()), abs=1e-5)
        began = made.laboratory.time()
        handle = Handle.from_json((await driver.start(TOKEN, REQUEST)).to_json())
        assert made.laboratory.sources_on(made.cell) == ("zahner",)
        first = await driver.poll(handle)
        assert first.state is State.RUNNING
        assert first.remaining == pytest.approx(307, abs=10)
        await asyncio.sleep(100)
        middle = await driver.poll(handle)
        assert 0 < middle.values["points_done"] < 66
        assert middle.values["voltage_V"] == pytest.approx(before, abs=0.02)
        assert (await ended(driver, handle)).state is State.DONE
        assert made.laboratory.time() - began == pytest.approx(first.remaining or 0, abs=15)
        assert made.laboratory.sources_on(made.cell) == ()
        fetched = await driver.fetch(handle, tmp_path)
        await driver.close()
        points = rows(tmp_path)
        assert fetched.summary["points"] == len(points) == 66
        assert (tmp_path / f"{TOKEN}.ism").read_bytes() == made.thales.files[f"c:\\thales\\labctl\\{TOKEN}.ism"]
        frequency = np.array([point["frequency_Hz"] for point in points])
        assert (frequency[0], frequency[-1]) == (300e3, 0.1)
        assert (np.diff(frequency) < 0).all()
        time_s = np.array([point["time_s"] for point in points])
        measured = np.array([complex(point["real_ohm"], point["imaginary_ohm"]) for point in points])
        exact = made.cell.impedance(frequency, time_s + 0.3, began)
        assert np.abs(measured / exact - 1).max() < 0.01
        assert 0.0005 < np.std(np.abs(measured / exact)) < 0.004
        assert fetched.summary["voltage_before_V"] == pytest.approx(before, abs=0.01)
        assert fetched.summary["duration_s"] == pytest.approx(time_s[-1])
        assert fetched.read_back["file"]["amplitude"] == pytest.approx(100e-6)
        assert float(fetched.sent["Ampl"]) == pytest.approx(0.1)
        assert made.hiccups == []

    on_bench(tmp_path, story)


def test_a_potentiostatic_spectrum_is_taken_round_the_open_circuit_voltage(tmp_path: Path) -> None:
    request = replace(REQUEST, control="potentiostatic", amplitude=0.01, frequency_end=10.0)

    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        handle = await driver.start(TOKEN, request)
        assert (await ended(driver, handle)).state is State.DONE
        fetched = await driver.fetch(handle, tmp_path)
        await driver.close()
        assert float(fetched.sent["Ampl"]) == pytest.approx(10)
        assert float(fetched.sent["Pset"]) == pytest.approx(fetched.summary["voltage_before_V"], abs=1e-5)
        assert fetched.read_back["file"]["amplitude"] == pytest.approx(0.01)
        assert fetched.read_back["file"]["voltage"].endswith("Ampl: 10mV")
        assert len(rows(tmp_path)) == fetched.summary["points"]

    on_bench(tmp_path, story)


class Nth(FaultPlan):
    """Spoils one chunk of what the instrument says, counted from the first."""

    def __init__(self, kind: str, number: int) -> None:
        super().__init__()
        self._kind, self._number, self._seen = kind, number, 0

    def take(self) -> tuple[str, float] | None:
        self._seen += 1
        return (self._kind, 5.0) if self._seen == self._number else None


@pytest.mark.parametrize("kind", ["drop", "garble", "silent", "late", "duplicate", "half"])
@pytest.mark.parametrize("number", [1, 5, 12, 28, 30, 31, 60, 88, 103, 110])
def test_one_fault_anywhere_leaves_a_complete_spectrum_that_was_measured_once(
    tmp_path: Path, kind: str, number: int
) -> None:
    async def story(made: Bench) -> None:
        proxy = FaultProxy(made.settings["port"], Nth(kind, number))
        driver = made.driver(address=f"127.0.0.1:{await proxy.start()}")
        try:
            await driver.connect()
            handle = await driver.start(TOKEN, REQUEST)
            assert (await ended(driver, handle, 50)).state is State.DONE
            fetched = await driver.fetch(handle, tmp_path)
            await driver.close()
        finally:
            await proxy.stop()
        assert fetched.summary["points"] == len(rows(tmp_path)) == 66
        assert [entry["event"] for entry in made.laboratory.records("zahner")].count("sweep") == 1
        assert made.laboratory.sources_on(made.cell) == ()
        if kind in ("drop", "garble"):
            assert [hiccup.instrument for hiccup in made.hiccups] == ["zahner"]
            assert made.hiccups[0].kind == ("connection lost" if kind == "drop" else "garbled")

    on_bench(tmp_path, story)


def test_telegrams_in_single_bytes_are_put_together(tmp_path: Path) -> None:
    """Every byte in a segment of its own, in both directions."""

    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            for position in range(len(data)):
                writer.write(data[position : position + 1])
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    async def story(made: Bench) -> None:
        tasks = []

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", made.settings["port"])
            tasks.append(asyncio.create_task(dribble(reader, far_writer)))
            tasks.append(asyncio.create_task(dribble(far_reader, writer)))

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        driver = made.driver(address=f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await driver.connect()
        handle = await driver.start(TOKEN, replace(REQUEST, frequency_end=10e3))
        assert (await ended(driver, handle)).state is State.DONE
        assert (await driver.fetch(handle, tmp_path)).summary["points"] == 16
        await driver.close()
        server.close()
        await asyncio.gather(*tasks)
        assert made.hiccups == []

    on_bench(tmp_path, story)


def test_a_driver_that_comes_later_finds_the_running_sweep_and_never_ends_it(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        first = made.driver()
        await first.connect()
        handle = await first.start(TOKEN, REQUEST)
        await first.close()
        await asyncio.sleep(60)
        second = made.driver()
        assert (await second.connect()).details["script"].startswith("silent")
        assert (await second.poll(handle)).state is State.RUNNING
        with pytest.raises(Busy):
            await second.start("another", REQUEST)
        with pytest.raises(Busy):
            await second.open_circuit_voltage()
        assert (await ended(second, handle)).state is State.DONE
        assert (await second.fetch(handle, tmp_path)).summary["points"] == 66
        await second.close()
        assert made.hiccups == []

    on_bench(tmp_path, story)


def test_find_waits_for_a_busy_script_before_it_judges(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        first = made.driver()
        await first.connect()
        await first.start(TOKEN, REQUEST)
        await first.close()
        second = made.driver()
        found, other = await asyncio.gather(second.find(TOKEN), second.find("never-started"))
        assert made.laboratory.time() > 3600 * 4.5 + 250
        assert other is None
        assert found is not None
        assert (await second.poll(found)).state is State.DONE
        fetched = await second.fetch(found, tmp_path)
        await second.close()
        assert fetched.summary["points"] == 66
        assert fetched.summary["voltage_before_V"] == pytest.approx(made.cell.voltage(made.laboratory.time()), abs=0.02)

    on_bench(tmp_path, story)


def test_find_cannot_say_where_thales_keeps_silent_and_measures_nothing(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver(quiet_s=30)
        await driver.connect()
        with pytest.raises(CannotSay, match="30 s"):
            await driver.find(TOKEN)
        await driver.close()

    on_bench(tmp_path, story, script=False)


def test_a_thales_at_its_menu_is_forced_into_the_script_after_a_long_silence(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver(quiet_s=30)
        await driver.connect()
        handle = await driver.start(TOKEN, replace(REQUEST, frequency_end=1e3))
        assert (await ended(driver, handle)).state is State.DONE
        await driver.close()

    on_bench(tmp_path, story, script=False)


def test_abort_ends_the_sweep_with_the_source_off_and_may_be_repeated(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        handle = await driver.start(TOKEN, REQUEST)
        await asyncio.sleep(30)
        await driver.abort(handle)
        assert made.laboratory.sources_on(made.cell) == ()
        await driver.abort(handle)
        assert await driver.poll(handle) == Progress(State.FAILED, "aborted")
        with pytest.raises(DataError, match="no file"):
            await driver.fetch(handle, tmp_path)
        assert await driver.find(TOKEN) is None
        again = await driver.start("another", replace(REQUEST, frequency_end=1e3))
        await driver.abort(handle)
        assert (await ended(driver, again)).state is State.DONE
        await driver.abort(again)
        assert (await driver.fetch(again, tmp_path)).summary["points"] > 20
        await driver.close()

    on_bench(tmp_path, story)


def test_a_sweep_goes_on_in_a_restored_laboratory(tmp_path: Path) -> None:
    saved: dict[str, Any] = {}

    async def before(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        saved["handle"] = (await driver.start(TOKEN, REQUEST)).to_json()
        await asyncio.sleep(120)
        await driver.close()
        saved["laboratory"], saved["thales"] = made.laboratory.save(), made.thales.save()

    on_bench(tmp_path, before)

    async def after(clock: LoopClock) -> None:
        laboratory = Laboratory(description(), folder=tmp_path, seed=1, clock=clock, log=Silent())
        laboratory.restore(saved["laboratory"])
        thales = ThalesSimulator("zahner", {}, laboratory)
        thales.restore(saved["thales"])
        made = Bench(clock, laboratory, thales, await thales.start(), [], tmp_path)
        driver = made.driver()
        await driver.connect()
        handle = Handle.from_json(saved["handle"])
        assert (await driver.poll(handle)).state is State.RUNNING
        assert (await ended(driver, handle)).state is State.DONE
        assert (await driver.fetch(handle, tmp_path)).summary["points"] == 66
        assert laboratory.violations == []
        assert laboratory.sources_on(made.cell) == ()
        await driver.close()
        await thales.stop()

    run_virtual(after)
    assert np.allclose(np.diff([point["time_s"] for point in rows(tmp_path)])[:10], 0.3)


def test_a_source_that_was_left_on_is_switched_off_when_connecting(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        first = made.driver()
        await first.connect()
        starting = asyncio.create_task(first.start(TOKEN, REQUEST))
        while not made.laboratory.sources_on(made.cell):
            await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await first.close()
        second = made.driver()
        assert await second.find(TOKEN) is None
        assert (await second.connect()).details["source"] == "off"
        assert made.laboratory.sources_on(made.cell) == ()
        await second.close()

    on_bench(tmp_path, story)


def test_open_leads_are_refused_with_the_source_off(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        made.laboratory.relays("mux").clear()
        driver = made.driver()
        await driver.connect()
        with pytest.raises(Refused, match=r"zahner at 127.*0\.0021 V at the leads"):
            await driver.start(TOKEN, REQUEST)
        assert made.thales.settings["Pot"] == 0
        await driver.close()

    on_bench(tmp_path, story)


def test_leads_that_open_during_a_sweep_end_it_with_the_instruments_words(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        handle = await driver.start(TOKEN, REQUEST)
        await asyncio.sleep(50)
        made.laboratory.relays("mux").clear()
        progress = await ended(driver, handle)
        assert progress.state is State.FAILED
        assert "ERROR;103;1" in progress.message
        assert made.thales.settings["Pot"] == 0
        await driver.close()

    on_bench(tmp_path, story)


def test_a_voltage_that_leaves_the_limits_ends_the_sweep(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        narrow = await driver.open_circuit_voltage() + 0.025
        handle = await driver.start(TOKEN, replace(REQUEST, bias=1e-3, voltage_max=narrow))
        progress = await ended(driver, handle, 1.0)
        assert progress.state is State.FAILED
        assert "outside" in progress.message
        assert made.laboratory.sources_on(made.cell) == ()
        await driver.close()

    on_bench(tmp_path, story)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"voltage_min": 4.0}, Refused, "outside the cell's limits 4 V to 4.4 V"),
        ({"amplitude": 5.0}, OutOfRange, "outside the instrument's -3 to 3 A"),
        ({"amplitude": 0.0}, OutOfRange, "must exceed 0"),
        ({"periods": 200}, OutOfRange, "1 to 100"),
        ({"frequency_start": 20e6}, OutOfRange, "ERROR;100;1 to Fstart"),
    ],
)
def test_what_cannot_be_is_refused_with_the_source_off(
    tmp_path: Path, change: dict[str, Any], error: type[Exception], words: str
) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        with pytest.raises(error, match=words.replace(";", r"\;")):
            await driver.start(TOKEN, replace(REQUEST, **change))
        assert made.laboratory.sources_on(made.cell) == ()
        await driver.close()

    on_bench(tmp_path, story)


def test_a_token_is_measured_once(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        short = replace(REQUEST, frequency_end=10e3)
        assert (await ended(driver, await driver.start(TOKEN, short))).state is State.DONE
        before = dict(made.thales.files)
        with pytest.raises(Refused, match="ERROR"):
            await driver.start(TOKEN, short)
        assert made.thales.files == before
        await driver.close()

    on_bench(tmp_path, story)


@asynccontextmanager
async def stranger(greeting: bytes) -> AsyncIterator[int]:
    """Somebody else's server: says something, or nothing, and listens for ever."""
    writers = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(greeting)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in writers:
        writer.close()
    await asyncio.sleep(1)


def test_who_answers_is_checked(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        with pytest.raises(NotIdentified, match="workstation 33021 answers, expected 4711"):
            await made.driver(serial=4711).connect()
        async with stranger(b"220 mail ready\r\n") as port:
            with pytest.raises(NotIdentified, match=f"zahner at 127.0.0.1:{port}"):
                await made.driver(address=f"127.0.0.1:{port}").connect()
        with pytest.raises(NotReachable, match=f"zahner at 127.0.0.1:{port}: no connection to Term"):
            await made.driver(address="127.0.0.1", port=port).connect()

    on_bench(tmp_path, story)


def test_a_mute_address_is_given_up_within_five_seconds(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        async with stranger(b"") as port:
            began = made.laboratory.time()
            with pytest.raises(NotReachable, match="nothing answers"):
                await made.driver(address=f"127.0.0.1:{port}").connect()
            assert made.laboratory.time() - began < 5

    on_bench(tmp_path, story)
