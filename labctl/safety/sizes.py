"""Before anything starts: amounts by the size of a cell. Does each cell say its sizes, and what do they come to?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from labctl.documents import Amount, Path
from labctl.errors import Mistake
from labctl.protocol import Block, Moment, Placed, Protocol, blocks, each
from labctl.protocol.combined import Deis, Operando
from labctl.protocol.cycle_checks import values_of
from labctl.protocol.models import Charge, Discharge, Eis, Hold
from labctl.protocol.resolving import limits_of
from labctl.safety.ways import steps_of
from labctl.station import Cells
from labctl.units import show

#: How a size is written in cells.yaml, and the unit it is shown in.
_WRITTEN: Final[Mapping[str, tuple[str, str]]] = {
    "area": ("area: 1.0 cm2", "cm2"),
    "capacity": ("capacity: 2.62 mAh", "mAh"),
    "mass": ("mass: 12 mg", "mg"),
}
#: In so many cycles of a step is it looked whether it ends.
_LOOKED_AT: Final = 1000
_CAPACITIES: Final = ("capacity", "areal capacity", "specific capacity", "ratio")


class Asked(NamedTuple):
    """A current that a step asks for: where it stands, how much, and the largest that the step allows in A."""

    path: Path
    amount: Amount
    limit: float


def amounts_of(protocol: Protocol, step: Placed) -> Iterator[tuple[Path, Amount]]:
    """Give every amount of a step, each where it stands in the file."""
    for path, value, _, _ in values_of(step):
        for key, one in each(value):
            if isinstance(one, Amount):
                yield (*step.path, *path, *key), one
    body = step.body
    if isinstance(body, Deis):
        amplitude = protocol.spectra[body.spectrum].amplitude
        yield (*step.path, "current"), _together(body.current, amplitude)
        if body.capacity is not None:
            yield (*step.path, "capacity"), body.capacity
    if isinstance(body, (Eis, Deis)):
        yield ("spectra", body.spectrum, "amplitude"), protocol.spectra[body.spectrum].amplitude


def currents_of(protocol: Protocol, step: Placed) -> Iterator[Asked]:
    """Give the currents that flow in a step, and the amplitude of a spectrum by current."""
    most = limits_of(protocol.limits, step.body)[2]
    for path, amount in amounts_of(protocol, step):
        ends = "until" in path
        if not ends and amount.kind != "voltage" and amount.kind not in _CAPACITIES:
            yield Asked(path, amount, most)


def _together(direct: Amount, alternating: Amount) -> Amount:
    """Give the peak of two currents at once, where they are of the same kind."""
    if direct.kind != alternating.kind:
        return direct
    both = f"{direct.written} and an amplitude of {alternating.written}"
    return Amount(direct.value + alternating.value, direct.kind, both)


def check_sizes(protocol: Protocol, cells: Cells) -> Iterator[Mistake]:
    """Find sizes that an amount refers to and a cell does not say.

    Where no cell says it the amount is reported, otherwise each cell that does not.
    """
    first: dict[str, tuple[Path, Amount]] = {}
    for step in steps_of(protocol):
        for path, amount in amounts_of(protocol, step):
            if amount.size is not None:
                first.setdefault(amount.size, (path, amount))
    for size, (path, amount) in first.items():
        lacking = [index for index, cell in enumerate(cells.cells) if amount.of(cell) is None]
        written = _WRITTEN[size][0]
        if len(lacking) == len(cells.cells):
            found = f"'{amount.written}' needs the {size} of {_names(cells, lacking)}, which says none"
            yield protocol.document.mistake(path, found, f"add for example '{written}' to every cell")
            continue
        place = protocol.document.place(path)
        where = f"{protocol.document.file}:{place.line}:{place.column}"
        for index in lacking:
            found = f"{cells.cells[index].id} says no {size}, which '{amount.written}' in {where} needs"
            yield cells.document.mistake(("cells", index), found, f"add for example '{written}'")


def _names(cells: Cells, indices: Sequence[int]) -> str:
    first = cells.cells[indices[0]].id
    return first if len(indices) == 1 else f"each cell, such as {first}"


def check_ends(protocol: Protocol, cells: Cells) -> Iterator[Mistake]:
    """Find ends that a step never reaches on one of these cells; all sizes are known.

    What the protocol alone can tell, where both sides refer to the same size, is found when it is read.
    """
    sizes = {(cell.area, cell.capacity, cell.mass): cell for cell in cells.cells}
    for block in blocks(protocol):
        for step in block.steps:
            if isinstance(step.body, (Charge, Discharge, Hold, Operando)):
                said = (_never(protocol, step.body, cell, block, step) for cell in sizes.values())
                found = next((one for one in said if one is not None), None)
                if found is not None:
                    yield protocol.document.mistake(
                        (*step.path, "until"), found, "check the end, the current and the size"
                    )


def _never(
    protocol: Protocol, body: Charge | Discharge | Hold | Operando, cell: Any, block: Block, step: Placed
) -> str | None:
    cycles = (cycle for cycle in range(block.first, block.last + 1) if step.done_in(cycle, block.last))
    for cycle in islice(cycles, _LOOKED_AT):
        now = Moment(protocol, cell, cycle, block.last)
        ends = now.ends(body.until)
        if isinstance(body, Hold):
            limit = now.amount(body.limit.current)
            if ends.current is not None and ends.current >= limit:
                return (
                    f"on {cell.id} the hold ends at {show(ends.current, 'mA')}, not below its limit {show(limit, 'mA')}"
                )
        elif ends.capacity is not None and body.at_most is not None and body.until.combined != "any":
            current, guard = now.amount(body.current), now.now(body.at_most)
            if ends.capacity > current * guard * (1 + 1e-9):
                takes, most = show(ends.capacity / current, "h"), show(guard, "h")
                return f"on {cell.id} {show(ends.capacity, 'mAh')} take {takes}, but 'at_most' is {most}"
    return None


def check_currents(protocol: Protocol, cells: Cells) -> Iterator[Mistake]:
    """Find currents by a size of the cell that are above the limit on these cells; all sizes are known.

    Where all cells are beyond it the current is reported, otherwise the size of each cell that is.
    """
    sized = [one for step in steps_of(protocol) for one in currents_of(protocol, step) if one.amount.size is not None]
    if not sized:
        return

    def share(one: Asked) -> float:
        return max(one.amount.on(cell) for cell in cells.cells) / one.limit

    worst = max(sized, key=share)
    amount, limit, size = worst.amount, worst.limit, worst.amount.size or ""
    beyond = [index for index, cell in enumerate(cells.cells) if amount.on(cell) > limit * (1 + 1e-9)]

    def what(cell: Any) -> str:
        of = "of" if size == "capacity" else "on"
        return (
            f"{amount.written} {of} {show(amount.of(cell) or 0.0, _WRITTEN[size][1])} is {show(amount.on(cell), 'mA')}"
        )

    if len(beyond) == len(cells.cells) and len(cells.cells) > 1:
        found = f"{what(cells.cells[0])}, above the limit {show(limit, 'mA')}"
        yield protocol.document.mistake(worst.path, found, "write a smaller current, or raise 'limits'")
        return
    for index in beyond:
        found = f"{what(cells.cells[index])}, above the protocol's limit {show(limit, 'mA')}"
        right = f"check the {size}, the current and the limit"
        yield cells.document.mistake(("cells", index, size), found, right)
