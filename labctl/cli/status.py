"""``labctl status``: cells, instruments and alarms on one screen, with the age of every value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.cli.output import ago, console, put_json
from labctl.engine.clock import WallClock, pause
from labctl.engine.endpoint import ask
from labctl.errors import NoOrchestrator

if TYPE_CHECKING:
    from rich.table import Table

WELL, NOBODY, ALARMED = 0, 3, 7
# From this age on (s) a value is shown as old; a running orchestrator looks far more often.
OLD = 900.0
#: States of a cell to which nothing more happens.
ENDED = ("finished", "stopped", "aborted")
#: Name of a plan that is kept in the laboratory folder.
PLAN = "plan.json"


def read_status(lab: Path) -> dict[str, Any]:
    """Ask the running orchestrator, or else the journal.

    Raises
    ------
    NoOrchestrator
        None runs, and there is no journal either.
    """
    try:
        report: dict[str, Any] = ask(lab, "status")["status"]
    except NoOrchestrator:
        from labctl.journal import FILE_NAME

        if not (lab / FILE_NAME).exists():
            raise
        return _from_journal(lab / FILE_NAME)
    return report


def _from_journal(path: Path) -> dict[str, Any]:
    from labctl.engine.status import status_report
    from labctl.journal import LastWord

    journal = LastWord(path, WallClock())
    campaigns = journal.campaigns()
    going_on = [one for one in campaigns if one.ended is None]
    return status_report(journal, [one.campaign for one in going_on or campaigns[-1:]])


def _with_plan(report: dict[str, Any], lab: Path) -> dict[str, Any]:
    """Add how far reality has come against the plan that is kept in the folder, and what follows, if one is."""
    if not (lab / PLAN).exists():
        return report
    from labctl.cli.plan_kept import against

    return {**report, "plan": against(lab, report)}


def exit_code(report: Mapping[str, Any]) -> int:
    """0 well, 3 no orchestrator, 7 an alarm stands."""
    if report["orchestrator"] != "running":
        return NOBODY
    return ALARMED if report["alarms"] else WELL


def show_status(lab: Path, *, watch: bool, as_json: bool) -> int:
    """Print the status once, or again and again; return the exit code."""
    while True:
        report = _with_plan(read_status(lab), lab)
        if as_json:
            put_json(report, indent=None if watch else 2)
        else:
            if watch:
                console().clear()
            print_status(report)
        if not watch:
            return exit_code(report)
        pause(2.0)


def print_status(report: Mapping[str, Any]) -> None:
    """Print a report as tables that fit the terminal."""
    out = console()
    live = report["orchestrator"] == "running"
    mode = str(report["mode"] or "empty").upper()
    names = report["campaigns"]
    what = f"{len(names)} campaigns" if len(names) > 1 else f"campaign {report['campaign'] or '–'}"
    head = f"[bold]{mode}[/bold]  {what}  orchestrator {report['orchestrator']}"
    out.print(f"{head}  {_clock(report['time'])} UTC")
    if not live:
        out.print("[yellow]no orchestrator runs: these are the journal's last words, not live values[/yellow]")
    for name in names if len(names) > 1 else [None]:
        if name is not None:
            out.print(f"\ncampaign [bold]{name}[/bold]")
        cells = [cell for cell in report["cells"] if name in (None, cell["campaign"])]
        out.print(_cells(cells, live=live, wide=out.width >= 110))
        for cell in cells:
            if cell["waits_for"]:
                out.print(f"{cell['cell']} waits for {cell['waits_for']}", highlight=False)
    if report["instruments"]:
        out.print(_instruments(report))
    for line in outbox_lines(report.get("outbox", ())):
        out.print(line, highlight=False, markup=False)
    if report.get("plan"):
        from labctl.cli.plan_told import lines

        for line in lines(report["plan"]):
            out.print(line, highlight=False, markup=False)
    elif live and any(cell["state"] not in ENDED for cell in report["cells"]):
        out.print("when it will end: 'labctl plan PROTOCOL --keep' makes a plan for this", highlight=False)
    for alarm in report["alarms"]:
        where = alarm["cell"] or alarm["instrument"] or "laboratory"
        out.print(f"[red]! {alarm['severity']}[/red]  {where}  {alarm['message']}  (since {_clock(alarm['since'])})")
    if not report["alarms"]:
        out.print("no alarm stands")


def outbox_lines(outbox: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say of every target what waits for it."""
    return [_waits(one) for one in outbox]


def _waits(one: Mapping[str, Any]) -> str:
    # What is delivered to the built-in core are whole campaigns.
    what = "campaign" if one["target"] == "core" else "bundle"
    how_many = f"{one['waiting']} {what}{'s' if one['waiting'] > 1 else ''}"
    refused = f", {one['refused']} refused" if one["refused"] else ""
    again = f", next try {_clock(one['next_try'])}" if one["next_try"] else ""
    why = f": {one['error']}" if one["error"] else ""
    return f"outbox: {how_many} for {one['target']} since {_clock(one['since'])}{refused}{again}{why}"


def _clock(at: str | None) -> str:
    return datetime.fromisoformat(at).strftime("%m-%d %H:%M") if at else "–"


def _step(cell: Mapping[str, Any]) -> str:
    """Name a cell's step, and how many of its scans are done where it is in the spectrometer."""
    step, done, scans = cell["step"] or "–", cell.get("scans_done"), cell.get("scans")
    return f"{step} {done:.0f}/{scans:.0f}" if done is not None and scans else step


def _number(value: float | None, digits: int) -> str:
    return f"{value:.{digits}f}" if value is not None else "–"


def _cells(cells: Sequence[Mapping[str, Any]], *, live: bool, wide: bool) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), expand=False)
    for name in ("cell", "state", "step"):
        table.add_column(name, no_wrap=name != "step", overflow="fold")
    if wide:
        table.add_column("on", no_wrap=True)
        table.add_column("since", no_wrap=True)
    for name in ("V", "mA", "mAh", "age"):
        table.add_column(name, justify="right", no_wrap=True)
    if wide:
        table.add_column("end", no_wrap=True)
    for cell in cells:
        age = cell["age_s"]
        stale = not live or (age is not None and age > OLD)
        on = ":".join(part for part in (cell["instrument"], cell["channel"]) if part) or cell["place"]
        current = cell["current_A"]
        row = [cell["cell"], cell["state"], _step(cell)]
        row += [on, _clock(cell["since"])] if wide else []
        row += [
            _number(cell["voltage_V"], 3),
            _number(current * 1e3 if current is not None else None, 3),
            _number(cell["capacity_mAh"], 3),
            ago(age),
        ]
        row += [_clock(cell["expected_end"])] if wide else []
        table.add_row(*row, style="dim" if stale else None)
    return table


def _instruments(report: Mapping[str, Any]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for name in ("instrument", "what it is", "used by"):
        table.add_column(name)
    for one in report["instruments"]:
        warm = f", {one['temperature_degC']:.1f} °C" if "temperature_degC" in one else ""
        table.add_row(one["name"], f"{one['model']}{warm}", ", ".join(one["used_by"]) or "free")
    return table
