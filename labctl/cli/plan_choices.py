"""What a cells file leaves open beside starts: other homes, and who of a group is measured when. Learned by runs.

A home makes a difference where places of one sort have different instruments: two cabinets, each wired to a
potentiostat of its own, or two chambers. What a cell would do there is not guessed: the engine runs it alone, once for
each home and each of its group's measured cycles that come into question.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from labctl.cli import plugins
from labctl.cli.plan import PlanRequest, run_each
from labctl.cli.taking_up import begun_in, check_files, frozen
from labctl.engine.campaign import Campaign
from labctl.engine.clock import WallClock
from labctl.errors import InvalidFile, JournalError
from labctl.journal import FILE_NAME, LastWord
from labctl.planning import Schedule
from labctl.planning.chains import kind_of
from labctl.planning.placing import differ
from labctl.station import Cell, Cells, Station, read_cells

#: What a place offers: see :func:`_offers`.
_Offer = tuple[object, ...]
_NO_SAMPLES: Final = "Homes and measured cycles stay as they are: cells are taken apart or put together"


@dataclass(frozen=True)
class Choices:
    """What may be changed.

    Attributes
    ----------
    homes, cycles : bool
        Whether any other home, or any exchange of measured cycles, could make a difference.
    free : mapping of str to tuple of str
        By place, slots that are nobody's.
    fixed : frozenset of str
        Cells that sit somewhere already, as the journal knows.
    remarks : tuple of str
        Why nothing can be chosen, where that is so.
    """

    homes: bool
    cycles: bool
    free: Mapping[str, tuple[str, ...]]
    fixed: frozenset[str]
    remarks: tuple[str, ...]


def choices(campaign: Campaign, lab: Path | None, *, exchange: bool) -> Choices:
    """Find out what the three files, and the journal of the laboratory, leave open.

    Parameters
    ----------
    lab : Path, optional
        The laboratory folder: whoever sits in its places stays there.
    exchange : bool
        Whether cells of a group may exchange the cycles in which they are measured.
    """
    cells = campaign.cells.cells
    fixed, taken = _sitting(lab, {cell.id for cell in cells})
    movable = [cell for cell in cells if cell.id not in fixed]
    if campaign.handles_samples:
        return Choices(False, False, {}, fixed, (_NO_SAMPLES,))
    remarks = []
    others = _other_places(campaign.station, movable)
    homes = not campaign.gives_back and any(others.values())
    if campaign.gives_back:
        remarks.append("Homes stay as they are: channels are given back, so each step takes the first that is free")
    elif not movable:
        remarks.append("Homes stay as they are: all cells sit there already, as the journal says")
    elif not homes:
        named = ", ".join(f"'{name}'" for name in others)
        remarks.append(f"Homes stay as they are: no place offers a cell other instruments than its own ({named})")
    cycles = exchange and differ(movable)
    if exchange and not cycles:
        remarks.append(_why_no_exchange(movable))
    taken |= {cell.place for cell in cells}
    free = {
        name: tuple(slot for slot in _slots(campaign.station, name) if slot not in taken)
        for name in dict.fromkeys(name for places in others.values() for name in places)
    }
    return Choices(homes, cycles, free if homes else {}, fixed, tuple(remarks))


def _why_no_exchange(cells: list[Cell]) -> str:
    sets: dict[str, set[tuple[int, ...]]] = {}
    for cell in cells:
        sets.setdefault(cell.group, set()).add(cell.measure_at)
    if all(len(found) == 1 for found in sets.values()):
        return "Measured cycles stay as they are: those of each group are the same for all its cells"
    return (
        "Measured cycles stay as they are: the cells of each group differ in nothing else, so that an exchange would "
        "be one of names"
    )


def _sitting(lab: Path | None, mine: set[str]) -> tuple[frozenset[str], set[str]]:
    """Name the cells that a journal has seen at a place, and the slots that are taken there."""
    if lab is None or not (lab / FILE_NAME).exists():
        return frozenset(), set()
    clock = WallClock()
    try:
        places = LastWord(lab / FILE_NAME, clock).places()
    except JournalError:
        # Whoever runs the campaign is told; a plan needs no journal.
        return frozenset(), set()
    homes = {cell.place for row in begun_in(lab, clock) for cell in frozen(row).cells.cells}
    return frozenset(mine & places.keys()), {*places.values(), *homes}


def _slots(station: Station, place: str) -> Iterator[str]:
    return (f"{place}/{number}" for number in range(1, station.places[place].count + 1))


def _other_places(station: Station, cells: list[Cell]) -> dict[str, tuple[str, ...]]:
    """By home, the places of its sort, if any of them has other instruments."""
    roles = plugins.roles(station.entries())
    serves = Counter(through for _, through in {
        (name, wiring.through) for place in station.places.values() for name, wiring in place.leads.items()
    })  # fmt: skip

    def sort(name: str) -> _Offer:
        place = station.places[name]
        return station.chamber_of(name) is not None, roles.get(place.instrument or "")

    def offer(name: str) -> _Offer:
        """What nobody else at this place can have at the same time; channels of a cycler are everybody's own."""
        place = station.places[name]
        leads = [
            # A multiplexer in front of one instrument is busy when that is.
            (roles.get(other), other, wiring.through if serves[wiring.through] > 1 else None)
            if roles.get(other) != "cycler"
            else ("cycler", None, None)
            for other, wiring in place.leads.items()
        ]
        return station.chamber_of(name), place.instrument, frozenset(leads)

    found: dict[str, tuple[str, ...]] = {}
    for home in dict.fromkeys(cell.place.partition("/")[0] for cell in cells):
        alike = tuple(name for name in station.places if sort(name) == sort(home))
        found[home] = alike if len({offer(name) for name in alike}) > 1 else ()
    return found


def learn_choices(plan: PlanRequest, campaign: Campaign, open_: Choices, folder: Path) -> list[tuple[Schedule, Cells]]:
    """Run a cell of every kind alone, for each home and each of its group's cycles that it could have.

    Homes that ``labctl check`` would refuse, and those from which a cell does not come to its end, are left out.
    """
    if not (open_.homes or open_.cycles):
        return []
    entries = campaign.cells.document.data["cells"]
    others = _other_places(campaign.station, list(campaign.cells.cells)) if open_.homes else {}
    wanted: dict[object, tuple[PlanRequest, Cells]] = {}
    for cell, entry in zip(campaign.cells.cells, entries, strict=True):
        own = cell.place.partition("/")[0]
        peers = [one for one in campaign.cells.cells if one.group == cell.group]
        cycles = dict.fromkeys(one.measure_at for one in peers) if open_.cycles else (cell.measure_at,)
        for place in dict.fromkeys((own, *others.get(own, ()))):
            for measure_at in cycles:
                kind = kind_of(cell.model_copy(update={"place": f"{place}/1", "measure_at": measure_at}))
                if kind in wanted or cell.id in open_.fixed:
                    continue
                alone = {**entry, "place": f"{place}/1", "measure_at": list(measure_at)}
                text = json.dumps({"labctl": 1, "cells": [_without(alone, "start_after", "parents")]})
                path = folder / f"alone-{len(wanted)}.yaml"
                path.write_text(text)
                try:
                    check_files(plan.protocol, plan.station, path, values=plan.values)
                except InvalidFile:
                    continue
                wanted[kind] = replace(plan, cells=path), read_cells(text, str(path))
    runs = run_each([request for request, _ in wanted.values()])
    found = zip(runs, (cells for _, cells in wanted.values()), strict=True)
    return [(schedule, cells) for schedule, cells in found if not schedule.unfinished]


def _without(entry: Mapping[str, object], *names: str) -> dict[str, object]:
    left = {name: value for name, value in entry.items() if name not in names}
    if not left["measure_at"]:
        del left["measure_at"]
    return left
