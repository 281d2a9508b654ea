"""Before anything starts: what would wait for ever? A person who is not there, a slot that is never free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from labctl.errors import Mistake
from labctl.protocol import Placed, Protocol, blocks
from labctl.safety.ways import OPERANDO, ROLE_OF, Ways, home_of, steps_of
from labctl.station import Cells, Station

#: Steps of these need a spectrometer, and so its reference standard.
PROBED = ("spectrometer", OPERANDO)
#: Steps that somebody has to answer or carry out.
ASKING = ("pause", "disassemble", "assemble", "measure")
#: Driver of an instrument that a person runs by hand.
ASSISTED = "assisted"


def check_people(protocol: Protocol, station: Station, cells: Cells, ways: Ways) -> Iterator[Mistake]:
    """Find work for people where the station has none."""
    if station.operators:
        return
    by_hand = (f"'{name}' is run by hand" for name, entry in station.instruments.items() if entry.driver == ASSISTED)
    why = next(chain(_work(protocol, cells, ways), by_hand), None)
    if why is not None:
        found = f"{why}, but the station has no operators"
        yield station.document.mistake(("operators",), found, "add 'operators: [{name: operator}]'", key=True)


def _work(protocol: Protocol, cells: Cells, ways: Ways) -> Iterator[str]:
    for block in blocks(protocol):
        yield from (f"for '{step.kind}' a person is asked" for step in block.steps if step.kind in ASKING)
    for step in steps_of(protocol):
        for cell in cells.cells:
            places = [way.place for way in ways.of(step)]
            if home_of(cell.place) not in places:
                yield f"for '{step.kind}' a person brings {cell.id} from '{home_of(cell.place)}' to '{places[0]}'"
        if ROLE_OF[step.kind] in PROBED:
            yield f"for '{step.kind}' a person puts the reference standard into '{ways.of(step)[0].place}'"


def check_slots(
    protocol: Protocol, station: Station, cells: Cells, ways: Ways, roles: Mapping[str, str]
) -> Iterator[Mistake]:
    """Find steps whose every slot is kept for another cell, which lives there."""
    homes = {cell.place: index for index, cell in enumerate(cells.cells)}
    taken: set[int] = set()
    steps = list(steps_of(protocol))
    if any(ROLE_OF[step.kind] in PROBED for step in steps):
        for slot in _reference_slots(station, roles):
            if slot in homes:
                taken.add(homes[slot])
                found = f"{cells.cells[homes[slot]].id} lives in '{slot}', which the reference standard needs"
                right = "give the cell a home elsewhere; it is brought here to be measured"
                yield cells.document.mistake(("cells", homes[slot], "place"), found, right)
    reported: set[tuple[str, bool]] = set()
    for step in steps:
        need = (ROLE_OF[step.kind], step.body.temperature is not None)
        if need not in reported and not taken:
            reported.add(need)
            yield from _full(step, station, cells, ways, homes)


def _reference_slots(station: Station, roles: Mapping[str, str]) -> list[str]:
    found: dict[str, str] = {}
    for name, place in station.places.items():
        if place.instrument is not None and roles.get(place.instrument) == "spectrometer":
            found.setdefault(place.instrument, f"{name}/1")
    return list(found.values())


def _full(step: Placed, station: Station, cells: Cells, ways: Ways, homes: Mapping[str, int]) -> Iterator[Mistake]:
    places = list(dict.fromkeys(way.place for way in ways.of(step)))
    slots = [f"{place}/{number}" for place in places for number in range(1, station.places[place].count + 1)]
    if any(slot not in homes for slot in slots):
        return
    for index, cell in enumerate(cells.cells):
        if home_of(cell.place) not in places:
            where = " and ".join(f"'{place}'" for place in places)
            found = f"{cell.id} can never do '{step.kind}': every slot of {where} is the home of another cell"
            yield cells.document.mistake(("cells", index, "place"), found, "leave one slot there without a cell")
            return
