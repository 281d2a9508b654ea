"""What ends a step, checked by the protocol alone: ends that never come, voltages beyond limits, a missing guard."""

from __future__ import annotations

from collections.abc import Iterator

from labctl.documents import Amount, Document, Level, Path
from labctl.errors import Mistake
from labctl.protocol.bodies import Guarded, Limited
from labctl.protocol.combined import Operando
from labctl.protocol.ends import Condition, Until
from labctl.protocol.models import Charge, Discharge, Hold, Protocol
from labctl.protocol.resolving import limits_of
from labctl.protocol.values import each
from labctl.protocol.walk import Placed, blocks
from labctl.units import show

_GUARDS = {"hold": "24 h", "operando": "20 h"}


def check_ends(protocol: Protocol, document: Document) -> Iterator[Mistake]:
    """List ends that a step cannot have, never reaches, or has no guard for, and limits that do not fit."""
    for block in blocks(protocol):
        for step in block.steps:
            body = step.body
            if isinstance(body, Limited):
                yield from _limits(protocol, body, step, document)
            if isinstance(body, (Charge, Discharge, Hold, Operando)):
                yield from _guard(body, body.until, step, document)
                yield from _until(protocol, body, step, document)


def _limits(protocol: Protocol, body: Limited, step: Placed, document: Document) -> Iterator[Mistake]:
    """Check that a step's own limits lie within those of the protocol."""
    if body.limits is None:
        return
    path = (*step.path, "limits")
    if body.limits.voltage is None and body.limits.current is None:
        yield document.mistake(path, "no limit stands here", "write for example '{current: 2 mA}'")
    if body.limits.voltage is not None:
        low, high = body.limits.voltage
        lowest, highest = protocol.limits.voltage
        if low >= high:
            found = f"the limits of voltage run backwards, from {show(low, 'V')} to {show(high, 'V')}"
            yield document.mistake((*path, "voltage"), found, "write the lower one first")
        elif lowest < highest and not lowest <= low < high <= highest:
            found = f"{show(low, 'V')} to {show(high, 'V')} is wider than the protocol's limits"
            right = f"stay within {show(lowest, 'V')} to {show(highest, 'V')}"
            yield document.mistake((*path, "voltage"), found, right)
    if body.limits.current is not None and body.limits.current > protocol.limits.current:
        found = f"{show(body.limits.current, 'mA')} is above the protocol's limit"
        right = f"write at most {show(protocol.limits.current, 'mA')}"
        yield document.mistake((*path, "current"), found, right)


def _guard(body: Guarded, until: Until, step: Placed, document: Document) -> Iterator[Mistake]:
    """Check that a step whose end may never come has a guard time, and one that it can live with."""
    lasts = [(place, one.duration) for place, one in until.conditions if one.duration is not None]
    if body.at_most is None:
        if not lasts or until.combined == "all":
            example = _GUARDS.get(step.kind, "16 h")
            found = f"'at_most' is missing in '{step.kind}'"
            yield document.mistake(step.path, found, f"add for example 'at_most: {example}'", key=True)
        return
    guards = [one for _, one in each(body.at_most)]
    for place, duration in lasts:
        for key, one in each(duration):
            if one > max(guards):
                found = f"the step ends after {show(one, 'h')}, but 'at_most' ends it after {show(max(guards), 'h')}"
                right = "leave 'at_most' out, or write a longer one"
                yield document.mistake((*step.path, "until", *place, "duration", *key), found, right)


def _until(
    protocol: Protocol, body: Charge | Discharge | Hold | Operando, step: Placed, document: Document
) -> Iterator[Mistake]:
    seen: set[str] = set()
    said = {quantity for _, one in body.until.conditions for quantity in one.quantities}
    if body.until.combined == "all" and isinstance(body, Hold) and {"capacity", "current"} <= said:
        found = "a hold can't wait for a capacity and for a current at once"
        yield document.mistake((*step.path, "until", "all"), found, "write 'any', or a duration and a current")
    for place, one in body.until.conditions:
        path: Path = (*step.path, "until", *place)
        for quantity in one.quantities:
            if quantity in seen:
                found = f"a second end by {quantity}"
                yield document.mistake((*path, quantity), found, "write the one that counts, or name other quantities")
            seen.add(quantity)
        if one.voltage is not None:
            yield from _voltages(protocol, body, one, path, step, document)
        if one.current is not None:
            if isinstance(body, Hold):
                yield from _falls(body, one, path, document)
            else:
                found = f"a constant current does not fall, so '{step.kind}' never ends by it"
                yield document.mistake((*path, "current"), found, "end it by a voltage, and put a 'hold' after it")
        if one.capacity is not None and not (body.until.combined == "any" or isinstance(body, Hold)):
            yield from _reaches(body, one, path, document)


def _voltages(
    protocol: Protocol,
    body: Charge | Discharge | Hold | Operando,
    one: Condition,
    path: Path,
    step: Placed,
    document: Document,
) -> Iterator[Mistake]:
    if one.voltage is None:
        return
    if isinstance(body, Hold):
        found = "a hold keeps its voltage, so it never ends by one"
        yield document.mistake((*path, "voltage"), found, "end it by a current, a capacity or a duration")
        return
    charging = isinstance(body, Charge) or (isinstance(body, Operando) and body.direction == "charge")
    kind = "charge" if charging else "discharge"
    wrong, right = ("lower", "upper") if charging else ("upper", "lower")
    for key, level in each(one.voltage):
        where = (*path, "voltage", *key)
        yield from check_level(level, protocol, body, document, where)
        if level.name == wrong and protocol.cutoffs is not None:
            yield document.mistake(where, f"a {kind} never ends at the {wrong} cut-off", f"write '{right}'")


def check_level(level: Level, protocol: Protocol, body: Limited, document: Document, path: Path) -> Iterator[Mistake]:
    """Check a voltage of a step against the cut-offs and the step's limits."""
    lowest, highest, _ = limits_of(protocol.limits, body)
    own = body.limits is not None and body.limits.voltage is not None
    if level.volts is None and protocol.cutoffs is None:
        found = f"there is no cut-off '{level.name}'"
        yield document.mistake(path, found, "add 'cutoffs: {upper: 4.3 V, lower: 3.0 V}', or write a voltage")
    elif level.volts is not None or own:
        volts = protocol.volts(level)
        if lowest < highest and not lowest <= volts <= highest:
            what = "the voltage" if level.volts is not None else f"the {level.name} cut-off"
            found = f"{what} {show(volts, 'V')} lies outside the limits {show(lowest, 'V')} to {show(highest, 'V')}"
            yield document.mistake(path, found, "choose a voltage between them, or widen 'limits'")


def _falls(body: Hold, one: Condition, path: Path, document: Document) -> Iterator[Mistake]:
    """Check that a hold begins above the current that ends it."""
    limits = [amount for _, amount in each(body.limit.current)]
    if one.current is None:
        return
    for key, end in each(one.current):
        for limit in limits:
            if limit.kind == end.kind and end.value >= limit.value:
                found = f"the hold ends at {end.written}, which is not below its limit {limit.written}"
                right = f"write less than {limit.written}, such as '1 uA'"
                yield document.mistake((*path, "current", *key), found, right)
                break


def _reaches(body: Charge | Discharge | Operando, one: Condition, path: Path, document: Document) -> Iterator[Mistake]:
    """Check that a capacity is reached before the guard time, where current and capacity refer to the same size."""
    if one.capacity is None or body.at_most is None:
        return
    longest = max(value for _, value in each(body.at_most))
    for key, capacity in each(one.capacity):
        times = [_time(capacity, current) for _, current in each(body.current)]
        known = [time for time in times if time is not None]
        if known and len(known) == len(times) and min(known) > longest:
            found = f"{capacity.written} take {show(min(known), 'h')}, but 'at_most' is {show(longest, 'h')}"
            yield document.mistake((*path, "capacity", *key), found, "write a longer 'at_most', or a smaller capacity")


def _time(capacity: Amount, current: Amount) -> float | None:
    """Seconds that a current takes for a capacity; None where that depends on the cell."""
    return capacity.value / current.value if capacity.size == current.size else None
