"""A spectrum made ready for its deconvolution: checked, cut to the range, scaled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.analysis.morphology import voigt
from labctl.analysis.morphology.checks import (
    SpectrumLike,
    check_settings,
    checked_arrays,
    checked_correlation,
    checked_kernel,
    checked_soc,
)
from labctl.analysis.morphology.line_fit import Problem
from labctl.analysis.morphology.model import BASELINES, MorphologySettings, Phases, Window
from labctl.errors import AnalysisError, DataError

_Real = NDArray[np.float64]

_PARAMETERS: Final = 12


@dataclass(frozen=True, slots=True)
class Prepared:
    """A spectrum cut to the range and scaled to a height of 1."""

    problem: Problem
    scale: float
    noise_sd: float | None
    correlation: _Real | None
    state: str
    soc: float
    windows: Phases[Window]
    settings: MorphologySettings
    flags: tuple[str, ...]


def prepare(
    spectrum: SpectrumLike,
    settings: MorphologySettings,
    soc: float | None = None,
    state: str = "charged",
    noise_sd: float | None = None,
    noise_correlation: ArrayLike | None = None,
    line_kernel: Sequence[tuple[float, float]] | None = None,
) -> Prepared:
    """Check a spectrum and what was told, and cut it to the range of the fit."""
    check_settings(settings)
    soc = checked_soc(soc, state)
    ppm, intensity = checked_arrays(spectrum)
    shift = settings.shift_ppm_per_soc * (1.0 - soc)
    windows = Phases(*((low + shift, high + shift) for low, high in settings.windows_ppm))
    edges = [edge for window in windows for edge in window]
    if ppm[0] > min(edges) or ppm[-1] < max(edges):
        raise AnalysisError(
            f"the spectrum covers {ppm[0]:.1f} to {ppm[-1]:.1f} ppm, the windows of the deposits lie from "
            f"{min(edges):.1f} to {max(edges):.1f} ppm",
            hint="hand in the whole metal region",
        )
    low, high = settings.range_ppm[0] + shift, settings.range_ppm[1] + shift
    inside = (ppm >= low) & (ppm <= high)
    order = BASELINES[settings.baseline]
    fewest = 2 * _PARAMETERS
    if np.count_nonzero(inside) < fewest:
        raise AnalysisError(
            f"{np.count_nonzero(inside)} points between {low:.1f} and {high:.1f} ppm do not tell {_PARAMETERS} "
            f"parameters; at least {fewest} are needed"
        )
    flags = []
    step = (ppm[-1] - ppm[0]) / (len(ppm) - 1)
    if ppm[0] > low + 2 * step or ppm[-1] < high - 2 * step:
        flags.append(f"the spectrum ends inside the range of {low:.1f} to {high:.1f} ppm")
    x, y = ppm[inside], intensity[inside]
    scale = float(np.max(np.abs(y)))
    if scale == 0.0:
        raise AnalysisError("the spectrum is zero everywhere in the metal's range")
    given = noise_sd if noise_sd is not None else getattr(spectrum, "noise_sd", None)
    if given is not None and not (math.isfinite(given) and given > 0.0):
        raise DataError(f"a noise of {given!r} was given; a standard deviation above 0 is needed, or none")
    told = noise_correlation if noise_correlation is not None else getattr(spectrum, "noise_correlation", None)
    copies = line_kernel if line_kernel is not None else getattr(spectrum, "line_kernel", None)
    kernel = ((0.0, 1.0),) if copies is None else checked_kernel(copies)
    bounds = [[edge, settings.width_floor_ppm, 0.0] for edge, _ in windows]
    caps = [[edge, settings.width_cap_ppm, voigt.LARGEST_LORENTZ_SHARE] for _, edge in windows]
    return Prepared(
        problem=Problem(x, y / scale, np.array(bounds), np.array(caps), order, kernel),
        scale=scale,
        noise_sd=None if given is None else float(given) / scale,
        correlation=None if told is None else checked_correlation(told, x),
        state=state,
        soc=soc,
        windows=windows,
        settings=settings,
        flags=tuple(flags),
    )
