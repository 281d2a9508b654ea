"""The deposits of a processed spectrum: what its deconvolution needs to know of how the spectrum was made.

Apodisation by a squared cosine makes three copies of every line, and zero filling correlates the noise of neighbouring
points; both follow from the transform exactly.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from labctl.analysis import morphology
from labctl.analysis.morphology import Fractions, MorphologySettings
from labctl.analysis.spectrum import Spectrum
from labctl.analysis.transform import Grid, axis_of

#: The baseline is fitted along over all of the range: one that was drawn through both sides of the metal has taken its
#: tails for its own, and is put back before.
DEPOSITS: Final = MorphologySettings(baseline="cubic", range_ppm=(80.0, 395.0))


def deposits(
    spectrum: Spectrum, *, soc: float = 1.0, state: str = "charged", settings: MorphologySettings = DEPOSITS
) -> Fractions:
    """Take the metal's signal of a processed spectrum apart into dense, mossy and dendritic lithium.

    Parameters
    ----------
    spectrum : Spectrum
        With as much on either side of the metal as ``settings`` fits.
    soc : float
        State of charge of the positive electrode, for which the windows are moved.
    state, settings
        As of :func:`labctl.analysis.morphology.deconvolve`.

    Raises
    ------
    DataError, AnalysisError
        As :func:`labctl.analysis.morphology.deconvolve`.
    """
    chain = spectrum.chain
    bare = (
        spectrum if spectrum.baseline is None else replace(spectrum, intensity=spectrum.intensity + spectrum.baseline)
    )
    return morphology.deconvolve(
        bare,
        soc=soc,
        state=state,
        settings=settings,
        noise_correlation=None if chain is None else _correlation(chain.grid, len(spectrum.ppm)),
        line_kernel=None if chain is None else _kernel(chain.grid),
    )


def _kernel(grid: Grid) -> list[tuple[float, float]] | None:
    if grid.apodisation.kind != "cosine squared":
        return None
    lasting = grid.points / grid.width_Hz + min(grid.start_s, 0.0)
    away = 1e6 / (2.0 * lasting * grid.zero_Hz)
    return [(-away, 0.25), (0.0, 0.5), (away, 0.25)]


def _correlation(grid: Grid, points: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Give how the noise of one point goes with that of its neighbours, 0, 1, 2 ... points away."""
    axis = axis_of(grid)
    power = axis.taper**2
    lag = np.arange(points)
    turned = np.fft.fft(power, axis.length)[:points] * np.exp(
        -2j * np.pi * lag * grid.start_s * grid.width_Hz / axis.length
    )
    return np.asarray(turned.real / power.sum(), dtype=np.float64)
