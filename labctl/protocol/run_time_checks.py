"""What is checked of conditions, loops and steps by hand by the protocol alone: what could never be, or never end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from labctl.documents import Document, Path, suggest
from labctl.errors import Mistake
from labctl.protocol.combined import Deis, Operando
from labctl.protocol.conditions import ANSWER, MEASURED, NAMES, TEXT, Expression, check, names
from labctl.protocol.expression import ExpressionError
from labctl.protocol.handwork import BY_HAND, Assemble, Disassemble, Measurement, Pause
from labctl.protocol.models import Protocol
from labctl.protocol.nesting import Branch, Loop
from labctl.protocol.walk import Block, Placed, blocks, cycles
from labctl.units import KINDS, Dimension

#: Values that are of whole cycles.
_OF_CYCLES: Final = ("soh", "ce")
_CHARGED: Final = frozenset({"voltage", "charge_capacity", "first_charge_capacity", "ce", "temperature"})
_DISCHARGED: Final = frozenset({"voltage", "discharge_capacity", "soh", "ce", "temperature"})


@dataclass(frozen=True, slots=True)
class _Use:
    """A condition where it stands.

    Attributes
    ----------
    expression : Expression
        What is asked.
    path : Path
        Where.
    steps : tuple of Placed
        What is around it: what it decides about.
    loop : str
        ``repeat`` or ``cycle`` where it ends one; empty for a ``when``.
    block : Block
        In which it stands.
    """

    expression: Expression
    path: Path
    steps: tuple[Placed, ...]
    loop: str
    block: Block


def check_run_time(protocol: Protocol, document: Document) -> Iterator[Mistake]:
    """Find conditions that make no sense, loops that never end, and questions that can't be answered."""
    steps = [step for block in blocks(protocol) for step in block.steps]
    yield from _by_hand(steps, document)
    yield from _measured(protocol, document)
    known: dict[str, Dimension] = dict(NAMES)
    answers: dict[str, Mapping[str, str]] = {}
    for step in steps:
        if isinstance(step.body, Pause):
            known[ANSWER + step.body.as_] = TEXT
            answers[ANSWER + step.body.as_] = {**answers.get(ANSWER + step.body.as_, {}), **step.body.answers}
        elif isinstance(step.body, Measurement):
            known[MEASURED + step.body.as_] = KINDS[step.body.kind][0]
    for use in _uses(protocol):
        unlabelled = [name for name in names(use.expression.tree) if name not in known]
        if unlabelled:
            kind, _, label = unlabelled[0].partition(".")
            labels = [name.partition(".")[2] for name in known if name.startswith(f"{kind}.")]
            right = suggest(label, labels) if labels else f"add one before, with 'as: {label}'"
            found = f"no '{'pause' if kind == 'answer' else 'measure'}' step is labelled '{label}'"
            yield document.mistake(use.path, found, right)
            continue
        try:
            check(use.expression.tree, known, answers)
        except ExpressionError as error:
            yield document.mistake(use.path, error.found, error.right)
        else:
            yield from _never(protocol, use, steps, document)


def _uses(protocol: Protocol) -> Iterator[_Use]:
    for block in blocks(protocol):
        if block.until is not None:
            yield _Use(block.until, (*block.path, "until"), block.steps, "cycle", block)
        for around in dict.fromkeys(one for step in block.steps for one in step.within):
            inside = tuple(step for step in block.steps if around in step.within)
            if isinstance(around, Loop) and around.until is not None:
                yield _Use(around.until, (*around.path, "until"), inside, "repeat", block)
            elif isinstance(around, Branch):
                yield _Use(around.condition, (*around.path, "if"), inside, "", block)


def _never(protocol: Protocol, use: _Use, steps: Sequence[Placed], document: Document) -> Iterator[Mistake]:
    """Find conditions on values that never come, or that nothing changes."""
    used = list(dict.fromkeys(names(use.expression.tree)))
    of_cycles = [name for name in used if name in _OF_CYCLES]
    if of_cycles and not cycles(protocol):
        found = f"'{of_cycles[0]}' is a value of cycles, and the protocol has none"
        yield document.mistake(use.path, found, "put the steps into a 'cycle'")
        return
    for name in used:
        late = _asked_later(name, use, steps)
        if late is not None:
            yield document.mistake(use.path, f"'{name}' is known only after a later step", f"put '{late}' before this")
            return
    if not use.loop:
        return
    changed = {name for step in use.steps for name in _changes(step)}
    changed = changed | {"cycle"} if use.loop == "cycle" else changed - set(_OF_CYCLES)
    if not changed & set(used):
        what = " or ".join(f"'{name}'" for name in used) or "anything in it"
        found = f"nothing in this '{use.loop}' changes {what}: it would never end by that"
        right = f"its steps change {', '.join(sorted(changed))}" if changed else "write 'count' alone"
        if of_cycles and use.loop == "repeat":
            right = f"'{of_cycles[0]}' is of whole cycles: write 'until' at a 'cycle'"
        yield document.mistake(use.path, found, right)


def _asked_later(name: str, use: _Use, steps: Sequence[Placed]) -> str | None:
    """Give the kind of the step that a value comes from, if it is only done after the value is needed."""
    label = name.partition(".")[2]
    kind = {ANSWER: "pause", MEASURED: "measure"}.get(name.removesuffix(label))
    if kind is None or use.loop:
        # A loop is judged after its steps.
        return None
    first = steps.index(use.steps[0])
    givers = [at for at, step in enumerate(steps) if isinstance(step.body, BY_HAND) and step.kind == kind
              and step.body.as_ == label]  # fmt: skip
    again = use.block.steps if use.block.repeated else ()
    early = any(at < first or steps[at] in again for at in givers)
    return None if early else kind


def _changes(step: Placed) -> frozenset[str]:
    body = step.body
    if isinstance(body, Pause):
        return frozenset({ANSWER + body.as_})
    if isinstance(body, Measurement):
        return frozenset({MEASURED + body.as_})
    if isinstance(body, BY_HAND):
        return frozenset()
    kind = body.direction if isinstance(body, (Operando, Deis)) else step.kind
    if kind == "charge":
        return _CHARGED
    if kind == "discharge":
        return _DISCHARGED
    return frozenset({"temperature"}) if kind == "nmr" else frozenset({"voltage", "temperature"})


def _by_hand(steps: Sequence[Placed], document: Document) -> Iterator[Mistake]:
    """Find questions without answers, and parts that come from nowhere."""
    parts: list[str] = []
    for step in steps:
        body = step.body
        if isinstance(body, Pause):
            path = (*step.path, "answers")
            if not body.answers:
                right = 'write for example \'{"yes": continue, "no": end}\''
                yield document.mistake(path, "a question without answers", right)
            elif "continue" not in body.answers.values():
                found = "no answer lets the cell go on"
                yield document.mistake(path, found, "let one of them be 'continue', or leave the step out")
        elif isinstance(body, Disassemble):
            parts += body.gives
            for index, part in enumerate(body.gives):
                if part in body.gives[:index]:
                    yield document.mistake(
                        (*step.path, "gives", index), f"'{part}' stands twice", "name each part once"
                    )
        elif isinstance(body, Assemble):
            for index, one in enumerate(body.from_):
                if isinstance(one, str) and one not in parts:
                    found = f"no step before gives a part '{one}'"
                    right = suggest(one, parts) if parts else "write '{part: ..., of: <cell>}', or 'disassemble' before"
                    yield document.mistake((*step.path, "from", index), found, right)


def _measured(protocol: Protocol, document: Document) -> Iterator[Mistake]:
    """Find ``when_measured`` where no cycle is around it, and measured cycles in which nothing is measured."""
    if protocol.measure is not None and not any(step.measured for block in blocks(protocol) for step in block.steps):
        found = "cycles are measured, but no cycle says what is done then"
        yield document.mistake(
            ("measure",), found, "add 'when_measured: [...]' to a 'cycle', or leave it out", key=True
        )
    total = cycles(protocol)
    if protocol.measure is not None and total and protocol.measure.reference > total:
        found = f"cycle {protocol.measure.reference} is the reference, but the protocol has {total} cycles"
        yield document.mistake(("measure", "reference"), found, f"write a cycle from 1 to {total}")
    for block in blocks(protocol):
        for step in block.steps:
            nested = [at for at, item in enumerate(step.path) if item == "when_measured"]
            if nested and (not block.repeated or len(nested) > 1):
                where = step.path[: nested[-1] + 1]
                right = "it belongs into 'cycle', and not into another 'when_measured'"
                yield document.mistake(where, "'when_measured' cannot stand here", right, key=True)
                return
