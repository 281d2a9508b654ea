"""``labctl alarms``: what stands, what somebody has seen, and the word that a cause is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from labctl.cli.output import columns, login, put, put_json, say
from labctl.engine.clock import WallClock
from labctl.engine.endpoint import ask
from labctl.errors import NoOrchestrator

SCHEMA = "labctl.alarms/1"


def list_alarms(lab: Path, *, as_json: bool) -> None:
    """Print the alarms that stand, from the running orchestrator or else from the journal.

    Raises
    ------
    NoOrchestrator
        None runs, and there is no journal either.
    """
    try:
        alarms = ask(lab, "alarms", action="list")["alarms"]
    except NoOrchestrator:
        from labctl.journal import FILE_NAME, LastWord

        if not (lab / FILE_NAME).exists():
            raise
        alarms = [asdict(alarm) for alarm in LastWord(lab / FILE_NAME, WallClock()).alarms()]
        say("no orchestrator runs: these are the journal's last words")
    _show(alarms, as_json=as_json)


def change_alarm(lab: Path, action: str, alarm: int, user: str | None, *, as_json: bool) -> None:
    """Acknowledge (``ack``) or ``reset`` an alarm and print those that stand after it.

    Raises
    ------
    NoOrchestrator
        None runs.
    RefusedByOrchestrator
        There is no such alarm.
    """
    who = user or login()
    alarms = ask(lab, "alarms", action=action, alarm=alarm, user=who)["alarms"]
    if action == "ack":
        say(f"alarm {alarm} is acknowledged by {who}; it stands until its cause is gone or it is reset")
    else:
        say(f"alarm {alarm} is reset by {who}; it comes again if its cause still stands")
    _show(alarms, as_json=as_json)


def _show(alarms: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    if as_json:
        put_json({"schema": SCHEMA, "alarms": [dict(alarm) for alarm in alarms]})
        return
    for alarm in alarms:
        since = f"{datetime.fromisoformat(alarm['at']):%m-%d %H:%M}"
        where = alarm["cell"] or alarm["instrument"] or "laboratory"
        seen = f" (seen by {alarm.get('by') or 'somebody'})" if alarm.get("acknowledged") else ""
        put(columns((str(alarm["alarm"]), since, alarm["severity"], where), f"{alarm['message']}{seen}"))
    if not alarms:
        put("no alarm stands")
