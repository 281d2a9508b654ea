"""What only many cells tell: groups against each other, loss rates, and the conversion factor of a campaign."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

from labctl.analysis.budget import Errors
from labctl.analysis.control_chart import ControlChart, chart
from labctl.analysis.findings import Conversion, GroupRates, ShareComparison
from labctl.analysis.inventory import Allocation, allocate_with
from labctl.analysis.loss_rates import loss_rates
from labctl.analysis.model import CellResult, CycleResult
from labctl.analysis.pooling import Pooled, pool
from labctl.analysis.settings import Settings
from labctl.analysis.statistics import Comparison, adjusted, compare
from labctl.errors import AnalysisError

#: Losses whose rate the paper's Fig. 3c shows.
LOSSES: Final = ("dead", "interphase")
_STATES: Final = ("charged", "discharged", "dead")


def comparisons(cells: Sequence[CellResult], settings: Settings) -> tuple[ShareComparison, ...]:
    """Compare every two groups at every cycle at which both have at least two cells.

    Welch's test of each share that the settings name; probabilities are adjusted over all of them (Holm).
    """
    values: dict[int, dict[str, list[Allocation]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        for number, allocation in _allocations(cell):
            values[number][cell.group].append(allocation)
    found: list[tuple[str, int, str, str, Comparison]] = []
    for cycle, groups in sorted(values.items()):
        for first, second in combinations(sorted(groups), 2):
            for share in settings.compared_shares:
                sides = [[one.percent(share) for one in groups[name]] for name in (first, second)]
                try:
                    result = compare(*sides, names=(first, second), confidence=settings.confidence)
                except AnalysisError:
                    continue  # fewer than two cells in a group, which the group's own flag says
                found.append((share, cycle, first, second, result))
    together = adjusted([result.p for *_, result in found])
    return tuple(ShareComparison(*one, p) for one, p in zip(found, together, strict=True))


def rates(cells: Sequence[CellResult]) -> tuple[GroupRates, ...]:
    """Give the loss rates of every group that was measured at two cycles or more, in percent of the first charge."""
    groups: dict[str, dict[str, list[tuple[int, Allocation]]]] = defaultdict(dict)
    alone = len({one.cell for one in cells}) == len(cells)
    for cell in cells:
        points = _allocations(cell)
        if points:
            groups[cell.group][cell.cell if alone else f"{cell.campaign}/{cell.cell}"] = points
    found = []
    for group, members in sorted(groups.items()):
        if len({cycle for points in members.values() for cycle, _ in points}) < 2:
            continue  # one cycle alone: no rate
        lines = {
            share: loss_rates(
                {name: ([cycle for cycle, _ in points], [one.percent(share) for _, one in points])
                 for name, points in members.items()}
            )
            for share in LOSSES
        }  # fmt: skip
        found.append(GroupRates(group, lines))
    return tuple(found)


def conversions(cells: Sequence[CellResult], settings: Settings) -> tuple[Conversion, ...]:
    """Pool the mAh per unit of integral over the cells of each campaign, and put its values on a control chart."""
    found = []
    for campaign in dict.fromkeys(cell.campaign for cell in cells):
        mine = [cell for cell in cells if cell.campaign == campaign]
        rows = sorted(
            ((one.started or "", cell.cell, one) for cell in mine for one in cell.allocated),
            key=lambda row: (row[0], row[1], row[2].cycle),
        )
        told = [(name, one, *_own_factor(one)) for _, name, one in rows]
        names = tuple(f"{name}, cycle {one.cycle}" for name, one, _, _ in told)
        values = tuple(value for *_, value, _ in told)
        sds = [sd for *_, sd in told]
        pooled = _pooled(values, sds, names, [name for name, *_ in told], settings)
        found.append(Conversion(campaign, pooled, _chart(values, sds, names), names, values))
    return tuple(found)


def _allocations(cell: CellResult) -> list[tuple[int, Allocation]]:
    return [
        (one.cycle, one.measured.allocation)
        for one in cell.allocated
        if one.measured is not None and one.measured.allocation is not None
    ]


def _own_factor(one: CycleResult) -> tuple[float, float]:
    """Give k and what its own spectra leave uncertain; the factor and the cycler are common to all cells."""
    measured = one.measured
    if measured is None or measured.allocation is None or measured.soc_factors is None:
        raise AnalysisError(f"cycle {one.cycle} has no shares")
    integrals = [measured.states[label].integral for label in _STATES]
    errors = Errors()
    errors.each("noise", [each.sd for each in integrals])
    a, b, c = (each.value for each in integrals)
    whole = measured.allocation
    total = whole.reversible + whole.excess + whole.dead + whole.interphase
    again = allocate_with(total, whole.reversible, (a, b, c), measured.soc_factors, errors)
    return whole.conversion, again.conversion_sd


def _pooled(
    values: Sequence[float], sds: Sequence[float], names: Sequence[str], cells: Sequence[str], settings: Settings
) -> Pooled | None:
    if len(set(cells)) < 2:
        return None
    try:
        return pool(values, sds, names=names, cells=cells, confidence=settings.confidence)
    except AnalysisError:
        return None  # spectra without noise have no weights


def _chart(values: Sequence[float], sds: Sequence[float], names: Sequence[str]) -> ControlChart | None:
    if len(values) < 3:
        return None
    try:
        return chart(values, names=names, sds=sds)
    except AnalysisError:
        return None  # values that do not differ have no limits


def by_share(found: Sequence[ShareComparison]) -> Mapping[tuple[int, str], list[ShareComparison]]:
    """Gather comparisons by cycle and share."""
    table: dict[tuple[int, str], list[ShareComparison]] = defaultdict(list)
    for one in found:
        table[one.cycle, one.share].append(one)
    return table
