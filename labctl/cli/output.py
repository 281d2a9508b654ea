"""Where words go: data to stdout, messages to stderr, plain where nobody watches."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def say(message: str) -> None:
    """Write a message for a person to stderr."""
    sys.stderr.write(f"{message}\n")


def put(text: str) -> None:
    """Write data to stdout."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def put_json(data: Mapping[str, Any], *, indent: int | None = 2) -> None:
    """Write a JSON document to stdout; a NaN in it is a mistake of ours."""
    put(json.dumps(data, indent=indent, ensure_ascii=False, allow_nan=False))


def console() -> Console:
    """Give the terminal, for tables; honours NO_COLOR and the width of the window."""
    from rich.console import Console

    width = int(os.environ["COLUMNS"]) if os.environ.get("COLUMNS", "").isdigit() else None
    if width is None and not sys.stdout.isatty():
        width = 120
    return Console(width=width, highlight=False)


def columns(heads: Sequence[str], text: str) -> str:
    """Write heads side by side and a text that is folded under itself where the window is narrow."""
    import shutil
    import textwrap

    head = "  ".join(f"{one:<9}" for one in heads) + "  "
    width = shutil.get_terminal_size((120, 24)).columns
    # What goes into a file or a pipe stays on its line, for those who search it.
    if not sys.stdout.isatty() and not os.environ.get("COLUMNS", "").isdigit():
        return f"{head}{text}"
    folded = textwrap.wrap(text, max(width - len(head), 20), break_long_words=False, break_on_hyphens=False)
    return head + ("\n" + " " * len(head)).join(folded or [""])


def ago(seconds: float | None) -> str:
    """Write an age as people say it: ``4 s``, ``12 min``, ``3.5 h``, ``2 d``."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 172800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.0f} d"


def login() -> str:
    """Name the person at the keyboard."""
    import getpass

    try:
        return getpass.getuser()
    except OSError:
        return "operator"
