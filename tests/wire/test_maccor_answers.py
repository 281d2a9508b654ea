"""What a tester can say of a channel, right and wrong: it becomes exactly that, or an error, and never a guess."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maccor_bench import Bench, charge, rest, tell

from labctl.engine.watch import Bounds, Watch
from labctl.errors import InstrumentError, UsageError
from labctl.instruments import CannotSay, Garbled, NotIdentified, OutOfRange, Refused, State
from labctl_drivers.maccor import answers, codes, readings, station
from labctl_simulators.macnet import messages

TRUE_STATE: dict[str, Any] = {
    "RF1": 2,
    "RF2": 5,
    "Stat": 2,
    "LastRecNum": 17,
    "Cycle": 0,
    "Step": 3,
    "TestTime": 100.5,
    "StepTime": 50.25,
    "Capacity": 0.001,
    "Energy": 0.003,
    "Current": 0.0006,
    "Voltage": 3.5,
}
JSON = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 260),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["2", "Active", "NaN", 10**400, 1e39]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


COUNTS = {"RF1": 255, "RF2": 255, "Stat": 255, "LastRecNum": 2**31 - 1, "Step": 2**31 - 1}


def lawful(told: dict[str, Any]) -> bool:
    """Whether an answer to (4,7) is one, said in another way than the driver says it."""

    def number(key: str) -> bool:
        value = told.get(key)
        return type(value) in (int, float) and abs(value) <= 3.5e38

    numbers = ("TestTime", "StepTime", "Capacity", "Current", "Voltage")
    return (
        all(number(key) for key in (*COUNTS, *numbers))
        and all(told[key] == int(told[key]) and 0 <= told[key] <= most for key, most in COUNTS.items())
        and told["TestTime"] >= 0 <= told["StepTime"]
        and max(abs(told["Voltage"]), abs(told["Current"])) <= 1e4
    )


@settings(max_examples=200, deadline=None)
@given(
    changed=st.dictionaries(st.sampled_from(sorted(TRUE_STATE)), JSON, max_size=3),
    dropped=st.sets(st.sampled_from(sorted(TRUE_STATE)), max_size=1),
)
def test_a_state_is_read_exactly_or_not_at_all(changed: dict[str, Any], dropped: set[str]) -> None:
    told = {key: value for key, value in {**TRUE_STATE, **changed}.items() if key not in dropped}
    if not lawful(told):
        with pytest.raises(Garbled):
            readings.ChannelState.read(told)
        return
    state = readings.ChannelState.read(told)
    assert (state.status, state.doing, state.reason) == (told["Stat"], told["RF1"], told["RF2"])
    assert (state.last_record, state.step) == (told["LastRecNum"], told["Step"])
    assert (state.test_time, state.step_time, state.voltage) == (told["TestTime"], told["StepTime"], told["Voltage"])
    assert abs(state.current) == abs(told["Current"])
    assert state.doing not in codes.DISCHARGING or state.current <= 0


@pytest.mark.parametrize(
    "change", [{"StepTime": math.nan}, {"Stat": True}, {"Stat": "2"}, {"Stat": 2.5}, {"Step": math.inf}]
)
def test_what_only_looks_like_a_state_is_garbled(change: dict[str, Any]) -> None:
    with pytest.raises(Garbled, match=next(iter(change))):
        readings.ChannelState.read({**TRUE_STATE, **change})


@pytest.mark.parametrize(
    ("read", "result", "words"),
    [
        (answers.EndStatus.read, {"NumOfEnds": 1, "EndNum": 2}, "End step 2 of 1"),
        (answers.Memory.read, {"GlobFlags": "0x01", "VARs": [0.0] * 14}, "14 entries"),
        (answers.Memory.read, {"GlobFlags": "32", "VARs": [0.0] * 15}, "'32'"),
        (answers.Memory.read, {"GlobFlags": "0x1", "VARs": [math.nan] * 15}, "no number"),
        (answers.auxiliary_units, {"AuxUnit": ["C", 7]}, "tells 7"),
        (lambda reply: answers.auxiliary(reply, 2), {"AuxValues": [21.0]}, "input 2 is asked for"),
        (lambda reply: readings.statuses(reply, 2), {"Status": [{"Stat": 0}]}, "1 entries"),
        (lambda reply: readings.statuses(reply, 1), {"Status": [0]}, "nothing for Stat"),
        (readings.test_name, {"TestName": None}, "nothing for TestName"),
        (station.ChannelSpec.read, {"Vmin": 0, "Vmax": 5, "IR1Chg": "5"}, "'5' for IR1Chg"),
    ],
)
def test_every_other_answer_is_read_as_strictly(read: Callable[[Any], Any], result: dict[str, Any], words: str) -> None:
    with pytest.raises(Garbled, match=words):
        read(result)


def showing(message: tuple[int, int], **members: Any) -> Callable[..., dict[str, Any]]:
    honest = messages.MESSAGES[message]
    return lambda *args: {**honest(*args), **members}


@pytest.mark.parametrize("status", [6, 10, 16, 18, 99, 255])
def test_an_unknown_status_is_neither_running_nor_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        handle = await driver.start("veiled", 1, charge())
        with monkeypatch.context() as patch:
            patch.setitem(messages.MESSAGES, (4, 7), showing((4, 7), Stat=status))
            with pytest.raises(CannotSay, match="whether its test runs, the tester does not say"):
                await driver.poll(handle)
            with pytest.raises(Refused, match="channel 2 is"):
                await driver.start("other", 2, rest(60))
        assert (await driver.poll(handle)).state is State.RUNNING

    tell(tmp_path, story)


def test_a_status_that_is_unknown_for_a_moment_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        handle = await driver.start("moment", 1, charge())
        honest, seen = messages.MESSAGES[4, 7], [10, 2]
        monkeypatch.setitem(
            messages.MESSAGES, (4, 7), lambda *args: {**honest(*args), "Stat": seen.pop(0) if seen else 2}
        )
        assert (await driver.poll(handle)).state is State.RUNNING

    tell(tmp_path, story)


def test_a_test_that_came_to_a_later_end_step_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        handle = await driver.start("ends", 1, rest(60))
        assert (await b.wait(driver, handle)).state is State.DONE
        monkeypatch.setitem(messages.MESSAGES, (4, 10), showing((4, 10), NumOfEnds=2, EndNum=2))
        progress = await driver.poll(handle)
        assert (progress.state, progress.message) == (
            State.FAILED,
            "Completed at End step 2 of 2, which stands for FAIL",
        )
        monkeypatch.delitem(messages.MESSAGES, (4, 10))
        assert (await driver.poll(handle)).state is State.DONE

    tell(tmp_path, story)


@pytest.mark.parametrize("echo", [1.0001e-3, float("nan"), True, "0.001", -1e-3])
def test_a_limit_of_one_milliampere_is_verified_to_single_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, echo: Any
) -> None:
    small = charge(amperes=1e-4).safety
    tight = type(small)(small.voltage_min, small.voltage_max, 1e-3, 1e-3)

    async def story(b: Bench) -> None:
        driver = await b.connected()
        with monkeypatch.context() as patch:
            patch.setitem(messages.MESSAGES, (6, 10), showing((6, 10), ISafeChg=echo))
            with pytest.raises(Refused, match=r"ISafeChg was sent as 0\.001 and read back as"):
                await driver.start("limits", 1, charge(amperes=1e-4, safety=tight))
        handle = await driver.start("limits", 1, charge(amperes=1e-4, safety=tight))
        assert handle.data["safety_read_back"]["ISafeChg"] == pytest.approx(1e-3, rel=1e-6)
        # The tester's own single precision, seen on the wire.
        assert handle.data["safety_read_back"]["ISafeChg"] != 1e-3

    tell(tmp_path, story)


def test_the_cells_temperature_comes_with_every_look(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected(temperature={"aux": 1})
        handle = await driver.start("warm", 1, charge())
        await asyncio.sleep(600)
        values = (await driver.poll(handle)).values
        assert values["temperature_K"] == pytest.approx(b.laboratory.temperature_of(b.laboratory.cells["one"]), abs=1.0)
        await driver.suspend(handle)
        assert "temperature_K" in (await driver.poll(handle)).values
        plain = await b.connected()
        assert "temperature_K" not in (await plain.poll(handle)).values

    tell(tmp_path, story)


def test_the_engines_limits_see_the_cells_temperature(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected(temperature={"aux": 1})
        handle = await driver.start("hot", 1, charge())
        values = (await driver.poll(handle)).values
        warm = values["temperature_K"]
        assert Watch(Bounds(temperature=(warm - 5, warm + 5))).judge(0.0, values) is None
        said = Watch(Bounds(temperature=(warm + 5, warm + 9))).judge(0.0, values)
        assert said is not None
        assert "20 degC at the cell, outside 25 degC to 29 degC" in said

    tell(tmp_path, story)


@pytest.mark.parametrize("told", [[math.nan], [None], [], ["21.0"], None])
def test_a_thermometer_that_fails_is_said_and_disturbs_no_other_channel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Any
) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected(temperature={"aux": 1})
        handle = await driver.start("loose", 1, rest(600))
        with monkeypatch.context() as patch:
            patch.setitem(messages.MESSAGES, (4, 4), showing((4, 4), AuxValues=told))
            with pytest.raises(Garbled, match="channel 1: the answer to") as said:
                await driver.poll(handle)
            assert said.value.hint == "is the thermocouple of channel 1 connected?"
            assert (await driver.reading(2)).current == 0
            await asyncio.sleep(700)
            assert (await driver.poll(handle)).state is State.DONE
        assert b.hiccups == []

    tell(tmp_path, story)


def test_no_current_flows_where_the_temperature_that_should_be_watched_can_not_be(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        for index, words in ((2, "tells it in 'V'"), (3, "has no such input")):
            driver = await b.connected(temperature={"aux": index})
            with pytest.raises(Refused, match=f"auxiliary input {index} should be the cell's temperature.*{words}"):
                await driver.start("cold", 1, charge())
        assert {entry["event"] for entry in b.laboratory.records("maccor")} <= {"limits set"}

    tell(tmp_path, story, simulate={"auxiliary": ["C", "V"]})


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"temperature": {"aux": 0}}, r"temperature is given as \{aux: N\}"),
        ({"temperature": 1}, r"temperature is given as \{aux: N\}"),
        ({"login": {"user": "x"}}, r"login is given as \{user: NAME, password: \{env: NAME\}\}"),
        ({"login": "x"}, "login is given as"),
        ({"direct_mode_watchdog": "0 s"}, "above zero"),
        ({"direct_mode_watchdog": "soon"}, "instrument maccor"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(tmp_path: Path, entry: dict[str, Any], words: str) -> None:
    async def story(b: Bench) -> None:
        with pytest.raises(UsageError, match=words):
            b.driver(**entry)

    tell(tmp_path, story)


LOGIN = {"user": "labctl", "password": {"env": "PASSWORD"}}


def test_a_tester_that_wants_a_login_gets_it_with_every_connection(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = b.driver(login=LOGIN)
        assert (await driver.connect()).details["login"] == "labctl: passed"
        handle = await driver.start("inside", 1, rest(600))
        b.laboratory.inject("maccor/json", "drop")
        assert (await b.wait(driver, handle)).state is State.DONE
        assert {hiccup.kind for hiccup in b.hiccups} == {"connection lost"}
        assert "secret of" not in repr(driver._settings)

    tell(tmp_path, story, faults=True, simulate={"login": {"user": "labctl", "password": "secret of PASSWORD"}})


def test_without_a_login_or_with_a_wrong_one_the_message_says_what_to_do(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        with pytest.raises(NotIdentified, match="declines to be asked about channel 1") as told:
            await b.driver().connect()
        assert "login: {user: NAME, password: {env: NAME}}" in str(told.value.hint)
        with pytest.raises(NotIdentified, match="does not let user 'labctl' in") as told:
            await b.driver(login={**LOGIN, "password": {"env": "OTHER"}}).connect()
        assert "secret of" not in f"{told.value} {told.value.hint}"

    tell(tmp_path, story, simulate={"login": {"user": "labctl", "password": "secret of PASSWORD"}})


def test_a_login_for_a_tester_that_has_none_does_no_harm(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        identity = await b.driver(login=LOGIN).connect()
        assert identity.details["login"] in ("labctl: declined", "labctl: passed")

    tell(tmp_path, story)


def test_rights_that_another_program_gave_up_are_taken_again(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        from labctl_drivers.maccor.manual import ManualControl

        driver = await b.connected(login=LOGIN)
        handle = await driver.start("rights", 1, rest(600))
        async with ManualControl.at(b.context(login=LOGIN)) as control:
            await control.log_out()
        assert (await driver.poll(handle)).state is State.RUNNING
        await driver.abort(handle)
        assert (await driver.channels())[1] == "Available"

    tell(tmp_path, story, simulate={"login": {"user": "labctl", "password": "secret of PASSWORD"}})


def test_a_current_beyond_every_range_and_one_at_the_smallest_are_told_apart(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        from labctl_drivers.maccor.manual import ManualControl

        async with ManualControl.at(b.context()) as control:
            spec = await control.spec(1)
        assert [spec.scale(amperes) for amperes in (1e-6, 1.5e-4, 2e-4, 5e-3, 0.1, 5.0)] == [
            "1",
            "1",
            "2",
            "2",
            "3",
            "4",
        ]
        with pytest.raises(OutOfRange, match="6 A is more than the channel's 5 A"):
            spec.scale(6.0)
        assert issubclass(OutOfRange, InstrumentError)

    tell(tmp_path, story)
