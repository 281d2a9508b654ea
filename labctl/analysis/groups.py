"""Replicates: mean and standard deviation of the shares over the cells of a group at one cycle."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence

from labctl.analysis.inventory import SHARES, Allocation
from labctl.analysis.model import CellResult, CycleResult, GroupResult, Share


def group_results(cells: Sequence[CellResult]) -> list[GroupResult]:
    """Gather the cells that have shares by group and cycle.

    A standard deviation is that between cells, with n - 1; a single cell has none.
    """
    members: dict[tuple[str, int], list[tuple[str, CycleResult, Allocation]]] = defaultdict(list)
    for cell in cells:
        for one in cell.allocated:
            if one.measured is not None and one.measured.allocation is not None:
                members[cell.group, one.cycle].append((cell.cell, one, one.measured.allocation))
    return [
        GroupResult(
            group=group,
            cycle=cycle,
            cells=tuple(name for name, _, _ in found),
            shares={share: _share(share, [allocation for _, _, allocation in found]) for share in SHARES},
            amounts=_amounts([(one, allocation) for _, one, allocation in found]),
            flags=_flags(len(found)),
        )
        for (group, cycle), found in sorted(members.items())
    ]


def _amounts(found: Sequence[tuple[CycleResult, Allocation]]) -> dict[str, tuple[float, float | None]]:
    values: dict[str, list[float | None]] = {
        "charge_capacity_mAh": [one.capacities.charge for one, _ in found],
        "discharge_capacity_mAh": [one.capacities.discharge for one, _ in found],
        "coulombic_efficiency": [one.ledger.coulombic_efficiency for one, _ in found],
    }
    for share in SHARES:
        values[f"{share}_mAh"] = [allocation.mAh(share) for _, allocation in found]
    whole = {name: [value for value in some if value is not None] for name, some in values.items()}
    return {
        name: (statistics.fmean(some), statistics.stdev(some) if len(some) > 1 else None)
        for name, some in whole.items()
        if some
    }


def _share(share: str, allocations: Sequence[Allocation]) -> Share:
    values = [one.percent(share) for one in allocations]
    return Share(
        mean=statistics.fmean(values),
        sd=statistics.stdev(values) if len(values) > 1 else None,
        sd_common=statistics.fmean(one.budget[share]["soc_factor"] for one in allocations),
    )


def _flags(count: int) -> tuple[str, ...]:
    if count == 1:
        return ("a single cell: no standard deviation between cells",)
    if count == 2:
        return ("two cells: a standard deviation of two values is itself uncertain by 60 %; the 95 % interval of the "
                "mean is 9 times as wide, so small differences between groups mean nothing",)  # fmt: skip
    return ()
