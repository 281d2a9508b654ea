"""An instrument misbehaves: the cell goes to open circuit and is held, its data are kept, nothing more is started."""

import asyncio

import polars
import pytest
from trouble import Asked, Scene, one_cell, play

from labctl.journal import Status

CHARGE_REST = """
charge: {current: 2 mA/cm2, until: {voltage: upper}, at_most: 16 h}
rest: {duration: 10 min}
"""


async def broken_at(scene: Scene, step: str, kind: str, minutes: float = 30.0, **options):
    """Let a step go on for a while, break the channel, and wait until the cell is held."""
    row = await scene.until_running(step)
    await asyncio.sleep(minutes * 60)
    scene.lab.break_down("maccor", kind, channel=1, **options)
    await scene.until_state("held")
    return scene.journal.operation(row.operation)


def check_left_safe(scene: Scene, row) -> None:
    """What must hold after any failure of the first step."""
    assert row.status is Status.FAILED
    assert scene.is_open()
    assert scene.rows("rest") == []
    assert not scene.journal.held()
    table = polars.read_parquet(scene.bundle(row) / "records.parquet")
    numbers = table["Record Number / 1"].to_list()
    assert len(numbers) > 20
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("blind", {}, "outside 2.78 V to 4.42 V"),
        ("stands", {}, "no new data"),
        ("problem", {"code": 197}, "safety"),
        ("cleared", {}, "cleared"),
    ],
)
def test_a_channel_that_goes_wrong_leaves_its_cell_open_held_and_with_its_data(laboratory, kind, options, words):
    one_cell(laboratory, CHARGE_REST)

    async def script(scene: Scene) -> None:
        row = await broken_at(scene, "charge", kind, **options)
        check_left_safe(scene, row)
        assert words in row.error.lower() if kind == "problem" else words in row.error
        assert any(row.error in alarm for alarm in await scene.alarms())
        explained = await scene.explained()
        assert row.error in explained["doing"]
        with pytest.raises(Asked, match="retry"):
            await scene.tell("resume")
        assert scene.document(row)["status"] == "failed"
        assert scene.document(row)["flags"] == ["failed"]
        if kind == "blind":
            # Far beyond its limits, nothing can be started on it again.
            await scene.tell("abort")
            await scene.until_state("aborted")
            return
        scene.lab.break_down("maccor", "repaired", channel=1)
        await scene.tell("retry")
        await scene.until_state("finished")
        assert [one.status for one in scene.rows("charge")] == [Status.FAILED, Status.DONE]
        assert scene.lab.violations == []

    play(laboratory, script)


def test_a_channel_that_does_not_let_go_keeps_its_lease_and_a_person_is_asked(laboratory):
    one_cell(laboratory, CHARGE_REST)

    async def script(scene: Scene) -> None:
        row = await scene.until_running("charge")
        await asyncio.sleep(600)
        scene.lab.break_down("maccor", "stubborn", channel=1)
        row = await broken_at(scene, "charge", "stands")
        assert row.status is Status.NEEDS_OPERATOR
        assert not scene.is_open()
        assert [held.operation for held in scene.journal.held()] == [row.operation]
        assert any("could not be left safe" in alarm for alarm in await scene.alarms())
        scene.lab.break_down("maccor", "repaired", channel=1)
        await scene.tell("resume")
        await scene.until_state("finished")
        assert [one.status for one in scene.rows("charge")] == [Status.DONE]
        assert scene.starts(row) == 1
        assert scene.lab.violations == []

    play(laboratory, script)


def test_an_instrument_that_cannot_be_reached_for_a_while_costs_no_record(laboratory):
    one_cell(laboratory, CHARGE_REST)

    async def script(scene: Scene) -> None:
        row = await scene.until_running("charge")
        await asyncio.sleep(600)
        scene.lab.inject("maccor", "drop", count=12)
        await scene.until(lambda: scene.journal.events(category="retry"))
        warnings = await scene.alarms()
        assert any("maccor" in text for text in warnings)
        assert scene.state() == "under way"
        await scene.until_state("finished")
        assert scene.journal.alarms() == []
        assert [one.status for one in scene.rows()] == [Status.DONE, Status.DONE]
        assert scene.starts(row) == 1
        table = polars.read_parquet(scene.bundle(row) / "records.parquet")
        last = next(test["records"] for test in scene.lab.tests("maccor") if test["test"] == row.token)
        assert table["Record Number / 1"].to_list() == list(range(1, last + 1))
        retries = scene.journal.events(category="retry")
        assert all(event.instrument == "maccor" and "try" in event.message for event in retries)

    play(laboratory, script)


HOLD_REST = """
charge: {current: 2 mA/cm2, until: {voltage: 4.0 V}, at_most: 16 h}
discharge: {current: 2 mA/cm2, until: {voltage: lower}, at_most: 16 h}
hold: {voltage: lower, limit: {current: 3 mA}, until: {current: 1 uA, for: 60 s}, at_most: 3 h%s}
rest: {duration: 10 min}
"""


def test_a_hold_on_a_leaking_cell_times_out_and_waits_for_a_person(laboratory):
    one_cell(laboratory, HOLD_REST % "", leak_A="2.0e-5")

    async def script(scene: Scene) -> None:
        await scene.until_state("held")
        row = scene.row("hold")
        assert row.status is Status.DONE
        assert row.result["status"] == "timeout"
        assert scene.is_open()
        assert scene.rows("rest") == []
        assert "guard time" in scene.reason()
        assert any("guard time" in alarm for alarm in await scene.alarms())
        assert (await scene.explained())["last"]["status"] == "timeout"
        await scene.tell("resume")
        await scene.until_state("finished")
        assert [one.kind for one in scene.rows()] == ["charge", "discharge", "hold", "rest"]

    play(laboratory, script)


def test_a_held_timeout_is_still_held_after_a_restart(laboratory):
    one_cell(laboratory, HOLD_REST % "", leak_A="2.0e-5")

    async def first(scene: Scene) -> None:
        await scene.until_state("held")

    async def second(scene: Scene) -> None:
        await asyncio.sleep(3600)
        assert scene.state() == "held"
        await scene.tell("resume")
        await scene.until_state("finished")

    play(laboratory, first)
    play(laboratory, second)


def test_a_timed_out_hold_goes_on_where_the_protocol_says_so(laboratory):
    one_cell(laboratory, HOLD_REST % ", on_timeout: continue", leak_A="2.0e-5")

    async def script(scene: Scene) -> None:
        await scene.until_state("finished")
        assert scene.row("hold").result["status"] == "timeout"

    play(laboratory, script)
