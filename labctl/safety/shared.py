"""Chambers that cells share, each at one temperature at a time: what the files alone tell of it."""

from __future__ import annotations

from collections.abc import Iterator

from labctl.errors import Mistake
from labctl.protocol import Placed, Protocol
from labctl.safety.ways import Ways, steps_of
from labctl.station import Cells, Station
from labctl.units import show


def check_settling(protocol: Protocol, station: Station, cells: Cells, ways: Ways) -> Iterator[Mistake]:
    """Find starts that are over before any chamber can have counted as settled."""
    for step in steps_of(protocol):
        within, chambers = step.body.latest_start, _chambers(step, cells, ways)
        if step.body.temperature is None or within is None or not chambers:
            continue
        soonest = min(settled.for_ if (settled := station.settled(one)) else 0.0 for one in chambers) + step.body.soak
        if soonest >= within:
            found = (
                f"a start within {show(within, 'min')} can never be kept: {' and '.join(chambers)} must be settled "
                f"{'and soaked ' if step.body.soak else ''}for {show(soonest, 'min')} before"
            )
            path = (*step.path, "start_within")
            yield protocol.document.mistake(path, found, f"write more than {show(soonest, 'min')}")


def shared_chambers(protocol: Protocol, station: Station, cells: Cells, ways: Ways) -> Iterator[Mistake]:
    """Tell of chambers in which cells will wait for one another's temperature. They can; so these are no mistakes."""
    asked: dict[str, set[float]] = {}
    for step in steps_of(protocol):
        chambers = _chambers(step, cells, ways)
        if step.body.temperature is not None and len(chambers) == 1:
            asked.setdefault(chambers[0], set()).add(step.body.temperature)
    for chamber, temperatures in asked.items():
        if len(temperatures) > 1 and len(cells.cells) > 1:
            named = " and ".join(show(one, "degC") for one in sorted(temperatures))
            found = f"{chamber} is the only chamber for {named}: {len(cells.cells)} cells wait for one another in it"
            right = "'labctl plan' says how long; a cell that waits in it lies at the temperature of the others"
            yield station.document.mistake(("instruments", chamber), found, right, key=True)


def _chambers(step: Placed, cells: Cells, ways: Ways) -> list[str]:
    return list(dict.fromkeys(way.chamber for way in ways.from_homes(step, cells) if way.chamber is not None))
