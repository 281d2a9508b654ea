"""What ``labctl plan --stagger`` says: the proposal as a table, what it brings, and how far it is from the bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.table import Table

from labctl.cli.output import ago, console, put_json, say
from labctl.cli.plan_shown import date_shown, days_shown
from labctl.cli.plan_stagger import Staggered, StaggerRequest, stagger
from labctl.errors import LabctlError
from labctl.planning.solver import is_installed

SCHEMA: Final = "labctl.stagger/1"
#: Percent above the bound from which on it is told why.
NEAR: Final = 5.0


def tell(found: Staggered) -> list[str]:
    """Say it in sentences."""
    proposal, bound, before, after = found.proposal, found.bound, found.before, found.after
    how = "CP-SAT" if proposal.method == "cp-sat" else "the heuristic"
    if proposal.method == "heuristic" and not is_installed():
        how += " (CP-SAT is not installed: pip install 'labctl-cells[stagger]')"
    beyond = 100 * (after.makespan_s / bound.seconds - 1) if bound.seconds else 0.0
    said = [
        f"Starts proposed by {how}, run by the engine with other seeds:",
        f"  all cells end after {days_shown(after.makespan_s)}; started at once, after {days_shown(before.makespan_s)}",
        f"  fresh cells wait {ago(after.fresh_median_s)} (median), {ago(after.fresh_longest_s)} at most, "
        f"{_hours(after.fresh_s)} together; started at once {_hours(before.fresh_s)}",
        f"  {after.late} of {after.fresh} spectra later than the protocol asks; started at once {before.late}",
        f"  no order is shorter than {days_shown(bound.seconds)} ({bound.why}): {beyond:.1f} % longer than that",
    ]
    if beyond > NEAR:
        said += _why_not(found)
    if found.homes:
        said.append(f"Other homes for {len(found.homes)} cells: put them there before the campaign begins")
    return [*said, *found.remarks]


def _why_not(found: Staggered) -> list[str]:
    """Say where the time goes that the bound does not know."""
    account, shifts, near, bound = found.account, found.shifts, found.near, found.bound
    parts = [
        ("starts after", account.start_s, ""),
        ("needs", account.work_s, ""),
        ("is held back", account.held_back_s, " until people are there at the end of its charges"),
        ("waits", account.waits_s, " for people and instruments"),
    ]
    spans = [f"{what} {days_shown(seconds)}{why}" for what, seconds, why in parts if seconds > 0]
    said = [f"  why: {account.cell}, the last to end, {', '.join(spans)}"]
    if shifts is not None:
        said.append(
            f"  {shifts.name} has {_hours(shifts.load_s)} to do, walking and soaking included; a shift gives it at "
            f"most {shifts.shift_s / 3600:.1f} h, so that its work fills {shifts.load_s / shifts.shift_s:.1f} of "
            f"{shifts.count} shifts"
        )
    if near is not None:
        said.append(
            f"  the best found near the bound ends after {days_shown(near.makespan_s)} "
            f"({100 * (near.makespan_s / bound.seconds - 1):.1f} % longer than that): fresh cells wait "
            f"{_hours(near.fresh_s)}, {near.late} spectra are late"
        )
    if account.blind:
        said.append(
            f"  {account.blind} spectra are late because their charges began before any cell had shown how long that "
            "takes; cells whose 'capacity' is given are held back from the beginning"
        )
    return said


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h"


def as_json(found: Staggered) -> dict[str, Any]:
    """Give ``labctl.stagger/1``."""
    proposal, bound = found.proposal, found.bound
    return {
        "schema": SCHEMA,
        "method": proposal.method,
        "starts_s": dict(proposal.starts),
        "homes": {cell: now for cell, (_, now) in found.homes.items()},
        "measure_at": {cell: list(now) for cell, (_, now) in found.measure_at.items()},
        "remarks": list(found.remarks),
        "lower_bound": {**asdict(bound), "why": bound.why},
        "beyond_bound": found.after.makespan_s / bound.seconds - 1 if bound.seconds else 0.0,
        "near_bound": asdict(found.near) if found.near is not None else None,
        "account": asdict(found.account),
        "shifts": asdict(found.shifts) if found.shifts is not None else None,
        "at_once": asdict(found.before),
        "staggered": asdict(found.after),
    }


def show_staggered(request: StaggerRequest, write: Path | None, begin: datetime, *, as_json_: bool) -> int:
    """Propose, tell and write; 1 where a cell does not come to its end."""
    found = stagger(request)
    if as_json_:
        put_json(as_json(found))
    else:
        _print(found, begin)
    if write is not None:
        try:
            write.write_text(found.text, encoding="utf-8")
        except OSError as error:
            raise LabctlError(f"{write}: can't be written ({error.strerror})") from error
        say(f"wrote {write}")
    return 1 if found.after.unfinished else 0


def _print(found: Staggered, begin: datetime) -> None:
    out = console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    more = [("home", found.homes), ("measure_at", found.measure_at)]
    shown = [(head, _shown(changes)) for head, changes in more if changes]
    for head in ("cell", *(head for head, _ in shown), "start_after", "starts", "ends"):
        table.add_column(head, no_wrap=True, justify="right" if head in ("start_after", "starts", "ends") else "left")
    for cell, start in sorted(found.proposal.starts.items(), key=lambda item: (item[1], item[0])):
        end = found.after.finish_s.get(cell)
        ends = date_shown(begin + timedelta(seconds=end)) if end is not None else "not"
        changes = (texts.get(cell, "") for _, texts in shown)
        table.add_row(cell, *changes, f"{start / 3600:.2f} h", date_shown(begin + timedelta(seconds=start)), ends)
    out.print(table)
    for line in tell(found):
        out.print(line, markup=False)


def _shown(changes: Mapping[str, tuple[object, object]]) -> dict[str, str]:
    return {cell: f"{_value(old)} -> {_value(new)}" for cell, (old, new) in changes.items()}


def _value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
