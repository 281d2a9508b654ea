"""``labctl explain`` answers for every kind of step and in every state: what, since when, for whom, what next."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from explained import CELL, GOOD, Laboratory, Told

from labctl.engine.explain import explain
from labctl.errors import UsageError
from labctl.instruments import TransferRequest
from labctl.station import read_station

KEYS = {
    "schema",
    "cell",
    "campaign",
    "mode",
    "state",
    "doing",
    "since",
    "waits_for",
    "held_by",
    "wanted",
    "last",
    "next",
    "limits",
    "if_power_fails",
    "advice",
}
KINDS = ["rest", "charge", "discharge", "hold", "nutation", "nmr", "eis"]
STATUSES = ["requested", "leased", "intent", "running", "fetched", "done", "needs_operator", "failed", "aborted"]


@dataclass(frozen=True)
class Seen:
    at: str = "2026-01-05T08:00:00+00:00"
    values: Mapping[str, float] = field(default_factory=dict)
    remaining: float | None = None
    message: str = ""
    request: Mapping[str, Any] | None = None


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    made = Laboratory(tmp_path)
    yield made
    made.close()


def at(laboratory: Laboratory, kind: str, status: str, label: str | None = None, **more: Any) -> dict[str, Any]:
    """Explain a cell whose step of this kind has come to this status."""
    planned = laboratory.step(kind, label)
    laboratory.until(planned)
    laboratory.bring(planned.path, kind, status, **more)
    return laboratory.ask()


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_in_every_status_is_answered_in_whole_sentences(
    laboratory: Laboratory, kind: str, status: str
) -> None:
    for told in (at(laboratory, kind, status), laboratory.last_word()):
        assert told.keys() >= KEYS
        assert told["schema"] == "labctl.explain/1"
        assert told["mode"] == "simulated"
        assert told["doing"] and told["if_power_fails"].endswith(".")
        assert "None" not in told["doing"] + told["if_power_fails"]
        assert datetime.fromisoformat(told["since"]).tzinfo is not None
        json.dumps(told, allow_nan=False)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("rest", "resting on maccor channel 1 at open circuit for 12 h"),
        ("charge", "charging on maccor channel 1 at 0.2 mA to 4.3 V, at most 16 h"),
        ("discharge", "discharging on maccor channel 1 at 0.6 mA to 3 V, at most 8 h"),
        (
            "hold",
            "holding 3 V on maccor channel 9 at 40 degC with at most 3 mA until the current is below 1 uA for 60 s, "
            "at most 24 h",
        ),
        ("nutation", "calibrating the pulse for 'charged' in topspin, 8 pulse lengths of 64 scans, about 4.55 min"),
        ("nmr", "taking the 7Li NMR spectrum 'pristine' in topspin, 1024 scans, about 9.1 min"),
        (
            "eis",
            "taking the impedance spectrum 'charged' with zahner behind relay 101 of mux, 300 kHz to 0.1 Hz after "
            "30 min of rest",
        ),
    ],
)
def test_a_running_step_is_said_with_its_instrument_and_its_units(
    laboratory: Laboratory, kind: str, words: str
) -> None:
    told = at(laboratory, kind, "running")
    assert told["doing"] == words
    assert (told["state"], told["waits_for"], told["advice"], told["held_by"]) == ("under way", None, None, [])


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("rest", ["Nothing flows", "maccor goes on with the rest", "after 12 h"]),
        ("charge", ["maccor's own program and its own limits go on", "ends that at 4.3 V, or after 16 h", "attaches"]),
        ("discharge", ["ends that at 3 V, or after 8 h"]),
        ("hold", ["ends that below 1 uA, or after 24 h", "oven keeps 40 degC", "ages"]),
        ("nmr", ["open circuit in the probe", "the acquisition goes on in topspin", "fetched at the next start"]),
        ("nutation", ["measured to its end in topspin", "the others wait for labctl"]),
        ("eis", ["goes on in zahner to its end", "relay 101 of mux stays closed", "only zahner's own limits"]),
    ],
)
def test_without_power_each_kind_of_step_goes_its_own_way(laboratory: Laboratory, kind: str, parts: list[str]) -> None:
    for told in (at(laboratory, kind, "running"), laboratory.last_word()):
        for part in parts:
            assert part in told["if_power_fails"]


@pytest.mark.parametrize("kind", ["rest", "charge"])
def test_the_relay_of_a_cycler_behind_a_multiplexer_is_named(laboratory: Laboratory, kind: str) -> None:
    text = (GOOD / "station.yaml").read_text()
    text = text.replace("{maccor: 1-8, zahner", "{maccor: {through: mux, relays: 201-208, channels: 1-8}, zahner")
    laboratory.station = read_station(text, "station.yaml")
    for told in (at(laboratory, kind, "running"), laboratory.last_word()):
        assert "on maccor channel 1 behind relay 201 of mux" in told["doing"]
        assert "relay 201 of mux stays closed" in told["if_power_fails"]


def test_a_step_that_is_to_stop_without_labctl_says_so(laboratory: Laboratory) -> None:
    charge = laboratory.step("charge")
    laboratory.plan = tuple(
        replace(one, on_controller_loss="stop") if one is charge else one for one in laboratory.plan
    )
    assert "watchdog ends the step" in at(laboratory, "charge", "running")["if_power_fails"]


@pytest.mark.parametrize(
    ("status", "part"),
    [
        ("requested", "its place in the queue is kept"),
        ("leased", "the next start goes on with c001/01-charge"),
        ("intent", "attaches if it runs, and starts nothing twice"),
        ("fetched", "the data of c001/01-charge are stored"),
        ("done", "the next start goes on with c001/02-nutation-charged"),
        ("needs_operator", "nothing is started before somebody has decided"),
    ],
)
def test_without_power_each_status_is_taken_up_in_its_own_way(laboratory: Laboratory, status: str, part: str) -> None:
    assert part in at(laboratory, "charge", status)["if_power_fails"]


def test_limits_are_those_in_force_while_current_may_flow(laboratory: Laboratory) -> None:
    assert at(laboratory, "charge", "requested")["limits"] is None
    laboratory.journal.leased("dead-lithium-1/bare-01/c001/01-charge/a1", ["cabinet/1", "maccor:1"])
    laboratory.journal.intent("dead-lithium-1/bare-01/c001/01-charge/a1")
    assert laboratory.ask()["limits"].startswith("2.8 V to 4.4 V, 5 mA either way, 16 h at most")


def test_what_comes_next_names_the_instrument_and_the_deadline(laboratory: Laboratory) -> None:
    told = at(laboratory, "charge", "running")
    assert told["next"] == [
        {"step": "c001/02-nutation-charged", "kind": "nutation", "instrument": "topspin", "start_within_s": 7200.0},
        {"step": "c001/02-nmr-charged", "kind": "nmr", "instrument": "topspin", "start_within_s": 7200.0},
        {"step": "c001/03-eis-charged", "kind": "eis", "instrument": "zahner", "start_within_s": None},
    ]
    assert told["last"]["step"] == "c000/02-nmr-pristine"


def test_what_was_last_carries_how_it_ended(laboratory: Laboratory) -> None:
    result = {"status": "timeout", "ended": "2026-01-05T07:00:00+00:00", "voltage_V": 3.05}
    told = at(laboratory, "hold", "done", result=result)
    assert told["last"] == {
        "step": "c001/07-hold",
        "status": "timeout",
        "ended": "2026-01-05T07:00:00+00:00",
        "voltage_V": 3.05,
    }
    assert told["next"][0]["step"] == "c001/08-nmr-dead"


def test_live_values_are_shown_with_their_units(laboratory: Laboratory) -> None:
    at(laboratory, "charge", "running")
    seen = Seen(values={"voltage_V": 3.912, "current_A": 2e-4}, remaining=11_000.0)
    told = laboratory.ask(live={CELL: seen})["doing"]
    assert told.endswith("; now 3.912 V, 0.2 mA"), "when a first charge ends nobody knows"


def test_what_ends_by_time_is_said_to_be_left(laboratory: Laboratory) -> None:
    at(laboratory, "rest", "running")
    seen = Seen(values={"voltage_V": 2.97}, remaining=11_000.0)
    assert laboratory.ask(live={CELL: seen})["doing"].endswith("; now 2.97 V, about 3.06 h left")


# -- waiting -----------------------------------------------------------------------------------------------------------
def test_who_holds_what_a_cell_waits_for_is_named_with_its_resource_and_since_when(laboratory: Laboratory) -> None:
    other = laboratory.bring("c000/02-nmr-pristine", "nmr", "running", cell="bare-02")
    told = at(laboratory, "nmr", "requested")
    assert told["waits_for"] == "topspin"
    assert told["doing"].startswith("waiting for its turn before taking the 7Li NMR spectrum")
    expected = [
        {"operation": other.operation, "cell": "bare-02", "resource": name, "since": other.times["leased"]}
        for name in ("probe/1", "topspin")
    ]
    assert sorted(told["held_by"], key=lambda one: str(one["resource"])) == expected
    assert laboratory.last_word()["held_by"] == told["held_by"]
    assert laboratory.ask(held_by=[(other.operation, "topspin")])["held_by"] == expected[1:]


def test_a_chamber_at_another_temperature_is_what_a_cell_waits_for(laboratory: Laboratory) -> None:
    name = "dead-lithium-1/bare-02/c001/07-hold/a1"
    request = {"campaign": "dead-lithium-1", "cell": "bare-02", "step": "c001/07-hold", "kind": "hold"}
    laboratory.journal.request(name, **request, attempt=1, token="t-other")
    laboratory.journal.leased(name, ["maccor:16", "oven/8", "oven=333.15 K"])
    told = at(laboratory, "hold", "requested")
    assert told["waits_for"] == "a channel of maccor at 40 degC"
    assert "oven=333.15 K" in {one["resource"] for one in told["held_by"]}


def test_sharing_a_chamber_at_one_temperature_is_no_waiting(laboratory: Laboratory) -> None:
    name = "dead-lithium-1/bare-02/c001/07-hold/a1"
    request = {"campaign": "dead-lithium-1", "cell": "bare-02", "step": "c001/07-hold", "kind": "hold"}
    laboratory.journal.request(name, **request, attempt=1, token="t-other")
    laboratory.journal.leased(name, ["maccor:16", "oven/8", "oven=313.15 K"])
    told = at(laboratory, "hold", "requested")
    assert {one["resource"] for one in told["held_by"]} == {"maccor:16", "oven/8"}


def test_the_orchestrators_own_word_on_what_is_waited_for_goes_first(laboratory: Laboratory) -> None:
    at(laboratory, "nmr", "leased")
    assert laboratory.ask(waits_for={CELL: "oven at 40 degC"})["waits_for"] == "oven at 40 degC"


def transfer(laboratory: Laboratory, status: str) -> None:
    nmr = laboratory.step("nmr")
    at(laboratory, "nmr", "leased")
    laboratory.bring(f"{nmr.path}/to-probe-1", "transfer", status)


def test_a_cell_that_is_to_be_moved_says_how_to_do_it_and_how_to_confirm(laboratory: Laboratory) -> None:
    transfer(laboratory, "running")
    request = TransferRequest("t", CELL, "B0001", "cabinet/1", "probe/1", ("disconnect", "unclamp"), "")
    told = laboratory.ask(requests=[replace(request, cell="bare-02", barcode="B0002"), request])
    assert told["doing"] == "to be moved from cabinet/1 to probe/1, for c000/02-nmr-pristine"
    assert told["waits_for"] == "a person who moves it and confirms with its barcode"
    assert told["advice"] == (
        "bring bare-01 from cabinet/1 to probe/1 (disconnect, unclamp), then 'labctl confirm bare-01 --barcode B0001'"
    )
    assert "the request to move it stands" in told["if_power_fails"]


def test_a_move_for_which_nobody_has_time_waits_for_a_person(laboratory: Laboratory) -> None:
    transfer(laboratory, "requested")
    told = laboratory.ask()
    assert told["waits_for"] == "a person who has time to move it"
    assert told["advice"] is None


def test_an_instrument_that_a_person_runs_shows_what_is_asked_and_what_differs(laboratory: Laboratory) -> None:
    at(laboratory, "nmr", "running")
    request = {"instruction": "run zg with NS 1024", "folder": "drop/t", "differs": ["NS: 512 found, 1024 asked"]}
    told = laboratory.ask(live={CELL: Seen(request=request)})
    assert told["advice"] == (
        "run zg with NS 1024; the file goes into drop/t and is taken in by itself; what was dropped differs: "
        "NS: 512 found, 1024 asked"
    )


# -- what people want --------------------------------------------------------------------------------------------------
def test_a_step_that_failed_offers_retry_skip_and_abort(laboratory: Laboratory) -> None:
    at(laboratory, "charge", "failed", error="4.45 V, above 4.42 V")
    laboratory.told[CELL] = Told("held")
    told = laboratory.ask()
    assert told["doing"] == "held: c001/01-charge: 4.45 V, above 4.42 V"
    assert told["since"] == Told().at
    for command in ("labctl retry bare-01", "labctl skip bare-01", "labctl abort bare-01"):
        assert command in told["advice"]
    assert told["next"][0]["step"] == "c001/01-charge"


def test_a_failed_step_leaves_the_cell_as_its_protocol_says(laboratory: Laboratory) -> None:
    charge = laboratory.step("charge")
    laboratory.plan = tuple(replace(one, on_failure="isolate") if one is charge else one for one in laboratory.plan)
    at(laboratory, "charge", "failed")
    laboratory.told[CELL] = Told("held")
    assert "at open circuit, its relay open" in laboratory.ask()["if_power_fails"]


def test_a_cell_that_a_person_holds_says_who_why_and_how_it_goes_on(laboratory: Laboratory) -> None:
    at(laboratory, "charge", "done")
    laboratory.told[CELL] = Told("held", reason="lunch", by="ana")
    told = laboratory.ask()
    assert told["doing"] == "held by ana: lunch"
    assert told["waits_for"] == "a person's decision"
    assert "'labctl resume bare-01' lets it go on with c001/02-nutation-charged" in told["advice"]


def test_what_runs_on_while_a_cell_is_held_is_said(laboratory: Laboratory) -> None:
    at(laboratory, "nmr", "running")
    laboratory.told[CELL] = Told("held", by="ana")
    told = laboratory.ask()
    assert told["doing"].startswith("held by ana; meanwhile taking the 7Li NMR spectrum")
    assert "the acquisition goes on" in told["if_power_fails"]


@pytest.mark.parametrize("seen", [Seen(values={"voltage_V": 3.9, "current_A": 0.0}, message="suspended"), None])
def test_a_step_that_was_interrupted_is_not_said_to_flow(laboratory: Laboratory, seen: Seen | None) -> None:
    at(laboratory, "charge", "running")
    laboratory.told[CELL] = Told("held", reason="lunch", by="ana")
    told = laboratory.ask(live={CELL: seen}) if seen is not None else laboratory.last_word()
    assert told["doing"].startswith("held by ana: lunch; charging on maccor channel 1")
    assert "is interrupted, at open circuit" in told["doing"]
    assert told["if_power_fails"].startswith("bare-01 stays at open circuit: its step is interrupted")
    assert told["limits"] is None


def test_what_was_asked_and_not_carried_out_yet_is_said(laboratory: Laboratory) -> None:
    at(laboratory, "charge", "running")
    laboratory.told[CELL] = Told(wanted="hold", by="ana")
    assert laboratory.ask()["wanted"] == "hold"


@pytest.mark.parametrize("state", ["finished", "stopped", "aborted"])
def test_a_cell_at_its_end_has_nothing_before_it(laboratory: Laboratory, state: str) -> None:
    at(laboratory, "charge", "done")
    laboratory.told[CELL] = Told(state, reason="leaks", by="ana")
    told = laboratory.ask()
    assert told["doing"] == f"{state} by ana: leaks"
    assert (told["next"], told["advice"], told["waits_for"], told["limits"]) == ([], None, None, None)
    assert told["if_power_fails"].startswith("Nothing: ")


def test_a_step_left_out_is_behind_the_cell(laboratory: Laboratory) -> None:
    at(laboratory, "charge", "done")
    nutation = laboratory.step("nutation")
    row = laboratory.bring(nutation.path, "nutation", "requested")
    skipped = replace(
        row, status=type(row.status)("aborted"), result={"skipped": True}, times={"aborted": row.times["requested"]}
    )
    left_out = LeftOut(laboratory, skipped)
    told = explain(left_out, "dead-lithium-1", CELL, plan=laboratory.plan)
    assert told["last"]["status"] == "skipped"
    assert told["next"][0]["step"] == "c001/02-nmr-charged"


class LeftOut:
    """A journal in which one operation was skipped."""

    def __init__(self, laboratory: Laboratory, skipped: Any) -> None:
        self._laboratory, self._skipped = laboratory, skipped
        journal = laboratory.journal
        self.now, self.campaigns, self.held = journal.now, journal.campaigns, journal.held
        self.places, self.cell_rows = journal.places, journal.cell_rows

    def operations(self, **which: Any) -> list[Any]:
        rows = self._laboratory.journal.operations(**which)
        return [self._skipped if row.operation == self._skipped.operation else row for row in rows]


# -- without an orchestrator -------------------------------------------------------------------------------------------
def test_without_an_orchestrator_the_journals_last_word_says_how_to_go_on(laboratory: Laboratory) -> None:
    at(laboratory, "charge", "running")
    told = laboratory.last_word()
    assert told["orchestrator"] == "not running"
    assert told["waits_for"] == "an orchestrator"
    assert told["advice"] == "no orchestrator runs: 'labctl run' in this folder takes everything up again"
    assert laboratory.ask()["orchestrator"] == "running"


def test_a_doubtful_step_keeps_its_advice_without_an_orchestrator(laboratory: Laboratory) -> None:
    at(laboratory, "charge", "needs_operator", error="no file and no test of that name")
    told = laboratory.last_word()
    assert "no file and no test of that name" in told["doing"]
    assert "'labctl run'" in told["advice"] and "'labctl retry bare-01'" in told["advice"]


def test_the_reference_standard_can_be_explained_too(laboratory: Laboratory) -> None:
    laboratory.bring("topspin-s1", "reference", "running", cell="reference")
    told = explain(laboratory.journal, "dead-lithium-1", "reference", plan=(), roles={"topspin": "spectrometer"})
    assert told["doing"] == "taking the reference spectrum in topspin"
    assert told["next"] == []


def test_a_cell_that_is_not_there_is_refused(laboratory: Laboratory) -> None:
    with pytest.raises(UsageError, match="no cell bare-99"):
        explain(laboratory.journal, "dead-lithium-1", "bare-99", plan=())
