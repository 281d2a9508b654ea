"""What is checked of ``operando`` and ``deis`` steps by the protocol alone, beyond what all steps have in common."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from labctl.documents import Document, Path, suggest
from labctl.errors import Mistake
from labctl.protocol.combined import Deis, Operando
from labctl.protocol.models import Protocol
from labctl.protocol.resolving import limits_of
from labctl.protocol.walk import Placed, blocks
from labctl.units import show


def check_combined(protocol: Protocol, document: Document) -> Iterator[Mistake]:
    """Find experiments and spectra that are not there, currents that never end, what can't be done under current."""
    for block in blocks(protocol):
        for step in block.steps:
            if isinstance(step.body, Operando):
                yield from _operando(protocol, step, step.body, document)
            elif isinstance(step.body, Deis):
                yield from _deis(protocol, step, step.body, document)


def _operando(protocol: Protocol, step: Placed, body: Operando, document: Document) -> Iterator[Mistake]:
    yield from _known(body.experiment, protocol.experiments, document, (*step.path, "experiment"), "experiment")
    if body.pauses is not None:
        path = (*step.path, "pauses", "experiment")
        yield from _known(body.pauses.experiment, protocol.experiments, document, path, "experiment")
    if body.temperature is not None:
        found = "the cell is in the probe, whose temperature no chamber sets"
        yield document.mistake((*step.path, "temperature"), found, "leave it out")
    if body.on_failure == "hold_voltage":
        found = "a cell in the probe is not held at a voltage"
        yield document.mistake((*step.path, "on_failure"), found, "write 'open_circuit', or leave it out")


def _deis(protocol: Protocol, step: Placed, body: Deis, document: Document) -> Iterator[Mistake]:
    yield from _never(step, body, document)
    yield from _known(body.spectrum, protocol.spectra, document, (*step.path, "spectrum"), "spectrum")
    spectrum = protocol.spectra.get(body.spectrum)
    if spectrum is not None and spectrum.control != "galvanostatic":
        found = f"'{body.spectrum}' is {spectrum.control}; under a direct current the current is modulated"
        yield document.mistake((*step.path, "spectrum"), found, "name a spectrum with 'control: galvanostatic'")
    elif spectrum is not None and (spectrum.repeat or spectrum.linearity is not None):
        found = f"'{body.spectrum}' asks for further sweeps, and the cell does not stand still under a direct current"
        right = "name a spectrum without 'linearity' and 'repeat'; the next of the series shows how far it has moved"
        yield document.mistake((*step.path, "spectrum"), found, right)
    elif spectrum is not None and body.current.kind == spectrum.amplitude.kind:
        peak, limit = body.current.value + spectrum.amplitude.value, limits_of(protocol.limits, body)[2]
        if body.current.kind == "current" and peak > limit:
            found = f"direct and alternating current together reach {show(peak, 'mA')}, above the limit"
            yield document.mistake((*step.path, "current"), found, f"stay within {show(limit, 'mA')} in all")


def _never(step: Placed, body: Deis, document: Document) -> Iterator[Mistake]:
    wrong, right = ("lower", "upper") if body.direction == "charge" else ("upper", "lower")
    if body.until.voltage.name == wrong:
        found = f"a {body.direction} never ends at the {wrong} cut-off"
        yield document.mistake((*step.path, "until", "voltage"), found, f"write '{right}'")


def _known(name: str, known: Collection[str], document: Document, path: Path, what: str) -> Iterator[Mistake]:
    if name not in known:
        section = "experiments" if what == "experiment" else "spectra"
        right = suggest(name, known) if known else f"add it under '{section}'"
        yield document.mistake(path, f"there is no {what} '{name}'", right)
