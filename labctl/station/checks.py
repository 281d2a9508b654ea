"""How the parts of a station or cells file fit together. Needs no protocol and no driver."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, Final

from labctl.documents import Document, Path, suggest
from labctl.errors import Mistake
from labctl.station.delivery import check_delivery
from labctl.station.envelope import check_envelope
from labctl.station.instruments import ASSISTED_VENDORS, KNOWN_DRIVERS, Assisted, Biologic, Maccor
from labctl.station.models import AMBIENT, Cells, DirectLeads, Place, Station, SwitchedLeads
from labctl.units import show

#: Names with a meaning of their own: where anything can lie, and the spectrometer's standard.
RESERVED_PLACE: Final = "bench"
RESERVED_CELL: Final = "reference"

_CREDENTIAL: Final = re.compile(
    r"(?:.*_)?(?:token|password|passwd|passphrase|secret|api_?key|credential)s?\Z", re.IGNORECASE
)


def check_station(station: Station, document: Document, drivers: Collection[str] | None) -> list[Mistake]:
    """List what does not fit in a station file; ``drivers`` are the names of those installed."""
    return [
        *_instruments(station, document, drivers),
        *_places(station, document),
        *_shared(station, document),
        *check_delivery(station.delivery, document),
    ]


def _instruments(station: Station, document: Document, drivers: Collection[str] | None) -> Iterator[Mistake]:
    known = KNOWN_DRIVERS if drivers is None else tuple(drivers)
    for name, entry in station.instruments.items():
        path: Path = ("instruments", name)
        if entry.driver not in known and drivers is not None:
            right = suggest(entry.driver, sorted(known))
            yield document.mistake((*path, "driver"), f"there is no driver '{entry.driver}'", right)
        if isinstance(entry, Assisted) and entry.vendor is not None:
            read = ASSISTED_VENDORS[entry.role]
            if entry.vendor not in read:
                found = f"files of '{entry.vendor}' are not read for a {entry.role}"
                right = f"use {' or '.join(read)}" if read else "leave it out"
                yield document.mistake((*path, "vendor"), found, right)
        if isinstance(entry, Biologic):
            yield from _biologic(entry, path, document)
        yield from _credentials(document.data["instruments"][name], path, document)
        if entry.limits is not None:
            yield from check_envelope(entry.limits, (*path, "limits"), document)
            asked, most = station.reference(name).power, entry.limits.power
            if most is not None and asked > most:
                found = f"the LiCl standard gets a pulse of {show(asked, 'W')}, the probe bears {show(most, 'W')}"
                yield document.mistake(path, found, f"write 'reference: {{pulse: ..., power: {show(most, 'W')}}}'")
        settled = station.settled(name)
        if settled is not None and settled.for_ >= settled.at_most:
            found = f"settled for {show(settled.for_, 'min')} can never be seen within {show(settled.at_most, 'min')}"
            yield document.mistake((*path, "settled"), found, "write a longer 'at_most' than 'for'")


def _biologic(entry: Biologic, path: Path, document: Document) -> Iterator[Mistake]:
    if entry.backend == "eclib" and entry.address is None:
        yield document.mistake((*path, "driver"), "'address' is missing", "write 'address: 192.0.2.20', or USB0")
    if entry.role == "potentiostat" and len(entry.channels) != 1:
        found = f"a potentiostat has one channel, not {len(entry.channels)}"
        yield document.mistake((*path, "channels"), found, "make an entry of its own for each channel")
    if max(entry.channels) > 16:
        yield document.mistake((*path, "channels"), f"no instrument has a channel {max(entry.channels)}", "1 to 16")


def _credentials(value: Any, path: Path, document: Document) -> Iterator[Mistake]:
    """Find credentials written out in plain; the message does not repeat them."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _credentials(item, (*path, index), document)
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        if _CREDENTIAL.match(key) and not isinstance(inner, dict):
            found = f"the credential '{key}' must not stand in the file"
            yield document.mistake((*path, key), found, "write '{env: NAME}' or '{keyring: NAME}' and keep it there")
        else:
            yield from _credentials(inner, (*path, key), document)


def _places(station: Station, document: Document) -> Iterator[Mistake]:
    names = list(station.instruments)
    for name, place in station.places.items():
        path: Path = ("places", name)
        if name == RESERVED_PLACE:
            yield document.mistake(path, f"'{name}' is where anything can lie", "choose another name", key=True)
        if place.temperature != AMBIENT and place.temperature not in names:
            found = f"there is no chamber '{place.temperature}'"
            yield document.mistake((*path, "temperature"), found, suggest(place.temperature, [AMBIENT, *names]))
        if place.instrument is not None and place.instrument not in names:
            found = f"there is no instrument '{place.instrument}'"
            yield document.mistake((*path, "instrument"), found, suggest(place.instrument, names))
        yield from _leads(station, place, (*path, "leads"), document)


def _leads(station: Station, place: Place, path: Path, document: Document) -> Iterator[Mistake]:
    names = list(station.instruments)
    for instrument, wiring in place.leads.items():
        where: Path = (*path, instrument)
        if instrument not in names:
            found = f"there is no instrument '{instrument}'"
            yield document.mistake(where, found, suggest(instrument, names), key=True)
            continue
        if wiring.through is not None:
            if wiring.through not in names:
                found = f"there is no multiplexer '{wiring.through}'"
                yield document.mistake((*where, "through"), found, suggest(wiring.through, names))
            where = (*where, "relays")
        if len(wiring.leads) != place.count:
            found = f"{len(wiring.leads)} leads for {place.count} slots"
            yield document.mistake(where, found, f"write {place.count}, one for each slot")
            continue
        if isinstance(wiring, SwitchedLeads) and wiring.channels and len(wiring.channels) != place.count:
            found = f"{len(wiring.channels)} channels for {place.count} slots"
            yield document.mistake((*path, instrument, "channels"), found, f"write {place.count}, one for each slot")
            continue
        entry = station.instruments[instrument]
        channels = isinstance(entry, Maccor) or (isinstance(entry, (Assisted, Biologic)) and entry.role == "cycler")
        if isinstance(entry, (Maccor, Assisted, Biologic)) and channels:
            own = wiring.leads if isinstance(wiring, DirectLeads) else wiring.channels
            if not own:
                found = f"{instrument} has channels, and only relays are named"
                right = f"write which are behind them: 'channels: 1-{place.count}'"
                yield document.mistake((*path, instrument), found, right)
                continue
            beyond = [lead for lead in own if lead not in entry.channels]
            if beyond:
                found = f"{instrument} has no channel {beyond[0]} for labctl"
                yield document.mistake(where, found, "use its 'channels', or add this one to them")


def _shared(station: Station, document: Document) -> Iterator[Mistake]:
    """Find leads that would reach two slots at once."""
    taken: dict[tuple[str, int], str] = {}
    for name, place in station.places.items():
        for instrument, wiring in place.leads.items():
            named = [
                (wiring.through or instrument, "relay" if wiring.through else "channel", one) for one in wiring.leads
            ]
            if isinstance(wiring, SwitchedLeads):
                named += [(instrument, "channel", one) for one in wiring.channels]
            for owner, what, lead in named:
                other = taken.setdefault((owner, lead), f"{name}:{instrument}")
                if other != f"{name}:{instrument}":
                    path: Path = ("places", name, "leads", instrument)
                    found = f"{what} {lead} of {owner} already reaches '{other.split(':')[0]}'"
                    yield document.mistake(path, found, f"give each slot a {what} of its own")
                    break


def check_cells(cells: Cells, document: Document) -> list[Mistake]:
    """List cells that cannot be told apart."""
    mistakes: list[Mistake] = []
    first: dict[tuple[str, str], int] = {}
    for index, cell in enumerate(cells.cells):
        path: Path = ("cells", index)
        if cell.id == RESERVED_CELL:
            found = f"'{cell.id}' is the spectrometer's standard"
            mistakes.append(document.mistake((*path, "id"), found, "choose another name"))
        for key, value, what, right in (
            ("id", cell.id, "cell", "give each cell an id of its own"),
            ("barcode", cell.barcode, "barcode", "give each cell a barcode of its own"),
            ("place", cell.place, "slot", "put each cell into a slot of its own"),
        ):
            before = first.setdefault((key, value), index)
            if before != index:
                line = document.place(("cells", before)).line
                found = f"the {what} '{value}' stands here a second time, first in line {line}"
                mistakes.append(document.mistake((*path, key), found, right))
                break
        for position, cycle in enumerate(cell.measure_at):
            if cycle in cell.measure_at[:position]:
                found = f"cycle {cycle} stands twice"
                mistakes.append(document.mistake((*path, "measure_at", position), found, "name each cycle once"))
    return mistakes
