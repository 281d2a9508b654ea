"""Where a cell must be for an operation, and which resources that takes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from labctl.instruments import rivals
from labctl.protocol import Kind, PlannedOperation
from labctl.station import Station, SwitchedLeads

ROLE_OF: Final[Mapping[Kind, str]] = {
    Kind.REST: "cycler",
    Kind.CHARGE: "cycler",
    Kind.DISCHARGE: "cycler",
    Kind.HOLD: "cycler",
    Kind.NUTATION: "spectrometer",
    Kind.RECOVERY: "spectrometer",
    Kind.NMR: "spectrometer",
    Kind.EIS: "potentiostat",
    # Its lease has the spectrometer, too: what is done to the cell is the cycler's.
    Kind.OPERANDO: "cycler",
    Kind.DEIS: "potentiostat",
    Kind.PAUSE: "operator",
    Kind.DISASSEMBLE: "operator",
    Kind.ASSEMBLE: "operator",
    Kind.MEASURE: "operator",
    Kind.MARK: "nobody",
}

#: Kinds that no instrument is needed for.
BY_HAND: Final = frozenset(kind for kind, role in ROLE_OF.items() if role in ("operator", "nobody"))

#: Kinds for which the cell has to sit in the probe.
IN_PROBE: Final = frozenset({Kind.NMR, Kind.NUTATION, Kind.RECOVERY, Kind.OPERANDO})


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
    channel : int or None
        Its channel, where it has channels, whether or not a relay is in between.
    through : str or None
        The multiplexer on the way.
    relays : tuple of int
        The group of which at most one is ever closed: all that reach a cell for this instrument, and all that bring
        another one to this slot.
    chamber : str or None
        The chamber that keeps the place's temperature, if the operation asks for one.
    resources : tuple of str
        What it takes, all or none.
    beside : tuple of (str, int)
        Other instruments whose leads are always at the slot, each with its channel there.
    spectrometer : str or None
        Where current flows in a probe: the spectrometer that looks on, part of the same lease.
    """

    slot: str
    instrument: str
    lead: int | None
    through: str | None
    relays: tuple[int, ...]
    chamber: str | None
    resources: tuple[str, ...]
    beside: tuple[tuple[str, int], ...] = ()
    channel: int | None = None
    spectrometer: str | None = None


class RouteBook:
    """All ways of a station, found once; a station does not change while it is used.

    Parameters
    ----------
    station : Station
        What there is.
    roles : mapping of str to str
        Instrument name to role.
    """

    def __init__(self, station: Station, roles: Mapping[str, str]) -> None:
        self._station = station
        self._roles = roles
        self._by_slot: dict[tuple[str, bool, float | None], dict[str, list[Route]]] = {}

    def _slots(self, planned: PlannedOperation) -> Mapping[str, Sequence[Route]]:
        """By slot, the ways to carry out an operation of this kind at this temperature."""
        role = ROLE_OF[planned.kind]
        probed = planned.kind is Kind.OPERANDO
        key = role, probed, planned.temperature
        if key not in self._by_slot:
            found: dict[str, list[Route]] = {}
            for name, place in self._station.places.items():
                chamber = self._station.chamber_of(name)
                # A probe is for steps that need its spectrometer, and those of a cycler alone are done elsewhere.
                if role == "cycler" and probed != (self._roles.get(place.instrument or "") == "spectrometer"):
                    continue
                # A cycler step with a temperature needs a chamber, one without must not be in one.
                if role == "cycler" and (planned.temperature is None) != (chamber is None):
                    continue
                for number in range(1, place.count + 1):
                    ways = _at(self._station, self._roles, planned, role, name, number, chamber)
                    if ways:
                        found[f"{name}/{number}"] = ways
            self._by_slot[key] = found
        return self._by_slot[key]

    def ways(
        self, planned: PlannedOperation, here: str | None, home: str | None, kept: Collection[str] = ()
    ) -> list[Route]:
        """Ways to carry ``planned`` out, the best first: where the cell sits, then its home, then elsewhere.

        Parameters
        ----------
        planned : PlannedOperation
            The operation.
        here, home : str or None
            Slots.
        kept : collection of str
            Slots that are kept for cells: nobody else need wait for them.
        """
        slots = self._slots(planned)
        order = [slot for slot in dict.fromkeys((here, home)) if slot is not None and slot in slots]
        order += [slot for slot in slots if slot not in (here, home) and slot not in kept]
        return [route for slot in order for route in slots[slot]]

    def way_of(self, planned: PlannedOperation, resources: Collection[str]) -> Route | None:
        """Find the way whose lease this is."""
        slots = self._slots(planned)
        for slot in (one for one in resources if one in slots):
            for route in slots[slot]:
                if set(route.resources) == set(resources):
                    return route
        return None


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
        channel: int | None = lead
        if isinstance(wiring, SwitchedLeads):
            channel = wiring.channels[number - 1] if wiring.channels else None
        resources = [slot]
        if channel is None and wiring.through is not None:
            resources += [instrument, wiring.through]
        else:
            # The relay of a channel stays closed for days: its multiplexer is for others to switch meanwhile.
            resources.append(f"{instrument}:{channel}")
        # Whoever measures at these leads needs the other instruments' leads there to be at rest.
        spectrometer = place.instrument if planned.kind is Kind.OPERANDO else None
        if spectrometer is not None:
            resources.append(spectrometer)
        beside = tuple(
            (other, others.leads[number - 1])
            for other, others in place.leads.items()
            if other != instrument and others.through is None
        )
        resources += [f"{other}:{channel}" for other, channel in beside]
        wanted = chamber if planned.temperature is not None else None
        if wanted is not None and planned.temperature is not None:
            resources.append(f"{wanted}={planned.temperature:.2f} K")
        relays = rivals(station.switched(wiring.through), lead) if wiring.through is not None else ()
        needed = tuple(sorted(resources))
        found.append(
            Route(slot, instrument, lead, wiring.through, relays, wanted, needed, beside, channel, spectrometer)
        )
    return found
