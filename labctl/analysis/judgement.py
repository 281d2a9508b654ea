"""What a reader must know before believing a number: the flags that the evaluation itself puts on a cell."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from typing import Final

from labctl.analysis.bundles import Operation
from labctl.analysis.flags import Flag
from labctl.analysis.model import CellResult
from labctl.analysis.settings import Settings

#: So many other measurements tell what k is.
_FEWEST_OTHERS: Final = 3
_COATED: Final = re.compile(r"coat|alloy|\bSn\b|SnF|SrF", re.IGNORECASE)


def standing(cell: CellResult, settings: Settings) -> list[str]:
    """Say what holds for every result of this cell."""
    flags: list[str] = []
    factor = cell.soc_factor
    if not factor.calibrated:
        flags.append(Flag(f"SOC factor {factor.value:g} ± {factor.sd:g}: {factor.source}", "uncalibrated"))
    first = cell.first_charge_mAh
    if first is not None and cell.area_m2 > 0 and first / (cell.area_m2 * 1e4) > settings.linear_up_to_mAh_cm2:
        flags.append(
            Flag(
                f"first charge of {first / (cell.area_m2 * 1e4):.2f} mAh/cm2 lies beyond "
                f"{settings.linear_up_to_mAh_cm2:g} mAh/cm2, up to which the integral is shown to be linear",
                "beyond_linearity",
            )
        )
    if _COATED.search(f"{cell.group} {cell.chemistry}"):
        flags.append(Flag("coated substrate: lithium alloyed with the coating counts as interphase", "alloy"))
    return flags


def judged(cell: CellResult, operations: Sequence[Operation]) -> list[str]:
    """Say where results contradict each other or are of a changed cell."""
    flags: list[str] = []
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
                    Flag(
                        f"cycle {one.cycle}: excess by NMR {allocation.excess_percent:.2f} % and by the hold's charge "
                        f"{coulometric:.2f} % differ by more than 2 SD ({width:.2f} %)",
                        "excess_disagrees",
                    )
                )
        floor = 1e-6 * (cell.first_charge_mAh or 0.0)
        if missing is not None and sd is not None and missing > max(2.0 * sd, floor):
            flags.append(
                Flag(
                    f"cycle {one.cycle}: {missing:.3f} ± {sd:.3f} mAh of the first charge were not taken out of the "
                    "positive electrode again; the shares count them as interphase",
                    "not_re_extracted",
                )
            )
    strips = [one for one in operations if one.kind == "hold"]
    for strip in strips:
        if any(one.kind == "charge" and one.started > strip.started and one.cycle > strip.cycle for one in operations):
            text = f"went on after the hold of cycle {strip.cycle}: later results are of a changed cell"
            flags.append(Flag(text, "continued"))
    return flags


def neighbours(cells: Sequence[CellResult], settings: Settings) -> dict[tuple[str, str], list[str]]:
    """Say, by campaign and cell, whose mAh per unit of integral is not that of the others measured.

    The amount of metal that a unit of signal stands for is a property of the spectrometer and the probe. A value is
    compared with the median of all others, whose scatter is told by their median deviation or their own errors,
    whichever is more; fewer than three others tell nothing.
    """
    known = [
        (cell, one.cycle, one.measured.allocation.conversion, one.measured.allocation.conversion_sd)
        for cell in cells
        for one in cell.allocated
        if one.measured is not None and one.measured.allocation is not None
    ]
    found: dict[tuple[str, str], list[str]] = {}
    for index, (cell, cycle, k, sd) in enumerate(known):
        others = [each for position, each in enumerate(known) if position != index]
        if len(others) < _FEWEST_OTHERS:
            continue
        values = [value for _, _, value, _ in others]
        centre = statistics.median(values)
        scatter = 1.4826 * statistics.median(abs(value - centre) for value in values)
        own = statistics.median(each for _, _, _, each in others)
        width = math.hypot(sd, max(scatter, own) * math.sqrt(1.0 + 0.5 * math.pi / len(others)))
        if abs(k - centre) > settings.k_sigma * width:
            found.setdefault((cell.campaign, cell.cell), []).append(
                Flag(
                    f"cycle {cycle}: {k:.4g} mAh per unit of integral lies {(k - centre) / width:+.1f} SD from the "
                    f"{centre:.4g} of {len(others)} other measurements",
                    "k_outside",
                )
            )
    return found
