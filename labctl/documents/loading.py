"""YAML 1.2 text to plain data that remembers where everything stood. Not for writing YAML.

Only what configuration needs is accepted: one document of mappings, lists and plain values. Keys are always text
(``1:`` is the key ``"1"``), keys may not repeat, tags are refused, and a date stays the text that it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Final, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from labctl.errors import InvalidFile, Mistake

#: Where something stands in the data: keys and list indices from the root.
Path = tuple[str | int, ...]

_LARGEST: Final = 2_000_000  # characters; nobody writes more by hand
MOST_VALUES: Final = 100_000  # aliases of aliases could otherwise grow without end
DEEPEST: Final = 40

_INTEGER = re.compile(r"[-+]?[0-9]{1,300}\Z|0o[0-7]{1,300}\Z|0x[0-9a-fA-F]{1,300}\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_WORDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_LEADING_TAB = re.compile(r"^[ ]*(\t)", re.MULTILINE)

# part of what the YAML scanner says: (what was found, what would be right)
_SYNTAX: Final = (
    ("mapping values are not allowed", "a ':' where none can stand", "indent keys alike; quote text that has ': '"),
    ("expected ',' or ']'", "a list that is not closed with ']'", "write '[a, b]'"),
    ("expected ',' or '}'", "a mapping that is not closed with '}'", "write '{key: value, other: value}'"),
    ("unexpected end of stream", "a quote that is never closed", "close it with the same quote"),
    ("could not find expected ':'", "a key without ':'", "write 'key: value'"),
    ("<block end>", "an indentation that fits nothing above it", "indent the keys of one mapping alike, with spaces"),
    ("cannot start any token", "a character that cannot begin a value", "put the text in quotes"),
    ("unknown escape", "an unknown escape in double quotes", "use single quotes, as in 'c:\\folder'"),
    ("expected <document start>", "text after the end of the document", "write one document per file"),
    ("incompatible YAML document", "another version of YAML", "write YAML 1.2 and no '%YAML' line"),
)


class Place(NamedTuple):
    """Line and column of a value and of its key, counted from 1, and the value's own text.

    What was put together from several places says more: ``file`` where it is not the document's own, ``note`` for
    messages, and ``origin`` where the value, but not its key, comes from elsewhere. ``plain`` is text without quotes.
    """

    line: int
    column: int
    key_line: int
    key_column: int
    text: str | None
    plain: bool = False
    file: str | None = None
    note: str = ""
    origin: Place | None = None


@dataclass(frozen=True)
class Document:
    """A YAML file as plain data, with the place of everything in it.

    Attributes
    ----------
    file : str
        Path as the user gave it, for messages.
    text : str
        The whole file.
    data : dict
        Mappings with text keys, lists, str, int, float, bool, None.
    places : mapping of Path to Place
        For every key and list item.
    mistakes : tuple of Mistake
        Repeated keys, tags and the like, which :func:`labctl.documents.validate` reports together with its own.
    remarks : tuple of Mistake
        What is odd and no mistake.
    pieces : mapping of str to str
        Text of the files that this one includes, by their path from its folder.
    values : mapping of str to str
        What was said for its parameters beside the file.
    silenced : frozenset of (file, line, column)
        Where a mistake is known already, so that none that follows from it is reported.
    """

    file: str
    text: str
    data: dict[str, Any]
    places: Mapping[Path, Place] = field(repr=False)
    mistakes: tuple[Mistake, ...] = ()
    remarks: tuple[Mistake, ...] = ()
    pieces: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    silenced: frozenset[tuple[str, int, int]] = frozenset()

    @property
    def sha256(self) -> str:
        """Hash of the text (UTF-8) and of all that belongs to it, by which a frozen copy is recognised."""
        whole = self.text
        if self.pieces or self.values:
            whole = json.dumps([self.text, dict(self.pieces), dict(self.values)], sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()

    def place(self, path: Path) -> Place:
        """Where ``path`` stands, or the nearest thing around it that exists."""
        while path not in self.places:
            path = path[:-1]
        return self.places[path]

    def written(self, path: Path) -> str | None:
        """Give a plain value as it was written, ``None`` for mappings, lists and what is not there."""
        return self.places[path].text if path in self.places else None

    def mistake(self, path: Path, found: str, right: str, *, key: bool = False) -> Mistake:
        """Make a mistake at the value of ``path``, or at its key."""
        place = self.place(path)
        if place.origin is not None and not key:
            place = place.origin
        line, column = (place.key_line, place.key_column) if key else (place.line, place.column)
        return Mistake(place.file or self.file, line, column, found, right, (place.note,) if place.note else ())


@dataclass(slots=True)
class _Node:
    line: int
    column: int
    value: Any  # text, or list of nodes, or dict of text to (key node, node)
    plain: bool = False


def load(path: str | FilePath) -> Document:
    """Read a YAML file.

    Raises
    ------
    InvalidFile
        The file is missing, not text, too large, or not YAML; one mistake at its place.
    """
    file = str(path)
    try:
        data = FilePath(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise _invalid(file, 1, 1, "there is no such file", "give the path of a YAML file that exists") from None
    except IsADirectoryError:
        raise _invalid(file, 1, 1, "this is a folder", "give the path of a YAML file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _invalid(file, 1, 1, f"the file cannot be read ({reason})", "make it readable") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", errors="replace")
        line, column = _position(before, len(before))
        found = f"byte 0x{data[error.start]:02X} is not UTF-8 text"
        raise _invalid(file, line, column, found, "give a YAML text file, saved as UTF-8") from None
    return read(text, file)


def read(text: str, file: str) -> Document:
    """Read YAML text; ``file`` is the name that messages show.

    Raises
    ------
    InvalidFile
        The text is not YAML 1.2, is empty, or is no mapping; one mistake at its place.
    """
    if len(text) > _LARGEST:
        raise _invalid(file, 1, 1, f"the file has {len(text)} characters", "give a file that a person wrote")
    strange = _NOT_TEXT.search(text)
    if strange:
        found = f"the character U+{ord(strange[0]):04X} does not belong into text"
        raise _invalid(file, *_position(text, strange.start()), found, "give a YAML text file, saved as UTF-8")
    tab = _LEADING_TAB.search(text)
    if tab:
        raise _invalid(file, *_position(text, tab.start(1)), "a tab in the indentation", "indent with spaces")
    mistakes: list[Mistake] = []
    root = _compose(text, file, mistakes)
    if root is None or root.value == "":
        raise _invalid(file, 1, 1, "the file is empty", "begin with 'labctl: 1'")
    if not isinstance(root.value, dict):
        what = "a list" if isinstance(root.value, list) else "plain text"
        right = "write 'key: value' lines, 'labctl: 1' first"
        raise _invalid(file, root.line, root.column, f"the file is {what}", right)
    places: dict[Path, Place] = {(): Place(root.line, root.column, root.line, root.column, None)}
    return Document(file, text, _plain(root, (), places, file), places, tuple(mistakes))


def known(text: str, file: str, data: Mapping[str, Any], find: Callable[[], Document] | None = None) -> Document:
    """Give a document whose plain data are known, such as those frozen in the journal with the text.

    The text is not read unless somebody asks where something stands: reading YAML takes a second for 500 cells.
    ``find`` does that, where more is to be done than to read it.
    """
    return Document(file, text, dict(data), _LatePlaces(find or (lambda: read(text, file))))


class _LatePlaces(Mapping[Path, Place]):
    """The places of everything in a text, found when somebody asks for the first."""

    def __init__(self, find: Callable[[], Document]) -> None:
        self._find = find
        self._found: Mapping[Path, Place] | None = None

    def _places(self) -> Mapping[Path, Place]:
        if self._found is None:
            self._found = self._find().places
        return self._found

    def __getitem__(self, path: Path) -> Place:
        return self._places()[path]

    def __iter__(self) -> Iterator[Path]:
        return iter(self._places())

    def __len__(self) -> int:
        return len(self._places())


def _invalid(file: str, line: int, column: int, found: str, right: str) -> InvalidFile:
    return InvalidFile([Mistake(file, line, column, found, right)])


def _position(text: str, offset: int) -> tuple[int, int]:
    line = text.count("\n", 0, offset) + 1
    return line, offset - text.rfind("\n", 0, offset)


def _events(text: str, file: str) -> Iterator[Any]:
    line, column = 1, 1
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            line, column = event.start_mark.line + 1, event.start_mark.column + 1
            yield event
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark is not None:
            line, column = mark.line + 1, mark.column + 1
        said = error.problem or error.context or "unreadable"
        for part, found, right in _SYNTAX:
            if part in said:
                raise _invalid(file, line, column, found, right) from None
        raise _invalid(file, line, column, said, "look for a missing quote, bracket or space here") from None
    except (YAMLError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError, AssertionError) as error:
        # The scanner lets some of its inner errors out, such as an OverflowError for the escape \UFFFFFFFF.
        found = f"this is not readable as YAML ({type(error).__name__})"
        raise _invalid(file, line, column, found, "look for an odd escape or directive near here") from None


def _compose(text: str, file: str, mistakes: list[Mistake]) -> _Node | None:
    root: _Node | None = None
    anchors: dict[str, _Node] = {}
    open_nodes: list[tuple[_Node, str | None]] = []
    keys: list[_Node | None] = []
    documents = 0
    for event in _events(text, file):
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _invalid(file, line, column, "a second document begins here", "write one document per file")
            if event.version not in (None, (1, 2)):
                raise _invalid(file, line, column, "another version of YAML", "write YAML 1.2 and no '%YAML' line")
            continue
        if isinstance(event, (MappingEndEvent, SequenceEndEvent)):
            node, anchor = open_nodes.pop()
            keys.pop()
            if anchor:
                anchors[anchor] = node
            continue
        opened = isinstance(event, (MappingStartEvent, SequenceStartEvent))
        if isinstance(event, AliasEvent):
            if event.anchor not in anchors:
                found = f"'*{event.anchor}' refers to nothing above it"
                raise _invalid(file, line, column, found, f"define it before with '&{event.anchor}'")
            node = anchors[event.anchor]
        elif isinstance(event, ScalarEvent):
            strange = _NOT_TEXT.search(event.value)
            if strange:  # by an escape in double quotes
                found = f"an escape for the character U+{ord(strange[0]):04X}, which does not belong into text"
                raise _invalid(file, line, column, found, "write the text without it")
            node = _Node(line, column, event.value, plain=not event.style)
            if event.anchor:
                anchors[event.anchor] = node
        elif opened:
            node = _Node(line, column, {} if isinstance(event, MappingStartEvent) else [])
        else:
            continue
        if not isinstance(event, AliasEvent) and event.ctag is not None:
            found = f"a YAML tag '{event.tag}'"
            mistakes.append(Mistake(file, line, column, found, "write the plain value without a tag"))
        if not open_nodes:
            root = node
        else:
            _put(open_nodes[-1][0], node, keys, opened, (line, column), file, mistakes)
        if opened:
            if len(open_nodes) >= DEEPEST:
                raise _invalid(file, line, column, f"more than {DEEPEST} levels deep", "write it flatter")
            open_nodes.append((node, event.anchor))
            keys.append(None)
    return root


def _put(
    parent: _Node,
    node: _Node,
    keys: list[_Node | None],
    opened: bool,
    at: tuple[int, int],
    file: str,
    mistakes: list[Mistake],
) -> None:
    """Add ``node`` to the innermost open list or mapping."""
    if isinstance(parent.value, list):
        parent.value.append(node)
        return
    key = keys[-1]
    if key is None:
        if opened or not isinstance(node.value, str):
            raise _invalid(file, *at, "a key that is no plain text", "write 'key: value'")
        keys[-1] = _Node(*at, node.value)
        return
    keys[-1] = None
    if key.value in parent.value:
        first = parent.value[key.value][0]
        found = f"the key '{key.value}' stands here a second time"
        right = f"keep one of them; the first is in line {first.line}"
        mistakes.append(Mistake(file, key.line, key.column, found, right))
    else:
        parent.value[key.value] = (key, node)


def _plain(node: _Node, path: Path, places: dict[Path, Place], file: str) -> Any:
    if len(places) > MOST_VALUES:
        raise _invalid(file, node.line, node.column, f"more than {MOST_VALUES} values", "write fewer aliases")
    if len(path) > DEEPEST:
        raise _invalid(file, node.line, node.column, f"more than {DEEPEST} levels deep", "write it flatter")
    if isinstance(node.value, dict):
        mapping: dict[str, Any] = {}
        for name, (key, child) in node.value.items():
            inner = (*path, name)
            places[inner] = Place(child.line, child.column, key.line, key.column, _text(child), child.plain)
            mapping[name] = _plain(child, inner, places, file)
        return mapping
    if isinstance(node.value, list):
        items = []
        for index, child in enumerate(node.value):
            inner = (*path, index)
            places[inner] = Place(child.line, child.column, child.line, child.column, _text(child), child.plain)
            items.append(_plain(child, inner, places, file))
        return items
    return scalar(node.value) if node.plain else node.value


def _text(node: _Node) -> str | None:
    return node.value if isinstance(node.value, str) else None


def scalar(text: str) -> Any:
    """Resolve a plain value by the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.match(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.match(text):
        return float(text)
    return text
