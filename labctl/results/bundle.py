"""One folder per operation: raw vendor files as they came, a table for computers, and ``operation.json``.

``operation.json`` is written last, to a temporary name that is then renamed: a folder without it is not a result.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from labctl.errors import DataError
from labctl.results.recording import RecordWriter
from labctl.results.records import read_records

#: The operation's record file.
RECORDS: Final = "records.log"
#: What was kept while the operation ran, where it is not what the instrument gave at the end.
SET_ASIDE: Final = "records-set-aside.log"
#: How a driver's ``fetch`` lays the records down.
_TABLE: Final = "records.csv"
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
    _write_durably(path, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False), mode)


def _write_durably(path: Path, text: str, mode: int = 0o666) -> None:
    partial = path.with_name(path.name + ".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb", buffering=0) as file:
        file.write(text.encode("utf-8"))
        os.fsync(file.fileno())
    partial.replace(path)


def _document_text(data: Mapping[str, Any]) -> str:
    """JSON with a line for each field, and for each entry of a list of objects: readable, and made by the fast encoder.

    A bundle is closed for every operation, so this is done thousands of times where other documents are written once.
    """

    def dense(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)

    lines = []
    for key, value in data.items():
        if isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
            entries = ",\n  ".join(map(dense, value))
            lines.append(f" {dense(key)}: [\n  {entries}\n ]")
        else:
            lines.append(f" {dense(key)}: {dense(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


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


#: Columns of a cycler's records, by their names in ``records.csv``.
Columns = Mapping[str, list[int] | list[float]]


def last_record(folder: Path, operation: str) -> int | None:
    """Give the number of the last record that an operation's record file has; None while it has none.

    Raises
    ------
    DataError
        The file is another operation's, is no record file, or can't be read.
    """
    if not (folder / RECORDS).exists():
        return None
    with _unforced(RecordWriter(folder / RECORDS, operation)) as writer:
        return writer.last


def add_records(folder: Path, operation: str, table: str) -> int | None:
    """Append what a running operation has come to, and give the number of the last record.

    It is not forced to the disk: what a power cut takes, the instrument still has.

    Parameters
    ----------
    table : str
        Records as a driver's ``records.csv`` has them; those that are there already are left out.

    Raises
    ------
    DataError
        They do not follow on those that are there, or can't be written; nothing of them was.
    """
    with _unforced(RecordWriter(folder / RECORDS, operation)) as writer:
        writer.append_csv(table)
        return writer.last


@contextmanager
def _unforced(writer: RecordWriter) -> Iterator[RecordWriter]:
    """Close a record file without waiting for the disk."""
    try:
        yield writer
    finally:
        writer.close(sync=False)


def keep_records(folder: Path, operation: str) -> Columns | None:
    """Take a driver's ``records.csv`` into the operation's record file, and give its columns; None where it has none.

    The record file is append-only and checks every line; what a killed process began or what was kept while the
    operation ran is gone on with, and a record that is missing or comes twice is refused. Where what was kept is not
    what the table begins with, it is set aside as ``records-set-aside.log``, and the file is written anew. The
    driver's table is not needed any more then.

    Raises
    ------
    DataError
        The table is not what a driver writes, or its records do not follow on each other.
    """
    source = folder / _TABLE
    try:
        text = source.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    columns = _read_columns(source, text)
    path = folder / RECORDS
    if path.exists() and not _begins(path, operation, text):
        path.replace(folder / SET_ASIDE)
    with RecordWriter(path, operation) as writer:
        writer.append_csv(text)
    return columns


def _begins(path: Path, operation: str, text: str) -> bool:
    """Whether what a record file has so far is what a table begins with, line for line."""
    try:
        # A torn beginning is written anew, a torn end is cut off; a damaged beginning or another's is refused.
        RecordWriter(path, operation).close(sync=False)
    except DataError:
        return False
    found = read_records(path)
    lines = "".join([f"{line.decode()}\n" for line in found.lines])
    return text.partition("\n")[2].replace("\r", "").startswith(lines)


def _tabulate(folder: Path, columns: Columns) -> str:
    """Turn a cycler's records into the parquet table with Battery Data Format names."""
    import numpy as np
    import polars

    table = {name: np.array(columns[column]) * factor for name, (column, factor) in _BDF.items()}
    target = folder / "records.parquet"
    partial = folder / "records.parquet.partial"
    # Small tables, always read whole: statistics and a thorough compression would cost more than they save.
    polars.DataFrame(table).write_parquet(partial, compression_level=1, statistics=False)
    partial.replace(target)
    return target.name


def _read_columns(source: Path, text: str) -> dict[str, list[int] | list[float]]:
    """Read the columns of ``records.csv`` that go into the table: plain numbers, which need no guessing of types."""
    heading, _, body = text.partition("\n")
    names = heading.strip().split(",")
    missing = [column for column, _ in _BDF.values() if column not in names]
    if missing:
        raise DataError(f"{source}: no column {', '.join(missing)}")
    rows = [line.split(",") for line in body.splitlines()]
    crooked = next((number for number, row in enumerate(rows, start=2) if len(row) != len(names)), None)
    if crooked is not None:
        raise DataError(f"{source}:{crooked}: not the {len(names)} columns of the heading")
    by_name = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(names, ())
    try:
        return {
            column: list(map(int if isinstance(factor, int) else float, by_name[column]))
            for column, factor in _BDF.values()
        }
    except ValueError as error:
        raise DataError(f"{source}: {error}") from error


def _listing(folder: Path, files: Sequence[str]) -> list[dict[str, Any]]:
    listing = []
    for name in sorted(files):
        content = (folder / name).read_bytes()
        listing.append({"name": name, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)})
    return listing


def write_bundle(
    folder: Path, files: Sequence[str], description: Mapping[str, Any], columns: Columns | None = None
) -> Path:
    """Close a bundle: tabulate, hash every file, and write ``operation.json``.

    Parameters
    ----------
    folder : Path
        The bundle's folder with the driver's files in it.
    files : sequence of str
        Their paths relative to it.
    description : mapping
        The fields of ``labctl.operation/1`` but ``schema`` and ``files``.
    columns : mapping, optional
        What :func:`keep_records` gave for this folder, where that was done already.

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
    kept = list(files)
    columns = columns if columns is not None else keep_records(folder, str(description["operation"]))
    if columns is not None:
        kept = [name for name in kept if name != _TABLE] + [RECORDS, _tabulate(folder, columns)]
        kept += [SET_ASIDE] if (folder / SET_ASIDE).exists() else []
    listed = _listing(folder, kept)
    path = folder / "operation.json"
    _write_durably(path, _document_text({"schema": OPERATION_SCHEMA, **description, "files": listed}))
    # Only now: until the bundle is whole, taking the operation up again begins with this table.
    (folder / _TABLE).unlink(missing_ok=True)
    return path
