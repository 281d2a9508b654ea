"""A relay whose contact does not do what it reads back: the voltages tell, before current flows."""

import pytest
from trouble import Scene, one_cell, play

from labctl.journal import Status

#: Cycler and potentiostat each behind relays of their own: a cell is with one of them, or with none.
BOTH = "leads: {maccor: {through: mux, relays: 201-208, channels: 1-8}, zahner: {through: mux, relays: 101-108}}"

SPECTRUM = """
rest: {duration: 10 min}
eis: {as: early, spectrum: short}
rest: {duration: 10 min}
"""


def test_a_contact_that_stays_open_is_found_before_the_sweep_and_the_relay_opened(laboratory):
    one_cell(laboratory, SPECTRUM)

    async def script(scene: Scene) -> None:
        scene.lab.break_down("mux", "stuck", relay=101)
        await scene.until_state("held")
        row = scene.row("eis-early")
        assert row.status is Status.FAILED
        assert "relay 101 of mux reads back as closed, but zahner shows 0.0021 V where the cycler sees" in row.error
        assert "a contact is stuck open" in row.error
        assert scene.log("zahner", "source") == []
        assert not scene.journal.held()
        assert "ROUT:OPEN" in scene.log("mux", "heard")[-2]["message"]
        scene.lab.break_down("mux", "whole", relay=101)
        await scene.tell("retry")
        await scene.until_state("finished")
        assert scene.lab.violations == []

    play(laboratory, script)


@pytest.mark.parametrize("relay", [101, 102], ids=["its own", "that of another cell"])
def test_a_contact_that_stays_closed_is_found_before_another_one_closes(laboratory, relay):
    one_cell(laboratory, SPECTRUM, "bare-01", "bare-02")
    laboratory.replace("cells.yaml", "place: cabinet/2", "place: cabinet/2, start_after: 100 h")

    async def script(scene: Scene) -> None:
        scene.lab.break_down("mux", "welded", relay=relay)
        await scene.until_state("held")
        row = scene.row("eis-early")
        assert "although all relays of mux that reach a cell for it read back as open" in row.error
        assert "a contact is stuck closed" in row.error
        # It stands until a person has seen to it: nobody else gets these leads.
        assert row.status is Status.NEEDS_OPERATOR
        assert "the cell could not be left safe" in (await scene.alarms())[-1]
        assert scene.log("zahner", "source") == []
        assert scene.lab.relays("mux") == {relay}
        scene.lab.break_down("mux", "whole", relay=relay)
        await scene.tell("resume")
        await scene.until_state("finished")
        assert scene.row("eis-early").status is Status.DONE

    play(laboratory, script)


def test_a_relay_that_stays_closed_after_the_sweep_is_said_and_the_source_is_off(laboratory):
    one_cell(laboratory, SPECTRUM)

    async def script(scene: Scene) -> None:
        await scene.until_running("eis-early")
        scene.lab.break_down("mux", "stuck", relay=101)
        await scene.until_state("held")
        row = scene.row("eis-early")
        assert row.status is Status.NEEDS_OPERATOR
        assert "a contact is stuck closed" in row.error
        assert scene.log("zahner", "source")[-1]["on"] is False
        scene.lab.break_down("mux", "whole", relay=101)
        await scene.tell("resume")
        await scene.until_state("finished")
        # What was measured before is not lost.
        assert scene.row("eis-early").attempt == 1
        assert scene.row("eis-early").status is Status.DONE

    play(laboratory, script)


def test_a_cycler_and_a_potentiostat_behind_relays_are_never_on_a_cell_together(laboratory):
    one_cell(laboratory, SPECTRUM, "bare-01", "bare-02")
    laboratory.replace("station.yaml", "leads: {maccor: 1-8, zahner: {through: mux, relays: 101-108}}", BOTH)

    async def script(scene: Scene) -> None:
        await scene.until(lambda: scene.lab.relays("mux") == {201, 202})
        assert scene.lab.cell_on("maccor", 1).id == "bare-01"
        await scene.until(lambda: scene.state() == scene.state("bare-02") == "finished")
        assert scene.lab.relays("mux") == set()
        assert scene.lab.violations == []
        moved = [(entry["event"], entry["relay"]) for entry in scene.log("mux", "closed", "opened")]
        own = [(event, relay) for event, relay in moved if relay in (101, 201)]
        assert own == [(event, relay) for relay in (201, 101, 201) for event in ("closed", "opened")]

    play(laboratory, script)


def test_a_relay_that_leaves_the_cycler_without_its_cell_is_found_before_any_current(laboratory):
    one_cell(laboratory, SPECTRUM)
    laboratory.replace("station.yaml", "leads: {maccor: 1-8, zahner: {through: mux, relays: 101-108}}", BOTH)

    async def script(scene: Scene) -> None:
        scene.lab.break_down("mux", "stuck", relay=201)
        await scene.until_state("held")
        assert "no cell, an open lead or a short" in scene.row("rest").error
        assert scene.log("maccor", "started") == []

    play(laboratory, script)
