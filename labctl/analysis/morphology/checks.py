"""What a deconvolution is handed, and what of it is refused in which words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.analysis.morphology.model import BASELINES, MorphologySettings
from labctl.analysis.morphology.voigt import Kernel
from labctl.errors import AnalysisError, DataError

_Real = NDArray[np.float64]

STATES: Final = ("charged", "discharged", "dead")


class SpectrumLike(Protocol):
    """Anything with shifts and intensities.

    ``noise_sd``, ``noise_correlation`` and ``line_kernel`` are used where it has them: ``deconvolve`` explains them.
    """

    @property
    def ppm(self) -> Any:
        """Shifts against LiCl, ascending or descending."""

    @property
    def intensity(self) -> Any:
        """Real part of the phased spectrum, per ppm or in any other unit."""


def checked_soc(soc: float | None, state: str) -> float:
    """Give the state of charge that the windows are moved for, or refuse."""
    if state not in STATES:
        raise AnalysisError(f"no state {state!r}", hint=f"known are {', '.join(STATES)}")
    if soc is None:
        if state == "charged":
            return 1.0
        raise AnalysisError(
            f"the windows of the deposits hold for the charged state, and this spectrum is of the {state} one",
            hint="say the state of charge of the NMC (soc) to have them moved",
        )
    if not 0.0 <= soc <= 1.0:
        raise AnalysisError(f"a state of charge of {soc!r} was given", hint="0 to 1 is meant")
    return float(soc)


def checked_arrays(spectrum: SpectrumLike) -> tuple[_Real, _Real]:
    """Give shifts, ascending, and intensities."""
    told: list[Any] = [getattr(spectrum, "ppm", None), getattr(spectrum, "intensity", None)]
    if any(one is None for one in told):
        raise DataError(f"a {type(spectrum).__name__} is no spectrum", hint="it needs ppm and intensity")
    if np.iscomplexobj(told[1]):
        raise DataError("the spectrum is complex", hint="phase it and hand in the real part")
    try:
        ppm, intensity = (np.asarray(one, dtype=np.float64) for one in told)
    except (TypeError, ValueError) as error:
        raise DataError(f"shifts and intensities are not numbers ({error})") from error
    if ppm.ndim != 1 or ppm.shape != intensity.shape or len(ppm) < 2:
        raise DataError(f"shifts of shape {ppm.shape} and intensities of shape {intensity.shape} are no spectrum")
    bad = ~(np.isfinite(ppm) & np.isfinite(intensity))
    if bad.any():
        raise DataError(f"{np.count_nonzero(bad)} of {len(ppm)} points are not a number, the first is {bad.argmax()}")
    if ppm[0] > ppm[-1]:
        ppm, intensity = ppm[::-1], intensity[::-1]
    if not np.all(np.diff(ppm) > 0.0):
        raise DataError("the shifts neither rise nor fall from point to point")
    return ppm, intensity


def checked_correlation(told: ArrayLike, ppm: _Real) -> _Real:
    """Give the noise's autocorrelation, no longer than the spectrum."""
    found = np.asarray(told, dtype=np.float64)
    if found.ndim != 1 or not len(found) or abs(found[0] - 1.0) > 1e-6 or not np.all(np.abs(found) <= 1.0 + 1e-6):
        raise DataError("the noise's autocorrelation has to begin with 1 and stay within ±1")
    steps = np.diff(ppm)
    if len(found) > 1 and steps.max() > 1.01 * steps.min():
        raise DataError("a noise's autocorrelation in points needs shifts at equal distances")
    return np.asarray(found[: len(ppm)], dtype=np.float64)


def checked_kernel(copies: Sequence[tuple[float, float]]) -> Kernel:
    """Give the copies of a line as plain numbers."""
    found = np.asarray(copies, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] != 2 or not np.all(np.isfinite(found)) or abs(found[:, 1].sum() - 1.0) > 1e-3:
        raise DataError("a line's kernel is a list of (offset in ppm, weight) whose weights add up to 1")
    return tuple((float(offset), float(weight)) for offset, weight in found)


def check_settings(settings: MorphologySettings) -> None:
    """Refuse settings that contradict themselves."""
    if not 0.0 < settings.width_floor_ppm < settings.width_cap_ppm:
        raise AnalysisError(
            f"a width cap of {settings.width_cap_ppm:g} ppm and a floor of {settings.width_floor_ppm:g} ppm "
            "leave no width for a line"
        )
    edges = [edge for window in settings.windows_ppm for edge in window]
    if any(after <= before for before, after in pairwise(edges)):
        raise AnalysisError(f"the windows {tuple(settings.windows_ppm)} overlap or are not in ascending order")
    if not settings.range_ppm[0] < edges[0] < edges[-1] < settings.range_ppm[1]:
        raise AnalysisError(f"the range {settings.range_ppm} does not hold the windows {tuple(settings.windows_ppm)}")
    if settings.baseline not in BASELINES:
        raise AnalysisError(f"no baseline {settings.baseline!r}", hint=f"known are {', '.join(BASELINES)}")
    if settings.relative_to not in ("fit", "data"):
        raise AnalysisError(f"fractions of {settings.relative_to!r} are unknown", hint="known are fit, data")


def checked_start(start: Sequence[Sequence[float]]) -> _Real:
    """Give a start as an array (3, 3)."""
    found = np.asarray(start, dtype=np.float64)
    if found.shape != (3, 3) or not np.all(np.isfinite(found)):
        raise AnalysisError(
            f"a start of shape {found.shape} was given",
            hint="(centre, width, Lorentzian share) for each of three lines",
        )
    return found
