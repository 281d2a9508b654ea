"""A chamber as the engine uses it: the engine's oven, a driver and a circulator at the wire, in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from line_bench import Bench
from line_bench import on_bench as run_on_bench

from labctl.engine.chambers import Oven, Settled
from labctl.errors import InstrumentError
from labctl.instruments import TimedOut, VendorAlarm
from labctl_drivers.julabo import JulaboChamber
from labctl_simulators.julabo import JulaboSimulator
from labctl_simulators.thermal import ThermalPlant

WARM = 313.15


def in_oven(test: Callable[[Bench, Oven], Awaitable[None]], **simulate: Any) -> None:
    async def main(bench: Bench) -> None:
        await bench.driver.connect()
        oven = Oven("oven", bench.driver, Settled(tolerance=0.3, duration=600.0, at_most=7200.0), bench.clock)
        await test(bench, oven)

    run_on_bench(JulaboChamber, JulaboSimulator, "oven", main, {"simulate": simulate}, {})


def broken(bench: Bench, kind: str, **options: Any) -> None:
    bench.laboratory.break_down("oven", kind, **options)


def test_settled_is_inside_for_the_whole_time_and_not_one_good_reading() -> None:
    async def test(bench: Bench, oven: Oven) -> None:
        joining = asyncio.create_task(oven.join("a", WARM))
        plant = bench.laboratory.chamber("oven")
        while abs(plant.temperature - WARM) > 0.3:
            await asyncio.sleep(30.0)
        inside = bench.laboratory.time()
        await asyncio.sleep(300.0)
        broken(bench, "door open")
        await asyncio.sleep(120.0)
        broken(bench, "door closed")
        await joining
        assert bench.laboratory.time() - inside > 600.0 + 400.0
        assert abs(plant.temperature - WARM) < 0.3

    in_oven(test)


def test_a_chamber_that_never_comes_there_fails_at_its_deadline() -> None:
    async def test(bench: Bench, oven: Oven) -> None:
        broken(bench, "cold")
        with pytest.raises(InstrumentError, match=r"did not settle at 40 degC within 2 h, it is at 20"):
            await oven.join("a", WARM)
        assert 7200.0 <= bench.laboratory.time() < 7400.0

    in_oven(test)


def test_a_chamber_that_lost_its_mains_is_reported_and_never_started_by_itself() -> None:
    async def test(bench: Bench, oven: Oven) -> None:
        await oven.join("a", WARM)
        await oven.look()
        broken(bench, "mains lost")
        await asyncio.sleep(120.0)
        with pytest.raises(VendorAlarm, match=r"stands although it is needed \('02 REMOTE STOP'\)"):
            await oven.look()
        with pytest.raises(VendorAlarm, match="stands"):
            await oven.join("b", WARM)
        assert not bench.laboratory.chamber("oven").running
        for operation in ("a", "b"):
            await oven.leave(operation)
        await oven.join("a2", WARM)
        assert bench.laboratory.chamber("oven").running

    in_oven(test)


def test_a_restart_does_not_hide_that_the_chamber_stood_meanwhile() -> None:
    async def test(bench: Bench, oven: Oven) -> None:
        oven.restore("a", WARM)
        oven.restore("b")
        joining = asyncio.create_task(oven.join("b", WARM))
        await asyncio.sleep(10.0)
        with pytest.raises(VendorAlarm, match="stands"):
            await oven.look("a")
        with pytest.raises(VendorAlarm, match="stands"):
            await joining
        assert not bench.laboratory.chamber("oven").running

    in_oven(test)


def test_a_chamber_stopped_for_a_step_that_had_ended_holds_nobody_after_a_restart() -> None:
    async def test(bench: Bench, oven: Oven) -> None:
        oven.restore("a", WARM)
        oven.restore("b")
        joining = asyncio.create_task(oven.join("b", WARM))
        await asyncio.sleep(10.0)
        await oven.leave("a")
        await joining
        assert bench.laboratory.chamber("oven").running

    in_oven(test)


def test_a_step_that_cannot_be_asked_after_a_restart_counts_as_relying_on_a_chamber_that_stands() -> None:
    async def test(bench: Bench, oven: Oven) -> None:
        oven.restore("a", WARM)
        with pytest.raises(VendorAlarm, match="stands"):
            await oven.join("b", WARM)
        assert 7200.0 <= bench.laboratory.time() < 7300.0

    in_oven(test)


def test_a_set_point_changed_at_the_panel_is_noticed() -> None:
    async def test(bench: Bench, oven: Oven) -> None:
        await oven.join("a", WARM)
        bench.simulator._take_set_point(55.0)
        await asyncio.sleep(120.0)
        with pytest.raises(VendorAlarm, match=r"is set to 55 degC, although 40 degC was asked"):
            await oven.look()

    in_oven(test)


def test_a_restart_does_not_hide_that_the_set_point_was_changed_meanwhile() -> None:
    async def test(bench: Bench, oven: Oven) -> None:
        await bench.driver.regulate(WARM + 5.0)
        oven.restore("a", WARM)
        with pytest.raises(VendorAlarm, match=r"is set to 45 degC, although 40 degC was asked"):
            await oven.look("a")

    in_oven(test)


def test_a_door_opened_for_minutes_ends_nothing_and_one_left_open_does() -> None:
    async def test(bench: Bench, oven: Oven) -> None:
        await oven.join("a", WARM)
        broken(bench, "door open")
        for _ in range(10):
            await asyncio.sleep(61.0)
            await oven.look()
        broken(bench, "door closed")
        for _ in range(30):
            await asyncio.sleep(61.0)
            await oven.look()
        broken(bench, "door open")

        async def left_open() -> None:
            for _ in range(60):
                await asyncio.sleep(61.0)
                await oven.look()

        with pytest.raises(VendorAlarm, match=r"away from 40 degC for 30\.\d+ min, it is at 32"):
            await left_open()

    in_oven(test)


def test_a_chamber_that_cannot_be_asked_for_a_while_is_reported_once_and_ends_nothing() -> None:
    async def test(bench: Bench, oven: Oven) -> None:
        await oven.join("a", WARM)
        hear, bench.simulator._server.answer = bench.simulator._server.answer, lambda line: "?"
        await asyncio.sleep(120.0)
        with pytest.raises(TimedOut, match="does not answer, and is asked again every minute"):
            await oven.look()
        for _ in range(2):
            await asyncio.sleep(61.0)
            await oven.look()
        bench.simulator._server.answer = hear
        await asyncio.sleep(61.0)
        await oven.look()
        assert oven.live["temperature_K"] == pytest.approx(WARM, abs=0.1)

    in_oven(test)


def test_a_chamber_that_cannot_be_asked_for_as_long_as_it_takes_to_settle_ends_what_relies_on_it() -> None:
    async def test(bench: Bench, oven: Oven) -> None:
        await oven.join("a", WARM)
        bench.simulator._server.answer = lambda line: "?"
        await asyncio.sleep(8000.0)
        with pytest.raises(InstrumentError, match=r"could not be asked for 2\.\d+ h"):
            await oven.look()

    in_oven(test)


def test_a_chamber_that_could_not_be_stopped_is_stopped_when_leaving_is_repeated() -> None:
    async def test(bench: Bench, oven: Oven) -> None:
        await oven.join("a", WARM)
        broken(bench, "panel")
        with pytest.raises(InstrumentError, match="panel"):
            await oven.leave("a")
        broken(bench, "remote")
        await oven.leave("a")
        assert not bench.laboratory.chamber("oven").running

    in_oven(test)


def test_the_plant_keeps_its_ramp_its_door_and_its_faults_over_a_restart() -> None:
    now = 0.0
    plant = ThermalPlant(lambda: now, 293.15)
    plant.build(ramp_K_min=1.0, tau_s=60.0)
    plant.regulate(313.15)
    now = 600.0
    assert plant.temperature == pytest.approx(303.15, abs=0.05)
    now = 7200.0
    plant.door(is_open=True)
    now = 7500.0
    assert plant.temperature == pytest.approx(307.4, abs=0.3)
    again = ThermalPlant(lambda: now, 293.15)
    again.restore(json.loads(json.dumps(plant.save())))
    now = 9000.0
    assert again.temperature == pytest.approx(plant.temperature)
    assert plant.temperature == pytest.approx(305.15, abs=0.1)
