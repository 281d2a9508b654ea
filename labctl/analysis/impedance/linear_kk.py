"""The linear Kramers-Kronig test: does a spectrum obey causality, linearity and stability as far as they show in it.

One of three tests: linearity needs two amplitudes, stability a second sweep. A drift that is slow against the sweep
passes: 5 % of one arc are invisible at 0.2 % noise.

Method: a chain of RC elements with fixed time constants, spread evenly in the logarithm over the measured range, is
fitted by linear least squares (Boukamp, J. Electrochem. Soc. 142 (1995) 1885). Their number: as of Schoenleber, Klotz
and Ivers-Tiffee, Electrochim. Acta 131 (2014) 20, until mu = 1 - sum|R<0| / sum|R>=0| falls to a limit, but never
fewer than three for each decade: mu alone stops at 3 to 6 elements on spectra of few sharp arcs, and reports residuals
of tens of percent that are not in the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.analysis.impedance.chain import Chain, ChainTest, Choices, CutOff, Representation
from labctl.analysis.impedance.spectrum import STATIONARY_ABOVE_HZ, Complexes, Floats, checked
from labctl.errors import AnalysisError

#: A test of fewer points says nothing: two unknowns for each RC element, at least three elements.
_FEWEST: Final = 8
#: Median absolute deviation to standard deviation of normal noise.
_MAD: Final = 1.4826
#: What the largest of some hundred normal residuals reaches, in standard deviations.
_LARGEST_OF_NOISE: Final = 3.3


@dataclass(frozen=True, slots=True)
class KramersKronig:
    """Outcome of the test.

    Attributes
    ----------
    frequency_Hz : ndarray
        As given, in the order given.
    residual_real, residual_imag : ndarray
        (measured - chain) / abs(measured) of the whole spectrum, a fraction.
    n_rc : int
        RC elements of the chain for the whole spectrum.
    mu : float
        Of that chain.
    passes : bool
        Whether the whole spectrum keeps the limit.
    lowest_valid_frequency : float or None
        Lowest frequency in Hz that the cut-off keeps; None where no part of the spectrum passes.
    kept : ndarray of bool
        Points at and above that frequency.
    kept_residual_real, kept_residual_imag : ndarray
        Residuals of a chain for the kept points alone.
    kept_n_rc : int
        Its number of RC elements; 0 where nothing is kept.
    noise : float
        Standard deviation of the kept residuals, robust; a fraction.
    choices : Choices
        What the test was told.
    flags : tuple of str
        What to know before relying on it, in words.
    """

    frequency_Hz: Floats
    residual_real: Floats
    residual_imag: Floats
    n_rc: int
    mu: float
    passes: bool
    lowest_valid_frequency: float | None
    kept: NDArray[np.bool_]
    kept_residual_real: Floats
    kept_residual_imag: Floats
    kept_n_rc: int
    noise: float
    choices: Choices
    flags: tuple[str, ...] = ()

    @property
    def largest_residual(self) -> float:
        """Largest residual of the whole spectrum, a fraction."""
        return float(max(np.abs(self.residual_real).max(), np.abs(self.residual_imag).max()))


def kramers_kronig(
    frequency: ArrayLike,
    impedance: ArrayLike,
    *,
    limit: float = 0.01,
    cut_off: CutOff = "automatic",
    fixed_Hz: float = STATIONARY_ABOVE_HZ,
    mu_limit: float = 0.85,
    per_decade: float = 3.0,
    most_per_decade: float = 6.0,
    inductance: bool = True,
    capacitance: bool | None = True,
    representation: Representation = "impedance",
) -> KramersKronig:
    """Test a spectrum, and find the lowest frequency down to which it passes.

    Parameters
    ----------
    frequency : array of float
        Hz, in any order.
    impedance : array of complex
        Ohm; capacitive is negative.
    limit, cut_off, fixed_Hz, mu_limit, per_decade, most_per_decade, inductance, capacitance, representation
        As of :class:`Choices`.

    Returns
    -------
    KramersKronig
        Residuals in the order of the points given.

    Raises
    ------
    DataError
        The arrays are no spectrum.
    AnalysisError
        Fewer than 8 points, or less than half a decade.
    UsageError
        A setting that does not exist.
    """
    choices = Choices(
        limit, cut_off, fixed_Hz, mu_limit, per_decade, most_per_decade, inductance, capacitance, representation
    )
    f, z = checked(frequency, impedance)
    if len(f) < _FEWEST or not _wide(f):
        raise AnalysisError(
            f"Kramers-Kronig test of {len(f)} points over {np.log10(f.max() / f.min()):.1f} decades; "
            f"{_FEWEST} points over half a decade are needed"
        )
    order = np.argsort(-f, kind="stable")
    test = ChainTest(f[order], z[order], choices)
    whole = test.upto(len(f))
    count = _kept(test, whole)
    part = whole if count == len(f) else test.upto(count) if count else None
    residual = np.empty_like(z)
    residual[order] = whole.residual
    kept = np.zeros(len(f), dtype=bool)
    kept[order[:count]] = True
    mine = np.full(len(f), np.nan, dtype=np.complex128)
    if part is not None:
        mine[order[:count]] = part.residual
    mine = mine[kept]
    noise = _noise(mine if len(mine) else residual)
    return KramersKronig(
        frequency_Hz=f,
        residual_real=residual.real,
        residual_imag=residual.imag,
        n_rc=whole.n_rc,
        mu=whole.mu,
        passes=whole.largest <= limit,
        lowest_valid_frequency=float(f[kept].min()) if count else None,
        kept=kept,
        kept_residual_real=mine.real,
        kept_residual_imag=mine.imag,
        kept_n_rc=0 if part is None else part.n_rc,
        noise=noise,
        choices=choices,
        flags=_flags(f[order], whole, part, noise, choices),
    )


def _kept(test: ChainTest, whole: Chain) -> int:
    """How many points, from the highest frequency, the cut-off keeps."""
    choices, total = test.choices, len(test.frequency)
    if choices.cut_off == "none":
        return total
    if choices.cut_off == "fixed":
        count = int(np.count_nonzero(test.frequency > choices.fixed_Hz))
        return count if count >= _FEWEST and _wide(test.frequency[:count]) else 0
    if whole.largest <= choices.limit:
        return total
    for count in range(total - 1, _FEWEST - 1, -1):
        if not _wide(test.frequency[:count]):
            break
        if test.upto(count).largest <= choices.limit:
            return count
    return 0


def _wide(frequency: Floats) -> bool:
    return bool(frequency.max() / frequency.min() >= math.sqrt(10))


def _noise(residual: Complexes) -> float:
    values = np.concatenate((residual.real, residual.imag))
    return float(_MAD * np.median(np.abs(values - np.median(values))))


def _flags(frequency: Floats, whole: Chain, part: Chain | None, noise: float, choices: Choices) -> tuple[str, ...]:
    found = []
    if part is None:
        worst = int(np.argmax(np.maximum(np.abs(whole.residual.real), np.abs(whole.residual.imag))))
        found.append(
            f"no part of the spectrum passes: largest residual {100 * whole.largest:.2g} % at {frequency[worst]:.3g} Hz"
        )
    elif part.largest > choices.limit:
        found.append(
            f"residuals reach {100 * part.largest:.2g} % above the cut-off, {100 * choices.limit:.2g} % are allowed"
        )
    elif len(part.residual) < len(frequency):
        dropped = len(frequency) - len(part.residual)
        found.append(f"{dropped} points below {frequency[len(part.residual) - 1]:.3g} Hz left out")
    if _LARGEST_OF_NOISE * noise > choices.limit:
        found.append(f"noise of {100 * noise:.2g} % alone reaches the limit of {100 * choices.limit:.2g} %")
    return tuple(found)
