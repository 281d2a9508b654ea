"""The scripted person at an assisted instrument of the virtual laboratory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from assisted_bench import EPOCH, Quiet
from nmr_bench import STATION, request

from labctl.engine.clock import LoopClock, run_virtual
from labctl.instruments import DriverContext, State
from labctl_drivers.assisted import ASSISTED
from labctl_simulators.assisted import AssistedSimulator
from labctl_simulators.laboratory import Laboratory

ENTRY = {"driver": "assisted", "role": "spectrometer", "drop_folder": "anywhere"}


def driver_of(reached: dict[str, Any], clock: LoopClock, folder: Path) -> Any:
    return ASSISTED(DriverContext("topspin", {**ENTRY, **reached}, clock, Quiet(), lambda hiccup: None, str, folder))


def test_a_person_who_was_interrupted_goes_on_and_starts_nothing_twice(tmp_path: Path) -> None:
    wanted = request(scans=4096, pulse_lengths=(7e-6, 8e-6))

    async def main(clock: LoopClock) -> None:
        laboratory = Laboratory(STATION, folder=tmp_path, seed=7, clock=clock, log=Quiet())
        person = AssistedSimulator("topspin", ENTRY, laboratory)
        driver = driver_of(await person.start(), clock, tmp_path)
        await driver.connect()
        handle = await driver.start("token", wanted)
        await asyncio.sleep(1200)
        assert [entry["command"] for entry in laboratory.records("topspin") if "command" in entry] == ["zg"]
        saved = person.save()
        await person.stop()
        person = AssistedSimulator("topspin", ENTRY, laboratory)
        person.restore(saved)
        await person.start()
        while (progress := await driver.poll(handle)).state is State.RUNNING:
            await asyncio.sleep(progress.remaining)
        assert progress.state is State.DONE
        fetched = await driver.fetch(handle, tmp_path / "bundle")
        assert fetched.summary["pulse_us"] == [7.0, 8.0]
        assert sum(entry.get("command") == "zg" for entry in laboratory.records("topspin")) == 2
        assert laboratory.violations == []
        await driver.close()
        await person.stop()
        await laboratory.stop()

    run_virtual(main, EPOCH)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"role": "multiplexer"}, "nobody can fill"), ({"role": "potentiostat", "vendor": "csv"}, "not csv")],
)
def test_what_nobody_can_play_is_refused(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    async def main(clock: LoopClock) -> None:
        laboratory = Laboratory(STATION, folder=tmp_path, seed=7, clock=clock, log=Quiet())
        with pytest.raises(ValueError, match=words):
            AssistedSimulator("topspin", {**ENTRY, **changes}, laboratory)
        await laboratory.stop()

    run_virtual(main, EPOCH)


def test_a_chamber_is_set_and_its_reading_written_until_it_is_not_needed(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        laboratory = Laboratory(STATION, folder=tmp_path, seed=7, clock=clock, log=Quiet())
        entry = {"driver": "assisted", "role": "chamber", "drop_folder": "x"}
        person = AssistedSimulator("oven", entry, laboratory)
        driver = driver_of({**entry, **await person.start()}, clock, tmp_path)
        await driver.connect()
        await driver.regulate(313.15)
        await asyncio.sleep(3 * 3600)
        found = await driver.read()
        assert found.temperature == pytest.approx(313.15, abs=0.1)
        await driver.stop()
        await asyncio.sleep(600)
        assert not laboratory.chamber("oven").running
        await driver.close()
        await person.stop()
        await laboratory.stop()

    run_virtual(main, EPOCH)
