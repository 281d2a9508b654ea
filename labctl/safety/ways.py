"""Which places of a station can do which step of a protocol, for the checks before the start. Knows no leases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from labctl.protocol import Placed, Protocol, blocks
from labctl.station import Cells, Place, Station

#: No instrument's role: a cycler whose leads reach the cell in a spectrometer.
OPERANDO: Final = "cycler at a spectrometer"

ROLE_OF: Final[Mapping[str, str]] = {
    "rest": "cycler",
    "charge": "cycler",
    "discharge": "cycler",
    "hold": "cycler",
    "nmr": "spectrometer",
    "eis": "potentiostat",
    "operando": OPERANDO,
    "deis": "potentiostat",
    "temperature": "cycler",
}


@dataclass(frozen=True, slots=True)
class Way:
    """One instrument at one place.

    Attributes
    ----------
    place, instrument : str
        The station's names.
    leads : bool
        Whether it is reached by leads; False where the cell is put into the instrument.
    through : str or None
        The multiplexer in the leads.
    chamber : str or None
        What sets the temperature of the place.
    """

    place: str
    instrument: str
    leads: bool
    through: str | None
    chamber: str | None


def steps_of(protocol: Protocol) -> Iterator[Placed]:
    """Give every step that needs an instrument, measured or not, in order."""
    for block in blocks(protocol):
        yield from (step for step in block.steps if step.kind in ROLE_OF)


def reaches(place: Place, role: str, roles: Mapping[str, str]) -> bool:
    """Whether an instrument of this role can be had at a place."""
    if role == OPERANDO:
        return _in_probe(place, roles) and any(roles.get(instrument) == "cycler" for instrument in place.leads)
    if role == "cycler" and _in_probe(place, roles):
        # The probe is too precious for a step that needs no spectrometer.
        return False
    if place.instrument is not None and roles.get(place.instrument) == role:
        return True
    return any(roles.get(instrument) == role for instrument in place.leads)


def home_of(place: str) -> str:
    """Give the place of a slot such as ``cabinet/1``."""
    return place.partition("/")[0]


def _in_probe(place: Place, roles: Mapping[str, str]) -> bool:
    return place.instrument is not None and roles.get(place.instrument) == "spectrometer"


class Ways:
    """The ways of one station.

    Parameters
    ----------
    station : Station
        Without mistakes of its own.
    roles : mapping of str to str
        Instrument name to role.
    """

    def __init__(self, station: Station, roles: Mapping[str, str]) -> None:
        self._ways: dict[str, list[Way]] = {role: [] for role in ROLE_OF.values()}
        for name, place in station.places.items():
            chamber = station.chamber_of(name)
            # Where the cell is put into an instrument of a role, leads of the same role do not count.
            inside = roles.get(place.instrument or "")
            if inside in self._ways and place.instrument is not None:
                self._ways[inside].append(Way(name, place.instrument, False, None, chamber))
            for instrument, wiring in place.leads.items():
                role = roles.get(instrument, "")
                if role == "cycler" and inside == "spectrometer":
                    role = OPERANDO
                if role in self._ways and role != inside:
                    self._ways[role].append(Way(name, instrument, True, wiring.through, chamber))

    def of(self, step: Placed) -> list[Way]:
        """Give all ways to do a step: one with a temperature needs a chamber, one of a cycler without may have none."""
        role, heated = ROLE_OF[step.kind], step.body.temperature is not None
        return [
            way for way in self._ways[role] if (way.chamber is not None) is heated or (not heated and role != "cycler")
        ]

    def from_home(self, step: Placed, home: str) -> list[Way]:
        """Give the ways that a cell of this home may be led: its home if that will do, otherwise all."""
        ways = self.of(step)
        return [way for way in ways if way.place == home] or ways

    def from_homes(self, step: Placed, cells: Cells) -> list[Way]:
        """Give the ways that any cell may be led, each once."""
        homes: Iterable[str] = dict.fromkeys(home_of(cell.place) for cell in cells.cells)
        return list(dict.fromkeys(way for home in homes for way in self.from_home(step, home)))
