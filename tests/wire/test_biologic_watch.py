"""What the BioLogic driver promises of the current in a cell: it ends when it must, and nobody forgets it."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from biologic_bench import (
    CHARGE,
    DISCHARGE,
    REST,
    SAFETY,
    TOKEN,
    Bench,
    bench,
    charged,
    ended,
    on_bench,
    program,
    rows,
    step,
)

from labctl.engine.clock import LoopClock, run_real
from labctl.errors import DataError
from labctl.instruments import Busy, CannotSay, End, ImpedanceRequest, Mode, OutOfRange, Refused, State, TimedOut
from labctl_drivers.biologic import BIOLOGIC
from labctl_drivers.biologic.backend import ConstantVoltage, Sample
from labctl_drivers.biologic.plan import beyond, compile_request
from labctl_simulators.biologic.eclabcom import EClabExe
from labctl_simulators.biologic.eclib import EClib

LASTING = step(
    Mode.HOLD,
    3e-4,
    3.0,
    ends=(End("current", False, 2e-5, held=120.0), End("time", True, 86400.0, guard=True)),
    record_every=60.0,
    discharging=True,
)
SHORT = program(step(Mode.REST, ends=(End("time", True, 600.0),), record_every=60.0))


def events(made: Bench, name: str) -> list[Any]:
    return [one for one in made.laboratory.records("biologic") if one["event"] == name]


class Killed(Exception):
    """Stands for the end of the process, at this very place."""


async def dies(*_: Any) -> Any:
    raise Killed


@pytest.mark.parametrize(("backend", "every"), [("eclib", 60.0), ("olecom", 600.0)])
def test_a_hold_draws_no_more_than_its_current_and_ends_when_its_condition_has_lasted(
    tmp_path: Path, backend: str, every: float
) -> None:
    async def story(made: Bench) -> None:
        await charged(made)
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, program(LASTING))
        progress = await ended(driver, handle, every)
        assert (progress.state, made.laboratory.sources_on(made.cell())) == (State.DONE, ())
        fetched = await driver.fetch(handle, tmp_path / "out")
        assert (fetched.summary["end"], fetched.warnings) == ("current", ())
        table = rows(tmp_path / "out" / "records.csv")
        currents = [float(row["current_A"]) for row in table]
        assert min(currents) == pytest.approx(-3e-4, rel=1e-3)
        times = [float(row["time_s"]) for row in table]
        calm = min(at for at, current in zip(times, currents, strict=True) if at > 60 and abs(current) <= 2e-5)
        # It lasted, and was ended at the next look.
        assert 120.0 <= times[-1] - calm <= 120.0 + every + 80.0
        assert {row["step"] for row in table} == {"1"}
        assert [row["end"] for row in table if row["end"] != "0"] == ["2"]
        passed = abs(np.trapezoid(currents, times))
        assert fetched.summary["capacity_C"] == pytest.approx(passed, rel=1e-6)

    on_bench(tmp_path, story, backend=backend)


def test_a_lasting_condition_is_seen_by_an_orchestrator_that_comes_back_later(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        await charged(made, 1.0)
        first = made.driver()
        handle = await first.start(TOKEN, 1, program(LASTING))
        await first.close()
        await asyncio.sleep(20 * 3600)
        second = made.driver()
        assert (await second.poll(handle)).state is State.DONE
        assert made.laboratory.sources_on(made.cell()) == ()

    on_bench(tmp_path, story)


def test_a_lasting_condition_that_nobody_could_judge_is_refused(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        for wanted in (program(LASTING, REST), program(replace(LASTING, mode=Mode.CHARGE, voltage=None))):
            with pytest.raises(OutOfRange, match="step 1: the instrument can't wait"):
                await driver.start(TOKEN, 1, wanted)

    on_bench(tmp_path, story)


def test_a_charge_at_its_very_current_limit_is_no_trip(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        # As the instrument counts, in single precision, this is a little more than it is.
        charge = replace(CHARGE, current=3e-4)
        handle = await driver.start(TOKEN, 1, program(charge, safety=replace(SAFETY, charge_current=3e-4)))
        assert (await ended(driver, handle, 3600.0)).state is State.DONE

    on_bench(tmp_path, story)


@pytest.mark.parametrize(("current", "tells"), [(5e-3, True), (-5e-3, True), (4.9e-3, False)])
def test_a_held_cell_at_a_safety_current_is_told_whatever_the_rounding(current: float, tells: bool) -> None:
    safety = {"voltage_min_V": 2.8, "voltage_max_V": 4.4, "charge_current_A": 5e-3, "discharge_current_A": 5e-3}
    sample = Sample(1, 0, 1.0, 3.0, None, float(np.float32(current)) * (1 - 1e-7))
    assert (beyond([sample], [ConstantVoltage(3.0, 10.0)], safety) is sample) == tells


def test_a_step_that_waits_for_a_time_alone_is_stopped_for_good_at_a_safety_limit(tmp_path: Path) -> None:
    timed = step(Mode.CHARGE, 4e-4, ends=(End("time", True, 86400.0),))

    async def story(made: Bench) -> None:
        driver = made.driver()
        tight = replace(SAFETY, voltage_max=4.0)
        handle = await driver.start(TOKEN, 1, program(timed, REST, DISCHARGE, safety=tight))
        await asyncio.sleep(86400)
        # Nobody has looked, and nothing flows the other way.
        assert [one["why"] for one in events(made, "ended")] == ["by its own condition"]
        progress = await driver.poll(handle)
        assert (progress.state, "safety limits" in progress.message) == (State.FAILED, True)

    on_bench(tmp_path, story)


@pytest.mark.parametrize("lost", ["the run", "the channel", "both", "unreadable"])
def test_an_abort_opens_the_circuit_whatever_became_of_the_files(tmp_path: Path, lost: str) -> None:
    async def story(made: Bench) -> None:
        first = made.driver()
        handle = await first.start(TOKEN, 1, program(CHARGE))
        await first.close()
        (run,), (channel,) = tmp_path.rglob(f"{TOKEN}.json"), tmp_path.rglob("channel-1.json")
        for file in {"the run": [run], "the channel": [channel], "both": [run, channel]}.get(lost, []):
            file.unlink()
        if lost == "unreadable":
            run.write_text("{")
            channel.write_text("")
        await made.driver().abort(handle)
        assert made.laboratory.sources_on(made.cell()) == ()

    on_bench(tmp_path, story)


def test_an_interruption_that_was_noted_and_not_ordered_is_ordered_when_asked_again(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        first = made.driver()
        handle = await first.start(TOKEN, 1, program(CHARGE))
        await asyncio.sleep(600)
        first._backend.stop = dies
        with pytest.raises(Killed):
            await first.suspend(handle)
        second = made.driver()
        await second.suspend(handle)
        assert made.laboratory.sources_on(made.cell()) == ()
        assert (await second.poll(handle)).message == "suspended"

    on_bench(tmp_path, story)


def test_of_channels_started_together_none_runs_where_one_is_taken(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver, stranger = made.driver(), made.driver(folder="elsewhere")
        start = driver._backend.start

        async def late(runs: Any) -> None:
            await stranger.start("theirs-a1", 2, SHORT)
            await start(runs)

        driver._backend.start = late
        with pytest.raises(Busy):
            await driver.start_together({"one-a1": (1, program(CHARGE)), "two-a1": (2, program(CHARGE))})
        assert made.laboratory.sources_on(made.cell()) == ()
        assert await driver.channels() == {1: "stopped", 2: "running"}
        assert await made.driver().find("one-a1") is None

    on_bench(tmp_path, story)


def test_a_channel_that_another_computer_has_started_is_not_taken_for_ours(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver, stranger = made.driver(), made.driver(folder="elsewhere")
        handle = await driver.start(TOKEN, 1, program(CHARGE))
        await asyncio.sleep(3600)
        assert (await driver.poll(handle)).state is State.RUNNING
        kept = await driver.records(handle, None)
        made.laboratory.break_down("biologic", "stop", channel=1)
        await stranger.start("theirs-a1", 1, program(DISCHARGE))
        await asyncio.sleep(600)
        with pytest.raises(CannotSay, match="started by somebody else"):
            await driver.poll(handle)
        # Whoever is asked to open the circuit opens it.
        await driver.abort(handle)
        assert made.laboratory.sources_on(made.cell()) == ()
        await driver.fetch(handle, tmp_path / "out")
        assert (tmp_path / "out" / "records.csv").read_text().startswith(kept)

    on_bench(tmp_path, story)


def test_records_of_another_program_are_told_and_not_decoded(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver, stranger = made.driver(), made.driver(folder="elsewhere")
        handle = await driver.start(TOKEN, 1, SHORT)
        assert (await driver.poll(handle)).state is State.RUNNING
        made.laboratory.break_down("biologic", "stop", channel=1)
        await stranger.start("theirs-a1", 1, program(CHARGE))
        await asyncio.sleep(600)
        await driver.poll(handle)
        with pytest.raises(DataError, match="another program than ours"):
            await driver.fetch(handle, tmp_path / "out")

    on_bench(tmp_path, story)


def test_records_that_the_disk_does_not_take_are_kept_until_it_does(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        handle = await driver.start(TOKEN, 1, SHORT)
        await asyncio.sleep(150)
        await driver.poll(handle)
        (file,) = tmp_path.rglob(f"{TOKEN}.eclib")
        aside = file.rename(file.with_suffix(".aside"))
        file.mkdir()
        await asyncio.sleep(150)
        for _ in range(2):
            with pytest.raises(DataError, match="can't be written"):
                await driver.poll(handle)
        file.rmdir()
        aside.rename(file)
        assert (await ended(driver, handle, 100.0)).state is State.DONE
        await driver.close()
        other = made.driver()
        await other.fetch(handle, tmp_path / "out")
        times = [float(row["time_s"]) for row in rows(tmp_path / "out" / "records.csv")]
        assert times == pytest.approx([60.0 * n for n in range(11)], abs=0.01)

    on_bench(tmp_path, story)


def test_a_check_tells_of_a_firmware_that_every_start_would_be_refused_for(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        found = await made.driver(channels=1).inspect(exercise=False)
        assert len(found.unsafe) == 1
        assert "channel 1 has EC-Lab firmware" in found.unsafe[0]
        assert "firmware: replace" in found.unsafe[0]
        assert (await made.driver(channels=1, firmware="replace").inspect(exercise=False)).unsafe == ()

    on_bench(tmp_path, story, simulate={"firmware": "eclab"})


class Asked(EClabExe):
    """EC-Lab, and whether it was told to show its questions."""

    shown: ClassVar[list[int]] = []

    def EnableMessagesWindows(self, shown: int) -> int:
        self.shown.append(shown)
        return super().EnableMessagesWindows(shown)


def test_a_mere_look_leaves_ec_labs_questions_to_whoever_runs_something(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver(com=f"{__name__}:Asked")
        await driver.connect()
        look = BIOLOGIC(replace(driver._context, read_only=True))
        await look.connect()
        await look.inspect(exercise=False)
        await look.close()
        assert Asked.shown == [0]
        await driver.close()
        assert Asked.shown == [0, 1]

    on_bench(tmp_path, story, backend="olecom")


def test_a_channel_that_does_not_start_leaves_nothing_running(tmp_path: Path) -> None:
    async def story(made: Bench) -> None:
        driver = made.driver()
        seen = driver._backend._has_run

        async def sees(run: Any) -> bool:
            return bool(await seen(run)) and run.channel == 1

        driver._backend._has_run = sees
        with pytest.raises(Refused, match="channel 2 was told to start"):
            await driver.start_together({"one-a1": (1, program(CHARGE)), "two-a1": (2, program(CHARGE))})
        assert [made.laboratory.sources_on(made.cell(number)) for number in (1, 2)] == [(), ()]

    on_bench(tmp_path, story)


class SlowToStart:
    """The vendor's library, one to a process, whose order to start comes back only when it is let go."""

    def __init__(self) -> None:
        self.library = EClib("")
        self.free = threading.Event()
        self.late: list[int] = []

    def __getitem__(self, name: str) -> Any:
        function = self.library[name]
        if name != "BL_StartChannel":
            return function

        def start(*arguments: Any) -> Any:
            self.free.wait()
            self.late.append(function(*arguments))
            return self.late[-1]

        return start


class GoesSilent(EClib):
    """The vendor's library, of which from some moment on no call comes back until it is let go."""

    silent, free = threading.Event(), threading.Event()

    def __getitem__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            if self.silent.is_set():
                self.free.wait()
            return function(*arguments)

        function = super().__getitem__(name)
        return call


@cache
def goes_silent(name: str) -> GoesSilent:
    return GoesSilent(name)


def test_a_library_that_falls_silent_under_a_charge_holds_nobody_up_and_the_cell_is_told_as_unsafe(
    tmp_path: Path,
) -> None:
    async def main(clock: LoopClock) -> None:
        async with bench(clock, tmp_path) as made:
            driver = made.driver(library=f"{__name__}:goes_silent", answer_within="100 ms")
            handle = await driver.start(TOKEN, 1, program(CHARGE))
            GoesSilent.silent.set()
            try:
                async with asyncio.timeout(5):
                    for act in (driver.poll(handle), driver.abort(handle), driver.reading(1)):
                        with pytest.raises(TimedOut, match="has not come back"):
                            await act
            finally:
                GoesSilent.free.set()
            # Once it comes back, the charge is found as it was, and ended.
            assert (await driver.poll(handle)).state is State.RUNNING
            await driver.abort(handle)
            assert made.laboratory.sources_on(made.cell()) == ()

    run_real(main)


@cache
def slow_to_start(name: str) -> SlowToStart:
    return SlowToStart()


def test_an_order_to_start_that_never_comes_back_is_no_refusal_and_starts_nothing_later(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        async with bench(clock, tmp_path) as made:
            slow = {"library": f"{__name__}:slow_to_start", "answer_within": "200 ms"}
            driver, library = made.driver(**slow), slow_to_start(slow["library"])
            try:
                with pytest.raises(TimedOut, match="has not come back"):
                    await driver.start(TOKEN, 1, program(CHARGE))
                assert made.laboratory.sources_on(made.cell()) == ()
            finally:
                library.free.set()
            while len(library.late) < 2:
                await asyncio.sleep(0.01)
            # Nobody was told that nothing runs, and nothing does: the late orders find no connection.
            assert library.late == [-1, -1]
            assert made.laboratory.sources_on(made.cell()) == ()
            assert await driver.find(TOKEN) is None

    run_real(main)


PLAIN = ImpedanceRequest("eis", "galvanostatic", 1e4, 1.0, 5, 2, 1e-4, 0.0, 2.8, 4.4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"control": "pseudo-galvanostatic"}, "pseudo-galvanostatic"),
        ({"rest_before": 60.0}, "a rest"),
        ({"linearity": 2.0}, "a second amplitude"),
        ({"repeat": True}, "a repeated sweep"),
        ({"points_per_decade_low": 3}, "two densities"),
        ({"periods_low": 1}, "two numbers of periods"),
        ({"frequency_start": 0.1}, "rising"),
    ],
)
def test_what_a_spectrum_here_can_not_be_is_refused_and_not_left_out(change: dict[str, Any], said: str) -> None:
    with pytest.raises(OutOfRange, match=said):
        compile_request(replace(PLAIN, **change))
