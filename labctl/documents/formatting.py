"""One normal form for YAML files: order, comments and what they say stay, line breaks and spaces become regular.

Two spaces for each level, ``- `` within its key, brackets where they were written and fit into a line of 120
characters. Comments behind a value stay at their column where there is room.
"""

from __future__ import annotations

import re
from typing import Final

from labctl.documents.layout import Comment, Entry, Value, comments, layout
from labctl.documents.loading import Document, read
from labctl.errors import InvalidFile, LabctlError

WIDTH: Final = 120
_STEP: Final = 2


def formatted(document: Document) -> str:
    """Give the text of a document in its normal form.

    Raises
    ------
    InvalidFile
        It has keys twice, tags or the like.
    LabctlError
        It would not say the same any more, or lose a comment: a text that this cannot do.
    """
    if document.mistakes:
        raise InvalidFile(list(document.mistakes))
    text = _written(document.text)
    again = read(text, document.file)
    same = repr(again.data) == repr(document.data) and not again.mistakes
    if not same or sorted(comments(text)) != sorted(one.rstrip() for one in comments(document.text)):
        raise LabctlError(
            f"{document.file}: this file cannot be formatted without loss",
            hint="write comments in lines of their own, and anchors and long texts plainly",
        )
    return text


def _written(text: str) -> str:
    root = layout(text.replace("\r\n", "\n"))
    out = _Lines()
    out.collection(root, 0)
    lines = out.lines
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    once = [line for index, line in enumerate(lines) if line or lines[index - 1]]
    return "\n".join(once) + "\n"


class _Lines:
    """The lines of a text that is being written."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def _put(self, text: str, *behind: Comment | None) -> None:
        """Write a line with what stands behind it."""
        found = [one for one in behind if one is not None]
        if found:
            text = f"{text}{' ' * max(2, found[0].column - len(text))}{found[0].text}"
        self.lines.append(text.rstrip())

    def _above(self, comments: list[Comment | None], indent: int) -> None:
        self.lines += ["" if one is None else " " * indent + one.text for one in comments]

    def collection(self, value: Value, indent: int) -> None:
        """Write the entries of a collection, each in lines of its own."""
        for entry in value.entries:
            self._above(entry.leading, indent)
            if value.kind == "mapping":
                self._pair(entry, indent)
            else:
                self._item(entry, indent)
        self._above(value.trailing, indent)

    def _pair(self, entry: Entry, indent: int) -> None:
        key = entry.key.text if entry.key is not None else ""
        self._value(f"{' ' * indent}{key}:", entry.value, indent)

    def _value(self, head: str, value: Value, indent: int) -> None:
        if value.anchor:
            head = f"{head} &{value.anchor}"
        if value.kind == "scalar":
            self._put(f"{head} {value.text}" if value.text else head, value.after)
        elif value.kind == "block":
            self._block(head, value, indent)
        else:
            short = _flow(value)
            if short is not None and len(head) + 1 + len(short) <= WIDTH:
                self._put(f"{head} {short}", value.after)
                return
            if value.head is not None and value.after is not None:
                self._above([value.after], indent)
                self._put(head, value.head)
            else:
                self._put(head, value.head, value.after)
            self.collection(value, indent + _STEP)

    def _item(self, entry: Entry, indent: int) -> None:
        value, head = entry.value, f"{' ' * indent}-"
        short = _flow(value) if value.collection else None
        fits = short is not None and len(head) + 1 + len(short) <= WIDTH
        if not value.collection or value.anchor or fits:
            self._value(head, value, indent)
            return
        self._above([one for one in (value.head, value.after) if one is not None], indent)
        inner = _Lines()
        first = value.entries[0]
        self._above(first.leading, indent)
        first.leading = []
        inner.collection(value, indent + _STEP)
        inner.lines[0] = f"{head} {inner.lines[0][indent + _STEP :]}"
        self.lines += inner.lines

    def _block(self, head: str, value: Value, indent: int) -> None:
        """Write text of several lines, moved to its new indentation."""
        first, *rest = value.text.split("\n")
        margin = min((len(line) - len(line.lstrip()) for line in rest if line.strip()), default=0)
        said = re.match(r"[|>][+-]?([1-9])[+-]?", first)
        if said:
            # An indentation that is said counts from the parent's; here it is always the same.
            first = first.replace(said[1], str(_STEP), 1)
            margin = min(margin, value.column)
        self.lines.append(f"{head} {first}")
        self.lines += [" " * (indent + _STEP) + line[margin:] if line.strip() else "" for line in rest]


def _flow(value: Value) -> str | None:
    """Write a collection in brackets; None where it was not, or has comments."""
    if value.entries and not value.flow:
        return None
    if value.trailing or value.head is not None:
        return None
    parts = []
    for entry in value.entries:
        inner = entry.value
        text = _flow(inner) if inner.collection else inner.text or ("null" if entry.key else "")
        if text is None or inner.kind == "block" or any(entry.leading):
            return None
        if inner.after is not None or inner.head is not None:
            return None
        text = f"&{inner.anchor} {text}" if inner.anchor else text
        parts.append(f"{entry.key.text}: {text}" if entry.key is not None else text)
    inside = ", ".join(parts)
    return f"{{{inside}}}" if value.kind == "mapping" else f"[{inside}]"
