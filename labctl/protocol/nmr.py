"""What the experiments of a protocol mean: every rule on NMR that their shape alone cannot hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from labctl.documents import Document, Path, suggest
from labctl.errors import Mistake
from labctl.protocol.combined import Operando
from labctl.protocol.experiments import Experiment
from labctl.protocol.models import Nmr, Protocol
from labctl.protocol.walk import Placed, blocks
from labctl.units import show

#: Keys of a presaturation, and the kind that they belong to.
_BELONGS: Final[Mapping[str, str]] = {"at": "continuous", "power": "continuous", "pulses": "comb", "spacing": "comb"}
_EXAMPLE: Final[Mapping[str, str]] = {
    "continuous": "'at: 0 ppm, power: 16 uW'",
    "comb": "'pulses: 20, spacing: 5 ms'",
}

#: What programs that labctl knows do before the pulse, and whether they make an echo: the vendor's, and those of
#: docs/drivers/bruker.md. Of others nobody knows.
_PROGRAMS: Final[Mapping[str, tuple[str, bool]]] = {
    "zg": ("none", False),
    "zgpr": ("continuous", False),
    "zgcomb": ("comb", False),
    "solidecho": ("none", True),
}
_DOES: Final[Mapping[str, str]] = {
    "none": "saturates nothing",
    "continuous": "irradiates continuously",
    "comb": "saturates by a comb",
}


def check_experiments(protocol: Protocol, document: Document) -> Iterator[Mistake]:
    """List the mistakes under ``experiments``."""
    steps = [step for block in blocks(protocol) for step in block.steps if _experiments(step)]
    for name, experiment in protocol.experiments.items():
        path: Path = ("experiments", name)
        pulse = experiment.pulse
        if pulse.calibrate is not None and not pulse.shortest < pulse.nominal < pulse.longest:
            key = next(key for key in ("longest", "shortest", "nominal", "calibrate") if _written(document, path, key))
            found = f"the pulse lengths {show(pulse.shortest, 'us')} to {show(pulse.longest, 'us')} do not lie around"
            found += f" the nominal {show(pulse.nominal, 'us')}"
            yield document.mistake((*path, "pulse", key), found, "write shortest < nominal < longest")
        yield from _sequence(experiment, path, document)
        if experiment.tuning == "operator" and experiment.insertion is None and pulse.calibrate is None:
            right = "add 'insertion: {else: hold}', or calibrate the pulse"
            yield document.mistake((*path, "tuning"), "nothing checks how a person's tuning came out", right)
        if experiment.recovery is not None and experiment.recovery.shortest >= experiment.recovery.longest:
            found = f"the delays run from {show(experiment.recovery.shortest, 's')}"
            found += f" to {show(experiment.recovery.longest, 's')}"
            yield document.mistake((*path, "recovery"), found, "write shortest < longest")
        # Steps that name no known experiment count for all: their own mistake is reported once, with them.
        own = [
            step for step in steps if name in (named := _experiments(step)) or not named <= set(protocol.experiments)
        ]
        if own:
            yield from _states(protocol, name, own, document)


def _sequence(experiment: Experiment, path: Path, document: Document) -> Iterator[Mistake]:
    """Check that what is asked of the pulse program is said in full, and is not what a plain program cannot do."""
    asked = experiment.presaturation
    where = (*path, "presaturation")
    for key, kind in _BELONGS.items():
        value = getattr(asked, key) if asked is not None else None
        if asked is not None and asked.kind == kind and value is None:
            yield document.mistake(where, f"'{key}' is missing for a {kind} presaturation", f"add {_EXAMPLE[kind]}")
        elif asked is not None and asked.kind != kind and value is not None:
            found = f"'{key}' belongs to a {kind} presaturation, not to '{asked.kind}'"
            yield document.mistake((*where, key), found, f"leave it out, or write 'kind: {kind}'")
    recovery = experiment.recovery
    if recovery is not None and _PROGRAMS.get(recovery.pulse_program, ("comb", False))[0] != "comb":
        found = f"the pulse program '{recovery.pulse_program}' has no saturation comb to recover from"
        yield document.mistake((*path, "recovery", "pulse_program"), found, "name one that has, such as 'zgcomb'")
    program = experiment.pulse_program
    if program not in _PROGRAMS:
        return
    done, echoes = _PROGRAMS[program]
    if asked is not None and asked.kind != done:
        usual = next(name for name, (kind, _) in _PROGRAMS.items() if kind == asked.kind)
        right = f"name a program for that, such as '{usual}', or write 'kind: {done}'"
        yield document.mistake(where, f"the pulse program '{program}' {_DOES[done]}, not '{asked.kind}'", right)
    if experiment.echo is not None and not echoes:
        found = f"the pulse program '{program}' has no echo"
        yield document.mistake((*path, "echo"), found, "name a program that has one, such as 'solidecho'")
    if experiment.echo is None and echoes:
        found = f"the pulse program '{program}' makes an echo, and 'echo' is missing"
        yield document.mistake((*path, "pulse_program"), found, "add 'echo: 20 us', or name a program without one")


def _written(document: Document, path: Path, key: str) -> bool:
    return (*path, "pulse", key) in document.places


def _experiments(step: Placed) -> frozenset[str]:
    """Name the experiments that a step asks for."""
    body = step.body
    if isinstance(body, Operando):
        return frozenset({body.experiment, *([body.pauses.experiment] if body.pauses is not None else [])})
    return frozenset({body.experiment}) if isinstance(body, Nmr) else frozenset()


def _states(protocol: Protocol, name: str, own: Sequence[Placed], document: Document) -> Iterator[Mistake]:
    """Check that the states an experiment speaks of are measured, each unknown one reported once.

    A pulse or gain is found in a state of an ``nmr`` step; it may be used again while current flows, too.
    """
    experiment = protocol.experiments[name]
    later = [step.body.as_ for step in own if isinstance(step.body, (Nmr, Operando))]
    labels = [step.body.as_ for step in own if isinstance(step.body, Nmr)]
    path: Path = ("experiments", name)
    named: list[tuple[str, Path]] = []
    again: list[tuple[str, Path]] = []
    calibrate = experiment.pulse.calibrate
    if calibrate is not None:
        named.append((calibrate.in_, (*path, "pulse", "calibrate", "in")))
        for index, label in enumerate(calibrate.reuse):
            again.append((label, (*path, "pulse", "calibrate", "reuse", index)))
    if experiment.receiver_gain is not None:
        named.append((experiment.receiver_gain.from_, (*path, "receiver_gain", "from")))
    if experiment.recovery is not None:
        named.append((experiment.recovery.in_, (*path, "recovery", "in")))
    unknown: set[str] = set()
    for label, where in (*named, *again):
        known = later if (label, where) in again else labels
        if label not in known and label not in unknown:
            unknown.add(label)
            found = f"no 'nmr' step with '{name}' measures the state '{label}'"
            yield document.mistake(where, found, suggest(label, list(dict.fromkeys(known))))
    if calibrate is None or calibrate.in_ not in labels:
        return
    for label, where in again:
        if label in later and later.index(label) <= later.index(calibrate.in_):
            found = f"'{label}' is measured before the pulse is calibrated in '{calibrate.in_}'"
            yield document.mistake(where, found, "name only states that are measured after it")
