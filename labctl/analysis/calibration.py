"""A calibration series: the same lithium beside positive electrodes of several states of charge, evaluated to f(s).

As Fig. 1 of Wichmann et al., Nat. Commun. 2025: foil and deposited lithium against NMC at 0, 50 and 100 % state of
charge, each repeated with a new cell. A series is normalised to its own lithium; the factor is that of all series
together, 1 beside a full electrode. It belongs to the set-up it was measured on and is stored under a name.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.calibration_file import Calibration, load, save
from labctl.analysis.factor import FactorCurve
from labctl.analysis.flags import Flag
from labctl.analysis.model import SocFactor
from labctl.errors import AnalysisError

__all__ = ["Calibration", "Point", "calibrated", "evaluate", "load", "save"]

#: Series that differ by more than this many deviations are told apart.
_DISAGREE: Final = 2.0
#: Fewest measurements beyond the unknowns from which a scatter is told at all.
_FEWEST_FREE: Final = 1


@dataclass(frozen=True, slots=True)
class Point:
    """One spectrum of a calibration series.

    Attributes
    ----------
    lithium : str
        ``foil`` or ``deposited``.
    series : str
        Points of one series have the same lithium per unit of ``amount``; it is normalised to itself.
    soc : float or None
        State of charge of the positive electrode beside it, 0 to 1; None where there is none.
    integral, sd : float
        Of the metal, per scan, gain and flip angle, and its standard deviation.
    amount : float
        Lithium in any unit that the series shares: mAh deposited, or area of foil.
    shift_ppm, fwhm_ppm : float or None
        Where the line is, and how wide.
    """

    lithium: Literal["foil", "deposited"]
    series: str
    soc: float | None
    integral: float
    sd: float
    amount: float = 1.0
    shift_ppm: float | None = None
    fwhm_ppm: float | None = None


def calibrated(curve: FactorCurve) -> SocFactor:
    """Give the factor of a cell of the set-up that a curve was measured on."""
    value = curve.at(curve.soc[0])
    return SocFactor(value, math.sqrt(curve.covariance[0][0]), f"calibrated: {curve.id}, {curve.source}", curve)


def evaluate(points: Sequence[Point], *, id: str, source: str) -> Calibration:
    """Evaluate a calibration series.

    Parameters
    ----------
    points : sequence of Point
        At least two states of charge, one of them 1.
    id, source : str
        The calibration's name, and in words what it was measured on.

    Raises
    ------
    AnalysisError
        If a point is none, a series stands alone at one state of charge, or no series reaches a full electrode.

    Notes
    -----
    ln(integral/amount) = ln(series) - ln f(s), by weighted least squares over all series. What the points scatter
    beyond their own deviations (repeats with new cells: insertion, amount of lithium, foil against deposit) is one more
    relative deviation of every point, such that chi squared equals its degrees of freedom (R. C. Paule, J. Mandel,
    J. Res. NBS 87 (1982) 377).
    """
    _refuse(points, id)
    levels = sorted({one.soc for one in points if one.soc is not None})
    names = sorted({one.series for one in points})
    others = [soc for soc in levels if soc != 1.0]
    bare = [None] if any(one.soc is None for one in points) else []
    columns: list[float | None] = [*others, *bare]
    design = np.zeros((len(points), len(names) + len(columns)))
    for row, one in enumerate(points):
        design[row, names.index(one.series)] = 1.0
        if one.soc != 1.0:
            design[row, len(names) + columns.index(one.soc)] = -1.0
    values = np.log([one.integral / one.amount for one in points])
    sigmas = np.array([one.sd / one.integral for one in points])
    scatter = _scatter(design, values, sigmas)
    found, spread = _fit(design, values, np.hypot(sigmas, scatter))
    logs, cov = found[len(names) :], spread[len(names) :, len(names) :]
    factor = {1.0: 1.0} | {
        soc: float(np.exp(value)) for soc, value in zip(columns, logs, strict=True) if soc is not None
    }
    full = np.zeros((len(levels), len(levels)))
    for i, a in enumerate(levels):
        for j, b in enumerate(levels):
            if a != 1.0 and b != 1.0:
                full[i, j] = factor[a] * factor[b] * cov[columns.index(a), columns.index(b)]
    shifts = _shifts(points, levels)
    curve = FactorCurve(
        soc=tuple(levels),
        factor=tuple(factor[soc] for soc in levels),
        covariance=tuple(tuple(float(value) for value in row) for row in full),
        source=source,
        id=id,
        shift_ppm=shifts,
        width_cap_ppm=_cap(points),
    )
    without = None
    if bare:
        at = columns.index(None)
        without = (float(np.exp(logs[at])), float(np.exp(logs[at]) * math.sqrt(cov[at, at])))
    return Calibration(
        curve=curve,
        scatter=scatter,
        points=len(points),
        without_electrode=without,
        flags=tuple(_judged(points, factor, scatter, len(points) - design.shape[1])),
    )


def _refuse(points: Sequence[Point], name: str) -> None:
    if not name:
        raise AnalysisError("a calibration needs a name, which every result then tells")
    for one in points:
        numbers = (one.integral, one.sd, one.amount)
        if not all(map(math.isfinite, numbers)) or one.integral <= 0 or one.sd < 0 or one.amount <= 0:
            raise AnalysisError(
                f"series {one.series}: integral {one.integral:g} ± {one.sd:g} of {one.amount:g} is none"
            )
        if one.soc is not None and not 0.0 <= one.soc <= 1.0:
            raise AnalysisError(f"series {one.series}: a state of charge of {one.soc:g} is not between 0 and 1")
    levels: dict[str, set[float | None]] = defaultdict(set)
    for one in points:
        levels[one.series].add(one.soc)
    if not any(1.0 in some and len(some) > 1 for some in levels.values()):
        raise AnalysisError("no series has a full positive electrode and another state: f is relative to nothing",
                            hint="measure the same lithium beside electrodes at 0, 0.5 and 1")  # fmt: skip
    # Series are tied to each other by the states of charge that they share.
    reached: set[float | None] = {1.0}
    grown = True
    while grown:
        joined = set().union(*(some for some in levels.values() if some & reached))
        grown, reached = not joined <= reached, reached | joined
    alone = sorted(name for name, some in levels.items() if not some <= reached or len(some) < 2)
    if alone:
        raise AnalysisError(f"series {', '.join(alone)} cannot be normalised: one state of charge alone, or none that "
                            "another series has too")  # fmt: skip


def _fit(
    design: NDArray[np.float64], values: NDArray[np.float64], sigmas: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    weight = 1.0 / np.maximum(sigmas, 1e-9)
    scaled = design * weight[:, None]
    spread = np.linalg.inv(scaled.T @ scaled)
    return np.asarray(spread @ (scaled.T @ (values * weight))), np.asarray(spread)


def _scatter(design: NDArray[np.float64], values: NDArray[np.float64], sigmas: NDArray[np.float64]) -> float:
    """Find the relative deviation beyond the points' own that makes chi squared its degrees of freedom."""
    free = len(values) - design.shape[1]
    if free < _FEWEST_FREE:
        return 0.0

    def excess(extra: float) -> float:
        total = np.hypot(sigmas, extra)
        found, _ = _fit(design, values, total)
        misfit = (values - design @ found) / np.maximum(total, 1e-9)
        return float(misfit @ misfit) - float(free)

    if excess(0.0) <= 0.0:
        return 0.0
    from scipy.optimize import brentq

    return float(brentq(excess, 0.0, 1.0 + float(np.ptp(values)), xtol=1e-9))


def _shifts(points: Sequence[Point], levels: Sequence[float]) -> tuple[float, ...]:
    """Give the line's shift against that beside a full electrode, each series against itself; empty if unknown."""
    moved: dict[float, list[float]] = defaultdict(list)
    for name in sorted({one.series for one in points}):
        at: Mapping[float, list[float]] = defaultdict(list)
        for one in points:
            if one.series == name and one.soc is not None and one.shift_ppm is not None:
                at[one.soc].append(one.shift_ppm)
        if 1.0 in at:
            full = sum(at[1.0]) / len(at[1.0])
            for soc, some in at.items():
                moved[soc] += [value - full for value in some]
    if not moved or any(soc not in moved for soc in levels):
        return ()
    return tuple(sum(moved[soc]) / len(moved[soc]) for soc in levels)


def _cap(points: Sequence[Point]) -> float | None:
    widths = [one.fwhm_ppm for one in points if one.lithium == "foil" and one.soc == 1.0 and one.fwhm_ppm is not None]
    return sum(widths) / len(widths) if widths else None


def _judged(points: Sequence[Point], factor: Mapping[float, float], scatter: float, free: int) -> list[str]:
    flags: list[str] = []
    if free < _FEWEST_FREE:
        flags.append(Flag("nothing was repeated: how reproducible the calibration is, is not known", "uncalibrated"))
    logs: dict[tuple[float, str], list[float]] = defaultdict(list)
    for name in sorted({one.series for one in points}):
        mine = [one for one in points if one.series == name]
        full = [one.integral / one.amount for one in mine if one.soc == 1.0]
        if full:
            for one in mine:
                if one.soc is not None and one.soc != 1.0:
                    logs[one.soc, one.lithium].append(math.log(sum(full) / len(full) * one.amount / one.integral))
    for soc in factor:
        foil, deposit = logs.get((soc, "foil")), logs.get((soc, "deposited"))
        if not foil or not deposit:
            continue
        apart = sum(foil) / len(foil) - sum(deposit) / len(deposit)
        own = max(one.sd / one.integral for one in points)
        width = math.hypot(scatter, own) * math.sqrt(2.0 * (1.0 / len(foil) + 1.0 / len(deposit)))
        if abs(apart) > _DISAGREE * width:
            flags.append(
                Flag(
                    f"foil and deposited lithium differ at a state of charge of {soc:g} by {100 * apart:+.1f} %",
                    "uncalibrated",
                )
            )
    return flags
