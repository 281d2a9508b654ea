"""Where something does not add up, nothing is started and a person is asked."""

import asyncio
import json
import sqlite3
from contextlib import closing

from trouble import Asked, Scene, one_cell, play

from labctl.journal import Status

UP_AND_DOWN = """
charge: {current: 2 mA/cm2, until: {voltage: upper}, at_most: 16 h}
discharge: {current: 2 mA/cm2, until: {voltage: lower}, at_most: 16 h}
"""


def test_another_cell_at_the_leads_is_refused_before_any_current_flows(laboratory):
    one_cell(laboratory, UP_AND_DOWN, "bare-01", "bare-02")
    laboratory.replace("cells.yaml", "id: bare-02,", "id: bare-02, start_after: 200 h,")

    async def script(scene: Scene) -> None:
        await scene.until_running("charge")
        await scene.tell("hold")
        await scene.until_state("held")
        scene.lab.move("bare-01", "bench")
        scene.lab.move("bare-02", "bench")
        scene.lab.move("bare-02", "cabinet/1")
        await scene.tell("resume")
        await scene.until(lambda: scene.find("discharge", "bare-01", Status.FAILED))
        await scene.until_state("held")
        row = scene.row("discharge")
        assert row.status is Status.FAILED
        assert "intent" not in row.times
        assert "not that of the booked cell" in row.error
        assert [entry for entry in scene.log("maccor", "started") if entry["test"] == row.token] == []
        assert any("barcode" in alarm for alarm in await scene.alarms())
        assert not scene.journal.held()
        # The person finds it, puts the right one back, and says so.
        scene.lab.move("bare-02", "cabinet/2")
        scene.lab.move("bare-01", "cabinet/1")
        await scene.tell("retry")
        await scene.until(lambda: scene.find("discharge", "bare-01", Status.DONE))
        assert scene.lab.violations == []

    play(laboratory, script)


def test_a_person_who_has_read_the_barcode_can_vouch_for_a_cell_with_an_odd_voltage(laboratory):
    one_cell(laboratory, UP_AND_DOWN, "bare-01", "bare-02")
    laboratory.replace("cells.yaml", "id: bare-02,", "id: bare-02, start_after: 200 h,")

    async def script(scene: Scene) -> None:
        await scene.until_running("charge")
        await scene.tell("hold")
        await scene.until_state("held")
        # What the channel reads now is far from where the cell was left.
        scene.lab.move("bare-01", "bench")
        scene.lab.move("bare-02", "bench")
        scene.lab.move("bare-02", "cabinet/1")
        await scene.tell("resume")
        await scene.until_state("held")
        doubted = await scene.until(lambda: scene.find("discharge", "bare-01", Status.FAILED))
        assert "--barcode" in doubted.error
        await scene.tell("retry")
        await scene.until(lambda: scene.row("discharge").attempt == 2 and scene.state() == "held")
        try:
            await scene.tell("retry", barcode="B0002")
        except Asked as refused:
            assert refused.code == 8
            assert "B0002" in str(refused)
        else:
            raise AssertionError("another cell's barcode was taken")
        assert scene.state() == "held"
        assert scene.row("discharge").attempt == 2
        answer = await scene.tell("retry", barcode="B0001")
        assert "on your word" in answer["will"]
        row = await scene.until(lambda: scene.find("discharge", "bare-01", Status.DONE))
        assert row.attempt == 3
        assert "a person vouched for the cell" in scene.document(row)["flags"]

    play(laboratory, script)


def test_a_cell_that_gave_more_than_it_got_is_held_until_a_person_has_looked(laboratory):
    one_cell(
        laboratory,
        """
        charge: {current: 2 mA/cm2, until: {voltage: 4.0 V}, at_most: 16 h}
        discharge: {current: 2 mA/cm2, until: {voltage: lower}, at_most: 16 h}
        rest: {duration: 10 min}
        """,
    )

    async def script(scene: Scene) -> None:
        await scene.until(lambda: scene.find("discharge", "bare-01", Status.RUNNING))

    async def resumed(scene: Scene) -> None:
        await scene.until_state("held")
        row = scene.row("rest")
        assert row.status is Status.FAILED
        assert "running" not in row.times
        assert "retry" in (await scene.explained())["advice"]
        await scene.tell("retry")
        await scene.until_state("finished")
        assert [one.status for one in scene.rows("rest")] == [Status.FAILED, Status.DONE]

    play(laboratory, script)
    # As if hardly anything had gone in.
    with closing(sqlite3.connect(laboratory.folder / "labctl.sqlite")) as database, database:
        (text,) = database.execute("select result from operations where kind = 'charge'").fetchone()
        result = json.loads(text)
        result["capacity_C"] /= 20
        result["integrated_C"] /= 20
        database.execute("update operations set result = ? where kind = 'charge'", (json.dumps(result),))
    play(laboratory, resumed)


def test_a_chamber_that_never_settles_holds_its_cell_and_is_stopped(laboratory):
    one_cell(
        laboratory,
        "rest: {duration: 10 min, temperature: 40 degC}",
    )
    laboratory.replace("cells.yaml", "place: cabinet/1", "place: oven/1")

    async def script(scene: Scene) -> None:
        scene.lab.break_down("oven", "cold")
        await scene.until_state("held")
        row = scene.row("rest")
        assert row.status is Status.FAILED
        assert "did not settle at 40" in row.error
        assert not scene.lab.chamber("oven").running
        assert not scene.journal.held()
        assert any("oven" in alarm for alarm in await scene.alarms())
        scene.lab.break_down("oven", "repaired")
        await scene.tell("retry")
        await scene.until_state("finished")
        assert not scene.lab.chamber("oven").running

    play(laboratory, script)


def doubtful(laboratory):
    """A run that ends, as by a kill, when the tester was about to be told; what it did then can't be told."""
    one_cell(laboratory, UP_AND_DOWN)

    async def script(scene: Scene) -> str:
        row = await scene.until_running("charge")
        await asyncio.sleep(1800)
        # Somebody resets the channel at the tester's own screen, and at the same moment labctl goes.
        scene.lab.break_down("maccor", "cleared", channel=1)
        return row.token

    token = play(laboratory, script)
    with closing(sqlite3.connect(laboratory.folder / "labctl.sqlite")) as database, database:
        database.execute("update operations set status = 'intent', handle = null where kind = 'charge'")
    return token


def hide(exports, token):
    """Take the export out of reach; gives where it is."""
    (export,) = exports.glob(f"{token}.*")
    return export.rename(export.with_name(export.name + ".hidden"))


def test_where_nobody_can_tell_whether_it_began_the_lease_is_kept_and_resume_asks_again(laboratory):
    token = doubtful(laboratory)
    exports = laboratory.folder / "simulated" / "maccor-export"

    async def script(scene: Scene) -> None:
        await scene.until_state("held")
        row = scene.row("charge")
        assert row.status is Status.NEEDS_OPERATOR
        assert [one.operation for one in scene.journal.held()] == [row.operation]
        assert any(row.step in alarm for alarm in await scene.alarms())
        assert len(scene.log("maccor", "started")) == 1
        # Asked again, the same is answered; nothing is started for it.
        await scene.tell("resume")
        await scene.until(lambda: scene.state() == "under way")
        await scene.until_state("held")
        assert scene.row("charge").status is Status.NEEDS_OPERATOR
        # The export is found: the operation is taken up under its own name.
        hidden.rename(exports / hidden.name.removesuffix(".hidden"))
        await scene.tell("resume")
        await scene.until(lambda: scene.row("charge").status is Status.FAILED)
        row = scene.row("charge")
        assert (row.attempt, row.token) == (1, token)
        assert "cleared" in row.error
        assert scene.document(row)["summary"]["records"] > 20
        assert sum(entry["test"] == token for entry in scene.log("maccor", "started")) == 1

    hidden = hide(exports, token)
    play(laboratory, script)


def test_a_person_may_say_that_it_never_began_and_the_step_starts_under_another_name(laboratory):
    token = doubtful(laboratory)
    hide(laboratory.folder / "simulated" / "maccor-export", token)

    async def script(scene: Scene) -> None:
        await scene.until_state("held")
        await scene.tell("retry")
        await scene.until_state("finished")
        first, second = scene.rows("charge")
        assert (first.status, second.status) == (Status.FAILED, Status.DONE)
        assert first.token == token != second.token
        assert "ana" in first.error
        assert scene.starts(second) == 1

    play(laboratory, script)
