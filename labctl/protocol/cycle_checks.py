"""Do selections of cycles fit the cycles that there are? Each cycle one value, each selection some cycle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from labctl.documents import Document, Path
from labctl.errors import Mistake
from labctl.protocol.combined import Operando
from labctl.protocol.models import Charge, Discharge, Hold, Nmr, Protocol, Rest
from labctl.protocol.selection import Selection
from labctl.protocol.walk import Block, Placed, blocks, cycles

#: So many cycles are named one by one in a message.
_NAMED = 6


def check_cycles(protocol: Protocol, document: Document) -> Iterator[Mistake]:
    """List selections that choose nothing, and values that are missing for a cycle or there twice."""
    yield from _measure(protocol, document)
    for block in blocks(protocol):
        yield from _resting(protocol, block, document)
        for step in block.steps:
            yield from _done(block, step, document)
            for path, value, what, example in values_of(step):
                if isinstance(value, Mapping):
                    yield from _values(value, block, step, document, (*step.path, *path), (what, example))


def values_of(step: Placed) -> Iterator[tuple[Path, Any, str, str]]:
    """Give what may be said by cycle in a step: where, one value or a mapping, what it is, an example."""
    body = step.body
    match body:
        case Charge() | Discharge() | Operando():
            yield ("current",), body.current, "current", "0.2 mA/cm2"
        case Hold():
            yield ("voltage",), body.voltage, "voltage", "upper"
            yield ("limit", "current"), body.limit.current, "current", "3 mA"
        case Rest():
            yield ("duration",), body.duration, "duration", "12 h"
        case _:
            return
    if isinstance(body, Rest):
        return
    if body.at_most is not None:
        yield ("at_most",), body.at_most, "guard time", "16 h"
    for place, one in body.until.conditions:
        where: Path = ("until", *place)
        if one.voltage is not None:
            yield (*where, "voltage"), one.voltage, "voltage", "upper"
        if one.current is not None:
            yield (*where, "current"), one.current, "current", "1 uA"
        if one.capacity is not None:
            yield (*where, "capacity"), one.capacity, "capacity", "0.5 mAh/cm2"
        if one.duration is not None:
            yield (*where, "duration"), one.duration, "duration", "2 h"


def _measure(protocol: Protocol, document: Document) -> Iterator[Mistake]:
    if protocol.measure is None:
        return
    total, chosen = cycles(protocol), protocol.measure.cycles
    listed = isinstance(document.data["measure"]["cycles"], list)
    right = f"write a cycle from 1 to {total}" if total else "add a 'cycle' step, or leave 'measure' out"
    for index, part in enumerate(chosen.parts):
        path: Path = ("measure", "cycles", index) if listed else ("measure", "cycles")
        last = part.last if part.last is not None else part.first
        if last > total or (total == 0 and part.first == 0):
            named = f"cycle {last}" if part.last == part.first else f"'{part}'"
            found = f"{named} is measured, but the protocol has {total} cycles"
            yield document.mistake(path, found, right)


def _done(block: Block, step: Placed, document: Document) -> Iterator[Mistake]:
    chosen = step.body.cycles
    if chosen is None:
        return
    path = (*step.path, "cycles")
    if not block.repeated:
        found = "'cycles' outside of a cycle"
        yield document.mistake(path, found, "put the step into a 'cycle', or leave it out", key=True)
        return
    listed = (*path, 0) in document.places
    for index, part in enumerate(chosen.parts):
        if not part.range(block.first, block.last):
            found = f"'{part}' is none of the cycles {block.first} to {block.last} of this step"
            where = (*path, index) if listed else path
            yield document.mistake(where, found, "cycles are counted from 1 through the whole protocol")


def _resting(protocol: Protocol, block: Block, document: Document) -> Iterator[Mistake]:
    """Find spectra that rest on the pulse or gain of another one, which is not taken in each of their cycles."""
    spectra = {
        (step.body.experiment, step.body.as_): step for step in reversed(block.steps) if isinstance(step.body, Nmr)
    }
    for (name, label), step in spectra.items():
        experiment = protocol.experiments.get(name)
        if experiment is None or not isinstance(step.body, Nmr):
            continue
        calibrate, gain = experiment.pulse.calibrate, experiment.receiver_gain
        sources = [calibrate.in_] if calibrate is not None and label in calibrate.reuse else []
        sources += [gain.from_] if gain is not None and gain.at is None and gain.from_ != label else []
        for source in dict.fromkeys(sources):
            other = spectra.get((name, source))
            if other is None or other.number > step.number or other.body.cycles is None:
                continue
            mine = _cycles(step, block)
            missing = sorted(mine - _cycles(other, block))
            if missing:
                found = (
                    f"'{label}' is measured in cycle {missing[0]}, but '{source}', on whose pulse or gain it rests, not"
                )
                right = "choose cycles in which both are measured"
                where = (*step.path, "cycles") if step.body.cycles is not None else step.path
                yield document.mistake(where, found, right, key=step.body.cycles is None)


def _cycles(step: Placed, block: Block) -> set[int]:
    if step.body.cycles is None:
        return set(range(block.first, block.last + 1))
    return set(step.body.cycles.cycles(block.first, block.last))


def _values(
    values: Mapping[Selection, Any],
    block: Block,
    step: Placed,
    document: Document,
    path: Path,
    words: tuple[str, str],
) -> Iterator[Mistake]:
    what, example = words
    if not block.repeated:
        found = f"{what}s by cycle outside of a cycle"
        yield document.mistake(path, found, f"write one {what}, such as '{example}'")
    elif not values:
        yield document.mistake(path, f"no {what} for any cycle", f"write for example '{{{block.first}-: {example}}}'")
    elif step.body.cycles is None and all(_is_span(one) for one in values):
        yield from _spans(list(values), block, document, path, what)
    else:
        yield from _selections(values, block, step, document, path, words)


def _is_span(selection: Selection) -> bool:
    return len(selection.parts) == 1 and selection.parts[0].first > 0 and not _is_every(selection)


def _is_every(selection: Selection) -> bool:
    return any(part.every > 1 or part.counted for part in selection.parts)


def _spans(chosen: Sequence[Selection], block: Block, document: Document, path: Path, what: str) -> Iterator[Mistake]:
    """Find gaps and overlaps where all are plain spans, told by the neighbours."""
    spans = sorted(
        ((one.parts[0].first, one.parts[0].last, one.written) for one in chosen),
        key=lambda span: (span[0], span[1] is None, span[1] or 0),
    )
    first, last, written = spans[0]
    if first > block.first:
        found = f"no {what} for the cycles before {first}"
        yield document.mistake((*path, written), found, f"begin with cycle {block.first}", key=True)
    for (_, before, earlier), (begin, _, later) in pairwise(spans):
        where = (*path, later)
        if before is None or begin <= before:
            found = f"the spans '{earlier}' and '{later}' overlap"
            yield document.mistake(where, found, f"give each cycle one {what}", key=True)
        elif begin > before + 1:
            found = f"no {what} for the cycles between '{earlier}' and '{later}'"
            yield document.mistake(where, found, f"begin with cycle {before + 1}", key=True)
        elif begin > block.last:
            found = f"the span '{later}' begins after the last cycle, {block.last}"
            yield document.mistake(where, found, "leave it out, or raise 'count'", key=True)
    first, last, written = spans[-1]
    if last is not None and last < block.last and all(end is not None for _, end, _ in spans):
        found = f"no {what} for the cycles {last + 1} to {block.last}"
        yield document.mistake((*path, written), found, f"write '{first}-' for all that follow", key=True)


def _selections(
    values: Mapping[Selection, Any],
    block: Block,
    step: Placed,
    document: Document,
    path: Path,
    words: tuple[str, str],
) -> Iterator[Mistake]:
    """Find gaps and overlaps of any selections, cycle by cycle; no more than the first overlap of each."""
    what, example = words
    first, count = block.first, block.last - block.first + 1
    covered = bytearray(count)
    before: list[Selection] = []
    for one in (one for one in values if not one.others):
        mine = bytearray(count)
        for cycles_ in one.ranges(first, block.last):
            _mark(mine, cycles_, first)
        if not any(mine):
            found = f"'{one.written}' is none of the cycles {first} to {block.last}"
            yield document.mistake((*path, one.written), found, "leave it out, or raise 'count'", key=True)
        other = next((two for two in before if _meet(mine, two, first, block.last) is not None), None)
        if other is not None:
            cycle = _meet(mine, other, first, block.last)
            found = f"'{other.written}' and '{one.written}' overlap, in cycle {cycle}"
            yield document.mistake((*path, one.written), found, f"give each cycle one {what}", key=True)
        for cycles_ in one.ranges(first, block.last):
            _mark(covered, cycles_, first)
        before.append(one)
    needed = bytearray(b"\1" * count) if step.body.cycles is None else bytearray(count)
    for cycles_ in step.body.cycles.ranges(first, block.last) if step.body.cycles is not None else ():
        _mark(needed, cycles_, first)
    left = [first + at for at in range(count) if needed[at] and not covered[at]]
    others = next((one for one in values if one.others), None)
    if left and others is None:
        named = ", ".join(map(str, left[:_NAMED])) + (", …" if len(left) > _NAMED else "")
        found = f"no {what} for cycle{'s' if len(left) > 1 else ''} {named}"
        yield document.mistake(path, found, f"add for example 'others: {example}'")
    elif others is not None and not left:
        found = f"'others' is left no cycle of {first} to {block.last}"
        yield document.mistake((*path, others.written), found, "leave it out", key=True)


def _mark(mask: bytearray, chosen: range, first: int) -> None:
    if chosen:
        mask[chosen.start - first : chosen[-1] - first + 1 : chosen.step] = b"\1" * len(chosen)


def _meet(mask: bytearray, other: Selection, first: int, last: int) -> int | None:
    """Give the first cycle of ``other`` that is marked."""
    found = []
    for chosen in other.ranges(first, last):
        if chosen:
            at = mask[chosen.start - first : chosen[-1] - first + 1 : chosen.step].find(1)
            if at >= 0:
                found.append(chosen[at])
    return min(found, default=None)
