"""Files that a protocol includes: which they are, where they are, and what may stand in them."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Final

from labctl.documents import Document, in_order, load, nearest, read, suggest
from labctl.documents.tree import Node, mistake, tree
from labctl.errors import InvalidFile, Mistake

#: What may stand in a file that is included.
KEYS: Final = ("labctl", "include", "parameters", "define", "experiments", "spectra")
_MOST: Final = 50
_DEEPEST: Final = 10
_VERSION: Final = 1


@dataclass(slots=True)
class Pieces:
    """What belongs to a protocol.

    Attributes
    ----------
    roots : list of Node
        The protocol's own, then those of the files that it includes.
    texts : dict of str to str
        Text of each included file, by its path from the protocol's folder.
    mistakes : list of Mistake
        In the files that are included, or in how they are.
    """

    roots: list[Node]
    texts: dict[str, str] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)


def gather(document: Document, root: Node, texts: Mapping[str, str] | None) -> Pieces:
    """Find all that a protocol includes, from the disk or from known texts.

    Raises
    ------
    InvalidFile
        A file that is not there, cannot be read or includes itself: what it defines is then missing everywhere.
    """
    folder = FilePath(document.file).parent
    pieces = Pieces([root])
    bad: list[Mistake] = []

    def opened(key: str, at: Node) -> Document | None:
        path = folder / key
        if texts is not None and key in texts:
            return read(texts[key], str(path))
        if texts is not None or not path.is_file():
            bad.append(_missing(at, path))
            return None
        return load(path)

    def follow(node: Node, key: str, above: tuple[str, ...]) -> None:
        for item in _items(node, bad):
            inner = posixpath.normpath(posixpath.join(posixpath.dirname(key), item.value))
            if inner in above:
                bad.append(_circular(item, above, inner))
            elif inner in pieces.texts:
                continue
            elif len(pieces.texts) >= _MOST or len(above) > _DEEPEST:
                bad.append(mistake(item.place, "more files than that are included in each other", "include fewer"))
            else:
                _take(item, inner, above)

    def _take(item: Node, inner: str, above: tuple[str, ...]) -> None:
        try:
            piece = opened(inner, item)
        except InvalidFile as error:
            bad.extend(error.mistakes)
            return
        if piece is None:
            return
        pieces.texts[inner] = piece.text
        pieces.mistakes += piece.mistakes
        inside = tree(piece)
        pieces.mistakes += _keys(inside)
        pieces.roots.append(inside)
        follow(inside, inner, (*above, inner))

    own = FilePath(document.file).name
    follow(root, own, (own,))
    if bad:
        raise InvalidFile(in_order([*document.mistakes, *pieces.mistakes, *bad]))
    return pieces


def _items(root: Node, bad: list[Mistake]) -> list[Node]:
    """Give the paths under ``include`` that can be ones."""
    section = root.value.get("include")
    if section is None:
        return []
    right = "write paths from this file's folder, such as 'include: [pieces/formation.yaml]'"
    if not isinstance(section.value, list):
        bad.append(mistake(section.place, "'include' is no list of files", right))
        return []
    good = []
    for item in section.value:
        if not isinstance(item.value, str) or not item.value.strip():
            bad.append(mistake(item.place, "this is no path of a file", right))
        elif item.value.startswith("/") or "\\" in item.value or ":" in item.value:
            bad.append(mistake(item.place, f"'{item.value}' is no path from this file's folder", right))
        else:
            good.append(item)
    return good


def _missing(item: Node, path: FilePath) -> Mistake:
    found = f"there is no file '{item.value}'"
    try:
        there = [one.name for one in path.parent.iterdir() if one.suffix == ".yaml"]
    except OSError:
        there = []
    near = nearest(path.name, there)
    right = f"did you mean '{posixpath.join(posixpath.dirname(item.value), near)}'?" if near else None
    return mistake(item.place, found, right or "write its path from the folder of this file")


def _circular(item: Node, above: tuple[str, ...], inner: str) -> Mistake:
    between = above[above.index(inner) + 1 :]
    way = f", by way of {' and '.join(repr(one) for one in between)}" if between else ""
    return mistake(item.place, f"'{inner}' includes itself{way}", "leave one of them out")


def _keys(root: Node) -> list[Mistake]:
    """Find what cannot stand in an included file."""
    for kind, name in (("protocol", "a protocol"), ("station", "a station file"), ("cells", "a cells file")):
        if kind in root.value:
            right = f"include files that hold nothing but {_listed(KEYS)}"
            return [mistake(root.value[kind].place, f"this is {name}, and it is included", right, key=True)]
    found = []
    for key, node in root.value.items():
        if key not in KEYS:
            right = "write it in the protocol" if key in _PROTOCOLS_OWN else suggest(key, KEYS)
            found.append(mistake(node.place, f"'{key}' cannot stand in a file that is included", right, key=True))
    version = root.value.get("labctl")
    if version is None:
        found.append(mistake(root.place, "'labctl' is missing", f"add for example 'labctl: {_VERSION}'"))
    elif type(version.value) is not int or version.value != _VERSION:
        found.append(mistake(version.place, "another version of the language", f"write 'labctl: {_VERSION}'"))
    return found


_PROTOCOLS_OWN: Final = ("cites", "cutoffs", "limits", "measure", "channels", "steps")


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words[:-1]) + f" and '{words[-1]}'"
