"""What a few cells can tell: mean and spread, comparison of two groups.

Replicates here are two to five cells. The functions say how little that is. Rates over cycles are in ``loss_rates``,
planning is in ``design``, the conversion factor of all cells in ``pooling`` and ``control_chart``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from labctl.analysis.arrays import column
from labctl.errors import AnalysisError

#: Cells in the smaller group below which unequal spreads upset the test.
_FEW: Final = 4


@dataclass(frozen=True, slots=True)
class Summary:
    """Replicates in three numbers.

    Attributes
    ----------
    mean : float
        Arithmetic.
    sd : float or None
        Sample standard deviation, with n - 1; None for a single value.
    n : int
        Number of cells.
    """

    mean: float
    sd: float | None
    n: int

    def interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        """Give the confidence interval of the mean by Student's t; None for a single value."""
        if self.sd is None:
            return None
        half = quantile_t(confidence, self.n - 1) * self.sd / math.sqrt(self.n)
        return self.mean - half, self.mean + half

    def __str__(self) -> str:
        return f"{self.mean:.4g} (n = 1)" if self.sd is None else f"{self.mean:.4g} ± {self.sd:.2g} (n = {self.n})"


def quantile_t(confidence: float, df: float) -> float:
    """Give the two-sided quantile of Student's t.

    Raises
    ------
    AnalysisError
        If the confidence does not lie between 0 and 1.
    """
    from scipy.special import stdtrit

    if not 0.0 < confidence < 1.0:
        raise AnalysisError(f"the confidence must lie between 0 and 1, found {confidence}")
    return float(stdtrit(df, 0.5 + 0.5 * confidence))


def probability_t(t: float, df: float) -> float:
    """Give the two-sided probability of a value of Student's t as far from zero as this."""
    # scipy.special, not scipy.stats: the latter takes a second and a half to load.
    from scipy.special import stdtr

    return 2.0 * float(stdtr(df, -abs(t)))


def summary(values: Any) -> Summary:
    """Summarise replicates.

    Raises
    ------
    DataError
        If there are none, or one is no number.
    """
    found = column("the column of replicates", values)
    return Summary(float(found.mean()), float(found.std(ddof=1)) if len(found) > 1 else None, len(found))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two groups against each other.

    Attributes
    ----------
    first, second : Summary
        The groups.
    difference, standard_error : float
        Second less first.
    low, high : float
        Its confidence interval.
    t, df, p : float
        Welch's statistic, its degrees of freedom (Satterthwaite), and the two-sided probability of a larger one if
        there were no difference.
    confidence : float
        Of the interval; 1 less the significance level.
    significant : bool
        Whether p lies below that level.
    sentence : str
        What may be said, in words.
    """

    first: Summary
    second: Summary
    difference: float
    standard_error: float
    low: float
    high: float
    t: float
    df: float
    p: float
    confidence: float
    significant: bool
    sentence: str


def compare(
    first: Any, second: Any, *, names: tuple[str, str] = ("first", "second"), confidence: float = 0.95
) -> Comparison:
    """Compare the cells of two groups by Welch's t test.

    Parameters
    ----------
    first, second : array_like or Summary
        One value per cell, or what a paper gives of them.
    names : tuple of str
        Of the groups, for the sentence.
    confidence : float
        Of the interval.

    Raises
    ------
    DataError
        If a value is no number.
    AnalysisError
        If a group has fewer than two cells, or neither shows any spread: then there is nothing to judge by.

    Notes
    -----
    t = (m2 - m1)/sqrt(s1²/n1 + s2²/n2), degrees of freedom after Welch (Biometrika 1947, 34, 28) and Satterthwaite
    (Biometrics Bull. 1946, 2, 110). Standard deviations that all cells share, as that of the SOC factor, are not in
    it and are not averaged down. One comparison is judged; for several see :func:`adjusted`. With two cells in each
    group the test errs on the careful side (2 % false alarms instead of 5 % for equal spreads); with two cells of a
    wide spread against four or five of a narrow one it alarms twice as often as it says (10 %).
    """
    a, b = (one if isinstance(one, Summary) else summary(one) for one in (first, second))
    if a.sd is None or b.sd is None or min(a.n, b.n) < 2:
        raise AnalysisError(
            f"a comparison needs two cells in each group, found {a.n} ({names[0]}) and {b.n} ({names[1]})",
            hint="one cell tells nothing of the spread",
        )
    parts = a.sd**2 / a.n, b.sd**2 / b.n
    error = math.sqrt(sum(parts))
    if error <= 1e-12 * max(abs(a.mean), abs(b.mean)):
        raise AnalysisError("neither group shows any spread: these are not independent measurements of cells")
    df = sum(parts) ** 2 / (parts[0] ** 2 / (a.n - 1) + parts[1] ** 2 / (b.n - 1))
    difference = b.mean - a.mean
    statistic = difference / error
    p = probability_t(statistic, df)
    half = quantile_t(confidence, df) * error
    significant = p < 1.0 - confidence
    sentence = (
        f"{names[1]} {b} against {names[0]} {a}: a difference of {difference:.3g}, {confidence:.0%} interval "
        f"{difference - half:.3g} to {difference + half:.3g} (Welch t = {statistic:.2f}, df = {df:.2f}, p = {p:.2g}); "
    )
    if significant:
        sentence += "such a difference is unlikely without a cause"
    else:
        sentence += (
            "the cells do not show that the groups differ, nor that they are equal: "
            f"a difference up to {max(abs(difference - half), abs(difference + half)):.2g} fits them too"
        )
    few, many = sorted((a, b), key=lambda one: one.n)
    if few.n < many.n and few.n < _FEW and (few.sd or 0.0) > (many.sd or 0.0):
        sentence += ". The smaller group has the wider spread: the test then alarms up to twice as often as it says"
    if few.n == 2:
        sentence += ". A standard deviation of two cells is itself uncertain by 60 %"
    return Comparison(a, b, difference, error, difference - half, difference + half, statistic, df, p, confidence,
                      significant, sentence)  # fmt: skip


def adjusted(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust the probabilities of several comparisons so that all of them together keep the level.

    Notes
    -----
    Holm, Scand. J. Statist. 1979, 6, 65.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    found, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        found[index] = largest
    return tuple(found)
