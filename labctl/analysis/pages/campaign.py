"""The page of the campaigns: groups, their comparison, loss rates, the conversion factor, and the way to every cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from labctl.analysis.flags import NAMES, name_of, within
from labctl.analysis.model import Analysis, CellResult
from labctl.analysis.page import (
    Column,
    Content,
    Html,
    Notes,
    bullets,
    flags,
    heading,
    link,
    page,
    paragraph,
    table,
)  # fmt: skip
from labctl.analysis.pages import groups
from labctl.analysis.pages.cell import settings
from labctl.analysis.pages.conversion import conversion
from labctl.analysis.pages.numbers import Missing, number
from labctl.analysis.pages.pictures import Pictures, figures_of
from labctl.analysis.pages.sources import moment


def campaign_page(
    analysis: Analysis, pages: Mapping[tuple[str, str], str], pictures: Path, truth: Mapping[str, Any] | None
) -> str:
    """Give the page of the campaigns.

    Parameters
    ----------
    analysis : Analysis
        What is reported.
    pages : mapping
        Stem of each cell's page in ``cells``, by campaign and cell.
    pictures : Path
        Where the figures will be.
    truth : mapping or None
        Of a simulated laboratory.
    """
    drawn = Pictures(pictures, figures_of(analysis, None, "", truth))
    return page("Where the capacity went", analysis.mode, list(_body(analysis, pages, drawn, truth)))


def _body(
    analysis: Analysis, pages: Mapping[tuple[str, str], str], drawn: Pictures, truth: Mapping[str, Any] | None
) -> Iterator[str]:
    notes = Notes()
    yield paragraph(_summary(analysis))
    yield heading("Flags")
    gathered = _gathered(analysis)
    yield flags(gathered) if gathered else Html('<p class="none">None: no check of any cell found fault.</p>')
    yield heading("Cells")
    yield _cells(analysis, pages, notes)
    yield heading("Groups")
    if analysis.groups:
        yield drawn.at("groups")
        yield groups.shares(analysis, truth, notes)
        yield groups.common(analysis, notes)
    else:
        yield paragraph("No shares yet: no cell has been measured by NMR after charge, discharge and hold.")
    for group in dict.fromkeys(cell.group for cell in analysis.cells):
        yield heading(f"Group {group or '(none)'}", 3)
        yield drawn.at(f"group {group}")
    cycling = drawn.at("cycling")
    if cycling:
        yield heading("All groups over the cycles", 3)
        yield cycling
    deposits = drawn.at("deposits")
    if deposits:
        yield heading("Deposits of the groups", 3)
        yield deposits
    yield heading("Comparison of groups")
    yield drawn.at("comparisons")
    yield from groups.comparisons(analysis, notes)
    yield heading("Loss rates")
    yield drawn.at("rates")
    yield groups.rates(analysis, notes)
    yield heading("Conversion factor k")
    if not analysis.conversions:
        yield paragraph("Not pooled: that needs shares of at least two cells of one campaign.")
    for one in analysis.conversions:
        yield drawn.at(f"conversion {one.campaign}")
        yield from conversion(one, notes)
    yield heading("What holds for all results")
    yield bullets([*analysis.notes, *settings(analysis)])
    chosen = [Column("setting"), Column("value", why="settings")]
    rows: list[list[Content]] = [[name, value] for name, value in _flat(analysis.settings.to_json())]
    yield table(chosen, rows, "All settings of the evaluation; units stand in their names", notes)
    yield heading("How each number was got")
    yield paragraph(
        "Numbers are rounded to two digits of their standard deviation (± 1 SD); without one, to four digits of their "
        "own."
    )
    yield notes.listed()


def _flat(data: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Give settings as name and text, those of parts with the part's name before theirs."""
    for name, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}: ")
        else:
            yield f"{above}{name}", "not set" if value is None else _told(value)


def _told(value: Any) -> str:
    """Write windows as from - to, several things one after the other."""
    if not isinstance(value, tuple):
        return str(value)
    if len(value) == 2 and all(isinstance(one, (int, float)) for one in value):
        return f"{value[0]:g} to {value[1]:g}"
    names = getattr(value, "_fields", ("",) * len(value))
    return ", ".join(f"{name} {_told(one)}".strip() for name, one in zip(names, value, strict=True))


def _summary(analysis: Analysis) -> str:
    measured = sum(bool(cell.allocated) for cell in analysis.cells)
    campaigns = ", ".join(analysis.campaigns)
    times = [time for cell in analysis.cells for one in cell.cycles for time in (one.started, one.ended) if time]
    span = f" from {moment(min(times))} to {moment(max(times))} (UTC)" if times else ""
    return f"Campaign {campaigns}: {len(analysis.cells)} cells, {measured} of them evaluated by NMR{span}."


def _gathered(analysis: Analysis) -> list[str]:
    """Give the flags of groups and cells, each text once with all to whom it applies.

    Where only the numbers differ, as a flag's name tells, it is said once for all; the cells' pages have the numbers.
    """
    whose: dict[str, dict[str, None]] = {}
    named: dict[str, set[str]] = {}
    for who, text in _all_flags(analysis):
        whose.setdefault(text, {})[who] = None
        if name_of(text):
            named.setdefault(name_of(text), set()).add(text)
    found: dict[str, dict[str, None]] = {}
    for text, names in whose.items():
        alike = named.get(name_of(text), set()) if name_of(text) in NAMES else set()
        said = f"{NAMES[name_of(text)]} (numbers on the cells' pages)" if len(alike) > 1 else text
        found.setdefault(said, {}).update(names)
    known = {f"{group.group}, cycle {group.cycle}: {text}" for group in analysis.groups for text in group.flags}
    known |= {within(cell.cell, text) for cell in analysis.cells for text in cell.flags}
    others = [text for text in dict.fromkeys(analysis.flags) if text not in known]
    return others + [f"{', '.join(names)}: {said}" for said, names in found.items()]


def _all_flags(analysis: Analysis) -> Iterator[tuple[str, str]]:
    for group in analysis.groups:
        for text in group.flags:
            yield f"{group.group} cycle {group.cycle}", text
    for cell in analysis.cells:
        for text in cell.flags:
            yield cell.cell, text


def _cells(analysis: Analysis, pages: Mapping[tuple[str, str], str], notes: Notes) -> Html:
    rows: list[list[Content]] = []
    for cell in analysis.cells:
        target = quote(f"cells/{pages[cell.campaign, cell.cell]}.html")
        first = cell.first_charge_mAh
        rows.append([
            link(target, cell.cell),
            cell.group or Missing("the cells file names no group"),
            Missing("no complete first charge was found") if first is None else number(first),
            str(len(cell.cycles)),
            _state(cell),
            str(len(cell.flags)),
        ])  # fmt: skip
    columns = [
        Column("cell"), Column("group"), Column("first charge", "mAh", "first_charge"),
        Column("cycles", "1", "cycles"), Column("dead lithium, last measured", "%", "dead"),
        Column("flags", "1", "flags"),
    ]  # fmt: skip
    return table(columns, rows, "All cells; each name leads to the cell's own page", notes)


def _state(cell: CellResult) -> str:
    if not cell.cycles:
        return "Nothing has run on this cell yet."
    for one in reversed(cell.allocated):
        allocation = one.measured.allocation if one.measured else None
        if allocation is not None:
            return f"cycle {one.cycle}: {number(allocation.dead_percent, allocation.dead_percent_sd)}"
    measured = any(one.measured is not None for one in cell.cycles)
    return "Measured, but without shares: see the flags." if measured else "Not measured yet."
