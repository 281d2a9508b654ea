"""A chamber that fails while a cell relies on it: seen while the step runs, held, and never started by itself."""

from trouble import Scene, one_cell, play

from labctl.journal import Status

REST = "rest: {duration: 6 h, temperature: 40 degC}"


def in_oven(laboratory, steps: str) -> None:
    one_cell(laboratory, steps)
    laboratory.replace("cells.yaml", "place: cabinet/1", "place: oven/1")


def test_a_chamber_without_power_ends_the_step_that_relies_on_it_and_waits_for_a_person(laboratory):
    in_oven(laboratory, REST)

    async def script(scene: Scene) -> None:
        await scene.until_running("rest")
        scene.lab.break_down("oven", "mains lost")
        await scene.until_state("held", hours=1)
        row = scene.row("rest")
        assert row.status is Status.FAILED
        assert "oven: stands although it is needed ('02 REMOTE STOP')" in row.error
        assert not scene.lab.chamber("oven").running
        assert scene.is_open()
        assert not scene.journal.held()
        await scene.tell("retry")
        await scene.until_state("finished")
        assert len(scene.log("oven", "started")) == 2
        assert not scene.lab.chamber("oven").running

    play(laboratory, script)


def test_a_chamber_that_lost_its_power_while_labctl_was_away_is_found_standing(laboratory):
    in_oven(laboratory, REST)

    async def first(scene: Scene) -> None:
        await scene.until_running("rest")
        scene.lab.break_down("oven", "mains lost")

    async def second(scene: Scene) -> None:
        await scene.until_state("held", hours=1)
        assert "stands although it is needed" in scene.row("rest").error
        assert not scene.lab.chamber("oven").running

    play(laboratory, first)
    play(laboratory, second)


def test_an_alarm_of_the_chamber_ends_the_step_in_the_vendors_words(laboratory):
    in_oven(laboratory, REST)

    async def script(scene: Scene) -> None:
        await scene.until_running("rest")
        scene.lab.break_down("oven", "alarm", text="-14 EXCESS TEMPERATURE PROTECTOR ALARM")
        await scene.until_state("held", hours=1)
        assert "-14 EXCESS TEMPERATURE PROTECTOR ALARM" in scene.row("rest").error
        assert any("PROTECTOR" in alarm for alarm in await scene.alarms())
        assert scene.is_open()

    play(laboratory, script)
