"""What a person does with the electrodes of virtual cells: takes cells apart, and puts others together from parts.

A cell keeps its name, barcode and place whatever lies in it: first itself, then its negative electrode, then what was
put together. Parts that are in no cell lie on a shelf, named after the cell that they come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labctl_simulators.cell import VirtualCell
from labctl_simulators.cell.chemistries import USUAL, of_electrode
from labctl_simulators.cell.parameters import draw
from labctl_simulators.cell.parts import Part


def built(entry: Mapping[str, Any], seed: int) -> VirtualCell:
    """Build a cell, or an electrode alone, as a description says. May raise ValueError."""
    chemistry, side = of_electrode(str(entry.get("chemistry") or USUAL))
    cell = VirtualCell(str(entry["id"]), float(entry["area_m2"]), seed, entry.get("simulate"), chemistry=chemistry)
    if side is not None:
        cell.take_apart([side])
    return cell


def impossible_cells(description: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Say which cells of a description cannot be, and why; nothing is made."""
    found = []
    for entry in description.get("cells", ()):
        cell_id = str(entry["id"])
        chemistry, _ = of_electrode(str(entry.get("chemistry") or USUAL))
        try:
            draw(0, cell_id, float(entry["area_m2"]), entry.get("simulate"), chemistry)
        except (ValueError, TypeError) as error:
            found.append((cell_id, str(error)))
    return found


def rework(laboratory: Any, cell_id: str, *, gives: Sequence[str] = (), takes: Sequence[str] = ()) -> list[str]:
    """Take a cell apart (``gives``), or put parts from the shelf together in its place (``takes``); names of the parts.

    Raises
    ------
    ValueError
        There is no such cell, it is under current (a violation), or the parts do not fit.
    """
    cell = laboratory.cells.get(cell_id)
    if cell is None:
        raise ValueError(f"there is no cell {cell_id!r}; there are {', '.join(laboratory.cells)}")
    laboratory.bring_up_to_date(cell)
    sources = ", ".join(laboratory.sources_on(cell))
    if sources:
        laboratory.note_violation("taken apart under current", cell=cell_id, sources=sources)
        raise ValueError(f"{cell_id} is under current of {sources}")
    if takes:
        laboratory.glovebox.put_together(cell, takes, laboratory.time())
    parts = list(takes) or laboratory.glovebox.take_apart(cell, gives)
    laboratory.record("laboratory", "put together" if takes else "taken apart", cell=cell_id, parts=parts)
    return parts


class Glovebox:
    """The shelf of parts, and what is done with them."""

    def __init__(self) -> None:
        self._shelf: dict[str, Part] = {}

    def build(self, entry: Mapping[str, Any], seed: int) -> VirtualCell:
        """Build as :func:`built`; an electrode alone is at hand on the shelf too."""
        cell = built(entry, seed)
        self._shelf |= {f"{cell.id}-{part.side}": part for part in cell.parts}
        return cell

    @property
    def shelf(self) -> tuple[str, ...]:
        """Names of the parts that are in no cell."""
        return tuple(self._shelf)

    def take_apart(self, cell: VirtualCell, sides: Sequence[str]) -> list[str]:
        """Take a cell apart into ``sides``; what is not named is thrown away.

        Returns
        -------
        list of str
            Names of the parts, ``<cell>-<side>``. The first stays in the cell's place.

        Raises
        ------
        ValueError
            It is in parts already, or nothing is asked for.
        """
        if not sides:
            raise ValueError(f"taking {cell.id} apart gives nothing")
        given = {f"{cell.id}-{side}": part for side, part in cell.take_apart(sides).items()}
        self._shelf |= given
        return list(given)

    def put_together(self, cell: VirtualCell, names: Sequence[str], t: float) -> None:
        """Put parts from the shelf together in the place of ``cell``, at laboratory time ``t``.

        Raises
        ------
        ValueError
            A part is not on the shelf, or is named twice, or none is, or a whole cell lies there.
        """
        if cell.whole:
            raise ValueError(f"{cell.id} is a whole cell; it has to be taken apart first")
        for index, name in enumerate(names):
            if name not in self._shelf or name in names[:index]:
                raise ValueError(
                    f"there is no part {name!r} on the shelf; there are {', '.join(self._shelf) or 'none'}"
                )
        if not names:
            raise ValueError(f"{cell.id} is put together from nothing")
        cell.become([self._shelf.pop(name) for name in names], t)

    def save(self) -> dict[str, Any]:
        """Give the shelf as JSON values."""
        return {name: part.to_json() for name, part in self._shelf.items()}

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take up what :meth:`save` gave."""
        self._shelf = {name: Part.from_json(part) for name, part in data.items()}
