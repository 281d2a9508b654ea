"""What becomes of a cell when a step is late or fails, checked by the protocol alone: what could never be kept.

Whether a state can be reached depends on the wiring as well: that is checked in ``labctl.safety``.
"""

from __future__ import annotations

from collections.abc import Iterator

from labctl.documents import Document, Path
from labctl.errors import Mistake
from labctl.protocol.combined import Deis
from labctl.protocol.models import Eis, Nmr, Protocol
from labctl.protocol.walk import Block, Placed, blocks
from labctl.units import show


def check_outcomes(protocol: Protocol, document: Document) -> Iterator[Mistake]:
    """Find deadlines that nothing can keep, and outcomes that a step cannot have."""
    for block in blocks(protocol):
        for step in block.steps:
            yield from _deadline(protocol, step, document)
            yield from _skipped(protocol, block, step, document)
            if step.body.on_failure == "hold_voltage" and isinstance(step.body, (Nmr, Eis, Deis)):
                found = f"no cycler is connected during '{step.kind}' that could hold the cell's voltage"
                yield document.mistake((*step.path, "on_failure"), found, "write 'open_circuit', or leave it out")


def _place(step: Placed, document: Document) -> Path:
    """Where the duration of the deadline stands, however it was written."""
    path = (*step.path, "start_within")
    return (*path, "within") if (*path, "within") in document.places else path


def _deadline(protocol: Protocol, step: Placed, document: Document) -> Iterator[Mistake]:
    """Find deadlines that are over before the step's own waiting is."""
    if step.body.latest_start is None:
        return
    waiting, why = step.body.soak, "'soak'"
    if isinstance(step.body, Eis) and step.body.spectrum in protocol.spectra:
        rest = protocol.spectra[step.body.spectrum].rest_before
        if rest > 0:
            waiting, why = waiting + rest, "'rest_before'" if waiting == 0 else "'soak' and 'rest_before'"
    if waiting >= step.body.latest_start:
        path = _place(step, document)
        found = f"a start within {document.written(path)} can never be kept: {why} takes {show(waiting, 'h')}"
        yield document.mistake(path, found, f"write more than {show(waiting, 'h')}")


def _skipped(protocol: Protocol, block: Block, step: Placed, document: Document) -> Iterator[Mistake]:
    """Find spectra that may be left out although others rest on their pulse or receiver gain."""
    body = step.body
    if not isinstance(body, Nmr) or body.late != "skip" or body.experiment not in protocol.experiments:
        return
    experiment = protocol.experiments[body.experiment]
    calibrate, gain = experiment.pulse.calibrate, experiment.receiver_gain
    labels = [
        one.body.as_
        for one in block.steps
        if isinstance(one.body, Nmr) and one.body.experiment == body.experiment and one.number > step.number
    ]
    resting = {label for label in labels if calibrate and calibrate.in_ == body.as_ and label in calibrate.reuse}
    resting |= {label for label in labels if gain and gain.from_ == body.as_}
    others = " and ".join(f"'{label}'" for label in labels if label in resting)
    if others:
        found = f"'{body.as_}' may not be skipped: its pulse or receiver gain is used for {others}"
        yield document.mistake((*step.path, "start_within", "else"), found, "write 'hold' or 'continue'")
