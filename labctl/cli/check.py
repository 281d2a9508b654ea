"""``labctl check``: what is wrong with a protocol, or what it will do."""

from __future__ import annotations

from pathlib import Path

from labctl.cli import plugins
from labctl.cli.output import ago, console, put_json
from labctl.errors import InvalidFile
from labctl.protocol import PlannedOperation, expand, load_protocol
from labctl.station import Cells, load_cells, load_station


def check_protocol(protocol: Path, station: Path | None, cells: Path | None, *, as_json: bool) -> None:
    """Validate and show the plan.

    Raises
    ------
    InvalidFile
        With every mistake.
    """
    try:
        plans = _plans(protocol, station, cells)
    except InvalidFile as error:
        if as_json:
            mistakes = [
                {"file": one.file, "line": one.line, "column": one.column, "found": one.found, "right": one.right}
                for one in error.mistakes
            ]
            put_json({"schema": "labctl.check/1", "valid": False, "mistakes": mistakes})
        raise
    if as_json:
        put_json(
            {
                "schema": "labctl.check/1",
                "valid": True,
                "plans": {
                    cell: [
                        {
                            "step": one.path,
                            "kind": one.kind.value,
                            "cycle": one.cycle,
                            "at_most_s": one.at_most,
                            "expected_s": one.expected_duration,
                        }
                        for one in plan
                    ]
                    for cell, plan in plans.items()
                },
            }
        )
        return
    _print(protocol, plans)


def _plans(protocol: Path, station: Path | None, cells: Path | None) -> dict[str, tuple[PlannedOperation, ...]]:
    from labctl.safety.preflight import check

    loaded = load_protocol(protocol)
    loaded_cells: Cells | None = load_cells(cells) if cells is not None else None
    if station is not None:
        loaded_station = load_station(station, drivers=plugins.driver_names())
        if loaded_cells is not None:
            mistakes = check(loaded, loaded_station, loaded_cells, plugins.roles(loaded_station.entries()))
            if mistakes:
                raise InvalidFile(mistakes)
    if loaded_cells is None:
        return {}
    return {cell.id: expand(loaded, cell) for cell in loaded_cells.cells}


def _print(protocol: Path, plans: dict[str, tuple[PlannedOperation, ...]]) -> None:
    from rich import box
    from rich.table import Table

    out = console()
    out.print(f"{protocol}: valid")
    if not plans:
        out.print("with --cells the expanded plan of every cell is shown, with --station it is checked against both")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for name in ("cell", "operations", "first", "last"):
        table.add_column(name, no_wrap=True)
    table.add_column("at most", justify="right", no_wrap=True)
    for cell, plan in plans.items():
        longest = sum(one.at_most or one.expected_duration or 0.0 for one in plan)
        table.add_row(cell, str(len(plan)), plan[0].path, plan[-1].path, ago(longest))
    out.print(table)
