"""A phase for a spectrum that nothing is known of: a start value, guarded, never what an evaluation rests on."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.recipe import Phase
from labctl.analysis.transform import Complex
from labctl.errors import AnalysisError

#: An automatic phase is refused where it turns further than this over what is shown (method: |p1| < 60 degrees).
LARGEST_FIRST_ORDER: Final = math.radians(60.0)


def automatic(ppm: NDArray[np.float64], values: Complex, pivot_ppm: float) -> tuple[Phase, float]:
    """Find a start value of the phase by least entropy of the slope and least negative signal.

    Parameters
    ----------
    ppm, values : ndarray
        The complex spectrum; angles linear in it are counted over its whole length.
    pivot_ppm : float
        Where the linear part is nothing.

    Returns
    -------
    Phase, float
        Its ``shift_s`` is left 0; the second is the angle, in rad, that is linear over the whole length.

    Raises
    ------
    AnalysisError
        If the linear part exceeds 60°: on broad lines the method runs away, and its answer is then no phase at all.

    Notes
    -----
    L. Chen, Z. Weng, L. Goh, M. Garland, J. Magn. Reson. 158 (2002) 164. A start value for a cell without a recipe;
    on broad lines after a dead time it is wrong by a percent of the integral.
    """
    from scipy.optimize import minimize

    every = max(1, len(ppm) // 1024)
    scale = float(np.abs(values).max()) or 1.0
    thin = values[::every] / scale
    along = ((ppm - pivot_ppm) / (ppm[-1] - ppm[0]))[::every]

    def disorder(free: NDArray[np.float64]) -> float:
        real = (thin * np.exp(1j * (free[0] + free[1] * along))).real
        slope = np.abs(np.diff(real))
        share = slope / slope.sum()
        entropy = -float(np.sum(share * np.log(np.maximum(share, 1e-300))))
        return entropy + 1000.0 * float(np.sum(np.minimum(real, 0.0) ** 2)) / len(real)

    starts = [np.array([angle, 0.0]) for angle in np.arange(-math.pi, math.pi, math.pi / 12)]
    best = min(starts, key=disorder)
    simplex = best + np.array([[0.0, 0.0], [0.1, 0.0], [0.0, 0.1]])
    found = minimize(disorder, best, method="Nelder-Mead",
                     options={"initial_simplex": simplex, "xatol": 1e-4, "fatol": 1e-7, "maxiter": 400})  # fmt: skip
    angle, linear = (float(value) for value in found.x)
    if not abs(linear) < LARGEST_FIRST_ORDER:
        raise AnalysisError(f"the automatic phase ran away (linear part {math.degrees(linear):.0f}°, at most 60°)",
                            hint="give the phase of the charged spectrum of the same cell")  # fmt: skip
    return Phase(math.remainder(angle, 2.0 * math.pi), pivot_ppm=pivot_ppm, source="automatic (least entropy)"), linear
