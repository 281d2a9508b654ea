"""The layout of a YAML text: its values as they were written, with the comments and empty lines between them.

For rewriting files that people wrote. What a file says is not looked at here, see :mod:`labctl.documents.loading`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from ruamel.yaml import YAML
from ruamel.yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

_COMMENT: Final = re.compile(r"#[^\n]*")


@dataclass(slots=True)
class Comment:
    """A comment: its text and its column, counted from 0."""

    text: str
    column: int


@dataclass(slots=True)
class Value:
    """A value as it was written.

    Attributes
    ----------
    kind : str
        What it is.
    start, end : int
        Where in the text it stands.
    column : int
        Of its first character, or of the first dash or key of a collection.
    text : str
        Of a scalar or alias, to be written in one line; a block scalar as it stands.
    flow : bool
        Whether a collection was written in brackets.
    anchor : str or None
        Its anchor.
    entries : list of Entry
        Of a collection.
    head, after : Comment or None
        Behind its beginning (a key, an opening bracket), and behind its end.
    trailing : list of (Comment or None)
        Below its last entry; None is an empty line.
    """

    kind: Literal["scalar", "block", "mapping", "sequence"]
    start: int
    end: int
    column: int
    text: str = ""
    flow: bool = False
    anchor: str | None = None
    entries: list[Entry] = field(default_factory=list)
    head: Comment | None = None
    after: Comment | None = None
    trailing: list[Comment | None] = field(default_factory=list)

    @property
    def collection(self) -> bool:
        """Whether it has entries."""
        return self.kind in ("mapping", "sequence")


@dataclass(slots=True)
class Entry:
    """A key and its value, or an item of a list; and what stands in lines of their own above it."""

    key: Value | None
    value: Value
    leading: list[Comment | None] = field(default_factory=list)

    @property
    def start(self) -> int:
        """Where it begins."""
        return self.key.start if self.key is not None else self.value.start


def layout(text: str) -> Value:
    """Take a text apart; it must be one that :func:`labctl.documents.read` reads without mistakes."""
    spans: list[tuple[int, int]] = []
    root = _values(text, spans)
    _place_comments(text, root, _gaps(text, spans))
    return root


def comments(text: str) -> list[str]:
    """List the comments of a text."""
    spans: list[tuple[int, int]] = []
    _values(text, spans)
    return [one.group() for start, end in _between(text, spans) for one in _found(text, start, end)]


def _values(text: str, spans: list[tuple[int, int]]) -> Value:
    root: Value | None = None
    stack: list[tuple[Value, Value | None]] = []
    key: Value | None = None
    for event in YAML(typ="safe", pure=True).parse(text):
        start, end = event.start_mark.index, event.end_mark.index
        if isinstance(event, (MappingEndEvent, SequenceEndEvent)):
            value, key = stack.pop()
            if value.flow:
                value.end = end
            elif value.entries:
                value.end = value.entries[-1].value.end
        elif isinstance(event, (MappingStartEvent, SequenceStartEvent)):
            kind: Literal["mapping", "sequence"] = "mapping" if isinstance(event, MappingStartEvent) else "sequence"
            value = Value(kind, start, end, event.start_mark.column, flow=bool(event.flow_style), anchor=event.anchor)
        elif isinstance(event, (ScalarEvent, AliasEvent)):
            value = _scalar(text, event, start, end)
            spans.append((value.start, value.end))
        else:
            continue
        if isinstance(event, (MappingEndEvent, SequenceEndEvent)):
            continue
        if not stack:
            root = value
        else:
            parent = stack[-1][0]
            if parent.kind == "sequence":
                parent.entries.append(Entry(None, value))
            elif key is None:
                key = value
                continue
            else:
                parent.entries.append(Entry(key, value))
                key = None
        if value.collection:
            stack.append((value, key))
            key = None
    if root is None:
        raise ValueError("an empty text has no layout")
    return root


def _scalar(text: str, event: ScalarEvent | AliasEvent, start: int, end: int) -> Value:
    column = event.start_mark.column
    if isinstance(event, AliasEvent):
        return Value("scalar", start, end, column, f"*{event.anchor}")
    raw = text[start:end]
    if event.anchor:
        # The mark is that of the anchor.
        body = start + len(event.anchor) + 1
        body += len(text[body:end]) - len(text[body:end].lstrip())
        raw = text[body:end]
    if event.style in ("|", ">"):
        return Value("block", start, end, column, raw.rstrip("\n"), anchor=event.anchor)
    if "\n" in raw.strip():
        raw = _one_line(event.value, event.style)
    return Value("scalar", start, end, column, raw.strip(), anchor=event.anchor)


def _one_line(value: str, style: str | None) -> str:
    """Write text that went over several lines in one."""
    if "\n" not in value and style is None:
        return value
    if "\n" not in value and style == "'":
        return "'" + value.replace("'", "''") + "'"
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(escapes.get(letter, letter) for letter in value) + '"'


def _between(text: str, spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Give the stretches of a text that lie outside of scalars."""
    at = 0
    for start, end in [*spans, (len(text), len(text))]:
        yield at, start
        at = max(at, end)


def _found(text: str, start: int, end: int) -> Iterator[re.Match[str]]:
    """Find the comments of such a stretch."""
    for match in _COMMENT.finditer(text, start, end):
        if match.start() == 0 or text[match.start() - 1] in " \t\n":
            yield match


@dataclass(slots=True)
class _Gap:
    """A comment or an empty line between values."""

    at: int
    comment: Comment | None
    own_line: bool


def _gaps(text: str, spans: list[tuple[int, int]]) -> list[_Gap]:
    gaps = []
    for start, end in _between(text, spans):
        for match in _found(text, start, end):
            begin = text.rfind("\n", 0, match.start()) + 1
            column = match.start() - begin
            before = text[begin : match.start()]
            gaps.append(_Gap(match.start(), Comment(match.group().rstrip(), column), before.strip(" -") == ""))
        # An empty line is a line break behind nothing but spaces since the line break before.
        for match in re.finditer(r"(?:^|(?<=\n))[ ]*\n", text[start:end]):
            at = start + match.start()
            if at == 0 or text[at - 1] == "\n":
                gaps.append(_Gap(at, None, own_line=True))
    return sorted(gaps, key=lambda gap: gap.at)


@dataclass(slots=True)
class _Walk:
    """All values and entries of a text in their order."""

    entries: list[tuple[int, Entry, Value]] = field(default_factory=list)
    ends: list[tuple[int, Value, bool]] = field(default_factory=list)
    chains: dict[int, list[Value]] = field(default_factory=dict)

    def visit(self, value: Value, chain: list[Value]) -> None:
        if value.collection:
            if value.flow:
                self.ends.append((value.start + 1, value, True))
                self.ends.append((value.end, value, False))
            for entry in value.entries:
                self.entries.append((entry.start, entry, value))
                self.chains[id(entry)] = [*chain, value]
                if entry.key is not None:
                    self.ends.append((entry.key.end, entry.value, True))
                self.visit(entry.value, [*chain, value])
        else:
            self.ends.append((value.end, value, False))


def _place_comments(text: str, root: Value, gaps: list[_Gap]) -> None:
    walk = _Walk()
    walk.visit(root, [])
    # The outermost of those that begin at one place comes first, as the sorting is stable.
    entries = sorted(walk.entries, key=lambda one: one[0])
    starts = [one[0] for one in entries]
    ends = sorted(walk.ends, key=lambda one: one[0])
    positions = [one[0] for one in ends]
    waiting: list[Comment | None] = []
    for number, gap in enumerate(gaps):
        comment = gap.comment
        if comment is not None and not gap.own_line and _behind(text, gap, ends, positions):
            continue
        waiting.append(comment)
        following = bisect_left(starts, gap.at)
        later = gaps[number + 1] if number + 1 < len(gaps) else None
        last = later is None or bisect_left(starts, later.at) != following
        if comment is None and not last:
            continue
        after = entries[following] if following < len(entries) else None
        before = entries[following - 1] if following else None
        holder = _holder(gap, before, after, walk, root) if comment is not None else None
        if holder is not None:
            holder.trailing += waiting
        elif after is not None:
            after[1].leading += waiting
        else:
            root.trailing += waiting
        waiting = []


def _behind(text: str, gap: _Gap, ends: list[tuple[int, Value, bool]], positions: list[int]) -> bool:
    """Put a comment behind the last thing in its line."""
    index = bisect_left(positions, gap.at + 1) - 1
    if index < 0 or "\n" in text[ends[index][0] : gap.at]:
        return False
    # Of those that end at one place the outermost, which is the last.
    _, value, head = ends[index]
    if head and value.collection:
        value.head = value.head or gap.comment
        return value.head is gap.comment
    if value.after is None:
        value.after = gap.comment
        return True
    return False


def _holder(
    gap: _Gap,
    before: tuple[int, Entry, Value] | None,
    after: tuple[int, Entry, Value] | None,
    walk: _Walk,
    root: Value,
) -> Value | None:
    """Give the collection below whose last entry a comment stands; None for one above the entry that follows."""
    if before is None or gap.comment is None:
        return None
    around = [*walk.chains[id(before[1])], *([before[1].value] if before[1].value.collection else [])]
    following = {id(one) for one in walk.chains[id(after[1])]} if after is not None else set()
    for value in reversed(around):
        if id(value) in following:
            return None
        if value.flow and value.start < gap.at < value.end:
            return value
        if (
            not value.flow
            and value.column <= gap.comment.column
            and (after is None or gap.comment.column > after[2].column)
        ):
            return value
    return root if after is None else None
