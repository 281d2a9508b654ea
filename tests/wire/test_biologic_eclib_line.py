"""What becomes of a BioLogic run when the line, the library or the record file fails, and the bytes of the vendor."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from biologic_bench import CHARGE, TOKEN, Bench, bench, ended, on_bench, program, rows, step

from labctl.engine.clock import LoopClock, run_real
from labctl.errors import DataError, InstrumentError, UsageError
from labctl.instruments import CannotSay, End, Mode, NotReachable, OutOfRange, Refused, State, TimedOut
from labctl_drivers.biologic import eclib
from labctl_drivers.biologic.backend import (
    ConstantCurrent,
    GalvanostaticImpedance,
    Limit,
    Loop,
    OpenCircuit,
    Technique,
    TriggerIn,
    TriggerOut,
    technique_from_json,
    technique_to_json,
)
from labctl_drivers.biologic.eclib_codes import current_range, error_text, voltage_range
from labctl_drivers.biologic.eclib_records import BlockFile
from labctl_drivers.biologic.eclib_techniques import TIMEBASES, link
from labctl_drivers.biologic.plan import compile_program

SHORT = program(step(Mode.REST, ends=(End("time", True, 600.0),), record_every=60.0))


def test_the_structures_are_packed_as_the_vendors() -> None:
    sizes = {
        eclib.DeviceInfos: 44,
        eclib.ChannelInfos: 76,
        eclib.CurrentValues: 76,
        eclib.DataInfos: 40,
        eclib.EccParam: 76,
        eclib.EccParams: 12,
    }
    assert {kind: ctypes.sizeof(kind) for kind in sizes} == sizes
    assert eclib.DataInfos.StartTime.offset == 28


def channel(**fields: int) -> eclib.ChannelInfos:
    infos = eclib.ChannelInfos()
    for name, value in {"MinIRange": 3, "MaxIRange": 10, "Zboard": 1, **fields}.items():
        setattr(infos, name, value)
    return infos


def linked(techniques: Sequence[Technique], **fields: int) -> list[dict[str, Any]]:
    return [one.to_json() for one in link(techniques, channel(**fields), 5)]


def test_a_charge_to_a_voltage_is_the_vendors_own_example() -> None:
    charge = ConstantCurrent(2e-4, 90000.0, (Limit("voltage", True, 4.3),), 10.0, 0.005)
    (only,) = linked([charge])
    assert only["file"] == "cplimit.ecc"
    expected = {
        "Current_step": 2e-4,
        "vs_initial": False,
        "Duration_step": 90000.0,
        "Step_number": 0,
        "Record_every_dT": 10.0,
        "Record_every_dE": 0.005,
        "Test1_Config": 5,
        "Test1_Value": 4.3,
        "Exit_Cond": 1,
        "N_Cycles": 0,
        "I_Range": 7,
        "E_Range": 1,
        "Bandwidth": 5,
    }
    assert {key: only["parameters"][key] for key in expected} == expected


@pytest.mark.parametrize(
    ("limit", "config"),
    [
        (Limit("voltage", False, 3.0), 1),
        (Limit("voltage", True, 4.3), 5),
        (Limit("current", False, 1e-6), 97),
        (Limit("current", True, -1e-6), 101),
    ],
)
def test_a_limit_is_coded_as_the_vendor_codes_it(limit: Limit, config: int) -> None:
    (only,) = linked([ConstantCurrent(1e-4, 10.0, (limit,))])
    assert only["parameters"]["Test1_Config"] == config


def test_no_level_is_longer_than_its_time_base_can_count() -> None:
    charge = ConstantCurrent(1e-6, 50 * 3600.0, (Limit("voltage", True, 4.3),))
    only, *rests = linked([charge, OpenCircuit(30 * 3600.0)])
    levels = [value for key, value in only["parameters"].items() if key.startswith("Duration_step")]
    assert sum(levels) == pytest.approx(50 * 3600.0)
    assert max(levels) < TIMEBASES["cplimit"] * 2**31
    assert only["parameters"]["Step_number"] == len(levels) - 1
    assert all(only["parameters"][f"Test1_Value[{n}]"] == 4.3 for n in range(1, len(levels)))
    parts = [rest["parameters"]["Rest_time_T"] for rest in rests]
    assert sum(parts) == pytest.approx(30 * 3600.0)
    assert max(parts) < TIMEBASES["ocv"] * 2**31


def test_a_loop_counts_what_is_loaded_and_triggers_are_linked() -> None:
    loaded = linked([OpenCircuit(30 * 3600.0), TriggerOut(0.1), OpenCircuit(10.0), TriggerIn(), Loop(1, 5)])
    assert [one["file"] for one in loaded] == ["ocv.ecc"] * 3 + ["TO.ecc", "ocv.ecc", "TI.ecc", "loop.ecc"]
    assert loaded[-1]["parameters"] == {"loop_N_times": 4, "protocol_number": 3}


def test_ranges_are_the_smallest_that_hold() -> None:
    assert current_range(1e-4, 3, 10) == 6
    assert current_range(1.01e-4, 3, 10) == 7
    assert current_range(1e-9, 3, 10) == 3
    assert [voltage_range([volts]) for volts in (2.0, -4.0, 6.0)] == [0, 1, 2]
    # A limit at the very end of a range could never be passed.
    assert [voltage_range([volts]) for volts in (2.5, 5.0)] == [1, 2]
    with pytest.raises(OutOfRange, match="largest range"):
        current_range(0.2, 3, 9)
    with pytest.raises(OutOfRange, match="no board for impedance"):
        linked([GalvanostaticImpedance(0.0, 1e-4, 1e4, 1.0, 10)], Zboard=0)


@pytest.mark.parametrize(("end", "code"), [(1e-4, 8), (1e-6, 12)])
def test_a_hold_that_ends_at_a_very_small_current_leaves_the_range_to_the_instrument(end: float, code: int) -> None:
    hold = step(Mode.HOLD, 3e-3, 3.0, ends=(End("current", False, end),), discharging=True)
    approach, held = linked(compile_program(program(hold)).techniques)
    assert (approach["file"], approach["parameters"]["I_Range"]) == ("cplimit.ecc", 8)
    assert (held["file"], held["parameters"]["I_Range"]) == ("calimit.ecc", code)


def test_errors_have_names_and_techniques_survive_being_written() -> None:
    assert error_text(-401) == "technique file does not suit the firmware (error -401)"
    assert error_text(-300) == "kernel file missing (error -300)"
    assert "unknown" in error_text(-999)
    charge = ConstantCurrent(2e-4, 10.0, (Limit("voltage", True, 4.3),))
    assert technique_from_json(technique_to_json(charge)) == charge


@pytest.mark.parametrize("kind", ["drop-before", "drop", "drop-after", "garble", "duplicate", "late", "slow", "busy"])
def test_a_run_survives_a_fault_of_the_line_at_any_call_and_starts_once(tmp_path: Path, kind: str) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        for turn in range(6):
            # The fault meets another call each time: while it is loaded and started, or while it is watched.
            for _ in range(turn % 3):
                await driver.reading(1)
            if turn % 2:
                made.laboratory.inject("biologic", kind, seconds=0.0)
            handle = await started(driver, f"rest-{turn}-a1")
            if not turn % 2:
                made.laboratory.inject("biologic", kind, seconds=0.0)
            assert (await ended(driver, handle, 700.0)).state is State.DONE
        starts = [one for one in made.laboratory.records("biologic") if one["event"] == "started"]
        assert len(starts) == 6

    on_bench(tmp_path, story, faults=True)


async def started(driver: Any, token: str) -> Any:
    """Start as the engine does: where it is not known whether it took effect, ask before trying again."""
    for _ in range(3):
        try:
            return await driver.start(token, 1, SHORT)
        except InstrumentError:
            if (handle := await driver.find(token)) is not None:
                return handle
    raise AssertionError("three attempts were not enough")


def test_an_order_that_is_refused_once_is_told_and_nothing_has_started(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        start = driver._backend.start

        async def refused(runs: Any) -> None:
            made.laboratory.inject("biologic", "refuse")
            await start(runs)

        driver._backend.start = refused
        with pytest.raises(Refused, match="the function failed"):
            await driver.start(TOKEN, 1, SHORT)
        assert await driver.find(TOKEN) is None
        assert made.laboratory.sources_on(made.cell()) == ()

    on_bench(tmp_path, story, faults=True)


@pytest.mark.parametrize("kind", ["drop-before", "garble", "half"])
def test_the_order_to_start_may_lose_its_answer_and_nothing_starts_twice(tmp_path: Path, kind: str) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        start = driver._backend.start

        async def spoilt(runs: Any) -> None:
            made.laboratory.inject("biologic", kind, seconds=0.0)
            await start(runs)

        driver._backend.start = spoilt
        handle = await driver.start(TOKEN, 1, program(CHARGE))
        assert (await driver.poll(handle)).state is State.RUNNING
        starts = [one for one in made.laboratory.records("biologic") if one["event"] == "started"]
        assert len(starts) == 1
        assert made.hiccups

    on_bench(tmp_path, story, faults=True)


def test_records_whose_answer_got_lost_are_told_as_a_gap_and_nothing_is_made_up(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, SHORT)
        await asyncio.sleep(350)
        made.laboratory.inject("biologic", "drop-before", seconds=0.0)
        await driver.records(handle, None)
        assert (await ended(driver, handle, 700.0)).state is State.DONE
        fetched = await driver.fetch(handle, tmp_path / "out")
        assert fetched.warnings == ("no records between 0 s and 360 s",)
        times = [float(row["time_s"]) for row in rows(tmp_path / "out" / "records.csv")]
        assert times == pytest.approx([360.0, 420.0, 480.0, 540.0, 600.0], abs=0.01)
        assert len(made.hiccups) == 1

    on_bench(tmp_path, story, faults=True)


def test_a_block_that_is_not_understood_does_not_blind_the_watch_and_is_told_at_the_end(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, SHORT)
        await asyncio.sleep(100)
        await driver.poll(handle)
        (file,) = tmp_path.rglob(f"{TOKEN}.eclib")
        BlockFile(file).append(replace(BlockFile(file).read()[0], technique_id=999))
        await driver.close()
        other = made.driver()
        assert (await other.poll(handle)).state is State.RUNNING
        assert (await ended(other, handle, 700.0)).state is State.DONE
        with pytest.raises(DataError, match="technique 999"):
            await other.fetch(handle, tmp_path / "out")

    on_bench(tmp_path, story)


def test_a_torn_record_file_loses_its_last_line_alone_and_the_run_goes_on(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        first = made.driver()
        handle = await first.start(TOKEN, 1, SHORT)
        await asyncio.sleep(200)
        await first.poll(handle)
        await first.close()
        (file,) = tmp_path.rglob(f"{TOKEN}.eclib")
        whole = file.read_bytes()
        file.write_bytes(whole + b'{"loaded": 0, "techn')
        second = made.driver()
        assert (await ended(second, handle, 700.0)).state is State.DONE
        await second.fetch(handle, tmp_path / "out")
        table = rows(tmp_path / "out" / "records.csv")
        assert [float(row["time_s"]) for row in table] == pytest.approx([60.0 * n for n in range(11)], abs=0.01)

    on_bench(tmp_path, story)


def test_what_was_started_and_can_not_be_read_is_not_taken_for_nothing(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        first = made.driver()
        await first.start(TOKEN, 1, SHORT)
        (file,) = tmp_path.rglob(f"{TOKEN}.json")
        file.write_text("{")
        with pytest.raises(CannotSay, match="can't be read"):
            await made.driver().find(TOKEN)

    on_bench(tmp_path, story)


def test_an_instrument_that_was_switched_off_and_on_is_connected_to_again(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        await driver.connect()
        made.instrument.power_cycle()
        assert (await driver.reading(1)).voltage == pytest.approx(made.cell().voltage(made.laboratory.time()), abs=1e-3)
        assert [hiccup.kind for hiccup in made.hiccups] == ["not reachable"]
        await made.instrument.stop()
        with pytest.raises(NotReachable):
            await driver.reading(1)

    on_bench(tmp_path, story)


class Hung:
    """A library of which no call ever comes back, until it is let go."""

    free = threading.Event()

    def __init__(self, name: str) -> None:
        self.name = name

    def __getitem__(self, name: str) -> Any:
        return self

    def __call__(self, *arguments: Any) -> int:
        self.free.wait()
        return -200


def test_a_library_that_never_comes_back_does_not_hang_the_laboratory(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        async with bench(clock, tmp_path) as made:
            driver = made.driver(library=f"{__name__}:Hung", answer_within="100 ms")
            try:
                with pytest.raises(TimedOut, match="has not come back"):
                    await driver.connect()
            finally:
                Hung.free.set()

    run_real(main)


@pytest.mark.parametrize(
    "library", ["no_such_module:EClib", "labctl_drivers.biologic.eclib:NoSuchThing", "EClib64.dll"]
)
def test_a_library_that_is_not_there_is_named(tmp_path: Path, library: str) -> None:
    async def story(made: Bench) -> None:
        with pytest.raises(UsageError, match=library):
            await made.driver(library=library).connect()

    on_bench(tmp_path, story)
