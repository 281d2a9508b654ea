"""An instrument misbehaves: the cell is brought to open circuit and held, its data are kept, nothing more is started."""

import asyncio

import polars
import pytest
from trouble import Asked, Scene, one_cell, play, reread, seconds

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
    assert scene.open_since()
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
        scene.lab.break_down("maccor", "repaired", channel=1)
        await scene.tell("retry")
        await scene.until_state("finished")
        assert [one.status for one in scene.rows("charge")] == [Status.FAILED, Status.DONE]
        assert scene.lab.violations == []

    play(laboratory, script)
