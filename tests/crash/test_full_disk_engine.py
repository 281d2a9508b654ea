"""The disk is full while cells are under way: nothing new is started, nothing is lost, and it goes on with room."""

import asyncio
import errno
import sys
from pathlib import Path

import polars

sys.path.insert(0, str(Path(__file__).parents[1] / "run"))
from laboratory_folder import Laboratory
from trouble import Scene, one_cell, play

from labctl.engine import keeping
from labctl.errors import NoRoom
from labctl.journal import Status

CHARGE_REST = """
charge: {current: 2 mA/cm2, until: {voltage: upper}, at_most: 16 h}
rest: {duration: 10 min}
"""


def fill(journal) -> None:
    """Use up the pages that the database has, by operations of a campaign that nobody drives."""
    try:
        for number in range(10_000):
            name = f"c/x/{number:04d}/a1"
            journal.request(name, campaign="c", cell="x", step="s", kind="rest", attempt=1, token=f"x-{number}")
    except NoRoom:
        return
    raise AssertionError("it never filled")


def check_whole(scene: Scene, row) -> None:
    """The bundle has every record that the tester made."""
    table = polars.read_parquet(scene.bundle(row) / "records.parquet")
    last = next(test["records"] for test in scene.lab.tests("maccor") if test["test"] == row.token)
    assert table["Record Number / 1"].to_list() == list(range(1, last + 1))


def test_a_journal_without_room_stops_the_next_step_and_nothing_else(tmp_path):
    laboratory = Laboratory(tmp_path / "lab")
    one_cell(laboratory, CHARGE_REST)

    async def script(scene: Scene) -> None:
        row = await scene.until_running("charge")
        # The database takes no further page, and its last ones are used up.
        scene.journal._store.pragma("max_page_count=1")
        fill(scene.journal)
        await scene.until(lambda: scene.lab.tests("maccor")[0]["state"] == "completed")
        await asyncio.sleep(3600)
        assert any("no room" in alarm for alarm in await scene.alarms())
        assert len(scene.log("maccor", "started")) == 1
        assert scene.is_open()
        scene.journal._store.pragma("max_page_count=1000000")
        await scene.until_state("finished")
        assert [(one.step, one.status, one.attempt) for one in scene.rows()] == [
            ("c000/01-charge", Status.DONE, 1),
            ("c000/02-rest", Status.DONE, 1),
        ]
        assert len(scene.log("maccor", "started")) == 2
        check_whole(scene, scene.journal.operation(row.operation))

    play(laboratory, script)


def test_results_without_room_are_fetched_again_when_there_is_some(tmp_path, monkeypatch):
    laboratory = Laboratory(tmp_path / "lab")
    one_cell(laboratory, CHARGE_REST)
    write, full = keeping.write_bundle, [True]

    def limited(folder, *arguments):
        if full[0]:
            raise OSError(errno.ENOSPC, "No space left on device", str(folder))
        return write(folder, *arguments)

    monkeypatch.setattr(keeping, "write_bundle", limited)

    async def script(scene: Scene) -> None:
        row = await scene.until_running("charge")
        await scene.until(lambda: any("no room" in alarm.message for alarm in scene.journal.alarms()))
        await asyncio.sleep(600)
        assert scene.journal.operation(row.operation).status is Status.RUNNING
        assert len(scene.log("maccor", "started")) == 1
        full[0] = False
        await scene.until_state("finished")
        assert len(scene.log("maccor", "started")) == 2
        check_whole(scene, scene.journal.operation(row.operation))

    play(laboratory, script)
