"""Voigt lines of unit area, with the derivatives that a fit needs.

A line is told by where it stands, how wide it is and how much of its width is Lorentzian. These three are kept apart
because the first two are what a calibration bounds: a window for the shift, a cap for the width.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

_Real = NDArray[np.float64]
#: Offset in ppm and weight of each copy of a line.
Kernel = tuple[tuple[float, float], ...]

#: f_V = A f_L + sqrt(B f_L² + f_G²): J. J. Olivero, R. L. Longbothum, J. Quant. Spectrosc. Radiat. Transfer 17 (1977)
#: 233; right within 0.02 % of the width.
_A: Final = 0.5346
_B: Final = 0.2166
#: FWHM² of a Gaussian over its variance.
_FWHM2: Final = 8.0 * math.log(2.0)
#: Beyond it the Gaussian part is under 7 % of the width, and the derivatives of w(z) lose their digits in the wings.
LARGEST_LORENTZ_SHARE: Final = 0.995


def full_width(gauss: float, lorentz: float) -> float:
    """Give a Voigt line's full width at half height from those of its Gaussian and Lorentzian parts, same unit."""
    return _A * lorentz + math.sqrt(_B * lorentz**2 + gauss**2)


def parts_of_width(width: float, share: float) -> tuple[float, float]:
    """Give the widths of the Gaussian and Lorentzian parts; the reverse of :func:`full_width`.

    Parameters
    ----------
    width : float
        Full width at half height.
    share : float
        Width of the Lorentzian part over ``width``, 0 (Gaussian) to 1 (Lorentzian).
    """
    return width * math.sqrt(max(float(_gauss2(share)), 0.0)), width * share


def lines(ppm: _Real, centre: _Real, width: _Real, share: _Real) -> _Real:
    """Evaluate lines of unit area.

    Parameters
    ----------
    ppm : ndarray, shape (n,)
        Where, in ppm.
    centre, width, share : ndarray, shape (m,)
        Position and full width at half height in ppm, and the Lorentzian part's width over the full width.

    Returns
    -------
    ndarray, shape (m, n)
        Per ppm.

    Notes
    -----
    V(x) = Re w(z) / (σ sqrt(2π)), z = (x − c + iγ) / (σ sqrt 2), w the Faddeeva function (NIST DLMF 7.19).
    """
    from scipy.special import wofz

    scale, _, shifted = _scaled(ppm, centre, width, share)
    return np.asarray(wofz(shifted / scale).real / (scale * math.sqrt(math.pi)), dtype=np.float64)


def lines_and_slopes(ppm: _Real, centre: _Real, width: _Real, share: _Real) -> tuple[_Real, _Real]:
    """Evaluate lines of unit area and their derivatives by ``centre``, ``width`` and ``share``.

    Returns
    -------
    values : ndarray, shape (m, n)
        As :func:`lines` gives them.
    slopes : ndarray, shape (m, 3, n)
        Derivatives in the order of the arguments.

    Notes
    -----
    K(ζ) = w(ζ/u) / (u sqrt π) with ζ = x − c + iγ and u = σ sqrt 2 is analytic, and w' = 2i/sqrt π − 2 z w, so that one
    evaluation of w gives all: ∂V/∂c = −Re K', ∂V/∂γ = −Im K', and ∂V/∂σ² = Re K''/2 by the heat equation.
    """
    from scipy.special import wofz

    scale, gauss2, shifted = _scaled(ppm, centre, width, share)
    z = shifted / scale
    w = wofz(z)
    first = 2j / math.sqrt(math.pi) - 2.0 * z * w
    second = -2.0 * (w + z * first)
    unit = scale * math.sqrt(math.pi)
    values = w.real / unit
    by_gamma = first.imag
    by_variance = second.real
    width, share = width[:, None], share[:, None]
    slope2 = 2.0 * (_A**2 - _B) * share - 2.0 * _A
    # What stands before ∂V/∂γ and ∂V/∂σ² is one number a line.
    of_gamma, of_variance = -0.5 / (unit * scale), 0.5 / (unit * scale**2 * _FWHM2)
    slopes = np.empty((len(values), 3, len(ppm)))
    slopes[:, 0] = first.real * (2.0 * of_gamma)
    slopes[:, 1] = (of_gamma * share) * by_gamma + (2.0 * of_variance * width * gauss2) * by_variance
    slopes[:, 2] = (of_gamma * width) * by_gamma + (of_variance * width**2 * slope2) * by_variance
    return values, slopes


def smeared(ppm: _Real, centre: _Real, width: _Real, share: _Real, kernel: Kernel) -> _Real:
    """Evaluate lines as an apodisation shows them: :func:`lines`, each the sum of moved and weighted copies."""
    return np.asarray(
        sum(weight * lines(ppm - offset, centre, width, share) for offset, weight in kernel), dtype=np.float64
    )


def dispersion(ppm: _Real, centre: _Real, width: _Real, share: _Real, kernel: Kernel) -> _Real:
    """Evaluate what a phase that is off by a right angle makes of :func:`smeared`."""
    from scipy.special import wofz

    parts = []
    for offset, weight in kernel:
        scale, _, shifted = _scaled(ppm - offset, centre, width, share)
        parts.append(weight * wofz(shifted / scale).imag / (scale * math.sqrt(math.pi)))
    return np.asarray(sum(parts), dtype=np.float64)


def smeared_and_slopes(ppm: _Real, centre: _Real, width: _Real, share: _Real, kernel: Kernel) -> tuple[_Real, _Real]:
    """Evaluate lines as an apodisation shows them, and their derivatives as :func:`lines_and_slopes` gives them."""
    (offset, weight), *others = kernel
    values, slopes = lines_and_slopes(ppm - offset, centre, width, share)
    if weight != 1.0:
        values, slopes = weight * values, weight * slopes
    for offset, weight in others:
        more, steeper = lines_and_slopes(ppm - offset, centre, width, share)
        values, slopes = values + weight * more, slopes + weight * steeper
    return values, slopes


def _scaled(ppm: _Real, centre: _Real, width: _Real, share: _Real) -> tuple[_Real, _Real, NDArray[np.complex128]]:
    gauss2 = _gauss2(share)[:, None]
    scale = np.sqrt(2.0 * gauss2 / _FWHM2) * width[:, None]
    return scale, gauss2, ppm - centre[:, None] + 0.5j * (share * width)[:, None]


def _gauss2(share: float | _Real) -> _Real:
    """Square of the Gaussian part's width over the full width."""
    return np.asarray((1.0 - _A * share) ** 2 - _B * share**2, dtype=np.float64)
