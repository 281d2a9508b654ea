"""From older versions of the protocol language to this one, in the text: comments, order and line breaks stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from labctl.documents import Document, describe, read
from labctl.documents.layout import layout
from labctl.errors import InvalidFile

#: The version of the language that this labctl speaks.
VERSION: Final = 1


def upgraded(document: Document) -> tuple[str, list[str]]:
    """Give the text of a protocol, or of a piece of one, in today's version, and what was changed in it.

    Raises
    ------
    InvalidFile
        It is of a newer version, or of none that there is.
    """
    if document.mistakes:
        raise InvalidFile(list(document.mistakes))
    done: list[str] = []
    version = _version(document)
    while version < VERSION:
        change, words = UPGRADES[version]
        document = read(change(document), document.file)
        done.append(words)
        version += 1
    return document.text, done


def _version(document: Document) -> int:
    if "labctl" not in document.data:
        return 0
    version = document.data["labctl"]
    if type(version) is not int or version < 1:
        found = f"{describe(version, document.written(('labctl',)))} is no version of the language"
        raise InvalidFile([document.mistake(("labctl",), found, f"write 'labctl: {VERSION}'")])
    if version > VERSION:
        found = f"this file is of version {version} of the language, and this labctl speaks version {VERSION}"
        raise InvalidFile([document.mistake(("labctl",), found, "install a newer labctl; nothing was changed")])
    return version


def _say_version(document: Document) -> str:
    """Write the version above the first key: the first files could do without."""
    start = layout(document.text).entries[0].start
    if document.text[start - 1 : start] == "{":
        return f"{document.text[:start]}labctl: 1, {document.text[start:]}"
    return f"{document.text[:start]}labctl: 1\n{document.text[start:]}"


#: What leads from a version to the next, and how that is told. Files without a version are version 0.
UPGRADES: Final[Mapping[int, tuple[Callable[[Document], str], str]]] = {
    0: (_say_version, "the version is said: 'labctl: 1'"),
}
