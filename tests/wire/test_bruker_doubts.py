"""What people do at the spectrometer meanwhile, and clients that misbehave: nothing is taken for what it is not."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from pathlib import Path

import pytest
from nmr_bench import Bench, Wire, measure, on_bench, request

from labctl.engine.acquiring import AcquisitionAction, Ahead
from labctl.engine.clock import LoopClock, run_real
from labctl.errors import DataError
from labctl.instruments import Busy, State, TimedOut
from labctl_simulators.topspin import TopspinSimulator


def test_a_dataset_that_is_deleted_while_it_is_acquired_fails_and_the_spectrometer_is_halted(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        handle = await driver.start("gone", request())
        await asyncio.sleep(10)
        shutil.rmtree(bench.simulator.folder / "gone")
        progress = await driver.poll(handle)
        assert progress.state is State.FAILED
        assert progress.message == "EXPNO 1: there is no such dataset any more on the spectrometer's PC"
        with pytest.raises(Busy, match="gone/1"):
            await driver.start("next", request())
        await driver.abort(handle)
        assert bench.commands("halt") == 1, "TopSpin went on with it"
        assert (await measure(bench, driver, "next", request())).summary["scans"] == 64

    on_bench(test, tmp_path)


@pytest.mark.parametrize("restarted", [False, True])
def test_what_somebody_stopped_at_the_console_is_not_started_again(tmp_path: Path, restarted: bool) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        handle = await driver.start("stopped", request(scans=512))
        await asyncio.sleep(10)
        if restarted:
            await bench.gateways.pop().stop()
        bench.laboratory.break_down("topspin", "stopped")
        if restarted:
            await bench.open(port=bench.port)
        progress = await bench.until_over(driver, handle)
        assert progress.state is State.FAILED
        assert bench.commands("zg") == 1

    on_bench(test, tmp_path)


def test_an_expno_of_a_series_that_somebody_stopped_is_not_started_again(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        handle = await driver.start("series", request(pulse_lengths=(5e-6, 7e-6), scans=64))
        while (await driver.poll(handle)).values["expno"] == 1:
            await asyncio.sleep(5)
        await bench.gateways.pop().stop()
        bench.laboratory.break_down("topspin", "stopped")
        await bench.open(port=bench.port)
        progress = await bench.until_over(driver, handle)
        assert progress.state is State.FAILED
        assert "EXPNO 2" in progress.message
        assert bench.commands("zg") == 2

    on_bench(test, tmp_path)


def test_a_pulse_that_somebody_changed_before_its_turn_is_no_result_also_after_a_restart(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        wanted = request(pulse_lengths=(5e-6, 7e-6), scans=16)
        await bench.driver().start("changed", wanted)
        wire = await Wire.to(bench.port)
        assert (await wire.ask(op="setpar", name="changed", expno=2, pars={"P 1": "3"}))["ok"]
        await wire.close()
        driver = bench.driver()
        handle = await driver.find("changed", wanted)
        assert handle is not None
        assert (await bench.until_over(driver, handle)).state is State.DONE
        with pytest.raises(DataError, match="changed/2: P 1 was 3 where 7 was asked for"):
            await driver.fetch(handle, tmp_path / "bundle")

    on_bench(test, tmp_path)


CHANGES = {
    "NS": "32", "RG": "90.5", "D 1": "0.4", "PLW 1": "60", "TD": "16384", "SWH": "2500000", "O1": "19000",
    "PULPROG": "zgcomb", "NUC1": "31P", "DS": "2", "DE": "7",
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_whichever_parameter_was_changed_meanwhile_the_spectrum_is_no_result(tmp_path: Path, name: str) -> None:
    value = CHANGES[name]

    async def test(bench: Bench) -> None:
        driver = bench.driver()
        handle = await driver.start("one", request(pulse_lengths=(5e-6, 7e-6), scans=4, points=32768, dead_time=6.5e-6))
        wire = await Wire.to(bench.port)
        answer = await wire.ask(op="setpar", name="one", expno=2, pars={name: value})
        assert answer["read_back"][name] == value
        await wire.close()
        progress = await bench.until_over(driver, handle)
        if progress.state is State.FAILED:
            assert "EXPNO 2 ended after 32 of 4 scans" in progress.message
            return
        with pytest.raises(DataError, match=f"one/2: {name} was"):
            await driver.fetch(handle, tmp_path / "bundle")

    on_bench(test, tmp_path)


def test_an_early_end_counts_also_for_an_acquisition_that_was_found_after_a_restart(tmp_path: Path) -> None:
    async def test(bench: Bench) -> None:
        wanted = request(scans=1000, may_end_early=True)
        await bench.driver().start("early", wanted)
        await asyncio.sleep(100)
        driver = bench.driver()
        handle = await AcquisitionAction(wanted, driver).find("early")
        assert handle is not None
        await driver.enough(handle)
        assert (await driver.poll(handle)).state is State.DONE
        assert 150 < (await driver.fetch(handle, tmp_path / "bundle")).summary["scans"] < 250

    on_bench(test, tmp_path)


def test_a_topspin_that_writes_no_data_meanwhile_lets_the_acquisition_go_on_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TopspinSimulator, "_write_so_far", lambda self: None)

    async def test(bench: Bench) -> None:
        action = AcquisitionAction(
            request(scans=256, may_end_early=True), bench.driver(), ahead=Ahead(enough=(1.0, 20.0))
        )
        handle = await action.start("whole")
        while (progress := await action.poll(handle)).state is State.RUNNING:
            assert "signal_to_noise" not in progress.values
            await asyncio.sleep(progress.remaining or 1.0)
        assert progress.state is State.DONE
        assert (await action.fetch(handle, tmp_path / "bundle")).summary["scans"] == 256

    on_bench(test, tmp_path)


def test_a_file_that_somebody_keeps_locked_for_a_moment_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(bench: Bench) -> None:
        driver = bench.driver()
        handle = await driver.start("locked", request())
        plain = Path.read_text

        def locked(path: Path, *args: str, **more: str) -> str:
            if path.name == "audita.txt":
                raise PermissionError(13, "the process cannot access the file", str(path))
            return plain(path, *args, **more)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "read_text", locked)
            with pytest.raises(TimedOut, match="cannot access"):
                await driver.poll(handle)
        assert (await bench.until_over(driver, handle)).state is State.DONE

    on_bench(test, tmp_path)


def test_clients_that_shout_or_do_not_listen_keep_nobody_waiting_and_the_gateway_ends(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        bench = Bench(tmp_path, clock, faults=False)
        await bench.open()
        reader, shouting = await asyncio.open_connection("127.0.0.1", bench.port)
        shouting.write(b"x" * 10_000_000)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 5) == b"", "the connection ends"
        deaf = await Wire.to(bench.port)
        await deaf.ask(op="create", name="s1", expno=1)
        (bench.simulator.folder / "s1" / "1" / "large").write_bytes(bytes(300_000))
        # More than all buffers hold, and nobody reads it.
        deaf.writer.write(b'{"id":1,"op":"list","name":"s1","expno":1,"inline":393216}\n' * 60)
        ours = await Wire.to(bench.port)
        for _ in range(3):
            assert (await asyncio.wait_for(ours.ask(op="status"), 5))["ok"]
        await asyncio.wait_for(bench.gateways.pop().stop(), 5)
        for client in (deaf, ours):
            await client.close()
        shouting.close()
        await bench.close()

    run_real(main)
