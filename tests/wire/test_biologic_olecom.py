"""What the BioLogic driver promises through EC-Lab: its OLE-COM calls, its settings files and its data files."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from biologic_bench import CHARGE, DISCHARGE, REST, TOKEN, Bench, bench, charged, ended, on_bench, program, rows, step

from labctl.engine.clock import LoopClock, run_scaled
from labctl.errors import DataError
from labctl.instruments import (
    Busy,
    CannotSay,
    End,
    Handle,
    ImpedanceRequest,
    Mode,
    NotIdentified,
    NotReachable,
    OutOfRange,
    Refused,
    State,
    TimedOut,
    VendorAlarm,
)
from labctl.instruments.cycler import Loop

SHORT = program(step(Mode.REST, ends=(End("time", True, 600.0),), record_every=60.0))


class Killed(Exception):
    """Stands for the end of the process, at this very place."""


def through_eclab(folder: Path, story: Callable[[Bench], Awaitable[Any]], **entry: Any) -> Any:
    return on_bench(folder, story, backend="olecom", **entry)


def events(made: Bench, name: str) -> list[Any]:
    return [one for one in made.laboratory.records("biologic") if one["event"] == name]


def test_a_charge_a_rest_and_a_discharge_come_back_whole(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        identity = await driver.connect()
        assert (identity.vendor, identity.serial) == ("BioLogic", "21042")
        handle = Handle.from_json((await driver.start(TOKEN, 1, program(CHARGE, REST, DISCHARGE))).to_json())
        assert made.laboratory.sources_on(made.cell()) == ("biologic/1",)
        await asyncio.sleep(3600)
        middle = await driver.poll(handle)
        assert middle.state is State.RUNNING
        assert middle.values["current_A"] == pytest.approx(4e-4)
        assert (await ended(driver, handle, 3600.0)).state is State.DONE
        assert made.laboratory.sources_on(made.cell()) == ()
        fetched = await driver.fetch(handle, tmp_path / "out")
        table = rows(tmp_path / "out" / "records.csv")
        assert [int(row["record"]) for row in table] == list(range(1, len(table) + 1))
        last = {row["step"]: row for row in table}
        truth = made.cell().truth()["cycles"][0]
        assert float(last["1"]["capacity_C"]) == pytest.approx(truth["charge_mAh"] * 3.6, rel=1e-3)
        assert float(last["3"]["capacity_C"]) == pytest.approx(truth["discharge_mAh"] * 3.6, rel=1e-3)
        assert float(last["1"]["voltage_V"]) == pytest.approx(4.3, abs=1e-3)
        assert (fetched.summary["end"], fetched.summary["voltage_V"]) == ("voltage", pytest.approx(3.0, abs=1e-3))
        assert all(float(row["current_A"]) < 0 for row in table if row["step"] == "3")
        names = [f"{TOKEN}.mps", *(f"{TOKEN}_0{n}_{kind}_C01.mpr" for n, kind in ((1, "MB"), (2, "OCV"), (3, "MB")))]
        assert set(names) <= set(fetched.files)
        assert made.hiccups == []

    through_eclab(tmp_path, story)


def test_a_hold_ends_by_its_current_with_either_sign(tmp_path: Path) -> None:
    hold = step(
        Mode.HOLD,
        4e-4,
        4.3,
        ends=(End("current", False, 4e-5), End("time", True, 36000.0, guard=True)),
        record_every=60.0,
    )
    drain = step(
        Mode.HOLD,
        4e-4,
        3.0,
        ends=(End("current", False, 2e-5), End("time", True, 36000.0, guard=True)),
        record_every=60.0,
        discharging=True,
    )

    async def story(made: Bench) -> None:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, program(CHARGE, hold, DISCHARGE, drain))
        assert (await ended(driver, handle, 7200.0)).state is State.DONE
        await driver.fetch(handle, tmp_path / "out")
        last = {row["step"]: row for row in rows(tmp_path / "out" / "records.csv")}
        assert float(last["2"]["current_A"]) == pytest.approx(4e-5, rel=0.01)
        assert float(last["4"]["current_A"]) == pytest.approx(-2e-5, rel=0.01)

    through_eclab(tmp_path, story)


def test_a_loop_goes_round_as_often_as_it_says_on_a_pc_that_writes_commas(tmp_path: Path) -> None:
    pulse = step(Mode.CHARGE, 2e-4, ends=(End("time", True, 300.0), End("voltage", True, 4.3)), record_every=100.0)
    pause = step(Mode.REST, ends=(End("time", True, 300.0),), record_every=100.0)

    async def story(made: Bench) -> None:
        await charged(made)
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, program(pause, pulse, pause, pause, loops=(Loop(2, 3, 3),)))
        assert (await ended(driver, handle, 600.0)).state is State.DONE
        await driver.fetch(handle, tmp_path / "out")
        table = rows(tmp_path / "out" / "records.csv")
        ends = [(row["step"], row["end"]) for row in table if row["end"] != "0"]
        assert ends == [("1", "1"), *[("2", "1"), ("3", "1")] * 3, ("4", "1")]
        assert b"lim1_value          4,300" in (tmp_path / "out" / f"{TOKEN}.mps").read_bytes()

    through_eclab(tmp_path, story, decimal="comma")


def test_records_are_the_same_when_asked_again_and_by_another_process(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, SHORT)
        await asyncio.sleep(200)
        await driver.poll(handle)
        first = await driver.records(handle, None)
        await asyncio.sleep(200)
        await driver.poll(handle)
        second = await driver.records(handle, None)
        assert second.startswith(first)
        assert (first.count("\n"), second.count("\n")) == (4, 7)
        await driver.close()
        other = made.driver()
        assert await other.find("another-a1") is None
        assert await other.find(TOKEN) is not None
        assert await other.records(handle, None) == second
        await ended(other, handle, 300.0)
        await other.fetch(handle, tmp_path / "out")
        assert (tmp_path / "out" / "records.csv").read_text().startswith(second)
        assert f"{TOKEN}_C01.mpr" in (path.name for path in (tmp_path / "out").iterdir())

    through_eclab(tmp_path, story)


def test_a_kill_on_either_side_of_the_order_to_start_is_never_a_second_charge(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        first = made.driver()
        start = first._backend.start

        async def dies(runs: Any) -> None:
            raise Killed

        async def starts_and_dies(runs: Any) -> None:
            await start(runs)
            raise Killed

        first._backend.start = dies
        with pytest.raises(Killed):
            await first.start(TOKEN, 1, program(CHARGE))
        assert await made.driver().find(TOKEN) is None
        first._backend.start = starts_and_dies
        with pytest.raises(Killed):
            await first.start(TOKEN, 1, program(CHARGE))
        await asyncio.sleep(600)
        second = made.driver()
        assert await second.find(TOKEN) is not None
        await second.start(TOKEN, 1, program(CHARGE))
        assert len(events(made, "started")) == 1

    through_eclab(tmp_path, story)


def test_calls_that_fail_now_and_then_are_repeated_and_nothing_starts_twice(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        handle = await driver.start(TOKEN, 1, program(REST, REST))
        assert (await ended(driver, handle, 600.0)).state is State.DONE
        fetched = await driver.fetch(handle, tmp_path / "out")
        assert fetched.summary["duration_s"] == pytest.approx(3600.0, abs=1.0)
        assert len(events(made, "started")) == 1

    through_eclab(tmp_path, story, simulate={"fails_every": 3})


def test_an_eclab_that_hangs_is_left_alone_and_taken_up_again(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        async with bench(clock, tmp_path, backend="olecom") as made:
            driver = made.driver(answer_within="0.1 s")
            handle = await driver.start(TOKEN, 1, SHORT)
            made.instrument._break_down("hang", {})
            with pytest.raises(TimedOut, match=r"within 0\.1 s"):
                await driver.poll(handle)
            made.instrument._break_down("well", {})
            assert (await driver.poll(handle)).state is State.RUNNING
            assert {hiccup.kind for hiccup in made.hiccups} == {"timed out"}

    # Real waiting: a virtual clock stands still for a call that does not come back.
    run_scaled(main, 2.0)


def test_an_instrument_that_eclab_has_lost_gives_no_old_values(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        await driver.reading(1)
        made.instrument._break_down("lost", {})
        with pytest.raises(NotReachable, match="lost the connection"):
            await driver.reading(1)
        made.instrument._break_down("well", {})
        assert (await driver.reading(1)).current == 0.0

    through_eclab(tmp_path, story)


def test_a_channel_that_a_safety_limit_paused_is_a_failed_run_and_is_released(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, program(CHARGE))
        await asyncio.sleep(600)
        made.instrument._break_down("safety", {"channel": 1})
        progress = await driver.poll(handle)
        assert progress.state is State.FAILED
        assert "highest voltage" in progress.message
        assert made.laboratory.sources_on(made.cell()) == ()
        await driver.start("next-a1", 1, SHORT)
        assert await driver.channels() == {1: "running", 2: "stopped"}

    through_eclab(tmp_path, story)


def test_the_limits_of_a_program_are_in_eclabs_own_safety_limits_too(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, program(CHARGE, DISCHARGE))
        text = next((made.folder / "biologic").rglob("*.mps")).read_bytes().decode("latin-1")
        assert "\tEwe min = 2.730 V\r\n\tEwe max = 4.470 V\r\n\t|I| = 0.480 mA\r\n" in text
        await driver.abort(handle)
        assert made.laboratory.sources_on(made.cell()) == ()
        assert (await driver.poll(handle)).state is State.FAILED

    through_eclab(tmp_path, story)


def test_a_channel_that_does_not_stop_is_told_to_people(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, program(CHARGE))
        made.instrument._break_down("stubborn", {"channel": 1})
        with pytest.raises(VendorAlarm, match="goes on"):
            await driver.abort(handle)

    through_eclab(tmp_path, story)


def test_what_somebody_stopped_in_eclab_is_no_completed_run(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, program(CHARGE, REST))
        await asyncio.sleep(600)
        made.instrument._break_down("stop", {"channel": 1})
        progress = await driver.poll(handle)
        assert (progress.state, "before the program's end" in progress.message) == (State.FAILED, True)

    through_eclab(tmp_path, story)


def test_what_eclab_can_not_do_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    many = program(*([SHORT.steps[0]] * 21))

    async def story(made: Bench) -> None:
        driver = made.driver()
        with pytest.raises(OutOfRange, match="20 at most"):
            await driver.start(TOKEN, 1, many)
        with pytest.raises(OutOfRange, match="not one that the station gave us"):
            await driver.start(TOKEN, 7, SHORT)
        await driver.start(TOKEN, 1, SHORT)
        with pytest.raises(Busy):
            await driver.start("second-a1", 1, SHORT)
        assert await driver.find("second-a1") is None
        with pytest.raises(Refused, match="LoadSettings"):
            await made.driver(decimal="comma").start("third-a1", 2, SHORT)

    through_eclab(tmp_path, story)


def test_a_start_that_eclab_declines_leaves_nothing_running_and_can_be_given_again(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        made.instrument._break_down("declines", {"channel": 2})
        with pytest.raises(Refused, match="does not run"):
            await driver.start_together({"one-a1": (1, program(CHARGE)), "two-a1": (2, program(CHARGE))})
        assert await driver.channels() == {1: "stopped", 2: "stopped"}
        assert await driver.find("one-a1") is None
        made.instrument._break_down("well", {})
        await driver.start_together({"one-a1": (1, program(CHARGE)), "two-a1": (2, program(CHARGE))})
        assert await driver.channels() == {1: "running", 2: "running"}

    through_eclab(tmp_path, story)


def test_a_text_export_stands_in_for_a_data_file_that_can_not_be_read(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, SHORT)
        await asyncio.sleep(700)
        assert (await driver.poll(handle)).state is State.DONE
        for path in (made.folder / "biologic").rglob("*.mpr"):
            path.write_bytes(path.read_bytes().replace(b"\0\4\0\6", b"\0\4\3\6", 1))
        fetched = await made.driver().fetch(handle, tmp_path / "out")
        assert fetched.summary["records"] == 11
        for path in (made.folder / "biologic").rglob("*.mpt"):
            path.unlink()
        with pytest.raises(DataError, match="column 774 is not known"):
            await made.driver().fetch(handle, tmp_path / "again")

    through_eclab(tmp_path, story, simulate={"export": "text"})


def test_a_missing_channel_or_another_serial_is_not_the_stations_instrument(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        with pytest.raises(NotIdentified, match="channel 12"):
            await made.driver(channels="1, 12").connect()
        with pytest.raises(NotIdentified, match="21042"):
            await made.driver(serial=1).connect()
        with pytest.raises(NotReachable):
            await made.driver(address="127.0.0.1:1").connect()
        found = await made.driver().inspect(exercise=False)
        assert found.facts["way in"] == "olecom"
        assert len(found.unverified) >= 5

    through_eclab(tmp_path, story)


@pytest.mark.parametrize("control", ["potentiostatic", "galvanostatic"])
def test_a_spectrum_of_a_three_electrode_cell_splits_into_its_electrodes(tmp_path: Path, control: str) -> None:
    request = ImpedanceRequest(
        name="protocol/bare-01/eis",
        control=control,
        bias=0.0,
        amplitude=0.01 if control == "potentiostatic" else 1e-5,
        frequency_start=1e5,
        frequency_end=1.0,
        points_per_decade=5,
        periods=2,
        voltage_min=2.7,
        voltage_max=4.4,
    )

    async def story(made: Bench) -> None:
        await charged(made)
        driver = made.driver("potentiostat", channels=1, electrodes=3)
        handle = await driver.start(TOKEN, request)
        while (progress := await driver.poll(handle)).state is State.RUNNING:
            assert {"counter_V", "cell_V"} <= set(progress.values)
            await asyncio.sleep(30)
        assert progress.state is State.DONE
        fetched = await driver.fetch(handle, tmp_path / "out")
        assert fetched.summary["points"] == 26
        table = rows(tmp_path / "out" / "impedance_electrodes.csv")
        value = {
            kind: np.array(
                [complex(float(row[f"{kind}_real_ohm"]), float(row[f"{kind}_imaginary_ohm"])) for row in table]
            )
            for kind in ("working", "counter", "cell")
        }
        frequency = np.array([float(row["frequency_Hz"]) for row in table])
        exact = made.cell().impedance(frequency, np.zeros(26), made.laboratory.time())
        assert np.abs(value["cell"] / exact - 1).max() < 0.05
        assert np.allclose(value["working"] + value["counter"], value["cell"])
        assert np.all(value["counter"].real > 0)

    through_eclab(tmp_path, story, electrodes=3)


def test_three_electrode_cycling_tells_what_each_electrode_is_at(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, program(CHARGE))
        await ended(driver, handle, 3600.0)
        await driver.fetch(handle, tmp_path / "out")
        last = rows(tmp_path / "out" / "electrodes.csv")[-1]
        assert float(last["working_V"]) == pytest.approx(4.3, abs=1e-3)
        assert float(last["counter_V"]) < 0
        assert float(last["cell_V"]) == pytest.approx(float(last["working_V"]) - float(last["counter_V"]))

    through_eclab(tmp_path, story, electrodes=3)


def test_a_laboratory_that_was_saved_goes_on_with_the_charge(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, program(CHARGE))
        await asyncio.sleep(7200)
        made.instrument.restore(made.instrument.save())
        assert (await ended(driver, handle, 3600.0)).state is State.DONE
        fetched = await driver.fetch(handle, tmp_path / "out")
        truth = made.cell().truth()["cycles"][0]["charge_mAh"] * 3.6
        assert fetched.summary["capacity_C"] == pytest.approx(truth, rel=1e-3)

    through_eclab(tmp_path, story)


def test_a_running_channel_of_which_eclab_says_nothing_can_not_be_judged(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.start(TOKEN, 1, SHORT)
        for path in (made.folder / "biologic").rglob("*.mpr"):
            path.unlink()
        made.instrument._experiments[0].began = None
        driver._runs.note(TOKEN, started=False)
        with pytest.raises(CannotSay, match="does not say what"):
            await driver.find(TOKEN)

    through_eclab(tmp_path, story)


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "garble"])
def test_the_order_to_start_may_lose_its_answer_and_nothing_starts_twice(tmp_path: Path, kind: str) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        start = driver._backend._start

        async def spoilt(run: Any) -> None:
            selected = driver._backend._selected

            async def and_then_the_line_fails(channel: int) -> Any:
                device = await selected(channel)
                made.laboratory.inject("biologic", kind, seconds=0.0)
                return device

            driver._backend._selected = and_then_the_line_fails
            await start(run)

        driver._backend._start = spoilt
        handle = await driver.start(TOKEN, 1, program(CHARGE))
        for _ in range(3):
            made.laboratory.inject("biologic", kind, seconds=0.0)
            assert (await driver.poll(handle)).state is State.RUNNING
        await driver.abort(handle)
        assert made.laboratory.sources_on(made.cell()) == ()
        assert len(events(made, "started")) == 1

    on_bench(tmp_path, story, faults=True, backend="olecom")
