"""``labctl protocol format`` and ``labctl protocol upgrade``: files that people wrote, written anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labctl.cli.output import say
from labctl.documents import Document, load
from labctl.documents.formatting import formatted
from labctl.errors import InvalidFile, Mistake, UsageError


def format_files(paths: Sequence[Path], *, check: bool) -> int:
    """Bring files into the normal form, or say which are not in it; return the exit code.

    Raises
    ------
    InvalidFile
        With every mistake of all files; the others are formatted.
    """
    mistakes: list[Mistake] = []
    other = 0
    for path in paths:
        try:
            document = load(path)
            text = formatted(document)
        except InvalidFile as error:
            mistakes += error.mistakes
            continue
        if text == document.text:
            continue
        other += 1
        if check:
            say(f"{path} is not in the normal form; 'labctl protocol format {path}' brings it there")
        else:
            _write(path, document, text)
            say(f"formatted {path}")
    if mistakes:
        raise InvalidFile(mistakes)
    if not other:
        say("nothing to do: " + ("the file is" if len(paths) == 1 else "all files are") + " in the normal form")
    return 1 if check and other else 0


def upgrade_file(path: Path) -> None:
    """Bring a protocol to this version of the language.

    Raises
    ------
    InvalidFile
        It is of a newer version, or cannot be read.
    UsageError
        It is a station or cells file.
    """
    from labctl.protocol.upgrades import VERSION, upgraded

    document = load(path)
    for kind in ("station", "cells"):
        if kind in document.data:
            raise UsageError(f"{path} is a {kind} file", hint="give a protocol, or a file that one includes")
    text, done = upgraded(document)
    if not done:
        say(f"{path} is of version {VERSION}, today's; nothing was changed")
        return
    _write(path, document, text)
    for what in done:
        say(f"{path}: {what}")


def _write(path: Path, document: Document, text: str) -> None:
    """Write to a temporary name and rename: never half a file, and none that somebody has changed meanwhile."""
    if path.read_bytes().decode("utf-8-sig") != document.text:
        raise UsageError(f"{path} has changed while it was being read", hint="try again")
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    temporary.chmod(path.stat().st_mode)
    temporary.replace(path)
