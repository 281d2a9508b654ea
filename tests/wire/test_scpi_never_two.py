"""Whatever is asked of a multiplexer, and whatever happens to it: never two instruments on one cell."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from line_bench import Bench, on_bench

from labctl.errors import InstrumentError
from labctl.instruments import forbidden, read_leads, rivals
from labctl_drivers import visa_line
from labctl_drivers.scpi_multiplexer import ScpiMultiplexer
from labctl_simulators.scpi import ScpiMultiplexerSimulator

RELAYS = (101, 102, 105, 106)
ENTRIES = [
    {"relay": relay, "slot": f"cabinet/{slot}", "instrument": instrument}
    for relay, slot, instrument in zip(RELAYS, (1, 2, 1, 2), ("zahner", "zahner", "other", "other"), strict=True)
]
LEADS = read_leads(ENTRIES)
LABORATORY: dict[str, Any] = {"cells": [], "places": {}}

relays = st.sampled_from(RELAYS)
events = st.one_of(
    st.tuples(st.just("connect"), relays),
    st.tuples(st.just("connect"), relays),
    st.tuples(st.just("isolate"), relays),
    st.tuples(st.just("fault"), st.sampled_from(("garble", "duplicate", "drop", "half"))),
    st.tuples(st.just("reboot"), st.booleans()),
    st.tuples(st.just("broken"), relays),
    st.tuples(st.just("mended"), relays),
    st.tuples(st.just("by hand"), relays),
)


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost answers are waited for in real time; here they are waited for less."""
    monkeypatch.setattr(visa_line, "ANSWER_WITHIN", 60)


async def happen(bench: Bench, what: str, detail: Any) -> None:
    if what == "connect":
        await bench.driver.switch(detail, rivals(LEADS, detail))
    elif what == "isolate":
        await bench.driver.switch(None, rivals(LEADS, detail))
    elif what == "fault":
        bench.laboratory.inject("mux", detail)
    elif what == "reboot":
        bench.laboratory.break_down("mux", "recall", on=detail)
        await bench.simulator.lose_power()
    elif what == "by hand":
        # Somebody at the front panel, who breaks no rule.
        if not forbidden(LEADS, {detail, *bench.simulator._cards.contacts}):
            bench.simulator._hear(f"ROUT:CLOS (@{detail})")
    else:
        bench.laboratory.break_down("mux", "deaf" if what == "broken" else "whole", relay=detail)


def ever_closed_together(bench: Bench) -> list[set[int]]:
    """What was closed after each movement, by the unit's own log of its contacts."""
    closed: set[int] = set()
    states = []
    for entry in bench.laboratory.records("mux"):
        if entry["event"] == "closed":
            closed.add(entry["relay"])
        elif entry["event"] == "opened":
            closed.discard(entry["relay"])
        states.append(set(closed))
    return states


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(events, min_size=3, max_size=10))
@example([("connect", 101), ("broken", 101), ("connect", 105), ("reboot", True), ("connect", 102)])
@example([("connect", 101), ("fault", "drop"), ("connect", 105), ("fault", "garble"), ("isolate", 105)])
@example([("by hand", 105), ("fault", "half"), ("connect", 101), ("reboot", False), ("connect", 106)])
def test_no_course_of_events_puts_two_instruments_on_one_cell(short_patience: None, course: list[Any]) -> None:
    async def test(bench: Bench) -> None:
        for what, detail in course:
            try:
                await happen(bench, what, detail)
            except InstrumentError:
                # Refused, or given up: what counts is what moved.
                continue
        states = ever_closed_together(bench)
        assert [pair for state in states for pair in forbidden(LEADS, state)] == []

    on_bench(
        ScpiMultiplexer,
        ScpiMultiplexerSimulator,
        "mux",
        test,
        {"model": "34970A", "leads": ENTRIES, "power_fail_recall": "warn"},
        LABORATORY,
    )
