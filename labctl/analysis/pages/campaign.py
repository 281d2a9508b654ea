"""The page of the campaigns: groups, their comparison, loss rates, the conversion factor, and the way to every cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from labctl.analysis.findings import Conversion, GroupRates, ShareComparison
from labctl.analysis.flags import NAMES, name_of
from labctl.analysis.inventory import SHARES
from labctl.analysis.model import Analysis, CellResult, GroupResult
from labctl.analysis.page import (
    Column,
    Content,
    Html,
    Notes,
    bullets,
    facts,
    flags,
    heading,
    link,
    page,
    paragraph,
    table,
)  # fmt: skip
from labctl.analysis.pages.cell import settings
from labctl.analysis.pages.numbers import Missing, number, part, spread
from labctl.analysis.pages.pictures import Pictures, figures_of
from labctl.analysis.pages.sources import moment
from labctl.analysis.truth import truth_of


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
        yield _groups(analysis, truth, notes)
        yield _common(analysis, notes)
    else:
        yield paragraph("No shares yet: no cell has been measured by NMR after charge, discharge and hold.")
    for group in dict.fromkeys(cell.group for cell in analysis.cells):
        yield heading(f"Group {group or '(none)'}", 3)
        yield drawn.at(f"group {group}")
    yield heading("Comparison of groups")
    yield drawn.at("comparisons")
    yield from _comparisons(analysis, notes)
    yield heading("Loss rates")
    yield drawn.at("rates")
    yield _rates(analysis, notes)
    yield heading("Conversion factor k")
    yield drawn.at("conversion")
    if not analysis.conversions:
        yield paragraph("Not pooled: that needs shares of at least two cells of one campaign.")
    for one in analysis.conversions:
        yield from _conversion(one, notes)
    yield heading("What holds for all results")
    yield bullets([*analysis.notes, *settings(analysis)])
    rows = [(name, "settings", shown) for name, shown in _flat(analysis.settings.to_json())]
    yield facts(rows, "All settings of the evaluation", notes)
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
            yield f"{above}{name}", "not set" if value is None else str(value)


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
    return [f"{', '.join(names)}: {said}" for said, names in found.items()]


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
        Column("cycles", "1", "cycles"), Column("dead lithium by cycle", "%", "dead"), Column("flags", "1", "flags"),
    ]  # fmt: skip
    return table(columns, rows, "All cells; each name leads to the cell's own page", notes)


def _state(cell: CellResult) -> str:
    if not cell.cycles:
        return "Nothing has run on this cell yet."
    found = []
    for one in cell.allocated:
        allocation = one.measured.allocation if one.measured else None
        if allocation is not None:
            value = number(allocation.dead_percent, allocation.dead_percent_sd)
            found.append(f"cycle {one.cycle}: {value}")
    if found:
        return "; ".join(found)
    measured = any(one.measured is not None for one in cell.cycles)
    return "Measured, but without shares: see the flags." if measured else "Not measured yet."


def _groups(analysis: Analysis, truth: Mapping[str, Any] | None, notes: Notes) -> Html:
    rows: list[list[Content]] = []
    for group in analysis.groups:
        row: list[Content] = [f"{group.group}, cycle {group.cycle}", str(len(group.cells))]
        for share in SHARES:
            found = group.shares[share]
            alone = found.sd is None
            row.append(
                Missing("a single cell has no spread", number(found.mean)) if alone else number(found.mean, found.sd)
            )
        rows.append(row)
        if truth is not None:
            rows.append(["truth", "", *_true(group, truth)])
    columns = [
        Column("group"), Column("n", "cells", "n"),
        *(Column(share, "%", share) for share in SHARES),
    ]  # fmt: skip
    return table(columns, rows, "Shares of the first charge: mean over the cells ± SD between them", notes)


def _true(group: GroupResult, truth: Mapping[str, Any]) -> list[Content]:
    each = [truth_of(truth, cell, group.cycle) for cell in group.cells]
    if not each or not all(each):
        return [Missing("the simulation's truth does not know all of these cells")] * len(SHARES)
    return [
        number(sum(one[share] for one in each) / len(each), group.shares[share].sd).split(" ± ")[0] for share in SHARES
    ]


def _common(analysis: Analysis, notes: Notes) -> Html:
    rows: list[list[Content]] = []
    for group in analysis.groups:
        rows.append([
            f"{group.group}, cycle {group.cycle}",
            *(part(group.shares[share].sd_common) for share in SHARES),
        ])  # fmt: skip
    columns = [Column("group"), *(Column(share, "%", "sd_common") for share in SHARES)]
    return table(columns, rows, "Beside the spread between cells: what the SOC factor leaves uncertain in all", notes)


def _comparisons(analysis: Analysis, notes: Notes) -> Iterator[str]:
    if not analysis.comparisons:
        yield paragraph(_why_not_compared(analysis))
        return
    rows: list[list[Content]] = []
    sure = analysis.comparisons[0].result.confidence
    for one in analysis.comparisons:
        result = one.result
        half = 0.5 * (result.high - result.low)
        places = number(half, half).split(" ± ")[1]
        rows.append([
            f"{one.share}, cycle {one.cycle}: {one.second} − {one.first}",
            number(result.difference, half).split(" ± ")[0],
            f"± {places}",
            number(result.p, digits=2),
            number(one.p_adjusted, digits=2),
            "yes" if one.p_adjusted < 1.0 - result.confidence else "not shown",
        ])  # fmt: skip
    columns = [
        Column("what"), Column("difference", "%", "difference"), Column(f"{sure:.0%} interval", "%", "difference"),
        Column("p", "1", "p"), Column("p, adjusted", "1", "p"), Column("differ?"),
    ]  # fmt: skip
    yield table(columns, rows, "Differences in percent of the first charge", notes)
    yield paragraph("In words, each comparison on its own, all in percent of the first charge:")
    yield bullets([_in_words(one) for one in analysis.comparisons])


def _in_words(one: ShareComparison) -> str:
    """Give the comparison's sentence, its numbers rounded as all others."""
    result = one.result
    sides = [f"{name} {number(side.mean, side.sd)} % (n = {side.n})"
             for name, side in ((one.second, result.second), (one.first, result.first))]  # fmt: skip
    low, high = (number(value, digits=3) for value in (result.low, result.high))
    _, _, judgement = result.sentence.partition("; ")
    return (
        f"{one.share}, cycle {one.cycle}: {' against '.join(sides)}, a difference of "
        f"{number(result.difference, digits=3)} %, {result.confidence:.0%} interval {low} to {high} % "
        f"(Welch t = {result.t:.2f}, df = {result.df:.2f}, p = {number(result.p, digits=2)}): {judgement}."
    )


def _why_not_compared(analysis: Analysis) -> str:
    names = {one.group for one in analysis.groups}
    if len(names) < 2:
        return f"Not compared: {len(names)} group{'' if len(names) == 1 else 's'} with shares; it takes two."
    by_cycle: dict[int, int] = {}
    for one in analysis.groups:
        if len(one.cells) > 1:
            by_cycle[one.cycle] = by_cycle.get(one.cycle, 0) + 1
    if not any(count > 1 for count in by_cycle.values()):
        return "Not compared: at no cycle do two groups have two measured cells each."
    return "Not compared in this analysis."


def _rates(analysis: Analysis, notes: Notes) -> Html:
    rows: list[list[Content]] = []
    remarks: list[str] = []
    for one in analysis.rates:
        rows += _rate_rows(one)
        remarks += [f"{one.group}, {share}: {text}" for share, found in one.rates.items() for text in found.flags]
    if not rows:
        return paragraph("No rate: that needs shares of a group at two different cycles.")
    columns = [
        Column("group, share"), Column("rate ± SD", "% per cycle", "rate"), Column("from"),
        Column("p of a bend", "1", "bend"),
    ]  # fmt: skip
    found = table(columns, rows, "Linear loss rates, in percent of the first charge per cycle", notes)
    return Html(found + flags(remarks))


def _rate_rows(one: GroupRates) -> Iterator[list[Content]]:
    for share, found in one.rates.items():
        bend = found.pooled.bend_p
        basis = f"the lines of {found.n} cells" if found.quoted == "cells" else f"one line, {found.pooled.n} points"
        yield [
            f"{one.group}, {share}",
            number(found.rate, found.rate_sd)
            if found.rate_sd is not None
            else Missing("two points: the rate has no standard deviation", number(found.rate)),
            basis,
            Missing("it takes four points at three cycles") if bend is None else number(bend, digits=2),
        ]


def _conversion(one: Conversion, notes: Notes) -> Iterator[str]:
    unit = "mAh per unit of integral"
    if one.pooled is None:
        yield paragraph(f"{one.campaign}: not pooled, which needs two cells with shares.")
    else:
        found = one.pooled
        rows: list[tuple[str, str, Content]] = [
            ("mean over the cells ± SD", "pooled", f"{number(found.mean, found.mean_sd)} {unit}"),
            (f"{100 * found.confidence:.0f} % interval of the mean", "pooled",
             f"{number(found.low)} to {number(found.high)} {unit}"),
            ("a further cell is expected between", "pooled",
             Missing("two cells do not tell") if found.next_low is None or found.next_high is None
             else f"{number(found.next_low)} to {number(found.next_high)} {unit}"),
            ("spread between cells, as SD (95 % upper limit)", "pooled",
             f"{part(100 * found.spread / found.mean)} % ({part(100 * found.spread_high / found.mean)} %) of k"),
            ("spread within a cell, as SD", "pooled",
             Missing("every cell was measured once") if found.within is None
             else f"{part(100 * found.within / found.mean)} % of k"),
            ("p of this heterogeneity if all were equal", "pooled", f"{number(found.q_p, digits=2)} (a probability)"),
        ]  # fmt: skip
        yield facts(rows, f"{one.campaign}: k over {found.cells} cells", notes)
        yield flags(found.flags)
    if one.chart is None:
        yield paragraph(f"{one.campaign}: no control chart, which needs three values that differ.")
        return
    chart = one.chart
    out: dict[str, list[str]] = {}
    for each in chart.out:
        out.setdefault(each.name, []).append(f"{'warning' if each.warning else 'out'}: {each.reason}")
    lines: list[list[Content]] = []
    known = {each.name: each for each in one.pooled.measurements} if one.pooled else {}
    alone = Missing("not among the pooled ones")
    for name, value in zip(one.names, one.values, strict=False):
        drawn = known.get(name)
        lines.append([
            name,
            number(value, drawn.own_sd if drawn else None),
            number(drawn.value, drawn.sd) if drawn else alone,
            f"{(value - chart.centre) / chart.sigma:+.1f}",
            "; ".join(out.get(name, [])) or "in control",
        ])  # fmt: skip
    columns = [
        Column("cell and cycle"), Column("k ± SD", "mAh per unit", "conversion"),
        Column("in the light of all", "mAh per unit", "pooled_value"), Column("from the centre", "σ", "chart"),
        Column("judgement"),
    ]  # fmt: skip
    low, high = chart.action_limits
    caption = (
        f"Control chart: centre {number(chart.centre)}, σ {spread(chart.sigma)}, action limits {number(low)} to "
        f"{number(high)} {unit}"
    )
    yield table(columns, lines, caption, notes)
    yield flags(chart.flags)
