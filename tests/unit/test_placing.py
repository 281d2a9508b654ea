"""Whose home is where, and who is measured when: exchanged only where that shortens a campaign."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from labctl.planning.chains import kind_of
from labctl.planning.placing import Placed, differ, place
from labctl.planning.problem import Chain, Problem, Visit
from labctl.station import Cell, read_cells

HOUR = 3600.0


def cells(*homes: str, measured: Sequence[int] = (), **more: str) -> tuple[Cell, ...]:
    lines = ["labctl: 1", "cells:"]
    for number, home in enumerate(homes, start=1):
        own = f", measure_at: [{measured[number - 1]}]" if measured else ""
        own += f", {more[f'cell_{number}']}" if f"cell_{number}" in more else ""
        who = f"id: cell-{number}, barcode: C{number}, group: g, area: 1 cm2, chemistry: Li||Li"
        lines.append(f"  - {{{who}, place: {home}{own}}}")
    return read_cells("\n".join(lines) + "\n", "cells.yaml").cells


def sweeps(cell: Cell) -> tuple[Visit, ...]:
    """An hour of rest, then a sweep at the potentiostat of its cabinet."""
    cabinet = cell.place.partition("/")[0]
    return Visit("rest", (), HOUR), Visit("eis", (f"zahner-{cabinet}",), 4 * HOUR)


def cycles(cell: Cell) -> tuple[Visit, ...]:
    """As many cycles as it is measured after; one of twice the area takes twice the time."""
    return (Visit("cycling", (), cell.measure_at[0] * HOUR * cell.area / 1e-4), Visit("eis", ("zahner",), HOUR))


def found(given: tuple[Cell, ...], visits_of: object, **asked: object) -> Placed:
    every = [one for cell in given for one in _variants(cell, given)]
    known = {kind_of(one): visits_of(one) for one in every}

    def problem_of(placed: Sequence[Cell]) -> Problem:
        return Problem(tuple(Chain(one.id, one.group, known[kind_of(one)]) for one in placed))

    return place(given, problem_of, known, **asked)


def _variants(cell: Cell, given: tuple[Cell, ...]) -> list[Cell]:
    homes, measured = ("a/1", "b/1"), {one.measure_at for one in given}
    return [cell.model_copy(update={"place": home, "measure_at": at}) for home in homes for at in measured]


def test_cells_at_one_potentiostat_are_shared_out_over_both() -> None:
    placed = found(cells("a/1", "a/2", "a/3", "a/4"), sweeps, free={"b": ["b/1", "b/2", "b/3"]})
    homes = [cell.place for cell in placed.cells]
    assert sorted(home.partition("/")[0] for home in homes) == ["a", "a", "b", "b"]
    assert len(set(homes)) == 4, "a slot for each"


def test_who_sits_somewhere_stays_there() -> None:
    given = cells("a/1", "a/2", "a/3", "a/4")
    placed = found(given, sweeps, free={"b": ["b/1", "b/2"]}, fixed={"cell-1", "cell-2", "cell-3"})
    assert [cell.place for cell in placed.cells] == ["a/1", "a/2", "a/3", "b/1"]


def test_homes_that_bring_nothing_are_left_as_they_are() -> None:
    given = cells("a/1", "a/2", "b/1", "b/2")
    placed = found(given, sweeps, free={"a": ["a/3"], "b": ["b/3"]})
    assert placed.cells == given
    assert placed.tried > 0


def test_the_slow_cell_of_a_group_is_measured_early() -> None:
    one, other = cells("a/1", "a/2", measured=(2, 30))
    placed = found((one, other.model_copy(update={"area": 2e-4})), cycles, homes=False, cycles=True)
    assert [cell.measure_at for cell in placed.cells] == [(30,), (2,)]


@pytest.mark.parametrize(("more", "expected"), [({}, False), ({"cell_2": "priority: 9"}, True)])
def test_cells_that_differ_in_nothing_else_need_no_exchange(more: dict[str, str], expected: bool) -> None:
    assert differ(cells("a/1", "a/2", measured=(1, 15), **more)) is expected
