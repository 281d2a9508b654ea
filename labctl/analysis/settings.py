"""What an evaluation may be told; the defaults are the paper's, or say why not."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal

from labctl.analysis.impedance.spectrum import STATIONARY_ABOVE_HZ
from labctl.analysis.inventory import SHARES
from labctl.analysis.morphology import MorphologySettings
from labctl.analysis.recipe import METAL, Recipe
from labctl.errors import AnalysisError

#: Fitted with a baseline of its own over all that the recipe looks at: one that was drawn through both sides of the
#: metal has taken its tails for its own.
DEPOSITS: Final = MorphologySettings(baseline="cubic", range_ppm=(80.0, 395.0))
#: As ``impedance.fitting.TWO_ARCS``, which takes scipy to load.
_CIRCUIT: Final = "R0-p(R1,CPE1)-p(R2,CPE2)"


@dataclass(frozen=True, slots=True)
class Settings:
    """Choices of an evaluation.

    Attributes
    ----------
    recipe : Recipe
        Windows, baseline, zero filling.
    reference_cycle : int
        Whose discharge capacity is a state of health of 1.
    soc : str
        ``paper``: the positive electrode counts as full after a charge and as empty in both other states; ``coulomb``:
        its state of charge is counted from the charge that passed, and the factor read off its curve there.
    soc_shape_sd : float
        With ``coulomb``: how far a factor that is known at 0 and 1 alone may lie off the straight line in the middle,
        as a standard deviation. The paper's two series differ by 0.05 there.
    soc_tolerance : float
        With ``paper``: state of charge up to which the positive electrode may be called empty without a flag.
    detection_sigma : float
        The detection limit of dead lithium is so many standard deviations of the pristine cell's spectrum.
    blank : str
        Whether the pristine cell's signal in the metal window is taken from every state: ``auto`` where it exceeds the
        detection limit, ``always`` or ``never``.
    blank_left_when_charged, blank_left_sd : float
        What a full charge leaves of that signal, if it is the positive electrode's lithium: 0.26 of NMC622 at
        204 of 276.5 mAh/g; and how uncertain that is.
    curie : str
        ``refuse`` spectra of different temperatures, or ``scale`` them by the absolute temperature, which holds for
        the nuclei's magnetisation alone.
    temperature_tolerance_K : float
        Between the spectra of a cell; metal loses 0.34 % of its signal per K at room temperature.
    temperature_sd_K : float
        How well the sample's temperature is known in each state.
    reinsertion : str
        What the electrolyte's line, which every state has, is used for besides a check: ``none``; ``scale``: integrals
        are taken relative to it; ``scatter``: its scatter over the states is the error of an insertion.
    reinsertion_sd : float
        Relative standard deviation of an integral from taking the cell out of the probe and putting it back that the
        choice above does not tell. 0 until a laboratory has measured its own.
    insertion_tolerance, insertion_shift_ppm : float
        Difference of the electrolyte's integral (relative) and shift between two states from which it is flagged.
    identity_integral, identity_shift_ppm : float
        Difference of the electrolyte's integral (relative) and shift from which another cell is suspected.
    pulse_sd : float
        Relative standard deviation of the flip angle from one insertion to the next.
    pulse_tolerance : float
        Relative difference of a pulse from the calibrated π/2 from which it is flagged.
    t1_spread : float
        Relative standard deviation of T1 between states where it was not measured in each; needs a T1 of the cell.
    recycle_t1 : float
        A recycle delay shorter than so many T1 is flagged.
    order_sigma : float
        Dead metal beyond what the discharge left by so many standard deviations refuses the set: no step adds metal.
    leak_uA : float
        Residual current of the stripping hold from which a leak is flagged, µA.
    longest_wait_h : float
        Time between cycling and spectrum from which corrosion is flagged, h; longer than an oven's soak.
    k_sigma : float
        A cell's mAh per unit of integral is flagged if it lies so many standard deviations from the others'.
    linear_up_to_mAh_cm2 : float
        Areal capacity up to which the paper shows the integral to be proportional to the metal.
    circuit : str
        Equivalent circuit of every impedance spectrum; :func:`labctl.analysis.impedance.fit` says how it is written.
    circuit_weights : str
        ``modulus``, ``proportional`` or ``unit``.
    impedance_cut_off : str
        What of a spectrum is fitted. ``fixed``: points above ``impedance_above_Hz``, the paper's rule;
        ``kramers-kronig``: from the lowest frequency on that passes the test; ``none``: all. The test itself always
        looks for its own lowest valid frequency.
    impedance_above_Hz : float
        Of the fixed cut-off.
    kramers_kronig_limit : float
        Largest relative residual that passes, a fraction. The paper states none.
    electrode_tolerance : float
        How far, relative to abs(Z) of the cell, the electrodes' impedances may be off adding up to it.
    morphology : MorphologySettings
        Windows, width cap, baseline of the deposits' deconvolution.
    deposit_states : tuple of str
        States whose deposits are told apart. After a discharge little metal is left, and seldom enough to quote.
    deposit_chi_square : float
        Mean squared residual of a deconvolution, over that of the noise, from which three lines do not describe the
        spectrum.
    deposit_field_T : float
        Where the windows of the deposits were found; a spectrum of another field is flagged.
    end_of_life : float
        State of health that ends a cell's life; N80 with 0.8.
    compared_shares : tuple of str
        Shares in which groups are compared. Each one more makes all of them less significant (Holm).
    confidence : float
        Of intervals of comparisons and of the pooled conversion factor.
    """

    recipe: Recipe = METAL
    reference_cycle: int = 1
    soc: Literal["paper", "coulomb"] = "paper"
    soc_shape_sd: float = 0.02
    soc_tolerance: float = 0.15
    detection_sigma: float = 3.0
    blank: Literal["auto", "always", "never"] = "auto"
    blank_left_when_charged: float = 0.26
    blank_left_sd: float = 0.15
    curie: Literal["refuse", "scale"] = "refuse"
    temperature_tolerance_K: float = 2.0
    temperature_sd_K: float = 0.3
    reinsertion: Literal["none", "scale", "scatter"] = "none"
    reinsertion_sd: float = 0.0
    insertion_tolerance: float = 0.05
    insertion_shift_ppm: float = 1.0
    identity_integral: float = 0.15
    identity_shift_ppm: float = 2.0
    pulse_sd: float = 0.0
    pulse_tolerance: float = 0.1
    t1_spread: float = 0.0
    recycle_t1: float = 3.0
    order_sigma: float = 4.0
    leak_uA: float = 1.0
    longest_wait_h: float = 6.0
    k_sigma: float = 4.0
    linear_up_to_mAh_cm2: float = 2.5
    circuit: str = _CIRCUIT
    circuit_weights: Literal["modulus", "proportional", "unit"] = "modulus"
    impedance_cut_off: Literal["fixed", "kramers-kronig", "none"] = "fixed"
    impedance_above_Hz: float = STATIONARY_ABOVE_HZ
    kramers_kronig_limit: float = 0.01
    electrode_tolerance: float = 0.02
    morphology: MorphologySettings = DEPOSITS
    deposit_states: tuple[str, ...] = ("charged",)
    deposit_chi_square: float = 2.0
    deposit_field_T: float = 4.7
    end_of_life: float = 0.8
    compared_shares: tuple[str, ...] = ("dead", "interphase")
    confidence: float = 0.95

    def __post_init__(self) -> None:
        """Refuse what no evaluation can be told."""
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise AnalysisError(f"the setting {name} is {getattr(self, name)!r}; it can be {', '.join(allowed)}")
        for name, known in _SEVERAL.items():
            wrong = [one for one in getattr(self, name) if one not in known]
            if wrong:
                raise AnalysisError(f"the setting {name} names {wrong[0]!r}; it can name {', '.join(known)}")
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, (int, float)) and not (math.isfinite(value) and value >= 0):
                raise AnalysisError(f"the setting {one.name} is {value}; it must be finite and not negative")

    def to_json(self) -> dict[str, Any]:
        """Give the settings as plain data."""
        return asdict(self)


_CHOICES: dict[str, tuple[str, ...]] = {
    "soc": ("paper", "coulomb"),
    "blank": ("auto", "always", "never"),
    "curie": ("refuse", "scale"),
    "reinsertion": ("none", "scale", "scatter"),
    "circuit_weights": ("modulus", "proportional", "unit"),
    "impedance_cut_off": ("fixed", "kramers-kronig", "none"),
}
_SEVERAL: Final[dict[str, tuple[str, ...]]] = {
    "deposit_states": ("charged", "discharged", "dead"),
    "compared_shares": SHARES,
}
