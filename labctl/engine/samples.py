"""Which sample an operation was done with: cells are taken apart, others are put together from their parts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from labctl.journal import OperationRow, Status
from labctl.protocol import Handling, Kind


def part_of(cell: str, part: str) -> str:
    """Name a part of a cell."""
    return f"{cell}-{part}"


def handled(cell: str, label: str, task: Handling) -> dict[str, Any]:
    """Say what the journal should remember of a sample that was taken apart or put together."""
    if task.gives:
        return {"parts": [part_of(cell, part) for part in task.gives]}
    return {"made": part_of(cell, label), "parents": [part_of(of or cell, part) for part, of in task.takes]}


def sample_of(cell: str, kind: str, parents: Sequence[str], rows: Iterable[OperationRow]) -> dict[str, Any]:
    """Say what a cell's leads or the probe hold after the operations ``rows``, in their order.

    Returns
    -------
    dict
        ``id``, ``kind`` (``cell``, ``electrode``, ``sample`` or ``parts``), ``parents``, and ``parts`` where it was
        taken apart into several.
    """
    now: dict[str, Any] = {"id": cell, "kind": kind, "parents": list(parents)}
    for row in rows:
        if row.status is not Status.DONE:
            continue
        if row.kind == Kind.DISASSEMBLE:
            parts = list(row.result["parts"])
            single = {"id": parts[0], "kind": "electrode"} if len(parts) == 1 else {"id": now["id"], "kind": "parts"}
            now = {**single, "parents": [now["id"]] if len(parts) == 1 else now["parents"]}
            now |= {"parts": parts} if len(parts) > 1 else {}
        elif row.kind == Kind.ASSEMBLE:
            now = {"id": row.result["made"], "kind": "cell", "parents": list(row.result["parents"])}
    return now
