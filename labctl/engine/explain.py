"""``labctl.explain/1``: what one cell is doing or waiting for, since when, who holds it, what comes next.

Pure: from the journal and the plan, with what only a running orchestrator knows where one runs. Without one it is the
journal's last word, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from labctl.engine.kinds import SPECTRUM
from labctl.engine.outlook import advice, if_power_fails
from labctl.engine.routing import ROLE_OF
from labctl.engine.situation import HELD, UNDER_WAY, Look, Situation, Word, situation
from labctl.engine.status import time_left
from labctl.engine.waiting import holders, waits
from labctl.engine.wording import current, doing, duration, limits
from labctl.errors import UsageError
from labctl.instruments import TransferRequest
from labctl.journal import LastWord, OperationRow, Status
from labctl.protocol import PlannedOperation
from labctl.station import Station
from labctl.units import show

SCHEMA: Final = "labctl.explain/1"
# While an operation is in one of these, current may flow.
_FLOWING: Final = frozenset({Status.INTENT, Status.RUNNING, Status.NEEDS_OPERATOR})
#: How many steps are looked ahead.
AHEAD: Final = 3


def explain(
    journal: Word,
    campaign: str,
    cell: str,
    *,
    plan: Sequence[PlannedOperation],
    states: Mapping[str, str] | None = None,
    live: Mapping[str, Look] | None = None,
    waits_for: Mapping[str, str] | None = None,
    held_by: Sequence[tuple[str, str]] | None = None,
    requests: Sequence[TransferRequest | Mapping[str, Any]] | None = None,
    station: Station | None = None,
    roles: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Explain one cell.

    Parameters
    ----------
    journal : Journal or LastWord
        Where everything durable comes from; a ``LastWord`` means that no orchestrator runs.
    campaign, cell : str
        Which cell.
    plan : sequence of PlannedOperation
        The cell's plan in that campaign; empty for the reference standard.
    states, live, waits_for : mapping, optional
        By cell, what a running orchestrator knows: its state, the last look, what it waits for.
    held_by : sequence of (str, str), optional
        Operations that hold what the cell waits for, each with the resource; worked out from the station without it.
    requests : sequence, optional
        What people are asked, for all cells.
    station : Station, optional
        To name instruments and to work out who holds what.
    roles : mapping of str to str, optional
        Instrument name to role.

    Returns
    -------
    dict
        ``labctl.explain/1``: times in UTC, ISO 8601; units in the words and in the keys.

    Raises
    ------
    UsageError
        The campaign has no such cell.
    """
    roles = roles or {}
    running = not isinstance(journal, LastWord)
    state = (states or {}).get(cell)
    look = (live or {}).get(cell)
    now = situation(
        journal, campaign, cell, plan, state=state, station=station, roles=roles, running=running, look=look
    )
    if not plan and now.step is None and now.transfer is None:
        raise UsageError(f"no cell {cell} in campaign {campaign}", hint="'labctl status' shows the cells")
    began = next((row for row in journal.campaigns() if row.campaign == campaign), None)
    look = look if now.status is Status.RUNNING else None
    request = _request(cell, requests or (), look)
    waiting = now.state == UNDER_WAY and now.status is Status.REQUESTED and now.transfer is None
    by = holders(journal, now, held_by, station, roles) if waiting else []
    return {
        "schema": SCHEMA,
        "cell": cell,
        "campaign": campaign,
        "mode": began.mode if began is not None else None,
        "orchestrator": "running" if running else "not running",
        "state": now.state,
        "place": now.place,
        "doing": _doing(now, _seen(journal, now, look)),
        "since": _since(now) or (began.started if began is not None else None),
        "waits_for": waits(now, (waits_for or {}).get(cell), request, roles),
        "held_by": by,
        "wanted": now.row.wanted if now.row is not None else None,
        "last": _last(now.last),
        "next": list(_next(now, roles)),
        "limits": _limits(now),
        "if_power_fails": if_power_fails(now),
        "advice": advice(now, request),
    }


def _request(
    cell: str, requests: Sequence[TransferRequest | Mapping[str, Any]], look: Look | None
) -> Mapping[str, Any] | None:
    if look is not None and look.request is not None:
        return look.request
    plain = [asdict(one) if isinstance(one, TransferRequest) else one for one in requests]
    return next((one for one in plain if one.get("cell") == cell), None)


# -- doing what, since when -------------------------------------------------------------------------------------------
def _doing(now: Situation, seen: str) -> str:
    said = f"{now.state}{_why(now)}"
    if now.state not in (UNDER_WAY, HELD):
        return said
    what = _step(now) + seen
    if now.state == UNDER_WAY:
        return what
    if now.interrupted:
        return f"{said}; {what}"
    return f"{said}; meanwhile {what}" if now.status in (Status.INTENT, Status.RUNNING) else said


def _why(now: Situation) -> str:
    by = f" by {now.row.by}" if now.row is not None and now.row.by else ""
    reason = now.row.reason if now.row is not None else ""
    if not reason and now.step is not None and now.step.error:
        reason = f"{now.step.step}: {now.step.error}"
    return f"{by}: {reason}" if reason else by


def _step(now: Situation) -> str:
    what = doing(now.planned, now.where) if now.planned is not None else _unplanned(now)
    if now.transfer is not None:
        asked = now.transfer.result.get("request", {})
        way = f"from {asked.get('source', now.place)} to {asked.get('target', '?')}"
        whom = "to be moved" if now.transfer.status is Status.RUNNING else "waiting for a person to move it"
        return f"{whom} {way}" + (f", for {now.planned.path}" if now.planned is not None else "")
    match now.status:
        case Status.REQUESTED:
            return f"waiting for its turn before {what}"
        case Status.LEASED:
            soak = now.planned.soak if now.planned is not None else 0.0
            lying = f", which begins {duration(soak)} after all is settled" if soak else ""
            return f"preparing for {what}{lying}"
        case Status.INTENT:
            return f"about to begin {what}; {now.instrument or 'the instrument'} is being told"
        case Status.RUNNING:
            return f"{what} is interrupted, at open circuit" if now.interrupted else what
        case Status.FETCHED:
            return f"done with {what}; the data are stored"
        case Status.NEEDS_OPERATOR:
            return f"stopped before a person's word, at {what}: {now.step.error if now.step is not None else ''}"
        case Status.FAILED | Status.ABORTED:
            return f"about to try again: {what}"
    return f"about to ask for {what}" if now.planned is not None else "at the end of its plan"


def _unplanned(now: Situation) -> str:
    kind = now.step.kind if now.step is not None else ""
    what = "the reference spectrum" if kind == "reference" else kind
    return f"taking {what} {now.where}" if now.where else f"taking {what}"


def _seen(journal: Word, now: Situation, look: Look | None) -> str:
    """Say what was seen at the last look."""
    if look is None or now.step is None:
        return ""
    words = []
    if "voltage_V" in look.values:
        words.append(show(look.values["voltage_V"], "V"))
    if look.values.get("current_A"):
        words.append(current(look.values["current_A"]))
    rows = journal.operations(campaign=now.step.campaign, cell=now.cell)
    left = time_left(now.step.kind, rows, look.values, look.remaining)
    if look.values.get("scans"):
        words.append(f"{look.values.get('scans_done', 0.0):.0f} of {look.values['scans']:.0f} scans")
    if "signal_to_noise" in look.values:
        words.append(f"a signal-to-noise ratio of {look.values['signal_to_noise']:.0f}")
    if left is not None and not now.interrupted:
        words.append(f"about {duration(left)} left")
    spectrum = next((row for row in reversed(rows) if row.kind == SPECTRUM and row.status is Status.RUNNING), None)
    if spectrum is not None:
        words.append(f"spectrum {spectrum.result['number']} being taken")
    if "spectra_done" in look.values:
        words.append(f"{look.values['spectra_done']:.0f} spectra done")
    return f"; now {', '.join(words)}" if words else ""


def _limits(now: Situation) -> str | None:
    flows = now.status in _FLOWING and not now.interrupted
    return limits(now.planned) if now.planned is not None and flows else None


def _since(now: Situation) -> str | None:
    if now.state != UNDER_WAY and now.row is not None:
        return now.row.at
    row = now.transfer or now.step or now.last
    return row.times.get(row.status) if row is not None else None


# -- what was and what comes ------------------------------------------------------------------------------------------
def _last(row: OperationRow | None) -> dict[str, Any] | None:
    if row is None:
        return None
    skipped = row.status is not Status.DONE
    return {
        "step": row.step,
        "status": "skipped" if skipped else row.result.get("status", "ok"),
        "ended": row.result.get("ended") or row.times.get(row.status),
        "voltage_V": row.result.get("voltage_V"),
    }


def _next(now: Situation, roles: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    if now.state not in (UNDER_WAY, HELD):
        return
    # A step that has not been asked for yet is what comes next itself.
    begun = now.step is not None and now.status not in (Status.FAILED, Status.ABORTED)
    coming = now.following if begun else (*((now.planned,) if now.planned is not None else ()), *now.following)
    for planned in coming[:AHEAD]:
        role = ROLE_OF[planned.kind]
        names = [name for name, one in roles.items() if one == role]
        yield {
            "step": planned.path,
            "kind": planned.kind.value,
            "instrument": names[0] if len(names) == 1 else role,
            "start_within_s": planned.start_within,
        }
