"""``labctl analyze``: from bundles to where the lithium went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labctl import analysis
from labctl.cli.output import console, put_json, say

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
    from rich import box
    from rich.table import Table

    out = console()
    truth = any("dead_percent_truth" in cycle for cell in data["cells"] for cycle in cell["cycles"])
    out.print(f"[bold]{str(data['mode']).upper()}[/bold]  shares of the first charge capacity, value ± 1 SD")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for name in ("cell", "cycle"):
        table.add_column(name, no_wrap=True)
    for name in ("charge mAh", "discharge mAh", "CE %"):
        table.add_column(name, justify="right")
    for share in SHARES:
        table.add_column(f"{share}\nmAh   %" + ("\ntruth %" if truth else ""), justify="right")
    for cell in data["cells"]:
        for cycle in cell["cycles"]:
            if cycle.get("dead_percent") is not None:
                table.add_row(*_row(cell["cell"], cycle))
    out.print(table)
    groups = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for name in ("group", "cycle", "n"):
        groups.add_column(name, no_wrap=True)
    for share in SHARES:
        groups.add_column(f"{share} %", justify="right", no_wrap=True)
    for group in data.get("groups", []):
        row = [group["group"], str(group["cycle"]), str(group["n"])]
        groups.add_row(*row, *(_spread(group, share) for share in SHARES))
    out.print("mean ± sample SD of the group's cells")
    out.print(groups)


def _row(cell: str, cycle: Mapping[str, Any]) -> list[str]:
    row = [cell, str(cycle["cycle"])]
    row += [f"{cycle['charge_capacity_mAh']:.3f}", f"{cycle['discharge_capacity_mAh']:.3f}"]
    row.append(f"{100 * cycle['coulombic_efficiency']:.1f}")
    for share in SHARES:
        percent, sd = cycle[f"{share}_percent"], cycle[f"{share}_percent_sd"]
        text = f"{cycle[f'{share}_mAh']:.3f}\n{percent:.2f} ± {sd:.2f}"
        if f"{share}_percent_truth" in cycle:
            text += f"\n{cycle[f'{share}_percent_truth']:.2f}"
        row.append(text)
    return row


def _spread(group: Mapping[str, Any], share: str) -> str:
    mean, sd = group[f"{share}_percent"], group.get(f"{share}_percent_sd")
    return f"{mean:.2f} ± {sd:.2f}" if sd is not None else f"{mean:.2f}"
