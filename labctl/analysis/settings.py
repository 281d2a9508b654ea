"""What an evaluation may be told; the defaults are the paper's, or say why not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from labctl.analysis.recipe import METAL, Recipe


@dataclass(frozen=True, slots=True)
class Settings:
    """Choices of an evaluation.

    Attributes
    ----------
    recipe : Recipe
        Windows, baseline, zero filling.
    reference_cycle : int
        Whose discharge capacity is a state of health of 1.
    detection_sigma : float
        The detection limit of dead lithium is so many standard deviations of the pristine cell's spectrum.
    temperature_tolerance_K : float
        Between the spectra of a cell; metal loses 0.34 % of its signal per K at room temperature.
    reinsertion_sd : float
        Relative standard deviation of an integral from taking the cell out of the probe and putting it back. 0 until
        a laboratory has measured its own.
    linear_up_to_mAh_cm2 : float
        Areal capacity up to which the paper shows the integral to be proportional to the metal.
    """

    recipe: Recipe = METAL
    reference_cycle: int = 1
    detection_sigma: float = 3.0
    temperature_tolerance_K: float = 2.0
    reinsertion_sd: float = 0.0
    linear_up_to_mAh_cm2: float = 2.5

    def to_json(self) -> dict[str, Any]:
        """Give the settings as plain data."""
        return asdict(self)
