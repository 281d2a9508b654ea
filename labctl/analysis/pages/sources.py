"""From a page to the files that its numbers rest on, and from a cell's name to the name of its page."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import quote

from labctl.analysis.page import Content, Html, link
from labctl.analysis.pages.numbers import Missing
from labctl.analysis.raw import RawFiles

_DOCUMENT: Final = "operation.json"
#: Files that a row names before it says how many more there are.
_NAMED: Final = 6
_LONGEST: Final = 60
#: Names that Windows keeps for devices, whatever their ending.
_DEVICES: Final = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
_NO_FILES: Final = Missing("the analysis does not know where its raw files are")


def safe_name(text: str) -> str:
    """Give a name that is one file's name on every system, and nothing else."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:_LONGEST].lstrip(".").rstrip(". ")
    return f"_{plain}" if not plain or _DEVICES.fullmatch(plain) else plain


def page_names(cells: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Give each cell, told by campaign and name, a file name of its own, also where capitals are not told apart."""
    taken: set[str] = set()
    found = {}
    for campaign, cell in cells:
        stem = safe_name(cell)
        if stem.lower() in taken:
            stem = safe_name(f"{campaign}-{cell}")
        fresh, count = stem, 2
        while fresh.lower() in taken:
            fresh, count = f"{stem}-{count}", count + 1
        taken.add(fresh.lower())
        found[campaign, cell] = fresh
    return found


def relative(target: Path, folder: Path) -> str:
    """Give the link from a page's folder to a file or folder; a whole address where they share no drive."""
    try:
        return quote(PurePosixPath(Path(os.path.relpath(target, folder))).as_posix())
    except ValueError:
        return target.as_uri()


@dataclass
class Sources:
    """The raw files of one cell, as seen from the folder that its page is in."""

    folder: Path
    raw: Sequence[RawFiles]
    _by_token: dict[str, list[RawFiles]] = field(init=False, repr=False)
    _ways: dict[Path, str] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._by_token = defaultdict(list)
        for one in self.raw:
            self._by_token[one.token].append(one)

    def of_token(self, token: str | None, kind: str = "") -> Content:
        """Link what a token stands for."""
        if not token:
            return Missing("the result names no bundle")
        return self._linked([one for one in self._by_token.get(token, ()) if not kind or one.kind == kind])

    def of_cycle(self, cell: str, cycle: int, kinds: Collection[str]) -> Content:
        """Link all operations of some kinds in a cycle."""
        return self._linked([one for one in self.raw if one.cycle == cycle and one.kind in kinds and one.cell == cell])

    def _linked(self, found: Sequence[RawFiles]) -> Content:
        if not self.raw:
            return _NO_FILES
        if not found:
            return Missing("its bundle is not among the files that were analysed")
        return Html(", ".join(link(self._to(one.folder), _name(one), "raw") for one in found))

    def _to(self, folder: Path, name: str = "") -> str:
        """Give the link to a folder, or to a file in it; ways between folders are long to find, and found once."""
        if folder not in self._ways:
            self._ways[folder] = relative(folder, self.folder)
        return f"{self._ways[folder]}/{quote(name)}" if name else self._ways[folder]

    def rows(self) -> list[list[Content]]:
        """List every operation with its files."""
        return [
            [
                str(one.cycle),
                link(self._to(one.folder), _name(one), "raw"),
                f"{one.kind} ({one.label})" if one.label else one.kind,
                moment(one.started) if one.started else Missing("not recorded"),
                self._files(one),
            ]
            for one in self.raw
        ]

    def _files(self, one: RawFiles) -> Html:
        here = os.fspath(one.folder)
        parts = [link(self._to(one.folder, _DOCUMENT), _DOCUMENT)] if _is_file(here, _DOCUMENT) else []
        names = sorted(one.names, key=_interest)
        tops = {name.partition("/")[0] for name in names}
        for name in names[:_NAMED]:
            text = name.partition("/")[2] if len(tops) == 1 else ""
            parts.append(
                link(self._to(one.folder, name), text or name)
                if _is_file(here, name)
                else Html(f"{escape(text or name)} (missing)")
            )
        if len(names) > _NAMED:
            parts.append(Html(f"and {len(names) - _NAMED} more in the folder"))
        return Html(", ".join(parts))


def moment(stamp: str) -> str:
    """Write a time of the documents to the minute."""
    return stamp[:16].replace("T", " ")


def _is_file(folder: str, name: str) -> bool:
    return os.path.isfile(os.path.join(folder, name))  # noqa: PTH113, PTH118 - thousands: paths take ten times as long


def _interest(name: str) -> tuple[int, int, str]:
    """Put first what was evaluated."""
    order = ("fid", "ser", "records.parquet", "impedance.csv", "acqus")
    last = name.rpartition("/")[2]
    return (order.index(last) if last in order else len(order), len(name), name)


def _name(one: RawFiles) -> str:
    step = one.step.rsplit("/", 1)[-1] or one.kind
    return f"{step} (attempt {one.attempt})" if one.attempt > 1 else step
