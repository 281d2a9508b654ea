"""How far a deconvolution can be trusted: against its noise by resampling, against its model by changing it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.morphology.checks import SpectrumLike
from labctl.analysis.morphology.deconvolution import deconvolve, fractions_of, read
from labctl.analysis.morphology.line_fit import baseline_under, correlation_of, integral_weights, solve
from labctl.analysis.morphology.model import Fractions, MorphologySettings, Phases
from labctl.analysis.morphology.prepared import Prepared, prepare
from labctl.analysis.morphology.varpro import Optimum
from labctl.errors import AnalysisError

_Real = NDArray[np.float64]

_FEWEST: Final = 20


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Fractions of spectra made anew from the fitted lines and noise.

    Attributes
    ----------
    mean, sd : Phases of float
        Of the fractions, 0 to 1.
    low, high : Phases of float
        Ends of the interval that holds ``level`` of them.
    level : float
        Such as 0.95.
    count, seed : int
        How many, and what their noise was drawn with.
    kind : {"noise", "residual"}
        Whether noise was drawn from a normal distribution or the residuals were drawn in blocks.
    """

    mean: Phases[float]
    sd: Phases[float]
    low: Phases[float]
    high: Phases[float]
    level: float
    count: int
    seed: int
    kind: Literal["noise", "residual"]


@dataclass(frozen=True, slots=True)
class Variation:
    """What the fractions would have been with another choice.

    Attributes
    ----------
    choice : str
        Such as ``windows +1 ppm``.
    fractions, change : Phases of float
        The fractions, and by how much they differ from those with the choice as it was.
    """

    choice: str
    fractions: Phases[float]
    change: Phases[float]


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How the fractions depend on windows and width cap.

    Attributes
    ----------
    nominal : Fractions
        With the choices as they were.
    variations : tuple of Variation
        One for each choice in each direction.
    largest : Phases of float
        Largest change of each fraction by windows or cap, without sign: to be printed beside the standard deviation,
        not added to it.
    phase : Phases of float
        Largest change of each fraction, without sign, if the phase of the spectrum were off by ``phase_deg``.
    phase_deg : float
        Such as 1.
    """

    nominal: Fractions
    variations: tuple[Variation, ...]
    largest: Phases[float]
    phase: Phases[float]
    phase_deg: float


def bootstrap(
    spectrum: SpectrumLike,
    *,
    count: int = 200,
    seed: int = 0,
    kind: Literal["noise", "residual"] = "noise",
    level: float = 0.95,
    settings: MorphologySettings | None = None,
    **told: Any,
) -> Bootstrap:
    """Deconvolve spectra made of the fitted lines and new noise.

    Parameters
    ----------
    spectrum, settings, **told
        As for :func:`deconvolve`.
    count : int
        How many spectra; at least 20.
    seed : int
        The same seed gives the same result.
    kind : {"noise", "residual"}
        Normally distributed noise of the standard deviation and autocorrelation of the spectrum's, or the fit's
        residuals in blocks drawn with replacement, which keeps whatever the noise is like but misses what the fit has
        taken up of it.
    level : float
        Which part of the fractions the interval holds.

    Raises
    ------
    DataError, AnalysisError
        As :func:`deconvolve`, or if there are too few spectra.
    """
    if count < _FEWEST:
        raise AnalysisError(f"{count} spectra tell no spread", hint=f"at least {_FEWEST}, better 200")
    if kind not in ("noise", "residual"):
        raise AnalysisError(f"no bootstrap of {kind!r}", hint="known are noise, residual")
    if not 0.0 < level < 1.0:
        raise AnalysisError(f"an interval of {level!r} was asked for", hint="between 0 and 1, such as 0.95")
    nominal = deconvolve(spectrum, settings=settings, **told)
    prepared, best = _again(spectrum, nominal, told)
    problem = prepared.problem
    model = best.areas @ problem.lines(best.parameters) + baseline_under(problem, best)
    residual = problem.data - model
    correlation = prepared.correlation if prepared.correlation is not None else correlation_of(residual)
    sd = nominal.noise_sd * max(1.0, nominal.chi_square) ** 0.5 / prepared.scale
    weights = integral_weights(problem.ppm)
    generator = np.random.default_rng(seed)
    block = max(1, 2 * len(correlation))
    found = []
    for _ in range(count):
        if kind == "noise":
            noise = _correlated(sd, correlation, len(model), generator)
        else:
            noise = _blocks(residual, block, generator)
        again = replace(problem, data=model + noise)
        other = solve(again, best.parameters)
        lines = problem.lines(other.parameters)
        left = float(weights @ (again.data - baseline_under(again, other) - other.areas @ lines))
        found.append(fractions_of(nominal.settings.relative_to, lines @ weights, other.areas, left)[:3])
    drawn = np.array(found)
    ends = np.quantile(drawn, [0.5 - 0.5 * level, 0.5 + 0.5 * level], axis=0)
    return Bootstrap(
        mean=_phases(drawn.mean(axis=0)),
        sd=_phases(drawn.std(axis=0, ddof=1)),
        low=_phases(ends[0]),
        high=_phases(ends[1]),
        level=level,
        count=count,
        seed=seed,
        kind=kind,
    )


def sensitivity(
    spectrum: SpectrumLike,
    *,
    window_shift_ppm: float = 1.0,
    cap_change: float = 0.2,
    phase_deg: float = 1.0,
    settings: MorphologySettings | None = None,
    **told: Any,
) -> Sensitivity:
    """Deconvolve with the windows moved up and down, a wider and a narrower width cap, and another phase.

    Parameters
    ----------
    spectrum, settings, **told
        As for :func:`deconvolve`.
    window_shift_ppm : float
        By how much all windows are moved together, ppm.
    cap_change : float
        By which part the width cap is changed.
    phase_deg : float
        By how many degrees the spectrum's phase is changed, with the dispersion of the fitted lines: the shoulder of a
        line that is not in phase looks like a deposit.

    Raises
    ------
    DataError, AnalysisError
        As :func:`deconvolve`.
    """
    nominal = deconvolve(spectrum, settings=settings, **told)
    used = nominal.settings
    told = {key: value for key, value in told.items() if key != "width_cap"}
    choices = []
    for step in (window_shift_ppm, -window_shift_ppm):
        moved = Phases(*((low + step, high + step) for low, high in used.windows_ppm))
        choices.append((f"windows {step:+g} ppm", replace(used, windows_ppm=moved)))
    for part in (cap_change, -cap_change):
        cap = used.width_cap_ppm * (1.0 + part)
        choices.append((f"width cap {100 * part:+g} %", replace(used, width_cap_ppm=cap)))
    reference = np.array(nominal.fractions)
    variations = []
    for name, changed in choices:
        other = deconvolve(spectrum, settings=changed, **told).fractions
        variations.append(Variation(name, other, _phases(np.array(other) - reference)))
    largest = np.max(np.abs([variation.change for variation in variations]), axis=0)
    prepared, best = _again(spectrum, nominal, told)
    tilted = math.radians(phase_deg) * (best.areas @ prepared.problem.dispersion(best.parameters))
    turned = []
    for sign in (1.0, -1.0):
        problem = replace(prepared.problem, data=prepared.problem.data + sign * tilted)
        found = read(replace(prepared, problem=problem), solve(problem, best.parameters))
        turned.append(np.abs(np.array(found.fractions) - reference))
    return Sensitivity(nominal, tuple(variations), _phases(largest), _phases(np.max(turned, axis=0)), float(phase_deg))


def _again(spectrum: SpectrumLike, nominal: Fractions, told: dict[str, Any]) -> tuple[Prepared, Optimum]:
    """Give the problem behind a result, and its optimum."""
    told = {name: value for name, value in told.items() if name not in ("width_cap", "start")}
    prepared = prepare(spectrum, nominal.settings, **told)
    places = np.column_stack([nominal.positions_ppm, nominal.fwhm_ppm, nominal.lorentz_share])
    return prepared, solve(prepared.problem, places)


def _correlated(sd: float, correlation: _Real, count: int, generator: np.random.Generator) -> _Real:
    """Draw stationary noise of the given autocorrelation, by its power spectrum on a circle twice as long."""
    white = generator.standard_normal(2 * count)
    if len(correlation) < 2:
        return np.asarray(sd * white[:count], dtype=np.float64)
    circle = np.zeros(2 * count)
    kept = correlation[:count]
    circle[: len(kept)] = kept
    circle[len(circle) - len(kept) + 1 :] = kept[:0:-1]
    power = np.maximum(np.fft.rfft(circle).real, 0.0)
    noise = np.fft.irfft(np.fft.rfft(white) * np.sqrt(power), 2 * count)[:count]
    return np.asarray(sd * noise, dtype=np.float64)


def _blocks(residual: _Real, length: int, generator: np.random.Generator) -> _Real:
    """Draw blocks of the residual, which is taken as a circle, until there are enough points."""
    count = len(residual)
    starts = generator.integers(0, count, size=-(-count // length))
    index = (starts[:, None] + np.arange(length)).ravel()[:count] % count
    return np.asarray(residual[index], dtype=np.float64)


def _phases(values: _Real) -> Phases[float]:
    return Phases(float(values[0]), float(values[1]), float(values[2]))
