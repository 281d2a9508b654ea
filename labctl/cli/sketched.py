"""The cell that a protocol is exported or shown for: one of a cells file, or one of so large an electrode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from labctl import units
from labctl.errors import UsageError
from labctl.protocol import PlannedCell, Protocol, measure_problem, measured


@dataclass(frozen=True, slots=True)
class SketchedCell:
    """A cell that stands in no file: its id, area in m2, capacity in C, mass in kg, and when it is measured."""

    id: str
    area: float
    capacity: float | None = None
    mass: float | None = None
    measure_at: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What was said of the cell on the command line."""

    cells: Path | None
    cell: str | None
    area: str | None
    capacity: str | None
    mass: str | None
    measure_at: str | None


def plan_cell(protocol: Protocol, asked: Asked) -> tuple[PlannedCell, Sequence[str]]:
    """Find or sketch the cell, and say what had to be taken for it.

    Raises
    ------
    UsageError
        Neither a cell nor an area was said, or both were.
    """
    if (asked.cells is None) == (asked.area is None):
        raise UsageError(
            "whose currents? a protocol's are per area", hint="give --cell-area '1.0 cm2', or --cells FILE --cell ID"
        )
    if asked.cells is not None:
        return _listed(asked.cells, asked.cell), ()
    square = _size("--cell-area", asked.area, "area", "1.0 cm2")
    capacity = _size("--cell-capacity", asked.capacity, "capacity", "2.6 mAh")
    mass = _size("--cell-mass", asked.mass, "mass", "12 mg")
    said = _cycles(asked.measure_at)
    sketched = SketchedCell("cell", square or 0.0, capacity, mass, said)
    if said or measure_problem(protocol, said) is None:
        return sketched, ()
    last = measured(protocol)[-1]
    note = f"measured at cycle {last}, the last that the protocol measures: say --measure-at for another"
    return replace(sketched, measure_at=(last,)), (note,)


def _size(option: str, said: str | None, kind: str, example: str) -> float | None:
    if said is None:
        return None
    hint = f"write for example {option} '{example}'"
    try:
        size = units.parse(said, kind)
    except units.UnitError as error:
        raise UsageError(f"{option}: {error}", hint=hint) from None
    if not size > 0:
        raise UsageError(f"{option} {said}: not above zero", hint=hint)
    return size


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
