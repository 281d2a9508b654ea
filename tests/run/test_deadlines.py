"""Two cells want one potentiostat at once, so that one is late: what the protocol says happens to it, and is told."""

from trouble import Scene, one_cell, play

from labctl.journal import Status

# The first spectrum takes the potentiostat for more than eight minutes, so the second can't begin within ten.
LATE = """
rest: {duration: 10 min}
eis: {as: early, spectrum: short, start_within: {within: 10 min, else: %s}}
rest: {duration: 10 min}
"""
CELLS = ("bare-01", "bare-02")


def two_cells(laboratory, otherwise: str) -> None:
    one_cell(laboratory, LATE % otherwise, *CELLS)
    laboratory.protocol.write_text(laboratory.protocol.read_text().replace("rest_before: 2 min", "rest_before: 8 min"))


async def who_is_late(scene: Scene) -> tuple[str, str]:
    """Wait until one spectrum is taken; gives the punctual cell and the other."""
    await scene.until(lambda: any(scene.find("eis-early", cell, Status.DONE) for cell in CELLS))
    early = next(cell for cell in CELLS if scene.find("eis-early", cell, Status.DONE))
    return early, next(cell for cell in CELLS if cell != early)


def test_a_cell_that_is_late_is_held_and_goes_on_with_the_delay_when_told_to(laboratory):
    two_cells(laboratory, "hold")

    async def script(scene: Scene) -> None:
        early, late = await who_is_late(scene)
        await scene.until_state("held", late)
        row = scene.row("eis-early", late)
        assert row.status is Status.FAILED
        assert "running" not in row.times
        assert "before" in scene.reason(late)
        assert any("could not start" in alarm or "did not become free" in alarm for alarm in await scene.alarms())
        assert not [one for one in scene.journal.held() if one.cell == late]
        await scene.tell("retry", late)
        await scene.until_state("finished", late)
        document = scene.document(scene.row("eis-early", late))
        assert "started late" in document["flags"]
        assert document["delay_s"] > 600
        assert "started late" not in scene.document(scene.row("eis-early", early))["flags"]

    play(laboratory, script)


def test_a_cell_that_is_late_goes_on_flagged_and_alarmed(laboratory):
    two_cells(laboratory, "continue")

    async def script(scene: Scene) -> None:
        early, late = await who_is_late(scene)
        await scene.until(lambda: scene.find("eis-early", late, Status.DONE))
        assert any("later than" in alarm.message and alarm.cell == late for alarm in scene.journal.alarms())
        for cell in CELLS:
            await scene.until_state("finished", cell)
        document = scene.document(scene.row("eis-early", late))
        assert document["flags"] == ["started late"]
        assert document["delay_s"] > 600
        assert scene.document(scene.row("eis-early", early))["flags"] == []
        assert not [alarm for alarm in scene.journal.alarms() if alarm.cell == early]

    play(laboratory, script)


def test_a_cell_that_is_late_leaves_the_step_out_and_goes_on(laboratory):
    two_cells(laboratory, "skip")

    async def script(scene: Scene) -> None:
        _, late = await who_is_late(scene)
        for cell in CELLS:
            await scene.until_state("finished", cell)
        row = scene.row("eis-early", late)
        assert row.status is Status.ABORTED
        assert row.result["skipped"]
        assert scene.row("rest", late).status is Status.DONE
        assert any("left out" in alarm.message and alarm.cell == late for alarm in scene.journal.alarms())
        assert sum(entry["cell"] == late for entry in scene.log("zahner", "sweep")) == 0

    play(laboratory, script)
