"""Before anything starts: do protocol, station and cells fit together? Mistakes in each file alone are found before.

Every mistake is reported once, where it would be put right: a cell's slot in the cells file, a step that no place can
do in the protocol, a wire to the wrong kind of instrument in the station file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from labctl.documents import Path, in_order, suggest
from labctl.errors import Mistake
from labctl.protocol import Protocol, blocks, measure_problem, measured
from labctl.protocol.handwork import Assemble, PartOf
from labctl.safety.endless import check_people, check_slots
from labctl.safety.reachable import check_abilities, check_envelopes, check_lowest, check_outcomes
from labctl.safety.shared import check_settling
from labctl.safety.sizes import check_currents, check_ends, check_sizes
from labctl.safety.ways import OPERANDO, ROLE_OF, Ways, reaches, steps_of
from labctl.station import Cells, Station
from labctl.units import show


def check(
    protocol: Protocol,
    station: Station,
    cells: Cells,
    roles: Mapping[str, str],
    capabilities: Mapping[str, Collection[str]] | None = None,
) -> list[Mistake]:
    """List every mistake that shows only when the three files meet.

    Parameters
    ----------
    protocol, station, cells
        As loaded, each without mistakes of its own.
    roles : mapping of str to str
        Instrument name to role, as its driver says.
    capabilities : mapping of str to collection of str, optional
        Instrument name to what its driver says it can do beyond its role, such as ``watchdog``. Where this is not
        known, only what is asked of a watchdog is refused.

    Returns
    -------
    list of Mistake
        In the order of files and lines; empty if the campaign can begin.
    """
    wiring = list(_wiring(station, roles))
    homes = list(_homes(protocol, station, cells, roles))
    sizes = list(check_sizes(protocol, cells))
    found = [*wiring, *homes, *_measured(protocol, cells), *_strangers(protocol, cells), *sizes]
    if not sizes:
        found += [*check_currents(protocol, cells), *check_ends(protocol, cells)]
    if wiring:
        return in_order(found)
    impossible = list(_possible(protocol, station, roles))
    found += impossible
    if not homes and not impossible:
        # Only now is it known where every step is done.
        ways = Ways(station, roles)
        found += check_people(protocol, station, cells, ways)
        found += check_slots(protocol, station, cells, ways, roles)
        found += check_settling(protocol, station, cells, ways)
        found += check_outcomes(protocol, cells, ways, capabilities or {})
        found += check_lowest(protocol, station, cells, ways)
        if capabilities is not None:
            found += check_abilities(protocol, cells, ways, capabilities)
        if not sizes:
            found += check_envelopes(protocol, station, cells, ways)
    return in_order(found)


def _wiring(station: Station, roles: Mapping[str, str]) -> Iterator[Mistake]:
    """Find instruments that a place uses as what they are not."""
    document = station.document

    def wrong(path: Path, name: str, allowed: tuple[str, ...], *, key: bool = False) -> Iterator[Mistake]:
        role = roles.get(name)
        if role is not None and role not in allowed:
            right = [one for one in station.instruments if roles.get(one) in allowed]
            advice = "write " + " or ".join(f"'{one}'" for one in right) if right else f"add a {allowed[0]}"
            yield document.mistake(path, f"{name} is a {role}, not a {' or '.join(allowed)}", advice, key=key)

    for place_name, place in station.places.items():
        path: Path = ("places", place_name)
        chamber = station.chamber_of(place_name)
        if chamber is not None:
            yield from wrong((*path, "temperature"), chamber, ("chamber",))
        if place.instrument is not None:
            yield from wrong((*path, "instrument"), place.instrument, ("spectrometer", "cycler", "potentiostat"))
        for instrument, wiring in place.leads.items():
            yield from wrong((*path, "leads", instrument), instrument, ("cycler", "potentiostat"), key=True)
            if wiring.through is not None:
                yield from wrong((*path, "leads", instrument, "through"), wiring.through, ("multiplexer",))


def _homes(protocol: Protocol, station: Station, cells: Cells, roles: Mapping[str, str]) -> Iterator[Mistake]:
    """Find cells whose home does not exist or has no leads for what the protocol does there."""
    document = cells.document
    steps = [step for step in steps_of(protocol) if ROLE_OF[step.kind] == "cycler"]
    cycled = next((step.kind for step in steps if step.body.temperature is None), None)
    wired = [name for name, place in station.places.items() if reaches(place, "cycler", roles)]
    # Where channels are given back, a cell may wait where no leads are, and is brought to a channel for each step.
    gives_back = (protocol.channels or station.channels) == "give_back"
    for index, cell in enumerate(cells.cells):
        path: Path = ("cells", index, "place")
        name, _, number = cell.place.partition("/")
        if name not in station.places:
            yield document.mistake(path, f"the station has no place '{name}'", suggest(name, list(station.places)))
            continue
        place = station.places[name]
        if int(number) > place.count:
            found = f"'{name}' has {place.count} slots, not {number}"
            yield document.mistake(path, found, f"write '{name}/1' to '{name}/{place.count}'")
        elif cycled is not None and wired and not gives_back and not reaches(place, "cycler", roles):
            right = f"put the cell into {' or '.join(wired)}"
            yield document.mistake(path, f"'{name}' has no cycler leads for the step '{cycled}'", right)


def _measured(protocol: Protocol, cells: Cells) -> Iterator[Mistake]:
    for index, cell in enumerate(cells.cells):
        problem = measure_problem(protocol, cell.measure_at)
        if problem is None:
            continue
        cycles = measured(protocol)
        wrong = next((at for at, cycle in enumerate(cell.measure_at) if cycle not in cycles), None)
        path: Path = ("cells", index) if wrong is None else ("cells", index, "measure_at", wrong)
        yield cells.document.mistake(path, *problem)


def _strangers(protocol: Protocol, cells: Cells) -> Iterator[Mistake]:
    """Find parts of cells that the cells file does not know."""
    ids = [cell.id for cell in cells.cells]
    for step in (step for block in blocks(protocol) for step in block.steps):
        for index, one in enumerate(step.body.from_ if isinstance(step.body, Assemble) else ()):
            if isinstance(one, PartOf) and one.of not in ids:
                found = f"the cells file has no cell '{one.of}'"
                yield protocol.document.mistake((*step.path, "from", index, "of"), found, suggest(one.of, ids))


def _possible(protocol: Protocol, station: Station, roles: Mapping[str, str]) -> Iterator[Mistake]:
    """Find steps that no place of the station can do; of steps that fail alike, the first."""
    reported: set[tuple[str, bool]] = set()
    for step in steps_of(protocol):
        role, heated = ROLE_OF[step.kind], step.body.temperature is not None
        if (role, heated) in reported or (role, False) in reported:
            continue
        places = [name for name, place in station.places.items() if reaches(place, role, roles)]
        if not places:
            reported.add((role, False))
            found = f"no place of station '{station.station}' has a {role} for '{step.kind}'"
            yield protocol.document.mistake(step.path, found, _WHAT_TO_ADD[role], key=True)
        elif heated and not any(station.chamber_of(name) for name in places):
            reported.add((role, True))
            temperature = show(step.body.temperature or 0.0, "degC")
            found = f"no place of station '{station.station}' with a {role} can be set to {temperature}"
            right = "give the station a place whose 'temperature' is a chamber, or leave the temperature out"
            yield protocol.document.mistake((*step.path, "temperature"), found, right)
        elif not heated and role == "cycler" and all(station.chamber_of(name) for name in places):
            reported.add((role, False))
            found = f"'{step.kind}' names no temperature, but every cycler place is in a chamber"
            yield protocol.document.mistake(step.path, found, "write the step's 'temperature'", key=True)


_WHAT_TO_ADD: Mapping[str, str] = {
    "cycler": "give a place of the station 'leads' of a cycler, or leave the step out",
    "spectrometer": "give the station a place with 'instrument:' a spectrometer, or leave the step out",
    "potentiostat": "give a place of the station 'leads' of a potentiostat, or leave the step out",
    OPERANDO: "give the spectrometer's place 'leads' of a cycler, such as 'leads: {maccor: 17}', or leave the step out",
}
