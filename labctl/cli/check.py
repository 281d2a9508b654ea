"""``labctl check``: what is wrong with a protocol, or what it will do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labctl.cli import plugins
from labctl.cli.output import ago, console, put_json, say
from labctl.documents import in_order
from labctl.errors import InvalidFile, Mistake
from labctl.protocol import PlannedOperation, Protocol, expand, load_protocol
from labctl.safety.remarks import uncounted, unreferenced
from labctl.safety.shared import shared_chambers
from labctl.safety.ways import Ways
from labctl.station import Cells, impossible_cells, load_cells, load_station


def check_protocol(
    protocol: Path,
    station: Path | None,
    cells: Path | None,
    values: Mapping[str, str] | None = None,
    *,
    as_json: bool,
) -> None:
    """Validate and show the plan.

    Raises
    ------
    InvalidFile
        With every mistake.
    """
    try:
        loaded = load_protocol(protocol, values)
        remarks = [*loaded.document.remarks, *uncounted(loaded)]
        plans = _plans(loaded, station, cells, remarks)
    except InvalidFile as error:
        if as_json:
            put_json({"schema": "labctl.check/1", "valid": False, "mistakes": _told(error.mistakes)})
        raise
    if as_json:
        put_json(
            {
                "schema": "labctl.check/1",
                "valid": True,
                "remarks": _told(remarks),
                "plans": {
                    cell: [
                        {
                            "step": one.path,
                            "kind": one.kind.value,
                            "cycle": one.cycle,
                            "at_most_s": one.at_most,
                            "expected_s": one.expected_duration,
                            "start_within_s": one.start_within,
                            "late": one.late if one.start_within is not None else None,
                            "on_timeout": one.on_timeout if one.at_most is not None else None,
                            "on_failure": one.on_failure,
                            "on_controller_loss": one.on_controller_loss,
                            "conditions": [{"if": each.expression.text, "is": each.wants} for each in one.conditions],
                        }
                        for one in plan
                    ]
                    for cell, plan in plans.items()
                },
            }
        )
        return
    for remark in remarks:
        say(f"remark: {remark}")
    _print(protocol, plans)


def _told(mistakes: Sequence[Mistake]) -> list[dict[str, Any]]:
    return [
        {
            "file": one.file,
            "line": one.line,
            "column": one.column,
            "found": one.found,
            "right": one.right,
            "notes": list(one.notes),
        }
        for one in mistakes
    ]


def _plans(
    loaded: Protocol, station: Path | None, cells: Path | None, remarks: list[Mistake]
) -> dict[str, tuple[PlannedOperation, ...]]:
    from labctl.safety.preflight import check

    loaded_cells: Cells | None = load_cells(cells) if cells is not None else None
    if station is not None:
        loaded_station = load_station(station, drivers=plugins.driver_names())
        entries = loaded_station.entries()
        roles = plugins.roles(entries)
        remarks += unreferenced(loaded, loaded_station, roles)
        if loaded_cells is not None:
            mistakes = check(loaded, loaded_station, loaded_cells, roles, plugins.capabilities(entries))
            if loaded_station.mode == "simulated":
                laboratory = plugins.simulator("laboratory")
                mistakes += impossible_cells(
                    loaded_cells, laboratory.impossible_cells(loaded_station.description(loaded_cells))
                )
            if mistakes:
                raise InvalidFile(in_order(mistakes))
            remarks += shared_chambers(loaded, loaded_station, loaded_cells, Ways(loaded_station, roles))
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
    for line in _agreed(plans):
        out.print(line)


def _agreed(plans: dict[str, tuple[PlannedOperation, ...]]) -> list[str]:
    """Say once what becomes of a cell that is late, times out or fails, and in which steps of a cycle."""
    said: dict[str, list[str]] = {}
    every = dict.fromkeys(one.path.partition("/")[2] for plan in plans.values() for one in plan)
    for one in (one for plan in plans.values() for one in plan):
        step = one.path.partition("/")[2]
        for outcome in _outcomes(one):
            steps = said.setdefault(outcome, [])
            if step not in steps:
                steps.append(step)
    return [
        f"{outcome}: {'all steps' if len(steps) == len(every) else ', '.join(steps)}" for outcome, steps in said.items()
    ]


def _outcomes(one: PlannedOperation) -> list[str]:
    outcomes = [f"after a failure the cell is left at {_LEFT_AT[one.on_failure]}"]
    if one.start_within is not None:
        outcomes.append(f"a cell that can't start within {ago(one.start_within)} {_LATE[one.late]}")
    if one.at_most is not None:
        outcomes.append(f"a cell whose step the guard time ended {_LATE[one.on_timeout]}")
    if one.on_controller_loss == "stop":
        outcomes.append("without labctl the instrument stops")
    return outcomes


_LEFT_AT = {"open_circuit": "open circuit", "hold_voltage": "its voltage, held", "isolate": "open circuit, isolated"}
_LATE = {"hold": "is held", "continue": "goes on, flagged", "skip": "skips the step"}
