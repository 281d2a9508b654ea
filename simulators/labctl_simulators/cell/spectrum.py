"""The 7Li lines of a virtual cell, as a spectrometer's simulator turns them into a signal. Sources: P1 unless said."""

from __future__ import annotations

import math
from dataclasses import dataclass

from labctl_simulators.cell.chemistries import MAH_PER_UM, NMC622
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

BESIDE_NMC_PPM = NMC622.shift_ppm[0]
"""By how much these lie above those of lithium alone."""

SKIN_UM = (14.7, 4.7)
"""Skin depth of lithium in um at a field in T; it goes with the root of the field: P1 (8.4 um at 14.1 T). Only foils
and what is buried feel it: P1 finds deposits linear up to 2.5 mAh/cm2 at 4.7 T."""

USUAL_TESLA = 4.7
"""P1's spectrometer for quantification."""

ALONE = 1.03
"""By how much the signal of lithium alone is larger than beside charged NMC622: assumed; so it is in P1, Fig. 1c."""

ALLOY = (100.0, 30.0, 10.0, 0.3)
"""Shift, Gaussian and Lorentzian width in ppm, and T1 in s, of Li22Sn5: about 100 ppm, broad (P1, Fig. 6 and 7, after
Bekaert et al., J. Phys. Chem. C 114, 6749, 2010); widths and T1 assumed."""

ALLOY_MOVES_PPM = 10.0
"""How far the alloy's line moves down while metal buries it: assumed; P1 (Fig. 7) sees that it does, and fades."""

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


def lines(cell: Parameters, state: CellState, tesla: float = USUAL_TESLA) -> list[Line]:
    """Lines of metal and of the alloy, if there are any, and the electrolyte's, at a field of ``tesla``."""
    factor, shift = 1.0 / ALONE, -BESIDE_NMC_PPM
    if cell.chemistry.host is not None:
        full, more = cell.chemistry.host.shift_ppm
        factor, shift = soc_factor(cell, state.soc), (full - BESIDE_NMC_PPM) + more * (1.0 - state.soc)
    result = _of_first(cell, state, tesla, shift, factor) + _of_second(cell, state, tesla)
    free = ELECTROLYTE
    area = free.area_mAh * cell.area_cm2
    result.append(Line(free.shift_ppm, area, free.gauss_fwhm_ppm, free.lorentz_fwhm_ppm, free.t1_s))
    return result


def lines_alone(cell: Parameters, state: CellState, tesla: float, *, first: bool) -> list[Line]:
    """Lines of one electrode alone, without electrolyte and without a positive electrode beside it."""
    if not first:
        return _of_second(cell, state, tesla)
    return _of_first(cell, state, tesla, -BESIDE_NMC_PPM, 1.0 / ALONE)


def _of_first(cell: Parameters, state: CellState, tesla: float, shift: float, factor: float) -> list[Line]:
    first, last, midpoint, width = MORPHOLOGY
    done = 1.0 / (1.0 + math.exp(-(state.cycle - midpoint) / width))
    foil = min(cell.foil, max(0.0, state.connected))
    deposit = state.connected - foil
    result = []
    if deposit + state.dead > 0:
        for (at, gauss, lorentz), early, late, dead in zip(METAL, first, last, DEAD_MORPHOLOGY, strict=True):
            amount = deposit * (early + (late - early) * done) + state.dead * dead
            result.append(Line(at + shift, max(0.0, amount) / factor, gauss, lorentz, METAL_T1_S))
    if foil > 0:
        result.append(_of_foil(cell, foil, tesla, shift, factor))
    if state.alloy > 0:
        covered = math.exp(-max(0.0, deposit + state.dead) / (cell.area_cm2 * reach(tesla)))
        at, gauss, lorentz, t1 = ALLOY
        moved = shift + BESIDE_NMC_PPM - ALLOY_MOVES_PPM * (1.0 - covered)
        result.append(Line(at + moved, state.alloy * covered / factor, gauss, lorentz, t1))
    return result


def _of_second(cell: Parameters, state: CellState, tesla: float) -> list[Line]:
    if state.second <= 0:
        return []
    return [_of_foil(cell, state.second, tesla, -BESIDE_NMC_PPM, 1.0 / ALONE)]


def _of_foil(cell: Parameters, amount: float, tesla: float, shift: float, factor: float) -> Line:
    """What of a foil is seen through the skin effect, excited from one side."""
    deep = cell.area_cm2 * reach(tesla)
    seen = deep * -math.expm1(-amount / deep)
    at, gauss, lorentz = METAL[0]
    return Line(at + shift, seen / factor, gauss, lorentz, METAL_T1_S)


def reach(tesla: float) -> float:
    """Lithium in mAh/cm2 that is as thick as the skin is deep."""
    depth, field = SKIN_UM
    return depth * math.sqrt(field / tesla) * MAH_PER_UM
