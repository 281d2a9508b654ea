"""Before anything starts: can each step be left as it says, and does no instrument get asked beyond what it can do?"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from labctl.documents import Level, Path
from labctl.errors import Mistake
from labctl.instruments import (
    CHARGE_ENDS,
    ENDS_TOGETHER,
    LONG_STEPS,
    LONGEST_STEP,
    SERIES,
    SUSPENDS,
    SWEEPS,
    TEST_CLOCK,
    WATCHDOG,
)
from labctl.protocol import Placed, Protocol, each
from labctl.protocol.bodies import Limited
from labctl.protocol.combined import Deis, Operando
from labctl.protocol.cycle_checks import values_of
from labctl.protocol.models import Charge, Discharge, Eis, Hold
from labctl.protocol.resolving import limits_of
from labctl.safety.sizes import currents_of
from labctl.safety.ways import OPERANDO, ROLE_OF, Way, Ways, steps_of
from labctl.station import Cells, Station
from labctl.station.envelope import hertz
from labctl.units import show


def check_outcomes(
    protocol: Protocol, cells: Cells, ways: Ways, capabilities: Mapping[str, Collection[str]]
) -> Iterator[Mistake]:
    """Find states that a failure could not leave a cell in, and stops that no instrument would make."""
    document = protocol.document
    for step in steps_of(protocol):
        possible = ways.from_homes(step, cells)
        if step.body.on_failure == "isolate":
            direct = next((way for way in possible if way.through is None), None)
            if direct is not None:
                right = "write 'open_circuit', or lead them through a multiplexer"
                yield document.mistake((*step.path, "on_failure"), _not_isolated(direct), right)
        if step.body.on_controller_loss == "stop":
            without = [way.instrument for way in possible if WATCHDOG not in capabilities.get(way.instrument, ())]
            if without:
                found = f"{without[0]} does not stop by itself when labctl is gone: its driver has no watchdog"
                right = "write 'continue': the step goes on within the limits that the instrument holds itself"
                yield document.mistake((*step.path, "on_controller_loss"), found, right)


def check_abilities(
    protocol: Protocol, cells: Cells, ways: Ways, capabilities: Mapping[str, Collection[str]]
) -> Iterator[Mistake]:
    """Find what a step asks for that an instrument on its way could not carry through; each place of the file once."""
    document, told = protocol.document, set[Path]()
    for step in steps_of(protocol):
        for path, ability, cannot, right in _needs(protocol, step):
            names = dict.fromkeys(way.instrument for way in ways.from_homes(step, cells))
            without = [name for name in names if ability not in capabilities.get(name, ())]
            if without and path not in told:
                told.add(path)
                yield document.mistake(path, f"{' and '.join(without)} {cannot}", right, key=True)


def _needs(protocol: Protocol, step: Placed) -> Iterator[tuple[Path, str, str, str]]:
    """Give where a step asks for an ability, which, what is said of an instrument without it, and what would do."""
    if isinstance(step.body, Operando):
        cannot = "does not tell the clock of its running test, by which spectra are stamped with their charge"
        yield step.path, TEST_CLOCK, cannot, "give the probe leads of a cycler that labctl steers by itself"
        if step.body.pauses is not None:
            cannot = "can't interrupt a program so that it goes on afterwards, which every pause needs"
            right = "give the probe leads of one that can (maccor; biologic with 'backend: eclib'), or leave it out"
            yield (*step.path, "pauses"), SUSPENDS, cannot, right
    if isinstance(step.body, (Charge, Discharge, Hold, Operando)):
        until, where = step.body.until, (*step.path, "until")
        for long in _long(step):
            cannot = f"ends a step after {show(LONGEST_STEP, 'h')} at the latest"
            right = f"write at most {show(LONGEST_STEP, 'h')}, or use a cycler that can (biologic)"
            yield (*step.path, *long), LONG_STEPS, cannot, right
        if until.combined == "all":
            cannot = "can't wait until all of several ends are true"
            yield (*where, "all"), ENDS_TOGETHER, cannot, "write 'any', or use a cycler that can (maccor, biologic)"
        for place, one in until.conditions:
            if one.capacity is not None and isinstance(step.body, Hold):
                cannot = "counts no charge, by which this hold is to end"
                right = "end it by a current or a duration, or use a cycler that does (maccor)"
                yield (*where, *place, "capacity"), CHARGE_ENDS, cannot, right
    if isinstance(step.body, Deis):
        cannot = "takes no spectra while a direct current flows"
        yield step.path, SERIES, cannot, "use one that does, such as with 'driver: zahner', or leave the step out"
    if isinstance(step.body, (Eis, Deis)):
        spectrum = protocol.spectra[step.body.spectrum]
        asked = {
            "control": spectrum.control == "pseudo-galvanostatic",
            "points_per_decade_low": spectrum.points_per_decade_low not in (None, spectrum.points_per_decade),
            "periods_low": spectrum.periods_low not in (None, spectrum.periods),
            "linearity": spectrum.linearity is not None,
            "repeat": spectrum.repeat,
        }
        for key in (key for key, wanted in asked.items() if wanted):
            cannot, right = f"knows no '{key}' such as this", "use one that does, such as with 'driver: zahner'"
            yield ("spectra", step.body.spectrum, key), SWEEPS, cannot, right


def _long(step: Placed) -> Iterator[Path]:
    """Give where a step says a time that is too long for some cyclers."""
    for path, value, _, _ in values_of(step):
        if path[-1] in ("at_most", "duration"):
            yield from ((*path, *key) for key, seconds in each(value) if seconds > LONGEST_STEP)


def _not_isolated(way: Way) -> str:
    if not way.leads:
        return f"a cell in '{way.place}' has no leads that could be opened"
    return f"{way.instrument}'s leads in '{way.place}' pass through no multiplexer that could open them"


def check_envelopes(protocol: Protocol, station: Station, cells: Cells, ways: Ways) -> Iterator[Mistake]:
    """Find steps that ask every instrument that could do them for more than the station says it can do."""
    document = protocol.document
    for step in steps_of(protocol):
        possible = ways.from_homes(step, cells)
        names = list(dict.fromkeys(way.instrument for way in possible))
        for path, amount, _ in currents_of(protocol, step):
            asked = max(amount.on(cell) for cell in cells.cells)
            allowed = [_current(station, name) for name in names]
            if allowed and all(limit is not None and asked > limit * (1 + 1e-9) for limit in allowed):
                most = max(limit for limit in allowed if limit is not None)
                found = f"'{step.kind}' asks for {show(asked, 'mA')}, {' and '.join(names)} can do {show(most, 'mA')}"
                yield document.mistake(path, found, f"write at most {show(most, 'mA')}, or use another instrument")
        for path, volts in _voltages(protocol, step):
            spans = [_voltage(station, name) for name in names]
            if spans and all(span is not None and not span[0] <= volts <= span[1] for span in spans):
                found = f"'{step.kind}' asks for {show(volts, 'V')}, outside of what {' and '.join(names)} can do"
                yield document.mistake(path, found, "choose another voltage, or use another instrument")
        yield from _temperature(protocol, station, step, possible)
        yield from _band(protocol, station, step, names)
    yield from _powers(protocol, station)


def check_lowest(protocol: Protocol, station: Station, cells: Cells, ways: Ways) -> Iterator[Mistake]:
    """Find limits below the voltage that any tester on the way reaches; each place of the file once.

    A tester holds the limits of every step itself, so it refuses those that it can't hold; cut-offs lie inside them.
    """
    document, told = protocol.document, set[Path]()
    for step in steps_of(protocol):
        if ROLE_OF[step.kind] not in ("cycler", OPERANDO):
            continue
        own = step.body.limits if isinstance(step.body, Limited) else None
        path: Path = ("limits",) if own is None or own.voltage is None else (*step.path, "limits")
        asked = limits_of(protocol.limits, step.body)[0]
        reached = {way.instrument: station.lowest_voltage(way.instrument) for way in ways.from_homes(step, cells)}
        lowest = [volts for volts in reached.values() if volts is not None]
        if path in told or not lowest or len(lowest) < len(reached) or asked >= min(lowest):
            continue
        told.add(path)
        names = " and ".join(reached)
        found = f"the limit {show(asked, 'V')} lies below {show(min(lowest), 'V')}, the lowest that {names} can do"
        key = "simulate: {lowest_voltage: -5}" if station.mode == "simulated" else "limits: {voltage: [-5 V, 5 V]}"
        right = f"write a higher one, or, if its channels reach below that, '{key}' for {names} in the station file"
        yield document.mistake((*path, "voltage", 0), found, right)


def _powers(protocol: Protocol, station: Station) -> Iterator[Mistake]:
    """Find pulses that no probe of the station bears."""
    names = sorted({place.instrument for place in station.places.values() if place.instrument is not None})
    allowed = [limits.power if (limits := station.instruments[name].limits) else None for name in names]
    most = max((power for power in allowed if power is not None), default=None)
    if most is None or None in allowed:
        return
    for name, experiment in protocol.experiments.items():
        asked = [(("pulse", "power"), experiment.pulse.power)]
        if experiment.presaturation is not None and experiment.presaturation.power is not None:
            asked.append((("presaturation", "power"), experiment.presaturation.power))
        for path, power in asked:
            if power > most * (1 + 1e-9):
                found = f"a pulse of {show(power, 'W')}, {' and '.join(names)} can bear {show(most, 'W')}"
                right = f"write at most {show(most, 'W')}"
                yield protocol.document.mistake(("experiments", name, *path), found, right)


def _band(protocol: Protocol, station: Station, step: Placed, names: list[str]) -> Iterator[Mistake]:
    """Find spectra that leave the band of every potentiostat that could take them."""
    if not isinstance(step.body, (Eis, Deis)):
        return
    high, low = protocol.spectra[step.body.spectrum].frequency
    bands = [limits.frequency if (limits := station.instruments[name].limits) else None for name in names]
    known = [band for band in bands if band is not None]
    if known and len(known) == len(bands) and all(low < band[0] or high > band[1] for band in known):
        path: Path = ("spectra", step.body.spectrum, "frequency")
        lowest, highest = known[0]
        found = f"{hertz(high)} to {hertz(low)} lie outside of what {' and '.join(names)} can do"
        yield protocol.document.mistake(path, found, f"stay within {hertz(highest)} to {hertz(lowest)}")


def _temperature(protocol: Protocol, station: Station, step: Placed, possible: list[Way]) -> Iterator[Mistake]:
    asked = step.body.temperature
    chambers = list(dict.fromkeys(way.chamber for way in possible if way.chamber is not None))
    if asked is None or not chambers:
        return
    spans = [limits.temperature if (limits := station.instruments[name].limits) else None for name in chambers]
    if all(span is not None and not span[0] <= asked <= span[1] for span in spans):
        coldest, hottest = next(span for span in spans if span is not None)
        found = f"{show(asked, 'degC')} lies outside of what {' and '.join(chambers)} can do"
        right = f"write {show(coldest, 'degC')} to {show(hottest, 'degC')}"
        yield protocol.document.mistake((*step.path, "temperature"), found, right)


def _current(station: Station, instrument: str) -> float | None:
    limits = station.instruments[instrument].limits
    return limits.current if limits is not None else None


def _voltage(station: Station, instrument: str) -> tuple[float, float] | None:
    limits = station.instruments[instrument].limits
    return limits.voltage if limits is not None else None


def _voltages(protocol: Protocol, step: Placed) -> Iterator[tuple[Path, float]]:
    for path, value, _, _ in values_of(step):
        for key, one in each(value):
            if isinstance(one, Level):
                yield (*step.path, *path, *key), protocol.volts(one)
    if isinstance(step.body, Deis):
        yield (*step.path, "until", "voltage"), protocol.volts(step.body.until.voltage)
