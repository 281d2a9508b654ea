"""Number columns as they come in at the border of the analysis: checked once, refused by name.

Not a reader of files, and no mathematics.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.errors import AnalysisError, DataError

Array = NDArray[np.float64]


def column(name: str, values: Any, *, at_least: int = 1) -> Array:
    """Give values as a one-dimensional array of floats.

    Parameters
    ----------
    name : str
        What the values are, for the message: ``"the voltage"``.
    values : array_like
        One-dimensional.
    at_least : int
        The fewest values that make sense.

    Raises
    ------
    DataError
        If they are no numbers, not one-dimensional, too few, or one is not finite; says which.
    """
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} holds values that are no numbers ({error})") from error
    if found.ndim != 1:
        raise DataError(f"{name} has the shape {found.shape}; one value per sample is needed")
    if len(found) < at_least:
        raise DataError(f"{name} has {len(found)} values; at least {at_least} are needed")
    wrong = np.flatnonzero(~np.isfinite(found))
    if len(wrong):
        raise DataError(f"{name} is not a finite number at sample {wrong[0] + 1} ({len(wrong)} such samples)")
    return found


def columns(at_least: int = 1, **named: Any) -> list[Array]:
    """Give columns of one table, which must be of equal length.

    Parameters
    ----------
    at_least : int
        The fewest samples that make sense.
    **named : array_like
        By the name that messages shall use; underscores become spaces.

    Raises
    ------
    DataError
        As :func:`column`, and if their lengths differ.
    """
    found = {name: column(f"the {name.replace('_', ' ')}", values, at_least=at_least) for name, values in named.items()}
    lengths = {len(values) for values in found.values()}
    if len(lengths) > 1:
        shown = ", ".join(f"{name.replace('_', ' ')} {len(values)}" for name, values in found.items())
        raise DataError(f"the columns differ in length ({shown}): they are not of one table")
    return list(found.values())


def record(time_s: Any, voltage_V: Any, current_A: Any, *, at_least: int = 2) -> tuple[Array, Array, Array]:
    """Give time, voltage and current of a record, with time that never goes back.

    Raises
    ------
    DataError
        As :func:`columns`, and if time goes back; says where.
    """
    time, voltage, current = columns(at_least, time=time_s, voltage=voltage_V, current=current_A)
    back = np.flatnonzero(np.diff(time) < 0)
    if len(back):
        raise DataError(
            f"time goes back at sample {back[0] + 2}, from {time[back[0]]:.6g} s to {time[back[0] + 1]:.6g} s",
            hint="give the samples in the order in which they were taken",
        )
    return time, voltage, current


def positive(**named: float) -> None:
    """Refuse numbers that are not finite and above zero.

    Raises
    ------
    AnalysisError
        With the name and the value.
    """
    for name, value in named.items():
        if not 0.0 < value < float("inf"):
            raise AnalysisError(f"the {name.replace('_', ' ')} must be a positive number, found {value}")


def fraction_window(name: str, window: tuple[float, float]) -> tuple[float, float]:
    """Refuse a window that does not lie within 0 to 1.

    Raises
    ------
    AnalysisError
        With the name and the window.
    """
    low, high = window
    if not 0.0 <= low < high <= 1.0:
        raise AnalysisError(f"the {name} must be two rising shares between 0 and 1, found {low} to {high}")
    return low, high


def charge(time: Array, current: Array) -> Array:
    """Give the charge in C that has passed since the first sample: the trapezoid rule, signed as the current."""
    pieces = 0.5 * np.diff(time) * (current[1:] + current[:-1])
    return np.concatenate(([0.0], np.cumsum(pieces)))


def noise(values: Array) -> float:
    """Give the standard deviation of white noise on a smooth curve, from its second differences.

    The median of the magnitudes over 0.6745 is robust against steps; a second difference of white noise has sqrt(6)
    times its deviation.
    """
    if len(values) < 5:
        return 0.0
    bends = np.abs(values[2:] - 2.0 * values[1:-1] + values[:-2])
    return float(np.median(bends)) / 0.6745 / math.sqrt(6.0)


def shown(values: Iterable[float], digits: int = 4) -> str:
    """Write a few numbers for a message."""
    return ", ".join(f"{value:.{digits}g}" for value in values)
