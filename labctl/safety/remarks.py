"""Before anything starts: what is allowed and still seldom meant, of spectra that would lack what they refer to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from labctl.errors import Mistake
from labctl.protocol import Protocol, blocks
from labctl.protocol.models import Nmr
from labctl.safety.endless import PROBED
from labctl.safety.ways import ROLE_OF, steps_of
from labctl.station import Station
from labctl.units import show

#: What lithium is counted by, and the states that are counted by it.
_COUNTS, _COUNTED = "charged", ("discharged", "dead")


def uncounted(protocol: Protocol) -> Iterator[Mistake]:
    """Find states whose lithium nothing turns into an amount: the spectrum of the charged cell is missing."""
    for block in blocks(protocol):
        measured = [(step.body.as_, step.path) for step in block.steps if isinstance(step.body, Nmr)]
        lone = next(((label, path) for label, path in measured if label in _COUNTED), None)
        if lone is not None and _COUNTS not in (label for label, _ in measured):
            found = f"'{lone[0]}' is measured, but not '{_COUNTS}': its integral is no amount of lithium then"
            right = f"put an 'nmr' step 'as: {_COUNTS}' behind the charge, or give the state another label"
            yield protocol.document.mistake((*lone[1], "as"), found, right)


def unreferenced(protocol: Protocol, station: Station, roles: Mapping[str, str]) -> Iterator[Mistake]:
    """Find spectrometers of a real laboratory for which nobody has said how 0 ppm is found."""
    if station.mode == "simulated" or not any(ROLE_OF[step.kind] in PROBED for step in steps_of(protocol)):
        return
    entries = station.document.data["instruments"]
    for name in dict.fromkeys(place.instrument for place in station.places.values() if place.instrument is not None):
        if roles.get(name) == "spectrometer" and "reference" not in entries[name]:
            asked = station.reference(name)
            pulse = f"{show(asked.pulse, 'us')} at {show(asked.power, 'W')}"
            found = f"nothing says how {name} measures the LiCl standard, by which 0 ppm is found: {pulse} are taken"
            right = "write 'reference: {pulse: 7 us, power: 80 W}' with what its probe bears"
            yield station.document.mistake(("instruments", name), found, right, key=True)
