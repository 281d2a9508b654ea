"""The factor f(s) by which the positive electrode's state of charge changes the metal's integral.

The metal is multiplied by it: f is 1 for a full positive electrode, and the same metal gives f times less signal beside
one at state of charge s (Wichmann et al., Nat. Commun. 2025, Fig. 1 and Methods: 1.08 at 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labctl.analysis.budget import Triple
from labctl.errors import AnalysisError

#: A state of charge that lies so little outside what was calibrated is at its edge.
_EDGE = 0.02


@dataclass(frozen=True, slots=True)
class FactorCurve:
    """f at calibrated states of charge, and linear between them.

    Attributes
    ----------
    soc, factor : tuple of float
        Ascending states of charge, 0 to 1, and f there.
    covariance : tuple of tuple of float
        Of the factors.
    source, id : str
        Where it comes from, and the calibration's name; a curve without one was not measured on this set-up.
    shift_ppm : tuple of float
        By how much the metal's line is shifted from that beside a full electrode, at ``soc``; empty if unknown.
    width_cap_ppm : float or None
        Width of pristine foil beside a full electrode: no deposit's line is narrower for another reason.
    """

    soc: tuple[float, ...]
    factor: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    source: str
    id: str = ""
    shift_ppm: tuple[float, ...] = ()
    width_cap_ppm: float | None = None

    def weights(self, soc: float) -> tuple[float, ...]:
        """Give the share of each calibrated point in the factor at ``soc``.

        Raises
        ------
        AnalysisError
            If ``soc`` is more than 0.02 outside the calibrated states of charge.
        """
        if not self.soc[0] - _EDGE <= soc <= self.soc[-1] + _EDGE:
            raise AnalysisError(
                f"the factor of the state of charge is calibrated from {self.soc[0]:g} to {self.soc[-1]:g}, "
                f"not at {soc:.3f}",
                hint="calibrate there, or evaluate with soc='paper'",
            )
        inside = min(max(soc, self.soc[0]), self.soc[-1])
        unit = np.eye(len(self.soc))
        return tuple(float(np.interp(inside, self.soc, row)) for row in unit)

    def at(self, soc: float) -> float:
        """Give f at a state of charge."""
        return sum(w * f for w, f in zip(self.weights(soc), self.factor, strict=True))

    def shift_at(self, soc: float) -> float:
        """Give the shift in ppm by which windows of the metal move at ``soc`` from where they lie beside full NMC."""
        if not self.shift_ppm:
            raise AnalysisError(f"the calibration {self.id or self.source!r} tells no shifts")
        return sum(w * ppm for w, ppm in zip(self.weights(soc), self.shift_ppm, strict=True))

    def errors(self, states: Triple) -> list[Triple]:
        """Give the independent directions of one deviation in which the factors of three states err together."""
        values, vectors = np.linalg.eigh(np.array(self.covariance))
        rows = np.array([self.weights(one) for one in states])
        found = rows @ (vectors * np.sqrt(np.clip(values, 0.0, None)))
        return [(float(a), float(b), float(c)) for a, b, c in found.T if any((a, b, c))]


def two_points(value: float, sd: float, source: str, *, id: str = "") -> FactorCurve:
    """Give the curve of the paper: 1 beside a full electrode, ``value`` ± ``sd`` beside an empty one."""
    return FactorCurve((0.0, 1.0), (value, 1.0), ((sd**2, 0.0), (0.0, 0.0)), source, id)
