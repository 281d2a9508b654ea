"""``labctl plan --compare OTHER``: two protocols, two stations or two cells files, side by side."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from labctl.cli.output import ago, console, put_json
from labctl.cli.plan import PlanRequest, run_plan
from labctl.cli.plan_shown import days_shown
from labctl.documents import load
from labctl.errors import UsageError
from labctl.planning.compare import SCHEMA, Row, compare, figures, names_of


def show_comparison(request: PlanRequest, other: Path, *, as_json: bool) -> int:
    """Plan both, and print or give them side by side; 1 where a cell of either does not come to its end.

    Raises
    ------
    UsageError
        The other file is no protocol, station or cells file.
    """
    kind = _kind(other)
    second = _with(request, kind, other)
    one, two = run_plan(request), run_plan(second)
    own = getattr(request, kind)
    files = (own.name, other.name) if own.name != other.name else (str(own), str(other))
    names = names_of(one, two, files)
    shown = [figures(name, forecast.schedule) for name, forecast in zip(names, (one, two), strict=True)]
    rows = compare(*shown)
    if as_json:
        put_json(
            {
                "schema": SCHEMA,
                "compared": kind,
                "files": [str(own), str(other)],
                "plans": [asdict(plan) for plan in shown],
                "differences": {row.what: row.difference for row in rows},
            }
        )
    else:
        _print(kind, names, rows)
    return 1 if any(plan.unfinished for plan in shown) else 0


def _with(request: PlanRequest, kind: str, path: Path) -> PlanRequest:
    if kind == "protocol":
        return replace(request, protocol=path)
    return replace(request, station=path) if kind == "station" else replace(request, cells=path)


def _kind(path: Path) -> str:
    data = load(path).data
    for kind in ("protocol", "station", "cells"):
        if kind in data:
            return kind
    raise UsageError(f"{path} is no protocol, station or cells file", hint="--compare takes one of these")


def _print(kind: str, names: tuple[str, str], rows: list[Row]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    out = console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(kind, overflow="fold", min_width=16)
    for name in names:
        table.add_column(escape(name), justify="right", overflow="fold")
    table.add_column("difference", justify="right", no_wrap=True)
    for row in rows:
        table.add_row(escape(row.what), _shown(row, row.one), _shown(row, row.other), _difference(row))
    out.print("PLANS, simulated")
    out.print(table)


def _shown(row: Row, value: float | None) -> str:
    if value is None:
        return "–"
    if row.unit == "s":
        return days_shown(value)
    return f"{100 * value:.0f} %" if row.unit == "part" else f"{value:.0f}"


def _difference(row: Row) -> str:
    found = row.difference
    if found is None:
        return ""
    if row.unit == "s":
        return "0" if abs(found) < 1 else f"{'+' if found > 0 else '−'}{_long(abs(found))}"
    scaled = 100 * found if row.unit == "part" else found
    if abs(scaled) < 0.5:
        return "0"
    return f"{'+' if found > 0 else '−'}{abs(scaled):.0f}{' %' if row.unit == 'part' else ''}"


def _long(seconds: float) -> str:
    return days_shown(seconds) if seconds >= 172800 else ago(seconds)
