"""Where a cell must be for an operation, and which resources that takes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from labctl.protocol import Kind, PlannedOperation
from labctl.station import Station

ROLE_OF: Final[Mapping[Kind, str]] = {
    Kind.REST: "cycler",
    Kind.CHARGE: "cycler",
    Kind.DISCHARGE: "cycler",
    Kind.HOLD: "cycler",
    Kind.NUTATION: "spectrometer",
    Kind.NMR: "spectrometer",
    Kind.EIS: "potentiostat",
}


@dataclass(frozen=True, slots=True)
class Route:
    """One way to carry out an operation.

    Attributes
    ----------
    slot : str
        Where the cell must sit, such as ``oven/2``.
    instrument : str
        Which instrument does it.
    lead : int or None
        Its channel, or the relay of the multiplexer, or None where the place itself is the instrument's.
    through : str or None
        The multiplexer on the way.
    relays : tuple of int
        All relays of that place's leads: the group of which at most one is ever closed.
    chamber : str or None
        The chamber that keeps the place's temperature, if the operation asks for one.
    resources : tuple of str
        What it takes, all or none.
    """

    slot: str
    instrument: str
    lead: int | None
    through: str | None
    relays: tuple[int, ...]
    chamber: str | None
    resources: tuple[str, ...]


def routes(
    station: Station, roles: Mapping[str, str], planned: PlannedOperation, here: str | None, home: str | None
) -> list[Route]:
    """All ways to carry ``planned`` out, the best first: where the cell sits, then its home, then elsewhere."""
    role = ROLE_OF[planned.kind]
    found: list[Route] = []
    for place_name, place in station.places.items():
        chamber = station.chamber_of(place_name)
        if planned.temperature is not None and role == "cycler" and chamber is None:
            continue
        if planned.temperature is None and role == "cycler" and chamber is not None:
            continue
        for number in range(1, place.count + 1):
            found.extend(_at(station, roles, planned, role, place_name, number, chamber))
    rank = {here: 0, home: 1}
    return sorted(found, key=lambda route: rank.get(route.slot, 2))


def _at(
    station: Station,
    roles: Mapping[str, str],
    planned: PlannedOperation,
    role: str,
    place_name: str,
    number: int,
    chamber: str | None,
) -> list[Route]:
    place = station.places[place_name]
    slot = f"{place_name}/{number}"
    if place.instrument is not None and roles.get(place.instrument) == role:
        return [Route(slot, place.instrument, None, None, (), None, (place.instrument, slot))]
    found = []
    for instrument, wiring in place.leads.items():
        if roles.get(instrument) != role:
            continue
        lead = wiring.leads[number - 1]
        resources = [slot]
        if wiring.through is not None:
            resources += [instrument, wiring.through]
        else:
            resources.append(f"{instrument}:{lead}")
        # Whoever measures at these leads needs the other instruments' leads there to be at rest.
        for other, others in place.leads.items():
            if other != instrument and others.through is None:
                resources.append(f"{other}:{others.leads[number - 1]}")
        wanted = chamber if planned.temperature is not None else None
        if wanted is not None and planned.temperature is not None:
            resources.append(f"{wanted}={planned.temperature:.2f} K")
        relays = tuple(wiring.leads) if wiring.through is not None else ()
        found.append(Route(slot, instrument, lead, wiring.through, relays, wanted, tuple(sorted(resources))))
    return found
