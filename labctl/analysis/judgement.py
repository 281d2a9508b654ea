"""What a reader must know before believing a number: the flags that the evaluation itself puts on a cell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from labctl.analysis.bundles import Operation
from labctl.analysis.model import CellResult
from labctl.analysis.settings import Settings

_COATED: Final = re.compile(r"coat|alloy|\bSn\b|SnF|SrF", re.IGNORECASE)


def standing(cell: CellResult, settings: Settings) -> list[str]:
    """Say what holds for every result of this cell."""
    flags = []
    factor = cell.soc_factor
    if not factor.calibrated:
        flags.append(f"SOC factor {factor.value:g} ± {factor.sd:g}: {factor.source}")
    first = cell.first_charge_mAh
    if first is not None and cell.area_m2 > 0 and first / (cell.area_m2 * 1e4) > settings.linear_up_to_mAh_cm2:
        flags.append(
            f"first charge of {first / (cell.area_m2 * 1e4):.2f} mAh/cm2 lies beyond "
            f"{settings.linear_up_to_mAh_cm2:g} mAh/cm2, up to which the integral is shown to be linear"
        )
    if _COATED.search(f"{cell.group} {cell.chemistry}"):
        flags.append("coated substrate: lithium alloyed with the coating counts as interphase")
    return flags


def judged(cell: CellResult, operations: Sequence[Operation]) -> list[str]:
    """Say where results contradict each other or are of a changed cell."""
    flags = []
    for one in cell.cycles:
        measured = one.measured
        if measured is None or measured.allocation is None:
            continue
        allocation = measured.allocation
        missing, sd = one.ledger.not_re_extracted_mAh, one.ledger.not_re_extracted_sd_mAh
        coulometric, coulometric_sd = measured.excess_coulometric_percent, measured.excess_coulometric_percent_sd
        if coulometric is not None and coulometric_sd is not None:
            apart = allocation.excess_percent - coulometric
            width = (allocation.excess_percent_sd**2 + coulometric_sd**2) ** 0.5
            if abs(apart) > 2.0 * width:
                flags.append(
                    f"cycle {one.cycle}: excess by NMR {allocation.excess_percent:.2f} % and by the hold's charge "
                    f"{coulometric:.2f} % differ by more than 2 SD ({width:.2f} %)"
                )
        floor = 1e-6 * (cell.first_charge_mAh or 0.0)
        if missing is not None and sd is not None and missing > max(2.0 * sd, floor):
            flags.append(
                f"cycle {one.cycle}: {missing:.3f} ± {sd:.3f} mAh of the first charge were not taken out of the "
                "positive electrode again; the shares count them as interphase"
            )
    strips = [one for one in operations if one.kind == "hold"]
    for strip in strips:
        if any(one.kind == "charge" and one.started > strip.started and one.cycle > strip.cycle for one in operations):
            flags.append(f"went on after the hold of cycle {strip.cycle}: later results are of a changed cell")
    return flags
