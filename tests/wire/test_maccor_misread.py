"""One answer of the tester that says something else than it should: no order and no verdict rests on it alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from maccor_bench import SAFETY, Bench, charge, rest, tell

from labctl.instruments import Busy, Mode, Refused, State
from labctl_drivers.maccor.direct import Output
from labctl_drivers.maccor.manual import ManualControl
from labctl_simulators.macnet import messages

STATE, NAMES, LIMITS, START = (4, 7), (4, 6), (6, 10), (6, 2)


@pytest.fixture
def misread(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have the next answer to a message carry other members than the tester gave it."""

    def once(message: tuple[int, int], **members: Any) -> None:
        honest = messages.MESSAGES[message]
        waiting = [members]

        def answer(tester: Any, params: Any) -> dict[str, Any]:
            return {**honest(tester, params), **(waiting.pop() if waiting else {})}

        monkeypatch.setitem(messages.MESSAGES, message, answer)

    return once


@pytest.mark.parametrize("status", [0, 4])
def test_an_abort_opens_the_channel_though_a_look_says_that_nothing_runs(
    tmp_path: Path, misread: Callable[..., None], status: int
) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        handle = await driver.start("goes-on", 1, charge())
        misread(STATE, Stat=status)
        await driver.abort(handle)
        assert (await driver.channels())[1] == "Available"

    tell(tmp_path, story)


def test_a_running_test_is_not_archived_because_a_look_says_that_it_is_complete(
    tmp_path: Path, misread: Callable[..., None]
) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        running = await driver.start("first", 1, charge())
        misread(STATE, Stat=4)
        with pytest.raises(Busy, match="channel 1 is Active with test 'first'"):
            await driver.start("second", 1, charge())
        async with ManualControl.at(b.context()) as control:
            misread(STATE, Stat=4)
            with pytest.raises(Busy, match="only a completed one"):
                await control.archive(1, "first")
        assert (await driver.poll(running)).state is State.RUNNING

    tell(tmp_path, story)


def test_an_order_that_the_channel_ignores_is_not_taken_as_followed_by_one_look(
    tmp_path: Path, misread: Callable[..., None]
) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        handle = await driver.start("stubborn", 1, charge())
        b.simulator.tester.channels[0].break_down("stubborn")
        misread(STATE, Stat=3)
        with pytest.raises(Refused, match="channel 1 does not suspend: it is Active"):
            await driver.suspend(handle)

    tell(tmp_path, story)


def test_direct_mode_ends_at_rest_though_a_look_says_that_nothing_runs(
    tmp_path: Path, misread: Callable[..., None]
) -> None:
    async def story(b: Bench) -> None:
        async with ManualControl.at(b.context(direct_mode_watchdog="10 s")) as control:
            async with control.direct(1, "by-hand", Output(Mode.CHARGE, 2e-4, 4.0), SAFETY):
                misread(STATE, Stat=0)
            assert (await (await b.connected()).channels())[1] == "Available"

    tell(tmp_path, story, simulate={"direct_mode_watchdog": 10})


@pytest.mark.parametrize("result", ["Name is not a unique filename", "0K", None])
def test_a_start_that_took_effect_is_no_refusal_whatever_its_answer_says(
    tmp_path: Path, misread: Callable[..., None], result: str | None
) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        misread(START, Result=result)
        handle = await driver.start("runs", 1, charge())
        assert (await driver.poll(handle)).state is State.RUNNING

    tell(tmp_path, story)


def test_a_test_is_found_though_its_name_arrives_mangled_once(tmp_path: Path, misread: Callable[..., None]) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        await driver.start("there", 1, charge())
        misread(NAMES, TestName="thereX")
        found = await driver.find("there")
        assert found is not None
        assert found.place == "1"

    tell(tmp_path, story)


def test_a_procedure_that_can_not_be_got_now_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(b: Bench) -> None:
        handle = await b.run(await b.connected(), "later", rest(60))
        file = b.simulator.procedure_folder / "later.000"
        away = file.with_name("away.000")
        file.rename(away)
        driver = await b.connected()
        await driver.records(handle, None)
        away.rename(file)
        assert (await driver.fetch(handle, tmp_path / "bundle")).warnings == ()

    tell(tmp_path, story)


def test_a_program_that_can_not_be_written_leaves_the_channel_as_it_was(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        await b.run(driver, "before", rest(60))
        with pytest.raises(Exception, match="longer than the tester's 99 h"):
            await driver.start("too-long", 1, rest(60, every=100 * 3600.0))
        assert (await driver.channels())[1] == "Completed"

    tell(tmp_path, story)


def test_a_limit_that_reads_back_as_no_number_is_none_in_an_exercise_either(
    tmp_path: Path, misread: Callable[..., None]
) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        misread(LIMITS, ISafeChg=float("nan"))
        with pytest.raises(Refused, match=r"ISafeChg was sent as 5\.25 and read back as nan"):
            await driver.inspect(exercise=True)

    tell(tmp_path, story)
