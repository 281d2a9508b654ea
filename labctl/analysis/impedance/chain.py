"""The chain of RC elements of the linear Kramers-Kronig test: settings, and the fit by linear least squares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.linalg import lapack

from labctl.analysis.impedance.spectrum import STATIONARY_ABOVE_HZ, Complexes, Floats
from labctl.errors import UsageError

CutOff = Literal["automatic", "fixed", "none"]
Representation = Literal["impedance", "admittance"]


@dataclass(frozen=True, slots=True)
class Choices:
    """Settings of the test.

    Attributes
    ----------
    limit : float
        Largest residual, real and imaginary, relative to abs(Z), with which a spectrum passes. The paper states none.
    cut_off : str
        ``automatic``: the lowest points are dropped until what is left passes. ``fixed``: points at and below
        ``fixed_Hz`` are dropped, as in the paper. ``none``: all points are kept.
    fixed_Hz : float
        Of the fixed cut-off.
    mu_limit : float
        Elements are added until mu is no more than this.
    per_decade : float
        Fewest RC elements for each decade of frequency.
    most_per_decade : float
        Most of them; more follow the noise.
    inductance : bool
        Whether the chain has an inductance in series (in parallel, for admittances).
    capacitance : bool or None
        Whether it has a capacitance in series, which blocking electrodes and diffusion need. Without it the test is
        about twice as sensitive to a drifting arc, and fails where the spectrum does not close. None: only where the
        imaginary part still grows at the lowest frequencies.
    representation : str
        ``admittance`` fits 1/Z instead, for spectra with negative differential resistance or several arcs in parallel.
    """

    limit: float = 0.01
    cut_off: CutOff = "automatic"
    fixed_Hz: float = STATIONARY_ABOVE_HZ
    mu_limit: float = 0.85
    per_decade: float = 3.0
    most_per_decade: float = 6.0
    inductance: bool = True
    capacitance: bool | None = True
    representation: Representation = "impedance"

    def __post_init__(self) -> None:
        if self.cut_off not in ("automatic", "fixed", "none"):
            raise UsageError(f"cut_off {self.cut_off!r} is unknown; automatic, fixed or none is right")
        if self.representation not in ("impedance", "admittance"):
            raise UsageError(f"representation {self.representation!r} is unknown; impedance or admittance is right")
        if not (self.limit > 0 and 0 < self.per_decade <= self.most_per_decade):
            raise UsageError("limit and per_decade must be above 0, and most_per_decade no less than per_decade")


@dataclass(frozen=True, slots=True)
class Chain:
    """A fitted chain."""

    residual: Complexes
    n_rc: int
    mu: float

    @property
    def largest(self) -> float:
        """Largest residual, real or imaginary."""
        return float(max(np.abs(self.residual.real).max(), np.abs(self.residual.imag).max()))


class ChainTest:
    """Fits chains to the points above a frequency; frequencies are falling."""

    def __init__(self, frequency: Floats, impedance: Complexes, choices: Choices) -> None:
        self.frequency, self.choices = frequency, choices
        self._omega = 2 * np.pi * frequency
        self._value = impedance if choices.representation == "impedance" else 1 / impedance
        self._weight = 1 / np.abs(self._value)
        self._capacitance = choices.capacitance
        if self._capacitance is None:
            self._capacitance = _grows(frequency, self._value)

    def upto(self, count: int) -> Chain:
        """Fit the ``count`` points of the highest frequencies."""
        omega = self._omega[:count]
        decades = math.log10(omega[0] / omega[-1])
        fewest = max(3, math.ceil(self.choices.per_decade * decades))
        # As many unknowns as half of the values that are measured, at most.
        most = max(3, min(math.ceil(self.choices.most_per_decade * decades), count - 2))
        for n_rc in range(min(fewest, most), most + 1):
            chain = self._fit(omega, n_rc, count)
            if chain.mu <= self.choices.mu_limit or chain.largest <= 0.1 * self.choices.limit:
                break
        return chain

    def _fit(self, omega: Floats, n_rc: int, count: int) -> Chain:
        tau = np.exp(np.linspace(-math.log(omega[0]), -math.log(omega[-1]), n_rc))
        extra = 1 + self.choices.inductance + bool(self._capacitance)
        matrix = np.empty((2 * count, n_rc + extra))
        weight, value = self._weight[:count], self._value[:count]
        product = omega[:, None] * tau
        real = weight[:, None] / (1 + product * product)
        matrix[:count, :n_rc] = real
        matrix[count:, :n_rc] = -product * real
        matrix[:, n_rc:] = 0.0
        matrix[:count, n_rc] = weight
        # Scaled to 1 at one end of the range each.
        if self.choices.inductance:
            matrix[count:, n_rc + 1] = weight * omega / omega[0]
        if self._capacitance:
            matrix[count:, -1] = -weight * omega[-1] / omega
        goal = np.concatenate(((weight * value).real, (weight * value).imag))
        _, solution, failed = lapack.dgels(matrix, goal)
        chain = solution[: n_rc + extra]
        if failed or not np.isfinite(chain).all():
            chain = np.linalg.lstsq(matrix, goal, rcond=None)[0]
        left = goal - matrix @ chain
        resistances = chain[:n_rc]
        positive = float(resistances[resistances >= 0].sum())
        mu = 1 + float(resistances[resistances < 0].sum()) / positive if positive > 0 else 0.0
        return Chain(left[:count] + 1j * left[count:], n_rc, mu)


def _grows(frequency: Floats, value: Complexes) -> bool:
    """Whether the imaginary part still grows over the lowest half decade, as of a capacitor or of diffusion."""
    low = frequency <= frequency[-1] * math.sqrt(10)
    if np.count_nonzero(low) < 3 or np.median(value.imag[low]) >= 0:
        return False
    slope = np.polyfit(np.log(frequency[low]), np.log(np.maximum(-value.imag[low], 1e-300)), 1)[0]
    return bool(slope < -0.2)
