"""What drivers say of instruments that are not as they should be, and that inspecting puts nothing right by itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import maccor_bench
import pytest
import zahner_bench
from assisted_bench import Quiet
from line_bench import Bench, on_bench

from labctl.engine.clock import LoopClock, run_virtual
from labctl.instruments import ChamberReading, DriverContext, Inspectable, VendorAlarm
from labctl_drivers import chamber_inspection
from labctl_drivers.assisted import ASSISTED
from labctl_drivers.binder import BinderChamber
from labctl_drivers.espec import EspecChamber
from labctl_drivers.julabo import JulaboChamber
from labctl_drivers.scpi_multiplexer import ScpiMultiplexer
from labctl_drivers.zahner import ZahnerPotentiostat
from labctl_simulators.binder import BinderSimulator
from labctl_simulators.espec import EspecSimulator
from labctl_simulators.julabo import JulaboSimulator
from labctl_simulators.scpi import ScpiMultiplexerSimulator

Test = Callable[[Bench], Awaitable[None]]


def looking(make: Callable[[DriverContext], Any], **more: Any) -> Callable[[DriverContext], Any]:
    """The driver as it is made for looking only."""
    return lambda context: make(replace(context, read_only=True, **more))


def on_circulator(test: Test, **simulate: Any) -> None:
    on_bench(looking(JulaboChamber), JulaboSimulator, "oven", test, {"simulate": simulate}, {})


def on_switch_unit(
    test: Test, wired: tuple[int, ...] = (101, 102), settings: Mapping[str, Any] | None = None, **simulate: Any
) -> None:
    make = looking(ScpiMultiplexer, wired=wired, free=frozenset(wired))
    entry = {"model": "34970A", **(settings or {}), "simulate": simulate}
    on_bench(make, ScpiMultiplexerSimulator, "mux", test, entry, {})


def on_binder(test: Test, settings: Mapping[str, Any] | None = None, **simulate: Any) -> None:
    on_bench(looking(BinderChamber), BinderSimulator, "oven", test, {**(settings or {}), "simulate": simulate}, {})


def on_espec(test: Test, settings: Mapping[str, Any] | None = None, **simulate: Any) -> None:
    on_bench(looking(EspecChamber), EspecSimulator, "oven", test, {**(settings or {}), "simulate": simulate}, {})


#: By what is inspected: the instrument on its bench, and what changes something there.
CHAMBERS = pytest.mark.parametrize(
    ("on_chamber", "writes"),
    [(on_binder, ("write",)), (on_espec, ("TEMP,", "MODE,", "POWER"))],
    ids=["binder", "espec"],
)
WITH_CLOCK = pytest.mark.parametrize("on_instrument", [on_binder, on_espec, on_switch_unit])


def written(bench: Bench, writes: tuple[str, ...]) -> list[str]:
    return [command for command in bench.log_of("heard", "command") if command.startswith(writes)]


@CHAMBERS
def test_looking_at_a_chamber_tells_its_state_and_changes_nothing(on_chamber: Any, writes: tuple[str, ...]) -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        found = await bench.driver.inspect(exercise=False)
        assert (found.facts["temperature"], found.facts["regulates"]) == ("20 degC", "no")
        assert found.safety["control"] == "remote"
        assert "limits" in found.safety
        assert found.unsafe == ()
        assert any("loss of mains" in one for one in found.unverified)
        assert written(bench, writes) == []
        assert "exercised" not in found.facts

    on_chamber(test)


@CHAMBERS
def test_exercising_a_chamber_writes_its_set_point_as_it_was_and_starts_nothing(
    on_chamber: Any, writes: tuple[str, ...]
) -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        before = await bench.driver.read()
        found = await bench.driver.inspect(exercise=True)
        assert found.facts["exercised"] == "set-point 25 degC written as it was, and read back"
        assert written(bench, writes) in (["write 114C 0000 41C8"], ["TEMP,S25.0"])
        after = await bench.driver.read()
        assert (after.set_point, after.running) == (before.set_point, False)

    on_chamber(test)


def test_a_chamber_that_runs_a_program_is_unsafe_and_not_exercised() -> None:
    async def test(bench: Bench) -> None:
        bench.laboratory.chamber("oven").regulate(333.15)
        await bench.driver.connect()
        found = await bench.driver.inspect(exercise=True)
        [program] = found.unsafe
        assert "end the program at its panel" in program
        assert found.safety["control"] == "program"
        assert found.facts["exercised"] == "nothing: a program has control"
        assert written(bench, ("write", "TEMP,", "MODE,")) == []

    on_binder(test, program=60.0)
    on_espec(test, program=True)


def test_a_chamber_outside_of_its_own_limits_is_unsafe() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        found = await bench.driver.inspect(exercise=False)
        assert found.safety["limits"].startswith("30.0 to 140.0 degC")
        assert "20.0 degC, outside of its own limits" in found.unsafe[0]

    on_espec(test, limits=[30.0, 140.0])


def test_limits_in_registers_of_the_map_are_told(tmp_path: Path) -> None:
    shipped = json.loads(files("labctl_drivers").joinpath("binder_maps.json").read_text(encoding="utf-8"))
    own = tmp_path / "own.json"
    own.write_text(json.dumps({**shipped["mb2"], "limits": {"low": "0050", "high": "0052"}}), encoding="utf-8")

    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        assert (await bench.driver.inspect(exercise=False)).safety["limits"] == "10.00 to 60.00 degC"

    on_binder(test, {"map": str(own)}, floats={"0050": 10.0, "0052": 60.0})


@WITH_CLOCK
def test_a_clock_that_is_right_is_no_finding(on_instrument: Any) -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        found = await bench.driver.inspect(exercise=False)
        assert abs(found.clock_offset) < 1.5
        assert found.unsafe == ()

    on_instrument(test)
    on_instrument(test, settings={"instrument_clock": "1 h"}, clock_ahead_s=3600.0)


@WITH_CLOCK
def test_a_clock_that_is_off_is_told_with_what_to_do(on_instrument: Any) -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        found = await bench.driver.inspect(exercise=False)
        assert abs(found.clock_offset + 86400.0) < 1.5
        [clock] = found.unsafe
        assert "-86" in clock and "instrument_clock" in clock

    on_instrument(test, clock_ahead_s=-86400.0)


@pytest.mark.parametrize(
    ("on_instrument", "settings", "simulate"),
    [
        (on_binder, {"map": "mb1"}, {"model": "mb1"}),
        (on_espec, {}, {"clock": False}),
        (on_switch_unit, {"model": "2700"}, {}),
    ],
    ids=["binder mb1", "espec", "2700"],
)
def test_an_instrument_without_a_clock_tells_no_time_and_is_not_at_fault(
    on_instrument: Any, settings: dict[str, Any], simulate: dict[str, Any]
) -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        found = await bench.driver.inspect(exercise=False)
        assert found.clock_offset is None
        assert found.unsafe == ()

    on_instrument(test, settings=settings, **simulate)


def test_a_chamber_that_obeys_its_panel_is_unsafe_and_not_exercised() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        found = await bench.driver.inspect(exercise=True)
        [panel] = found.unsafe
        assert "panel" in panel and "remote control" in panel
        assert found.facts["exercised"] == "nothing: the panel has control"
        assert [command for command in bench.log_of("heard", "command") if command.startswith("out")] == []

    on_circulator(test, panel=True)


def test_a_chamber_says_which_alarm_stands() -> None:
    class Alarmed:
        async def read(self) -> ChamberReading:
            raise VendorAlarm("-01 LOW LEVEL ALARM", instrument="oven")

    found = asyncio.run(chamber_inspection.inspect(Alarmed(), ["what its codes mean; look"]))
    assert found.unsafe == ("it reports '-01 LOW LEVEL ALARM'; see to it at the instrument",)
    assert found.unverified == ("what its codes mean; look",)


def test_power_fail_recall_is_told_and_left_on() -> None:
    async def test(bench: Bench) -> None:
        for _ in range(2):
            await bench.driver.connect()
            found = await bench.driver.inspect(exercise=False)
            assert found.safety["power-fail recall"].lower().startswith("on")
            assert "MEM:STAT:REC:AUTO OFF" in found.unsafe[0]

    on_switch_unit(test, power_fail_recall=True)


def test_nothing_is_exercised_beside_a_relay_that_is_closed() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.switch(101, [101])
        moved = len(bench.log_of("opened", "relay") + bench.log_of("closed", "relay"))
        found = await bench.driver.inspect(exercise=True)
        assert found.facts["exercised"].startswith("nothing: relays 101 are closed")
        assert found.facts["closed"] == "101"
        assert len(bench.log_of("opened", "relay") + bench.log_of("closed", "relay")) == moved

    on_switch_unit(test)


def test_a_tester_whose_clock_is_off_is_told_with_what_to_set(tmp_path: Path) -> None:
    async def story(bench: maccor_bench.Bench) -> None:
        driver = await bench.connected(tester_clock="1 h")
        found = await driver.inspect(exercise=False)
        assert abs(found.clock_offset + 3600.0) < 2.0
        assert any("-36" in one and "tester_clock" in one for one in found.unsafe)

    maccor_bench.tell(tmp_path, story)


def test_the_limits_of_a_channel_that_works_are_not_exercised(tmp_path: Path) -> None:
    async def story(bench: maccor_bench.Bench) -> None:
        driver = await bench.connected(channels="1")
        await driver.start("k3x-charge", 1, maccor_bench.charge())
        limits = (await driver.inspect(exercise=False)).safety
        found = await driver.inspect(exercise=True)
        assert found.facts["exercised"] == "nothing: no channel is idle"
        assert found.facts["state"] == "1 Active"
        assert found.safety == limits

    maccor_bench.tell(tmp_path, story)


def test_a_source_that_is_on_is_told_and_stays_on(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        async with zahner_bench.bench(clock, tmp_path) as bench:
            bench.thales.settings.assign("Pot=-1")
            context = DriverContext(
                "zahner", bench.settings, clock, Quiet(), bench.hiccups.append, str, tmp_path, read_only=True
            )
            driver = ZahnerPotentiostat(context)
            try:
                await driver.connect()
                found = await driver.inspect(exercise=True)
            finally:
                await driver.close()
            assert found.safety["source"] == "ON"
            assert "switch it off" in found.unsafe[0]
            assert bench.thales.settings["Pot"] == -1

    run_virtual(main)


def test_looking_makes_no_drop_folder(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        for role in ("spectrometer", "cycler", "potentiostat", "chamber"):
            entry = {"driver": "assisted", "role": role, "drop_folder": "drop", "channels": "1-2"}
            driver: Any = ASSISTED(
                DriverContext("by-hand", entry, clock, Quiet(), print, str, tmp_path, read_only=True)
            )
            await driver.connect()
            assert isinstance(driver, Inspectable)
            found = await driver.inspect(exercise=True)
            await driver.close()
            assert found.facts["drop folder"].startswith("not there yet")

    run_virtual(main)
    assert list(tmp_path.iterdir()) == []
