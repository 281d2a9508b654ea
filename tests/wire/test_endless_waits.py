"""Where a vendor's library waits for ever, labctl comes to a defined end, and the source is seen to be off.

Those of the vendor's client for the Zahner are in ``test_zahner_hangs.py``. A call that never comes back needs real
time, as a virtual clock stands still for it: 100 ms each.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from biologic_bench import CHARGE, TOKEN, bench, program
from nmr_bench import Bench as Spectrometer
from nmr_bench import on_bench as on_spectrometer
from nmr_bench import request

from labctl.engine.clock import LoopClock, run_real, run_scaled
from labctl.errors import InstrumentError
from labctl.instruments import Refused, State, TimedOut
from labctl_simulators.biologic.eclabcom import EClabExe
from labctl_simulators.biologic.eclib import EClib

WITHIN = "100 ms"


class Wait:
    """Which call does not come back, and the end of its waiting."""

    call = ""
    over = threading.Event()

    @classmethod
    def here(cls, name: str) -> None:
        if name == cls.call:
            cls.over.wait(30)


@pytest.fixture(autouse=True)
def nothing_waits_for_ever() -> Iterator[None]:
    Wait.call, Wait.over = "", threading.Event()
    yield
    Wait.over.set()


class StuckLibrary(EClib):
    """The library, of which one call does not come back."""

    def __getitem__(self, name: str) -> Any:
        function = super().__getitem__(name)

        def call(*arguments: Any) -> Any:
            Wait.here(name)
            return function(*arguments)

        return type("Function", (), {"restype": None, "__call__": staticmethod(call)})()


class AskingEcLab(EClabExe):
    """EC-Lab with a dialog on its screen: the call that meets it does not come back."""

    def MeasureStatus(self, device: int, channel: int) -> tuple[float, ...]:
        Wait.here("MeasureStatus")
        return super().MeasureStatus(device, channel)

    def RunChannel(self, device: int, channel: int, path: str) -> int:
        Wait.here("RunChannel")
        return super().RunChannel(device, channel, path)


@pytest.mark.parametrize("call", ["BL_GetData", "BL_GetCurrentValues"])
def test_a_library_that_never_gives_data_is_left_and_the_charge_can_be_broken_off(tmp_path: Path, call: str) -> None:
    async def main(clock: LoopClock) -> None:
        async with bench(clock, tmp_path) as made:
            driver = made.driver(library=f"{__name__}:StuckLibrary", answer_within=WITHIN)
            handle = await driver.start(TOKEN, 1, program(CHARGE))
            assert made.laboratory.sources_on(made.cell()) == ("biologic/1",)
            Wait.call = call
            with pytest.raises(TimedOut, match=r"has not come back within 0\.1 s"):
                await driver.poll(handle)
            Wait.call = ""
            await driver.abort(handle)
            assert made.laboratory.sources_on(made.cell()) == ()
            assert (await driver.poll(handle)).state is State.FAILED

    run_real(main)


def test_a_library_that_never_connects_is_told_and_has_started_nothing(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        async with bench(clock, tmp_path) as made:
            driver = made.driver(library=f"{__name__}:StuckLibrary", answer_within=WITHIN)
            Wait.call = "BL_Connect"
            with pytest.raises(TimedOut, match="has not come back"):
                await driver.connect()
            with pytest.raises(InstrumentError):
                await driver.start(TOKEN, 1, program(CHARGE))
            assert made.laboratory.sources_on(made.cell()) == ()
            Wait.call = ""
            assert (await driver.connect()).vendor == "BioLogic"
            assert await driver.find(TOKEN) is None

    run_real(main)


def test_an_order_to_start_that_never_comes_back_is_found_out_and_can_be_broken_off(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        async with bench(clock, tmp_path) as made:
            driver = made.driver(library=f"{__name__}:StuckLibrary", answer_within=WITHIN)
            await driver.connect()
            Wait.call = "BL_StartChannel"
            with pytest.raises(InstrumentError):
                await driver.start(TOKEN, 1, program(CHARGE))
            assert made.laboratory.sources_on(made.cell()) == ()
            assert await driver.find(TOKEN) is None
            Wait.call = ""
            handle = await driver.start(TOKEN, 1, program(CHARGE))
            await driver.abort(handle)
            assert made.laboratory.sources_on(made.cell()) == ()

    run_real(main)


@pytest.mark.parametrize("call", ["MeasureStatus", "RunChannel"])
def test_a_dialog_in_eclab_is_told_and_the_charge_can_be_broken_off_once_it_is_gone(tmp_path: Path, call: str) -> None:
    async def main(clock: LoopClock) -> None:
        async with bench(clock, tmp_path, backend="olecom") as made:
            driver = made.driver(com=f"{__name__}:AskingEcLab", answer_within=WITHIN, selected_for="0 s")
            await driver.connect()
            if call == "RunChannel":
                Wait.call = call
                with pytest.raises(InstrumentError):
                    await driver.start(TOKEN, 1, program(CHARGE))
                assert made.laboratory.sources_on(made.cell()) == ()
                return
            handle = await driver.start(TOKEN, 1, program(CHARGE))
            assert made.laboratory.sources_on(made.cell()) == ("biologic/1",)
            Wait.call = call
            with pytest.raises(TimedOut, match="EC-Lab has not come back"):
                await driver.poll(handle)
            Wait.call = ""
            await driver.abort(handle)
            assert made.laboratory.sources_on(made.cell()) == ()

    run_scaled(main, 4.0)


def test_a_call_that_never_comes_back_does_not_keep_a_program_from_ending() -> None:
    program = (
        "import asyncio, threading\n"
        "from labctl.engine.clock import run_real\n"
        "from labctl_drivers.worker import Worker\n"
        "async def main(clock):\n"
        "    worker = Worker(clock, 'it')\n"
        "    task = asyncio.create_task(worker.run(threading.Event().wait))\n"
        "    await asyncio.sleep(0.05)\n"
        "    task.cancel()\n"
        "    worker.close()\n"
        "run_real(main)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=20, check=False).returncode == 0


def test_a_dialog_in_topspin_is_named_and_nothing_is_acquired_behind_it(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        made = Spectrometer(tmp_path, clock, faults=False)
        await made.open(patience=0.1)
        try:
            driver = made.driver()
            await driver.connect()
            made.laboratory.break_down("topspin", "dialog")
            with pytest.raises(InstrumentError, match="dialog"):
                await driver.start("behind-a1", request())
            made.laboratory.break_down("topspin", "closed")
            assert made.commands("zg") == 0
        finally:
            made.simulator.close_dialog()
            await made.close()

    run_real(main)


def test_topspin_is_never_asked_to_overwrite_a_fid_so_no_dialog_comes(tmp_path: Path) -> None:
    async def test(made: Spectrometer) -> None:
        driver = made.driver()
        handle = await driver.start("once-a1", request())
        assert (await made.until_over(driver, handle)).state is State.DONE
        with pytest.raises(Refused, match="there already"):
            await made.driver().start("once-a1", request())
        assert made.commands("zg") == 1
        assert [one for one in made.laboratory.records("topspin") if one["event"] == "dialog"] == []

    on_spectrometer(test, tmp_path)
