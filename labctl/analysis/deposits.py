"""How the metal of a measured cell was plated: its spectra taken apart, and what is doubtful about that said once."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.factor import FactorCurve
from labctl.analysis.flags import Flag
from labctl.analysis.model import Measured, State
from labctl.analysis.morphology import Fractions, MorphologySettings, Phases, deconvolve
from labctl.analysis.morphology.line_fit import solve
from labctl.analysis.morphology.prepared import prepare
from labctl.analysis.settings import Settings
from labctl.analysis.spectrum import Spectrum
from labctl.analysis.transform import Grid, axis_of
from labctl.errors import AnalysisError, DataError

_Real = NDArray[np.float64]

#: Of 7Li, Hz/T (CODATA's magnetic moment, and that of the reference in water).
_PER_TESLA: Final = 16.5478e6
_FIELD_WITHIN: Final = 0.05
#: Noise of a spectrum that was filled with zeros hangs together over this many points of the unfilled one.
_LAGS: Final = 16
_ORDER: Final = ("charged", "discharged", "dead")


@dataclass(frozen=True, slots=True)
class Bare:
    """A spectrum as it was before a baseline was taken off, with what its processing made of lines and noise."""

    ppm: _Real
    intensity: _Real
    noise_sd: float
    noise_correlation: _Real | None
    line_kernel: tuple[tuple[float, float], ...] | None


def bare(spectrum: Spectrum) -> Bare:
    """Put the baseline back: drawn through both sides of the metal it has taken the tails of its lines for its own."""
    intensity = spectrum.intensity if spectrum.baseline is None else spectrum.intensity + spectrum.baseline
    grid = None if spectrum.chain is None else spectrum.chain.grid
    return Bare(
        spectrum.ppm,
        intensity,
        spectrum.noise_sd,
        None if grid is None else noise_correlation(grid),
        None if grid is None else line_kernel(grid),
    )


def line_kernel(grid: Grid) -> tuple[tuple[float, float], ...] | None:
    """Give the copies of a line that the apodisation makes; None where a line stays one."""
    if grid.apodisation.kind != "cosine squared":
        return None
    lasts = grid.points / grid.width_Hz + min(grid.start_s, 0.0)
    apart = 0.5 / lasts * 1e6 / grid.zero_Hz
    return ((-apart, 0.25), (0.0, 0.5), (apart, 0.25))


@lru_cache(maxsize=12)
def noise_correlation(grid: Grid) -> _Real:
    """Give the autocorrelation of the real part's noise at 0, 1, 2 ... points of the spectrum."""
    axis = axis_of(grid)
    power = axis.taper**2
    times = np.arange(len(power)) + grid.start_s * grid.width_Hz
    lags = np.arange(_LAGS * grid.zero_fill)
    found = np.cos(2.0 * np.pi / axis.length * np.outer(lags, times)) @ power
    return np.asarray(found / found[0], dtype=np.float64)


def told(
    spectrum: Spectrum, phase_sd_deg: float | None, soc: float, label: str, settings: MorphologySettings
) -> Fractions:
    """Take a spectrum apart, and once more turned by what its phase is uncertain by: that is part of the error.

    Raises
    ------
    DataError, AnalysisError
        As :func:`labctl.analysis.morphology.deconvolve`.
    """
    flat = bare(spectrum)
    one = deconvolve(flat, soc=soc, state=label, settings=settings)
    quadrature, unsure = spectrum.imaginary, math.radians(phase_sd_deg or 0.0)
    if quadrature is None or not unsure:
        return one
    turned = replace(flat, intensity=math.cos(unsure) * flat.intensity - math.sin(unsure) * quadrature)
    start = np.array([one.positions_ppm, one.fwhm_ppm, one.lorentz_share]).T
    areas = solve(prepare(turned, settings, soc, label).problem, start).areas
    moved = np.abs(areas / areas.sum() - np.array(one.areas) / one.fit_sum).tolist()
    sd = Phases(*(math.hypot(*both) for both in zip(one.sd, moved, strict=True)))
    said = f"the phase, known to {phase_sd_deg:.2f}°, moves them by up to {100.0 * max(moved):.1f} points"
    return replace(one, sd=sd, flags=(*one.flags, said))


def calibrated(settings: MorphologySettings, calibration: FactorCurve | None) -> MorphologySettings:
    """Give the settings with what a calibration series says of the windows' shift and of the width cap."""
    if calibration is None or not (calibration.shift_ppm or calibration.width_cap_ppm):
        return settings
    told = []
    if calibration.shift_ppm and calibration.soc[0] < calibration.soc[-1]:
        moved = (calibration.shift_ppm[0] - calibration.shift_ppm[-1]) / (calibration.soc[-1] - calibration.soc[0])
        settings = replace(settings, shift_ppm_per_soc=moved)
        told.append("shift")
    if calibration.width_cap_ppm:
        settings = replace(settings, width_cap_ppm=calibration.width_cap_ppm)
        told.append("width cap")
    return replace(settings, source=f"windows: Wichmann et al. 2025; {' and '.join(told)}: {calibration.id}")


class Deposits:
    """Evaluates the deposits of one cell; what is to be flagged is said once of each kind, with its cycles.

    A calibration of the cell's set-up tells how far the windows move and how wide a line may be.
    """

    def __init__(self, settings: Settings, calibration: FactorCurve | None = None) -> None:
        self._settings = settings
        self._morphology = calibrated(settings.morphology, calibration)
        self._said: dict[str, list[str]] = defaultdict(list)

    def of_cycle(self, cycle: int, measured: Measured) -> Mapping[str, Fractions]:
        """Take the spectra of the states that the settings name apart."""
        found = {}
        soc = dict(zip(_ORDER, measured.state_of_charge or (1.0, 0.0, 0.0), strict=True))
        for label in self._settings.deposit_states:
            if label not in measured.states:
                continue
            state, where = measured.states[label], f"{label}, cycle {cycle}"
            charge = min(max(soc[label], 0.0), 1.0)
            try:
                one = told(state.spectrum, state.phase_sd_deg, charge, label, self._morphology)
            except (AnalysisError, DataError) as error:
                self._said[f"not told, {error}"].append(where)
                continue
            found[label] = one
            self._judge(one, state, where)
        return found

    def remarks(self) -> list[Flag]:
        """Give what a reader must know, a sentence of each kind, with where it holds."""
        return [Flag(f"deposits: {what} ({'; '.join(places)})", "deposits") for what, places in self._said.items()]

    def _judge(self, one: Fractions, state: State, where: str) -> None:
        settings = self._settings
        if one.snr < settings.morphology.quotable_snr:
            least = settings.morphology.quotable_snr
            self._said[f"not quotable, signal-to-noise ratio below {least:g}"].append(f"{one.snr:.0f} {where}")
        if one.chi_square > settings.deposit_chi_square:
            self._said["three lines do not describe the spectrum"].append(f"χ² {one.chi_square:.1f} {where}")
        field = state.spectrum.zero_Hz / _PER_TESLA
        if not math.isclose(field, settings.deposit_field_T, rel_tol=_FIELD_WITHIN):
            self._said[f"windows hold at {settings.deposit_field_T:g} T, these spectra are of {field:.1f} T"].append(
                where
            )
