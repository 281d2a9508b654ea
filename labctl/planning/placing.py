"""Which slot is whose home, and which cell of a group is measured when: exchanged as long as that shortens a campaign.

A home decides which instruments a cell reaches without being carried: cells at one potentiostat wait for each other
while another one stands idle. Exchanges are judged with all cells started at once, by the lower bound, by when the last
cell ends, and by how long cells wait; starts are looked for afterwards. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from labctl.planning.bound import lower_bound
from labctl.planning.chains import Kind, kind_of
from labctl.planning.dispatch import NeverEnds, play
from labctl.planning.heuristic import all_at_once
from labctl.planning.problem import NEVER, Problem, Visit
from labctl.station import Cell

#: By which part of the bound each figure must become less to count: bound, end of the last cell, waiting.
WORTH: Final = (0.005, 0.005, 0.02)
#: At most so many assignments are played.
MOST: Final = 600

#: Bound, end of the last cell, and waiting, in s.
Judgement = tuple[float, float, float]


@dataclass(frozen=True)
class Placed:
    """What came of it.

    Attributes
    ----------
    cells : tuple of Cell
        In the order given, each with its home and its measured cycles.
    tried : int
        How many other assignments were played.
    """

    cells: tuple[Cell, ...]
    tried: int


def judge(problem: Problem) -> Judgement:
    """Say how good a campaign can be as the cells are placed; the lower, the better."""
    try:
        at_once = play(problem, all_at_once(problem))
        return lower_bound(problem).seconds, at_once.makespan, at_once.waited
    except NeverEnds:
        return NEVER, NEVER, NEVER


def is_better(one: Judgement, other: Judgement) -> bool:
    """Whether one is better than the other by more than what durations are uncertain by, the first figure first."""
    if other[0] == NEVER:
        return one[0] < NEVER
    for mine, theirs, part in zip(one, other, WORTH, strict=True):
        if abs(mine - theirs) > part * other[0]:
            return mine < theirs
    return False


def place(
    cells: Sequence[Cell],
    problem_of: Callable[[Sequence[Cell]], Problem],
    known: Mapping[Kind, tuple[Visit, ...]],
    *,
    free: Mapping[str, Sequence[str]] | None = None,
    fixed: Collection[str] = (),
    homes: bool = True,
    cycles: bool = False,
) -> Placed:
    """Exchange homes and measured cycles, the best exchange first, as long as one is worth it.

    Nobody is carried more often for it than before, all cells together.

    Parameters
    ----------
    problem_of : callable
        Makes the problem of cells, whose kinds are all known.
    known : mapping of Kind to tuple of Visit
        The visits of every kind that is possible; no cell becomes of another.
    free : mapping of str to sequence of str
        By place, the slots that are nobody's.
    fixed : collection of str
        Cells that stay as they are.
    homes, cycles : bool
        What may be changed.
    """
    current = tuple(cells)
    best, tried = judge(problem_of(current)), 0
    empty = {name: list(slots) for name, slots in (free or {}).items()}
    while True:
        found: tuple[Cell, ...] | None = None
        for changed in _changes(current, empty, fixed, homes=homes, cycles=cycles):
            if tried >= MOST:
                break
            if any(kind_of(cell) not in known for cell in changed) or _carried(changed, known) > _carried(
                current, known
            ):
                continue
            tried += 1
            judged = judge(problem_of(changed))
            if is_better(judged, best):
                best, found = judged, changed
        if found is None:
            return Placed(current, tried)
        for before, after in zip(current, found, strict=True):
            if before.place != after.place:
                _take(empty, before.place, after.place)
        current = found


def _take(empty: dict[str, list[str]], before: str, after: str) -> None:
    """A cell has moved from a slot to another: the one is free now, the other is not."""
    slots = empty.get(_place(after), [])
    if after in slots:
        slots.remove(after)
        empty.setdefault(_place(before), []).insert(0, before)


def _changes(
    cells: tuple[Cell, ...], empty: Mapping[str, Sequence[str]], fixed: Collection[str], *, homes: bool, cycles: bool
) -> Iterator[tuple[Cell, ...]]:
    """Give all that one exchange can make of it; of exchanges between cells that are alike, one."""
    seen: set[tuple[object, ...]] = set()
    open_ = [(index, cell) for index, cell in enumerate(cells) if cell.id not in fixed]
    for number, (index, cell) in enumerate(open_):
        for slots in empty.values() if homes else ():
            if slots and _place(slots[0]) != _place(cell.place):
                key: tuple[object, ...] = ("to", _alike(cell), _place(slots[0]))
                if key not in seen:
                    seen.add(key)
                    yield _with(cells, {index: {"place": slots[0]}})
        for other_index, other in open_[number + 1 :]:
            ways: list[str] = []
            if homes and _place(cell.place) != _place(other.place):
                ways.append("place")
            if cycles and cell.group == other.group and cell.measure_at != other.measure_at:
                ways.append("measure_at")
            for what in ways:
                key = (what, frozenset((_alike(cell), _alike(other))))
                if key not in seen:
                    seen.add(key)
                    values = {index: {what: getattr(other, what)}, other_index: {what: getattr(cell, what)}}
                    yield _with(cells, values)


def differ(cells: Sequence[Cell]) -> bool:
    """Whether it makes any difference who of a group is measured when: cells that differ in nothing else are alike."""
    unmeasured = [(cell, _alike(cell.model_copy(update={"measure_at": ()}))) for cell in cells]
    return any(
        one.group == other.group and one.measure_at != other.measure_at and kind != other_kind
        for number, (one, kind) in enumerate(unmeasured)
        for other, other_kind in unmeasured[number + 1 :]
    )


def _with(cells: tuple[Cell, ...], changes: Mapping[int, Mapping[str, object]]) -> tuple[Cell, ...]:
    return tuple(
        cell.model_copy(update=dict(changes[index])) if index in changes else cell for index, cell in enumerate(cells)
    )


def _alike(cell: Cell) -> tuple[object, ...]:
    return kind_of(cell), cell.priority, cell.user


def _place(slot: str) -> str:
    return slot.partition("/")[0]


def _carried(cells: Sequence[Cell], known: Mapping[Kind, tuple[Visit, ...]]) -> int:
    """How often people carry cells, all together."""
    return sum((visit.carry_in > 0) + (visit.carry_out > 0) for cell in cells for visit in known[kind_of(cell)])
