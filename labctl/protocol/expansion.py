"""Parameters, included files and defines, put in their places: what is left is a protocol of steps alone.

It is done on plain data, before any model sees them, and every value keeps the place that it was written at: a mistake
in a define is told where the define stands, with the place that uses it. Nothing is pasted into text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from labctl.documents import Document, describe, suggest
from labctl.documents.loading import DEEPEST, MOST_VALUES, Place, scalar
from labctl.documents.tree import Node, mistake, plain, too_much, tree
from labctl.errors import Mistake, UsageError
from labctl.protocol.defines import Define, read_defines, read_parameters, reference
from labctl.protocol.pieces import gather

_SECTIONS: Final = ("parameters", "include", "define")
_MERGED: Final = ("experiments", "spectra")
_MARKS: Final = re.compile(r"\$|\buse\b")
_FROM: Final = " from "
_LONGEST_CHAIN: Final = 4
_MOST_TOLD: Final = 100
_DEEPEST_USE: Final = 20
_EXAMPLE: Final = "write for example '- use: {formation: {current: 0.1 mA/cm2}}'"


def expand_document(
    document: Document, values: Mapping[str, str] | None = None, texts: Mapping[str, str] | None = None
) -> Document:
    """Put parameters, included files and defines of a protocol in their places.

    Parameters
    ----------
    document : Document
        As read.
    values : mapping of str to str, optional
        What is said for parameters beside the file, as on the command line.
    texts : mapping of str to str, optional
        The included files, where they are not read from the disk.

    Raises
    ------
    InvalidFile
        An included file is missing or cannot be read, or the whole grows too deep or too large. Every other mistake is
        reported by :func:`labctl.documents.validate` with its own.
    UsageError
        ``values`` names a parameter that there is not.
    """
    if not values and not _MARKS.search(document.text) and not any(key in document.data for key in _SECTIONS):
        return document
    return _Expansion(document, dict(values or {})).run(texts)


@dataclass(frozen=True, slots=True)
class _Scope:
    """What names mean at a place: values of parameters, which defines are around it, and who uses them."""

    names: Mapping[str, Node]
    via: str = ""
    within: tuple[str, ...] = ()
    literal: bool = False


@dataclass(slots=True)
class _Expansion:
    document: Document
    values: dict[str, str]
    mistakes: list[Mistake] = field(default_factory=list)
    parameters: dict[str, Node] = field(default_factory=dict)
    defines: dict[str, Define] = field(default_factory=dict)
    silenced: set[tuple[str, int, int]] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    told: dict[tuple[str, int, int, str], set[tuple[str, ...]]] = field(default_factory=dict)
    copied: int = 0

    def run(self, texts: Mapping[str, str] | None) -> Document:
        root = tree(self.document)
        pieces = gather(self.document, root, texts)
        self.mistakes += [*self.document.mistakes, *pieces.mistakes]
        for one in pieces.roots:
            self._declare(one, own=one is root)
        self._say()
        for one in pieces.roots:
            for define in read_defines(one.value.get("define"), self.mistakes):
                self._define(define)
        self._unknown()
        merged = self._merge(pieces.roots)
        whole = self._copy(Node(merged, root.place), _Scope(self.parameters), 0)
        data, places = plain(whole)
        return replace(
            self.document,
            data=data,
            places=places,
            mistakes=tuple(self.mistakes),
            remarks=tuple(self._remarks(root)),
            pieces=pieces.texts,
            values=self.values,
            silenced=frozenset(self.silenced),
        )

    # What there is

    def _declare(self, root: Node, *, own: bool) -> None:
        """Take up the parameters of a file; the protocol's own come first, and say what those of its pieces are."""
        for name, node in read_parameters(root.value.get("parameters"), self.mistakes).items():
            # One that refers to another is told there, and nothing of what follows from it.
            self.silenced |= {_at(one.place) for one in node.walk() if reference(one) is not None}
            there = self.parameters.get(name)
            if there is None:
                self.parameters[name] = node
            elif not own and there.place.file != self.document.file:
                found = f"the parameter '{name}' is in {there.place.file}:{there.place.key_line} already"
                right = "give one of them another name, or say it in the protocol"
                self.mistakes.append(mistake(node.place, found, right, key=True))

    def _say(self) -> None:
        """Put in what was said beside the file, and find what nobody has said."""
        for name, text in self.values.items():
            if name not in self.parameters:
                hint = suggest(name, list(self.parameters)) if self.parameters else "it has none"
                raise UsageError(f"{self.document.file} has no parameter '{name}'", hint=hint)
            place = self.parameters[name].place
            note = f"by --set {name}={text}"
            self.parameters[name] = Node(scalar(text.strip()), place._replace(text=text.strip(), note=note))
        for name, node in self.parameters.items():
            if node.value is None:
                right = f"write its value here, or say it: '--set {name}=...'"
                self.mistakes.append(mistake(node.place, f"the parameter '{name}' is not said", right, key=True))

    def _define(self, define: Define) -> None:
        there = self.defines.setdefault(define.name, define)
        if there is not define:
            found = f"'{define.name}' is defined in {_where(there.at.place)} already"
            self.mistakes.append(mistake(define.at.place, found, "give one of them another name", key=True))

    def _merge(self, roots: list[Node]) -> dict[str, Node]:
        """Give the protocol's own sections, with what its pieces have of experiments and spectra."""
        root, *others = roots
        merged = {key: node for key, node in root.value.items() if key not in _SECTIONS}
        for section in _MERGED:
            for other in others:
                theirs = other.value.get(section)
                if theirs is None or not (isinstance(theirs.value, dict) or section in merged):
                    if theirs is not None:
                        merged[section] = theirs
                    continue
                mine = merged.setdefault(section, Node({}, theirs.place))
                if not isinstance(theirs.value, dict) or not isinstance(mine.value, dict):
                    right = "write a mapping, 'name: {...}'"
                    self.mistakes.append(mistake(theirs.place, f"'{section}' is no mapping", right))
                    continue
                together = dict(mine.value)
                for name, node in theirs.value.items():
                    if name in together:
                        found = f"'{name}' is under '{section}' in {_where(together[name].place)} already"
                        self.mistakes.append(mistake(node.place, found, "give one of them another name", key=True))
                    else:
                        together[name] = node
                merged[section] = Node(together, mine.place)
        return merged

    def _unknown(self) -> None:
        """Find what no parameter stands for within defines: once there, however often they are used."""
        for define in self.defines.values():
            for node in (inner for step in define.steps for inner in step.walk()):
                self._resolvable(node, {**self.parameters, **define.parameters})

    def _resolvable(self, node: Node, names: Mapping[str, Node]) -> str | None:
        """Give the parameter that a value is; a mistake is told once for each place."""
        name = reference(node)
        at = (node.place.file or "", node.place.line, node.place.column)
        if name is None or name in names or at in self.silenced:
            return name if name in names else None
        self.silenced.add(at)
        if not name:
            found, right = f"'{node.value}' is no parameter", "write '$name' alone; put other text in quotes"
        else:
            near = suggest(name, list(names)) if names else "add it under 'parameters'"
            found, right = f"there is no parameter '{name}'", near
        self.mistakes.append(mistake(node.place, found, right))
        return None

    # Putting it in its place

    def _copy(self, node: Node, scope: _Scope, depth: int) -> Node:
        place = _noted(node.place, scope.via)
        self.copied += 1
        if self.copied > MOST_VALUES:
            raise too_much(place, f"more than {MOST_VALUES} values", "use fewer of what is defined")
        if depth > DEEPEST:
            raise too_much(place, f"more than {DEEPEST} levels deep", "write it flatter")
        if isinstance(node.value, dict):
            whole = Node({key: self._copy(child, scope, depth + 1) for key, child in node.value.items()}, place)
            if any(child.value is None and child.place.origin is not None for child in whole.value.values()):
                # A parameter that nobody said is told where it should be, not in what lacks it.
                self.silenced.add(_at(place))
            return whole
        if isinstance(node.value, list):
            items: list[Node] = []
            for child in node.value:
                items += self._item(child, scope, depth + 1)
            return Node(items, place)
        if scope.literal or reference(node) is None:
            return Node(node.value, place)
        return self._parameter(node, place, scope, depth)

    def _item(self, node: Node, scope: _Scope, depth: int) -> list[Node]:
        if not scope.literal and isinstance(node.value, dict) and list(node.value) == ["use"]:
            return self._use(node.value["use"], scope, depth)
        return [self._copy(node, scope, depth)]

    def _parameter(self, node: Node, place: Place, scope: _Scope, depth: int) -> Node:
        name = self._resolvable(node, scope.names)
        if name is None:
            return Node(node.value, place)
        self.used.add(name)
        said = scope.names[name]
        if said is self.parameters.get(name) and said.value is None:
            # That it is not said is a mistake already.
            self.silenced.add((said.place.file or "", said.place.line, said.place.column))
        via = _via(_where(node.place), scope)
        value = self._copy(said, _Scope({}, via, literal=True), depth)
        where = place._replace(text=value.place.text, origin=value.place)
        return Node(value.value, where)

    def _use(self, node: Node, scope: _Scope, depth: int) -> list[Node]:
        self.copied += 1
        called = self._called(node, scope)
        if called is None:
            return [_placeholder(node.place)]
        define, at, given = called
        if define.name in scope.within:
            between = scope.within[scope.within.index(define.name) + 1 :]
            way = f", by way of {' and '.join(repr(one) for one in between)}" if between else ""
            self._once(mistake(at, f"'{define.name}' uses itself{way}", "leave this use out", key=True))
            return [_placeholder(node.place)]
        if len(scope.within) >= _DEEPEST_USE:
            raise too_much(_noted(at, scope.via), f"more than {_DEEPEST_USE} uses within each other", "use fewer")
        arguments = self._arguments(define, at, given, scope, depth)
        via = _via(f"{at.file}:{at.key_line}:{at.key_column}", scope)
        inner = _Scope({**self.parameters, **arguments}, via, (*scope.within, define.name))
        steps: list[Node] = []
        for step in define.steps:
            steps += self._item(step, inner, depth)
        return steps or [_placeholder(node.place)]

    def _called(self, node: Node, scope: _Scope) -> tuple[Define, Place, dict[str, Node]] | None:
        """Give the define of a use, where it is named, and what is said for its parameters."""
        given: Any = {}
        if isinstance(node.value, str):
            name, at = node.value, node.place._replace(key_line=node.place.line, key_column=node.place.column)
        elif isinstance(node.value, dict) and len(node.value) == 1:
            ((name, inner),) = node.value.items()
            at, given = inner.place, inner.value if inner.value is not None else {}
            if not isinstance(given, dict):
                found = f"{describe(given, inner.place.text)}, not parameters of '{name}'"
                self._once(mistake(inner.place, found, f"write for example '{{{name}: {{current: 0.1 mA/cm2}}}}'"))
                return None
        elif isinstance(node.value, dict) and node.value:
            names = " and ".join(f"'{key}'" for key in node.value)
            self._once(mistake(node.place, f"one use of {names}", "begin each with '- use: '"))
            return None
        else:
            found = f"{describe(node.value, node.place.text)}, not a define"
            self._once(mistake(node.place, found, _EXAMPLE, key=node.value is None))
            return None
        if name not in self.defines:
            right = suggest(name, list(self.defines)) if self.defines else "add it under 'define', or include its file"
            self._once(mistake(at, f"there is no define '{name}'", right, key=True))
            return None
        self.used.add(f"define {name}")
        return self.defines[name], at, given

    def _arguments(
        self, define: Define, at: Place, given: dict[str, Node], scope: _Scope, depth: int
    ) -> dict[str, Node]:
        known = list(define.parameters)
        arguments = dict(define.parameters)
        for name, node in given.items():
            if name not in define.parameters:
                right = suggest(name, known) if known else "it has none"
                self._once(mistake(node.place, f"'{define.name}' has no parameter '{name}'", right, key=True))
            elif node.value is None:
                self._once(mistake(node.place, f"nothing stands here for '{name}'", "write its value, or leave it out"))
            else:
                arguments[name] = self._copy(node, replace(scope, literal=False), depth)
        for name in [name for name, node in arguments.items() if node.value is None]:
            if name not in given:
                right = f"write for example '{{{define.name}: {{{name}: ...}}}}'"
                self._once(mistake(_noted(at, scope.via), f"'{define.name}' needs '{name}'", right, key=True))
            # Something that stands there is what the mistake is about, and nothing that follows from it.
            self.silenced.add(_at(arguments[name].place))
        return arguments

    def _once(self, one: Mistake) -> None:
        """Tell a mistake that every use of its place makes again; of very many uses it is enough to know some."""
        notes = self.told.setdefault((one.file, one.line, one.column, one.found), set())
        if one.notes not in notes and len(notes) < _MOST_TOLD:
            notes.add(one.notes)
            self.mistakes.append(one)

    # What is odd

    def _remarks(self, root: Node) -> list[Mistake]:
        found = []
        unused = [one for one in self.defines.values() if f"define {one.name}" not in self.used]
        mentioned = {reference(node) for one in unused for step in one.steps for node in step.walk()}
        declared = root.value.get("parameters")
        for name in declared.value if declared is not None and isinstance(declared.value, dict) else ():
            if name not in self.used and name not in mentioned:
                right = f"write '${name}' where it belongs, or leave it out"
                place = declared.value[name].place
                found.append(mistake(place, f"the parameter '{name}' is used nowhere", right, key=True))
        for define in self.defines.values():
            if define.at.place.file != self.document.file:
                continue
            inside = {reference(node) for step in define.steps for node in step.walk()}
            for name, node in define.parameters.items():
                if name not in inside:
                    right = f"write '${name}' in its steps, or leave it out"
                    words = f"the parameter '{name}' of '{define.name}' is used nowhere"
                    found.append(mistake(node.place, words, right, key=True))
            if define in unused:
                right = f"write '- use: {define.name}' where it belongs, or leave it out"
                words = f"the define '{define.name}' is used nowhere"
                found.append(mistake(define.at.place, words, right, key=True))
        return sorted(found, key=lambda one: (one.line, one.column))


def _where(place: Place) -> str:
    return f"{place.file}:{place.line}:{place.column}"


def _at(place: Place) -> tuple[str, int, int]:
    return (place.file or "", place.line, place.column)


def _via(where: str, scope: _Scope) -> str:
    """Say who uses something: the nearest two and the outermost."""
    if not scope.via:
        return where
    chain = [where, *scope.via.split(_FROM)]
    return _FROM.join(chain if len(chain) <= _LONGEST_CHAIN else [*chain[:2], "others", chain[-1]])


def _noted(place: Place, via: str) -> Place:
    """Say at a place who uses it."""
    if not via:
        return place
    return place._replace(note=f"{place.note}, used at {via}" if place.note else f"used at {via}")


def _placeholder(place: Place) -> Node:
    """A step that is never done: where a use cannot be followed, so that nothing else is said of its place."""
    duration = Node("1 h", place)
    return Node({"rest": Node({"duration": duration}, place)}, place)
