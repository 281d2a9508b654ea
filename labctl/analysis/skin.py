"""How far the radio field gets into lithium, and how much of a film's signal is seen.

The paper states skin depths without the resistivity they rest on, so here the resistivity is always an input.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from labctl.analysis.arrays import Array, positive
from labctl.errors import AnalysisError

#: Resistivity of lithium at 20 degC in ohm m; CRC Handbook of Chemistry and Physics, electrical resistivity of pure
#: metals. The paper's 14.7 and 8.4 um follow from 66e-9 ohm m within 1.5 %, not from this.
LITHIUM_RESISTIVITY: Final = 92.8e-9
#: Of copper at 20 degC, ohm m; the same table.
COPPER_RESISTIVITY: Final = 16.78e-9

_POINTS: Final = 2001

Field = Literal["one side", "both sides", "on foil"]


def skin_depth(frequency_Hz: float, resistivity_ohm_m: float) -> float:
    """Give the depth in m at which the field has fallen to 1/e.

    Notes
    -----
    δ = sqrt(ρ/(π μ0 ν)); Jackson, Classical Electrodynamics, 3rd ed., section 5.18, with μ = μ0.
    """
    from scipy.constants import mu_0

    positive(frequency=frequency_Hz, resistivity=resistivity_ohm_m)
    return math.sqrt(resistivity_ohm_m / (math.pi * mu_0 * frequency_Hz))


def resistivity_for(depth_m: float, frequency_Hz: float) -> float:
    """Give the resistivity in ohm m on which a stated skin depth rests: ρ = δ² π μ0 ν."""
    from scipy.constants import mu_0

    positive(skin_depth=depth_m, frequency=frequency_Hz)
    return depth_m**2 * math.pi * float(mu_0) * frequency_Hz


@dataclass(frozen=True, slots=True)
class FilmSignal:
    """The signal of a metal film against that of the same lithium without the skin effect.

    Attributes
    ----------
    share : float
        Magnitude of the signal, as a share.
    lag_deg : float
        By how much its phase lags that of the surface.
    """

    share: float
    lag_deg: float


def film_signal(
    thickness_m: float,
    frequency_Hz: float,
    *,
    field: Field = "both sides",
    resistivity_ohm_m: float = LITHIUM_RESISTIVITY,
    foil_m: float = 10e-6,
    foil_resistivity_ohm_m: float = COPPER_RESISTIVITY,
    flip_rad: float = 0.5 * math.pi,
    with_phase: bool = True,
) -> FilmSignal:
    """Give the signal of a flat lithium film per lithium.

    Parameters
    ----------
    thickness_m, frequency_Hz : float
        Of the film; of 7Li.
    field : str
        ``one side``: the field comes in from one face of a thick conductor; ``both sides``: the same field at both
        faces; ``on foil``: both faces of a film on a metal foil. Which holds depends on cell and coil.
    resistivity_ohm_m, foil_m, foil_resistivity_ohm_m : float
        Of lithium; thickness and resistivity of the foil.
    flip_rad : float
        Flip angle at the surface.
    with_phase : bool
        Whether the field's lag turns excitation and reception; without it, magnitudes alone are added up.

    Raises
    ------
    AnalysisError
        If a length or resistivity is not positive, the flip angle makes no sense, or the field is unknown.

    Notes
    -----
    h'' = (2i/δ²) h with h = 1 at the faces that see the field and ρ h' continuous at the foil. A depth contributes
    sin(θ abs(h)) by excitation and abs(h) by reception (reciprocity), with twice the field's phase.
    """
    positive(thickness=thickness_m)
    if not 0.0 < flip_rad < math.pi:
        raise AnalysisError(f"the flip angle at the surface must lie between 0 and π, found {flip_rad:.4g} rad")
    inside = np.linspace(0.0, thickness_m, _POINTS)
    k = (1.0 + 1.0j) / skin_depth(frequency_Hz, resistivity_ohm_m)
    if field == "one side":
        h = np.exp(-k * inside)
    elif field == "both sides":
        # cosh(k (z - d/2))/cosh(k d/2), written so that thick films do not overflow.
        h = (np.exp(-k * inside) + np.exp(-k * (thickness_m - inside))) / (1.0 + cmath.exp(-k * thickness_m))
    elif field == "on foil":
        positive(thickness_of_foil=foil_m)
        kappa = (1.0 + 1.0j) / skin_depth(frequency_Hz, foil_resistivity_ohm_m)
        h = _on_foil(inside, k, resistivity_ohm_m, kappa, foil_resistivity_ohm_m, foil_m)
    else:
        raise AnalysisError(f"the field '{field}' is unknown", hint="one of: one side, both sides, on foil")
    size, turn = np.abs(h), 2.0 * np.angle(h) if with_phase else np.zeros(_POINTS)
    weight = np.sin(flip_rad * size) * size / math.sin(flip_rad)
    whole = complex(np.trapezoid(weight * np.exp(1j * turn), inside)) / thickness_m
    return FilmSignal(abs(whole), -math.degrees(cmath.phase(whole)))


def _on_foil(
    inside: Array, k: complex, rho: float, kappa: complex, foil_rho: float, foil: float
) -> np.ndarray[tuple[int], np.dtype[np.complex128]]:
    """Solve for the field in the film: waves from either face of film and foil, all written as decaying."""
    film = float(inside[-1])
    through, beyond = cmath.exp(-k * film), cmath.exp(-kappa * foil)
    # Unknowns: amplitudes from the film's outer face, its inner face, the foil's inner face, the foil's outer face.
    matrix = np.array([
        [1.0, through, 0.0, 0.0],
        [through, 1.0, -1.0, -beyond],
        [-rho * k * through, rho * k, foil_rho * kappa, -foil_rho * kappa * beyond],
        [0.0, 0.0, beyond, 1.0],
    ])  # fmt: skip
    from_outside, from_inside, _, _ = np.linalg.solve(matrix, np.array([1.0, 0.0, 0.0, 1.0], dtype=np.complex128))
    return np.asarray(from_outside * np.exp(-k * inside) + from_inside * np.exp(-k * (film - inside)))
