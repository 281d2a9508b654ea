"""A processed spectrum, what it came from, and integrals over windows of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.baseline import Mask, functional
from labctl.analysis.provenance import Origin
from labctl.analysis.recipe import Phase, Window
from labctl.analysis.transform import Grid
from labctl.errors import AnalysisError

_Real = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Integral:
    """An integral of the signal per scan and unit of receiver gain.

    Attributes
    ----------
    value, sd : float
        The integral and its standard deviation from the noise of the decay, that of the fitted baseline included. For
        a line inside the window it is close to the amplitude of the decay at the pulse.
    baseline_sd : float
        What of ``sd`` the uncertainty of the fitted baseline contributes.
    """

    value: float
    sd: float
    baseline_sd: float = 0.0

    def scaled(self, factor: float) -> Integral:
        """Multiply all by a positive number."""
        return Integral(self.value * factor, self.sd * factor, self.baseline_sd * factor)


@dataclass(frozen=True, slots=True)
class Chain:
    """How a spectrum follows from its decay: enough to give every sum over it its exact deviation.

    Attributes
    ----------
    grid, mask : Grid, Mask
        The transform's points and where the baseline was fitted.
    noise : float
        Standard deviation of one channel of one point of the decay, per scan and unit of receiver gain.
    """

    grid: Grid
    mask: Mask
    noise: float


@dataclass(frozen=True, slots=True)
class Spectrum:
    """A phased, referenced spectrum with its baseline removed, per scan and unit of receiver gain.

    Attributes
    ----------
    ppm : ndarray
        Ascending shift against LiCl.
    intensity : ndarray
        Per ppm, so that its integral over ppm is in the units of :class:`Integral`.
    noise_sd : float
        Standard deviation of one point.
    imaginary : ndarray or None
        The dispersive part; None for a magnitude spectrum.
    baseline : ndarray or None
        What was taken off; beyond the parts it was fitted to it is held constant.
    phase : Phase or None
        What the spectrum was turned by; None for a magnitude spectrum.
    zero_Hz : float
        The frequency of 0 ppm.
    origins : tuple of Origin
        Every parameter that was used, and where it came from.
    chain : Chain or None
        For the deviations of integrals.
    """

    ppm: _Real
    intensity: _Real
    noise_sd: float
    imaginary: _Real | None = None
    baseline: _Real | None = None
    phase: Phase | None = None
    zero_Hz: float = 0.0
    origins: tuple[Origin, ...] = ()
    chain: Chain | None = None

    def integral(self, window: Window) -> Integral:
        """Integrate over ``window`` in ppm, above the baseline; points at its edges count by their share in it.

        Raises
        ------
        AnalysisError
            If the window is not in the spectrum, or this is a magnitude spectrum, whose sum is none of the signal's.
        """
        if self.chain is None:
            raise AnalysisError("a magnitude spectrum has no integral that is in proportion to the lithium",
                                hint="phase it, or compare magnitudes of the decay")  # fmt: skip
        step = float(self.ppm[1] - self.ppm[0])
        low, high = min(window), max(window)
        if not (self.ppm[0] - 0.5 * step <= low < high <= self.ppm[-1] + 0.5 * step):
            raise AnalysisError(f"the window {low:g} to {high:g} ppm is not within the spectrum, "
                                f"{self.ppm[0]:.1f} to {self.ppm[-1]:.1f} ppm")  # fmt: skip
        share = np.clip((np.minimum(self.ppm + 0.5 * step, high) - np.maximum(self.ppm - 0.5 * step, low)) / step, 0, 1)
        whole = functional(self.chain.grid, self.chain.mask, (low, high))
        sigma = self.chain.noise
        return Integral(float(share @ self.intensity) * step, sigma * whole.norm, sigma * whole.baseline_norm)
