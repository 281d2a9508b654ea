"""The Julabo driver against its circulator at the wire, in virtual time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from line_bench import Bench, context_of
from line_bench import on_bench as run_on_bench

from labctl.engine.clock import LoopClock, run_virtual
from labctl.errors import InstrumentError
from labctl.instruments import (
    Garbled,
    NotIdentified,
    NotReachable,
    OutOfRange,
    Refused,
    TimedOut,
    VendorAlarm,
)
from labctl_drivers.julabo import JulaboChamber, classify
from labctl_drivers.serial_line import line_settings
from labctl_simulators.julabo import JulaboSimulator

ZERO = 273.15


def on_bench(test: Callable[[Bench], Awaitable[None]], **settings: Any) -> None:
    run_on_bench(JulaboChamber, JulaboSimulator, "oven", test, settings, {})


def sent(bench: Bench) -> list[str]:
    return bench.log_of("heard", "command")


def test_it_says_who_it_is() -> None:
    async def test(bench: Bench) -> None:
        identity = await bench.driver.connect()
        assert (identity.vendor, identity.model, identity.firmware) == ("JULABO", "FL300", "5.0")
        assert identity.address.startswith("socket://127.0.0.1:")
        assert identity.details["status"] == "02 REMOTE STOP"
        assert identity.details["control"] == "remote"

    on_bench(test)


def test_regulating_is_six_commands_in_this_order() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        before = len(sent(bench))
        await bench.driver.regulate(40.0 + ZERO)
        assert sent(bench)[before:] == [
            "status",
            "out_sp_00 40.00",
            "in_sp_00",
            "out_mode_05 1",
            "in_mode_05",
            "status",
        ]
        assert bench.laboratory.chamber("oven").running
        assert bench.laboratory.chamber("oven").set_point == pytest.approx(313.15)

    on_bench(test)


def test_reading_is_in_kelvin_and_in_the_vendors_words() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.regulate(313.15)
        await asyncio.sleep(7200.0)
        reading = await bench.driver.read()
        assert reading.temperature == pytest.approx(313.15, abs=0.05)
        assert reading.set_point == pytest.approx(313.15)
        assert reading.running
        assert reading.status == "03 REMOTE START"

    on_bench(test)


def test_commands_are_never_closer_than_the_manual_asks() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.regulate(313.15)
        await bench.driver.read()
        assert not bench.log_of("came too early", "command")
        times = bench.log_of("heard", "t")
        assert min(later - earlier for earlier, later in itertools.pairwise(times)) >= 0.25
        assert not bench.hiccups

    on_bench(test)


def test_stopping_twice_is_stopping_once() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.regulate(313.15)
        await bench.driver.stop()
        assert not bench.laboratory.chamber("oven").running
        before = len(sent(bench))
        await bench.driver.stop()
        assert sent(bench)[before:] == ["in_mode_05"]

    on_bench(test)


def test_under_control_of_its_panel_it_is_asked_for_nothing() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        before = len(sent(bench))
        with pytest.raises(Refused, match=r"panel.*remote control"):
            await bench.driver.regulate(313.15)
        assert sent(bench)[before:] == ["status"]

    on_bench(test, simulate={"panel": True})


@pytest.mark.parametrize(("celsius", "words"), [(200.0, "VALUE TOO LARGE"), (-60.0, "VALUE TOO SMALL")])
def test_a_set_point_it_cannot_reach_is_refused_in_its_own_words(celsius: float, words: str) -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        with pytest.raises(Refused, match=words):
            await bench.driver.regulate(celsius + ZERO)
        assert not bench.laboratory.chamber("oven").running
        assert not bench.hiccups

    on_bench(test)


def test_a_refusal_that_stood_before_is_not_taken_for_ours() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        bench.simulator._hear("nonsense")
        await asyncio.sleep(1.0)
        await bench.driver.regulate(313.15)
        assert bench.laboratory.chamber("oven").running

    on_bench(test)


def test_an_alarm_is_raised_verbatim_and_keeps_it_from_being_started() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        bench.laboratory.break_down("oven", "alarm")
        with pytest.raises(VendorAlarm, match="-01 LOW LEVEL ALARM"):
            await bench.driver.read()
        with pytest.raises(VendorAlarm):
            await bench.driver.regulate(313.15)
        assert not bench.laboratory.chamber("oven").running
        await bench.driver.stop()

    on_bench(test)


def test_a_warning_is_logged_once_and_work_goes_on() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.regulate(313.15)
        bench.simulator.alarm = "-03 EXCESS TEMPERATURE WARNING"
        for _ in range(2):
            assert (await bench.driver.read()).status == "-03 EXCESS TEMPERATURE WARNING"
        assert bench.log.said == [("chamber reports", {"status": "-03 EXCESS TEMPERATURE WARNING"})]

    on_bench(test)


def test_after_a_loss_of_mains_it_stands_and_is_not_started_silently() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.regulate(313.15)
        bench.laboratory.break_down("oven", "mains lost")
        assert not (await bench.driver.read()).running
        assert not bench.laboratory.chamber("oven").running
        assert bench.log.said[0][0] == "chamber stands although it was started here"

    on_bench(test)


def test_a_circulator_that_is_still_starting_after_a_loss_of_mains_is_waited_for() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.regulate(313.15)
        bench.laboratory.break_down("oven", "mains lost", seconds=0.5)
        assert not (await bench.driver.read()).running
        assert len(bench.hiccups) == 1

    on_bench(test)


def test_the_external_probe_is_read_where_the_station_says_so() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        before = len(sent(bench))
        assert (await bench.driver.read()).temperature == pytest.approx(293.15, abs=0.05)
        assert sent(bench)[before] == "in_pv_02"

    on_bench(test, simulate={"external_probe": True}, probe="external")


def test_a_probe_that_is_not_connected_is_an_alarm_and_no_number() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        with pytest.raises(VendorAlarm, match="no sensor"):
            await bench.driver.read()

    on_bench(test, probe="external")


def spoil(bench: Bench, when: str, kind: str) -> None:
    """Spoil the answer to the next command that begins with ``when``."""
    hear = bench.simulator._server.answer

    def listening(line: str) -> str | None:
        if line.startswith(when):
            bench.simulator._server.answer = hear
            bench.laboratory.inject("oven", kind)
        return hear(line)

    bench.simulator._server.answer = listening


@pytest.mark.parametrize(
    ("command", "kind"),
    [("in_pv_00", kind) for kind in ("drop", "garble", "silent", "late", "duplicate", "half")]
    + [("status", kind) for kind in ("drop", "garble", "duplicate")],
)
def test_one_fault_on_the_wire_is_survived_and_reported_once(command: str, kind: str) -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.regulate(313.15)
        spoil(bench, command, kind)
        for _ in range(2):
            reading = await bench.driver.read()
            assert 293.0 < reading.temperature < 294.0
            assert reading.set_point == pytest.approx(313.15)
            assert reading.running
        assert len(bench.hiccups) == 1
        assert bench.hiccups[0].instrument == "oven"
        assert sent(bench).count("version") == 2

    on_bench(test)


@pytest.mark.parametrize("kind", ["drop", "garble"])
@pytest.mark.parametrize("command", ["status", "in_sp_00", "in_mode_05"])
def test_a_fault_while_it_is_being_set_is_survived(kind: str, command: str) -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        spoil(bench, command, kind)
        await bench.driver.regulate(313.15)
        assert bench.laboratory.chamber("oven").set_point == pytest.approx(313.15)
        assert bench.laboratory.chamber("oven").running
        assert len(bench.hiccups) == 1

    on_bench(test)


def test_a_fault_while_connecting_is_survived() -> None:
    async def test(bench: Bench) -> None:
        bench.laboratory.inject("oven", "garble")
        assert (await bench.driver.connect()).vendor == "JULABO"
        assert len(bench.hiccups) == 1

    on_bench(test)


def test_a_command_lost_on_the_way_is_sent_again() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        hear = bench.simulator._server.answer
        lost: list[str] = []

        def lossy(line: str) -> str | None:
            if line.startswith("out_sp_00") and not lost:
                lost.append(line)
                return None
            return hear(line)

        bench.simulator._server.answer = lossy
        await bench.driver.regulate(313.15)
        assert bench.laboratory.chamber("oven").set_point == pytest.approx(313.15)
        assert [hiccup.kind for hiccup in bench.hiccups] == ["command lost"]

    on_bench(test)


def test_a_silent_circulator_is_a_fault_after_three_attempts() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        bench.simulator._server.answer = lambda line: None
        with pytest.raises(TimedOut, match="oven at socket://"):
            await bench.driver.read()

    on_bench(test)


def test_nobody_at_the_address() -> None:
    async def main(clock: LoopClock) -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        chamber = JulaboChamber(context_of(clock, "oven", {"address": f"socket://127.0.0.1:{port}"}, []))
        with pytest.raises(NotReachable, match=f"oven at socket://127.0.0.1:{port}"):
            await chamber.connect()
        await chamber.close()

    run_virtual(main)


def test_somebody_else_at_the_address() -> None:
    async def test(bench: Bench) -> None:
        bench.simulator._server.answer = lambda line: "HEWLETT-PACKARD,34970A,0,13-2-2"
        with pytest.raises(NotIdentified, match="34970A"):
            await bench.driver.connect()

    on_bench(test)


def test_a_caller_that_gives_up_leaves_no_stale_answer_behind() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        reading = asyncio.create_task(bench.driver.read())
        while not sent(bench)[-1].startswith("in_pv_00"):
            await asyncio.sleep(0.001)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert (await bench.driver.read()).set_point == pytest.approx(298.15)

    on_bench(test)


def test_what_the_circulator_remembers_survives_a_restart() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.regulate(313.15)
        again = JulaboSimulator("oven", {}, bench.laboratory)
        again.restore(bench.simulator.save())
        assert again.save() == bench.simulator.save()
        assert again._queries["in_sp_00"]() == "40.00"

    on_bench(test)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("03 REMOTE START", "state"),
        ("-01 LOW LEVEL ALARM", "alarm"),
        ("-14 EXCESS TEMPERATURE PROTECTOR ALARM", "alarm"),
        ("-20 WARNING: CLEAN CONDENSER", "warning"),
        ("-12 WARNING: VALUE EXCEEDS TEMPERATURE LIMITS", "warning"),
        ("-14 INVALID COMMAND", "declined"),
        ("-13 VALUE TOO LARGE", "declined"),
        ("-07 I2C-BUS WRITE ERROR", "alarm"),
    ],
)
def test_status_is_understood_by_its_words_and_not_by_its_number(status: str, kind: str) -> None:
    assert classify(status) == kind


def test_line_settings() -> None:
    assert line_settings("4800 7E1") == {"baudrate": 4800, "bytesize": 7, "parity": "E", "stopbits": 1}
    with pytest.raises(InstrumentError, match="4800 7E1"):
        line_settings("4800")


def test_an_old_unit_that_knows_capitals_alone_is_found_out_by_asking() -> None:
    async def test(bench: Bench) -> None:
        assert (await bench.driver.connect()).model == "FL300"
        await bench.driver.regulate(313.15)
        assert bench.laboratory.chamber("oven").running
        assert sent(bench)[1:4] == ["VERSION", "STATUS", "STATUS"]
        assert [hiccup.kind for hiccup in bench.hiccups] == ["timed out"]

    on_bench(test, simulate={"capitals": True})


def test_warning_limits_are_read_where_the_model_has_them_and_hold_back_a_set_point_beyond() -> None:
    async def test(bench: Bench) -> None:
        identity = await bench.driver.connect()
        assert identity.details["warning limits"] == "-5.00 to 45.00 degC"
        with pytest.raises(OutOfRange, match=r"-5.00 to 45.00 degC"):
            await bench.driver.regulate(60.0 + ZERO)
        assert not any(command.startswith("out_") for command in sent(bench))
        await bench.driver.regulate(40.0 + ZERO, (10.0 + ZERO, 42.0 + ZERO))
        assert bench.log.said[-1][0] == "the chamber's own limits are wider than the protocol's"

    on_bench(test, simulate={"model": "CF41", "warning_limits": [-5.0, 45.0]})


def test_a_temperature_that_no_bath_has_is_never_taken() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        hear = bench.simulator._server.answer
        bench.simulator._server.answer = lambda line: "850.00" if line == "in_pv_00" else hear(line)
        with pytest.raises(Garbled, match=r"850\.00"):
            await bench.driver.read()

    on_bench(test)
