"""Amounts of lithium: theoretical capacities from a formula, and what a capacity is per area, per mass, as thickness.

Atomic weights are IUPAC's abridged standard values (Prohaska et al., Pure Appl. Chem. 2022, 94, 573); the Faraday
constant is CODATA's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

from labctl.analysis.arrays import positive
from labctl.errors import AnalysisError
from labctl.units import MAH

#: Abridged standard atomic weights, g/mol. That of lithium varies with the source between 6.938 and 6.997.
ATOMIC_WEIGHTS: Final[Mapping[str, float]] = {
    "H": 1.0080, "Li": 6.94, "B": 10.81, "C": 12.011, "N": 14.007, "O": 15.999, "F": 18.998, "Na": 22.990,
    "Mg": 24.305, "Al": 26.982, "Si": 28.085, "P": 30.974, "S": 32.06, "Cl": 35.45, "K": 39.098, "Ti": 47.867,
    "V": 50.942, "Cr": 51.996, "Mn": 54.938, "Fe": 55.845, "Co": 58.933, "Ni": 58.693, "Cu": 63.546, "Zn": 65.38,
    "Sr": 87.62, "Zr": 91.224, "Nb": 92.906, "Ag": 107.87, "In": 114.82, "Sn": 118.71, "Sb": 121.76,
}  # fmt: skip

#: Density of lithium at 20 degC, g/cm3; CRC Handbook of Chemistry and Physics.
LITHIUM_DENSITY: Final = 0.534
#: The layered oxide of both papers.
NMC622: Final = "LiNi0.6Mn0.2Co0.2O2"

_TERM: Final = re.compile(r"([A-Z][a-z]?)(\d+(?:\.\d+)?)?")


def composition(formula: str) -> dict[str, float]:
    """Read a formula such as ``LiNi0.6Mn0.2Co0.2O2`` into amounts by element.

    Raises
    ------
    AnalysisError
        If something in it is no element with a number; says what and where. Brackets are not understood.
    """
    found: dict[str, float] = {}
    position = 0
    for match in _TERM.finditer(formula):
        if match.start() != position or match[1] not in ATOMIC_WEIGHTS:
            break
        found[match[1]] = found.get(match[1], 0.0) + float(match[2] or 1.0)
        position = match.end()
    if position != len(formula) or not found:
        raise AnalysisError(
            f"the formula '{formula}' is not understood at '{formula[position:]}'",
            hint=f"elements with numbers, no brackets; known: {', '.join(ATOMIC_WEIGHTS)}",
        )
    return found


def molar_mass(formula: str) -> float:
    """Give the molar mass of a formula in g/mol."""
    return sum(ATOMIC_WEIGHTS[element] * amount for element, amount in composition(formula).items())


def theoretical_capacity(formula: str, *, lithium: tuple[float, float] | None = None) -> float:
    """Give the capacity of a lithium material in mAh/g, per gram of the formula as it is written.

    Parameters
    ----------
    formula : str
        Such as ``Li`` or :data:`NMC622`.
    lithium : tuple of float, optional
        From which to which amount of lithium per formula it is used, such as ``(1.0, 0.35)``; without it all of the
        formula's lithium.

    Raises
    ------
    AnalysisError
        If there is no lithium in the formula, or the range is not within what it has.

    Notes
    -----
    Q = n F/(3.6 M) for n lithium per formula.
    """
    from scipy.constants import physical_constants

    whole = composition(formula).get("Li", 0.0)
    first, last = lithium or (whole, 0.0)
    if whole <= 0.0 or not 0.0 <= min(first, last) < max(first, last) <= whole:
        raise AnalysisError(f"{formula} has {whole:g} lithium; a range from {first:g} to {last:g} makes no sense")
    faraday = float(physical_constants["Faraday constant"][0])
    return abs(first - last) * faraday / (MAH * molar_mass(formula))


def lithium_thickness(
    areal_capacity_mAh_cm2: float, *, density: float = LITHIUM_DENSITY, porosity: float = 0.0
) -> float:
    """Give the thickness in um of deposited lithium: 4.85 um per mAh/cm2 where dense.

    Parameters
    ----------
    areal_capacity_mAh_cm2 : float
        Of the deposit.
    density : float
        Of solid lithium, g/cm3.
    porosity : float
        Share of the deposit's volume that is not lithium.
    """
    positive(density=density)
    if not 0.0 <= porosity < 1.0:
        raise AnalysisError(f"the porosity must lie between 0 and 1, found {porosity}")
    per_area = areal_capacity_mAh_cm2 / theoretical_capacity("Li")
    return per_area / (density * (1.0 - porosity)) * 1e4


def lithium_areal_capacity(thickness_um: float, *, density: float = LITHIUM_DENSITY, porosity: float = 0.0) -> float:
    """Give the areal capacity in mAh/cm2 of a lithium layer; see :func:`lithium_thickness`."""
    return thickness_um / lithium_thickness(1.0, density=density, porosity=porosity)


def disc_area(diameter_mm: float, *, count: int = 1) -> float:
    """Give the area in cm2 of round electrodes."""
    positive(diameter=diameter_mm, number_of_discs=count)
    return count * math.pi * (diameter_mm / 20.0) ** 2


def per_area(capacity_mAh: float, area_cm2: float) -> float:
    """Give an areal capacity in mAh/cm2."""
    positive(area=area_cm2)
    return capacity_mAh / area_cm2


def per_mass(areal_capacity_mAh_cm2: float, loading_mg_cm2: float, *, active: float = 1.0) -> float:
    """Give a specific capacity in mAh/g of active material.

    Parameters
    ----------
    areal_capacity_mAh_cm2 : float
        Of the electrode.
    loading_mg_cm2 : float
        Mass of the coating per area.
    active : float
        Share of the active material in it.
    """
    positive(loading=loading_mg_cm2, share_of_active_material=active)
    return areal_capacity_mAh_cm2 / (loading_mg_cm2 * active) * 1e3


def c_rate(current_mA_cm2: float, areal_capacity_mAh_cm2: float) -> float:
    """Give a current density as a rate in 1/h: 1 C empties the stated capacity in an hour."""
    positive(areal_capacity=areal_capacity_mAh_cm2)
    return current_mA_cm2 / areal_capacity_mAh_cm2
