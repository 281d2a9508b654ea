"""What a failure leaves a cell in: its relay open, or its voltage held, as the protocol says."""

import asyncio

import pytest
from trouble import Scene, one_cell, play

from labctl.journal import Status

SPECTRUM = """
rest: {duration: 10 min}
eis: {as: early, spectrum: short, on_failure: isolate}
rest: {duration: 10 min}
"""

CHARGE = """
charge: {current: 2 mA/cm2, until: {voltage: upper}, at_most: 16 h, on_failure: hold_voltage}
rest: {duration: 10 min}
"""


def test_a_spectrum_that_fails_leaves_its_cell_off_the_relay_with_the_source_off(laboratory):
    one_cell(laboratory, SPECTRUM)

    async def script(scene: Scene) -> None:
        await scene.until_running("eis-early")
        assert scene.lab.relays("mux") == {101}
        scene.lab.break_down("zahner", "overload")
        await scene.until_state("held")
        row = scene.row("eis-early")
        assert row.status is Status.FAILED
        assert "ERROR" in row.error
        assert scene.lab.relays("mux") == set()
        assert scene.log("zahner", "source")[-1]["on"] is False
        assert scene.is_open()
        assert not scene.journal.held()
        assert "relay open" in (await scene.explained())["if_power_fails"]
        await scene.tell("retry")
        await scene.until_state("finished")
        assert scene.lab.violations == []

    play(laboratory, script)


async def fail_the_charge(scene: Scene):
    """Let the charge fail half way; gives its row and the hold that follows."""
    await scene.until_running("01-charge")
    await asyncio.sleep(1800)
    scene.lab.break_down("maccor", "problem", channel=1, code=254)
    await scene.until_state("held")
    hold = await scene.until_running("01-charge/on-failure", hours=1)
    return scene.row("01-charge"), hold


def test_after_a_failed_charge_the_voltage_is_held_until_a_person_decides(laboratory):
    one_cell(laboratory, CHARGE)

    async def script(scene: Scene) -> None:
        charge, hold = await fail_the_charge(scene)
        assert charge.status is Status.FAILED
        assert hold.kind == "hold"
        assert hold.token != charge.token
        await asyncio.sleep(120 * 3600)
        assert scene.state() == "held"
        # A channel is asked for some days at a time; the cell's voltage is held all the same.
        holds = scene.rows("01-charge/on-failure")
        assert [one.status for one in holds] == [Status.DONE, Status.RUNNING]
        cell = scene.lab.cells["bare-01"]
        scene.lab.bring_up_to_date(cell)
        assert cell.voltage(scene.lab.time()) == pytest.approx(charge.result["voltage_V"], abs=5e-3)
        assert not scene.is_open()
        await scene.tell("retry")
        await scene.until_state("finished")
        holds = scene.rows("01-charge/on-failure")
        assert [one.status for one in holds] == [Status.DONE, Status.ABORTED]
        again = scene.row("01-charge")
        assert again.status is Status.DONE
        assert holds[-1].times["aborted"] <= again.times["intent"]
        assert scene.document(holds[0])["kind"] == "on-failure"
        assert scene.document(holds[0])["asked"]["steps"][0]["current"] == pytest.approx(0.2e-3)
        assert [scene.starts(one) for one in [*scene.rows("01-charge"), *holds]] == [1, 1, 1, 1]
        assert scene.lab.violations == []

    play(laboratory, script)


@pytest.mark.parametrize(("command", "state"), [("skip", "finished"), ("abort", "aborted"), ("stop", "stopped")])
def test_whatever_a_person_decides_the_hold_is_ended_first(laboratory, command, state):
    one_cell(laboratory, CHARGE)

    async def script(scene: Scene) -> None:
        _, hold = await fail_the_charge(scene)
        await scene.tell(command)
        await scene.until_state(state)
        assert scene.journal.operation(hold.operation).status is Status.ABORTED
        assert scene.is_open()
        assert scene.lab.violations == []

    play(laboratory, script)


def test_a_restart_finds_the_hold_and_starts_it_no_second_time(laboratory):
    one_cell(laboratory, CHARGE)

    async def before(scene: Scene):
        _, hold = await fail_the_charge(scene)
        return hold

    async def after(scene: Scene) -> None:
        await asyncio.sleep(3600)
        assert [one.status for one in scene.rows("01-charge/on-failure")] == [Status.RUNNING]
        assert scene.starts(hold) == 1
        assert not scene.is_open()
        await scene.tell("retry")
        await scene.until_state("finished")
        assert scene.lab.violations == []

    hold = play(laboratory, before)
    play(laboratory, after)


def test_a_hold_that_fails_itself_leaves_the_cell_open_and_is_not_tried_again(laboratory):
    one_cell(laboratory, CHARGE)

    async def script(scene: Scene) -> None:
        await fail_the_charge(scene)
        await asyncio.sleep(600)
        scene.lab.break_down("maccor", "problem", channel=1, code=254)
        await asyncio.sleep(3600)
        assert [one.status for one in scene.rows("01-charge/on-failure")] == [Status.FAILED]
        assert scene.is_open()
        assert scene.state() == "held"
        assert any("on-failure" in alarm for alarm in await scene.alarms())
        await scene.tell("retry")
        await scene.until_state("finished")

    play(laboratory, script)
