"""A tester in the hands of a person: direct mode and its way out, flags, variables, restarts of archived tests."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from maccor_bench import SAFETY, Bench, charge, rest, tell

from labctl.instruments import Busy, CyclerProgram, Mode, OutOfRange, Refused, SafetyLimits, State, TimedOut
from labctl_drivers.maccor.direct import Output
from labctl_drivers.maccor.manual import AdvancedStart, ManualControl
from labctl_simulators.macnet import wire

WATCHED: dict[str, Any] = {"simulate": {"direct_mode_watchdog": 10}}
CONFIRMED = {"direct_mode_watchdog": "10 s"}
UP = Output(Mode.CHARGE, current=2e-4, voltage=4.0)
LESS = Output(Mode.CHARGE, current=1e-4, voltage=4.0)


def seen(b: Bench, event: str) -> list[dict[str, Any]]:
    return [entry for entry in b.laboratory.records("maccor") if entry["event"] == event]


def test_direct_mode_does_what_it_is_told_and_ends_at_rest(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with (
            ManualControl.at(b.context(**CONFIRMED)) as control,
            control.direct(1, "by-hand", UP, SAFETY) as channel,
        ):
            await asyncio.sleep(3600)
            assert (await channel.look()).current == pytest.approx(2e-4)
            await channel.set(Output(Mode.DISCHARGE, current=6e-5, voltage=2.8))
            await asyncio.sleep(60)
            assert (await channel.look()).current == pytest.approx(-6e-5)
            await channel.rest()
            assert (await channel.look()).current == 0
            await channel.set(UP)
        assert (await (await b.connected()).channels())[1] == "Available"
        assert b.laboratory.sources_on(b.laboratory.cells["one"]) == ()
        assert b.laboratory.violations == []
        assert seen(b, "watchdog") == []

    tell(tmp_path, story, **WATCHED)


@pytest.mark.parametrize("error", [KeyError, asyncio.CancelledError])
def test_whatever_ends_direct_mode_the_channel_ends_at_rest(tmp_path: Path, error: type[BaseException]) -> None:
    async def story(b: Bench) -> None:
        async with ManualControl.at(b.context(**CONFIRMED)) as control:
            with pytest.raises(error):
                async with control.direct(1, "by-hand", UP, SAFETY):
                    raise error
        driver = await b.connected()
        assert (await driver.channels())[1] == "Available"
        assert [entry["mode"] for entry in seen(b, "output")] == ["R"]

    tell(tmp_path, story, **WATCHED)


def test_the_last_command_is_repeated_well_inside_the_watchdogs_time(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with (
            ManualControl.at(b.context(**CONFIRMED)) as control,
            control.direct(1, "kept", UP, SAFETY) as channel,
        ):
            await asyncio.sleep(300)
            assert (await channel.look()).current == pytest.approx(2e-4)
            await channel.rest()
            await asyncio.sleep(300)
            assert (await channel.look()).current == 0
        assert seen(b, "watchdog") == []

    tell(tmp_path, story, **WATCHED)


def test_a_program_that_stops_updating_leaves_a_suspended_channel(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with (
            ManualControl.at(b.context(direct_mode_watchdog="100 s")) as control,
            control.direct(1, "slow", UP, SAFETY) as channel,
        ):
            # The person who wrote 100 s into the station file did not look at the tester, which has 10 s.
            await asyncio.sleep(40)
            assert (await channel.look()).current == 0
            assert len(seen(b, "watchdog")) == 1
            with pytest.raises(Refused, match="direct output declined"):
                await channel.set(UP)
        assert (await (await b.connected()).channels())[1] == "Available"

    tell(tmp_path, story, **WATCHED)


def test_commands_keep_the_testers_pace(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        loop = asyncio.get_running_loop()
        async with (
            ManualControl.at(b.context(**CONFIRMED)) as control,
            control.direct(1, "fast", UP, SAFETY) as channel,
        ):
            begun = loop.time()
            for step in range(10):
                await channel.set(Output(Mode.CHARGE, current=1e-4 + step * 1e-6, voltage=4.0))
            assert loop.time() - begun >= 0.9
        assert len([entry for entry in seen(b, "output") if entry["mode"] == "C"]) == 10

    tell(tmp_path, story, **WATCHED)


def test_direct_mode_needs_a_watchdog_that_somebody_has_confirmed(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        for entry, words in (
            ({}, "nobody has confirmed it"),
            ({"direct_mode_watchdog": "1 s"}, "too short to be kept"),
        ):
            async with ManualControl.at(b.context(**entry)) as control:
                with pytest.raises(Refused, match=words):
                    async with control.direct(1, "unwatched", UP, SAFETY):
                        raise AssertionError("it was entered")
        assert b.laboratory.records("maccor") == []

    tell(tmp_path, story, **WATCHED)


def test_direct_mode_is_refused_where_the_tester_is_no_laboratory_system(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with ManualControl.at(b.context(**CONFIRMED)) as control:
            with pytest.raises(Refused, match="this tester is of type 4"):
                async with control.direct(1, "type", UP, SAFETY):
                    raise AssertionError("it was entered")

    tell(tmp_path, story, simulate={"system_type": 4, "direct_mode_watchdog": 10})


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (Output(Mode.REST), "it does not rest"),
        (Output(Mode.CHARGE), "one to three"),
        (Output(Mode.CHARGE, 1e-4, 4.0, 1.0, 100.0), "one to three"),
        (Output(Mode.DISCHARGE, -1e-4, 3.0), "the mode is the direction"),
        (Output(Mode.CHARGE, None, 4.0), "no range to be in"),
        (Output(Mode.CHARGE, 1e-4, 5.5), "outside the channel's 0 to 5 V"),
        (Output(Mode.CHARGE, 6.0, 4.0), "more than the channel's 5 A"),
    ],
)
def test_an_output_that_the_channel_can_not_do_is_refused_before_anything_is_sent(
    tmp_path: Path, output: Output, words: str
) -> None:
    async def story(b: Bench) -> None:
        async with ManualControl.at(b.context(**CONFIRMED)) as control:
            with pytest.raises(OutOfRange, match=words):
                async with control.direct(1, "beyond", output, SAFETY):
                    raise AssertionError("it was entered")
        assert b.laboratory.records("maccor") == []

    tell(tmp_path, story, **WATCHED)


def test_a_set_point_that_was_not_used_at_the_start_is_refused(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with (
            ManualControl.at(b.context(**CONFIRMED)) as control,
            control.direct(1, "later", UP, SAFETY) as channel,
        ):
            with pytest.raises(OutOfRange, match="power was not used at the start"):
                await channel.set(Output(Mode.CHARGE, current=1e-4, voltage=4.0, power=0.1))

    tell(tmp_path, story, **WATCHED)


def packets(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[int, int], int]]:
    """Message and channel, as the tester counts it, of everything that arrives on either of its ports."""
    arrived: list[tuple[tuple[int, int], int]] = []
    json_answer, binary_init = wire.JsonConnection.data_received, wire.BinaryConnection.data_received

    def json_data(self: Any, data: bytes) -> None:
        request = wire.json.loads(data)
        if "Chan" in request["params"]:
            arrived.append(((request["params"]["FClass"], request["params"]["FNum"]), request["params"]["Chan"]))
        json_answer(self, data)

    def binary_data(self: Any, data: bytes) -> None:
        fclass, fnum, channel, _ = wire.HEADER.unpack_from(data)
        if fclass != 1:
            arrived.append(((fclass, fnum), channel))
        binary_init(self, data)

    monkeypatch.setattr(wire.JsonConnection, "data_received", json_data)
    monkeypatch.setattr(wire.BinaryConnection, "data_received", binary_data)
    return arrived


def test_no_packet_for_a_channel_carries_another_ones_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrived = packets(monkeypatch)

    async def story(b: Bench) -> None:
        async with ManualControl.at(b.context(channels="2", **CONFIRMED)) as control:
            async with control.direct(2, "other", UP, SAFETY) as channel:
                await channel.rest()
                await channel.set(LESS)
            await control.memory(2)
        driver = await b.connected(channels="2", temperature={"aux": 1})
        handle = await driver.start("program", 2, charge())
        await driver.poll(handle)
        await driver.suspend(handle)
        await driver.resume(handle)
        await driver.abort(handle)
        assert {number for message, number in arrived if message != (4, 1)} == {1}
        assert {(6, 8), (6, 7), (6, 10), (6, 2), (6, 3), (6, 5), (4, 4)} <= {message for message, _ in arrived}

    tell(tmp_path, story, **WATCHED)


def test_a_rest_reaches_its_own_channel_while_its_neighbours_run(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        other = await driver.start("neighbour", 2, charge())
        async with (
            ManualControl.at(b.context(**CONFIRMED)) as control,
            control.direct(1, "mine", UP, SAFETY) as channel,
        ):
            await channel.rest()
            assert (await channel.look()).current == 0
            assert (await driver.poll(other)).values["current_A"] == pytest.approx(2e-4)
        assert (await driver.poll(other)).state is State.RUNNING
        assert b.laboratory.violations == []

    tell(tmp_path, story, **WATCHED)


def test_nobody_takes_a_channel_on_which_something_runs(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        handle = await driver.start("running", 1, charge())
        async with ManualControl.at(b.context(**CONFIRMED)) as control:

            async def enter() -> None:
                async with control.direct(1, "mine", UP, SAFETY):
                    raise AssertionError("it was entered")

            tries: list[Coroutine[Any, Any, Any]] = [
                enter(),
                control.advanced_start(1, AdvancedStart("new", "running"), SAFETY),
                control.reset(1, "another"),
                control.archive(1, "another"),
                control.archive(1, "running"),
                control.set_variable(1, "another", 1, 2.0),
            ]
            for one in tries:
                with pytest.raises(Busy, match=r"channel 1 (is Active with|has) test 'running'"):
                    await one
            with pytest.raises(OutOfRange, match="channel 4 is not one"):
                await control.memory(4)
        assert (await driver.poll(handle)).state is State.RUNNING

    tell(tmp_path, story, **WATCHED)


def test_flags_and_variables_read_back_as_they_were_set(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        handle = await driver.start("vars", 1, rest(3600))
        async with ManualControl.at(b.context()) as control:
            await control.set_flags(0x80000020)
            await control.set_variable(1, "vars", 15, 1e-6)
            memory = await control.memory(1)
            assert memory.flags == 0x80000020
            assert memory.variables[14] == pytest.approx(1e-6, rel=1e-6)
            with pytest.raises(OutOfRange, match="VAR16: variables are VAR1 to VAR15"):
                await control.set_variable(1, "vars", 16, 1.0)
            with pytest.raises(OutOfRange, match="VAR1: nan is no number of single precision"):
                await control.set_variable(1, "vars", 1, float("nan"))
            with pytest.raises(OutOfRange, match="32 bits"):
                await control.set_flags(1 << 32)
            await control.reset(1, "vars")
        assert (await driver.poll(handle)).state is State.FAILED

    tell(tmp_path, story)


def test_a_completed_test_is_archived_by_its_name(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        handle = await b.run(driver, "old", rest(60))
        async with ManualControl.at(b.context()) as control:
            assert (await control.end_status(1)).reached == 1
            await control.archive(1, "old")
        assert (await driver.channels())[1] == "Available"
        assert (await driver.poll(handle)).message == "completed and archived"

    tell(tmp_path, story)


def test_a_line_that_goes_dead_in_direct_mode_leaves_a_suspended_channel(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with ManualControl.at(b.context(**CONFIRMED)) as control:
            with pytest.raises(TimedOut):
                async with control.direct(1, "cut", UP, SAFETY):
                    for port in ("maccor/json", "maccor/binary"):
                        b.laboratory.inject(port, "silent", count=1000)
                    await asyncio.sleep(30)
        assert len(seen(b, "watchdog")) == 1
        assert b.laboratory.sources_on(b.laboratory.cells["one"]) == ()

    tell(tmp_path, story, faults=True, **WATCHED)


def test_one_lost_answer_in_direct_mode_is_survived(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        async with (
            ManualControl.at(b.context(**CONFIRMED)) as control,
            control.direct(1, "survives", UP, SAFETY) as channel,
        ):
            for kind in ("drop", "half", "garble"):
                b.laboratory.inject("maccor/json", kind)
                await channel.set(LESS)
                assert (await channel.look()).current == pytest.approx(1e-4)
                b.laboratory.inject("maccor/binary", kind)
                await channel.rest()
        assert seen(b, "watchdog") == []
        assert b.hiccups

    tell(tmp_path, story, faults=True, **WATCHED)


def test_an_archived_test_goes_on_where_it_was(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        handle = await driver.start("stopped", 1, rest(3600))
        await asyncio.sleep(600)
        await driver.abort(handle)
        async with ManualControl.at(b.context()) as control:
            start = AdvancedStart("stopped", "stopped", options=1, archived="stopped")
            await control.advanced_start(1, start, SAFETY)
            assert (await driver.channels())[1] == "Active"
            with pytest.raises(OutOfRange, match="20 at most"):
                await control.advanced_start(2, AdvancedStart("a", "stopped", remove_records=21), SAFETY)
            with pytest.raises(Refused, match="start declined"):
                await control.advanced_start(2, AdvancedStart("b", "stopped", options=1, archived="never"), SAFETY)
        progress = await driver.poll(handle)
        assert progress.state is State.RUNNING

    tell(tmp_path, story)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (SafetyLimits(4.4, 2.5, 5e-3, 5e-3), "exclude everything"),
        (SafetyLimits(2.5, 4.4, 0.0, 5e-3), "exclude everything"),
        (SafetyLimits(2.5, float("nan"), 5e-3, 5e-3), "outside the channel's 0 to 5 V"),
    ],
)
def test_by_hand_too_limits_that_protect_nothing_are_refused_before_anything_is_sent(
    tmp_path: Path, limits: SafetyLimits, words: str
) -> None:
    async def story(b: Bench) -> None:
        async with ManualControl.at(b.context(**CONFIRMED)) as control:
            with pytest.raises(OutOfRange, match=words):
                async with control.direct(1, "unsafe", UP, limits):
                    raise AssertionError("it was entered")
            with pytest.raises(OutOfRange, match=words):
                await control.advanced_start(1, AdvancedStart("unsafe", "any"), limits)
        assert b.laboratory.records("maccor") == []

    tell(tmp_path, story, **WATCHED)


def test_an_advanced_start_with_c_rates_says_what_they_refer_to(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        step = replace(charge().steps[0], current=2e-4, c_rate=0.2)
        program = CyclerProgram("c/rate", (step,), SAFETY, capacity=3.6)
        driver = await b.connected()
        await driver.abort(await driver.start("rated", 1, program))
        async with ManualControl.at(b.context()) as control:
            with pytest.raises(OutOfRange, match="procedure rated has C-rates, and nobody says what current 1C is"):
                await control.advanced_start(1, AdvancedStart("again", "rated"), SAFETY)
            await control.advanced_start(1, AdvancedStart("again", "rated", one_c=1e-3), SAFETY)
        assert (await driver.reading(1)).current == pytest.approx(2e-4)

    tell(tmp_path, story)


def test_the_page_shows_what_a_script_can_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "drivers" / "maccor.md").read_text(encoding="utf-8")
    lines = page.partition("```python\n")[2].partition("```")[0].splitlines()
    known: dict[str, Any] = {"ManualControl": ManualControl, "Output": Output, "Mode": Mode, "safety": SAFETY}
    exec("async def shown(context):\n" + "\n".join(f"    {line}" for line in lines), known)

    async def story(b: Bench) -> None:
        await known["shown"](b.context(**CONFIRMED))
        assert [entry["mode"] for entry in seen(b, "output")] == ["D", "R"]

    tell(tmp_path, story, **WATCHED)
    assert "voltage=" in capsys.readouterr().out
