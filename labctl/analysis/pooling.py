"""One conversion factor from those of many cells: a random-effects model, and each cell's own value drawn towards it.

k (mAh per unit of integral, per scan, receiver gain and calibrated pulse) should be the same for all cells. Each cell
tells it with its own uncertainty, and cells differ by more than that: by tuning and how they sit in the probe.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from labctl.analysis.arrays import Array, columns
from labctl.analysis.statistics import quantile_t
from labctl.errors import AnalysisError

_FEWEST: Final = 2
#: Spreads between cells over which a measurement's value is averaged.
_SPREADS: Final = 200


@dataclass(frozen=True, slots=True)
class Shrunk:
    """One measurement in the light of all others.

    Attributes
    ----------
    name : str
        Of the cell and cycle.
    own, own_sd : float
        As it was measured.
    value, sd : float
        Drawn towards the mean by as much as its own uncertainty weighs against the spread between cells, which is
        itself uncertain.
    weight : float
        What it keeps of its own deviation from the mean, 0 to 1, on average.
    """

    name: str
    own: float
    own_sd: float
    value: float
    sd: float
    weight: float


@dataclass(frozen=True, slots=True)
class Pooled:
    """The pooled value of several measurements.

    Attributes
    ----------
    mean, mean_sd : float
        Of the population of cells, and its standard deviation (Hartung and Knapp).
    low, high : float
        Confidence interval of the mean, by Student's t with n - 1.
    next_low, next_high : float or None
        Where the true value of a further cell is expected (prediction interval, n - 2); None with two.
    spread : float
        Standard deviation between cells beyond their own uncertainties (tau, by REML).
    spread_high : float
        Upper 95 % limit of it: with few cells the spread is hardly known.
    q, q_p : float
        Cochran's heterogeneity and the probability of a larger one if all were equal.
    measurements : tuple of Shrunk
        In the order given.
    confidence : float
        Of the intervals.
    flags : tuple of str
        What the number of measurements cannot tell.
    """

    mean: float
    mean_sd: float
    low: float
    high: float
    next_low: float | None
    next_high: float | None
    spread: float
    spread_high: float
    q: float
    q_p: float
    measurements: tuple[Shrunk, ...]
    confidence: float
    flags: tuple[str, ...] = ()


def pool(values: Any, sds: Any, *, names: Sequence[str] = (), confidence: float = 0.95) -> Pooled:
    """Pool measurements of one quantity on several cells.

    Parameters
    ----------
    values, sds : array_like
        Of each, with the standard deviation of its own measurement: noise, baseline, re-insertion, not what all
        share (f), which pooling does not average down.
    names : sequence of str
        Of the measurements.
    confidence : float
        Of the intervals.

    Raises
    ------
    DataError
        If the columns are not of one table.
    AnalysisError
        If there are fewer than two, or a standard deviation is not positive.

    Notes
    -----
    y_i = μ + u_i + e_i with u ~ N(0, τ²) and e_i ~ N(0, s_i²). τ² by restricted maximum likelihood (Viechtbauer, J.
    Educ. Behav. Stat. 2005, 30, 261), which is less biased than the moment estimate of DerSimonian and Laird. The
    interval of μ after Hartung and Knapp (Stat. Med. 2001, 20, 1771), because with few cells the normal interval is
    too narrow; never narrower than that of the weights alone (Röver et al., BMC Med. Res. Methodol. 2015, 15, 99).
    A measurement's own value is, for a known τ, μ + B (y_i - μ) with B = τ²/(τ² + s_i²) and the variance
    B s_i² + (1 - B)² var(μ). With one best τ these deviations come out too small by 30 to 40 % for eight cells, so
    they are averaged over τ by its restricted likelihood (a flat prior; Röver, J. Stat. Softw. 2020, 93(6), 1).
    """
    from scipy.special import chdtrc

    y, s = columns(1, values=values, standard_deviations=sds)
    if len(y) < _FEWEST:
        raise AnalysisError("a pooled value needs at least two measurements, found one")
    if np.any(s <= 0):
        index = int(np.argmin(s))
        raise AnalysisError(f"the standard deviation of {_name(names, index)} is {s[index]:g}; it must be positive")
    n, tau2 = len(y), _between(y, s)
    weights = 1.0 / (s**2 + tau2)
    total = float(weights.sum())
    mean = float(weights @ y) / total
    # Hartung and Knapp: the weighted scatter about the mean, at least that of the weights.
    scatter = float(weights @ (y - mean) ** 2) / (n - 1)
    mean_sd = math.sqrt(max(scatter, 1.0) / total)
    half = quantile_t(confidence, n - 1) * mean_sd
    reach = quantile_t(confidence, n - 2) * math.hypot(mean_sd, math.sqrt(tau2)) if n > 2 else None
    fixed = 1.0 / s**2
    q = float(fixed @ (y - float(fixed @ y) / float(fixed.sum())) ** 2)
    own, spread_high = _shrunk(y, s, [_name(names, index) for index in range(n)])
    flags = []
    if n < 5:
        flags.append(f"{n} measurements: the spread between cells is little more than a guess")
    return Pooled(
        mean=mean,
        mean_sd=mean_sd,
        low=mean - half,
        high=mean + half,
        next_low=None if reach is None else mean - reach,
        next_high=None if reach is None else mean + reach,
        spread=math.sqrt(tau2),
        spread_high=spread_high,
        q=q,
        q_p=float(chdtrc(n - 1, q)),
        measurements=own,
        confidence=confidence,
        flags=tuple(flags),
    )


def _name(names: Sequence[str], index: int) -> str:
    return names[index] if index < len(names) else f"measurement {index + 1}"


def _shrunk(y: Array, s: Array, names: Sequence[str]) -> tuple[tuple[Shrunk, ...], float]:
    """Give each measurement's value averaged over the spread between cells, and the upper limit of that spread."""
    # All spreads from 0 on, close together where the measurements' own deviations lie.
    part = (np.arange(_SPREADS) + 0.5) / _SPREADS
    scale = float(np.median(s)) + float(y.std())
    tau = scale * part / (1.0 - part)
    stretch = 1.0 / (1.0 - part) ** 2
    variance = s**2 + tau[:, None] ** 2
    weights = 1.0 / variance
    total = weights.sum(axis=1)
    mean = (weights @ y) / total
    misfit = np.sum(weights * (y - mean[:, None]) ** 2, axis=1)
    logarithm = -0.5 * (np.log(variance).sum(axis=1) + np.log(total) + misfit)
    # With two measurements nothing bounds the spread: beyond fifty times the scale it is left out.
    chance = np.exp(logarithm - logarithm.max()) * stretch * (tau < 50.0 * scale)
    chance /= chance.sum()
    keep = tau[:, None] ** 2 * weights
    values = mean[:, None] + keep * (y - mean[:, None])
    average = chance @ values
    spread = keep * s**2 + (1.0 - keep) ** 2 / total[:, None] + (values - average) ** 2
    sd, kept = np.sqrt(chance @ spread), chance @ keep
    found = tuple(
        Shrunk(name, *(float(column[index]) for column in (y, s, average, sd, kept)))
        for index, name in enumerate(names)
    )
    return found, float(np.interp(0.95, np.cumsum(chance), tau))


def _between(y: Array, s: Array) -> float:
    """Find the variance between cells that makes the restricted likelihood largest; 0 where the slope there falls."""
    from scipy.optimize import brentq

    # In units of the smallest deviation, so that neither k's unit nor its size matters.
    unit = float(s.min())
    y, v = (y - float(y.mean())) / unit, (s / unit) ** 2

    def score(tau2: float) -> float:
        w = 1.0 / (v + tau2)
        mean = float(w @ y) / float(w.sum())
        return float((w**2) @ (y - mean) ** 2) - float(w.sum()) + float((w**2).sum()) / float(w.sum())

    if score(0.0) <= 0.0:
        return 0.0
    high = float(y @ y) + 1.0
    while score(high) > 0.0:
        high *= 4.0
    return float(brentq(score, 0.0, high, xtol=1e-12, rtol=1e-10)) * unit**2
