"""What the BioLogic cycler promises, through the vendor's calls against the simulated instrument."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from biologic_bench import CHARGE, DISCHARGE, REST, SAFETY, TOKEN, Bench, charged, ended, on_bench, program, rows, step

from labctl.errors import InstrumentError
from labctl.instruments import (
    Busy,
    CannotSay,
    CyclerProgram,
    End,
    Handle,
    Mode,
    NotIdentified,
    NotReachable,
    OutOfRange,
    Refused,
    SafetyLimits,
    State,
    VendorAlarm,
)
from labctl.instruments.cycler import Loop

SHORT = program(step(Mode.REST, ends=(End("time", True, 600.0),), record_every=60.0))


class Killed(Exception):
    """Stands for the end of the process, at this very place."""


def dies(*_: Any) -> Any:
    raise Killed


def refused(driver: Any, channel: int, wanted: CyclerProgram, kind: type[InstrumentError], token: str = TOKEN) -> Any:
    async def attempt() -> str:
        with pytest.raises(kind) as caught:
            await driver.start(token, channel, wanted)
        return str(caught.value)

    return attempt()


def test_a_charge_a_rest_and_a_discharge_come_back_whole(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        identity = await driver.connect()
        assert (identity.vendor, identity.model) == ("BioLogic", "VMP-3e")
        handle = Handle.from_json((await driver.start(TOKEN, 1, program(CHARGE, REST, DISCHARGE))).to_json())
        assert made.laboratory.sources_on(made.cell()) == ("biologic/1",)
        await asyncio.sleep(3600)
        middle = await driver.poll(handle)
        assert middle.state is State.RUNNING
        assert middle.values["current_A"] == pytest.approx(4e-4)
        assert middle.values["capacity_C"] == pytest.approx(4e-4 * 3600, rel=0.06)
        assert (await ended(driver, handle, 3600.0)).state is State.DONE
        assert made.laboratory.sources_on(made.cell()) == ()
        fetched = await driver.fetch(handle, tmp_path / "out")
        table = rows(tmp_path / "out" / "records.csv")
        assert [int(row["record"]) for row in table] == list(range(1, len(table) + 1))
        last_of_step = {row["step"]: row for row in table}
        truth = made.cell().truth()["cycles"][0]
        assert float(last_of_step["1"]["capacity_C"]) == pytest.approx(truth["charge_mAh"] * 3.6, rel=1e-3)
        assert float(last_of_step["3"]["capacity_C"]) == pytest.approx(truth["discharge_mAh"] * 3.6, rel=1e-3)
        assert float(last_of_step["1"]["voltage_V"]) == pytest.approx(4.3, abs=1e-3)
        assert (fetched.summary["end"], fetched.summary["voltage_V"]) == ("voltage", pytest.approx(3.0, abs=1e-3))
        assert {row["state"] for row in table} == {"C", "R", "D"}
        assert all(float(row["current_A"]) < 0 for row in table if row["step"] == "3")
        assert fetched.warnings == ()
        assert (tmp_path / "out" / f"{TOKEN}.eclib").is_file()
        assert made.hiccups == []

    on_bench(tmp_path, story)


def test_a_hold_ends_by_its_current_with_either_sign(tmp_path: Path) -> None:
    hold = step(
        Mode.HOLD,
        4e-4,
        4.3,
        ends=(End("current", False, 4e-5), End("time", True, 36000.0, guard=True)),
        record_every=60.0,
    )
    drain = step(
        Mode.HOLD,
        4e-4,
        3.0,
        ends=(End("current", False, 2e-5), End("time", True, 36000.0, guard=True)),
        record_every=60.0,
        discharging=True,
    )

    async def story(made: Bench) -> None:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, program(CHARGE, hold, DISCHARGE, drain))
        assert (await ended(driver, handle, 7200.0)).state is State.DONE
        fetched = await driver.fetch(handle, tmp_path / "out")
        last = {row["step"]: row for row in rows(tmp_path / "out" / "records.csv")}
        assert float(last["2"]["current_A"]) == pytest.approx(4e-5, rel=0.01)
        assert float(last["4"]["current_A"]) == pytest.approx(-2e-5, rel=0.01)
        assert fetched.summary["end"] == "current"

    on_bench(tmp_path, story)


def test_a_loop_goes_round_as_often_as_it_says(tmp_path: Path) -> None:
    pulse = step(Mode.CHARGE, 2e-4, ends=(End("time", True, 300.0), End("voltage", True, 4.3)), record_every=100.0)
    pause = step(Mode.REST, ends=(End("time", True, 300.0),), record_every=100.0)

    async def story(made: Bench) -> None:
        await charged(made)
        driver = made.driver()
        looped = program(pause, pulse, pause, loops=(Loop(2, 3, 3),))
        handle = await driver.start(TOKEN, 1, looped)
        assert (await ended(driver, handle, 600.0)).state is State.DONE
        await driver.fetch(handle, tmp_path / "out")
        ends = [(row["step"], row["end"]) for row in rows(tmp_path / "out" / "records.csv") if row["end"] != "0"]
        assert ends == [("1", "1"), *[("2", "1"), ("3", "1")] * 3]

    on_bench(tmp_path, story)


def test_a_rest_beyond_what_a_technique_can_last_is_split_and_lasts(tmp_path: Path) -> None:
    days = program(step(Mode.REST, ends=(End("time", True, 30 * 3600.0),), record_every=3600.0))

    async def story(made: Bench) -> None:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, days)
        began = made.laboratory.time()
        assert (await ended(driver, handle, 3600.0)).state is State.DONE
        assert made.laboratory.time() - began == pytest.approx(30 * 3600.0, abs=3700)
        fetched = await driver.fetch(handle, tmp_path / "out")
        assert len(fetched.sent["loaded"]) == 3
        assert fetched.summary["duration_s"] == pytest.approx(30 * 3600.0, abs=1.0)
        assert {row["step"] for row in rows(tmp_path / "out" / "records.csv")} == {"1"}

    on_bench(tmp_path, story)


@pytest.mark.parametrize("unit", ["s", "ms"])
def test_start_times_in_either_unit_give_the_same_times(tmp_path: Path, unit: str) -> None:
    async def story(made: Bench) -> list[float]:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, program(SHORT.steps[0], SHORT.steps[0], SHORT.steps[0]))
        await ended(driver, handle, 700.0)
        await driver.fetch(handle, tmp_path / "out")
        return [float(row["time_s"]) for row in rows(tmp_path / "out" / "records.csv")]

    times = on_bench(tmp_path, story, simulate={"start_time": unit})
    assert times == pytest.approx([600.0 * part + 60.0 * n for part in range(3) for n in range(11)], abs=0.01)


def test_times_are_right_whichever_techniques_time_base_is_told(tmp_path: Path) -> None:
    timed = replace(CHARGE, ends=(End("time", True, 1800.0),), record_every=600.0, record_voltage_step=0.0)

    async def story(made: Bench) -> list[float]:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, program(REST, timed, REST))
        await ended(driver, handle, 6000.0)
        await driver.fetch(handle, tmp_path / "out")
        return [float(row["time_s"]) for row in rows(tmp_path / "out" / "records.csv") if row["end"] != "0"]

    times = on_bench(tmp_path, story, simulate={"time_base": "running"})
    assert times == pytest.approx([1800.0, 3600.0, 5400.0], abs=0.01)


def test_records_are_kept_while_it_runs_and_are_the_same_when_asked_again(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, SHORT)
        await asyncio.sleep(200)
        first = await driver.records(handle, None)
        await asyncio.sleep(200)
        second = await driver.records(handle, None)
        beyond = await driver.records(handle, 2)
        assert second.startswith(first)
        assert first.count("\n") == 4
        assert beyond.splitlines()[1:] == second.splitlines()[3:]
        await driver.close()
        other = made.driver()
        assert await other.records(handle, None) == second
        await ended(other, handle, 300.0)
        await other.fetch(handle, tmp_path / "out")
        assert (tmp_path / "out" / "records.csv").read_text().startswith(second)

    on_bench(tmp_path, story)


def test_a_run_is_found_by_an_orchestrator_that_was_started_anew(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        first = made.driver()
        await first.start(TOKEN, 1, program(CHARGE))
        await asyncio.sleep(3600)
        await first.close()
        second = made.driver()
        await second.connect()
        assert await second.find("another-a1") is None
        handle = await second.find(TOKEN)
        assert handle is not None
        assert (await ended(second, handle, 3600.0)).state is State.DONE
        fetched = await second.fetch(handle, tmp_path / "out")
        assert fetched.summary["first_record"] == 1
        assert fetched.summary["capacity_C"] == pytest.approx(
            made.cell().truth()["cycles"][0]["charge_mAh"] * 3.6, rel=1e-3
        )

    on_bench(tmp_path, story)


def test_a_kill_right_before_the_order_to_start_leaves_proof_that_nothing_ran(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        first = made.driver()
        first._backend.start = dies
        with pytest.raises(Killed):
            await first.start(TOKEN, 1, program(CHARGE))
        second = made.driver()
        assert await second.find(TOKEN) is None
        assert made.laboratory.sources_on(made.cell()) == ()
        await second.start(TOKEN, 1, program(CHARGE))
        assert made.laboratory.sources_on(made.cell()) == ("biologic/1",)

    on_bench(tmp_path, story)


def test_a_kill_right_after_the_order_to_start_is_no_second_charge(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        first = made.driver()
        start: Callable[..., Any] = first._backend.start

        async def start_and_die(runs: Any) -> None:
            await start(runs)
            raise Killed

        first._backend.start = start_and_die
        with pytest.raises(Killed):
            await first.start(TOKEN, 1, program(CHARGE))
        await asyncio.sleep(600)
        second = made.driver()
        found = await second.find(TOKEN)
        assert found is not None
        again = await second.start(TOKEN, 1, program(CHARGE))
        assert (again.token, again.started) == (found.token, found.started)
        starts = [one for one in made.laboratory.records("biologic") if one["event"] == "started"]
        assert len(starts) == 1

    on_bench(tmp_path, story)


def test_a_channel_that_has_forgotten_can_not_say_whether_it_ran(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        first = made.driver()
        first._backend.start = dies
        with pytest.raises(Killed):
            await first.start(TOKEN, 1, SHORT)
        made.instrument.power_cycle()
        with pytest.raises(CannotSay, match="forgotten"):
            await made.driver().find(TOKEN)

    on_bench(tmp_path, story)


def test_an_abort_opens_the_circuit_and_is_safe_to_repeat(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, program(CHARGE))
        await asyncio.sleep(1800)
        await driver.abort(handle)
        assert made.laboratory.sources_on(made.cell()) == ()
        assert (await driver.poll(handle)).state is State.FAILED
        other = await driver.start("next-a1", 1, SHORT)
        await driver.abort(handle)
        assert (await driver.poll(other)).state is State.RUNNING
        fetched = await driver.fetch(handle, tmp_path / "out")
        assert fetched.summary["end"] == "aborted"
        assert fetched.summary["capacity_C"] == pytest.approx(4e-4 * 1800, rel=0.01)

    on_bench(tmp_path, story)


def test_a_channel_that_does_not_stop_is_an_alarm(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, program(CHARGE))
        made.laboratory.break_down("biologic", "stubborn", channel=1)
        with pytest.raises(VendorAlarm, match="switch it off"):
            await driver.abort(handle)

    on_bench(tmp_path, story)


@pytest.mark.parametrize(("kind", "said"), [("stop", "was stopped in its last step"), ("overload", "hardware error")])
def test_a_run_that_ends_without_an_end_of_its_own_has_failed(tmp_path: Path, kind: str, said: str) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, program(CHARGE))
        await asyncio.sleep(3600)
        made.laboratory.break_down("biologic", kind, channel=1)
        progress = await driver.poll(handle)
        assert progress.state is State.FAILED
        assert said in progress.message
        assert (await driver.fetch(handle, tmp_path / "out")).summary["end"] == "fault"

    on_bench(tmp_path, story)


def test_a_safety_limit_ends_the_run_at_the_channel_and_is_told(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        tight = program(CHARGE, REST, CHARGE, safety=replace(SAFETY, voltage_max=4.0))
        handle = await driver.start(TOKEN, 1, tight)
        progress = await ended(driver, handle, 14400.0)
        assert progress.state is State.FAILED
        assert "safety limits" in progress.message
        assert made.laboratory.sources_on(made.cell()) == ()
        fetched = await driver.fetch(handle, tmp_path / "out")
        assert fetched.summary["end"] == "fault"
        # The channel itself let go at the limit, hours before anybody looked.
        assert max(float(row["voltage_V"]) for row in rows(tmp_path / "out" / "records.csv")) < 4.001

    on_bench(tmp_path, story)


def test_ec_labs_firmware_stays_unless_the_station_lets_it_be_replaced(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        keeping = made.driver()
        assert "EC-Lab" in (await keeping.connect()).details["channels"]
        message = await refused(keeping, 1, SHORT, Refused)
        assert "firmware: replace" in message
        assert await keeping.find(TOKEN) is None
        assert not [one for one in made.laboratory.records("biologic") if one["event"] == "firmware"]
        replacing = made.driver(firmware="replace")
        handle = await replacing.start(TOKEN, 1, SHORT)
        assert (await ended(replacing, handle)).state is State.DONE
        replaced = [one["channel"] for one in made.laboratory.records("biologic") if one["event"] == "firmware"]
        assert replaced == [1]

    on_bench(tmp_path, story, simulate={"firmware": "eclab"})


def test_what_the_channel_can_not_do_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    banded = step(Mode.REST, ends=(End("time", True, 60.0), End("voltage", True, 3.0)))
    waits = step(Mode.CHARGE, 1e-4, ends=(End("voltage", True, 4.3, held=10.0),))
    warm = step(Mode.CHARGE, 1e-4, ends=(End("temperature", True, 310.0),))
    large = program(replace(CHARGE, current=1.5), safety=SafetyLimits(2.7, 4.4, 2.0, 2.0))

    async def story(made: Bench) -> None:
        driver = made.driver()
        assert "step 1" in await refused(driver, 1, program(banded), OutOfRange)
        assert "to last" in await refused(driver, 1, program(waits), OutOfRange)
        assert "temperature" in await refused(driver, 1, program(warm), OutOfRange)
        assert "largest range of 1 A" in await refused(driver, 1, large, OutOfRange)
        assert "not one that the station gave us" in await refused(driver, 7, SHORT, OutOfRange)
        assert "is no token" in await refused(driver, 1, SHORT, Refused, "no token!")
        await driver.start(TOKEN, 1, SHORT)
        assert "running" in await refused(driver, 1, SHORT, Busy, "second-a1")
        assert await driver.find("second-a1") is None

    on_bench(tmp_path, story)


def test_a_charge_that_was_interrupted_goes_on_where_it_stood(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        first = made.driver()
        timed = step(Mode.CHARGE, 4e-4, ends=(End("voltage", True, 4.3), End("time", True, 3 * 3600.0)))
        handle = await first.start(TOKEN, 1, program(timed, REST, DISCHARGE))
        await asyncio.sleep(3600)
        await first.suspend(handle)
        await first.suspend(handle)
        assert made.laboratory.sources_on(made.cell()) == ()
        await asyncio.sleep(7200)
        waiting = await first.poll(handle)
        assert (waiting.state, waiting.message) == (State.RUNNING, "suspended")
        kept = await first.records(handle, None)
        await first.close()
        # An orchestrator that was started anew lets it go on.
        second = made.driver()
        assert await second.find(TOKEN) is not None
        await second.resume(handle)
        await second.resume(handle)
        assert made.laboratory.sources_on(made.cell()) == ("biologic/1",)
        await asyncio.sleep(1800)
        values = (await second.poll(handle)).values
        assert values["capacity_C"] == pytest.approx(4e-4 * 5400, rel=0.02)
        assert values["step_time_s"] == pytest.approx(5400, abs=2.0)
        # Its clock stood meanwhile: nothing that is integrated over it counts what did not flow.
        assert waiting.values["test_time_s"] == pytest.approx(3600, abs=2.0)
        assert values["test_time_s"] == pytest.approx(5400, abs=2.0)
        assert (await ended(second, handle, 3600.0)).state is State.DONE
        fetched = await second.fetch(handle, tmp_path / "out")
        table = rows(tmp_path / "out" / "records.csv")
        assert (tmp_path / "out" / "records.csv").read_text().startswith(kept)
        assert [int(row["record"]) for row in table] == list(range(1, len(table) + 1))
        ends = {row["step"]: row for row in table if row["end"] != "0"}
        assert sorted(ends) == ["1", "2", "3"]
        assert float(ends["1"]["time_s"]) == pytest.approx(3 * 3600, abs=1.0)
        assert float(ends["1"]["capacity_C"]) == pytest.approx(4e-4 * 3 * 3600, rel=1e-3)
        truth = made.cell().truth()["cycles"][0]
        assert float(ends["3"]["capacity_C"]) == pytest.approx(truth["discharge_mAh"] * 3.6, rel=1e-3)
        assert fetched.summary["end"] == "voltage"
        assert len([one for one in made.laboratory.records("biologic") if one["event"] == "started"]) == 2

    on_bench(tmp_path, story)


def test_a_program_with_loops_is_not_interrupted_but_aborted(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, program(REST, REST, loops=(Loop(1, 2, 3),)))
        with pytest.raises(Refused, match="abort it instead"):
            await driver.suspend(handle)
        assert (await driver.poll(handle)).state is State.RUNNING

    on_bench(tmp_path, story)


def test_channels_started_together_start_by_one_order(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        handles = await driver.start_together({"one-a1": (1, program(CHARGE)), "two-a1": (2, program(CHARGE))})
        starts = [one["t"] for one in made.laboratory.records("biologic") if one["event"] == "started"]
        assert len(starts) == 2
        assert starts[0] == starts[1]
        assert [handle.place for handle in handles] == ["1", "2"]
        assert await driver.channels() == {1: "running", 2: "running"}

    on_bench(tmp_path, story)


def test_records_that_the_buffer_lost_are_told(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, SHORT)
        assert (await ended(driver, handle, 700.0)).state is State.FAILED
        assert [hiccup.kind for hiccup in made.hiccups] == ["records lost"]

    on_bench(tmp_path, story, simulate={"buffer": 5})


def test_what_somebody_else_runs_is_named_unsafe(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        stranger = made.driver(folder="elsewhere")
        await stranger.start(TOKEN, 2, program(CHARGE))
        found = await made.driver().inspect(exercise=False)
        assert [text.split(",")[0] for text in found.unsafe] == ["channel 2 is running"]
        assert "running" in found.safety["channel 2"]
        assert len(found.unverified) >= 5

    on_bench(tmp_path, story)


def test_another_model_or_a_missing_channel_is_not_the_stations_instrument(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        with pytest.raises(NotIdentified, match="SP-150e"):
            await made.driver(model="SP-150e").connect()
        with pytest.raises(NotIdentified, match="channel 12"):
            await made.driver(channels="1, 12").connect()
        with pytest.raises(NotReachable, match="no connection to the instrument"):
            await made.driver(address="127.0.0.1:1").connect()

    on_bench(tmp_path, story)


def test_a_laboratory_that_was_saved_goes_on_with_the_charge(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, program(CHARGE))
        await asyncio.sleep(7200)
        made.instrument.restore(made.instrument.save())
        assert (await ended(driver, handle, 3600.0)).state is State.DONE
        fetched = await driver.fetch(handle, tmp_path / "out")
        truth = made.cell().truth()["cycles"][0]["charge_mAh"] * 3.6
        assert fetched.summary["capacity_C"] == pytest.approx(truth, rel=1e-3)

    on_bench(tmp_path, story)
