"""Elements of equivalent circuits: impedance, and derivatives by their parameters, of many sets at once.

With omega = 2 pi f and s = j omega:

========  ======================  ==========================================================================
``R``     R                       resistor, Z = R (ohm)
``C``     C                       capacitor, Z = 1/(s C) (F)
``L``     L                       inductor, Z = s L (H)
``CPE``   Q, alpha                constant-phase element, Z = 1/(Q s^alpha) (ohm^-1 s^alpha)
``W``     sigma                   half-infinite diffusion, Z = sigma (1 - j)/sqrt(omega) (ohm s^-1/2)
``Ws``    R, tau                  finite length, transmitting end, Z = R tanh(sqrt(s tau))/sqrt(s tau) (ohm, s)
``Wo``    R, tau                  finite space, reflecting end, Z = R coth(sqrt(s tau))/sqrt(s tau) (ohm, s)
========  ======================  ==========================================================================

Formulas as of Barsoukov and Macdonald, Impedance Spectroscopy (2005), section 2.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from labctl.analysis.impedance.spectrum import Complexes, Floats

#: Parameters of each kind, behind the element's name; an element of one parameter gives it its own name.
KINDS: Final[dict[str, tuple[str, ...]]] = {
    "R": ("R",),
    "C": ("C",),
    "L": ("L",),
    "CPE": ("Q", "alpha"),
    "W": ("sigma",),
    "Ws": ("R", "tau"),
    "Wo": ("R", "tau"),
}
#: Place of a parameter, and the derivative of the impedance by it.
Filled = list[tuple[int, Complexes]]


def _of_r(omega: Floats, x: Floats, p: int) -> tuple[Complexes, Filled]:
    # Alike at all frequencies: one column, which what it is joined with widens.
    value = np.exp(x[:, p, None]).astype(np.complex128)
    return value, [(p, value)]


def _of_c(omega: Floats, x: Floats, p: int) -> tuple[Complexes, Filled]:
    value = -1j * np.exp(-x[:, p, None]) / omega
    return value, [(p, -value)]


def _of_l(omega: Floats, x: Floats, p: int) -> tuple[Complexes, Filled]:
    value = 1j * np.exp(x[:, p, None]) * omega
    return value, [(p, value)]


def _of_cpe(omega: Floats, x: Floats, p: int) -> tuple[Complexes, Filled]:
    logarithm = np.log(omega) + 0.5j * np.pi
    value = np.exp(-x[:, p, None] - x[:, p + 1, None] * logarithm)
    return value, [(p, -value), (p + 1, -value * logarithm)]


def _of_w(omega: Floats, x: Floats, p: int) -> tuple[Complexes, Filled]:
    value = np.exp(x[:, p, None]) * (1 - 1j) / np.sqrt(omega)
    return value, [(p, value)]


def _of_ws(omega: Floats, x: Floats, p: int) -> tuple[Complexes, Filled]:
    return _finite(omega, x, p, 1.0)


def _of_wo(omega: Floats, x: Floats, p: int) -> tuple[Complexes, Filled]:
    return _finite(omega, x, p, -1.0)


def _finite(omega: Floats, x: Floats, p: int, sign: float) -> tuple[Complexes, Filled]:
    """R tanh(u)/u (sign 1) or R coth(u)/u (sign -1) with u = sqrt(j omega tau)."""
    u = np.sqrt(1j * omega * np.exp(x[:, p + 1, None]))
    decaying = np.exp(-2 * u)
    ratio = ((1 - decaying) / (1 + decaying)) ** sign
    value = np.exp(x[:, p, None]) * ratio / u
    # d tanh/du = 1 - tanh^2, d coth/du = 1 - coth^2, du/dln(tau) = u/2.
    slope = 0.5 * np.exp(x[:, p, None]) * ((1 - ratio * ratio) - ratio / u)
    return value, [(p, value), (p + 1, slope)]


ELEMENTS: Final[dict[str, Callable[[Floats, Floats, int], tuple[Complexes, Filled]]]] = {
    "R": _of_r,
    "C": _of_c,
    "L": _of_l,
    "CPE": _of_cpe,
    "W": _of_w,
    "Ws": _of_ws,
    "Wo": _of_wo,
}
