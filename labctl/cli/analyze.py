"""``labctl analyze``: from bundles to where the lithium went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl import analysis
from labctl.cli.output import console, put_json, say

if TYPE_CHECKING:
    from rich.table import Table

SHARES = ("reversible", "excess", "dead", "interphase")


def analyze_paths(paths: Sequence[Path], report: Path | None, *, as_json: bool) -> None:
    """Evaluate and print; with ``report`` write figures and the page too."""
    result = analysis.analyze(paths)
    data = result.to_json()
    if as_json:
        put_json(data)
    else:
        print_shares(data)
    if report is not None:
        say(f"report: {analysis.write_report(result, report)}")


def print_shares(data: Mapping[str, Any]) -> None:
    """Print capacities and shares per measured cell and per group, with the truth beside where it is known."""
    out = console()
    mode = str(data["mode"]).upper()
    measured = [
        (cell["cell"], cycle)
        for cell in data["cells"]
        for cycle in cell["cycles"]
        if cycle.get("dead_percent") is not None
    ]
    if not measured:
        out.print(f"[bold]{mode}[/bold]  no cell has been measured by NMR after charge, discharge and hold yet")
        return
    out.print(f"[bold]{mode}[/bold]  shares of the first charge, ± 1 SD of the cell's own error budget")
    out.print(_table("cell", measured))
    out.print("groups: mean ± sample SD between the cells")
    out.print(_table("group", [(f"{group['group']}, n={group['n']}", group) for group in data["groups"]]))


def _table(first: str, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    """Stack what belongs together, so that the table fits 80 columns."""
    from rich import box
    from rich.table import Table

    truth = any("dead_percent_truth" in row for _, row in rows)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_lines=False)
    table.add_column(f"{first}\ncycle", no_wrap=True)
    table.add_column("mAh charged\ndischarged\nCE %", justify="right", no_wrap=True)
    for share in SHARES:
        lines = [share, "mAh", "%"] + (["truth %"] if truth else [])
        table.add_column("\n".join(lines), justify="right", no_wrap=True)
    for name, row in rows:
        capacities = [
            _pair(row, "charge_capacity_mAh", 3),
            _pair(row, "discharge_capacity_mAh", 3),
            _pair(row, "coulombic_efficiency", 1, 100.0),
        ]
        cells = ["\n".join([_pair(row, f"{share}_mAh", 3), _pair(row, f"{share}_percent", 2)]) for share in SHARES]
        if truth:
            cells = [f"{text}\n{row[f'{share}_percent_truth']:.2f}" for text, share in zip(cells, SHARES, strict=True)]
        table.add_row(f"{name}\n{row['cycle']}", "\n".join(capacities), *cells, end_section=True)
    return table


def _pair(row: Mapping[str, Any], key: str, digits: int, factor: float = 1.0) -> str:
    """Write a value, with its standard deviation where it has one."""
    value, sd = row.get(key), row.get(f"{key}_sd")
    if value is None:
        return "–"
    text = f"{factor * value:.{digits}f}"
    return f"{text}±{factor * sd:.{digits}f}" if sd is not None else text
