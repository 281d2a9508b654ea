"""Nobody shares an instrument's line: who comes second is told who has it, and nothing is sent."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import serial
from line_bench import Bench, context_of, on_bench

from labctl.engine.clock import LoopClock, run_virtual
from labctl.instruments import Busy, DriverContext
from labctl_drivers.binder import BinderChamber
from labctl_drivers.espec import EspecChamber
from labctl_drivers.julabo import JulaboChamber
from labctl_drivers.resource_lock import ResourceLock
from labctl_drivers.scpi_multiplexer import ScpiMultiplexer
from labctl_drivers.visa_line import VisaLine
from labctl_simulators.scpi import ScpiMultiplexerSimulator

DRIVERS: dict[str, tuple[Callable[[DriverContext], Any], str]] = {
    "julabo": (JulaboChamber, "{}"),
    "espec": (EspecChamber, "{}"),
    "binder": (BinderChamber, "{}"),
    "scpi-multiplexer": (ScpiMultiplexer, "ASRL{}::INSTR"),
}
#: Takes the lock of a resource and ends as a killed process does.
KILLED = """
import os, sys
sys.path[:0] = sys.argv[2:]
from line_bench import context_of
from labctl_drivers.resource_lock import ResourceLock
ResourceLock(context_of(None, "mux", {}, []), sys.argv[1]).take()
print("taken", flush=True)
os._exit(1)
"""


@pytest.fixture
def port() -> Iterator[str]:
    """A serial port with something behind it that never says a word."""
    ours, theirs = os.openpty()
    yield os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


def lock(address: str, name: str = "mux", unit: str = "") -> ResourceLock:
    context: Any = context_of(None, name, {}, [])  # type: ignore[arg-type]
    return ResourceLock(context, address, unit)


def test_a_second_session_is_told_who_has_the_instrument_until_that_one_ends() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        before = len(bench.log_of("heard", "message"))
        second = ScpiMultiplexer(context_of(bench.clock, "switch", {"address": bench.driver._unit.address}, []))
        with pytest.raises(Busy) as caught:
            await second.connect()
        assert f"in use already, by 'mux' of the laboratory {Path.cwd()} (process {os.getpid()})" in str(caught.value)
        assert len(bench.log_of("heard", "message")) == before
        await bench.driver.close()
        assert (await second.connect()).model == "34970A"
        await second.close()

    on_bench(ScpiMultiplexer, ScpiMultiplexerSimulator, "mux", test, {}, {})


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_port_that_another_program_has_open_is_not_spoken_to(driver: str, port: str) -> None:
    make, form = DRIVERS[driver]

    async def main(clock: LoopClock) -> None:
        made = make(context_of(clock, "it", {"address": form.format(port), "serial": "9600 8N1"}, []))
        with serial.Serial(port, exclusive=True) as other:
            with pytest.raises(Busy, match=rf"it at .*{port}.*: another program has the port open; end that program"):
                await made.connect()
            assert other.in_waiting == 0
        await made.close()

    run_virtual(main)


def test_a_port_that_is_used_by_its_visa_name_is_kept_from_other_programs(port: str) -> None:
    async def main(clock: LoopClock) -> None:
        line = VisaLine(context_of(clock, "mux", {}, []), f"ASRL{port}::INSTR")
        line.open()
        with pytest.raises(serial.SerialException, match="exclusively"):
            serial.Serial(port, exclusive=True)
        line.close()
        serial.Serial(port, exclusive=True).close()

    run_virtual(main)


def test_a_port_has_one_lock_by_all_of_its_names(port: str, tmp_path: Path) -> None:
    by_id = tmp_path / "by-id"
    by_id.symlink_to(port)
    held = lock(port)
    held.take()
    for name in (f"ASRL{port}::INSTR", str(by_id)):
        with pytest.raises(Busy):
            lock(name).take()
    held.release()
    again = lock(str(by_id))
    again.take()
    again.release()


def test_instruments_behind_one_gateway_have_a_lock_each() -> None:
    first, second = lock("192.0.2.15:502", "cold", "unit 1"), lock("192.0.2.15:502", "warm", "unit 2")
    first.take()
    second.take()
    with pytest.raises(Busy, match="'cold'"):
        lock("192.0.2.15:502", "third", "unit 1").take()
    first.release()
    second.release()


def test_a_killed_process_leaves_no_lock_behind() -> None:
    address = f"192.0.2.99:{os.getpid()}"
    arguments = [sys.executable, "-c", KILLED, address, *sys.path]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert ended.stdout == "taken\n", ended.stderr
    held = lock(address)
    held.take()
    held.release()
