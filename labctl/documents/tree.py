"""Documents as trees in which every value carries its place, for putting one together from several places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from labctl.documents.loading import DEEPEST, MOST_VALUES, Document, Path, Place
from labctl.errors import InvalidFile, Mistake


@dataclass(slots=True)
class Node:
    """A value: plain, or a list or mapping of nodes; and where it stands."""

    value: Any
    place: Place

    def walk(self) -> Iterator[Node]:
        """Give this value and all within it."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            if isinstance(node.value, dict):
                waiting += reversed(node.value.values())
            elif isinstance(node.value, list):
                waiting += reversed(node.value)


def tree(document: Document) -> Node:
    """Give a document as a tree; every place names the document's file."""
    return _node(document.data, (), document)


def _node(value: Any, path: Path, document: Document) -> Node:
    place = document.places[path]._replace(file=document.file)
    if isinstance(value, dict):
        return Node({key: _node(item, (*path, key), document) for key, item in value.items()}, place)
    if isinstance(value, list):
        return Node([_node(item, (*path, index), document) for index, item in enumerate(value)], place)
    return Node(value, place)


def plain(root: Node) -> tuple[dict[str, Any], dict[Path, Place]]:
    """Give the plain data of a tree, and the place of everything in it.

    Raises
    ------
    InvalidFile
        It has become too deep or too large.
    """
    places: dict[Path, Place] = {(): root.place}
    return _plain(root, (), places), places


def _plain(node: Node, path: Path, places: dict[Path, Place]) -> Any:
    if len(path) > DEEPEST:
        raise too_much(node.place, f"more than {DEEPEST} levels deep", "write it flatter")
    if len(places) > MOST_VALUES:
        raise too_much(node.place, f"more than {MOST_VALUES} values", "use fewer of what is defined")
    places[path] = node.place
    if isinstance(node.value, dict):
        return {key: _plain(child, (*path, key), places) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(child, (*path, index), places) for index, child in enumerate(node.value)]
    return node.value


def too_much(place: Place, found: str, right: str) -> InvalidFile:
    """Refuse what would grow without end."""
    return InvalidFile([mistake(place, found, right)])


def mistake(place: Place, found: str, right: str, *, key: bool = False) -> Mistake:
    """Make a mistake at a place of a tree, or at its key."""
    if place.origin is not None and not key:
        place = place.origin
    line, column = (place.key_line, place.key_column) if key else (place.line, place.column)
    return Mistake(place.file or "", line, column, found, right, (place.note,) if place.note else ())
