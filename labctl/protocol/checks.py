"""What a protocol means, checked by itself: every rule that its shape alone cannot hold.

Rules that need the station or the cells are not here but in ``labctl.safety``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from labctl.documents import Amount, Document, Path, suggest
from labctl.errors import Mistake
from labctl.protocol.bodies import Limited
from labctl.protocol.combined import Deis, Operando
from labctl.protocol.combined_checks import check_combined
from labctl.protocol.cycle_checks import check_cycles
from labctl.protocol.ends_checks import check_ends, check_level
from labctl.protocol.handwork import BY_HAND
from labctl.protocol.models import Charge, Discharge, Eis, Hold, Nmr, Protocol, Rest
from labctl.protocol.nesting import Branch
from labctl.protocol.nmr import check_experiments
from labctl.protocol.outcomes import check_outcomes
from labctl.protocol.resolving import limits_of
from labctl.protocol.run_time_checks import check_run_time
from labctl.protocol.selection import Selection
from labctl.protocol.values import each
from labctl.protocol.walk import Block, blocks
from labctl.units import show


def check_meaning(protocol: Protocol, document: Document) -> list[Mistake]:
    """List every mistake of meaning, in no particular order."""
    return [
        *_envelope(protocol, document),
        *_measure(protocol, document),
        *check_cycles(protocol, document),
        *check_ends(protocol, document),
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
    uses = [step for block in blocks(protocol) for step in block.steps if step.measured]
    if protocol.measure is None and uses:
        path = uses[0].path[:-2]
        yield document.mistake(
            path, "nothing says which cycles are measured", "add for example 'measure: {cycles: [1]}'", key=True
        )


def _labels(block: Block, document: Document) -> Iterator[Mistake]:
    seen: set[tuple[str, str]] = set()
    for step in block.steps:
        labelled = (Nmr, Eis, Operando, Deis, Rest, Charge, Discharge, Hold, *BY_HAND)
        if isinstance(step.body, labelled) and step.body.as_:
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
        elif isinstance(body, Deis):
            yield from check_level(body.until.voltage, protocol, body, document, (*path, "until", "voltage"))
            yield from _currents(body.current, protocol, body, document, (*path, "current"))
        elif isinstance(body, (Charge, Discharge, Operando)):
            yield from _currents(body.current, protocol, body, document, (*path, "current"))


def _known(name: str, known: Collection[str], document: Document, path: Path, what: str) -> Iterator[Mistake]:
    if name not in known:
        section = "experiments" if what == "experiment" else "spectra"
        right = suggest(name, known) if known else f"add it under '{section}'"
        yield document.mistake(path, f"there is no {what} '{name}'", right)


def _hold(body: Hold, protocol: Protocol, document: Document, path: Path) -> Iterator[Mistake]:
    for key, level in each(body.voltage):
        yield from check_level(level, protocol, body, document, (*path, "voltage", *key))
    yield from _currents(body.limit.current, protocol, body, document, (*path, "limit", "current"))


def _currents(
    current: Amount | Mapping[Selection, Amount], protocol: Protocol, body: Limited, document: Document, path: Path
) -> Iterator[Mistake]:
    for key, amount in each(current):
        yield from _current(amount, limits_of(protocol.limits, body)[2], document, (*path, *key))


def _current(amount: Amount, most: float, document: Document, path: Path) -> Iterator[Mistake]:
    if amount.kind == "current" and amount.value > most:
        limit = show(most, "mA")
        yield document.mistake(path, f"{amount.written} is above the limit {limit}", f"write at most {limit}")


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
            yield from _current(spectrum.amplitude, protocol.limits.current, document, where)
