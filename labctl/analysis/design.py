"""How many cells an experiment needs: the power of the comparison of two groups, before a cell is built.

A fraction of a difference that one wants to see, and the spread between cells that one expects, give the number of
cells; a spread known from two or three cells is itself uncertain, so the number for an unlucky guess stands beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from labctl.analysis.arrays import Array, positive
from labctl.errors import AnalysisError

#: Nodes of the quadrature in each direction.
_NODES: Final = 64
_TABLE: Final = 129
_MOST: Final = 100_000


def power(effect: float, sd: float, cells: int, *, sd_other: float | None = None, cells_other: int | None = None,
          alpha: float = 0.05) -> float:  # fmt: skip
    """Give the probability that Welch's test, two-sided, finds a difference that is there.

    Parameters
    ----------
    effect : float
        True difference of the means.
    sd, sd_other : float
        True standard deviations between the cells of either group; one value serves for both.
    cells, cells_other : int
        Cells in either group; one value serves for both.
    alpha : float
        Significance level.

    Raises
    ------
    AnalysisError
        If a group has fewer than two cells, or a number makes no sense.

    Notes
    -----
    Exact but for quadrature: given the two sample variances the difference is normal and Welch's limit is fixed, so
    the power is the mean of two normal tails over two chi-squared distributions. With many cells it becomes that of
    the noncentral t distribution.
    """
    from scipy.special import ndtr, stdtrit

    other, others = sd if sd_other is None else sd_other, cells if cells_other is None else cells_other
    positive(standard_deviation=sd, other_standard_deviation=other)
    _level("significance level", alpha)
    if not math.isfinite(effect):
        raise AnalysisError(f"the effect must be a finite number, found {effect}")
    if min(cells, others) < 2:
        raise AnalysisError(f"a comparison needs two cells in each group, found {cells} and {others}")
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    share, weight = 0.5 * (nodes + 1.0), 0.5 * weights
    a = sd**2 * _chi2(share, cells - 1)[:, None] / (cells - 1) / cells
    b = other**2 * _chi2(share, others - 1)[None, :] / (others - 1) / others
    df = (a + b) ** 2 / (a**2 / (cells - 1) + b**2 / (others - 1))
    error = math.sqrt(sd**2 / cells + other**2 / others)
    # Quantiles cost most of the time: from a table in 1/df, where their logarithm is smooth.
    table = np.linspace(1.0 / (cells + others - 2), 1.0 / (min(cells, others) - 1), _TABLE)
    quantile = np.exp(np.interp(1.0 / df, table, np.log(stdtrit(1.0 / table, 1.0 - 0.5 * alpha))))
    limit = quantile * np.sqrt(a + b) / error
    beyond = ndtr(abs(effect) / error - limit) + ndtr(-limit - abs(effect) / error)
    return float(weight @ beyond @ weight)


@dataclass(frozen=True, slots=True)
class Design:
    """A planned comparison.

    Attributes
    ----------
    cells : int
        Per group.
    power : float
        What they give.
    cells_if_unlucky : int or None
        The same if the spread is as large as the cells that it is known from allow (80 % one-sided confidence); None
        where it was not said from how many it is known.
    effect, sd, sd_other, alpha, wanted_power : float
        What was asked for.
    sentence : str
        The same in words.
    """

    cells: int
    power: float
    cells_if_unlucky: int | None
    effect: float
    sd: float
    sd_other: float
    alpha: float
    wanted_power: float
    sentence: str


def cells_needed(
    effect: float,
    sd: float,
    *,
    sd_other: float | None = None,
    sd_known_from: int | None = None,
    alpha: float = 0.05,
    wanted_power: float = 0.8,
) -> Design:
    """Say how many cells per group show a wanted effect.

    Parameters
    ----------
    effect : float
        The difference that is to be seen, in the unit of ``sd``.
    sd, sd_other : float
        Expected standard deviations between cells.
    sd_known_from : int, optional
        Number of cells from which they are known, each.
    alpha, wanted_power : float
        Significance level, and the probability to find the effect if it is there.

    Raises
    ------
    AnalysisError
        If a number makes no sense, or more than 100 000 cells would be needed.
    """
    other = sd if sd_other is None else sd_other
    positive(effect=abs(effect), standard_deviation=sd, other_standard_deviation=other)
    _level("significance level", alpha)
    _level("wanted power", wanted_power)
    cells = _fewest(effect, sd, other, alpha, wanted_power)
    reached = power(effect, sd, cells, sd_other=other, alpha=alpha)
    sentence = (
        f"{cells} cells in each group show a difference of {abs(effect):.3g} with a probability of {reached:.0%} "
        f"(two-sided Welch test at {alpha:.3g}, spread between cells {sd:.3g} and {other:.3g})"
    )
    unlucky = None
    if sd_known_from is not None:
        wider = sd_upper_limit(1.0, sd_known_from)
        unlucky = _fewest(effect, wider * sd, wider * other, alpha, wanted_power)
        sentence += (
            f"; a spread known from {sd_known_from} cells may be {wider:.1f} times as large: then it takes {unlucky}"
        )
    return Design(cells, reached, unlucky, effect, sd, other, alpha, wanted_power, sentence)


def sd_upper_limit(sd: float, cells: int, *, confidence: float = 0.8) -> float:
    """Give the one-sided upper confidence limit of a standard deviation: s sqrt((n-1)/chi²).

    Raises
    ------
    AnalysisError
        If fewer than two cells are given, or the confidence makes no sense.
    """
    _level("confidence", confidence)
    if cells < 2:
        raise AnalysisError(f"a standard deviation is known from two cells at least, found {cells}")
    return sd * math.sqrt((cells - 1) / float(_chi2(np.array([1.0 - confidence]), cells - 1)[0]))


def smallest_effect(
    sd: float, cells: int, *, sd_other: float | None = None, alpha: float = 0.05, wanted_power: float = 0.8
) -> float:
    """Give the smallest difference that so many cells in each group show with the wanted power.

    Raises
    ------
    AnalysisError
        As :func:`power`.
    """
    from scipy.optimize import brentq

    _level("wanted power", wanted_power)
    high = sd
    while power(high, sd, cells, sd_other=sd_other, alpha=alpha) < wanted_power:
        high *= 2.0
    low = 0.0
    if power(low, sd, cells, sd_other=sd_other, alpha=alpha) >= wanted_power:
        return 0.0
    return float(
        brentq(lambda one: power(one, sd, cells, sd_other=sd_other, alpha=alpha) - wanted_power, low, high, rtol=1e-6)
    )


def _fewest(effect: float, sd: float, other: float, alpha: float, wanted: float) -> int:
    few, many = 1, 2
    while power(effect, sd, many, sd_other=other, alpha=alpha) < wanted:
        few, many = many, 2 * many
        if many > _MOST:
            raise AnalysisError(
                f"more than {_MOST} cells would be needed to see {abs(effect):.3g} at a spread of {sd:.3g}",
                hint="look for a larger effect or a smaller spread",
            )
    while many - few > 1:
        middle = (few + many) // 2
        if power(effect, sd, middle, sd_other=other, alpha=alpha) < wanted:
            few = middle
        else:
            many = middle
    return many


def _chi2(share: Array, df: int) -> Array:
    from scipy.special import gammaincinv

    return np.asarray(2.0 * gammaincinv(0.5 * df, share))


def _level(name: str, value: float) -> None:
    if not 0.0 < value < 1.0:
        raise AnalysisError(f"the {name} must lie between 0 and 1, found {value}")
