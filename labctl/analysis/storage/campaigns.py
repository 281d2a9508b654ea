"""The tables of one campaign: its cells and their shares, groups, comparisons, loss rates, the conversion factor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from labctl.analysis.findings import Conversion, ShareComparison
from labctl.analysis.inventory import SHARES
from labctl.analysis.loss_rates import Line
from labctl.analysis.model import Analysis, CellResult, GroupResult
from labctl.analysis.storage.cells import SHARE_COLUMNS, of_allocation
from labctl.analysis.storage.tables import Column, Row, Table, joined, text, with_sd

_GROUP: Final = text("group", "group of cells")
_CYCLE: Final = Column("cycle", "number of the cycle", kind="count")
_SHARE: Final = text("share", "share of the first charge")
_BETWEEN: Final = "the standard deviation is that between cells (n - 1)"

_CELLS: Final = (
    text("cell", "cell"),
    _GROUP,
    text("chemistry", "chemistry"),
    Column("area_cm2", "area of the electrode", "cm2"),
    Column("cycles", "number of cycles", kind="count"),
    Column("measured_cycles", "cycles with shares", kind="count"),
    Column("first_charge_capacity_mAh", "capacity of the first charge", "mA h"),
    *with_sd(Column("soc_factor", "factor of the integral beside an empty positive electrode")),
    text("soc_factor_source", "where the factor is from"),
    Column("life_threshold", "state of health that counts as the end of life"),
    Column("life_reference_cycle", "cycle whose state of health is 1", kind="count"),
    Column("life_first_below", "first cycle below the threshold", kind="count"),
    Column("life_interpolated", "cycle life, interpolated between cycles"),
    Column("life_last_cycle", "last known cycle", kind="count"),
    Column("flags", "number of flags", kind="count"),
    text("file", "file of the cell's results"),
)
_SHARES: Final = (text("cell", "cell"), _GROUP, _CYCLE, *SHARE_COLUMNS)

_AMOUNTS: Final[Mapping[str, tuple[str, str]]] = {
    "charge_capacity_mAh": ("charge capacity", "mA h"),
    "discharge_capacity_mAh": ("discharge capacity", "mA h"),
    "coulombic_efficiency": ("discharge capacity over charge capacity", "1"),
    **{f"{share}_mAh": (f"{share} lithium", "mA h") for share in SHARES},
}
_GROUPS: Final = (
    _GROUP,
    _CYCLE,
    Column("n", "number of cells", kind="count"),
    text("cells", "cells"),
    *(column for share in SHARES for column in (
        *with_sd(Column(f"{share}_percent", f"mean of the {share} share, in percent of the first charge", "percent",
                        note=_BETWEEN)),
        Column(f"{share}_percent_sd_common", f"standard deviation of the {share} share that all cells have in common",
               "percent", note="from the factor of the state of charge; replicates do not average it down"),
    )),
    *with_sd(*(Column(name, f"mean {words}", unit, note=_BETWEEN) for name, (words, unit) in _AMOUNTS.items())),
    text("flags", "what a reader must know"),
)  # fmt: skip

_COMPARISONS: Final = (
    _SHARE,
    _CYCLE,
    text("first", "first group"),
    text("second", "second group"),
    *(column for which in ("first", "second") for column in (
        *with_sd(Column(f"{which}_percent", f"mean of the {which} group", "percent", note=_BETWEEN)),
        Column(f"{which}_n", f"cells of the {which} group", kind="count"),
    )),
    Column("difference_percent", "second group less first, in percent of the first charge", "percent"),
    Column("difference_percent_sd", "standard error of the difference", "percent"),
    Column("low_percent", "lower end of the difference's confidence interval", "percent"),
    Column("high_percent", "upper end of the difference's confidence interval", "percent"),
    Column("confidence", "of the interval"),
    Column("t", "Welch's statistic"),
    Column("df", "degrees of freedom"),
    Column("p", "probability of a larger statistic if there were no difference"),
    Column("p_adjusted", "the same, by Holm over all comparisons of the analysis"),
    Column("significant", "whether p alone lies below the level", kind="yes"),
    text("sentence", "what may be said"),
)  # fmt: skip

_LINE: Final = (
    *with_sd(Column("slope_percent", "loss per cycle in percent of the first charge", "percent")),
    Column("slope_low_percent", "lower end of the slope's 95 % interval", "percent"),
    Column("slope_high_percent", "upper end of the slope's 95 % interval", "percent"),
    *with_sd(Column("intercept_percent", "the line at cycle 0", "percent")),
    Column("scatter_percent", "standard deviation of the points about the line", "percent"),
    Column("points", "number of points", kind="count"),
    Column("bend_p", "probability of such a bend if the points lay on a line"),
)
_RATES: Final = (
    _GROUP,
    _SHARE,
    *with_sd(Column("rate_percent", "loss per cycle that may be quoted, in percent of the first charge", "percent")),
    text("quoted", "cells: mean of the cells' slopes; pooled: one line through all points"),
    Column("mean_percent", "mean of the cells' slopes", "percent"),
    Column("between_percent", "standard deviation of the slopes between cells", "percent"),
    Column("cells", "cells that have a slope", kind="count"),
    *_LINE,
    text("flags", "what a reader must know"),
)
_CELL_RATES: Final = (_GROUP, _SHARE, text("cell", "cell"), *_LINE)

_CONVERSIONS: Final = (
    text("name", "cell and cycle"),
    Column("k_mAh_per_au", "metal per unit of integral, as measured", "mA h"),
    Column("k_mAh_per_au_sd", "standard deviation: metal per unit of integral, as measured", "mA h"),
    *with_sd(Column("pooled_mAh_per_au", "the same in the light of all other cells", "mA h")),
    Column("weight", "what the measurement keeps of itself"),
    text("remarks", "rules of the control chart that it breaks"),
)


def tables(analysis: Analysis, campaign: str, files: Mapping[str, str]) -> Iterator[Table]:
    """Give the tables of a campaign; ``files`` are the names of its cells' files."""
    cells = [cell for cell in analysis.cells if cell.campaign == campaign]
    names = {cell.cell for cell in cells}
    groups = {cell.group for cell in cells}
    yield Table("cells", "cell", ("cell",), _CELLS, [_cell(cell, files[cell.cell]) for cell in cells], "cell_")
    yield Table("shares", "result", ("cell", "group", "cycle"), _SHARES, list(_shares(cells)), "result_")
    rows = [_group(one) for one in analysis.groups if names.intersection(one.cells)]
    yield Table("groups", "group_mean", ("group", "cycle"), _GROUPS, rows, "mean_")
    comparisons = [_comparison(one) for one in analysis.comparisons if {one.first, one.second} & groups]
    yield Table("comparisons", "comparison", ("share", "cycle", "first", "second"), _COMPARISONS, comparisons,
                "comparison_")  # fmt: skip
    rates = [one for one in analysis.rates if one.group in groups]
    found = [
        {
            "group": one.group,
            "share": share,
            "rate_percent": each.rate,
            "rate_percent_sd": each.rate_sd,
            "quoted": each.quoted,
            "mean_percent": each.mean,
            "between_percent": each.sd,
            "cells": each.n,
            "flags": joined(each.flags),
            **_line(each.pooled),
        }
        for one in rates
        for share, each in one.rates.items()
    ]
    yield Table("rates", "rate", ("group", "share"), _RATES, found, "rate_")
    by_cell = [
        {"group": one.group, "share": share, "cell": cell, **_line(line)}
        for one in rates
        for share, each in one.rates.items()
        for cell, line in each.cells.items()
    ]
    yield Table("cell_rates", "cell_rate", ("group", "share", "cell"), _CELL_RATES, by_cell, "cell_rate_")
    values = [row for one in analysis.conversions if one.campaign == campaign for row in _conversions(one)]
    yield Table("conversion", "conversion", ("name",), _CONVERSIONS, values, "conversion_")


def attributes(analysis: Analysis, campaign: str) -> dict[str, Any]:
    """Give what holds for the whole campaign: the pooled conversion factor and the limits of its chart."""
    found: dict[str, Any] = {}
    for one in analysis.conversions:
        if one.campaign != campaign:
            continue
        if (pooled := one.pooled) is not None:
            found |= {
                "k_mAh_per_au": pooled.mean,
                "k_mAh_per_au_sd": pooled.mean_sd,
                "k_mAh_per_au_low": pooled.low,
                "k_mAh_per_au_high": pooled.high,
                "k_next_cell_low": pooled.next_low,
                "k_next_cell_high": pooled.next_high,
                "k_spread_between_cells": pooled.spread,
                "k_spread_within_cells": pooled.within,
                "k_heterogeneity_p": pooled.q_p,
                "k_confidence": pooled.confidence,
                "k_flags": joined(pooled.flags),
            }
        if (chart := one.chart) is not None:
            found |= {
                "k_chart_centre": chart.centre,
                "k_chart_sigma": chart.sigma,
                "k_chart_warning_limits": list(chart.warning_limits),
                "k_chart_action_limits": list(chart.action_limits),
                "k_chart_in_control": "yes" if chart.in_control else "no",
                "k_chart_flags": joined(chart.flags),
            }
    return found


def _cell(cell: CellResult, file: str) -> Row:
    life = cell.life
    return {
        "cell": cell.cell,
        "group": cell.group,
        "chemistry": cell.chemistry,
        "area_cm2": cell.area_m2 * 1e4,
        "cycles": len(cell.cycles),
        "measured_cycles": len(cell.allocated),
        "first_charge_capacity_mAh": cell.first_charge_mAh,
        "soc_factor": cell.soc_factor.value,
        "soc_factor_sd": cell.soc_factor.sd,
        "soc_factor_source": cell.soc_factor.source,
        "life_threshold": None if life is None else life.threshold,
        "life_reference_cycle": None if life is None else life.reference_cycle,
        "life_first_below": None if life is None else life.first_below,
        "life_interpolated": None if life is None else life.interpolated,
        "life_last_cycle": None if life is None else life.last_cycle,
        "flags": len(cell.flags),
        "file": file,
    }


def _shares(cells: Sequence[CellResult]) -> Iterator[Row]:
    for cell in cells:
        for one in cell.cycles:
            if one.measured is not None:
                yield {"cell": cell.cell, "group": cell.group, "cycle": one.cycle, **of_allocation(one.measured)}


def _group(one: GroupResult) -> Row:
    row: dict[str, Any] = {
        "group": one.group,
        "cycle": one.cycle,
        "n": len(one.cells),
        "cells": joined(one.cells),
        "flags": joined(one.flags),
    }
    for share, found in one.shares.items():
        row |= {
            f"{share}_percent": found.mean,
            f"{share}_percent_sd": found.sd,
            f"{share}_percent_sd_common": found.sd_common,
        }
    for name, (mean, sd) in one.amounts.items():
        row |= {name: mean, f"{name}_sd": sd}
    return row


def _comparison(one: ShareComparison) -> Row:
    found = one.result
    return {
        "share": one.share,
        "cycle": one.cycle,
        "first": one.first,
        "second": one.second,
        "first_percent": found.first.mean,
        "first_percent_sd": found.first.sd,
        "first_n": found.first.n,
        "second_percent": found.second.mean,
        "second_percent_sd": found.second.sd,
        "second_n": found.second.n,
        "difference_percent": found.difference,
        "difference_percent_sd": found.standard_error,
        "low_percent": found.low,
        "high_percent": found.high,
        "confidence": found.confidence,
        "t": found.t,
        "df": found.df,
        "p": found.p,
        "p_adjusted": one.p_adjusted,
        "significant": found.significant,
        "sentence": found.sentence,
    }


def _line(one: Line) -> Row:
    return {
        "slope_percent": one.slope,
        "slope_percent_sd": one.slope_sd,
        "slope_low_percent": one.slope_low,
        "slope_high_percent": one.slope_high,
        "intercept_percent": one.intercept,
        "intercept_percent_sd": one.intercept_sd,
        "scatter_percent": one.residual_sd,
        "points": one.n,
        "bend_p": one.bend_p,
    }


def _conversions(one: Conversion) -> list[Row]:
    rows: dict[str, dict[str, Any]] = {
        name: {"name": name, "k_mAh_per_au": value} for name, value in zip(one.names, one.values, strict=True)
    }
    for each in () if one.pooled is None else one.pooled.measurements:
        rows.setdefault(each.name, {"name": each.name}).update(
            k_mAh_per_au=each.own, k_mAh_per_au_sd=each.own_sd, pooled_mAh_per_au=each.value,
            pooled_mAh_per_au_sd=each.sd, weight=each.weight,
        )  # fmt: skip
    if one.chart is not None:
        for name in one.names:
            rows[name]["remarks"] = joined(out.reason for out in one.chart.out if out.name == name)
    return list(rows.values())
