"""The MACCOR driver against a tester that speaks MacNet: what a channel does, and what can go wrong on the wire."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from maccor_bench import Bench, bench, charge, discharge, hold, rest, tell

from labctl.engine.clock import run_virtual
from labctl.errors import DataError
from labctl.instruments import (
    Busy,
    CannotSay,
    CyclerProgram,
    CyclerStep,
    End,
    Handle,
    Mode,
    OutOfRange,
    Refused,
    SafetyLimits,
    State,
)


def table(file: Path) -> list[dict[str, str]]:
    with file.open() as lines:
        return list(csv.DictReader(lines))


def test_a_charge_ends_at_its_voltage_and_no_record_is_lost(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        handle = await b.run(driver, "charge-1", charge())
        fetched = await driver.fetch(handle, tmp_path / "bundle")
        assert fetched.summary["end"] == "voltage"
        assert fetched.warnings == ()
        assert set(fetched.files) == {"charge-1.001", "charge-1.000", "records.csv"}
        rows = table(tmp_path / "bundle" / "records.csv")
        assert [int(row["record"]) for row in rows] == list(range(1, fetched.summary["last_record"] + 1))
        assert list(rows[0]) == ["record", "time_s", "step", "voltage_V", "current_A", "capacity_C", "state", "end"]
        # 0.2 mA into 2.6 mAh, 4.3 V at the end, one record a minute and one every 5 mV.
        seconds = fetched.summary["duration_s"]
        assert fetched.summary["capacity_C"] == pytest.approx(2e-4 * seconds, rel=1e-6)
        assert 9.0 < fetched.summary["capacity_C"] < 10.5
        ended = [row for row in rows if row["end"] == "133"]
        assert len(ended) == 1
        assert float(ended[0]["voltage_V"]) == pytest.approx(4.3, abs=1e-5)
        assert float(rows[5]["current_A"]) == pytest.approx(2e-4)
        raw = (tmp_path / "bundle" / "charge-1.001").read_bytes()
        assert raw == (Path(b.settings["export_folder"]) / "charge-1.001").read_bytes()
        assert fetched.read_back["safety"]["VSafeMax"] == pytest.approx(4.4)
        assert b.hiccups == []
        assert b.laboratory.violations == []

    tell(tmp_path, story)


def test_discharge_current_is_negative_and_a_charge_comes_back_out(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        await b.run(driver, "up", charge())
        handle = await driver.start("down", 1, discharge())
        await asyncio.sleep(600)
        progress = await driver.poll(handle)
        assert progress.values["current_A"] == pytest.approx(-6e-4)
        assert progress.values["capacity_C"] == pytest.approx(0.36, rel=1e-3)
        assert progress.values["step_time_s"] == pytest.approx(600, abs=1)
        assert (await driver.reading(1)).current == pytest.approx(-6e-4)
        await b.wait(driver, handle)
        fetched = await driver.fetch(handle, tmp_path / "bundle")
        assert fetched.summary["end"] == "voltage"
        assert all(float(row["current_A"]) <= 0 for row in table(tmp_path / "bundle" / "records.csv"))

    tell(tmp_path, story)


def test_a_hold_ends_only_after_the_current_stayed_low(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        await b.run(driver, "up", charge())
        await b.run(driver, "down", discharge())
        handle = await b.run(driver, "strip", hold())
        fetched = await driver.fetch(handle, tmp_path / "bundle")
        assert fetched.summary["end"] == "current"
        assert fetched.warnings == ()
        rows = table(tmp_path / "bundle" / "records.csv")
        # Two of the tester's steps, one of the program: the step number stays and the capacity runs on.
        assert {row["step"] for row in rows} == {"1"}
        capacities = [float(row["capacity_C"]) for row in rows]
        assert capacities == sorted(capacities)
        assert capacities[-1] == pytest.approx(fetched.summary["capacity_C"])
        assert capacities[-1] > 0.1
        below = next(float(row["time_s"]) for row in rows if row["end"] == "132")
        assert fetched.summary["duration_s"] - below == pytest.approx(60.0, abs=0.1)

    tell(tmp_path, story)


def test_a_guard_time_that_ends_a_hold_is_flagged(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        await b.run(driver, "up", charge())
        await b.run(driver, "down", discharge())
        handle = await b.run(driver, "strip", hold(hours=0.2))
        fetched = await driver.fetch(handle, tmp_path / "bundle")
        assert fetched.summary["end"] == "time"
        assert "time limit" in fetched.warnings[0]
        assert fetched.summary["duration_s"] == pytest.approx(720)

    tell(tmp_path, story)


def test_a_rest_of_two_and_a_half_days_is_one_step(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        handle = await driver.start("long-rest", 2, rest(60 * 3600, every=600))
        first = await driver.poll(handle)
        assert first.remaining == pytest.approx(60 * 3600, abs=1)
        await asyncio.sleep(first.remaining)
        assert (await driver.poll(handle)).state is State.DONE
        fetched = await driver.fetch(handle, tmp_path / "bundle")
        assert fetched.summary["end"] == "time"
        assert fetched.warnings == ()
        assert fetched.summary["duration_s"] == pytest.approx(60 * 3600)
        assert {row["step"] for row in table(tmp_path / "bundle" / "records.csv")} == {"1"}

    tell(tmp_path, story)


def test_a_program_of_several_steps_keeps_its_numbering(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        steps = (*rest(600).steps, *charge(volts=3.9).steps, *rest(25 * 3600, every=3600).steps, *discharge().steps)
        handle = await b.run(driver, "four", CyclerProgram("c/four", steps, charge().safety))
        fetched = await driver.fetch(handle, tmp_path / "bundle")
        rows = table(tmp_path / "bundle" / "records.csv")
        seen = [int(row["step"]) for row in rows]
        assert seen == sorted(seen)
        assert set(seen) == {1, 2, 3, 4}
        assert fetched.summary["end"] == "voltage"
        charged = max(float(row["capacity_C"]) for row in rows if row["step"] == "2")
        # Fresh lithium that came in goes out again, less what the first cycle loses.
        assert 0.5 * charged < fetched.summary["capacity_C"] < charged

    tell(tmp_path, story)


def test_a_second_start_on_a_busy_channel_is_refused_in_words(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        await driver.start("first", 1, charge())
        with pytest.raises(Busy, match="first"):
            await driver.start("second", 1, charge())
        assert (await driver.channels()) == {1: "Active", 2: "Available", 3: "Available"}

    tell(tmp_path, story)


def test_starting_the_same_token_again_starts_nothing(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        await driver.start("once", 1, charge())
        again = await driver.start("once", 1, charge())
        assert (again.token, again.place) == ("once", "1")
        started = [entry for entry in b.laboratory.records("maccor") if entry["event"] == "started"]
        assert len(started) == 1

    tell(tmp_path, story)


def test_a_name_from_the_archive_is_refused_by_the_dry_start(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        await b.run(driver, "once", rest(60))
        await b.run(driver, "other", rest(60))
        with pytest.raises(Refused, match="File name exists in Archive"):
            await driver.start("once", 1, rest(60))
        assert (await driver.channels())[1] == "Available"

    tell(tmp_path, story)


def test_what_the_channel_cannot_do_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        with pytest.raises(OutOfRange, match="6 A is more than the channel's 5 A"):
            await driver.start("strong", 1, charge(amperes=6.0))
        with pytest.raises(OutOfRange, match="outside the channel's 0 to 5 V"):
            await driver.start("high", 1, charge(volts=5.5))
        with pytest.raises(OutOfRange, match="channel 9 is not one"):
            await driver.start("where", 9, charge())
        with pytest.raises(OutOfRange, match="longer than the tester's 99 h"):
            await driver.start("long", 1, charge(hours=120))
        no_end = CyclerProgram("c", (replace(charge().steps[0], ends=()),), charge().safety)
        with pytest.raises(OutOfRange, match="has no end"):
            await driver.start("endless", 1, no_end)
        lasting = replace(charge().steps[0], ends=(End("voltage", True, 4.3, held=60),))
        with pytest.raises(OutOfRange, match="put a hold after it"):
            await driver.start("lasting", 1, CyclerProgram("c", (lasting,), charge().safety))
        with pytest.raises(Refused, match="no token"):
            await driver.start("Not A Token", 1, charge())
        assert list(b.simulator.procedure_folder.iterdir()) == []

    tell(tmp_path, story)


def test_the_channels_own_safety_limit_stops_a_charge_without_the_pc(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        tight = SafetyLimits(2.5, 4.0, 5e-3, 5e-3)
        handle = await driver.start("overcharge", 1, charge(safety=tight))
        await asyncio.sleep(16 * 3600)
        progress = await driver.poll(handle)
        assert progress.state is State.FAILED
        assert "voltage safety" in progress.message
        fetched = await driver.fetch(handle, tmp_path / "bundle")
        assert fetched.summary["end"] == "fault"
        with pytest.raises(Refused, match="Problem"):
            await driver.start("next", 1, charge())
        await driver.abort(handle)
        assert (await driver.channels())[1] == "Available"
        assert b.laboratory.sources_on(b.laboratory.cells["one"]) == ()

    tell(tmp_path, story)


def test_a_charge_into_nothing_is_a_fault(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        handle = await driver.start("nothing", 3, charge())
        progress = await driver.poll(handle)
        assert progress.state is State.FAILED
        assert "lost current control" in progress.message

    tell(tmp_path, story)


def test_abort_opens_the_circuit_keeps_the_records_and_can_be_repeated(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        handle = await driver.start("stopped", 1, charge())
        await asyncio.sleep(1000)
        await driver.abort(handle)
        await driver.abort(handle)
        assert (await driver.channels())[1] == "Available"
        assert (await driver.reading(1)).current == 0
        progress = await driver.poll(handle)
        assert progress.state is State.FAILED
        assert "suspended by the operator" in progress.message
        fetched = await driver.fetch(handle, tmp_path / "bundle")
        assert fetched.summary["end"] == "aborted"
        assert fetched.summary["duration_s"] == pytest.approx(1000, abs=1)

    tell(tmp_path, story)


def test_a_suspended_test_goes_on_where_it_was(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        handle = await driver.start("pause", 2, rest(3600))
        await asyncio.sleep(600)
        await driver.suspend(handle)
        await asyncio.sleep(5000)
        progress = await driver.poll(handle)
        assert progress.state is State.RUNNING
        assert progress.message.startswith("suspended")
        assert progress.values["step_time_s"] == pytest.approx(600, abs=1)
        await driver.resume(handle)
        assert (await driver.poll(handle)).remaining == pytest.approx(3000, abs=2)
        await b.wait(driver, handle)
        fetched = await driver.fetch(handle, tmp_path / "bundle")
        assert (fetched.summary["end"], fetched.summary["duration_s"]) == ("time", pytest.approx(3600))

    tell(tmp_path, story)


def test_another_driver_finds_and_fetches_what_the_first_one_started(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        first = await b.connected()
        started = await first.start("orphan", 1, hold(limit=1e-5, hours=2))
        await first.close()
        second = await b.connected()
        found = await second.find("orphan")
        assert found is not None
        assert (found.token, found.place) == ("orphan", "1")
        assert Handle.from_json(json.loads(json.dumps(found.to_json()))) == found
        assert abs(b.clock.now() - b.clock.epoch).total_seconds() < 10
        assert started.place == found.place
        assert (await b.wait(second, found)).state is State.DONE
        fetched = await second.fetch(found, tmp_path / "bundle")
        assert {row["step"] for row in table(tmp_path / "bundle" / "records.csv")} == {"1"}
        assert fetched.warnings == ()

    tell(tmp_path, story)


def test_after_a_restart_a_test_of_somebody_else_on_the_channel_is_not_ours(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        first = await b.connected()
        ours = await first.start("ours", 1, charge())
        await asyncio.sleep(3600)
        restarted = await b.connected()
        assert (await restarted.poll(ours)).state is State.RUNNING
        await restarted.abort(ours)
        # Its clock comes to where the clock of ours was, but never to where that would be by now.
        await restarted.start("theirs", 1, charge())
        await asyncio.sleep(3600)
        again = await b.connected()
        progress = await again.poll(ours)
        assert progress.state is State.FAILED
        assert "cleared from channel 1" in progress.message

    tell(tmp_path, story)


def test_an_archived_test_is_found_and_an_unknown_one_is_proven_absent(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        await b.run(driver, "old", rest(600))
        begun = b.clock.now()
        await b.run(driver, "new", rest(600))
        found = await driver.find("old")
        assert found is not None
        assert found.place == "1"
        assert found.started < begun.isoformat()
        assert (await driver.poll(found)).state is State.DONE
        fetched = await driver.fetch(found, tmp_path / "bundle")
        assert fetched.summary["duration_s"] == pytest.approx(600)
        assert await driver.find("never") is None

    tell(tmp_path, story)


def test_find_cannot_say_when_the_tester_is_gone_or_the_export_is(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        await b.run(driver, "old", rest(600))
        await b.run(driver, "new", rest(600))
        (Path(b.settings["export_folder"]) / "old.001").unlink()
        with pytest.raises(CannotSay, match="none of our channels exported it"):
            await driver.find("old")
        await b.simulator.stop()
        with pytest.raises(CannotSay, match="whether test 'old' was started"):
            await driver.find("old")

    tell(tmp_path, story)


def test_a_lost_record_is_named(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        handle = await b.run(driver, "gap", rest(3600))
        file = Path(b.settings["export_folder"]) / "gap.001"
        lines = file.read_bytes().splitlines(keepends=True)
        del lines[2 + 9 : 2 + 12], lines[40]
        file.write_bytes(b"".join(lines))
        with pytest.raises(DataError, match="record 10 to 12, 42 of 1 to 62 is missing"):
            await driver.fetch(handle, tmp_path / "bundle")

    tell(tmp_path, story)


def test_fetch_waits_for_a_tester_that_exports_late(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        handle = await b.run(driver, "late", rest(3600))
        file = Path(b.settings["export_folder"]) / "late.001"
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) * 2 // 3])
        asyncio.get_running_loop().call_later(12.0, file.write_bytes, whole)
        fetched = await driver.fetch(handle, tmp_path / "bundle")
        assert fetched.summary["last_record"] == 62
        file.unlink()
        with pytest.raises(DataError, match="export folder reachable"):
            await driver.fetch(handle, tmp_path / "again")

    tell(tmp_path, story)


def test_a_laboratory_saved_in_mid_charge_goes_on_after_a_restart(tmp_path: Path) -> None:
    saved: dict[str, Any] = {}
    handles: list[Handle] = []

    async def before(clock: Any) -> None:
        async with bench(clock, tmp_path) as b:
            driver = await b.connected()
            handles.append(await driver.start("half", 1, charge()))
            await asyncio.sleep(5 * 3600)
            saved["maccor"] = b.simulator.save()
            saved["laboratory"] = b.laboratory.save()

    async def after(clock: Any) -> None:
        async with bench(clock, tmp_path, saved=json.loads(json.dumps(saved))) as b:
            driver = await b.connected()
            progress = await driver.poll(handles[0])
            assert progress.values["step_time_s"] == pytest.approx(5 * 3600, abs=2)
            await b.wait(driver, handles[0])
            fetched = await driver.fetch(handles[0], tmp_path / "bundle")
            seconds = fetched.summary["duration_s"]
            assert fetched.summary["end"] == "voltage"
            assert fetched.summary["capacity_C"] == pytest.approx(2e-4 * seconds, rel=1e-4)
            assert b.laboratory.violations == []

    run_virtual(before)
    run_virtual(after)


def test_the_tester_does_not_know_its_own_gain_error(tmp_path: Path) -> None:
    async def story(b: Bench) -> None:
        driver = await b.connected()
        handle = await b.run(driver, "up", charge())
        reported = (await driver.fetch(handle, tmp_path / "bundle")).summary["capacity_C"] / 3.6
        true = b.laboratory.truth()["cells"]["one"]["first_charge_mAh"]
        assert reported != pytest.approx(true, rel=1e-6)
        assert reported == pytest.approx(true, rel=5e-3)

    tell(tmp_path, story)


SYMMETRIC: Mapping[str, Any] = {
    "cells": [{"id": "one", "barcode": "B1", "area_m2": 1e-4, "place": "cabinet/1", "chemistry": "Li||Li"}],
    "places": {"cabinet": {"count": 3, "temperature": None, "leads": {"maccor": [1, 2, 3]}}},
}


def test_a_symmetric_cell_is_cycled_through_zero_with_its_capacity_exact(tmp_path: Path) -> None:
    safety = SafetyLimits(-1.6, 1.6, 5e-3, 5e-3)

    def half(mode: Mode, above: bool) -> CyclerProgram:
        ends = (End("voltage", above, 1.5 if above else -1.5), End("time", True, 3600.0))
        return CyclerProgram("c/half", (CyclerStep(mode, 5e-4, None, ends, 60.0, 0.01),), safety)

    async def story(b: Bench) -> None:
        driver = await b.connected()
        for token, program, sign in (
            ("strip", half(Mode.CHARGE, True), 1), ("plate", half(Mode.DISCHARGE, False), -1),
        ):  # fmt: skip
            handle = await b.run(driver, token, program)
            fetched = await driver.fetch(handle, tmp_path / token)
            assert fetched.summary["end"] == "time"
            rows = table(tmp_path / token / "records.csv")
            voltage = [float(row["voltage_V"]) for row in rows]
            assert all(0 < sign * volts < 1.5 for volts in voltage[2:-1])
            assert fetched.summary["duration_s"] == pytest.approx(3600.0)
        cell = b.laboratory.cells["one"].state.records[-1]
        assert (cell.charge_mAh, cell.discharge_mAh) == (
            pytest.approx(0.5, rel=2e-3),
            pytest.approx(0.5, rel=2e-3),
        )

    tell(tmp_path, story, description=SYMMETRIC, simulate={"lowest_voltage": -5.0})
