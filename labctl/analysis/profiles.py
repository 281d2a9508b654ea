"""Voltage against charge, on a common grid, and its derivatives: dQ/dV and dV/dQ with the smoothing said.

A derivative of a noisy record is a choice of smoothing. Here the choices are settings, and what they leave out is in
the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from labctl.analysis.arrays import Array, charge, columns, noise, positive, record
from labctl.errors import AnalysisError, DataError
from labctl.units import MAH


@dataclass(frozen=True, slots=True)
class Profile:
    """Voltage against the charge that has passed in a step.

    Attributes
    ----------
    capacity_mAh : ndarray
        Magnitude of the charge since the step's start, rising strictly.
    voltage_V : ndarray
        Samples at equal charge are averaged.
    """

    capacity_mAh: Array
    voltage_V: Array


def profile(time_s: Any, voltage_V: Any, current_A: Any) -> Profile:
    """Give the voltage curve of one step.

    Raises
    ------
    DataError
        If the columns are not of one table, or the charge goes back and forth.
    AnalysisError
        If no charge passed.
    """
    time, voltage, current = record(time_s, voltage_V, current_A)
    passed = charge(time, current)
    amount = np.abs(passed) / MAH
    if amount[-1] <= 0.0:
        raise AnalysisError("no charge passed in this step: there is no voltage curve")
    back = float(np.max(np.maximum.accumulate(amount) - amount))
    if back > 1e-3 * amount[-1]:
        raise DataError(f"the current turns round within the step and takes {back:.3g} mAh back", hint="give one step")
    amount = np.maximum.accumulate(amount)
    steps, index, count = np.unique(amount, return_inverse=True, return_counts=True)
    return Profile(steps, np.asarray(np.bincount(index, weights=voltage) / count))


@dataclass(frozen=True, slots=True)
class CommonProfiles:
    """Voltage curves of several steps on one grid of charge.

    Attributes
    ----------
    capacity_mAh : ndarray of shape (points,)
        From 0 to the largest capacity.
    voltage_V : ndarray of shape (steps, points)
        Not a number beyond a step's own end: nothing is extrapolated.
    """

    capacity_mAh: Array
    voltage_V: Array


def on_common_grid(profiles: Sequence[Profile], *, points: int = 401) -> CommonProfiles:
    """Bring voltage curves onto one grid of charge, by linear interpolation.

    Raises
    ------
    AnalysisError
        If there is no profile, or fewer than two points are asked for.
    """
    if not profiles or points < 2:
        raise AnalysisError(f"a common grid needs a profile and two points, found {len(profiles)} and {points}")
    grid = np.linspace(0.0, max(float(one.capacity_mAh[-1]) for one in profiles), points)
    curves = [
        np.interp(grid, one.capacity_mAh, one.voltage_V, left=np.nan, right=np.nan) for one in profiles
    ]  # fmt: skip
    return CommonProfiles(grid, np.stack(curves))


@dataclass(frozen=True, slots=True)
class DerivativeSettings:
    """How a derivative is smoothed.

    Attributes
    ----------
    step_V : float
        dQ/dV: charge is resampled at equal steps of voltage of this size.
    window_V : float
        dQ/dV: length of the Savitzky-Golay window.
    points : int
        dV/dQ: voltage is resampled at so many equal steps of charge.
    window : float
        dV/dQ: length of the Savitzky-Golay window as a share of the charge.
    order : int
        Of the polynomial in both.
    significance, turn_V : float
        dQ/dV: the voltage counts as going back where it does so by more than so many standard deviations of its
        noise, and by more than ``turn_V``, which stands for the instrument's resolution.
    """

    step_V: float = 2e-3
    window_V: float = 22e-3
    points: int = 501
    window: float = 0.03
    order: int = 2
    significance: float = 10.0
    turn_V: float = 1e-3


#: Windows of 22 mV and of 3 % of the charge.
DERIVATIVE: Final = DerivativeSettings()


@dataclass(frozen=True, slots=True)
class IncrementalCapacity:
    """dQ/dV of one step.

    Attributes
    ----------
    voltage_V : ndarray
        Equally spaced, rising.
    dQ_dV_mAh_per_V : ndarray
        Positive for charge and discharge.
    covered : float
        Share of the step's charge that lies in the evaluated part; the rest is where the voltage turns back, as
        around a nucleation tip.
    noise_V : float
        Standard deviation of the voltage's noise.
    settings : DerivativeSettings
        What was chosen.
    """

    voltage_V: Array
    dQ_dV_mAh_per_V: Array
    covered: float
    noise_V: float
    settings: DerivativeSettings


def incremental_capacity(
    capacity_mAh: Any, voltage_V: Any, *, settings: DerivativeSettings = DERIVATIVE
) -> IncrementalCapacity:
    """Differentiate charge by voltage.

    The part of the step is taken in which the voltage goes one way: noise is evened out by isotonic regression, and
    where the voltage turns back beyond its noise the step is cut; the piece with the most charge is evaluated. Then
    the charge is resampled at equal steps of voltage and differentiated by a Savitzky-Golay filter.

    Parameters
    ----------
    capacity_mAh, voltage_V : array_like
        A voltage curve, such as :func:`profile` gives.
    settings : DerivativeSettings
        The smoothing. A peak narrower than ``window_V`` comes out lower than it is.

    Raises
    ------
    DataError
        If the columns are not of one table or the charge goes back.
    AnalysisError
        If the evaluated part is shorter than the window, or the polynomial has no slope.

    Notes
    -----
    Isotonic regression: pool adjacent violators (scipy.optimize.isotonic_regression). Savitzky and Golay, Anal. Chem.
    1964, 36, 1627.
    """
    passed, voltage = _curve(capacity_mAh, voltage_V)
    positive(step_of_voltage=settings.step_V, window_of_voltage=settings.window_V)
    direction = 1.0 if _one_way(voltage) >= _one_way(-voltage) else -1.0
    deviation = noise(voltage)
    start, stop = _longest_one_way(passed, direction * voltage, max(settings.significance * deviation, settings.turn_V))
    rising, at = _levels(direction * voltage[start:stop], passed[start:stop])
    # The window counts points of the grid, and is odd.
    length = 2 * round(0.5 * settings.window_V / settings.step_V) + 1
    span = float(rising[-1] - rising[0])
    if length <= settings.order:
        raise AnalysisError(f"a window of {settings.window_V:g} V holds {length} steps of {settings.step_V:g} V: "
                            f"too few for a polynomial of order {settings.order}")  # fmt: skip
    if span < (length + 1) * settings.step_V:
        raise AnalysisError(
            f"the voltage moves one way over {1e3 * span:.3g} mV only; the smoothing window is "
            f"{1e3 * settings.window_V:.3g} mV",
            hint="a flat curve needs a smaller window, or has no dQ/dV",
        )
    edges = rising[0] + settings.step_V * np.arange(int(span / settings.step_V) + 1)
    grid = 0.5 * (edges[1:] + edges[:-1])
    slope = _slope(_cell_means(edges, rising, at), length, settings.order, settings.step_V)
    order = slice(None) if direction > 0 else slice(None, None, -1)
    covered = float(passed[stop - 1] - passed[start]) / float(passed[-1] - passed[0])
    return IncrementalCapacity((direction * grid)[order], slope[order], covered, deviation, settings)


@dataclass(frozen=True, slots=True)
class DifferentialVoltage:
    """dV/dQ of one step: ``capacity_mAh`` equally spaced, ``dV_dQ_V_per_mAh`` signed, and what was chosen."""

    capacity_mAh: Array
    dV_dQ_V_per_mAh: Array
    settings: DerivativeSettings


def differential_voltage(
    capacity_mAh: Any, voltage_V: Any, *, settings: DerivativeSettings = DERIVATIVE
) -> DifferentialVoltage:
    """Differentiate voltage by charge: resampled at equal steps of charge, then a Savitzky-Golay filter.

    Raises
    ------
    DataError
        If the columns are not of one table or the charge goes back.
    AnalysisError
        If the window is too short for the polynomial or longer than the step, or the polynomial has no slope.
    """
    passed, voltage = _curve(capacity_mAh, voltage_V)
    length = 2 * round(0.5 * settings.window * settings.points) + 1
    if not settings.order < length <= settings.points:
        raise AnalysisError(f"a window of {settings.window:g} of the charge holds {length} of {settings.points} "
                            f"points; more than {settings.order} are needed")  # fmt: skip
    edges = np.linspace(passed[0], passed[-1], settings.points + 1)
    passed, index, count = np.unique(passed, return_inverse=True, return_counts=True)
    means = _cell_means(edges, passed, np.bincount(index, weights=voltage) / count)
    slope = _slope(means, length, settings.order, float(edges[1] - edges[0]))
    return DifferentialVoltage(0.5 * (edges[1:] + edges[:-1]), slope, settings)


def _curve(capacity_mAh: Any, voltage_V: Any) -> tuple[Array, Array]:
    passed, voltage = columns(10, capacity=capacity_mAh, voltage=voltage_V)
    back = np.flatnonzero(np.diff(passed) < 0)
    if len(back) or passed[-1] <= passed[0]:
        where = f"at sample {back[0] + 2}" if len(back) else "nowhere rises"
        raise DataError(f"the charge goes back or stands still ({where})", hint="give its magnitude within one step")
    return passed, voltage


def _one_way(voltage: Array) -> float:
    """How far the voltage rises between the quartiles of the samples: the start's transients do not count."""
    quarter = len(voltage) // 4
    return float(np.median(voltage[-quarter:]) - np.median(voltage[:quarter]))


def _longest_one_way(passed: Array, rising: Array, tolerance: float) -> tuple[int, int]:
    """Find the piece with the most charge in which the curve rises, going back by no more than the tolerance."""
    pieces: list[tuple[int, int]] = []
    start, turn, up = 0, 0, True
    values: list[float] = rising.tolist()
    for index, value in enumerate(values):
        beyond = value - values[turn] if up else values[turn] - value
        if beyond >= 0.0:
            turn = index
        elif -beyond > tolerance:
            if up:
                pieces.append((start, turn + 1))
            start, turn, up = turn, index, not up
    if up:
        pieces.append((start, turn + 1))
    return max(pieces, key=lambda piece: float(passed[piece[1] - 1] - passed[piece[0]]), default=(0, 1))


def _levels(rising: Array, passed: Array) -> tuple[Array, Array]:
    """Give the levels of an isotonic curve through the voltage, strictly rising, and the mean charge at each."""
    from scipy.optimize import isotonic_regression

    levels, index, count = np.unique(isotonic_regression(rising).x, return_inverse=True, return_counts=True)
    return levels, np.asarray(np.bincount(index, weights=passed) / count)


def _slope(values: Array, length: int, order: int, step: float) -> Array:
    """Differentiate by a Savitzky-Golay filter; at the ends by the polynomials through the first and last window."""
    # scipy.signal has it, and takes a second to load.
    if order < 1:
        raise AnalysisError(f"a derivative needs a polynomial of order 1 at least, found {order}")
    half = length // 2
    place = np.arange(-half, half + 1, dtype=np.float64)
    fit = np.linalg.pinv(np.vander(place, order + 1, increasing=True))
    inside = np.lib.stride_tricks.sliding_window_view(values, length) @ fit[1]
    powers = np.arange(1, order + 1)

    def along(window: Array, where: Array) -> Array:
        return np.asarray((where[:, None] ** (powers - 1) * powers) @ (fit @ window)[1:])

    first, last = along(values[:length], place[:half]), along(values[-length:], place[half + 1 :])
    return np.concatenate((first, inside, last)) / step


def _cell_means(edges: Array, x: Array, y: Array) -> Array:
    """Average y over cells of x: nothing of a dense record is lost, and a sparse one is interpolated."""
    # Between samples the area is a parabola: the edges become samples first.
    merged = np.union1d(x, edges)
    inner = np.interp(merged, x, y)
    area = np.concatenate(([0.0], np.cumsum(0.5 * np.diff(merged) * (inner[1:] + inner[:-1]))))
    return np.asarray(np.diff(np.interp(edges, merged, area)) / np.diff(edges))
