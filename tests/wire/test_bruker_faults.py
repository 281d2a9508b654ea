"""The Bruker driver after something broke: lost answers, garbled bytes, restarts."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from nmr_bench import Bench, LosesOneAnswer, Wire, measure, on_bench, request

from labctl.engine.clock import LoopClock, run_virtual
from labctl.instruments import (
    Busy,
    NotReachable,
    Refused,
    State,
)


def test_find_tells_what_was_started_from_what_was_not(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        assert await driver.find("never") is None
        wire = await Wire.to(bench.port)
        await wire.ask(op="create", name="made-only", expno=1)
        assert await driver.find("made-only") is None
        await wire.close()

        started = await driver.start("series", request(pulse_lengths=(2e-6, 7e-6), scans=16))
        await asyncio.sleep(3)
        other = bench.driver()
        found = await other.find("series")
        assert found is not None
        assert (found.token, found.place) == ("series", started.place)
        assert (await bench.until_over(other, found)).state is State.DONE
        fetched = await other.fetch(found, tmp_path / "bundle")
        assert fetched.summary["pulse_us"] == [2.0, 7.0]
        again = await other.find("series")
        assert again is not None, "also after it is over"
        assert bench.commands("zg") == 2

    on_bench(test, tmp_path)


def test_a_start_that_broke_off_before_the_acquisition_is_taken_up_where_it_was(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        with pytest.raises(Refused):
            await driver.start("again", request(receiver_gain=500.0))
        assert await driver.find("again") is None
        fetched = await measure(bench, driver, "again", request())
        assert fetched.summary["scans"] == 64

    on_bench(test, tmp_path)


def test_a_fresh_dataset_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        wire = await Wire.to(bench.port)
        await wire.ask(op="create", name="theirs", expno=1, title="a sample of somebody else")
        with pytest.raises(Refused, match="EXISTS"):
            await bench.driver().start("theirs", request())
        await wire.close()

    on_bench(test, tmp_path)


@pytest.mark.parametrize("kind", ["drop", "garble", "silent", "late", "duplicate", "half"])
def test_a_fault_on_the_wire_leaves_a_complete_and_correct_result(tmp_path: Path, kind: str) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        await driver.connect()
        bench.laboratory.inject("topspin", kind, seconds=45.0)
        handle = await driver.start("spoilt", request(scans=256))
        bench.laboratory.inject("topspin", kind, seconds=45.0)
        assert (await bench.until_over(driver, handle)).state is State.DONE
        bench.laboratory.inject("topspin", kind, seconds=45.0)
        fetched = await driver.fetch(handle, bench.folder / "bundle")
        assert fetched.summary["scans"] == 256
        assert bench.hiccups
        assert bench.commands("zg") == 1

    async def clean(bench: Bench) -> None:
        await measure(bench, bench.driver(), "spoilt", request(scans=256))

    on_bench(test, tmp_path / "spoilt", faults=True)
    on_bench(clean, tmp_path / "clean")
    spoilt, good = (tmp_path / run / "bundle" / "spoilt" / "1" / "fid" for run in ("spoilt", "clean"))
    assert spoilt.read_bytes() == good.read_bytes()


@pytest.mark.parametrize("lost", range(1, 14))
def test_whichever_answer_is_lost_nothing_is_acquired_twice(tmp_path: Path, lost: int) -> None:
    async def test(bench: Bench) -> None:
        proxy = LosesOneAnswer(bench.port, lost)
        driver = bench.driver(await proxy.start())
        try:
            fetched = await measure(bench, driver, "once", request(pulse_lengths=(5e-6, 7e-6), scans=16))
        finally:
            await driver.close()
            await proxy.stop()
        assert fetched.summary["expnos"] == [1, 2]
        assert bench.commands("zg") == 2
        assert [hiccup.kind for hiccup in bench.hiccups] == ["connection lost"]

    on_bench(test, tmp_path)


def test_a_gateway_that_was_restarted_finds_the_acquisition_running_and_starts_no_other(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        handle = await driver.start("over", request())
        await bench.gateways.pop().stop()
        await driver.close()
        with pytest.raises(NotReachable):
            await driver.poll(handle)
        await bench.open()
        again = bench.driver()
        assert (await again.poll(handle)).state is State.RUNNING
        with pytest.raises(Busy):
            await again.start("other", request())
        assert (await bench.until_over(again, handle)).state is State.DONE
        assert (await again.fetch(handle, tmp_path / "bundle")).summary["scans"] == 64

    on_bench(test, tmp_path)


def test_a_saved_spectrometer_goes_on_with_its_acquisition_and_measures_the_same(tmp_path: Path) -> None:
    async def whole(bench: Bench) -> None:
        await measure(bench, bench.driver(), "saved", request())

    async def before(bench: Bench) -> None:
        await bench.driver().start("saved", request())
        await asyncio.sleep(10)
        saved.update(json.loads(json.dumps({"laboratory": bench.laboratory.save(), "topspin": bench.simulator.save()})))

    async def after(clock: LoopClock) -> None:
        bench = Bench(tmp_path / "2", clock, faults=False)
        bench.laboratory.restore(saved["laboratory"])
        bench.simulator.restore(saved["topspin"])
        await bench.open()
        try:
            driver = bench.driver()
            handle = await driver.find("saved")
            assert handle is not None
            assert (await bench.until_over(driver, handle)).state is State.DONE
            await driver.fetch(handle, bench.folder / "bundle")
            assert bench.laboratory.time() == pytest.approx(64 * 0.5332768 + 4, abs=5)
        finally:
            await bench.close()

    saved: dict[str, Any] = {}
    on_bench(whole, tmp_path / "1")
    on_bench(before, tmp_path / "2")
    run_virtual(after)
    one, two = (tmp_path / run / "bundle" / "saved" / "1" / "fid" for run in ("1", "2"))
    assert one.read_bytes() == two.read_bytes()
