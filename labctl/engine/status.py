"""``labctl.status/1``: what every cell, instrument and alarm is doing, and since when.

With an orchestrator running the live values are those of its last looks, each with its age; without one only the
journal speaks, and it says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from labctl.engine.kinds import SPECTRUM
from labctl.engine.routing import BY_HAND
from labctl.journal import ENDED, LastWord, OperationRow, OutboxRow, Status

if TYPE_CHECKING:
    from labctl.engine.bench import Bench
    from labctl.engine.lifecycle import Live
    from labctl.journal import Journal

SCHEMA: Final = "labctl.status/1"

#: What an operation of each kind is called while it runs.
WORDS: Final[Mapping[str, str]] = {
    "rest": "resting",
    "charge": "charging",
    "discharge": "discharging",
    "hold": "holding",
    "nmr": "in the spectrometer",
    "nutation": "pulse calibration",
    "recovery": "T1 measurement",
    "reference": "in the spectrometer",
    "eis": "impedance",
    "operando": "operando",
    "deis": "dynamic impedance",
    "transfer": "to be moved",
    "pause": "question to the operator",
    "disassemble": "being taken apart",
    "assemble": "being put together",
    "measure": "to be measured by hand",
    "mark": "mark",
}


def status_report(
    journal: Journal | LastWord,
    campaigns: Sequence[str],
    *,
    states: Mapping[str, str] | None = None,
    live: Mapping[str, Live] | None = None,
    waits: Mapping[str, Sequence[tuple[str, str]]] | None = None,
    bench: Bench | None = None,
    ovens: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Put the report together.

    Parameters
    ----------
    journal : Journal or LastWord
        Where everything durable comes from.
    campaigns : sequence of str
        Which campaigns, oldest first; none for an empty laboratory.
    states, live, waits, bench, ovens
        What only a running orchestrator knows; left out, the report says that none runs.
    """
    now, places = journal.now(), journal.places()
    modes = [row.mode for row in journal.campaigns() if row.campaign in campaigns]
    return {
        "schema": SCHEMA,
        "time": now,
        "mode": modes[-1] if modes else None,
        "campaign": campaigns[-1] if campaigns else None,
        "campaigns": list(campaigns),
        "orchestrator": "running" if bench is not None else "not running",
        "cells": [
            {
                "cell": cell,
                "campaign": campaign,
                "place": places.get(cell),
                **_cell(
                    rows,
                    now,
                    state,
                    (live or {}).get(cell) if bench is not None else None,
                    _holders((waits or {}).get(cell)),
                ),
            }
            for campaign in campaigns
            for cell, state, rows in _cells(journal, campaign, states)
        ],
        "instruments": _instruments(bench, ovens or {}, journal),
        "alarms": [
            {
                "alarm": alarm.alarm,
                "severity": alarm.severity,
                "message": alarm.message,
                "cell": alarm.cell,
                "instrument": alarm.instrument,
                "since": alarm.at,
            }
            for alarm in journal.alarms()
        ],
        "outbox": outbox_report(journal.waiting()),
    }


def outbox_report(waiting: Sequence[OutboxRow]) -> list[dict[str, Any]]:
    """Say for every target that waits for bundles how many, since when, and what the last try came to."""
    by_target: dict[str, list[OutboxRow]] = {}
    for row in waiting:
        by_target.setdefault(row.target, []).append(row)
    report = []
    for target, rows in by_target.items():
        tried = [row for row in rows if row.error is not None]
        due = [row.next_try for row in tried if row.next_try is not None]
        report.append(
            {
                "target": target,
                "waiting": len(rows),
                "refused": len(tried) - len(due),
                "since": min(row.since for row in rows),
                "tries": max(row.tries for row in rows),
                # While nobody answers, bundles take turns: nothing is tried before the one that was tried last.
                "next_try": max(due, default=None),
                "error": tried[-1].error if tried else None,
            }
        )
    return report


def _cells(
    journal: Journal | LastWord, campaign: str, states: Mapping[str, str] | None
) -> Iterator[tuple[str, str, list[OperationRow]]]:
    """Give every cell of a campaign with its state and its operations."""
    by_cell: dict[str, list[OperationRow]] = {}
    for row in journal.operations(campaign=campaign):
        by_cell.setdefault(row.cell, []).append(row)
    for cell, known in journal.cell_rows(campaign).items():
        yield cell, (states or {}).get(cell, known.state), by_cell.get(cell, [])


def _holders(waits: Sequence[tuple[str, str]] | None) -> str | None:
    """Say what a cell waits for and who has it."""
    if waits is None:
        return None
    return ", ".join(f"{resource} ({operation.split('/')[1]})" for operation, resource in waits) or "a free place"


def _cell(
    rows: list[OperationRow], now: str, machine: str | None, live: Live | None, waits_for: str | None
) -> dict[str, Any]:
    # A spectrum within a step is the step's business.
    rows = [row for row in rows if row.kind != SPECTRUM]
    current = next((row for row in reversed(rows) if row.status not in ENDED), None)
    last = current or (rows[-1] if rows else None)
    seen, voltage, values = _last_word(rows)
    remaining = None
    if live is not None and current is not None:
        seen, values, remaining = live.at, dict(live.values), live.remaining
        voltage = values.get("voltage_V", voltage)
    state = _state(current, last, machine, waits_for)
    instrument, channel = _where(current)
    capacity = values.get("capacity_C")
    temperature = values.get("temperature_K")
    if current is not None:
        remaining = time_left(current.kind, rows, values, remaining)
    expected = None
    if seen is not None and remaining is not None:
        expected = (datetime.fromisoformat(seen) + timedelta(seconds=remaining)).isoformat(timespec="seconds")
    if current is not None and current.status is Status.RUNNING and current.kind == "transfer":
        asked = current.result["request"]
        waits_for = f"operator: {asked['source']} to {asked['target']}, then labctl confirm {current.cell}"
    if current is not None and current.status is Status.RUNNING and current.kind in BY_HAND:
        what = current.result.get("request", {}).get("asked", current.kind)
        waits_for = f"operator: {what}, then labctl confirm {current.cell}"
    return {
        "state": state,
        "cycle": int(last.step[1:4]) if last is not None and last.step[:1] == "c" else None,
        "step": last.step if last is not None else None,
        "instrument": instrument,
        "channel": channel,
        "since": last.times.get(last.status) if last is not None else None,
        "voltage_V": voltage,
        "current_A": values.get("current_A"),
        "capacity_mAh": capacity / 3.6 if capacity is not None else None,
        "temperature_degC": temperature - 273.15 if temperature is not None else None,
        "scans_done": values.get("scans_done") if current is not None else None,
        "scans": values.get("scans") if current is not None else None,
        "age_s": _age(seen, now),
        "expected_end": expected,
        "waits_for": waits_for,
    }


def time_left(kind: str, rows: Sequence[OperationRow], values: Mapping[str, float], told: float | None) -> float | None:
    """Give the seconds until a running operation ends, as far as that can be said.

    Of a step that ends by voltage what the same step of this cell took before is expected; nothing the first time. A
    hold is over when its current has died away, so what it passed before says nothing of when. What the instrument's
    driver ``told`` of these, of a series of pulses and of what is measured under current, only says when the next look
    is due; a driver that knows the end besides says it as ``left_s``.
    """
    if "left_s" in values and kind in ("nmr", "nutation", "recovery", "reference"):
        return values["left_s"]
    if kind in ("nutation", "recovery", "operando", "deis"):
        return None
    if kind not in ("charge", "discharge", "hold"):
        return told
    before = [row for row in rows if row.kind == kind and row.status is Status.DONE and "capacity_C" in row.result]
    current, passed = abs(values.get("current_A", 0.0)), values.get("capacity_C")
    if kind == "hold" or not before or passed is None or current == 0.0:
        return None
    return max(0.0, (float(before[-1].result["capacity_C"]) - passed) / current)


def _state(current: OperationRow | None, last: OperationRow | None, machine: str | None, waits: str | None) -> str:
    if machine in ("finished", "held", "aborted", "stopped"):
        return machine
    if current is None:
        return "waiting" if last is None or last.status is Status.DONE else last.status.value
    if current.status is Status.NEEDS_OPERATOR:
        return "needs operator"
    if current.status is Status.RUNNING:
        return WORDS.get(current.kind, current.kind)
    return "waiting" if waits or current.status is Status.REQUESTED else "preparing"


def _where(current: OperationRow | None) -> tuple[str | None, str | None]:
    if current is None:
        return None, None
    channels = [name for name in current.resources if ":" in name]
    plain = [name for name in current.resources if ":" not in name and "/" not in name and "=" not in name]
    if current.kind in ("eis", "deis", "nmr", "nutation", "recovery") and plain:
        return plain[-1] if current.kind in ("eis", "deis") else plain[0], None
    if channels:
        instrument, _, channel = channels[0].partition(":")
        return instrument, channel
    return (plain[0], None) if plain else (None, None)


def _last_word(rows: list[OperationRow]) -> tuple[str | None, float | None, dict[str, float]]:
    """Give the last voltage that the journal knows, and from when."""
    for row in reversed(rows):
        if row.status is Status.DONE and "voltage_V" in row.result:
            return str(row.result.get("ended")), float(row.result["voltage_V"]), {}
    return None, None, {}


def _age(seen: str | None, now: str) -> float | None:
    if seen is None:
        return None
    age = (datetime.fromisoformat(now) - datetime.fromisoformat(seen)).total_seconds()
    # A hurried simulation leaves times that are still to come; how old those are can't be said.
    return round(age, 1) if age >= 0 else None


def _instruments(
    bench: Bench | None, ovens: Mapping[str, Mapping[str, Any]], journal: Journal | LastWord
) -> list[dict[str, Any]]:
    if bench is None:
        return []
    held = journal.held()
    report = []
    for name, identity in bench.identities.items():
        users = [row.cell for row in held if any(one.split(":")[0].split("=")[0] == name for one in row.resources)]
        oven = ovens.get(name, {})
        report.append(
            {
                "name": name,
                "role": bench.roles[name],
                "model": f"{identity.vendor} {identity.model}".strip(),
                "address": identity.address,
                "used_by": sorted(set(users)),
                **({"temperature_degC": oven["temperature_K"] - 273.15} if "temperature_K" in oven else {}),
            }
        )
    return report
