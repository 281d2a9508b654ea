"""The 7Li lines of a virtual cell, as a spectrometer's simulator turns them into a signal. Sources: P1 unless said."""

from __future__ import annotations

import math
from dataclasses import dataclass

from labctl_simulators.cell.parameters import Parameters
from labctl_simulators.cell.state import CellState


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a static 7Li spectrum.

    Attributes
    ----------
    shift_ppm : float
        Against LiCl.
    area_mAh : float
        Lithium in mAh that this signal would be in a fully charged cell.
    gauss_fwhm_ppm, lorentz_fwhm_ppm : float
        The two widths of its Voigt shape.
    t1_s : float
        Longitudinal relaxation time.
    """

    shift_ppm: float
    area_mAh: float
    gauss_fwhm_ppm: float
    lorentz_fwhm_ppm: float
    t1_s: float


METAL = ((246.7, 7.0, 3.0), (256.5, 8.0, 3.0), (266.5, 9.0, 4.0))
"""Shift in the charged state, Gaussian and Lorentzian width in ppm of dense, mossy and dendritic lithium: shifts from
P1's windows; widths invented."""

SHIFT_BY_NMC_PPM = 3.3
"""Shift of the metal from full charge to full discharge, by the magnetism of NMC: P1."""

MORPHOLOGY = ((0.78, 0.17, 0.05), (0.28, 0.46, 0.26), 14.0, 4.0)
"""Fractions at first and at last, the cycle midway and the width in cycles: invented."""

DEAD_MORPHOLOGY = (0.15, 0.60, 0.25)
"""Fractions in dead lithium: invented."""

METAL_T1_S = 0.15
"""Invented, of the order of the metal's at room temperature."""

ELECTROLYTE = Line(-1.0, 2.0, 2.8, 0.3, 1.0)
"""Per cm2; the amount stands for 50 uL of 1 M salt. Invented."""

REFERENCE = Line(0.0, 2.0, 0.3, 0.3, 0.3)
"""The LiCl standard: it defines 0 ppm. Amount, width and T1 invented."""


def soc_factor(cell: Parameters, soc: float) -> float:
    """True factor by which a cell's signal is too small: 1 when full, f(0) when empty; linear between: invented."""
    return cell.soc_factor + (1.0 - cell.soc_factor) * min(max(soc, 0.0), 1.0)


def lines(cell: Parameters, state: CellState) -> list[Line]:
    """Metal lines, if there is metal, and the electrolyte's."""
    first, last, midpoint, width = MORPHOLOGY
    done = 1.0 / (1.0 + math.exp(-(state.cycle - midpoint) / width))
    factor = soc_factor(cell, state.soc)
    shift = SHIFT_BY_NMC_PPM * (1.0 - state.soc)
    result = []
    if state.connected + state.dead > 0:
        for (at, gauss, lorentz), early, late, dead in zip(METAL, first, last, DEAD_MORPHOLOGY, strict=True):
            amount = state.connected * (early + (late - early) * done) + state.dead * dead
            result.append(Line(at + shift, max(0.0, amount) / factor, gauss, lorentz, METAL_T1_S))
    free = ELECTROLYTE
    area = free.area_mAh * cell.area_cm2
    result.append(Line(free.shift_ppm, area, free.gauss_fwhm_ppm, free.lorentz_fwhm_ppm, free.t1_s))
    return result
