"""Judging what is decided, asked, marked and done by hand: once, and never differently after a restart."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import journal
from .journal import Operation

#: Kinds that no instrument carries out.
BY_HAND = frozenset({"pause", "mark", "disassemble", "assemble", "measure"})
#: Kinds that a person is asked for.
ASKED = BY_HAND - {"mark"}


@dataclass(slots=True)
class Seen:
    """What stood in the journal at the end of every life: of that nothing may change, nor go.

    Attributes
    ----------
    decisions, answers : dict
        By cell and id of a decision, and by the token of a question; what was decided or said as JSON.
    changed : list of str
        A sentence for each that did.
    """

    decisions: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)

    def look(self, folder: Path) -> None:
        """Look once more."""
        for what, before, now in (
            ("the decision", self.decisions, dict(decisions(journal.operations(folder)))),
            ("the answer", self.answers, journal.told(folder)),
        ):
            self.changed += [f"{what} {key} was {old}, and is {now.get(key)}" for key, old in before.items()
                             if now.get(key) != old]  # fmt: skip
            before.update(now)


def decisions(operations: Iterable[Operation]) -> Iterator[tuple[str, str]]:
    """Every decision as ``cell id`` and what was decided, with the values that it rested on."""
    for one in operations:
        for made in one.result.get("decisions", ()):
            yield f"{one.cell} {made['id']}", json.dumps(made, sort_keys=True)


def truths(operations: Iterable[Operation]) -> dict[str, bool]:
    """What each condition of each cell came to."""
    return {key: bool(json.loads(made)["holds"]) for key, made in decisions(operations)}


def twice(operations: Sequence[Operation], answers: Mapping[str, str], marked: Iterable[str]) -> Iterator[str]:
    """Decisions made twice, steps by hand asked for or marked not exactly once."""
    for key, count in Counter(key for key, _ in decisions(operations)).items():
        if count > 1:
            yield f"{key} was decided {count} times"
    by_hand = [one for one in operations if one.kind in BY_HAND]
    for (cell, step), count in Counter((one.cell, one.step) for one in by_hand).items():
        if count > 1:
            yield f"{cell} {step} was asked for {count} times"
    for one in by_hand:
        if one.status == "done" and one.kind in ASKED and one.token not in answers:
            yield f"{one.operation} is done, and nobody has said anything"
    lines, done = Counter(marked), {one.operation for one in by_hand if one.kind == "mark" and one.status == "done"}
    for operation in sorted(done | set(lines)):
        if lines[operation] != 1 or operation not in done:
            yield f"{operation}: {lines[operation]} lines in the history"


def reworked(log: Iterable[Mapping[str, Any]], operations: Iterable[Operation]) -> Iterator[str]:
    """Cells that were taken apart or put together more or less often than the journal has it."""
    events = {"disassemble": "taken apart", "assemble": "put together"}
    hands = Counter((str(entry["cell"]), str(entry["event"])) for entry in log)
    ours = Counter((one.cell, events[one.kind]) for one in operations if one.kind in events and one.status == "done")
    for cell, event in sorted({*ours, *(key for key in hands if key[1] in events.values())}):
        if hands[cell, event] != ours[cell, event]:
            yield f"{cell} was {event} {hands[cell, event]} times, the journal has {ours[cell, event]}"


def samples(results: Path) -> dict[str, Any]:
    """Which sample each bundle is of, by ``cell/step``; a step that has two bundles stands twice in the value."""
    found: dict[str, Any] = {}
    for path in sorted(results.glob("*/*/*/*/a*/operation.json")):
        cell, step = path.parts[-5], "/".join(path.parts[-4:-2])
        found.setdefault(f"{cell}/{step}", []).append(json.loads(path.read_text(encoding="utf-8")).get("sample"))
    return found


def other_than(twin: Mapping[str, Any], ours: Mapping[str, Any], what: str) -> Iterator[str]:
    """Where two mappings differ."""
    for key in sorted({*twin, *ours}):
        if twin.get(key) != ours.get(key):
            yield f"{what} {key}: {ours.get(key)}, undisturbed {twin.get(key)}"
