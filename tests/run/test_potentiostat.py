"""What a protocol can ask of a potentiostat, and what becomes of its source where a person ends what it measures."""

import asyncio

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
