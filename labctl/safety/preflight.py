"""Before anything starts: do protocol, station and cells fit together? Mistakes in each file alone are found before.

Every mistake is reported once, where it would be put right: a cell's slot in the cells file, a step that no place can
do in the protocol, a wire to the wrong kind of instrument in the station file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from labctl.documents import Amount, Path, in_order, suggest
from labctl.errors import Mistake
from labctl.protocol import Protocol, blocks, measure_problem
from labctl.station import Cells, Place, Station
from labctl.units import show

_ROLE_OF: Mapping[str, str] = {
    "rest": "cycler",
    "charge": "cycler",
    "discharge": "cycler",
    "hold": "cycler",
    "nmr": "spectrometer",
    "eis": "potentiostat",
}


def check(protocol: Protocol, station: Station, cells: Cells, roles: Mapping[str, str]) -> list[Mistake]:
    """List every mistake that shows only when the three files meet.

    Parameters
    ----------
    protocol, station, cells
        As loaded, each without mistakes of its own.
    roles : mapping of str to str
        Instrument name to role, as its driver says.

    Returns
    -------
    list of Mistake
        In the order of files and lines; empty if the campaign can begin.
    """
    wiring = list(_wiring(station, roles))
    found = [*wiring, *_homes(protocol, station, cells, roles), *_measured(protocol, cells)]
    if not wiring:
        found += _possible(protocol, station, roles)
    found += _currents(protocol, cells)
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
    steps = [step for block in blocks(protocol) for step in block.steps if _ROLE_OF[step.kind] == "cycler"]
    cycled = next((step.kind for step in steps if step.body.temperature is None), None)
    wired = [name for name, place in station.places.items() if _reaches(place, "cycler", roles)]
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
        elif cycled is not None and wired and not _reaches(place, "cycler", roles):
            right = f"put the cell into {' or '.join(wired)}"
            yield document.mistake(path, f"'{name}' has no cycler leads for the step '{cycled}'", right)


def _reaches(place: Place, role: str, roles: Mapping[str, str]) -> bool:
    if place.instrument is not None and roles.get(place.instrument) == role:
        return True
    return any(roles.get(instrument) == role for instrument in place.leads)


def _measured(protocol: Protocol, cells: Cells) -> Iterator[Mistake]:
    for index, cell in enumerate(cells.cells):
        problem = measure_problem(protocol, cell.measure_at)
        if problem is None:
            continue
        cycles = protocol.measure.cycles if protocol.measure is not None else ()
        wrong = next((at for at, cycle in enumerate(cell.measure_at) if cycle not in cycles), None)
        path: Path = ("cells", index) if wrong is None else ("cells", index, "measure_at", wrong)
        yield cells.document.mistake(path, *problem)


def _possible(protocol: Protocol, station: Station, roles: Mapping[str, str]) -> Iterator[Mistake]:
    """Find steps that no place of the station can do; of steps that fail alike, the first."""
    reported: set[tuple[str, bool]] = set()
    for block in blocks(protocol):
        for step in block.steps:
            role, heated = _ROLE_OF[step.kind], step.body.temperature is not None
            if (role, heated) in reported or (role, False) in reported:
                continue
            places = [name for name, place in station.places.items() if _reaches(place, role, roles)]
            if not places:
                reported.add((role, False))
                found = f"no place of station '{station.station}' has a {role} for '{step.kind}'"
                right = _WHAT_TO_ADD[role]
                yield protocol.document.mistake(step.path, found, right, key=True)
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
}


def _currents(protocol: Protocol, cells: Cells) -> Iterator[Mistake]:
    """Find currents per area that are above the limit on these cells.

    Where all cells are beyond it the current is reported, otherwise the area of each cell that is.
    """
    limit = protocol.limits.current
    per_area = [(path, amount) for path, amount in _densities(protocol) if amount.per_area]
    densities = sorted(per_area, key=lambda one: one[1].value, reverse=True)
    if not densities:
        return
    path, worst = densities[0]
    beyond = [index for index, cell in enumerate(cells.cells) if worst.on(cell.area) > limit * (1 + 1e-9)]

    def what(area: float) -> str:
        return f"{worst.written} on {show(area, 'cm2')} is {show(worst.on(area), 'mA')}"

    if len(beyond) == len(cells.cells) and len(cells.cells) > 1:
        found = f"{what(cells.cells[0].area)}, above the limit {show(limit, 'mA')}"
        yield protocol.document.mistake(path, found, "write a smaller current, or raise 'limits'")
        return
    for index in beyond:
        found = f"{what(cells.cells[index].area)}, above the protocol's limit {show(limit, 'mA')}"
        yield cells.document.mistake(("cells", index, "area"), found, "check the area, the current and the limit")


def _densities(protocol: Protocol) -> Iterator[tuple[Path, Amount]]:
    for block in blocks(protocol):
        for step in block.steps:
            current = getattr(step.body, "current", None)
            if isinstance(current, Amount):
                yield (*step.path, "current"), current
            elif isinstance(current, Mapping):
                for span, amount in current.items():
                    yield (*step.path, "current", span.written), amount
            limit = getattr(step.body, "limit", None)
            if limit is not None:
                yield (*step.path, "limit", "current"), limit.current
    for name, spectrum in protocol.spectra.items():
        yield ("spectra", name, "amplitude"), spectrum.amplitude
