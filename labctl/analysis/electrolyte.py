"""The electrolyte's line in the states of a cell: whether it is one cell that sits in the probe as it did before.

Its amount does not change within a cycle. What tuning, filling and coil do to the metal's integral they do to its own,
so that it can also be divided by; where pulse or delay differ it cannot, since it has its own T1 and its own offset.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from labctl.analysis import phase
from labctl.analysis.baseline import fit_of, mask_of, subtracted
from labctl.analysis.budget import Errors
from labctl.analysis.comparable import STATES3, Comparison, Shot
from labctl.analysis.flags import Flag
from labctl.analysis.phase import LinePhase
from labctl.analysis.recipe import Recipe
from labctl.analysis.settings import Settings
from labctl.analysis.transform import axis_of, grid_of, transform
from labctl.errors import AnalysisError

#: So many points tell a parabola.
_FEWEST: Final = 4
#: A difference counts from so many deviations of the noise.
_SEEN: Final = 4.0


@dataclass(frozen=True, slots=True)
class Line:
    """The electrolyte's line of one state: its integral with deviation and phase, and its shift."""

    told: LinePhase
    ppm: float

    @property
    def integral(self) -> float:
        """Per scan and unit of receiver gain."""
        return self.told.integral

    @property
    def sd(self) -> float:
        """Of the integral, from noise."""
        return self.told.integral_sd

    @property
    def angle_rad(self) -> float:
        """What makes the line absorptive."""
        return self.told.angle_rad


def lines(shots: Mapping[str, Shot], settings: Settings) -> dict[str, Line]:
    """Give the electrolyte's line of every state in which it is to be seen."""
    recipe = phase.electrolyte(settings.recipe)
    found = {}
    for label, one in shots.items():
        try:
            told = phase.line_phase(one.data, one.zero_Hz, recipe, name="electrolyte")
        except AnalysisError:
            continue
        found[label] = Line(told, _place(one, told.angle_rad, recipe))
    return found


def _place(one: Shot, angle_rad: float, recipe: Recipe) -> float:
    """Give the top of the absorption line in ppm: a parabola through what exceeds half its height.

    The flank of the metal's line is under it and moves the top of a magnitude; it is smooth and leaves with the
    baseline.
    """
    grid = grid_of(one.data, one.zero_Hz, recipe, window=recipe.span)
    axis = axis_of(grid)
    flat, _ = subtracted(transform(one.data.fid, axis), fit_of(grid, mask_of(recipe)))
    inside = (axis.ppm > recipe.metal[0]) & (axis.ppm < recipe.metal[1])
    ppm, height = axis.ppm[inside], (flat[inside] * np.exp(1j * angle_rad)).real
    top = int(np.argmax(height))
    high = height > 0.5 * height[top]
    first = top - int(np.argmin(np.append(high[: top + 1][::-1], False))) + 1
    last = top + int(np.argmin(np.append(high[top:], False)))
    if last - first < _FEWEST:
        return float(ppm[top])
    bend, slope, _ = np.polyfit(ppm[first:last] - ppm[top], height[first:last], 2)
    half = 0.5 * float(ppm[last - 1] - ppm[first])
    return float(ppm[top]) + (float(np.clip(-0.5 * slope / bend, -half, half)) if bend < 0.0 else 0.0)


def check(found: Mapping[str, Line], compared: Comparison, settings: Settings) -> list[Flag]:
    """Say where the line differs from that of the charged state."""
    flags = []
    reference = found.get("charged")
    if reference is None:
        return [Flag("the electrolyte's line is not to be seen: the insertions are not checked", "insertion")]
    for label, line in found.items():
        if label in ("charged", "pristine"):
            continue
        moved = line.ppm - reference.ppm
        warm = compared.factors[label].get("temperature", 1.0)
        ratio = warm * line.integral / reference.integral
        sigma = math.hypot(line.sd / line.integral, reference.sd / reference.integral)
        apart = abs(ratio - 1.0) if compared.same_excitation else 0.0
        differs = []
        if apart > max(settings.insertion_tolerance, _SEEN * sigma):
            differs.append(f"{100 * (ratio - 1.0):+.1f} % of its integral")
        if abs(moved) > settings.insertion_shift_ppm:
            differs.append(f"{moved:+.2f} ppm")
        if not differs:
            continue
        other = apart > settings.identity_integral or abs(moved) > settings.identity_shift_ppm
        flags.append(
            Flag(
                f"the electrolyte's line of the state {label} differs from the charged state's by "
                f"{' and '.join(differs)}: " + ("is it another cell?" if other else "the cell sat otherwise"),
                "swapped" if other else "insertion",
            )
        )
    return flags


def relative_to(
    found: Mapping[str, Line], compared: Comparison, settings: Settings, errors: Errors
) -> dict[str, float]:
    """Give what the integrals are multiplied by, and book the errors of insertion as relative ones.

    Raises
    ------
    AnalysisError
        If the line was to be used and cannot be.
    """
    residual = settings.reinsertion_sd
    factors: dict[str, float] = {}
    if settings.reinsertion != "none":
        if not compared.same_excitation:
            raise AnalysisError("pulse or recycle delay differ, so the electrolyte's line cannot tell the insertions",
                                hint="evaluate with reinsertion='none'")  # fmt: skip
        absent = [label for label in STATES3 if label not in found]
        if absent:
            raise AnalysisError(f"the electrolyte's line is not to be seen in the state {', '.join(absent)}",
                                hint="evaluate with reinsertion='none'")  # fmt: skip
    if settings.reinsertion == "scale":
        reference = found["charged"].integral
        warm = {label: compared.factors[label].get("temperature", 1.0) for label in found}
        factors = {label: reference / (line.integral * warm[label]) for label, line in found.items()}
        errors.each("reinsertion", [found[label].sd / found[label].integral for label in STATES3])
    elif settings.reinsertion == "scatter":
        values = [line.integral for line in found.values()]
        noise = statistics.fmean((line.sd / line.integral) ** 2 for line in found.values())
        seen = statistics.variance(values) / statistics.fmean(values) ** 2
        residual = math.hypot(residual, math.sqrt(max(seen - noise, 0.0)))
    errors.each("reinsertion", (residual,) * 3)
    return factors
