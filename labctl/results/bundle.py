"""One folder per operation: raw vendor files as they came, a table for computers, and ``operation.json``.

``operation.json`` is written last, to a temporary name that is then renamed: a folder without it is not a result.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from labctl.errors import DataError

OPERATION_SCHEMA: Final = "labctl.operation/1"
CAMPAIGN_SCHEMA: Final = "labctl.campaign/1"

# Battery Data Format column <- (column of the driver's table, factor)
_BDF: Final = {
    "Test Time / s": ("time_s", 1.0),
    "Voltage / V": ("voltage_V", 1.0),
    "Current / A": ("current_A", 1.0),
    "Step Capacity / Ah": ("capacity_C", 1.0 / 3600.0),
    "Step Index / 1": ("step", 1),
    "Record Number / 1": ("record", 1),
}


def campaign_folder(results: Path, campaign: str) -> Path:
    """Where a campaign's results are."""
    return results / campaign


def bundle_folder(results: Path, operation: str) -> Path:
    """Where an operation's bundle is: its id, as a path."""
    return results.joinpath(*operation.split("/"))


def write_json(path: Path, data: Mapping[str, Any], mode: int = 0o666) -> None:
    """Write a JSON file so that it is there whole or not at all; ``mode`` is less what the umask takes away."""
    partial = path.with_name(path.name + ".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
        json.dump(data, file, indent=1, ensure_ascii=False, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_campaign(results: Path, description: Mapping[str, Any]) -> Path:
    """Write ``campaign.json``: what the analysis needs to know of the cells and the cycler.

    Parameters
    ----------
    results : Path
        The laboratory's results folder.
    description : mapping
        ``campaign``, ``protocol``, ``mode``, ``capacity_accuracy`` and ``cells``.
    """
    folder = campaign_folder(results, description["campaign"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "campaign.json"
    write_json(path, {"schema": CAMPAIGN_SCHEMA, **description})
    return path


def _tabulate(folder: Path) -> str | None:
    """Turn a cycler's ``records.csv`` into the parquet table with Battery Data Format names."""
    source = folder / "records.csv"
    if not source.exists():
        return None
    import polars

    table = polars.read_csv(source)
    missing = [column for column, _ in _BDF.values() if column not in table.columns]
    if missing:
        raise DataError(f"{source}: no column {', '.join(missing)}")
    target = folder / "records.parquet"
    partial = folder / "records.parquet.partial"
    columns = {name: table[column] * factor for name, (column, factor) in _BDF.items()}
    polars.DataFrame(columns).write_parquet(partial)
    partial.replace(target)
    return target.name


def _listing(folder: Path, files: Sequence[str]) -> list[dict[str, Any]]:
    listing = []
    for name in sorted(files):
        content = (folder / name).read_bytes()
        listing.append({"name": name, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)})
    return listing


def write_bundle(folder: Path, files: Sequence[str], description: Mapping[str, Any]) -> Path:
    """Close a bundle: tabulate, hash every file, and write ``operation.json``.

    Parameters
    ----------
    folder : Path
        The bundle's folder with the driver's files in it.
    files : sequence of str
        Their paths relative to it.
    description : mapping
        The fields of ``labctl.operation/1`` but ``schema`` and ``files``.

    Returns
    -------
    Path
        Of ``operation.json``.

    Raises
    ------
    DataError
        A file is missing, or a table lacks a column.
    """
    absent = [name for name in files if not (folder / name).is_file()]
    if absent:
        raise DataError(f"{folder}: the driver named files that are not there: {', '.join(absent)}")
    table = _tabulate(folder)
    listed = _listing(folder, [*files, *([table] if table else [])])
    path = folder / "operation.json"
    write_json(path, {"schema": OPERATION_SCHEMA, **description, "files": listed})
    return path
