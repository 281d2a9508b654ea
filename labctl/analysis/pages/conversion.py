"""The conversion factor k of a campaign: pooled over its cells, and its control chart."""

from __future__ import annotations

from collections.abc import Iterator

from labctl.analysis.findings import Conversion
from labctl.analysis.page import Column, Content, Notes, facts, flags, paragraph, table
from labctl.analysis.pages.numbers import Missing, number, part, scale_of


def conversion(one: Conversion, notes: Notes) -> Iterator[str]:
    """Give the conversion factor of one campaign: pooled, and as a control chart."""
    known = one.values or ((one.pooled.mean,) if one.pooled else ())
    scale = scale_of(known, step=1)
    plain = "mAh per unit of integral"
    unit = f"{scale.unit('mAh')} per unit of integral"
    if one.pooled is None:
        yield paragraph(f"{one.campaign}: not pooled, which needs two cells with shares.")
    else:
        found = one.pooled
        rows: list[tuple[str, str, Content]] = [
            ("mean over the cells ± SD", "pooled", f"{number(found.mean, found.mean_sd)} {plain}"),
            (f"{100 * found.confidence:.0f} % interval of the mean", "pooled",
             f"{number(found.low)} to {number(found.high)} {plain}"),
            ("a further cell is expected between", "pooled",
             Missing("two cells do not tell") if found.next_low is None or found.next_high is None
             else f"{number(found.next_low)} to {number(found.next_high)} {plain}"),
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
    pooled = {each.name: each for each in one.pooled.measurements} if one.pooled else {}
    alone = Missing("not among the pooled ones")
    for name, value in zip(one.names, one.values, strict=False):
        drawn = pooled.get(name)
        lines.append([
            name,
            scale.number(value, drawn.own_sd if drawn else None),
            scale.number(drawn.value, drawn.sd) if drawn else alone,
            f"{(value - chart.centre) / chart.sigma:+.1f}",
            "; ".join(out.get(name, [])) or "in control",
        ])  # fmt: skip
    short = f"{scale.unit('mAh')} per unit"
    columns = [
        Column("cell and cycle"), Column("k ± SD", short, "conversion"),
        Column("in the light of all", short, "pooled_value"), Column("from the centre", "σ", "chart"),
        Column("judgement"),
    ]  # fmt: skip
    low, high = chart.action_limits
    limits = f"action limits {scale.number(low)} to {scale.number(high)}"
    middle = f"centre {scale.number(chart.centre)}, σ {scale.number(chart.sigma, digits=2)}"
    caption = f"Control chart: {middle}, {limits} {unit}"
    yield table(columns, lines, caption, notes)
    yield flags(chart.flags)
