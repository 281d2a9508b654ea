"""Matrices, several relays for one cell, wear, forbidden pairs, and the Keithley dialect, at the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from line_bench import Bench, context_of
from line_bench import on_bench as run_on_bench

from labctl.engine.clock import LoopClock, run_virtual
from labctl.errors import InstrumentError
from labctl.instruments import NotIdentified, OutOfRange, Refused, VendorAlarm, forbidden, read_leads, rivals
from labctl_drivers.scpi_multiplexer import ScpiMultiplexer
from labctl_simulators.scpi import ScpiMultiplexerSimulator

#: Two slots, each reached by two instruments.
LEADS = [
    {"relay": 101, "slot": "cabinet/1", "instrument": "zahner"},
    {"relay": 102, "slot": "cabinet/2", "instrument": "zahner"},
    {"relay": 105, "slot": "cabinet/1", "instrument": "other"},
    {"relay": 106, "slot": "cabinet/2", "instrument": "other"},
]
LABORATORY = {
    "cells": [
        {"id": "a", "barcode": "B1", "area_m2": 1e-4, "place": "cabinet/1"},
        {"id": "b", "barcode": "B2", "area_m2": 1e-4, "place": "cabinet/2"},
    ],
    "places": {
        "cabinet": {
            "count": 2,
            "leads": {
                "zahner": {"through": "mux", "relays": [101, 102]},
                "other": {"through": "mux", "relays": [105, 106]},
            },
        }
    },
}
#: A matrix: rows are a cell's four leads, columns are cells; the station names row 1.
MATRIX: dict[str, Any] = {"module": "34904A", "also": [10, 20, 30]}
COLUMNS = [111, 112, 113]


def on_bench(test: Callable[[Bench], Awaitable[None]], **settings: Any) -> None:
    run_on_bench(ScpiMultiplexer, ScpiMultiplexerSimulator, "mux", test, {"model": "34970A", **settings}, LABORATORY)


def contacts(bench: Bench) -> set[int]:
    closed = bench.simulator._cards.contacts
    assert isinstance(closed, set)
    return closed


# -- several relays for one cell --------------------------------------------------------------------------------------
def test_a_column_of_a_matrix_takes_all_four_leads_of_a_cell_at_once() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.switch(112, COLUMNS)
        assert contacts(bench) == {112, 122, 132, 142}
        assert bench.log_of("heard", "message")[-2] == "ROUT:CLOS (@112,122,132,142);*OPC?"
        assert await bench.driver.closed(COLUMNS) == {112}
        await bench.driver.switch(None, COLUMNS)
        assert contacts(bench) == set()

    on_bench(test, **MATRIX)


def test_a_cell_of_which_one_lead_is_still_closed_is_not_isolated() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        bench.simulator._hear("ROUT:CLOS (@133)")
        assert await bench.driver.closed(COLUMNS) == {113}

    on_bench(test, **MATRIX)


def test_a_cell_of_which_one_lead_does_not_close_is_taken_off_whole() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        with pytest.raises(VendorAlarm, match="112, 122, 132, 142 should be closed, 112, 122, 142 read back as closed"):
            await bench.driver.switch(112, COLUMNS)
        assert contacts(bench) == set()

    on_bench(test, **MATRIX, simulate={"broken": {"deaf": [132]}})


@pytest.mark.parametrize("relay", [151, 119, 110, 148 + 1])
def test_a_matrix_has_four_rows_and_eight_columns(relay: int) -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        with pytest.raises(OutOfRange, match=f"a 34904A has no relay {relay}"):
            await bench.driver.closed([148, relay])

    on_bench(test, module="34904A")


def test_channels_that_would_move_for_two_cells_are_refused_in_the_station() -> None:
    async def main(clock: LoopClock) -> None:
        settings = {"address": "TCPIP::127.0.0.1::1::SOCKET", "also": [5], "leads": LEADS}
        with pytest.raises(InstrumentError, match="would move channel 106 for relay 101 and for relay 106"):
            ScpiMultiplexer(context_of(clock, "mux", settings, []))

    run_virtual(main)


# -- wear -------------------------------------------------------------------------------------------------------------
def test_the_most_used_relays_are_shown() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        for relay in (101, 102, 101):
            await bench.driver.switch(relay, [101, 102])
        await bench.driver.switch(None, [101, 102])
        assert await bench.driver.wear([102, 101, 106]) == {101: 2, 102: 1, 106: 0}
        details = (await bench.driver.connect()).details
        assert details["wear"] == "101: 2 times, 102: 1 times, 105: 0 times"
        assert details["closed"] == "none"

    on_bench(test, leads=LEADS)


def test_a_unit_that_counts_no_wear_is_used_all_the_same() -> None:
    async def test(bench: Bench) -> None:
        hear = bench.simulator._server.answer
        bench.simulator._server.answer = lambda line: hear(line.replace("DIAG:REL", "DIAG:NONE"))
        assert (await bench.driver.connect()).details["wear"] == "not told"
        await bench.driver.switch(101, [101, 102])
        assert not bench.hiccups

    on_bench(test, leads=LEADS)


def test_a_unit_that_keeps_silent_about_its_cards_is_used_all_the_same() -> None:
    async def test(bench: Bench) -> None:
        hear = bench.simulator._server.answer
        bench.simulator._server.answer = lambda line: None if "CTYP" in line or "CYCL" in line else hear(line)
        details = (await bench.driver.connect()).details
        assert (details["cards"], details["wear"]) == ("not told", "not told")
        await bench.driver.switch(101, [101, 102])
        with pytest.raises(OutOfRange, match="a 34903A has no relay 121"):
            await bench.driver.closed([121])

    on_bench(test, leads=LEADS)


# -- what must never be closed together -------------------------------------------------------------------------------
def test_the_rule_knows_two_instruments_on_a_cell_and_two_cells_on_an_instrument() -> None:
    leads = read_leads(LEADS)
    assert forbidden(leads, {101, 106}) == ()
    assert forbidden(leads, {101, 105}) == ("relays 101 and 105 put zahner and other on cabinet/1 together",)
    assert forbidden(leads, {101, 102}) == ("relays 101 and 102 put zahner on cabinet/1 and cabinet/2 together",)
    assert rivals(leads, 101) == (101, 102, 105)


def test_a_relay_is_not_closed_beside_one_that_already_reaches_the_cell() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        bench.simulator._hear("ROUT:CLOS (@105)")
        with pytest.raises(Refused, match="101, 105 closed: relays 101 and 105 put zahner and other on cabinet/1"):
            await bench.driver.switch(101, [101, 102])
        assert contacts(bench) == {105}
        # One that does not clash stays as it is.
        await bench.driver.switch(102, [101, 102])
        assert contacts(bench) == {102, 105}

    on_bench(test, leads=LEADS)


def test_a_pair_that_reads_back_as_closed_is_taken_apart_and_an_alarm() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        hear = bench.simulator._server.answer

        def meddling(line: str) -> Any:
            if line.startswith("ROUT:CLOS "):
                bench.simulator._hear("ROUT:CLOS (@105)")
            return hear(line)

        bench.simulator._server.answer = meddling
        with pytest.raises(VendorAlarm, match="put zahner and other on cabinet/1 together; the whole group was opened"):
            await bench.driver.switch(101, [101, 102])
        assert contacts(bench) == {105}

    on_bench(test, leads=LEADS)


def test_a_unit_found_with_a_forbidden_pair_closed_is_refused_and_left_alone() -> None:
    async def test(bench: Bench) -> None:
        bench.simulator._hear("ROUT:CLOS (@101,102)")
        with pytest.raises(Refused, match="put zahner on cabinet/1 and cabinet/2 together") as refused:
            await bench.driver.connect()
        assert "ROUT:OPEN (@101:102)" in str(refused.value.hint)
        assert contacts(bench) == {101, 102}

    on_bench(test, leads=LEADS)


def test_two_relays_on_one_cell_are_a_violation_in_the_laboratory() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        bench.simulator._hear("ROUT:CLOS (@101,105)")
        violations = [(entry["kind"], entry["relays"]) for entry in bench.laboratory.violations]
        assert violations == [("two relays on one cell", [101, 105])]

    on_bench(test)


# -- the unit itself --------------------------------------------------------------------------------------------------
def test_a_unit_that_was_switched_off_meanwhile_is_reported() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.switch(101, [101, 102])
        await bench.simulator.lose_power()
        assert await bench.driver.closed([101, 102]) == frozenset()
        assert bench.hiccups[0].kind == "reboot"
        assert "was switched off and on again" in bench.hiccups[0].message

    on_bench(test, leads=LEADS)


def test_a_welded_contact_reads_back_as_open_and_still_reaches_its_cell() -> None:
    async def test(bench: Bench) -> None:
        await bench.driver.connect()
        await bench.driver.switch(101, [101, 102])
        bench.laboratory.break_down("mux", "stuck", relay=101)
        await bench.driver.switch(None, [101, 102])
        assert await bench.driver.closed([101, 102]) == frozenset()
        assert bench.laboratory.cell_on("zahner").id == "a"
        bench.laboratory.break_down("mux", "whole", relay=101)
        assert bench.laboratory.cell_on("zahner") is None

    on_bench(test)


def test_a_unit_whose_model_is_not_named_is_taken_by_its_own_name() -> None:
    async def test(bench: Bench) -> None:
        bench.simulator._identity = "Keysight Technologies,DAQ970A,MY58000001,A.03.02"
        assert (await bench.driver.connect()).model == "DAQ970A"
        bench.simulator._identity = "ACME,SW-1,0,1"
        await bench.simulator.lose_connections()
        with pytest.raises(NotIdentified, match="that is no unit it can drive"):
            await bench.driver.closed([101])

    on_bench(test, model=None)


# -- Keithley ---------------------------------------------------------------------------------------------------------
def test_a_keithley_is_spoken_to_in_its_own_words() -> None:
    async def test(bench: Bench) -> None:
        identity = await bench.driver.connect()
        assert (identity.model, identity.serial) == ("2700", "0840001")
        assert identity.details["cards"] == "slot 1: 7705, slot 2: empty"
        await bench.driver.switch(105, [105, 106])
        assert await bench.driver.wear([105, 106]) == {105: 1, 106: 0}
        assert bench.log_of("heard", "message") == [
            "*IDN?",
            "*ESR?;*CLS;:SYST:POS?",
            "*OPC?;:*OPT?",
            "*OPC?;:*OPT?",
            "ROUT:MULT:OPEN (@105:106);*OPC?",
            "SYST:ERR?;:ROUT:MULT:CLOS:STAT? (@105:106)",
            "ROUT:MULT:CLOS (@105);*OPC?",
            "SYST:ERR?;:ROUT:MULT:CLOS:STAT? (@105:106)",
            "*OPC?;:ROUT:CLOS:COUN? (@105:106)",
        ]
        assert contacts(bench) == {105}
        with pytest.raises(OutOfRange, match="slots 1 to 2"):
            await bench.driver.closed([301])

    on_bench(test, model="2700", simulate={"slots": [1]})


def test_a_keithley_that_powers_on_with_a_saved_setup_is_refused() -> None:
    async def test(bench: Bench) -> None:
        with pytest.raises(Refused, match=r"'SYST:POS\?' answers 'SAV0'") as refused:
            await bench.driver.connect()
        assert "SYST:POS RST" in str(refused.value.hint)

    on_bench(test, model="2700", simulate={"power_fail_recall": True})


KEITHLEY: list[tuple[str, str | None]] = [
    ("*IDN?", "KEITHLEY INSTRUMENTS INC.,MODEL 2700,0840001,B09"),
    ("*OPT?", "7705, 7705"),
    (":ROUTe:MULTiple:CLOSe (@101, 104)", None),
    ("rout:mult:clos:stat? (@101:104)", "1, 0, 0, 1"),
    ("ROUT:MULT:CLOS?", "(@101,104)"),
    ("ROUT:MULT:OPEN (@101);CLOS?", "(@104)"),
    ("ROUT:CLOS (@101)", None),  # no channel of this card measures
    ("ROUT:MULT:CLOS (@141)", None),
    ("SYST:ERR?;ERR?;ERR?", '-222,"Parameter data out of range";-222,"Parameter data out of range";0,"No error"'),
    ("ROUT:CLOS:COUN? (@101,102)", "1, 0"),
    ("ROUT:OPEN:ALL;MULT:CLOS?", None),  # the path is that of ROUT:OPEN:ALL
    ("ROUT:MULT:CLOS?", "(@)"),
    ("SYST:POS SAV0;POS?", "SAV0"),
]


def test_the_keithleys_language_by_a_plain_socket() -> None:
    async def test(bench: Bench) -> None:
        port = bench.simulator._server._server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for sent, expected in KEITHLEY:
                writer.write(f"{sent}\n".encode())
                if expected is not None:
                    assert (sent, await reader.readline()) == (sent, f"{expected}\n".encode())
        finally:
            writer.close()
            await writer.wait_closed()

    on_bench(test, model="2700")
