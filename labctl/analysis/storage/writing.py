"""Puts an analysis into files: which tables a file has, what stands in its attributes, what is left of earlier ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from labctl.analysis.model import Analysis, CellResult
from labctl.analysis.parallel import Workers
from labctl.analysis.storage import SCHEMA, campaigns, cells, circuits, operando, spectra
from labctl.analysis.storage.commas import sheets
from labctl.analysis.storage.files import made, put, remove
from labctl.analysis.storage.names import file_names
from labctl.analysis.storage.netcdf import Variable, image
from labctl.analysis.storage.tables import Table
from labctl.analysis.storage.variables import variables

#: What the files of a cell take, roughly.
_CELL_S: Final = 0.12
_REFERENCES: Final = "Wichmann et al., Nat. Commun. 2025 (method)"


@dataclass(frozen=True)
class _Task:
    """The files of one cell, with nothing of the others, so that it is cheap to hand to another process."""

    stem: Path
    cell: CellResult
    places: Mapping[str, str]
    attributes: dict[str, Any]


def write_all(analysis: Analysis, folder: Path, workers: Workers) -> tuple[Path, ...]:
    """Write all files; see :func:`labctl.analysis.storage.write`."""
    made(folder)
    common = _common(analysis)
    folders = file_names(dict.fromkeys(cell.campaign for cell in analysis.cells))
    files = {campaign: file_names(cell.cell for cell in analysis.cells if cell.campaign == campaign)
             for campaign in folders}  # fmt: skip
    places = {one.token: one.place for one in analysis.raw if one.token}
    tasks = [
        _Task(
            made(folder / folders[cell.campaign]) / files[cell.campaign][cell.cell],
            cell,
            {token: places[token] for token in cells.tokens(cell) if token in places},
            common | {"title": f"Results of cell {cell.cell}", "campaign": cell.campaign},
        )
        for cell in analysis.cells
    ]
    written: list[Path] = []

    def whole() -> None:
        for campaign, name in folders.items():
            described = common | {"title": f"Results of campaign {campaign}", "campaign": campaign}
            described["evaluated_together"] = ", ".join(analysis.campaigns)
            paths = {cell: f"{name}/{file}.nc" for cell, file in files[campaign].items()}
            tables = [*campaigns.tables(analysis, campaign, paths), cells.flags(analysis.flags)]
            written.extend(_write(folder / name, tables, (), described | campaigns.attributes(analysis, campaign)))

    of_cells = workers.mapped(_write_cell, tasks, seconds=_CELL_S * len(tasks), meanwhile=whole)
    return (*(path for some in of_cells for path in some), *written)


def _write_cell(task: _Task) -> list[Path]:
    described = task.attributes | cells.attributes(task.cell)
    return _write(task.stem, list(_tables(task.cell, task.places)), cells.budget_variables(task.cell), described)


def _tables(cell: CellResult, places: Mapping[str, str]) -> Iterator[Table]:
    yield cells.cycles(cell)
    yield cells.shares(cell)
    yield cells.budget(cell)
    yield spectra.spectra(cell)
    yield spectra.deposits(cell)
    yield circuits.impedance(cell)
    yield circuits.dynamic(cell)
    yield operando.operando(cell)
    yield operando.course(cell)
    yield cells.flags(cell.flags)
    yield cells.bundles(cell, places)


def _write(
    stem: Path, tables: Sequence[Table], more: Iterator[Variable] | Sequence[Variable], attributes: Mapping[str, Any]
) -> list[Path]:
    """Write one netCDF and the CSV files of its tables, and remove those that it no longer has."""
    filled = [table for table in tables if table.rows]
    found = [one for table in filled if table.dimension for one in variables(table)]
    content = image([*found, *more], {name: value for name, value in attributes.items() if value is not None})
    written = [put(stem.with_name(f"{stem.name}.nc"), content)]
    for table in filled:
        written += [
            put(stem.with_name(f"{stem.name}.{name}.csv"), data) for name, data in sheets(table, attributes["mode"])
        ]
    possible = {name for table in tables for name in (table.name, table.points) if name}
    remove({stem.with_name(f"{stem.name}.{name}.csv") for name in possible} - set(written))
    return written


def _common(analysis: Analysis) -> dict[str, Any]:
    try:
        release = version("labctl-cells")
    except PackageNotFoundError:
        release = "unknown"
    return {
        "Conventions": "CF-1.11",
        "schema": SCHEMA,
        "title": "",
        "mode": analysis.mode,
        "source": "simulated laboratory" if analysis.mode == "simulated" else "measured",
        "labctl_version": release,
        "references": _REFERENCES,
        "settings": json.dumps(analysis.settings.to_json(), ensure_ascii=False),
        "comment": " ".join(analysis.notes) or None,
    }
