"""What a protocol can ask of a potentiostat, and what becomes of its source where a person ends what it measures."""

import asyncio
import csv

import pytest
from trouble import HEAD, Scene, one_cell, play

from labctl.journal import Status

CAREFUL = """
  careful: {control: pseudo-galvanostatic, frequency: [10 kHz, 1 Hz], points_per_decade: 8, points_per_decade_low: 4,
            periods: 4, periods_low: 2, amplitude: 100 uA/cm2, linearity: 0.5, repeat: true}
  dynamic: {control: galvanostatic, frequency: [10 kHz, 1 Hz], points_per_decade: 5, periods: 3, amplitude: 0.3 mA/cm2}
steps:
"""
SERIES = "deis: {as: d, direction: charge, current: 0.2 mA/cm2, until: {voltage: upper}, spectrum: dynamic, count: 9, "


def asked(laboratory, *steps: str) -> None:
    one_cell(laboratory, "rest: {duration: 10 min}")
    text = HEAD.replace("\nsteps:\n", CAREFUL)
    laboratory.protocol.write_text(text + "".join(f"  - {step}\n" for step in steps))


def test_a_protocol_asks_whether_a_spectrum_can_be_trusted_and_the_result_says_so(laboratory):
    asked(laboratory, "rest: {duration: 10 min}", "eis: {as: fresh, spectrum: careful}")

    async def script(scene: Scene) -> None:
        await scene.until_state("finished")
        row = scene.row("eis-fresh")
        told = scene.document(row)
        assert told["asked"]["control"] == "pseudo-galvanostatic"
        assert {"impedance.csv", "impedance-linearity.csv", "impedance-repeat.csv"} <= {
            entry["name"] for entry in told["files"]
        }
        assert 0 < told["summary"]["linearity_deviation"] < 0.02
        assert 0 < told["summary"]["repeat_deviation"] < 0.02
        assert told["summary"]["voltage_before_V"] == pytest.approx(told["summary"]["voltage_after_V"], abs=0.01)
        file = told["read_back"]["file"]["settings"]
        assert (file["dfm"], file["dfl"], file["Nws"], file["Nwl"]) == (8, 4, 4, 2)
        assert scene.lab.violations == []

    play(laboratory, script)


@pytest.mark.parametrize(("fault", "count"), [("refuse", 1), ("refuse", 9), ("drop-before", 30)])
def test_a_persons_abort_of_a_series_leaves_no_source_on_whatever_the_instrument_says_at_first(
    laboratory, fault: str, count: int
):
    asked(laboratory, SERIES + "at_most: 2 h}")

    async def script(scene: Scene) -> None:
        await scene.until_running("deis-d")
        await scene.until(lambda: not scene.is_open())
        scene.lab.inject("zahner", fault, count=count)
        await scene.tell("abort")
        if count == 9:
            # Declined again and again: the next try ended it, and a person is told that the source may have been on.
            await scene.until_state("held")
            assert any("take the source for on" in message for message in await scene.alarms())
            await scene.tell("abort")
        await scene.until_state("aborted")
        assert scene.row("deis-d").status is Status.ABORTED
        assert scene.is_open()
        assert [entry["on"] for entry in scene.log("zahner", "source")][-1] is False
        assert scene.lab.relays("mux") == set()
        assert scene.lab.violations == []

    play(laboratory, script)


def test_a_series_that_its_guard_time_ends_has_timed_out_and_says_meanwhile_what_it_does(laboratory):
    asked(
        laboratory,
        SERIES.replace("count: 9", "count: 2, keep_on: true") + "at_most: 1 min}",
        "rest: {duration: 10 min}",
    )

    async def script(scene: Scene) -> None:
        await scene.until_running("deis-d")
        await asyncio.sleep(30)
        (cell,) = (await scene.ask("status"))["status"]["cells"]
        assert cell["instrument"] == "zahner"
        assert cell["current_A"] == pytest.approx(0.2e-3, rel=0.01)
        assert 0.2e-3 * 20 / 3.6 < cell["capacity_mAh"] < 0.2e-3 * 40 / 3.6
        assert "spectra done" in (await scene.explained())["doing"]
        await scene.until_state("held")
        row = scene.row("deis-d")
        assert (row.result["end"], row.result["status"]) == ("time", "timeout")
        assert scene.document(row)["status"] == "timeout"
        assert row.result["spectra"] >= 2
        assert scene.is_open()
        assert scene.lab.violations == []

    play(laboratory, script)


def test_a_potentiostat_that_hangs_under_current_is_told_to_a_person_who_takes_the_source_for_on(laboratory):
    asked(laboratory, SERIES + "at_most: 2 h}")

    async def script(scene: Scene) -> None:
        await scene.until(lambda: not scene.is_open())
        began = scene.clock.now()
        scene.lab.break_down("zahner", "freeze")
        await scene.until(lambda: scene.row("deis-d").status is Status.NEEDS_OPERATOR)
        assert (scene.clock.now() - began).total_seconds() < 900
        (told,) = [message for message in await scene.alarms() if "no sign of life" in message]
        assert "could not be left safe" in told
        assert scene.row("deis-d").operation in {row.operation for row in scene.journal.held()}

    play(laboratory, script)


def newest(scene: Scene):
    """What the cell did last, in whichever campaign."""
    return [row for row in scene.journal.operations(cell="bare-01") if row.kind != "transfer"][-1]


def test_the_state_of_charge_counts_what_the_cell_did_before_in_other_campaigns_and_other_attempts(laboratory):
    asked(laboratory, "charge: {current: 2 mA/cm2, until: {voltage: 3.9 V}, at_most: 4 h}")
    charged = []

    async def charging(scene: Scene) -> None:
        await scene.until_state("finished")
        charged.append(scene.row("charge").result["capacity_C"])

    async def breaking_off(scene: Scene) -> None:
        await scene.until(lambda: not scene.is_open())
        await asyncio.sleep(5)
        scene.lab.break_down("zahner", "overload")
        await scene.until(lambda: newest(scene).status is Status.FAILED)

    async def again(scene: Scene) -> None:
        await scene.tell("retry")
        row = await scene.until(lambda: row if (row := newest(scene)).status is Status.DONE else None)
        with (scene.bundle(row) / "stamps.csv").open() as file:
            socs = [float(stamp["soc_middle"]) for stamp in csv.DictReader(file)]
        assert row.attempt == 2
        assert len(socs) == 9
        assert socs == sorted(socs, reverse=True)
        assert 0.98 < socs[-1] < socs[0] < 1.0
        assert row.result["reference_capacity_C"] == pytest.approx(charged[0])
        assert not [one for one in scene.document(row)["warnings"] if "not what the cell holds" in one]

    play(laboratory, charging)
    text = laboratory.protocol.read_text()
    steps = SERIES.replace("charge, current", "discharge, current").replace("upper", "lower") + "at_most: 2 h}"
    laboratory.protocol.write_text(text[: text.index("\nsteps:\n")] + f"\nsteps:\n  - {steps}\n")
    for script in (breaking_off, again):
        play(laboratory, script)
