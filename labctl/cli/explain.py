"""``labctl explain CELL``: why it is where it is, what comes next, and what happens if this PC loses power now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from labctl.cli.output import ago, columns, put, put_json
from labctl.engine.endpoint import ask


def explain_cell(lab: Path, cell: str, *, as_json: bool) -> None:
    """Ask the orchestrator to explain a cell and print what it says.

    Raises
    ------
    NoOrchestrator
        None runs.
    RefusedByOrchestrator
        There is no such cell.
    """
    report: dict[str, Any] = ask(lab, "explain", cell=cell)["explain"]
    if as_json:
        put_json(report)
    else:
        put(explanation(report))


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
