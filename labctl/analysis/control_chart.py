"""A control chart of single values: which measurement is out, and by which rule.

For k, the mAh per unit of integral, which no cell and no cycle should change; for the electrolyte's line, for B1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from labctl.analysis.arrays import Array, column, positive
from labctl.errors import AnalysisError, DataError

#: A range of two normal values is this many standard deviations on average (d2 for n = 2, 2/sqrt(pi)), and in the
#: median.
_MEAN_RANGE: Final = 2.0 / math.sqrt(math.pi)
_MEDIAN_RANGE: Final = 0.9538725524089
#: The upper limit of a range of two, in mean ranges (D4 for n = 2): 1 + 3 d3/d2 with d3 = 0.8525.
_RANGE_LIMIT: Final = 1.0 + 3.0 * 0.852502466 / _MEAN_RANGE
#: Fewer values than this fix no limits.
_ENOUGH: Final = 8

Estimate = Literal["mean", "median"]


@dataclass(frozen=True, slots=True)
class Out:
    """A value that is out.

    Attributes
    ----------
    index, name, value : int, str, float
        Which.
    deviation : float
        Distance from the centre in standard deviations.
    reason : str
        The rule that it breaks, in words.
    warning : bool
        Whether it is between the 2 and 3 sigma limits only.
    """

    index: int
    name: str
    value: float
    deviation: float
    reason: str
    warning: bool


@dataclass(frozen=True, slots=True)
class ControlChart:
    """The chart.

    Attributes
    ----------
    centre, sigma : float
        Middle line, and standard deviation from the moving ranges.
    warning_limits, action_limits : tuple of float
        At 2 and at 3 standard deviations.
    range_limit : float
        Upper limit of a moving range.
    moving_ranges : tuple of float
        Between neighbours.
    out : tuple of Out
        In the order of the values; one value may break several rules.
    baseline : int
        How many values, from the first on, fix centre and standard deviation.
    estimate : str
        ``mean`` or ``median``.
    flags : tuple of str
        Limits from too few values.
    """

    centre: float
    sigma: float
    warning_limits: tuple[float, float]
    action_limits: tuple[float, float]
    range_limit: float
    moving_ranges: tuple[float, ...]
    out: tuple[Out, ...]
    baseline: int
    estimate: str
    flags: tuple[str, ...] = ()

    @property
    def in_control(self) -> bool:
        """Whether no value breaks a rule; warnings don't count."""
        return all(one.warning for one in self.out)


def chart(
    values: Any,
    *,
    names: Sequence[str] = (),
    sds: Any = None,
    baseline: int | None = None,
    centre: float | None = None,
    estimate: Estimate = "mean",
    run: int = 8,
) -> ControlChart:
    """Draw up the chart of individual values and moving ranges.

    Parameters
    ----------
    values : array_like
        In the order in which they were measured.
    names : sequence of str
        Of the measurements.
    sds : array_like, optional
        Standard deviation of each measurement itself; where that alone may explain why a value is out, it is said.
    baseline : int, optional
        So many values from the first on fix the limits; all without it.
    centre : float, optional
        A middle line from elsewhere, as the k of a standard of known lithium.
    estimate : str
        ``mean`` of the baseline's values and ranges, or ``median``, which an outlier within the baseline does not
        move.
    run : int
        So many values in a row on one side of the centre are a shift.

    Raises
    ------
    DataError
        If a value is no number, or a standard deviation is missing.
    AnalysisError
        If there are fewer than three values in the baseline, or they do not differ at all.

    Notes
    -----
    Shewhart's chart with limits from the moving range of two, sigma = mean range/1.128 (ISO 7870-2). Rules, after
    Western Electric's: one value beyond 3 sigma; two of three in a row beyond 2 sigma on one side; ``run`` in a row on
    one side; a range beyond its limit. A value beyond 2 sigma alone is a warning: one in 22 good ones is.
    """
    y = column("the column of values", values, at_least=3)
    own = np.zeros(len(y)) if sds is None else column("the column of standard deviations", sds)
    if len(own) != len(y):
        raise DataError(f"{len(y)} values and {len(own)} standard deviations: each value needs its own")
    fixed = len(y) if baseline is None else baseline
    if estimate not in ("mean", "median"):
        raise AnalysisError(f"the estimate '{estimate}' is unknown", hint="one of: mean, median")
    if not 3 <= fixed <= len(y) or run < 2:
        raise AnalysisError(f"a chart of {len(y)} values can't have a baseline of {fixed} values and runs of {run}",
                            hint="a baseline has three values or more")  # fmt: skip
    ranges = np.abs(np.diff(y))
    early = ranges[: fixed - 1]
    sigma = float(early.mean()) / _MEAN_RANGE if estimate == "mean" else float(np.median(early)) / _MEDIAN_RANGE
    middle = centre if centre is not None else float(y[:fixed].mean() if estimate == "mean" else np.median(y[:fixed]))
    if sigma <= 1e-13 * abs(middle):
        raise AnalysisError("the values of the baseline do not differ: they fix no limits",
                            hint="are they one measurement, repeated?")  # fmt: skip
    positive(standard_deviation=sigma)
    limit = _RANGE_LIMIT * sigma * _MEAN_RANGE
    flags = []
    if fixed < _ENOUGH:
        flags.append(f"limits from {fixed} values are provisional: {_ENOUGH} or more fix them")
    return ControlChart(
        centre=middle,
        sigma=sigma,
        warning_limits=(middle - 2.0 * sigma, middle + 2.0 * sigma),
        action_limits=(middle - 3.0 * sigma, middle + 3.0 * sigma),
        range_limit=limit,
        moving_ranges=tuple(ranges.tolist()),
        out=tuple(_judged(y, (y - middle) / sigma, own / sigma, ranges, limit, names, run)),
        baseline=fixed,
        estimate=estimate,
        flags=tuple(flags),
    )


def _judged(y: Array, z: Array, own: Array, ranges: Array, limit: float, names: Sequence[str], run: int) -> list[Out]:
    found = []
    side = np.sign(z)
    for index, value in enumerate(z.tolist()):
        name = names[index] if index < len(names) else f"value {index + 1}"
        where = "above" if value > 0 else "below"
        reasons = []
        if abs(value) > 3.0:
            reasons.append(f"{abs(value):.1f} sigma {where} the centre, beyond 3")
        last = z[max(0, index - 2) : index + 1] * side[index]
        if abs(value) > 2.0 and int(np.sum(last > 2.0)) >= 2:
            reasons.append(f"two of three in a row lie more than 2 sigma {where} the centre")
        if index + 1 >= run and side[index] != 0 and np.all(side[index + 1 - run : index + 1] == side[index]):
            reasons.append(f"{run} in a row lie {where} the centre: a shift")
        if index and ranges[index - 1] > limit:
            reasons.append(f"a step of {ranges[index - 1]:.3g} from the value before it, beyond {limit:.3g}")
        warning = not reasons
        if warning and abs(value) > 2.0:
            reasons.append(f"{abs(value):.1f} sigma {where} the centre, beyond 2")
        if own[index] > 1.0 and abs(value) < 3.0 * own[index]:
            reasons = [f"{one}; its own standard deviation is {own[index]:.1f} sigma" for one in reasons]
        found += [Out(index, name, float(y[index]), value, reason, warning) for reason in reasons]
    return found
