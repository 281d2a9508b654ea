"""What is said beside the fractions: assumptions, bounds that were reached, and signs that the model does not fit."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.morphology.line_fit import Certainty, Problem
from labctl.analysis.morphology.model import Phases
from labctl.analysis.morphology.prepared import Prepared
from labctl.analysis.morphology.varpro import Optimum

_Real = NDArray[np.float64]

#: ppm.
_EDGE: Final = 1e-6
#: Deviations beyond which χ² is more than noise.
_CLEAR: Final = 4.0


def remarks(
    prepared: Prepared,
    best: Optimum,
    sure: Certainty,
    snr: float,
    values: _Real,
    sd: _Real,
    bounds: tuple[str, ...],
    correlation: _Real,
) -> list[str]:
    """Give what a reader has to know before quoting the fractions ``values`` with the deviations ``sd``."""
    settings = prepared.settings
    flags = []
    if not settings.calibrated:
        flags.append(f"not calibrated with this set-up: {settings.source}")
    if snr < settings.quotable_snr:
        flags.append(f"not quotable: signal-to-noise ratio {snr:.0f} is below {settings.quotable_snr:.0f}")
    if prepared.state != "charged":
        flags.append(
            f"windows of the charged state, moved for a state of charge of {prepared.soc:.2f} ({prepared.state})"
        )
    flags.extend(bounds)
    if prepared.noise_sd is not None and sure.chi_square > 1.0 + _CLEAR * sure.chi_square_sd:
        flags.append(f"three lines do not describe the spectrum: χ² {sure.chi_square:.2g} times the noise's")
    if abs(values[3]) > settings.residual_limit:
        flags.append(f"{100 * values[3]:.1f} ± {100 * sd[3]:.1f} % of the signal is in no line")
    if prepared.correlation is None and len(correlation) > 1:
        flags.append("the residual is not white: correlated noise, a baseline, or more than three lines")
    if not best.converged:
        flags.append("the search was cut off before it converged")
    return flags


def at_bounds(problem: Problem, best: Optimum) -> tuple[str, ...]:
    """Name centres at the edge of their window and widths at a bound, of lines that are there."""
    found = []
    for line, name in enumerate(Phases._fields):
        if best.areas[line] <= 1e-3 * best.areas.sum():
            continue
        centre, width, _ = best.parameters[line]
        low, high = problem.low[line], problem.high[line]
        if min(centre - low[0], high[0] - centre) < _EDGE:
            found.append(f"centre of {name} at the edge of its window ({centre:.1f} ppm)")
        if high[1] - width < _EDGE:
            found.append(f"width of {name} at its cap ({width:.1f} ppm)")
        if width - low[1] < _EDGE:
            found.append(f"width of {name} at its floor ({width:.1f} ppm)")
    return tuple(found)
