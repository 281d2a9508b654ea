"""From a spectrum to fractions with their standard deviations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.analysis.morphology.checks import (
    SpectrumLike,
    checked_start,
)
from labctl.analysis.morphology.line_fit import (
    Certainty,
    baseline_under,
    certainty,
    correlation_of,
    integral_weights,
    solve,
)
from labctl.analysis.morphology.model import Fractions, MorphologySettings, Phases
from labctl.analysis.morphology.prepared import Prepared, prepare
from labctl.analysis.morphology.remarks import at_bounds, remarks
from labctl.analysis.morphology.varpro import Optimum
from labctl.errors import AnalysisError

_Real = NDArray[np.float64]


def deconvolve(
    spectrum: SpectrumLike,
    *,
    soc: float | None = None,
    state: str = "charged",
    width_cap: float | None = None,
    noise_sd: float | None = None,
    noise_correlation: ArrayLike | None = None,
    line_kernel: Sequence[tuple[float, float]] | None = None,
    start: Sequence[Sequence[float]] | None = None,
    settings: MorphologySettings | None = None,
) -> Fractions:
    """Take the metal's signal apart into dense, mossy and dendritic lithium.

    Parameters
    ----------
    spectrum : object with ``ppm`` and ``intensity``
        Phased, referenced, baseline removed, such as :class:`labctl.analysis.nmr.Spectrum`.
    soc : float, optional
        State of charge of the NMC, 0 to 1, which the windows are moved for. 1 in the charged state; in any other it has
        to be said, since the windows hold for the charged state only.
    state : {"charged", "discharged", "dead"}
        State of the cell when the spectrum was taken.
    width_cap : float, optional
        Largest full width at half height, ppm, in place of that of ``settings``.
    noise_sd : float, optional
        Standard deviation of one point; without it ``spectrum.noise_sd``, and without that the residual's.
    noise_correlation : array of float, optional
        Autocorrelation of the noise at 0, 1, 2 ... points, for a spectrum that was filled with zeros; without it
        ``spectrum.noise_correlation``, and without that what the residual shows, which is too little where the points
        are few.
    line_kernel : sequence of (offset, weight), optional
        What the spectrum's apodisation makes of a line, where that is no Voigt line any more: copies of it, moved by
        offsets in ppm. cos² over an acquisition time T: ½ at 0 and ¼ at ±1/(2T). Without it ``spectrum.line_kernel``,
        and without that the line alone. Exponential and Gaussian apodisation need none.
    start : sequence of (centre, width, Lorentzian share), optional
        Where the search begins for each line, in place of the middle of the bounds.
    settings : MorphologySettings, optional
        Windows, range, baseline, and what the fractions are parts of.

    Raises
    ------
    DataError
        If the spectrum is no spectrum: shapes differ, values missing, shifts out of order, complex.
    AnalysisError
        If it does not cover the windows, shows no metal, is of a state whose state of charge nobody said, or a setting
        makes no sense.

    Notes
    -----
    The lines' areas follow from their shapes by non-negative least squares, the nine shape parameters are sought within
    their bounds (variable projection). Width of a Voigt line: f = 0.5346 f_L + sqrt(0.2166 f_L² + f_G²).
    """
    told = settings or MorphologySettings()
    if width_cap is not None:
        told = replace(told, width_cap_ppm=float(width_cap))
    prepared = prepare(spectrum, told, soc, state, noise_sd, noise_correlation, line_kernel)
    begin = None if start is None else checked_start(start)
    return read(prepared, solve(prepared.problem, begin))


def read(prepared: Prepared, best: Optimum) -> Fractions:
    """Turn an optimum into fractions with their standard deviations and flags."""
    problem, settings = prepared.problem, prepared.settings
    if not np.any(best.areas > 0.0):
        raise AnalysisError(
            "no metal line to take apart: the signal in the windows is not positive",
            hint="a pristine or empty cell has no morphology; of a charged cell look at the phase",
        )
    lines = problem.lines(best.parameters)
    base = baseline_under(problem, best)
    rest = problem.data - base - best.areas @ lines
    correlation = prepared.correlation if prepared.correlation is not None else correlation_of(rest)
    sure = certainty(problem, best, prepared.noise_sd, correlation)
    weights = integral_weights(problem.ppm)
    integral = float(weights @ (problem.data - base))
    _refuse_no_metal(prepared, best, sure)
    values, sd = _fractions(prepared, best, sure, float(weights @ rest))
    areas = best.areas * prepared.scale
    each = np.sqrt(np.diag(sure.covariance))
    shapes_sd = each[3:].reshape(3, 3)
    snr = float(np.max(best.areas @ lines)) / sure.noise_sd
    bounds = at_bounds(problem, best)
    flags = (*prepared.flags, *remarks(prepared, best, sure, snr, values, sd, bounds, correlation))
    return Fractions(
        dense=float(values[0]),
        mossy=float(values[1]),
        dendritic=float(values[2]),
        residual=float(values[3]),
        sd=_phases(sd),
        residual_sd=float(sd[3]),
        areas=_phases(areas),
        areas_sd=_phases(each[:3] * prepared.scale),
        positions_ppm=_phases(best.parameters[:, 0]),
        positions_sd_ppm=_phases(shapes_sd[:, 0]),
        fwhm_ppm=_phases(best.parameters[:, 1]),
        fwhm_sd_ppm=_phases(shapes_sd[:, 1]),
        lorentz_share=_phases(best.parameters[:, 2]),
        fit_sum=float(areas.sum()),
        data_integral=integral * prepared.scale,
        baseline=(float(base[0]) * prepared.scale, float(base[-1]) * prepared.scale),
        snr=snr,
        noise_sd=sure.noise_sd * prepared.scale,
        noise_from="residual" if prepared.noise_sd is None else "given",
        chi_square=sure.chi_square,
        state=prepared.state,
        soc=prepared.soc,
        windows_ppm=prepared.windows,
        line_kernel=problem.kernel,
        range_ppm=(float(problem.ppm[0]), float(problem.ppm[-1])),
        at_bound=bounds,
        evaluations=best.iterations,
        flags=flags,
        settings=settings,
    )


def _fractions(prepared: Prepared, best: Optimum, sure: Certainty, left: float) -> tuple[_Real, _Real]:
    """Give the three fractions and the residual's, and their standard deviations, by the law of propagation."""
    # What the lines add to the integral over the range, by each of the parameters.
    weights = integral_weights(prepared.problem.ppm)
    by_parameter = sure.jacobian @ weights
    count = len(by_parameter)
    by_areas = np.zeros((4, count))
    for line in range(3):
        by_areas[line, line] = 1.0
        if prepared.settings.relative_to == "data":
            own = [line, *range(3 + 3 * line, 6 + 3 * line)]
            by_areas[line, own] = by_parameter[own]
    by_left = 1.0 if prepared.settings.relative_to == "data" else 0.0
    by_total = by_areas.sum(axis=0)
    values = fractions_of(prepared.settings.relative_to, by_parameter[:3], best.areas, left)
    total = float(by_total[:3] @ best.areas) + by_left * left
    slopes = (by_areas - values[:, None] * by_total) / total
    of_left = (np.array([0.0, 0.0, 0.0, 1.0]) - values * by_left) / total
    variance = np.einsum("ij,jk,ik->i", slopes, sure.covariance, slopes) + (of_left * sure.residual_integral_sd) ** 2
    return values, np.sqrt(variance)


def fractions_of(relative_to: str, inside: _Real, areas: _Real, left: float) -> _Real:
    """Give the fractions of the three lines and of what is left.

    Parameters
    ----------
    inside : ndarray, shape (3,)
        Part of each line that lies in the range.
    areas : ndarray, shape (3,)
        Of the lines, tails and all.
    left : float
        Integral over the range of what no line takes up.
    """
    if relative_to == "data":
        parts = np.append(inside * areas, left)
        return np.asarray(parts / parts.sum(), dtype=np.float64)
    return np.asarray(np.append(areas, left) / areas.sum(), dtype=np.float64)


def _refuse_no_metal(prepared: Prepared, best: Optimum, sure: Certainty) -> None:
    total = float(best.areas.sum())
    sd = math.sqrt(float(sure.covariance[:3, :3].sum()))
    if total < prepared.settings.detection_sigma * sd:
        raise AnalysisError(
            f"no metal line to take apart: the lines' sum is {total * prepared.scale:.3g} ± {sd * prepared.scale:.2g}",
            hint="a pristine or empty cell has no morphology",
        )


def _phases(values: _Real) -> Phases[float]:
    return Phases(float(values[0]), float(values[1]), float(values[2]))
