"""The Binder driver against its chamber at the wire, over Modbus TCP and RTU, in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from line_bench import Bench, context_of
from line_bench import on_bench as run_on_bench
from pymodbus import FramerType
from pymodbus.client import ModbusTcpClient

from labctl.engine.clock import LoopClock, run_virtual
from labctl.errors import InstrumentError
from labctl.instruments import Garbled, NotIdentified, NotReachable, Refused, TimedOut
from labctl_drivers.binder import BinderChamber
from labctl_drivers.binder_map import decode, load_map, plausible
from labctl_simulators.binder import BinderSimulator
from labctl_simulators.modbus import checksum

ZERO = 273.15
WARM = 40.0 + ZERO
WIRES = pytest.mark.parametrize("rtu", [False, True], ids=["tcp", "rtu"])


def on_bench(test: Callable[[Bench], Awaitable[None]], settings: dict[str, Any] | None = None, **simulate: Any) -> None:
    run_on_bench(BinderChamber, BinderSimulator, "oven", test, {**(settings or {}), "simulate": simulate}, {})


def sent(bench: Bench) -> list[str]:
    return bench.log_of("heard", "command")


@WIRES
def test_it_says_what_is_known_of_it_and_what_is_not(rtu: bool) -> None:
    async def test(bench: Bench) -> None:
        identity = await bench.driver.connect()
        assert (identity.vendor, identity.model) == ("Binder", "MB2")
        assert identity.address.startswith("socket://" if rtu else "127.0.0.1:")
        assert identity.details["word order"] == "low first"
        assert identity.details["operation"] == "0002, stands"
        assert identity.details["clock"].startswith("2025-01-01 00:00:0")
        assert "does not say who answers" in identity.details["identified by"]
        assert "not tried on hardware" in identity.details["map"]

    on_bench(test, rtu=rtu)


@WIRES
def test_regulating_writes_reads_back_and_sees_that_it_is_followed(rtu: bool) -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        before = len(sent(bench))
        await bench.driver.regulate(WARM)
        assert sent(bench)[before:] == [
            "write 114C 0000 4220",
            "read 114C 2",
            "read 1158 1",
            "read 1158 1",
            "write 1158 0000",
            "read 1292 1",
            "read 10B2 2",
        ]
        await asyncio.sleep(7200.0)
        reading = await bench.driver.read()
        assert reading.temperature == pytest.approx(WARM, abs=0.05)
        assert reading.set_point == pytest.approx(WARM)
        assert reading.running
        assert not bench.hiccups

    on_bench(test, rtu=rtu)


def test_the_bytes_on_the_wire_are_those_of_the_specification() -> None:
    """Regulating 40 degC, frame by frame: what goes out and what comes back, without the number of the transaction."""

    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        take, frames = bench.simulator._server.take, []

        def heard(data: bytes) -> tuple[bytes, bytes]:
            answer, rest = take(data)
            frames.append((data[2:].hex(" "), answer[2:].hex(" ")))
            return answer, rest

        bench.simulator._server.take = heard
        await bench.driver.regulate(WARM)
        assert frames == [
            ("00 00 00 0b 01 10 11 4c 00 02 04 00 00 42 20", "00 00 00 06 01 10 11 4c 00 02"),
            ("00 00 00 06 01 03 11 4c 00 02", "00 00 00 07 01 03 04 00 00 42 20"),
            ("00 00 00 06 01 03 11 58 00 01", "00 00 00 05 01 03 02 00 02"),
            ("00 00 00 06 01 03 11 58 00 01", "00 00 00 05 01 03 02 00 02"),
            ("00 00 00 09 01 10 11 58 00 01 02 00 00", "00 00 00 06 01 10 11 58 00 01"),
            ("00 00 00 06 01 03 12 92 00 01", "00 00 00 05 01 03 02 00 00"),
            ("00 00 00 06 01 03 10 b2 00 02", "00 00 00 07 01 03 04 00 00 42 20"),
        ]

    on_bench(test)


def test_the_older_controller_is_run_by_its_own_map() -> None:
    async def test(bench: Bench) -> None:
        identity = await bench.driver.connect()
        assert identity.model == "MB1 (MK53)"
        assert "disagree" in identity.details["map"]
        await bench.driver.regulate(WARM)
        assert sent(bench)[-9:] == [
            "write 1581 0000 4220",
            "read 1581 2",
            "write 156F 0000 4220",
            "read 156F 2",
            "read 1A22 1",
            "read 1A22 1",
            "write 1A22 0800",
            "read 1A22 1",
            "read 1077 2",
        ]
        assert (await bench.driver.read()).running
        await bench.driver.stop()
        assert sent(bench)[-2] == "write 1A22 1000"
        assert not (await bench.driver.read()).running

    on_bench(test, {"map": "mb1"}, model="mb1")


def test_limits_are_written_and_read_back_first_where_the_map_has_registers_for_them(tmp_path: Path) -> None:
    entry = json.loads(files("labctl_drivers").joinpath("binder_maps.json").read_text())["mb2"]
    path = tmp_path / "with-limits.json"
    path.write_text(json.dumps(entry | {"limits": {"low": "2000", "high": "2002"}}))

    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.regulate(WARM, (10.0 + ZERO, 60.0 + ZERO))
        assert bench.simulator.save()["kept"] == {"2000": 10.0, "2002": 60.0}
        told = [command for command in sent(bench) if command.startswith("write")]
        assert [command.split()[1] for command in told] == ["2000", "2002", "114C", "1158"]

    on_bench(test, {"map": str(path)}, floats={"2000": 0.0, "2002": 0.0})


@pytest.mark.parametrize("order", ["low first", "high first"])
def test_the_order_of_words_is_found_out(order: str) -> None:
    async def test(bench: Bench) -> None:
        assert (await bench.driver.connect()).details["word order"] == order
        await bench.driver.regulate(WARM)
        assert bench.laboratory.chamber("oven").set_point == pytest.approx(WARM)

    on_bench(test, word_order=order)


def test_an_order_of_words_that_the_station_got_wrong_is_refused() -> None:
    async def test(bench: Bench) -> None:
        with pytest.raises(NotIdentified, match=r"0000 41C8.*no temperatures in the order high first.*word_order"):
            await bench.driver.connect()

    on_bench(test, {"word_order": "high first"})


def test_words_in_the_wrong_order_are_a_number_but_no_temperature() -> None:
    assert decode((0x0000, 0x41BC), "low first") == 23.5
    assert not plausible(decode((0x0000, 0x41BC), "high first"))
    assert plausible(0.0)
    assert not plausible(float("nan"))
    assert not plausible(850.0)


def test_another_instrument_at_the_address_is_not_taken_for_a_chamber() -> None:
    async def test(bench: Bench) -> None:
        bench.simulator._floats.clear()
        with pytest.raises(NotIdentified, match="has no register 1004"):
            await bench.driver.connect()

    on_bench(test)


def test_the_other_switches_of_the_word_stay_as_they_are() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        bench.simulator._word = 0x0045
        await bench.driver.regulate(WARM)
        assert "write 1158 0045" in sent(bench)
        await bench.driver.stop()
        assert "write 1158 0047" in sent(bench)
        assert not bench.laboratory.chamber("oven").running
        before = len(sent(bench))
        await bench.driver.stop()
        assert sent(bench)[before:] == ["read 1292 1"]

    on_bench(test)


def test_a_set_point_it_cannot_reach_is_refused_and_it_is_not_started() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        with pytest.raises(Refused, match="exception 3, it does not take this value"):
            await bench.driver.regulate(250.0 + ZERO)
        assert not bench.laboratory.chamber("oven").running

    on_bench(test)


def test_a_program_that_goes_its_own_way_is_noticed() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        with pytest.raises(Refused, match=r"follows 60\.00 degC although 40\.00 degC was set.*stop its program"):
            await bench.driver.regulate(WARM)

    on_bench(test, program=60.0)


def test_a_chamber_that_will_not_run_is_refused_and_not_told_for_ever() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        bench.laboratory.break_down("oven", "alarm")
        with pytest.raises(Refused, match=r"stands although told otherwise \(register 1292 holds 0002\)"):
            await bench.driver.regulate(WARM)

    on_bench(test)


def test_after_a_loss_of_mains_it_stands_and_is_not_started_silently() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.regulate(WARM)
        bench.laboratory.break_down("oven", "mains lost")
        assert not (await bench.driver.read()).running
        assert not bench.laboratory.chamber("oven").running
        assert bench.log.said[0][0] == "chamber stands although it was started here"

    on_bench(test)


def test_a_temperature_that_no_chamber_has_is_never_taken() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        actual = bench.simulator._floats[0x1004]
        bench.simulator._floats[0x1004] = lambda: 850.0 if sent(bench).count("read 1004 2") == 2 else actual()
        assert (await bench.driver.read()).temperature == pytest.approx(293.15, abs=0.1)
        assert [hiccup.kind for hiccup in bench.hiccups] == ["garbled"]
        bench.simulator._floats[0x1004] = lambda: float("nan")
        with pytest.raises(Garbled, match="register 1004 holds nan"):
            await bench.driver.read()

    on_bench(test)


@pytest.mark.parametrize(
    ("rtu", "kind"),
    [(False, "drop"), (False, "duplicate"), (False, "late"), (True, "drop"), (True, "duplicate"), (True, "garble")],
)
def test_one_fault_on_the_wire_is_survived_and_reported_once(rtu: bool, kind: str) -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.regulate(WARM)
        bench.laboratory.inject("oven", kind, seconds=1.0)
        for _ in range(2):
            reading = await bench.driver.read()
            assert 293.0 < reading.temperature < 294.0
            assert reading.set_point == pytest.approx(WARM)
            assert reading.running
        # The library drops a second answer that came together with the first.
        assert len(bench.hiccups) == 1 or (kind == "duplicate" and not bench.hiccups)

    on_bench(test, rtu=rtu)


def test_nobody_at_the_address() -> None:
    async def main(clock: LoopClock) -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        chamber = BinderChamber(context_of(clock, "oven", {"address": f"127.0.0.1:{port}"}, []))
        with pytest.raises(NotReachable, match=f"oven at 127.0.0.1:{port}"):
            await chamber.connect()
        await chamber.close()

    run_virtual(main)


def test_a_set_point_that_never_takes_is_a_fault() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        bench.simulator._floats[0x114C] = lambda: 25.0
        with pytest.raises(TimedOut, match=r"40\.00 was written to register 114C 3 times and never taken"):
            await bench.driver.regulate(WARM)
        assert not bench.laboratory.chamber("oven").running

    on_bench(test)


@WIRES
def test_an_independent_client_finds_the_same_chamber(rtu: bool) -> None:
    """The library's own client, with its own frames and its own decoding of floats."""

    def ask(port: int) -> tuple[Any, ...]:
        client = ModbusTcpClient(
            "127.0.0.1", port=port, framer=FramerType.RTU if rtu else FramerType.SOCKET, timeout=0.9, retries=0
        )
        client.connect()
        try:
            words = client.read_holding_registers(0x1004, count=2, device_id=1).registers
            temperature = client.convert_from_registers(words, client.DATATYPE.FLOAT32, word_order="little")
            nowhere = client.read_holding_registers(0x0001, count=1, device_id=1).exception_code
            denied = client.write_register(0x1292, 0, device_id=1).exception_code
            unknown = client.read_coils(1, count=1, device_id=1).exception_code
            taken = client.write_register(0x1158, 0x0040, device_id=1).isError()
            lines = client.read_holding_registers(0x1292, count=1, device_id=1).registers
            return temperature, nowhere, denied, unknown, taken, lines
        finally:
            client.close()

    async def test(bench: Bench) -> None:
        port = int(bench.driver._address.rpartition(":")[2])
        with bench.clock.exchange():
            temperature, *rest = await asyncio.to_thread(ask, port)
        assert temperature == pytest.approx(20.0, abs=0.05)
        assert rest == [2, 8, 1, False, [0x0040]]

    on_bench(test, rtu=rtu)


def test_what_it_remembers_survives_a_restart() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.regulate(WARM)
        again = BinderSimulator("oven", {}, bench.laboratory)
        again.restore(json.loads(json.dumps(bench.simulator.save())))
        assert again.save() == bench.simulator.save()
        assert again._registers()[0x114D] == 0x4220

    on_bench(test)


def test_the_checksum_is_that_of_the_specification() -> None:
    assert checksum(bytes.fromhex("020700")[:2]) == bytes.fromhex("4112")


def test_a_laboratory_can_bring_a_map_of_its_own(tmp_path: Path) -> None:
    entry = {
        "title": "VD23",
        "known_from": "its manual",
        "word_order": "high first",
        "actual": "0010",
        "set_points": ["0020"],
        "active_set_point": "0030",
        "switch": {"write": "0040", "read": "0041", "mask": "0001", "run": "0001", "stand": "0000"},
        "limits": {"low": "0050", "high": "0052"},
    }
    (tmp_path / "vd23.json").write_text(json.dumps(entry))
    found = load_map("vd23.json", tmp_path)
    assert (found.actual, found.switch.read, found.limits, found.clock) == (0x10, 0x41, (0x50, 0x52), None)
    del entry["switch"]
    (tmp_path / "vd23.json").write_text(json.dumps(entry))
    with pytest.raises(InstrumentError, match=r"vd23\.json is not complete.*switch"):
        load_map("vd23.json", tmp_path)
    with pytest.raises(InstrumentError, match="'mb3' is unknown; write one of mb2, mb1"):
        load_map("mb3", tmp_path)
