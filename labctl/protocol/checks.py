"""What a protocol means, checked by itself: every rule that its shape alone cannot hold.

Rules that need the station or the cells are not here but in ``labctl.safety``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise

from labctl.documents import Amount, Document, Level, Path, suggest
from labctl.errors import Mistake
from labctl.protocol.combined import Deis, Operando
from labctl.protocol.combined_checks import check_combined
from labctl.protocol.handwork import BY_HAND
from labctl.protocol.models import Charge, Discharge, Eis, Hold, Nmr, Protocol
from labctl.protocol.nesting import Branch
from labctl.protocol.nmr import check_experiments
from labctl.protocol.outcomes import check_outcomes
from labctl.protocol.run_time_checks import check_run_time
from labctl.protocol.values import PerCycle, Span
from labctl.protocol.walk import Block, blocks, cycles
from labctl.units import show


def check_meaning(protocol: Protocol, document: Document) -> list[Mistake]:
    """List every mistake of meaning, in no particular order."""
    return [
        *_envelope(protocol, document),
        *_measure(protocol, document),
        *check_experiments(protocol, document),
        *_spectra(protocol, document),
        *check_outcomes(protocol, document),
        *check_combined(protocol, document),
        *check_run_time(protocol, document),
        *(
            mistake
            for block in blocks(protocol)
            for mistake in (*_labels(block, document), *_steps(protocol, block, document))
        ),
    ]


def _envelope(protocol: Protocol, document: Document) -> Iterator[Mistake]:
    lowest, highest = protocol.limits.voltage
    if lowest >= highest:
        found = f"the limits of voltage run backwards, from {show(lowest, 'V')} to {show(highest, 'V')}"
        yield document.mistake(("limits", "voltage"), found, "write the lower one first")
    if protocol.limits.temperature is not None:
        coldest, hottest = protocol.limits.temperature
        if coldest >= hottest:
            found = f"the limits of temperature run backwards, from {show(coldest, 'degC')} to {show(hottest, 'degC')}"
            yield document.mistake(("limits", "temperature"), found, "write the lower one first")
    if protocol.cutoffs is None:
        return
    upper, lower = protocol.cutoffs.upper, protocol.cutoffs.lower
    if lower >= upper:
        found = f"the lower cut-off {show(lower, 'V')} is not below the upper one, {show(upper, 'V')}"
        yield document.mistake(("cutoffs", "lower"), found, f"write less than {show(upper, 'V')}")
    elif lowest < highest:
        for name, value in (("upper", upper), ("lower", lower)):
            yield from _voltage(value, protocol, document, ("cutoffs", name), f"the {name} cut-off")


def _voltage(value: float, protocol: Protocol, document: Document, path: Path, what: str) -> Iterator[Mistake]:
    lowest, highest = protocol.limits.voltage
    if lowest < highest and not lowest <= value <= highest:
        found = f"{what} {show(value, 'V')} lies outside the limits {show(lowest, 'V')} to {show(highest, 'V')}"
        yield document.mistake(path, found, "choose a voltage between them, or widen 'limits'")


def _measure(protocol: Protocol, document: Document) -> Iterator[Mistake]:
    total = cycles(protocol)
    uses = [step for block in blocks(protocol) for step in block.steps if step.measured]
    if protocol.measure is None:
        if uses:
            path = uses[0].path[:-2]
            yield document.mistake(
                path, "nothing says which cycles are measured", "add for example 'measure: {cycles: [1]}'", key=True
            )
        return
    for index, cycle in enumerate(protocol.measure.cycles):
        path = ("measure", "cycles", index)
        if cycle > total:
            right = f"write a cycle from 1 to {total}" if total else "add a 'cycle' step, or leave 'measure' out"
            yield document.mistake(path, f"cycle {cycle} is measured, but the protocol has {total} cycles", right)
        elif cycle in protocol.measure.cycles[:index]:
            yield document.mistake(path, f"cycle {cycle} stands twice", "name each cycle once")


def _labels(block: Block, document: Document) -> Iterator[Mistake]:
    seen: set[tuple[str, str]] = set()
    for step in block.steps:
        if isinstance(step.body, (Nmr, Eis, Operando, Deis, *BY_HAND)):
            instead = any(isinstance(around, Branch) and not around.wants for around in step.within)
            if (step.kind, step.body.as_) in seen and not instead:
                found = f"two '{step.kind}' steps of one cycle have the label '{step.body.as_}'"
                yield document.mistake((*step.path, "as"), found, "give each a label of its own")
            seen.add((step.kind, step.body.as_))


def _steps(protocol: Protocol, block: Block, document: Document) -> Iterator[Mistake]:
    for step in block.steps:
        body, path = step.body, step.path
        if protocol.limits.temperature is not None and body.temperature is not None:
            coldest, hottest = protocol.limits.temperature
            if coldest < hottest and not coldest <= body.temperature <= hottest:
                found = f"{show(body.temperature, 'degC')} lies outside the limits of temperature"
                right = f"write {show(coldest, 'degC')} to {show(hottest, 'degC')}, or widen 'limits'"
                yield document.mistake((*path, "temperature"), found, right)
        if isinstance(body, Nmr):
            yield from _known(body.experiment, protocol.experiments, document, (*path, "experiment"), "experiment")
        elif isinstance(body, Eis):
            yield from _known(body.spectrum, protocol.spectra, document, (*path, "spectrum"), "spectrum")
        elif isinstance(body, Hold):
            yield from _hold(body, protocol, document, path)
        elif isinstance(body, (Operando, Deis)):
            yield from _level(body.until.voltage, protocol, document, (*path, "until", "voltage"))
            yield from _current(body.current, protocol, document, (*path, "current"))
        elif isinstance(body, (Charge, Discharge)):
            yield from _level(body.until.voltage, protocol, document, (*path, "until", "voltage"))
            wrong = "lower" if isinstance(body, Charge) else "upper"
            if body.until.voltage.name == wrong and protocol.cutoffs is not None:
                right = "upper" if wrong == "lower" else "lower"
                found = f"a {step.kind} never ends at the {wrong} cut-off"
                yield document.mistake((*path, "until", "voltage"), found, f"write '{right}'")
            yield from _currents(body.current, block, protocol, document, (*path, "current"))


def _known(name: str, known: Collection[str], document: Document, path: Path, what: str) -> Iterator[Mistake]:
    if name not in known:
        section = "experiments" if what == "experiment" else "spectra"
        right = suggest(name, known) if known else f"add it under '{section}'"
        yield document.mistake(path, f"there is no {what} '{name}'", right)


def _level(level: Level, protocol: Protocol, document: Document, path: Path) -> Iterator[Mistake]:
    if level.volts is not None:
        yield from _voltage(level.volts, protocol, document, path, "the voltage")
    elif protocol.cutoffs is None:
        found = f"there is no cut-off '{level.name}'"
        yield document.mistake(path, found, "add 'cutoffs: {upper: 4.3 V, lower: 3.0 V}', or write a voltage")


def _hold(body: Hold, protocol: Protocol, document: Document, path: Path) -> Iterator[Mistake]:
    yield from _level(body.voltage, protocol, document, (*path, "voltage"))
    limit, end = body.limit.current, body.until.current
    yield from _current(limit, protocol, document, (*path, "limit", "current"))
    if limit.per_area == end.per_area and end.value >= limit.value:
        found = f"the hold ends at {end.written}, which is not below its limit {limit.written}"
        yield document.mistake((*path, "until", "current"), found, f"write less than {limit.written}, such as '1 uA'")


def _current(amount: Amount, protocol: Protocol, document: Document, path: Path) -> Iterator[Mistake]:
    if not amount.per_area and amount.kind == "current" and amount.value > protocol.limits.current:
        limit = show(protocol.limits.current, "mA")
        yield document.mistake(path, f"{amount.written} is above the limit {limit}", f"write at most {limit}")


def _currents(current: PerCycle, block: Block, protocol: Protocol, document: Document, path: Path) -> Iterator[Mistake]:
    if isinstance(current, Amount):
        yield from _current(current, protocol, document, path)
        return
    for span, amount in current.items():
        yield from _current(amount, protocol, document, (*path, span.written))
    if not block.repeated:
        yield document.mistake(path, "currents by cycle outside of a cycle", "write one current, such as '0.2 mA/cm2'")
        return
    yield from _coverage(current, block, document, path)


def _coverage(current: Mapping[Span, Amount], block: Block, document: Document, path: Path) -> Iterator[Mistake]:
    spans = sorted(current, key=lambda span: (span.first, span.last is None, span.last or 0))
    if not spans:
        yield document.mistake(path, "no current for any cycle", f"write for example '{{{block.first}-: 0.2 mA/cm2}}'")
        return
    if spans[0].first > block.first:
        found = f"no current for the cycles before {spans[0].first}"
        yield document.mistake((*path, spans[0].written), found, f"begin with cycle {block.first}", key=True)
    for earlier, later in pairwise(spans):
        where = (*path, later.written)
        if earlier.last is None or later.first <= earlier.last:
            found = f"the spans '{earlier.written}' and '{later.written}' overlap"
            yield document.mistake(where, found, "give each cycle one current", key=True)
        elif later.first > earlier.last + 1:
            found = f"no current for the cycles between '{earlier.written}' and '{later.written}'"
            yield document.mistake(where, found, f"begin with cycle {earlier.last + 1}", key=True)
        elif later.first > block.last:
            found = f"the span '{later.written}' begins after the last cycle, {block.last}"
            yield document.mistake(where, found, "leave it out, or raise 'count'", key=True)
    last = spans[-1].last
    if last is not None and last < block.last and all(span.last is not None for span in spans):
        found = f"no current for the cycles {last + 1} to {block.last}"
        where = (*path, spans[-1].written)
        yield document.mistake(where, found, f"write '{spans[-1].first}-' for all that follow", key=True)


def _spectra(protocol: Protocol, document: Document) -> Iterator[Mistake]:
    for name, spectrum in protocol.spectra.items():
        path: Path = ("spectra", name)
        start, end = spectrum.frequency
        if start <= end:
            low, high = (document.written((*path, "frequency", index)) for index in (0, 1))
            found = f"the band runs from {low} to {high}"
            right = "write the highest frequency first, '[300 kHz, 0.1 Hz]'"
            yield document.mistake((*path, "frequency"), found, right)
        if spectrum.periods_low is not None and spectrum.periods_low > spectrum.periods:
            found = f"{spectrum.periods_low} periods at the lowest frequency, but {spectrum.periods} above"
            yield document.mistake((*path, "periods_low"), found, f"write at most {spectrum.periods}")
        where = (*path, "amplitude")
        if (spectrum.control == "potentiostatic") != (spectrum.amplitude.kind == "voltage"):
            right = "a voltage, such as '10 mV'" if spectrum.control == "potentiostatic" else "a current: '100 uA/cm2'"
            found = f"the {spectrum.control} amplitude {spectrum.amplitude.written}"
            yield document.mistake(where, found, f"write {right}")
        else:
            yield from _current(spectrum.amplitude, protocol, document, where)
