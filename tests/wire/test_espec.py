"""The ESPEC driver against its chamber at the wire, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from line_bench import Bench, context_of
from line_bench import on_bench as run_on_bench

from labctl.engine.chambers import Oven, Settled
from labctl.engine.clock import LoopClock, run_virtual
from labctl.errors import InstrumentError
from labctl.instruments import Busy, Garbled, NotIdentified, NotReachable, OutOfRange, Refused, TimedOut, VendorAlarm
from labctl_drivers.espec import EspecChamber
from labctl_simulators.espec import EspecSimulator

ZERO = 273.15
WARM = 40.0 + ZERO
LIMITS = (10.0 + ZERO, 60.0 + ZERO)


def on_bench(test: Callable[[Bench], Awaitable[None]], settings: dict[str, Any] | None = None, **simulate: Any) -> None:
    run_on_bench(EspecChamber, EspecSimulator, "oven", test, {**(settings or {}), "simulate": simulate}, {})


def sent(bench: Bench) -> list[str]:
    return bench.log_of("heard", "command")


def test_it_says_who_it_is_and_which_limits_it_watches() -> None:
    async def test(bench: Bench) -> None:
        identity = await bench.driver.connect()
        assert (identity.vendor, identity.model, identity.firmware) == ("ESPEC", "P-300", "P300 1.05")
        assert identity.details["highest temperature"] == "160.0 degC"
        assert identity.details["limits"] == "-50.0 to 140.0 degC"
        assert identity.details["mode"] == "STANDBY"
        assert sent(bench) == ["TYPE?", "ROM?", "TEMP?", "MON?"]

    on_bench(test)


def test_its_own_limits_are_set_and_read_back_before_it_runs() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        before = len(sent(bench))
        await bench.driver.regulate(WARM, LIMITS)
        assert sent(bench)[before:] == [
            "TEMP?",
            "MON?",
            "TEMP, S40.0 H60.0 L10.0",
            "TEMP?",
            "MODE,CONSTANT",
            "TEMP?",
            "MON?",
            "TEMP?",
            "MON?",
        ]
        await asyncio.sleep(7200.0)
        reading = await bench.driver.read()
        assert reading.temperature == pytest.approx(WARM, abs=0.1)
        assert reading.set_point == pytest.approx(WARM)
        assert (reading.running, reading.status) == (True, "CONSTANT")
        assert not bench.hiccups

    on_bench(test)


def test_without_limits_those_in_the_chamber_stay() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.regulate(WARM)
        assert "TEMP,S40.0" in sent(bench)
        assert bench.simulator.save()["limits"] == [-50.0, 140.0]

    on_bench(test)


def test_limits_are_rounded_inwards() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.regulate(WARM, (10.03 + ZERO, 60.07 + ZERO))
        assert "TEMP, S40.0 H60.0 L10.1" in sent(bench)

    on_bench(test)


def test_the_chamber_ends_it_by_itself_when_its_limits_are_passed_and_the_oven_says_so() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        oven = Oven("oven", bench.driver, Settled(), bench.clock)
        await oven.join("a", WARM, (15.0 + ZERO, 60.0 + ZERO))
        bench.simulator._low = 35.0
        bench.laboratory.break_down("oven", "door open")
        await asyncio.sleep(900.0)
        with pytest.raises(VendorAlarm, match="alarm 7"):
            await oven.look()
        assert not bench.laboratory.chamber("oven").running

    on_bench(test)


def test_the_narrowest_limits_of_all_who_are_in_it_count() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        oven = Oven("oven", bench.driver, Settled(), bench.clock)
        await oven.join("a", WARM, (10.0 + ZERO, 60.0 + ZERO))
        await oven.join("b", WARM, (15.0 + ZERO, 70.0 + ZERO))
        assert bench.simulator.save()["limits"] == [15.0, 60.0]
        await oven.leave("a")
        assert bench.laboratory.chamber("oven").running
        await oven.leave("b")
        assert bench.simulator.save()["mode"] == "STANDBY"

    on_bench(test)


def test_a_restart_does_not_widen_the_limits_of_who_was_in_it_before() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.regulate(WARM, (15.0 + ZERO, 45.0 + ZERO))
        oven = Oven("oven", bench.driver, Settled(), bench.clock)
        oven.restore("a", WARM)
        await oven.look("a", (15.0 + ZERO, 45.0 + ZERO))
        await oven.join("b", WARM, LIMITS)
        assert bench.simulator.save()["limits"] == [15.0, 45.0]

    on_bench(test)


def test_limits_that_would_end_it_at_once_are_refused_before_anything_is_sent() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        with pytest.raises(Refused, match=r"at 20\.\d degC, outside of the limits 35\.0 to 60\.0 degC"):
            await bench.driver.regulate(WARM, (35.0 + ZERO, 60.0 + ZERO))
        assert not any(command.startswith(("TEMP,", "MODE,")) for command in sent(bench))

    on_bench(test)


@pytest.mark.parametrize(
    ("kind", "celsius", "simulate", "words"),
    [
        (OutOfRange, 200.0, {}, r"200\.0 degC is above its 160\.0 degC"),
        (Refused, -90.0, {}, "declines 'TEMP,S-90.0': 'DATA OUT OF RANGE'"),
        (Refused, 40.0, {"protected": True}, "declines 'TEMP,S40.0': 'PROTECT ON'"),
        (Refused, 40.0, {"program": True}, r"runs a program \('RUN'\).*end the program"),
    ],
)
def test_what_it_declines_is_raised_in_its_own_words(
    kind: type[InstrumentError], celsius: float, simulate: dict[str, Any], words: str
) -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        with pytest.raises(kind, match=words):
            await bench.driver.regulate(celsius + ZERO)
        assert not bench.laboratory.chamber("oven").running
        assert not bench.hiccups

    on_bench(test, **simulate)


def test_a_chamber_that_is_not_ready_is_busy_and_may_be_asked_again() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        hear = bench.simulator._server.answer
        bench.simulator._server.answer = lambda line: "NA:CHB NOT READY" if line.startswith("MODE,") else hear(line)
        with pytest.raises(Busy, match="CHB NOT READY"):
            await bench.driver.regulate(WARM)

    on_bench(test)


def test_alarms_are_raised_with_their_codes_and_keep_it_from_being_started() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.regulate(WARM)
        bench.laboratory.break_down("oven", "alarm", text="5,18")
        with pytest.raises(VendorAlarm, match="alarm 5,18"):
            await bench.driver.read()
        with pytest.raises(VendorAlarm, match="alarm 5,18"):
            await bench.driver.regulate(WARM)
        assert not bench.laboratory.chamber("oven").running
        bench.laboratory.break_down("oven", "alarm cleared")
        await bench.driver.stop()
        assert not (await bench.driver.read()).running

    on_bench(test)


def test_after_a_loss_of_mains_it_stands_by_and_is_not_started_silently() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.regulate(WARM)
        bench.laboratory.break_down("oven", "mains lost")
        reading = await bench.driver.read()
        assert (reading.running, reading.status) == (False, "STANDBY")
        assert not bench.laboratory.chamber("oven").running
        assert bench.log.said[0][0] == "chamber stands although it was started here"

    on_bench(test)


def test_on_a_shared_line_it_is_called_by_its_number() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.regulate(WARM)
        assert all(command.startswith("3,") for command in sent(bench))

    on_bench(test, {"unit": 3})


@pytest.mark.parametrize(
    ("command", "kind"),
    [("TEMP?", kind) for kind in ("drop", "garble", "duplicate")] + [("MON?", kind) for kind in ("late", "half")],
)
def test_one_fault_on_the_wire_is_survived_and_reported_once(command: str, kind: str) -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.regulate(WARM)
        hear = bench.simulator._server.answer

        def listening(line: str) -> str | None:
            if line == command:
                bench.simulator._server.answer = hear
                bench.laboratory.inject("oven", kind, seconds=1.0)
            return hear(line)

        bench.simulator._server.answer = listening
        for _ in range(2):
            reading = await bench.driver.read()
            assert 293.0 < reading.temperature < 294.0
            assert reading.set_point == pytest.approx(WARM)
            assert reading.running
        assert len(bench.hiccups) == 1
        assert sent(bench).count("TYPE?") == 2

    on_bench(test)


def test_a_temperature_that_its_own_second_answer_denies_is_never_taken() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        bench.simulator._queries["TEMP?"] = lambda: "85.0,25.0,140.0,-50.0"
        with pytest.raises(Garbled, match=r"85\.0 degC and 20\.\d degC in one breath"):
            await bench.driver.read()

    on_bench(test)


def test_a_value_that_never_takes_is_a_fault_and_it_is_not_started() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        hear = bench.simulator._server.answer
        bench.simulator._server.answer = lambda line: f"OK:{line}" if line.startswith("TEMP,") else hear(line)
        with pytest.raises(TimedOut, match=r"answered with OK 3 times and never taken: set to 25\.0 degC"):
            await bench.driver.regulate(WARM)
        assert not bench.laboratory.chamber("oven").running

    on_bench(test)


def test_nobody_or_somebody_else_at_the_address() -> None:
    async def test(bench: Bench) -> None:
        bench.simulator._server.answer = lambda line: "+0,No error"
        with pytest.raises(NotIdentified, match="No error"):
            await bench.driver.connect()

    async def nobody(clock: LoopClock) -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        chamber = EspecChamber(context_of(clock, "oven", {"address": f"127.0.0.1:{port}"}, []))
        with pytest.raises(NotReachable, match=f"oven at socket://127.0.0.1:{port}"):
            await chamber.connect()
        await chamber.close()

    on_bench(test)
    run_virtual(nobody)


def test_what_it_remembers_survives_a_restart() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.regulate(WARM, LIMITS)
        again = EspecSimulator("oven", {}, bench.laboratory)
        again.restore(bench.simulator.save())
        assert again.save() == bench.simulator.save()

    on_bench(test)


def test_what_is_no_command_is_declined_in_the_documented_words() -> None:
    async def test(bench: Bench) -> None:
        hear = bench.simulator._hear
        assert hear("NONSENSE") == "NA:CMD ERR"
        assert hear("TEMP,X40.0") == "NA:PARA ERR"
        assert hear("TEMP,S400.0") == "NA:DATA OUT OF RANGE"
        assert hear("MODE,DANCE") == "NA:PARA ERR"
        assert hear("temp, s40.0 h60.0 l-10.0") == "OK:TEMP, S40.0 H60.0 L-10.0"
        assert hear("POWER,OFF") == "OK:POWER,OFF"
        assert hear("MODE?") == "OFF"
        assert hear("MON?,DETAIL") == "NA:CMD ERR"

    on_bench(test, {"controller": "SCP-220"})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"controller": "P-400"}, "P-300 or SCP-220"),
        ({"answer_within_s": 30}, "seconds from 0.1 to 3"),
        ({"address": "a b"}, "192.0.2.16 or COM3"),
        ({"serial": "9600"}, "write it like"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_opened(settings: dict[str, Any], words: str) -> None:
    async def main(clock: LoopClock) -> None:
        with pytest.raises(InstrumentError, match=words):
            EspecChamber(context_of(clock, "oven", {"address": "192.0.2.16", **settings}, []))

    run_virtual(main)
