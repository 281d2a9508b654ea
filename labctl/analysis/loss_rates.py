"""Linear loss rates: a line through the losses of each cell over its cycles, and what a group's rate rests on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labctl.analysis.arrays import Array, columns
from labctl.analysis.statistics import probability_t, quantile_t, summary
from labctl.errors import AnalysisError


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line through points.

    Attributes
    ----------
    slope : float
        Per cycle.
    slope_sd : float or None
        Its standard deviation from the residuals; like all deviations here None with two points.
    slope_low, slope_high : float or None
        95 % interval of the slope.
    intercept, intercept_sd : float, float or None
        At cycle 0.
    residual_sd : float or None
        Of the points about the line, with n - 2.
    n : int
        Number of points.
    bend_p : float or None
        Probability of a quadratic term as large as the one found if the points lie on a line; None with fewer than
        four points or cycles.
    """

    slope: float
    slope_sd: float | None
    slope_low: float | None
    slope_high: float | None
    intercept: float
    intercept_sd: float | None
    residual_sd: float | None
    n: int
    bend_p: float | None


def line(cycles: Any, values: Any, *, confidence: float = 0.95) -> Line:
    """Fit a line by ordinary least squares, as the loss rates of the paper's Fig. 3c.

    Raises
    ------
    DataError
        If the columns are not of one table.
    AnalysisError
        If there are not two different cycles.

    Notes
    -----
    Every point counts the same. The quadratic term is judged by Student's t with n - 3 degrees of freedom.
    """
    x, y = columns(2, cycles=cycles, values=values)
    if len(np.unique(x)) < 2:
        raise AnalysisError(f"a rate needs two different cycles, found cycle {x[0]:g} alone")
    n, centre = len(x), float(x.mean())
    spread = float(np.sum((x - centre) ** 2))
    slope = float(np.sum((x - centre) * y)) / spread
    at_centre = float(y.mean())
    intercept = at_centre - slope * centre
    if n == 2:
        return Line(slope, None, None, None, intercept, None, None, n, None)
    residual = y - at_centre - slope * (x - centre)
    sd = math.sqrt(float(residual @ residual) / (n - 2))
    slope_sd = sd / math.sqrt(spread)
    half = quantile_t(confidence, n - 2) * slope_sd
    return Line(
        slope, slope_sd, slope - half, slope + half, intercept, sd * math.sqrt(1.0 / n + centre**2 / spread), sd, n,
        _bend(x - centre, y),
    )  # fmt: skip


def _bend(x: Array, y: Array) -> float | None:
    if len(x) < 4 or len(np.unique(x)) < 3:
        return None
    basis = np.stack([np.ones_like(x), x, x**2], axis=1)
    found, *_ = np.linalg.lstsq(basis, y, rcond=None)
    residual = y - basis @ found
    variance = float(residual @ residual) / (len(x) - 3) * float(np.linalg.inv(basis.T @ basis)[2, 2])
    # Numbers without noise lie on the parabola itself, which is a line or is none.
    rounding = 1e-12 * float(np.max(np.abs(y))) / float(np.max(np.abs(x))) ** 2
    if math.sqrt(variance) <= rounding:
        return 0.0 if abs(float(found[2])) > 1e3 * rounding else 1.0
    return probability_t(float(found[2]) / math.sqrt(variance), len(x) - 3)


@dataclass(frozen=True, slots=True)
class LossRates:
    """Linear loss rates of a group.

    Attributes
    ----------
    cells : mapping
        The line of every cell that has two cycles or more.
    mean, sd, n : float, float or None, int
        Of the slopes of these cells; the deviation is that between cells.
    pooled : Line
        One line through all points of all cells, as the paper draws it.
    quoted : str
        ``cells`` where at least two cells have a line: points of one cell are not independent, so the spread between
        cells counts. Else ``pooled``: with a cohort per cycle each cell is one point.
    flags : tuple of str
        A bend, or what the deviation cannot tell.
    """

    cells: Mapping[str, Line]
    mean: float | None
    sd: float | None
    n: int
    pooled: Line
    quoted: str
    flags: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        """The rate that may be quoted, per cycle."""
        return self.pooled.slope if self.quoted == "pooled" or self.mean is None else self.mean

    @property
    def rate_sd(self) -> float | None:
        """Its standard deviation: between cells divided by sqrt(n), or that of the pooled slope."""
        if self.quoted == "pooled" or self.sd is None:
            return self.pooled.slope_sd
        return self.sd / math.sqrt(self.n)


def loss_rates(cells: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> LossRates:
    """Give loss rates per cycle, of each cell and of the group.

    Parameters
    ----------
    cells : mapping
        For each cell its cycles and, in any unit, the cumulative losses there.

    Raises
    ------
    DataError
        If columns are not of one table.
    AnalysisError
        If there are not two different cycles in the whole group.
    """
    if not cells:
        raise AnalysisError("a loss rate needs at least one cell")
    points = {name: columns(1, cycles=x, values=y) for name, (x, y) in cells.items()}
    pooled = line(np.concatenate([x for x, _ in points.values()]), np.concatenate([y for _, y in points.values()]))
    lines = {name: line(x, y) for name, (x, y) in points.items() if len(np.unique(x)) > 1}
    slopes = summary([one.slope for one in lines.values()]) if lines else None
    flags = []
    if pooled.bend_p is not None and pooled.bend_p < 0.05:
        flags.append(f"the losses bend (p = {pooled.bend_p:.2g}): one rate does not describe them")
    if slopes is not None and slopes.n == 1 and len(points) > 1:
        flags.append("one cell alone was measured at several cycles: the rate is that of all cells together")
    if pooled.slope_sd is None:
        flags.append("two points: the rate has no standard deviation")
    between = slopes is not None and slopes.n > 1
    return LossRates(
        lines,
        None if slopes is None else slopes.mean,
        None if slopes is None else slopes.sd,
        0 if slopes is None else slopes.n,
        pooled,
        "cells" if between else "pooled",
        tuple(flags),
    )
