"""``labctl explain CELL``: why it is where it is, what comes next, and what happens if this PC loses power now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from labctl.cli.output import ago, columns, put, put_json, say
from labctl.engine.clock import WallClock
from labctl.engine.endpoint import ask
from labctl.errors import NoOrchestrator, UsageError


def explain_cell(lab: Path, cell: str, *, as_json: bool) -> None:
    """Print what the running orchestrator says of a cell, or else what the journal does.

    Raises
    ------
    NoOrchestrator
        None runs, and there is no journal either.
    UsageError, RefusedByOrchestrator
        There is no such cell.
    """
    try:
        report: dict[str, Any] = ask(lab, "explain", cell=cell)["explain"]
    except NoOrchestrator:
        from labctl.journal import FILE_NAME

        if not (lab / FILE_NAME).exists():
            raise
        report = _from_journal(lab / FILE_NAME, cell)
        say("no orchestrator runs: these are the journal's last words")
    if as_json:
        put_json(report)
    else:
        put(explanation(report))


def _from_journal(path: Path, cell: str) -> dict[str, Any]:
    """Explain a cell from the newest campaign that has it, with the files as they were frozen."""
    from labctl.cli import plugins
    from labctl.cli.taking_up import frozen
    from labctl.engine.explain import explain
    from labctl.journal import LastWord

    journal = LastWord(path, WallClock())
    for row in reversed(journal.campaigns()):
        campaign = frozen(row)
        if cell in campaign.plans:
            station = campaign.station
            roles = plugins.roles(station.entries())
            return explain(journal, row.campaign, cell, plan=campaign.plans[cell], station=station, roles=roles)
    raise UsageError(f"{path}: no campaign has a cell {cell}", hint="'labctl status' shows the cells")


def explanation(report: Mapping[str, Any]) -> str:
    """Write a ``labctl.explain/1`` report for a person."""
    lines = [f"{report['cell']}  {report['state']}  {str(report['mode']).upper()}  campaign {report['campaign']}"]

    def add(name: str, text: str | None) -> None:
        if text:
            lines.append(columns((f"{name:<15}",), text))

    add("now", f"{report['doing']}{_since(report.get('since'))}")
    add("waits for", report.get("waits_for"))
    for holder in report.get("held_by") or ():
        add("held by", f"{holder['cell']}: {holder['resource']} for {holder['operation']}{_since(holder.get('since'))}")
    add("asked for", report.get("wanted"))
    last = report.get("last")
    if last:
        voltage = f", {last['voltage_V']:.3f} V" if last.get("voltage_V") is not None else ""
        ended = f", ended {_instant(last['ended'])}" if last.get("ended") else ""
        add("before", f"{last['step']}: {last['status']}{voltage}{ended}")
    for index, step in enumerate(report.get("next") or ()):
        on = f" on {step['instrument']}" if step.get("instrument") else ""
        within = step.get("start_within_s")
        soon = f", to start within {ago(within)}" if within is not None else ""
        add("" if index else "next", f"{step['step']}: {step['kind']}{on}{soon}")
    add("limits", report.get("limits"))
    add("if power fails", report["if_power_fails"])
    add("you can", report.get("advice"))
    return "\n".join(lines)


def _instant(at: str) -> str:
    return f"{datetime.fromisoformat(at):%m-%d %H:%M} UTC"


def _since(at: str | None) -> str:
    return f", since {_instant(at)}" if at else ""
