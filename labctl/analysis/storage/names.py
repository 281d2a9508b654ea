"""File names that every operating system takes, from names that people gave."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final

_ODD: Final = re.compile(r"[^\w.+-]+", re.ASCII)
#: Windows keeps these for devices, whatever follows behind a dot.
_DEVICES: Final = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
#: Leaves room for folders and the names of tables within Windows' 260 characters.
_LONGEST: Final = 80


def file_names(names: Iterable[str]) -> dict[str, str]:
    """Give a file name, without ending, for each name.

    Letters without accents, digits and ``._+-`` stay. A name that had to be changed in a way that could make it
    another's, or that differs from another one in upper and lower case only, gets eight digits of its hash behind it.
    """
    given = list(dict.fromkeys(names))
    plain = {name: _plain(name) for name in given}
    folded = [each.casefold() for each in plain.values()]
    return {
        name: file if folded.count(file.casefold()) == 1 else f"{file}-{_digits(name)}" for name, file in plain.items()
    }


def _plain(name: str) -> str:
    file = _ODD.sub("_", name)[:_LONGEST].rstrip(". ").lstrip(".")
    if not file or file.split(".")[0].casefold() in _DEVICES:
        return f"_{file}"
    return file


def _digits(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8")).hexdigest()[:8]
