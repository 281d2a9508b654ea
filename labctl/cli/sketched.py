"""The cell that a protocol is exported or shown for: one of a cells file, or one of so large an electrode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labctl import units
from labctl.errors import UsageError
from labctl.protocol import PlannedCell, Protocol, measure_problem


@dataclass(frozen=True, slots=True)
class SketchedCell:
    """A cell that stands in no file: its id, electrode area in m2, and the cycles in which it is measured."""

    id: str
    area: float
    measure_at: tuple[int, ...] = ()


def plan_cell(
    protocol: Protocol, *, cells: Path | None, cell: str | None, area: str | None, measure_at: str | None
) -> tuple[PlannedCell, Sequence[str]]:
    """Find or sketch the cell, and say what had to be taken for it.

    Raises
    ------
    UsageError
        Neither a cell nor an area was said, or both were.
    """
    if (cells is None) == (area is None):
        raise UsageError(
            "whose currents? a protocol's are per area", hint="give --cell-area '1.0 cm2', or --cells FILE --cell ID"
        )
    if cells is not None:
        return _listed(cells, cell), ()
    try:
        square = units.parse(area, "area")
    except units.UnitError as error:
        raise UsageError(f"--cell-area: {error}", hint="write for example --cell-area '1.0 cm2'") from None
    if not square > 0:
        raise UsageError(
            f"--cell-area {area}: an electrode has an area", hint="write for example --cell-area '1.0 cm2'"
        )
    said = _cycles(measure_at)
    if said or measure_problem(protocol, said) is None:
        return SketchedCell("cell", square, said), ()
    measured = protocol.measure.cycles if protocol.measure is not None else ()
    note = (
        f"measured at cycle {measured[-1]}, the last of {', '.join(map(str, measured))}: say --measure-at for another"
    )
    return SketchedCell("cell", square, (measured[-1],)), (note,)


def _listed(cells: Path, cell: str | None) -> PlannedCell:
    from labctl.station import load_cells

    listed = load_cells(cells).cells
    if cell is None and len(listed) == 1:
        return listed[0]
    for one in listed:
        if one.id == cell:
            return one
    names = ", ".join(one.id for one in listed)
    problem = f"no cell '{cell}' in {cells}" if cell is not None else f"{cells} has {len(listed)} cells"
    raise UsageError(problem, hint=f"give --cell with one of {names}")


def _cycles(measure_at: str | None) -> tuple[int, ...]:
    if measure_at is None:
        return ()
    parts = [part.strip() for part in measure_at.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"--measure-at {measure_at}: not numbers of cycles", hint="write for example --measure-at 15")
    return tuple(sorted({int(part) for part in parts}))
