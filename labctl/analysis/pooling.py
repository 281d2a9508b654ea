"""One conversion factor from those of many cells: a random-effects model, and each measurement drawn towards the mean.

k (mAh per unit of integral, per scan, receiver gain and calibrated pulse) should be the same for all cells and cycles.
Each measurement tells it with its own uncertainty. Cells differ by more than that, and so do the cycles of one cell: by
tuning and by how they sit in the probe.
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

#: Spreads over which a measurement's value is averaged: between cells alone, and of either kind for both.
_SPREADS: Final = 120
_SPREADS_OF_BOTH: Final = 30


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
        Drawn towards its cell and all cells by as much as its own uncertainty weighs against their spread, which is
        itself uncertain.
    weight : float
        What it keeps of itself, 0 to 1, on average.
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
        Confidence interval of the mean, by Student's t with the number of cells less 1.
    next_low, next_high : float or None
        Where the true value of a further cell is expected (prediction interval); None with two cells.
    spread : float
        Standard deviation between cells beyond the measurements' own uncertainties (tau, by REML).
    spread_high : float
        Upper 95 % limit of it: with few cells the spread is hardly known.
    within : float or None
        The same between the measurements of one cell; None where every cell was measured once, as then nothing tells
        one from the other.
    q, q_p : float
        Cochran's heterogeneity and the probability of a larger one if all were equal.
    cells : int
        Number of cells.
    measurements : tuple of Shrunk
        In the order given.
    confidence : float
        Of the intervals.
    flags : tuple of str
        What the number of cells cannot tell.
    """

    mean: float
    mean_sd: float
    low: float
    high: float
    next_low: float | None
    next_high: float | None
    spread: float
    spread_high: float
    within: float | None
    q: float
    q_p: float
    cells: int
    measurements: tuple[Shrunk, ...]
    confidence: float
    flags: tuple[str, ...] = ()


def pool(
    values: Any, sds: Any, *, names: Sequence[str] = (), cells: Sequence[str] = (), confidence: float = 0.95
) -> Pooled:
    """Pool measurements of one quantity on several cells.

    Parameters
    ----------
    values, sds : array_like
        Of each, with the standard deviation of its own measurement: noise, baseline, not what all share (f), which
        pooling does not average down.
    names : sequence of str
        Of the measurements.
    cells : sequence of str
        Which cell each is of; without it each is of a cell of its own.
    confidence : float
        Of the intervals.

    Raises
    ------
    DataError
        If the columns are not of one table.
    AnalysisError
        If there are fewer than two cells, or a standard deviation is not positive.

    Notes
    -----
    y_ci = μ + u_c + w_ci + e_ci with variances τ², ω² and s_ci². τ² and ω² by restricted maximum likelihood
    (Viechtbauer, J. Educ. Behav. Stat. 2005, 30, 261), which is less biased than the moment estimate of DerSimonian
    and Laird. The interval of μ after Hartung and Knapp (Stat. Med. 2001, 20, 1771), because with few cells the normal
    interval is too narrow; never narrower than that of the weights alone (Röver et al., BMC Med. Res. Methodol. 2015,
    15, 99). A measurement's own value is its best linear prediction y - s² V⁻¹(y - μ). With one best τ its standard
    deviation comes out too small, for eight cells by 30 to 40 %, so it is averaged over τ and ω by their restricted
    likelihood (flat priors; Röver, J. Stat. Softw. 2020, 93(6), 1).
    """
    from scipy.special import chdtrc

    y, s = columns(1, values=values, standard_deviations=sds)
    names = [names[i] if i < len(names) else f"measurement {i + 1}" for i in range(len(y))]
    if cells and len(cells) != len(y):
        raise AnalysisError(f"{len(y)} measurements and the cells of {len(cells)}: each needs its own")
    model = _Model(y, s, cells or names)
    if model.count < 2:
        raise AnalysisError("a pooled value needs measurements of at least two cells, found one")
    if np.any(s <= 0):
        index = int(np.argmin(s))
        raise AnalysisError(f"the standard deviation of {names[index]} is {s[index]:g}; it must be positive")
    tau, omega, step = model.grid()
    around = model.at(tau**2, omega**2)
    top = int(np.argmax(around.logarithm))
    tau2, omega2 = model.best(float(tau[top]), float(omega[top]))
    at = model.at(np.array([tau2]), np.array([omega2]))
    mean = float(at.mean[0])
    scatter = float(at.misfit[0]) / (len(y) - 1)
    mean_sd = math.sqrt(max(scatter, 1.0) / float(at.total[0]))
    half = quantile_t(confidence, model.count - 1) * mean_sd
    reach = None
    if model.count > 2:
        reach = quantile_t(confidence, model.count - 2) * math.sqrt(mean_sd**2 + tau2 + omega2)
    fixed = 1.0 / s**2
    q = float(fixed @ (y - float(fixed @ y) / float(fixed.sum())) ** 2)
    chance = np.exp(around.logarithm - around.logarithm[top]) * step
    chance /= chance.sum()
    order = np.argsort(tau, kind="stable")
    flags = [f"{model.count} cells: the spread between them is little more than a guess"] if model.count < 5 else []
    return Pooled(
        mean=mean,
        mean_sd=mean_sd,
        low=mean - half,
        high=mean + half,
        next_low=None if reach is None else mean - reach,
        next_high=None if reach is None else mean + reach,
        spread=math.sqrt(tau2),
        spread_high=float(np.interp(0.95, np.cumsum(chance[order]), tau[order])),
        within=math.sqrt(omega2) if model.repeated else None,
        q=q,
        q_p=float(chdtrc(len(y) - 1, q)),
        cells=model.count,
        measurements=_shrunk(model, around, chance, names),
        confidence=confidence,
        flags=tuple(flags),
    )


@dataclass(frozen=True, slots=True)
class _At:
    """The model at spreads along the first axis: mean, its weight, misfit, restricted likelihood, predictions."""

    mean: Array
    total: Array
    misfit: Array
    logarithm: Array
    value: Array
    variance: Array
    weight: Array


class _Model:
    """Measurements by cell; V is diagonal but for what the measurements of a cell share, so it is inverted by hand."""

    def __init__(self, y: Array, s: Array, cells: Sequence[str]) -> None:
        self.y, self.s = y, s
        known = {name: index for index, name in enumerate(dict.fromkeys(cells))}
        self.count = len(known)
        self.member = np.zeros((len(y), self.count))
        self.member[np.arange(len(y)), [known[name] for name in cells]] = 1.0
        self.repeated = self.count < len(y)
        self.scale = float(np.median(s)) + float(y.std())

    def at(self, tau2: Array, omega2: Array) -> _At:
        """Evaluate at variances between cells and within them."""
        if not self.repeated:
            # One measurement per cell: what the cell's would share is its own, and nothing cancels.
            tau2, omega2 = np.zeros_like(tau2), tau2 + omega2
        inverse = 1.0 / (self.s**2 + omega2[:, None])
        by_cell = inverse @ self.member
        shared = 1.0 / (1.0 + tau2[:, None] * by_cell)
        total = np.sum(by_cell * shared, axis=1)
        mean = np.sum(((inverse * self.y) @ self.member) * shared, axis=1) / total
        apart = self.y - mean[:, None]
        pull = (inverse * apart) @ self.member
        misfit = np.sum(inverse * apart**2, axis=1) - tau2 * np.sum(pull**2 * shared, axis=1)
        determinant = np.sum(np.log(inverse), axis=1) + np.sum(np.log(shared), axis=1)
        logarithm = 0.5 * (determinant - np.log(total) - misfit)
        spread_out = shared @ self.member.T
        residual = inverse * (apart - tau2[:, None] * ((pull * shared) @ self.member.T))
        diagonal = inverse - tau2[:, None] * inverse**2 * spread_out
        share = self.s**2 * inverse * spread_out
        variance = self.s**2 - self.s**4 * diagonal + share**2 / total[:, None]
        return _At(mean, total, misfit, logarithm, self.y - self.s**2 * residual, variance, 1.0 - self.s**2 * diagonal)

    def best(self, tau: float, omega: float) -> tuple[float, float]:
        """Find the variances of the largest restricted likelihood, from spreads near it."""
        from scipy.optimize import minimize, minimize_scalar

        unit = self.scale

        def misfit(free: Array) -> float:
            return -float(self.at(np.array([(free[0] * unit) ** 2]), np.array([(free[1] * unit) ** 2])).logarithm[0])

        if self.repeated:
            start = np.array([tau, omega]) / unit
            both = minimize(misfit, start, method="L-BFGS-B", bounds=[(0.0, None)] * 2, options={"ftol": 1e-12})
            return (float(both.x[0]) * unit) ** 2, (float(both.x[1]) * unit) ** 2
        found = minimize_scalar(
            lambda one: misfit(np.array([one, 0.0])),
            bounds=(0.0, 2.0 * tau / unit + 0.1), method="bounded", options={"xatol": 1e-6},
        )  # fmt: skip
        return (0.0, 0.0) if misfit(np.zeros(2)) <= found.fun else ((float(found.x) * unit) ** 2, 0.0)

    def grid(self) -> tuple[Array, Array, Array]:
        """Give spreads from 0 on, dense where the measurements' own deviations lie, and the step that each stands for.

        With two cells nothing bounds the spread: beyond fifty times the scale it is left out.
        """
        count = _SPREADS_OF_BOTH if self.repeated else _SPREADS
        part = (np.arange(count) + 0.5) / count
        one, step = self.scale * part / (1.0 - part), 1.0 / (1.0 - part) ** 2
        one, step = one[one < 50.0 * self.scale], step[one < 50.0 * self.scale]
        if not self.repeated:
            return one, np.zeros_like(one), step
        tau, omega = (axis.ravel() for axis in np.meshgrid(one, one, indexing="ij"))
        return tau, omega, np.outer(step, step).ravel()


def _shrunk(model: _Model, at: _At, chance: Array, names: Sequence[str]) -> tuple[Shrunk, ...]:
    """Give each measurement's value averaged over the spreads by their chance."""
    value = chance @ at.value
    sd = np.sqrt(chance @ (at.variance + (at.value - value) ** 2))
    weight = chance @ at.weight
    return tuple(
        Shrunk(name, *(float(one[index]) for one in (model.y, model.s, value, sd, weight)))
        for index, name in enumerate(names)
    )
