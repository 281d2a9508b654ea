"""What groups of cells show: their shares, how they compare, how fast they lose lithium."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from labctl.analysis.findings import GroupRates, ShareComparison
from labctl.analysis.inventory import SHARES
from labctl.analysis.model import Analysis, GroupResult
from labctl.analysis.page import Column, Content, Html, Notes, bullets, flags, paragraph, table
from labctl.analysis.pages.numbers import Missing, number, part
from labctl.analysis.truth import truth_of


def shares(analysis: Analysis, truth: Mapping[str, Any] | None, notes: Notes) -> Html:
    """Give the mean shares of every group and measured cycle."""
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


def common(analysis: Analysis, notes: Notes) -> Html:
    """Give what no number of replicates averages down."""
    rows: list[list[Content]] = []
    for group in analysis.groups:
        rows.append([
            f"{group.group}, cycle {group.cycle}",
            *(part(group.shares[share].sd_common) for share in SHARES),
        ])  # fmt: skip
    columns = [Column("group"), *(Column(share, "%", "sd_common") for share in SHARES)]
    return table(columns, rows, "Beside the spread between cells: what the SOC factor leaves uncertain in all", notes)


def comparisons(analysis: Analysis, notes: Notes) -> Iterator[str]:
    """Give every comparison of two groups, in numbers and in words, or say why there is none."""
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
        Column("what"), Column("difference", "%", "difference"),
        Column(f"{100 * sure:.0f} % interval", "%", "difference"),
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
    if result.significant and one.p_adjusted >= 1.0 - result.confidence:
        together = number(one.p_adjusted, digits=2)
        judgement += f". Over all comparisons of this analysis together that is not shown (adjusted p = {together})"
    return (
        f"{one.share}, cycle {one.cycle}: {' against '.join(sides)}, a difference of "
        f"{number(result.difference, digits=3)} %, {100 * result.confidence:.0f} % interval {low} to {high} % "
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


def rates(analysis: Analysis, notes: Notes) -> Html:
    """Give the loss rates of all groups, or say why there are none."""
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
