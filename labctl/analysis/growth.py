"""How the metal's signal grew with the charge that passed: a line for each recycle delay by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from labctl.analysis.findings import Floats, OperandoSpectra
from labctl.analysis.loss_rates import Line, line
from labctl.errors import AnalysisError

if TYPE_CHECKING:
    from labctl.analysis.model import CellResult

#: A spectrum whose middle charge lies further from the mean of its ends, as a share of what passed, saw the current
#: change: its mean charge is not known.
_UNEVEN: Final = 0.05


@dataclass(frozen=True, slots=True)
class Growth:
    """How the metal's signal of one recycle delay grew with charge.

    Attributes
    ----------
    recycle_delay_s : float
        Of all these spectra.
    line : Line
        Of integral times SOC factor against charge in mAh.
    lag_mAh : float
        Charge at which the line is zero: what went elsewhere before, if all that came after is metal.
    largest_deviation : float
        Of a point from the line, as a share of the line's end.
    """

    recycle_delay_s: float
    line: Line
    lag_mAh: float
    largest_deviation: float


def growths(one: OperandoSpectra, cell: CellResult | None = None) -> dict[float, Growth]:
    """Draw a line through integrals against charge, for each recycle delay by itself.

    Parameters
    ----------
    cell : CellResult, optional
        Whose SOC factor the integrals are multiplied by; without it they are taken as they are.
    """
    values, _ = corrected(one, cell)
    even = np.abs(2.0 * one.charge_mAh - one.charge_start_mAh - one.charge_end_mAh) <= _UNEVEN * np.abs(
        one.charge_end_mAh - one.charge_start_mAh
    )
    found = {}
    for delay in np.unique(one.recycle_delay_s):
        mine = (one.recycle_delay_s == delay) & even & np.isfinite(one.charge_mAh) & np.isfinite(values)
        if np.count_nonzero(mine) < 3:
            continue
        try:
            drawn = line(one.charge_mAh[mine], values[mine])
        except AnalysisError:
            continue
        if drawn.slope == 0.0:
            continue
        at = drawn.intercept + drawn.slope * one.charge_mAh[mine]
        end = float(np.max(np.abs(at)))
        away = float(np.max(np.abs(values[mine] - at))) / end
        found[float(delay)] = Growth(float(delay), drawn, -drawn.intercept / drawn.slope, away)
    return found


def corrected(one: OperandoSpectra, cell: CellResult | None) -> tuple[Floats, Floats]:
    """Give the integrals and their deviations times the SOC factor, where the state of charge is known."""
    values = np.array([each.value for each in one.integral])
    sds = np.array([each.sd for each in one.integral])
    if cell is None or len(one.soc) != len(values):
        return values, sds
    factors = np.array([_factor(cell, float(soc)) for soc in one.soc])
    return values * factors, sds * factors


def _factor(cell: CellResult, soc: float) -> float:
    if not math.isfinite(soc):
        return math.nan
    try:
        return cell.soc_factor.curve.at(soc)
    except AnalysisError:
        return math.nan
