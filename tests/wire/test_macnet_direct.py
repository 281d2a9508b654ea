"""Direct mode of the simulated tester: what an output does, who may set it, and what the watchdog does without one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from maccor_bench import Bench, bench, charge, tell
from macnet_client import OUT_OF_RANGE, Client, client

from labctl.engine.clock import run_virtual
from labctl.instruments import Refused


async def started(one: Client, chan: int = 0, name: str = "by-hand", **changes: object) -> None:
    assert await one.go_direct(chan, name, **changes) == "OK"
    await asyncio.sleep(0.2)


def kinds(b: Bench) -> list[str]:
    return [entry["kind"] for entry in b.laboratory.violations]


def test_an_output_holds_until_the_next_one(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with client(b.settings) as one:
            await started(one)
            now = await one.stand(0)
            assert (now["Stat"], now["RF1"], now["Current"]) == (2, 1, 0.0)
            assert await one.put(0, "C", 2e-4) == "OK"
            await asyncio.sleep(3600)
            now = await one.stand(0)
            assert (now["RF1"], now["Current"]) == (1, pytest.approx(2e-4))
            assert now["Capacity"] == pytest.approx(2e-4, rel=1e-4)
            # Discharging has its own sign here, and its voltage limit ends in a hold, not in an end of the test.
            assert await one.put(0, "D", 1e-4, 3.0) == "OK"
            await asyncio.sleep(1)
            now = await one.stand(0)
            assert (now["RF1"], now["Current"]) == (2, pytest.approx(-1e-4))
            await asyncio.sleep(4 * 3600)
            later = await one.stand(0)
            assert (later["RF1"], later["Stat"], later["Voltage"]) == (2, 2, pytest.approx(3.0))
            assert abs(later["Current"]) < 5e-5
            assert await one.put_raw(0, "R", 0.0) == 0
            now = await one.stand(0)
            assert (now["RF1"], now["Current"], now["Stat"]) == (4, 0.0, 2)
        assert kinds(b) == []
        # It is a test like any other: its records are in the export, every ten seconds.
        lines = (tmp_path / "export" / "by-hand.001").read_text().splitlines()
        assert len(lines) > 1000

    tell(tmp_path, story)


def test_charging_never_brings_a_cell_down_to_a_voltage(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with client(b.settings) as one:
            await started(one, Voltage=2.0, Current=1e-3)
            now = await one.stand(0)
            assert now["Voltage"] > 2.0
            assert (now["RF1"], now["Current"]) == (1, 0.0)

    tell(tmp_path, story)


def test_commands_have_to_be_100_ms_apart(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with client(b.settings) as one:
            assert await one.go_direct(0, "fast") == "OK"
            assert await one.put(0, "C", 1e-4) == "Direct mode not ready yet"
            await asyncio.sleep(0.1)
            assert await one.put(0, "C", 1e-4) == "OK"
            await asyncio.sleep(0.09)
            assert await one.put(0, "C", 2e-4) == "Command sent too fast"
            assert await one.put_raw(0, "R", 0.0) == 3
            assert (await one.stand(0))["Current"] == pytest.approx(1e-4)
            await asyncio.sleep(0.01)
            assert await one.put(0, "C", 2e-4) == "OK"

    tell(tmp_path, story)


@pytest.mark.parametrize(("rest", "over_json"), [("refuse", None), ("ignore", "OK"), ("obey", "OK")])
def test_a_rest_over_json_is_what_the_station_says(tmp_path: Path, rest: str, over_json: str | None) -> None:
    async def story(b: Bench) -> None:
        async with client(b.settings) as one:
            await started(one)
            assert await one.put(0, "C", 2e-4) == "OK"
            await asyncio.sleep(0.2)
            if over_json is None:
                with pytest.raises(Refused, match="Illegal value"):
                    await one.put(0, "R", 0.0)
            else:
                assert await one.put(0, "R", 0.0) == over_json
            assert (await one.stand(0))["RF1"] == (4 if rest == "obey" else 1)
            await asyncio.sleep(0.2)
            assert await one.put_raw(0, "R", 0.0) == 0
            assert (await one.stand(0))["RF1"] == 4

    tell(tmp_path, story, simulate={"json_rest": rest})


def test_what_direct_mode_cannot_be_started_with(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with client(b.settings) as one:
            none = {"Current": OUT_OF_RANGE, "Voltage": OUT_OF_RANGE, "Power": OUT_OF_RANGE}
            assert await one.go_direct(0, "none", **none) == "Failed creating the pseudo procedure"
            every = {"Power": 1.0, "Resistance": 100.0}
            assert await one.go_direct(0, "all", **every) == "Failed creating the pseudo procedure"
            with pytest.raises(Refused, match="Illegal value"):
                await one.go_direct(0, "mode", ChMode="X")
            with pytest.raises(Refused, match="Illegal value"):
                await one.go_direct(0, "range", CurrentRange=5)
            assert await one.go_direct(0, "mine") == "OK"
            assert await one.go_direct(0, "again") == "Channel not available"
            assert await one.go_direct(1, "mine") == "Failed creating the pseudo procedure"

    tell(tmp_path, story)


def test_only_a_laboratory_system_has_direct_mode(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with client(b.settings) as one:
            assert await one.go_direct(0, "none") == "Illegal system type"
            assert await one.put(0, "C", 1e-4) == "Illegal system type"

    tell(tmp_path, story, simulate={"system_type": 3})


def test_a_set_point_that_was_not_there_at_the_start_is_of_no_use_later(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with client(b.settings) as one:
            await started(one, Voltage=OUT_OF_RANGE)
            voltage = (await one.stand(0))["Voltage"]
            assert await one.put(0, "C", 2e-4, voltage + 0.05) == "OK"
            await asyncio.sleep(4 * 3600)
            now = await one.stand(0)
            assert now["Voltage"] > voltage + 0.1
            assert now["Current"] == pytest.approx(2e-4)

    tell(tmp_path, story)


def test_power_and_resistance_limit_the_current(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with client(b.settings) as one:
            await started(one, Power=1.0)
            voltage = (await one.stand(0))["Voltage"]
            assert await one.put(0, "C", 1e-3, Power=3e-4) == "OK"
            assert (await one.stand(0))["Current"] == pytest.approx(3e-4 / voltage, rel=1e-3)
            await started(one, 1, "loaded", Voltage=OUT_OF_RANGE, Resistance=1e4)
            voltage = (await one.stand(1))["Voltage"]
            assert await one.put(1, "C", 1e-3, Resistance=1e4) == "OK"
            assert (await one.stand(1))["Current"] == pytest.approx(voltage / 1e4, rel=1e-3)

    tell(tmp_path, story)


def test_without_updates_the_watchdog_suspends_and_with_them_it_is_quiet(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with client(b.settings) as one:
            await started(one)
            for _ in range(10):
                assert await one.put(0, "C", 2e-4) == "OK"
                await asyncio.sleep(9)
            assert (await one.stand(0))["Stat"] == 2
            # Looking is no update.
            await asyncio.sleep(1.5)
            now = await one.stand(0)
            assert (now["Stat"], now["RF1"], now["RF2"], now["Current"]) == (3, 30, 192, 0.0)
            assert now["TestTime"] == pytest.approx(0.2 + 9 * 9 + 10, abs=0.2)
            assert await one.put(0, "C", 2e-4) == "Channel not active"
            assert await one.result(6, 4, Chan=0) == "OK"
            now = await one.stand(0)
            assert (now["Stat"], now["RF1"]) == (2, 1)
            assert now["Current"] == pytest.approx(2e-4)
            await asyncio.sleep(11)
            assert (await one.stand(0))["Stat"] == 3
        assert b.laboratory.sources_on(b.laboratory.cells["one"]) == ()

    tell(tmp_path, story, simulate={"direct_mode_watchdog": 10})


def test_a_command_for_a_channel_in_another_state_changes_nothing_and_is_a_violation(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with client(b.settings) as one:
            assert await one.put_raw(0, "R", 0.0) == 2
            driver = await b.connected()
            await driver.start("not-direct", 1, charge())
            before = await one.stand(0)
            assert await one.put_raw(0, "R", 0.0) == 4
            after = await one.stand(0)
            assert {**after, "TesterTime": ""} == {**before, "TesterTime": ""}
            assert kinds(b) == ["direct command to a channel without direct mode"] * 2
            assert b.laboratory.violations[-1]["channel"] == 1

    tell(tmp_path, story)


def test_a_command_for_the_channel_of_another_client_changes_nothing_and_is_a_violation(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with client(b.settings) as one, client(b.settings) as other:
            await started(one, 0, "mine")
            assert await one.put(0, "C", 2e-4) == "OK"
            await asyncio.sleep(1)
            assert await other.put_raw(0, "R", 0.0) == 4
            assert await other.put(0, "C", 1e-3) == "Direct mode not active"
            assert (await one.stand(0))["Current"] == pytest.approx(2e-4)
            assert kinds(b) == ["direct command to the channel of somebody else"] * 2
            # Its own second connection is the owner's too.
            assert await one.put_raw(0, "R", 0.0) == 0
            await one.close()
            await asyncio.sleep(1)
            # Nobody holds it any more: the next to command takes over.
            assert await other.put(0, "C", 1e-4) == "OK"
            assert (await other.stand(0))["Current"] == pytest.approx(1e-4)

    tell(tmp_path, story)


def test_where_connections_came_all_at_once_no_one_is_taken_for_anothers(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        one, other = Client(b.settings), Client(b.settings)
        for line in (one.json, other.json, other.binary, one.binary):
            await line.open()
        await asyncio.sleep(0.1)
        await started(one, 0, "mine")
        assert await other.put_raw(0, "R", 0.0) == 4
        assert await one.put_raw(0, "R", 0.0) == 4
        assert len(kinds(b)) == 2
        assert await one.put(0, "C", 1e-4) == "OK"
        await one.close()
        await other.close()

    tell(tmp_path, story)


def test_a_channel_in_direct_mode_goes_on_after_a_restart_of_the_laboratory(tmp_path: Path) -> None:
    saved: dict[str, dict[str, object]] = {}

    async def first(clock: object) -> None:
        async with bench(clock, tmp_path, simulate={"direct_mode_watchdog": 60}) as b:
            async with client(b.settings) as one:
                await started(one)
                assert await one.put(0, "C", 2e-4) == "OK"
                await asyncio.sleep(30)
            state = {"laboratory": b.laboratory.save(), "maccor": b.simulator.save()}
            saved.update(json.loads(json.dumps(state)))

    async def second(clock: object) -> None:
        async with (
            bench(clock, tmp_path, saved=saved, simulate={"direct_mode_watchdog": 60}) as b,
            client(b.settings) as one,
        ):
            assert (await one.stand(0))["Current"] == pytest.approx(2e-4)
            assert await one.put(0, "C", 4e-4) == "OK"
            assert (await one.stand(0))["Current"] == pytest.approx(4e-4)
            await asyncio.sleep(61)
            assert (await one.stand(0))["Stat"] == 3

    run_virtual(first)
    run_virtual(second)
