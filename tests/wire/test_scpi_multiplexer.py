"""The multiplexer driver against its switch unit at the wire, and the unit's SCPI by a plain socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from line_bench import Bench, context_of
from line_bench import on_bench as run_on_bench

from labctl.engine.clock import LoopClock, run_virtual
from labctl.errors import InstrumentError
from labctl.instruments import NotIdentified, NotReachable, OutOfRange, Refused, TimedOut, VendorAlarm
from labctl_drivers.scpi_multiplexer import ScpiMultiplexer
from labctl_drivers.visa_line import where
from labctl_simulators.scpi import ScpiMultiplexerSimulator

GROUP = range(101, 109)
FAULTS = ["drop", "garble", "silent", "late", "duplicate", "half"]
LABORATORY = {
    "cells": [{"id": "bare-01", "barcode": "B1", "area_m2": 1e-4, "place": "cabinet/1"}],
    "places": {"cabinet": {"count": 8, "leads": {"zahner": {"through": "mux", "relays": "101-108"}}}},
}


def on_bench(test: Callable[[Bench], Awaitable[None]], **settings: Any) -> None:
    run_on_bench(ScpiMultiplexer, ScpiMultiplexerSimulator, "mux", test, {"model": "34970A", **settings}, LABORATORY)


def close_by_hand(bench: Bench, channels: str) -> None:
    """Close relays past the driver, as somebody at the front panel does."""
    assert bench.simulator._hear(f"ROUT:CLOS (@{channels})") is None


def heard(bench: Bench) -> list[str]:
    return bench.log_of("heard", "message")


def moves(bench: Bench) -> list[tuple[str, int]]:
    entries = bench.laboratory.records("mux")
    return [(entry["event"], entry["relay"]) for entry in entries if entry["event"] in ("opened", "closed")]


def spoil(bench: Bench, when: str, kind: str) -> None:
    """Spoil the answer to the next message that begins with ``when``."""
    hear = bench.simulator._server.answer

    def listening(line: str) -> str | None:
        if line.startswith(when):
            bench.simulator._server.answer = hear
            bench.laboratory.inject("mux", kind)
        return hear(line)

    bench.simulator._server.answer = listening


def test_it_says_who_it_is() -> None:
    async def test(bench: Bench) -> None:
        identity = await bench.driver.connect()
        assert (identity.vendor, identity.model, identity.serial) == ("HEWLETT-PACKARD", "34970A", "")
        assert identity.firmware == "13-2-2"
        assert identity.details == {
            "power_fail_recall": "off (0)",
            "cards": "slot 1: 34903A, slot 2: 34903A, slot 3: 34903A",
        }
        assert heard(bench) == [
            "*IDN?",
            "*ESR?;*CLS;:MEM:STAT:REC:AUTO?",
            *(f"*OPC?;:SYST:CTYP? {slot}00" for slot in (1, 2, 3, 1, 2, 3)),
        ]

    on_bench(test)


@pytest.mark.parametrize("model", ["34972A", "DAQ970A"])
def test_the_models_of_the_family(model: str) -> None:
    async def test(bench: Bench) -> None:
        assert (await bench.driver.connect()).model == model

    on_bench(test, model=model)


def test_relays_that_would_close_by_themselves_are_refused_with_what_to_send() -> None:
    async def test(bench: Bench) -> None:
        with pytest.raises(Refused, match=r"'MEM:STAT:REC:AUTO\?' answers '1': relays close by themselves") as refused:
            await bench.driver.connect()
        assert "send it 'MEM:STAT:REC:AUTO OFF'" in str(refused.value.hint)
        assert not [message for message in heard(bench) if "AUTO " in message]

    on_bench(test, simulate={"power_fail_recall": True})


def test_recall_that_is_accepted_is_said_and_is_only_changed_on_request() -> None:
    async def test(bench: Bench) -> None:
        identity = await bench.driver.connect()
        assert identity.details["power_fail_recall"].startswith("ON (1): relays close by themselves")
        assert [event for event, _ in bench.log.said] == ["power-fail recall is on"]
        await bench.driver.switch(101, GROUP)
        await bench.simulator.lose_power()
        assert await bench.driver.closed(GROUP) == {101}
        await bench.driver.forget_at_power_on()
        await bench.simulator.lose_power()
        assert await bench.driver.closed(GROUP) == frozenset()
        assert (await bench.driver.connect()).details["power_fail_recall"] == "off (0)"

    on_bench(test, simulate={"power_fail_recall": True}, power_fail_recall="warn")


def test_break_before_make() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.switch(103, GROUP)
        assert await bench.driver.closed(GROUP) == {103}
        await bench.driver.switch(105, GROUP)
        assert bench.laboratory.relays("mux") == {105}
        assert moves(bench) == [("closed", 103), ("opened", 103), ("closed", 105)]

    on_bench(test)


def test_switching_is_these_messages() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.switch(103, GROUP)
        assert heard(bench)[8:] == [
            "ROUT:OPEN (@101:108);*OPC?",
            "SYST:ERR?;:ROUT:CLOS? (@101:108)",
            "ROUT:CLOS (@103);*OPC?",
            "SYST:ERR?;:ROUT:CLOS? (@101:108)",
        ]

    on_bench(test)


def test_contacts_have_time_to_settle_before_one_closes() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.switch(103, GROUP)
        await bench.driver.switch(104, GROUP)
        at = {entry["event"]: entry["t"] for entry in bench.laboratory.records("mux")}
        assert at["closed"] - at["opened"] >= 0.02

    on_bench(test)


def test_opening_all_of_a_group_leaves_the_others_alone() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        close_by_hand(bench, "102,201")
        await bench.driver.switch(None, GROUP)
        assert bench.laboratory.relays("mux") == {201}
        assert await bench.driver.closed([201, 105, 102]) == {201}

    on_bench(test)


@pytest.mark.parametrize("relay", [100, 121, 401, 12, -101])
def test_a_relay_that_can_not_be_is_refused_before_anything_is_sent(relay: int) -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        before = len(bench.log_of("heard", "message"))
        with pytest.raises(OutOfRange, match="no relay"):
            await bench.driver.switch(relay, [relay])
        with pytest.raises(OutOfRange):
            await bench.driver.closed([101, relay])
        with pytest.raises(OutOfRange, match="not one of the group"):
            await bench.driver.switch(201, GROUP)
        assert len(bench.log_of("heard", "message")) == before

    on_bench(test)


def test_a_slot_without_relays_for_cells_is_refused_before_anything_is_sent() -> None:
    async def test(bench: Bench) -> None:
        identity = await bench.driver.connect()
        assert identity.details["cards"] == "slot 1: 34903A, slot 2: 34901A, slot 3: empty"
        before = len(heard(bench))
        with pytest.raises(OutOfRange, match="no relay 301: slot 3 holds no card"):
            await bench.driver.switch(301, [301, 302])
        with pytest.raises(OutOfRange, match="no relay 201: slot 2 holds a 34901A, which is none for switching cells"):
            await bench.driver.switch(201, [201])
        assert len(heard(bench)) == before

    on_bench(test, simulate={"slots": [1], "cards": {2: "34901A"}})


def test_a_relay_that_the_station_names_and_the_unit_has_not_is_found_at_connect() -> None:
    async def test(bench: Bench) -> None:
        with pytest.raises(OutOfRange, match="no relay 201: slot 2 holds a 34904A, and the station names a 34903A"):
            await bench.driver.connect()

    leads = [{"relay": 201, "slot": "cabinet/1", "instrument": "zahner"}]
    on_bench(test, module="34903A", leads=leads, simulate={"cards": {2: "34904A"}})


def test_an_illegal_channel_that_gets_through_is_refused_in_the_instruments_words() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        bench.simulator._cards.channels = frozenset(range(101, 121))
        with pytest.raises(Refused, match=r"111.*; \+?111.*slot number out of range"):
            await bench.driver.switch(301, [301, 302])
        assert bench.laboratory.relays("mux") == set()
        await bench.driver.switch(101, GROUP)
        assert bench.laboratory.relays("mux") == {101}

    on_bench(test)


def test_old_errors_are_not_taken_for_ours() -> None:
    async def test(bench: Bench) -> None:
        for _ in range(20):
            bench.simulator._hear("NONSENSE")
        await bench.driver.connect()
        await bench.driver.switch(101, GROUP)

    on_bench(test)


def test_a_whole_queue_of_errors_is_read_out() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        for _ in range(20):
            bench.simulator._hear("NONSENSE")
        with pytest.raises(Refused, match=r"-113.*-350"):
            await bench.driver.closed(GROUP)
        assert await bench.driver.closed(GROUP) == frozenset()

    on_bench(test)


def test_an_error_queue_without_an_end_is_left_after_fifty() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        hear = bench.simulator._server.answer

        def complaining(line: str) -> str | None:
            bench.simulator._hear("NONSENSE")
            return hear(line)

        bench.simulator._server.answer = complaining
        with pytest.raises(Refused):
            await bench.driver.closed(GROUP)
        assert len(bench.log_of("heard", "message")) < 2 * 60

    on_bench(test)


def test_a_relay_that_does_not_close_is_an_alarm_and_leaves_all_open() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        with pytest.raises(VendorAlarm, match="104 should be closed, none read back as closed"):
            await bench.driver.switch(104, GROUP)
        assert bench.laboratory.relays("mux") == set()

    on_bench(test, simulate={"broken": {"deaf": [104]}})


def test_a_relay_that_does_not_open_is_an_alarm_and_nothing_is_closed() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()

        await bench.driver.switch(102, GROUP)
        bench.laboratory.break_down("mux", "deaf", relay=102)
        with pytest.raises(VendorAlarm, match="102 read back as closed; 102 still read back as closed"):
            await bench.driver.switch(104, GROUP)
        assert bench.laboratory.relays("mux") == {102}

    on_bench(test)


@pytest.mark.parametrize(
    ("message", "kind"),
    [("ROUT:CLOS ", kind) for kind in FAULTS]
    + [(message, kind) for message in ("ROUT:OPEN", "SYST:ERR?") for kind in ("drop", "garble", "duplicate")],
)
def test_one_fault_while_switching_is_survived_and_reported_once(message: str, kind: str) -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.switch(102, GROUP)
        spoil(bench, message, kind)
        await bench.driver.switch(103, GROUP)
        assert await bench.driver.closed(GROUP) == {103}
        assert len(bench.hiccups) == 1
        # The relay closed once, whatever became of the answer.
        assert moves(bench) == [("closed", 102), ("opened", 102), ("closed", 103)]

    on_bench(test)


def test_one_fault_while_looking_is_survived() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        close_by_hand(bench, "107")
        bench.laboratory.inject("mux", "garble")
        assert await bench.driver.closed(GROUP) == {107}
        assert [hiccup.kind for hiccup in bench.hiccups] == ["garbled"]

    on_bench(test)


def test_one_state_that_was_read_wrong_is_not_believed() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        hear = bench.simulator._server.answer

        def wrong_once(line: str) -> str | None:
            bench.simulator._server.answer = hear
            return str(hear(line)).replace(";0,0", ";1,0")

        bench.simulator._server.answer = wrong_once
        assert await bench.driver.closed(GROUP) == frozenset()
        assert [hiccup.kind for hiccup in bench.hiccups] == ["garbled"]

    on_bench(test)


def test_a_fault_while_connecting_is_survived() -> None:
    async def test(bench: Bench) -> None:
        bench.laboratory.inject("mux", "garble")
        assert (await bench.driver.connect()).model == "34970A"
        assert len(bench.hiccups) == 1

    on_bench(test)


def test_a_power_failure_is_survived_and_all_is_switched_anew() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.switch(102, GROUP)
        await bench.simulator.lose_power()
        assert await bench.driver.closed(GROUP) == frozenset()
        await bench.driver.switch(103, GROUP)
        assert bench.laboratory.relays("mux") == {103}

    on_bench(test)


def test_a_silent_unit_is_a_fault_after_three_attempts() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        bench.simulator._server.answer = lambda line: None
        with pytest.raises((TimedOut, NotReachable), match=r"mux at 127\.0\.0\.1"):
            await bench.driver.closed(GROUP)

    on_bench(test)


def test_nobody_at_the_address() -> None:
    async def main(clock: LoopClock) -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        settings = {"address": f"TCPIP::127.0.0.1::{port}::SOCKET", "model": "34970A"}
        multiplexer = ScpiMultiplexer(context_of(clock, "mux", settings, []))
        with pytest.raises(NotReachable, match=f"mux at 127.0.0.1:{port}"):
            await multiplexer.connect()
        await multiplexer.close()

    run_virtual(main)


def test_another_model_at_the_address() -> None:
    async def test(bench: Bench) -> None:
        bench.simulator._identity = "KEITHLEY INSTRUMENTS INC.,MODEL 2700,0,B09"
        with pytest.raises(NotIdentified, match="34970A"):
            await bench.driver.connect()

    on_bench(test)


def test_a_relay_moved_under_current_is_a_violation() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        cell = bench.laboratory.cells["bare-01"]
        await bench.driver.switch(101, GROUP)
        assert not bench.laboratory.violations
        assert bench.laboratory.cell_on("zahner") is cell
        bench.laboratory.source_on(cell, "zahner")
        await bench.driver.switch(None, GROUP)
        bench.laboratory.source_off(cell, "zahner")
        assert [entry["kind"] for entry in bench.laboratory.violations] == ["relay moved under current"]

    on_bench(test)


@pytest.mark.parametrize("setting", [{"model": "7001"}, {"module": "34901A"}, {"address": "192.0.2.13"}])
def test_settings_it_does_not_know(setting: dict[str, str]) -> None:
    async def main(clock: LoopClock) -> None:
        with pytest.raises(InstrumentError, match=r"one of 349|one of 34903A|such as TCPIP"):
            ScpiMultiplexer(context_of(clock, "mux", {"address": "TCPIP::127.0.0.1::1::SOCKET", **setting}, []))

    run_virtual(main)


def test_a_matrix_counts_rows_and_columns() -> None:
    async def main(clock: LoopClock) -> None:
        settings = {"address": "TCPIP::127.0.0.1::1::SOCKET", "module": "34904A"}
        multiplexer = ScpiMultiplexer(context_of(clock, "mux", settings, []))
        with pytest.raises(OutOfRange, match="no relay 119"):
            await multiplexer.closed([132, 119])

    run_virtual(main)


def test_addresses_as_people_know_them() -> None:
    assert where("TCPIP::192.0.2.13::5025::SOCKET") == "192.0.2.13:5025"
    assert where("ASRL3::INSTR") == "ASRL3::INSTR"


DIALOGUE: list[tuple[str, str | None]] = [
    ("*IDN?", "HEWLETT-PACKARD,34970A,0,13-2-2"),
    ("rout:close (@101,103:104)", None),
    (":ROUTe:CLOSe? (@101:105)", "1,0,1,1,0"),
    ("ROUT:OPEN (@103);CLOS? (@101:105)", "1,0,0,1,0"),
    ("ROUT:OPEN? (@101,102)", "0,1"),
    ("ROUT:CLOS:EXCL (@110);*OPC?;CLOS? (@101)", "1"),  # the path is that of ROUT:CLOS:EXCL
    ("SYST:ERR?", '-113,"Undefined header"'),
    ("ROUT:CLOS? (@101,110)", "0,1"),
    ("ROUT:DONE?", "1"),
    ("ROUT:CLO (@101)", None),
    ("syst:error?;:SYST:ERR?", '-113,"Undefined header";+0,"No error"'),
    ("ROUT:CLOS (@101,121,122)", None),
    ("ROUT:CLOS? (@101)", "0"),
    (
        "SYST:ERR?;ERR?;ERR?",
        '+112,"Channel list: channel number out of range";'
        '+112,"Channel list: channel number out of range";+0,"No error"',
    ),
    ("ROUT:CLOS? (@150)", None),
    ("*ESR?", "+168"),
    ("*ESR?", "+0"),
    ("*CLS;:SYST:ERR?", '+0,"No error"'),
    ("SYST:CTYP? 100", "HEWLETT-PACKARD,34903A,0,1.0"),
    ("MEM:STAT:REC:AUTO ON;AUTO?", "1"),
    ("MEM:STAT:REC:AUTO MAYBE", None),
    ("ROUT:CLOS 101;OPEN", None),
    ("SYST:ERR?;ERR?;ERR?", '-224,"Illegal parameter value";-102,"Syntax error";-109,"Missing parameter"'),
    ("DIAG:REL:CYCL? (@101,102,110)", "+1,+0,+1"),
    ("*RST;:ROUT:CLOS? (@101:110)", "0,0,0,0,0,0,0,0,0,0"),
    ("*OPC;*ESR?", "+49"),
]


def test_the_units_language_by_a_plain_socket() -> None:
    async def test(bench: Bench) -> None:
        # Past the proxy: nothing of ours is between this client and the unit.
        port = bench.simulator._server._server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for sent, expected in DIALOGUE:
                writer.write(f"{sent}\n".encode())
                if expected is not None:
                    assert (sent, await reader.readline()) == (sent, f"{expected}\n".encode())
        finally:
            writer.close()
            await writer.wait_closed()

    on_bench(test)


def test_what_the_unit_remembers_survives_a_restart() -> None:
    async def test(bench: Bench) -> None:
        bench.simulator._hear("ROUT:CLOS (@101);:NONSENSE;:MEM:STAT:REC:AUTO ON")
        bench.laboratory.break_down("mux", "welded", relay=103)
        again = ScpiMultiplexerSimulator("mux", {}, bench.laboratory)
        again.restore(bench.simulator.save())
        assert again.save() == bench.simulator.save()
        assert bench.laboratory.relays("mux") == {101, 103}
        assert again._hear("ROUT:CLOS? (@101);:DIAG:REL:CYCL? (@101);:SYST:ERR?") == '1;+1;-113,"Undefined header"'

    on_bench(test)
